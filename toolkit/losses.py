"""The losses of the toolkit. Nothing else needs to be read to understand distillation.

A teacher's *logits*, divided by a *temperature* T and passed through the softmax, become *soft targets*: they
say how likely the teacher finds every class, the wrong ones too. A student learns from hard labels and from
soft targets at once:

    distillation loss = (1 − λ) · cross entropy(hard labels) + λ · T² · KL(soft targets ‖ student at T)
                                                                       (Hinton, Vinyals & Dean 2015, section 2)
    total loss        = distillation loss + λ_f · (L1 or L2 penalty on the student's weights)

Public functions check their arguments. Beneath them stand the bare formulas, which trust their caller and
accept tensors as T and λ, so that one call can serve a whole stack of students.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toolkit.data import UNLABELLED

# ---- The bare formulas ---------------------------------------------------------------------------------------


def soft_divergence(student_logits: Tensor, teacher_logits: Tensor, temperature: float | Tensor) -> Tensor:
    """T²·KL(soft targets ‖ student at T): summed over classes, mean over the batch. Logits are (…, batch, classes).

    T² keeps the size of the soft gradient the same as T grows. It would also magnify the rounding errors of
    float32, so that this one sum is done in float64.
    """
    temperature = usable_temperature(temperature)
    log_teacher = F.log_softmax(teacher_logits.detach().double() / temperature, dim=-1)
    log_student = F.log_softmax(student_logits.double() / temperature, dim=-1)
    divergence = (log_teacher.exp() * (log_teacher - log_student)).sum(-1, keepdim=True)  # (…, batch, 1)
    return (temperature**2 * divergence).mean((-2, -1)).to(student_logits.dtype)


def usable_temperature(temperature: float | Tensor) -> float | Tensor:
    """Keep T where floating-point numbers can follow. From 10⁵ on the loss has its limit (logits are matched: Hinton et
    al. 2015, section 2.1), and T² would only magnify rounding; below 10⁻³⁰ the softmax is one-hot.
    """
    if isinstance(temperature, Tensor):
        return temperature.clamp(1e-30, 1e5)
    return min(max(float(temperature), 1e-30), 1e5)


def hard_cross_entropy(student_logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy with hard labels: mean over the labelled examples, zero where a batch has none."""
    labelled = int((labels != UNLABELLED).sum())
    if labelled == len(labels):
        return F.cross_entropy(student_logits, labels)
    total = F.cross_entropy(student_logits, labels, ignore_index=UNLABELLED, reduction="sum")
    return total / max(labelled, 1)


def mixed_loss(
    student_logits: Tensor, teacher_logits: Tensor | None, labels: Tensor, temperature: float, lam: float
) -> Tensor:
    """(1 − λ)·hard + λ·soft. At either end of λ, the part without weight is not computed."""
    if lam == 0 or teacher_logits is None:
        return hard_cross_entropy(student_logits, labels)
    soft = soft_divergence(student_logits, teacher_logits, temperature)
    if lam == 1:
        return soft
    return (1 - lam) * hard_cross_entropy(student_logits, labels) + lam * soft


def penalised_weights(model: nn.Module) -> list[nn.Parameter]:
    """The weights that the complexity term counts: two or more dimensions, so no biases and no norm layers."""
    return [parameter for parameter in model.parameters() if parameter.ndim >= 2]


# ---- The public functions ------------------------------------------------------------------------------------


def soft_targets(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Turn logits into probabilities at a temperature: ``softmax(logits / T)`` over the last axis.

    Parameters
    ----------
    logits : Tensor of shape (..., classes)
    temperature : T > 0 and finite
        1 is the plain softmax; larger values make the small probabilities visible.

    Returns
    -------
    Tensor of the same shape; each row sums to 1.

    Raises
    ------
    ValueError
        If T is not positive and finite, or a logit is not finite.

    Examples
    --------
    >>> logits = torch.tensor([4.0, 2.0, 0.0])
    >>> soft_targets(logits).round(decimals=3)
    tensor([0.8670, 0.1170, 0.0160])
    >>> soft_targets(logits, temperature=4).round(decimals=3)
    tensor([0.5060, 0.3070, 0.1860])
    """
    check_temperature(temperature)
    _check_logits("logits", logits)
    highest = logits.max(dim=-1, keepdim=True).values  # subtracting it changes nothing, and nothing overflows
    return F.softmax((logits - highest) / max(float(temperature), 1e-30), dim=-1)


def distillation_loss(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: float, lam: float
) -> Tensor:
    """Hinton's loss: (1 − λ)·CE(labels, student) + λ·T²·KL(teacher at T ‖ student at T).

    Parameters
    ----------
    student_logits, teacher_logits : Tensors of shape (batch, classes)
        No gradient reaches the teacher's.
    labels : int64 Tensor of shape (batch,)
        Class indices; −100 marks an unlabelled example, which takes part in the soft part only.
    temperature : T > 0 and finite
    lam : λ in [0, 1]
        The share of the *soft* part. 0 is plain cross entropy, to the bit. (Other libraries differ: docs/conventions.md.)

    Returns
    -------
    Scalar Tensor.

    Raises
    ------
    ValueError
        If T or λ is out of range, shapes do not match, a label is out of range, or a logit is not finite.

    Notes
    -----
    Hinton, Vinyals & Dean (2015), *Distilling the Knowledge in a Neural Network*, section 2.

    Examples
    --------
    >>> student = torch.tensor([[2.0, 0.0, -1.0]])
    >>> teacher = torch.tensor([[5.0, 3.0, -2.0]])
    >>> label = torch.tensor([0])
    >>> loss = distillation_loss(student, teacher, label, temperature=4.0, lam=0.5)
    >>> round(loss.item(), 4)
    0.5445
    >>> distillation_loss(student, student, label, temperature=4.0, lam=1.0)  # nothing left to learn
    tensor(0.)
    """
    check_temperature(temperature)
    check_lam(lam)
    _check_batch(student_logits, teacher_logits, labels)
    return mixed_loss(student_logits, teacher_logits, labels.long(), float(temperature), float(lam))


def complexity_penalty(model: nn.Module, norm: str = "l2") -> Tensor:
    """The article's complexity term L_f: Σ w² ("l2") or Σ |w| ("l1") over the weights of a model.

    Biases and norm layers do not count: only parameters of two or more dimensions do.

    Returns
    -------
    Scalar Tensor, differentiable in the weights.

    Raises
    ------
    ValueError
        For another norm.

    Examples
    --------
    >>> layer = nn.Linear(2, 1)
    >>> with torch.no_grad():
    ...     _ = layer.weight.copy_(torch.tensor([[3.0, -4.0]]))
    >>> complexity_penalty(layer, "l2").item(), complexity_penalty(layer, "l1").item()
    (25.0, 7.0)
    """
    check_norm(norm)
    weights = penalised_weights(model)
    if not weights:
        return torch.zeros(())
    return torch.stack([weight.square().sum() if norm == "l2" else weight.abs().sum() for weight in weights]).sum()


def total_loss(cross_entropy: Tensor | float, penalty: Tensor | float, penalty_weight: float) -> Tensor | float:
    """The article's formula L_total = L_ce + λ_f · L_f.

    Parameters
    ----------
    cross_entropy, penalty : scalars
        L_ce may just as well be the distillation loss: then both losses are combined.
    penalty_weight : λ_f ≥ 0 and finite

    Raises
    ------
    ValueError
        If λ_f is negative, NaN or infinite.

    Examples
    --------
    >>> total_loss(0.5, 25.0, 0.01)
    0.75
    """
    check_penalty_weight(penalty_weight)
    return cross_entropy + penalty_weight * penalty


# ---- The checks, which training and grid share ---------------------------------------------------------------


def check_temperature(temperature: float) -> None:
    """Refuse a T that is not a finite number above 0."""
    if not 0 < _number("temperature", temperature) < math.inf:
        raise ValueError(f"temperature must be a finite number above 0, not {temperature!r}; usual values are 1 to 20")


def check_lam(lam: float) -> None:
    """Refuse a λ outside [0, 1]."""
    if not 0 <= _number("lam", lam) <= 1:
        raise ValueError(f"lam (λ, the share of the soft part) must lie between 0 and 1, not {lam!r}")


def check_penalty_weight(penalty_weight: float) -> None:
    """Refuse a λ_f that is negative or not finite."""
    if not 0 <= _number("penalty_weight", penalty_weight) < math.inf:
        raise ValueError(f"penalty_weight (λ_f) must be a finite number of at least 0, not {penalty_weight!r}")


def check_norm(norm: str) -> None:
    """Refuse a norm other than "l1" and "l2"."""
    if norm not in ("l1", "l2"):
        raise ValueError(f"unknown norm {norm!r}; known are l1, l2")


def _check_batch(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> None:
    _check_logits("student_logits", student_logits)
    _check_logits("teacher_logits", teacher_logits)
    if student_logits.ndim != 2 or student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"student_logits {tuple(student_logits.shape)} and teacher_logits {tuple(teacher_logits.shape)} "
            "must both have the shape (batch, classes)"
        )
    batch, classes = student_logits.shape
    if not isinstance(labels, Tensor):
        raise ValueError(f"labels must be a tensor of class indices, not {type(labels).__name__}")
    if labels.shape != (batch,):
        raise ValueError(f"labels must have the shape ({batch},), one per example, not {tuple(labels.shape)}")
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"labels must be whole numbers (class indices), not {labels.dtype}")
    wrong = labels[(labels != UNLABELLED) & ((labels < 0) | (labels >= classes))]
    if len(wrong):
        raise ValueError(
            f"labels must be class indices 0 … {classes - 1}, or {UNLABELLED} for unlabelled; found {wrong[0].item()}"
        )


def _check_logits(name: str, logits: Tensor) -> None:
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        kind = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"{name} must be a floating-point tensor, not {kind}")
    if logits.ndim == 0 or logits.numel() == 0:
        raise ValueError(
            f"{name} must have the shape (..., classes) and hold at least one value, not {tuple(logits.shape)}"
        )
    if not torch.isfinite(logits).all():
        bad = logits[~torch.isfinite(logits)][0].item()
        raise ValueError(
            f"{name} must be finite, but one is {bad}: did the training diverge? Try a smaller learning rate"
        )


def _number(name: str, value: float) -> float:
    if isinstance(value, bool | str | complex) or value is None:
        raise ValueError(f"{name} must be a number, not {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError) as problem:
        raise ValueError(f"{name} must be a single number, not {value!r}") from problem
