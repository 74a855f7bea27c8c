"""Charts for the screen as Vega-Lite specifications; the same pictures for exports come from ``toolkit.plots``.

Plain dictionaries, as the browser gets them: to build a chart by Altair takes a tenth of a second, and students that are
trained meanwhile wait for it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from app_support.look import ALONE, DISTILLED, OTHERS, TEACHER, TEXT_SIZE
from app_support.words import say
from toolkit import metrics
from toolkit.grid import GridScores

Spec = dict[str, Any]

# Worse: purple; no difference: nearly white; better: orange. As matplotlib's PuOr_r, which toolkit.plots uses.
_DIVERGING = ("#542788", "#998ec3", "#d8daeb", "#f7f7f7", "#fee0b6", "#f1a340", "#b35806")
_BLUES = ("#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b")
_DASHES = {"student alone": [3, 3], "distilled": [1, 0], "teacher": [12, 5]}
_OTHER_DASH = [9, 3, 2, 3]  # earlier runs; their names stand at their ends
_TEXT: Spec = {"labelFontSize": TEXT_SIZE, "titleFontSize": TEXT_SIZE}
_HOLLOW: Spec = {"test": "datum.held", "value": {"expr": "background"}}  # where an interval holds zero, in any theme


def _number(field: str, **options: Any) -> Spec:
    return {"field": field, "type": "quantitative", **options}


def accuracy_curves(curves: Mapping[str, np.ndarray], teacher: float, epochs: int | None = None) -> Spec:
    """Draw validation accuracy per epoch, (seeds, epochs) by name: mean over seeds with its 95 % band, labelled at the end.

    ``epochs`` is how many there will be: the picture then keeps its place while curves grow. Lines differ in their dashes
    too, for whoever sees no colours.
    """
    others = iter(OTHERS * 20)
    colours = {name: {"student alone": ALONE, "distilled": DISTILLED}.get(name) or next(others) for name in curves}
    colours["teacher"] = TEACHER
    dashes = {name: _DASHES.get(name, _OTHER_DASH) for name in colours}
    rows: list[Spec] = []
    ends, lowest = [("teacher", teacher)], teacher
    for name, history in curves.items():
        band = metrics.confidence_interval(history, axis=0)
        low, high = (np.where(np.isfinite(edge), edge, band.mean) for edge in (band.low, band.high))
        for epoch, values in enumerate(np.stack([band.mean, low, high], 1).tolist(), 1):
            rows.append(
                {"student": name, "name": _name(name), "epoch": epoch, "seeds": len(history)}
                | dict(zip(("mean", "low", "high"), values, strict=True))
            )
        ends.append((name, float(band.mean[-1])))
        lowest = min(lowest, float(band.mean[len(band.mean) // 4 :].min()))
    last = max(row["epoch"] for row in rows)
    epochs = max(epochs or 0, last)
    bottom, top = max(0.0, lowest - 0.15 * (1 - lowest) - 0.01), 1.005
    right = 1 + max(epochs - 1, 1) * 1.32  # room for the labels
    x = _number(
        "epoch",
        title=say("chart.epoch"),
        scale={"domain": [1, right], "nice": False},
        axis={"values": _ticks(epochs), "format": "d", "grid": False, **_TEXT},
    )
    percents = {
        "format": ".0%" if top - bottom > 0.05 else ".1%",
        "tickCount": 5,
        "title": say("chart.val_accuracy"),
        **_TEXT,
    }
    y = {"scale": {"domain": [bottom, top], "nice": False, "zero": False}, "axis": percents}
    colour = {
        "field": "student",
        "type": "nominal",
        "scale": {"domain": list(colours), "range": list(colours.values())},
        "legend": None,
    }
    dash = {
        "field": "student",
        "type": "nominal",
        "scale": {"domain": list(dashes), "range": list(dashes.values())},
        "legend": None,
    }
    mean = {"x": x, "y": _number("mean", **y), "color": colour}
    tooltip = [
        {"field": "name", "type": "nominal", "title": say("chart.student")},
        _number("epoch", title=say("chart.epoch")),
        _number("mean", title=say("chart.mean"), format=".2%"),
        _number("low", title=say("chart.low"), format=".2%"),
        _number("high", title=say("chart.high"), format=".2%"),
        _number("seeds", title=say("chart.seeds")),
    ]
    band_layer = {
        "mark": {"type": "area", "opacity": 0.22, "clip": True},
        "encoding": {"x": x, "y": _number("low", **y), "y2": {"field": "high"}, "color": colour},
    }
    line = {
        "mark": {"type": "line", "strokeWidth": 3, "clip": True, "point": last == 1},
        "encoding": mean | {"tooltip": tooltip, "strokeDash": dash},
    }
    rule = {
        "data": {"values": [{"student": "teacher", "mean": teacher, "epoch": 1, "end": epochs}]},
        "mark": {"type": "rule", "strokeWidth": 3, "strokeDash": _DASHES["teacher"]},
        "encoding": mean | {"x2": {"field": "end"}},
    }
    labels = [
        {
            "student": name,
            "short": _short(name),
            "mean": place,
            "epoch": epochs if name == "teacher" else np.shape(curves[name])[-1],
        }
        for name, place in _apart(ends, 0.075 * (top - bottom))
    ]
    text = {
        "data": {"values": labels},
        "mark": {
            "type": "text",
            "align": "left",
            "baseline": "middle",
            "dx": 8,
            "fontSize": TEXT_SIZE,
            "fontWeight": "bold",
        },
        "encoding": mean | {"text": {"field": "short", "type": "nominal"}},
    }
    return {"height": 430, "layer": [{"data": {"values": rows}, "layer": [band_layer, line]}, rule, text]}


def _name(curve: str) -> str:
    """Give a curve's name in the visitor's language; earlier runs bring theirs along."""
    return say(f"chart.{curve}") if curve in _DASHES else curve


def _short(curve: str) -> str:
    """Give the name for a line's end: a phone has no room for "student alone"."""
    return say("chart.alone") if curve == "student alone" else _name(curve)


def differences(intervals: Mapping[str, metrics.Interval]) -> Spec:
    """Draw differences from the student alone as dots with their 95 % intervals and a zero line; hollow where zero is within."""
    rows = [_difference(name, interval) for name, interval in intervals.items()]
    y, x = _names_down(list(intervals)), _points_axis(say("chart.points_above"))
    tooltip = [{"field": "name", "type": "nominal", "title": say("controls.scenario")}, *_difference_tooltip()]
    whisker = {
        "mark": {"type": "rule", "color": DISTILLED, "strokeWidth": 3},
        "encoding": {"y": y, "x": {"field": "low", **x}, "x2": {"field": "high"}, "tooltip": tooltip},
    }
    dot = {
        "mark": {"type": "point", "size": 170, "stroke": DISTILLED, "strokeWidth": 3, "opacity": 1},
        "encoding": {
            "y": y,
            "x": {"field": "points", **x},
            "fill": {"condition": _HOLLOW, "value": DISTILLED},
            "tooltip": tooltip,
        },
    }
    return {"height": 60 * len(rows) + 90, "data": {"values": rows}, "layer": [_zero(x), whisker, dot]}


def _difference(name: str, interval: metrics.Interval) -> Spec:
    """Give a difference as a row: in points, with its interval as far as it is known."""
    return {
        "name": name,
        "points": 100 * float(interval.mean),
        "low": 100 * float(interval.low) if np.isfinite(interval.low) else None,
        "high": 100 * float(interval.high) if np.isfinite(interval.high) else None,
        "interval": _interval(float(interval.low), float(interval.high)),
        "held": bool(interval.holds_zero),
    }


def _difference_tooltip() -> list[Spec]:
    return [
        _number("points", title=say("chart.difference"), format="+.2f"),
        {"field": "interval", "type": "nominal", "title": say("chart.interval")},
    ]


def _names_down(names: Sequence[str]) -> Spec:
    """Place rows by their names, in this order."""
    axis = {"labelLimit": 190, "labelFlush": False, "ticks": False, **_TEXT}
    return {"field": "name", "type": "nominal", "sort": list(names), "title": None, "axis": axis}


def _points_axis(title: str) -> Spec:
    # The title ends where the axis does: on a phone there is more room beneath the names than beneath the axis.
    axis = {"format": "+.3~f", "grid": False, "labelFlush": 20, "tickCount": 6, "titleAnchor": "end", **_TEXT}
    return {"axis": axis, "title": title, "type": "quantitative"}


def _zero(x: Spec) -> Spec:
    """Draw the line where nothing differs."""
    return {
        "data": {"values": [{"zero": 0}]},
        "mark": {"type": "rule", "color": "#808080", "strokeWidth": 2},
        "encoding": {"x": {"field": "zero", **x}},
    }


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


# ---- Cells: a colour for each pair of a row and a column -----------------------------------------------------


def surface(result: GridScores, chosen: tuple[int, int]) -> Spec:
    """Draw T by λ: colour = difference from the student alone, hatched where its interval holds zero.

    The column λ = 0 is what the others are compared with: it stays plain, and is named. A solid ring marks the cell that validation chose, a dashed one the cell that is looked at.
    """
    difference = result.difference_interval()
    cells = [
        _cell(t, lam)
        | {
            "temperature": result.temperatures[t],
            "lam": result.lams[lam],
            "points": 100 * float(difference.mean[t, lam]),
            "interval": _interval(float(difference.low[t, lam]), float(difference.high[t, lam])),
            "seeds": len(result.seeds),
            "held": bool(difference.holds_zero[t, lam]),
        }
        for t, lam in np.ndindex(difference.mean.shape)
    ]
    limit = max(0.5, *(abs(cell["points"]) for cell in cells))
    place = _place((result.temperatures, say("chart.temperature")), (result.lams, say("chart.lam")))
    colour = _colour("points", (-limit, limit), _DIVERGING, say("chart.points_above"), "+.1f")
    tooltip = [
        _number("temperature", title="T"),
        _number("lam", title="λ"),
        _number("points", title=say("chart.difference"), format="+.2f"),
        {"field": "interval", "type": "nominal", "title": say("chart.interval")},
        _number("seeds", title=say("chart.seeds")),
    ]
    hatch = {
        "data": {"values": _hatching([cell for cell in cells if cell["held"] and cell["lam"] != 0])},
        "mark": {"type": "rule", "color": "#5a5a5a", "strokeWidth": 1.2},
        "encoding": place,
    }
    name = {
        "data": {"values": [{"left": result.lams.index(0), "bottom": (len(result.temperatures) - 1) / 2}]},
        "mark": {"type": "text", "text": say("chart.alone"), "angle": 270, "fontSize": TEXT_SIZE, "color": "#5a5a5a"},
        "encoding": {"x": place["x"], "y": place["y"]},
    }
    rings = [_ring(place, cell, "black", dash) for cell, dash in ((result.best_cell(), [1, 0]), (chosen, [5, 4]))]
    height = max(300, 56 * len(result.temperatures) + 130)
    return _cells(cells, place, colour, tooltip, [hatch, *rings, name], height)


def dark_knowledge(matrix: np.ndarray, names: Sequence[str], chosen: tuple[int, int]) -> Spec:
    """Draw the mean soft target of each class (column) over the examples of each true class (row), without the diagonal; a ring marks the chosen cell."""
    cells = [
        _cell(true, seen) | {"true_name": names[true], "seen_name": names[seen], "share": float(matrix[true, seen])}
        for true, seen in np.ndindex(matrix.shape)
        if true != seen
    ]
    place = _place((names, say("soft_targets.matrix_true")), (names, say("soft_targets.matrix_seen")), downwards=True)
    most = max(cell["share"] for cell in cells)
    colour = _colour("share", (0, most), _BLUES, say("soft_targets.matrix_legend"), ".1%")
    tooltip = [
        {"field": "true_name", "type": "nominal", "title": say("soft_targets.matrix_true")},
        {"field": "seen_name", "type": "nominal", "title": say("soft_targets.matrix_seen")},
        _number("share", title=say("soft_targets.matrix_legend"), format=".2%"),
    ]
    ring = _ring(place, chosen, DISTILLED, [1, 0])
    return _cells(cells, place, colour, tooltip, [ring], 34 * len(names) + 130)


def _cell(row: int, column: int) -> Spec:
    edges = {"left": column - 0.5, "right": column + 0.5, "bottom": row - 0.5, "top": row + 0.5}
    return {"row": row, "column": column, **edges}


def _place(
    rows: tuple[Sequence[float | str], str], columns: tuple[Sequence[float | str], str], *, downwards: bool = False
) -> Spec:
    """Place cells by the names of their rows and columns, each with its title."""
    axes: list[Spec] = []
    for names, title in (columns, rows):
        scale = {"domain": [-0.5, len(names) - 0.5], "nice": False, "zero": False}
        axes.append({"title": title, "scale": scale, "axis": _names_axis(names)})
    axes[1]["scale"] |= {"reverse": downwards}
    x, y = _number("left", **axes[0]), _number("bottom", **axes[1])
    return {"x": x, "x2": {"field": "right"}, "y": y, "y2": {"field": "top"}}


def _colour(field: str, ends: tuple[float, float], palette: Sequence[str], title: str, form: str) -> Spec:
    legend = {
        "title": title,
        "orient": "bottom",
        "gradientLength": 240,
        "tickCount": 4,
        "format": form,
        "titleLimit": 400,
        **_TEXT,
    }
    scale = {"domain": np.linspace(*ends, len(palette)).tolist(), "range": list(palette)}
    return _number(field, scale=scale, legend=legend)


def _ring(place: Spec, cell: tuple[int, int], stroke: str, dash: list[int]) -> Spec:
    mark = {"type": "rect", "fill": None, "stroke": stroke, "strokeWidth": 4, "strokeDash": dash}
    return {"data": {"values": [_cell(*cell)]}, "mark": mark, "encoding": place}


def _cells(cells: list[Spec], place: Spec, colour: Spec, tooltip: list[Spec], marks: list[Spec], height: int) -> Spec:
    """Draw cells with marks upon them; a click upon one selects it, as "cell" with its row and column."""
    fill = {"mark": {"type": "rect", "stroke": "white", "strokeWidth": 1}, "encoding": place | {"color": colour}}
    touch = {  # lies above the others
        "params": [{"name": "cell", "select": {"type": "point", "fields": ["row", "column"], "toggle": False}}],
        "mark": {"type": "rect", "fill": "white", "opacity": 0.001, "cursor": "pointer"},
        "encoding": place | {"tooltip": tooltip},
    }
    return {"height": height, "data": {"name": "cells", "values": cells}, "layer": [fill, *marks, touch]}


def _interval(low: float, high: float) -> str:
    if not np.isfinite(low):
        return say("chart.interval_unknown")
    return say("chart.interval_words", low=f"{100 * low:+.2f}", high=f"{100 * high:+.2f}")


def _names_axis(values: Sequence[float | str]) -> Spec:
    """Give an axis whose places 0, 1, … bear names."""
    names = [value if isinstance(value, str) else f"{value:g}" for value in values]
    return {
        "values": list(range(len(names))),
        "labelExpr": f"{json.dumps(names)}[datum.value]",
        "grid": False,
        "ticks": False,
        "labelOverlap": True,
        **_TEXT,
    }


def _hatching(cells: list[Spec]) -> list[Spec]:
    """Diagonals across each cell: Vega has no pattern to fill with, so they are drawn as lines."""
    lines = []
    for offset in (-0.5, 0.0, 0.5):  # of each line from the diagonal of the cell
        begin, end = (max(0.0, -offset), max(0.0, offset)), (min(1.0, 1 - offset), min(1.0, 1 + offset))
        lines += [
            {
                "left": cell["left"] + begin[0],
                "right": cell["left"] + end[0],
                "bottom": cell["bottom"] + begin[1],
                "top": cell["bottom"] + end[1],
            }
            for cell in cells
        ]
    return lines


# ---- Methods and scenes --------------------------------------------------------------------------------------

# What a method uses: told apart by colour and by shape.
FAMILIES = {
    "labels": (ALONE, "circle"),
    "response": (DISTILLED, "square"),
    "feature": (OTHERS[0], "triangle-up"),
    "schedule": (OTHERS[1], "diamond"),
}
_ROLES = {
    "teacher": (TEACHER, "diamond"),
    "alone": (ALONE, "circle"),
    "distilled": (DISTILLED, "square"),
    "int8": (OTHERS[0], "triangle-up"),
    "pruned": (OTHERS[1], "cross"),
}


class Dot(NamedTuple):
    """A difference from the student alone, as a share, with its name and the family that it belongs to."""

    name: str
    family: str
    difference: metrics.Interval


def method_dots(dots: Sequence[Dot], title: str = "") -> Spec:
    """Draw differences as dots with their intervals and a zero line, in the order given; hollow where zero is within.

    Parameters
    ----------
    title : what the axis says, unless "points above the student alone"
    """
    rows = [_difference(dot.name, dot.difference) | {"family": say(f"scenes.family_{dot.family}")} for dot in dots]
    shown = [family for family in FAMILIES if any(dot.family == family for dot in dots)]
    y = _names_down([dot.name for dot in dots])
    x = _points_axis(title or say("chart.points_above")) | {"scale": {"domain": _room_for(rows)}}
    tooltip = [
        {"field": "name", "type": "nominal", "title": say("chart.method")},
        {"field": "family", "type": "nominal", "title": say("chart.family")},
        *_difference_tooltip(),
    ]
    looks = {say(f"scenes.family_{family}"): FAMILIES[family] for family in shown}
    legend = len(looks) > 1 and not {dot.name for dot in dots} <= set(looks)
    colour, shape = _looks("family", looks, columns=1 if legend else 0)  # a phone has no room for two
    dot = {
        "mark": {"type": "point", "size": 170, "strokeWidth": 3, "opacity": 1},
        "encoding": {
            "y": y,
            "x": {"field": "points", **x},
            "stroke": colour,
            "shape": shape,
            "fill": colour | {"legend": None, "condition": _HOLLOW},
            "tooltip": tooltip,
        },
    }
    whisker = {
        "mark": {"type": "rule", "strokeWidth": 3, "clip": True},
        "encoding": {
            "y": y,
            "x": {"field": "low", **x},
            "x2": {"field": "high"},
            "stroke": colour,
            "tooltip": tooltip,
        },
    }
    return {
        "height": 44 * len(rows) + (200 if legend else 120),
        "data": {"values": rows},
        "layer": [_zero(x), whisker, dot],
    }


def _room_for(rows: Sequence[Spec]) -> list[float]:
    """Give the ends of the axis: all intervals, but none of two seeds that would leave no room for the others."""
    widest = max(20.0, 3 * max(abs(row["points"]) for row in rows))
    ends = [row[end] for row in rows for end in ("low", "points", "high") if row[end] is not None]
    low, high = max(min(*ends, 0.0), -widest), min(max(*ends, 0.0), widest)
    edge = 0.05 * (high - low) or 1.0
    return [low - edge, high + edge]


class Cost(NamedTuple):
    """A model in the picture of what accuracy costs; ``cost`` in the unit of the axis."""

    name: str
    role: str
    cost: float
    accuracy: float
    low: float | None
    high: float | None


def accuracy_against_cost(models: Sequence[Cost], front: Sequence[Cost], title: str) -> Spec:
    """Draw accuracy against what it costs, on a log axis, with the Pareto front as a line of steps; those on it are named.

    Without a front, lines join the models of each role: a curve over the size of one kind of model.
    A name stands to the upper left of its dot: on a front nothing is there, since nothing is cheaper and better.
    """
    roles = {role: say(f"scenes.role_{role}") for role in _ROLES}
    rows = [model._asdict() | {"role": roles[model.role]} for model in models]
    lows = [model.accuracy if model.low is None else model.low for model in models]
    bottom, top = max(0.0, min(lows) - 0.01), 1.0
    cheapest, dearest = (edge(model.cost for model in models) for edge in (min, max))
    room = (dearest / cheapest) ** 0.35  # for the name of the leftmost
    scale = {"type": "log", "domain": [cheapest / max(room, 2), dearest * 1.3], "nice": False}
    # Whole powers of ten, and 2 and 5 between them where there are few.
    axis = {
        "format": "~s",
        "grid": False,
        "labelFlush": 20,
        "tickCount": 5,
        "labelOverlap": True,
        "titleAnchor": "end",
        **_TEXT,
    }
    x = _number("cost", title=title, scale=scale, axis=axis)
    y_axis = {"format": ".0%" if top - bottom > 0.05 else ".1%", "tickCount": 5, **_TEXT}
    y_scale = {"domain": [bottom, top + 0.1 * (top - bottom)], "nice": False, "zero": False}
    y: Spec = {"title": say("chart.test_accuracy"), "scale": y_scale, "axis": y_axis}
    looks = {roles[role]: look for role, look in _ROLES.items() if any(model.role == role for model in models)}
    colour, shape = _looks("role", looks, columns=2)
    tooltip = [
        {"field": "name", "type": "nominal", "title": say("chart.model")},
        {"field": "role", "type": "nominal", "title": say("chart.role")},
        _number("cost", title=title, format=".3~s"),
        _number("accuracy", title=say("chart.test_accuracy"), format=".1%"),
        _number("low", title=say("chart.low"), format=".1%"),
        _number("high", title=say("chart.high"), format=".1%"),
    ]
    ends = [model._asdict() for model in front]
    if front:  # whoever pays more than the last of them gets no more
        ends.append(front[-1]._asdict() | {"cost": dearest * 1.3})
    line = {"type": "line", "strokeWidth": 2, "clip": True, "aria": False}  # the alt text tells its course
    steps = {
        "data": {"values": ends},
        "mark": line | {"interpolate": "step-after", "color": "#808080"},
        "encoding": {"x": x, "y": _number("accuracy", **y)},
    }
    curves = {"mark": line, "encoding": {"x": x, "y": _number("accuracy", **y), "stroke": colour}}
    names = {
        "data": {"values": [model._asdict() for model in front]},
        "mark": {
            "type": "text",
            "align": "right",
            "baseline": "bottom",
            "dx": -6,
            "dy": -6,
            "fontSize": TEXT_SIZE - 2,
            "fontWeight": "bold",
            "color": "#808080",
            "limit": 190,
        },
        "encoding": {"x": x, "y": _number("accuracy", **y), "text": {"field": "name", "type": "nominal"}},
    }
    whisker = {
        "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.7, "clip": True},
        "encoding": {
            "x": x,
            "y": _number("low", **y),
            "y2": {"field": "high"},
            "stroke": colour,
            "tooltip": tooltip,
        },
    }
    dot = {
        "mark": {"type": "point", "size": 150, "strokeWidth": 2, "opacity": 1},
        "encoding": {
            "x": x,
            "y": _number("accuracy", **y),
            "stroke": colour,
            "fill": colour | {"legend": None},
            "shape": shape,
            "tooltip": tooltip,
        },
    }
    return {"height": 460, "data": {"values": rows}, "layer": [steps if front else curves, whisker, dot, names]}


class Node(NamedTuple):
    """A node of a tree in the picture: its place, that of the node above, and what is known of it."""

    x: float
    y: float
    above: tuple[float, float] | None
    words: str
    number: str  # of the step that comes to it; empty where none did yet
    is_leaf: bool
    is_first_class: bool  # what a leaf says


def tree(nodes: Sequence[Node]) -> Spec:
    """Draw a tree of questions: yes goes left. The path that was gone so far is in the accent colour, its steps numbered."""
    rows = [
        {"x": node.x, "y": node.y, "words": node.words, "number": node.number}
        | {"kind": "leaf" if node.is_leaf else "question", "gone": bool(node.number), "first": node.is_first_class}
        for node in nodes
    ]
    edges = [
        {"x": node.above[0], "y": node.above[1], "x2": node.x, "y2": node.y, "gone": bool(node.number)}
        for node in nodes
        if node.above is not None
    ]
    wide, deep = max(node.x for node in nodes), min(node.y for node in nodes)
    x = _number("x", axis=None, scale={"domain": [-0.6, wide + 0.6], "nice": False, "zero": False})
    y = _number("y", axis=None, scale={"domain": [deep - 0.4, 0.4], "nice": False, "zero": False})
    accent = {"condition": {"test": "datum.gone", "value": DISTILLED}, "value": "#808080"}
    wide_line = {"condition": {"test": "datum.gone", "value": 5}, "value": 1.5}
    lines = {
        "data": {"values": edges},
        "mark": {"type": "rule"},
        "encoding": {
            "x": x,
            "y": y,
            "x2": {"field": "x2"},
            "y2": {"field": "y2"},
            "color": accent,
            "strokeWidth": wide_line,
        },
    }
    # A leaf is dark or light by what it says, a question is white.
    fill: Spec = {"condition": {"test": "datum.kind == 'leaf' && datum.first", "value": "#505050"}, "value": "white"}
    marks = {
        "mark": {"type": "point", "size": 700, "opacity": 1},
        "encoding": {
            "x": x,
            "y": y,
            "shape": {"condition": {"test": "datum.kind == 'leaf'", "value": "square"}, "value": "circle"},
            "fill": fill,
            "stroke": accent,
            "strokeWidth": wide_line,
            "tooltip": {"field": "words", "type": "nominal"},
        },
    }
    numbers = {
        "mark": {"type": "text", "fontSize": TEXT_SIZE, "fontWeight": "bold"},
        "encoding": {
            "x": x,
            "y": y,
            "text": {"field": "number", "type": "nominal"},
            "color": {"condition": {"test": "datum.kind == 'leaf' && datum.first", "value": "white"}, "value": "black"},
        },
    }
    return {"height": 90 * int(1 - deep), "data": {"values": rows}, "layer": [lines, marks, numbers]}


def class_shares(names: Sequence[str], shares: Sequence[float], label: int) -> Spec:
    """Draw a teacher's share of each class as a bar with its number; a tick marks the label."""
    rows = [
        {"name": name, "share": share, "words": f"{share:.0%}", "label": number == label}
        for number, (name, share) in enumerate(zip(names, shares, strict=True))
    ]
    y = _names_down(names)
    x: Spec = {"type": "quantitative", "scale": {"domain": [0, 1.3]}, "axis": None}
    bar = {
        "mark": {"type": "bar", "color": TEACHER, "tooltip": True},
        "encoding": {"y": y, "x": {"field": "share", **x}},
    }
    words = {
        "mark": {
            "type": "text",
            "align": "left",
            "dx": 5,
            "fontSize": TEXT_SIZE,
            "fontWeight": "bold",
            "color": "#808080",
        },
        "encoding": {"y": y, "x": {"field": "share", **x}, "text": {"field": "words", "type": "nominal"}},
    }
    tick = {
        "transform": [{"filter": "datum.label"}],
        "mark": {"type": "tick", "thickness": 5, "color": DISTILLED, "size": 30},
        "encoding": {"y": y, "x": {"datum": 1, **x}},
    }
    return {"height": 42 * len(rows) + 20, "data": {"values": rows}, "layer": [bar, words, tick]}


def _looks(field: str, looks: Mapping[str, tuple[str, str]], *, columns: int) -> tuple[Spec, Spec]:
    """Give what a field looks like: its colours and its shapes, by the names that a legend of so many columns says."""
    shown = None
    if columns:
        shown = {"title": None, "orient": "top", "columns": columns, "labelFontSize": TEXT_SIZE, "labelLimit": 300}
    channels = []
    for place in (0, 1):
        scale = {"domain": list(looks), "range": [look[place] for look in looks.values()]}
        channels.append({"field": field, "type": "nominal", "scale": scale, "legend": shown})
    return channels[0], channels[1]
