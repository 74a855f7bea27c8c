"""The experiments behind *Distil* and *Surface*: how they are ordered, and what is said of what came out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from app_support import resources
from app_support.jobs import Watch, trainer
from app_support.pipe import Arrays, Message
from app_support.tasks import Task
from app_support.words import say
from toolkit import metrics
from toolkit.grid import GridScores


def in_words(task: Task) -> str:
    """Say in one line what is trained."""
    line = say(
        "distil.task",
        dataset=resources.title(task.dataset),
        scenario=scenario_in_words(task),
        student=task.student,
        epochs=epochs_in_words(task),
        seeds=seeds_in_words(task),
    )
    if task.penalty_weight:
        line += f", λ_f = {task.penalty_weight:g} ({task.norm.upper()})"
    return line


def settings_in_words(task: Task, temperature: float, lam: float) -> str:
    """Say in one line what is trained, and how."""
    return f"T = {temperature:g}, λ = {lam:g}; {in_words(task)}"


def epochs_in_words(task: Task) -> str:
    """Say how many epochs there are."""
    return say("distil.one_epoch") if task.epochs == 1 else say("distil.epochs", count=task.epochs)


def seeds_in_words(task: Task) -> str:
    """Say how many seeds there are, and which where they do not begin with 0."""
    seeds = say("distil.one_seed") if task.seeds == 1 else say("distil.seeds", count=task.seeds)
    if task.first_seed:
        return say("distil.seeds_from", seeds=seeds, first=task.first_seed, last=task.seed_numbers[-1])
    return seeds


def scenario_in_words(task: Task) -> str:
    """Say what the student is given."""
    scenario = "all-labels" if task.takes_all else task.scenario
    return say(f"scenario.{scenario}_sentence", **parameter_in_words(task))


def parameter_in_words(task: Task) -> dict[str, float | str]:
    """Give the scenario's parameter as people say it: a number, or the name of the class that is left out."""
    if task.scenario == "class-left-out":
        return {"left_out": resources.class_title(task.dataset, task.left_out)}
    if task.scenario == "noisy-labels":
        return {"noise": f"{100 * dict(task.parameter)['noise']:.0f} %"}
    return {name: int(value) if float(value).is_integer() else value for name, value in task.parameter}


def points(difference: metrics.Interval) -> str:
    """Write a difference of accuracies in percentage points with its interval."""
    text = say("distil.points", points=metrics.signed_points(difference.mean))
    if np.isfinite(difference.low):
        text += f" [{metrics.signed_points(difference.low)}, {metrics.signed_points(difference.high)}]"
    return text


def outcome(difference: metrics.Interval) -> str:
    """Give "above", "below" or "same" (no measurable difference): also the codes of the page's question."""
    return {"better": "above", "worse": "below"}.get(metrics.verdict(difference), "same")


# ---- Distil --------------------------------------------------------------------------------------------------


class Settings(NamedTuple):
    """What a run is about."""

    task: Task
    temperature: float
    lam: float


@dataclass(frozen=True)
class DistilRun:
    """One comparison: the student alone and the distilled one, from the same seeds, as far as it has come."""

    task: Task
    temperature: float
    lam: float
    val_examples: int  # behind each validation accuracy
    teacher_val: float
    teacher_test: float
    alone: np.ndarray  # validation accuracy (seeds, epochs done)
    distilled: np.ndarray
    # After the last epoch, (seeds,); the latter two on the test examples of the class that was left out, if one was.
    alone_test: np.ndarray | None = None
    distilled_test: np.ndarray | None = None
    alone_left_out: np.ndarray | None = None
    distilled_left_out: np.ndarray | None = None

    @property
    def curves(self) -> dict[str, np.ndarray]:
        """Validation accuracy (seeds, epochs) of the two arms, by the names that ``toolkit.plots`` has for them."""
        return {"student alone": self.alone, "distilled": self.distilled}

    def curves_beside(self, others: Mapping[str, "DistilRun"]) -> dict[str, np.ndarray]:
        """Give its curves, and those of the distilled students of other runs by the names that these are given."""
        return self.curves | {name: other.distilled for name, other in others.items()}

    @property
    def settings(self) -> Settings:
        """What it is about."""
        return Settings(self.task, self.temperature, self.lam)

    @property
    def epochs_done(self) -> int:
        """Epochs that both arms have had."""
        return self.distilled.shape[1]

    @property
    def partial(self) -> bool:
        """Whether it ended, or stands, before its last epoch."""
        return self.epochs_done < self.task.epochs

    def until(self, epoch: int | None) -> "DistilRun":
        """Give the run as it was after an epoch; None: as it is."""
        if epoch is None or epoch >= self.task.epochs:
            return self
        cut = {"alone": self.alone[:, :epoch], "distilled": self.distilled[:, :epoch]}
        unknown = dict.fromkeys(("alone_test", "distilled_test", "alone_left_out", "distilled_left_out"))
        return replace(self, **cut, **unknown)  # type: ignore[arg-type]

    @property
    def difference(self) -> metrics.Interval:
        """The paired difference on validation after the last epoch: distilled minus alone."""
        return metrics.confidence_interval(self.distilled[:, -1] - self.alone[:, -1], examples=self.val_examples)

    @property
    def left_out_difference(self) -> metrics.Interval | None:
        """The paired difference on the test examples of the class that was left out, if one was."""
        if self.alone_left_out is None or self.distilled_left_out is None:
            return None
        examples = int((resources.dataset(self.task.dataset).y_test == self.task.left_out).sum())
        return metrics.confidence_interval(self.distilled_left_out - self.alone_left_out, examples=examples)

    @property
    def is_alone(self) -> bool:
        """Whether the distilled student is the student alone once more, because neither term differs."""
        return self.lam == 0 and self.task.penalty_weight == 0

    @property
    def words(self) -> str:
        """Say what tells the runs apart."""
        return settings_in_words(*self.settings)

    @property
    def verdict(self) -> str:
        """Say in one sentence what happened."""
        task, difference = self.task, self.difference
        unlike = say("distil.unlike", weight=f"{task.penalty_weight:g}") if task.penalty_weight else ""
        if self.partial:
            return say("distil.verdict_partial", done=self.epochs_done, epochs=task.epochs)
        if self.is_alone:
            return say("distil.verdict_alone")
        if task.seeds == 1:
            return say("distil.verdict_one_seed", points=points(difference), unlike=unlike)
        step = 100 / self.val_examples
        what = say(
            "distil.verdict_what",
            seeds=task.seeds,
            examples=self.val_examples,
            step=f"{step:.1g}" if step < 1 else f"{step:.2g}",
        )
        return say(
            f"distil.verdict_{outcome(difference)}",
            unlike=unlike,
            points=points(difference),
            mean=f"{100 * float(difference.mean):+.1f}",
            low=f"{100 * float(difference.low):+.1f}",
            high=f"{100 * float(difference.high):+.1f}",
            what=what,
        )

    @property
    def advice(self) -> str:
        """Say what to look at where distillation did not pay; empty where it did."""
        if self.partial:
            return ""
        if self.is_alone:
            return say("distil.advice", ideas=say("distil.advice_lam"))
        if self.task.seeds > 1 and outcome(self.difference) == "above":
            return ""
        ahead = self.teacher_val - float(self.alone[:, -1].mean())
        ideas = []
        wide = float(self.difference.high - self.difference.low) > 0.04
        if self.task.seeds < 5 or (wide and self.task.seeds < 20):
            more = 10 if self.task.seeds < 10 else 20
            ideas.append(say("distil.advice_seeds", seeds=self.task.seeds, more=more))
        if ahead < 0.01:
            ideas.append(say("distil.advice_teacher", ahead=f"{100 * ahead:+.1f}"))
        if self.lam == 0:
            ideas.append(say("distil.advice_lam"))
        if self.task.epochs < 200:
            ideas.append(say("distil.advice_budget"))
        ideas.append(say("distil.advice_capacity"))
        return say("distil.advice", ideas=say("distil.advice_and").join(ideas))


def distil_order(task: Task, temperature: float, lam: float) -> Message:
    """Write the order for one comparison."""
    return {"kind": "distil", "temperature": temperature, "lam": lam, **_with_data(task)}


def start_distil(task: Task, temperature: float, lam: float) -> Watch:
    """Have the student alone and the distilled student trained."""

    def read(values: dict[str, Any], arrays: Arrays) -> DistilRun:
        return DistilRun(task, temperature, lam, **values | arrays)

    return trainer.order(distil_order(task, temperature, lam), read, _arrays(task))


# ---- Scenarios side by side ----------------------------------------------------------------------------------

TINY = "tiny"  # the row that shows where distillation fails: a small student, all labels, few epochs


@dataclass(frozen=True)
class SideBySide:
    """The same settings in every scenario: accuracy after the last epoch, each (rows, seeds)."""

    rows: dict[str, Task]
    temperature: float
    lam: float
    val_examples: int
    teacher_val: float
    teacher_test: float
    alone_val: np.ndarray
    distilled_val: np.ndarray
    alone_test: np.ndarray
    distilled_test: np.ndarray

    @property
    def parts(self) -> int:
        """How many rows are done."""
        return len(self.rows)

    @property
    def words(self) -> str:
        """Say what is compared."""
        return side_by_side_in_words(next(iter(self.rows.values())), self.temperature, self.lam)

    def differences(self) -> dict[str, metrics.Interval]:
        """Give the paired difference on validation for each row."""
        return {
            label: metrics.confidence_interval(distilled - alone, examples=self.val_examples)
            for label, distilled, alone in zip(self.rows, self.distilled_val, self.alone_val, strict=True)
        }


def side_by_side_rows(task: Task) -> dict[str, Task]:
    """Put the task into every scenario, each with its usual parameter, and add the case that is known to fail."""
    dataset = resources.dataset(task.dataset)
    rows = {}
    for name, parameter in resources.usual_parameters(dataset).items():
        chosen = task.parameter if name == task.scenario else parameter
        rows[name] = replace(task, scenario=name, parameter=chosen)
    rows[TINY] = replace(task, scenario="all-labels", parameter=(), student="mlp-16", epochs=min(task.epochs, 40))
    return rows


def side_by_side_in_words(task: Task, temperature: float, lam: float) -> str:
    """Say what is trained in all scenarios."""
    return say(
        "distil.all_words",
        count=len(side_by_side_rows(task)),
        temperature=f"{temperature:g}",
        lam=f"{lam:g}",
        student=task.student,
        epochs=epochs_in_words(task),
        seeds=seeds_in_words(task),
    )


def start_side_by_side(task: Task, temperature: float, lam: float) -> Watch:
    """Have both students trained in every scenario."""
    rows = side_by_side_rows(task)
    order = {
        "kind": "scenarios",
        "temperature": temperature,
        "lam": lam,
        "rows": {label: asdict(row) for label, row in rows.items()},
        **_with_data(task),
    }

    def read(values: dict[str, Any], arrays: Arrays) -> SideBySide:
        done = {label: rows[label] for label in values["rows"]}
        plain: dict[str, Any] = {name: value for name, value in values.items() if name != "rows"}
        return SideBySide(done, temperature, lam, **plain | arrays)

    return trainer.order(order, read, _arrays(task))


# ---- Surface -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Surface:
    """The scores of a surface so far, and its teacher's."""

    task: Task  # as it was ordered
    scores: GridScores
    teacher_val: float
    teacher_test: float

    @property
    def parts(self) -> int:
        """How many seeds are done."""
        return len(self.scores.seeds)

    @property
    def partial(self) -> bool:
        """Whether seeds are missing that were ordered."""
        return self.parts < self.task.seeds

    @property
    def done(self) -> Task:
        """The task as far as it was done: with the seeds that there are."""
        return replace(self.task, seeds=self.parts)

    def best_corner(self) -> tuple[str, float, float]:
        """Say in which corner the cell lies that validation chose, and from which T and λ on it is high.

        The corner is called "high_low" for high T and low λ, and "alone" where λ is 0, so that T is nothing.
        """
        t, lam = self.scores.best_cell()
        middle_t = float(np.median(self.scores.temperatures))
        middle_lam = float(np.median([value for value in self.scores.lams if value]))
        if self.scores.lams[lam] == 0:
            return "alone", middle_t, middle_lam
        highs = self.scores.temperatures[t] >= middle_t, self.scores.lams[lam] >= middle_lam
        return "_".join("high" if high else "low" for high in highs), middle_t, middle_lam


def surface_order(task: Task, temperatures: Sequence[float], lams: Sequence[float]) -> Message:
    """Write the order for a surface; λ = 0, the student alone, is always in it."""
    return {
        "kind": "surface",
        "temperatures": sorted(float(value) for value in temperatures),
        "lams": sorted({0.0, *lams}),
        **_with_data(task),
    }


def start_surface(task: Task, temperatures: Sequence[float], lams: Sequence[float]) -> Watch:
    """Have a surface trained seed after seed; ``interim`` holds the seeds that are done."""

    def read(values: dict[str, Any], arrays: Arrays) -> Surface:
        scores: dict[str, Any] = dict(arrays)
        for name, value in values["scores"].items():
            scores[name] = tuple(value) if isinstance(value, list) else value
        return Surface(task, GridScores(**scores), values["teacher_val"], values["teacher_test"])

    return trainer.order(surface_order(task, temperatures, lams), read, _arrays(task))


def _with_data(task: Task) -> dict[str, Any]:
    own = resources.own(task.dataset)
    return {"task": asdict(task)} | ({} if own is None else {"own": own.order})


def _arrays(task: Task) -> Arrays:
    own = resources.own(task.dataset)
    return {} if own is None else {"content": np.frombuffer(own.content, np.uint8)}
