"""Lesson 07: what an answer that leaves out a class, or corrects for one, must do, and how likely mistakes show.

Many numbers are equally good corrections, so an answer is judged by the accuracy that its number achieves. Every likely
mistake is tried on all cases, and the one that explains all the answers given is named.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from course.answers import Answer, Task, close, number_in, shown
from course.reference import fresh
from toolkit import metrics

# ---- Which examples may stay? --------------------------------------------------------------------------------

UNLABELLED = -100
Labels = tuple[Tensor, int]  # labels of shape (examples,), and the class to leave out


def _places(mask: Tensor) -> Tensor:
    return mask.nonzero().flatten()


def _right_places(case: Labels) -> Tensor:
    return _places(case[0] != case[1])


_WRONG_PLACES: dict[str, Callable[[Labels], Tensor]] = {
    "only the examples of the class to leave out are kept; they are the ones to go": lambda case: _places(
        case[0] == case[1]
    ),
    "unlabelled examples (−100) are dropped, but nothing says that they are of that class: they stay": lambda case: (
        _places((case[0] != case[1]) & (case[0] != UNLABELLED))
    ),
    "only unlabelled examples (−100) are kept; all other classes stay too": lambda case: _places(case[0] == UNLABELLED),
    "your result holds the labels of the examples that stay; their indices are needed": lambda case: case[0][
        _right_places(case)
    ],
    "every example is kept": lambda case: torch.arange(len(case[0])),
    "indices count from 1 in your result; the first example has index 0": lambda case: _right_places(case) + 1,
    "class 3 is left out whatever left_out says": lambda case: _places(case[0] != 3),
    "the example at the *index* left_out is dropped; examples whose *label* it is are to go": lambda case: _places(
        torch.arange(len(case[0])) != case[1]
    ),
    "only classes below left_out are kept": lambda case: _places(case[0] < case[1]),
    "only classes above left_out are kept": lambda case: _places(case[0] > case[1]),
    "classes above left_out are kept, and unlabelled examples, but none of the classes below it": lambda case: _places(
        (case[0] > case[1]) | (case[0] == UNLABELLED)
    ),
    "your result is 0 or 1 for each example; the indices of those that stay are needed": lambda case: (
        case[0] != case[1]
    ).long(),
}

_PUBLIC_LABELS: Labels = (torch.tensor([7, 3, UNLABELLED, 0, 3, 7]), 3)


def without_class(answer: Answer) -> None:
    """Diagnose the indices of all examples that are not of the class left out."""
    cases = [_PUBLIC_LABELS, *_random_labels(), *_few_labels()]
    given = [_indices(answer, case) for case in cases]
    expected = [_right_places(case) for case in cases]
    wrong = [i for i in range(len(cases)) if not torch.equal(given[i], expected[i])]
    if not wrong:
        return
    name = next(
        (
            name
            for name, rule in _WRONG_PLACES.items()
            if all(torch.equal(result, rule(case)) for case, result in zip(cases, given, strict=True))
        ),
        None,
    ) or _as_a_set(given, expected)
    if wrong[0] == 0:
        case = f"labels {shown(_PUBLIC_LABELS[0])}, left_out {_PUBLIC_LABELS[1]}"
        raise answer.wrong(name or "the indices are wrong", case, shown(expected[0]), shown(given[0]))
    raise answer.wrong(name or f"the indices are wrong {_situation(cases[wrong[0]])}")


def _as_a_set(given: list[Tensor], expected: list[Tensor]) -> str | None:
    """Say whether the right indices are there, but not once each and in order."""
    if not all(set(one.tolist()) == set(other.tolist()) for one, other in zip(given, expected, strict=True)):
        return None
    if any(len(one) != len(other) for one, other in zip(given, expected, strict=True)):
        return "some indices come more than once"
    return "the right indices, in the wrong order: they should ascend"


def _situation(case: Labels) -> str:
    labels, left_out = case
    here, stay = int((labels == left_out).sum()), len(_right_places(case))
    if here == 0:
        return f"where no example of {len(labels)} has the class left out"
    return f"where {stay} of {len(labels)} examples stay, and class {left_out} is left out"


def _indices(answer: Answer, case: Labels) -> Tensor:
    """Run the answer on a copy, and insist on whole numbers, one for each example that stays."""
    labels, left_out = case
    result = answer(labels.clone(), left_out, situation=_situation(case))
    if type(result) is not Tensor:
        raise answer.wrong(f"your function returns a {type(result).__name__}, not a torch.Tensor")
    if result.dtype == torch.bool:
        raise answer.wrong(
            "your function returns a mask of True and False; the indices of those that stay are needed",
            f"labels {shown(labels)}, left_out {left_out}",
            shown(_right_places(case)),
            shown(result),
        )
    if result.shape == (0,):
        return result.long()  # a tensor made from an empty list is of floating point: that is no mistake
    if result.ndim != 1:
        raise answer.wrong(
            f"your result has the shape {tuple(result.shape)} {_situation(case)}; one axis is needed, (examples that stay,)"
        )
    if result.dtype != torch.int64:
        raise answer.wrong(f"your indices are of type {result.dtype}, where torch.int64 is needed")
    return result


def _random_labels() -> list[Labels]:
    """Labels that nobody can foresee, some of them unlabelled; the class left out is among them."""
    cases = []
    for examples, classes, left_out in ((60, 10, 3), (80, 10, 7), (40, 5, 0), (50, 6, 5), (30, 2, 1)):
        labels = fresh(examples, classes).argmax(1)
        labels[fresh(examples) > 1.5] = UNLABELLED
        labels[fresh(examples).argsort()[:3]] = torch.tensor([left_out, UNLABELLED, (left_out + 1) % classes])
        cases.append((labels, left_out))
    return cases


def _few_labels() -> list[Labels]:
    return [
        (torch.tensor([4, 2, 2]), 2),
        (torch.tensor([1, 0, 5]), 2),
        (torch.tensor([6]), 1),
        (torch.tensor([UNLABELLED]), 1),
        (torch.tensor([8, 8]), 8),
    ]


# ---- What to add to one class's logit ------------------------------------------------------------------------

Validation = tuple[Tensor, Tensor, int]  # logits (examples, classes), labels (examples,), the class to correct
_GRID = torch.arange(-200, 201, dtype=torch.double) / 10


def _predicted(case: Validation, bias: float, of_class: int | None = None) -> Tensor:
    logits = case[0].double().clone()
    logits[:, case[2] if of_class is None else of_class] += bias
    return logits.argmax(1)


def _count(case: Validation, bias: float, of_class: int | None = None) -> int:
    """Count the examples that are right with this bias."""
    return int((_predicted(case, bias, of_class) == case[1]).sum())


def _counts(case: Validation, of_class: int | None = None) -> list[int]:
    return [_count(case, bias, of_class) for bias in _GRID.tolist()]


def _near(bias: float) -> tuple[float, ...]:
    """Give a number and what rounding may have made of it: a range of equally good numbers has edges."""
    return bias, bias + 1e-4, bias - 1e-4


def _reaches(case: Validation, bias: float) -> bool:
    """Whether the best of the grid is reached."""
    best = max(_counts(case))
    return any(_count(case, near) >= best for near in _near(bias))


def _by_class(case: Validation, bias: float) -> float:
    """Give the mean of the accuracies within the classes that occur."""
    right = _predicted(case, bias) == case[1]
    return float(np.mean([right[case[1] == c].double().mean().item() for c in case[1].unique()]))


def _own(case: Validation, bias: float) -> int:
    """Count the examples of the class itself that are right."""
    return int((_predicted(case, bias)[case[1] == case[2]] == case[2]).sum())


def _best_of_other_class(case: Validation, bias: float, other: int) -> bool:
    return _count(case, bias, other) >= max(_counts(case, other))


def _best_of_signed(case: Validation, bias: float, sign: int) -> bool:
    one_sided = [count for count, b in zip(_counts(case), _GRID.tolist(), strict=True) if sign * b >= 0]
    return sign * bias >= 0 and _count(case, bias) >= max(one_sided)


def _needed(case: Validation) -> Tensor:
    """Give what each example's logit of the class lacks to be the highest."""
    others = case[0].double().clone()
    others[:, case[2]] = -torch.inf
    return others.amax(1) - case[0][:, case[2]].double()


# Whether a mistake explains a number; the right ones are explained by several of them, which is why all cases count.
_WRONG_BIASES: dict[str, Callable[[Validation, float], bool]] = {
    "the sign is the wrong way round: the number is *added* to the logit": lambda case, bias: _reaches(case, -bias),
    "this is the accuracy that is reached; the number that is added to reach it is needed": lambda case, bias: close(
        bias, max(_counts(case)) / len(case[1])
    ),
    "this is the number of right examples; the number that is added to the logit is needed": lambda case, bias: (
        bias == max(_counts(case))
    ),
    "this is a place in a list of candidates; the candidate itself is needed": lambda case, bias: (
        bias >= 0 and bias % 1 == 0 and (_reaches(case, bias / 10 - 20) or bias > 100)
    ),
    "the number is chosen for class 0, whatever of_class says": lambda case, bias: _best_of_other_class(case, bias, 0),
    "the number is chosen for class 3, whatever of_class says": lambda case, bias: _best_of_other_class(
        case, bias, min(3, case[0].shape[1] - 1)
    ),
    "the number is chosen for the last class, whatever of_class says": lambda case, bias: _best_of_other_class(
        case, bias, case[0].shape[1] - 1
    ),
    "the number is chosen for the class after of_class": lambda case, bias: _best_of_other_class(
        case, bias, (case[2] + 1) % case[0].shape[1]
    ),
    "the number is chosen for the class before of_class": lambda case, bias: _best_of_other_class(
        case, bias, (case[2] - 1) % case[0].shape[1]
    ),
    "no negative number is tried; a class that is chosen too often needs one": lambda case, bias: _best_of_signed(
        case, bias, 1
    ),
    "no positive number is tried; a class that is chosen too seldom needs one": lambda case, bias: _best_of_signed(
        case, bias, -1
    ),
    "the lowest accuracy is looked for": lambda case, bias: _count(case, bias) <= min(_counts(case)),
    "the class is chosen as often as it occurs in the labels; that need not give the highest accuracy": (
        lambda case, bias: abs(int((_predicted(case, bias) == case[2]).sum() - (case[1] == case[2]).sum())) <= 1
    ),
    "the mean of the class accuracies is highest; a class with few examples then counts as much as all others": (
        lambda case, bias: _by_class(case, bias) >= max(_by_class(case, b) for b in _GRID.tolist()) - 1e-9
    ),
    "only the examples of that class count: with this number many others become it, too": lambda case, bias: (
        _own(case, bias) >= _own(case, 20.0)
    ),
    "the number is a mean over examples of what is lacking, not one chosen for the highest accuracy": lambda case, bias: (
        any(
            close(bias, value)
            for value in (_needed(case).mean(), _needed(case)[case[1] == case[2]].mean(), _needed(case).median())
        )
    ),
}

_PUBLIC_VALIDATION: Validation = (
    torch.tensor(
        [
            [4.0, 1.0, 0.0],
            [2.0, 0.0, 3.0],
            [1.0, 1.0, 3.0],
            [3.0, 2.0, 1.0],
            [2.0, 1.5, 0.0],
            [1.0, 0.0, 5.0],
            [5.0, 0.5, 1.0],
        ]
    ),
    torch.tensor([0, 2, 2, 1, 1, 2, 1]),
    1,
)


def corrected_bias(answer: Answer) -> None:
    """Diagnose what is added to one class's logit so that validation accuracy is highest."""
    cases = [_PUBLIC_VALIDATION, *random_validations(), *_one_sided()]
    given = [_bias(answer, case) for case in cases]
    wrong = [i for i in range(len(cases)) if not _reaches(cases[i], given[i])]
    if not wrong:
        return
    pairs = list(zip(cases, given, strict=True))
    explains = lambda rule: all(any(rule(case, near) for near in _near(bias)) for case, bias in pairs)  # noqa: E731
    name: str | None
    if len(set(given)) == 1:  # many mistakes seem to explain that
        name = f"your function returns {shown(given[0])} whatever it is given: do all your candidates score the same?"
    else:
        name = next((name for name, rule in _WRONG_BIASES.items() if explains(rule)), None)
    case, bias = pairs[wrong[0]]
    best, yours, examples = max(_counts(case)), _count(case, bias), len(case[1])
    if wrong[0] == 0:
        raise answer.wrong(
            name or "another number gives a higher accuracy",
            f"logits {shown(case[0])}, labels {shown(case[1])}, of_class {case[2]}",
            f"a number from 1 to 2, with which {best} of {examples} are right",
            f"{shown(bias)}, with which {yours} of {examples} are right",
        )
    raise answer.wrong(
        f"{name or 'another number gives a higher accuracy'} ({_validation(case)}: with your {shown(bias)}, {yours} are "
        f"right, and {best} could be)"
    )


def _validation(case: Validation) -> str:
    examples = len(case[1])
    return f"{examples} example{'s' * (examples > 1)}, class {case[2]} of {case[0].shape[1]}"


def _bias(answer: Answer, case: Validation) -> float:
    """Run the answer on copies, and insist on one finite number."""
    logits, labels, of_class = case
    result = answer(logits.clone(), labels.clone(), of_class, situation=f"for {_validation(case)}")
    number = number_in(result)
    if number is None and isinstance(result, Tensor | np.ndarray):
        raise answer.wrong(f"your function returns numbers of shape {tuple(result.shape)}, where one number is needed")
    if number is None:
        raise answer.wrong(f"your function returns a {type(result).__name__}, not a number")
    if not math.isfinite(number):
        raise answer.wrong(f"your function returns {number}, which is not a finite number")
    return number


# Where the best range begins and how wide it is. Narrow ones show coarse steps; all are wide enough for steps of 0.1.
_RANGES = ((3.27, 0.4), (-4.73, 0.4), (0.23, 0.5), (8.2, 0.6), (-11.7, 0.6), (14.24, 0.5), (-0.77, 0.5))


def random_validations() -> list[Validation]:
    """Draw validation logits that nobody can foresee, whose best range is known; both float widths."""
    return [
        (logits.to(dtype), labels, of_class)
        for low, width in _RANGES
        for dtype in (torch.float32, torch.float64)
        for logits, labels, of_class in [validation_with_best_range(low, low + width)]
    ]


def validation_with_best_range(low: float, high: float, classes: int = 6) -> Validation:
    """Draw 40 examples for which the numbers from ``low`` to ``high``, and no others, give the highest accuracy.

    An example goes to the class once the bias exceeds what its logit lacks. Most examples of the class lack less than
    ``low``, and most others more than ``high``. Some of both lie on the wrong side, so that neither of them decides alone:
    so far out that more are lost on the way to them than they are.
    """
    own, others = fresh(12, dtype=torch.double).abs() + 0.3, fresh(28, dtype=torch.double).abs() + 0.3
    own[0] = others[0] = 0
    own[:9], others[:23] = own[:9].sort().values, others[:23].sort().values
    own[9:], others[23:] = others[3:5].mean(), own[5:7].mean()
    lacks = torch.cat([low - own[:9], high + own[9:], high + others[:23], low - others[23:]])
    logits = fresh(40, classes, dtype=torch.double)
    of_class = int(fresh(classes).argmax())
    logits[:, of_class] = -torch.inf
    highest, ranked = logits.topk(2)
    labels = ranked[:, 0]
    labels[:12] = of_class
    labels[33:35] = ranked[33:35, 1]  # wrong with any number
    logits[:, of_class] = highest[:, 0] - lacks
    order = fresh(40).argsort()
    return logits[order], labels[order], of_class


def _one_sided() -> list[Validation]:
    """Validation data that only a border decides: one example, or none of the class."""
    single = torch.tensor([[2.5, -1.0, 1.0]])
    none = torch.tensor([[1.0, 4.0, 0.0], [0.5, 0.0, 3.0], [3.0, 2.5, 0.0]])
    return [(single, torch.tensor([1]), 1), (single, torch.tensor([0]), 1), (none, torch.tensor([0, 2, 0]), 1)]


TASKS = {
    "without_class": Task(
        without_class,
        (
            "Ask of every label whether it is the class that goes. What of a label of −100: is it that class?",
            "A comparison gives True or False for each example. That is a mask, not yet indices.",
            "Which function of PyTorch says *where* a mask is True? Look at the shape of its result.",
            "Try it with labels of which a single example stays: is there still one axis?",
        ),
        (),
    ),
    "corrected_bias": Task(
        corrected_bias,
        (
            "How would you judge one single number? Write that first: the share of examples that are right with it.",
            "Add the number to one column of a *copy* of the logits; the highest logit of each row is the class chosen.",
            "Then try many numbers, negative ones too, in steps small enough, and remember the one with the best score.",
            "What is asked for is the number, neither its score nor its place in your list.",
        ),
        (metrics.class_bias,),
    ),
}
