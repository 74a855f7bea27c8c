# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% goals [markdown]
# # Soft targets
#
# After this lesson you can
# * turn logits into probabilities at any temperature, without overflow,
# * measure with entropy how much a teacher hesitates,
# * read a teacher's *dark knowledge*: what it says about the classes that it did not choose.
#
# **You need**: tensors in PyTorch, and what a classifier's softmax does. **Time**: about 45 minutes.
#
# **In the app** (while it runs on this machine): [the page and the settings of this lesson](http://localhost:8501/?lesson=02-soft-targets).
#
# You write two functions. Under each, a check says at once what is wrong, and `checks.hint("entropy")`, in a cell of
# your own, gives one hint at a time.

# %% nbgrader={"grade": false, "grade_id": "set-up", "locked": true, "schema_version": 3, "solution": false, "task": false}
import math

import torch
import torch.nn.functional as F

from course import checks
from toolkit import data, plots, training, widgets

torch.set_num_threads(1)  # networks as small as ours do not gain from more

# %% before-you-look [markdown]
# ## Predict first
#
# A teacher gives three classes the logits 6, 3 and 0. Its softmax is very sure of the first class. Now every logit is
# divided by a *temperature* T = 8 before the softmax.

# %% [markdown] nbgrader={"grade": true, "grade_id": "prediction", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# **Your prediction**: how likely is the first class at T = 8, roughly? And where would it end as T grows without limit?
# Give your reason in a sentence. A wrong prediction costs nothing; none at all does.
#
# <!-- BEGIN SOLUTION -->
# Dividing by 8 leaves gaps of less than half between neighbours, so the classes move close together: the first one stays
# ahead with a little under half. For T → ∞ all quotients z/T go to 0, and every class gets one third.
#
# Rubric:
# * 1 point: any prediction with a reason, right or wrong
# <!-- END SOLUTION -->

# %% softmax-task [markdown]
# ## Softmax with a temperature
#
# $$p_i = \frac{\exp(z_i / T)}{\sum_j \exp(z_j / T)}$$
#
# Logits may have any number of axes; the classes run along the last one. They may be as large as ±10,000, and your
# function must leave them as they are.


# %% nbgrader={"grade": false, "grade_id": "softmax-with-temperature", "locked": false, "schema_version": 3, "solution": true, "task": false}
def softmax_with_temperature(logits, temperature):
    """Turn logits of shape (..., classes) into probabilities of the same shape, at a temperature above 0."""
    ### BEGIN SOLUTION
    tempered = logits / temperature
    highest = tempered.max(dim=-1, keepdim=True).values  # subtracting it changes no probability
    weights = (tempered - highest).exp()
    return weights / weights.sum(dim=-1, keepdim=True)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-softmax-with-temperature", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.check(softmax_with_temperature)
### BEGIN HIDDEN TESTS
for shape, dtype in (((5, 7), torch.float32), ((1, 3), torch.double), ((2, 3, 4), torch.double)):
    fresh = 4 * torch.randn(shape, dtype=dtype)
    kept, expected = fresh.clone(), F.softmax(fresh / 3, dim=-1)
    with checks.without_toolkit("softmax_with_temperature"):
        answer = softmax_with_temperature(fresh, 3.0)
        extreme = softmax_with_temperature(fresh.sign() * 1e4, 1.0)
        warm = softmax_with_temperature(fresh / fresh.abs().max() * 1e4, 2500.5)
    assert type(answer) is torch.Tensor
    assert type(extreme) is torch.Tensor
    torch.testing.assert_close(answer, expected, check_dtype=False, rtol=1e-4, atol=1e-5)
    expected_extreme = F.softmax(fresh.sign() * 1e4, dim=-1)
    torch.testing.assert_close(extreme, expected_extreme, check_dtype=False, rtol=1e-3, atol=1e-3)
    expected_warm = F.softmax(fresh / fresh.abs().max() * 1e4 / 2500.5, dim=-1)
    torch.testing.assert_close(warm, expected_warm, check_dtype=False, rtol=1e-3, atol=1e-4)
    assert torch.equal(fresh, kept)
### END HIDDEN TESTS

# %% tempered [markdown]
# Was your prediction right?

# %% three-classes
logits = torch.tensor([6.0, 3.0, 0.0])
for temperature in (1, 2, 4, 8, 1000):
    first, second, third = softmax_with_temperature(logits, temperature).tolist()
    print(f"T = {temperature:4}:  {first:.4f}  {second:.4f}  {third:.4f}")

# %% three-classes-explained [markdown]
# A temperature never changes the *order* of the classes; it changes how far apart they stand. High T pulls all of them
# towards the same share (*uniform*), low T towards all for the largest logit and nothing for the others.

# %% three-classes-claims
tempered = torch.stack(
    [softmax_with_temperature(logits, temperature) for temperature in (0.1, 1, 8, 1000)]
)
assert (tempered.argmax(-1) == 0).all(), "no temperature changes the order"
assert 0.40 < tempered[2, 0] < 0.50, "a little under half at T = 8"
assert (tempered[3] - 1 / 3).abs().max() < 0.01, "uniform in the limit"
assert tempered[0, 0] > 0.9999, "all or nothing when it is cold"

# %% overflow-question [markdown]
# ## What could go wrong: large logits
#
# The formula, typed as it stands, is correct on paper. What does it give for the logits 1000 and 998?

# %% overflow
large = torch.tensor([1000.0, 998.0])
print("as it stands:", large.exp() / large.exp().sum())
print("yours:       ", softmax_with_temperature(large, 1.0))
assert softmax_with_temperature(large, 1.0).isfinite().all()

# %% overflow-explained [markdown]
# The largest finite float32 is about 3.4·10³⁸, and exp(89) is more. Infinity divided by infinity is `nan`, and one
# `nan` in a loss ruins every weight at the next update. Low temperatures make this *worse*: dividing by T = 0.1 turns a
# harmless logit of 9 into 90.

# %% entropy-task [markdown]
# ## How much does a teacher hesitate?
#
# Entropy is the mean surprise, $H(p) = -\sum_i p_i \log p_i$, in *nats* (natural logarithm): 0 for certainty,
# $\log C$ for $C$ equally likely classes. A class with probability 0 adds nothing, since $p \log p \to 0$ as
# $p \to 0$.
#
# **Predict**: does entropy rise or fall with T?


# %% nbgrader={"grade": false, "grade_id": "entropy", "locked": false, "schema_version": 3, "solution": true, "task": false}
def entropy(probabilities):
    """Entropy in nats of probabilities of shape (..., classes): one value per row, shape (...)."""
    ### BEGIN SOLUTION
    surprise = torch.where(probabilities > 0, -probabilities.log(), torch.zeros_like(probabilities))
    return (probabilities * surprise).sum(dim=-1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-entropy", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.check(entropy)
### BEGIN HIDDEN TESTS
for shape, dtype in (((5, 7), torch.float32), ((1, 3), torch.double), ((2, 3, 4), torch.double)):
    fresh = F.softmax(3 * torch.randn(shape, dtype=dtype), dim=-1)
    fresh[..., 0] = 0
    fresh /= fresh.sum(-1, keepdim=True)
    with checks.without_toolkit("entropy"):
        answer = entropy(fresh)
    assert type(answer) is torch.Tensor
    assert answer.shape == fresh.shape[:-1]
    torch.testing.assert_close(
        answer, torch.special.entr(fresh).sum(-1), check_dtype=False, rtol=1e-3, atol=1e-4
    )
### END HIDDEN TESTS

# %% teacher-intro [markdown]
# ## A real teacher
#
# Our data are 1,797 handwritten digits of 8 × 8 pixels, from scikit-learn. The teacher is a convolutional network. The
# first time, it is trained while you wait, for some seconds; after that it comes from a cache.
#
# We watch it on images that it was not trained on, those of the *validation* part. A third part, for testing, stays shut
# until everything is chosen (lesson 04).

# %% teacher tags=["nbval-ignore-output"]
digits = data.load("digits")
teacher = training.train_teacher(digits)
print(f"{teacher.name}: {teacher.val_accuracy:.1%} of the validation digits are right")
assert teacher.val_accuracy > 0.97
assert sum(map(len, (digits.y_train, digits.y_val, digits.y_test))) == 1797

# %% entropy-by-temperature tags=["nbval-ignore-output"]
mean_entropy, most = {}, math.log(digits.classes)
for temperature in (1, 2, 4, 8, 20):
    p = softmax_with_temperature(teacher.val_logits, temperature)
    mean_entropy[temperature] = entropy(p).mean().item()
    print(f"T = {temperature:2}: {mean_entropy[temperature]:.3f} nats of at most {most:.3f}")
rising = list(mean_entropy.values())
assert rising == sorted(rising), "entropy rises with T"
assert rising[0] < 0.1, "at T = 1 the teacher hardly hesitates"
assert rising[-1] > 0.8 * most, "at T = 20 it is not far from uniform"

# %% entropy-explained [markdown]
# At T = 1 the teacher is so sure that its probabilities are hardly more than the label itself. A student could learn
# little from them that the label does not say already. At a very high T they say nearly the same of every class. What
# is interesting lies between.

# %% dark-knowledge-intro [markdown]
# ## Dark knowledge
#
# We look for a digit that the teacher gets right *and* is at least 99 % sure of, and among those for the one whose
# strongest wrong class shows most at T = 4. **Predict**, when you see the image: which wrong digit will it be?

# %% rich-example tags=["nbval-ignore-output"]
sure = softmax_with_temperature(teacher.val_logits, 1)
warm = softmax_with_temperature(teacher.val_logits, 4)
second_share = warm.topk(2, dim=-1).values[:, 1]
candidates = (sure.argmax(-1) == digits.y_val) & (sure.amax(-1) > 0.99)
example = torch.where(candidates, second_share, torch.zeros_like(second_share)).argmax().item()
image, label = digits.x_val[example], digits.y_val[example].item()
print(
    f"validation digit {example}: the teacher is {sure[example, label]:.1%} sure of class {label}"
)
assert sure[example, label] > 0.99

# %% rich-example-figure tags=["nbval-ignore-output"]
plots.soft_target_bars(
    teacher.val_logits[example], digits.class_names, temperatures=(1, 4), label=label, image=image
)

# %% rich-example-claims tags=["nbval-ignore-output"]
wrong = warm[example].topk(2).indices[1].item()
cold_share, warm_share = sure[example, wrong], warm[example, wrong]
print(f"the likeliest wrong class is {wrong}: {cold_share:.2%} at T = 1, {warm_share:.0%} at T = 4")
assert cold_share < 0.01, "invisible at T = 1"
assert warm_share > 0.1, "a second digit appears at T = 4"

# %% dark-knowledge-explained [markdown]
# The label says "this, and nothing else". The teacher adds what else it might have been, and how much less it resembles
# all the rest. It learned this from all the other images, and a student gets it with every single example. Geoffrey
# Hinton called it *dark knowledge* in a talk of 2014; the paper is Hinton, Vinyals and Dean (2015). At T = 1 nobody sees
# it.

# %% slider-intro [markdown]
# **Play**: drag T. From where on would *you* have guessed the second digit?

# %% slider tags=["nbval-ignore-output"]
widgets.temperature_slider(
    teacher.val_logits[example], digits.class_names, label=label, image=image
)

# %% families-intro [markdown]
# One example may be an accident. Averaged over all validation images of a class, which other digit does the teacher
# think of?

# %% families tags=["nbval-ignore-output"]
for digit in range(digits.classes):
    share = warm[digits.y_val == digit].mean(0)
    share[digit] = 0
    print(f"{digit} most resembles {share.argmax()}, with {share.max():.1%}")
    assert share.max() > 1.5 * share.sum() / (digits.classes - 1), "not spread evenly"

# %% pitfalls [markdown]
# ## What could go wrong
#
# * **Softmax over the wrong axis** gives the same shape, so nothing complains. Each *row* must sum to 1: look at one.
# * **Softmax twice**: PyTorch's `cross_entropy` takes logits and applies the softmax itself. Models return logits.
# * **`softmax(z).log()`** gives −∞ where a probability was rounded to 0; `log_softmax` never forms that probability.
# * **A temperature that helps one teacher** may be too low for another whose logits are further apart: only z/T counts.

# %% questions [markdown]
# ## Questions
#
# 1. Does a temperature change which class the teacher picks? Does it change its accuracy?
# 2. Adding 5 to all logits of a row: what happens to its soft targets, and why does that help against overflow?
# 3. A teacher gets every training example right with probability 1.0000. What does that mean for T?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-dark-knowledge", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# **To hand in**: a class-mate says "soft targets only make the labels blurry; we could as well give every wrong class the
# same small share". With what you have seen above, what do soft targets say that this would not?
#
# <!-- BEGIN SOLUTION -->
# An even share says nothing about *which* wrong class is plausible. The teacher's shares differ by class and by image:
# they say what this image resembles, so that the student learns how classes lie to one another.
#
# Rubric:
# * 1 point: an even share is the same for every wrong class, whatever the image
# * 1 point: the teacher's shares say what *this* image resembles, or which classes lie near each other
# <!-- END SOLUTION -->
