"""Lesson 05: what an answer that judges a difference or chooses settings must do, and how likely mistakes show.

Both functions give one of a few values, so that one case says little. Every likely mistake is computed on all cases,
and the one that explains all the answers given is named.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from course.answers import Answer, Task, close, number_in, shown
from course.reference import fresh, match
from toolkit import metrics

# ---- Is a difference real? -----------------------------------------------------------------------------------

NONE = "no measurable difference"
Arms = tuple[Tensor, Tensor]  # accuracies of the distilled students and of those alone, each (seeds,)


def _of_interval(mean: float, half: float) -> str:
    if math.isnan(half) or abs(mean) <= half:
        return NONE
    return "better" if mean > 0 else "worse"


def _paired(
    arms: Arms, quantile: float = 0.975, freedom: int = -1, ddof: int = 1, power: float = 0.5, normal: bool = False
) -> str:
    """Judge by an interval of the paired differences: the right one, unless an option says otherwise."""
    distilled, alone = (arm.double().numpy() for arm in arms)
    differences, n = distilled - alone, len(distilled)
    if n == 1:
        return NONE
    factor = stats.norm.ppf(quantile) if normal else stats.t.ppf(quantile, n + freedom)
    return _of_interval(differences.mean(), factor * differences.std(ddof=ddof) / n**power)


def _unpaired(arms: Arms) -> str:
    if len(arms[0]) == 1:
        return NONE
    n, (first, second) = len(arms[0]), arms
    error = math.sqrt((first.double().var() + second.double().var()).item() / n)
    return _of_interval((first - second).double().mean().item(), stats.t.ppf(0.975, 2 * n - 2) * error)


def _intervals_apart(arms: Arms) -> str:
    """Judge by whether the two arms' own intervals overlap."""
    if len(arms[0]) == 1:
        return NONE
    halves = [stats.t.ppf(0.975, len(arm) - 1) * arm.double().std().item() / math.sqrt(len(arm)) for arm in arms]
    return _of_interval((arms[0] - arms[1]).double().mean().item(), sum(halves))


def _of_variance(arms: Arms) -> str:
    n, differences = len(arms[0]), (arms[0] - arms[1]).double()
    if n == 1:
        return NONE
    return _of_interval(differences.mean().item(), stats.t.ppf(0.975, n - 1) * differences.var().item() / math.sqrt(n))


def _all_seeds_agree(arms: Arms) -> str:
    differences = arms[0] - arms[1]
    return "better" if bool((differences > 0).all()) else "worse" if bool((differences < 0).all()) else NONE


def _of_median(arms: Arms) -> str:
    n, differences = len(arms[0]), (arms[0] - arms[1]).double().numpy()
    if n == 1:
        return NONE
    half = stats.t.ppf(0.975, n - 1) * differences.std(ddof=1) / math.sqrt(n)
    return _of_interval(float(np.median(differences)), half)


def _renamed(**names: str) -> Callable[[Arms], str]:
    return lambda arms: names.get(_paired(arms), _paired(arms))


def _equal_arms_are(verdict: str) -> Callable[[Arms], str]:
    return lambda arms: verdict if torch.equal(*arms) else _paired(arms)


_WRONG_VERDICTS: dict[str, Callable[[Arms], str]] = {
    "the sign is the wrong way round: better means that the distilled students are": _renamed(
        better="worse", worse="better"
    ),
    "a difference below zero is called better, too": _renamed(worse="better"),
    "your function never says worse": _renamed(worse=NONE),
    "your function never says better": _renamed(better=NONE),
    "only the sign of the mean difference counts: how sure it is plays no part": lambda arms: _of_interval(
        (arms[0] - arms[1]).double().mean().item(), 0.0
    ),
    "a quantile of the normal distribution (1.96) is used: with few seeds Student's t is wider": lambda arms: _paired(
        arms, normal=True
    ),
    "a quantile of the normal distribution (1.96) is used, and the spread divides by n, not by n − 1": lambda arms: (
        _paired(arms, normal=True, ddof=0)
    ),
    "the spread divides by n, not by n − 1": lambda arms: _paired(arms, ddof=0),
    "the t quantile has n degrees of freedom; a mean of n differences leaves n − 1": lambda arms: _paired(
        arms, freedom=0
    ),
    "the t quantile has 2n − 2 degrees of freedom, as for two unpaired arms": lambda arms: _paired(
        arms, freedom=len(arms[0]) - 2
    ),
    "the interval is one-sided: 2.5 % belong beyond each of its ends": lambda arms: _paired(arms, quantile=0.95),
    "the interval is wider than 95 %": lambda arms: _paired(arms, quantile=0.995),
    "the spread of single differences is used: that of their *mean* is smaller by √n": lambda arms: _paired(
        arms, power=0
    ),
    "the spread is divided by n, where that of a mean is smaller by √n": lambda arms: _paired(arms, power=1),
    "the differences are summed up; their mean is needed": lambda arms: _paired(arms, power=1.5),
    "the interval is around the median of the differences; their mean is needed": _of_median,
    "a variance is used where a standard deviation belongs": _of_variance,
    "the two arms are taken as unpaired: students of one seed belong together": _unpaired,
    "each arm has an interval of its own: students of one seed belong together, and their difference has one": (
        _intervals_apart
    ),
    "the seeds are asked to agree, whatever their spread": _all_seeds_agree,
    "equal arms are called better: an interval that only touches zero holds it, and equal arms make no difference": (
        _equal_arms_are("better")
    ),
    "equal arms are called worse: an interval that only touches zero holds it, and equal arms make no difference": (
        _equal_arms_are("worse")
    ),
    "your function says for every input that there is no measurable difference": lambda arms: NONE,
}


def _arms(differences: Sequence[float], alone: Sequence[float]) -> Arms:
    """Make two arms with these differences; both in float64, rounded as somebody would write them down."""
    first = torch.tensor(alone, dtype=torch.double)
    return (first + torch.tensor(differences, dtype=torch.double)).round(decimals=4), first


# Public cases, each near the place where one mistake would decide otherwise, and none near the border itself.
_PUBLIC_ARMS = (
    _arms([0.020, 0.026, 0.031, 0.023], [0.901, 0.912, 0.897, 0.905]),  # plainly better
    _arms([-0.020, -0.026, -0.031, -0.023], [0.941, 0.952, 0.937, 0.945]),  # plainly worse
    _arms([0.004, 0.013, 0.001, 0.010], [0.921, 0.932, 0.917, 0.925]),  # t = 2.56, between 1.96 and 3.18
    _arms([0.010, 0.013, 0.009, 0.012], [0.85, 0.93, 0.81, 0.90]),  # real when paired, lost in the spread when not
    _arms(
        [0.004, 0.002, 0.011, -0.001, 0.009, 0.012, 0.001, 0.006, 0.008],
        [0.921, 0.918, 0.925, 0.917, 0.922, 0.923, 0.916, 0.92, 0.919],
    ),  # t = 3.8, n = 9
    _arms([-0.007, -0.003, -0.004], [0.943, 0.931, 0.938]),  # t = −3.9, where 4.3 decides: three seeds
    _arms([0.010] * 11 + [-0.036], [0.92 + 0.001 * k for k in range(12)]),  # one seed undoes what the median sees
    _arms([0.0, 0.0, 0.0], [0.91, 0.93, 0.92]),  # the same students on both sides
)


def difference_verdict(answer: Answer) -> None:
    """Diagnose the verdict on paired differences over seeds."""
    cases = [*_PUBLIC_ARMS, *_random_arms()]
    given = [_said(answer, arms) for arms in cases]
    expected = [_paired(arms) for arms in cases]
    if given != expected:
        fits = (name for name, rule in _WRONG_VERDICTS.items() if [rule(arms) for arms in cases] == given)
        name = next(fits, "the verdict is wrong")
        first = next(i for i, (one, other) in enumerate(zip(given, expected, strict=True)) if one != other)
        if first >= len(_PUBLIC_ARMS):
            raise answer.wrong(f"{name} (on random accuracies of {len(cases[first][0])} seeds)")
        distilled, alone = cases[first]
        case = f"distilled {shown(distilled)}, alone {shown(alone)}"
        raise answer.wrong(name, case, expected[first], given[first])
    for dtype in (torch.float32, torch.float64):
        one_seed = torch.tensor([0.95], dtype=dtype), torch.tensor([0.90], dtype=dtype)
        if (said := _said(answer, one_seed, "for a single seed")) != NONE:
            raise answer.wrong("a single seed says nothing of the spread", "distilled [0.95], alone [0.9]", NONE, said)


def _said(answer: Answer, arms: Arms, situation: str = "") -> str:
    """Run the answer on copies, and insist on one of the three verdicts."""
    distilled, alone = arms
    situation = situation or f"on accuracies of {len(distilled)} seeds"
    result = answer(distilled.clone(), alone.clone(), situation=situation)
    if not isinstance(result, str):
        raise answer.wrong(
            f"your function returns a {type(result).__name__}, not one of the three verdicts as a string"
        )
    if str(result) not in ("better", "worse", NONE):
        raise answer.wrong(f"your function returns {str(result)[:60]!r}, which is none of the three verdicts")
    return str(result)


def _random_arms() -> list[Arms]:
    """Arms that nobody can foresee, with t values well apart from the quantile that decides, of both signs."""
    signs = fresh(1).sign().item()
    cases = []
    for number, (n, t) in enumerate(_T_VALUES):
        sign = signs * (-1) ** number
        for dtype in (torch.float32, torch.float64):
            cases.append(arms_with(n, sign * t, dtype=dtype))
    cases += [arms_with(6, 6.0 * signs, common=8.0), arms_with(6, 6.0 * signs, spread=3e-4)]
    cases += [arms_with(n, t * signs, spread=0.2) for n, t in ((5, 0.2), (9, 0.4))]
    cases.append(arms_with(6, -2.2 * signs, common=0.0, opposite=True))
    return cases


# Seeds, and mean difference over its standard error. The quantiles that decide: 12.7 for 2 seeds, 4.30 for 3, 3.18 for 4,
# 2.57 for 6, 2.31 for 9, 2.20 for 12, 2.045 for 30.
_T_VALUES = (
    *((2, 20.0), (2, 8.0), (3, 3.75), (3, 3.35), (3, 2.5), (4, 2.5), (4, 1.8), (4, 9.0), (4, 9.0)),
    *((6, 2.25), (6, 2.1), (6, 3.3), (9, 4.0), (9, 1.3), (3, 4.1), (3, 4.8), (12, 2.08), (30, 2.02)),
)


def arms_with(
    n: int,
    t: float,
    common: float = 1.0,
    opposite: bool = False,
    spread: float = 0.01,
    dtype: torch.dtype = torch.float64,
) -> Arms:
    """Draw two arms whose paired differences have a t value.

    ``spread`` is that of the differences, and ``common`` how much larger the one is that both arms share; with ``opposite``
    one arm is high where the other is low.
    """
    noise = fresh(n, dtype=torch.double)
    noise = (noise - noise.mean()) / noise.std()
    differences = spread * (noise + t / math.sqrt(n))
    level = 0.8 + spread * common * fresh(n, dtype=torch.double, scale=1.0)
    alone = level - differences / 2 if opposite else level
    return (alone + differences).to(dtype), alone.to(dtype)


# ---- Which settings? -----------------------------------------------------------------------------------------

Grid = tuple[Tensor, list[float], list[float]]  # validation accuracy [temperature, lam, seed], temperatures, lams
Settings = tuple[float, float]


def _settings(score: Any, grid: Grid) -> Settings:
    """Give the settings with the highest score; of equal ones the first."""
    score, (_, temperatures, lams) = np.asarray(score), grid
    t, lam = np.unravel_index(score.argmax(), score.shape)
    return temperatures[t], lams[lam]


def _right_settings(grid: Grid) -> Settings:
    return _settings(grid[0].double().mean(-1), grid)


def _one_by_one(grid: Grid) -> Settings:
    accuracy, temperatures, lams = grid[0].double(), grid[1], grid[2]
    return temperatures[int(accuracy.mean((1, 2)).argmax())], lams[int(accuracy.mean((0, 2)).argmax())]


def _last_of_equals(grid: Grid) -> Settings:
    flipped = grid[0].flip(0, 1), grid[1][::-1], grid[2][::-1]
    return _right_settings(flipped)


def _lams_first(grid: Grid) -> Settings:
    t, lam = _right_settings((grid[0].transpose(0, 1), grid[2], grid[1]))[::-1]
    return t, lam


def _index(grid: Grid) -> Settings:
    t, lam = _right_settings(grid)
    return float(grid[1].index(t)), float(grid[2].index(lam))


def _in_sorted_lists(grid: Grid) -> Settings:
    t, lam = _index(grid)
    return sorted(grid[1])[int(t)], sorted(grid[2])[int(lam)]


def _without_alone(grid: Grid) -> Settings:
    score = grid[0].double().mean(-1)
    score[:, [lam == 0 for lam in grid[2]]] = -torch.inf
    return _settings(score, grid)


def _by_gain(grid: Grid) -> Settings:
    mean = grid[0].double().mean(-1)
    return _settings(mean - mean[:, [lam == 0 for lam in grid[2]]], grid)


_WRONG_CHOICES: dict[str, Callable[[Grid], Settings]] = {
    "the best single run is taken (the maximum over seeds): a lucky seed wins that": lambda grid: _settings(
        grid[0].amax(-1), grid
    ),
    "the setting with the lowest mean is chosen": lambda grid: _settings(-grid[0].double().mean(-1), grid),
    "the worst seed of each setting decides; its mean should": lambda grid: _settings(grid[0].amin(-1), grid),
    "the median over seeds decides; the mean should": lambda grid: _settings(grid[0].median(-1).values, grid),
    "the setting with the smallest spread is chosen": lambda grid: _settings(
        -grid[0].double().std(-1, correction=0), grid
    ),
    "the mean minus the spread decides; the mean alone should": lambda grid: _settings(
        grid[0].double().mean(-1) - grid[0].double().std(-1, correction=0), grid
    ),
    "only the first seed counts": lambda grid: _settings(grid[0][..., 0], grid),
    "only the last seed counts": lambda grid: _settings(grid[0][..., -1], grid),
    "T and λ are chosen one by one: the best pair need not lie in the best row and the best column": _one_by_one,
    "your result holds indices; the values of T and λ are needed": _index,
    "the two values are in the wrong order: temperature first, then λ": lambda grid: _right_settings(grid)[::-1],
    "the lists are taken as sorted: entry [i, j] belongs to temperatures[i] and lams[j], in the order given": (
        _in_sorted_lists
    ),
    "the student alone (λ = 0) is left out, but it is a candidate too": _without_alone,
    "the difference from λ = 0 in the same row decides; the mean accuracy should": _by_gain,
    "of several settings with the same mean, the last one is taken": _last_of_equals,
    "of several settings with the same mean, the one with the first λ is taken; the first temperature comes first": (
        _lams_first
    ),
}

_PUBLIC_GRID: Grid = (
    torch.tensor(
        [
            [[0.90, 0.90, 0.91], [0.91, 0.95, 0.90], [0.93, 0.88, 0.89]],
            [[0.90, 0.90, 0.91], [0.92, 0.94, 0.92], [0.89, 0.91, 0.93]],
        ]
    ),
    [2.0, 8.0],
    [0.0, 0.5, 1.0],
)


def choose_settings(answer: Answer) -> None:
    """Diagnose the choice of T and λ by mean validation accuracy."""
    cases = [_PUBLIC_GRID, *_random_grids(), *_tied_grids()]
    given = [_pair(answer, grid) for grid in cases]
    expected = [_right_settings(grid) for grid in cases]
    wrong = [i for i in range(len(cases)) if not close(given[i], expected[i])]
    if not wrong:
        return
    name = next((name for name, rule in _WRONG_CHOICES.items() if _explains(rule, cases, given)), None)
    if name is None and all(_are_places(*pair, grid) for grid, pair in zip(cases, given, strict=True)):
        name = "your result holds places in the lists, and not even those of the highest mean: values are needed"
    if wrong[0] == 0:
        case = f"accuracies {shown(_PUBLIC_GRID[0])}, temperatures [2, 8], lams [0, 0.5, 1]"
        raise answer.wrong(name or "the settings are wrong", case, shown(list(expected[0])), shown(list(given[0])))
    ties = len(cases) - _TIED_GRIDS
    where = "where several settings have the same mean" if wrong[0] >= ties else _shape(cases[wrong[0]])
    raise answer.wrong(name or f"the settings are wrong {where}")


def _explains(rule: Callable[[Grid], Settings], cases: list[Grid], given: list[Settings]) -> bool:
    return all(close(result, rule(grid)) for grid, result in zip(cases, given, strict=True))


def _are_places(first: float, second: float, grid: Grid) -> bool:
    return first in range(len(grid[1])) and second in range(len(grid[2]))


def _shape(grid: Grid) -> str:
    temperatures, lams, seeds = grid[0].shape
    return f"for {temperatures} temperatures, {lams} λ, seeds: {seeds}"


def _pair(answer: Answer, grid: Grid) -> Settings:
    """Run the answer on copies, and insist on two numbers."""
    accuracy, temperatures, lams = grid
    result = answer(accuracy.clone(), list(temperatures), list(lams), situation=_shape(grid))
    if isinstance(result, Tensor | np.ndarray) and result.shape == (2,):
        result = result.tolist()
    if not isinstance(result, tuple | list):
        raise answer.wrong(f"your function returns a {type(result).__name__}, not the pair (temperature, lam)")
    if len(result) != 2:
        raise answer.wrong(f"your function returns {len(result)} values, not the pair (temperature, lam)")
    return _number(answer, result[0]), _number(answer, result[1])


def _number(answer: Answer, value: Any) -> float:
    if (number := number_in(value)) is None:
        raise answer.wrong(f"your pair holds a {type(value).__name__}, where a number is needed")
    return number


def _random_grids() -> list[Grid]:
    """Grids that nobody can foresee, on which no likely mistake hits upon the right settings; then very small ones."""
    grids = [grid_with_one_winner(*shape) for shape in ((4, 3, 5), (2, 5, 4), (5, 3, 6), (3, 5, 4))]
    grids.append(grid_with_one_winner(3, 4, 5, winner_alone=True))
    grids += [(fresh(*shape, scale=0.1) + 0.5, _values(shape[0], 1, 9), _values(shape[1], 0, 1)) for shape in _SMALL]
    return [(accuracy.to(dtype), t, lam) for accuracy, t, lam in grids for dtype in (torch.float32, torch.float64)]


_SMALL = ((1, 1, 1), (1, 4, 1), (3, 1, 2))


def _values(count: int, low: float, high: float) -> list[float]:
    """Draw distinct numbers in no order, one of them ``low``."""
    order = fresh(count).argsort()
    return (low + (high - low) * order.double() / max(count - 1, 1)).tolist()


def grid_with_one_winner(temperatures: int, lams: int, seeds: int, winner_alone: bool = False) -> Grid:
    """Draw a grid whose best mean stands apart, and on which every likely mistake but those about ties shows."""
    while True:
        grid = (
            (0.8 + fresh(temperatures, lams, seeds, dtype=torch.double, scale=0.03)),
            _values(temperatures, 1.5, 9.5),
            _values(lams, 0, 1),
        )
        best, second = grid[0].mean(-1).flatten().topk(2).values.tolist()
        right = _right_settings(grid)
        hidden_here = (_last_of_equals, _lams_first) if winner_alone else (_last_of_equals, _lams_first, _without_alone)
        others = (rule for rule in _WRONG_CHOICES.values() if rule not in hidden_here)
        if best - second > 2e-3 and (right[1] == 0) == winner_alone and all(rule(grid) != right for rule in others):
            return grid


_TIED_GRIDS = 2


def _tied_grids() -> list[Grid]:
    """Grids of exact binary fractions: five settings share the highest mean in any way of computing it."""
    grids = []
    for dtype in (torch.float32, torch.float64):
        accuracy = (fresh(3, 4, 4).abs().clamp(max=2) * 2).round() / 8  # 0 … 0.5
        first, *others = [(0, 2), (0, 3), (1, 0), (1, 3), (2, 1)]
        for cell, row in ((first, [0.75, 0.75, 0.5, 1.0]), *((cell, [1.0, 0.5, 0.75, 0.75]) for cell in others)):
            accuracy[cell] = torch.tensor(row)
        grids.append((accuracy.to(dtype), [4.0, 1.0, 2.0], [0.25, 0.6, 0.5, 0.0]))
    return grids


# ---- How often does nothing look like something? -------------------------------------------------------------


def false_alarm_chance(answer: Answer) -> None:
    """Diagnose the chance that at least one of several independent intervals misses zero by chance."""
    cases = [(3, 0.6), (20, 0.95), (1, 0.95), (3, 0.99), (7, 0.8), (16, 0.6 + 0.3 * torch.sigmoid(fresh(1)).item())]
    for comparisons, level in cases:
        case = f"{comparisons} comparisons, level {shown(level)}"
        result = answer(comparisons, level, situation=f"for {case}")
        number = number_in(result)
        if number is None:
            raise answer.wrong(f"your function returns a {type(result).__name__}, not a number")
        expected = 1 - level**comparisons
        mistakes = {
            "this is the chance that *none* of them misses zero": level**comparisons,
            "chances of single intervals are added up, which can exceed 1: two may miss at once": comparisons
            * (1 - level),
            "chances of single intervals are added up, and the sum is cut off at 1: two may miss at once": min(
                1.0, comparisons * (1 - level)
            ),
            "this is the chance that *all* of them miss zero": (1 - level) ** comparisons,
            "this is the chance that not all of them miss zero": 1 - (1 - level) ** comparisons,
            "the number of comparisons has no effect": 1 - level,
            "the level has no effect: this is the chance at a level of 95 %": 1 - 0.95**comparisons,
            "this is the chance that exactly one misses zero; several may": comparisons
            * (1 - level)
            * level ** (comparisons - 1),
            "this is a percentage; a chance between 0 and 1 is needed": 100 * expected,
            "this divides the chance by the number of comparisons: that is what one interval could be allowed": (
                1 - level
            )
            / comparisons,
        }
        match(answer, number, expected, case, mistakes)


TASKS = {
    "difference_verdict": Task(
        difference_verdict,
        (
            "Students of the same seed had the same start and the same batches. What is the one number per seed to look at?",
            "You have n differences. Their mean has an uncertainty that shrinks as n grows: it has a √ in it.",
            "The spread was itself estimated, from n values around their own mean. That costs one degree of freedom.",
            "How far the interval reaches to each side is a quantile times a standard error; stats.t.ppf knows the quantile."
            " Which share lies below the upper end, if 95 % lie between both ends?",
            "Two cases need no interval: one seed, and differences that are all zero. Try both.",
        ),
        (metrics.confidence_interval, metrics.verdict),
    ),
    "choose_settings": Task(
        choose_settings,
        (
            "A setting should not win by one lucky seed. What do you do with the last axis first?",
            "Then there is one number per setting. You need the place of the largest, in a table of two axes.",
            "argmax gives a place in the flattened table; how many columns has a row? Or loop over both lists.",
            "The place is not the answer: look up what stands there in the two lists, in the order in which they came.",
        ),
        (),
    ),
    "false_alarm_chance": Task(
        false_alarm_chance,
        (
            "“At least one” is laborious to count. What is its opposite?",
            "Independent chances are multiplied. How likely is it that one interval holds zero, and that all of them do?",
            "What is left over up to 1 is what is asked for.",
        ),
        (),
    ),
}
