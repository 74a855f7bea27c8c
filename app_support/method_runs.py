"""Small cases of the methods, trained while one looks: what can be chosen, how it is ordered, and what is said of what came out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from app_support.experiments import in_words, outcome, points
from app_support.jobs import Watch, trainer
from app_support.pipe import Arrays, Message
from app_support.tasks import Task
from app_support.words import catalogue, say
from toolkit import methods, metrics
from toolkit.methods import Setting

# Small enough to be watched: a few seconds for each seed.
TASKS = {
    "digits-200": ("digits", "small-transfer-set", (("examples", 200.0),), "cnn-4"),
    "digits": ("digits", "all-labels", (), "cnn-4"),
    "breast-cancer": ("breast-cancer", "all-labels", (), "mlp-8"),
}


def title(method: str) -> str:
    """Give the name of a method in the visitor's language; one that the catalogue does not know keeps its own."""
    key = f"scenes.method_{method}"
    return say(key) if key in catalogue() else method


def description(method: str) -> str:
    """Say in one line what a method does."""
    key = f"scenes.does_{method}"
    return say(key) if key in catalogue() else methods.get(method).sentence


class Settings(NamedTuple):
    """What a run is about: the task, the method, and which of its settings."""

    task: Task
    method: str
    choice: int

    @property
    def setting(self) -> Setting:
        """The method's own numbers."""
        return methods.get(self.method).settings[self.choice]

    @property
    def words(self) -> str:
        """Say what is trained."""
        values = {
            "method": title(self.method),
            "setting": methods.in_symbols(self.setting),
            "task": in_words(self.task),
        }
        return say("scenes.live_words", **values)


def make_task(name: str, epochs: int, seeds: int) -> Task:
    """Give one of the small tasks."""
    dataset, scenario, parameter, student = TASKS[name]
    return Task(dataset, scenario, parameter, student, 0.0, "l2", epochs, seeds)


@dataclass(frozen=True)
class MethodRun:
    """The student alone and the one that learned by a method, for the seeds that are done: accuracies, (seeds,)."""

    settings: Settings
    val_examples: int
    teacher_val: float
    teacher_test: float
    alone_val: np.ndarray
    taught_val: np.ndarray
    alone_test: np.ndarray
    taught_test: np.ndarray

    @property
    def parts(self) -> int:
        """How many seeds are done."""
        return len(self.alone_val)

    @property
    def partial(self) -> bool:
        """Whether seeds are missing that were ordered."""
        return self.parts < self.settings.task.seeds

    @property
    def difference(self) -> metrics.Interval:
        """The paired difference on validation: by the method minus alone."""
        return metrics.confidence_interval(self.taught_val - self.alone_val, examples=self.val_examples)

    @property
    def name(self) -> str:
        """Name it in a picture."""
        return f"{title(self.settings.method)}, {methods.in_symbols(self.settings.setting)}"

    @property
    def verdict(self) -> str:
        """Say in one sentence what happened, as far as it is known."""
        done = say("scenes.one_seed") if self.parts == 1 else say("scenes.seeds", count=self.parts)
        values = {"method": title(self.settings.method), "points": points(self.difference), "seeds": done}
        if self.parts == 1:
            return say("scenes.verdict_one_seed", **values)
        return say(f"scenes.verdict_{outcome(self.difference)}", **values)


def method_order(settings: Settings) -> Message:
    """Write the order for one method."""
    return {
        "kind": "method",
        "task": asdict(settings.task),
        "method": settings.method,
        "setting": settings.setting,
    }


def start(settings: Settings) -> Watch:
    """Have the student trained alone and by the method; ``interim`` holds the seeds that are done."""

    def read(values: dict[str, Any], arrays: Arrays) -> MethodRun:
        return MethodRun(settings, **values | arrays)

    return trainer.order(method_order(settings), read)


def of_the_same_task(runs: Sequence[MethodRun], shown: MethodRun) -> list[MethodRun]:
    """Give the runs that can stand in one picture with this one, the best first."""
    alike = [run for run in runs if run.settings.task == shown.settings.task]
    return sorted(alike, key=lambda run: float(run.difference.mean), reverse=True)
