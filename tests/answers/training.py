"""Answers to lesson 04: teacher logits, and a training step."""

import copy

import torch

from answers import right, shortcut, wrong
from answers.loss import ce, soft
from toolkit import losses, training

# ---- teacher_logits ------------------------------------------------------------------------------------------

name = "teacher_logits"


@right(name)
def careful(teacher, x):
    teacher.eval()
    with torch.no_grad():
        return teacher(x)


@right(name)
@torch.no_grad()
def decorated(teacher, x):
    mode = teacher.training
    logits = teacher.eval()(x)
    teacher.train(mode)
    return logits


right(name)(lambda teacher, x: teacher.eval()(x).detach())


@right(name)
def inference(teacher, x):
    with torch.inference_mode():
        return teacher.train(False)(x)


@wrong(name, "train mode")
@torch.no_grad()
def never_eval(teacher, x):
    return teacher(x)


@wrong(name, "or a part of it, runs in train mode")
@torch.no_grad()
def shallow_eval(teacher, x):
    teacher.training = False
    return teacher(x)


@wrong(name, "gradients stay switched off")
def switched_off(teacher, x):
    torch.set_grad_enabled(False)
    return teacher.eval()(x)


@wrong(name, "changes the teacher's weights or statistics")
def tampering(teacher, x):
    logits = careful(teacher, x)
    with torch.no_grad():
        next(teacher.parameters()).mul_(0.9)
    return logits


@wrong(name, "the value is wrong")
def without_statistics(teacher, x):
    norm = teacher.layers[1]
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    norm.running_mean.zero_(), norm.running_var.fill_(1)
    logits = careful(teacher, x)
    norm.running_mean.copy_(mean), norm.running_var.copy_(var)
    return logits


wrong(name, "still part of a graph")(lambda teacher, x: teacher.eval()(x))
wrong(name, "these are probabilities")(lambda teacher, x: careful(teacher, x).softmax(1))
wrong(name, "logarithms of probabilities")(lambda teacher, x: careful(teacher, x).log_softmax(1))
wrong(name, "returns classes")(lambda teacher, x: careful(teacher, x).argmax(1))
wrong(name, "returns a ndarray")(lambda teacher, x: careful(teacher, x).numpy())
wrong(name, "is a return missing?")(lambda teacher, x: print(end="") if careful(teacher, x) is x else None)


@right(name)
def on_a_copy(teacher, x):
    frozen = copy.deepcopy(teacher).eval().requires_grad_(False)
    return frozen(x)


wrong(name, "never run")(lambda teacher, x: torch.zeros(len(x), 4))
wrong(name, "changes its input in place (argument 2)")(lambda teacher, x: careful(teacher, x.mul_(2)))

# ---- train_step ----------------------------------------------------------------------------------------------

name = "train_step"


def step(
    student, optimizer, x, y, z, t, lam, *, mode=True, zero="before", backward=True, update=1, sign=1, back=lambda loss: loss.item()
):  # fmt: skip
    if mode is not None:
        student.train(mode)
    s = student(x)
    loss = (1 - lam) * ce(s, y) + lam * soft(s, z, t)
    if zero == "before":
        optimizer.zero_grad()
    if backward:
        (sign * loss).backward()
    if zero == "after":
        optimizer.zero_grad(set_to_none=True)
    for _ in range(update):
        optimizer.step()
    if zero == "end":
        optimizer.zero_grad()
    return back(loss)


def variant(**options):
    return lambda *arguments: step(*arguments, **options)


def by_hand(student, optimizer, *rest):
    step(student, optimizer, *rest, update=0)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter -= 0.05 * parameter.grad
    return step(student, optimizer, *rest, update=0)


def two_passes(student, optimizer, x, y, z, t, lam):
    step(student, optimizer, x, y, z, t, lam)
    with torch.no_grad():
        return step(student, optimizer, x, y, z, t, lam, update=0, backward=False)


def _other_loss(s, x, z, t):
    with torch.no_grad():
        return soft(s(x), z, t).item()


def right_step_with_another_loss(s, o, x, y, z, t, lam):
    s.train()
    returned = _other_loss(s, x, z, t)
    step(s, o, x, y, z, t, lam)
    return returned


right(name)(step)
right(name)(variant(back=lambda loss: float(loss.detach())))


@right(name)
def with_toolkit(student, optimizer, x, labels, z, temperature, lam):
    optimizer.zero_grad(set_to_none=False)
    student.train()
    loss = losses.distillation_loss(student(x), z, labels, temperature=temperature, lam=lam)
    loss.backward()
    optimizer.step()
    return loss.detach().item()


@right(name)
def by_autograd_grad(student, optimizer, x, y, z, t, lam):
    student.train()
    s = student(x)
    loss = torch.lerp(ce(s, y), soft(s, z, t), lam)
    parameters = list(student.parameters())
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = gradient
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


wrong(name, "a Tensor, not a Python float")(variant(back=lambda loss: loss))
wrong(name, "is a return missing?")(variant(back=lambda loss: None))
wrong(name, "not cleared before backward: what was there before the call is added")(variant(zero="never"))
wrong(name, "not cleared before backward: what was there before the call is added")(variant(zero="end"))
wrong(name, "its step sees no gradients")(variant(zero="after"))
wrong(name, "left in eval mode")(variant(mode=None))
wrong(name, "left in eval mode")(variant(mode=False))
wrong(name, "its step is missing")(variant(update=0))
wrong(name, "is the loss ever sent backward?")(variant(backward=False, zero="never"))
wrong(name, "climbs")(variant(sign=-1))
wrong(name, "one call makes 2 updates")(variant(update=2))
wrong(name, "without the optimizer")(by_hand)
wrong(name, "computed after the update")(two_passes)
wrong(name, "T has no effect")(lambda s, o, x, y, z, t, lam: step(s, o, x, y, z, 1.0, lam))
wrong(name, "λ is on the wrong part")(lambda s, o, x, y, z, t, lam: step(s, o, x, y, z, t, 1 - lam))
wrong(name, "ignores the soft targets")(lambda s, o, x, y, z, t, lam: step(s, o, x, y, z, t, 0.0))
wrong(name, "ignores the labels")(lambda s, o, x, y, z, t, lam: step(s, o, x, y, z, t, 1.0))
wrong(name, "ignores the soft targets")(
    lambda s, o, x, y, z, t, lam: step(s, o, x, y, z, t, 0.0, back=lambda loss: 7.0)
)
wrong(name, "ignores the soft targets")(lambda s, o, x, y, z, t, lam: step(s, o, x, y, z, t, 0.0, zero="never"))
wrong(name, "not the one that the distillation loss asks for")(
    lambda s, o, x, y, z, t, lam: step(s, o, x, y, z, t, 0.123)
)
wrong(name, "not what is returned: the loss ignores the labels")(right_step_with_another_loss)


@right(name)
def mode_put_back(student, *rest):
    mode = student.training
    loss = step(student, *rest)
    student.train(mode)
    return loss


def with_hard_part(hard, seen=lambda tensor, y: tensor):
    def answer(student, optimizer, x, y, z, t, lam):
        student.train()
        s = student(x)
        loss = (1 - lam) * hard(s, y) + lam * soft(seen(s, y), seen(z, y), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return answer


def own_optimizer(student, optimizer, *rest):
    return step(student, torch.optim.SGD(student.parameters(), 0.1), *rest)


wrong(name, "count as class 0")(with_hard_part(lambda s, y: ce(s, y.clamp(min=0))))
wrong(name, "divided by the unlabelled examples")(with_hard_part(lambda s, y: ce(s, y, reduction="none").mean()))
wrong(name, "missing from the soft part")(with_hard_part(ce, lambda tensor, y: tensor[y >= 0]))
wrong(name, "changes its input in place")(lambda s, o, x, y, *rest: step(s, o, x, y.clamp_(min=0), *rest))
wrong(name, "without the optimizer that was given")(own_optimizer)
wrong(name, "are T, λ")(lambda s, o, x, y, z, t, lam: step(s, o, x, y, z, 4.0, lam))
wrong(name, "are T, λ")(lambda s, o, x, y, z, t, lam: step(s, o, x, y, z, t, 0.7))
wrong(name, "never run")(lambda s, o, x, y, z, t, lam: 0.0)

shortcut("teacher_logits")(training.predict)
