# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% goals [markdown]
# # Temperature and λ: choose, and report honestly
#
# After this lesson you can
# * read a surface over T and λ with its intervals, and say where a difference is real,
# * choose T and λ on validation data and report them on the test part, once,
# * say when distillation does *not* help, and how often nothing at all looks like a success.
#
# **You need**: lessons 02 to 04; mean and standard deviation. **Time**: about 60 minutes.
#
# **In the app** (while it runs on this machine): [the page and the settings of this lesson](http://localhost:8501/?lesson=05-temperature-and-lambda).
#
# Under each function that you write, a check says what is wrong. `checks.hint("choose_settings")` gives one hint at a time.

# %% nbgrader={"grade": false, "grade_id": "set-up", "locked": true, "schema_version": 3, "solution": false, "task": false}
from dataclasses import replace

import numpy as np
import torch
from ipywidgets import IntSlider
from scipy import stats

from course import checks
from toolkit import data, metrics, plots, training
from toolkit.grid import train_grid
from toolkit.widgets import Panel

torch.set_num_threads(1)  # networks as small as ours do not gain from more

# %% knobs [markdown]
# ## Two knobs
#
# Everybody who distils has to set T and λ. Here a student gets only **200 labelled images**, drawn anew for each seed. We
# train it for five temperatures and four values of λ, eight seeds each, and the student alone (λ = 0) beside it.

# %% [markdown] nbgrader={"grade": true, "grade_id": "prediction", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# **Your prediction**: the teacher gives its soft targets for these 200 images and no others. Where do they help: at a low
# or at a high temperature? And from λ = 0.5 to λ = 1, does much change? Give your reason.
#
# <!-- BEGIN SOLUTION -->
# At a high temperature. At T = 1 this teacher is nearly sure of each image, so that its soft targets hardly say more than
# the labels; a high T lets its opinion of the other classes through. Labels and teacher agree here, so λ matters less.
#
# Rubric:
# * 1 point: any prediction with a reason, right or wrong
# <!-- END SOLUTION -->

# %% surface tags=["nbval-ignore-output"]
digits = data.load("digits")
teacher = training.train_teacher(digits)
small = train_grid(
    digits,
    "small-transfer-set",
    "mlp-128",
    temperatures=(1, 2, 4, 8, 16),
    lams=(0, 0.5, 0.9, 1),
    seeds=8,
    epochs=150,
    teacher=teacher,
)
plots.surface(small)

# %% reading [markdown]
# ## How to read it
#
# Every cell is a mean over eight seeds, in percentage points **against the student alone with the same seeds**: orange is
# better, purple worse. *Hatched* cells are those whose 95 % interval holds zero: they do not count as different. The ring marks the
# best mean. All of it comes from *validation* data; nobody has looked at the test part yet.

# %% surface-claims tags=["nbval-ignore-output"]
difference = small.difference()  # [temperature, lam, seed]
column = dict(zip(small.temperatures, difference[:, -1], strict=True))
for temperature, per_seed in column.items():
    interval = metrics.confidence_interval(per_seed)
    print(f"λ = 1, T = {temperature:2g}: {metrics.in_points(interval)}")
by_temperature = metrics.confidence_interval(column[8] - column[1])
by_lam = metrics.confidence_interval(difference[3, -1] - difference[3, 1])
print(f"from T = 1 to T = 8, at λ = 1: {metrics.in_points(by_temperature)}")
print(f"from λ = 0.5 to λ = 1, at T = 8: {metrics.in_points(by_lam)}")
assert abs(column[1].mean()) < 0.01
assert by_temperature.low > 0
assert by_temperature.mean > 0.01
assert abs(by_lam.mean) < 0.01

# %% surface-explained [markdown]
# With few images, **T is where the dark knowledge shows**: at T = 1 the soft targets of a sure teacher are nearly the hard
# labels, and the student learns what it knew already. At T = 4 and above the teacher says of every image what else it
# could have been. From λ = 0.5 to 1 little changes, since the labels are right and the teacher agrees with them.

# %% verdict-task [markdown]
# ## Is a difference real?
#
# You decide what the hatching decides. One number per seed, d = distilled − alone, and the two-sided 95 % interval of its
# mean by Student's t:
#
# $$\bar d \;\pm\; t_{0.975,\,n-1}\cdot \frac{s}{\sqrt n}$$
#
# with n seeds, the standard deviation s of d (dividing by n − 1), and the quantile of the t distribution with n − 1
# degrees of freedom: in SciPy `stats.t.ppf(0.975, n - 1)`. Gosset published it in 1908, as "Student", for samples as small as
# ours: with few values s itself is uncertain, and 1.96, right for many, is too narrow.


# %% nbgrader={"grade": false, "grade_id": "difference-verdict", "locked": false, "schema_version": 3, "solution": true, "task": false}
def difference_verdict(distilled, alone):
    """Say whether distilled students are better than those alone, by the 95 % interval above.

    Both are float tensors (seeds,) of accuracies; entry k of both has the same seed. Returns
    "better" where the interval of d = distilled − alone lies above zero, "worse" where it lies below,
    and "no measurable difference" where it holds or touches zero: also where all of d is zero, and
    always for a single seed, which says nothing of the spread.
    """
    ### BEGIN SOLUTION
    differences = (distilled - alone).double()
    n = len(differences)
    if n == 1:
        return "no measurable difference"
    mean, deviation = differences.mean().item(), differences.std(correction=1).item()
    half = stats.t.ppf(0.975, n - 1) * deviation / n**0.5
    if mean - half <= 0 <= mean + half:
        return "no measurable difference"
    return "better" if mean > 0 else "worse"
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-difference-verdict", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.check(difference_verdict)
### BEGIN HIDDEN TESTS
# Seeds, mean difference over its standard error, common spread between seeds over that of the differences.
verdicts = ((2, 21, 1), (2, 7, 1), (3, 3.3, 1), (3, 3.8, 1), (4, 2.4, 1), (5, 2.3, 1), (5, 3.9, 1))
verdicts += ((3, 4.1, 1), (3, 4.8, 1), (12, 2.08, 1), (30, 2.02, 1))
verdicts += ((10, 4.5, 1), (10, 1.1, 1), (7, 5, 9), (4, 12, 1), (4, 12, 1))
for dtype in (torch.float32, torch.float64):
    for sign in (1, -1):
        for n, t, common in verdicts:
            noise = torch.randn(n, dtype=torch.double)
            noise = (noise - noise.mean()) / noise.std()
            without = 0.75 + 0.01 * common * torch.randn(n, dtype=torch.double)
            taught = without + 0.01 * (noise + sign * t / n**0.5)
            with checks.without_toolkit("difference_verdict"):
                answer = difference_verdict(taught.to(dtype), without.to(dtype))
            real = t > stats.t.ppf(0.975, n - 1)
            expected = ("better" if sign > 0 else "worse") if real else "no measurable difference"
            assert isinstance(answer, str)
            assert str(answer) == expected
        # One arm high where the other is low: taken as unpaired, this would look real.
        against = (noise + sign * 1.05) / 200
        with checks.without_toolkit("difference_verdict"):
            answer = difference_verdict((0.8 + against).to(dtype), (0.8 - against).to(dtype))
        assert str(answer) == "no measurable difference"
    same = torch.rand(5, dtype=dtype)
    for n, offset in ((5, 0.0), (1, 0.1), (1, -0.1)):
        with checks.without_toolkit("difference_verdict"):
            answer = difference_verdict(same[:n].clone() + offset, same[:n].clone())
        assert str(answer) == "no measurable difference"
### END HIDDEN TESTS

# %% pairing-intro [markdown]
# ## What pairing buys
#
# In this scenario each seed draws its own 200 images, and some draws are luckier than others, for both arms alike.
# **Predict**: if we forgot which students share a seed, would the interval of the difference become wider or narrower?

# %% pairing tags=["nbval-ignore-output"]
quantile = stats.t.ppf(0.975, 2 * len(small.seeds) - 2)
paired, unpaired = {}, {}
for t, temperature in enumerate(small.temperatures):
    alone, distilled = small.val_accuracy[t, 0], small.val_accuracy[t, -1]  # λ = 0 and λ = 1
    interval = metrics.confidence_interval(distilled - alone)
    variance = distilled.var(ddof=1) + alone.var(ddof=1)
    paired[temperature] = 100 * (interval.high - interval.mean)
    unpaired[temperature] = 100 * quantile * np.sqrt(variance / len(alone))
    verdict = difference_verdict(torch.from_numpy(distilled), torch.from_numpy(alone))
    widths = f"± {paired[temperature]:.2f} paired, ± {unpaired[temperature]:.2f} not"
    print(f"T = {temperature:2g}: {widths}; {verdict}")
assert paired[1] < unpaired[1] / 2
assert verdict == "better"

# %% pairing-explained [markdown]
# What both arms of a seed share, easy images or a lucky start, cancels in their difference: the more they share, the more
# pairing buys. At T = 1 both students are nearly the same, mistakes included. At high T the distilled one depends less on which
# images were drawn; then both share little, and the paired interval may even be the wider one. So why not take whichever is
# narrower? Because that would be choosing by luck once more. The comparison is settled *before* anybody looks, and since
# the seeds are shared, it is the paired one.
#
# More seeds shrink the interval too. Move the slider: which hatching goes first, and which stays? Real differences
# come out; where nothing is behind a cell, seeds do not help it.


# %% hatching tags=["nbval-ignore-output"]
def first_seeds(result, count):
    """The part of a surface that its first seeds show."""
    return replace(
        result, seeds=result.seeds[:count], val_accuracy=result.val_accuracy[..., :count]
    )


seeds = IntSlider(3, min=2, max=8, description="seeds")
panel = Panel([seeds], lambda: plots.surface(first_seeds(small, seeds.value)))
seeds.observe(panel.redraw, "value")
panel

# %% choose-task [markdown]
# ## Choose
#
# Which T and which λ would you take? The ones with the best *mean over seeds*, of validation accuracy. The student alone,
# λ = 0, is a candidate like any other. Your function is not given the test part. That is the point: it cannot peek.


# %% nbgrader={"grade": false, "grade_id": "choose-settings", "locked": false, "schema_version": 3, "solution": true, "task": false}
def choose_settings(val_accuracy, temperatures, lams):
    """Choose the pair (temperature, lam) whose mean validation accuracy over seeds is highest.

    val_accuracy: float tensor with the axes [temperature, lam, seed]; entry [i, j, k] belongs to
    temperatures[i], lams[j] and seed k. temperatures, lams: lists of numbers, in any order.
    Returns two values from these lists, not their places. Where several pairs share the highest
    mean, the first one counts: the earliest temperature, and for that one the earliest λ.
    """
    ### BEGIN SOLUTION
    mean = val_accuracy.double().mean(-1)
    t, lam = divmod(int(mean.flatten().argmax()), len(lams))
    return temperatures[t], lams[lam]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-choose-settings", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.check(choose_settings)
### BEGIN HIDDEN TESTS
for dtype in (torch.float32, torch.float64):
    for shape in ((4, 3), (3, 5), (2, 6)):
        # Places in random order: the winner, and one that wins by its luckiest, median, worst, first and last seed.
        winner, lucky, median, worst, first, last = torch.randperm(shape[0] * shape[1])[:6].tolist()
        table = 0.5 + 0.05 * torch.rand(shape[0] * shape[1], 5, dtype=torch.double)
        table[winner] = torch.tensor([0.66, 0.9, 0.84, 0.9, 0.66])
        table[lucky, 2], table[worst], table[first, 0], table[last, 4] = 0.99, 0.7, 0.9, 0.9
        table[median, 1:4] = 0.86
        values = [torch.randperm(90)[:count] / 10 + 0.1 for count in shape]
        values[1] = values[1] / 10
        lists = [part.tolist() for part in values]
        lists[1][winner % shape[1]] = 0.0
        expected = lists[0][winner // shape[1]], lists[1][winner % shape[1]]
        with checks.without_toolkit("choose_settings"):
            answer = choose_settings(table.view(*shape, 5).to(dtype), *lists)
        assert len(answer) == 2
        torch.testing.assert_close(
            [float(part) for part in answer], list(expected), rtol=1e-4, atol=1e-4
        )
    tied = torch.randint(0, 5, (3, 3, 4)).to(dtype) / 8  # binary fractions: sums are exact
    tied[0, 1], tied[0, 2], tied[2, 0], tied[2, 2] = (
        torch.tensor(row, dtype=dtype)
        for row in (
            [0.5, 0.75, 1, 0.75],
            [0.75, 1, 0.5, 0.75],
            [1, 0.5, 0.75, 0.75],
            [0.75, 0.75, 0.75, 0.75],
        )
    )
    with checks.without_toolkit("choose_settings"):
        ties = choose_settings(tied, [8.0, 2.0, 4.0], [0.3, 0.7, 0.1])
        single = choose_settings(tied[:1, 2:, :1].clone(), [6.0], [0.4])
    torch.testing.assert_close([float(part) for part in ties], [8.0, 0.7], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close([float(part) for part in single], [6.0, 0.4], rtol=1e-4, atol=1e-4)
### END HIDDEN TESTS

# %% report-intro [markdown]
# ## Report, once
#
# Now, and only for what was chosen, the test part is looked at. **Predict**: will the gain on the test part be larger or
# smaller than the one in the ringed cell?


# %% report tags=["nbval-ignore-output"]
def report(result):
    """Choose on validation data, and say what the test part makes of that choice."""
    val_accuracy = torch.from_numpy(result.val_accuracy)
    chosen = choose_settings(val_accuracy, result.temperatures, result.lams)
    t, lam = result.temperatures.index(chosen[0]), result.lams.index(chosen[1])
    on_test = result.accuracy[t, lam] - result.accuracy[t, 0]
    gain = metrics.confidence_interval(on_test)
    print(f"chosen T = {chosen[0]:g}, λ = {chosen[1]:g}")
    print(f"on the test part: {metrics.in_points(gain)}, {metrics.verdict(gain)}")
    return chosen, on_test


chosen, on_test = report(small)
assert chosen[0] >= 4
assert on_test.mean() > 0.01
assert metrics.verdict(metrics.confidence_interval(on_test)) == "better"

# %% report-explained [markdown]
# *This* is the number to write down: settings, difference, interval, seeds. The one in the ringed cell won a contest on
# validation data, and a winner's own score flatters it. The test part had no say in the choice.

# %% no-help-intro [markdown]
# ## When it does not help
#
# Three things change: the student gets **all** labels, it is tiny (16 hidden units), and it has 40 epochs. **Predict** the
# picture: which rows are orange, hatched, purple? And what will the choice on validation data be?

# %% no-help tags=["nbval-ignore-output"]
plain = train_grid(
    digits,
    "all-labels",
    "mlp-16",
    temperatures=(1, 2, 4, 8),
    lams=(0, 0.3, 0.6, 0.9, 1),
    seeds=8,
    epochs=40,
    teacher=teacher,
)
plots.surface(plain)

# %% no-help-report tags=["nbval-ignore-output"]
chosen, on_test = report(plain)
real = (~plain.difference_interval().holds_zero).sum(1)
for temperature, cells in zip(plain.temperatures, real, strict=True):
    print(f"T = {temperature:g}: {cells} cells where a difference was measured")
assert chosen[0] == 1 or chosen[1] == 0
assert abs(on_test.mean()) < 0.005
assert difference_verdict(*torch.from_numpy(plain.accuracy[3, [-1, 0]])) == "worse"

# %% no-help-explained [markdown]
# At T = 1 nothing can be measured: the teacher repeats what the labels say. At higher temperatures the tiny student is
# *worse* in this budget, as in lesson 04. And the best mean? Some cell always has it, so there is always a ring, here in a
# hatched row or on the student alone. **A ring says which cell is highest, not that it is higher.** Where the chosen
# cell shows no measurable difference, report just that, and take the cheaper one: no distillation.

# %% nothing-intro [markdown]
# ## What chance can do
#
# Suppose that T and λ did *nothing at all*. We can have that: 320 students alone that differ in their seed only. We hand
# them out at random to the cells of a surface and call them what we like. **Predict**: of 16 cells with nothing behind
# them, how many will look real, *unhatched*? And in what share of such surfaces will there be at least one?

# %% nothing tags=["nbval-ignore-output"]
crowd = train_grid(
    digits,
    "all-labels",
    "mlp-16",
    temperatures=[1],
    lams=[0],
    seeds=range(1000, 1320),
    epochs=20,
    teacher=teacher,
)


def surface_of_nothing(draw):
    """A surface whose cells hold students alone, handed out at random: 16 cells and an arm alone."""
    order = np.random.default_rng(draw).permutation(len(crowd.seeds))[: 17 * 8]
    arms = crowd.val_accuracy[0, 0, order].reshape(17, 8)
    cells = arms[1:].reshape(4, 4, 8)
    alone = np.broadcast_to(arms[0], (4, 1, 8))
    return replace(plain, val_accuracy=np.concatenate([alone, cells], 1))


# %% nothing-panel tags=["nbval-ignore-output"]
draws = IntSlider(0, min=0, max=30, description="draw")
nothing = Panel([draws], lambda: plots.surface(surface_of_nothing(draws.value)))
draws.observe(nothing.redraw, "value")
nothing

# %% nothing-explained [markdown]
# Move the slider: each draw hands the same students out anew. There is a ring in every picture, there are numbers with a decimal,
# and every so often a cell without hatching, about which somebody could write a paragraph.

# %% alarm-task [markdown]
# ## How often is that?
#
# A 95 % interval misses the truth in one of twenty cases; that is what 95 % means. Now there are several intervals,
# independent of each other. How likely is it that **at least one** of them misses zero, though nothing is behind any?


# %% nbgrader={"grade": false, "grade_id": "false-alarm-chance", "locked": false, "schema_version": 3, "solution": true, "task": false}
def false_alarm_chance(comparisons, level):
    """The chance, from 0 to 1, that at least one of several independent intervals misses the truth.

    comparisons: how many intervals there are, a whole number of at least 1.
    level: the confidence of each one, between 0 and 1, such as 0.95.
    """
    ### BEGIN SOLUTION
    return 1 - level**comparisons
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-false-alarm-chance", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks.check(false_alarm_chance)
### BEGIN HIDDEN TESTS
for comparisons in (1, 2, 5, 40):
    level = 0.7 + 0.29 * torch.rand(1).item()
    chance = torch.as_tensor(false_alarm_chance(comparisons, level)).reshape(()).item()
    assert abs(chance - (1 - level**comparisons)) < 1e-4
### END HIDDEN TESTS

# %% alarms-intro [markdown]
# The calculation against the experiment: 16 comparisons of ten seeds with ten others, again and again.

# %% alarms tags=["nbval-ignore-output"]
accuracies, draw = crowd.val_accuracy.ravel(), np.random.default_rng(0)
careful = 1 - 0.05 / 16  # one in twenty, shared out to 16 intervals
alarms, careful_alarms = [], []
for _ in range(500):
    one, other = draw.permutation(accuracies).reshape(2, 16, 10)
    alarms.append(~metrics.confidence_interval(one - other).holds_zero)
    wider = metrics.confidence_interval(one - other, level=careful)
    careful_alarms.append(~wider.holds_zero)
per_cell, any_cell = np.mean(alarms), np.any(alarms, 1).mean()
any_careful = np.any(careful_alarms, 1).mean()
print(f"a cell looks real in {per_cell:.1%} of cases, at least one of 16 in {any_cell:.0%}")
print(f"calculated: {false_alarm_chance(1, 0.95):.1%} and {false_alarm_chance(16, 0.95):.0%}")
print(f"with intervals of {careful:.2%}: at least one of 16 in {any_careful:.0%}")
assert 0.03 < per_cell < 0.07
assert abs(any_cell - false_alarm_chance(16, 0.95)) < 0.12
assert any_careful < 0.12

# %% alarms-explained [markdown]
# Whoever looks at many cells will find something. Three remedies, from cheap to dear:
# * **Choose one cell, confirm it once** on data that had no part in the choice: one comparison, one interval. That is
#   what you did above. (With fresh seeds too, where you can afford them.)
# * **Share out the error**: for m comparisons take intervals of confidence 1 − 0.05/m (Bonferroni). Then all of them
#   together raise a false alarm at most as often as one did before. They are wider, so that small differences need more seeds.
# * **Look for a pattern**: a whole row that is orange, as at high T above, is no accident of one cell. But beware: all cells
#   of a surface are compared with the *same* student alone. If its seeds were unlucky, they all look good together.

# %% peeking-intro [markdown]
# ## What chance does to those who peek
#
# Twenty groups each train 16 students of our crowd, which differ in their seed alone, and report their best one. Honest groups
# choose it on validation data and then look at the test part. The others choose on the test part itself. **Predict**: by how
# much will the test accuracy of the second kind look better?

# %% peeking tags=["nbval-ignore-output"]
val, test = (part.reshape(20, 16) for part in (crowd.val_accuracy, crowd.accuracy))
group = np.arange(20)
honest, peeked = test[group, val.argmax(1)], test[group, test.argmax(1)]
gained = {
    "chosen on validation, seen on validation": val.max(1) - val.mean(1),
    "chosen on validation, seen on the test part": honest - test.mean(1),
    "chosen on the test part, seen there": peeked - test.mean(1),
}
for name, over_the_average in gained.items():
    interval = metrics.confidence_interval(over_the_average)
    print(f"{name}: {metrics.in_points(interval)} against an average student")
peeking = metrics.confidence_interval(peeked - honest)
print(f"what peeking adds: {metrics.in_points(peeking)}")
assert peeking.low > 0.0005
assert (val.max(1) - val.mean(1)).mean() > (honest - test.mean(1)).mean() + 0.002

# %% peeking-explained [markdown]
# Nobody invented anything here, and yet one kind of group reports a larger "improvement" than the other. The best of
# many is partly good and partly lucky *on those examples*; only examples that had no part in the choice separate the two. The
# first line shows the same of validation data, which is why we do not report that number either. (Some of the honest
# gain is real, for these very students: they did get better weights by luck. For the *settings* it is worth nothing: the next
# seed gets its own luck.) The more you try, the larger the effect; with single runs it is at its worst, since a mean over seeds leaves less to
# luck.

# %% pitfalls [markdown]
# ## What could go wrong
#
# * **The best of five seeds reported** as if it were the method: a maximum over seeds grows with the number of seeds.
# * **The arm alone tuned less**: twenty settings tried for the distilled student, one for the other. Give both the same
#   number of tries, the same budget, the same seeds.
# * **"Not measurable" read as "equal"**: few seeds hide small differences. The interval says how large one could still be.
# * **Seeds as the only spread**: they say what another start would do, not what another test part would. A difference
#   of two or three test images is small even if every seed shows it.
# * **The optimum at the edge of the grid**: if the highest T is the best one, the grid was too small.

# %% questions [markdown]
# ## Questions
#
# 1. In the first surface, is the ringed cell better than its neighbours? What would you compute to find out?
# 2. We reported the very students that had helped to choose. Which part of their luck is gone on the test part, and which
#    part is still in the number? How would you get rid of that, too?
# 3. With the error of 0.05 shared out among 16 cells, how much wider does an interval over eight seeds become?

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-report", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# **To hand in**: a paper trains students for 30 settings of T and λ, one run each, and reports that of the best test accuracy,
# next to a single run without distillation. Name two things that make its gain look too large, and say how you would
# do it with the same number of runs or a few more.
#
# <!-- BEGIN SOLUTION -->
# The best of 30 was picked on the test part, so its accuracy holds the luck of that pick; and the other side had one try
# instead of 30, and one seed, so that no interval can be given. Instead: fewer settings with several seeds each, student alone
# included with the same seeds; choose by the mean on validation data; then, once, report the paired difference of the chosen
# setting on the test part with its 95 % interval, and say "no measurable difference" where it holds zero.
#
# Rubric:
# * 1 point: names two of: chosen on the test part; best of many against a single try; single runs, so luck of the seed
# * 1 point: chooses on validation data by a mean over seeds, and reports a paired difference with interval on the test part once
# <!-- END SOLUTION -->
