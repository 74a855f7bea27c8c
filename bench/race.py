"""The race: contestants in processes of their own take turns, round by round, because machines drift.

Slow ones train a few of the 64 students in a round. One that cannot start, or breaks off, does not stop the others: its
result says what went wrong.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from bench import peers
from bench.contestants import CONTESTANTS, Round, Setting

TEMPERATURES = (1, 2, 3, 4, 6, 8, 12, 20)
LAMS = (0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1)
SETTINGS: list[Setting] = [(temperature, lam) for temperature in TEMPERATURES for lam in LAMS]
# Those of the 64 that slow contestants train. λ = 1 is left out: torchdistill has another loss there.
SAMPLE: list[Setting] = [(1, 0.2), (3, 0.6), (6, 0.8), (12, 0.9)]
HALF_A_POINT = 0.005
SHORT, TURNS_OF_SHORT_ONES = 1.0, 3  # seconds; a moment's noise of the machine is a large part of these
BUILD = "make peers, or python -m bench.peers"


class Failed(Exception):  # noqa: N818  reads better where it is raised
    """A contestant could not start, or broke off; the message is the last thing that it said."""


class Lane:
    """A contestant in a process of its own, and what it gave. Once something went wrong, ``problem`` says what."""

    def __init__(self, name: str):
        self.name, self.contestant = name, CONTESTANTS[name]
        self.rounds: list[Round] = []
        self.accuracies: dict[Setting, float] = {}  # of each student that it trained; mean over seeds
        self.threads = 0
        self.problem = ""
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  closed in __exit__
        self._process: subprocess.Popen[str] | None = None
        if self.contestant.is_peer and not peers.PYTHON.exists():
            self.problem = f"the peers' environment is missing (to build it: {BUILD})"
            return
        self._process = subprocess.Popen(
            [peers.PYTHON if self.contestant.is_peer else sys.executable, "-m", "bench.worker", name],
            cwd=peers.ROOT,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},  # all on the processor, where a GPU is present too
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
        )

    def __enter__(self) -> "Lane":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            if kind is not None:  # interrupted: do not wait for the end of a round
                self._process.kill()
            with contextlib.suppress(OSError):
                self._process.communicate()  # closes its input, which ends it
        self._errors.close()

    def get_ready(self) -> None:
        """Wait until it has prepared, and let it warm up for an epoch."""
        with self._watch():
            self.threads = self._answer()["threads"]
            self._order(self.sample(0), 1)

    def sample(self, number: int) -> list[Setting]:
        """Choose the students that it trains in a round: all, or as many as it can, in turns."""
        count = self.contestant.students
        if count == len(SETTINGS):
            return SETTINGS
        return [SAMPLE[(number * count + student) % len(SAMPLE)] for student in range(count)]

    def take_turn(self, settings: list[Setting], epochs: int) -> None:
        """Run one timed round, if nothing went wrong before."""
        with self._watch():
            result = self._order(settings, epochs)
            self.rounds.append(result)
            if result.accuracies:
                of_students = np.reshape(result.accuracies, (len(settings), -1)).mean(1)
                self.accuracies.update(zip(settings, of_students.tolist(), strict=True))

    @contextlib.contextmanager
    def _watch(self) -> Iterator[None]:
        try:
            yield
        except Failed as failure:
            self.problem = str(failure)

    def _order(self, settings: list[Setting], epochs: int) -> Round:
        if self._process is None or self.problem:
            raise Failed(self.problem)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"settings": settings, "epochs": epochs}) + "\n")
            self._process.stdin.flush()
        except OSError as gone:
            raise self._failure() from gone
        return Round(**self._answer())

    def _answer(self) -> dict[str, Any]:
        if self._process is None or self.problem:
            raise Failed(self.problem)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._failure()
        return json.loads(line)

    def _failure(self) -> Failed:
        assert self._process is not None
        self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines()
        reason = said[-1] if said else f"it ended with exit status {self._process.returncode}"
        return Failed(f"{reason} (to build its environment anew: {BUILD})" if self.contestant.is_peer else reason)


@dataclass(frozen=True)
class Result:
    """All rounds of one contestant: seconds, students in each round, accuracy of each student; or what went wrong."""

    title: str
    seconds: list[float]
    students: int
    accuracies: dict[Setting, float]
    remark: str = ""
    problem: str = ""

    @property
    def median(self) -> float:
        """Median seconds of a round."""
        return float(np.median(self.seconds))

    @property
    def per_student(self) -> float:
        """Median seconds for one student."""
        return self.median / self.students


@dataclass(frozen=True)
class Race:
    """The results of contestants that took turns, by name; "NAME, all" where all 64 students were trained in one go."""

    results: dict[str, Result]
    threads: int  # torch's default
    accuracies_of_seeds: np.ndarray | None = None  # (students, seeds), of the grid with ten seeds

    def difference(self, result: Result, grid: Result) -> float:
        """Mean accuracy minus the grid's, of the same students."""
        return float(np.mean([accuracy - grid.accuracies[setting] for setting, accuracy in result.accuracies.items()]))

    def is_comparable(self, result: Result, grid: Result) -> bool:
        """Whether it reached the accuracy that the grid reached with the same students, within noise."""
        # A thousandth of a point for rounding, where all ten seeds agree.
        return abs(self.difference(result, grid)) <= self.noise(list(result.accuracies)) + 1e-5

    def ratio(self, slow: str, fast: str) -> float | None:
        """How many times longer a student takes with the first; None where one of them was not measured."""
        if not all(name in self.results and self.results[name].seconds for name in (slow, fast)):
            return None
        return self.results[slow].per_student / self.results[fast].per_student

    def raise_if_one_broke(self) -> None:
        """Raise ``Failed`` for a contestant that did not finish, unless it is a peer: those may be missing."""
        for name, result in self.results.items():
            if result.problem and not CONTESTANTS[name.removesuffix(", all")].is_peer:
                raise Failed(f"{result.title}: {result.problem}")

    def noise(self, settings: Sequence[Setting]) -> float:
        """Three standard deviations of what another seed makes of the mean accuracy of these students."""
        if self.accuracies_of_seeds is None:
            return HALF_A_POINT
        of_seeds = self.accuracies_of_seeds[[SETTINGS.index(setting) for setting in settings]].mean(0)
        return 3 * float(of_seeds.std(ddof=1))


def race(names: Sequence[str], *, rounds: int, epochs: int, in_full: Sequence[str] = (), few: bool = False) -> Race:
    """Let contestants take turns, and some of them train all 64 students once at the end; few: one student at a time."""
    with contextlib.ExitStack() as stack:
        lanes = [stack.enter_context(Lane(name)) for name in names]
        for lane in lanes:
            lane.get_ready()
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}: {', '.join(lane.name for lane in lanes)}", flush=True)
            for lane in lanes:
                settings = lane.sample(number)
                settings = settings[:1] if few and len(settings) < len(SETTINGS) else settings
                lane.take_turn(settings, epochs)
                for _ in range(TURNS_OF_SHORT_ONES - 1):
                    if lane.rounds and lane.rounds[-1].seconds < SHORT:
                        lane.take_turn(settings, epochs)
        results = {lane.name: _result(lane) for lane in lanes}
        for lane in lanes:
            if lane.name in in_full:
                print(f"all 64 students: {lane.name}", flush=True)
                lane.rounds.clear()
                lane.take_turn(SETTINGS, epochs)
                results[f"{lane.name}, all"] = _result(lane, ", all 64 in one go")
        ten_seeds = next(
            (lane.rounds[-1].accuracies for lane in lanes if lane.name == "grid-640" and lane.rounds), None
        )
        of_seeds = None if ten_seeds is None else np.reshape(ten_seeds, (len(SETTINGS), -1))
        return Race(results, max(lane.threads for lane in lanes), of_seeds)


def _result(lane: Lane, addition: str = "") -> Result:
    students = max((len(turn.accuracies) for turn in lane.rounds), default=0) or len(SETTINGS)
    return Result(
        lane.contestant.title + addition,
        [turn.seconds for turn in lane.rounds],
        students,
        dict(lane.accuracies),
        lane.contestant.remark,
        lane.problem,
    )
