"""Does fast mean the same? Our losses against those that others write, and the stacked students against those one by one.

``python -m bench.agreement`` prints the differences of the losses as JSON: in the peers' environment for torchdistill's too.
"""

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.contestants import Setting, cached_teacher, spelled_out_loss, torchdistill_loss
from toolkit import losses
from toolkit.data import seeded_generator
from toolkit.grid import train_grid
from toolkit.training import Recipe, predict, train_student

TEMPERATURES = (1, 2, 4, 8, 20)
LAMS = (0, 0.3, 0.7, 0.9)  # not 1, where torchdistill's alpha is 0 and its loss another one
BATCHES = 8


def loss_differences() -> dict[str, float]:
    """Largest difference |theirs − ours| / max(1, |ours|) over T, λ and batches of random and of real logits."""
    differences: dict[str, list[float]] = {}
    for student_logits, teacher_logits, labels in [*_random_logits(), *_real_logits()]:
        for temperature in TEMPERATURES:
            for lam in LAMS:
                given = (student_logits, teacher_logits, labels)
                ours = losses.distillation_loss(*given, temperature=temperature, lam=lam).item()
                theirs = {"tutorial": spelled_out_loss(*given, temperature, lam)}
                if importlib.util.find_spec("torchdistill"):
                    theirs["KDLoss"] = torchdistill_loss(temperature, lam)(*given)
                for name, value in theirs.items():
                    differences.setdefault(name, []).append(abs(value.item() - ours) / max(1, abs(ours)))
    return {name: max(values) for name, values in differences.items()}


def _random_logits() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    generator = seeded_generator(0, "loss values")
    for _ in range(BATCHES):
        student_logits, teacher_logits = torch.randn(2, 64, 10, generator=generator)
        yield 3 * student_logits, 3 * teacher_logits, torch.randint(10, (64,), generator=generator)


def _real_logits() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Those of the teacher, and of a student after its first epoch."""
    teacher = cached_teacher()
    dataset = teacher.dataset
    student = train_student(dataset, recipe=Recipe(epochs=1), teacher=teacher)
    parts = (predict(student.model, dataset.x_train), teacher.train_logits, dataset.y_train)
    yield from list(zip(*(part.split(64) for part in parts), strict=True))[:BATCHES]


@dataclass(frozen=True)
class StudentDifferences:
    """Stacked against one by one: accuracies of each student (in points), and the weights of all of them."""

    accuracy_max: float
    accuracy_mean: float
    weight_median: float
    weight_max: float


def student_differences(settings: list[Setting], epochs: int) -> StudentDifferences:
    """Train the students of the settings, a whole T × λ grid, in one stack and one by one, and compare."""
    teacher = cached_teacher()
    temperatures, lams = (list(dict.fromkeys(values)) for values in zip(*settings, strict=True))
    result = train_grid(teacher.dataset, temperatures=temperatures, lams=lams, seeds=1, epochs=epochs, teacher=teacher)
    accuracies, weights = [], []
    for temperature, lam in settings:
        alone = train_student(
            teacher.dataset, temperature=temperature, lam=lam, recipe=Recipe(epochs=epochs), teacher=teacher
        )
        t, at = temperatures.index(temperature), lams.index(lam)
        accuracies.append(abs(alone.test_accuracy - result.accuracy[t, at, 0]))
        for name, weight in alone.model.state_dict().items():
            weights.append((weight.cpu() - result.weights[name][t, at, 0].cpu()).abs().flatten())
    all_weights = torch.cat(weights).numpy()
    return StudentDifferences(
        100 * float(max(accuracies)),
        100 * float(np.mean(accuracies)),
        float(np.median(all_weights)),
        float(all_weights.max()),
    )


if __name__ == "__main__":
    print(json.dumps(loss_differences()))
