"""The bound: how long the bare matrix products of a grid's work take on this machine, measured there and then.

Training students with one hidden layer is six matrix products per batch; all else (softmax, ReLU, optimizer, looking
examples up) comes on top. A product may store its factors either way round, and may be cut into slices that run side by
side: each takes the form that is fastest here, with the threads and blocks that serve most sizes best. Training by
torch's products can hardly be faster.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product as pairs
from typing import NamedTuple

import torch

STUDENTS_AT_ONCE = 64  # measured: faster than blocks of 128, by a fifth at 640 students
EXAMPLES_AT_ONCE = 64  # when predicting; more bring nothing
ROUNDS_TO_CHOOSE = 5


class Product(NamedTuple):
    """So many (``stacked``) products of a (rows, inner) matrix with an (inner, columns) one."""

    stacked: int
    rows: int
    inner: int
    columns: int


@dataclass(frozen=True)
class Steps:
    """Products that are taken one after another, and all of that so many times."""

    products: list[Product]
    times: int


@dataclass(frozen=True, kw_only=True)
class Work:
    """The sizes of one ``train_grid`` call: students with one hidden layer, of all seeds together."""

    students: int
    hidden: int
    features: int
    classes: int
    examples: int
    validation: int  # predicted after every epoch
    test: int = 0  # predicted once, at the end
    batch_size: int = 64
    epochs: int = 20
    temperatures: int = 8
    seeds: int = 1

    def epoch(self) -> list[Steps]:
        """What is done in every epoch: each block of students takes its batches, then predicts the validation part."""
        steps = []
        for seeds, arms in self._blocks():
            for batch, times in _batches(self.examples, self.batch_size):
                steps.append(Steps(self._training(seeds, arms, batch), times))
            steps += self._predicting(seeds, arms, self.validation)
        return steps

    def end(self) -> list[Steps]:
        """What is done once, after the last epoch."""
        return [steps for seeds, arms in self._blocks() for steps in self._predicting(seeds, arms, self.test)]

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Cut all students into blocks that work within the processor's cache: (seeds, students of each seed)."""
        arms = self.students // self.seeds
        arms_at_once = min(arms, STUDENTS_AT_ONCE)
        seeds_at_once = max(1, STUDENTS_AT_ONCE // arms)
        for seed, arm in pairs(range(0, self.seeds, seeds_at_once), range(0, arms, arms_at_once)):
            yield min(seeds_at_once, self.seeds - seed), min(arms_at_once, arms - arm)

    def _predicting(self, seeds: int, arms: int, examples: int) -> list[Steps]:
        return [
            Steps(self._forward(seeds, arms, batch), times) for batch, times in _batches(examples, EXAMPLES_AT_ONCE)
        ]

    def _forward(self, seeds: int, arms: int, batch: int) -> list[Product]:
        return [
            Product(seeds, arms * self.hidden, self.features, batch),  # students of a seed share their examples
            Product(seeds * arms, self.classes, self.hidden, batch),
        ]

    def _training(self, seeds: int, arms: int, batch: int) -> list[Product]:
        return [
            *self._forward(seeds, arms, batch),
            Product(
                seeds, arms, 1 + self.temperatures, self.classes * batch
            ),  # targets: labels and soft targets, mixed
            Product(seeds * arms, self.classes, batch, self.hidden),  # gradient of the second layer's weights
            Product(seeds * arms, self.hidden, self.classes, batch),  # gradient at the hidden layer
            Product(seeds, arms * self.hidden, batch, self.features),  # gradient of the first layer's weights
        ]


def _batches(examples: int, size: int) -> list[tuple[int, int]]:
    """How many examples a batch holds, and how many such batches there are: the last one may be smaller."""
    whole, rest = divmod(examples, size)
    return [(batch, times) for batch, times in ((size, whole), (rest, 1)) if batch and times]


def multiply_adds(**sizes: int) -> int:
    """Count the multiply-adds of the products, each of them two floating-point operations; sizes as of ``Work``."""
    work = Work(**sizes)
    return work.epochs * _count(work.epoch()) + _count(work.end())


def _count(steps: list[Steps]) -> int:
    return sum(step.times * math.prod(shape) for step in steps for shape in step.products)


def seconds(**sizes: int) -> float:
    """Time the products of the work, on torch's present number of threads; sizes as of ``Work``."""
    work = Work(**sizes)
    whole = work.epoch() * work.epochs + work.end()
    fastest = {shape: _fastest_form(shape) for shape in {shape for step in whole for shape in step.products}}
    plan = [([fastest[shape] for shape in step.products], step.times) for step in whole]
    start = time.perf_counter()
    for products, times in plan:
        for _ in range(times):
            for multiply in products:
                multiply()
    return time.perf_counter() - start


def _fastest_form(shape: Product) -> Callable[[], object]:
    """Try all forms of a product in turns; that of the shortest time wins, as others can only slow a form down."""
    forms = list(_forms(shape))
    shortest = [math.inf] * len(forms)
    for _ in range(ROUNDS_TO_CHOOSE):
        for number, multiply in enumerate(forms):
            start = time.perf_counter()
            multiply()
            shortest[number] = min(shortest[number], time.perf_counter() - start)
    return forms[shortest.index(min(shortest))]


def _forms(shape: Product) -> Iterator[Callable[[], object]]:
    """Each factor stored by rows or by columns; where all students share one product, also the left one in slices."""
    stacked, rows, inner, columns = shape
    by_rows, by_columns = torch.rand(stacked, rows, inner), torch.rand(stacked, inner, rows).transpose(1, 2)
    for right in (torch.rand(stacked, inner, columns), torch.rand(stacked, columns, inner).transpose(1, 2)):
        for left in (by_rows, by_columns):
            yield partial(torch.bmm, left, right, out=torch.empty(stacked, rows, columns))
        if stacked == 1:
            yield partial(torch.mm, by_rows[0], right[0], out=torch.empty(rows, columns))
            for slices in (slices for slices in (2, 4, 8) if rows % slices == 0):
                cut, out = by_rows.view(slices, -1, inner), torch.empty(slices, rows // slices, columns)
                yield partial(torch.bmm, cut, right.expand(slices, -1, -1), out=out)
