"""Lesson 09: what an answer that measures latency, keeps to budgets or follows a tree must do, and how likely mistakes show.

Latency is measured on a clock of our own (``course/stopwatch.py``), so that every answer has the same seconds to find. Each
likely mistake is tried on all cases, and the one that explains all the answers given is named.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course.answers import Answer, Incorrect, Task, number_in, shown
from course.reference import fresh
from course.stopwatch import Clock, Work
from toolkit import deploy, readable

# ---- How long does one run take? -----------------------------------------------------------------------------

Timed = tuple[
    list[float], int, int, float
]  # what each run takes, how many are warm-up, how many count, the clock's start
_UP_FOR_A_DAY = 100_000.0  # clocks of this kind count from when the machine was started

_PUBLIC_RUNS: Timed = ([8.0, 5.0, 1.0, 2.0, 4.0], 2, 3, 100.0)

# Given what each run takes, warm-up first, and how many are warm-up: what a mistake makes of it.
_WRONG_SECONDS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "the warm-up is in your result; its runs are made, but do not count": lambda s, w: s,
    "your seconds are those of the first runs: the warm-up is to be over before anything counts": lambda s, w: s[
        : len(s) - w
    ],
    "each run is timed from the beginning, so that your seconds add up: the clock is read anew before every run": (
        lambda s, w: s[w:].cumsum(0)
    ),
    "each run is timed from before the warm-up, so that your seconds add up": lambda s, w: s.cumsum(0)[w:],
    "the warm-up is in the first of your runs: the clock is to be read after it": lambda s, w: torch.cat(
        [s[: w + 1].sum().reshape(1), s[w + 1 :]]
    ),
    "your seconds are negative: the later reading comes first in the difference": lambda s, w: -s[w:],
    "your numbers are in milliseconds; seconds are needed": lambda s, w: 1000 * s[w:],
    "your numbers are in microseconds; seconds are needed": lambda s, w: 1e6 * s[w:],
    "your seconds are sorted; they are needed in the order of the runs": lambda s, w: s[w:].sort().values,
    "the slowest runs are left out instead of the first": lambda s, w: s.sort().values[: len(s) - w],
    "every run has the same number, the mean; how much they differ is what the tail is about": lambda s, w: (
        s[w:].mean().expand(len(s) - w)
    ),
    "all of your seconds are 0: are both readings made before, or both after the run?": lambda s, w: 0 * s[w:],
}


def seconds_per_run(answer: Answer) -> None:
    """Diagnose the seconds that each of some runs takes, after a warm-up."""
    cases = [_PUBLIC_RUNS, *timed_runs()]
    given = [_measured(answer, case) for case in cases]
    wrong = [i for i, case in enumerate(cases) if not _same_seconds(given[i], _expected(case))]
    if not wrong:
        return
    name = next((name for name, rule in _WRONG_SECONDS.items() if _all_like(cases, given, rule)), None)
    case, seconds = cases[wrong[0]], given[wrong[0]]
    if wrong[0] == 0:
        raise answer.wrong(name or "the seconds are wrong", _public_runs(), shown(_expected(case)), shown(seconds))
    if name is None and case[3] == _UP_FOR_A_DAY and len(seconds) == case[2]:
        name = (
            "your seconds are inexact: the clock stands at 100,000 s, of which float32 keeps no milliseconds. Take the "
            "difference of two readings before it becomes a tensor"
        )
    raise answer.wrong(name or f"the seconds are wrong with warm_up {case[1]} and {case[2]} runs")


def _public_runs() -> str:
    return "five runs that take 8, 5, 1, 2 and 4 s; warm_up 2, runs 3"


def _expected(case: Timed) -> Tensor:
    return torch.tensor(case[0][case[1] :], dtype=torch.double)


def _same_seconds(actual: Tensor, expected: Tensor) -> bool:
    return actual.shape == expected.shape and torch.allclose(actual, expected, rtol=1e-3, atol=1e-9)


def _all_like(cases: list[Timed], given: list[Tensor], rule: Callable[[Tensor, int], Tensor]) -> bool:
    pairs = zip(given, cases, strict=True)
    return all(_same_seconds(seconds, rule(torch.tensor(c[0], dtype=torch.double), c[1])) for seconds, c in pairs)


def _measured(answer: Answer, case: Timed) -> Tensor:
    """Let the answer measure, and insist on one number for each run, made as often as was asked for."""
    durations, warm_up, runs, start = case
    clock = Clock(start)
    work = Work(clock, list(durations))
    result = answer(work, clock, warm_up, runs, situation=f"with warm_up {warm_up} and {runs} runs")
    if clock.readings == 0:
        raise answer.wrong("`clock` is never called: time is to be read from it, so that a check can set it")
    if work.calls == 0:
        raise answer.wrong("`run` is never called: are its brackets missing?")
    if work.calls < warm_up + runs:
        raise answer.wrong(
            f"`run` is called {work.calls} times with warm_up {warm_up} and {runs} runs; {warm_up + runs} are needed, "
            "the warm-up and those that count"
        )
    if work.calls > warm_up + runs:
        raise answer.wrong(
            f"`run` is called {work.calls} times with warm_up {warm_up} and {runs} runs; {warm_up + runs} are enough"
        )
    if type(result) is not Tensor:
        raise answer.wrong(f"your function returns a {type(result).__name__}, not a torch.Tensor")
    if not result.is_floating_point():
        raise answer.wrong(f"your function returns numbers of type {result.dtype}, not floating-point ones")
    if result.ndim != 1:
        raise answer.wrong(
            f"your result has the shape {tuple(result.shape)}; one number for each run that counts is needed, (runs,)"
        )
    return result.detach().double()


def timed_runs() -> list[Timed]:
    """Draw runs that take milliseconds nobody can foresee: the warm-up is not always slow, and what is slow need not be warm-up."""
    cases = []
    for warm_up, runs, start in ((3, 9, 5.0), (2, 12, _UP_FOR_A_DAY), (0, 6, 2.0), (7, 1, 0.0), (1, 5, _UP_FOR_A_DAY)):
        # Shorter runs would be inexact in float32 already where the clock stands at 5 s.
        seconds = (0.004 * (0.4 * fresh(warm_up + runs, dtype=torch.double)).exp()).clamp(min=0.001).tolist()
        seconds[warm_up] *= 9
        cases.append((seconds, warm_up, runs, start))
    return cases


# ---- What meets both budgets? --------------------------------------------------------------------------------

Models = tuple[list[str], Tensor, Tensor, Tensor, int, float]  # names, accuracies, bytes, seconds, and the two budgets


def _meets(case: Models, strictly: bool = False) -> list[int]:
    _, _, nbytes, latency, max_bytes, max_latency = case
    small, fast = (
        (nbytes < max_bytes, latency < max_latency) if strictly else (nbytes <= max_bytes, latency <= max_latency)
    )
    return [i for i in range(len(nbytes)) if small[i] and fast[i]]


def _ranked(case: Models, places: Sequence[int], *keys: Callable[[int], float]) -> list[str]:
    names, accuracy, nbytes, _, _, _ = case
    usual = (lambda i: -float(accuracy[i]), lambda i: float(nbytes[i]))
    order = keys or usual
    return [names[i] for i in sorted(places, key=lambda i: tuple(key(i) for key in order))]


def _right_models(case: Models) -> list[str]:
    return _ranked(case, _meets(case))


_WRONG_MODELS: dict[str, Callable[[Models], list[str]]] = {
    "the right models, in the order in which they came; the most accurate comes first": lambda c: _ranked(
        c, _meets(c), float
    ),
    "the right models, the least accurate first": lambda c: _right_models(c)[::-1],
    "the right models, the smallest first; the most accurate comes first": lambda c: _ranked(
        c, _meets(c), lambda i: float(c[2][i])
    ),
    "the right models, the fastest first; the most accurate comes first": lambda c: _ranked(
        c, _meets(c), lambda i: float(c[3][i])
    ),
    "of two that are equally accurate the larger comes first in your result; it should be the smaller": lambda c: (
        _ranked(c, _meets(c), lambda i: -float(c[1][i]), lambda i: -float(c[2][i]))
    ),
    "of two that are equally accurate yours come in the order given; the smaller should be first": lambda c: _ranked(
        c, _meets(c), lambda i: -float(c[1][i])
    ),
    "of two that are equally accurate the faster comes first in your result; it should be the smaller": lambda c: (
        _ranked(c, _meets(c), lambda i: -float(c[1][i]), lambda i: float(c[3][i]))
    ),
    "a model that needs exactly as much as a budget allows meets it": lambda c: _ranked(c, _meets(c, strictly=True)),
    "one budget is enough in your result; both must be met": lambda c: _ranked(
        c, [i for i in range(len(c[0])) if c[2][i] <= c[4] or c[3][i] <= c[5]]
    ),
    "the latency budget has no effect": lambda c: _ranked(c, [i for i in range(len(c[0])) if c[2][i] <= c[4]]),
    "the bytes have no effect": lambda c: _ranked(c, [i for i in range(len(c[0])) if c[3][i] <= c[5]]),
    "no budget has any effect": lambda c: _ranked(c, range(len(c[0]))),
    "your models are those that do *not* meet the budgets": lambda c: _ranked(
        c, [i for i in range(len(c[0])) if i not in _meets(c)]
    ),
    "only the best one is in your result; all that meet both budgets are needed": lambda c: _right_models(c)[:1],
    "models that are equally accurate are in your result once; each of them is a choice": lambda c: [
        name
        for i, name in enumerate(_right_models(c))
        if i == 0 or _accuracy_of(c, name) != _accuracy_of(c, _right_models(c)[i - 1])
    ],
    "the most accurate of all is looked for first; where it breaks a budget nothing is left, though others meet both": (
        lambda c: _right_models(c) if _ranked(c, range(len(c[0])))[0] in _right_models(c) else []
    ),
}


def _accuracy_of(case: Models, name: str) -> float:
    return float(case[1][case[0].index(name)])


_PUBLIC_MODELS: Models = (
    ["large", "twin", "small", "tiny", "slow"],
    torch.tensor([0.98, 0.95, 0.95, 0.90, 0.97], dtype=torch.double),
    torch.tensor([90_000, 8_000, 4_000, 1_000, 6_000]),
    torch.tensor([0.004, 0.001, 0.002, 0.001, 0.009], dtype=torch.double),
    8_000,
    0.002,
)


def within_budget(answer: Answer) -> None:
    """Diagnose the names of the models that meet both budgets, the most accurate first."""
    cases = [_PUBLIC_MODELS, *budgets()]
    given = [_names(answer, case) for case in cases]
    wrong = [i for i, case in enumerate(cases) if given[i] != _right_models(case)]
    if not wrong:
        return
    pairs = list(zip(cases, given, strict=True))
    name = next(
        (name for name, rule in _WRONG_MODELS.items() if all(rule(case) == names for case, names in pairs)), None
    ) or ("these are the right models, in the wrong order" if _same_models(pairs) else None)
    case = cases[wrong[0]]
    if wrong[0] == 0:
        raise answer.wrong(
            name or "the models are wrong",
            "large .98, 90,000 bytes, 4 ms; twin .95, 8,000, 1 ms; small .95, 4,000, 2 ms; tiny .90, 1,000, 1 ms; "
            "slow .97, 6,000, 9 ms; budgets 8,000 bytes and 0.002 s",
            _right_models(case),
            given[0],
        )
    raise answer.wrong(name or f"the models are wrong {_budget_situation(case)}")


def _same_models(pairs: Sequence[tuple[Models, list[str]]]) -> bool:
    return all(sorted(names) == sorted(_right_models(case)) for case, names in pairs)


def _budget_situation(case: Models) -> str:
    return f"where {len(_meets(case))} of {len(case[0])} models meet both budgets"


def _names(answer: Answer, case: Models) -> list[str]:
    """Run the answer on copies, and insist on a list of names."""
    names, *tensors, max_bytes, max_latency = case
    given = [tensor.clone() for tensor in tensors]
    own = list(names)
    result = answer(own, *given, max_bytes, max_latency, situation=_budget_situation(case))
    if own != names:
        raise answer.wrong("your function changes the list of names that it is given")
    if isinstance(result, str):
        raise answer.wrong("your function returns a single name; a list of all that meet both budgets is needed")
    if type(result) not in (list, tuple):
        raise answer.wrong(f"your function returns a {type(result).__name__}, where a list of names is needed")
    if any(number_in(part) is not None for part in result):
        raise answer.wrong("your list holds numbers; the names of the models are needed")
    for part in result:
        if type(part) is not str:
            raise answer.wrong(f"your list holds a {type(part).__name__}, where names are needed")
    return list(result)


def budgets() -> list[Models]:
    """Draw models that nobody can foresee, with twins in accuracy and models that need exactly the budget; both float widths."""
    cases = []
    for count, kind in itertools.product((8, 14), ("some", "some", "best breaks one", "none")):
        dtype = torch.float32 if count == 8 else torch.float64
        order = fresh(count).argsort().tolist()
        accuracy = (0.8 + 0.01 * (fresh(count).argsort() // 2)).to(dtype)
        accuracy[: count // 2] = accuracy[count // 2 : 2 * (count // 2)]  # twins
        nbytes = 1000 * (1 + fresh(count).argsort()) + fresh(count).argsort()
        latency = (0.001 * (1 + fresh(count).argsort())).to(dtype)
        max_bytes, max_latency = int(nbytes.sort().values[-2]), float(latency.sort().values[-3])
        if kind == "best breaks one":
            accuracy[int(nbytes.argmax())] = 0.999
        if kind == "none":
            max_bytes = int(nbytes.min()) - 1
        names = [f"mlp-{8 + 4 * place}" for place in order]
        cases.append((names, accuracy, nbytes, latency, max_bytes, max_latency))
    return cases


# ---- How does a tree decide? ---------------------------------------------------------------------------------

Tree = tuple[Tensor, Tensor, Tensor, Tensor]  # feature, threshold, left, right, each (nodes,)
Followed = tuple[Tree, Tensor]  # and one example (features,)
Visited = list[int]  # the nodes that it visits
_LONGEST = 60


def _walk(case: Followed, goes_left: Callable[[float, float], bool], *, start: int = 0, of: Any = None) -> list[int]:
    """Follow an example: the right way with ``<=``, unless an option says otherwise. Gives up where it goes in circles."""
    (feature, threshold, left, right), x = case
    nodes = [start]
    while int(left[nodes[-1]]) != -1 and len(nodes) < _LONGEST:
        here = nodes[-1]
        place = int(feature[here]) if of is None else of(here, feature) % len(x)
        nodes.append(int(left[here] if goes_left(float(x[place]), float(threshold[here])) else right[here]))
    return nodes


def _right_path(case: Followed) -> list[int]:
    return _walk(case, lambda value, threshold: value <= threshold)


def _walk_to(
    case: Followed, left_of: Callable[[Tree, int], int], right_of: Callable[[Tree, int], int]
) -> Visited | None:
    """Follow an example to other children than a tree's own; None where that leads to a node that does not exist."""
    tree, x = case
    feature, threshold, left, _ = tree
    nodes = [0]
    while int(left[nodes[-1]]) != -1 and len(nodes) < _LONGEST:
        here = nodes[-1]
        goes_left = float(x[int(feature[here])]) <= float(threshold[here])
        nodes.append(left_of(tree, here) if goes_left else right_of(tree, here))
        if nodes[-1] >= len(left):
            return None
    return nodes


def _value_of_node(case: Followed) -> Visited | None:
    """Follow an example by the value with the number of the node; None where there is no such value."""
    nodes = _walk(case, lambda value, threshold: value <= threshold, of=lambda here, feature: here)
    return None if any(node >= len(case[1]) for node in nodes[:-1]) else nodes


def _features_asked(case: Followed) -> list[int]:
    return [int(case[0][0][node]) for node in _right_path(case)[:-1]]


# None stands for an IndexError: the mistake leads out of an array.
_WRONG_PATHS: dict[str, Callable[[Followed], Visited | None]] = {
    "an example whose value *is* the threshold goes left": lambda c: _walk(c, lambda v, t: v < t),
    "left and right are exchanged: at most the threshold goes left": lambda c: _walk(c, lambda v, t: v > t),
    "left and right are exchanged: at most the threshold goes left (and so does what equals it)": lambda c: _walk(
        c, lambda v, t: v >= t
    ),
    "the leaf is missing: the last node that is visited asks nothing, but belongs to the path": lambda c: _right_path(
        c
    )[:-1],
    "the root is missing: the path begins with node 0": lambda c: _right_path(c)[1:],
    "only the leaf is in your result; the whole path is needed": lambda c: _right_path(c)[-1:],
    "the path is the wrong way round: it begins at the root": lambda c: _right_path(c)[::-1],
    "these are the features that are asked for; the nodes are needed": _features_asked,
    "these are the features that are asked for, and the leaf's own entry; the nodes are needed": lambda c: [
        int(c[0][0][node]) for node in _right_path(c)
    ],
    "the value with the number of the *node* is looked at; node n asks for the value with the number feature[n]": (
        lambda c: _walk(c, lambda v, t: v <= t, of=lambda here, feature: here)
    ),
    "the value with the number of the *node* is looked at, until there is none of that number (IndexError); node n asks for "
    "the value with the number feature[n]": _value_of_node,
    "the children are looked for at 2n + 1 and 2n + 2, which here leads to nodes that do not exist (IndexError); these "
    "nodes are numbered otherwise: left[n] and right[n] say where the children are": lambda c: _walk_to(
        c, lambda tree, n: 2 * n + 1, lambda tree, n: 2 * n + 2
    ),
    "the left child is looked for at 2n + 1, which here leads to nodes that do not exist (IndexError); left[n] says where "
    "it is": lambda c: _walk_to(c, lambda tree, n: 2 * n + 1, lambda tree, n: int(tree[3][n])),
    "the left child is looked for at the next node, n + 1; left[n] says where it is": lambda c: _walk_to(
        c, lambda tree, n: n + 1, lambda tree, n: int(tree[3][n])
    ),
    "the first value is looked at, whatever a node asks for": lambda c: _walk(
        c, lambda v, t: v <= t, of=lambda here, feature: 0
    ),
    "every example goes left": lambda c: _walk(c, lambda v, t: True),
    "every example goes right": lambda c: _walk(c, lambda v, t: False),
    "the absolute value is compared with the threshold": lambda c: _walk(c, lambda v, t: abs(v) <= t),
    "every value is compared with 0 rather than with the threshold of the node": lambda c: _walk(
        c, lambda v, t: v <= 0
    ),
    "the walk ends after one step; it goes on until a leaf": lambda c: _right_path(c)[:2],
    "the leaf is in your result twice": lambda c: [*_right_path(c), _right_path(c)[-1]],
    "your result ends with −1, which is no node: it says that there is nothing below": lambda c: [*_right_path(c), -1],
    "these are 0 and 1, or left and right; the nodes are needed": lambda c: [
        int(after == int(c[0][3][here])) for here, after in itertools.pairwise(_right_path(c))
    ],
}

# Node 0 asks for value 1, node 1 for value 0; 2, 3 and 4 are leaves.
_PUBLIC_TREE: Followed = (
    (
        torch.tensor([1, 0, -2, -2, -2]),
        torch.tensor([0.5, 3.0, -2.0, -2.0, -2.0], dtype=torch.double),
        torch.tensor([1, 2, -1, -1, -1]),
        torch.tensor([4, 3, -1, -1, -1]),
    ),
    torch.tensor([7.0, 0.5], dtype=torch.double),
)


# Right at node 0 comes node 2 in any numbering; below it 7 and 8, where n + 1 gives 3, 2n + 1 gives 5 and 2n + 2 gives 6.
_NUMBERED: Tree = (
    torch.tensor([4, 3, 1, -2, 2, -2, -2, -2, -2]),
    torch.zeros(9),
    torch.tensor([1, 3, 7, -1, 5, -1, -1, -1, -1]),
    torch.tensor([2, 4, 8, -1, 6, -1, -1, -1, -1]),
)


def decision_path(answer: Answer) -> None:
    """Diagnose the nodes that one example visits in a tree."""
    cases = [_PUBLIC_TREE, *trees()]
    given, problems = _paths(answer, cases)
    wrong = [i for i, case in enumerate(cases) if given[i] != _right_path(case)]
    if not wrong:
        return
    pairs = list(zip(cases, given, strict=True))
    name = next((name for name, rule in _WRONG_PATHS.items() if all(rule(c) == nodes for c, nodes in pairs)), None)
    case = cases[wrong[0]]
    if name is None and problems:
        raise problems[0]
    if wrong[0] == 0:
        raise answer.wrong(
            name or "the path is wrong",
            "feature [1, 0, −2, −2, −2], threshold [0.5, 3, −2, −2, −2], left [1, 2, −1, −1, −1], "
            "right [4, 3, −1, −1, −1], x [7, 0.5]",
            _right_path(case),
            given[0],
        )
    raise answer.wrong(name or f"the path is wrong {_tree_situation(case)}")


def _paths(answer: Answer, cases: Sequence[Followed]) -> tuple[list[Visited | None], list[Incorrect]]:
    """Follow every example; None where the answer raises an IndexError, and what is to be said of it if nothing explains it."""
    given: list[Visited | None] = []
    problems: list[Incorrect] = []
    for case in cases:
        try:
            given.append(_path(answer, case))
        except Incorrect as problem:
            if not problem.behaviour.startswith("your function raises IndexError"):
                raise
            given.append(None)
            problems.append(problem)
    return given, problems


def _tree_situation(case: Followed) -> str:
    nodes, visited = len(case[0][0]), len(_right_path(case))
    if nodes == 1:
        return "in a tree that is a single leaf"
    return f"in a tree of {nodes} nodes, of which {visited} should be visited"


def _path(answer: Answer, case: Followed) -> Visited:
    """Run the answer on copies, and insist on whole numbers."""
    arrays, x = case
    result = answer(*(array.clone() for array in arrays), x.clone(), situation=_tree_situation(case))
    if type(result) in (Tensor, np.ndarray) and result.ndim == 1:
        result = [part.item() for part in result]
    if type(result) not in (list, tuple):
        raise answer.wrong(f"your function returns a {type(result).__name__}, where a list of nodes is needed")
    numbers = [number_in(part) for part in result]
    if any(number is None for number in numbers):
        raise answer.wrong("your list holds something else than whole numbers: node numbers are needed")
    if any(not math.isfinite(number) or number % 1 for number in numbers if number is not None):
        raise answer.wrong("your list holds numbers that are not whole: thresholds or values? Node numbers are needed")
    return [int(number) for number in numbers if number is not None]


def trees() -> list[Followed]:
    """Draw trees of several sizes, some of them lopsided, with their nodes numbered at random; a single leaf too."""
    cases: list[Followed] = [
        (tuple(part[2:3] for part in _PUBLIC_TREE[0]), torch.zeros(3)),  # type: ignore[list-item]
    ]
    for leaves, dtype in itertools.product((3, 6, 12), (torch.float32, torch.float64)):
        tree = _grown(leaves, dtype)
        for _ in range(3):
            cases.append((tree, fresh(5, dtype=dtype)))
        at_threshold = fresh(5, dtype=dtype)
        at_threshold[int(tree[0][0])] = tree[1][0]
        cases.append((tree, at_threshold))
    return [*cases, *((_NUMBERED, torch.tensor([0.0, side, 0.0, 0.0, 1.0])) for side in (-1.0, 1.0))]


def _grown(leaves: int, dtype: torch.dtype) -> Tree:
    """Grow a tree: a leaf drawn by lot becomes a question, until there are so many leaves. Five features."""
    nodes = 2 * leaves - 1
    feature, left, right = (torch.full((nodes,), empty) for empty in (-2, -1, -1))
    threshold = torch.full((nodes,), -2.0, dtype=dtype)
    now_leaves, numbers = [0], iter((1 + fresh(nodes - 1).argsort()).tolist())
    for _ in range(leaves - 1):
        here = now_leaves.pop(int(fresh(len(now_leaves)).argmax()))
        left[here], right[here] = below = next(numbers), next(numbers)
        feature[here], threshold[here] = int(fresh(5).argmax()), fresh(1, dtype=dtype, scale=0.7)[0]
        now_leaves += below
    return feature, threshold, left, right


TASKS = {
    "seconds_per_run": Task(
        seconds_per_run,
        (
            "How often is run() called in all? Which of these calls does the clock have to do with?",
            "Two loops after one another: one that warms up, and one that measures.",
            "A reading just before the run and one just after it: what lies between is one number of your result.",
            "Collect plain Python numbers, and make a tensor of them at the end.",
        ),
        (deploy.latency,),
    ),
    "within_budget": Task(
        within_budget,
        (
            "Two questions, one after the other: which models are allowed at all, and in which order?",
            "Who needs exactly as much as the budget allows, has met it.",
            "sorted(…, key=…) takes a key of two parts: what decides, and what decides where the first is equal.",
            "It sorts upwards. What must be done to the accuracy for the highest to come first?",
        ),
        (deploy.choose,),
    ),
    "decision_path": Task(
        decision_path,
        (
            "Begin with the root in your list. What must be true for the walk to go on?",
            "Node n asks: is x[feature[n]] at most threshold[n]? Yes goes to left[n], no to right[n].",
            "At a leaf left[n] is −1. As an index −1 would mean the last node: so ask before you step.",
            "The node in which you stand is the last of your list; each step appends one.",
        ),
        (readable.followed,),
    ),
}
