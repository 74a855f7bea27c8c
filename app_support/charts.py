"""Charts in Altair, for the screen; the same pictures for exports come from ``toolkit.plots``."""

from collections.abc import Mapping
from typing import Any, cast

import altair as alt
import numpy as np
import pandas as pd

from app_support.look import ALONE, DISTILLED, OTHERS, TEACHER, TEXT_SIZE
from toolkit import metrics
from toolkit.grid import GridResult

# Worse: purple; no difference: nearly white; better: orange. As matplotlib's PuOr_r, which toolkit.plots uses.
_DIVERGING = ("#542788", "#998ec3", "#d8daeb", "#f7f7f7", "#fee0b6", "#f1a340", "#b35806")
_TEXT: dict[str, Any] = {"labelFontSize": TEXT_SIZE, "titleFontSize": TEXT_SIZE}


def accuracy_curves(curves: Mapping[str, np.ndarray], teacher: float) -> alt.LayerChart:
    """Draw validation accuracy per epoch, (seeds, epochs) by name: mean over seeds with its 95 % band, labelled at the end."""
    others = iter(OTHERS * 20)
    colours = {name: {"student alone": ALONE, "distilled": DISTILLED}.get(name) or next(others) for name in curves}
    colours["teacher"] = TEACHER
    rows, ends, lowest = [], [("teacher", teacher)], teacher
    for name, history in curves.items():
        band = metrics.confidence_interval(history, axis=0)
        low, high = (np.where(np.isfinite(edge), edge, band.mean) for edge in (band.low, band.high))
        for epoch, values in enumerate(zip(band.mean, low, high, strict=True), 1):
            rows.append((name, epoch, *values, len(history)))
        ends.append((name, float(band.mean[-1])))
        lowest = min(lowest, float(band.mean[len(band.mean) // 4 :].min()))
    data = pd.DataFrame(rows, columns=["student", "epoch", "mean", "low", "high", "seeds"])
    epochs = int(data.epoch.max())
    bottom, top = max(0.0, lowest - 0.15 * (1 - lowest) - 0.01), 1.005
    right = 1 + max(epochs - 1, 1) * 1.32  # room for the labels
    x = alt.X(
        "epoch:Q",
        title="Epoch",
        scale=alt.Scale(domain=[1, right], nice=False),
        axis=alt.Axis(values=_ticks(epochs), format="d", grid=False, **_TEXT),
    )
    scale = alt.Scale(domain=[bottom, top], nice=False, zero=False)
    axis = alt.Axis(format=".0%" if top - bottom > 0.05 else ".1%", tickCount=5, title="Validation accuracy", **_TEXT)
    colour = alt.Color("student:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None)
    y = alt.Y("mean:Q", scale=scale, axis=axis)
    tooltip = [
        alt.Tooltip("student:N", title="Student"),
        alt.Tooltip("epoch:Q", title="Epoch"),
        alt.Tooltip("mean:Q", title="Mean over seeds", format=".2%"),
        alt.Tooltip("low:Q", title="95 % interval from", format=".2%"),
        alt.Tooltip("high:Q", title="to", format=".2%"),
        alt.Tooltip("seeds:Q", title="Seeds"),
    ]
    base = alt.Chart(data)
    band = base.mark_area(opacity=0.22, clip=True).encode(
        x=x, y=alt.Y("low:Q", scale=scale, axis=axis), y2="high:Q", color=colour
    )
    line = base.mark_line(strokeWidth=3, clip=True, point=epochs == 1).encode(x=x, y=y, color=colour, tooltip=tooltip)
    level = pd.DataFrame({"student": ["teacher"], "mean": [teacher], "epoch": [1], "end": [epochs]})
    rule = alt.Chart(level).mark_rule(strokeWidth=3, strokeDash=[8, 5]).encode(x=x, x2="end:Q", y=y, color=colour)
    labels = pd.DataFrame(_apart(ends, 0.075 * (top - bottom)), columns=["student", "mean"]).assign(epoch=epochs)
    labels["short"] = labels.student.str.removeprefix("student ")  # a phone has no room for more
    text = (
        alt.Chart(labels)
        .mark_text(align="left", baseline="middle", dx=8, fontSize=TEXT_SIZE, fontWeight="bold")
        .encode(x=x, y=y, color=colour, text="short:N")
    )
    return cast(alt.LayerChart, alt.layer(band, rule, line, text)).properties(height=430)


def _ticks(epochs: int) -> list[int]:
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000) if epochs / step <= 6)
    return sorted({1, *range(step, epochs + 1, step)})


def _apart(ends: list[tuple[str, float]], gap: float) -> list[tuple[str, float]]:
    """Move labels up until each is ``gap`` above the one below; where they leave the chart, shift all down again."""
    placed: list[tuple[str, float]] = []
    for name, y in sorted(ends, key=lambda end: end[1]):
        placed.append((name, max(y, placed[-1][1] + gap) if placed else y))
    over = max(0.0, placed[-1][1] - 1.0)
    return [(name, y - over) for name, y in placed]


def surface(result: GridResult, chosen: tuple[int, int]) -> alt.LayerChart:
    """Draw T by λ: colour = difference from the student alone, hatched where its interval holds zero.

    The column λ = 0 is what the others are compared with: it stays plain, and is named. A solid ring marks the cell that validation chose, a dashed one the cell that is looked at.
    """
    difference = result.difference_interval()
    cells = pd.DataFrame(
        [
            {
                "row": t,
                "column": lam,
                "left": lam - 0.5,
                "right": lam + 0.5,
                "bottom": t - 0.5,
                "top": t + 0.5,
                "temperature": result.temperatures[t],
                "lam": result.lams[lam],
                "points": 100 * float(difference.mean[t, lam]),
                "interval": _interval(float(difference.low[t, lam]), float(difference.high[t, lam])),
                "seeds": len(result.seeds),
                "held": bool(difference.holds_zero[t, lam]),
            }
            for t, lam in np.ndindex(difference.mean.shape)
        ]
    )
    limit = max(0.5, float(cells.points.abs().max()))
    x = alt.X(
        "left:Q",
        title="λ, the share of the soft part",
        scale=alt.Scale(domain=[-0.5, len(result.lams) - 0.5], nice=False, zero=False),
        axis=_names_axis(result.lams),
    )
    y = alt.Y(
        "bottom:Q",
        title="Temperature T",
        scale=alt.Scale(domain=[-0.5, len(result.temperatures) - 0.5], nice=False, zero=False),
        axis=_names_axis(result.temperatures),
    )
    place = {"x": x, "x2": "right:Q", "y": y, "y2": "top:Q"}
    colour = alt.Color(
        "points:Q",
        scale=alt.Scale(domain=np.linspace(-limit, limit, len(_DIVERGING)).tolist(), range=list(_DIVERGING)),
        legend=alt.Legend(
            title="Points above the student alone",
            orient="bottom",
            gradientLength=240,
            tickCount=5,
            format="+.1f",
            titleLimit=400,
            **_TEXT,
        ),
    )
    fill = alt.Chart(cells).mark_rect(stroke="white", strokeWidth=1).encode(**place, color=colour)
    hatch = (
        alt.Chart(_hatching(cells[cells.held & (cells.lam != 0)]))
        .mark_rule(color="#5a5a5a", strokeWidth=1.2)
        .encode(x=x, x2="right:Q", y=y, y2="top:Q")
    )
    middle = pd.DataFrame({"left": [result.lams.index(0)], "bottom": [(len(result.temperatures) - 1) / 2]})
    name = alt.Chart(middle).mark_text(text="alone", angle=270, fontSize=TEXT_SIZE, color="#5a5a5a").encode(x=x, y=y)
    rings = []
    for (t, lam), dash in ((result.best_cell(), [1, 0]), (chosen, [5, 4])):
        cell = cells[(cells.row == t) & (cells.column == lam)]
        rings.append(
            alt.Chart(cell).mark_rect(fill=None, stroke="black", strokeWidth=4, strokeDash=dash).encode(**place)
        )
    selection = alt.selection_point(name="cell", fields=["row", "column"], toggle=False)
    touch = (
        alt.Chart(cells)
        .mark_rect(fill="white", opacity=0.001, cursor="pointer")
        .encode(
            **place,
            tooltip=[
                alt.Tooltip("temperature:Q", title="T"),
                alt.Tooltip("lam:Q", title="λ"),
                alt.Tooltip("points:Q", title="Mean difference, points", format="+.2f"),
                alt.Tooltip("interval:N", title="95 % interval"),
                alt.Tooltip("seeds:Q", title="Seeds"),
            ],
        )
        .add_params(selection)
    )
    layers = cast(alt.LayerChart, alt.layer(fill, hatch, name, *rings, touch))
    return layers.properties(height=max(260, 56 * len(result.temperatures) + 130))


def _interval(low: float, high: float) -> str:
    return f"{100 * low:+.2f} to {100 * high:+.2f}" if np.isfinite(low) else "unknown with one seed"


def _names_axis(values: tuple[float, ...]) -> alt.Axis:
    names = [f"{value:g}" for value in values]
    return alt.Axis(
        values=list(range(len(names))),
        labelExpr=f"{names}[datum.value]",
        grid=False,
        ticks=False,
        labelOverlap=True,
        **_TEXT,
    )


def _hatching(cells: pd.DataFrame) -> pd.DataFrame:
    """Diagonals across each cell: Vega has no pattern to fill with, so they are drawn as lines."""
    offsets = np.array([-0.5, 0.0, 0.5])  # of each line from the diagonal of the cell
    starts = np.stack([np.maximum(0, -offsets), np.maximum(0, offsets)], 1)  # (lines, x and y), within the unit cell
    ends = np.stack([np.minimum(1, 1 - offsets), np.minimum(1, 1 + offsets)], 1)
    rows = [
        (cell.left + start[0], cell.left + end[0], cell.bottom + start[1], cell.bottom + end[1])
        for cell in cells.itertuples()
        for start, end in zip(starts, ends, strict=True)
    ]
    return pd.DataFrame(rows, columns=["left", "right", "bottom", "top"], dtype=float)
