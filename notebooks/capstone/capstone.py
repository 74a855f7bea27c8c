# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% goals [markdown]
# # Capstone: a recipe under a budget
#
# After this lesson you can
# * design a student under a budget, and defend each choice with an experiment,
# * say beforehand how it will do on data that nobody has seen yet, and how sure you are,
# * write a report that somebody else can trust.
#
# **You need**: lessons 02 to 05; the others help. **Time**: about 120 minutes.
#
# **In the app** (while it runs on this machine): [the page and the settings of this lesson](http://localhost:8501/?lesson=capstone).
#
# A check says whether your recipe is one. `checks.hint("my_recipe")` gives one hint at a time.

# %% nbgrader={"grade": false, "grade_id": "set-up", "locked": true, "schema_version": 3, "solution": false, "task": false}
import numpy as np
import torch

from course import capstone, checks
from toolkit import data, metrics, models

torch.set_num_threads(1)  # networks as small as ours do not gain from more

# %% assignment [markdown]
# ## The assignment
#
# A sensor with little memory shall read digits. There are only 100 labelled images of its own for training, others for
# each student; a large teacher, trained on far more, says what it thinks of these 100. What counts is the student that
# comes out, under three limits that the cell below prints: its parameters, its seconds of training, and the values that
# a recipe may hold.
#
# You do not hand in a model but a **recipe**: what to build, and how to train it. When it is marked, your recipe is
# trained anew, four times, **on a split of the data that is drawn after you hand in**. What you tuned to one split does
# not help there. **Predict** before you run the next cell: which of the limits will pinch?

# %% limits
print(f"at most {capstone.PARAMETERS:,} parameters, {capstone.SECONDS:g} seconds for each student")
print(
    f"{capstone.EXAMPLES} images to learn from; accuracy is the mean of {capstone.STUDENTS} students"
)
print(f"points: 0 up to {capstone.FLOOR:.0%}, {capstone.POINTS} from {capstone.FULL_MARKS:.0%} on")
for name, value in capstone.BASELINE.items():
    print(f"    {name}: {value!r}")
assert capstone.check_recipe(capstone.BASELINE)

# %% [markdown] nbgrader={"grade": true, "grade_id": "prediction", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# **Your prediction**: this baseline has six things worth changing (student, teacher, temperature, λ, learning rate,
# epochs). Which one will bring most, which will bring nothing that can be measured? Give your reasons, before you try.
#
# <!-- BEGIN SOLUTION -->
# The student most: weights that are shared over the image get more out of 3,000 parameters. Then T and λ, since with
# 100 images the soft targets are the only source of more. The teacher least: they are all nearly right.
#
# Rubric:
# * 1 point: any prediction with a reason, right or wrong
# <!-- END SOLUTION -->

# %% budget-intro [markdown]
# ## What fits?
#
# A name says the kind and the width. **Predict**: how wide may a network of each kind be? The budget is tight: some do
# not fit at all. (A dense layer counts inputs times outputs; a convolution uses the same few weights everywhere.)

# %% budget
digits = data.load(capstone.DATASET)
for name in ("mlp-16", "mlp-32", "mlp-64", "cnn-4", "cnn-8"):
    size = models.count_parameters(models.build(name, digits))
    print(f"{name}: {size:,} parameters{'' if size <= capstone.PARAMETERS else ', too many'}")
refused = ""
try:
    capstone.check_recipe({**capstone.BASELINE, "student": "mlp-64"})
except ValueError as problem:
    refused = str(problem)
print(refused)
assert "the budget is 3,000" in refused

# %% rehearsal-intro [markdown]
# ## Rehearse
#
# `capstone.rehearse` trains a recipe as the exam will, on a *practice split*, and tells the accuracy on its
# **validation** part. Any split may be practised on; each has its own images for training, and its own teacher (some
# seconds, once).

# %% rehearsal tags=["nbval-ignore-output"]
outcome = capstone.rehearse(capstone.BASELINE, split=1)
again = capstone.rehearse(capstone.BASELINE, split=1)
stopped = outcome.stopped_by_time + again.stopped_by_time  # on a slow or busy machine
assert stopped or outcome.val_accuracy == again.val_accuracy, (
    "the same recipe on the same split, the same students"
)

# %% anecdote-intro [markdown]
# ## One split is an anecdote
#
# The baseline, and the same with labels only (λ = 0), on four practice splits. **Predict**: which differs more: the two
# recipes on one split, or one recipe on two splits?

# %% splits tags=["nbval-ignore-output"]
splits = (1, 2, 3, 4)
labels_only = {**capstone.BASELINE, "lam": 0.0}
accuracy = {
    name: np.array([capstone.train(recipe, split).val_accuracy for split in splits])
    for name, recipe in (("baseline", capstone.BASELINE), ("labels only", labels_only))
}
for name, per_split in accuracy.items():
    print(name, ", ".join(f"{value:.1%}" for value in per_split))
spread = np.ptp(accuracy["baseline"])
print(f"best and worst split of the baseline: {100 * spread:.1f} points apart")
assert spread > 0.004

# %% compare tags=["nbval-ignore-output"]
difference = accuracy["baseline"] - accuracy["labels only"]  # of the same split: paired
interval = metrics.confidence_interval(difference)
print(f"baseline against labels only: {metrics.in_points(interval)}, {metrics.verdict(interval)}")
examples = len(digits.y_val)
error = np.sqrt(accuracy["baseline"].mean() * (1 - accuracy["baseline"].mean()) / examples)
print(f"one recipe on {examples} images: a standard error of {100 * error:.1f} points")
assert difference.mean() > 0
assert error > 0.01

# %% compare-explained [markdown]
# Two recipes that share their splits can be told apart sooner than either can be pinned down: what a split makes easy
# or hard, it makes so for both. Few splits give wide intervals: with four, the quantile of lesson 05 is above 3.
#
# Now imagine twenty recipes, all tried on one split. The best of them won partly by luck, and its accuracy there
# flatters it (lesson 05, *What chance can do*). So: **explore on one split, decide between the last few on splits that
# you have not looked at yet.**

# %% try-intro [markdown]
# ## Your experiments
#
# From here on it is up to you; add as many cells as you like. Write down what you try *while* you try it, the failures
# too: your report needs them. Change one thing at a time.

# %% try tags=["nbval-ignore-output"]
recipe = {**capstone.BASELINE, "temperature": 2.0}
outcome = capstone.rehearse(recipe, split=1)
print(f"{100 * (outcome.val_accuracy - accuracy['baseline'][0]):+.1f} points against the baseline")

# %% try-explained [markdown]
# `outcome.val_accuracy`, `outcome.parameters` and `outcome.seconds` hold the numbers. The exam measures *computing*
# seconds, so a busy machine costs nothing, but a slower one might: stay below half of the limit, and your students come
# out the same on every machine.

# %% recipe-task [markdown]
# ## Hand in a recipe
#
# Return yours. The check says whether the examiner would accept it; what it earns you learn after the exam.


# %% nbgrader={"grade": false, "grade_id": "my-recipe", "locked": false, "schema_version": 3, "solution": true, "task": false}
def my_recipe():
    """The recipe to be examined: a dict with all keys of capstone.BASELINE, and plain values.

    It is called several times, without the names of your experiments, and must give the same each time.
    """
    ### BEGIN SOLUTION
    changed = {
        "student": "cnn-6",
        "temperature": 8.0,
        "lam": 1.0,
        "learning_rate": 0.03,
        "epochs": 100,
    }
    return {**capstone.BASELINE, **changed}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-my-recipe", "locked": true, "points": 10, "schema_version": 3, "solution": false, "task": false} tags=["nbval-ignore-output"]
checks.check(my_recipe)
### BEGIN HIDDEN TESTS
capstone.examined(my_recipe())
### END HIDDEN TESTS

# %% pitfalls [markdown]
# ## What could go wrong
#
# * **Searching on one split until it fits**: the search then learns that split's validation images, as lesson 07's
#   cheat did.
# * **Changing five things at once**: better, but which of them was it? And which of the others hurt?
# * **A larger learning rate without fewer epochs**, or the other way round: the two belong together.
# * **At the edge of the time limit**: on a slower machine your students are stopped earlier. So leave room.
# * **A table without its failures** looks like insight. Readers need to know how many recipes the best was the best
#   *of*.

# %% questions [markdown]
# ## Questions
#
# 1. The exam's split is drawn after you hand in. Which kinds of cheating does that rule out, and which not?
# 2. Four students are trained, and their mean counts. What would change if the best of the four counted?
# 3. Would your recipe be the best with 1,000 images, too? What would you change first?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-report", "locked": false, "points": 6, "schema_version": 3, "solution": true, "task": false}
# **To hand in, your report**, at most one page: what you tried and in which order, the failures too; how you decided,
# on which splits; the difference of your recipe from the baseline with its interval; the accuracy that you expect in
# the exam, as a range; and what you do not know. It is marked for honesty, not for accuracy.
#
# <!-- BEGIN SOLUTION -->
# No numbers are given here, since yours are the ones that count. A report that earns all points has a table of every
# recipe that was tried on split 1, the worse ones too, and says what each change did. It says that the last two or
# three were then compared on splits not looked at before, by validation accuracy, and gives the difference from the
# baseline on these splits with its interval, in the words of lesson 05. It expects an exam accuracy from the mean and
# the spread over splits, as a range. It says what was never tried, and of how many recipes the chosen one was the best.
#
# Rubric:
# * 1 point: what was tried is listed with settings, so that somebody else could repeat it
# * 1 point: at least one failure, or one change that made no measurable difference
# * 1 point: says on which splits it explored, and that it decided on others, by validation accuracy
# * 1 point: a difference from the baseline with an interval over splits, and what that interval says
# * 1 point: an expected exam accuracy as a range, with where the range comes from
# * 1 point: names something that it does not know, or how many recipes the chosen one was the best of
# <!-- END SOLUTION -->
