# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% goals [markdown]
# # Inside the teacher
#
# After this lesson you can
# * let a small hidden layer imitate a wide one, with a projection between them,
# * compare two networks by the distances that they see between examples, without any projection,
# * say which of the teacher's words a method listens to, response or feature, and measure what it brings.
#
# **You need**: lessons 03 and 04. **Time**: about 60 minutes.
#
# **In the app** (while it runs on this machine): [the page and the settings of this lesson](http://localhost:8501/?lesson=08-inside-the-teacher).
#
# Under each function that you write, a check says what is wrong. `checks.hint("hint_loss")` gives one hint at a time.

# %% nbgrader={"grade": false, "grade_id": "set-up", "locked": true, "schema_version": 3, "solution": false, "task": false}
import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from course import checks
from toolkit import data, methods, metrics, models, plots, scenarios, training
from toolkit.grid import train_grid

torch.set_num_threads(1)  # networks as small as ours do not gain from more

# %% words [markdown]
# ## Two kinds of distillation, and their names
#
# The article (section 2.3) tells two methods apart. Its *model distillation* (模型蒸馏) uses data that the teacher
# produces, and is for small and fast models. Its *knowledge distillation* (知识蒸馏) uses the teacher's parameters or
# structure, and is for models that are "more general". Those who work on it use other words:
#
# | in the field | what the student hears of | in the article |
# |---|---|---|
# | **knowledge distillation** | all of it: the name of the whole subject | – |
# | **response-based** | the teacher's outputs: logits, soft targets | "model distillation" |
# | **feature-based** | what its hidden layers compute | "knowledge distillation", roughly |
# | **relation-based** | how examples lie to one another, in outputs or hidden layers | – |
#
# Hinton, Vinyals and Dean (2015) called their paper *Distilling the Knowledge in a Neural Network*, and it is about soft
# targets: *knowledge*, in the very title, for what the article calls *model*. The three kinds are those of the survey by
# Gou and others (2021). This lesson puts them side by side, on one task.

# %% [markdown] nbgrader={"grade": true, "grade_id": "prediction", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# **Your prediction**: a small student sees 200 images with their labels. In addition, one student hears the teacher's
# soft targets, one its hidden layer, and one only *how far apart* its hidden layer puts any two images. Which of the
# three gains most over the labels alone? Does any of them lose? Give your reason.
#
# <!-- BEGIN SOLUTION -->
# The hidden layer holds more numbers for each image than ten logits do, so it may teach more from few images; but a small
# layer cannot copy a wide one, and may waste its width on what no class needs. Distances ask for less than that.
#
# Rubric:
# * 1 point: any prediction with a reason, right or wrong
# <!-- END SOLUTION -->

# %% networks [markdown]
# ## What a hidden layer says
#
# `models.outputs_of` runs a network and keeps what each hidden layer gave. The teacher is asked in eval mode and without
# a graph, as in lesson 04. **Predict**: can the student's hidden layer and the teacher's last one be subtracted?

# %% features tags=["nbval-ignore-output"]
digits = data.load("digits")
teacher = training.train_teacher(digits, "mlp-256-256")
teacher.model.eval()


def teacher_says(x):
    with torch.no_grad():
        return models.outputs_of(teacher.model, x)


few = digits.x_val[:5]
for name, said in (
    ("teacher", teacher_says(few)),
    ("student", models.outputs_of(models.build("mlp-64", digits, seed=0), few)),
):
    print(f"{name}: hidden {[tuple(part.shape) for part in said.features]}", end=", ")
    print(f"logits {tuple(said.logits.shape)}")
assert teacher.val_accuracy > 0.95

# %% hint-task [markdown]
# ## Hints
#
# They cannot: one is wider than the other. FitNets (Romero and others 2015) put a small trained layer between them, a
# *projection*: a linear layer for features of shape (batch, width), a 1×1 convolution for (batch, channels, height,
# width). It maps the **student's** features to the teacher's shape, is trained along with the student, and is thrown
# away afterwards. What it gives is compared with the teacher's features, the *hint*:
#
# $$L_{hint} = \text{mean of } \big(r(h_{student}) - h_{teacher}\big)^2$$
#
# The mean is over everything: examples, features, and positions where there are any. (Romero's equation has a sum and a
# factor ½; both go into the weight that the loss gets.)


# %% nbgrader={"grade": false, "grade_id": "hint-loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
def hint_loss(student_features, teacher_features, projection):
    """Mean squared error between the projected student's features and the teacher's, one number.

    student_features: float tensor (batch, …). teacher_features: float tensor (batch, …), of another
    width or not. projection: a callable, such as an nn.Linear or an nn.Conv2d, that maps the student's
    features to the teacher's shape. The mean is over all numbers: batch, features and positions; there
    is no factor ½. No gradient reaches teacher_features; the student and the projection are trained.
    Returns a tensor of shape ().
    """
    ### BEGIN SOLUTION
    return F.mse_loss(projection(student_features), teacher_features.detach())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-hint-loss", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.check(hint_loss)
### BEGIN HIDDEN TESTS
from course.diagnose_inside import hint_cases

for _ in range(3):
    for mine, given, layer, _words in hint_cases():
        with checks.without_toolkit("hint_loss"):
            answer = hint_loss(mine, given, layer)
        expected = (layer(mine) - given.detach()).square().mean()
        assert type(answer) is torch.Tensor
        assert answer.shape == ()
        torch.testing.assert_close(answer.detach(), expected.detach(), rtol=1e-3, atol=1e-5)
        slope, into_teacher = torch.autograd.grad(answer, (mine, given), allow_unused=True)
        assert into_teacher is None or not into_teacher.any(), "the teacher is not trained"
        (wanted,) = torch.autograd.grad(expected, mine)
        torch.testing.assert_close(slope, wanted, rtol=1e-3, atol=1e-5)
### END HIDDEN TESTS

# %% fit-intro [markdown]
# Now a student that learns from labels *and* hints. `training.fit` is the loop of lesson 04; here it is handed a loss of
# our own, and the projection to be trained along. Each seed draws 200 images, first weights and the order of batches.

# %% fit
scenario = scenarios.get("small-transfer-set", examples=200)


def fit(network, seed, epochs, batch_loss, also_train=None):
    drawn = scenario.draw(digits, seed)
    training.fit(
        network,
        digits.x_train[drawn.indices],
        drawn.labels,
        teacher_logits=None,
        recipe=training.Recipe(epochs=epochs, batch_size=32),
        validation=(digits.x_val, digits.y_val),
        batch_loss=batch_loss,
        also_train=also_train,
        seed=seed,
    )


# %% with-hints
def with_hints(network, seed, epochs, weight):
    """Train on labels and hints; gives the projection, which is of no use later."""
    own, given = models.outputs_of(network, few), teacher_says(few)
    projection = methods.projection_between(own.features[-1], given.features[-1], seed)

    def batch_loss(x, labels, _):
        own, given = models.outputs_of(network, x), teacher_says(x)
        hint = hint_loss(own.features[-1], given.features[-1], projection)
        return F.cross_entropy(own.logits, labels) + weight * hint

    fit(network, seed, epochs, batch_loss, also_train=projection)
    return projection


# %% imitate-intro [markdown]
# How much of the teacher's hidden layer can 64 numbers repeat, on images that neither has seen? We measure it so that 1
# is a perfect copy, and 0 what a projection reaches that always gives the teacher's mean. **Predict**: what does the
# weight 0 reach, and what a large one?

# %% imitate tags=["nbval-ignore-output"]
repeated = {}
for weight in (0, 1, 100):
    network = models.build("mlp-64", digits, seed=0)
    projection = with_hints(network, 0, 60, weight)
    given = teacher_says(digits.x_val).features[-1]
    with torch.no_grad():
        own = models.outputs_of(network, digits.x_val).features[-1]
        apart = hint_loss(own, given, projection) / given.var(0, correction=0).mean()
    repeated[weight] = 1 - apart.item()
    print(f"weight {weight}: {repeated[weight]:+.2f}")
assert repeated[0] < 0, "an untrained projection is worse than the mean"
assert min(repeated[1], repeated[100]) > 0.5

# %% distances-intro [markdown]
# ## Relations
#
# A hint asks for every single number of the teacher's. Perhaps that is too much: what the teacher has *learned* is which
# images belong together. The distance between two images says that. **Predict**: how much further apart than two images
# of the same digit are two of different digits? In pixels, in the teacher's first hidden layer, and in its last?


# %% distances tags=["nbval-ignore-output"]
def apart_to_together(features, labels):
    between = torch.cdist(features.flatten(1), features.flatten(1))
    same, other = labels[:, None] == labels, ~torch.eye(len(labels), dtype=torch.bool)
    return (between[~same].mean() / between[same & other].mean()).item()


first, last = teacher_says(digits.x_val).features
spread = {}
for name, features in (("pixels", digits.x_val), ("first layer", first), ("last layer", last)):
    spread[name] = apart_to_together(features, digits.y_val)
    print(f"{name}: different digits are {spread[name]:.2f} times as far apart as equal ones")
assert spread["pixels"] < spread["first layer"] < spread["last layer"]

# %% relational-task [markdown]
# Relational distillation (Park and others 2019) hands exactly that on. In a batch, the distances of all pairs form a
# square table, one of the student's features and one of the teacher's. Tables of one batch have the same shape, however
# wide the layers are: **no projection** is needed. Each table is divided by its own mean, so that only *relative*
# distances count, and then the two are compared by smooth L1 (Huber): a half square up to a difference of 1, a straight
# line beyond.
#
# The mean is over pairs of two *different* examples, i ≠ j; no example is a pair with itself. The comparison is averaged
# over the whole table, with its diagonal: so does the authors' own code, and it only changes the weight.

# %% root-intro [markdown]
# One trap lies on that diagonal. **Predict**: two examples coincide. What is the gradient of their distance?

# %% root
difference = torch.zeros(2, requires_grad=True)
distance = difference.square().sum().sqrt()
distance.backward()
print(f"distance {distance.item()}, gradient {difference.grad.tolist()}")
assert difference.grad.isnan().all()

# %% root-explained [markdown]
# The square root is infinitely steep at 0, the square is flat, and ∞ · 0 is *not a number*. The distance of an example to
# itself is always 0, so a single batch would turn every weight of the student into NaN, while the *value* of the loss
# looks fine. Your loss has to have finite gradients, on the diagonal and where two examples coincide.


# %% nbgrader={"grade": false, "grade_id": "relational-distance-loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
def relational_distance_loss(student_features, teacher_features):
    """Smooth L1 between two tables of distances, each divided by its own mean; one number.

    student_features, teacher_features: float tensors (batch, …) of the same examples, at least two of
    which differ; what follows the batch is made one long vector, of another width for each of the two.
    A table (batch, batch) holds the Euclidean distances of all pairs of examples, and is divided by its
    mean over the pairs of different examples (i ≠ j; whether a 0 of two that coincide counts in this
    mean is left open). The loss is smooth L1 (Huber, beta = 1) of the two tables, averaged over all
    batch × batch entries, zeros of the diagonal too. No gradient reaches teacher_features; that into
    student_features is finite, even where examples coincide. Returns a tensor of shape ().
    """
    ### BEGIN SOLUTION
    tables = []
    for features in (student_features, teacher_features.detach()):
        flat = features.flatten(1)
        between = torch.linalg.vector_norm(flat[:, None] - flat[None], dim=-1)  # (batch, batch)
        pairs = len(flat) * (len(flat) - 1)
        tables.append(between / (between.sum() / pairs))
    return F.smooth_l1_loss(*tables)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-relational-distance-loss", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
checks.check(relational_distance_loss)
### BEGIN HIDDEN TESTS
from course.diagnose_inside import both_readings, relational_cases

for _ in range(3):
    for mine, given, _words in relational_cases():
        with checks.without_toolkit("relational_distance_loss"):
            answer = relational_distance_loss(mine, given)
        assert type(answer) is torch.Tensor
        assert answer.shape == ()
        near = [
            one for one in both_readings(mine, given) if abs(answer.item() / one.item() - 1) < 1e-3
        ]
        assert near, f"{answer.item()} is not the loss"
        slope, into_teacher = torch.autograd.grad(answer, (mine, given), allow_unused=True)
        assert into_teacher is None or not into_teacher.any(), "the teacher is not trained"
        (wanted,) = torch.autograd.grad(near[0], mine)
        size = wanted.abs().max()
        torch.testing.assert_close(slope / size, wanted / size, rtol=1e-3, atol=1e-3)
### END HIDDEN TESTS

# %% turned-intro [markdown]
# What does this loss *not* see? We take the teacher's own last layer, triple it, shift it and turn it around in its 256
# dimensions. **Predict** both losses between the layer and what has become of it.

# %% turned tags=["nbval-ignore-output"]
generator = torch.Generator().manual_seed(0)
turn = torch.linalg.qr(
    torch.randn(256, 256, generator=generator)
).Q  # lengths stay, directions change
sample = last[:100]
changed = 3 * sample @ turn + 5
print(f"hint loss without a projection: {hint_loss(changed, sample, nn.Identity()):.2f}")
print(f"relational distance loss: {relational_distance_loss(changed, sample):.6f}")
assert hint_loss(changed, sample, nn.Identity()) > 1
assert relational_distance_loss(changed, sample) < 1e-6

# %% turned-explained [markdown]
# Size, place and direction are the student's to choose; only the *shape of the cloud* of examples counts. A hint with a
# projection forgives some of this too, but asks that 256 numbers can be computed from 64.

# %% race-intro [markdown]
# ## Response against feature
#
# One task; the same 200 images, first weights and batches for all ways. Each gets the **same number of tries**: three
# settings with two seeds each, of which the mean *validation* accuracy chooses one. Then six seeds are measured on the
# test part. Labels alone and soft targets come from the fast grid of lesson 05.


# %% ways
def with_distances(network, seed, epochs, weight):
    def batch_loss(x, labels, _):
        own, given = models.outputs_of(network, x), teacher_says(x)
        relations = relational_distance_loss(own.features[-1], given.features[-1])
        return F.cross_entropy(own.logits, labels) + weight * relations

    fit(network, seed, epochs, batch_loss)


ways = {"hints": (with_hints, (1, 10, 100)), "distances": (with_distances, (10, 30, 100))}


@functools.cache
def measured(name, weight, seed, epochs):
    """Train one student; gives its accuracy on the validation and on the test part."""
    network = models.build("mlp-64", digits, seed)
    ways[name][0](network, seed, epochs, weight)
    parts = (digits.x_val, digits.y_val), (digits.x_test, digits.y_test)
    return [metrics.accuracy(training.predict(network, x), labels) for x, labels in parts]


# %% with-soft-targets
def from_grid(epochs, seeds=6):
    """Test accuracies of labels alone, and of soft targets at the T and λ that validation data chose."""
    options = {"seeds": seeds, "epochs": epochs, "batch_size": 32, "teacher": teacher}
    T, lams = (2, 4, 8), (0, 0.5, 0.9, 1)
    grid = train_grid(digits, scenario, "mlp-64", temperatures=T, lams=lams, **options)
    tries = [(0, 1), (1, 2), (2, 3)]  # T = 2, λ = 0.5; T = 4, λ = 0.9; T = 8, λ = 1
    t, lam = max(tries, key=lambda cell: grid.val_accuracy[cell][:2].mean())
    print(f"{epochs} epochs: soft targets at T = {T[t]}, λ = {lams[lam]}")
    return {"labels": grid.accuracy[0, 0], "soft targets": grid.accuracy[t, lam]}


# %% with-features
def from_features(name, epochs, seeds=6):
    """Test accuracies of hints or distances, with the weight that validation data chose."""
    _, weights = ways[name]
    tries = [np.mean([measured(name, w, s, epochs)[0] for s in (0, 1)]) for w in weights]
    weight = weights[np.argmax(tries)]
    print(f"{epochs} epochs: {name} with weight {weight}")
    return np.array([measured(name, weight, seed, epochs)[1] for seed in range(seeds)])


# %% budgets-intro [markdown]
# Twice: once with little time to learn, once with three times as much. **Predict**: who profits most from more time?

# %% short tags=["nbval-ignore-output"]
accuracy = {20: from_grid(20) | {name: from_features(name, 20) for name in ways}}

# %% long-hints tags=["nbval-ignore-output"]
accuracy[60] = from_grid(60) | {"hints": from_features("hints", 60)}

# %% long-distances tags=["nbval-ignore-output"]
accuracy[60]["distances"] = from_features("distances", 60)
assert all(len(of_way) == 6 for reached in accuracy.values() for of_way in reached.values())

# %% verdict-intro [markdown]
# Eight comparisons are looked at together: each way against the labels alone, and distances against soft targets, which
# is the article's question ("distances − soft"), for both budgets. The more one looks at, the more differ by chance;
# `holm_intervals` makes the intervals wider for it.

# %% verdict tags=["nbval-ignore-output"]
pairs = {name: (name, "labels") for name in ("soft targets", "hints", "distances")}
pairs["distances − soft"] = ("distances", "soft targets")
gains = {
    f"{epochs} epochs: {name}": reached[one] - reached[other]
    for epochs, reached in accuracy.items()
    for name, (one, other) in pairs.items()
}
intervals = metrics.holm_intervals(np.stack(list(gains.values())), examples=len(digits.y_test))
found = {name: intervals.at(row) for row, name in enumerate(gains)}
for name, interval in found.items():
    print(f"{name}: {metrics.in_points(interval)}, {metrics.verdict(interval)}")

# %% picture tags=["nbval-ignore-output"]
assert found["20 epochs: soft targets"].high < 0
assert found["20 epochs: distances − soft"].low > 0
assert found["60 epochs: distances"].low > 0
assert found["60 epochs: soft targets"].mean > 0
figure = plots.differences(found, title="What the teacher adds to 200 images")
figure.axes[0].set_xlabel("difference in points, test part")
figure

# %% race-explained [markdown]
# In the short race soft targets did *harm*, and distances did not; with three times the updates the students with soft
# targets are in front of the labels, too. Soft targets ask for the right share of every class, which needs patience
# (Beyer and others 2022); distances ask only for a shape. Whoever had run one budget only would have found a law, and a
# wrong one.
#
# So **neither kind is better as such**. On other tasks the order is another one again: with thirteen pairs of networks on
# CIFAR-100, Tian, Krishnan and Isola (2020) saw many feature methods fall behind plain soft targets, and attention
# transfer *hurt* one student: 59.40 right in a hundred, against 64.60 without any teacher.

# %% right-words [markdown]
# ## The words, put right
#
# * **"Knowledge distillation" is the whole.** Soft targets are one kind of it, and were the first to have the name.
# * **No parameters were handed over.** Feature-based methods use what hidden layers *compute* for an example. Our student
#   took neither a weight nor the structure of its teacher: it has one hidden layer, and the teacher two. (To start from a
#   teacher's own weights is another thing: fine-tuning or pruning.)
# * **"For smaller and faster models" and "for more general ones" is no difference between them.** All four students here
#   are the same network, with the same size and speed. What differs is what they were told.

# %% names-intro [markdown]
# The toolkit has more of both kinds, and of others. Changing the method is one name, and
# `compare.compare("digits", ["distillation", "hints", "similarity"])` gives a fair table of them.

# %% names tags=["nbval-ignore-output"]
for name, sentence in methods.names().items():
    print(f"{methods.get(name).family:9} {name}: {sentence}")

# %% pitfalls [markdown]
# ## What could go wrong
#
# * **The projection sits on the teacher's side** and is trained: it then learns to give zeros, the student too, and the
#   loss is perfect with nothing learned. The side that is fixed has to be the teacher's own.
# * **The projection is counted, or kept**: it belongs to training, as scaffolding does to a house.
# * **The gradient is NaN though the loss looks fine**: a root at 0. Look at gradients, not only at values.
# * **`torch.cdist` on more than 25 rows** takes a short cut through a matrix product, after which an example can be a
#   little away from itself. Whoever averages "all distances above 0" then counts a part of the diagonal.
# * **One weight for all layers**: a hint's size hangs on the layer that is imitated. Choose anew for every pair.
# * **Features kept from an earlier run** that no longer belong to the shuffled, or changed, images. With logits it is the
#   same mistake (lesson 04).

# %% questions [markdown]
# ## Questions
#
# 1. A batch holds two examples. What is the relational distance loss, whatever student and teacher say? And why?
# 2. Student and teacher have hidden layers of the same width. Is a projection still of use?
# 3. A relation between examples can be taken from logits, too. Would that be response-based or feature-based?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-kinds", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# **To hand in**: somebody who has read the article advises: "Do not use *model* distillation, it only makes models small.
# Use *knowledge* distillation, which takes over the teacher's parameters and makes a more general model." What is wrong
# with the words, and what do your own results say to the advice?
#
# <!-- BEGIN SOLUTION -->
# Knowledge distillation is the name of both; the right words are response-based and feature-based (or relation-based).
# The latter uses what hidden layers compute, no parameters or structure, and our students were all of one size. In my
# runs soft targets did harm with 20 epochs, where distances were clearly ahead of them; with 60 epochs both helped, and
# no difference between them could be measured. So the answer hangs on budget, teacher and task: compare both, with the
# same number of tries on validation data and several seeds.
#
# Rubric:
# * 1 point: puts the words right: response-based against feature-based, both knowledge distillation; no parameters or
#   structure are taken over
# * 1 point: uses own results with their intervals, and that the order changed with the budget: measure, no general rule
# <!-- END SOLUTION -->
