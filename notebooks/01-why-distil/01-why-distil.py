# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% goals [markdown]
# # Why distil?
#
# Welcome! In this course a large network, the *teacher*, passes on what it knows to a small one, the *student*. This
# first lesson asks whether that is worth the trouble. After this lesson you can
# * count what a model costs: parameters, bytes, multiplications,
# * measure how long an answer takes, and tell an honest table of latencies from a flattering one,
# * say what a small student gains, what it loses, and when a teacher helps it.
#
# **You need**: basic PyTorch (tensors, `nn.Module`, what training does). **Time**: about 40 minutes.
#
# **In the app** (while it runs on this machine): [the page and the settings of this lesson](http://localhost:8501/?lesson=01-why-distil).
#
# **How to work**: run the cells from top to bottom (Shift + Enter). Now and then a cell asks for something of yours: a
# *prediction* in words, or the body of a function in place of `raise NotImplementedError`. Cells between them are
# experiments: guess first, then run them, then change them as you like.

# %% nbgrader={"grade": false, "grade_id": "set-up", "locked": true, "schema_version": 3, "solution": false, "task": false}
import time

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.tree import DecisionTreeClassifier, export_text
from torch import nn

from course import checks
from toolkit import data, metrics, models, plots, scenarios, training
from toolkit.grid import train_grid

torch.set_num_threads(1)  # networks as small as ours do not gain from more

# %% history [markdown]
# ## An idea with a history
#
# * **1996**: Craven and Shavlik ask a trained network questions until they can draw a *decision tree* that answers like
#   it: a student that a person can read.
# * **2006**: Buciluă, Caruana and Niculescu-Mizil (*Model compression*) have ensembles of very many models: accurate, but
#   too large and too slow for a small device or a busy server. They let the ensemble label a great many examples that
#   had no label, and train one small network on those. Most of the accuracy stays.
# * **2014**: Ba and Caruana train shallow networks on the *logits* of deep ones.
# * **2014/15**: Hinton, Vinyals and Dean (*Distilling the knowledge in a neural network*, shown at a workshop in December
#   2014, on arXiv in March 2015) give the method its name, and a *temperature* that shows what a teacher thinks of the
#   wrong classes. That is lesson 02.

# %% article-on-history [markdown]
# This course grew from an article (《深入理解模型蒸馏:从理论到实践》, "understanding model distillation in depth"). It
# dates the idea to one paper of 2014, and soft targets with cross entropy to one of 2017. The first date fits Hinton's
# paper, but the idea is at least eight years older; and soft targets with cross entropy stand in Hinton's paper itself,
# in section 2. The article numbers its two sources without listing them, so we cannot ask which ones it means. Nothing
# is lost: the article is a good guide to *questions*, and you will learn to test its answers (lesson 06).

# %% promises [markdown]
# ## Four promises
#
# What does distillation promise, according to the article, and where is it wanted?
#
# | promise | wanted where | how we measure it |
# |---|---|---|
# | smaller | phones, sensors, anything with little memory | parameters, bytes |
# | faster | cars, assistants: an answer by a deadline | multiplications, and a clock |
# | as accurate | everywhere | share of right answers, over several seeds |
# | easier to read | medicine, banks: a person must follow the reason | can you follow it? |
#
# Today's teacher is a convolutional network for handwritten digits, its students are small networks with one hidden
# layer. The first time, the teacher is trained while you wait, for some seconds; after that it comes from a cache.

# %% [markdown] nbgrader={"grade": true, "grade_id": "prediction", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# **Your prediction**: a student has about a tenth of its teacher's parameters. By roughly which factor does it need
# fewer *bytes*, and fewer *multiplications* for one image? By which factor is it *faster* with one image? Are the three
# factors the same? Give your reason. A wrong prediction costs nothing; none at all does.
#
# <!-- BEGIN SOLUTION -->
# Bytes follow the number of parameters, since each takes four: a tenth. A convolution uses each of its weights at every
# position of the image, so the teacher multiplies far more often than it has weights: perhaps a hundredth. In time we
# gain less than that, since starting a layer takes some time however little it computes.
#
# Rubric:
# * 1 point: any prediction with a reason, right or wrong
# <!-- END SOLUTION -->

# %% teacher tags=["nbval-ignore-output"]
digits = data.load("digits")
teacher = training.train_teacher(digits)
students = {name: models.build(name, digits, seed=0) for name in ("mlp-8", "mlp-32", "mlp-64")}
print(f"teacher {teacher.name}: {teacher.val_accuracy:.1%} of the validation digits are right")
assert teacher.val_accuracy > 0.97
assert len(digits.y_train) == 987

# %% count-task [markdown]
# ## Smaller: parameters
#
# The *parameters* of a network are the numbers that training adjusts. You will write the function that counts them. But
# first see how a check answers. Here is a first try that is wrong; read what is said of it, and then what a hint looks
# like. A hint comes with each call of `checks.hint`, one at a time, from vague to concrete.


# %% first-try
def first_try(model):
    return len(list(model.parameters()))


try:
    checks.check(first_try, "count_parameters")
except checks.Incorrect as feedback:
    print(feedback)
checks.hint("count_parameters")

# %% count-yours [markdown]
# Three lines show a small *case*: what is *expected* of it, and what came out instead. Now yours. A check that says "not
# attempted yet" means that the body is still `raise NotImplementedError`. You may check as often as you like.


# %% nbgrader={"grade": false, "grade_id": "count-parameters", "locked": false, "schema_version": 3, "solution": true, "task": false}
def count_parameters(model):
    """How many numbers training adjusts in a module, with those of all modules within it; 0 if there are none.

    What is frozen (requires_grad False) and buffers do not count; a parameter that layers share counts once.
    The model stays as it is.
    """
    ### BEGIN SOLUTION
    return sum(part.numel() for part in model.parameters() if part.requires_grad)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-count-parameters", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.check(count_parameters)
### BEGIN HIDDEN TESTS
width, depth = (int(size) for size in torch.randint(3, 9, (2,)))
norm, tied = nn.BatchNorm1d(width), nn.Linear(width, width)
held = nn.Linear(width, depth).requires_grad_(False)
layers = nn.ModuleList([nn.Sequential(tied, norm), tied, held, nn.Conv1d(depth, width, 3).double()])
held.bias.requires_grad_(True)
expected = width * width + width + 2 * width + depth + 3 * width * depth + width
for module, count in ((layers, expected), (held, depth), (nn.Identity(), 0)):
    with checks.without_toolkit("count_parameters"):
        answer = count_parameters(module)
    assert not isinstance(answer, (bool, str))
    assert torch.as_tensor(answer).double().reshape(()).item() == count
### END HIDDEN TESTS

# %% count-models
for name, model in {"teacher": teacher.model, **students}.items():
    print(f"{name:7}: {count_parameters(model):6,} parameters")
assert count_parameters(students["mlp-32"]) == 64 * 32 + 32 + 32 * 10 + 10
assert count_parameters(teacher.model) > 10 * count_parameters(students["mlp-32"])

# %% count-explained [markdown]
# By hand, for one hidden layer of 32: 64 pixels times 32 units and 32 biases, then 32 units times 10 classes and 10
# biases. Do it once; it is the quickest way to find a layer that is larger than one thought.
#
# ## Smaller: bytes
#
# A phone does not store parameters but *bytes*. A usual number in PyTorch (float32) takes 4 of them, one in half
# precision (float16) takes 2. Two more differences from the count above: what is frozen must be stored as well, and so
# must *buffers*, such as the running statistics of batch norm, which no training step adjusts.


# %% nbgrader={"grade": false, "grade_id": "compression-ratio", "locked": false, "schema_version": 3, "solution": true, "task": false}
def compression_ratio(teacher, student):
    """Bytes of the teacher's tensors divided by those of the student's: 4.0 for a student of a quarter.

    All parameters and buffers of both modules count, frozen or not, each with the bytes of its own type; a tensor
    that layers share counts once. Both models stay as they are, and neither is empty.
    """
    ### BEGIN SOLUTION
    sizes = [
        sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])
        for model in (teacher, student)
    ]
    return sizes[0] / sizes[1]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-compression-ratio", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.check(compression_ratio)
### BEGIN HIDDEN TESTS
width, depth = (int(size) for size in torch.randint(3, 9, (2,)))
tied, held = nn.Linear(width, width), nn.Linear(width, depth).requires_grad_(False)
large = nn.Sequential(tied, nn.BatchNorm1d(width), tied, held)
large_bytes = 4 * (width * width + width + 4 * width + width * depth + depth) + 8
for dtype, size in ((torch.float16, 2), (torch.float32, 4), (torch.float64, 8)):
    small = nn.Sequential(nn.Linear(depth, 2).to(dtype))
    small.register_buffer("steps", torch.zeros(5, dtype=torch.int8))
    expected = large_bytes / (size * (2 * depth + 2) + 5)
    with checks.without_toolkit("compression_ratio"):
        answers = compression_ratio(large, small), compression_ratio(small, large)
    for answer, wanted in zip(answers, (expected, 1 / expected), strict=True):
        assert not isinstance(answer, (bool, str))
        assert abs(torch.as_tensor(answer).double().reshape(()).item() / wanted - 1) < 1e-4
### END HIDDEN TESTS

# %% bytes-intro [markdown]
# **Predict**: by how much does the ratio grow if a student's numbers are also stored in half precision?

# %% ratios
for name, student in students.items():
    half = models.build(name, digits, seed=0).half()
    whole_ratio = compression_ratio(teacher.model, student)
    half_ratio = compression_ratio(teacher.model, half)
    print(f"{name:6}: {whole_ratio:5.1f} times smaller, in half precision {half_ratio:5.1f} times")
    assert abs(half_ratio - 2 * whole_ratio) < 0.01 * half_ratio

# %% work-intro [markdown]
# ## Faster? The work
#
# Most of a network's time goes into *multiply-adds*: multiply an input by a weight, add to a sum. The toolkit counts them
# for one example. **Predict**: will the teacher have as many times more of them as it has more parameters?

# %% work
work = {"teacher": models.count_multiply_adds(teacher.model, digits.input_shape)}
for name, student in students.items():
    work[name] = models.count_multiply_adds(student, digits.input_shape)
    fewer = count_parameters(teacher.model) / count_parameters(student)
    less = work["teacher"] / work[name]
    print(f"{name:6}: {fewer:4.0f} times fewer parameters, {less:5.0f} times fewer multiply-adds")
    assert less > 10 * fewer

# %% work-explained [markdown]
# A linear layer uses each weight once for an image. A convolution slides its few weights over the image and uses each of
# them at *every position*. So a convolutional teacher may be modest in bytes and greedy in work: "smaller" and "faster"
# are two promises, not one.
#
# ## Faster? The clock
#
# Work is not time. **Predict**: how many times faster than its teacher is the student with 32 hidden units? Then we look
# at a clock, for *one* image at a time, as a camera would send them, and with one thread.


# %% measure
def measure(model, x, times=241):
    """Seconds that each of so many calls takes, in the order in which they were made."""
    seconds = []
    model.eval()
    with torch.inference_mode():
        for _ in range(times):
            start = time.perf_counter()
            model(x)
            seconds.append(time.perf_counter() - start)
    return torch.tensor(seconds, dtype=torch.float64)


# %% first-calls tags=["nbval-ignore-output"]
image = digits.x_val[:1]
seconds = {name: measure(model, image) for name, model in students.items()}
seconds["teacher"] = measure(teacher.model, image)
for name in ("teacher", "mlp-32"):
    first, later = seconds[name][:4], seconds[name][20:].median()
    microseconds = ", ".join(f"{1e6 * second:.0f}" for second in first)
    print(f"{name:7}: first calls {microseconds} µs; later usually {1e6 * later:.0f} µs")
    assert first[0] > later, "warm-up"

# %% latency-task [markdown]
# The first calls are slower: memory is asked for, code and weights are fetched into the processor's cache. This is
# *warm-up*. A service that runs all day pays for it once, so it does not belong in the summary (an app that is started for
# a single photo pays it every time!). Later calls differ too, since other programs want the processor as well.
#
# So one number is not enough. We take the **median**, the usual case, and the **95th percentile**, "p95": 95 % of the
# calls are at most that slow. A promise to a user is about p95, not about the median.


# %% nbgrader={"grade": false, "grade_id": "latency-summary", "locked": false, "schema_version": 3, "solution": true, "task": false}
def latency_summary(seconds, warm_up):
    """Median and 95th percentile, a pair of numbers in MILLISECONDS, of latencies given in seconds.

    seconds: float tensor of shape (measurements,), in the order in which they were made; it stays as it is.
    The first warm_up of them (0 or more) do not count; at least 41 are left. Any usual rule for a percentile will do.
    """
    ### BEGIN SOLUTION
    milliseconds = 1000 * seconds[warm_up:]
    return milliseconds.median().item(), milliseconds.quantile(0.95).item()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-latency-summary", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.check(latency_summary)
### BEGIN HIDDEN TESTS
for left, warm_up, dtype in (
    (81, 7, torch.float64),
    (41, 1, torch.float32),
    (61, 0, torch.float64),
):
    fresh = 0.002 * torch.randn(warm_up + left, dtype=torch.float64).mul(0.6).exp()
    fresh[:warm_up] /= 100
    fresh[warm_up] *= 200
    fresh = fresh.to(dtype)
    kept, in_order = fresh.clone(), (1000 * fresh[warm_up:].double()).sort().values
    with checks.without_toolkit("latency_summary"):
        answer = latency_summary(fresh, warm_up)
    assert len(answer) == 2
    median, p95 = (torch.as_tensor(part).double().reshape(()).item() for part in answer)
    place = round(0.95 * (left - 1))
    assert abs(median / in_order[left // 2].item() - 1) < 1e-3
    below, here, above = in_order[place - 1 : place + 2].tolist()
    assert below + 0.95 * (here - below) - 1e-6 < p95 < here + 0.95 * (above - here) + 1e-6
    assert torch.equal(fresh, kept)
### END HIDDEN TESTS

# %% latencies tags=["nbval-ignore-output"]
usual = {}
print("one image, one thread           minimum   median      p95  (ms)")
for name in ("teacher", *students):
    usual[name], p95 = latency_summary(seconds[name], 20)
    least = 1000 * seconds[name].min()
    print(f"{name:7} {work[name]:9,} multiply-adds {least:8.3f} {usual[name]:8.3f} {p95:8.3f}")
speed_up = usual["teacher"] / usual["mlp-32"]
less_work = work["teacher"] / work["mlp-32"]
print(f"mlp-32: {less_work:.0f} times less work, {speed_up:.1f} times faster")
assert 1.3 < speed_up < less_work / 4
assert usual["mlp-64"] < 3 * usual["mlp-8"], "eight times the work, hardly more time"

# %% latencies-explained [markdown]
# Faster, yes; but by far less than the multiplications promise. Each layer costs a fixed time, to be called and to set up
# its work, however little it computes. Below a certain size a student no longer gets faster by getting smaller: the three
# students take about as long as one another. Only the clock tells; that is why we count *and* measure.
#
# The *minimum* stands beside the others because it is what the computation itself needs when nothing disturbs it. If
# minimum and median lie far apart, the machine was busy: close other programs and measure again.

# %% batch-intro [markdown]
# **Predict**: if 256 images come at once, how long does the student need *per image*, compared with a single one? And
# how long does the first image of these have to wait for its answer?

# %% batch tags=["nbval-ignore-output"]
many = digits.x_val[:256]
single, _ = latency_summary(measure(students["mlp-32"], image, 101), 20)
together, _ = latency_summary(measure(students["mlp-32"], many, 101), 20)
per_image = together / len(many)
print(f"one at a time {single:.4f} ms, in a batch {per_image:.4f} ms per image")
print(f"but the whole batch takes {together:.4f} ms, and each image in it waits that long")
assert per_image < single / 4

# %% batch-explained [markdown]
# The fixed time is shared by the whole batch, so that *throughput* (images per second) grows a great deal. *Latency*, how
# long an answer takes, does not get better: it gets worse. A table that mixes the two flatters whoever came with the
# batch.

# %% accuracy-intro [markdown]
# ## As accurate?
#
# The students above have never been trained. Now they learn from the *labels* alone, without a teacher, each size with
# five seeds. Square brackets hold a 95 % confidence interval of the mean over seeds. **Predict**: how small may a
# student be before it falls far behind?

# %% accuracy-by-size tags=["nbval-ignore-output"]
options = {"temperatures": [1], "lams": [0], "seeds": 5, "epochs": 40, "teacher": teacher}
means = {}
print(f"teacher: {count_parameters(teacher.model):6,} parameters, {teacher.val_accuracy:.1%}")
for width in (4, 8, 16, 32, 64):
    alone = train_grid(digits, "all-labels", f"mlp-{width}", **options).val_accuracy[0, 0]
    size = count_parameters(models.build(f"mlp-{width}", digits))
    interval = metrics.confidence_interval(alone)
    means[width] = interval.mean
    spread = f"[{interval.low:.1%}, {interval.high:.1%}]"
    print(f"mlp-{width:<3}: {size:6,} parameters, {interval.mean:.1%} {spread}")
assert means[4] < means[8] < means[16]
assert means[4] < teacher.val_accuracy - 0.1
assert means[64] < teacher.val_accuracy - 0.005

# %% accuracy-explained [markdown]
# "As accurate" is not free. A student of a sensible size comes near; a very small one does not, and even the largest of
# ours stays below the teacher. Can the teacher help?
#
# ## When a teacher helps
#
# Suppose that those who train the student have only 200 images with their labels; the teacher was trained on all of them
# (987). One student learns from the labels. Another one, with the same start and the *same 200 images*, also hears what
# the teacher thinks of each image: a probability for each of the ten digits, where the label is just one of them. Nothing
# else differs. (`temperature` and `lam` say how it listens: lessons 02 and 03.) **Predict**: does it help, and by how many points?

# %% distilled tags=["nbval-ignore-output"]
options = {"temperatures": [8], "lams": [0, 0.9], "seeds": 8, "epochs": 200, "teacher": teacher}
scenario = scenarios.get("small-transfer-set", examples=200)
few = train_grid(digits, scenario, "mlp-64", **options)
curves = {"student alone": few.history[0, 0], "distilled": few.history[0, 1]}
plots.accuracy_curves(curves, teacher=teacher.val_accuracy, title="200 images, 64 hidden units")

# %% verdict tags=["nbval-ignore-output"]
gain = metrics.confidence_interval(few.difference()[0, 1])
print(f"distilled against alone: {metrics.verdict(gain)}, {metrics.in_points(gain)}")
assert metrics.verdict(gain) == "better"
assert gain.mean > 0.01

# %% distilled-explained [markdown]
# Lines are means over eight seeds, bands their 95 % intervals. Below the picture stands the difference between distilled
# and alone *of the same seed*: its interval does not hold zero, so the gain is more than chance. The teacher's opinions
# replaced images that the student never saw.
#
# A warning before you promise this to anyone: with *all* images and few epochs the same teacher helps little, or even
# harms (lessons 04 and 05). Distillation pays where the student is told too little.

# %% side-by-side-intro [markdown]
# Here are the two side by side, on the validation digit of which the teacher is *least* sure. Filled bars are the
# teacher's probabilities, outlined ones those of a distilled student. (T = 1 is the plain softmax.)

# %% side-by-side tags=["nbval-ignore-output"]
student = few.student_model(0, 1, 0)
student_logits = training.predict(student, digits.x_val)
example = metrics.entropy(teacher.val_logits.softmax(-1)).argmax().item()
plots.soft_target_bars(
    teacher.val_logits[example],
    digits.class_names,
    temperatures=[1],
    student_logits=student_logits[example],
    label=digits.y_val[example].item(),
    image=digits.x_val[example],
)

# %% test tags=["nbval-ignore-output"]
alone, distilled = few.accuracy[0]
gain = metrics.confidence_interval(distilled - alone)
ratio = compression_ratio(teacher.model, student)
print(f"test part, looked at once: alone {alone.mean():.1%}, distilled {distilled.mean():.1%}")
print(f"distilled minus alone: {metrics.in_points(gain)}")
print(f"the teacher: {teacher.test_accuracy:.1%}, and {ratio:.1f} times as large")
assert gain.low > 0

# %% readable-intro [markdown]
# ## Easier to read?
#
# Print the weights of our smallest student: some hundred numbers, and no reason among them. *Small is not yet readable.*
# What can be read is a student of another **kind**. Following Craven and Shavlik we let a network that judges tumours by
# 30 measurements teach a decision tree, which may end in three answers only. It does not see a label: it learns what the
# *network* says.

# %% readable tags=["nbval-ignore-output"]
tumours = data.load("breast-cancer")
doctor = training.train_teacher(tumours)
opinions = doctor.train_logits.argmax(1)
tree = DecisionTreeClassifier(max_leaf_nodes=3, random_state=0)
tree.fit(tumours.x_train.numpy(), [tumours.class_names[opinion] for opinion in opinions])
print(export_text(tree, feature_names=list(load_breast_cancer().feature_names)))

# %% readable-price tags=["nbval-ignore-output"]
said = tree.predict(tumours.x_val.numpy())
truth = [tumours.class_names[label] for label in tumours.y_val]
accuracy = (said == truth).mean()
print(f"network: {count_parameters(doctor.model):,} parameters, {doctor.val_accuracy:.1%} right")
print(f"tree: two questions, {accuracy:.1%} right, of {len(said)} validation cases")
assert 0.8 < accuracy < doctor.val_accuracy

# %% readable-labels tags=["nbval-ignore-output"]
other = DecisionTreeClassifier(max_leaf_nodes=3, random_state=0)
other.fit(tumours.x_train.numpy(), [tumours.class_names[label] for label in tumours.y_train])
agreement = (other.predict(tumours.x_val.numpy()) == said).mean()
print(f"a tree that learned from the labels alone says the same in {agreement:.0%} of the cases")
assert agreement > 0.95

# %% readable-explained [markdown]
# Two questions, in units of a standard deviation from the mean: anybody can follow them, and object to them. The price
# is accuracy (with so few cases a rough figure). Whether it is worth it is not for a network to say.
#
# But look at the last line: this tree owes the teacher next to nothing. It is readable because of its *kind*, and the
# labels alone give one that hardly differs. So the promise is kept by any tree; whether a teacher makes a *better* tree is
# a question of its own. Later lessons return to each of these scenes.

# %% pitfalls [markdown]
# ## What could go wrong
#
# * **Warm-up in the average**: a first call that is many times slower moves a mean of a hundred calls; it hardly moves the
#   median.
# * **Batch and threads not stated**: "0.1 ms per image" may be a batch of 256 on eight cores. Ask for both.
# * **A clock on a GPU** stops when the work has been *handed over*, not when it is done: wait for it
#   (`torch.cuda.synchronize()`) before you look.
# * **One after the other**: if the machine is slower while the second model is measured, the first one wins. For small
#   differences measure in turns.
# * **Counting only parameters**: they say nothing about multiplications (a convolution), and little about time.
# * **A student compared with its teacher alone**: compare it with *the same student without a teacher*, or you will
#   praise distillation for what the labels did.

# %% questions [markdown]
# ## Questions
#
# 1. Which of the four promises does *any* small network keep, distilled or not? For which does one need a teacher?
# 2. A student has a tenth of its teacher's parameters, yet is no faster with a single image. Where would you look?
# 3. Buciluă and colleagues labelled new examples with their ensemble. Why is that cheaper than to ask people?
#
# And a table of latencies for what you hand in below (made up for this question):
#
# | model | threads | batch | minimum (ms) | median (ms) | p95 (ms) |
# |---|---|---|---|---|---|
# | A, the teacher | 1 | 1 | 7.9 | 8.1 | 9.0 |
# | B, a student | 1 | 1 | 3.2 | 3.9 | 14.2 |
# | C, a student | 4 | 64 | 0.5 per image | 0.6 per image | 0.7 per image |

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-latency-table", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# **To hand in**: a camera takes a picture every 10 ms, and each picture must be judged, one by one and on one core, before
# the next one comes. Which of the models A, B and C do you take, and why not each of the other two?
#
# <!-- BEGIN SOLUTION -->
# A, of what is here. It is the slowest by its median, but its p95 lies below 10 ms, so that at least 19 of 20 pictures are
# judged in time. B has the better median, and more than one picture in twenty comes too late: p95 is 14.2 ms. C was
# measured otherwise: with 64 pictures at once and four threads. The whole batch takes some 38 ms, and the camera would
# need 640 ms to fill it. It may be the best, but must be measured again with one picture and one thread. (If no
# picture may ever be late, p95 is not enough for A either: ask for the maximum.)
#
# Rubric:
# * 1 point: takes A and not B because of p95, which is what a deadline is about; the median does not decide
# * 1 point: says that C cannot be compared, since its time is per image in a batch (or with four threads)
# <!-- END SOLUTION -->
