"""The other ways to distil: one short function each, a formula with its paper. Changing the method is one name.

Above stand the formulas: pure functions of tensors, each a mean over the batch, none of which sends a gradient to the teacher.
Below, ``names()`` and ``get(name)`` give each method as a *batch loss* with named parts, ready to be trained (``compare.distil``):
what it uses (labels, the teacher's outputs, its features, or a schedule of several trainings), and the few settings among
which validation data choose. Hinton's own loss is in ``losses``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toolkit.data import UNLABELLED, seeded_generator
from toolkit.losses import check_temperature, hard_cross_entropy, mixed_loss, soft_divergence, soft_targets
from toolkit.models import Outputs

# ---- From the labels alone -----------------------------------------------------------------------------------


def label_smoothing_loss(student_logits: Tensor, labels: Tensor, *, smoothing: float = 0.1) -> Tensor:
    """Cross entropy with softened labels: 1 − ε on the true class, and ε shared by all classes alike.

    Szegedy et al. (2016), *Rethinking the Inception Architecture*, section 7. An unlabelled example (−100) does not count.

    >>> round(label_smoothing_loss(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), smoothing=0.1).item(), 4)
    0.2269
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must be a share of at least 0 and below 1, not {smoothing!r}")
    if (labels == UNLABELLED).all():
        return 0 * student_logits.sum()
    return F.cross_entropy(student_logits, labels, label_smoothing=smoothing, ignore_index=UNLABELLED)


def teacher_free_loss(
    student_logits: Tensor, labels: Tensor, *, temperature: float = 20.0, confidence: float = 0.99
) -> Tensor:
    """T²·KL from a made-up teacher, which gives ``confidence`` to the true class and the rest to all others alike.

    Yuan et al. (2020), *Revisiting Knowledge Distillation via Label Smoothing Regularization*, section 4.2; teacher and student
    are both divided by T (the authors' own code forgets the student). An unlabelled example does not count.
    """
    check_temperature(temperature)
    classes = student_logits.shape[-1]
    if not 1 / classes < confidence < 1:
        raise ValueError(f"confidence must lie above 1/{classes} (guessing) and below 1, not {confidence!r}")
    known = labels != UNLABELLED
    if not known.any():
        return 0 * student_logits.sum()
    made_up = torch.full_like(student_logits[known], (1 - confidence) / (classes - 1))
    made_up.scatter_(1, labels[known][:, None], confidence)  # (labelled, classes)
    return soft_divergence(student_logits[known], made_up.log(), temperature)


# ---- From the teacher's outputs ------------------------------------------------------------------------------


def logit_matching_loss(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Mean squared difference of the logits, over batch and classes.

    Ba & Caruana (2014), *Do Deep Nets Really Need to be Deep?*, section 2.2. It is twice the limit of T²·KL for T → ∞ where
    logits have the mean zero (Hinton et al. 2015, section 2.1).
    """
    _check_alike("student_logits", student_logits, "teacher_logits", teacher_logits)
    return F.mse_loss(student_logits, teacher_logits.detach())


def _without_target(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits of the wrong classes, (batch, classes − 1)."""
    wrong = torch.ones_like(logits, dtype=torch.bool).scatter(1, labels[:, None], False)
    return logits[wrong].view(len(logits), -1)


def target_divergence(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: float = 1.0
) -> Tensor:
    """TCKD of each example, shape (batch,): KL of "the true class or not", teacher ‖ student, both at T. Without T²."""
    log_shares = []
    for logits in (teacher_logits.detach().double(), student_logits.double()):
        logits = logits / temperature
        parts = logits.gather(1, labels[:, None]), _without_target(logits, labels).logsumexp(1, keepdim=True)
        log_shares.append(torch.cat(parts, 1) - logits.logsumexp(1, keepdim=True))  # log p of true, log p of others
    log_teacher, log_student = log_shares
    return (log_teacher.exp() * (log_teacher - log_student)).sum(1)


def others_divergence(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: float = 1.0
) -> Tensor:
    """NCKD of each example, shape (batch,): KL among the wrong classes alone, teacher ‖ student, both at T. Without T²."""
    log_teacher, log_student = (
        F.log_softmax(_without_target(logits.double(), labels) / temperature, 1)
        for logits in (teacher_logits.detach(), student_logits)
    )
    return (log_teacher.exp() * (log_teacher - log_student)).sum(1)


def decoupled_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float = 4.0,
    target_weight: float = 1.0,
    other_weight: float = 8.0,
) -> Tensor:
    """DKD: T²·(α·TCKD + β·NCKD), mean over the batch.

    Zhao et al. (2022), *Decoupled Knowledge Distillation*, equation 7. The usual divergence ties the two together, as
    KL = TCKD + (1 − p)·NCKD with p the teacher's share of the true class at T: a sure teacher silences its own dark knowledge.

    Parameters
    ----------
    labels : class indices (batch,), none of them unlabelled

    Raises
    ------
    ValueError
        If shapes do not match, T is out of range, or a label is no class.
    """
    check_temperature(temperature)
    _check_alike("student_logits", student_logits, "teacher_logits", teacher_logits)
    wrong = labels[(labels < 0) | (labels >= student_logits.shape[1])]
    if len(wrong):
        raise ValueError(f"labels must be class indices 0 … {student_logits.shape[1] - 1}; found {wrong[0].item()}")
    logits = student_logits, teacher_logits
    target = target_divergence(*logits, labels, temperature=temperature)
    others = others_divergence(*logits, labels, temperature=temperature)
    return (temperature**2 * (target_weight * target + other_weight * others).mean()).to(student_logits.dtype)


def mutual_loss(student_logits: Tensor, peer_logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy + KL(peer ‖ student) at T = 1: two students that learn at the same time, each from the other.

    Zhang et al. (2018), *Deep Mutual Learning*, equation 6. No gradient reaches the peer, which has a loss of its own.
    """
    return hard_cross_entropy(student_logits, labels) + soft_divergence(student_logits, peer_logits, 1.0)


def ensemble_logits(teacher_logits: Sequence[Tensor], temperature: float) -> Tensor:
    """Logits whose softmax at T is the *mean of the soft targets* of several teachers, shape (batch, classes).

    Hinton et al. (2015), section 1. Averaging logits instead would let the surest teacher outvote the others.

    >>> sure, unsure = torch.tensor([[9.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    >>> soft_targets(ensemble_logits([sure, unsure], 1.0)).round(decimals=2)
    tensor([[0.7500, 0.2500]])
    """
    if not teacher_logits:
        raise ValueError("teacher_logits must hold the logits of at least one teacher")
    mean = torch.stack([soft_targets(logits.detach().double(), temperature) for logits in teacher_logits]).mean(0)
    smallest = torch.finfo(teacher_logits[0].dtype).tiny  # a class that no teacher sees keeps a finite logit
    return (temperature * mean.clamp_min(smallest).log()).to(teacher_logits[0].dtype)


# ---- From the teacher's features -----------------------------------------------------------------------------


def hint_loss(student_features: Tensor, teacher_features: Tensor, projection: Callable[[Tensor], Tensor]) -> Tensor:
    """Mean squared difference of the projected student's features and the teacher's.

    Romero et al. (2015), *FitNets*, equation 3 (without its factor ½). The projection is trained along and then thrown away.

    Parameters
    ----------
    student_features, teacher_features : shapes (batch, …)
    projection : maps the student's features to the teacher's shape, as ``projection_between`` makes it
    """
    projected = projection(student_features)
    _check_alike("the projected student_features", projected, "teacher_features", teacher_features)
    return F.mse_loss(projected, teacher_features.detach())


def projection_between(student_features: Tensor, teacher_features: Tensor, seed: int = 0) -> nn.Module:
    """Make a projection: a 1×1 convolution where both are maps of the same size, else a linear layer of all values."""
    student, teacher = student_features.shape[1:], teacher_features.shape[1:]
    if len(student) > 1 and student[1:] == teacher[1:]:
        convolution = nn.Conv1d if len(student) == 2 else nn.Conv2d
        layer = nn.utils.skip_init(convolution, student[0], teacher[0], 1)
        projection: nn.Module = layer
    else:
        layer = nn.utils.skip_init(nn.Linear, student.numel(), teacher.numel())
        projection = nn.Sequential(nn.Flatten(), layer, nn.Unflatten(1, teacher))
    bound = layer.weight[0].numel() ** -0.5
    generator = seeded_generator(seed, "projection")
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return projection


def attention_transfer_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Mean squared difference of the normalised attention maps: where a layer is active, whatever its channels are.

    A map is the mean over channels of the squared activations, divided by its length. Zagoruyko & Komodakis (2017), *Paying More
    Attention to Attention*, section 3.1.

    Parameters
    ----------
    student_features, teacher_features : shapes (batch, channels, …) with the same positions; any number of channels
    """
    if student_features.ndim < 3 or student_features.shape[2:] != teacher_features.shape[2:]:
        raise ValueError(
            "attention maps need features of shape (batch, channels, positions …) with the same positions, not "
            f"{tuple(student_features.shape)} and {tuple(teacher_features.shape)}"
        )
    student, teacher = (
        F.normalize(features.square().mean(1).flatten(1)) for features in (student_features, teacher_features.detach())
    )
    return F.mse_loss(student, teacher)


def relational_distance_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Huber loss between the tables of distances of all pairs of a batch, each in units of its own mean.

    Park et al. (2019), *Relational Knowledge Distillation*, equations 5 to 7: what lies close together for the teacher shall do so
    for the student. The mean distance is over pairs that differ, the loss over all (batch, batch) entries.

    Parameters
    ----------
    student_features, teacher_features : shapes (batch, …); what follows the batch is flattened and need not match
    """
    _check_batch(student_features, teacher_features)
    student, teacher = (_scaled_distances(features) for features in (student_features, teacher_features.detach()))
    return F.smooth_l1_loss(student, teacher).to(student_features.dtype)


def _products(features: Tensor) -> Tensor:
    """Dot products of all pairs, (batch, batch). In float64, since distances come out as differences of large numbers."""
    flat = features.flatten(1).double()
    return flat @ flat.T


def _squared_distances(products: Tensor) -> Tensor:
    squares = products.diagonal()
    return (squares[:, None] + squares - 2 * products).clamp_min(0)


def _root(squares: Tensor) -> Tensor:
    """Square root, whose slope at 0 is taken as 0: an example has no distance to itself, and two may coincide."""
    positive = squares > 1e-12
    return torch.where(positive, squares, 1).sqrt() * positive


def _scaled_distances(features: Tensor) -> Tensor:
    distances = _root(_squared_distances(_products(features)))  # (batch, batch)
    between = distances[distances > 0]
    return distances / between.mean() if len(between) else distances


def relational_angle_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Huber loss between the cosines of the angles in all triangles of a batch, (batch, batch, batch).

    Park et al. (2019), equations 8 to 10.
    """
    _check_batch(student_features, teacher_features)
    student, teacher = (_cosines(features) for features in (student_features, teacher_features.detach()))
    return F.smooth_l1_loss(student, teacher).to(student_features.dtype)


def _cosines(features: Tensor) -> Tensor:
    """Cosine at corner j between the sides to i and to k, (j, i, k); 0 where a side has no length.

    From dot products alone: (x_i − x_j)·(x_k − x_j) = x_i·x_k − x_i·x_j − x_k·x_j + x_j·x_j. That saves the table of all sides.
    """
    products = _products(features)
    to_corner = products[:, :, None]  # x_j·x_i
    sides = products[None] - to_corner - to_corner.transpose(1, 2) + products.diagonal()[:, None, None]
    lengths = _root(_squared_distances(products))
    longest = lengths[:, :, None] * lengths[:, None, :]
    return torch.where(longest > 0, sides / torch.where(longest > 0, longest, 1), 0)


def similarity_preserving_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Mean squared difference of the tables of similarities (dot products) within a batch, each row of length 1.

    Tung & Mori (2019), *Similarity-Preserving Knowledge Distillation*, equations 1 to 4.
    """
    _check_batch(student_features, teacher_features)
    student, teacher = (
        F.normalize(features.flatten(1) @ features.flatten(1).T)
        for features in (student_features, teacher_features.detach())
    )
    return F.mse_loss(student, teacher)


def _check_alike(first_name: str, first: Tensor, second_name: str, second: Tensor) -> None:
    if first.shape != second.shape:
        raise ValueError(
            f"{first_name} {tuple(first.shape)} and {second_name} {tuple(second.shape)} must have one shape"
        )


def _check_batch(student_features: Tensor, teacher_features: Tensor) -> None:
    if student_features.ndim < 2 or len(student_features) != len(teacher_features):
        raise ValueError(
            "features must have the shape (batch, …) and belong to the same examples, not "
            f"{tuple(student_features.shape)} and {tuple(teacher_features.shape)}"
        )


# ---- The methods by name -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """What a method may look at: what student and teacher said of the same examples, and their labels."""

    student: Outputs
    teacher: Outputs
    labels: Tensor  # (batch,), −100 where unlabelled


Setting = dict[str, Any]
Parts = dict[str, Tensor]  # the parts of a loss by name; their sum is trained
Family = Literal["labels", "response", "feature", "schedule"]


@dataclass(frozen=True)
class Method:
    """A way to distil: what it does in one sentence, what it uses, and the settings from which validation data choose.

    ``batch_loss(batch, **setting)`` gives the named parts of the loss. A feature method that needs a projection takes it as the
    setting ``projection``. A method of the family "schedule" trains several networks; its batch loss is that of the last.
    """

    name: str
    sentence: str
    family: Family
    paper: str
    batch_loss: Callable[..., Parts]
    settings: tuple[Setting, ...]

    @property
    def uses_features(self) -> bool:
        """Whether the teacher itself must look at every batch; for all others its logits are enough."""
        return self.family == "feature"


def _hard(batch: Batch) -> Tensor:
    return hard_cross_entropy(batch.student.logits, batch.labels)


def _labels_alone(batch: Batch) -> Parts:
    return {"labels": _hard(batch)}


def _label_smoothing(batch: Batch, *, smoothing: float) -> Parts:
    return {"smoothed labels": label_smoothing_loss(batch.student.logits, batch.labels, smoothing=smoothing)}


def _teacher_free(batch: Batch, *, lam: float) -> Parts:
    made_up = teacher_free_loss(batch.student.logits, batch.labels)
    return {"labels": (1 - lam) * _hard(batch), "made-up teacher": lam * made_up}


def _distillation(batch: Batch, *, temperature: float, lam: float) -> Parts:
    return {
        "labels and soft targets": mixed_loss(
            batch.student.logits, batch.teacher.logits, batch.labels, temperature, lam
        )
    }


def _logit_matching(batch: Batch, *, weight: float) -> Parts:
    return {"labels": _hard(batch), "logits": weight * logit_matching_loss(batch.student.logits, batch.teacher.logits)}


def _decoupled(batch: Batch, *, other_weight: float) -> Parts:
    # Without a label, the class that the teacher finds most likely stands in for the true one.
    target = torch.where(batch.labels == UNLABELLED, batch.teacher.logits.argmax(1), batch.labels)
    decoupled = decoupled_loss(batch.student.logits, batch.teacher.logits, target, other_weight=other_weight)
    return {"labels": _hard(batch), "decoupled": decoupled}


def _hints(batch: Batch, *, weight: float, projection: nn.Module) -> Parts:
    hint = hint_loss(middle(batch.student), middle(batch.teacher), projection)
    return {"labels": _hard(batch), "hint": weight * hint}


def middle(outputs: Outputs) -> Tensor:
    """The hidden layer in the middle, the later one of two, which FitNets take their hint from."""
    return outputs.features[len(outputs.features) // 2]


def _attention(batch: Batch, *, weight: float) -> Parts:
    maps = [
        (student, teacher)
        for student, teacher in zip(batch.student.features, batch.teacher.features, strict=False)
        if student.ndim > 2 and student.shape[2:] == teacher.shape[2:]
    ]
    if not maps:
        raise ValueError(
            "attention transfer needs hidden maps of the same size in student and teacher, such as cnn-4 and cnn-32 have"
        )
    losses_of_layers = [attention_transfer_loss(student, teacher) for student, teacher in maps]
    return {"labels": _hard(batch), "attention": weight * torch.stack(losses_of_layers).sum()}


def _relational(batch: Batch, *, weight: float) -> Parts:
    last = batch.student.features[-1], batch.teacher.features[-1]
    return {
        "labels": _hard(batch),
        "distances": weight * relational_distance_loss(*last),
        "angles": 2 * weight * relational_angle_loss(*last),  # the paper's proportion
    }


def _similarity(batch: Batch, *, weight: float) -> Parts:
    similar = similarity_preserving_loss(batch.student.features[-1], batch.teacher.features[-1])
    return {"labels": _hard(batch), "similarities": weight * similar}


def _mutual(batch: Batch) -> Parts:
    """The peer's logits stand where a teacher's usually do."""
    return {"labels and peer": mutual_loss(batch.student.logits, batch.teacher.logits, batch.labels)}


_SOFT: tuple[Setting, ...] = tuple({"temperature": T, "lam": lam} for T, lam in ((2.0, 0.5), (4.0, 0.9), (8.0, 1.0)))
_PENALTIES: tuple[Setting, ...] = tuple({"penalty_weight": weight} for weight in (0.0, 1e-4, 1e-3))


def _weights(*values: float) -> tuple[Setting, ...]:
    return tuple({"weight": value} for value in values)


# Three settings each: fair means the same number of tries. "penalty_weight" (the article's λ_f) belongs to training itself.
_METHODS = {
    method.name: method
    for method in (
        Method(
            "labels",
            "the student alone: cross entropy with hard labels",
            "labels",
            "–",
            _labels_alone,
            _PENALTIES,
        ),
        Method(
            "label-smoothing",
            "hard labels that leave a little for every class; no teacher",
            "labels",
            "Szegedy et al. 2016",
            _label_smoothing,
            tuple({"smoothing": value} for value in (0.05, 0.1, 0.2)),
        ),
        Method(
            "teacher-free",
            "soft targets of a made-up teacher that is 99 % right; no real one",
            "labels",
            "Yuan et al. 2020",
            _teacher_free,
            tuple({"lam": value} for value in (0.1, 0.5, 0.9)),
        ),
        Method(
            "distillation",
            "the teacher's soft targets at T beside the labels",
            "response",
            "Hinton et al. 2015",
            _distillation,
            _SOFT,
        ),
        Method(
            "logit-matching",
            "the squared difference of the logits beside the labels",
            "response",
            "Ba & Caruana 2014",
            _logit_matching,
            _weights(0.03, 0.1, 0.3),
        ),
        Method(
            "decoupled",
            "soft targets split in two: the true class, and the others among themselves",
            "response",
            "Zhao et al. 2022",
            _decoupled,
            tuple({"other_weight": value} for value in (1.0, 4.0, 8.0)),
        ),
        Method(
            "hints",
            "the middle hidden layer, through a projection, imitates the teacher's",
            "feature",
            "Romero et al. 2015",
            _hints,
            _weights(0.1, 1.0, 10.0),
        ),
        Method(
            "attention",
            "hidden maps are active where the teacher's are",
            "feature",
            "Zagoruyko & Komodakis 2017",
            _attention,
            _weights(10.0, 100.0, 1000.0),
        ),
        Method(
            "relational",
            "examples lie as near to one another, at such angles, as they do for the teacher",
            "feature",
            "Park et al. 2019",
            _relational,
            _weights(0.3, 3.0, 30.0),
        ),
        Method(
            "similarity",
            "examples that are alike for the teacher are alike for the student",
            "feature",
            "Tung & Mori 2019",
            _similarity,
            _weights(10.0, 100.0, 1000.0),
        ),
        Method(
            "mutual",
            "two students learn at the same time, each from the other; no teacher",
            "schedule",
            "Zhang et al. 2018",
            _mutual,
            _PENALTIES,
        ),
        Method(
            "born-again",
            "the teacher is a student of the same size, trained alone before",
            "schedule",
            "Furlanello et al. 2018",
            _distillation,
            _SOFT,
        ),
        Method(
            "assistant",
            "a model four times as wide as the student learns from the teacher, and the student from it",
            "schedule",
            "Mirzadeh et al. 2020",
            _distillation,
            _SOFT,
        ),
        Method(
            "ensemble",
            "the mean of the soft targets of three teachers",
            "schedule",
            "Hinton et al. 2015",
            _distillation,
            _SOFT,
        ),
    )
}


_SYMBOLS = {
    "temperature": "T",
    "lam": "λ",
    "penalty_weight": "λ_f",
    "smoothing": "ε",
    "weight": "w",
    "other_weight": "β",
}


def in_symbols(setting: Setting) -> str:
    """Write a method's own numbers as its formula does: "T = 4, λ = 0.9"; "–" where it has none.

    >>> in_symbols({"temperature": 4.0, "lam": 0.9})
    'T = 4, λ = 0.9'
    """
    return ", ".join(f"{_SYMBOLS[name]} = {value:g}" for name, value in setting.items()) or "–"


def names() -> dict[str, str]:
    """List the methods: name → what it does, in one line. "labels" is the student alone, the reference of all others.

    >>> names()["hints"]
    "the middle hidden layer, through a projection, imitates the teacher's"
    """
    return {name: method.sentence for name, method in _METHODS.items()}


def get(name: str) -> Method:
    """Give a method by its name.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    if name not in _METHODS:
        raise ValueError(f"unknown method {name!r}; known are {', '.join(_METHODS)}")
    return _METHODS[name]
