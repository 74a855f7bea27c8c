"""Answers to lesson 07: which examples stay when a class is left out, and what puts its logit right."""

import numpy as np
import torch
import torch.nn.functional as F

from answers import right, shortcut, wrong
from toolkit import metrics

# ---- without_class -------------------------------------------------------------------------------------------

name = "without_class"


def kept(labels, left_out):
    return (labels != left_out).nonzero().squeeze(1)


right(name)(kept)
right(name)(lambda y, c: torch.where(y != c)[0])
right(name)(lambda y, c: torch.arange(len(y))[y != c])
right(name)(lambda y, c: torch.from_numpy(np.flatnonzero(y.numpy() != c)))
right(name)(lambda y, c: torch.tensor([i for i, label in enumerate(y.tolist()) if label != c]))
right(name)(lambda y, c: (~torch.isin(y, torch.tensor([c]))).nonzero(as_tuple=True)[0])


@right(name)
class Kept:
    """One by one, in a class."""

    def __new__(cls, labels, left_out):
        indices = torch.empty(0, dtype=torch.long)
        for i in range(labels.shape[0]):
            if labels[i].item() != left_out:
                indices = torch.cat([indices, torch.tensor([i])])
        return indices


def changes_labels(y, c):
    y[y == c] = -1
    return (y != -1).nonzero().flatten()


wrong(name, "mask")(lambda y, c: y != c)
wrong(name, "0 or 1 for each example")(lambda y, c: (y != c).long())
wrong(name, "the labels of the examples that stay")(lambda y, c: y[y != c])
wrong(name, "they are the ones to go")(lambda y, c: (y == c).nonzero().squeeze(1))
wrong(name, "unlabelled examples (−100) are dropped")(lambda y, c: ((y != c) & (y >= 0)).nonzero().squeeze(1))
wrong(name, "only unlabelled examples")(lambda y, c: (y < 0).nonzero().squeeze(1))
wrong(name, "every example is kept")(lambda y, c: torch.arange(len(y)))
wrong(name, "count from 1")(lambda y, c: kept(y, c) + 1)
wrong(name, "whatever left_out says")(lambda y, c: kept(y, 3))
wrong(name, "*index* left_out")(lambda y, c: torch.tensor([i for i in range(len(y)) if i != c]))
wrong(name, "only classes below")(lambda y, c: (y < c).nonzero().squeeze(1))
wrong(name, "only classes above")(lambda y, c: (y > c).nonzero().squeeze(1))
wrong(name, "wrong order")(lambda y, c: kept(y, c).flip(0))
wrong(name, "wrong order")(lambda y, c: kept(y, c)[y[kept(y, c)].argsort()])
wrong(name, "wrong order")(lambda y, c: kept(y, c)[torch.randperm(len(kept(y, c)))])
wrong(name, "more than once")(lambda y, c: torch.cat([kept(y, c), kept(y, c)[:1]]))
wrong(name, "torch.float32")(lambda y, c: kept(y, c).float())
wrong(name, "torch.int32")(lambda y, c: kept(y, c).int())
wrong(name, "one axis is needed")(lambda y, c: (y != c).nonzero())
wrong(name, "the shape ()")(lambda y, c: (y != c).nonzero().squeeze())
wrong(name, "returns a tuple")(lambda y, c: torch.where(y != c))
wrong(name, "returns a list")(lambda y, c: kept(y, c).tolist())
wrong(name, "is a return missing?")(lambda y, c: None)
wrong(name, "changes its input in place")(changes_labels)
wrong(name, "the indices are wrong")(lambda y, c: kept(y, c)[:-1])
wrong(name, "the indices are wrong where no example")(lambda y, c: kept(y, c) if (y == c).any() else y[:0])

# ---- corrected_bias ------------------------------------------------------------------------------------------

name = "corrected_bias"
GRID = torch.arange(-200, 201) / 10


def count(z, y, c, bias):
    return ((z + bias * F.one_hot(torch.tensor(c), z.shape[1])).argmax(1) == y).sum().item()


def best(z, y, c, grid=GRID, score=count):
    scores = [score(z, y, c, float(bias)) for bias in grid]
    return float(grid[int(np.argmax(scores))])


right(name)(best)
right(name)(lambda z, y, c: best(z.double(), y, c, np.linspace(-20, 20, 2001)[::-1]))


@right(name)
def middle_of_the_range(z, y, c):
    scores = np.array([count(z, y, c, bias) for bias in GRID.tolist()])
    return GRID[torch.from_numpy(np.flatnonzero(scores == scores.max()))].mean()


@right(name)
def between_the_borders(z, y, c):
    others = z.clone()
    others[:, c] = -float("inf")
    borders = (others.max(1).values - z[:, c]).sort().values.double()
    between = [borders[0] - 1, *((borders[1:] + borders[:-1]) / 2), borders[-1] + 1]
    return max(between, key=lambda bias: count(z.double(), y, c, bias))


@right(name)
def all_at_once(z, y, c):
    biases = torch.linspace(-25, 25, 1001, dtype=z.dtype)
    moved = z.expand(len(biases), *z.shape).clone()
    moved[:, :, c] += biases[:, None]
    return biases[(moved.argmax(-1) == y).double().mean(-1).argmax()].reshape(1)


@right(name)
class InNumpy:
    """NumPy, a class, and steps that are refined."""

    def __new__(cls, z, y, c):
        logits, labels, found, most = z.numpy(), y.numpy(), 0.0, -1
        for bias in np.arange(-20, 20.05, 0.05):
            copy = logits.copy()
            copy[:, c] = copy[:, c] + bias
            hits = np.count_nonzero(copy.argmax(1) == labels)
            if hits > most:
                found, most = np.float64(bias), hits
        return found


def own_only(z, y, c, bias):
    return count(z[y == c], y[y == c], c, bias)


def by_class(z, y, c, bias):
    right = (z + bias * F.one_hot(torch.tensor(c), z.shape[1])).argmax(1) == y
    return np.mean([right[y == k].double().mean().item() for k in y.unique()])


def as_often(z, y, c, bias):
    chosen = (z + bias * F.one_hot(torch.tensor(c), z.shape[1])).argmax(1) == c
    return -abs((chosen.sum() - (y == c).sum()).item())


def likelihood(z, y, c, bias):
    return -F.cross_entropy(z + bias * F.one_hot(torch.tensor(c), z.shape[1]), y).item()


def mean_lack(z, y, c):
    others = z.clone()
    others[:, c] = -torch.inf
    return (others.max(1).values - z[:, c]).mean().item()


def in_place(z, y, c):
    z[:, c] += best(z, y, c)
    return 0.0


wrong(name, "the sign is the wrong way round")(lambda z, y, c: -best(z, y, c))
wrong(name, "this is the accuracy")(lambda z, y, c: count(z, y, c, best(z, y, c)) / len(y))
wrong(name, "this is the number of right examples")(lambda z, y, c: count(z, y, c, best(z, y, c)))
wrong(name, "a place in a list")(lambda z, y, c: int(np.argmax([count(z, y, c, bias) for bias in GRID.tolist()])))
wrong(name, "class 0, whatever")(lambda z, y, c: best(z, y, 0))
wrong(name, "class 3, whatever")(lambda z, y, c: best(z, y, min(3, z.shape[1] - 1)))
wrong(name, "the last class")(lambda z, y, c: best(z, y, z.shape[1] - 1))
wrong(name, "the class after")(lambda z, y, c: best(z, y, (c + 1) % z.shape[1]))
wrong(name, "no negative number")(lambda z, y, c: best(z, y, c, torch.arange(0, 201) / 10))
wrong(name, "no positive number")(lambda z, y, c: best(z, y, c, -torch.arange(0, 201) / 10))
wrong(name, "the lowest accuracy")(lambda z, y, c: best(z, y, c, score=lambda *case: -count(*case)))
wrong(name, "only the examples of that class count")(lambda z, y, c: best(z, y, c, score=own_only))
wrong(name, "returns 20 whatever it is given")(lambda z, y, c: 20.0)
wrong(name, "returns -20 whatever it is given: do all your candidates score the same?")(
    lambda z, y, c: best(z, y, c, score=lambda z, y, c, b: count(z + b, y, c, 0))
)
wrong(name, "the mean of the class accuracies")(lambda z, y, c: best(z, y, c, score=by_class))
wrong(name, "as often as it occurs")(lambda z, y, c: best(z, y, c, score=as_often))
wrong(name, "not right yet")(
    lambda z, y, c: best(z, y, c, score=likelihood)
)  # which words come hangs on the numbers drawn
wrong(name, "what is lacking")(mean_lack)
wrong(name, "returns 0 whatever")(lambda z, y, c: 0.0)
wrong(name, "returns 3.5 whatever")(lambda z, y, c: 3.5)
wrong(name, "another number gives a higher accuracy")(lambda z, y, c: best(z, y, c, range(-20, 21)))
wrong(name, "another number gives a higher accuracy")(lambda z, y, c: best(z, y, c, torch.arange(-50, 51) / 10))
wrong(name, "changes its input in place")(in_place)
wrong(name, "numbers of shape")(lambda z, y, c: best(z, y, c) * F.one_hot(torch.tensor(c), z.shape[1]))
wrong(name, "not a number")(lambda z, y, c: str(best(z, y, c)))
wrong(name, "not a number")(lambda z, y, c: (best(z, y, c), 1.0))
wrong(name, "not a finite number")(lambda z, y, c: float("inf"))
wrong(name, "is a return missing?")(lambda z, y, c: None)

shortcut(name)(metrics.class_bias)
shortcut(name)(lambda z, y, c: metrics.class_bias(z, y, of_class=c))
