"""Lesson 10: what an answer for a text as a signal, a mean without padding and a pruning mask must do; likely mistakes.

Every likely mistake is tried on all cases, and the one that explains all the answers given is named.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from course.answers import Answer, Task, close, finite, shown
from course.reference import fresh
from toolkit import compress, readers

Case = TypeVar("Case")
Result = TypeVar("Result")


def _explains(
    rules: dict[str, Callable[[Case], Result]],
    pairs: Sequence[tuple[Case, Result]],
    same: Callable[[Result, Result], bool],
) -> str | None:
    """Name the first mistake that gives all the results."""
    return next((name for name, rule in rules.items() if all(same(rule(case), got) for case, got in pairs)), None)


# ---- A text as a signal --------------------------------------------------------------------------------------

Text = tuple[str, str, int]  # the text, the alphabet, the number of places


def _columns(places: Iterable[int | None], characters: int, length: int) -> Tensor:
    """Give a 1 in each column, in the row given; None leaves a column of zeros. Shape (characters, length)."""
    result = torch.zeros(characters, length)
    for column, row in enumerate(places):
        if row is not None and column < length:
            result[row, column] = 1
    return result


def _rows(text: str, alphabet: str) -> list[int | None]:
    return [alphabet.index(character) if character in alphabet else None for character in text]


def _right_columns(case: Text) -> Tensor:
    text, alphabet, length = case
    return _columns(_rows(text, alphabet), len(alphabet), length)


def _padded_with(row: int) -> Callable[[Text], Tensor]:
    return lambda case: _columns([*_rows(case[0], case[1]), *[row % len(case[1])] * case[2]], len(case[1]), case[2])


def _unknown_as(row: int) -> Callable[[Text], Tensor]:
    return lambda case: _columns(
        [row % len(case[1]) if place is None else place for place in _rows(case[0], case[1])], len(case[1]), case[2]
    )


def _of(change: Callable[[Text], Text]) -> Callable[[Text], Tensor]:
    return lambda case: _right_columns(change(case))


_WRONG_COLUMNS: dict[str, Callable[[Text], Tensor]] = {
    "the columns after the end of the text say that it goes on with the alphabet's first character; they should hold "
    "zeros": _padded_with(0),
    "the columns after the end of the text say that it goes on with the alphabet's last character; they should hold "
    "zeros": _padded_with(-1),
    "a character that the alphabet lacks becomes its last one: what do find and an index of −1 do?": _unknown_as(-1),
    "a character that the alphabet lacks becomes its first one; its column should hold zeros": _unknown_as(0),
    "a character that the alphabet lacks is skipped, and all that follows moves up; its column should hold zeros": _of(
        lambda case: ("".join(c for c in case[0] if c in case[1]), case[1], case[2])
    ),
    "the text ends for you at the first character that the alphabet lacks; it goes on behind a column of zeros": _of(
        lambda case: (case[0][: next((i for i, c in enumerate(case[0]) if c not in case[1]), None)], *case[1:])
    ),
    "a longer text loses its beginning; it should be cut at its end": _of(
        lambda case: (case[0][-case[2] :], case[1], case[2])
    ),
    "a shorter text has its zeros in front; they belong behind its end": _of(
        lambda case: ("\0" * (case[2] - len(case[0])) + case[0], case[1], case[2])
    ),
    "the text is read backwards": _of(lambda case: (case[0][: case[2]][::-1], case[1], case[2])),
    "capital and small letters are taken for the same; they are two characters": _of(
        lambda case: (case[0].lower(), case[1], case[2])
    ),
    "the rows follow the sorted alphabet; they should follow alphabet as it is given": _of(
        lambda case: (case[0], "".join(sorted(case[1])), case[2])
    ),
    "the rows run through the alphabet backwards": _of(lambda case: (case[0], case[1][::-1], case[2])),
    "every column says the same: which characters occur; a column should hold the one character of its place": (
        lambda case: _right_columns(case).amax(1, keepdim=True).expand(-1, case[2])
    ),
    "a character has its 1 only where it comes first; it needs one at each of its places": lambda case: _columns(
        [
            None if character in case[0][:place] else row
            for place, (character, row) in enumerate(zip(case[0], _rows(*case[:2]), strict=True))
        ],
        len(case[1]),
        case[2],
    ),
    "0 and 1 are swapped": lambda case: 1 - _right_columns(case),
    "your result holds zeros only": lambda case: torch.zeros(len(case[1]), case[2]),
    "the last place that fits is left out": lambda case: _columns(
        _rows(case[0], case[1])[: case[2] - 1], len(case[1]), case[2]
    ),
}

_PUBLIC_TEXT: Text = ("anna!", "nab", 6)


def one_hot_text(answer: Answer) -> None:
    """Diagnose a text as a tensor (characters, length), with a 1 for each character in its place."""
    cases = [_PUBLIC_TEXT, *_random_texts()]
    given = [_signal(answer, case) for case in cases]
    wrong = [i for i, case in enumerate(cases) if not torch.equal(given[i], _right_columns(case))]
    if not wrong:
        return
    name = _explains(_WRONG_COLUMNS, list(zip(cases, given, strict=True)), torch.equal)
    case = cases[wrong[0]]
    if wrong[0] == 0:
        text, alphabet, length = case
        raise answer.wrong(
            name or "a character is not in its row and column",
            f'text "{text}", alphabet "{alphabet}", length {length}',
            _right_columns(case),
            given[0],
        )
    raise answer.wrong(f"{name or 'a character is not in its row and column'} (seen {_text_situation(case)})")


def _text_situation(case: Text) -> str:
    text, alphabet, length = case
    lacking = any(character not in alphabet for character in text[:length])
    size = "longer than" if len(text) > length else "as long as" if len(text) == length else "shorter than"
    what = "an empty text" if not text else f"a text {size} length"
    return f"for {what}{' with a character that the alphabet lacks' * lacking}"


def _signal(answer: Answer, case: Text) -> Tensor:
    """Run the answer, and insist on a float32 tensor of the right shape."""
    text, alphabet, length = case
    result = answer(text, alphabet, length, situation=_text_situation(case))
    if type(result) is not Tensor:
        raise answer.wrong(f"your function returns a {type(result).__name__}, not a torch.Tensor")
    shape, wanted = tuple(result.shape), (len(alphabet), length)
    if shape != wanted:
        raise answer.wrong(f"{_wrong_shape(shape, case)} (the shape is {shape}, where {wanted} is needed)")
    if result.dtype != torch.float32:
        raise answer.wrong(
            f"your numbers are of type {result.dtype}, where torch.float32 is needed, as networks take it"
        )
    return result.detach()


def _wrong_shape(shape: tuple[int, ...], case: Text) -> str:
    text, alphabet, length = case
    if shape == (length, len(alphabet)):
        return "rows and columns are swapped: a row for each character of the alphabet, a column for each place"
    if shape == (length,) or shape == (len(text),):
        return "your result holds one number for each place; a column of 0 and 1 is needed for each"
    if shape == (len(alphabet),):
        return (
            "your result holds one number for each character of the alphabet; it does not say *where* the text has it"
        )
    if shape in ((len(alphabet) + 1, length), (length, len(alphabet) + 1)):
        return "there is a row too many: padding, and characters that the alphabet lacks, have none of their own"
    if len(shape) == 2 and len(text) in shape and len(text) != length:
        return "your result is as long as the text; it should be cut, or filled up with zeros, to length"
    if len(shape) == 3:
        return "your result has three axes; this is a single text, without a batch"
    return "your result has the wrong shape"


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZáéíñöüçł' -"


def _random_texts() -> list[Text]:
    """Texts and alphabets that nobody can foresee: shorter than the length, just as long, longer, empty, of strangers."""
    cases: list[Text] = []
    for characters, size, length in (
        (12, 5, 9),
        (20, 16, 16),
        (9, 14, 8),
        (30, 11, 10),
        (7, 3, 12),
        (15, 1, 1),
        (5, 0, 4),
    ):
        order = [_LETTERS[i] for i in fresh(len(_LETTERS)).argsort().tolist()]
        alphabet, strangers = "".join(order[:characters]), order[characters:]
        letters = [alphabet[int(value)] for value in (fresh(size).abs() * 1e4).long() % characters]
        if size >= 5:  # strangers, and the last character in the last place that counts
            letters[1], letters[size // 2] = strangers[0], strangers[1]
            letters[min(size, length) - 1] = alphabet[-1]
            letters[0] = next((c.swapcase() for c in alphabet if c.swapcase() in strangers), strangers[2])
        cases.append(("".join(letters), alphabet, length))
    return [*cases, ("Bob", "bo", 4), ("aBBa", "Bab", 4), ("zz", "abc", 3), ("abcdef", "fedcba", 3)]


# ---- A mean that leaves out the padding ----------------------------------------------------------------------

Sequences = tuple[Tensor, Tensor]  # (batch, features, time), and the length of each, (batch,)


def _inside(case: Sequences) -> Tensor:
    """Say for each step whether it is inside, 1, or padding, 0: shape (batch, 1, time)."""
    sequence, lengths = case
    steps = torch.arange(sequence.shape[2])
    return (steps < lengths[:, None]).double()[:, None]


def _right_mean(case: Sequences) -> Tensor:
    return (case[0].double() * _inside(case)).sum(2) / case[1][:, None].double()


def _mean_to(length: Callable[[Tensor], Tensor]) -> Callable[[Sequences], Tensor]:
    """Give the mean over the first steps, as many as is made of the lengths; at least one and at most all."""

    def mean(case: Sequences) -> Tensor:
        lengths = length(case[1]).clamp(1, case[0].shape[2])
        return _right_mean((case[0], lengths.expand(len(case[1]))))

    return mean


_WRONG_MEANS: dict[str, Callable[[Sequences], Tensor]] = {
    "this is the mean over all steps: padding counts in your sum and in your divisor": lambda case: (
        case[0].double().mean(2)
    ),
    "the padding is left out of your sum, but you divide by all steps; divide by the length of each": lambda case: (
        case[0].double() * _inside(case)
    ).mean(2),
    "you divide by the length of each, but your sum still holds the padding": lambda case: (
        case[0].double().sum(2) / case[1][:, None]
    ),
    "this is the sum over the steps; divide it by the length of each": lambda case: (
        case[0].double() * _inside(case)
    ).sum(2),
    "this is the mean over the padding; the steps before it are needed": lambda case: (
        (case[0].double() * (1 - _inside(case))).sum(2) / (1 - _inside(case)).sum(2)
    ),
    "one step too many counts: steps are numbered from 0, so the last one is lengths − 1": _mean_to(lambda n: n + 1),
    "the last step of each is left out: lengths counts it": _mean_to(lambda n: n - 1),
    "one step too many is in your sum (steps are numbered from 0, so the last one is lengths − 1), though not in your "
    "divisor": lambda case: (case[0].double() * _inside((case[0], case[1] + 1))).sum(2) / case[1][:, None],
    "the last step of each is missing in your sum, though not in your divisor": lambda case: (
        (case[0].double() * _inside((case[0], case[1] - 1))).sum(2) / case[1][:, None]
    ),
    "the length of the first sequence is used for all of them": _mean_to(lambda n: n[0]),
    "the longest of the lengths is used for all of them": _mean_to(lambda n: n.max()),
    "the shortest of the lengths is used for all of them": _mean_to(lambda n: n.min()),
    "the last steps count, as if the padding were in front; it is behind": lambda case: _right_mean(
        (case[0].flip(2), case[1])
    ),
    "this is the last step before the padding; the mean over all steps up to it is needed": lambda case: torch.stack(
        [one[:, length - 1] for one, length in zip(case[0].double(), case[1].tolist(), strict=True)]
    ),
    "this is the largest step of each; the mean is needed": lambda case: (
        case[0].double().masked_fill(_inside(case) == 0, -math.inf).amax(2)
    ),
    "a step that is 0 is left out as if it were padding; only lengths says what padding is": lambda case: (
        (case[0].double() * _inside(case)).sum(2) / (_inside(case) * (case[0] != 0)).sum(2).clamp(min=1)
    ),
    "every step that is not 0 counts, and lengths is not used; padding need not be 0": lambda case: (
        case[0].double().sum(2) / (case[0] != 0).sum(2).clamp(min=1)
    ),
}

_PUBLIC_SEQUENCES: Sequences = (
    torch.tensor(
        [
            [[2.0, 4.0, 9.0, 9.0], [0.0, 6.0, -9.0, 9.0]],
            [[1.0, 2.0, 6.0, 7.0], [8.0, 0.0, -2.0, 0.0]],
            [[4.0, 3.0, 5.0, 5.0], [7.0, 2.0, 2.0, 1.0]],
        ]
    ),
    torch.tensor([2, 3, 1]),
)


def masked_mean(answer: Answer) -> None:
    """Diagnose the mean over time of (batch, features, time) that leaves the padding out."""
    cases = [_PUBLIC_SEQUENCES, *_random_sequences()]
    given = [_mean(answer, case) for case in cases]
    wrong = [i for i, case in enumerate(cases) if not close(given[i], _right_mean(case))]
    if wrong:
        name = _explains(_WRONG_MEANS, list(zip(cases, given, strict=True)), close)
        name = name or "the mean is wrong"
        if wrong[0] > 0:
            raise answer.wrong(f"{name} (seen {_sequences_situation(cases[wrong[0]])})")
        case = f"sequence {shown(_PUBLIC_SEQUENCES[0])}, lengths {shown(_PUBLIC_SEQUENCES[1])}"
        raise answer.wrong(name, case, _right_mean(cases[0]), given[0])
    _gradient_of_mean(answer)


def _sequences_situation(case: Sequences) -> str:
    batch, features, time = case[0].shape
    of_one = "one sequence" if batch == 1 else f"{batch} sequences"
    unpadded = ", none of them padded" if bool((case[1] == time).all()) else ""
    return f"for {of_one} of {features} features and {time} steps{unpadded}, {case[0].dtype}"


def _mean(answer: Answer, case: Sequences) -> Tensor:
    """Run the answer on copies, and insist on numbers of the right shape."""
    (batch, features, time), situation = case[0].shape, _sequences_situation(case)
    result = answer(case[0].clone(), case[1].clone(), situation=situation)
    if type(result) is not Tensor:
        raise answer.wrong(f"your function returns a {type(result).__name__}, not a torch.Tensor")
    shape = tuple(result.shape)
    if shape != (batch, features):
        named = {
            (batch, time): "your mean is over the features; time is the last axis",
            (features, time): "your mean is over the batch; time is the last axis",
            (batch, features, 1): "the axis of time is still there, with a single step",
            (features, batch): "batch and features are swapped in your result",
            (features,): "your mean is over the batch as well; each example needs its own",
            (batch,): "your mean is over the features as well; each feature needs its own",
            (): "your mean is over everything; each example and feature needs its own",
            (
                batch,
                features,
                time,
            ): "your result still has all steps: the padding may be away, but the mean is missing",
        }.get(shape, "your result has the wrong shape")
        raise answer.wrong(f"{named} (the shape is {shape}, where {(batch, features)} is needed, {situation})")
    if not result.is_floating_point():
        raise answer.wrong(f"your function returns numbers of type {result.dtype}, not floating-point ones")
    if not finite(result):
        raise answer.wrong(f"your result holds NaN or infinite numbers {situation}")
    return result.detach()


def _gradient_of_mean(answer: Answer) -> None:
    """Insist that a network in front of the mean can be trained through it."""
    sequence, lengths = fresh(4, 3, 6).requires_grad_(), torch.tensor([2, 6, 1, 4])
    actual, weight = answer(sequence, lengths), fresh(4, 3)
    if not actual.requires_grad:
        raise answer.wrong("no gradient flows through your result: a network in front of it could not be trained")
    (gradient,) = torch.autograd.grad((actual * weight).sum(), sequence, allow_unused=True)
    expected = _inside((sequence.detach(), lengths)) * (weight / lengths[:, None])[:, :, None]
    if gradient is None or not close(gradient, expected, 1e-3):
        raise answer.wrong("the value is right, but not the gradient that flows through it")


def _random_sequences() -> list[Sequences]:
    """Sequences that nobody can foresee, with some steps of 0 inside and padding that is not 0; both float widths."""
    cases = []
    for batch, features, time in ((5, 4, 7), (6, 2, 9), (8, 3, 5), (3, 6, 10)):
        for dtype in (torch.float32, torch.float64):
            sequence, lengths = fresh(batch, features, time, dtype=dtype) + 1, fresh(batch, time).argmax(1) + 1
            lengths[:3] = torch.tensor([time - 2, 2, time - 1])[fresh(3).argsort()]
            sequence[:, :, 0][fresh(batch, features) > 1] = 0
            cases.append((sequence, lengths))
    alone = fresh(1, 3, 6), torch.tensor([4])
    full = fresh(3, 2, 5), torch.tensor([5, 5, 5])
    return [*cases, alone, full, (fresh(2, 4, 1), torch.tensor([1, 1]))]


# ---- Which weights stay --------------------------------------------------------------------------------------

Pruning = tuple[list[Tensor], float]  # tensors of weights, and the share of them that goes


def _apart(flat: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    """Cut one long tensor into pieces of the shapes of others."""
    pieces = flat.split([weight.numel() for weight in weights])
    return [piece.reshape(weight.shape) for piece, weight in zip(pieces, weights, strict=True)]


def _mask_by(score: Callable[[Tensor], Tensor], stays: bool = True) -> Callable[[Pruning], list[Tensor]]:
    """Mark those with the lowest scores of all tensors together; they go, or they are all that stays."""

    def mask(case: Pruning) -> list[Tensor]:
        weights, share = case
        flat = torch.cat([score(weight.double()).flatten() for weight in weights])
        result = torch.full_like(flat, float(stays))
        result[flat.argsort()[: round(share * len(flat))]] = float(not stays)
        return _apart(result, weights)

    return mask


_right_mask = _mask_by(Tensor.abs)


def _going(count: Callable[[float, int], int]) -> Callable[[Pruning], list[Tensor]]:
    """Let the smallest go, as many as ``count`` makes of the share and of the number of weights."""

    def mask(case: Pruning) -> list[Tensor]:
        flat = _magnitudes(case)
        result = torch.ones_like(flat)
        result[flat.argsort()[: count(case[1], len(flat))]] = 0
        return _apart(result, case[0])

    return mask


def _below(threshold: Callable[[Pruning, Tensor], float | Tensor]) -> Callable[[Pruning], list[Tensor]]:
    """Let everything go that is smaller than a threshold, which may be made of the weight's own tensor."""
    return lambda case: [(weight.double().abs() >= threshold(case, weight)).double() for weight in case[0]]


def _magnitudes(case: Pruning) -> Tensor:
    return torch.cat([weight.double().abs().flatten() for weight in case[0]])


def _in_each(case: Pruning) -> list[Tensor]:
    return [_right_mask(([weight], case[1]))[0] for weight in case[0]]


_WRONG_MASKS: dict[str, Callable[[Pruning], list[Tensor]]] = {
    "0 and 1 are swapped: 1 is for a weight that stays": _mask_by(Tensor.abs, stays=False),
    "the largest weights go; it should be the smallest": _mask_by(lambda weight: -weight.abs()),
    "the signs count in your order, so that large negative weights go first; it is the absolute value that counts": (
        _mask_by(lambda weight: weight)
    ),
    "only share of the weights stays; it is the share that goes": lambda case: _right_mask((case[0], 1 - case[1])),
    "each tensor loses the same share; the smallest of *all* tensors together should go": _in_each,
    "only the first tensor loses weights, and the others stay whole": lambda case: [
        _in_each(case)[0],
        *[torch.ones_like(weight, dtype=torch.double) for weight in case[0][1:]],
    ],
    "`share` is used as a threshold for the values; it says how *many* go": _below(lambda case, _: case[1]),
    "your threshold is share times the largest weight; share says how *many* go": _below(
        lambda case, _: case[1] * _magnitudes(case).max()
    ),
    "your threshold is share times the largest weight of each tensor; share says how *many* go, of all together": _below(
        lambda case, weight: case[1] * weight.double().abs().max()
    ),
    "each tensor is first divided by its largest weight; the values count as they are": _mask_by(
        lambda weight: weight.abs() / weight.abs().max()
    ),
    "one weight too many goes: is the threshold itself to stay?": _going(lambda share, count: round(share * count) + 1),
    "one weight too few goes: is the threshold itself to go?": _going(
        lambda share, count: max(round(share * count) - 1, 0)
    ),
    "`share` times the count is cut off to a whole number, as int does; it should be rounded to the nearest": _going(
        lambda share, count: int(share * count)
    ),
    "`share` times the count is rounded up, as ceil does; it should be rounded to the nearest": _going(
        lambda share, count: math.ceil(share * count)
    ),
    "your threshold is where a quantile lies: share of the way from the smallest weight to the largest, which is the "
    "share of count − 1. It is share of the count that goes, rounded to the nearest whole number": _going(
        lambda share, count: math.ceil(share * (count - 1))
    ),
    "every weight stays, whatever share says": lambda case: _right_mask((case[0], 0.0)),
    "these are the weights themselves, with zeros where one goes; a mask of 0 and 1 is needed": lambda case: [
        weight * mask for weight, mask in zip(case[0], _right_mask(case), strict=True)
    ],
    "these are the weights themselves; a mask of 0 and 1 is needed": lambda case: list(case[0]),
}

_PUBLIC_PRUNING: Pruning = ([torch.tensor([[3.0, -1.0], [5.0, -6.0]]), torch.tensor([-4.0, 0.2, 2.0, -0.1])], 0.375)


def magnitude_mask(answer: Answer) -> None:
    """Diagnose 1 for the weights that stay, and 0 for the smallest of all tensors together."""
    cases = [_PUBLIC_PRUNING, *_random_prunings()]
    given = [_masks(answer, case) for case in cases]
    wrong = [i for i, case in enumerate(cases) if not _all_close(given[i], _right_mask(case))]
    if not wrong:
        return
    name = _explains(_WRONG_MASKS, list(zip(cases, given, strict=True)), _all_close)
    name = name or _how_many(cases[wrong[0]], given[wrong[0]])
    weights, share = cases[wrong[0]]
    if wrong[0] == 0:
        case = f"weights {shown([*weights])}, share {share}"
        raise answer.wrong(name, case, _right_mask(cases[0]), given[0])
    raise answer.wrong(
        f"{name} (seen {_pruning_situation(cases[wrong[0]])}{_counted(cases[wrong[0]], given[wrong[0]])})"
    )


def _gone(case: Pruning, given: list[Tensor]) -> tuple[int, int]:
    """Count the weights that go, and those that should."""
    flat = torch.cat([mask.flatten() for mask in given])
    return int((flat == 0).sum()), round(case[1] * len(flat))


def _how_many(case: Pruning, given: list[Tensor]) -> str:
    """Say what is wrong where no mistake explains all the cases."""
    if any(bool(((mask != 0) & (mask != 1)).any()) for mask in given):
        return "your masks hold other numbers than 0 and 1"
    gone, expected = _gone(case, given)
    if gone == expected:
        return "the right number of weights goes, but not those with the smallest absolute values"
    return "the wrong number of weights goes"


def _counted(case: Pruning, given: list[Tensor]) -> str:
    """Say how many go where the number is wrong, else nothing."""
    gone, expected = _gone(case, given)
    return "" if gone == expected else f": {gone} go, where {expected} should"


def _pruning_situation(case: Pruning) -> str:
    count = sum(weight.numel() for weight in case[0])
    tensors = "one tensor" if len(case[0]) == 1 else f"{len(case[0])} tensors"
    return f"for {count} weights in {tensors}, share {case[1]:g}"


def _masks(answer: Answer, case: Pruning) -> list[Tensor]:
    """Run the answer on copies, and insist on a list of tensors of the same shapes."""
    (weights, share), situation = case, _pruning_situation(case)
    copies = [weight.clone() for weight in weights]
    result = answer(copies, share, situation=situation)
    if len(copies) != len(weights) or not all(map(torch.equal, copies, weights)):
        raise answer.wrong("your function changes the weights that it is given; only a mask is asked for")
    if type(result) not in (list, tuple):
        what = type(result).__name__
        raise answer.wrong(f"your function returns a {what}, where a list with a mask for each tensor is needed")
    if not all(type(mask) is Tensor for mask in result):
        raise answer.wrong("your list holds something else than tensors")
    shapes, wanted = [[tuple(part.shape) for part in parts] for parts in (result, weights)]
    if shapes != wanted:
        raise answer.wrong(f"your masks have the shapes {shapes}, where {wanted} are needed: those of the weights")
    return [mask.detach().double() for mask in result]


def _all_close(masks: list[Tensor], others: list[Tensor]) -> bool:
    return all(close(mask, other) for mask, other in zip(masks, others, strict=True))


def _random_prunings() -> list[Pruning]:
    """Weights that nobody can foresee, no two of one size. Some shares of them are no whole numbers, never nearly a half."""
    cases: list[Pruning] = []
    for shapes, share in (
        (((4, 5), (4,), (2, 4, 2)), 0.25),
        (((6, 4), (2, 8)), 0.5),
        (((3, 2, 5), (10,)), 0.9),
        (((16,), (2, 2), (4, 5)), 0.75),
        (((8, 5),), 0.3),
        (((7,), (1, 1), (2, 2, 2)), 0.125),
        (((3, 4), (5,)), 0.0),
        (((1,), (3,)), 0.5),
        (((6, 10), (40,)), 0.29),  # 28.999…, as floating-point numbers have it
        (((10, 5), (50,)), 0.07),  # 7.000…1
        (((2, 3), (4,)), 0.12),
        (((3, 3), (5,)), 0.9),
        (((7,),), 0.4),
    ):
        for dtype in (torch.float32, torch.float64):
            cases.append((_weights(shapes, dtype), share))
    already, share = _weights(((4, 5), (20,)), torch.float32), 0.5
    already[0][:2] = 0.0  # pruned before: zeros are the smallest of all
    return [*cases, (already, share)]


def _weights(shapes: Sequence[tuple[int, ...]], dtype: torch.dtype) -> list[Tensor]:
    """Draw tensors, the later ones smaller; again, where two numbers happen to be of one size."""
    while True:
        weights = [fresh(*shape, dtype=dtype, scale=2.0 / (i + 1)) for i, shape in enumerate(shapes)]
        flat = torch.cat([weight.abs().flatten() for weight in weights])
        if len(flat.unique()) == len(flat):
            return weights


TASKS: dict[str, Task] = {
    "one_hot_text": Task(
        one_hot_text,
        (
            "Begin with a tensor of zeros, of the shape that is asked for. How many of its numbers will become 1?",
            "Go through the text with enumerate: it gives the place, which is the column, and the character.",
            "Which method of a string says where a character is? And what does it do where there is none?",
            "How long may the part of the text be that you go through? Cut it first; nothing else is then to be padded.",
        ),
        (readers.one_hot,),
    ),
    "masked_mean": Task(
        masked_mean,
        (
            "For one example by hand: which steps are inside, if its length is 2? And what do you divide by?",
            "torch.arange(time) numbers the steps. Compare it with the lengths: which shapes make that (batch, time)?",
            "Let padding become 0, so that it does not count in a sum. The mask lacks an axis for the features.",
            "The sum over the last axis has the shape (batch, features); lengths has (batch,). How do they divide?",
        ),
        (),
    ),
    "magnitude_mask": Task(
        magnitude_mask,
        (
            "Where do all tensors stand in one row? Only then can the smallest of all be found.",
            "How many go? share times the count of all numbers, rounded to the nearest: 0.29 × 100 is 28.999…, and means "
            "29. Sort the absolute values and count off.",
            "The value at that place is a threshold. Does a weight that equals it go or stay? And with share 0?",
            "A comparison of each tensor with the threshold gives its mask, in its own shape.",
        ),
        (compress.prune,),
    ),
}
