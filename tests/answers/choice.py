"""Answers to lesson 05: the verdict on a difference, the choice of settings, the chance of a false alarm."""

import statistics

import numpy as np
import torch
from scipy import stats

from answers import right, shortcut, wrong
from toolkit import metrics

NONE = "no measurable difference"

# ---- difference_verdict --------------------------------------------------------------------------------------

name = "difference_verdict"


def said(mean, half):
    if mean - half <= 0 <= mean + half or half != half:
        return NONE
    return "better" if mean > 0 else "worse"


def verdict(distilled, alone, *, q=0.975, free=-1, ddof=1, power=0.5, quantile=None):
    d = (distilled - alone).double().numpy()
    if len(d) == 1:
        return NONE
    quantile = quantile or stats.t.ppf(q, len(d) + free)
    return said(d.mean(), quantile * d.std(ddof=ddof) / len(d) ** power)


def variant(**options):
    return lambda distilled, alone: verdict(distilled, alone, **options)


right(name)(verdict)


@right(name)
def in_torch(distilled, alone):
    differences = distilled - alone
    n = differences.numel()
    if n < 2:
        return NONE
    half = stats.t.ppf(1 - 0.05 / 2, df=n - 1) * differences.std() / torch.tensor(float(n)).sqrt()
    low, high = differences.mean() - half, differences.mean() + half
    return "better" if low > 0 else "worse" if high < 0 else NONE


@right(name)
def by_p_value(distilled, alone):
    if len(alone) < 2 or torch.equal(distilled, alone):
        return NONE
    test = stats.ttest_rel(distilled.numpy(), alone.numpy())
    return NONE if test.pvalue >= 0.05 else "better" if test.statistic > 0 else "worse"


@right(name)
def by_scipys_interval(distilled, alone):
    d = [one - other for one, other in zip(distilled.tolist(), alone.tolist(), strict=True)]
    if len(d) == 1 or not any(d):
        return NONE
    low, high = stats.t.interval(0.95, len(d) - 1, loc=statistics.mean(d), scale=stats.sem(d))
    return NONE if low <= 0 <= high else ("worse", "better")[int(low > 0)]


@right(name)
class Verdict:
    """Loops, a class, and a test statistic instead of an interval."""

    def __new__(cls, distilled, alone):
        total, squares, n = 0.0, 0.0, len(alone)
        for i in range(n):
            total += float(distilled[i]) - float(alone[i])
        for i in range(n):
            squares += (float(distilled[i]) - float(alone[i]) - total / n) ** 2
        if n == 1 or squares == 0 == total:
            return NONE
        t = total / n / (squares / (n - 1) / n) ** 0.5
        return NONE if abs(t) <= stats.t.isf(0.025, n - 1) else "better" if t > 0 else "worse"


def swapped(distilled, alone):
    return verdict(alone, distilled)


def renamed(**names):
    return lambda *arms: names.get(verdict(*arms), verdict(*arms))


def unpaired(distilled, alone):
    if len(alone) == 1 or torch.equal(distilled, alone):
        return NONE
    test = stats.ttest_ind(distilled.numpy(), alone.numpy())
    return NONE if test.pvalue >= 0.05 else "better" if test.statistic > 0 else "worse"


def two_intervals(distilled, alone):
    if len(alone) == 1:
        return NONE
    half = sum(stats.t.ppf(0.975, len(a) - 1) * a.std().item() / len(a) ** 0.5 for a in (distilled, alone))
    return said((distilled.mean() - alone.mean()).item(), half)


def variance(distilled, alone):
    d = distilled - alone
    return NONE if len(d) == 1 else said(d.mean(), stats.t.ppf(0.975, len(d) - 1) * d.var() / len(d) ** 0.5)


def median(distilled, alone):
    d = (distilled - alone).double().numpy()
    return NONE if len(d) == 1 else said(np.median(d), stats.t.ppf(0.975, len(d) - 1) * stats.sem(d))


def unanimous(distilled, alone):
    return "better" if (distilled > alone).all() else "worse" if (distilled < alone).all() else NONE


def strict(distilled, alone):
    if len(alone) == 1:
        return NONE
    d = (distilled - alone).double()
    half = stats.t.ppf(0.975, len(d) - 1) * d.std() / len(d) ** 0.5
    return NONE if d.mean() - half < 0 < d.mean() + half else "better" if d.mean() > 0 else "worse"


def of_the_sum(distilled, alone):
    d = (distilled - alone).double()
    return NONE if len(d) == 1 else said(d.sum(), stats.t.ppf(0.975, len(d) - 1) * d.std() / len(d) ** 0.5)


def changes_input(distilled, alone):
    return verdict(distilled.sub_(alone), torch.zeros_like(alone))


def one_seed_counts(distilled, alone):
    return verdict(distilled, alone) if len(alone) > 1 else said((distilled - alone).item(), 0)


wrong(name, "equal arms make no difference")(
    lambda first, second: "better" if torch.equal(first, second) and len(first) > 1 else verdict(first, second)
)
wrong(name, "equal arms make no difference")(
    lambda first, second: "worse" if torch.equal(first, second) and len(first) > 1 else verdict(first, second)
)
wrong(name, "the sign is the wrong way round")(swapped)
wrong(name, "a difference below zero is called better, too")(renamed(worse="better"))
wrong(name, "never says worse")(renamed(worse=NONE))
wrong(name, "only the sign of the mean difference counts")(
    lambda d, a: NONE if len(a) == 1 else said((d - a).double().mean(), 0)
)
wrong(name, "a quantile of the normal distribution (1.96) is used: with few seeds")(variant(quantile=1.96))
wrong(name, "the verdict is wrong")(
    lambda d, a: said((m := (d - a).double()).mean().item(), stats.t.ppf(0.975, len(m) - 1) * m.std().item() / max(1, len(m) - 1) ** 0.5)
)  # fmt: skip
wrong(name, "the verdict is wrong")(
    lambda d, a: NONE if abs((d - a).mean()) < 0.005 else said((m := (d - a).double()).mean().item(), stats.t.ppf(0.975, len(m) - 1) * m.std().item() / len(m) ** 0.5)
)  # fmt: skip
wrong(name, "normal distribution")(variant(quantile=2.0))
wrong(name, "(1.96) is used, and the spread divides by n, not by n − 1")(variant(quantile=1.96, ddof=0))
wrong(name, "the spread divides by n, not by n − 1")(variant(ddof=0))
wrong(name, "n degrees of freedom")(variant(free=0))
wrong(name, "2n − 2 degrees of freedom")(lambda d, a: verdict(d, a, free=len(a) - 2))
wrong(name, "one-sided")(variant(q=0.95))
wrong(name, "wider than 95 %")(variant(q=0.995))
wrong(name, "of single differences is used")(variant(power=0))
wrong(name, "the spread is divided by n, where")(variant(power=1))
wrong(name, "around the median")(median)
wrong(name, "a variance is used")(variance)
wrong(name, "taken as unpaired")(unpaired)
wrong(name, "each arm has an interval of its own")(two_intervals)
wrong(name, "asked to agree")(unanimous)
wrong(name, "says for every input")(lambda d, a: NONE)
wrong(name, "equal arms make no difference")(strict)
wrong(name, "the differences are summed up")(of_the_sum)
wrong(name, "a single seed says nothing")(one_seed_counts)
wrong(name, "changes its input in place")(changes_input)
wrong(name, "none of the three verdicts")(renamed(better="Better!"))
wrong(name, "not one of the three verdicts as a string")(lambda d, a: verdict(d, a) == "better")
wrong(name, "is a return missing?")(lambda d, a: None if verdict(d, a) == "better" else NONE)

shortcut(name)(lambda d, a: metrics.verdict(metrics.confidence_interval((d - a).numpy())))
shortcut(name)(lambda d, a: said(*(lambda i: (i.mean, i.high - i.mean))(metrics.confidence_interval((d - a).numpy()))))

# ---- choose_settings -----------------------------------------------------------------------------------------

name = "choose_settings"


def at(score, temperatures, lams):
    t, lam = np.unravel_index(int(np.argmax(score)), score.shape)
    return temperatures[t], lams[lam]


right(name)(lambda v, ts, lams: at(v.double().mean(-1).numpy(), ts, lams))


@right(name)
def loops(v, ts, lams):
    best, chosen = float("-inf"), None
    for i, t in enumerate(ts):
        for j, lam in enumerate(lams):
            runs = [float(x) for x in v[i, j]]
            if sum(runs) / len(runs) > best:
                best, chosen = sum(runs) / len(runs), (t, lam)
    return chosen


@right(name)
def by_sum(v, ts, lams):
    place = torch.einsum("tls->tl", v).flatten().argmax().item()
    return [ts[place // len(lams)], lams[place % len(lams)]]


@right(name)
def as_a_tensor(v, ts, lams):
    pairs = torch.cartesian_prod(torch.tensor(ts), torch.tensor(lams))
    return pairs[v.mean(dim=2).reshape(-1).argmax()]


@right(name)
def by_max_of_a_dictionary(v, ts, lams):
    means = {(t, lam): v[i, j].mean().item() for i, t in enumerate(ts) for j, lam in enumerate(lams)}
    return max(means, key=means.get)


def scored(score):
    return lambda v, ts, lams: at(score(v.double()).numpy(), ts, lams)


def one_by_one(v, ts, lams):
    return ts[v.mean((1, 2)).argmax()], lams[v.mean((0, 2)).argmax()]


def last(v, ts, lams):
    best, chosen = -1.0, None
    for i, t in enumerate(ts):
        for j, lam in enumerate(lams):
            if (mean := v[i, j].double().mean().item()) >= best:
                best, chosen = mean, (t, lam)
    return chosen


def lams_first(v, ts, lams):
    lam, t = at(v.double().mean(-1).T.numpy(), lams, ts)
    return t, lam


def only_distilled(v, ts, lams):
    keep = [j for j, lam in enumerate(lams) if lam > 0]
    return loops(v[:, keep], ts, [lams[j] for j in keep]) if keep else (ts[0], lams[0])


def smallest_of_equals(v, ts, lams):
    means = v.double().mean(-1)
    return min((lam, t) for i, t in enumerate(ts) for j, lam in enumerate(lams) if means[i, j] == means.max())[::-1]


def by_gain(v, ts, lams):
    means = v.double().mean(-1)
    return at((means - means[:, lams.index(0)][:, None]).numpy(), ts, lams)


def second_best(v, ts, lams):
    means = v.mean(-1)
    return at(torch.where(means == means.max(), 0, means).numpy(), ts, lams)


wrong(name, "the maximum over seeds")(scored(lambda v: v.amax(-1)))
wrong(name, "the lowest mean")(scored(lambda v: -v.mean(-1)))
wrong(name, "the worst seed of each setting")(scored(lambda v: v.amin(-1)))
wrong(name, "the median")(scored(lambda v: v.median(-1).values))
wrong(name, "the smallest spread")(scored(lambda v: -v.std(-1, correction=0)))
wrong(name, "only the first seed")(scored(lambda v: v[..., 0]))
wrong(name, "only the last seed")(scored(lambda v: v[..., -1]))
wrong(name, "one by one")(one_by_one)
wrong(name, "indices")(lambda v, ts, lams: tuple(divmod(v.mean(-1).argmax().item(), len(lams))))
wrong(name, "and not even those of the highest mean")(
    lambda v, ts, lams: tuple(divmod(v.amax(-1).argmax().item(), len(lams)))
)
wrong(name, "wrong order")(lambda v, ts, lams: loops(v, ts, lams)[::-1])
wrong(name, "taken as sorted")(lambda v, ts, lams: loops(v, sorted(ts), sorted(lams)))
wrong(name, "the student alone (λ = 0) is left out")(only_distilled)
wrong(name, "the difference from λ = 0 in the same row")(by_gain)


def last_lam_of_first_temperature(v, ts, lams):
    mean = v.double().mean(-1)
    row = next(row for row in mean if row.max() == mean.max())
    column = max(k for k, value in enumerate(row) if value == row.max())
    return ts[[bool((one == row).all()) for one in mean].index(True)], lams[column]


wrong(name, "where several settings have the same mean")(last_lam_of_first_temperature)
wrong(name, "the last one is taken")(last)
wrong(name, "the first temperature comes first")(lams_first)
wrong(name, "where several settings have the same mean")(smallest_of_equals)
wrong(name, "the settings are wrong")(second_best)
wrong(name, "your function raises")(lambda v, ts, lams: (ts[(p := v.mean(-1).argmax()) // len(ts)], lams[p % len(ts)]))
wrong(name, "returns a float, not the pair")(lambda v, ts, lams: v.mean(-1).max().item())
wrong(name, "returns 3 values")(lambda v, ts, lams: (*loops(v, ts, lams), v.mean(-1).max()))
wrong(name, "is a return missing?")(lambda v, ts, lams: None)
wrong(name, "holds a str")(lambda v, ts, lams: tuple(map(str, loops(v, ts, lams))))
wrong(name, "changes its input in place")(lambda v, ts, lams: loops(v.mul_(2), ts, lams))

# ---- false_alarm_chance --------------------------------------------------------------------------------------

name = "false_alarm_chance"
right(name)(lambda n, level: 1 - level**n)
right(name)(lambda n, level: torch.tensor(1 - np.prod([level] * n)))
right(name)(lambda n, level: float(-np.expm1(n * np.log(level))))
right(name)(lambda n, level: stats.binom.sf(0, n, 1 - level))
wrong(name, "that *none* of them misses")(lambda n, level: level**n)
wrong(name, "added up")(lambda n, level: n * (1 - level))
wrong(name, "that *all* of them miss")(lambda n, level: (1 - level) ** n)
wrong(name, "not all of them miss")(lambda n, level: 1 - (1 - level) ** n)
wrong(name, "the number of comparisons has no effect")(lambda n, level: 1 - level)
wrong(name, "exactly one")(lambda n, level: stats.binom.pmf(1, n, 1 - level))
wrong(name, "a percentage")(lambda n, level: 100 * (1 - level**n))
wrong(name, "two may miss at once")(lambda n, level: min(1, n * (1 - level)))
wrong(name, "divides the chance by the number")(lambda n, level: (1 - level) / n)
wrong(name, "the level has no effect")(lambda n, level: 1 - 0.95**n)
wrong(name, "not a number")(lambda n, level: str(1 - level**n))
wrong(name, "is a return missing?")(lambda n, level: None)
