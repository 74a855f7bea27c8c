# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% goals [markdown]
# # Small, fast, readable
#
# After this lesson you can
# * measure how long a model takes for one example, and say which of three usual mistakes a published latency makes,
# * find the most accurate student that meets a budget of bytes and of time,
# * distil a network into a tree, and explain one of its decisions to the person it is about.
#
# **You need**: lessons 01 to 05. **Time**: about 50 minutes.
#
# **In the app** (while it runs on this machine): [the page and the settings of this lesson](http://localhost:8501/?lesson=09-small-fast-readable).
#
# Under each function that you write, a check says what is wrong. `checks.hint("seconds_per_run")` gives one hint at a
# time.

# %% nbgrader={"grade": false, "grade_id": "set-up", "locked": true, "schema_version": 3, "solution": false, "task": false}
import tempfile
import time
from pathlib import Path

import torch

from course import checks
from toolkit import data, deploy, losses, metrics, models, plots, readable, training
from toolkit.grid import train_grid

torch.set_num_threads(1)  # one thread, as on a small device: and what is measured varies less

# %% story [markdown]
# ## Three customers
#
# * A **phone** app reads digits. The teacher is too large to be downloaded: it has a budget of *bytes*.
# * A **sorting machine** reads digits too, one parcel at a time. It has a budget of *time*, and a parcel that is read too
#   late falls off the belt. Networks as small as ours take microseconds (µs, a millionth of a second).
# * A **physician** is told that a tumour is malignant, and asks *why*. No accuracy answers that.
#
# Distillation is said to serve all three: smaller, faster, easier to understand. We measure each of these words.

# %% [markdown] nbgrader={"grade": true, "grade_id": "prediction", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# **Your prediction**: the teacher needs about 1.2 million multiply-adds for a digit, a student with 32 hidden units
# about 2,400: five hundred times fewer. How many times faster will *one* digit be read: about 500, 50 or 5 times? And
# what if 256 digits come at once? Give your reason.
#
# <!-- BEGIN SOLUTION -->
# About 5 times: each call has a fixed cost (Python, one start for each layer) that does not shrink with the network, and
# the student has hardly anything else to do. If 256 come at once they share that cost, and the student's lead is far
# larger; but the first of them has to wait for the last.
#
# Rubric:
# * 1 point: any prediction with a reason, right or wrong
# <!-- END SOLUTION -->

# %% seconds-task [markdown]
# ## How long does one take?
#
# The first runs of a model are slow: memory is reserved, caches are empty. They are made, but do not count. Then *each
# run is timed by itself*, for a mean hides that one run in twenty may take ten times as long.
#
# `clock` is a function that says what time it is. In the experiments it is `time.perf_counter`; a check hands in a
# clock that it sets itself, so that it knows what you should find.


# %% nbgrader={"grade": false, "grade_id": "seconds-per-run", "locked": false, "schema_version": 3, "solution": true, "task": false}
def seconds_per_run(run, clock, warm_up, runs):
    """How long each of some runs takes, in seconds.

    run: a function without arguments, the work to be timed. clock: a function without arguments, which
    gives a time in seconds (a Python number, possibly a large one). ``run`` is called ``warm_up`` times
    first, which do not count (0 or more), and then ``runs`` times (1 or more), which do. Returns a
    float tensor (runs,): the seconds that each of the runs that count took, in their order.
    """
    ### BEGIN SOLUTION
    for _ in range(warm_up):
        run()
    seconds = []
    for _ in range(runs):
        start = clock()
        run()
        seconds.append(clock() - start)
    return torch.tensor(seconds)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-seconds-per-run", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.check(seconds_per_run)
### BEGIN HIDDEN TESTS
from course.stopwatch import Clock, Work

for warm_up, runs, start in ((0, 1, 0.0), (0, 40, 3e5), (5, 1, 3e5), (11, 23, 7.25)):
    taken = (0.002 * torch.rand(warm_up + runs, dtype=torch.float64) + 0.0005).tolist()
    watch = Clock(start)
    work = Work(watch, taken)
    with checks.without_toolkit("seconds_per_run"):
        answer = seconds_per_run(work, watch, warm_up, runs)
    assert type(answer) is torch.Tensor, "a tensor"
    assert answer.shape == (runs,), "one number for each run that counts"
    assert work.calls == warm_up + runs, "run is called once for each run, the warm-up included"
    expected = torch.tensor(taken[warm_up:], dtype=torch.float64)
    right = torch.allclose(answer.detach().double(), expected, rtol=1e-3, atol=1e-9)
    assert right, "the seconds of each"
### END HIDDEN TESTS

# %% digits tags=["nbval-ignore-output"]
digits = data.load("digits")
teacher = training.train_teacher(digits)
student = models.build("mlp-32", digits, seed=0)  # how long it takes does not hang on its weights
networks = {"teacher": teacher.model.eval(), "student": student.eval()}
work = {name: models.count_multiply_adds(net, digits.input_shape) for name, net in networks.items()}
fewer = work["teacher"] / work["student"]
print(f"The student needs {fewer:.0f} times fewer multiply-adds for a digit.")
assert fewer > 400


# %% cold tags=["nbval-ignore-output"]
@torch.no_grad()
def measured(network, x, warm_up=50, runs=300):
    return seconds_per_run(lambda: network(x), time.perf_counter, warm_up, runs)


one, many = digits.x_test[:1], digits.x_test[:256]
fresh = models.build("cnn-32", digits, seed=1).eval()  # one that has never run
cold = measured(fresh, one, warm_up=0)
usual = cold.median()
print(f"the first run: {1e6 * cold[0]:.0f} µs; a usual one: {1e6 * usual:.0f} µs")
assert cold[:10].max() > usual

# %% faster tags=["nbval-ignore-output"]
seconds = {name: measured(network, one) for name, network in networks.items()}
for name, taken in seconds.items():
    median, tail = 1e6 * taken.median(), 1e6 * taken.quantile(0.95)
    print(f"{name}: median {median:.0f} µs, 95th percentile {tail:.0f} µs,", end=" ")
    print(f"mean {1e6 * taken.mean():.0f} µs")
faster = seconds["teacher"].median() / seconds["student"].median()
print(f"{fewer:.0f} times fewer multiply-adds; {faster:.1f} times faster")
assert 1 < faster < fewer / 4

# %% batches tags=["nbval-ignore-output"]
together = {name: measured(net, many, 5, 40).median() / 256 for name, net in networks.items()}
for name, share in together.items():
    print(f"{name}: {1e6 * share:.1f} µs a digit where 256 come at once,", end=" ")
    print(f"{1e6 * seconds[name].median():.0f} µs where it is alone;", end=" ")
    print(f"but each of the 256 waits {1e6 * share * 256:,.0f} µs")
in_a_batch = together["teacher"] / together["student"]
print(f"alone the student is {faster:.1f} times faster, in a batch {in_a_batch:.0f} times")
assert together["student"] < seconds["student"].median() / 2
assert in_a_batch > 2 * faster

# %% faster-explained [markdown]
# Fewer multiply-adds are not as many times faster. Each call has a cost of its own: Python, a start for each layer, a
# result to be stored. Of the student's time it is nearly all; the teacher really computes. Among a batch that cost is
# shared, and there the multiply-adds show. But that is *throughput*. The parcel on the belt asks for *latency*, how
# long it waits itself, and in a batch it waits for all others.
#
# Which figure belongs into a report? The median says what is usual. The 95th percentile says what one run in twenty
# exceeds: who promises a time should look at that one.

# %% budget-task [markdown]
# ## Two budgets
#
# Now several students, each trained with and without the teacher; whichever of the two does better on validation data
# is kept. From all of them we want those that meet a budget of bytes *and* one of time, **the most accurate first**.
# Accuracy means validation accuracy: this is a choice.


# %% nbgrader={"grade": false, "grade_id": "within-budget", "locked": false, "schema_version": 3, "solution": true, "task": false}
def within_budget(names, val_accuracy, nbytes, latency, max_bytes, max_latency):
    """Names of the models that meet both budgets, the most accurate first.

    names: list of strings. val_accuracy, nbytes, latency: tensors (models,), float, whole numbers and
    float. A model meets a budget that it uses up exactly. Of two that are equally accurate the one with
    fewer bytes comes first (no two have equally many). Returns a list of names; empty where none
    meets both.
    """
    ### BEGIN SOLUTION
    places = range(len(names))
    allowed = [i for i in places if nbytes[i] <= max_bytes and latency[i] <= max_latency]
    allowed.sort(key=lambda i: (-val_accuracy[i], nbytes[i]))
    return [names[i] for i in allowed]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-within-budget", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.check(within_budget)
### BEGIN HIDDEN TESTS
from course.diagnose_small_fast import budgets

for names, accuracy, nbytes, latency, most, longest in [*budgets(), *budgets()]:
    for width in (torch.float32, torch.float64):
        rows = zip(accuracy.tolist(), nbytes.tolist(), latency.tolist(), names, strict=True)
        kept = sorted((-a, b, name) for a, b, s, name in rows if b <= most and s <= longest)
        with checks.without_toolkit("within_budget"):
            answer = within_budget(
                list(names), accuracy.to(width), nbytes, latency.double(), most, longest
            )
        assert list(answer) == [name for *_, name in kept], "those that meet both, the best first"
### END HIDDEN TESTS

# %% students tags=["nbval-ignore-output"]
kept = {"teacher": teacher.model}
for size in ("mlp-16", "mlp-64", "mlp-256", "cnn-4"):
    grid = train_grid(
        digits, student=size, temperatures=[8], lams=[0, 0.9], seeds=2, teacher=teacher
    )
    t, lam = grid.best_cell()  # on validation
    name = f"{size}, {'distilled' if grid.lams[lam] else 'labels alone'}"
    kept[name] = grid.student_model(t, lam, 0)
    print(f"{name}: {grid.val_accuracy[t, lam].mean():.1%} of the validation part")
assert all("distilled" in name or "alone" in name for name in list(kept)[1:])

# %% files-intro [markdown]
# What a phone downloads is a file. `deploy.export_onnx` writes one that runs without PyTorch and Python; in
# `deploy.quantise` each weight becomes one byte instead of four (*int8*). `deploy.cost_of` measures a file in a process
# of its own, as your function does. **Predict**: is int8 smaller? Is it faster? All this needs the packages `onnx` and
# `onnxruntime`. Where they are missing, the networks are measured as PyTorch runs them, and there is no int8 to look at.


# %% forms
def as_files(name, network, folder):
    """float32 and int8 file of a network: name, bytes, seconds (95th percentile), and how to run it."""
    exact = deploy.export_onnx(network, digits.input_shape, folder / f"{name}.onnx")
    target = folder / f"{name}, int8.onnx"
    small = deploy.quantise(exact, target, "static", digits.x_train[:200])
    for form, path in (("float32", exact), ("int8", small)):
        cost = deploy.cost_of(path, digits.input_shape)
        run = lambda x, path=path: deploy.run_onnx(path, x)  # noqa: E731
        yield f"{name}, {form}", cost.bytes_on_disk, cost.latency.p95, run


def as_it_is(name, network):
    seconds = measured(network.eval(), one)
    run = lambda x: training.predict(network, x)  # noqa: E731
    yield name, models.count_bytes(network), seconds.quantile(0.95).item(), run


# %% candidates tags=["nbval-ignore-output"]
scratch = tempfile.TemporaryDirectory()  # is gone when this notebook ends
folder = Path(scratch.name)
try:
    rows = [row for name, network in kept.items() for row in as_files(name, network, folder)]
except ImportError:
    print("onnx or onnxruntime is missing, so the networks are measured as PyTorch runs them.")
    print("For files and int8: pip install onnx onnxruntime (see START-HERE), then restart.")
    rows = [row for name, network in kept.items() for row in as_it_is(name, network)]
names, nbytes, latency, run = zip(*rows, strict=True)
nbytes, latency = torch.tensor(nbytes), torch.tensor(latency)
val_accuracy = torch.tensor([metrics.accuracy(r(digits.x_val), digits.y_val) for r in run])
for i, name in enumerate(names):
    print(f"{name}: {val_accuracy[i]:.1%}, {nbytes[i]:,} bytes, {1e6 * latency[i]:.0f} µs")
assert len(set(nbytes.tolist())) == len(names)

# %% int8 tags=["nbval-ignore-output"]
pairs = [(i, i + 1) for i in range(len(names) - 1) if names[i + 1].endswith("int8")]
for exact, small in pairs:
    smaller, slower = nbytes[exact] / nbytes[small], latency[small] / latency[exact]
    print(f"{names[small]}: {smaller:.1f} times smaller, {slower:.1f} times the time")
if not pairs:
    print("int8 was not measured here, since onnx is missing: your prediction about it stays open.")
assert all(nbytes[small] < nbytes[exact] for exact, small in pairs)

# %% int8-explained [markdown]
# Where int8 was measured, compare with your prediction. A file of many weights can shrink to nearly a quarter; in a small
# file the weights are only a part. And int8 need not be faster: numbers have to be turned into bytes and back, which in
# networks this small can cost as much as it saves. Smaller and faster are two promises, and each has to be measured.

# %% budgets-intro [markdown]
# Now the budgets. The phone's 10,000 bytes are given. What is fast depends on the machine, so we set the limit of time
# where it hurts on yours, between the fastest and the slowest: √(fastest × slowest). For the phone these are the fastest
# and the slowest of those that are small enough; for the belt, which has 10 MB, of all. **Predict**: will the phone lose
# its most accurate network to the limit of time?


# %% phone tags=["nbval-ignore-output"]
def between(seconds):
    return (seconds.min() * seconds.max()).sqrt().item()


table = (list(names), val_accuracy, nbytes, latency)
in_any_time = within_budget(*table, max_bytes=10_000, max_latency=float("inf"))
time_of = {"phone": between(latency[nbytes <= 10_000]), "belt": between(latency)}
phone = within_budget(*table, max_bytes=10_000, max_latency=time_of["phone"])
belt = within_budget(*table, max_bytes=10_000_000, max_latency=time_of["belt"])
print("within 10,000 bytes, in any time:", *in_any_time, sep="\n    ")
print(f"within 10,000 bytes and {1e6 * time_of['phone']:.0f} µs:", *phone, sep="\n    ")
print(f"within 10 MB and {1e6 * time_of['belt']:.0f} µs:", *belt, sep="\n    ")
assert all((phone, belt)), "each customer gets one"
assert not any(name.startswith("teacher") for name in phone)
assert len(phone) < len(in_any_time) < len(names), "both budgets leave somebody out"

# %% chosen tags=["nbval-ignore-output"]
at = {"teacher": 0, "phone": names.index(phone[0]), "belt": names.index(belt[0])}
test_accuracy = {}
for customer, i in at.items():
    test_accuracy[customer] = metrics.accuracy(run[i](digits.x_test), digits.y_test)
    print(f"{customer}: {names[i]}: {test_accuracy[customer]:.1%} of the test part,", end=" ")
    print(f"{nbytes[0] / nbytes[i]:.1f} times smaller, {latency[0] / latency[i]:.1f} times faster")
assert nbytes[0] / nbytes[at["phone"]] > 10
assert test_accuracy["phone"] > test_accuracy["teacher"] - 0.1

# %% chosen-explained [markdown]
# The test part was looked at once for each customer, after choosing. Look at what was chosen: is it the same network for
# both, and would the phone have had a better one without a limit of time? Few bytes and few multiply-adds are not the
# same: a convolution uses each of its few weights many times. And was the teacher's help worth it in every size? Where it
# says "labels alone", validation data did not find so. Measure once more, and times differ a little: whatever lies close
# to a limit may be within it today and not tomorrow.

# %% tree-task [markdown]
# ## A decision that can be explained
#
# The third customer. A network for the breast-cancer table (30 measurements of a tumour) is distilled into a *tree* of at
# most three questions. A tree is five arrays, one entry for each node; node 0 is the root. Node `n` asks whether
# `x[feature[n]]` is at most `threshold[n]`. Yes goes to node `left[n]`, no to node `right[n]`; at a leaf both are −1.


# %% nbgrader={"grade": false, "grade_id": "decision-path", "locked": false, "schema_version": 3, "solution": true, "task": false}
def decision_path(feature, threshold, left, right, x):
    """The nodes that one example visits, from the root to its leaf.

    feature, left, right: whole numbers (nodes,); threshold: float (nodes,); x: float (features,). At a
    leaf left and right are −1, and feature and threshold are −2. A value that equals the
    threshold goes left. Returns a list of node numbers: it begins with 0 and ends with the leaf.
    """
    ### BEGIN SOLUTION
    nodes = [0]
    while left[nodes[-1]] != -1:
        here = nodes[-1]
        side = left if x[feature[here]] <= threshold[here] else right
        nodes.append(int(side[here]))
    return nodes
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-decision-path", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.check(decision_path)
### BEGIN HIDDEN TESTS
from sklearn.tree import DecisionTreeClassifier

for depth in (1, 3, 6):
    points = torch.randn(200, 4)
    classes = torch.randint(3, (200,))
    grown = DecisionTreeClassifier(max_depth=depth, random_state=0).fit(points, classes)
    arrays = [
        torch.from_numpy(part.copy())
        for part in (
            grown.tree_.feature,
            grown.tree_.threshold,
            grown.tree_.children_left,
            grown.tree_.children_right,
        )
    ]
    for x in points[:20]:
        with checks.without_toolkit("decision_path"):
            answer = decision_path(*arrays, x.clone())
        visited = grown.decision_path(x[None].numpy()).indices.tolist()
        assert sorted(int(node) for node in answer) == visited, "the nodes that are visited"
        ends = int(answer[0]), int(arrays[2][int(answer[-1])])
        assert ends == (0, -1), "from the root to a leaf"
### END HIDDEN TESTS

# %% tumours tags=["nbval-ignore-output"]
tumours = data.load("breast-cancer")
network = training.train_teacher(tumours)
soft_targets = losses.soft_targets(network.train_logits, temperature=4)
tree = readable.fit_tree(tumours, soft_targets, depth=3)
print(tree.rules)
assert len(tree.leaves) <= 8
tree_logits = tree.probabilities(tumours.x_test)
print(f"network: {network.test_accuracy:.1%} of the test part;", end=" ")
print(f"tree: {metrics.accuracy(tree_logits, tumours.y_test):.1%},", end=" ")
print(f"and it agrees with the network in {metrics.fidelity(tree_logits, network.test_logits):.1%}")

# %% patient tags=["nbval-ignore-output"]
patient = 0  # another number is another patient
x = tumours.x_test[patient]
arrays = [torch.from_numpy(a) for a in (tree.feature, tree.threshold, tree.left, tree.right)]
path = decision_path(*arrays, x)
print("nodes:", path)
print(tree.explanation(x))
print("in truth:", tumours.class_names[tumours.y_test[patient]])
assert [int(node) for node in path] == tree.path(x)

# %% picture tags=["nbval-ignore-output"]
plots.decision_tree(tree, followed=x)

# %% changed-intro [markdown]
# **Play**: change `patient`. Find one that the tree gets wrong, and say at which question it was lost. Find one whose value
# lies close to a threshold: would you tell this person the same, in the same words?

# %% lost tags=["nbval-ignore-output"]
wrong = (tree.predict(tumours.x_test) != tumours.y_test).nonzero().flatten().tolist()
print("wrongly decided:", *wrong)
for patient in wrong[:2]:
    print(f"\npatient {patient}, in truth {tumours.class_names[tumours.y_test[patient]]}:")
    print(tree.explanation(tumours.x_test[patient]))
assert 0 < len(wrong) < len(tumours.y_test) / 5

# %% splits-intro [markdown]
# ## Does the teacher help a tree?
#
# The same on several random splits: a tree, and a linear model that uses five measurements, each learned from the
# labels and from the teacher's soft targets. **Predict**: will the distilled tree be more accurate? Will it agree with
# the network more often? Splits share patients, so that their results are no independent draws; the interval takes
# that into account (Nadeau and Bengio 2003).

# %% splits tags=["nbval-ignore-output"]
scores = readable.over_splits(tumours, 8)
for name, score in scores.items():
    print(f"{name}: {score.on_labels.mean():.1%} of the test part from labels,", end=" ")
    print(f"{score.distilled.mean():.1%} distilled; the network {score.teacher.mean():.1%}")
    for what, difference in {
        "distilled against labels, accuracy": score.accuracy_difference,
        "distilled against labels, agreement with the network": score.fidelity_difference,
        "the network against distilled, accuracy": score.teacher_lead,
    }.items():
        print(f"    {what}: {metrics.in_points(difference)}, {metrics.verdict(difference)}")
assert all(score.accuracy_difference.holds_zero for score in scores.values())
assert scores["tree"].teacher_lead.mean > scores["linear"].teacher_lead.mean > -0.01

# %% splits-explained [markdown]
# Two questions, two answers. *Does the teacher help?* Not measurably: with a few hundred patients and labels that are
# right, three questions or five weights are learned about as well from either. That is no failure of the experiment: it
# says that such a model may be learned from labels, and that its limit is its size. *What does it cost to be readable?*
# Look at the network's lead: it is larger over the tree than over the linear model, and only an interval says whether it
# is there at all. "More interpretable at the same accuracy" is a claim about one table and one kind of model.

# %% pitfalls [markdown]
# ## What could go wrong
#
# * **The first run is in the mean**: it may be a hundred times as slow, and a mean over ten runs is then mostly that one.
# * **The latency of a batch divided by its size** is no latency. Nobody gets a result after that time.
# * **Two models are measured one after the other**, while another program begins to run: measure them in turn, and more
#   than once.
# * **Chosen on the test part**: with ten models one of them looks good by luck. Choose on validation data.
# * **A reason is not a cause**: the tree says what *it* looked at. The tumour is not malignant because a number is above a
#   threshold, and the network that it imitates may have looked at something else.

# %% questions [markdown]
# ## Questions
#
# 1. A student has half the multiply-adds of another and takes the same time. Where is the time spent?
# 2. Another belt moves one parcel every 2 ms, and its network takes 1 ms at the median and 5 ms at the 95th percentile. Is
#    that good enough? What would you change first?
# 3. A patient's value is just above a threshold, and measured with an error. What should the explanation say?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-latency", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# **To hand in**: a colleague reports: "Our student needs 500 times fewer multiply-adds and only 2 µs per digit: the mean
# of ten runs with 256 digits each, right after loading. It meets the machine's budget of 10 µs, with room to spare." What
# is wrong with this claim? How should it be measured, and what did you find for such a student yourself?
#
# <!-- BEGIN SOLUTION -->
# The 2 µs are a share of a batch: no parcel has its result before the whole batch is done. Warm-up is in it, and a mean
# of ten hides the tail. Measured one digit at a time, after a warm-up, over hundreds of runs, with median and 95th
# percentile: in my run the student took some tens of µs, about five times less than the teacher, in spite of the 500
# times fewer multiply-adds, and would miss the budget of 10 µs.
#
# Rubric:
# * 1 point: names at least two of: a batch's share is no latency; warm-up is counted; a mean hides the tail; multiply-adds
#   are not time
# * 1 point: one example at a time after a warm-up, median and 95th percentile, with a figure from an own run
# <!-- END SOLUTION -->
