"""What can be taken along of *Distil* and *Surface*: tables as CSV, and figures drawn for print."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from app_support.experiments import DistilRun, SideBySide, Surface
from app_support.tasks import Task
from app_support.words import language
from toolkit import metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves_figure(curves: Mapping[str, np.ndarray], teacher: float, title: str) -> "Figure":
    """Draw accuracy curves for print."""
    from toolkit import plots

    return plots.accuracy_curves(curves, teacher=teacher, title=title, language=language())


def differences_figure(intervals: Mapping[str, metrics.Interval]) -> "Figure":
    """Draw differences from the student alone for print."""
    from toolkit import plots

    return plots.differences(intervals, language=language())


def surface_figure(surface: Surface, chosen: tuple[int, int]) -> "Figure":
    """Draw a surface for print."""
    from toolkit import plots

    return plots.surface(surface.scores, chosen=chosen, language=language())


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
