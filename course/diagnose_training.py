"""Lesson 04: what an answer for the teacher's logits and for one training step must do, and how likely mistakes show."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course.answers import Answer, Task, close, nearest
from course.reference import both_parts, fresh, match, random_labels, soft_part, widths
from course.watched import CountingSGD, Watched, watched
from toolkit import training
from toolkit.data import UNLABELLED


def _copies(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def _same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


# ---- The teacher's logits ------------------------------------------------------------------------------------


def teacher_logits(answer: Answer) -> None:
    """Diagnose the teacher's logits: eval mode, no graph."""
    for dtype, batch, situation in widths():
        if batch == 1:
            situation += ": is the teacher in eval mode?"
        teacher, x = _used_teacher(dtype), fresh(batch, 6, dtype=dtype)
        expected = _logits_in_eval_mode(teacher, x)
        before = _copies(teacher)
        with torch.random.fork_rng(devices=[]):  # dropout draws random numbers
            result = answer(teacher, x.clone(), situation=situation)
        _diagnose_how_it_was_run(answer, teacher, before, type(result) is Tensor and close(result, expected))
        _diagnose_logits(answer, result, expected)


def _used_teacher(dtype: torch.dtype) -> Watched:
    """Make a teacher whose batch norm has statistics of its own, left in train mode."""
    teacher = watched().to(dtype)
    teacher.train()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        teacher(fresh(64, 6, dtype=dtype))
    return teacher


def _logits_in_eval_mode(teacher: Watched, x: Tensor) -> Tensor:
    """Compute what is expected, and leave the teacher in train mode with nothing remembered."""
    teacher.eval()
    with torch.no_grad():
        expected = teacher(x)
    teacher.train()
    teacher.modes.clear()
    teacher.parts_in_training.clear()
    return expected


def _diagnose_how_it_was_run(answer: Answer, teacher: Watched, before: dict[str, Tensor], right: bool) -> None:
    if not teacher.modes and not right:  # a copy of it may have been run
        raise answer.wrong("the teacher was never run")
    if any(teacher.modes[:1]) or any(teacher.parts_in_training):
        raise answer.wrong(
            "the teacher, or a part of it, runs in train mode: dropout and batch norm then change its logits"
        )
    if not _same(_copies(teacher), before):
        raise answer.wrong("your function changes the teacher's weights or statistics")


def _diagnose_logits(answer: Answer, result: Any, expected: Tensor) -> None:
    if type(result) is not Tensor:
        raise answer.wrong(f"your function returns a {type(result).__name__}, not a torch.Tensor")
    if result.requires_grad:
        raise answer.wrong("your result is still part of a graph: gradients could flow into the teacher")
    if not result.is_floating_point() or result.shape == expected.shape[:1]:
        raise answer.wrong("your function returns classes or one number per example, not logits")
    if result.shape != expected.shape:
        raise answer.wrong(f"your result has the shape {tuple(result.shape)}, where {tuple(expected.shape)} is needed")
    mistakes = {
        "these are probabilities; logits are needed": expected.double().softmax(-1),
        "these are logarithms of probabilities; logits are needed": expected.double().log_softmax(-1),
    }
    match(answer, result, expected, f"{len(expected)} random examples", mistakes)


# ---- One training step ---------------------------------------------------------------------------------------

_ROUNDING = 1e-4  # of weights in float32


@dataclass(frozen=True)
class _Step:
    """One step to make, with a copy of the student that holds the right gradients and never moves."""

    student: Watched
    reference: Watched
    optimizer: CountingSGD
    x: Tensor
    labels: Tensor
    soft_target_logits: Tensor
    before: dict[str, Tensor]  # the student's weights
    temperature: float
    lam: float  # not a half, at which the two parts could be exchanged unseen

    def loss(self, network: nn.Module) -> Tensor:
        """The distillation loss of a network on this batch."""
        return both_parts(network(self.x), self.soft_target_logits, self.labels, self.temperature, self.lam)


def train_step(answer: Answer) -> None:
    """Diagnose one update of the student."""
    for dtype, batch, situation in widths():
        step = _step_to_make(dtype, batch)
        minimised = step.loss(step.reference)
        minimised.backward()
        result = answer(
            step.student,
            step.optimizer,
            step.x,
            step.labels,
            step.soft_target_logits,
            step.temperature,
            step.lam,
            situation=situation,
        )
        _diagnose_update(answer, step, result)
        _diagnose_returned_loss(answer, step, result, minimised, situation)


def _step_to_make(dtype: torch.dtype, batch: int) -> _Step:
    """Make a student as a validation and an earlier step leave it: in eval mode, with old gradients."""
    student, reference = (watched(dropout=0.0, norm=False).to(dtype) for _ in range(2))
    reference.load_state_dict(student.state_dict())
    for parameter in student.parameters():
        parameter.grad = torch.ones_like(parameter)
    student.eval()
    temperature, lam = (2.5, 0.2) if dtype == torch.float64 else (4.0, 0.7)
    labels = random_labels(batch, 4)
    if batch > 1:
        labels[::3] = UNLABELLED
    return _Step(
        student,
        reference,
        CountingSGD(student.parameters(), 0.05),
        x=fresh(batch, 6, dtype=dtype),
        labels=labels,
        soft_target_logits=fresh(batch, 4, dtype=dtype),
        before=_copies(student),
        temperature=temperature,
        lam=lam,
    )


def _diagnose_update(answer: Answer, step: _Step, result: Any) -> None:
    """Compare the student's new weights with one right step of the same optimizer."""
    if not step.student.modes:
        raise answer.wrong("the student was never run")
    if not step.student.modes[0]:
        raise answer.wrong("the student was left in eval mode: a step begins with train mode")
    if _moved_by(step, 1.0) and step.optimizer.steps == 1:
        return
    if step.optimizer.steps > 1:
        _diagnose_other_loss(answer, step, result)
        raise answer.wrong(f"one call makes {step.optimizer.steps} updates; it should make one")
    if not step.optimizer.steps and not _same(_copies(step.student), step.before):
        raise answer.wrong("the weights are updated without the optimizer that was given")
    if _same(_copies(step.student), step.before):
        reason = "its step sees no gradients" if step.optimizer.steps else "its step is missing"
        raise answer.wrong(f"the student's weights do not change: the optimizer is there, but {reason}")
    if _moved_by(step, 0.0, old_gradients=1.0):
        raise answer.wrong("the update follows old gradients only: is the loss ever sent backward?")
    if _moved_by(step, 1.0, old_gradients=1.0):
        raise answer.wrong("the gradients are not cleared before backward: what was there before the call is added")
    if _moved_by(step, -1.0):
        raise answer.wrong("the update climbs: the loss becomes larger")
    _diagnose_other_loss(answer, step, result)
    raise answer.wrong(
        "the update is not the one that the distillation loss asks for: are T, λ, labels and soft targets all used?"
    )


def _likely_losses(step: _Step) -> dict[str, Tensor]:
    """What a step may minimise instead of the distillation loss, by the behaviour that names it."""
    logits = step.reference(step.x)
    z, soft, y, t, lam = logits, step.soft_target_logits, step.labels, step.temperature, step.lam
    hard_part, divergence = F.cross_entropy(z.double(), y), soft_part(z, soft, t)
    labelled = y != UNLABELLED
    as_class_0 = F.cross_entropy(z.double(), y.clamp(min=0))
    return {
        "the loss ignores the soft targets": hard_part,
        "the loss ignores the labels": divergence,
        "one part of the loss is missing: that with the labels": lam * divergence,
        "one part of the loss is missing: that with the soft targets": (1 - lam) * hard_part,
        "λ is on the wrong part: at λ = 1 only the soft part should count": both_parts(z, soft, y, t, 1 - lam),
        "λ has no effect: both parts have their full weight": hard_part + divergence,
        "λ has no effect: both parts count half": (hard_part + divergence) / 2,
        "T has no effect: the loss is that of T = 1": both_parts(z, soft, y, 1.0, lam),
        "the soft part is too small by T²": (1 - lam) * hard_part + lam * divergence / t**2,
        "unlabelled examples (−100) count as class 0 in the hard part": (1 - lam) * as_class_0 + lam * divergence,
        "the hard part is divided by the unlabelled examples, too; it is a mean over the labelled ones": (1 - lam)
        * hard_part * labelled.double().mean() + lam * divergence,
        "unlabelled examples are missing from the soft part; the teacher speaks of them, too": (1 - lam) * hard_part
        + lam * soft_part(z[labelled], soft[labelled], t),
    }  # fmt: skip


def _diagnose_other_loss(answer: Answer, step: _Step, result: Any) -> None:
    """Name the loss that was minimised, where it is a likely one: the weights followed it, or else it is returned.

    All the weights rarely agree by chance; one number does so sooner, hence last and with less tolerance.
    """
    likely, apart = _likely_losses(step), {}
    for behaviour, loss in likely.items():
        step.reference.zero_grad()
        loss.backward(retain_graph=True)
        apart[behaviour] = _apart(step, 1.0)
    closest = min(apart, key=lambda behaviour: apart[behaviour])
    if apart[closest] <= _ROUNDING:
        raise answer.wrong(closest)
    if type(result) is float and (returned := nearest(result, likely, 1e-5)):
        raise answer.wrong(returned)


def _moved_by(step: _Step, right_gradients: float, old_gradients: float = 0.0) -> bool:
    """Whether the student's weights followed this much of the right gradients, and of the old ones (all 1)."""
    return _apart(step, right_gradients, old_gradients) <= _ROUNDING


def _apart(step: _Step, right_gradients: float, old_gradients: float = 0.0) -> float:
    """How far the student's weights are from where these gradients lead: the largest difference, beside a weight's size."""
    rate, weights = step.optimizer.param_groups[0]["lr"], _copies(step.student)
    largest = []
    for name, parameter in step.reference.named_parameters():
        assert parameter.grad is not None
        target = step.before[name] - rate * (right_gradients * parameter.grad + old_gradients)
        largest.append(((weights[name] - target).abs() / (1 + target.abs())).max())
    return float(torch.stack(largest).max())


def _diagnose_returned_loss(answer: Answer, step: _Step, result: Any, minimised: Tensor, situation: str) -> None:
    if type(result) is not float:
        raise answer.wrong(f"your function returns a {type(result).__name__}, not a Python float")
    with torch.no_grad():
        after_update = step.loss(step.student)
    mistakes = {
        "the loss returned was computed after the update; the one that was minimised is needed": after_update,
        **{f"the update is right, but not what is returned: {name}": v for name, v in _likely_losses(step).items()},
    }
    match(answer, result, minimised, f"a step {situation}", mistakes)


TASKS = {
    "teacher_logits": Task(
        teacher_logits,
        (
            "Dropout and batch norm behave differently in training and in use. Which one is this?",
            "Nobody will differentiate through the teacher: PyTorch need not remember how the logits came about.",
            "What the teacher returns are logits already.",
        ),
        (training.predict,),
    ),
    "train_step": Task(
        train_step,
        (
            "A step has five parts: mode, forward, loss, backward, update. And something must be forgotten in between.",
            "PyTorch adds new gradients to old ones until it is told not to.",
            "A validation may have left the student in another mode than training needs.",
            "A one-element tensor still holds on to its graph; what is asked for is a plain number.",
        ),
        (training.fit,),
    ),
}
