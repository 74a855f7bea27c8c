"""The experiments behind the pages *Distil* and *Surface*: what is asked for, how it is trained, what came out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from app_support import resources
from app_support.jobs import Job, Stopped
from toolkit import metrics, scenarios
from toolkit.grid import GridResult, train_grid


@dataclass(frozen=True)
class Task:
    """What a student is given, and what it may cost."""

    dataset: str
    scenario: str
    parameter: tuple[tuple[str, float], ...]  # of the scenario: a name and its value, or nothing
    student: str
    penalty_weight: float
    norm: str
    epochs: int
    seeds: int

    def get_scenario(self) -> scenarios.Scenario:
        """Give the scenario with its parameter."""
        return scenarios.get(self.scenario, **dict(self.parameter))

    @property
    def words(self) -> str:
        """Say in one line what is trained."""
        penalty = f", λ_f = {self.penalty_weight:g} ({self.norm.upper()})" if self.penalty_weight else ""
        seeds = "1 seed" if self.seeds == 1 else f"{self.seeds} seeds"
        return f"{self.dataset}, {self.get_scenario().sentence}; {self.student}, {self.epochs} epochs, {seeds}{penalty}"

    def work(self, arms: int) -> float:
        """How much there is to train: arms × seeds × epochs × examples."""
        examples = len(self.get_scenario().draw(resources.dataset(self.dataset), 0).indices)
        return arms * self.seeds * self.epochs * examples

    def is_quick(self, arms: int, limit: float) -> bool:
        """Whether so little is to train that it is done on arrival, without being asked. Convolutions never are."""
        return not self.student.startswith("cnn") and self.work(arms) <= limit


@dataclass(frozen=True)
class DistilRun:
    """One finished comparison: the student alone and the distilled one, from the same seeds."""

    task: Task
    temperature: float
    lam: float
    teacher_val: float
    teacher_test: float
    alone: np.ndarray  # validation accuracy (seeds, epochs)
    distilled: np.ndarray  # validation accuracy (seeds, epochs done)
    alone_test: np.ndarray  # (seeds,)
    distilled_test: np.ndarray  # (seeds,)

    @property
    def curves(self) -> dict[str, np.ndarray]:
        """Validation accuracy (seeds, epochs) of the two arms, by the names that ``toolkit.plots`` has for them."""
        return {"student alone": self.alone, "distilled": self.distilled}

    @property
    def partial(self) -> bool:
        """Whether the run was stopped before its last epoch."""
        return self.distilled.shape[1] < self.task.epochs

    @property
    def difference(self) -> metrics.Interval:
        """The paired difference on validation after the last epoch: distilled minus alone."""
        return metrics.confidence_interval(self.distilled[:, -1] - self.alone[:, -1], examples=self._examples)

    @property
    def _examples(self) -> int:
        return len(resources.dataset(self.task.dataset).y_val)

    @property
    def is_alone(self) -> bool:
        """Whether the distilled student is the student alone once more, because neither term differs."""
        return self.lam == 0 and self.task.penalty_weight == 0

    @property
    def words(self) -> str:
        """Say what tells the runs apart."""
        return f"T = {self.temperature:g}, λ = {self.lam:g}; {self.task.words}"

    @property
    def verdict(self) -> str:
        """Say in one sentence what happened."""
        difference, seeds, weight = self.difference, len(self.alone), self.task.penalty_weight
        unlike = f" (distilled with λ_f = {weight:g}, the student alone without it)" if weight else ""
        if self.partial:
            return (
                f"Stopped after {self.distilled.shape[1]} of {self.task.epochs} epochs: the two students had different "
                "training, so that this run says nothing about which is better."
            )
        if self.is_alone:
            return "Both arms are the same student: with λ = 0 and λ_f = 0 nothing distinguishes them."
        if seeds == 1:
            return (
                f"{metrics.in_points(difference)} for the distilled student with a single seed{unlike}, "
                "which says nothing about the spread between seeds: no verdict."
            )
        verdict = metrics.verdict(difference)
        what = f"paired, {seeds} seeds; {self._examples} validation examples, one is {100 / self._examples:.1g} points"
        if verdict == "no measurable difference":
            low, high = 100 * difference.low, 100 * difference.high
            return (
                f"No measurable difference{unlike}: the 95 % interval [{low:+.1f}, {high:+.1f}] of the difference "
                f"of {100 * difference.mean:+.1f} points on validation holds zero ({what})."
            )
        how = f"{metrics.in_points(difference)} on validation (95 % interval; {what})"
        return f"The distilled student is {verdict} than the same student alone{unlike}: {how}."

    @property
    def advice(self) -> str:
        """Say what to look at where nothing was measured; empty where something was."""
        if self.partial:
            return ""
        if self.is_alone:
            return "What to look at: **λ**: above 0 the teacher has a say."
        alone, teacher = float(self.alone[:, -1].mean()), self.teacher_val
        ideas = []
        if len(self.alone) < 5:
            ideas.append(f"**seeds**: {len(self.alone)} of them leave a wide interval, try 10")
        if len(self.alone) > 1 and not self.difference.holds_zero:
            return ""
        if teacher - alone < 0.01:
            ideas.append(
                f"**how good the teacher is**: on validation it is only {100 * (teacher - alone):+.1f} points ahead of the student "
                "alone, so there is little to gain; give the student less (few labels, noisy labels, 200 examples)"
            )
        if self.lam == 0:
            ideas.append("**λ**: at 0 the teacher has no say, and both students are the same up to λ_f")
        if self.task.epochs < 200:
            ideas.append("**budget**: soft targets often pay only after more epochs; test what 200 change")
        ideas.append("**capacity**: a larger student may follow the teacher's logits better; test another size")
        return "What to look at: " + "; ".join(ideas) + "."


def start_distil(task: Task, temperature: float, lam: float) -> Job:
    """Train the student alone and the distilled student in the background."""

    def work(job: Job) -> DistilRun:
        teacher = resources.teacher(
            task.dataset, job.report("Training the teacher (only the first time)", 0, 0.3), job.stop
        )
        arms: list[GridResult] = []
        for name, share, one_lam, weight in (("alone", 0.3, 0.0, 0.0), ("distilled", 0.65, lam, task.penalty_weight)):
            arm = train_grid(
                resources.dataset(task.dataset),
                task.get_scenario(),
                task.student,
                temperatures=(temperature,),
                lams=(one_lam,),
                seeds=task.seeds,
                epochs=task.epochs,
                penalty_weight=weight,
                norm=task.norm,
                teacher=teacher,
                progress=job.report(f"Training the student, {name}: {task.epochs} epochs", share, share + 0.35),
                stop=job.stop,
            )
            arms.append(arm)
            if arm.epochs_done == 0 or (arm.partial and name == "alone"):
                raise Stopped
        alone, distilled = arms
        return DistilRun(
            task,
            temperature,
            lam,
            teacher.val_accuracy,
            teacher.test_accuracy,
            alone.history[0, 0],
            distilled.history[0, 0],
            alone.accuracy[0, 0],
            distilled.accuracy[0, 0],
        )

    return Job(work)


def start_surface(task: Task, temperatures: Sequence[float], lams: Sequence[float]) -> Job:
    """Train a surface seed after seed; ``interim`` holds the seeds that are done."""

    def work(job: Job) -> GridResult:
        teacher = resources.teacher(
            task.dataset, job.report("Training the teacher (only the first time)", 0, 0.1), job.stop
        )
        for seed in range(task.seeds):
            low, step = 0.1 + 0.9 * seed / task.seeds, 0.9 / task.seeds
            part = train_grid(
                resources.dataset(task.dataset),
                task.get_scenario(),
                task.student,
                temperatures=sorted(temperatures),
                lams=sorted({0.0, *lams}),
                seeds=[seed],
                epochs=task.epochs,
                penalty_weight=task.penalty_weight,
                norm=task.norm,
                teacher=teacher,
                progress=job.report(f"Seed {seed + 1} of {task.seeds}", low, low + step),
                stop=job.stop,
            )
            if part.partial:
                break
            part = replace(part, weights={})  # thousands of students are not kept; nothing here asks for them again
            job.interim = part if job.interim is None else job.interim.joined(part)
        if job.interim is None:
            raise Stopped
        return job.interim

    return Job(work)
