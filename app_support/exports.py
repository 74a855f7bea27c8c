"""What can be taken along: tables as CSV, figures as PNG."""

import io
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pandas as pd
import streamlit as st

from app_support.experiments import DistilRun, Task
from toolkit.grid import GridResult


def offer(label: str, file_name: str, make: Callable[[], str | bytes], help_text: str) -> None:
    """Offer a file, which is made once it is asked for."""
    kind = "text/csv" if file_name.endswith(".csv") else "image/png"
    st.download_button(
        label, make, file_name, kind, icon=":material/download:", on_click="ignore", help=help_text, key=file_name
    )


def curves_png(curves: dict[str, np.ndarray], teacher: float, title: str) -> bytes:
    """Draw accuracy curves for print."""
    from toolkit import plots

    buffer = io.BytesIO()
    plots.accuracy_curves(curves, teacher=teacher, title=title).savefig(buffer, format="png")
    return buffer.getvalue()


def surface_png(result: GridResult, chosen: tuple[int, int]) -> bytes:
    """Draw a surface for print."""
    from toolkit import plots

    buffer = io.BytesIO()
    plots.surface(result, chosen=chosen).savefig(buffer, format="png")
    return buffer.getvalue()


def _settings(task: Task) -> dict[str, object]:
    return asdict(task) | {"parameter": "; ".join(f"{name} = {value:g}" for name, value in task.parameter)}


def results_csv(runs: dict[int, DistilRun]) -> str:
    """One row per run, arm and seed: validation accuracy after the last epoch, and test accuracy."""
    rows = [
        {
            "run": number,
            **_settings(run.task),
            "temperature": run.temperature,
            "lam": run.lam,
            "arm": arm,
            "seed": seed,
            "val_accuracy": history[seed, -1],
            "test_accuracy": test[seed],
        }
        for number, run in runs.items()
        for (arm, history), test in zip(run.curves.items(), (run.alone_test, run.distilled_test), strict=True)
        for seed in range(len(test))
    ]
    return pd.DataFrame(rows).to_csv(index=False)


def history_csv(runs: dict[int, DistilRun]) -> str:
    """One row per run, arm, seed and epoch: validation accuracy."""
    rows = [
        {"run": number, "arm": arm, "seed": seed, "epoch": epoch + 1, "val_accuracy": history[seed, epoch]}
        for number, run in runs.items()
        for arm, history in run.curves.items()
        for seed, epoch in np.ndindex(*history.shape)
    ]
    return pd.DataFrame(rows).to_csv(index=False)


def surface_csv(result: GridResult, task: Task) -> str:
    """One row per T, λ and seed: the settings, validation accuracy, and its difference from the student alone."""
    difference = result.difference()
    rows = [
        {
            **_settings(task),
            "temperature": result.temperatures[t],
            "lam": result.lams[lam],
            "seed": result.seeds[seed],
            "val_accuracy": result.val_accuracy[t, lam, seed],
            "difference_from_alone": difference[t, lam, seed],
        }
        for t, lam, seed in np.ndindex(*difference.shape)
    ]
    return pd.DataFrame(rows).to_csv(index=False)
