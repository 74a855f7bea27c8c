"""Lesson 08: what an answer for the hint loss and the relational distance loss must do, and how likely mistakes show."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course.answers import Answer, Task, close, finite, nearest, shown
from course.reference import fresh, match
from toolkit import methods

# ---- What both losses have in common -------------------------------------------------------------------------


def _single_number(answer: Answer, arguments: tuple[object, ...], instead: str, situation: str = "") -> Tensor:
    """Run the answer, and insist on one number; ``instead`` says what is to be done with more of them."""
    result = answer(*arguments, situation=situation)
    if type(result) is Tensor and result.numel() > 1:
        raise answer.wrong(f"your loss has the shape {tuple(result.shape)}, where a single number is needed: {instead}")
    return answer.tensor(*arguments, shape=(), situation=situation)


def _gradients(
    answer: Answer, actual: Tensor, student: Tensor, teacher: Tensor, reference: Tensor, situation: str, unlike: str
) -> None:
    """Insist on the right gradient into the student's features, and none into the teacher's."""
    if not (student.requires_grad and teacher.requires_grad):
        raise answer.wrong("your function changes requires_grad of its input: detach a copy, .detach() makes one")
    gradient = into_teacher = None
    if actual.requires_grad:
        try:
            gradient, into_teacher = torch.autograd.grad(actual, (student, teacher), allow_unused=True)
        except RuntimeError as problem:
            raise answer.wrong(f"no gradient can be computed: {str(problem).partition(':')[0]}") from None
    if into_teacher is not None and bool((into_teacher != 0).any()):  # NaN is unlike 0, too
        raise answer.wrong("a gradient reaches the teacher's features: the teacher would be trained too")
    if gradient is None or (not bool(gradient.any()) and finite(gradient)):
        raise answer.wrong("no gradient reaches the student's features: your loss is cut off from the graph")
    if not finite(gradient):
        raise answer.wrong(
            f"the value is right {situation}, but the gradient into the student is NaN or infinite: "
            "what is the slope of a square root at 0?"
        )
    (wanted,) = torch.autograd.grad(reference, student)
    if not close(gradient / wanted.abs().max(), wanted / wanted.abs().max(), 1e-3):
        raise answer.wrong(f"the value is right {situation}, but the gradient into the student is not{unlike}")


# ---- Hints ---------------------------------------------------------------------------------------------------


def _hint(projected: Tensor, teacher: Tensor) -> Tensor:
    return (projected.double() - teacher.detach().double()).square().mean()


def _linear(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.utils.skip_init(nn.Linear, len(weight[0]), len(weight))  # draws nothing from the learner's generator
    layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
    return layer


def hint_loss(answer: Answer) -> None:
    """Diagnose the mean squared error of the projected features and the teacher's."""
    _hint_on_public_case(answer)
    for student, teacher, projection, situation in hint_cases():
        actual = answer.tensor(student, teacher, projection, shape=(), situation=situation)
        projected = projection(student)
        if not close(actual, expected := _hint(projected, teacher), 1e-3):
            batch, width = len(teacher), teacher[0].numel()
            likely = {
                "your loss is averaged over the batch alone; the mean is over all numbers": expected * width,
                "your loss is averaged over the features alone; the mean is over all numbers": expected * batch,
                "the features are averaged over their positions first; each position is compared": _hint(
                    projected.flatten(2).mean(2), teacher.flatten(2).mean(2)
                )
                if teacher.ndim > 2
                else torch.tensor(torch.nan),
            }
            raise answer.wrong(f"{nearest(actual, likely, 1e-3) or 'the value is wrong'} ({situation})")
        reference = _hint(projected, teacher)
        _gradients(answer, actual, student, teacher, reference, situation, "")


def _hint_on_public_case(answer: Answer) -> None:
    student = torch.tensor([[1.0, 0.0, 2.0], [2.0, 1.0, 0.0]])
    teacher = torch.tensor([[2.0, 2.0, 3.0], [1.0, 4.0, 4.0]])
    projection = _linear([[1.0, 2.0, 0.0], [0.0, 3.0, 0.0], [1.0, 0.0, 1.0]], [0.0, 2.0, 0.0])
    projected, of_teacher = projection(student).detach(), projection(teacher).detach()
    case = f"student {shown(student)}, projected {shown(projected)}, teacher {shown(teacher)}"
    instead = "average the squares over batch and features"
    actual = _single_number(answer, (student.clone(), teacher.clone(), projection), instead)
    expected, apart = _hint(projected, teacher), (projected - teacher).double()
    if actual == 0:
        raise answer.wrong("your loss is 0, though projected features and the teacher's differ", case, expected, actual)
    mistakes = {
        "the projection is missing: the student's features are compared as they are": _hint(student, teacher),
        "the projection is applied to the teacher's features; it belongs to the student": _hint(of_teacher, student),
        "the projection is applied to the student's and to the teacher's features": _hint(projected, of_teacher),
        "the projection is applied twice": _hint(projection(projected), teacher),
        "the projection's bias is left out: call projection(…), which knows its own": _hint(
            student @ projection.weight.T, teacher
        ),
        "the squares are summed; their mean over batch and features is needed": expected * 6,
        "the squares are summed over the features; their mean is over these, too": expected * 3,
        "the squares are summed over the batch; their mean is over it, too": expected * 2,
        "this is half of it: the mean alone is asked for": expected / 2,
        "this is half of a squared length, as in Romero's equation: the mean of the squares is asked for": expected
        * 1.5,
        "these are absolute differences; squared ones are needed": apart.abs().mean(),
        "these are absolute differences, and their sum; the mean of squared ones is needed": apart.abs().sum(),
        "this is the square root of the mean; the mean itself is needed": expected.sqrt(),
        "this is a Euclidean length; the mean of the squares is needed": (expected * 6).sqrt(),
        "this is a mean of Euclidean lengths; the mean of the squares is needed": apart.norm(dim=1).mean(),
        "this is a Huber loss; plain squares are needed": F.smooth_l1_loss(projected, teacher),
        "the mean is squared; the squares are to be averaged": apart.mean().square(),
        "the differences are averaged with their signs; squares are needed": apart.mean(),
        "the differences are averaged with their signs, and the other way round; squares are needed": -apart.mean(),
        "the sign is wrong: this loss is never negative": -expected,
        "the features go through a softmax; they are no logits": (projected.softmax(1) - teacher.softmax(1))
        .square()
        .mean(),
        "the features are made unit vectors first; they are compared as they are": _hint(
            F.normalize(projected), F.normalize(teacher)
        ),
        "this looks at the angle alone (a cosine); the features themselves are compared": 1
        - F.cosine_similarity(projected, teacher).mean(),
        "the average over the batch comes before the squares": apart.mean(0).square().mean(),
    }
    match(answer, actual, expected, case, mistakes)


def hint_cases() -> list[tuple[Tensor, Tensor, nn.Module, str]]:
    """Draw features that nobody can foresee, with their projection: student, teacher, projection, words for a message."""
    with torch.random.fork_rng(devices=[]):  # layers draw first weights from torch's global generator
        return [
            _features(nn.Linear(4, 7), (6, 4), torch.float32, "with 4 features for the student and 7 for the teacher"),
            _features(nn.Linear(7, 4), (6, 7), torch.float64, "on float64 tensors"),
            _features(nn.Linear(5, 5), (1, 5), torch.float32, "on a batch of one"),
            _features(nn.Conv2d(3, 5, 1), (4, 3, 2, 6), torch.float32, "on images, with a 1×1 convolution"),
            _features(nn.Conv1d(4, 2, 1), (3, 4, 9), torch.float64, "on signals, with a convolution of length 1"),
            _features(nn.Identity(), (5, 8), torch.float32, "with a projection that changes nothing"),
        ]


def _features(
    projection: nn.Module, shape: tuple[int, ...], dtype: torch.dtype, situation: str
) -> tuple[Tensor, Tensor, nn.Module, str]:
    for parameter in projection.parameters():
        parameter.data = fresh(*parameter.shape, scale=0.7)
    projection.to(dtype)
    student = fresh(*shape, dtype=dtype)
    teacher = fresh(*projection(student).shape, dtype=dtype)
    return student.requires_grad_(), teacher.requires_grad_(), projection, situation


# ---- Distances between examples ------------------------------------------------------------------------------


def _distances(features: Tensor, order: float = 2.0) -> Tensor:
    """Distances between all pairs of examples, shape (batch, batch); their gradient is 0 where two coincide."""
    flat = features.double().flatten(1)
    return torch.linalg.vector_norm(flat[:, None] - flat[None], ord=order, dim=-1)


def _over_pairs(distances: Tensor) -> Tensor:
    """Mean over all pairs of different examples, i ≠ j."""
    return distances.sum() / (len(distances) * (len(distances) - 1))


def _over_positive(distances: Tensor) -> Tensor:
    """Mean over all distances above 0: the same, unless two examples coincide."""
    return distances[distances > 0].mean()


def relational_reference(student: Tensor, teacher: Tensor, mean: Callable[[Tensor], Tensor] = _over_pairs) -> Tensor:
    """Compute the relational distance loss in float64; ``mean`` is what each matrix is divided by."""
    of_student, of_teacher = _distances(student), _distances(teacher.detach())
    return F.smooth_l1_loss(of_student / mean(of_student), of_teacher / mean(of_teacher))


def both_readings(student: Tensor, teacher: Tensor) -> list[Tensor]:
    """Give the loss as it is with, and without, distances of 0 between examples that coincide in the mean."""
    return [relational_reference(student, teacher, mean) for mean in (_over_pairs, _over_positive)]


_PUBLIC_STUDENT = torch.tensor([[0.0, 0.0], [0.0, 9.0], [40.0, 9.0]])  # 9, 40 and 41 apart
_PUBLIC_TEACHER = torch.tensor([[0.0], [10.0], [1.0]])  # another width: no projection is needed


def relational_distance_loss(answer: Answer) -> None:
    """Diagnose the Huber loss of two matrices of distances, each divided by its mean."""
    _relational_on_public_case(answer)
    for student, teacher, situation in relational_cases():
        actual = answer.tensor(student, teacher, shape=(), situation=situation)
        readings = both_readings(student, teacher)
        reference = next((value for value in readings if close(actual / value, 1.0, 1e-3)), None)
        if not finite(actual):
            raise answer.wrong(f"your loss is {actual.item()} {situation}")
        if reference is None:
            raise answer.wrong(f"the value is wrong {situation}" + _if_unflattened(student, teacher, actual))
        unlike = ": are distances, or their mean, cut off from the graph? Both depend on the student"
        _gradients(answer, actual, student, teacher, reference, situation, unlike)


def _if_unflattened(student: Tensor, teacher: Tensor, actual: Tensor) -> str:
    """Say where only a part of features of several axes was compared."""
    if student.ndim == 2:
        return ""
    pooled = relational_reference(student.flatten(2).mean(2), teacher.flatten(2).mean(2))
    if close(actual / pooled, 1.0, 1e-4):
        return ": all features of an example count, without an average over positions"
    return ": are the features of an example made one long vector?"


def _relational_on_public_case(answer: Answer) -> None:
    student, teacher = _PUBLIC_STUDENT, _PUBLIC_TEACHER
    case = f"student {shown(student)}, teacher {shown(teacher)}"
    instead = "average over all entries of the matrix"
    actual = _single_number(answer, (student.clone(), teacher.clone()), instead)
    expected = relational_reference(student, teacher)
    if actual == 0:
        raise answer.wrong("your loss is 0, though the distances differ", case, expected, actual)
    match(answer, actual, expected, case, _relational_mistakes(student, teacher, expected))


def _relational_mistakes(student: Tensor, teacher: Tensor, expected: Tensor) -> dict[str, Tensor]:
    loss = lambda mean: relational_reference(student, teacher, mean)  # noqa: E731
    one = lambda _: torch.tensor(1.0)  # noqa: E731
    of_student, of_teacher = _distances(student), _distances(teacher)
    s, t = of_student / _over_pairs(of_student), of_teacher / _over_pairs(of_teacher)
    squared = [d.square() / _over_pairs(d.square()) for d in (of_student, of_teacher)]
    manhattan = [d / _over_pairs(d) for d in (_distances(student, 1), _distances(teacher, 1))]
    gram = [x.double() @ x.double().T for x in (student, teacher)]
    cosine = [F.normalize(x.double()) @ F.normalize(x.double()).T for x in (student, teacher)]
    unit = relational_reference(F.normalize(student), F.normalize(teacher))
    return {
        "the distances are not divided by their mean: the student would have to copy their size": loss(one),
        "only the student's distances are divided by their mean": F.smooth_l1_loss(s, of_teacher),
        "only the teacher's distances are divided by their mean": F.smooth_l1_loss(of_student, t),
        "both matrices are divided by the teacher's mean; each has its own": F.smooth_l1_loss(
            of_student / _over_pairs(of_teacher), t
        ),
        "both matrices are divided by the student's mean; each has its own": F.smooth_l1_loss(
            s, of_teacher / _over_pairs(of_student)
        ),
        "the mean counts the zeros of the diagonal; only pairs of different examples belong to it": loss(Tensor.mean),
        "the distances are divided by the largest one; their mean is needed": loss(Tensor.max),
        "the distances are divided by their sum; their mean is needed": loss(Tensor.sum),
        "the distances are divided by their median; their mean is needed": loss(lambda d: d[d > 0].median()),
        "the distances are divided by their standard deviation; their mean is needed": loss(Tensor.std),
        "each row is divided by a mean of its own; one mean belongs to the whole matrix": loss(
            lambda d: d.sum(1, keepdim=True) / (len(d) - 1)
        ),
        "each row is divided by a mean of its own, with the diagonal in it; one mean belongs to the whole matrix": loss(
            lambda d: d.mean(1, keepdim=True)
        ),
        "the distances are squared: is a square root missing?": F.smooth_l1_loss(squared[0], squared[1]),
        "these are sums of absolute differences; Euclidean distances are needed": F.smooth_l1_loss(
            manhattan[0], manhattan[1]
        ),
        "these are products of examples, not distances": F.smooth_l1_loss(gram[0], gram[1]),
        "these are cosines of examples, not distances": F.smooth_l1_loss(cosine[0], cosine[1]),
        "the features are made unit vectors first; distances are between the features as they are": unit,
        "the matrices are compared by squares; smooth L1 (Huber, beta 1) is asked for": F.mse_loss(s, t),
        "the matrices are compared by half squares; beyond 1, smooth L1 grows in a straight line": F.mse_loss(s, t) / 2,
        "the matrices are compared by absolute differences; below 1, smooth L1 is a half square": F.l1_loss(s, t),
        "the mean is over pairs of different examples; all entries of the matrix count, the diagonal too": expected
        * 1.5,
        "your loss is summed over the matrix; the mean is needed": expected * 9,
        "your loss is summed over each pair once; the mean over the matrix is needed": expected * 4.5,
        "your loss is summed over rows or columns; the mean is over both": expected * 3,
        "each pair counts once in your sum, and is divided by all entries: it stands in the matrix twice": expected / 2,
        "the sign is wrong: this loss is never negative": -expected,
        "beta is not 1: below 1 a half square, beyond it a straight line": F.smooth_l1_loss(s, t, beta=0.5),
        "the features are compared in the end, not the distances: is anything taken between pairs?": F.smooth_l1_loss(
            student.double(), teacher.double().expand_as(student)
        ),
    }


def relational_cases() -> list[tuple[Tensor, Tensor, str]]:
    """Draw features that nobody can foresee: student, teacher, words for a message.

    In some of them an example lies far out, so that differences beyond 1 occur; in others two examples coincide.
    """
    shapes = (
        ((8, 5), (8, 5), torch.float32, "on random features"),
        ((6, 3), (6, 11), torch.float64, "on float64 tensors, with 3 features for the student and 11 for the teacher"),
        ((5, 2, 3, 3), (5, 4, 2, 2), torch.float32, "on images with channels"),
    )
    cases = [(fresh(*one, dtype=dtype), fresh(*other, dtype=dtype), words) for one, other, dtype, words in shapes]
    far, usual = fresh(7, 4), fresh(7, 6)
    far[0] += 20
    cases.append((far, usual, "where one example lies far from the others"))
    for who in ("student", "teacher"):
        student, teacher = fresh(7, 4), fresh(7, 6)
        twice = student if who == "student" else teacher
        twice[3] = twice[5]
        cases.append((student, teacher, f"where two of the {who}'s examples coincide"))
    return [(student.requires_grad_(), teacher.requires_grad_(), words) for student, teacher, words in cases]


TASKS = {
    "hint_loss": Task(
        hint_loss,
        (
            "Two sets of features of different widths cannot be subtracted. Which of the two is given a projection?",
            "The teacher is a given. Where does the student's side end, and the teacher's begin?",
            "Square what is left between them, and average over everything: examples, features, positions.",
            "Cut the teacher's features off from the graph, as you did with its logits in lesson 03.",
        ),
        (methods.hint_loss,),
    ),
    "relational_distance_loss": Task(
        relational_distance_loss,
        (
            "Make each example one long vector first. Then: how far is it from every other? That is a square matrix.",
            "Each matrix is divided by one number of its own. Which entries count in that mean, and which never do?",
            "Smooth L1 is a function of PyTorch; look at what it averages over by default.",
            "If gradients are NaN: the square root has an infinite slope at 0, and the diagonal is full of zeros. Some of "
            "PyTorch's functions for lengths and distances know that; or keep what is under the root a little above 0.",
            "Nothing of the teacher's may be trained; everything of the student's is, its mean distance too.",
        ),
        (methods.relational_distance_loss,),
    ),
}
