"""Checks tell right answers from wrong ones, whatever style the right ones have, and name what is wrong."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course import checks
from toolkit import losses, metrics, training

softmax = F.softmax
RIGHT, WRONG = {}, {}


def right(name):
    return lambda answer: RIGHT.setdefault(name, []).append(answer) or answer


def wrong(name, said):
    return lambda answer: WRONG.setdefault(name, []).append((answer, said)) or answer


# ---- softmax_with_temperature --------------------------------------------------------------------------------

name = "softmax_with_temperature"
right(name)(lambda z, t: softmax(z / t, -1))
right(name)(lambda z, t: (z / t - torch.logsumexp(z / t, -1, keepdim=True)).exp())
right(name)(lambda z, t: torch.from_numpy(_numpy_softmax(z.numpy() / t)))


def _numpy_softmax(z):
    weights = np.exp(z - z.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def in_place_divided(z, t):
    z /= t
    return softmax(z, -1)


def half_of_it(z, t):
    out = z / t
    return torch.nan_to_num(out.exp() / out.exp().sum(-1, keepdim=True))


wrong(name, "plain softmax")(lambda z, t: softmax(z, -1))
wrong(name, "sharper instead of flatter")(lambda z, t: softmax(z * t, -1))
wrong(name, "along the batch")(lambda z, t: softmax(z / t, 0))
wrong(name, "do not sum to 1 along the class axis")(lambda z, t: softmax(z, -1) / t)
wrong(name, "do not sum to 1 along the class axis")(lambda z, t: (z / t).exp())
wrong(name, "logarithms of probabilities")(lambda z, t: F.log_softmax(z / t, -1))
wrong(name, "softmax comes too early")(lambda z, t: softmax(softmax(z, -1) / t, -1))
wrong(name, "overflow")(lambda z, t: (z / t).exp() / (z / t).exp().sum(-1, keepdim=True))
wrong(name, "overflow")(lambda z, t: ((z - z.max()) / t).exp() / ((z - z.max()) / t).exp().sum(-1, keepdim=True))
wrong(name, "finite but wrong")(half_of_it)
wrong(name, "changes its input in place")(in_place_divided)
wrong(name, "does not run over the last axis")(lambda z, t: softmax(z / t, 1 if z.ndim > 1 else 0))
wrong(name, "raises IndexError on logits of shape (4,)")(lambda z, t: softmax(z / t, -1) if z.size(1) else z)
wrong(name, "on float64 tensors")(lambda z, t: softmax(z / t, -1) + 0 * (z @ torch.ones(z.shape[-1]))[..., None])
wrong(name, "not a torch.Tensor")(lambda z, t: softmax(z / t, -1).numpy())
wrong(name, "is a return missing?")(lambda z, t: None)
wrong(name, "has the shape (3,)")(lambda z, t: softmax(z / t, -1)[0])

# ---- entropy -------------------------------------------------------------------------------------------------

name = "entropy"
right(name)(lambda p: torch.special.entr(p).sum(-1))
right(name)(lambda p: -torch.xlogy(p, p).sum(dim=-1))
right(name)(lambda p: -(p * p.clamp_min(1e-12).log()).sum(-1))
right(name)(lambda p: torch.distributions.Categorical(probs=p).entropy())
wrong(name, "the sign is wrong")(lambda p: torch.xlogy(p, p).sum(-1))
wrong(name, "in bits")(lambda p: -(p * p.log2()).nansum(-1))
wrong(name, "base 10")(lambda p: -(p * p.log10()).nansum(-1))
wrong(name, "averages over the classes")(lambda p: -torch.xlogy(p, p).mean(-1))
wrong(name, "over the batch")(lambda p: -torch.xlogy(p, p).sum(0))
wrong(name, "one number for all rows")(lambda p: -torch.xlogy(p, p).sum(-1).mean())
wrong(name, "A probability of 0 gives nan")(lambda p: -(p * p.log()).sum(-1))
wrong(name, "where a probability is 0 the value is off")(
    lambda p: torch.where((p == 0).any(-1), torch.ones(()), -(p * p.log()).sum(-1))
)
wrong(name, "not weighted")(lambda p: -p.log().sum(-1))
wrong(name, "softmax was applied already")(lambda p: torch.special.entr(softmax(p, -1)).sum(-1))
wrong(name, "has the shape (2, 1)")(lambda p: torch.special.entr(p).sum(-1, keepdim=True))
wrong(name, "float64")(lambda p: torch.special.entr(p) @ torch.ones(p.shape[-1]))
wrong(name, "changes its input")(lambda p: p.mul_(p.log().neg()).nansum(-1))

# ---- soft_loss -----------------------------------------------------------------------------------------------


def kl(first, second, t):
    """A right KL(first ‖ second) at T, one value per row."""
    first, second = F.log_softmax(first.detach() / t, -1), F.log_softmax(second / t, -1)
    return (first.exp() * (first - second)).sum(-1)


name = "soft_loss"
right(name)(lambda s, z, t: t**2 * kl(z, s, t).mean())
right(name)(
    lambda s, z, t: t * t * F.kl_div(F.log_softmax(s / t, 1), softmax(z.detach() / t, 1), reduction="batchmean")
)
right(name)(
    lambda s, z, t: (
        F.kl_div((s / t).log_softmax(1), (z.detach() / t).log_softmax(1), log_target=True, reduction="sum")
        * t**2
        / len(s)
    )
)
right(name)(lambda s, z, t: sum(kl(z[i], s[i], t) * t**2 for i in range(len(s))) / len(s))


def teacher_without_graph(s, z, t):
    with torch.no_grad():
        p = softmax(z / t, -1)
    return t**2 * (F.cross_entropy(s / t, p) - torch.special.entr(p).sum(-1).mean())


right(name)(teacher_without_graph)


def into_teacher(s, z, t):
    return t**2 * F.kl_div((s / t).log_softmax(1), (z / t).log_softmax(1), log_target=True, reduction="batchmean")


wrong(name, "is T² missing?")(lambda s, z, t: kl(z, s, t).mean())
wrong(name, "the two are swapped, KL(student ‖ teacher), and T² is missing")(lambda s, z, t: kl(s, z, t).mean())
wrong(name, "divides by T² where it should multiply")(lambda s, z, t: kl(z, s, t).mean() / t**2)
wrong(name, "squared difference of logits;")(lambda s, z, t: F.mse_loss(s, z.detach()))
wrong(name, "squared difference of logits divided by T")(lambda s, z, t: F.mse_loss(s / t, z.detach() / t))
wrong(name, "squared difference of probabilities")(lambda s, z, t: F.mse_loss(softmax(s / t, 1), softmax(z / t, 1)))
wrong(name, "cross entropy with soft targets, without T²")(lambda s, z, t: ce(s / t, softmax(z.detach() / t, 1)))
wrong(name, "not fast enough")(lambda s, z, t: t * kl(z, s, t).mean())
wrong(name, "the two are swapped")(lambda s, z, t: t**2 * kl(s, z, t).mean())
wrong(name, "divided by the number of classes")(
    lambda s, z, t: t**2
    * F.kl_div((s / t).log_softmax(1), softmax(z.detach() / t, 1), reduction="none").mean()
)  # fmt: skip
wrong(name, "is T² missing? And it is also divided")(lambda s, z, t: kl(z, s, t).mean() / s.shape[1])
wrong(name, "summed over the batch")(lambda s, z, t: t**2 * kl(z, s, t).sum())
wrong(name, "student's logits are not divided by T")(lambda s, z, t: t**2 * kl(z / t, s, 1).mean())
wrong(name, "teacher's logits are not divided by T")(lambda s, z, t: t**2 * kl(z, s / t, 1).mean())
wrong(name, "acts on neither")(lambda s, z, t: t**2 * kl(z, s, 1).mean())
wrong(name, "along the batch, not along the class axis")(
    lambda s, z, t: t**2 * F.kl_div((s / t).log_softmax(0), softmax(z.detach() / t, 0), reduction="batchmean")
)
wrong(name, "the sign is wrong")(lambda s, z, t: -(t**2) * kl(z, s, t).mean())
wrong(name, "you have probabilities")(
    lambda s, z, t: t**2 * F.kl_div(softmax(s / t, 1), softmax(z.detach() / t, 1), reduction="batchmean")
)
wrong(name, "not zero when the student equals the teacher")(
    lambda s, z, t: t**2 * F.cross_entropy(s / t, softmax(z.detach() / t, 1))
)
wrong(name, "overflow")(
    lambda s, z, t: (
        t**2 * (softmax(z.detach() / t, 1) * (softmax(z.detach() / t, 1).log() - softmax(s / t, 1).log())).sum(1).mean()
    )
)
wrong(name, "reaches the teacher's logits")(into_teacher)
wrong(name, "no gradient reaches the student")(lambda s, z, t: t**2 * kl(z, s.detach(), t).mean())
wrong(name, "not a torch.Tensor")(lambda s, z, t: (t**2 * kl(z, s, t).mean()).item())
wrong(name, "the gradient into the student is not")(
    lambda s, z, t: kl(z, s, t).mean() + ((t**2 - 1) * kl(z, s, t).mean()).detach()
)
wrong(name, "has the shape (2,): sum over classes")(lambda s, z, t: t**2 * kl(z, s, t))
wrong(name, "changes its input in place (argument 1)")(lambda s, z, t: t**2 * kl(z, s.data.div_(t) * t, t).mean())
wrong(name, "on float64 tensors")(lambda s, z, t: t**2 * kl(z, s, t) @ torch.full((len(s),), 1 / len(s)))
wrong(name, "on a batch of one")(
    lambda s, z, t: t**2 * F.kl_div((s.squeeze() / t).log_softmax(1), softmax(z.detach() / t, 1), reduction="batchmean")
)

# ---- distillation_loss ---------------------------------------------------------------------------------------


def soft(s, z, t):
    return t**2 * kl(z, s, t).mean()


ce = F.cross_entropy
name = "distillation_loss"
right(name)(lambda s, z, y, t, lam: (1 - lam) * ce(s, y) + lam * soft(s, z, t))
right(name)(lambda s, z, y, t, lam: torch.lerp(ce(s, y), soft(s, z, t), lam))
right(name)(lambda s, z, y, t, lam: (1 - lam) * F.nll_loss(s.log_softmax(1), y) + lam * into_teacher(s, z.detach(), t))
right(name)(
    lambda s, z, y, t, lam: (
        (1 - lam) * -s.log_softmax(1)[range(len(y)), y].mean() + lam * losses.soft_divergence(s, z, t)
    )
)
wrong(name, "λ is on the wrong part")(lambda s, z, y, t, lam: lam * ce(s, y) + (1 - lam) * soft(s, z, t))
wrong(name, "too small by T²")(lambda s, z, y, t, lam: (1 - lam) * ce(s, y) + lam * soft(s, z, t) / t**2)
wrong(name, "T² is applied twice")(lambda s, z, y, t, lam: (1 - lam) * ce(s, y) + lam * t**2 * soft(s, z, t))
wrong(name, "multiplies the hard part too")(lambda s, z, y, t, lam: t**2 * (1 - lam) * ce(s, y) + lam * soft(s, z, t))
wrong(name, "hard part has its full weight")(lambda s, z, y, t, lam: ce(s, y) + lam * soft(s, z, t))
wrong(name, "soft part has its full weight")(lambda s, z, y, t, lam: (1 - lam) * ce(s, y) + soft(s, z, t))
wrong(name, "λ has no effect")(lambda s, z, y, t, lam: ce(s, y) + soft(s, z, t))
wrong(name, "the labels are used in the soft part")(
    lambda s, z, y, t, lam: (1 - lam) * ce(s, y) + lam * t**2 * ce(s / t, y)
)
wrong(name, "hard part divides by T")(lambda s, z, y, t, lam: (1 - lam) * ce(s / t, y) + lam * soft(s, z, t))
wrong(name, "scores the teacher")(lambda s, z, y, t, lam: (1 - lam) * ce(z, y) + lam * soft(s, z, t))
wrong(name, "hard part is summed")(lambda s, z, y, t, lam: (1 - lam) * ce(s, y, reduction="sum") + lam * soft(s, z, t))
wrong(name, "softmax comes before")(lambda s, z, y, t, lam: (1 - lam) * ce(softmax(s, 1), y) + lam * soft(s, z, t))
wrong(name, "soft part is missing")(lambda s, z, y, t, lam: (1 - lam) * ce(s, y))
wrong(name, "swapped")(lambda s, z, y, t, lam: (1 - lam) * ce(s, y) + lam * soft(z, s, t))
wrong(name, "reaches the teacher")(lambda s, z, y, t, lam: (1 - lam) * ce(s, y) + lam * into_teacher(s, z, t))
wrong(name, "not a torch.Tensor")(lambda s, z, y, t, lam: ((1 - lam) * ce(s, y) + lam * soft(s, z, t)).item())
wrong(name, "has the shape (2,)")(lambda s, z, y, t, lam: (1 - lam) * ce(s, y, reduction="none") + lam * soft(s, z, t))

# ---- total_loss ----------------------------------------------------------------------------------------------

name = "total_loss"
right(name)(lambda a, b, w: a + w * b)
right(name)(lambda a, b, w: sum((a, b * w)))
right(name)(lambda a, b, w: torch.as_tensor(b).mul(w).add(a))
wrong(name, "no effect on the penalty")(lambda a, b, w: a + b)
wrong(name, "weight is on the cross entropy")(lambda a, b, w: w * a + b)
wrong(name, "weight is on both")(lambda a, b, w: w * (a + b))
wrong(name, "against each other")(lambda a, b, w: (1 - w) * a + w * b)
wrong(name, "subtracted")(lambda a, b, w: a - w * b)
wrong(name, "squared once more")(lambda a, b, w: a + w * b**2)
wrong(name, "penalty is missing")(lambda a, b, w: a + 0 * b)
wrong(name, "in place")(lambda a, b, w: a.data.add_(w * b.data))
wrong(name, "not a torch.Tensor")(lambda a, b, w: float(a + w * b))
wrong(name, "gradient does not reach both")(lambda a, b, w: a.detach() + w * b)

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
wrong(name, "never run")(lambda s, o, x, y, z, t, lam: 0.0)


# ---- The tests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name, answers in RIGHT.items() for answer in answers])
def test_a_right_answer_passes_in_any_style(name, answer, capsys):
    checks.check(answer, name)
    assert capsys.readouterr().out == f"✓ {name}: correct.\n"


@pytest.mark.parametrize(
    ("name", "answer", "said"), [(name, *case) for name, cases in WRONG.items() for case in cases]
)  # fmt: skip
def test_a_wrong_answer_is_refused_with_its_behaviour(name, answer, said):
    with pytest.raises(checks.Incorrect) as caught:
        checks.check(answer, name)
    assert said.lower() in str(caught.value).lower()


@pytest.mark.parametrize("name", checks.names())
def test_every_function_has_enough_styles_and_mistakes(name):
    assert len(RIGHT[name]) >= 3
    assert len(WRONG[name]) >= 5


@pytest.mark.parametrize("name", checks.names())
def test_an_untouched_stub_is_not_attempted_yet(name):
    def stub(*_):
        raise NotImplementedError

    with pytest.raises(checks.NotAttempted, match="not attempted yet"):
        checks.check(stub, name)


def test_an_answer_that_stands_on_an_unwritten_one_says_which():
    def soft_loss(*_):
        raise NotImplementedError

    with pytest.raises(checks.NotAttempted, match="soft_loss, which it calls, is not written"):
        checks.check(lambda s, z, y, t, lam: soft_loss(s, z, t), "distillation_loss")


def torch_refuses(z, t):
    return torch.tensor([1, 2]).softmax(-1)  # NotImplementedError, from torch itself


def helper_refuses(z, t):
    def helper():
        raise NotImplementedError

    return helper()


def says_why(z, t):
    raise NotImplementedError("only T = 1")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (torch_refuses, "not implemented for 'Long'"),
        (helper_refuses, "at the line “return helper()”."),
        (says_why, "only T = 1"),
    ],
)
def test_a_not_implemented_error_that_is_no_stub_counts_as_an_attempt(answer, said):
    with pytest.raises(checks.Incorrect, match="Your function raises NotImplementedError") as caught:
        checks.check(answer, "softmax_with_temperature")
    assert said in str(caught.value)


def test_a_decorated_stub_is_not_attempted_yet():
    @torch.no_grad()
    def stub(teacher, x):
        raise NotImplementedError

    with pytest.raises(checks.NotAttempted):
        checks.check(stub, "teacher_logits")


def swallow(function):
    def answer(*arguments):
        try:
            return function(*arguments)
        except Exception:
            return F.softmax(arguments[0] / arguments[1], -1)

    return answer


SHORTCUTS = [
    ("softmax_with_temperature", losses.soft_targets),
    ("softmax_with_temperature", swallow(losses.soft_targets)),
    ("entropy", metrics.entropy),
    ("soft_loss", losses.soft_divergence),
    ("soft_loss", lambda s, z, t: losses.distillation_loss(s, z, torch.zeros(len(s)).long(), temperature=t, lam=1)),
    ("distillation_loss", losses.mixed_loss),
    ("distillation_loss", lambda s, z, y, t, lam: losses.distillation_loss(s, z, y, temperature=t, lam=lam)),
    ("total_loss", losses.total_loss),
    ("teacher_logits", training.predict),
]


@pytest.mark.parametrize(("name", "shortcut"), SHORTCUTS)
def test_the_toolkits_own_implementation_earns_a_reason_and_no_pass(name, shortcut):
    with pytest.raises(checks.Incorrect, match="the toolkit's own implementation"):
        checks.check(shortcut, name)


def test_the_toolkit_works_again_after_a_check():
    with pytest.raises(checks.Incorrect):
        checks.check(losses.soft_targets, "softmax_with_temperature")
    assert losses.soft_targets(torch.zeros(2)).tolist() == [0.5, 0.5]
    assert metrics.entropy(torch.ones(1)).item() == 0


def test_feedback_is_short_and_without_a_traceback_in_a_notebook():
    with pytest.raises(checks.Incorrect) as caught:
        checks.check(lambda z, t: F.softmax(z, -1), "softmax_with_temperature")
    lines = caught.value._render_traceback_()
    assert "\n".join(lines) == str(caught.value)
    assert len(lines) <= 6
    assert all(word in str(caught.value) for word in ("expected", "yours", "case"))


@pytest.mark.parametrize(("name", "answer", "said"), [(name, *case) for name, cases in WRONG.items() for case in cases])
def test_feedback_never_holds_code_of_a_solution(name, answer, said):
    with pytest.raises(checks.Incorrect) as caught:
        checks.check(answer, name)
    mine = str(caught.value).split("at the line “")[0]  # a learner's own line may be quoted
    assert not any(
        code in mine for code in ("torch.softmax", "log_softmax(", ".mean(", ".sum(", "zero_grad(", ".eval(")
    )


def test_an_exception_is_reported_with_the_learners_own_line():
    def entropy(probabilities):
        return probabilities.lgo()

    with pytest.raises(checks.Incorrect, match=r"AttributeError, at the line “return probabilities.lgo\(\)”"):
        checks.check(entropy)


def test_an_answer_that_tries_to_leave_is_refused():
    with pytest.raises(checks.Incorrect, match="raises SystemExit"):
        checks.check(lambda p: exit(0), "entropy")


class AlwaysEqual:
    """A hostile answer: equal to everything."""

    def __eq__(self, other):
        return True

    __hash__ = None
    shape, ndim = (2, 3), 2

    def is_floating_point(self):
        return True


class Disguised(torch.Tensor):
    """A hostile answer that calls itself a tensor."""


@pytest.mark.parametrize("name", checks.names())
def test_objects_that_pretend_are_refused(name):
    for result in (AlwaysEqual(), torch.zeros(2, 3).as_subclass(Disguised), True, "1.0"):
        with pytest.raises(checks.Incorrect):
            checks.check(lambda *_, result=result: result, name)


def test_the_learners_random_numbers_are_left_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    checks.check(careful, "teacher_logits")
    checks.check(step, "train_step")
    assert torch.equal(torch.rand(1), expected)


def test_what_is_not_a_graded_function_is_named_with_the_known_ones():
    with pytest.raises(
        ValueError, match="no check for 'print'; graded functions are softmax_with_temperature, entropy"
    ):
        checks.check(print)
    with pytest.raises(ValueError, match="the function itself"):
        checks.check(torch.zeros(1))


@pytest.mark.parametrize(("given", "said"), [((), "hint needs a name"), (("entropie",), "no hints for 'entropie'")])
def test_a_hint_without_a_name_or_with_a_misspelt_one_lists_the_names_in_a_sentence(given, said, capsys):
    checks.hint(*given)
    out = capsys.readouterr().out
    assert said in out.lower()
    assert all(f'"{name}"' in out for name in checks.names())


def in_ipython(code):
    """What a shell shows for a cell; its error still counts as one."""
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell()
    checks.say_unwritten_in(shell)
    return shell.run_cell(code)


def test_a_cell_that_calls_an_unwritten_function_says_so_in_a_line(capsys):
    result = in_ipython("def soft_loss(s, z, t):\n    raise NotImplementedError\nsoft_loss(1, 2, 3)")
    assert isinstance(result.error_in_exec, NotImplementedError)
    shown = capsys.readouterr()
    line = "○ soft_loss is not written yet: fill in its cell above, and run this one again."
    assert (shown.out + shown.err).strip() == line


@pytest.mark.parametrize(
    "code", ["def other():\n    raise NotImplementedError\nother()", "raise NotImplementedError(1)"]
)
def test_any_other_not_implemented_error_keeps_its_traceback(code, capsys):
    in_ipython(code)
    shown = capsys.readouterr()
    assert "Traceback" in shown.out + shown.err


def test_hints_come_one_at_a_time_and_say_how_many_there_are(capsys, monkeypatch):
    monkeypatch.setattr(checks, "_hints_given", {})
    shown = []
    for _ in range(5):
        checks.hint("entropy")
        shown.append(capsys.readouterr().out)
    assert [text.split(" for ")[0] for text in shown[:3]] == ["Hint 1 of 3", "Hint 2 of 3", "Hint 3 of 3"]
    assert len(set(shown[:3])) == 3
    assert "those were all 3 hints" in shown[3]
    assert shown[4] == shown[3]


def test_a_students_module_is_trained_by_the_reference_step_of_this_file():
    student = nn.Linear(6, 4)
    before = student.weight.detach().clone()
    loss = step(
        student,
        torch.optim.SGD(student.parameters(), 0.1),
        torch.randn(3, 6),
        torch.arange(3),
        torch.randn(3, 4),
        2.0,
        0.5,
    )
    assert type(loss) is float
    assert not torch.equal(student.weight, before)
