"""What can be taken along: figures drawn for print, and tables as CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from app_support import scenes
from app_support.charts import Cost, Dot
from app_support.experiments import DistilRun, SideBySide, Surface, in_words
from app_support.method_runs import MethodRun
from app_support.soft_view import Example
from app_support.tasks import Task
from app_support.words import language, say
from toolkit import losses
from toolkit.readable import ReadableTree

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# ---- Figures: each says above it what it is about ------------------------------------------------------------


def bars_figure(example: Example, temperature: float, description: str) -> "Figure":
    """Draw the bars of one example, or of a drawing, for print."""
    from toolkit import plots

    figure = plots.soft_target_bars(
        torch.tensor(example.teacher_logits),
        example.class_names,
        (temperature,),
        student_logits=torch.tensor(example.student_logits),
        label=example.label,
        image=torch.tensor(example.x),
        language=language(),
    )
    return plots.describe(figure, description)


def matrix_figure(matrix: np.ndarray, names: Sequence[str], description: str) -> "Figure":
    """Draw a dark-knowledge matrix for print."""
    from toolkit import plots

    return plots.describe(plots.dark_knowledge(matrix, names, language=language()), description)


def curves_figure(run: DistilRun, others: Mapping[str, DistilRun]) -> "Figure":
    """Draw the accuracy curves of a run for print, with the distilled students of other runs."""
    from toolkit import plots

    figure = plots.accuracy_curves(run.curves_beside(others), teacher=run.teacher_val, language=language())
    return plots.describe(figure, run.words, *(f"{name}: {other.words}" for name, other in others.items()))


def differences_figure(result: SideBySide) -> "Figure":
    """Draw differences from the student alone for print."""
    from toolkit import plots

    intervals = {say(f"scenario.{label}"): interval for label, interval in result.differences().items()}
    return plots.describe(plots.differences(intervals, language=language()), result.words)


def surface_figure(surface: Surface, chosen: tuple[int, int]) -> "Figure":
    """Draw a surface for print."""
    from toolkit import plots

    return plots.describe(plots.surface(surface.scores, chosen=chosen, language=language()), in_words(surface.done))


def sizes_figure(models: Sequence[Cost], front: Sequence[Cost], title: str, description: str) -> "Figure":
    """Draw accuracy against a cost for print."""
    from toolkit import plots

    roles = {role: say(f"scenes.role_{role}") for role in scenes.ROLES}
    drawn, ahead = ([plots.Model(*one) for one in part] for part in (models, front))
    figure = plots.accuracy_against_cost(drawn, ahead, xlabel=title, roles=roles, language=language())
    return plots.describe(figure, description)


def dots_figure(dots: Sequence[Dot], description: str) -> "Figure":
    """Draw methods as dots with their intervals for print."""
    from toolkit import plots

    intervals = {dot.name: dot.difference for dot in dots}
    figure = plots.differences(intervals, xlabel=say("chart.points_above"), language=language())
    return plots.describe(figure, description)


def tree_figure(tree: ReadableTree, index: int) -> "Figure":
    """Draw a tree with the path of one test example for print."""
    from toolkit import plots

    figure = plots.decision_tree(tree, followed=tree.dataset.x_test[index], language=language())
    return plots.describe(figure, say("scenes.tree_described", name=tree.dataset.name, index=index))


# ---- Tables --------------------------------------------------------------------------------------------------


def bars_csv(example: Example, temperature: float) -> str:
    """One row per class: the soft targets of teacher and student."""
    table = {"class": example.class_names, "is_label": [c == example.label for c in range(len(example.class_names))]}
    for who, logits in (("teacher", example.teacher_logits), ("student", example.student_logits)):
        table[who] = losses.soft_targets(torch.tensor(logits), temperature).tolist()
    return pd.DataFrame(table | {"temperature": temperature}).to_csv(index=False)


def matrix_csv(matrix: np.ndarray, names: Sequence[str]) -> str:
    """One row per true class: the mean soft target of each class."""
    return pd.DataFrame(matrix, index=pd.Index(names, name="true class"), columns=names).to_csv()


def _settings(task: Task) -> dict[str, object]:
    parameter = "; ".join(f"{name} = {value:g}" for name, value in task.parameter)
    return asdict(task) | {"parameter": parameter}


def _arm(arm: str, temperature: float, lam: float) -> dict[str, object]:
    """Name an arm with its weights: the student alone learns from labels, without a term that T or λ_f could change."""
    if arm == "student alone":
        return {"arm": arm, "temperature": None, "lam": 0.0, "penalty_weight": 0.0}
    return {"arm": arm, "temperature": temperature, "lam": lam}


def results_csv(runs: Mapping[int, DistilRun]) -> str:
    """One row per run, arm and seed: validation accuracy after the last epoch, and test accuracy of a finished run."""
    rows = [
        {
            "run": number,
            **_settings(run.task),
            "epochs_done": run.epochs_done,
            **_arm(arm, run.temperature, run.lam),
            "seed": seed,
            "val_accuracy": history[place, -1],
            "test_accuracy": None if test is None else test[place],
        }
        for number, run in runs.items()
        for (arm, history), test in zip(run.curves.items(), (run.alone_test, run.distilled_test), strict=True)
        for place, seed in enumerate(run.task.seed_numbers)
    ]
    return pd.DataFrame(rows).to_csv(index=False)


def history_csv(runs: Mapping[int, DistilRun]) -> str:
    """One row per run, arm, seed and epoch: validation accuracy."""
    rows = [
        {
            "run": number,
            "arm": arm,
            "seed": run.task.seed_numbers[place],
            "epoch": epoch + 1,
            "val_accuracy": history[place, epoch],
        }
        for number, run in runs.items()
        for arm, history in run.curves.items()
        for place, epoch in np.ndindex(*history.shape)
    ]
    return pd.DataFrame(rows).to_csv(index=False)


def side_by_side_csv(result: SideBySide) -> str:
    """One row per scenario, arm and seed: validation and test accuracy after the last epoch."""
    rows = [
        {
            "row": label,
            **_settings(task),
            **_arm(arm, result.temperature, result.lam),
            "seed": seed,
            "val_accuracy": val[row, place],
            "test_accuracy": test[row, place],
        }
        for row, (label, task) in enumerate(result.rows.items())
        for arm, val, test in (
            ("student alone", result.alone_val, result.alone_test),
            ("distilled", result.distilled_val, result.distilled_test),
        )
        for place, seed in enumerate(task.seed_numbers)
    ]
    return pd.DataFrame(rows).to_csv(index=False)


def surface_csv(surface: Surface) -> str:
    """One row per T, λ and seed: the settings, validation accuracy, and its difference from the student alone."""
    scores = surface.scores
    difference = scores.difference()
    rows = [
        {
            **_settings(surface.done),
            "temperature": scores.temperatures[t],
            "lam": scores.lams[lam],
            "seed": scores.seeds[seed],
            "val_accuracy": scores.val_accuracy[t, lam, seed],
            "difference_from_alone": difference[t, lam, seed],
        }
        for t, lam, seed in np.ndindex(*difference.shape)
    ]
    return pd.DataFrame(rows).to_csv(index=False)


def records_csv(rows: Sequence[Any]) -> str:
    """One row per record, a dataclass, under the names of its fields."""
    return pd.DataFrame([asdict(row) for row in rows]).to_csv(index=False)


def method_runs_csv(runs: Sequence[MethodRun]) -> str:
    """One row per run, arm and seed: validation and test accuracy after the last epoch."""
    rows = [
        {
            "method": run.settings.method,
            "setting": "; ".join(f"{name} = {value:g}" for name, value in run.settings.setting.items()),
            **_settings(run.settings.task),
            "arm": arm,
            "seed": run.settings.task.seed_numbers[place],
            "val_accuracy": val[place],
            "test_accuracy": test[place],
        }
        for run in runs
        for arm, val, test in (
            ("student alone", run.alone_val, run.alone_test),
            (run.settings.method, run.taught_val, run.taught_test),
        )
        for place in range(run.parts)
    ]
    return pd.DataFrame(rows).to_csv(index=False)
