"""Lesson 06: what an answer for weights apart, gradient norms and the weight penalty must do, and how mistakes show."""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course.answers import Answer, Task, close, finite, nearest, shown
from course.reference import fresh, match, random_labels, widths
from toolkit import losses


def _linear(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    """Make a layer whose numbers a learner can read."""
    layer = nn.Linear(len(weight[0]), len(weight), device="meta").to_empty(device="cpu")
    layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
    return layer


def _network(dtype: torch.dtype) -> nn.Sequential:
    """Make a small network with dropout and batch norm, other weights at each call, statistics of its own, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        layers = (nn.Linear(6, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.5), nn.Linear(9, 4))
        network = nn.Sequential(*layers).to(dtype)
        for parameter in network.parameters():
            parameter.data = fresh(*parameter.shape, dtype=dtype, scale=0.7)
        network(fresh(64, 6, dtype=dtype))
    return network.eval()


def _plain_float(answer: Answer, value: Any, what: str) -> float:
    """Insist on a Python number (numpy's float64 is one too)."""
    if value is None:
        raise answer.wrong(f"{what} is None: is a return missing?")
    if isinstance(value, bool) or not isinstance(value, float | int):
        raise answer.wrong(f"{what} is a {type(value).__name__}, not a Python float")
    return float(value)


# ---- How far two networks are apart --------------------------------------------------------------------------


def largest_weight_difference(answer: Answer) -> None:
    """Diagnose the largest absolute difference over all parameters."""
    first = nn.Sequential(_linear([[1.0, 6.0]], [0.0]), _linear([[3.0], [1.0]], [1.0, 2.0]))
    second = nn.Sequential(_linear([[1.5, 6.25]], [3.0]), _linear([[4.25], [0.375]], [1.75, 2.0]))
    case = ", ".join(shown(parameter) for parameter in first.parameters()) + " against "
    case += ", ".join(shown(parameter) for parameter in second.parameters())
    _diagnose_difference(answer, first, second, case)
    for dtype in (torch.float32, torch.float64):
        one = nn.Sequential(_network(dtype))
        next(one.parameters()).requires_grad_(False)  # what is frozen counts, too
        for place in range(len(list(one.parameters()))):
            other = copy.deepcopy(one)
            with torch.no_grad():
                for parameter in other.parameters():
                    parameter.add_(fresh(*parameter.shape, dtype=dtype, scale=0.01))
                numbers = list(other.parameters())[place].view(-1)
                numbers[0] -= 0.75
                numbers[1] += 0.5
            case = f"two networks that differ most in parameter {place + 1} of 6"
            _diagnose_difference(answer, one, other, case)
            _diagnose_difference(answer, other, one, case)
        other = copy.deepcopy(one)
        for buffer in other.buffers():
            buffer += 5
        for case, twin in (
            ("its copy", copy.deepcopy(one)),
            ("a copy with other statistics, which are no parameters", other),
        ):
            _diagnose_difference(answer, one, twin, f"a network and {case}")
            if answer(one, twin) != 0:
                raise answer.wrong("two networks of equal parameters are exactly 0.0 apart")
        last, changed = list(one.parameters())[-1], list(other.parameters())[-1]
        changed.data[1] += 1.4e-6
        apart = (changed - last).abs().max().item()
        if abs(_plain_float(answer, answer(one, other), "your result") / apart - 1) > 0.1:
            raise answer.wrong("a difference of a millionth is not seen as it is: is something rounded?")


def _diagnose_difference(answer: Answer, first: nn.Module, second: nn.Module, case: str) -> None:
    parameters = [*first.parameters(), *second.parameters()]
    modules = [*first.modules(), *second.modules()]
    before = [parameter.detach().clone() for parameter in parameters]
    circumstances = [p.requires_grad for p in parameters], [module.training for module in modules]
    result = answer(first, second)
    now = [p.requires_grad for p in parameters], [module.training for module in modules]
    if now != circumstances or not all(map(torch.equal, before, [p.detach() for p in parameters])):
        raise answer.wrong("your function changes the networks that it compares")
    actual = _plain_float(answer, result, "your result")
    half = len(before) // 2
    parts = [(one - other).double() for one, other in zip(before[:half], before[half:], strict=True)]
    everything = torch.cat([part.flatten() for part in parts])
    weights = torch.cat([part.flatten() for part in parts if part.ndim > 1])
    mistakes = {
        "the sign is kept: a number that is smaller in the first network is not seen": everything.max(),
        "the sign is kept: a number that is smaller in the second network is not seen": (-everything).max(),
        "this is the difference of two largest numbers, not the largest difference": (
            _largest(before[:half]) - _largest(before[half:])
        ).abs(),
        "biases are left out: all parameters count": weights.abs().max(),
        "only the first parameter is compared, or the one that differs least": parts[0].abs().max(),
        "only the last parameter is compared": parts[-1].abs().max(),
        "this is a mean; the largest difference is needed": everything.abs().mean(),
        "this is a sum of absolute differences; the largest one is needed": everything.abs().sum(),
        "this is a sum of the largest differences of each layer": sum(part.abs().max() for part in parts),
        "this is a sum of squares; the largest absolute difference is needed": everything.square().sum(),
        "this is a Euclidean length; the largest absolute difference is needed": everything.norm(),
        "this is the largest squared difference; the absolute one is needed": everything.square().max(),
        "this is the smallest difference of all": everything.abs().min(),
    }
    match(answer, actual, everything.abs().max(), case, mistakes)


def _largest(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors]).double().max()


# ---- What a loss tells the student ---------------------------------------------------------------------------


def gradient_norms(answer: Answer) -> None:
    """Diagnose the student's gradient norms of the printed loss (zero) and of the repaired one."""
    student = _linear([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [0.0, 0.0, 0.0])
    teacher = _linear([[2.0, 0.0], [0.0, 2.0], [-1.0, 0.0]], [0.0, 0.0, 1.0])
    x, labels = torch.tensor([[1.0, 0.0], [1.0, 2.0]]), torch.tensor([0, 2])
    case = "linear student W = [[1, 0], [0, 1], [0, 0]] and teacher W = [[2, 0], [0, 2], [-1, 0]], b = [0, 0, 1]; "
    case += "x [[1, 0], [1, 2]], labels [0, 2]"
    _diagnose_norms(answer, student, teacher, x, labels, case)
    for dtype, batch, situation in widths():
        if batch == 1:
            situation += ": are both in eval mode?"
        x, labels = fresh(batch, 6, dtype=dtype), random_labels(batch, 4)
        case = situation.replace("logits", "examples")
        for student_trains in (True, False):
            _diagnose_norms(answer, _network(dtype), _network(dtype), x, labels, case, student_trains)


def _diagnose_norms(
    answer: Answer,
    student: nn.Module,
    teacher: nn.Module,
    x: Tensor,
    labels: Tensor,
    case: str,
    student_trains: bool = True,
) -> None:
    """Try one pair of networks, one of them in train mode and the other in eval mode."""
    expected, of_printed, of_repaired = _likely_norms(student, teacher, x, labels)
    student.train(student_trains), teacher.train(not student_trains)
    before = copy.deepcopy(student.state_dict()), copy.deepcopy(teacher.state_dict())
    with torch.random.fork_rng(devices=[]):  # a network in train mode draws its dropout
        result = answer(student, teacher, x, labels, situation="" if "W" in case else case)
    _diagnose_what_is_left(answer, "student", student, before[0], student_trains)
    _diagnose_what_is_left(answer, "teacher", teacher, before[1], not student_trains)
    printed, repaired = _two_numbers(answer, result)
    if close(printed, expected) and close(repaired, 0.0):
        raise answer.wrong(
            "the two are in the wrong order: the printed loss comes first", case, [0.0, expected], result
        )
    if not close(printed, 0.0, 1e-6):
        why = "the first number is not 0, but the printed loss does not depend on the student"
        raise answer.wrong(nearest(printed, of_printed, 1e-3) or why, case, 0.0, printed)
    match(answer, repaired, expected, case, of_repaired, 1e-3)


def _diagnose_what_is_left(
    answer: Answer, name: str, network: nn.Module, old: dict[str, Tensor], training: bool
) -> None:
    new = network.state_dict()
    moved = [key for key in old if not torch.equal(old[key], new[key])]
    if any("running" in key or "tracked" in key for key in moved):
        raise answer.wrong(f"the {name} runs in train mode: its batch norm statistics have moved")
    if moved:
        raise answer.wrong(f"your function changes the {name}'s weights")
    if any(module.training != training for module in network.modules()):
        was, now = ("train", "eval") if training else ("eval", "train")
        raise answer.wrong(f"the {name} came in {was} mode and is left in {now} mode, or a part of it is")
    for parameter in network.parameters():
        if parameter.grad is not None and bool(parameter.grad.any()):
            raise answer.wrong(f"your function leaves gradients behind, in .grad of the {name}'s parameters")
        if not parameter.requires_grad:
            raise answer.wrong(f"your function freezes the {name}'s parameters")


def _two_numbers(answer: Answer, result: Any) -> tuple[float, float]:
    if not isinstance(result, tuple | list) or len(result) != 2:
        kind = type(result).__name__
        raise answer.wrong(f"your function returns a {kind}; two floats are needed, as in return one, other")
    first, second = result
    return _plain_float(answer, first, "your first number"), _plain_float(answer, second, "your second number")


def _likely_norms(
    student: nn.Module, teacher: nn.Module, x: Tensor, labels: Tensor
) -> tuple[float, dict[str, float], dict[str, float]]:
    """The right norm of the repaired loss; then what may come instead of 0 and instead of it, by behaviour."""
    student, teacher = (copy.deepcopy(network).double().eval() for network in (student, teacher))
    x = x.double()
    z_s, z_t = student(x), teacher(x).detach()
    p_t, log_p_s = z_t.softmax(-1), z_s.log_softmax(-1)
    batch, classes = z_s.shape

    def gradients(loss: Tensor, network: nn.Module = student) -> list[Tensor]:
        return [
            torch.zeros_like(parameter) if gradient is None else gradient
            for parameter in network.parameters()
            for gradient in torch.autograd.grad(loss, parameter, retain_graph=True, allow_unused=True)
        ]

    def norm(parts: list[Tensor]) -> float:
        return math.sqrt(sum(part.square().sum().item() for part in parts))

    right = gradients(-(p_t * log_p_s).sum(-1).mean())
    instead_of_zero = {
        "the first loss scores the student against the labels; the printed one holds the teacher only": norm(
            gradients(F.cross_entropy(z_s, labels))
        ),
        "the first gradient is that into the teacher; the student's is asked for": norm(
            gradients(F.cross_entropy(teacher(x), labels), teacher)
        ),
    }
    instead_of_right = {
        "no gradient reaches the student from the repaired loss: does it hold the student's outputs?": 0.0,
        "the repaired loss is summed over the batch; the mean is needed": batch * norm(right),
        "the repaired loss is also divided by the number of classes: the mean is over the batch only": norm(right)
        / classes,
        "this is the squared length: is a root missing?": norm(right) ** 2,
        "the lengths of the layers are added; they form one long vector": sum(norm([part]) for part in right),
        "only weights, or only the first of them, are counted: all parameters are needed": norm(
            [part for part in right if part.ndim > 1]
        ),
        "only biases, or only the last of them, are counted: all parameters are needed": norm(
            [part for part in right if part.ndim < 2]
        ),
        "only the last layer is counted: all parameters are needed": norm(right[-2:]),
        "this is the sum of absolute values; the Euclidean length is needed": sum(
            part.abs().sum().item() for part in right
        ),
        "this is the largest entry of the gradient; its Euclidean length is needed": max(
            part.abs().max().item() for part in right
        ),
        "the repaired loss compares the student with the labels: the teacher is not in it": norm(
            gradients(F.cross_entropy(z_s, labels))
        ),
        "the repaired loss compares with the teacher's choice, not with its soft targets": norm(
            gradients(F.cross_entropy(z_s, z_t.argmax(-1)))
        ),
        "teacher and student are swapped in the repaired loss": norm(
            gradients(-(log_p_s.exp() * z_t.log_softmax(-1)).sum(-1).mean())
        ),
        "this is the gradient of KL(student ‖ teacher): the two are swapped": norm(
            gradients((log_p_s.exp() * (log_p_s - z_t.log_softmax(-1))).sum(-1).mean())
        ),
        "where a logarithm of the student's probabilities belongs, you have probabilities": norm(
            gradients(-(p_t * log_p_s.exp()).sum(-1).mean())
        ),
        "softmax comes before the cross entropy, which applies it again": norm(
            gradients(F.cross_entropy(log_p_s.exp(), p_t))
        ),
        "the soft targets are logits: a softmax is missing": norm(gradients(F.cross_entropy(z_s, z_t))),
    }
    return norm(right), instead_of_zero, instead_of_right


# ---- The article's complexity term ---------------------------------------------------------------------------

PUBLIC_PARAMETERS = (
    torch.tensor([[3.0, -4.0], [1.0, 0.0]]),
    torch.tensor([10.0, -10.0]),
    torch.tensor([[[-2.0, 0.5]]]),
)
_SIZE: dict[str, Callable[[Tensor], Tensor]] = {"l1": torch.abs, "l2": torch.square}


def weight_penalty(answer: Answer) -> None:
    """Diagnose Σ|w| and Σw² over the tensors of two or more dimensions."""
    for norm in ("l2", "l1"):
        _penalty_on_public_case(answer, norm)
    for dtype, shapes in (
        (torch.float32, ((4, 3), (4,), (2, 1, 3), (2,))),
        (torch.float64, ((2,), (1, 1), (2, 3, 2, 2))),
    ):
        for norm in ("l1", "l2"):
            parameters = [*(fresh(*shape, dtype=dtype) for shape in shapes), fresh(1, dtype=dtype)[0]]
            _penalty_and_its_gradients(answer, parameters, norm)
    _penalty_without_weights(answer)


def _penalty_on_public_case(answer: Answer, norm: str) -> None:
    parameters = [parameter.clone().requires_grad_() for parameter in PUBLIC_PARAMETERS]
    case = f'parameters {", ".join(shown(parameter) for parameter in parameters)}, norm "{norm}"'
    actual = _penalty(answer, parameters, norm)
    size = _SIZE[norm]
    matrix, bias, kernel = (parameter.double() for parameter in PUBLIC_PARAMETERS)
    flat = torch.cat([matrix.flatten(), kernel.flatten()])
    expected = size(flat).sum()
    other = _SIZE["l1" if norm == "l2" else "l2"](flat).sum()
    mistakes = {
        "biases are counted: only tensors of two or more dimensions are": expected + size(bias).sum(),
        "only biases are counted; it is the other tensors that count": size(bias).sum(),
        "this is the other norm: l1 is the sum of absolute values, l2 that of squares": other,
        "the other norm, and biases are counted": other + _SIZE["l1" if norm == "l2" else "l2"](bias).sum(),
        "only tensors of exactly two dimensions are counted: a convolution's weights have more": size(matrix).sum(),
        "only the last tensor is counted: is the sum begun anew for each?": size(kernel).sum(),
        "signs are kept: positive and negative weights cancel": flat.sum(),
        "the absolute value is taken of the sum, not of each weight": flat.sum().abs(),
        "the sum is squared, not each weight": flat.sum().square(),
        "this is the Euclidean length: the sum of squares is needed, without a root": flat.norm(),
        "the Euclidean lengths of the tensors are added: sums of squares are needed": matrix.norm() + kernel.norm(),
        "half of the sum of squares: here there is no factor of one half": expected / 2,
        "this is a mean; the sum over all weights is needed": size(flat).mean(),
        "means of the tensors are added; the sum over all weights is needed": size(matrix).mean() + size(kernel).mean(),
        "this is a norm of matrices; each weight counts by itself": torch.linalg.matrix_norm(matrix, 1)
        + torch.linalg.matrix_norm(kernel, 1).sum(),
    }  # fmt: skip
    match(answer, actual, expected, case, mistakes)
    slopes = torch.autograd.grad(actual, parameters[::2], allow_unused=True) if actual.requires_grad else ()
    if not all(finite(slope) for slope in slopes if slope is not None):
        raise answer.wrong("the gradient is nan or infinite where a weight is 0", case)


def _penalty(answer: Answer, parameters: list[Tensor], norm: str) -> Tensor:
    """Run it on a list of its own, and refuse a change of the tensors in it."""
    before = [parameter.detach().clone() for parameter in parameters]
    actual = answer.tensor(list(parameters), norm, shape=())
    if not all(torch.equal(p.detach(), old) for p, old in zip(parameters, before, strict=True)):
        raise answer.wrong("your function changes its input in place (argument 1)")
    return actual


def _penalty_and_its_gradients(answer: Answer, parameters: list[Tensor], norm: str) -> None:
    parameters = [parameter.requires_grad_() for parameter in parameters]
    weights = [parameter for parameter in parameters if parameter.ndim >= 2]
    actual = _penalty(answer, parameters, norm)
    flat = torch.cat([weight.detach().double().flatten() for weight in weights])
    case = f'tensors of shapes {", ".join(str(tuple(parameter.shape)) for parameter in parameters)}, norm "{norm}"'
    match(answer, actual, _SIZE[norm](flat).sum(), case, {})
    if not actual.requires_grad:
        raise answer.wrong("no gradient reaches the weights: your penalty is cut off from the graph")
    gradients = torch.autograd.grad(actual, weights, allow_unused=True)
    if any(gradient is None for gradient in gradients):
        raise answer.wrong("the gradient does not reach all weights: a part is cut off from the graph")
    slope = flat.sign() if norm == "l1" else 2 * flat
    if not close(torch.cat([gradient.flatten() for gradient in gradients]), slope, 1e-3):
        raise answer.wrong("the value is right, but the gradient into the weights is not")


def _penalty_without_weights(answer: Answer) -> None:
    for parameters in ([], [fresh(3).requires_grad_(), fresh(1)[0].requires_grad_()]):
        result = answer(parameters, "l2", situation="on a list without weights")
        if not isinstance(result, Tensor | float | int) or isinstance(result, bool) or not close(result, 0.0):
            raise answer.wrong("a list without weights has a penalty of 0", "no weights", 0.0, result)


TASKS = {
    "largest_weight_difference": Task(
        largest_weight_difference,
        (
            "Two networks of one architecture list their parameters in the same order.",
            "A number may be larger in the one network or in the other: a difference has a sign.",
            "Each layer has a largest difference of its own. What is asked for is one number.",
        ),
        (),
    ),
    "gradient_norms": Task(
        gradient_norms,
        (
            "Which networks' outputs occur in the printed loss? Its gradient for all others is 0.",
            "PyTorch can return gradients without writing them into .grad; where a loss does not depend on a tensor, "
            "it must be told to allow that.",
            "The repaired loss is a cross entropy whose targets are probabilities, and constants.",
            "One long vector: its squared length is the sum of the squared lengths of its parts.",
            "Note down in which mode each network was before you change it.",
        ),
        (),
    ),
    "weight_penalty": Task(
        weight_penalty,
        (
            "A tensor knows how many dimensions it has.",
            "Each weight counts by itself, whatever the shape of the tensor in which it lies.",
            "The penalty is to be minimised with the loss: nothing may leave the graph on the way.",
            "What do you begin with, if there is no weight at all?",
        ),
        (losses.complexity_penalty,),
    ),
}
