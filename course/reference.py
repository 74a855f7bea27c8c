"""What right answers give: formulas in float64, numbers to try them on, and the comparison that names a mistake.

The formulas are written a second time, apart from the toolkit, so that a fault there cannot hide one in an answer.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course.answers import Answer, close, nearest

# The public case: a learner sees it in the message, and can work it out by hand.
PUBLIC_STUDENT = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 3.0]])
PUBLIC_TEACHER = torch.tensor([[5.0, 3.0, -2.0], [-1.0, 2.0, 4.0]])
PUBLIC_LABELS = torch.tensor([0, 1])


def tempered_softmax(logits: Tensor, temperature: float = 1.0, axis: int = -1) -> Tensor:
    """softmax(logits / T), of any float width."""
    return (logits.detach().double() / temperature).log_softmax(axis).exp()


def kl_divergence(first: Tensor, second: Tensor) -> Tensor:
    """KL(first ‖ second) per row, of logits that already have their temperature."""
    first, second = first.double().log_softmax(-1), second.double().log_softmax(-1)
    return (first.exp() * (first - second)).sum(-1)


def soft_part(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T²·KL(teacher ‖ student): summed over classes, mean over the batch."""
    return temperature**2 * kl_divergence(teacher / temperature, student / temperature).mean()


def both_parts(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, lam: float) -> Tensor:
    """(1 − λ)·CE + λ·T²·KL: the distillation loss."""
    return (1 - lam) * F.cross_entropy(student.double(), labels) + lam * soft_part(student, teacher, temperature)


def fresh(*shape: int, dtype: torch.dtype = torch.float32, scale: float = 2.0) -> Tensor:
    """Random numbers that nobody can foresee, without touching the learner's random numbers."""
    generator = torch.Generator()
    generator.seed()
    return (scale * torch.randn(*shape, generator=generator)).to(dtype)


def random_labels(batch: int, classes: int) -> Tensor:
    """Class indices that nobody can foresee, shape (batch,)."""
    return fresh(batch, classes).argmax(1)


def widths() -> list[tuple[torch.dtype, int, str]]:
    """Both float widths, a usual batch and one of a single example; with words for a message."""
    return [
        (torch.float32, 6, "on random logits"),
        (torch.float64, 6, "on float64 tensors"),
        (torch.float32, 1, "on a batch of one"),
    ]


def match(
    answer: Answer, actual: Any, expected: Any, case: str, mistakes: dict[str, Any], tolerance: float = 1e-4
) -> None:
    """Refuse a wrong value, with the behaviour of the mistake that gives exactly it."""
    if close(actual, expected, tolerance):
        return
    raise answer.wrong(nearest(actual, mistakes, tolerance) or "the value is wrong", case, expected, actual)
