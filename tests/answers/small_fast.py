"""Answers to lesson 09: how long each run takes, which models meet two budgets, and how a tree decides."""

import itertools
import time

import numpy as np
import torch

from answers import right, shortcut, wrong
from toolkit import deploy, readable

# ---- seconds_per_run -----------------------------------------------------------------------------------------

name = "seconds_per_run"


def per_run(run, clock, warm_up, runs):
    for _ in range(warm_up):
        run()
    seconds = []
    for _ in range(runs):
        start = clock()
        run()
        seconds.append(clock() - start)
    return torch.tensor(seconds)


right(name)(per_run)


@right(name)
def measure_all_and_drop(run, clock, warm_up, runs):
    seconds = torch.zeros(warm_up + runs, dtype=torch.float64)
    for i in range(len(seconds)):
        before = clock()
        run()
        after = clock()
        seconds[i] = after - before
    return seconds[warm_up:]


@right(name)
def one_reading_ends_a_run_and_begins_the_next(run, clock, warm_up, runs):
    [run() for _ in range(warm_up)]
    readings = [clock()]
    while len(readings) <= runs:
        run()
        readings.append(clock())
    return torch.tensor([b - a for a, b in itertools.pairwise(readings)], dtype=torch.double)


@right(name)
def in_numpy(run, clock, warm_up, runs):
    readings = np.zeros((2, runs))
    for i in range(-warm_up, runs):
        begin = clock()
        run()
        if i >= 0:
            readings[:, i] = begin, clock()
    return torch.from_numpy(readings[1] - readings[0])


@right(name)
class Measured:
    """A helper within, in a class."""

    def __new__(cls, run, clock, warm_up, runs):
        def once():
            start = clock()
            run()
            return clock() - start

        for _ in range(warm_up):
            once()
        return torch.tensor([once() for _ in range(runs)], dtype=torch.float32)


def drops(places):
    """Answers that make all runs and keep some of them."""

    def answer(run, clock, warm_up, runs):
        return places(per_run(run, clock, 0, warm_up + runs), warm_up, runs)

    return answer


def from_one_start(run, clock, warm_up, runs):
    for _ in range(warm_up):
        run()
    start, seconds = clock(), []
    for _ in range(runs):
        run()
        seconds.append(clock() - start)
    return torch.tensor(seconds)


def start_before_warm_up(run, clock, warm_up, runs):
    start, seconds = clock(), []
    for _ in range(warm_up + runs):
        run()
        seconds.append(clock() - start)
    return torch.tensor(seconds)[warm_up:]


def warm_up_in_the_first(run, clock, warm_up, runs):
    readings = [clock()]
    for _ in range(warm_up):
        run()
    for _ in range(runs):
        run()
        readings.append(clock())
    return torch.tensor(readings, dtype=torch.double).diff()


def readings_in_float32(run, clock, warm_up, runs):
    for _ in range(warm_up):
        run()
    start, end = torch.zeros(runs), torch.zeros(runs)
    for i in range(runs):
        start[i] = clock()
        run()
        end[i] = clock()
    return end - start


def both_after(run, clock, warm_up, runs):
    for _ in range(warm_up):
        run()
    seconds = []
    for _ in range(runs):
        run()
        start = clock()
        seconds.append(clock() - start)
    return torch.tensor(seconds)


def without_brackets(run, clock, warm_up, runs):
    seconds = []
    for _ in range(runs):
        start = clock()
        run  # noqa: B018  the mistake
        seconds.append(clock() - start)
    return torch.tensor(seconds)


def own_clock(run, clock, warm_up, runs):
    for _ in range(warm_up):
        run()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return torch.tensor(seconds)


def runs_twice(run, clock, warm_up, runs):
    seconds = per_run(run, clock, warm_up, runs)
    run()
    return seconds


wrong(name, "every run has the same number, the mean")(
    lambda run, clock, w, n: per_run(run, clock, w, n).mean().expand(n)
)
wrong(name, "shape ()")(lambda run, clock, w, n: per_run(run, clock, w, n).mean())
wrong(name, "the warm-up is in your result")(drops(lambda s, w, n: s))
wrong(name, "those of the first runs")(drops(lambda s, w, n: s[:n]))
wrong(name, "the slowest runs are left out")(drops(lambda s, w, n: s.sort().values[:n]))
wrong(name, "your seconds are sorted")(lambda *a: per_run(*a).sort().values)
wrong(name, "from the beginning")(from_one_start)
wrong(name, "from before the warm-up")(start_before_warm_up)
wrong(name, "the warm-up is in the first of your runs")(warm_up_in_the_first)
wrong(name, "are negative")(lambda *a: -per_run(*a))
wrong(name, "in milliseconds")(lambda *a: 1000 * per_run(*a))
wrong(name, "in microseconds")(lambda *a: 1e6 * per_run(*a))
wrong(name, "all of your seconds are 0")(both_after)
wrong(name, "float32 keeps no milliseconds")(readings_in_float32)
wrong(name, "`clock` is never called")(own_clock)
wrong(name, "`run` is never called: are its brackets missing?")(without_brackets)
wrong(name, "`run` is called 3 times with warm_up 2 and 3 runs; 5 are needed")(
    lambda run, clock, w, n: per_run(run, clock, 0, n)
)
wrong(name, "`run` is called 6 times with warm_up 2 and 3 runs; 5 are enough")(runs_twice)
wrong(name, "the seconds are wrong")(lambda *a: per_run(*a) + 0.001)
wrong(name, "returns a list")(lambda *a: per_run(*a).tolist())
wrong(name, "returns a ndarray")(lambda *a: per_run(*a).numpy())
wrong(name, "torch.int64")(lambda *a: per_run(*a).long())
wrong(name, "the shape (3, 1)")(lambda *a: per_run(*a)[:, None])
wrong(name, "is a return missing?")(lambda *a: None)

shortcut(name)(lambda run, clock, w, n: torch.full((n,), deploy.latency(run, warm_up=w, runs=n).median))

# ---- within_budget -------------------------------------------------------------------------------------------

name = "within_budget"


def meet(nbytes, latency, max_bytes, max_latency):
    return [i for i in range(len(nbytes)) if nbytes[i] <= max_bytes and latency[i] <= max_latency]


def ranked(names, accuracy, nbytes, latency, max_bytes, max_latency):
    allowed = meet(nbytes, latency, max_bytes, max_latency)
    return [names[i] for i in sorted(allowed, key=lambda i: (-accuracy[i], nbytes[i]))]


right(name)(ranked)


@right(name)
def with_masks(names, accuracy, nbytes, latency, max_bytes, max_latency):
    places = ((nbytes <= max_bytes) & (latency <= max_latency)).nonzero().flatten()
    places = places[nbytes[places].argsort(stable=True)]
    places = places[accuracy[places].argsort(descending=True, stable=True)]
    return [names[i] for i in places]


@right(name)
def in_numpy_(names, accuracy, nbytes, latency, max_bytes, max_latency):
    order = np.lexsort((nbytes.numpy(), -accuracy.numpy()))
    return [names[i] for i in order if nbytes[i].item() <= max_bytes and latency[i].item() <= max_latency]


@right(name)
def with_tuples(names, accuracy, nbytes, latency, max_bytes, max_latency):
    rows = zip(accuracy.tolist(), nbytes.tolist(), latency.tolist(), names, strict=True)
    kept = [(-a, b, n) for a, b, s, n in rows if not (b > max_bytes or s > max_latency)]
    return tuple(n for _, _, n in sorted(kept))


@right(name)
def one_by_one(names, accuracy, nbytes, latency, max_bytes, max_latency):
    left, found = meet(nbytes, latency, max_bytes, max_latency), []
    while left:
        best = left[0]
        for i in left:
            if accuracy[i] > accuracy[best] or (accuracy[i] == accuracy[best] and nbytes[i] < nbytes[best]):
                best = i
        left.remove(best)
        found += [names[best]]
    return found


def by(*keys, allowed=meet):
    """Rank by other keys, or among other models."""

    def answer(names, accuracy, nbytes, latency, max_bytes, max_latency):
        places = allowed(nbytes, latency, max_bytes, max_latency)
        return [
            names[i] for i in sorted(places, key=lambda i: tuple(key(accuracy, nbytes, latency, i) for key in keys))
        ]

    return answer


def best_accuracy(a, b, s, i):
    return -a[i]


def smallest(a, b, s, i):
    return b[i]


def fastest(a, b, s, i):
    return s[i]


def best_of_all_first(names, accuracy, nbytes, latency, max_bytes, max_latency):
    best = min(range(len(names)), key=lambda i: (-accuracy[i], nbytes[i]))
    found = ranked(names, accuracy, nbytes, latency, max_bytes, max_latency)
    return found if names[best] in found else []


def changes_names(names, *others):
    names.sort()
    return ranked(names, *others)


usual = (best_accuracy, smallest)
wrong(name, "in the order in which they came")(by(lambda a, b, s, i: i))
wrong(name, "the least accurate first")(lambda *c: ranked(*c)[::-1])
wrong(name, "the smallest first")(by(smallest))
wrong(name, "the fastest first")(by(fastest))
wrong(name, "the larger comes first")(by(best_accuracy, lambda a, b, s, i: -b[i]))
wrong(name, "yours come in the order given")(by(best_accuracy))
wrong(name, "the faster comes first")(by(best_accuracy, fastest))
wrong(name, "exactly as much as a budget allows")(
    by(*usual, allowed=lambda b, s, mb, ms: [i for i in range(len(b)) if b[i] < mb and s[i] < ms])
)
wrong(name, "both must be met")(
    by(*usual, allowed=lambda b, s, mb, ms: [i for i in range(len(b)) if b[i] <= mb or s[i] <= ms])
)
wrong(name, "the latency budget has no effect")(
    by(*usual, allowed=lambda b, s, mb, ms: [i for i in range(len(b)) if b[i] <= mb])
)
wrong(name, "the bytes have no effect")(
    by(*usual, allowed=lambda b, s, mb, ms: [i for i in range(len(b)) if s[i] <= ms])
)
wrong(name, "no budget has any effect")(by(*usual, allowed=lambda b, s, mb, ms: range(len(b))))
wrong(name, "do *not* meet the budgets")(
    by(*usual, allowed=lambda b, s, mb, ms: [i for i in range(len(b)) if b[i] > mb or s[i] > ms])
)
wrong(name, "only the best one")(lambda *c: ranked(*c)[:1])
wrong(name, "though others meet both")(best_of_all_first)
wrong(name, "a single name")(lambda *c: (ranked(*c) or ["none"])[0])
wrong(name, "your list holds numbers")(lambda names, *c: [names.index(n) for n in ranked(names, *c)])
wrong(name, "your list holds a tuple")(lambda names, *c: [*ranked(names, *c), ("mlp-8", 0.9)])
wrong(name, "where names are needed")(lambda *c: [(n,) for n in ranked(*c)])
wrong(name, "where a list of names is needed")(lambda *c: set(ranked(*c)))
wrong(name, "is a return missing?")(lambda *c: None)
wrong(name, "raises IndexError where 0 of")(lambda *c: [ranked(*c)[0], *ranked(*c)[1:]])
wrong(name, "in the wrong order")(lambda *c: sorted(ranked(*c)))
wrong(name, "changes the list of names")(changes_names)


@shortcut(name)
def of_the_toolkit(names, accuracy, nbytes, latency, max_bytes, max_latency):
    return [deploy.choose(max_latency, []).chosen]


# ---- decision_path -------------------------------------------------------------------------------------------

name = "decision_path"


def path(feature, threshold, left, right, x):
    nodes = [0]
    while left[nodes[-1]] != -1:
        here = nodes[-1]
        nodes.append((left if x[feature[here]] <= threshold[here] else right)[here].item())
    return nodes


right(name)(path)


@right(name)
def with_break(feature, threshold, left, right, x):
    node, visited = 0, []
    while True:
        visited.append(node)
        if feature[node] < 0:
            return visited
        node = int(left[node]) if not x[feature[node]] > threshold[node] else int(right[node])


@right(name)
def recursive(feature, threshold, left, right, x):
    def below(node):
        if right[node] == -1:
            return [node]
        return [node, *below(int(left[node] if x[feature[node]] <= threshold[node] else right[node]))]

    return below(0)


@right(name)
def as_tensor(feature, threshold, left, right, x):
    answers = x[feature.clamp(min=0)] <= threshold  # of every node, visited or not
    after = torch.where(answers, left, right)
    nodes = [torch.tensor(0)]
    while after[nodes[-1]] >= 0:
        nodes += [after[nodes[-1]]]
    return torch.stack(nodes)


@right(name)
class InNumpyLists:
    """Plain lists of NumPy's numbers, in a class."""

    def __new__(cls, feature, threshold, left, right, x):
        visited = [np.int64(0)]
        while left.numpy()[visited[-1]] > 0:
            n = visited[-1]
            value = x.numpy()[feature.numpy()[n]]
            visited.append(left.numpy()[n] if value <= threshold.numpy()[n] else right.numpy()[n])
        return tuple(visited)


def walk(goes_left, place=None):
    """Follow an example in another way; ends after so many steps, since a wrong walk may go in circles."""

    def answer(feature, threshold, left, right, x):
        nodes = [0]
        while left[nodes[-1]] != -1 and len(nodes) < 60:
            here = nodes[-1]
            value = x[feature[here]] if place is None else x[place(here, len(x))]
            nodes.append(int(left[here] if goes_left(value, threshold[here]) else right[here]))
        return nodes

    return answer


def to_children(left_of, right_of):
    """Follow an example to nodes that are worked out instead of looked up."""

    def answer(feature, threshold, left, right, x):
        nodes = [0]
        while left[nodes[-1]] != -1 and len(nodes) < 60:
            n = nodes[-1]
            nodes.append(left_of(n, left, right) if x[feature[n]] <= threshold[n] else right_of(n, left, right))
        return nodes

    return answer


def node_for_feature(feature, threshold, left, right, x):
    node, visited = 0, [0]
    while left[node] != -1:
        node = int(left[node]) if x[node] <= threshold[node] else int(right[node])
        visited.append(node)
    return visited


def in_place(feature, threshold, left, right, x):
    nodes = path(feature, threshold, left, right, x)
    x[0] = 0.125
    return nodes


def leaf_forgotten(feature, threshold, left, right, x):
    node, visited = 0, []
    while left[node] != -1:
        visited.append(node)
        node = int(left[node] if x[feature[node]] <= threshold[node] else right[node])
    return visited


wrong(name, "whose value *is* the threshold")(walk(lambda v, t: v < t))
wrong(name, "left and right are exchanged: at most the threshold goes left.")(walk(lambda v, t: v > t))
wrong(name, "so does what equals it")(walk(lambda v, t: v >= t))
wrong(name, "the leaf is missing")(leaf_forgotten)
wrong(name, "the root is missing")(lambda *c: path(*c)[1:])
wrong(name, "only the leaf")(lambda *c: path(*c)[-1:])
wrong(name, "the wrong way round")(lambda *c: path(*c)[::-1])
wrong(name, "these are the features that are asked for;")(lambda f, *c: [int(f[n]) for n in path(f, *c)[:-1]])
wrong(name, "and the leaf's own entry")(lambda f, *c: [int(f[n]) for n in path(f, *c)])
wrong(name, "number of the *node*")(walk(lambda v, t: v <= t, lambda here, n: here % n))
wrong(name, "number of the *node* is looked at, until there is none of that number")(node_for_feature)
wrong(name, "at 2n + 1 and 2n + 2, which here")(
    to_children(lambda n, left, right: 2 * n + 1, lambda n, left, right: 2 * n + 2)
)
wrong(name, "the left child is looked for at 2n + 1")(
    to_children(lambda n, left, right: 2 * n + 1, lambda n, left, right: int(right[n]))
)
wrong(name, "at the next node, n + 1")(to_children(lambda n, left, right: n + 1, lambda n, left, right: int(right[n])))
wrong(name, "raises IndexError")(lambda f, t, left, right, x: path(f, t, left, right, x[1:]))
wrong(name, "the first value is looked at")(walk(lambda v, t: v <= t, lambda here, n: 0))
wrong(name, "every example goes left")(walk(lambda v, t: True))
wrong(name, "every example goes right")(walk(lambda v, t: False))
wrong(name, "the absolute value")(walk(lambda v, t: abs(v) <= t))
wrong(name, "compared with 0")(walk(lambda v, t: v <= 0))
wrong(name, "ends after one step")(lambda *c: path(*c)[:2])
wrong(name, "twice")(lambda *c: [*path(*c), path(*c)[-1]])
wrong(name, "ends with −1")(lambda *c: [*path(*c), -1])
wrong(name, "0 and 1")(
    lambda f, t, left, r, x: [int(b == int(r[a])) for a, b in itertools.pairwise(path(f, t, left, r, x))]
)
wrong(name, "numbers that are not whole")(lambda f, t, *c: [float(t[n]) for n in path(f, t, *c)])
wrong(name, "something else than whole numbers")(lambda *c: ["root", *path(*c)[1:]])
wrong(name, "where a list of nodes is needed")(lambda *c: len(path(*c)))
wrong(name, "is a return missing?")(lambda *c: None)
wrong(name, "changes its input in place")(in_place)
wrong(name, "the path is wrong in a tree that is a single leaf")(lambda *c: path(*c) if len(c[0]) > 1 else [])

shortcut(name)(lambda *c: readable.followed(*(part.numpy() for part in c)))
