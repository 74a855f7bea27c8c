"""Answers to lesson 03: soft loss, distillation loss, total loss."""

import torch
import torch.nn.functional as F

from answers import right, shortcut, wrong
from toolkit import losses

softmax = F.softmax

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


def detached_in_place(s, z, t):
    return t**2 * kl(z.detach_() if z.requires_grad else z, s, t).mean()


wrong(name, "changes requires_grad of its input")(detached_in_place)
wrong(name, "at T = 2.5")(lambda s, z, t: int(t) ** 2 * kl(z, s, int(t)).mean())
wrong(name, "finite but wrong loss")(
    lambda s, z, t: t**2 * (softmax(z.detach() / t, 1) * ((softmax(z.detach() / t, 1) + 1e-12).log() - (softmax(s / t, 1) + 1e-12).log())).sum(1).mean()
)  # fmt: skip
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
wrong(name, "is 0, though student and teacher differ")(lambda s, z, t: 0 * kl(z, s, t).mean())
wrong(name, "T² is there twice")(lambda s, z, t: t**4 * kl(z, s, t).mean())
wrong(name, "multiplied by T; dividing")(lambda s, z, t: t**2 * kl(z, s, 1 / t).mean())
wrong(name, "the same at every temperature")(lambda s, z, t: 16 * kl(z, s, 4.0).mean())
wrong(name, "factor T² does not follow")(lambda s, z, t: 16 * kl(z, s, t).mean())
wrong(name, "softmax does not follow")(lambda s, z, t: t**2 * kl(z, s, 4.0).mean())
wrong(name, "at T = 20, though")(lambda s, z, t: min(t, 10) ** 2 * kl(z, s, min(t, 10)).mean())
wrong(name, "at T = 100, though")(lambda s, z, t: min(t, 50) ** 2 * kl(z, s, min(t, 50)).mean())
wrong(name, "shape (1,), where a single number (shape ()) is needed")(lambda s, z, t: t**2 * kl(z, s, t).mean()[None])
wrong(name, "along the batch, and your loss is summed")(
    lambda s, z, t: t**2 * F.kl_div((s / t).log_softmax(0), softmax(z.detach() / t, 0), reduction="sum")
)
wrong(name, "along the batch, and the mean is over the classes")(lambda s, z, t: t**2 * kl(z.T, s.T, t).mean())
wrong(name, "the other way round")(
    lambda s, z, t: t**2
    * F.kl_div((s / t).log_softmax(1), softmax(z.detach() / t, 1), reduction="none").sum(0).mean()
)  # fmt: skip
wrong(name, "the two are swapped? And it is also divided")(lambda s, z, t: t**2 * kl(s, z, t).mean() / s.shape[1])
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
wrong(name, "large logits overflow")(
    lambda s, z, y, t, lam: (1 - lam) * F.nll_loss(softmax(s, -1).log(), y) + lam * soft(s, z, t)
)
wrong(name, "finite but wrong loss")(
    lambda s, z, y, t, lam: (1 - lam) * F.nll_loss((softmax(s, -1) + 1e-8).log(), y) + lam * soft(s, z, t)
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

wrong(name, "the same at every temperature:")(lambda s, z, y, t, lam: (1 - lam) * ce(s, y) + lam * soft(s, z, 4.0))
wrong(name, "the same at every λ")(lambda s, z, y, t, lam: 0.25 * ce(s, y) + 0.75 * soft(s, z, t))
wrong(name, "at every temperature and λ")(lambda s, z, y, t, lam: 0.25 * ce(s, y) + 0.75 * soft(s, z, 4.0))

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

# ---- calls of the toolkit ------------------------------------------------------------------------------------

shortcut("soft_loss")(losses.soft_divergence)
shortcut("soft_loss")(lambda s, z, t: losses.distillation_loss(s, z, torch.zeros(len(s)).long(), temperature=t, lam=1))
shortcut("distillation_loss")(losses.mixed_loss)
shortcut("distillation_loss")(lambda s, z, y, t, lam: losses.distillation_loss(s, z, y, temperature=t, lam=lam))
shortcut("total_loss")(losses.total_loss)
