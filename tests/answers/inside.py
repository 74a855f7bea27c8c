"""Answers to lesson 08: the hint loss, and the relational distance loss."""

import torch
import torch.nn.functional as F

from answers import right, shortcut, wrong
from toolkit import methods

# ---- hint_loss -----------------------------------------------------------------------------------------------

name = "hint_loss"
right(name)(lambda s, t, project: F.mse_loss(project(s), t.detach()))
right(name)(lambda s, t, project: (project(s) - t.detach()).pow(2).mean())
right(name)(lambda s, t, project: ((t.data - project(s)).flatten() ** 2).sum() / t.numel())


@right(name)
def without_graph(s, t, project):
    with torch.no_grad():
        wanted = t.clone()
    return torch.nn.MSELoss()(project(s), wanted)


@right(name)
def one_by_one(s, t, project):
    projected, total = project(s), 0
    for i in range(len(t)):
        total = total + (projected[i] - t[i].detach()).square().mean()
    return total / len(t)


@right(name)
class ByLength:
    """A root that is squared again: its slope at 0 does no harm where nothing is 0."""

    def __new__(cls, s, t, project):
        return torch.linalg.vector_norm(project(s) - t.detach()) ** 2 / t.numel()


def apart(s, t, project):
    return project(s) - t.detach()


def detached_in_place(s, t, project):
    return F.mse_loss(project(s), t.detach_() if t.is_leaf else t)


def broadcast(s, t, project):
    return (project(s).flatten(1)[:, None] - t.detach().flatten(1)[None]).square().mean()


def pooled(s, t, project):
    return F.mse_loss(project(s).flatten(2).mean(-1), t.detach().flatten(2).mean(-1)) if t.ndim > 2 else (
        F.mse_loss(project(s), t.detach())
    )  # fmt: skip


wrong(name, "the projection is missing")(lambda s, t, project: F.mse_loss(s, t.detach()))
wrong(name, "it belongs to the student")(lambda s, t, project: F.mse_loss(project(t.detach()), s))
wrong(name, "to the student's and to the teacher's")(lambda s, t, project: F.mse_loss(project(s), project(t).detach()))
wrong(name, "applied twice")(lambda s, t, project: F.mse_loss(project(project(s)), t.detach()))
wrong(name, "bias is left out")(lambda s, t, project: F.mse_loss(s @ project.weight.T, t.detach()))
wrong(name, "the squares are summed;")(lambda s, t, project: apart(s, t, project).square().sum())
wrong(name, "summed over the features")(lambda s, t, project: apart(s, t, project).square().sum(1).mean())
wrong(name, "summed over the batch")(lambda s, t, project: apart(s, t, project).square().mean(1).sum())
wrong(name, "this is half of it")(lambda s, t, project: apart(s, t, project).square().mean() / 2)
wrong(name, "half of a squared length")(lambda s, t, project: apart(s, t, project).square().sum(1).mean() / 2)
wrong(name, "these are absolute differences; squared")(lambda s, t, project: F.l1_loss(project(s), t.detach()))
wrong(name, "and their sum")(lambda s, t, project: apart(s, t, project).abs().sum())
wrong(name, "the square root of the mean")(lambda s, t, project: apart(s, t, project).square().mean().sqrt())
wrong(name, "this is a Euclidean length")(lambda s, t, project: apart(s, t, project).norm())
wrong(name, "a mean of Euclidean lengths")(lambda s, t, project: apart(s, t, project).norm(dim=1).mean())
wrong(name, "Huber")(lambda s, t, project: F.smooth_l1_loss(project(s), t.detach()))
wrong(name, "the mean is squared")(lambda s, t, project: apart(s, t, project).mean() ** 2)
wrong(name, "with their signs; squares")(lambda s, t, project: apart(s, t, project).mean())
wrong(name, "the other way round")(lambda s, t, project: -apart(s, t, project).mean())
wrong(name, "the sign is wrong")(lambda s, t, project: -F.mse_loss(project(s), t.detach()))
wrong(name, "softmax")(lambda s, t, project: F.mse_loss(project(s).softmax(1), t.detach().softmax(1)))
wrong(name, "unit vectors")(lambda s, t, project: F.mse_loss(F.normalize(project(s)), F.normalize(t.detach())))
wrong(name, "cosine")(lambda s, t, project: 1 - F.cosine_similarity(project(s), t.detach()).mean())
wrong(name, "before the squares")(lambda s, t, project: F.mse_loss(project(s).mean(0), t.detach().mean(0)))
wrong(name, "is 0, though")(lambda s, t, project: 0 * F.mse_loss(project(s), t.detach()))
wrong(name, "reaches the teacher's features")(lambda s, t, project: F.mse_loss(project(s), t))
wrong(name, "no gradient reaches the student's features")(
    lambda s, t, project: F.mse_loss(project(s.detach()), t.detach())
)
wrong(name, "no gradient reaches the student's features")(
    lambda s, t, project: F.mse_loss(project(s).detach(), t.detach())
)
wrong(name, "not a torch.Tensor")(lambda s, t, project: F.mse_loss(project(s), t).item())
wrong(name, "has the shape (2, 3)")(lambda s, t, project: apart(s, t, project).square())
wrong(name, "has the shape (2,), where a single number is needed")(
    lambda s, t, project: apart(s, t, project).square().mean(1)
)
wrong(name, "is a return missing?")(lambda s, t, project: None)
wrong(name, "changes requires_grad of its input")(detached_in_place)
wrong(name, "changes its input in place (argument 1)")(
    lambda s, t, project: F.mse_loss(project(s.data.mul_(2)), t.detach())
)
wrong(name, "the value is wrong")(broadcast)
wrong(name, "averaged over their positions first")(pooled)
wrong(name, "averaged over the batch alone; the mean is over all numbers (with a projection that changes nothing)")(
    lambda s, t, project: apart(s, t, project).square().sum() / (len(s) if len(s) == 5 else t.numel())
)
wrong(name, "the value is right on a batch of one, but the gradient into the student is not")(
    lambda s, t, project: apart(s, t, project).square().mean() if len(s) > 1 else (
        apart(s, t, project).square().mean().detach() + 0 * s.sum() + project(s).mean() - project(s).mean().detach()
    )
)  # fmt: skip
wrong(name, "raises RuntimeError on images, with a 1×1 convolution")(
    lambda s, t, project: F.mse_loss(project(s.flatten(1)), t.detach().flatten(1))
)

# ---- relational_distance_loss --------------------------------------------------------------------------------

name = "relational_distance_loss"


def distances(x):
    x = x.flatten(1)
    return torch.linalg.vector_norm(x[:, None] - x[None], dim=-1)


def relative(x, of=distances):
    d = of(x)
    return d / (d.sum() / (len(d) * (len(d) - 1)))


def loss(s, t, of=relative, compare=F.smooth_l1_loss):
    return compare(of(s), of(t.detach()))


right(name)(loss)
right(name)(lambda s, t: loss(s, t, lambda x: relative(x, lambda x: torch.cdist(x.flatten(1), x.flatten(1)))))


def by_products(x):
    """As the authors' own code: ‖a‖² + ‖b‖² − 2·a·b, kept a little above 0."""
    x = x.flatten(1)
    squares = x.pow(2).sum(1)
    d = (squares[:, None] + squares[None] - 2 * x @ x.T).clamp(min=1e-12).sqrt().clone()
    d[range(len(x)), range(len(x))] = 0
    return d


@right(name)
def of_the_authors(s, t):
    with torch.no_grad():
        of_teacher = by_products(t)
        of_teacher = of_teacher / of_teacher[of_teacher > 0].mean()
    of_student = by_products(s)
    return F.smooth_l1_loss(of_student / of_student[of_student > 0].mean(), of_teacher)


@right(name)
def off_the_diagonal(s, t):
    others, matrices = ~torch.eye(len(s), dtype=torch.bool), []
    for x in (s, t.detach()):
        x = x.reshape(len(x), -1)
        d = ((x.unsqueeze(0) - x.unsqueeze(1)).pow(2).sum(2) + 1e-12).sqrt()
        matrices.append(d / d[others].mean() * others)
    return torch.nn.SmoothL1Loss()(*matrices)


@right(name)
def positive_only(s, t):
    return loss(s, t, lambda x: distances(x) / distances(x)[distances(x) > 0].mean())


@right(name)
def pairs_once(s, t):
    pairs = [F.pdist(x.flatten(1)) for x in (s, t.detach())]
    one, other = (d / d.mean() for d in pairs)
    return 2 * F.huber_loss(one, other, reduction="sum") / len(s) ** 2


@right(name)
def in_loops(s, t):
    def matrix(x):
        x = x.flatten(1)
        rows = [torch.stack([(a - b).norm() for b in x]) for a in x]
        d = torch.stack(rows)
        return d / (d.sum() / (len(x) ** 2 - len(x)))

    apart = (matrix(s) - matrix(t).detach()).abs()
    return torch.where(apart < 1, apart**2 / 2, apart - 0.5).mean()


def by(mean, of=distances):
    return lambda x: of(x) / mean(of(x))


def naive(x):
    x = x.flatten(1)
    return ((x[:, None] - x[None]) ** 2).sum(-1).sqrt()


def squared(x):
    return distances(x).square()


def manhattan(x):
    return torch.cdist(x.flatten(1), x.flatten(1), p=1)


def over_pairs(d):
    return d.sum() / (len(d) * (len(d) - 1))


def mean_without_graph(s, t):
    return F.smooth_l1_loss(distances(s) / over_pairs(distances(s)).detach(), relative(t.detach()))


def safe_on_the_diagonal_only(s, t):
    def matrix(x):
        x = x.flatten(1)
        here = torch.eye(len(x), dtype=torch.bool)
        return ((x[:, None] - x[None]).square().sum(-1) + here).sqrt() * ~here

    return loss(s, t, lambda x: relative(x, matrix))


wrong(name, "NaN or infinite: what is the slope of a square root at 0?")(
    lambda s, t: loss(s, t, lambda x: relative(x, naive))
)
wrong(name, "coincide, but the gradient into the student is NaN")(safe_on_the_diagonal_only)
wrong(name, "are not divided by their mean")(lambda s, t: loss(s, t, distances))
wrong(name, "only the student's distances")(lambda s, t: F.smooth_l1_loss(relative(s), distances(t.detach())))
wrong(name, "only the teacher's distances")(lambda s, t: F.smooth_l1_loss(distances(s), relative(t.detach())))
wrong(name, "divided by the teacher's mean")(
    lambda s, t: F.smooth_l1_loss(distances(s) / over_pairs(distances(t.detach())), relative(t.detach()))
)
wrong(name, "divided by the student's mean")(
    lambda s, t: F.smooth_l1_loss(relative(s), distances(t.detach()) / over_pairs(distances(s)))
)
wrong(name, "counts the zeros of the diagonal")(lambda s, t: loss(s, t, by(torch.mean)))
wrong(name, "by the largest one")(lambda s, t: loss(s, t, by(torch.max)))
wrong(name, "by their sum")(lambda s, t: loss(s, t, by(torch.sum)))
wrong(name, "by their median")(lambda s, t: loss(s, t, by(lambda d: d[d > 0].median())))
wrong(name, "by their standard deviation")(lambda s, t: loss(s, t, by(torch.std)))
wrong(name, "each row is divided by a mean of its own;")(
    lambda s, t: loss(s, t, by(lambda d: d.sum(1, keepdim=True) / (len(d) - 1)))
)
wrong(name, "with the diagonal in it")(lambda s, t: loss(s, t, by(lambda d: d.mean(1, keepdim=True))))
wrong(name, "is a square root missing?")(lambda s, t: loss(s, t, lambda x: relative(x, squared)))
wrong(name, "sums of absolute differences")(lambda s, t: loss(s, t, lambda x: relative(x, manhattan)))
wrong(name, "products of examples")(lambda s, t: loss(s, t, lambda x: x.flatten(1) @ x.flatten(1).T))
wrong(name, "cosines")(lambda s, t: loss(s, t, lambda x: F.normalize(x.flatten(1)) @ F.normalize(x.flatten(1)).T))
wrong(name, "unit vectors")(lambda s, t: loss(s, t, lambda x: relative(F.normalize(x.flatten(1)))))
wrong(name, "compared by squares")(lambda s, t: loss(s, t, compare=F.mse_loss))
wrong(name, "compared by half squares")(lambda s, t: loss(s, t, compare=F.mse_loss) / 2)
wrong(name, "compared by absolute differences")(lambda s, t: loss(s, t, compare=F.l1_loss))
wrong(name, "the diagonal too")(
    lambda s, t: F.smooth_l1_loss(*(F.pdist(x) / F.pdist(x).mean() for x in (s, t.detach())))
)
wrong(name, "summed over the matrix")(lambda s, t: len(s) ** 2 * loss(s, t))
wrong(name, "summed over each pair once")(lambda s, t: len(s) ** 2 * loss(s, t) / 2)
wrong(name, "summed over rows or columns")(lambda s, t: len(s) * loss(s, t))
wrong(name, "it stands in the matrix twice")(lambda s, t: loss(s, t) / 2)
wrong(name, "the sign is wrong")(lambda s, t: -loss(s, t))
wrong(name, "beta is not 1")(lambda s, t: F.smooth_l1_loss(relative(s), relative(t.detach()), beta=0.5))
wrong(name, "is anything taken between pairs?")(lambda s, t: F.smooth_l1_loss(s, t.detach().expand_as(s)))
wrong(name, "is 0, though")(lambda s, t: 0 * loss(s, t))
wrong(name, "reaches the teacher's features")(lambda s, t: F.smooth_l1_loss(relative(s), relative(t)))
wrong(name, "no gradient reaches the student's features")(lambda s, t: loss(s.detach(), t))
wrong(name, "both depend on the student")(mean_without_graph)
wrong(name, "not a torch.Tensor")(lambda s, t: loss(s, t).item())
wrong(name, "has the shape (3, 3)")(lambda s, t: F.smooth_l1_loss(relative(s), relative(t.detach()), reduction="none"))
wrong(name, "is a return missing?")(lambda s, t: None)
wrong(name, "without an average over positions")(
    lambda s, t: loss(s.flatten(2).mean(2), t.flatten(2).mean(2)) if s.ndim > 2 else loss(s, t)
)
wrong(name, "made one long vector?")(lambda s, t: loss(s[..., 0, 0], t[..., 0, 0]) if s.ndim > 2 else loss(s, t))
wrong(name, "the value is wrong on random features")(lambda s, t: loss(s, t) if len(s) < 8 else loss(s[:4], t[:4]))


def by_itself(x):
    here = torch.eye(len(x))
    return (distances(x) + here) ** 2 / (distances(x) + here) - here  # 0 / 0 where two coincide


def diagonal_in_place(x):
    return distances(x).fill_diagonal_(0)


wrong(name, "your loss is nan where two")(lambda s, t: loss(s, t, lambda x: relative(x, by_itself)))
wrong(name, "no gradient can be computed: one of the variables needed")(
    lambda s, t: loss(s, t, lambda x: relative(x, diagonal_in_place))
)

# ---- calls of the toolkit ------------------------------------------------------------------------------------

shortcut("hint_loss")(methods.hint_loss)
shortcut("hint_loss")(lambda s, t, project: methods.hint_loss(s, t, project))
shortcut("relational_distance_loss")(methods.relational_distance_loss)
shortcut("relational_distance_loss")(lambda s, t: methods.relational_distance_loss(s, t))
