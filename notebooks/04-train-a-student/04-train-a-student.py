# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% goals [markdown]
# # Train a student
#
# After this lesson you can
# * ask a teacher for its logits without training it by accident,
# * write one step of training, and repeat it until a stated target is reached,
# * say from curves with intervals whether distillation helped, hurt, or did nothing that can be measured.
#
# **You need**: lessons 02 and 03, and how an optimizer is used in PyTorch. **Time**: about 60 minutes.
#
# **In the app** (while it runs on this machine): [the page and the settings of this lesson](http://localhost:8501/?lesson=04-train-a-student).
#
# Under each function that you write, a check says what is wrong. `checks.hint("train_step")` gives one hint at a time.

# %% nbgrader={"grade": false, "grade_id": "set-up", "locked": true, "schema_version": 3, "solution": false, "task": false}
import torch
import torch.nn.functional as F
from torch import nn

from course import checks
from toolkit import data, losses, metrics, models, plots, scenarios, training, widgets
from toolkit.grid import train_grid

torch.set_num_threads(1)  # networks as small as ours do not gain from more

# %% steps [markdown]
# ## Four steps
#
# The article describes distillation in four steps: (1) train a teacher and let it produce soft targets; (2) train the
# student on them and update its weights; (3) compute the distillation loss and minimise it; (4) repeat 2 and 3 until the
# student is as good as wanted. We take them in this order, on digits of which most have *no label*.

# %% [markdown] nbgrader={"grade": true, "grade_id": "prediction", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# **Your prediction**: a student gets five labels for each of ten classes, and many images without any. Which share of
# unseen digits will it get right after training on the labels alone? And which, if a good teacher tells it what it thinks
# of every image, the unlabelled ones too? Give your reason.
#
# <!-- BEGIN SOLUTION -->
# Fifty labels are few, so that perhaps four of five are right. The teacher comments on all images, so the student learns
# from many more examples and should come near to the teacher, as far as its size allows.
#
# Rubric:
# * 1 point: any prediction with a reason, right or wrong
# <!-- END SOLUTION -->

# %% teacher tags=["nbval-ignore-output"]
digits = data.load("digits")
teacher = training.train_teacher(digits)
size = models.count_parameters(teacher.model)
print(f"teacher {teacher.name}: {size:,} parameters, validation {teacher.val_accuracy:.1%} right")
assert teacher.val_accuracy > 0.97

# %% mode-question [markdown]
# ## Step 1: the teacher speaks
#
# Many networks behave differently in training and in use. In training, *dropout* sets random features to zero, and *batch
# norm* looks at the other examples of the batch. Here is our teacher with a dropout in front. **Predict**: for how many
# of the images does it agree with itself, when asked twice in train mode?

# %% mode tags=["nbval-ignore-output"]
forgetful = nn.Sequential(nn.Dropout(0.5), teacher.model)
agreement = {}
for mode in (True, False):
    forgetful.train(mode)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        agreement[mode] = metrics.fidelity(forgetful(digits.x_val), forgetful(digits.x_val))
    name = "train" if mode else "eval"
    print(f"{name} mode: it agrees with itself on {agreement[mode]:.1%} of the images")
teacher.model.eval()
assert agreement[False] == 1
assert agreement[True] < 0.95

# %% logits-task [markdown]
# A student of such a teacher would learn noise. And PyTorch would remember how each logit came about, at the cost of
# memory, so that a careless optimizer could change the teacher.


# %% nbgrader={"grade": false, "grade_id": "teacher-logits", "locked": false, "schema_version": 3, "solution": true, "task": false}
def teacher_logits(teacher, x):
    """The logits of a module ``teacher`` for examples x (batch, ...): in eval mode, without a graph."""
    ### BEGIN SOLUTION
    teacher.eval()
    with torch.no_grad():
        return teacher(x)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-teacher-logits", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.check(teacher_logits)
### BEGIN HIDDEN TESTS
for batch, dtype in ((8, torch.float32), (1, torch.float64)):
    network = nn.Sequential(
        nn.Linear(5, 9), nn.BatchNorm1d(9), nn.Dropout(0.5), nn.Linear(9, 3)
    ).to(dtype)
    fresh = torch.randn(batch, 5, dtype=dtype)
    expected = network.eval()(fresh).detach()
    network.train()
    with checks.without_toolkit("teacher_logits"):
        answer = teacher_logits(network, fresh)
    assert type(answer) is torch.Tensor
    assert not answer.requires_grad
    torch.testing.assert_close(answer, expected)
    assert network[1].num_batches_tracked == 0
### END HIDDEN TESTS

# %% few-labels-intro [markdown]
# ## What the student is given
#
# Five labels per class; all other training images come without one. The teacher saw every label, so it knows more than
# the student is told: its logits are computed once, for all images.

# %% few-labels tags=["nbval-ignore-output"]
scenario = scenarios.get("few-labels", labels_per_class=5)
transfer = scenario.draw(digits, seed=0)
images = digits.x_train[transfer.indices]
soft_target_logits = teacher_logits(teacher.model, images)
labelled = transfer.labels != data.UNLABELLED
print(f"{labelled.sum()} labels, {len(images)} images")
assert labelled.sum() == 5 * digits.classes
torch.testing.assert_close(
    soft_target_logits, teacher.train_logits[transfer.indices], rtol=1e-3, atol=1e-3
)

# %% step-task [markdown]
# ## Steps 2 and 3: one update
#
# The loss is that of lesson 03. The toolkit has it as
# `losses.distillation_loss(student_logits, teacher_logits, labels, temperature=…, lam=…)`; it also knows what to do with
# unlabelled examples (they count in the soft part only).


# %% nbgrader={"grade": false, "grade_id": "train-step", "locked": false, "schema_version": 3, "solution": true, "task": false}
def train_step(student, optimizer, x, labels, soft_target_logits, temperature, lam):
    """Update the student once, in train mode; return the distillation loss as a Python float.

    labels (batch,): class indices, −100 where an example is unlabelled (it counts in the soft part
    only; the hard part is the mean over the labelled ones). At least one example has its label.
    """
    ### BEGIN SOLUTION
    student.train()
    loss = losses.distillation_loss(
        student(x), soft_target_logits, labels, temperature=temperature, lam=lam
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-train-step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.check(train_step)
### BEGIN HIDDEN TESTS
for batch, dtype in ((8, torch.float32), (1, torch.float64)):
    network, reference = (nn.Linear(5, 3).to(dtype) for _ in range(2))
    reference.load_state_dict(network.state_dict())
    x, soft, y = (
        torch.randn(batch, 5, dtype=dtype),
        torch.randn(batch, 3, dtype=dtype),
        torch.randint(3, (batch,)),
    )
    y[1:4] = -100
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for _ in range(2):
        z = reference(x)
        tempered = F.log_softmax(z / 2, -1), F.log_softmax(soft / 2, -1)
        divergence = 4 * F.kl_div(*tempered, reduction="batchmean", log_target=True)
        expected = 0.3 * F.cross_entropy(z, y) + 0.7 * divergence
        gradients = torch.autograd.grad(expected, tuple(reference.parameters()))
        with torch.no_grad():
            for weight, gradient in zip(reference.parameters(), gradients, strict=True):
                weight -= 0.1 * gradient
        network.eval()
        answer = train_step(network, optimizer, x, y, soft, 2.0, 0.7)
        assert type(answer) is float
        assert abs(answer - expected.item()) < 1e-3
        torch.testing.assert_close(network.weight, reference.weight, rtol=1e-3, atol=1e-4)
### END HIDDEN TESTS

# %% repeat-intro [markdown]
# ## Step 4: repeat until the target is reached
#
# A target needs data that the student does not train on: the *validation* part. We want 92 % of it right, within 40
# epochs. You made a prediction for labels alone (λ = 0) and for soft targets (λ = 0.9): which of the two will get there?


# %% repeat
def train_until(target, lam, epochs=40, temperature=4.0):
    """Repeat steps 2 and 3; returns the student and its validation accuracy after each epoch."""
    student, history = models.build("mlp-32", digits, seed=0), []
    optimizer = torch.optim.AdamW(student.parameters(), lr=0.005)
    order = torch.Generator().manual_seed(0)
    while len(history) < epochs and max(history, default=0) < target:
        for batch in torch.randperm(len(images), generator=order).split(64):
            part = images[batch], transfer.labels[batch], soft_target_logits[batch]
            train_step(student, optimizer, *part, temperature, lam)
        history.append(metrics.accuracy(teacher_logits(student, digits.x_val), digits.y_val))
    return student, history


# %% target tags=["nbval-ignore-output"]
target, reached = 0.92, {}
for lam in (0.0, 0.9):
    student, history = train_until(target, lam)
    reached[lam] = history[-1]
    ending = "target reached" if history[-1] >= target else "budget used up"
    print(f"λ = {lam}: {history[-1]:.1%} after {len(history)} epochs, {ending}")
assert reached[0.0] < target <= reached[0.9]

# %% target-explained [markdown]
# Both students have the same size, the same start and the same images in the same order. But for most images only the
# second one was told anything: the teacher labels for free.

# %% seeds-intro [markdown]
# ## One student is an anecdote
#
# Another seed draws other first weights, other batches and other labelled images. `train_grid` trains students of many
# seeds at once. The band is a 95 % confidence interval of the mean over seeds.

# %% better tags=["nbval-ignore-output"]
options = {"seeds": 8, "epochs": 40, "teacher": teacher}
few = train_grid(digits, scenario, "mlp-32", temperatures=[4], lams=[0, 0.9], **options)
curves = {"student alone": few.history[0, 0], "distilled": few.history[0, 1]}
plots.accuracy_curves(curves, teacher=teacher.val_accuracy, title="Five labels per class")

# %% verdict-intro [markdown]
# Curves that look apart prove nothing yet. Student alone and distilled student of the *same* seed are compared, and the
# interval is that of their difference.


# %% better-verdict tags=["nbval-ignore-output"]
def difference(result):
    """Interval of distilled minus alone on validation data, for a grid with one temperature and two λ."""
    return metrics.confidence_interval(result.difference()[0, 1])


print(f"{metrics.verdict(difference(few))}: {metrics.in_points(difference(few))}")
assert metrics.verdict(difference(few)) == "better"
assert difference(few).mean > 0.05

# %% worse-intro [markdown]
# ## No free lunch
#
# Three things change: the student gets *all* labels, has half as many hidden units, and learns at T = 8 from soft targets
# alone (λ = 1). The budget stays at 40 epochs. **Predict**: better, worse, or no measurable difference?

# %% worse tags=["nbval-ignore-output"]
tiny = train_grid(digits, "all-labels", "mlp-16", temperatures=[8], lams=[0, 1], **options)
curves = {"student alone": tiny.history[0, 0], "distilled": tiny.history[0, 1]}
plots.accuracy_curves(curves, teacher=teacher.val_accuracy, title="All labels, 16 hidden units")


# %% worse-verdict tags=["nbval-ignore-output"]
def report(name, result):
    interval = difference(result)
    print(f"{name}: {metrics.verdict(interval)}, {metrics.in_points(interval)}")


report(f"within {tiny.epochs} epochs", tiny)
assert metrics.verdict(difference(tiny)) == "worse"

# %% worse-explained [markdown]
# "Worse" holds *within this budget*. Why? There are two suspects. The student may have too little **capacity**: at a high
# temperature it has to match *all* logits of the teacher, with sixteen hidden units. Or the **budget** is too small: that
# takes more steps than to get the labels right. Suspects can be questioned one at a time: the same student with five times
# the epochs, and a student with four times the units in the same epochs. **Predict**: what will each of them do?

# %% suspects tags=["nbval-ignore-output"]
case = {"temperatures": [8], "lams": [0, 1]}
patient = train_grid(digits, "all-labels", "mlp-16", **case, **(options | {"epochs": 200}))
larger = train_grid(digits, "all-labels", "mlp-64", **case, **options)
report(f"16 units, {tiny.epochs} epochs", tiny)
report(f"16 units, {patient.epochs} epochs", patient)
report(f"64 units, {larger.epochs} epochs", larger)

# %% suspects-verdict tags=["nbval-ignore-output"]
by_budget = metrics.confidence_interval(patient.difference()[0, 1] - tiny.difference()[0, 1])
print(f"what the budget changed in the difference: {metrics.in_points(by_budget)}")
assert by_budget.low > 0
assert metrics.verdict(difference(patient)) != "worse"
assert abs(difference(patient).mean) < 0.01, "and no large gain came instead"
assert difference(larger).mean > difference(tiny).mean

# %% suspects-explained [markdown]
# Sixteen units are enough: given the steps, they no longer lose. What we saw was mostly the **budget**. Soft targets at a
# high temperature ask for *patience* (Beyer and colleagues 2022). **Capacity** plays a part, since a larger student comes
# closer within the same 40 epochs: it seems that the fewer the units, the more steps they need. Hinton and colleagues,
# with 30 units per layer, found temperatures from 2.5 to 4 better than higher or lower ones (2015, section 3).
#
# It is still no free lunch. Five times the training buys little or nothing over labels alone *with the same budget*: where
# every example has its right label, a teacher has little to add.

# %% same-intro [markdown]
# And with 64 hidden units, at the settings that we began with: T = 4, λ = 0.9, 40 epochs?

# %% same-verdict tags=["nbval-ignore-output"]
wide = train_grid(digits, "all-labels", "mlp-64", temperatures=[4], lams=[0, 0.9], **options)
report(f"64 hidden units, T = 4, {wide.epochs} epochs", wide)
assert metrics.verdict(difference(wide)) == "no measurable difference"
assert abs(difference(wide).mean) < 0.005

# %% same-explained [markdown]
# "No measurable difference" is a result, and a different one from "they are the same": more seeds may yet find a small
# one. Then look at what could matter more: the size of the student, its budget, the teacher, and what the labels leave out.

# %% test-intro [markdown]
# ## At the end, the test part
#
# All choices were made on validation data. The test part is looked at once, for what was chosen.

# %% test tags=["nbval-ignore-output"]
alone, distilled = few.accuracy[0]
gain = metrics.confidence_interval(distilled - alone)
print(f"five labels per class: alone {alone.mean():.1%}, distilled {distilled.mean():.1%}")
print(metrics.in_points(gain))
print(f"the teacher: {teacher.test_accuracy:.1%}, with {size:,} parameters;")
print(f"a student has {models.count_parameters(models.build('mlp-32', digits)):,}")
assert gain.low > 0

# %% play-intro [markdown]
# ## Play
#
# Set T and λ, press *Train*, and watch. Can you find a setting that is worse than the labels alone? One that is better
# than what we chose? (Then you have chosen on validation data, too.)

# %% play tags=["nbval-ignore-output"]
widgets.distillation_sliders(digits, scenario, "mlp-32", teacher=teacher, epochs=40, seeds=8)

# %% pitfalls [markdown]
# ## What could go wrong
#
# * **The student stays in eval mode** after the first validation: no error, only a worse student if it has dropout.
# * **Gradients pile up** when they are not set to zero: each step then follows the sum of all before it.
# * **Cached logits that no longer fit**: after a shuffle, row 7 of the logits must still belong to image 7.
# * **`loss` instead of `loss.item()`** in a list keeps every graph alive; memory grows with each step.
# * **The best epoch picked on the test part**: a little cheating, in every published table that does not say otherwise.

# %% questions [markdown]
# ## Questions
#
# 1. Why is the teacher asked once and not in every step? When would that be wrong?
# 2. Both arms of a seed start from the same weights. What would happen to the interval if they did not?
# 3. A larger budget took the harm away. If 40 epochs were all you had, which of T and λ would you change first, and why?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-verdict", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# **To hand in**: a report says "distillation improved accuracy from 97.1 % to 97.4 %", from one run each. Which three
# questions do you ask before you believe it?
#
# <!-- BEGIN SOLUTION -->
# How many seeds, and does the interval of the difference hold zero? Had both the same start, budget and data, with λ, T
# and the epoch chosen on validation and not on the test part? Would more epochs or a larger student give the same gain?
#
# Rubric:
# * 1 point: asks for several seeds, and whether the interval of the difference holds zero
# * 1 point: two more that could explain the gain away (chosen on the test part, unequal budget, start or data, another
#   baseline, the size of the test part)
# <!-- END SOLUTION -->
