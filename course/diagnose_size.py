"""Lesson 01: what an answer for counts, compression ratio and latency must do, and how likely mistakes show."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course.answers import Answer, Task, close, nearest, number_in
from course.reference import match
from toolkit import models


def _number(answer: Answer, result: Any, what: str = "your function returns") -> float:
    """Insist on one number: a Python or numpy number, or a tensor or array that holds a single one."""
    if (number := number_in(result)) is None:
        raise answer.wrong(f"{what} a {type(result).__name__}, where a single number is needed")
    return number


def _layers(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)


def _quietly(make: Any) -> Any:
    """Make modules; their first weights come from torch's global generator, which is put back."""
    with torch.random.fork_rng(devices=[]):
        return make()


def _frozen(module: nn.Module) -> nn.Module:
    return module.requires_grad_(False)


def _kept(module: nn.Module) -> tuple[list[Any], list[Tensor]]:
    """Remember what must not change: modes; type, training and gradient of every tensor; and its value."""
    tensors = [*module.parameters(), *module.buffers()]
    circumstances = [(tensor.dtype, tensor.requires_grad, tensor.grad is None) for tensor in tensors]
    modes = [part.training for part in module.modules()]
    return [*modes, *circumstances], [tensor.detach().clone() for tensor in tensors]


def _on_modules(answer: Answer, *modules: nn.Module, situation: str = "") -> float:
    """Run an answer on modules; it must give one number and leave them as they are."""
    before = [_kept(module) for module in modules]
    actual = _number(answer, answer(*modules, situation=situation))
    for (circumstances, values), module in zip(before, modules, strict=True):
        now, new_values = _kept(module)
        if now != circumstances or not all(map(torch.equal, values, new_values)):
            raise answer.wrong("your function changes the model that it is given; it should only look")
    return actual


# ---- Parameters ----------------------------------------------------------------------------------------------


def count_parameters(answer: Answer) -> None:
    """Diagnose the number of trainable parameters. Expected counts are worked out by hand."""
    _count(
        answer,
        lambda: _layers(nn.Linear(3, 4), nn.ReLU(), _layers(nn.Linear(4, 2))),
        "Linear(3, 4), ReLU(), Sequential(Linear(4, 2))",
        12 + 4 + 8 + 2,
        {
            "this counts tensors (each weight matrix as one), not the numbers in them": 4,
            "this counts layers; the numbers in their weights and biases are needed": 2,
            "biases are missing: they are trained as well": 12 + 8,
            "weights are missing: this counts the biases only": 4 + 2,
            "what lies deeper, in a module within the module, is overlooked": 12 + 4,
            "this counts the rows of each tensor, not all of its numbers": 4 + 4 + 2 + 2,
            "these are bytes; the number of parameters is needed": 4 * 26,
            "what lies deeper is counted again with every module around it: modules() gives them all": 26
            + 16
            + 10
            + 10,
        },
    )
    _count(
        answer,
        lambda: _layers(nn.Linear(3, 4), nn.BatchNorm1d(4)),
        "Linear(3, 4), BatchNorm1d(4)",
        12 + 4 + 4 + 4,
        {
            "buffers are counted too (batch norm's running statistics): training does not adjust them": 24 + 9,
            "some of the buffers are counted too: training does not adjust them": 24 + 8,
            "layers of another kind than Linear have parameters as well": 12 + 4,
            "parameters with a single dimension are missing, such as biases": 12,
        },
    )
    _count(
        answer,
        lambda: _layers(_frozen(nn.Linear(3, 4)), nn.ReLU(), nn.Linear(4, 2)),
        "Linear(3, 4) with requires_grad False, ReLU(), Linear(4, 2)",
        8 + 2,
        {
            "frozen parameters are counted too: training leaves them as they are": 26,
            "this counts the frozen parameters; those that are trained are needed": 16,
        },
    )
    _count(answer, lambda: nn.Linear(3, 4), "Linear(3, 4)", 16, {
        "the parameters of the module itself are missing: it may have some beside those of its children": 0,
    })  # fmt: skip
    _count(answer, lambda: _layers(nn.BatchNorm1d(4), nn.BatchNorm1d(4)), "two BatchNorm1d(4)", 16, {
        "parameters that are equal by chance are counted once: they are two all the same": 8,
    })  # fmt: skip
    _count(answer, lambda: nn.ParameterList([torch.tensor(1.0)]), "a single number, of no dimension", 1, {})
    _count(answer, _partly_frozen, "Linear(3, 4) of which only the bias is trained", 4, {
        "a layer may be frozen in part: here its weight is, and its bias is not": 16,
        "a layer may be frozen in part: its bias is trained all the same": 0,
    })  # fmt: skip
    _count(answer, lambda: _frozen(nn.Linear(3, 4)), "Linear(3, 4), all of it frozen", 0, {})
    twice = "a parameter that two layers share is counted twice: it is stored and trained once"
    _count(answer, _one_layer_twice, "the same Linear(3, 3) at two places", 9 + 3, {twice: 2 * (9 + 3)})
    _count(answer, _shared_weight, "two Linear(3, 3) with one weight and two biases", 9 + 3 + 3, {
        twice: 9 + 3 + 9 + 3,
        "each of the two layers has a bias of its own": 9 + 3,
    })  # fmt: skip
    _count_other_layers(answer)


def _count(answer: Answer, make: Any, case: str, expected: int, mistakes: dict[str, Any]) -> None:
    actual = _on_modules(answer, _quietly(make), situation=f"on {case}")
    match(answer, actual, expected, case, mistakes, tolerance=1e-9)


def _partly_frozen() -> nn.Module:
    layer = nn.Linear(3, 4)
    layer.weight.requires_grad_(False)
    return layer


def _one_layer_twice() -> nn.Module:
    layer = nn.Linear(3, 3)
    return _layers(layer, nn.ReLU(), layer)


def _shared_weight() -> nn.Module:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    return _layers(first, nn.ReLU(), second)


def _count_other_layers(answer: Answer) -> None:
    """Layers that keep their parameters under other names, in sizes that nobody can foresee, and in float64."""
    a, b, c = (int(size) for size in torch.randint(2, 9, (3,), generator=_unforeseen()))
    parts = {
        f"Conv2d({a}, {b}, 3)": (lambda: nn.Conv2d(a, b, 3), 9 * a * b + b),
        f"GRU({a}, {b})": (lambda: nn.GRU(a, b), 3 * b * (a + b) + 6 * b),
        f"MultiheadAttention({2 * c}, 2)": (lambda: nn.MultiheadAttention(2 * c, 2), 16 * c**2 + 8 * c),
        f"Embedding({a}, {c}) in float64": (lambda: nn.Embedding(a, c).double(), a * c),
        f"Linear({a}, {c}, bias=False)": (lambda: nn.Linear(a, c, bias=False), a * c),
    }
    for case, (make, count) in parts.items():
        _count(answer, make, case, count, {})
    _count(
        answer,
        lambda: nn.ModuleList([make() for make, _ in parts.values()]),
        f"a list of {', '.join(parts)}",
        sum(count for _, count in parts.values()),
        {},
    )


def _unforeseen() -> torch.Generator:
    generator = torch.Generator()
    generator.seed()
    return generator


# ---- Bytes ---------------------------------------------------------------------------------------------------


def compression_ratio(answer: Answer) -> None:
    """Diagnose bytes of the teacher over bytes of the student."""
    _ratio(
        answer,
        lambda: _layers(_frozen(nn.Linear(3, 8)), nn.BatchNorm1d(8), nn.Linear(8, 2)),
        lambda: nn.Linear(3, 2).half(),
        "teacher Linear(3, 8) frozen, BatchNorm1d(8), Linear(8, 2) in float32; student Linear(3, 2) in float16",
        (4 * (32 + 16 + 18) + 4 * 16 + 8) / (2 * 8),  # batch norm counts its batches in a whole number of 8 bytes
        {
            "the ratio is upside down: the teacher's bytes come first": 16 / 336,
            "this is a ratio of how many numbers there are; a number of float16 takes fewer bytes": 66 / 8,
            "this is a ratio of how many numbers there are, buffers too; what is needed are bytes": 83 / 8,
            "this is a ratio of trainable parameters; frozen ones take room too, and bytes are needed": 34 / 8,
            "buffers are missing: batch norm's statistics are stored as well": 264 / 16,
            "frozen parameters are missing: they are stored as well": (336 - 128) / 16,
            "frozen parameters and buffers are missing: they are stored as well": 4 * 34 / 16,
            "not every number takes four bytes: the student's take two": 336 / 32,
            "one of the buffers holds whole numbers of eight bytes, not of four": 83 * 4 / 16,
            "the whole numbers among the buffers are missing: they are stored as well": 328 / 16,
            "this is a difference of bytes, not a ratio": 336 - 16,
            "this is the share of bytes that is saved, not a ratio": 1 - 16 / 336,
            "this is the ratio minus 1": 20,
            "this is a percentage; a plain ratio is needed": 2100,
            "this compares the number of tensors, not their bytes": 9 / 2,
            "what lies deeper counts again with every module around it: modules() gives them all": 2 * 336 / 16,
        },
    )
    twice = "a tensor that two layers share is counted twice: it is stored once"
    _ratio(answer, _shared_weight, lambda: nn.Linear(3, 1), "teacher: two Linear(3, 3) that share one weight; "
           "student Linear(3, 1)", 15 / 4, {twice: 24 / 4})  # fmt: skip
    _ratio(answer, lambda: nn.Linear(3, 2), lambda: nn.Linear(3, 2).double(), "the same Linear(3, 2), in float32 and "
           "in float64", 0.5, {"not every number takes four bytes: those of float64 take eight": 1})  # fmt: skip
    _ratio_of_fresh_sizes(answer)


def _ratio(answer: Answer, teacher: Any, student: Any, case: str, expected: float, mistakes: dict[str, Any]) -> None:
    actual = _on_modules(answer, _quietly(teacher), _quietly(student), situation=f"on {case}")
    match(answer, actual, expected, case, mistakes)


def _ratio_of_fresh_sizes(answer: Answer) -> None:
    a, b, c = (int(size) for size in torch.randint(2, 9, (3,), generator=_unforeseen()))
    conv, norm = 4 * (9 * a * b + b), 4 * 4 * b + 8
    _ratio(
        answer,
        lambda: _layers(nn.Conv2d(a, b, 3), nn.BatchNorm2d(b)),
        lambda: _layers(_frozen(nn.Linear(a, c)), _whole_numbers(c)),
        "a convolutional teacher, and a student with a buffer of int8",
        (conv + norm) / (4 * (a * c + c) + c),
        {},
    )


def _whole_numbers(count: int) -> nn.Module:
    module = nn.Identity()
    module.register_buffer("whole_numbers", torch.zeros(count, dtype=torch.int8))
    return module


# ---- Latency -------------------------------------------------------------------------------------------------


def latency_summary(answer: Answer) -> None:
    """Diagnose median and 95th percentile in milliseconds, without the warm-up.

    Rules for percentiles differ by less than one place in the order. So many measurements are left here (41, 61, 101)
    that the median is one of them, and every usual rule puts the 95th percentile at a certain one or just above it.
    """
    squares = torch.arange(1, 42, dtype=torch.float64) ** 2 / 1000
    shuffled = squares[torch.randperm(41, generator=torch.Generator().manual_seed(0))]
    case = "seconds: 5, 4 and 3, then 0.001·k² for k = 1 … 41 in mixed order; warm_up 3"
    _summary(answer, torch.cat([torch.tensor([5.0, 4.0, 3.0], dtype=torch.float64), shuffled]), 3, case)
    for left, warm_up, last_warm_up, first, dtype in (
        (41, 20, 0.3, 0.2, torch.float32),
        (101, 5, 0.0004, 0.0003, torch.float64),
        (61, 1, 0.0002, 0.4, torch.float32),
    ):
        seconds = _latencies(warm_up + left)
        seconds[:warm_up] *= 10
        seconds[warm_up - 1] = last_warm_up  # need not be slow
        seconds[warm_up] = first  # and what is slow need not be warm-up
        _summary(answer, seconds.to(dtype), warm_up, "")
    seconds = _latencies(41)
    seconds[0] = 1
    _summary(answer, seconds, 0, "", situation="without any warm-up")


def _latencies(count: int) -> Tensor:
    """Some milliseconds, in seconds, that nobody can foresee; no two are so close that one could pass for the other."""
    generator = _unforeseen()
    places = torch.arange(count) + 0.25 + 0.5 * torch.rand(count, generator=generator)
    return 0.004 * torch.special.ndtri(places.double() / count).exp()[torch.randperm(count, generator=generator)]


def _summary(answer: Answer, seconds: Tensor, warm_up: int, case: str, situation: str = "on fresh numbers") -> None:
    given = seconds.clone()
    pair = _pair(answer, answer(given, warm_up, situation=situation))
    seconds = seconds.double()
    if _fits(pair, seconds[warm_up:]):
        return
    rest = (1000 * seconds[warm_up:]).sort().values
    expected = (_shown(rest.median()), _shown(rest.quantile(0.95)))
    told = (case or "random numbers", expected, tuple(map(_shown, pair)))
    for behaviour, found in _other_pairs(pair, seconds, warm_up).items():
        if found:
            raise answer.wrong(behaviour, *told)
    if not _is_median(pair[0], rest):
        raise answer.wrong(nearest(pair[0], _other_medians(seconds[warm_up:] * 1000)) or "the median is wrong", *told)
    second = nearest(pair[1], _other_percentiles(seconds[warm_up:] * 1000))
    raise answer.wrong(second or "the median is right, but the 95th percentile is not", *told)


def _pair(answer: Answer, result: Any) -> tuple[float, float]:
    """Insist on two numbers: a tuple, a list, or a tensor or array of them."""
    if type(result) in (Tensor, np.ndarray) and result.ndim == 1:
        result = result.tolist()
    if not isinstance(result, tuple | list):
        raise answer.wrong(f"your function returns a {type(result).__name__}, where a pair of numbers is needed")
    if len(result) != 2:
        raise answer.wrong(f"your function returns {len(result)} results, where a pair of numbers is needed")
    first, second = (_number(answer, part, "one of your two results is") for part in result)
    return first, second


def _shown(value: Any) -> float:
    return round(float(value), 4)


def _between(value: float, low: Any, high: Any) -> bool:
    return float(low) * (1 - 1e-4) <= value <= float(high) * (1 + 1e-4)


def _is_median(value: float, in_order: Tensor) -> bool:
    count = len(in_order)
    return _between(value, in_order[(count - 1) // 2], in_order[count // 2])


def _fits(pair: Sequence[float], seconds: Tensor) -> bool:
    """Whether a pair is median and 95th percentile of these measurements, by any usual rule, in milliseconds."""
    in_order = (1000 * seconds).sort().values
    place = int(0.95 * (len(in_order) - 1) + 1e-9)
    lower, here, upper = in_order[place - 1 : place + 2].tolist()
    # Between two places rules go at most nineteen twentieths of the way, from below as from above.
    low, high = lower + 0.95 * (here - lower), here + 0.95 * (upper - here)
    return _is_median(pair[0], in_order) and _between(pair[1], low, high)


def _seems(pair: Sequence[float], seconds: Tensor, scale: float = 1000.0) -> bool:
    """Whether a pair comes from these measurements, by one of the rules that people take most."""
    in_order = (scale * seconds).sort().values
    count = len(in_order)
    ranks = {int(0.95 * count), math.ceil(0.95 * count) - 1, round(0.95 * (count - 1))}
    usual = [in_order.quantile(0.95), *(in_order[rank] for rank in ranks)]
    return _is_median(pair[0], in_order) and any(close(pair[1], value) for value in usual)


def _other_pairs(pair: tuple[float, float], seconds: Tensor, warm_up: int) -> dict[str, bool]:
    """Mistakes that touch both numbers, and whether they were made."""
    rest, in_order = seconds[warm_up:], seconds.sort().values
    found = {
        "your numbers are in seconds; milliseconds are needed": _seems(pair, rest, 1.0),
        "your numbers are in microseconds; milliseconds are needed": _seems(pair, rest, 1e6),
        "the two numbers are the wrong way round: the median comes first": _seems(pair[::-1], rest),
    }
    if warm_up:
        last = len(seconds) - warm_up
        found |= {
            "the warm-up measurements are still in, and your numbers are in seconds": _seems(pair, seconds, 1.0),
            "the last measurements are dropped; warm-up comes first": _seems(pair, seconds[:last]),
            "the warm-up measurements are still in": _seems(pair, seconds),
            "sorting comes before dropping: the fastest measurements are dropped, not the first": _seems(
                pair, in_order[warm_up:]
            ),
            "the slowest measurements are dropped, not the first": _seems(pair, in_order[:last]),
            "one measurement too few is dropped": _seems(pair, seconds[warm_up - 1 :]),
            "what you summarise is the warm-up itself": _seems(pair, seconds[:warm_up]),
        }
    return found | {"one measurement too many is dropped": _seems(pair, rest[1:])}


def _other_medians(rest: Tensor) -> dict[str, Tensor]:
    return {
        "this is the mean, which a few slow calls pull up; the median is needed": rest.mean(),
        "this is the minimum; the median is needed": rest.min(),
        "this is the maximum; the median is needed": rest.max(),
        "the median is the middle one in order of size, not in order of time: is sorting missing?": rest[
            len(rest) // 2
        ],
        "this lies halfway between the smallest and the largest; the median has as many below as above": (
            rest.min() + rest.max()
        )
        / 2,
    }


def _other_percentiles(rest: Tensor) -> dict[str, Tensor]:
    in_order, count = rest.sort().values, len(rest)
    return {
        "the second number is the maximum; one of twenty calls may be slower than the 95th percentile": in_order[-1],
        "the second number is the 5th percentile: almost all calls are slower": rest.quantile(0.05),
        "the second number is the 5th percentile: is the order from slow to fast?": in_order[int(0.05 * count)],
        "the second number is the 90th percentile": rest.quantile(0.90),
        "the second number is the 99th percentile": rest.quantile(0.99),
        "the second number is a percentile at 0.95 %, not at 95 %": rest.quantile(0.0095),
        "a percentile is taken in order of size, not of time: is sorting missing?": rest[int(0.95 * count)],
        "the second number is 95 % of the largest; a percentile counts measurements": 0.95 * in_order[-1],
        "the second number is 95 % of the median; a percentile counts measurements": 0.95 * in_order.median(),
        "the second number is the mean; the 95th percentile is needed": rest.mean(),
        "the second number is mean plus two standard deviations: latencies are not normally distributed": rest.mean()
        + 2 * rest.std(),
        "the second number repeats the median": in_order.median(),
    }


TASKS = {
    "count_parameters": Task(
        count_parameters,
        (
            "A module knows all of its parameters, those of the modules within it as well. What does it call them?",
            "A parameter is a tensor. How many numbers does a tensor of shape (4, 3) hold?",
            "Each parameter says itself whether training adjusts it.",
            "Ask the whole module once rather than layer by layer: it does not list a shared parameter twice.",
        ),
        (models.count_parameters,),
    ),
    "compression_ratio": Task(
        compression_ratio,
        (
            "Write first, as a helper within, how many bytes one module takes.",
            "A tensor's bytes: how many numbers it holds, times the bytes of one of them, which it knows.",
            "Besides parameters a module stores buffers, such as batch norm's statistics. It lists those too.",
            "Whether something is trained does not matter here: what is frozen takes room as well.",
        ),
        (models.count_bytes,),
    ),
    "latency_summary": Task(
        latency_summary,
        (
            "The order of the measurements is the order in time. What must happen before they are sorted?",
            "The median has as many measurements below it as above; a single very slow call hardly moves it.",
            "Of a hundred measurements sorted from fast to slow, which one has about 95 at or below it?",
            "Which unit goes in, and which is asked for?",
        ),
        (),
    ),
}
