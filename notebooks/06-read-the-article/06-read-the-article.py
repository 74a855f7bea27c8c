# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% goals [markdown]
# # Read the article
#
# After this lesson you can
# * turn a formula, a listing or a sentence of a text into an experiment that could refute it,
# * show that a teacher never enters a training loop, and that a loss sends no gradient into a student,
# * repair the loop step by step, and say what each repair brings: much, nothing, or harm.
#
# **You need**: lessons 02, 03 and 04. **Time**: about 75 minutes.
#
# **In the app** (while it runs on this machine): [the page and the settings of this lesson](http://localhost:8501/?lesson=06-read-the-article).
#
# Under each function that you write, a check says what is wrong. `checks.hint("weight_penalty")` gives one hint at a
# time.

# %% nbgrader={"grade": false, "grade_id": "set-up", "locked": true, "schema_version": 3, "solution": false, "task": false}
import math

import torch
import torch.nn.functional as F
from torch import nn

from course import checks
from toolkit import data, losses, metrics, models, plots, scenarios, training
from toolkit.grid import train_grid

torch.set_num_threads(1)  # networks as small as ours do not gain from more

# %% article [markdown]
# ## A text, and eight doubts
#
# This course grew from an article, 《深入理解模型蒸馏:从理论到实践》. It explains distillation in words, in three formulas and in a
# listing of PyTorch code. Much of it is right, and it is pleasant to read. We now read it as a reviewer does: **what
# would I see if this were so, and what do I see?** Eight doubts follow, each with an experiment that you could not
# argue with.
#
# Its listing, told in words: (1) a teacher is put in train mode and trained with SGD, learning rate 0.01, and cross
# entropy on the labels. (2) A student is trained likewise; a log-softmax of the *student's* outputs, which the listing
# calls the soft target, goes into the cross entropy together with the labels.

# %% [markdown] nbgrader={"grade": true, "grade_id": "prediction", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# **Your prediction**: we run this listing three times, from the same first weights: with a good teacher, with one that
# learned only wrong labels, and with none at all. How will the three students differ? Give your reason.
#
# <!-- BEGIN SOLUTION -->
# Not at all, to the last bit. Step (2) as told uses the student's outputs and the labels; nothing that the teacher
# computes appears in it, so nothing about the teacher can change the student.
#
# Rubric:
# * 1 point: any prediction with a reason, right or wrong
# <!-- END SOLUTION -->

# %% difference-task [markdown]
# ## An instrument first
#
# To say "the same to the bit" we need a number that is exactly 0 then, and only then. Both networks have the same
# layers. Take the largest absolute difference between corresponding numbers, over *all* parameters: weights and biases
# of every layer.


# %% nbgrader={"grade": false, "grade_id": "largest-weight-difference", "locked": false, "schema_version": 3, "solution": true, "task": false}
def largest_weight_difference(first, second):
    """The largest absolute difference between two modules of one architecture: a Python float.

    All parameters count, weights and biases of every layer. It is exactly 0.0 where all of them are
    the same, and is not rounded: a difference of a millionth shows. Both modules stay as they are.
    """
    ### BEGIN SOLUTION
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return max((one - other).abs().max().item() for one, other in pairs)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-largest-weight-difference", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.check(largest_weight_difference)
### BEGIN HIDDEN TESTS
for dtype in (torch.float32, torch.float64):
    for place in range(6):
        one, other = (
            nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).to(dtype)
            for _ in range(2)
        )
        other.load_state_dict(one.state_dict())
        with checks.without_toolkit("largest_weight_difference"):
            same = largest_weight_difference(one, other)
            with torch.no_grad():
                for number, parameter in enumerate(other.parameters()):
                    parameter += 0.1 * torch.rand_like(parameter)
                    parameter.view(-1)[0] -= 0.85 if number == place else 0.3
            expected = max(
                (p - q).abs().max().item()
                for p, q in zip(one.parameters(), other.parameters(), strict=True)
            )
            answers = largest_weight_difference(one, other), largest_weight_difference(other, one)
        assert isinstance(same, float)
        assert same == 0
        assert all(isinstance(answer, float) for answer in answers)
        assert all(abs(answer - expected) < 1e-5 for answer in answers)
other.load_state_dict(one.state_dict())
other[2].bias.data[1] += 2e-6
assert 1e-6 < largest_weight_difference(one, other) < 4e-6
### END HIDDEN TESTS

# %% loop-intro [markdown]
# ## 1. Does the teacher enter?
#
# Told in words, both of its loops do the same: only the log-softmax is new in the second. So we write one loop, and run
# it twice. (Ours draws its batches from a generator of its own. With the global one, training a teacher first would
# shift the student's random numbers: a difference indeed, but not one that was *learned* from the teacher.)


# %% loop
def article_loop(network, labels, log_softmax_first, epochs=20):
    """Train a network as the article does its teacher, and with a log-softmax first, its student."""
    sgd = torch.optim.SGD(network.parameters(), lr=0.01)
    order = data.seeded_generator(0, "batches")
    network.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(labels), generator=order).split(16):
            out = network(digits.x_train[batch])
            out = out.log_softmax(-1) if log_softmax_first else out
            sgd.zero_grad()
            F.cross_entropy(out, labels[batch]).backward()
            sgd.step()


# %% example
def article_example(teacher, teacher_labels=None, log_softmax_first=True):
    """Do all that the listing does; returns the student, and how often the teacher spoke to it."""
    calls = []
    if teacher is not None:
        article_loop(teacher, teacher_labels, log_softmax_first=False)
        teacher.register_forward_hook(lambda *_: calls.append("asked"))
    student = models.build("mlp-32", digits, seed=0)
    article_loop(student, digits.y_train, log_softmax_first)
    return student, len(calls)


# %% three-teachers tags=["nbval-ignore-output"]
digits = data.load("digits")
good, bad = (models.build("mlp-128", digits, seed=1) for _ in range(2))
with_good, calls_good = article_example(good, digits.y_train)
with_bad, calls_bad = article_example(bad, (digits.y_train + 1) % digits.classes)
with_none, _ = article_example(None)
for name, network in {"good teacher": good, "bad teacher": bad, "student": with_good}.items():
    right = metrics.accuracy(training.predict(network, digits.x_val), digits.y_val)
    print(f"{name:12}: validation {right:.1%} right")

# %% never-enters tags=["nbval-ignore-output"]
for name, other in {"a bad teacher": with_bad, "no teacher": with_none}.items():
    apart = largest_weight_difference(with_good, other)
    print(f"students of a good teacher and of {name}: largest difference {apart}")
    assert apart == 0, "the same to the bit"
assert calls_good == calls_bad == 0, "no teacher was asked anything"
teachers_apart = largest_weight_difference(good, bad)
print(f"the teachers themselves: {teachers_apart:.2f}")
assert teachers_apart > 0.1, "the instrument can show more than 0"

# %% never-enters-explained [markdown]
# A teacher that is always wrong, or none: the student is the same one. What the listing trains is a small network on
# labels. There is nothing bad in that, except its name. The last line is a *control*: an instrument that shows 0 must
# also be seen to show something else.

# %% idempotent-intro [markdown]
# ## 2. Is the second log-softmax a fault?
#
# `F.cross_entropy` applies a log-softmax itself, so here it is applied twice. **Predict**: is the loss larger, smaller,
# or the same? And what if somebody writes `softmax` instead?

# %% idempotent
generator = torch.Generator().manual_seed(0)
z = 5 * torch.randn(64, 10, dtype=torch.double, generator=generator)
once, twice = z.log_softmax(-1), z.log_softmax(-1).log_softmax(-1)
print(f"largest difference between once and twice: {(once - twice).abs().max():.0e}")
torch.testing.assert_close(twice, once)
perfect = 1000 * F.one_hot(torch.arange(10)).double()  # as sure as can be, and always right
trapped = F.cross_entropy(perfect.softmax(-1), torch.arange(10)).item()
print(f"loss of a perfect student: {F.cross_entropy(perfect, torch.arange(10)):.2f}, ", end="")
print(f"with a softmax first {trapped:.2f}")
assert math.isclose(trapped, math.log(math.e + 9) - 1)

# %% idempotent-training tags=["nbval-ignore-output"]
without, _ = article_example(None, log_softmax_first=False)
apart = largest_weight_difference(with_none, without)
print(f"trained with and without it: weights differ by at most {apart:.0e}")
assert apart < 1e-3

# %% idempotent-explained [markdown]
# Log-probabilities are logits of a special kind: the exponentials of each row sum to 1 already, so a second log-softmax
# subtracts log 1 = 0. Function and gradient stay. It is **harmless in value, and wrong in intent**: it is called a soft
# target, and is neither soft (no temperature) nor a target (it is the student's own opinion). With `softmax` it would
# be a real fault: no student, however good, could get its loss below a floor, and it would hardly be told what it does
# wrong.

# %% printed-soft-intro [markdown]
# ## 3. What does the printed formula for soft targets give?
#
# The article defines $P_{soft}(y|x)$ as $\exp(T(x))$ divided by $\sum_{j=1}^{C} \exp(T(x))$, where T(x) stands for the
# *teacher's output* and $C$ is the number of classes. **Predict**: what does this give for an image of a 3? Look for
# the $j$.


# %% printed-soft tags=["nbval-ignore-output"]
def printed_soft_targets(teacher_z):
    """The fraction as it is printed: no summand holds the index j, so the sum is C equal terms."""
    return teacher_z.exp() / sum(teacher_z.exp() for j in range(teacher_z.shape[-1]))


teacher = training.train_teacher(digits)
z_t = teacher.train_logits.double()
print("as printed:", [round(p, 3) for p in printed_soft_targets(z_t[0]).tolist()])
for temperature in (1, 4):
    soft = losses.soft_targets(z_t, temperature)
    hesitates = metrics.entropy(soft).mean()
    print(f"with the index, T = {temperature}:", [round(p, 3) for p in soft[0].tolist()])
    print(f"    entropy, mean over all images: {hesitates:.2f} nats")

# %% printed-soft-claims tags=["nbval-ignore-output"]
printed = printed_soft_targets(z_t)
torch.testing.assert_close(printed, torch.full_like(z_t, 1 / digits.classes))
cold, warm = (metrics.entropy(losses.soft_targets(z_t, t)).mean() for t in (1, 4))
assert cold < 0.1 < 0.2 < warm
print(f"entropy of what is printed: {metrics.entropy(printed).mean():.4f} = log {digits.classes}")

# %% printed-soft-explained [markdown]
# Every class of every image gets one part in C: such a target says nothing, and a student that matched it would know
# nothing. With the class index, $\exp(z_y) / \sum_j \exp(z_j)$, it is a softmax. That is surely what was meant, and
# still only half of the repair: at T = 1 a sure teacher's soft targets are nearly its hard labels. The temperature is
# missing in the formula *and* in the listing, and the letter T is taken: it stands for the teacher.

# %% gradient-task [markdown]
# ## 4. Can the printed loss teach a student?
#
# $L_{ce} = -\sum_n \sum_c y_{n,c} \log P_{soft}(c \mid x_n)$: the labels are compared with the **teacher's** soft
# targets. We measure what it tells the student, against the repaired loss, in which the student is compared with the
# teacher. With $p_t$ and $p_s$ for the softmax of teacher and student at T = 1, and means over the batch, the two are
#
# $$L_{printed} = -\log p_t(y), \qquad L_{repaired} = -\sum_c p_t(c)\, \log p_s(c).$$
#
# Write a function that returns, for each of them and in this order, the length (Euclidean norm) of the gradient with
# respect to **all** the student's parameters taken together as one long vector. In $L_{repaired}$ the soft targets are
# constants. Where a loss does not depend on the student, its gradient is 0.
#
# An instrument must not change what it measures: afterwards **both networks are as they were before**.


# %% nbgrader={"grade": false, "grade_id": "gradient-norms", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gradient_norms(student, teacher, x, labels):
    """How long the student's gradient is for the printed and for the repaired loss: two Python floats.

    student, teacher: two modules without common layers, from x (batch, ...) to logits (batch,
    classes), each in train or eval mode; both are run in eval mode. labels: class indices (batch,).
    Afterwards both are as before: weights, statistics, mode; and .grad of all parameters is empty.
    """
    ### BEGIN SOLUTION
    modes = student.training, teacher.training
    student_z, teacher_z = student.eval()(x), teacher.eval()(x)
    student.train(modes[0]), teacher.train(modes[1])
    printed = F.cross_entropy(teacher_z, labels)
    repaired = F.cross_entropy(student_z, teacher_z.softmax(-1).detach())
    norms = []
    for loss in (printed, repaired):
        found = torch.autograd.grad(loss, list(student.parameters()), allow_unused=True)
        norms.append(math.sqrt(sum(part.square().sum() for part in found if part is not None)))
    return tuple(norms)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-gradient-norms", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.check(gradient_norms)
### BEGIN HIDDEN TESTS
for batch, dtype, mode in ((8, torch.float32, True), (1, torch.float64, False)):
    parts = (
        (nn.Linear(5, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.5), nn.Linear(9, 3))
        for _ in range(2)
    )
    one, other = (nn.Sequential(*layers).to(dtype) for layers in parts)
    x, y = torch.randn(batch, 5, dtype=dtype), torch.randint(3, (batch,))
    loss = -(other.eval()(x).softmax(-1).detach() * one.eval()(x).log_softmax(-1)).sum() / batch
    flat = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(one.parameters()))])
    one.train(mode), other.train(not mode)
    state = [*one.state_dict().values(), *other.state_dict().values()]
    before = [part.clone() for part in state]
    with checks.without_toolkit("gradient_norms"):
        answer = gradient_norms(one, other, x, y)
    assert isinstance(answer, (tuple, list))
    assert len(answer) == 2
    assert all(isinstance(norm, (float, int)) for norm in answer)
    assert abs(answer[0]) < 1e-6
    assert abs(answer[1] - flat.norm().item()) < 1e-3 * flat.norm().item() + 1e-5
    assert all(module.training is mode for module in one.modules())
    assert all(module.training is not mode for module in other.modules())
    left = [p.grad for network in (one, other) for p in network.parameters()]
    assert not any(gradient is not None and gradient.any() for gradient in left)
    state = [*one.state_dict().values(), *other.state_dict().values()]
    assert all(torch.equal(part, old) for part, old in zip(state, before, strict=True))
    assert all(p.requires_grad for network in (one, other) for p in network.parameters())
### END HIDDEN TESTS

# %% gradient-real-intro [markdown]
# Now with a real teacher. For the first number, which should be 0, we add a control again: the same loss, and its gradient
# for the *teacher*. Then we train with both losses and look at how far the student comes.

# %% gradient-real tags=["nbval-ignore-output"]
student = models.build("mlp-32", digits, seed=0)
batch = digits.x_train[:64], digits.y_train[:64]
printed, repaired = gradient_norms(student, teacher.model, *batch)
print(f"into the student: printed loss {printed}, repaired loss {repaired:.3f}")
printed_loss = F.cross_entropy(teacher.model(batch[0]), batch[1])
gradients = torch.autograd.grad(printed_loss, list(teacher.model.parameters()))
control = math.sqrt(sum(gradient.square().sum() for gradient in gradients))
print(f"into the teacher: printed loss {control:.1e}")
assert printed == 0 < control
assert repaired > 0.1


# %% gradient-training tags=["nbval-ignore-output"]
def moved_by(loss, updates=20):
    """Train a copy of the student by a loss; how far has it come from its first weights?"""
    network = models.build("mlp-32", digits, seed=0)
    sgd = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(updates):
        sgd.zero_grad()
        loss(network(batch[0]), teacher.model(batch[0])).backward()
        sgd.step()
    teacher.model.zero_grad()  # the printed loss has left its gradients there
    return largest_weight_difference(network, student)


by_printed = moved_by(lambda z_s, z_t: F.cross_entropy(z_t, batch[1]))
by_repaired = moved_by(lambda z_s, z_t: F.cross_entropy(z_s, z_t.softmax(-1).detach()))
print(f"the student has moved: printed loss {by_printed}, repaired loss {by_repaired:.2f}")
assert by_printed == 0 < by_repaired

# %% gradient-explained [markdown]
# The printed loss asks how good the *teacher* is. A student can neither raise nor lower it: its gradient is exactly 0,
# not small, and it keeps its first weights. Formula and listing fail in two different ways, by the way: the formula
# leaves out the student, the listing leaves out the teacher.

# %% penalty-task [markdown]
# ## 5. What does the printed λ weigh?
#
# $L_{total} = L_{ce} + \lambda L_f$, where $L_f$ is called a constraint on the model's complexity, such as L1 or L2.
# Write $L_f$: the sum of |w| for `"l1"`, of w² for `"l2"`. It counts *weights*, which means here: parameters of two
# **or more** dimensions. Biases and norm layers have one dimension, and do not count.
#
# A training loop would add your result to a loss and send both backward, so it must be differentiable in the weights.


# %% nbgrader={"grade": false, "grade_id": "weight-penalty", "locked": false, "schema_version": 3, "solution": true, "task": false}
def weight_penalty(parameters, norm):
    """Σ|w| (norm "l1") or Σw² (norm "l2") over the weights in a list of parameters: a tensor of shape ().

    parameters: a list of float tensors of any shapes, as list(model.parameters()) gives; those
    of fewer than two dimensions do not count. Differentiable in the weights. Without any weights,
    also in an empty list, it is 0 (then a plain number is fine too). The tensors stay as they are.
    """
    ### BEGIN SOLUTION
    weights = [parameter for parameter in parameters if parameter.ndim >= 2]
    return sum(w.abs().sum() if norm == "l1" else w.square().sum() for w in weights)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-weight-penalty", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.check(weight_penalty)
### BEGIN HIDDEN TESTS
for dtype in (torch.float32, torch.float64):
    shapes = (4, 3), (4,), (2, 1, 3), (2,), (1, 1), (2, 3, 2, 2)
    tensors = [torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes]
    weights, biases = tensors[::2] + tensors[5:], tensors[1:4:2]
    flat = torch.cat([weight.flatten() for weight in weights])
    for norm, expected, slope in (("l1", flat.abs(), flat.sign()), ("l2", flat**2, 2 * flat)):
        with checks.without_toolkit("weight_penalty"):
            answer = weight_penalty([*tensors, torch.tensor(2.0)], norm)
            empty = weight_penalty([*biases, torch.tensor(2.0)], norm)
        assert type(answer) is torch.Tensor
        assert answer.shape == ()
        torch.testing.assert_close(answer, expected.sum(), check_dtype=False, rtol=1e-4, atol=1e-4)
        assert float(empty) == 0
        gradients = torch.autograd.grad(answer, weights, allow_unused=True)
        assert all(gradient is not None for gradient in gradients)
        gradients = torch.cat([gradient.flatten() for gradient in gradients])
        torch.testing.assert_close(gradients, slope, check_dtype=False, rtol=1e-3, atol=1e-4)
### END HIDDEN TESTS

# %% penalty-experiment-intro [markdown]
# The text calls the whole a *distillation loss*. If its λ were the weight of distillation, then turning it up should
# bring student and teacher together. **Predict** what happens to the student's weights, and to its distance from the
# teacher (the divergence of lesson 03), when $\lambda_f$ grows, and when the λ of lesson 03 does.


# %% penalty-experiment tags=["nbval-ignore-output"]
def size_and_distance(lam, penalty_weight):
    """Train a student; its L2 penalty, and its mean T²·KL from the teacher on validation data at T = 4."""
    options = {"lam": lam, "penalty_weight": penalty_weight, "teacher": teacher, "temperature": 4.0}
    trained = training.train_student(digits, recipe=training.Recipe(epochs=20), **options).model
    z_s = training.predict(trained, digits.x_val)
    size = weight_penalty(list(trained.parameters()), "l2").item()
    return size, losses.soft_divergence(z_s, teacher.val_logits, 4.0).item()


measured = {
    setting: size_and_distance(*setting) for setting in ((0, 0), (0, 0.01), (0, 0.05), (0.9, 0))
}
for (lam, penalty_weight), (size, distance) in measured.items():
    start = f"λ = {lam:3}, λ_f = {penalty_weight:5}"
    print(f"{start}: Σw² = {size:5.1f}, distance from the teacher {distance:.2f}")

# %% penalty-claims tags=["nbval-ignore-output"]
sizes, distances = zip(*measured.values(), strict=True)
assert sizes[0] > 2 * sizes[1] > 4 * sizes[2], "λ_f makes weights small"
assert distances[3] < 0.5 * distances[0], "λ brings the student to its teacher"
assert distances[0] < distances[1] < distances[2], "λ_f takes it further away"

# %% penalty-explained [markdown]
# $\lambda_f$ shrinks weights, and here takes the student even further from its teacher, whose sure opinions need large
# weights; the teacher itself does not occur in $L_f$ at all. A penalty is a good thing to have, and this toolkit has
# it. But in this formula nothing weighs the labels against the teacher: the weight that the text needs is not there.

# %% mode-intro [markdown]
# ## 6. In which state is the teacher when it speaks?
#
# The listing puts its teacher in train mode and never in eval mode, and nothing in it switches autograd off.
# **Predict** what that does to a teacher with dropout and batch norm that is merely *asked*. Name three things.

# %% mode tags=["nbval-ignore-output"]
with torch.random.fork_rng(devices=[]):  # these layers and dropout draw from the global generator
    torch.manual_seed(0)
    layers = nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 10)
    restless = nn.Sequential(nn.Flatten(), *layers).train()
    statistics = restless[2].running_mean.clone()
    first, second = restless(batch[0]), restless(batch[0])
again = metrics.fidelity(first, second)
print(f"asked twice, it picks the same class for {again:.0%} of the images")
print(f"its statistics moved by up to {(restless[2].running_mean - statistics).abs().max():.3f}")
soft_loss = F.cross_entropy(student(batch[0]), first.softmax(-1))
(leak, *_) = torch.autograd.grad(soft_loss, list(restless.parameters()))
print(f"and the student's loss sends its first layer a gradient of length {leak.norm():.3f}")

# %% mode-claims tags=["nbval-ignore-output"]
assert not torch.equal(first, second), "it contradicts itself"
assert not torch.equal(restless[2].running_mean, statistics), "asking changes it"
assert leak.norm() > 0, "and it learns from its student, if an optimizer holds its weights"
calm = [training.predict(restless, batch[0]) for _ in range(2)]
assert torch.equal(*calm)
assert not calm[0].requires_grad, "in eval mode, without a graph: none of it"

# %% mode-explained [markdown]
# For a teacher without such layers, like the one of this lesson, the mode changes nothing: a fault can be there for
# years and wait for the first person who adds a dropout. What it costs then, we measure below.

# %% words-intro [markdown]
# ## 7. "Model" or "knowledge" distillation?
#
# The article separates two methods: *model distillation* (模型蒸馏) uses what the teacher puts out, *knowledge
# distillation* (知识蒸馏) its parameters or structure. Two facts can be looked up. Hinton, Vinyals and Dean (2015) called
# their paper *Distilling the Knowledge in a Neural Network*; of the teacher it uses the outputs alone. Romero and
# colleagues (2015, *FitNets*) use what happens inside. In the field both are *knowledge distillation*, and the kinds are
# called **response-based** and **feature-based** (Gou and colleagues 2021).
#
# The distinction is real, even if its names are not. **Predict**: we shuffle a teacher's channels so that it computes
# the very same function in another order inside. Which kind of student notices?

# %% words tags=["nbval-ignore-output"]
twin = models.build(teacher.name, digits)
twin.load_state_dict(teacher.model.state_dict())
shuffled = torch.randperm(32, generator=torch.Generator().manual_seed(0))
with torch.no_grad():  # channels of the first layer out of order; the second looks for them there
    for part in (twin[0].weight, twin[0].bias):
        part.copy_(part[shuffled])
    twin[2].weight.copy_(twin[2].weight[:, shuffled])
x_val = digits.x_val
outputs = [training.predict(network, x_val) for network in (teacher.model, twin)]
insides = [training.predict(network[:2], x_val) for network in (teacher.model, twin)]
for name, (one, other) in {"outputs": outputs, "insides": insides}.items():
    relative = (one - other).norm() / one.norm()
    print(f"{name}: the twins differ by {relative:.1e} of their length")

# %% words-claims tags=["nbval-ignore-output"]
losses_of_student = [
    losses.soft_divergence(training.predict(student, x_val), z, 4.0).item() for z in outputs
]
torch.testing.assert_close(*losses_of_student, rtol=1e-3, atol=1e-4)
assert (insides[0] - insides[1]).norm() > 0.5 * insides[0].norm()
teacher_shape, student_shape = insides[0].shape[1:], training.predict(student[:3], x_val).shape[1:]
print(f"inside, the teacher has {tuple(teacher_shape)} numbers, the student {tuple(student_shape)}")
assert teacher_shape != student_shape

# %% words-explained [markdown]
# A response-based student cannot tell the twins apart: it needs outputs only, so a file with logits or a model behind a
# web address will do as a teacher. A feature-based one is taught something else by each twin, needs to look inside, and
# needs a learned map between layers of different shapes (FitNets' *regressor*). By the article's own definition
# Hinton's method would be "model" distillation, though *knowledge* stands in its title.

# %% sums-intro [markdown]
# ## 8. Sum or mean?
#
# $L_{ce}$ is printed as a sum over all N examples. Take a batch, and the same batch with every example in it four
# times: there is nothing new in it. **Predict** what happens to the gradient of the sum, to that of the mean, and to
# the balance with $\lambda_f L_f$.

# %% sums tags=["nbval-ignore-output"]
weights = [parameter for parameter in student.parameters() if parameter.ndim >= 2]


def gradient_length(loss):
    gradients = torch.autograd.grad(loss, weights)
    return torch.cat([gradient.flatten() for gradient in gradients]).norm().item()


penalty, lengths = gradient_length(0.01 * weight_penalty(weights, "l2")), {}
for reduction in ("sum", "mean"):
    for times in (1, 4):
        x, y = batch[0].repeat(times, 1, 1, 1), batch[1].repeat(times)
        length = gradient_length(F.cross_entropy(student(x), y, reduction=reduction))
        lengths[reduction, times] = length
        print(
            f"{reduction:4} of {len(y):3}: {length:6.2f}, penalty {penalty:.2f}: 1 to {length / penalty:.1f}"
        )

# %% sums-claims tags=["nbval-ignore-output"]
assert math.isclose(lengths["sum", 4], 4 * lengths["sum", 1], rel_tol=1e-3)
assert math.isclose(lengths["mean", 4], lengths["mean", 1], rel_tol=1e-3)

# %% sums-explained [markdown]
# With a sum, a batch four times as large takes steps four times as long, so that learning rate, $\lambda_f$ and batch
# size are tied together: who changes one has to change the others. (The listing, unlike the formula, averages: that is
# what `CrossEntropyLoss` does unless told otherwise.) What does that mean for training? The article's SGD, and AdamW,
# with the mean and with the sum:


# %% sums-training
def accuracy_with(reduction, optimizer, batch_size, seed, epochs=20):
    """Validation accuracy of a student that learns from the labels, by sums or by means."""
    network, order = models.build("mlp-32", digits, seed), data.seeded_generator(seed, "batches")
    updates = optimizer(network.parameters())
    for _ in range(epochs):
        for part in torch.randperm(len(digits.y_train), generator=order).split(batch_size):
            updates.zero_grad()
            out = network(digits.x_train[part])
            F.cross_entropy(out, digits.y_train[part], reduction=reduction).backward()
            updates.step()
    return metrics.accuracy(training.predict(network, digits.x_val), digits.y_val)


# %% sums-measured tags=["nbval-ignore-output"]
optimizers = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.01),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=0.005),
}
by_setting = {}
for name, optimizer in optimizers.items():
    for reduction in ("mean", "sum"):
        for size in (64, 256):
            reached = [accuracy_with(reduction, optimizer, size, seed) for seed in range(3)]
            by_setting[name, reduction, size] = torch.tensor(reached)
            print(f"{name:5} {reduction:4} of {size:3}:", *(f"{share:.1%}" for share in reached))

# %% sums-measured-claims tags=["nbval-ignore-output"]
assert by_setting["SGD", "sum", 64].min() > 0.9, "64 times the step is what this task needed"
assert by_setting["SGD", "sum", 256].mean() < 0.5, "256 times is too much"
for size in (64, 256):
    apart = by_setting["AdamW", "sum", size] - by_setting["AdamW", "mean", size]
    interval = metrics.confidence_interval(apart.numpy())
    print(f"AdamW, batches of {size}, sum minus mean: {metrics.in_points(interval)}")
    assert abs(interval.mean) < 0.02

# %% sums-measured-explained [markdown]
# With SGD the printed sum *works* for one batch size, better than the mean, and destroys the student at another: with
# the learning rate 0.01 the mean is too slow, 64 times that is about right, and 256 times too much. AdamW divides by
# the size of past gradients, so it hides the factor: as long as there is one term only. The balance of two terms, which
# you saw above, it cannot hide.

# %% repair-intro [markdown]
# ## The repair, step by step
#
# All repairs together make a distillation. Which of them *matters*? Now the labels are bad: four out of ten are wrong,
# while the teacher was trained on right ones (so it knows more than the student is told: that must be said of any such
# gain). We put a dropout in front of it, to have something that the mode can spoil: a rough one, with which the teacher
# was not trained. AdamW trains every student, so that a loss is not called better only because its gradient is longer.


# %% train
def train(loss, teacher_z, seed, epochs=30):
    """Train a student on noisy labels; returns it with its validation accuracy after each epoch."""
    transfer, history = noisy.draw(digits, seed), []
    x, y, z_t = digits.x_train[transfer.indices], transfer.labels, teacher_z[transfer.indices]
    network, order = models.build("mlp-32", digits, seed), data.seeded_generator(seed, "batches")
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.005)
    for _ in range(epochs):
        for part in torch.randperm(len(y), generator=order).split(64):
            optimizer.zero_grad()
            loss(network(x[part]), z_t[part], y[part]).backward()
            optimizer.step()
        history.append(metrics.accuracy(training.predict(network, digits.x_val), digits.y_val))
    return network, history


# %% asked tags=["nbval-ignore-output"]
noisy = scenarios.get("noisy-labels", noise=0.4)
forgetful = nn.Sequential(nn.Dropout(0.5), teacher.model)
with torch.no_grad(), torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    in_train_mode = forgetful.train()(digits.x_train)
    in_eval_mode = forgetful.eval()(digits.x_train)
for name, logits in {"train": in_train_mode, "eval": in_eval_mode}.items():
    print(f"asked in {name} mode: {metrics.accuracy(logits, digits.y_train):.1%} right")
assert metrics.accuracy(in_train_mode, digits.y_train) < 0.95


# %% repairs
def soft_part(s, t, temperature):
    """Cross entropy of the student with the teacher's soft targets, both at a temperature."""
    return F.cross_entropy(s / temperature, losses.soft_targets(t, temperature))


hard, warm = F.cross_entropy, 4.0
steps = {
    "as printed": (lambda s, t, y: hard(s.log_softmax(-1), y), in_eval_mode),
    "one log-softmax": (lambda s, t, y: hard(s, y), in_eval_mode),
    "teacher in the loss": (lambda s, t, y: hard(s, y) + soft_part(s, t, 1), in_train_mode),
    "eval mode": (lambda s, t, y: hard(s, y) + soft_part(s, t, 1), in_eval_mode),
    "temperature": (lambda s, t, y: hard(s, y) + soft_part(s, t, warm), in_eval_mode),
    "T²": (lambda s, t, y: hard(s, y) + warm**2 * soft_part(s, t, warm), in_eval_mode),
    "λ on the soft part": (lambda s, t, y: losses.mixed_loss(s, t, y, warm, 0.9), in_eval_mode),
}

# %% repairs-question [markdown]
# Each line keeps the repairs above it. **Predict**: which step brings most, which nothing, and does one of them *hurt*?

# %% measured tags=["nbval-ignore-output"]
trained = {name: [train(*step, seed) for seed in range(6)] for name, step in steps.items()}
histories = {name: [history for _, history in runs] for name, runs in trained.items()}
last = {name: torch.tensor(history)[:, -1].numpy() for name, history in histories.items()}
changes, before = {}, None
for name, accuracies in last.items():
    print(f"{name:20} {accuracies.mean():.1%}", end="" if before is not None else "\n")
    if before is not None:
        changes[name] = metrics.confidence_interval(accuracies - before)
        print(f"  {metrics.in_points(changes[name])}: {metrics.verdict(changes[name])}")
    before = accuracies

# %% measured-claims tags=["nbval-ignore-output"]
assert abs(changes["one log-softmax"].mean) < 0.005, "nothing"
assert changes["teacher in the loss"].mean < 0.02, "a teacher in train mode is of little use"
assert metrics.verdict(changes["eval mode"]) == "better"
assert metrics.verdict(changes["temperature"]) == "worse"
assert metrics.verdict(changes["T²"]) == "better"
assert abs(changes["λ on the soft part"].mean) < 0.02
whole = metrics.confidence_interval(last["λ on the soft part"] - last["as printed"])
print(f"all repairs together: {metrics.in_points(whole)}, {metrics.verdict(whole)}")
assert whole.low > 0.02
warmth = metrics.confidence_interval(last["λ on the soft part"] - last["eval mode"])
print(f"of these, T, T² and λ together: {metrics.in_points(warmth)}, {metrics.verdict(warmth)}")
assert -0.005 < warmth.mean < whole.mean / 2

# %% curves tags=["nbval-ignore-output"]
shown = {
    "as printed": "student alone",
    "eval mode": "soft targets at T = 1",
    "temperature": "T without T²",
    "λ on the soft part": "distilled",
}
curves = {curve: torch.tensor(histories[name]).numpy() for name, curve in shown.items()}
plots.accuracy_curves(curves, teacher=teacher.val_accuracy, title="Four of ten labels are wrong")

# %% measured-explained [markdown]
# "As printed" is the student alone, in another spelling. A teacher in the loss is worth little while it runs in train
# mode; in eval mode it repairs most of what the wrong labels did. A **temperature alone does harm**: it makes the soft
# part weak, by about T², so that the wrong labels win again; with T² the gain returns. The last step only moves the
# balance a little further towards the teacher: small, and whether your line calls it measurable hangs on a few images.
# Temperature, T² and λ *together* add little to a teacher that is merely asked properly: on these data most of the gain
# is the teacher's opinion as such, not the finer things that a temperature shows. And the log-softmax, the most visible
# oddity of the listing, is worth nothing at all. *What looks wrong and what is wrong are two questions.*

# %% clean-intro [markdown]
# ## Does the repaired loop always win?
#
# The same two students, alone and distilled, where every label is right:

# %% clean tags=["nbval-ignore-output"]
options = {"temperatures": [4], "lams": [0, 0.9], "seeds": 8, "epochs": 40, "teacher": teacher}
clean = train_grid(digits, "all-labels", "mlp-32", **options)
difference = metrics.confidence_interval(clean.difference()[0, 1])
print(f"all labels right: {metrics.in_points(difference)}, {metrics.verdict(difference)}")
assert abs(difference.mean) < 0.015, "no gain to speak of"

# %% clean-explained [markdown]
# Where labels say all there is to say, the article's loop loses next to nothing by ignoring its teacher. That may be
# how such a listing survives: somebody ran it, the accuracy was good, and nobody asked what it would have been
# *without* a teacher.

# %% test-intro [markdown]
# ## At the end, the test part
#
# The repaired loop was compared on validation data. The test part is looked at once, for what is printed and what is
# repaired.


# %% test tags=["nbval-ignore-output"]
def test_accuracies(name):
    logits = [training.predict(network, digits.x_test) for network, _ in trained[name]]
    return torch.tensor([metrics.accuracy(z, digits.y_test) for z in logits]).numpy()


printed, repaired = test_accuracies("as printed"), test_accuracies("λ on the soft part")
gain = metrics.confidence_interval(repaired - printed)
print(f"as printed {printed.mean():.1%}, repaired {repaired.mean():.1%}: {metrics.in_points(gain)}")
assert gain.low > 0

# %% pitfalls [markdown]
# ## What could go wrong
#
# * **No control**: a gradient of 0 may also mean that `.grad` was never filled. Show that the instrument can deflect.
# * **A fair-looking comparison**: a longer gradient under SGD is a larger learning rate. Is it the idea that helped, or
#   the step?
# * **Stopping at the visible fault**: who removes the double log-softmax and leaves the rest has a cleaner loop that
#   still ignores its teacher.
# * **Repairing all at once**: then nobody knows that one of the steps does harm by itself.
# * **Reading unkindly**: a formula without its index is most likely a slip. Say what was meant, then test what is
#   printed.

# %% questions [markdown]
# ## Questions
#
# 1. The article promises that a student keeps its teacher's accuracy, and that it is easier to interpret. How would you
#   test each?
# 2. The temperature hurt, since T² was missing. Without T², which λ would have kept the balance of the last step?
# 3. The listing's teacher and student loops are the same. Which single line, changed, would make the second one a
#   distillation?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-review", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# **To hand in**: write the review that you would send to the article's author, in at most six sentences: the one fault
# that matters most, how anybody can see it in a minute, and one oddity that you would *not* insist on, with your
# reason.
#
# <!-- BEGIN SOLUTION -->
# The student loop never uses the teacher, so what is shown is ordinary training on labels. To see it, run the listing
# twice from one seed, with your teacher and with an untrained one: both students have the same weights, to the bit. In
# the formula it is the other way round: the cross entropy holds the teacher only, and its gradient for the student is
# zero. Comparing the student's log-probabilities with the teacher's soft targets, both at a temperature and times T²,
# repairs both. I would not insist on the second log-softmax: it is idempotent, so it changes neither loss nor gradient.
#
# Rubric:
# * 1 point: names a fault that keeps the teacher out (loop or formula), with an experiment that shows it
# * 1 point: names a harmless oddity and says why it is harmless (a second log-softmax changes nothing; a missing index
#   is a slip)
# <!-- END SOLUTION -->
