"""How fast is the grid? The same 64 students, trained as a tutorial does it and in one ``train_grid`` call.

The two take turns in one process, because such machines drift; the teacher is trained beforehand for both. The
tutorial's loop has a DataLoader, runs the convolutional teacher in every step, and trains one student after another;
model, first weights, optimizer, schedule, batch size and validation after every epoch are the same.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from bench.tables import Report
from toolkit import metrics, models
from toolkit.data import load, seeded_generator
from toolkit.grid import train_grid
from toolkit.training import Recipe, Teacher, train_teacher

TEMPERATURES = (1, 2, 3, 4, 6, 8, 12, 20)
LAMS = (0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1)
EPOCHS = 20
STUDENT = "mlp-32"
WANTED_RATIO = 40


@dataclass(frozen=True)
class Speed:
    """Seconds of each round, and the mean test accuracy that each way reached."""

    tutorial: list[float]
    grid: list[float]
    tutorial_accuracy: float
    grid_accuracy: float
    students_of_the_tutorial: int

    @property
    def equal_accuracy(self) -> bool:
        """Whether both ways reach the same mean accuracy, within half a point for 64 students: another order of batches
        moves a single student by about a point.
        """
        return abs(self.tutorial_accuracy - self.grid_accuracy) < 0.04 / self.students_of_the_tutorial**0.5

    @property
    def ratio(self) -> float:
        """How many times faster the grid is, medians over rounds, for the same number of students."""
        share = self.students_of_the_tutorial / (len(TEMPERATURES) * len(LAMS))
        return float(np.median(self.tutorial) / share / np.median(self.grid))

    def table(self) -> str:
        """Write both ways as a Markdown table."""
        comparable = "" if self.equal_accuracy else " NOT comparable: their accuracies differ."
        lines = ["| 64 students, 20 epochs | median s | min | max | test accuracy |", "|---|---|---|---|---|"]
        name = f"tutorial-style loop ({self.students_of_the_tutorial} of 64 students)"
        for way, seconds, accuracy in (
            (name, self.tutorial, self.tutorial_accuracy),
            ("one train_grid call", self.grid, self.grid_accuracy),
        ):
            times = f"{np.median(seconds):.3f} | {min(seconds):.3f} | {max(seconds):.3f}"
            lines.append(f"| {way} | {times} | {100 * accuracy:.2f} % |")
        return "\n".join(
            [
                *lines,
                "",
                f"The grid is **{self.ratio:.0f} times** faster, {torch.get_num_threads()} threads.{comparable}",
            ]
        )


def run(quick: bool = False) -> Report:
    """Measure both ways, and give the table."""
    measured = _measure(quick)
    holds = measured.ratio >= WANTED_RATIO and measured.equal_accuracy
    return Report("How fast is the grid?", measured.table(), holds)


def _measure(quick: bool) -> Speed:
    """Measure both ways in turn. The slow one trains all 64 students, three times; quick: two students, once."""
    teacher = train_teacher(load("digits"))
    arms: list[tuple[float, float]] = [(temperature, lam) for temperature in TEMPERATURES for lam in LAMS]
    every = len(arms) // 2 if quick else 1  # of so many arms the tutorial trains one
    arms = arms[::every]
    tutorial, grid = [], []
    tutorial_accuracy = grid_accuracy = 0.0
    _grid(teacher, every)  # the first call warms up
    for _ in range(1 if quick else 3):
        for _ in range(3):
            seconds, grid_accuracy = _timed(lambda: _grid(teacher, every))
            grid.append(seconds)
        seconds, tutorial_accuracy = _timed(lambda: _tutorial(teacher, arms))
        tutorial.append(seconds)
    return Speed(tutorial, grid, tutorial_accuracy, grid_accuracy, len(arms))


def _timed(work: Callable[[], float]) -> tuple[float, float]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _grid(teacher: Teacher, every: int) -> float:
    """Train all students; gives the mean test accuracy of those that the tutorial trains too."""
    result = train_grid(
        teacher.dataset,
        student=STUDENT,
        temperatures=TEMPERATURES,
        lams=LAMS,
        seeds=1,
        epochs=EPOCHS,
        teacher=teacher,
    )
    return float(result.accuracy.flatten()[::every].mean())


def _tutorial(teacher: Teacher, arms: list[tuple[float, float]]) -> float:
    return float(np.mean([_one_tutorial_student(teacher, temperature, lam) for temperature, lam in arms]))


def _one_tutorial_student(teacher: Teacher, temperature: float, lam: float) -> float:
    """What tutorials print, as they print it: here the loss is spelled out, as a reader finds it there."""
    dataset, recipe = teacher.dataset, Recipe(epochs=EPOCHS)
    student = models.build(STUDENT, dataset, seed=0)
    loader = DataLoader(
        TensorDataset(dataset.x_train, dataset.y_train),
        batch_size=recipe.batch_size,
        shuffle=True,
        generator=seeded_generator(0, "batches"),
    )
    optimizer, schedule = recipe.optimizer_for(list(student.parameters()), len(dataset.x_train))
    teacher.model.eval()
    for _ in range(recipe.epochs):
        student.train()
        for x, labels in loader:
            with torch.no_grad():
                teacher_logits = teacher.model(x)
            student_logits = student(x)
            soft = F.kl_div(
                F.log_softmax(student_logits / temperature, dim=1),
                F.softmax(teacher_logits / temperature, dim=1),
                reduction="batchmean",
            )
            loss = (1 - lam) * F.cross_entropy(student_logits, labels) + lam * temperature**2 * soft
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        student.eval()
        with torch.no_grad():
            metrics.accuracy(student(dataset.x_val), dataset.y_val)
    with torch.no_grad():
        return metrics.accuracy(student(dataset.x_test), dataset.y_test)
