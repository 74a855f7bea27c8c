"""Lesson 03: what an answer for soft part, distillation loss and total loss must do, and how likely mistakes show."""

import inspect
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from course.answers import Answer, Task, close, finite, shown
from course.reference import (
    PUBLIC_LABELS,
    PUBLIC_STUDENT,
    PUBLIC_TEACHER,
    both_parts,
    fresh,
    kl_divergence,
    match,
    random_labels,
    soft_part,
    tempered_softmax,
    widths,
)
from toolkit import losses


def soft_loss(answer: Answer) -> None:
    """Diagnose T²·KL(teacher ‖ student), summed over classes, mean over the batch."""
    _soft_on_public_case(answer)
    _soft_at_other_temperatures(answer)
    _soft_on_extreme_logits(answer)
    _soft_on_random_logits(answer)


def _soft_on_public_case(answer: Answer) -> None:
    student, teacher, t = PUBLIC_STUDENT, PUBLIC_TEACHER, 4.0
    case = f"student {shown(student)}, teacher {shown(teacher)}, temperature 4"
    expected = soft_part(student, teacher, t)
    if isinstance(result := answer(student.clone(), teacher.clone(), t), Tensor) and result.numel() > 1:
        raise answer.wrong(
            f"your loss has the shape {tuple(result.shape)}: sum over classes, then average over the batch"
        )
    actual = answer.tensor(student.clone(), teacher.clone(), t, shape=())
    p, q = tempered_softmax(teacher, t), tempered_softmax(student, t)
    logits_apart = (student - teacher).square().mean()
    mistakes = {
        "the value is too small by T², and so the gradient shrinks as T grows: is T² missing?": expected / t**2,
        "the two are swapped, KL(student ‖ teacher), and T² is missing": kl_divergence(student / t, teacher / t).mean(),
        "this divides by T² where it should multiply": expected / t**4,
        "the factor grows with T, but not fast enough": expected / t,
        "this is KL(student ‖ teacher): the two are swapped": t**2 * kl_divergence(student / t, teacher / t).mean(),
        "T² is there twice": expected * t**2,
        "the logits are multiplied by T; dividing by it is what softens": t**2 * kl_divergence(teacher * t, student * t).mean(),
        "your loss is also divided by the number of classes: the mean is over the batch only": expected / 3,
        "your loss is summed over the batch; the mean is needed": expected * 2,
        "the student's logits are not divided by T": t**2 * kl_divergence(teacher / t, student).mean(),
        "the teacher's logits are not divided by T": t**2 * kl_divergence(teacher, student / t).mean(),
        "the temperature acts on neither of the two softmaxes": t**2 * kl_divergence(teacher, student).mean(),
        "your softmax runs along the batch, not along the class axis": t**2
        * kl_divergence((teacher / t).T, (student / t).T).sum() / 2,
        "your softmax runs along the batch, and your loss is summed over it": t**2
        * kl_divergence((teacher / t).T, (student / t).T).sum(),
        "your softmax runs along the batch, and the mean is over the classes": t**2
        * kl_divergence((teacher / t).T, (student / t).T).mean(),
        "your sum runs along the batch, and your mean over the classes: it is the other way round": expected * 2 / 3,
        "the sign is wrong: this divergence is never negative": -expected,
        "where a logarithm of probabilities belongs, you have probabilities": t**2 * (p * (p.log() - q)).sum(-1).mean(),
        "this is the cross entropy with soft targets: it is not zero when the student equals the teacher": t**2
        * -(p * q.log()).sum(-1).mean(),
        "this is the cross entropy with soft targets, without T²": -(p * q.log()).sum(-1).mean(),
        "this is a squared difference of logits; probabilities at temperature T are to be compared": logits_apart,
        "this is a squared difference of logits divided by T; probabilities are to be compared": logits_apart / t**2,
        "this is a squared difference of probabilities; a divergence is needed": (p - q).square().mean(),
    }  # fmt: skip
    with_mean = {
        f"{name.rstrip('?')}? And it is also divided by the number of classes": v / 3
        for name, v in list(mistakes.items())[:5]
    }
    if actual == 0:
        raise answer.wrong("your loss is 0, though student and teacher differ", case, expected, actual)
    match(answer, actual, expected, case, mistakes | with_mean)


def _soft_at_other_temperatures(answer: Answer) -> None:
    student, teacher, t = PUBLIC_STUDENT, PUBLIC_TEACHER, 2.0
    case = f"student {shown(student)}, teacher {shown(teacher)}, temperature 2"
    actual = answer.tensor(student.clone(), teacher.clone(), t, shape=(), situation="at T = 2")
    mistakes = {
        "your loss is the same at every temperature: it is to use the one that it is given": soft_part(student, teacher, 4),
        "the factor T² does not follow the temperature that is given": soft_part(student, teacher, t) * 4,
        "your softmax does not follow the temperature that is given": soft_part(student, teacher, 4) / 4,
    }  # fmt: skip
    match(answer, actual, soft_part(student, teacher, t), case, mistakes)
    for t in (20.0, 100.0):
        student, teacher = (fresh(6, 5, scale=t) for _ in range(2))  # so that T still makes a difference
        actual = answer.tensor(student, teacher, t, shape=(), situation=f"at T = {t:g}")
        if not close(actual / soft_part(student, teacher, t), 1, 1e-3):
            raise answer.wrong(f"the value is wrong at T = {t:g}, though it is right at lower temperatures")


def _extreme_logits() -> tuple[Tensor, Tensor]:
    """Logits of ±10000 for student and teacher, new at each call: an answer may change what it is given."""
    student = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]])
    return student, student.flip(1)


def _soft_on_extreme_logits(answer: Answer) -> None:
    student, teacher = _extreme_logits()
    actual = answer.tensor(student, teacher, 2.0, shape=(), situation="for logits of ±10000")
    expected = soft_part(student, teacher, 2.0)
    if not finite(actual):
        raise answer.wrong("large logits overflow: the loss is not right", "logits of ±10000, T = 2", expected, actual)
    if not close(actual / expected, 1.0, 1e-3):
        what = "large logits give a finite but wrong loss: is a small probability cut off, or rounded to 0?"
        raise answer.wrong(what, "logits of ±10000, T = 2", expected, actual)


def _soft_on_random_logits(answer: Answer) -> None:
    for dtype, batch, situation in widths():
        student, teacher = (fresh(batch, 5, dtype=dtype).requires_grad_() for _ in range(2))
        actual = answer.tensor(student, teacher, 2.5, shape=(), situation=situation)
        if not close(actual, soft_part(student, teacher, 2.5)):
            raise answer.wrong(f"the value is wrong {situation}, at T = 2.5")
        _gradients(answer, actual, student, teacher, soft_part(student, teacher.detach(), 2.5))


def _gradients(answer: Answer, actual: Tensor, student: Tensor, teacher: Tensor, reference: Tensor) -> None:
    """Insist on the right gradient into the student, and none into the teacher."""
    if not (student.requires_grad and teacher.requires_grad):
        raise answer.wrong("your function changes requires_grad of its input: detach a copy, .detach() makes one")
    if not actual.requires_grad:
        raise answer.wrong("no gradient reaches the student: your loss is cut off from the graph")
    gradient, into_teacher = torch.autograd.grad(actual, (student, teacher), allow_unused=True)
    if into_teacher is not None and bool(into_teacher.abs().sum() > 0):
        raise answer.wrong("a gradient reaches the teacher's logits: the teacher would be trained too")
    if gradient is None:
        raise answer.wrong("no gradient reaches the student: your loss is cut off from the graph")
    (wanted,) = torch.autograd.grad(reference, student)
    if not close(gradient, wanted, 1e-3):
        raise answer.wrong("the value is right, but the gradient into the student is not")


def distillation_loss(answer: Answer) -> None:
    """Diagnose (1 − λ)·CE + λ·soft loss."""
    _both_on_public_case(answer)
    _both_at_other_settings(answer)
    _both_on_random_logits(answer)
    _both_on_extreme_logits(answer)


def _both_on_public_case(answer: Answer) -> None:
    student, teacher, labels, t, lam = PUBLIC_STUDENT, PUBLIC_TEACHER, PUBLIC_LABELS, 4.0, 0.75
    case = f"student {shown(student)}, teacher {shown(teacher)}, labels {shown(labels)}, temperature 4, λ = 0.75"
    hard, soft = F.cross_entropy(student.double(), labels), soft_part(student, teacher, t)
    expected = (1 - lam) * hard + lam * soft
    if (
        isinstance(result := answer(student.clone(), teacher.clone(), labels.clone(), t, lam), Tensor)
        and result.numel() > 1
    ):
        raise answer.wrong(f"your loss has the shape {tuple(result.shape)}; a single number is needed")
    actual = answer.tensor(student.clone(), teacher.clone(), labels.clone(), t, lam, shape=())
    one_hot_soft = t**2 * F.cross_entropy(student.double() / t, labels)
    if not close(actual, expected) and close(
        actual, (1 - lam) * hard + lam * _own_soft_loss(answer, student, teacher, t)
    ):
        raise answer.wrong(
            "its soft part is what your soft_loss gives, and that is not right yet: mend soft_loss first"
        )
    mistakes = {
        "λ is on the wrong part: at λ = 1 only the soft part should count": lam * hard + (1 - lam) * soft,
        "the soft part is too small by T²": (1 - lam) * hard + lam * soft / t**2,
        "T² is applied twice: your soft loss has it already": (1 - lam) * hard + lam * soft * t**2,
        "T² multiplies the hard part too; it belongs to the soft part alone": t**2 * (1 - lam) * hard + lam * soft,
        "the two shares do not sum to 1: the hard part has its full weight": hard + lam * soft,
        "the two shares do not sum to 1: the soft part has its full weight": (1 - lam) * hard + soft,
        "λ has no effect: both parts have their full weight": hard + soft,
        "λ has no effect: both parts count half": (hard + soft) / 2,
        "the hard part is missing": lam * soft,
        "the soft part is missing": (1 - lam) * hard,
        "the labels are used in the soft part: it should compare with the teacher": (1 - lam) * hard + lam * one_hot_soft,
        "the hard part divides by T: hard labels belong to the plain softmax": (1 - lam)
        * F.cross_entropy(student.double() / t, labels) + lam * soft,
        "the hard part scores the teacher, not the student": (1 - lam) * F.cross_entropy(teacher.double(), labels)
        + lam * soft,
        "the hard part is summed over the batch; the mean is needed": (1 - lam) * hard * 2 + lam * soft,
        "softmax comes before the cross entropy, which applies it again": (1 - lam)
        * F.cross_entropy(tempered_softmax(student), labels) + lam * soft,
        "in the soft part teacher and student are swapped": (1 - lam) * hard + lam * soft_part(teacher, student, t),
        "the soft part is also divided by the number of classes": (1 - lam) * hard + lam * soft / 3,
    }  # fmt: skip
    match(answer, actual, expected, case, mistakes)


def _own_soft_loss(answer: Answer, student: Tensor, teacher: Tensor, t: float) -> float:
    """Give the value of the learner's own soft_loss, where it stands beside the answer; NaN where there is none."""
    beside = getattr(inspect.unwrap(answer.function), "__globals__", {})
    try:
        return float(beside["soft_loss"](student.clone(), teacher.clone(), t))
    except Exception:  # it is another function's fault, and told there
        return math.nan


def _both_at_other_settings(answer: Answer) -> None:
    student, teacher, labels, t, lam = PUBLIC_STUDENT, PUBLIC_TEACHER, PUBLIC_LABELS, 2.0, 0.25
    case = f"student {shown(student)}, teacher {shown(teacher)}, labels {shown(labels)}, temperature 2, λ = 0.25"
    actual = answer.tensor(student.clone(), teacher.clone(), labels.clone(), t, lam, shape=())
    mistakes = {
        "your loss is the same at every temperature and λ: it is to use those that it is given": (4, 0.75),
        "your loss is the same at every temperature: it is to use the one that it is given": (4, lam),
        "your loss is the same at every λ: it is to use the one that it is given": (t, 0.75),
    }
    values = {what: both_parts(student, teacher, labels, *settings) for what, settings in mistakes.items()}
    match(answer, actual, both_parts(student, teacher, labels, t, lam), case, values)


def _both_on_random_logits(answer: Answer) -> None:
    for dtype, batch, situation in widths():
        student, teacher = (fresh(batch, 5, dtype=dtype).requires_grad_() for _ in range(2))
        labels = random_labels(batch, 5)
        for lam in (0.0, 0.3, 1.0):
            actual = answer.tensor(student, teacher, labels, 3.0, lam, shape=(), situation=situation)
            if not close(actual, both_parts(student, teacher, labels, 3.0, lam)):
                raise answer.wrong(f"the value is wrong {situation}, at λ = {lam:g}")
            _gradients(answer, actual, student, teacher, both_parts(student, teacher.detach(), labels, 3.0, lam))


def _both_on_extreme_logits(answer: Answer) -> None:
    for labels in (torch.tensor([0, 1]), torch.tensor([1, 0])):  # the likeliest classes, and those ruled out
        student, teacher = _extreme_logits()
        actual = answer.tensor(student, teacher, labels.clone(), 2.0, 0.5, shape=(), situation="for logits of ±10000")
        expected, case = both_parts(student, teacher, labels, 2.0, 0.5), "logits of ±10000, T = 2, λ = 0.5"
        if not finite(actual):
            raise answer.wrong("large logits overflow: the loss is not right", case, expected, actual)
        if not close(actual / expected, 1.0, 1e-3):
            what = "large logits give a finite but wrong loss: is a small probability cut off, or rounded to 0?"
            raise answer.wrong(what, case, expected, actual)


def total_loss(answer: Answer) -> None:
    """Diagnose L_ce + λ_f·L_f."""
    _total_on_public_case(answer)
    _total_and_its_gradients(answer)
    _total_of_plain_numbers(answer)


def _total_on_public_case(answer: Answer) -> None:
    ce, penalty, weight = torch.tensor(0.5), torch.tensor(25.0), 0.01
    case, expected = "cross_entropy 0.5, penalty 25, penalty_weight 0.01", 0.75
    actual = answer.tensor(ce, penalty, weight, shape=())
    mistakes = {
        "the weight has no effect on the penalty": 25.5,
        "the weight is on the cross entropy; it belongs to the penalty": 0.01 * 0.5 + 25,
        "the weight is on both parts; only the penalty has one": 0.01 * 25.5,
        "this weighs the two parts against each other, as λ does; λ_f only weighs the penalty": 0.99 * 0.5 + 0.01 * 25,
        "the penalty is subtracted: large weights would be rewarded": 0.25,
        "the penalty is missing": 0.5,
        "the cross entropy is missing": 0.25,
        "the penalty is squared once more": 0.5 + 0.01 * 625,
    }
    match(answer, actual, expected, case, mistakes)


def _total_and_its_gradients(answer: Answer) -> None:
    ce, penalty = (fresh(1).abs()[0].double().requires_grad_() for _ in range(2))
    actual = answer.tensor(ce, penalty, 0.3, shape=(), situation="on float64 tensors")
    if not close(actual, ce + 0.3 * penalty):
        raise answer.wrong("the value is wrong on random numbers")
    gradients = torch.autograd.grad(actual, (ce, penalty), allow_unused=True) if actual.requires_grad else (None, None)
    if None in gradients or not close(torch.stack([g for g in gradients if g is not None]), [1, 0.3]):
        raise answer.wrong("the gradient does not reach both parts as it should")


def _total_of_plain_numbers(answer: Answer) -> None:
    result = answer(0.5, 25.0, 0.0, situation="on plain numbers")
    if type(result) not in (float, Tensor) or not close(result, 0.5):
        raise answer.wrong("plain numbers, or a weight of 0, give a wrong value")


TASKS = {
    "soft_loss": Task(
        soft_loss,
        (
            "Both sets of logits are divided by T before their softmax.",
            "KL(p ‖ q) weighs the difference of two logarithms by p. Which of the two is the teacher?",
            "Work with log_softmax rather than the logarithm of a softmax: it survives large logits.",
            "Sum over classes, average over the batch, then undo what 1/T did to the gradient, twice.",
            "The teacher is a given, not something to train: cut its logits off from the graph.",
        ),
        (losses.soft_divergence, losses.mixed_loss, losses.distillation_loss),
    ),
    "distillation_loss": Task(
        distillation_loss,
        (
            "Two parts, and their shares sum to 1. What should be left at λ = 0, and at λ = 1?",
            "The hard part knows neither teacher nor temperature.",
            "The soft part is what you wrote before, T² included.",
        ),
        (losses.mixed_loss, losses.distillation_loss),
    ),
    "total_loss": Task(
        total_loss,
        (
            "Read the article's formula term by term: how many of them carry a weight?",
            "At penalty_weight = 0 the cross entropy must be left, untouched.",
        ),
        (losses.total_loss,),
    ),
}
