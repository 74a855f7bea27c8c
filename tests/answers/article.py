"""Answers to lesson 06: weights apart, gradient norms, and the weight penalty."""

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from answers import right, shortcut, wrong
from toolkit import losses

# ---- largest_weight_difference -------------------------------------------------------------------------------

name = "largest_weight_difference"


def parts(first, second):
    return [(a - b).detach() for a, b in zip(first.parameters(), second.parameters(), strict=True)]


right(name)(lambda a, b: max(part.abs().max().item() for part in parts(a, b)))
right(name)(lambda a, b: float(torch.cat([part.flatten() for part in parts(a, b)]).abs().max()))
right(name)(lambda a, b: max(float(np.abs(part.double().numpy()).max()) for part in parts(a, b)))


@right(name)
def by_name(first, second):
    largest, others = 0.0, dict(second.named_parameters())
    for key, value in first.named_parameters():
        for one, other in zip(value.flatten().tolist(), others[key].flatten().tolist(), strict=True):
            largest = max(largest, abs(one - other))
    return largest


@right(name)
def vectors(first, second):
    with torch.no_grad():
        one, other = (nn.utils.parameters_to_vector(network.parameters()) for network in (first, second))
        return torch.dist(one, other, p=math.inf).item()


def into_the_first(first, second):
    with torch.no_grad():
        for a, b in zip(first.parameters(), second.parameters(), strict=True):
            a.sub_(b)
    return max(parameter.abs().max().item() for parameter in first.parameters())


wrong(name, "smaller in the first network is not seen")(lambda a, b: max(p.max().item() for p in parts(a, b)))
wrong(name, "smaller in the second network is not seen")(lambda a, b: max((-p).max().item() for p in parts(a, b)))
wrong(name, "difference of two largest numbers")(
    lambda a, b: abs(max(p.max().item() for p in a.parameters()) - max(p.max().item() for p in b.parameters()))
)
wrong(name, "biases are left out")(lambda a, b: max(p.abs().max().item() for p in parts(a, b) if p.ndim > 1))
wrong(name, "only the first parameter")(lambda a, b: parts(a, b)[0].abs().max().item())
wrong(name, "or the one that differs least")(lambda a, b: min(p.abs().max().item() for p in parts(a, b)))
wrong(name, "only the last parameter")(lambda a, b: parts(a, b)[-1].abs().max().item())
wrong(name, "this is a mean")(lambda a, b: torch.cat([p.flatten() for p in parts(a, b)]).abs().mean().item())
wrong(name, "a difference of a millionth")(lambda a, b: round(max(p.abs().max().item() for p in parts(a, b)), 4))
wrong(name, "sum of absolute differences")(lambda a, b: sum(p.abs().sum().item() for p in parts(a, b)))
wrong(name, "largest differences of each layer")(lambda a, b: sum(p.abs().max().item() for p in parts(a, b)))
wrong(name, "sum of squares")(lambda a, b: sum(p.square().sum().item() for p in parts(a, b)))
wrong(name, "Euclidean length")(lambda a, b: math.sqrt(sum(p.square().sum().item() for p in parts(a, b))))
wrong(name, "largest squared difference")(lambda a, b: max(p.square().max().item() for p in parts(a, b)))
wrong(name, "not a Python float")(lambda a, b: max(p.abs().max() for p in parts(a, b)))
wrong(name, "not a Python float")(lambda a, b: all(not p.any() for p in parts(a, b)))
wrong(name, "changes the networks")(into_the_first)
wrong(name, "exactly 0.0 apart")(lambda a, b: max(p.abs().max().item() for p in parts(a, b)) + 1e-8)
wrong(name, "changes the networks")(
    lambda a, b: max(p.abs().max().item() for p in parts(a.eval().requires_grad_(False), b))
)
wrong(name, "other statistics")(
    lambda a, b: max((v.double() - b.state_dict()[k].double()).abs().max().item() for k, v in a.state_dict().items())
)
wrong(name, "is a return missing?")(lambda a, b: None)
wrong(name, "two networks that differ most in parameter 3 of 6")(
    lambda a, b: max(p.abs().max().item() for p, named in zip(parts(a, b), a.named_parameters(), strict=True) if not named[0].startswith("0.1"))
)  # fmt: skip
wrong(name, "raises ValueError")(lambda a, b: max(p.item() for p in parts(a, b)) if len(parts(a, b)) > 2 else max([]))

# ---- gradient_norms ------------------------------------------------------------------------------------------

name = "gradient_norms"


def soft_cross_entropy(z_s, z_t):
    return -(z_t.detach().softmax(-1) * z_s.log_softmax(-1)).sum(-1).mean()


def length(gradients):
    return math.sqrt(sum(gradient.square().sum().item() for gradient in gradients if gradient is not None))


def norms(
    student, teacher, x, labels, *,
    eval_mode=(True, True), restore=True, first=0.0, second=soft_cross_entropy, measure=length, back=lambda a, b: (a, b)
):  # fmt: skip
    """A right answer, of which any part can be exchanged for a wrong one."""
    modes = student.training, teacher.training
    for network, wanted in zip((student, teacher), eval_mode, strict=True):
        network.train(not wanted)
    z_s, z_t = student(x), teacher(x)
    if restore:
        student.train(modes[0]), teacher.train(modes[1])
    gradients = torch.autograd.grad(second(z_s, z_t), list(student.parameters()), allow_unused=True, retain_graph=True)
    return back(first(z_s, z_t, labels, student, teacher) if callable(first) else first, measure(gradients))


def variant(**options):
    return lambda *arguments: norms(*arguments, **options)


def backward_on_copies(student, teacher, x, labels):
    found = []
    for loss in (lambda s, t: F.cross_entropy(t, labels), lambda s, t: F.cross_entropy(s, t.softmax(1).detach())):
        s, t = copy.deepcopy(student).eval(), copy.deepcopy(teacher).eval()
        s.zero_grad()
        loss(s(x), t(x)).backward()
        found.append(length([parameter.grad for parameter in s.parameters()]))
    return found


def functional(student, teacher, x, labels):
    s, t = copy.deepcopy(student).eval(), copy.deepcopy(teacher).eval()
    with torch.no_grad():
        p = F.softmax(t(x).double(), -1)

    def repaired(parameters):
        z = torch.func.functional_call(s, (parameters, dict(s.named_buffers())), (x,))
        return F.kl_div(z.double().log_softmax(-1), p, reduction="batchmean")

    gradients = torch.func.grad(repaired)({key: value.detach() for key, value in s.named_parameters()})
    vector = torch.cat([gradient.double().reshape(-1) for gradient in gradients.values()])
    return 0.0, vector.norm().item()


def teacher_as_it_comes(student, teacher, x, labels):
    return norms(student, teacher, x, labels, eval_mode=(True, not teacher.training))


def by_backward(student, teacher, x, labels):
    modes = student.training, teacher.training
    student.eval(), teacher.eval()
    soft_cross_entropy(student(x), teacher(x)).backward()
    student.train(modes[0]), teacher.train(modes[1])
    return 0.0, length([parameter.grad for parameter in student.parameters()])


@right(name)
def by_backward_and_cleared(*arguments):
    result = by_backward(*arguments)
    arguments[0].zero_grad()
    return result


@right(name)
def zeros_are_left(*arguments):
    result = by_backward(*arguments)
    arguments[0].zero_grad(set_to_none=False)
    return result


def teachers_backward(student, teacher, x, labels):
    result = norms(student, teacher, x, labels)
    F.cross_entropy(copy.copy(teacher)(x), labels).backward()
    return result


def freezes(student, teacher, x, labels):
    result = norms(student, teacher, x, labels)
    teacher.requires_grad_(False)
    return result


def one_update(student, teacher, x, labels):
    result = norms(student, teacher, x, labels)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter -= 0.1
    return result


def into_teacher(z_s, z_t, labels, student, teacher):
    return length(torch.autograd.grad(F.cross_entropy(z_t, labels), list(teacher.parameters()), retain_graph=True))


def against_labels(z_s, z_t, labels, student, teacher):
    return length(torch.autograd.grad(F.cross_entropy(z_s, labels), list(student.parameters()), retain_graph=True))


right(name)(norms)
right(name)(variant(back=lambda a, b: [a, np.float64(b)]))
right(name)(variant(second=lambda s, t: F.kl_div(s.log_softmax(1), t.detach().softmax(1), reduction="batchmean")))
right(name)(backward_on_copies)
right(name)(functional)


@right(name)
class Measured:
    """Class-based: graded functions are called, whatever they are."""

    def __new__(cls, student, teacher, x, labels):
        modes = [(module, module.training) for network in (student, teacher) for module in network.modules()]
        for module, _ in modes:
            module.training = False
        student_z, teacher_z = student(x), teacher(x)
        for module, mode in modes:
            module.training = mode
        targets = teacher_z.detach().exp() / teacher_z.detach().exp().sum(1, keepdim=True)
        total = sum(-(p * z.log_softmax(0)).sum() for p, z in zip(targets, student_z, strict=True)) / len(x)
        return tuple(
            sum(float(g.pow(2).sum()) for g in cls.gradients(student, loss)) ** 0.5
            for loss in (F.nll_loss(teacher_z.log_softmax(1), labels), total)
        )

    @staticmethod
    def gradients(student, loss):
        found = torch.autograd.grad(loss, tuple(student.parameters()), allow_unused=True, retain_graph=True)
        return [gradient for gradient in found if gradient is not None]


wrong(name, "in the wrong order")(variant(back=lambda a, b: (b, a)))
wrong(name, "no gradient reaches the student from the repaired loss")(variant(back=lambda a, b: (0.0, 0.0)))
wrong(name, "scores the student against the labels")(variant(first=against_labels))
wrong(name, "that into the teacher")(variant(first=into_teacher))
wrong(name, "the first number is not 0")(variant(first=0.7))
wrong(name, "summed over the batch")(variant(second=lambda s, t: len(s) * soft_cross_entropy(s, t)))
wrong(name, "divided by the number of classes")(variant(second=lambda s, t: soft_cross_entropy(s, t) / s.shape[1]))
wrong(name, "is a root missing?")(variant(measure=lambda gradients: length(gradients) ** 2))
wrong(name, "lengths of the layers are added")(variant(measure=lambda gradients: sum(length([g]) for g in gradients)))
wrong(name, "only weights, or")(variant(measure=lambda gradients: length([g for g in gradients if g.ndim > 1])))
wrong(name, "or only the first of them")(variant(measure=lambda gradients: length(gradients[:1])))
wrong(name, "only biases, or")(variant(measure=lambda gradients: length(gradients[-1:])))
wrong(name, "only the last layer")(variant(measure=lambda gradients: length(gradients[-2:])))
wrong(name, "sum of absolute values")(variant(measure=lambda gradients: sum(g.abs().sum().item() for g in gradients)))
wrong(name, "the largest entry")(variant(measure=lambda gradients: max(g.abs().max().item() for g in gradients)))
wrong(name, "the teacher's choice")(variant(second=lambda s, t: F.cross_entropy(s, t.argmax(1))))
wrong(name, "swapped")(variant(second=lambda s, t: -(s.softmax(1) * t.detach().log_softmax(1)).sum(1).mean()))
wrong(name, "KL(student ‖ teacher)")(
    variant(second=lambda s, t: F.kl_div(t.detach().log_softmax(1), s.softmax(1), reduction="batchmean"))
)
wrong(name, "you have probabilities")(variant(second=lambda s, t: -(t.detach().softmax(1) * s.softmax(1)).sum(1).mean()))  # fmt: skip
wrong(name, "which applies it again")(variant(second=lambda s, t: F.cross_entropy(s.softmax(1), t.detach().softmax(1))))
wrong(name, "a softmax is missing")(variant(second=lambda s, t: F.cross_entropy(s, t.detach())))
wrong(name, "the student runs in train mode")(variant(eval_mode=(False, True)))
wrong(name, "the teacher runs in train mode")(variant(eval_mode=(True, False)))
wrong(name, "the teacher runs in train mode")(teacher_as_it_comes)
wrong(name, "came in train mode and is left in eval mode")(variant(restore=False))
wrong(name, "a Tensor, not a Python float")(variant(back=lambda a, b: (a, torch.tensor(b))))
wrong(name, "two floats are needed")(variant(back=lambda a, b: b))
wrong(name, "is a return missing?")(variant(back=lambda a, b: None))
wrong(name, "in .grad of the student's parameters")(by_backward)
wrong(name, "in .grad of the teacher's parameters")(teachers_backward)
wrong(name, "freezes the teacher's parameters")(freezes)
wrong(name, "changes the student's weights")(one_update)
wrong(name, "compares the student with the labels")(
    lambda s, t, x, y: (0.0, norms(s, t, x, y, second=lambda z, _: F.cross_entropy(z, y))[1])
)

# ---- weight_penalty ------------------------------------------------------------------------------------------

name = "weight_penalty"


def size(norm):
    return torch.abs if norm == "l1" else torch.square


def counted(parameters):
    return [parameter for parameter in parameters if parameter.ndim >= 2]


def add(parts):
    return sum(parts, torch.zeros(()))


right(name)(lambda ps, norm: sum(size(norm)(p).sum() for p in ps if len(p.shape) > 1))
right(name)(lambda ps, norm: torch.cat([torch.zeros(1), *(p.flatten() for p in counted(ps))]).abs().pow(int(norm[1])).sum())  # fmt: skip


@right(name)
def loop(parameters, norm):
    total = torch.zeros((), dtype=torch.float64)
    for parameter in parameters:
        if parameter.dim() < 2:
            continue
        for weight in parameter.reshape(-1):
            total = total + (weight.abs() if norm == "l1" else weight * weight)
    return total


@right(name)
def einsum(parameters, norm):
    total = 0.0
    for parameter in counted(parameters):
        flat = parameter.reshape(-1)
        total = total + torch.einsum("i,i->", flat, flat.sign() if norm == "l1" else flat)
    return total


@right(name)
def vector_norms(parameters, norm):
    degree = {"l1": 1, "l2": 2}[norm]
    return add(torch.linalg.vector_norm(p, degree) ** degree for p in counted(parameters))


def in_place(parameters, norm):
    with torch.no_grad():
        for parameter in parameters:
            parameter.abs_()
    return add(size(norm)(p).sum() for p in counted(parameters))


@right(name)
def shortened(parameters, norm):
    parameters[:] = counted(parameters)
    return add(size(norm)(p).sum() for p in parameters)


wrong(name, "biases are counted")(lambda ps, norm: add(size(norm)(p).sum() for p in ps))
wrong(name, "only biases are counted")(lambda ps, norm: add(size(norm)(p).sum() for p in ps if p.ndim < 2))
wrong(name, "the other norm")(lambda ps, norm: add((p.square() if norm == "l1" else p.abs()).sum() for p in counted(ps)))  # fmt: skip
wrong(name, "the other norm")(lambda ps, norm: add(p.square().sum() for p in counted(ps)))
wrong(name, "the other norm, and biases")(lambda ps, norm: add(p.abs().sum() for p in ps))
wrong(name, "exactly two dimensions")(lambda ps, norm: add(size(norm)(p).sum() for p in ps if p.ndim == 2))
wrong(name, "only the last tensor")(lambda ps, norm: [size(norm)(p).sum() for p in counted(ps)][-1])
wrong(name, "signs are kept")(lambda ps, norm: add(p.sum() if norm == "l1" else p.square().sum() for p in counted(ps)))
wrong(name, "of the sum, not of each")(
    lambda ps, norm: add(p.sum() for p in counted(ps)).abs() if norm == "l1" else add(p.square().sum() for p in counted(ps))
)  # fmt: skip
wrong(name, "Euclidean length")(lambda ps, norm: torch.cat([p.flatten() for p in counted(ps)]).norm(p=int(norm[1])))
wrong(name, "lengths of the tensors are added")(lambda ps, norm: add(p.norm(p=int(norm[1])) for p in counted(ps)))
wrong(name, "half of the sum")(lambda ps, norm: add(size(norm)(p).sum() / int(norm[1]) for p in counted(ps)))
wrong(name, "this is a mean")(lambda ps, norm: size(norm)(torch.cat([p.flatten() for p in counted(ps)])).mean())
wrong(name, "means of the tensors")(lambda ps, norm: add(size(norm)(p).mean() for p in counted(ps)))
wrong(name, "cut off from the graph")(lambda ps, norm: add(size(norm)(p.detach()).sum() for p in counted(ps)))
wrong(name, "a part is cut off")(
    lambda ps, norm: add(size(norm)(p if i == 0 else p.data).sum() for i, p in enumerate(counted(ps)))
)
wrong(name, "the gradient into the weights is not")(
    lambda ps, norm: add(2 * size(norm)(p).sum() - size(norm)(p).sum().detach() for p in counted(ps))
)
wrong(name, "not a torch.Tensor")(lambda ps, norm: add(size(norm)(p).sum() for p in counted(ps)).item())
wrong(name, "is a return missing?")(lambda ps, norm: None)
wrong(name, "in place")(in_place)
wrong(name, "on a list without weights")(lambda ps, norm: torch.stack([size(norm)(p).sum() for p in counted(ps)]).sum())
wrong(name, "has a penalty of 0")(
    lambda ps, norm: add(size(norm)(p).sum() for p in counted(ps)) if counted(ps) else torch.ones(())
)

# ---- calls of the toolkit ------------------------------------------------------------------------------------


wrong(name, "the value is wrong")(lambda ps, norm: add(size(norm)(p).sum() for p in ps if p.ndim != 1))
wrong(name, "nan or infinite where a weight is 0")(
    lambda ps, norm: add((p.square() if norm == "l2" else p.square().sqrt()).sum() for p in counted(ps))
)


@shortcut("weight_penalty")
def through_a_module(parameters, norm):
    return losses.complexity_penalty(nn.ParameterList(parameters), norm)
