"""How cost grows with the work: time and peak memory of ``train_grid``, and the bound of ``bench/bound.py``.

Each point is measured in a process of its own, so that its peak memory is its own; there the grid and the bound take
turns. Time does not depend on what the numbers mean, so that data are random where no data set is named, and the
teacher is untrained.
"""

import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from tqdm.auto import tqdm

from bench import bound
from bench.tables import Report, markdown
from toolkit import models
from toolkit.data import Dataset, load, seeded_generator
from toolkit.grid import train_grid
from toolkit.plots import ALONE, DISTILLED
from toolkit.training import Recipe, Teacher, train_student

FEATURES = 64
MOST_MEMORY = 2048  # MiB on top of what the process holds before, for the largest number of students
REAL = ("digits", "mnist1d")
LONG = 5.0  # seconds of measuring, after which three rounds must do
Result = TypeVar("Result")


@dataclass(frozen=True)
class Call:
    """One call of ``train_grid``; examples and classes are those of random data, "table" or "images"."""

    data: str = "table"
    student: str = "mlp-32"
    temperatures: int = 8
    lams: int = 8
    seeds: int = 1
    examples: int = 1000
    classes: int = 10
    epochs: int = 5

    @property
    def students(self) -> int:
        """How many students are trained."""
        return self.temperatures * self.lams * self.seeds

    @property
    def held_out(self) -> int:
        """How many random examples the validation part has, and the test part too."""
        return self.examples // 4

    def dataset(self) -> Dataset:
        """Give the data set of that name, or random numbers."""
        if self.data in REAL:
            return load(self.data)
        shape, kind = ((FEATURES,), "table") if self.data == "table" else ((1, 28, 28), "vision")
        parts: dict[str, Any] = {}
        for part, count in {"train": self.examples, "val": self.held_out, "test": self.held_out}.items():
            parts[f"x_{part}"] = torch.randn(count, *shape, generator=seeded_generator(0, part))
            parts[f"y_{part}"] = torch.arange(count) % self.classes
        names = tuple(map(str, range(self.classes)))
        return Dataset(
            self.data, **parts, class_names=names, kind=kind, origin="synthetic", provenance="random numbers"
        )

    def train(self, teacher: Teacher) -> float:
        """Train all students in one call; gives the seconds."""
        start = time.perf_counter()
        train_grid(
            teacher.dataset,
            student=self.student,
            temperatures=self.temperature_values(),
            lams=self.lam_values(),
            seeds=self.seeds,
            epochs=self.epochs,
            teacher=teacher,
        )
        return time.perf_counter() - start

    def train_one_by_one(self, teacher: Teacher) -> float:
        """Train the same students one after another in the plain loop; gives the seconds."""
        start = time.perf_counter()
        for temperature, lam, seed in product(self.temperature_values(), self.lam_values(), range(self.seeds)):
            train_student(
                teacher.dataset,
                student=self.student,
                temperature=temperature,
                lam=lam,
                seed=seed,
                recipe=Recipe(epochs=self.epochs),
                teacher=teacher,
            )
        return time.perf_counter() - start

    def temperature_values(self) -> list[float]:
        """So many values of T, from 1 to at most 20."""
        return np.linspace(1, 20, self.temperatures).tolist()

    def lam_values(self) -> list[float]:
        """So many values of λ, from 1 to at least 0."""
        return np.linspace(1, 0, self.lams).tolist()

    def sizes(self) -> dict[str, int]:
        """Give the sizes of the work, as ``bench/bound.py`` calls them."""
        return {
            "students": self.students,
            "hidden": int(self.student.removeprefix("mlp-")),
            "features": FEATURES,
            "classes": self.classes,
            "examples": self.examples,
            "validation": self.held_out,
            "test": self.held_out,
            "epochs": self.epochs,
            "temperatures": self.temperatures,
            "seeds": self.seeds,
        }


USUAL = Call()


@dataclass(frozen=True)
class Axis:
    """What grows, the calls by their size, and the size from which fixed costs no longer rule."""

    name: str
    calls: dict[int, Call]
    fit_from: int


STUDENTS = {
    1: Call(temperatures=1, lams=1),
    4: Call(temperatures=2, lams=2),
    16: Call(temperatures=4, lams=4),
    64: USUAL,
    256: Call(seeds=4),
    1024: Call(seeds=16),
    4096: Call(seeds=64),
}
AXES = [
    Axis("students", STUDENTS, fit_from=64),
    Axis("hidden width", {width: Call(student=f"mlp-{width}") for width in (8, 32, 64, 128, 256, 512)}, fit_from=64),
    Axis("training examples", {count: Call(examples=count) for count in (1000, 4000, 16_000, 60_000)}, fit_from=4000),
    Axis("classes", {count: Call(classes=count) for count in (2, 10, 50, 100, 200)}, fit_from=50),
]
QUICK_SIZES = {"students": (1, 64), "hidden width": (8, 32), "training examples": (1000, 4000), "classes": (2, 10)}

DIGITS, SIGNALS, IMAGES = (
    Call("digits"),
    Call("mnist1d", "cnn-8", epochs=2),
    Call("images", "cnn-8", epochs=1),
)
ON_THREADS = [
    replace(DIGITS, student="mlp-8"),
    DIGITS,
    replace(DIGITS, student="mlp-128"),
    replace(DIGITS, temperatures=1, lams=1),
    SIGNALS,
]
ONE_BY_ONE = [
    *(replace(DIGITS, temperatures=t, lams=lams) for t, lams in ((1, 1), (2, 2), (4, 4))),
    *(replace(SIGNALS, temperatures=n, lams=n) for n in (1, 4)),
    *(replace(IMAGES, temperatures=n, lams=n) for n in (1, 2)),
    replace(IMAGES, student="cnn-32", temperatures=1, lams=2),
]


@dataclass(frozen=True)
class Cost:
    """Seconds of every round; peak memory in MiB on top of what was held before, and of the whole process."""

    grid: list[float]
    bound: list[float]
    extra_memory: float | None = None  # None where this system does not say
    whole_memory: float | None = None


@dataclass(frozen=True)
class Row:
    """The cost of one size."""

    size: str
    train_grid: str
    bound: str
    ratio: str
    extra_MiB: str  # noqa: N815  a table's heading


@dataclass(frozen=True)
class ThreadsRow:
    """The same call where the caller allows one thread, and where all are allowed."""

    call: str
    one_thread_allowed: str
    all_threads_allowed: str
    faster_with_all: str


@dataclass(frozen=True)
class WaysRow:
    """The same students in one call and one after another."""

    students: str
    train_grid: str
    one_after_another: str
    faster_in_one_call: str


def run(quick: bool = False) -> Report:
    """Measure all points; quick measures the smallest, with one epoch and two rounds."""
    rounds, axes, on_threads, one_by_one = 5, AXES, ON_THREADS, ONE_BY_ONE
    if quick:
        rounds, axes = 2, [_shortened(axis) for axis in AXES]
        on_threads, one_by_one = [Call(epochs=1)], [Call(temperatures=1, lams=2, epochs=1)]
    calls = dict.fromkeys(call for axis in axes for call in axis.calls.values())  # some stand on several axes
    costs = {call: _in_a_process_of_its_own(_cost, call, rounds) for call in tqdm(calls, "calls")}
    threads = [_in_a_process_of_its_own(_on_threads, call, rounds) for call in on_threads]
    ways = [_in_a_process_of_its_own(_both_ways, call, rounds) for call in one_by_one]
    claim, holds = _memory_claim({size: costs[call] for size, call in axes[0].calls.items()})
    details = [
        f"64 students mlp-32, 1,000 examples of {FEATURES} features, 10 classes, "
        f"{_count(axes[0].calls[64].epochs, 'epoch')}, where the table says nothing else. Seconds are medians of "
        f"{rounds} rounds (fewer where these are long) [min–max], {_count(torch.get_num_threads(), 'thread')}.",
        *(_axis_text(axis, costs) for axis in axes),
        f"**Threads**: seconds of the same call where the caller allows one thread, and where all ({os.cpu_count()}) are allowed: "
        "the grid then takes one or all, whichever was faster lately.",
        markdown(threads),
        "**Stacked or one by one**: seconds of one `train_grid` call, and of `train_student` for each student in turn.",
        markdown(ways),
    ]
    return Report("Cost as work grows", claim, holds, _figure(axes, costs), "\n\n".join(details))


def _shortened(axis: Axis) -> Axis:
    calls = {size: replace(axis.calls[size], epochs=1) for size in QUICK_SIZES[axis.name]}
    return replace(axis, calls=calls, fit_from=min(calls))


# ---- Measuring -----------------------------------------------------------------------------------------------


def _in_a_process_of_its_own(work: Callable[..., Result], *arguments: Any) -> Result:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


def _cost(call: Call, rounds: int) -> Cost:
    """Time grid and bound in turns; the first call of the grid also gives the peak of memory."""
    teacher = _untrained_teacher(call)
    _smallest(call).train(teacher)  # warms up
    before = _peak_memory() if _forget_peak() else None
    first = call.train(teacher)
    peak = _peak_memory()
    grid, bounds = _in_turns(lambda: call.train(teacher), lambda: bound.seconds(**call.sizes()), rounds - 1)
    extra = peak - before if peak is not None and before is not None else None
    return Cost([first, *grid], bounds, extra, peak)


def _on_threads(call: Call, rounds: int) -> ThreadsRow:
    teacher = _untrained_teacher(call)
    _smallest(call).train(teacher)  # warms up

    def train(threads: int) -> float:
        torch.set_num_threads(threads)
        return call.train(teacher)

    one, many = _in_turns(lambda: train(1), lambda: train(os.cpu_count() or 1), rounds)
    return ThreadsRow(_name(call), _spread(one), _spread(many), f"{np.median(one) / np.median(many):.2f} ×")


def _both_ways(call: Call, rounds: int) -> WaysRow:
    teacher = _untrained_teacher(call)
    _smallest(call).train(teacher)  # warms up
    _smallest(call).train_one_by_one(teacher)
    stacked, one_by_one = _in_turns(lambda: call.train(teacher), lambda: call.train_one_by_one(teacher), rounds)
    ratio = np.median(one_by_one) / np.median(stacked)
    return WaysRow(_name(call), _spread(stacked), _spread(one_by_one), f"{ratio:.2f} ×")


def _in_turns(first: Callable[[], float], second: Callable[[], float], rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of two ways, which take turns: so many rounds, but no more than three where these are long."""
    firsts: list[float] = []
    seconds: list[float] = []
    while len(firsts) < rounds and (len(firsts) < 3 or sum(firsts + seconds) < LONG):
        firsts.append(first())
        seconds.append(second())
    return firsts, seconds


def _smallest(call: Call) -> Call:
    return replace(call, temperatures=1, lams=2, seeds=1, epochs=1)


def _untrained_teacher(call: Call) -> Teacher:
    dataset = call.dataset()
    return Teacher.of(models.build("mlp-32", dataset, seed=0), dataset)


def _forget_peak() -> bool:
    """Let the peak of memory start again from what is held now; False where the system cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _peak_memory() -> float | None:
    """Most memory that this process held so far, in MiB; None where the system does not say."""
    if platform.system() == "Linux":  # ru_maxrss would do on macOS alone: here a child inherits that of its parent
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    if platform.system() == "Darwin":
        import resource  # Windows has no such module

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes there
    return None


# ---- Reporting -----------------------------------------------------------------------------------------------


def fit_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Fit cost = constant · size^exponent by least squares on the logarithms.

    >>> round(fit_exponent([1, 2, 4], [3, 12, 48]), 6)
    2.0
    """
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def _exponent(axis: Axis, costs: dict[Call, Cost], of: Callable[[Cost], float | None]) -> float | None:
    """The exponent over the sizes from ``fit_from`` on; None where something was not measured, or too small to see."""
    points = [(size, of(costs[call])) for size, call in axis.calls.items() if size >= axis.fit_from]
    seen = [(size, value) for size, value in points if value]
    return fit_exponent(*zip(*seen, strict=True)) if len(seen) == len(points) else None


def _grid_time(cost: Cost) -> float:
    return float(np.median(cost.grid))


def _bound_time(cost: Cost) -> float:
    return float(np.median(cost.bound))


def _extra_memory(cost: Cost) -> float | None:
    return cost.extra_memory


def _axis_text(axis: Axis, costs: dict[Call, Cost]) -> str:
    rows = []
    for size, call in axis.calls.items():
        cost = costs[call]
        ratio = f"{_grid_time(cost) / _bound_time(cost):.2f}"
        rows.append(Row(f"{size:,}", _spread(cost.grid), _spread(cost.bound), ratio, _mebibytes(cost.extra_memory)))
    fitted = [size for size in axis.calls if size >= axis.fit_from]
    words = []
    for what, of in (("time", _grid_time), ("the bound", _bound_time), ("extra memory", _extra_memory)):
        exponent = _exponent(axis, costs, of)
        words.append(f"{what} {'is not fitted' if exponent is None else f'grows with the power {exponent:z.2f}'}")
    table = markdown(rows).replace("| size |", f"| {axis.name} |", 1)
    speed = 2 * bound.multiply_adds(**call.sizes()) / _bound_time(cost) / 1e9  # of the largest size
    return (
        f"{table}\n\nFitted from {fitted[0]:,} to {fitted[-1]:,}: {', '.join(words)}. "
        f"At {max(axis.calls):,} the bound runs at {speed:.0f} GFLOP/s."
    )


def _memory_claim(by_students: dict[int, Cost]) -> tuple[str, bool]:
    """Say what the largest number of students needs, and whether it stays below what was claimed."""
    students, cost = max(by_students.items())
    claim = f"Claim: {students:,} students need less than {MOST_MEMORY:,} MiB of extra memory"
    if cost.extra_memory is None:
        return f"{claim}: not measured on this system.", True
    holds = cost.extra_memory < MOST_MEMORY
    measured = f"{_mebibytes(cost.extra_memory)} MiB, the whole process {_mebibytes(cost.whole_memory)} MiB"
    return f"{claim}: {'holds' if holds else 'does NOT hold'} ({measured}).", holds


def _name(call: Call) -> str:
    return f"{_count(call.students, 'student')} {call.student}, {call.data}, {_count(call.epochs, 'epoch')}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _spread(seconds: list[float]) -> str:
    return f"{np.median(seconds):.3g} [{min(seconds):.3g}–{max(seconds):.3g}]"


def _mebibytes(memory: float | None) -> str:
    return "not measured" if memory is None else f"{memory:,.0f}"


def _figure(axes: Sequence[Axis], costs: dict[Call, Cost]) -> Figure:
    """Time above, memory below; one column for each thing that grows."""
    with mpl.rc_context({"font.size": 12, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(16, 7), layout="constrained")
        panels = figure.subplots(2, len(axes), height_ratios=(2, 1), sharey="row", sharex="col")
        for axis, time_panel, memory_panel in zip(axes, *panels, strict=True):
            _curve(time_panel, axis, costs, _bound_time, "bound", ALONE, "--")
            _curve(time_panel, axis, costs, _grid_time, "grid", DISTILLED, "-")
            _curve(memory_panel, axis, costs, _extra_memory, "memory", DISTILLED, "-")
            memory_panel.set_xlabel(axis.name)
            sizes = list(axis.calls)
            shown = sizes[::2] if len(sizes) > 5 else sizes
            memory_panel.xaxis.set_major_locator(FixedLocator(shown))
            memory_panel.xaxis.set_minor_locator(NullLocator())
            memory_panel.set_xticklabels([f"{size // 1000} k" if size % 1000 == 0 else f"{size}" for size in shown])
        panels[0][0].set_ylabel("seconds")
        panels[1][0].set_ylabel("extra memory, MiB")
        return figure


def _curve(
    panel: Axes,
    axis: Axis,
    costs: dict[Call, Cost],
    of: Callable[[Cost], float | None],
    name: str,
    colour: str,
    line: str,
) -> None:
    """Draw what was measured and more than nothing; name and exponent stand where no curve passes."""
    points = [(size, value) for size, call in axis.calls.items() if (value := of(costs[call]))]
    if points:
        panel.plot(*zip(*points, strict=True), line, color=colour, marker="o", markersize=5)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.grid(alpha=0.3)
    exponent = _exponent(axis, costs, of)
    label = name if exponent is None else f"{name}: power {exponent:z.2f}"
    x, y, side = (0.97, 0.05, "right") if of is _bound_time else (0.03, 1.01, "left")
    panel.text(x, y, label, ha=side, color=colour, transform=panel.transAxes)
