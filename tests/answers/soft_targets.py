"""Answers to lesson 02: softmax with temperature, and entropy."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from answers import right, shortcut, wrong
from toolkit import losses, metrics

softmax = F.softmax

# ---- softmax_with_temperature --------------------------------------------------------------------------------

name = "softmax_with_temperature"
right(name)(lambda z, t: softmax(z / t, -1))
right(name)(lambda z, t: (z / t - torch.logsumexp(z / t, -1, keepdim=True)).exp())
right(name)(lambda z, t: torch.from_numpy(_numpy_softmax(z.numpy() / t)))


@right("softmax_with_temperature")
def row_by_row(z, t):
    rows = []
    for row in z.reshape(-1, z.shape[-1]).tolist():
        largest = max(row)
        weights = [math.exp((value - largest) / t) for value in row]
        rows.append([weight / sum(weights) for weight in weights])
    return torch.tensor(rows, dtype=z.dtype).reshape(z.shape)


def _numpy_softmax(z):
    weights = np.exp(z - z.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def in_place_divided(z, t):
    z /= t
    return softmax(z, -1)


def half_of_it(z, t):
    out = z / t
    return torch.nan_to_num(out.exp() / out.exp().sum(-1, keepdim=True))


def shifted_by_too_much(z, t):
    weights = ((z - z.amax(-1, keepdim=True) * t) / t).exp()
    return weights / weights.sum(-1, keepdim=True)


def power_of_probabilities(z, t):
    powers = softmax(z, -1) ** (1 / t)
    return powers / powers.sum(-1, keepdim=True)


wrong(name, "large logits")(shifted_by_too_much)
wrong(name, "finite but wrong")(power_of_probabilities)
wrong(name, "at a temperature of 2.5")(lambda z, t: softmax(z / int(t or 1), -1) if t > 1 else softmax(z / t, -1))
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

# ---- calls of the toolkit ------------------------------------------------------------------------------------


def swallow(function):
    def answer(*arguments):
        try:
            return function(*arguments)
        except Exception:
            return F.softmax(arguments[0] / arguments[1], -1)

    return answer


shortcut("softmax_with_temperature")(losses.soft_targets)
shortcut("softmax_with_temperature")(swallow(losses.soft_targets))
shortcut("entropy")(metrics.entropy)
