"""Answers to lesson 01: number of parameters, compression ratio, summary of latencies."""

import collections
import io
import math
import statistics

import numpy as np
import torch

from answers import right, shortcut, wrong
from toolkit import models

# ---- count_parameters ----------------------------------------------------------------------------------------

name = "count_parameters"


@right(name)
def by_a_sum(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@right(name)
def by_a_loop(model):
    total = 0
    for _, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        count = 1
        for size in parameter.shape:
            count *= size
        total += count
    return total


@right(name)
def by_modules(model):
    seen = {id(p): p for part in model.modules() for p in part.parameters(recurse=False)}
    return sum(math.prod(p.shape) for p in seen.values() if p.requires_grad)


@right(name)
def by_recursion(model):
    seen = set()

    def count(part):
        own = [p for p in part._parameters.values() if p is not None and p.requires_grad and p not in seen]
        seen.update(own)
        return sum(p.nelement() for p in own) + sum(map(count, part.children()))

    return count(model)


right(name)(lambda model: np.sum([np.prod(p.shape) for p in model.parameters() if p.requires_grad]))
right(name)(lambda model: torch.tensor([p.numel() for p in model.parameters() if p.requires_grad]).sum())
right(name)(
    lambda model: len(torch.cat([p.flatten() for p in model.parameters() if p.requires_grad] or [torch.ones(0)]))
)


class Counter:
    def __init__(self):
        self.total = 0

    def visit(self, model):
        for parameter in model.parameters():
            self.total += parameter.numel() * parameter.requires_grad
        return self.total


right(name)(lambda model: Counter().visit(model))
right(name)(lambda model: {"count": float(by_a_sum(model))}["count"])


def of_layers(*kinds):
    def count(model):
        layers = {id(part): part for part in model.modules() if isinstance(part, kinds)}.values()
        return len({p: 0 for layer in layers for p in layer.parameters()}) and sum(
            p.numel() for p in {p: 0 for layer in layers for p in layer.parameters()} if p.requires_grad
        )

    return count


wrong(name, "changes the model")(lambda model: by_a_sum(model.eval()))
wrong(name, "equal by chance")(
    lambda model: sum(
        len(values) for values in {tuple(p.flatten().tolist()) for p in model.parameters() if p.requires_grad}
    )
)
wrong(name, "of the module itself are missing")(
    lambda model: sum(p.numel() for p in {p for child in model.children() for p in child.parameters()} if p.requires_grad)
)  # fmt: skip
wrong(name, "the value is wrong")(
    lambda model: sum(p.numel() for p in model.parameters() if p.requires_grad and p.ndim)
)
wrong(name, "counts tensors")(lambda model: len(list(model.parameters())))
wrong(name, "counts layers")(lambda model: sum(isinstance(m, torch.nn.Linear) for m in model.modules()))
wrong(name, "biases are missing")(lambda model: sum(p.numel() for p in model.parameters() if p.ndim > 1))
wrong(name, "weights are missing")(lambda model: sum(p.numel() for p in model.parameters() if p.ndim == 1))
wrong(name, "counts the rows")(lambda model: sum(len(p) for p in model.parameters() if p.requires_grad))
wrong(name, "counted again with every module around it")(
    lambda model: sum(p.numel() for m in model.modules() for p in m.parameters() if p.requires_grad)
)
wrong(name, "these are bytes")(lambda model: sum(p.nbytes for p in model.parameters() if p.requires_grad))
wrong(name, "frozen parameters are counted too")(lambda model: sum(p.numel() for p in model.parameters()))
wrong(name, "counts the frozen parameters")(
    lambda model: (
        by_a_sum(model) if not (held := [p.numel() for p in model.parameters() if not p.requires_grad]) else sum(held)
    )
)
wrong(name, "buffers are counted too")(lambda model: sum(v.numel() for v in model.state_dict().values()))
wrong(name, "some of the buffers are counted too")(
    lambda model: sum(v.numel() for v in model.state_dict().values() if v.is_floating_point())
)
wrong(name, "of another kind than Linear")(of_layers(torch.nn.Linear))
wrong(name, "the value is wrong")(
    of_layers(torch.nn.Linear, torch.nn.Conv2d, torch.nn.BatchNorm1d, torch.nn.Embedding, torch.nn.GRU)
)
wrong(name, "may be frozen in part")(
    lambda model: sum(
        sum(p.numel() for p in m.parameters(recurse=False))
        for m in model.modules()
        if any(p.requires_grad for p in m.parameters(recurse=False))
    )
)


@wrong(name, "overlooked")
def only_the_top(model):
    return sum(p.numel() for part in model.children() for p in part.parameters(recurse=False))


@wrong(name, "is counted twice")
def layer_by_layer(model):
    own = sum(p.numel() for p in model._parameters.values() if p is not None and p.requires_grad)
    return own + sum(layer_by_layer(model._modules[key]) for key in model._modules)


wrong(name, "is counted twice")(
    lambda model: sum(p.numel() for _, p in model.named_parameters(remove_duplicate=False) if p.requires_grad)
)


@wrong(name, "changes the model")
def frees_everything(model):
    count = by_a_sum(model)
    model.requires_grad_(False)
    return count


@wrong(name, "changes the model")
def draws_new_weights(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    return by_a_sum(model)


wrong(name, "is a return missing?")(lambda model: None)
wrong(name, "a str, where a single number is needed")(lambda model: f"{by_a_sum(model):,}")
wrong(name, "a list, where a single number is needed")(lambda model: [p.numel() for p in model.parameters()])
wrong(name, "raises TypeError on Linear(3, 4), all of it frozen")(
    lambda model: by_a_sum(model) or sum(None for _ in range(1))
)
wrong(name, "the value is wrong")(lambda model: by_a_sum(model) + 1)
shortcut(name)(models.count_parameters)
shortcut(name)(lambda model: 0 + models.count_parameters(model))

# ---- compression_ratio ---------------------------------------------------------------------------------------

name = "compression_ratio"


def tensors(model):
    return [*model.parameters(), *model.buffers()]


def stored(model):
    return sum(t.numel() * t.element_size() for t in tensors(model))


def numbers(model):
    return sum(t.numel() for t in tensors(model))


right(name)(lambda teacher, student: stored(teacher) / stored(student))
right(name)(
    lambda teacher, student: np.divide(*(sum(t.nbytes for t in tensors(model)) for model in (teacher, student)))
)


@right(name)
def by_state(teacher, student):
    sizes = []
    for model in (teacher, student):
        once = {value.data_ptr(): value for value in model.state_dict().values()}
        sizes.append(sum(value.numel() * value.dtype.itemsize for value in once.values()))
    return sizes[0] / sizes[1]


@right(name)
def as_a_tensor(teacher, student):
    sizes = torch.zeros(2, dtype=torch.float64)
    for place, model in enumerate((teacher, student)):
        for part in model.modules():
            for t in [*part._parameters.values(), *part._buffers.values()]:
                sizes[place] += 0 if t is None or t in seen(place) else t.untyped_storage().nbytes()
                seen(place).add(t)
    _seen.clear()
    return sizes[0].div(sizes[1])


_seen = {}


def seen(place):
    return _seen.setdefault(place, set())


class Scales:
    def __init__(self, model):
        self.bytes = 0
        for tensor in model.parameters():
            self.bytes += len(tensor.detach().numpy().tobytes())
        for tensor in model.buffers():
            self.bytes += len(tensor.numpy().tobytes())

    def __truediv__(self, other):
        return self.bytes / other.bytes


right(name)(lambda teacher, student: Scales(teacher) / Scales(student))


def of(size, combine=lambda a, b: a / b):
    return lambda teacher, student: combine(size(teacher), size(student))


wrong(name, "upside down")(of(stored, lambda a, b: b / a))
wrong(name, "fewer bytes")(of(lambda m: sum(p.numel() for p in m.parameters())))
wrong(name, "buffers too; what is needed are bytes")(of(numbers))
wrong(name, "a ratio of trainable parameters")(of(by_a_sum))
wrong(name, "buffers are missing: batch norm's")(of(lambda m: sum(p.nbytes for p in m.parameters())))
wrong(name, "frozen parameters are missing")(
    of(lambda m: stored(m) - sum(p.nbytes for p in m.parameters() if not p.requires_grad))
)
wrong(name, "frozen parameters and buffers are missing")(
    of(lambda m: sum(p.nbytes for p in m.parameters() if p.requires_grad))
)
wrong(name, "the student's take two")(of(lambda m: sum(t.numel() * max(4, t.element_size()) for t in tensors(m))))
wrong(name, "of eight bytes, not of four")(
    of(lambda m: sum(t.numel() * (t.element_size() if t.is_floating_point() else 4) for t in tensors(m)))
)
wrong(name, "whole numbers among the buffers are missing")(
    of(lambda m: sum(t.nbytes for t in tensors(m) if t.is_floating_point()))
)
wrong(name, "counts again with every module around it")(of(lambda m: sum(stored(part) for part in m.modules())))
wrong(name, "a difference")(of(stored, lambda a, b: a - b))
wrong(name, "share of bytes that is saved")(of(stored, lambda a, b: 1 - b / a))
wrong(name, "ratio minus 1")(of(stored, lambda a, b: a / b - 1))
wrong(name, "a percentage")(of(stored, lambda a, b: 100 * a / b))
wrong(name, "the number of tensors")(of(lambda m: len(tensors(m))))
wrong(name, "is counted twice")(of(lambda m: sum(v.nbytes for v in m.state_dict().values())))
wrong(name, "the value is wrong")(of(stored, lambda a, b: a // b))
wrong(name, "the value is wrong")(
    of(lambda m: sum(t.numel() * (t.element_size() if t.is_floating_point() else 8) for t in tensors(m)))
)


def saved(model):
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return len(file.getvalue())


wrong(name, "the value is wrong")(of(saved))


@wrong(name, "raises TypeError")
def only_floats(teacher, student):
    return of(lambda m: sum(t.numel() * torch.finfo(t.dtype).bits // 8 for t in tensors(m)))(teacher, student)


@wrong(name, "changes the model")
def to_half(teacher, student):
    ratio = stored(teacher) / stored(student)
    teacher.half()
    return ratio


wrong(name, "a tuple, where a single number is needed")(lambda t, s: (stored(t), stored(s)))
wrong(name, "a str, where a single number is needed")(lambda t, s: f"{stored(t) / stored(s):.1f}×")
wrong(name, "is a return missing?")(lambda t, s: None)
shortcut(name)(lambda t, s: models.count_bytes(t) / models.count_bytes(s))

# ---- latency_summary -----------------------------------------------------------------------------------------

name = "latency_summary"


@right(name)
def with_torch(seconds, warm_up):
    rest = 1000 * seconds[warm_up:]
    return rest.median(), rest.quantile(0.95)


@right(name)
def with_numpy(seconds, warm_up):
    return tuple(np.percentile(seconds[warm_up:].numpy() * 1e3, [50, 95]))


@right(name)
def with_an_array(seconds, warm_up):
    return np.quantile(np.asarray(seconds)[warm_up:], [0.5, 0.95]) * 1000


@right(name)
def with_a_tensor(seconds, warm_up):
    return torch.quantile(seconds[warm_up:].double(), torch.tensor([0.5, 0.95]).double()).mul(1000)


@right(name)
def by_sorting(seconds, warm_up):
    rest = sorted(seconds.tolist()[warm_up:])
    return [1000 * rest[len(rest) // 2], 1000 * rest[int(0.95 * len(rest))]]


@right(name)
def by_nearest_rank(seconds, warm_up):
    rest = sorted(1000 * s.item() for i, s in enumerate(seconds) if i >= warm_up)
    return statistics.median(rest), rest[math.ceil(0.95 * len(rest)) - 1]


right(name)(lambda s, w: (s[w:].median().item() * 1e3, statistics.quantiles((s[w:] * 1e3).tolist(), n=20)[-1]))
right(name)(
    lambda s, w: (s[w:].median() * 1e3, statistics.quantiles((s * 1e3).tolist()[w:], n=100, method="inclusive")[94])
)
right(name)(lambda s, w: (s[w:].median() * 1e3, s[w:].kthvalue(round(0.95 * (len(s) - w))).values * 1e3))
right(name)(lambda s, w: np.percentile(1e3 * s[w:].numpy(), [50, 95], method="hazen"))
right(name)(lambda s, w: np.percentile(1e3 * s[w:].numpy(), [50, 95], method="weibull").tolist())
right(name)(lambda s, w: np.percentile(1e3 * s[w:].numpy(), [50, 95], method="higher"))
right(name)(lambda s, w: np.percentile(1e3 * s[w:].numpy(), [50, 95], method="median_unbiased"))


@right(name)
def by_counting(seconds, warm_up):
    rest = seconds[warm_up:].double()
    shares = (rest[None, :] <= rest[:, None]).double().mean(1)
    return tuple(1000 * rest[shares >= share].min() for share in (0.5, 0.95))


class Latencies:
    def __init__(self, seconds, warm_up):
        self.milliseconds = (seconds.double()[warm_up:] * 1000).sort().values

    def at(self, share):
        return float(self.milliseconds[round(share * (len(self.milliseconds) - 1))])


right(name)(lambda s, w: (Latencies(s, w).at(0.5), Latencies(s, w).at(0.95)))


def summary(first=lambda rest: rest.median(), second=lambda rest: rest.quantile(0.95), rest=lambda s, w: s[w:]):
    """A right answer of which one part may be replaced."""
    return lambda s, w: tuple((1000 * part(rest(s, w))).item() for part in (first, second))


def middle(rest):
    """The upper of two middle values, where torch's median is the lower one."""
    return rest.sort().values[len(rest) // 2]


right(name)(
    lambda s, w: (
        np.median(1e3 * s[w:].numpy()),
        np.percentile(1e3 * s[w:].numpy(), 95, method="interpolated_inverted_cdf"),
    )
)
right(name)(lambda s, w: collections.namedtuple("Summary", "median p95")(*by_sorting(s, w)))
wrong(name, "not right yet")(
    lambda s, w: (1000 * s[w:].median(), 1000 * s[w:].sort().values[math.ceil(0.95 * (len(s) - w))])
)
wrong(name, "warm-up measurements are still in")(summary(rest=lambda s, w: s))
wrong(name, "the last measurements are dropped")(summary(rest=lambda s, w: s[: len(s) - w]))
wrong(name, "the fastest measurements are dropped")(summary(rest=lambda s, w: s.sort().values[w:]))
wrong(name, "the slowest measurements are dropped")(summary(rest=lambda s, w: s.sort(descending=True).values[w:]))
wrong(name, "the slowest measurements are dropped")(summary(rest=lambda s, w: s.sort().values[: len(s) - w]))
wrong(name, "the warm-up itself")(summary(rest=lambda s, w: s[:w] if w else s))
for style in (torch.median, middle):
    wrong(name, "one measurement too many is dropped")(summary(style, rest=lambda s, w: s[w + 1 :]))
    wrong(name, "one measurement too few is dropped")(summary(style, rest=lambda s, w: s[max(w - 1, 0) :]))
wrong(name, "the median is")(summary(rest=lambda s, w: s[3:]))
wrong(name, "in seconds")(lambda s, w: tuple(part / 1000 for part in by_sorting(s, w)))
wrong(name, "still in, and your numbers are in seconds")(lambda s, w: (s.median(), s.quantile(0.95)))
wrong(name, "in microseconds")(lambda s, w: tuple(part * 1000 for part in by_sorting(s, w)))
wrong(name, "the wrong way round")(lambda s, w: with_torch(s, w)[::-1])
wrong(name, "this is the mean")(summary(torch.mean))
wrong(name, "this is the minimum")(summary(torch.min))
wrong(name, "this is the maximum")(summary(torch.max))
wrong(name, "halfway")(summary(lambda rest: (rest.min() + rest.max()) / 2))
wrong(name, "is sorting missing?")(lambda s, w: (1000 * s[w:][(len(s) - w) // 2], 1000 * s[w:].quantile(0.95)))
wrong(name, "in order of size, not of time")(summary(second=lambda rest: rest[int(0.95 * len(rest))]))
wrong(name, "the second number is the maximum")(summary(second=torch.max))
wrong(name, "the 5th percentile: almost all")(summary(second=lambda rest: rest.quantile(0.05)))
wrong(name, "the 5th percentile")(summary(second=lambda rest: rest.sort(descending=True).values[int(0.95 * len(rest))]))
wrong(name, "the 90th")(summary(second=lambda rest: rest.quantile(0.90)))
wrong(name, "the 99th")(summary(second=lambda rest: rest.quantile(0.99)))
wrong(name, "not at 95 %")(lambda s, w: (1e3 * s[w:].median(), np.percentile(1e3 * s[w:].numpy(), 0.95)))
wrong(name, "95 % of the largest")(summary(second=lambda rest: 0.95 * rest.max()))
wrong(name, "95 % of the median")(summary(second=lambda rest: 0.95 * rest.median()))
wrong(name, "mean plus two standard deviations")(summary(second=lambda rest: rest.mean() + 2 * rest.std()))
wrong(name, "is the mean; the 95th")(summary(second=torch.mean))
wrong(name, "repeats the median")(summary(second=torch.median))
wrong(name, "the 95th percentile is not")(summary(second=lambda rest: rest.quantile(0.8)))
wrong(name, "returns 3 results")(lambda s, w: (*with_torch(s, w), 0.0))
wrong(name, "a float, where a pair")(lambda s, w: 1000 * s[w:].median().item())
wrong(name, "a dict, where a pair")(lambda s, w: dict(zip(("median", "p95"), by_sorting(s, w), strict=True)))
wrong(name, "one of your two results is a str")(lambda s, w: tuple(f"{part:.1f}" for part in by_sorting(s, w)))
wrong(name, "is a return missing?")(lambda s, w: None)


@wrong(name, "changes its input in place (argument 1)")
def sorts_in_place(seconds, warm_up):
    answer = with_numpy(seconds.clone(), warm_up)
    seconds.numpy().sort()
    return answer


@wrong(name, "changes its input in place (argument 1)")
def scales_in_place(seconds, warm_up):
    seconds *= 1000
    rest = seconds[warm_up:]
    return rest.median(), rest.quantile(0.95)
