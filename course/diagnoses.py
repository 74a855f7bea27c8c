"""What each graded function must do, and how each likely mistake shows.

A diagnosis runs the answer on small public cases, then on fresh random tensors. Expected values come from formulas of
its own in float64, so that a fault in the toolkit cannot hide a fault in an answer.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course.answers import Answer, close, finite, shown

# ---- Reference formulas, in float64 --------------------------------------------------------------------------


def _softmax(logits: Tensor, temperature: float = 1.0, axis: int = -1) -> Tensor:
    return (logits.detach().double() / temperature).log_softmax(axis).exp()


def _kl(first: Tensor, second: Tensor) -> Tensor:
    """KL(first ‖ second) per row, of logits that already have their temperature."""
    first, second = first.double().log_softmax(-1), second.double().log_softmax(-1)
    return (first.exp() * (first - second)).sum(-1)


def _soft(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    return temperature**2 * _kl(teacher / temperature, student / temperature).mean()


def _mixed(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, lam: float) -> Tensor:
    return (1 - lam) * F.cross_entropy(student.double(), labels) + lam * _soft(student, teacher, temperature)


def _fresh(*shape: int, dtype: torch.dtype = torch.float32, scale: float = 2.0) -> Tensor:
    """Random numbers that nobody can foresee, without touching the learner's random numbers."""
    generator = torch.Generator()
    generator.seed()
    return (scale * torch.randn(*shape, generator=generator)).to(dtype)


def _labels(batch: int, classes: int) -> Tensor:
    return _fresh(batch, classes).argmax(1)


def _widths() -> list[tuple[torch.dtype, int, str]]:
    """Both float widths, a usual batch and one of a single example; with words for a message."""
    return [
        (torch.float32, 6, "on random logits"),
        (torch.float64, 6, "on float64 tensors"),
        (torch.float32, 1, "on a batch of one"),
    ]


def _match(
    answer: Answer, actual: Any, expected: Any, case: str, mistakes: dict[str, Any], tolerance: float = 1e-4
) -> None:
    """Refuse a wrong value, with the behaviour of the mistake that gives exactly it."""
    if close(actual, expected, tolerance):
        return
    for behaviour, value in mistakes.items():
        if close(actual, value, tolerance):
            raise answer.wrong(behaviour, case, expected, actual)
    raise answer.wrong("the value is wrong", case, expected, actual)


PUBLIC_STUDENT = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 3.0]])
PUBLIC_TEACHER = torch.tensor([[5.0, 3.0, -2.0], [-1.0, 2.0, 4.0]])
PUBLIC_LABELS = torch.tensor([0, 1])

# ---- 02 soft targets -----------------------------------------------------------------------------------------


def softmax_with_temperature(answer: Answer) -> None:
    """Diagnose softmax(logits / T) over the last axis."""
    logits, temperature = PUBLIC_TEACHER, 4.0
    case, expected = f"logits {shown(logits)}, temperature 4", _softmax(logits, temperature)
    actual = answer.tensor(logits.clone(), temperature, shape=(2, 3)).detach()
    plain = _softmax(logits)
    mistakes = {
        "the temperature has no effect: the result is the plain softmax": plain,
        "a higher temperature makes your probabilities sharper instead of flatter": _softmax(logits, 1 / temperature),
        "your probabilities sum to 1 along the batch, not along the class axis": _softmax(logits, temperature, 0),
        "your result is negative everywhere: these are logarithms of probabilities": expected.log(),
        "you temper the probabilities instead of the logits: softmax comes too early": (plain / temperature).softmax(
            -1
        ),
        "your probabilities do not sum to 1 along the class axis: T divides the probabilities, not the logits": plain
        / temperature,
    }
    if not any(close(actual, value) for value in (expected, *mistakes.values())) and not close(
        actual.sum(-1), torch.ones(2)
    ):
        raise answer.wrong("your probabilities do not sum to 1 along the class axis", case, expected, actual)
    _match(answer, actual, expected, case, mistakes)
    large = torch.tensor([[1e4, 1e4 - 2, -1e4], [-1e4, -1e4, -1e4]])
    actual = answer.tensor(large, 1.0, shape=(2, 3), situation="for logits of ±10000").detach()
    case = "logits of ±10000, temperature 1"
    if not finite(actual):
        raise answer.wrong("large logits overflow: your result holds nan or inf", case, _softmax(large), actual)
    if not close(actual, _softmax(large)):
        raise answer.wrong("large logits give finite but wrong probabilities", case, _softmax(large), actual)
    for shape in ((5, 3, 4), (4,), (1, 7)):
        logits = _fresh(*shape)
        actual = answer.tensor(logits, 2.5, shape=shape, situation=f"on logits of shape {shape}")
        if not close(actual, _softmax(logits, 2.5)):
            raise answer.wrong(f"for logits of shape {shape} the softmax does not run over the last axis")
    logits = _fresh(4, 5, dtype=torch.float64)
    if not close(answer.tensor(logits, 0.7, shape=(4, 5), situation="on float64 tensors"), _softmax(logits, 0.7)):
        raise answer.wrong("float64 logits, or a temperature below 1, give a wrong value")


def entropy(answer: Answer) -> None:
    """Diagnose −Σ p·log p over the last axis."""
    p = torch.tensor([[0.5, 0.25, 0.25], [0.8, 0.1, 0.1]])
    case, expected = f"probabilities {shown(p)}", -(p.double() * p.double().log()).sum(-1)
    result = answer(p.clone())
    if isinstance(result, Tensor) and result.shape == ():
        raise answer.wrong(
            "your function gives one number for all rows; one value per row is needed", case, expected, result
        )
    if isinstance(result, Tensor) and result.shape == (3,):
        raise answer.wrong("your function sums over the batch, not over the class axis", case, expected, result)
    actual = answer.tensor(p.clone(), shape=(2,)).detach()
    mistakes = {
        "the sign is wrong: entropy is never negative": -expected,
        "your result is in bits; nats are needed": expected / torch.log(torch.tensor(2.0)),
        "your result uses the logarithm to base 10; nats are needed": expected / torch.log(torch.tensor(10.0)),
        "your function averages over the classes where it should sum": expected / 3,
        "the logarithm is not weighted by the probability": -p.double().log().sum(-1),
        "your function treats probabilities as logits: softmax was applied already": -(
            _softmax(p) * _softmax(p).log()
        ).sum(-1),
    }
    _match(answer, actual, expected, case, mistakes)
    sure = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    actual = answer.tensor(sure, shape=(2,), situation="where a probability is 0").detach()
    case, expected = f"probabilities {shown(sure)}", torch.tensor([0.0, 0.6931])
    if not finite(actual):
        raise answer.wrong("a probability of 0 gives nan or inf; 0·log 0 counts as 0", case, expected, actual)
    if not close(actual, expected, 1e-3):
        raise answer.wrong("where a probability is 0 the value is off; 0·log 0 counts as 0", case, expected, actual)
    for shape, dtype in (
        ((4, 6), torch.float64),
        ((1, 5), torch.float32),
        ((7,), torch.float32),
        ((2, 3, 4), torch.float32),
    ):
        p = _softmax(_fresh(*shape)).to(dtype)
        situation = f"on probabilities of shape {shape}, {str(dtype).removeprefix('torch.')}"
        actual = answer.tensor(p, shape=shape[:-1], situation=situation)
        if not close(actual, -(p.double() * p.double().log()).sum(-1)):
            raise answer.wrong(f"the value is wrong {situation}: is the sum over the last axis?")


# ---- 03 the distillation loss --------------------------------------------------------------------------------


def soft_loss(answer: Answer) -> None:
    """Diagnose T²·KL(teacher ‖ student), summed over classes, mean over the batch."""
    student, teacher, t = PUBLIC_STUDENT, PUBLIC_TEACHER, 4.0
    case, expected = f"student {shown(student)}, teacher {shown(teacher)}, temperature 4", _soft(student, teacher, t)
    if isinstance(result := answer(student.clone(), teacher.clone(), t), Tensor) and result.ndim:
        raise answer.wrong(
            f"your loss has the shape {tuple(result.shape)}: sum over classes, then average over the batch"
        )
    actual = answer.tensor(student.clone(), teacher.clone(), t, shape=())
    p, q = _softmax(teacher, t), _softmax(student, t)
    mistakes = {
        "the value is too small by T², and so the gradient shrinks as T grows: is T² missing?": expected / t**2,
        "the factor grows with T, but not fast enough": expected / t,
        "this is KL(student ‖ teacher): the two are swapped": t**2 * _kl(student / t, teacher / t).mean(),
        "your loss is also divided by the number of classes: the mean is over the batch only": expected / 3,
        "your loss is summed over the batch; the mean is needed": expected * 2,
        "the student's logits are not divided by T": t**2 * _kl(teacher / t, student).mean(),
        "the teacher's logits are not divided by T": t**2 * _kl(teacher, student / t).mean(),
        "the temperature acts on neither of the two softmaxes": t**2 * _kl(teacher, student).mean(),
        "your softmax runs along the batch, not along the class axis": t**2
        * _kl((teacher / t).T, (student / t).T).sum() / 2,
        "the sign is wrong: this divergence is never negative": -expected,
        "where a logarithm of probabilities belongs, you have probabilities": t**2 * (p * (p.log() - q)).sum(-1).mean(),
        "this is the cross entropy with soft targets: it is not zero when the student equals the teacher": t**2
        * -(p * q.log()).sum(-1).mean(),
    }  # fmt: skip
    with_mean = {
        f"{name.rstrip('?')}? And it is also divided by the number of classes": v / 3
        for name, v in list(mistakes.items())[:3]
    }
    _match(answer, actual, expected, case, mistakes | with_mean)
    extreme = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]])
    actual = answer.tensor(extreme, extreme.flip(1), 2.0, shape=(), situation="for logits of ±10000")
    expected = _soft(extreme, extreme.flip(1), 2.0)
    if not finite(actual) or not close(actual / expected, 1.0, 1e-3):
        raise answer.wrong("large logits overflow: the loss is not right", "logits of ±10000, T = 2", expected, actual)
    for dtype, batch, situation in _widths():
        student, teacher = (_fresh(batch, 5, dtype=dtype).requires_grad_() for _ in range(2))
        actual = answer.tensor(student, teacher, 3.0, shape=(), situation=situation)
        if not close(actual, _soft(student, teacher, 3.0)):
            raise answer.wrong(f"the value is wrong {situation}")
        _gradients(answer, actual, student, teacher, _soft(student, teacher.detach(), 3.0))


def _gradients(answer: Answer, actual: Tensor, student: Tensor, teacher: Tensor, reference: Tensor) -> None:
    """Insist on the right gradient into the student, and none into the teacher."""
    if not actual.requires_grad:
        raise answer.wrong("no gradient reaches the student: your loss is cut off from the graph")
    gradient, into_teacher = torch.autograd.grad(actual, (student, teacher), allow_unused=True)
    if into_teacher is not None and bool(into_teacher.abs().sum() > 0):
        raise answer.wrong("a gradient reaches the teacher's logits: the teacher would be trained too")
    if gradient is None:
        raise answer.wrong("no gradient reaches the student: your loss is cut off from the graph")
    (wanted,) = torch.autograd.grad(reference, student)
    if not close(gradient, wanted, 1e-3):
        raise answer.wrong("the value is right, but the gradient into the student is not")


def distillation_loss(answer: Answer) -> None:
    """Diagnose (1 − λ)·CE + λ·soft loss."""
    student, teacher, labels, t, lam = PUBLIC_STUDENT, PUBLIC_TEACHER, PUBLIC_LABELS, 4.0, 0.75
    case = f"student {shown(student)}, teacher {shown(teacher)}, labels {shown(labels)}, temperature 4, λ = 0.75"
    hard, soft = F.cross_entropy(student.double(), labels), _soft(student, teacher, t)
    expected = (1 - lam) * hard + lam * soft
    if isinstance(result := answer(student.clone(), teacher.clone(), labels.clone(), t, lam), Tensor) and result.ndim:
        raise answer.wrong(f"your loss has the shape {tuple(result.shape)}; a single number is needed")
    actual = answer.tensor(student.clone(), teacher.clone(), labels.clone(), t, lam, shape=())
    one_hot_soft = t**2 * F.cross_entropy(student.double() / t, labels)
    mistakes = {
        "λ is on the wrong part: at λ = 1 only the soft part should count": lam * hard + (1 - lam) * soft,
        "the soft part is too small by T²": (1 - lam) * hard + lam * soft / t**2,
        "the two shares do not sum to 1: the hard part has its full weight": hard + lam * soft,
        "the two shares do not sum to 1: the soft part has its full weight": (1 - lam) * hard + soft,
        "λ has no effect: both parts have their full weight": hard + soft,
        "λ has no effect: both parts count half": (hard + soft) / 2,
        "the hard part is missing": lam * soft,
        "the soft part is missing": (1 - lam) * hard,
        "the labels are used in the soft part: it should compare with the teacher": (1 - lam) * hard + lam * one_hot_soft,
        "the hard part divides by T: hard labels belong to the plain softmax": (1 - lam)
        * F.cross_entropy(student.double() / t, labels) + lam * soft,
        "the hard part scores the teacher, not the student": (1 - lam) * F.cross_entropy(teacher.double(), labels)
        + lam * soft,
        "the hard part is summed over the batch; the mean is needed": (1 - lam) * hard * 2 + lam * soft,
        "softmax comes before the cross entropy, which applies it again": (1 - lam)
        * F.cross_entropy(_softmax(student), labels) + lam * soft,
        "in the soft part teacher and student are swapped": (1 - lam) * hard + lam * _soft(teacher, student, t),
        "the soft part is also divided by the number of classes": (1 - lam) * hard + lam * soft / 3,
    }  # fmt: skip
    _match(answer, actual, expected, case, mistakes)
    for dtype, batch, situation in _widths():
        student, teacher = (_fresh(batch, 5, dtype=dtype).requires_grad_() for _ in range(2))
        labels = _labels(batch, 5)
        for lam in (0.0, 0.3, 1.0):
            actual = answer.tensor(student, teacher, labels, 3.0, lam, shape=(), situation=situation)
            if not close(actual, _mixed(student, teacher, labels, 3.0, lam)):
                raise answer.wrong(f"the value is wrong {situation}, at λ = {lam:g}")
            _gradients(answer, actual, student, teacher, _mixed(student, teacher.detach(), labels, 3.0, lam))
    extreme = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]])
    actual = answer.tensor(
        extreme, extreme.flip(1), PUBLIC_LABELS, 2.0, 0.5, shape=(), situation="for logits of ±10000"
    )
    if not close(actual / _mixed(extreme, extreme.flip(1), PUBLIC_LABELS, 2.0, 0.5), 1.0, 1e-3):
        raise answer.wrong("large logits overflow: the loss is not right for logits of ±10000")


def total_loss(answer: Answer) -> None:
    """Diagnose L_ce + λ_f·L_f."""
    ce, penalty, weight = torch.tensor(0.5), torch.tensor(25.0), 0.01
    case, expected = "cross_entropy 0.5, penalty 25, penalty_weight 0.01", 0.75
    actual = answer.tensor(ce, penalty, weight, shape=())
    mistakes = {
        "the weight has no effect on the penalty": 25.5,
        "the weight is on the cross entropy; it belongs to the penalty": 0.01 * 0.5 + 25,
        "the weight is on both parts; only the penalty has one": 0.01 * 25.5,
        "this weighs the two parts against each other, as λ does; λ_f only weighs the penalty": 0.99 * 0.5 + 0.01 * 25,
        "the penalty is subtracted: large weights would be rewarded": 0.25,
        "the penalty is missing": 0.5,
        "the cross entropy is missing": 0.25,
        "the penalty is squared once more": 0.5 + 0.01 * 625,
    }
    _match(answer, actual, expected, case, mistakes)
    ce, penalty = (_fresh(1).abs()[0].double().requires_grad_() for _ in range(2))
    actual = answer.tensor(ce, penalty, 0.3, shape=(), situation="on float64 tensors")
    if not close(actual, ce + 0.3 * penalty):
        raise answer.wrong("the value is wrong on random numbers")
    gradients = torch.autograd.grad(actual, (ce, penalty), allow_unused=True) if actual.requires_grad else (None, None)
    if None in gradients or not close(torch.stack([g for g in gradients if g is not None]), [1, 0.3]):
        raise answer.wrong("the gradient does not reach both parts as it should")
    result = answer(0.5, 25.0, 0.0, situation="on plain numbers")
    if type(result) not in (float, Tensor) or not close(result, 0.5):
        raise answer.wrong("plain numbers, or a weight of 0, give a wrong value")


# ---- 04 training a student -----------------------------------------------------------------------------------


class _Watched(nn.Module):
    """A small network with dropout and batch norm that remembers in which mode it was run."""

    def __init__(self, dropout: float = 0.5, norm: bool = True):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(6, 16),
            nn.BatchNorm1d(16) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(16, 4),
        )
        self.modes: list[bool] = []
        self.parts_in_training: list[bool] = []
        for parameter in self.parameters():  # nobody's random numbers are used up but those nobody can foresee
            parameter.data = _fresh(*parameter.shape, scale=0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 6) to logits (batch, 4)."""
        self.modes.append(self.training)
        self.parts_in_training.append(any(module.training for module in self.layers.modules()))
        return self.layers(x)


def _watched(**options: Any) -> _Watched:
    with torch.random.fork_rng(devices=[]):
        return _Watched(**options)


def _copies(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def _same(first: dict[str, Tensor], second: dict[str, Tensor], tolerance: float = 0.0) -> bool:
    return all(torch.allclose(value, second[name], rtol=tolerance, atol=tolerance) for name, value in first.items())


def teacher_logits(answer: Answer) -> None:
    """Diagnose the teacher's logits: eval mode, no graph."""
    for dtype, batch, situation in _widths():
        teacher = _watched().to(dtype)
        teacher.eval()
        with torch.no_grad():
            teacher(x := _fresh(64, 6, dtype=dtype))
            expected = teacher(x := x[:batch])
        teacher.train()
        teacher.modes.clear()
        teacher.parts_in_training.clear()
        before = _copies(teacher)
        with torch.random.fork_rng(devices=[]):
            result = answer(
                teacher,
                x.clone(),
                situation=situation if batch > 1 else "on a batch of one: is the teacher in eval mode?",
            )
        if not teacher.modes:
            raise answer.wrong("the teacher was never run")
        if teacher.modes[0] or any(teacher.parts_in_training):
            raise answer.wrong(
                "the teacher, or a part of it, runs in train mode: dropout and batch norm then change its logits"
            )
        if not _same(_copies(teacher), before):
            raise answer.wrong("your function changes the teacher's weights or statistics")
        if result is None:
            raise answer.wrong("your function returns None: is a return missing?")
        if type(result) is not Tensor:
            raise answer.wrong(f"your function returns a {type(result).__name__}, not a torch.Tensor")
        if result.requires_grad:
            raise answer.wrong("your result is still part of a graph: gradients could flow into the teacher")
        if not result.is_floating_point() or result.shape == expected.shape[:1]:
            raise answer.wrong("your function returns classes or one number per example, not logits")
        mistakes = {
            "these are probabilities; logits are needed": expected.double().softmax(-1),
            "these are logarithms of probabilities; logits are needed": expected.double().log_softmax(-1),
        }
        if result.shape != expected.shape:
            raise answer.wrong(
                f"your result has the shape {tuple(result.shape)}, where {tuple(expected.shape)} is needed"
            )
        _match(answer, result, expected, f"{batch} random examples", mistakes)


class _CountingSGD(torch.optim.SGD):
    steps = 0

    def step(self, *arguments: Any, **options: Any) -> Any:
        """Count, then step."""
        self.steps += 1
        return super().step(*arguments, **options)


def train_step(answer: Answer) -> None:
    """Diagnose one update of the student."""
    for dtype, batch, situation in _widths():
        student = _watched(dropout=0.0, norm=False).to(dtype)
        reference = _watched(dropout=0.0, norm=False).to(dtype)
        reference.load_state_dict(student.state_dict())
        optimizer = _CountingSGD(student.parameters(), 0.05)
        x, soft, labels = _fresh(batch, 6, dtype=dtype), _fresh(batch, 4, dtype=dtype), _labels(batch, 4)
        loss_before = _mixed(reference(x), soft, labels, 4.0, 0.5)
        loss_before.backward()
        for parameter in student.parameters():
            parameter.grad = torch.ones_like(parameter)  # what an earlier step left behind
        student.eval()  # as after a validation
        arguments = (student, optimizer, x, labels, soft, 4.0, 0.5)
        before = _copies(student)
        result = answer(*arguments, situation=situation)
        _diagnose_update(answer, student, optimizer, before, reference)
        if type(result) is not float:
            got = (
                "nothing: is a return missing?" if result is None else f"a {type(result).__name__}, not a Python float"
            )
            raise answer.wrong(f"your function returns {got}")
        with torch.no_grad():
            logits = reference(x).double()
            loss_after = _mixed(student(x), soft, labels, 4.0, 0.5)
        hard, tempered = F.cross_entropy(logits, labels), _soft(logits, soft, 4.0)
        mistakes = {
            "the loss returned was computed after the update; the one that was minimised is needed": loss_after,
            "the loss ignores the soft targets": hard,
            "the loss ignores the labels": tempered,
        }
        _match(answer, result, loss_before, f"a step {situation}", mistakes)


def _diagnose_update(
    answer: Answer, student: _Watched, optimizer: _CountingSGD, before: dict[str, Tensor], reference: _Watched
) -> None:
    """Compare the student's new weights with one correct step of the same optimizer."""
    if not student.modes:
        raise answer.wrong("the student was never run")
    if not student.modes[0]:
        raise answer.wrong("the student was left in eval mode: a step begins with train mode")
    after, rate = _copies(student), optimizer.param_groups[0]["lr"]
    gradients = {name: parameter.grad for name, parameter in reference.named_parameters()}

    def moved(factor: float, left_behind: float = 0.0) -> bool:
        target = {name: before[name] - rate * (factor * gradients[name] + left_behind) for name in before}  # type: ignore[operator]
        return _same(after, target, 1e-4)

    if moved(1.0):
        if optimizer.steps == 1:
            return
        raise answer.wrong("the weights are updated without the optimizer that was given")
    if _same(after, before):
        reason = "its step sees no gradients" if optimizer.steps else "its step is missing"
        raise answer.wrong(f"the student's weights do not change: the optimizer is there, but {reason}")
    if moved(0.0, 1.0):
        raise answer.wrong("the update follows old gradients only: is the loss ever sent backward?")
    if moved(1.0, 1.0):
        raise answer.wrong("gradients of an earlier step are still added: they are never set to zero")
    if moved(-1.0):
        raise answer.wrong("the update climbs: the loss becomes larger")
    if optimizer.steps > 1:
        raise answer.wrong(f"one call makes {optimizer.steps} updates; it should make one")
    raise answer.wrong(
        "the update is not the one that the distillation loss asks for: are T, λ, labels and soft targets all used?"
    )
