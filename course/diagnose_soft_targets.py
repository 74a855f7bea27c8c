"""Lesson 02: what an answer for the tempered softmax and for the entropy must do, and how likely mistakes show."""

import torch
from torch import Tensor

from course.answers import Answer, Task, close, finite, shown
from course.reference import PUBLIC_TEACHER, fresh, match, tempered_softmax
from toolkit import losses, metrics


def softmax_with_temperature(answer: Answer) -> None:
    """Diagnose softmax(logits / T) over the last axis."""
    _softmax_on_public_case(answer)
    _softmax_on_large_logits(answer)
    _softmax_on_other_shapes(answer)


def _softmax_on_public_case(answer: Answer) -> None:
    logits, temperature = PUBLIC_TEACHER, 4.0
    case, expected = f"logits {shown(logits)}, temperature 4", tempered_softmax(logits, temperature)
    actual = answer.tensor(logits.clone(), temperature, shape=(2, 3)).detach()
    plain = tempered_softmax(logits)
    mistakes = {
        "the temperature has no effect: the result is the plain softmax": plain,
        "a higher temperature makes your probabilities sharper instead of flatter": tempered_softmax(
            logits, 1 / temperature
        ),
        "your probabilities sum to 1 along the batch, not along the class axis": tempered_softmax(
            logits, temperature, 0
        ),
        "your result is negative everywhere: these are logarithms of probabilities": expected.log(),
        "you temper the probabilities instead of the logits: softmax comes too early": (plain / temperature).softmax(
            -1
        ),
        "your probabilities do not sum to 1 along the class axis: T divides the probabilities, not the logits": plain
        / temperature,
    }
    if not any(close(actual, value) for value in (expected, *mistakes.values())) and not close(
        actual.sum(-1), torch.ones(2)
    ):
        raise answer.wrong("your probabilities do not sum to 1 along the class axis", case, expected, actual)
    match(answer, actual, expected, case, mistakes)


def _softmax_on_large_logits(answer: Answer) -> None:
    for temperature, second in ((1.0, 1e4 - 2), (0.5, 1e4 - 2), (1000.0, 9e3)):
        large = torch.tensor([[1e4, second, -1e4], [-1e4, -1e4, -1e4]])
        expected = tempered_softmax(large, temperature)
        actual = answer.tensor(large, temperature, shape=(2, 3), situation="for logits of ±10000").detach()
        case = f"logits {shown(large)}, temperature {temperature:g}"
        if not finite(actual):
            raise answer.wrong("large logits overflow: your result holds nan or inf", case, expected, actual)
        if not close(actual, expected, 2e-3):  # float32 keeps three decimals of 20,000
            raise answer.wrong("large logits give finite but wrong probabilities", case, expected, actual)


def _softmax_on_other_shapes(answer: Answer) -> None:
    for shape in ((5, 3, 4), (4,), (1, 7)):
        logits = fresh(*shape)
        actual = answer.tensor(logits, 4.0, shape=shape, situation=f"on logits of shape {shape}")
        if not close(actual, tempered_softmax(logits, 4.0)):
            raise answer.wrong(f"for logits of shape {shape} the softmax does not run over the last axis")
    for temperature in (2.5, 0.7):
        logits = fresh(4, 5, dtype=torch.float64)
        actual = answer.tensor(logits, temperature, shape=(4, 5), situation="on float64 tensors")
        if not close(actual, tempered_softmax(logits, temperature)):
            raise answer.wrong(f"the value is wrong for float64 logits at a temperature of {temperature}")


def entropy(answer: Answer) -> None:
    """Diagnose −Σ p·log p over the last axis."""
    _entropy_on_public_case(answer)
    _entropy_where_a_class_is_impossible(answer)
    _entropy_on_other_shapes(answer)


def _entropy_on_public_case(answer: Answer) -> None:
    p = torch.tensor([[0.5, 0.25, 0.25], [0.8, 0.1, 0.1]])
    case, expected = f"probabilities {shown(p)}", -(p.double() * p.double().log()).sum(-1)
    result = answer(p.clone())
    if isinstance(result, Tensor) and result.shape == ():
        raise answer.wrong(
            "your function gives one number for all rows; one value per row is needed", case, expected, result
        )
    if isinstance(result, Tensor) and result.shape == (3,):
        raise answer.wrong("your function sums over the batch, not over the class axis", case, expected, result)
    actual = answer.tensor(p.clone(), shape=(2,)).detach()
    mistakes = {
        "the sign is wrong: entropy is never negative": -expected,
        "your result is in bits; nats are needed": expected / torch.log(torch.tensor(2.0)),
        "your result uses the logarithm to base 10; nats are needed": expected / torch.log(torch.tensor(10.0)),
        "your function averages over the classes where it should sum": expected / 3,
        "the logarithm is not weighted by the probability": -p.double().log().sum(-1),
        "your function treats probabilities as logits: softmax was applied already": -(
            tempered_softmax(p) * tempered_softmax(p).log()
        ).sum(-1),
    }
    match(answer, actual, expected, case, mistakes)


def _entropy_where_a_class_is_impossible(answer: Answer) -> None:
    sure = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    actual = answer.tensor(sure, shape=(2,), situation="where a probability is 0").detach()
    case, expected = f"probabilities {shown(sure)}", torch.tensor([0.0, 0.6931])
    if not finite(actual):
        raise answer.wrong("a probability of 0 gives nan or inf; 0·log 0 counts as 0", case, expected, actual)
    if not close(actual, expected, 1e-3):
        raise answer.wrong("where a probability is 0 the value is off; 0·log 0 counts as 0", case, expected, actual)
    small = torch.tensor([[0.9989, 0.001, 0.0001], [0.5, 0.4999, 0.0001]])
    expected = -(small.double() * small.double().log()).sum(-1)
    actual = answer.tensor(small, shape=(2,), situation="where a probability is small").detach()
    if not close(actual, expected):
        raise answer.wrong("small probabilities are cut off", f"probabilities {shown(small)}", expected, actual)


def _entropy_on_other_shapes(answer: Answer) -> None:
    for shape, dtype in (
        ((4, 6), torch.float64),
        ((1, 5), torch.float32),
        ((7,), torch.float32),
        ((2, 3, 4), torch.float32),
    ):
        p = tempered_softmax(fresh(*shape)).to(dtype)
        situation = f"on probabilities of shape {shape}, {str(dtype).removeprefix('torch.')}"
        actual = answer.tensor(p, shape=shape[:-1], situation=situation)
        if not close(actual, -(p.double() * p.double().log()).sum(-1)):
            raise answer.wrong(f"the value is wrong {situation}: is the sum over the last axis?")


TASKS = {
    "softmax_with_temperature": Task(
        softmax_with_temperature,
        (
            "T acts on the logits, before anything becomes a probability.",
            "Which axis holds the classes? Each row must sum to 1, for one row and for many.",
            "exp(10000) is infinite. Adding the same number to all logits of a row changes no probability: use that.",
        ),
        (losses.soft_targets,),
    ),
    "entropy": Task(
        entropy,
        (
            "Entropy is the mean surprise: each class has a surprise, and is weighted by how likely it is.",
            "The surprise of a class is the negative natural logarithm of its probability.",
            "log 0 is −inf, and 0 · −inf is nan. Decide what such a class adds before the product is formed.",
        ),
        (metrics.entropy,),
    ),
}
