"""What is measured: accuracy, loss, calibration, fidelity, and how sure a difference is.

An interval is over seeds and of the *paired* difference: both arms of a seed start from the same weights and
see the same batches, so that what they share cancels.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from toolkit.losses import soft_targets


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of examples whose highest logit is that of the true class. Logits (examples, classes), labels (examples,)."""
    _check_shapes(logits, labels)
    return (logits.argmax(-1) == labels).double().mean().item()


def class_accuracy(logits: Tensor, labels: Tensor) -> np.ndarray:
    """Accuracy within each class, shape (classes,); NaN for a class without examples."""
    _check_shapes(logits, labels)
    right = (logits.argmax(-1) == labels).double()
    members = F.one_hot(labels, logits.shape[-1]).double()  # (examples, classes)
    return ((right @ members) / members.sum(0)).numpy()


def fidelity(student_logits: Tensor, teacher_logits: Tensor) -> float:
    """Share of examples for which student and teacher pick the same class (Stanton et al. 2021)."""
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"logits of shapes {tuple(student_logits.shape)} and {tuple(teacher_logits.shape)} do not match"
        )
    return (student_logits.argmax(-1) == teacher_logits.argmax(-1)).double().mean().item()


def negative_log_likelihood(logits: Tensor, labels: Tensor) -> float:
    """Mean of −log p(true class), in nats."""
    _check_shapes(logits, labels)
    return F.cross_entropy(logits.double(), labels).item()


def calibration_error(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over equal-width bins (Guo et al. 2017)."""
    _check_shapes(logits, labels)
    confidence, predicted = F.softmax(logits.double(), -1).max(-1)
    right = (predicted == labels).double()
    bin_of = (confidence * bins).long().clamp(max=bins - 1)
    gap = torch.zeros(bins, dtype=torch.double).index_add(0, bin_of, confidence - right)
    return (gap.abs().sum() / len(labels)).item()


def _check_shapes(logits: Tensor, labels: Tensor) -> None:
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"logits must be (examples, classes) and labels (examples,), not {tuple(logits.shape)} and {tuple(labels.shape)}"
        )


def entropy(probabilities: Tensor) -> Tensor:
    """Entropy in nats over the last axis, one value per row; 0·log 0 counts as 0.

    >>> entropy(torch.tensor([[1.0, 0.0], [0.5, 0.5]])).round(decimals=3)
    tensor([0.0000, 0.6930])
    """
    return torch.special.entr(probabilities).sum(-1)


def dark_knowledge(logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """What a teacher says of each class about every other: its mean soft targets, shape (classes, classes).

    Row i is the mean of the soft targets over the examples whose true class is i; NaN for a class without examples.
    Beside the diagonal stands the dark knowledge (Hinton et al. 2015).

    >>> logits = torch.tensor([[2.0, 0.0], [0.0, 4.0]])
    >>> dark_knowledge(logits, torch.tensor([0, 1]), 2.0).round(decimals=2)
    tensor([[0.7300, 0.2700],
            [0.1200, 0.8800]])
    """
    _check_shapes(logits, labels)
    probabilities = soft_targets(logits, temperature)
    members = F.one_hot(labels, logits.shape[-1]).to(probabilities.dtype)  # (examples, classes)
    return members.T @ probabilities / members.sum(0)[:, None]


def rich_examples(logits: Tensor, labels: Tensor, temperature: float = 4.0) -> Tensor:
    """Find the examples whose soft targets teach most beside the label: indices, the richest first.

    They are those that a teacher gets right and is sure of (98 % at T = 1; if there is none, those it gets right), by the
    share of their second class at ``temperature``.

    >>> logits = torch.tensor([[9.0, 0.0, 0.0], [9.0, 4.0, 0.0], [0.0, 9.0, 0.0]])
    >>> rich_examples(logits, torch.tensor([0, 0, 0]))
    tensor([1, 0])
    """
    _check_shapes(logits, labels)
    right = logits.argmax(1) == labels
    sure = right & (soft_targets(logits, 1.0).amax(1) >= 0.98)
    candidates = (sure if sure.any() else right).nonzero().squeeze(1)
    second = soft_targets(logits[candidates], temperature).topk(2).values[:, 1]
    return candidates[second.argsort(descending=True, stable=True)]


def class_bias(val_logits: Tensor, val_labels: Tensor, of_class: int) -> float:
    """Find what to add to one class's logit so that *validation* accuracy is highest (Hinton et al. 2015, section 3).

    A class that the transfer set left out is too seldom chosen; one number puts that right. Of equally good values
    the middle of the range is taken.
    """
    others = val_logits.clone()
    others[:, of_class] = -torch.inf
    needed = others.max(1).values - val_logits[:, of_class]  # a larger bias makes this example go to the class
    candidates = needed.sort().values
    candidates = torch.cat([candidates[:1] - 1, (candidates[1:] + candidates[:-1]) / 2, candidates[-1:] + 1])
    goes_to_class = candidates[:, None] > needed  # (candidates, examples)
    right = torch.where(goes_to_class, val_labels == of_class, others.argmax(1) == val_labels).sum(1)
    best = (right == right.max()).nonzero().squeeze(1)
    return candidates[best[len(best) // 2]].item()


# ---- How sure is a difference? -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its 95 % confidence interval. ``low`` and ``high`` are infinite for a single seed."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def at(self, *place: int) -> "Interval":
        """Give one of several means with its interval."""
        return Interval(self.mean[place], self.low[place], self.high[place])

    @property
    def holds_zero(self) -> np.ndarray:
        """Whether zero lies within, so that no difference was measured; one truth value per mean."""
        return (self.low <= 0) & (self.high >= 0)


def confidence_interval(
    values: np.ndarray, axis: int = -1, level: float = 0.95, *, examples: int | None = None
) -> Interval:
    """Student's t interval of the mean along ``axis``; the other axes stay.

    Parameters
    ----------
    examples : number of examples behind each value, where values are differences of two accuracies
        Accuracies move in steps of 1/examples, so that a few seeds agree by chance: the spread between seeds is then
        taken to be at least what rounding to such steps hides (a variance of step²/12 on either side).

    >>> interval = confidence_interval(np.array([0.01, 0.02, 0.03]))
    >>> print(f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]")
    0.020 [-0.005, 0.045]
    """
    values = np.asarray(values, dtype=float)
    count = values.shape[axis]
    mean = values.mean(axis)
    if count < 2:  # one seed says nothing about the spread between seeds
        return Interval(mean, np.full_like(mean, -np.inf), np.full_like(mean, np.inf))
    from scipy.stats import t as student_t  # half a second of import time, so only where it is used

    half = student_t.ppf((1 + level) / 2, count - 1) * _standard_error(values, axis, examples)
    return Interval(mean, mean - half, mean + half)


def _standard_error(values: np.ndarray, axis: int, examples: int | None) -> np.ndarray:
    deviation = np.maximum(values.std(axis, ddof=1), 0 if examples is None else np.sqrt(2 / 12) / examples)
    return deviation / np.sqrt(values.shape[axis])


def holm_intervals(values: np.ndarray, level: float = 0.95, *, examples: int | None = None) -> Interval:
    """Student's t intervals of several means that are looked at together, corrected for their number (Holm 1979).

    The mean with the smallest p-value gets the interval of Bonferroni, at 1 − 0.05/m for m comparisons, the next one that at
    1 − 0.05/(m − 1), and so on until one holds zero: that one and all after it share its level. An interval then leaves out zero
    exactly where Holm's test finds a difference: among all those that are found, with a probability of 95 % none is an error. The
    intervals of true differences are somewhat narrower than Bonferroni's, and do not all hold their mean as often as that.

    Parameters
    ----------
    values : shape (comparisons, seeds)
    examples : as for ``confidence_interval``

    Examples
    --------
    >>> values = np.array([[0.02, 0.021, 0.022], [0.01, 0.02, 0.033]])
    >>> holm_intervals(values).low.round(4), confidence_interval(values).low.round(4)
    (array([ 0.0174, -0.0076]), array([ 0.0185, -0.0076]))
    """
    values = np.asarray(values, dtype=float)
    comparisons, seeds = values.shape
    mean = values.mean(1)
    if seeds < 2 or not comparisons:
        return confidence_interval(values)
    from scipy.stats import t as student_t

    error = _standard_error(values, 1, examples)
    distance = np.divide(np.abs(mean), error, out=np.where(mean == 0, 0.0, np.inf), where=error > 0)
    half = np.empty(comparisons)
    quantile, found = np.inf, True
    for rank, place in enumerate(np.argsort(-distance, kind="stable")):
        if found:
            quantile = student_t.ppf(1 - (1 - level) / (2 * (comparisons - rank)), seeds - 1)
            found = distance[place] > quantile
        half[place] = quantile * error[place]
    return Interval(mean, mean - half, mean + half)


def verdict(difference: Interval) -> str:
    """ "better", "worse", or "no measurable difference" where the interval holds zero. One mean, not an array."""
    if difference.holds_zero:
        return "no measurable difference"
    return "better" if difference.mean > 0 else "worse"


def in_points(difference: Interval) -> str:
    """Write a difference of accuracies in percentage points: "+1.7 points [+1.2, +2.2]"."""
    text = f"{signed_points(difference.mean)} points"
    if np.isfinite(difference.low):
        text += f" [{signed_points(difference.low)}, {signed_points(difference.high)}]"
    return text


def signed_points(share: float | np.ndarray) -> str:
    """Write a share in percentage points with its sign: "+1.7".

    What one digit would round to zero gets another: on which side of zero an interval ends must be seen.

    >>> signed_points(0.017), signed_points(-0.0003), signed_points(0.0)
    ('+1.7', '-0.03', '+0.0')
    """
    points = 100 * float(share)
    text = f"{points:+.1f}"
    return f"{points:+.1g}" if float(text) == 0 and abs(points) > 1e-6 else text
