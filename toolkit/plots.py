"""Matplotlib figures with one look, for lessons and exports. Chinese labels render where a Chinese font is installed.

Every function returns a figure of its own, without pyplot: nothing is shared between the threads of an app, a notebook
shows what a cell returns, and ``figure.savefig(path)`` exports it.
"""

import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from toolkit import metrics
from toolkit.grid import GridScores
from toolkit.losses import soft_targets
from toolkit.readable import LEAF, ReadableTree, written_apart

# The same colours everywhere: app, lessons, exports. From Okabe & Ito's palette, safe for colour-blind readers.
TEACHER, ALONE, DISTILLED = "#0072B2", "#767676", "#D55E00"
DIVERGING = "PuOr_r"  # worse: purple; no difference: white; better: orange
_OTHERS = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_DASHES = {"student alone": (0, (2, 1.2))}  # told apart without colours too
_COLOURS = {"teacher": TEACHER, "student alone": ALONE, "distilled": DISTILLED}
# What figures say by themselves. Names of curves and settings come from the caller, except those in _COLOURS.
_WORDS = {
    "en": {
        "teacher": "teacher",
        "student": "student",
        "label": "label",
        "uniform": "uniform",
        "probability": "probability",
        "student alone": "student alone",
        "alone": "alone",
        "distilled": "distilled",
        "class": "class",
        "true class": "true class",
        "soft target": "mean soft target",
        "epoch": "epoch",
        "validation accuracy": "validation accuracy",
        "lam": "λ (share of the soft part)",
        "temperature": "temperature T",
        "surface": "Validation accuracy against the student alone, {seeds} seeds",
        "surface, one seed": "Validation accuracy against the student alone, 1 seed",
        "points": "difference in points",
        "differences": "Distilled minus alone, points on validation, with 95 % intervals",
        "test accuracy": "test accuracy",
        "yes": "yes",
        "no": "no",
        "examples": "{count} in training",
        "this example": "this one: {value}",
    },
    "zh": {
        "teacher": "教师",
        "student": "学生",
        "label": "标签",
        "uniform": "均匀",
        "probability": "概率",
        "student alone": "单独训练",
        "alone": "单独",
        "distilled": "蒸馏",
        "class": "类别",
        "true class": "真实类别",
        "soft target": "平均软目标",
        "epoch": "轮次",
        "validation accuracy": "验证准确率",
        "lam": "λ（软目标部分的比例）",
        "temperature": "温度 T",
        "surface": "验证准确率与单独训练的学生之差，{seeds} 个种子",
        "surface, one seed": "验证准确率与单独训练的学生之差，1 个种子",
        "points": "差值（百分点）",
        "differences": "蒸馏减去单独训练，验证集，百分点，附 95 % 区间",
        "test accuracy": "测试准确率",
        "yes": "是",
        "no": "否",
        "examples": "{count} 个训练样本",
        "this example": "此例：{value}",
    },
}
_CHINESE_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "msyh.ttc",
    "PingFang.ttc",
    "wqy-microhei.ttc",
)


class _Picture(Figure):
    """A figure that notebooks show without pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


@cache
def _font_families() -> tuple[str, ...]:
    """DejaVu Sans, and a Chinese font behind it where there is one (matplotlib's own list may be older than the font)."""
    families = ["DejaVu Sans"]
    for path in font_manager.findSystemFonts():
        if Path(path).name in _CHINESE_FONTS:
            font_manager.fontManager.addfont(path)
            families.append(font_manager.FontProperties(fname=path).get_name())
    return tuple(dict.fromkeys(families))


def _look() -> AbstractContextManager[None]:
    return mpl.rc_context(
        {
            "font.family": _font_families(),
            "font.size": 14,
            "axes.titlesize": 15,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "figure.dpi": 80,
            "figure.constrained_layout.use": True,
        }
    )


def soft_target_bars(
    logits: Tensor,
    class_names: Sequence[str],
    temperatures: Sequence[float] = (1, 4),
    *,
    student_logits: Tensor | None = None,
    label: int | None = None,
    image: Tensor | None = None,
    language: str = "en",
) -> Figure:
    """Draw one example's soft targets at some temperatures, side by side.

    Parameters
    ----------
    logits, student_logits : shape (classes,); the teacher's bars are filled, the student's outlined
    label : index of the true class, marked by a tick
    image : optional (1, height, width) or signal (1, length), drawn on the left
    language : "en" or "zh", for what the figure says by itself
    """
    words = _WORDS[language]
    classes = np.arange(len(class_names))
    with _look():
        figure = _Picture(figsize=(4.2 * (len(temperatures) + (image is not None)), 0.36 * len(classes) + 1.4))
        axes = figure.subplots(1, len(temperatures) + (image is not None), squeeze=False)[0]
        if image is not None:
            show_example(axes[0], image)
            axes = axes[1:]
        for ax, temperature in zip(axes, temperatures, strict=True):
            ax.barh(classes, soft_targets(logits, temperature).numpy(), color=TEACHER, label=words["teacher"])
            if student_logits is not None:
                student = soft_targets(student_logits, temperature).numpy()
                ax.barh(classes, student, facecolor="none", edgecolor=DISTILLED, linewidth=2, label=words["student"])
            if label is not None:
                ax.plot(
                    [1],
                    [label],
                    marker="|",
                    markersize=18,
                    markeredgewidth=3,
                    color="black",
                    linestyle="",
                    label=words["label"],
                )
            ax.axvline(1 / len(classes), color="0.5", linestyle=":", label=words["uniform"])
            ax.set(
                yticks=classes,
                yticklabels=class_names,
                xlim=(0, 1.02),
                xlabel=words["probability"],
                title=f"T = {temperature:g}",
            )
            ax.invert_yaxis()
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def show_example(ax: Axes, x: Tensor) -> None:
    """Draw one example: an image (1, height, width) in grey, a signal (1, length) as a line."""
    if x.ndim == 3:
        ax.imshow(x[0].numpy(), cmap="gray_r")
    else:
        ax.plot(x[0].numpy(), color="black")
    ax.set_axis_off()


def dark_knowledge(matrix: np.ndarray, class_names: Sequence[str], *, language: str = "en") -> Figure:
    """Draw what a teacher gives each class, on average over the examples of each true class; the diagonal is left white.

    Parameters
    ----------
    matrix : shape (classes, classes), as ``metrics.dark_knowledge`` gives it: a row for each true class
    language : "en" or "zh", for what the figure says by itself
    """
    words = _WORDS[language]
    classes = range(len(class_names))
    with _look():
        figure = _Picture(figsize=(0.55 * len(classes) + 3, 0.5 * len(classes) + 2.5))
        ax = figure.subplots()
        off_diagonal = np.ma.masked_array(matrix, np.eye(len(classes), dtype=bool))
        image = ax.imshow(off_diagonal, cmap="Blues", vmin=0)
        ax.set(xticks=classes, yticks=classes, yticklabels=class_names)
        ax.set_xticks(classes, class_names, rotation=90 if max(map(len, class_names)) > 2 else 0)
        ax.set(xlabel=words["class"], ylabel=words["true class"])
        per_cent = mpl.ticker.PercentFormatter(1, decimals=None)
        figure.colorbar(image, ax=ax, label=words["soft target"], format=per_cent)
    return figure


def describe(figure: Figure, *lines: str) -> Figure:
    """Write above a figure what it is about, such as the settings of a run; gives the figure."""
    room = 12 * figure.get_figwidth()  # letters in a line; a Chinese one takes twice the room
    wrapped = [
        part
        for line in lines
        for part in textwrap.wrap(line, int(room * len(line) / len(line.encode("gbk", "replace"))))
    ]
    with _look():
        figure.suptitle("\n".join(wrapped), x=0.01, ha="left", fontsize=10, color="0.3")
    return figure


def accuracy_curves(
    curves: Mapping[str, np.ndarray],
    *,
    teacher: float | None = None,
    ylabel: str = "validation accuracy",
    title: str | None = None,
    language: str = "en",
) -> Figure:
    """Draw accuracy per epoch, each curve a mean over seeds with its 95 % band.

    Parameters
    ----------
    curves : name → array (seeds, epochs); "student alone" and "distilled" keep their colours everywhere
    teacher : accuracy drawn as a horizontal line
    language : "en" or "zh", for what the figure says by itself
    """
    words = _WORDS[language]
    with _look():
        figure = _Picture(figsize=(9, 5))
        ax = figure.subplots()
        others = iter(_OTHERS * 3)
        endings: list[tuple[float, str, str]] = []
        if teacher is not None:
            endings.append((teacher, words["teacher"], TEACHER))
        for name, history in curves.items():
            history = np.atleast_2d(history)
            if not history.size:  # stopped before its first epoch
                continue
            colour = _COLOURS.get(name) or next(others)
            epochs = np.arange(1, history.shape[1] + 1)
            band = metrics.confidence_interval(history, axis=0)
            ax.plot(epochs, band.mean, color=colour, linewidth=2.5, linestyle=_DASHES.get(name, "-"))
            if np.isfinite(band.low).all():
                ax.fill_between(epochs, band.low, np.minimum(band.high, 1), color=colour, alpha=0.2, linewidth=0)
            endings.append((float(band.mean[-1]), words.get(name, name), colour))
        if teacher is not None:
            ax.axhline(teacher, color=TEACHER, linestyle="--", linewidth=2)
        bottom = _lowest_worth_showing(curves.values(), teacher)
        ax.set_ylim(bottom, 1.005)
        _label_line_ends(ax, endings, 1.005 - bottom)
        ax.set(xlabel=words["epoch"], ylabel=words.get(ylabel, ylabel), title=title or "")
        ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
        ax.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=None))
    return figure


def _lowest_worth_showing(curves: Iterable[np.ndarray], teacher: float | None) -> float:
    """Where the axis begins: the steep first quarter of the epochs may be cut off, no ending may."""
    means = [np.atleast_2d(history).mean(0) for history in curves if np.size(history)]
    lowest = min([mean[len(mean) // 4 :].min() for mean in means] + ([] if teacher is None else [teacher]), default=0.0)
    return max(0.0, float(lowest) - 0.15 * (1.0 - float(lowest)) - 0.01)


def _label_line_ends(ax: Axes, endings: list[tuple[float, str, str]], height: float) -> None:
    """Write names at the right end of lines, apart from one another where the lines meet."""
    lowest_free = -np.inf
    for y, name, colour in sorted(endings):
        place = max(y, lowest_free)
        lowest_free = place + 0.065 * height
        ax.annotate(
            name, (1.01, place), xycoords=("axes fraction", "data"), color=colour, va="center", annotation_clip=False
        )


def surface(result: GridScores, *, chosen: tuple[int, int] | None = None, language: str = "en") -> Figure:
    """Draw T by λ: the difference from the student alone on validation data, hatched where its interval holds zero.

    The column λ = 0 is the student alone, the reference.

    Parameters
    ----------
    chosen : indices (temperature, lam) of a cell that is looked at, ringed with dashes; the cell with the best validation
        accuracy always has a solid ring
    language : "en" or "zh", for what the figure says by itself
    """
    words = _WORDS[language]
    difference = result.difference_interval()
    points = 100 * difference.mean  # (temperatures, lams)
    limit = max(0.5, float(np.abs(points).max()))
    with _look():
        figure = _Picture(figsize=(max(9, 1.1 * len(result.lams) + 3), 0.62 * len(result.temperatures) + 2))
        ax = figure.subplots()
        image = ax.imshow(points, cmap=DIVERGING, norm=TwoSlopeNorm(0, -limit, limit), origin="lower", aspect="auto")
        for t, lam in np.ndindex(points.shape):
            if result.lams[lam] == 0:  # the reference itself
                ax.text(lam, t, words["alone"], ha="center", va="center", fontsize=12)
                continue
            if difference.holds_zero[t, lam]:
                # A hatch takes the colour of an edge, which is not drawn here.
                ax.add_patch(
                    Rectangle((lam - 0.5, t - 0.5), 1, 1, fill=False, hatch="///", edgecolor="0.45", linewidth=0)
                )
            ax.text(lam, t, _signed(float(points[t, lam])), ha="center", va="center", fontsize=12, bbox=_halo())
        _ring(ax, result.best_cell(), "-")
        if chosen is not None and chosen != result.best_cell():
            _ring(ax, chosen, "--")
        ax.set(
            xticks=range(len(result.lams)),
            xticklabels=[f"{value:g}" for value in result.lams],
            yticks=range(len(result.temperatures)),
            yticklabels=[f"{value:g}" for value in result.temperatures],
            xlabel=words["lam"],
            ylabel=words["temperature"],
            title=words["surface, one seed" if len(result.seeds) == 1 else "surface"].format(seeds=len(result.seeds)),
        )
        figure.colorbar(image, ax=ax, label=words["points"])
    return figure


def differences(
    intervals: Mapping[str, metrics.Interval],
    *,
    title: str | None = None,
    xlabel: str | None = None,
    language: str = "en",
) -> Figure:
    """Draw differences from the student alone as dots with their 95 % intervals; hollow where zero is within.

    Parameters
    ----------
    intervals : name → difference as a share, not in points
    xlabel : what is drawn, if not differences on the validation part
    """
    with _look():
        figure = _Picture(figsize=(9, 0.55 * len(intervals) + 1.6))
        ax = figure.subplots()
        ax.axvline(0, color="0.4", linewidth=1.5)
        for row, interval in enumerate(intervals.values()):
            low, mean, high = (100 * float(value) for value in (interval.low, interval.mean, interval.high))
            if np.isfinite(low):
                ax.plot([low, high], [row, row], color=DISTILLED, linewidth=2.5)
            face = "white" if interval.holds_zero else DISTILLED
            ax.plot(
                [mean], [row], "o", markersize=10, markerfacecolor=face, markeredgecolor=DISTILLED, markeredgewidth=2
            )
        ax.set(yticks=range(len(intervals)), yticklabels=list(intervals), title=title or "")
        ax.set_xlabel(xlabel or _WORDS[language]["differences"])
        ax.invert_yaxis()
    return figure


_ROLES = {
    "teacher": (TEACHER, "D"),
    "alone": (ALONE, "o"),
    "distilled": (DISTILLED, "s"),
    "int8": (_OTHERS[0], "^"),
    "pruned": (_OTHERS[1], "P"),
}


@dataclass(frozen=True)
class Model:
    """A point of the picture of what accuracy costs, with the 95 % interval of its accuracy where there is one."""

    name: str
    role: str  # "teacher", "alone", "distilled", "int8" or "pruned"
    cost: float
    accuracy: float
    low: float | None = None
    high: float | None = None


def accuracy_against_cost(
    models: Sequence[Model], front: Sequence[Model], *, xlabel: str, roles: dict[str, str], language: str = "en"
) -> Figure:
    """Draw accuracy against a cost on a log axis, with the Pareto front as steps; models on it are named.

    Parameters
    ----------
    models, front : all models, and those on the front, the cheapest first
    xlabel : what the cost is, with its unit
    roles : role → what the legend calls it
    """
    with _look():
        figure = _Picture(figsize=(9, 5.5))
        ax = figure.subplots()
        ax.set_xscale("log")
        dearest = max(model.cost for model in models) * 1.3
        if front:
            costs, best = [model.cost for model in front], [model.accuracy for model in front]
            ax.step([*costs, dearest], [*best, best[-1]], where="post", color="0.5", linewidth=1.5)
        for role, (colour, marker) in _ROLES.items():
            chosen = [model for model in models if model.role == role]
            for model in chosen:
                if model.low is not None and model.high is not None:
                    ax.plot([model.cost] * 2, [model.low, model.high], color=colour, linewidth=1.5, alpha=0.7)
            if chosen:
                points = [model.cost for model in chosen], [model.accuracy for model in chosen]
                ax.plot(*points, marker, color=colour, markersize=9, label=roles[role])
        for model in front:
            ax.annotate(
                model.name,
                (model.cost, model.accuracy),
                (-6, 6),
                textcoords="offset points",
                ha="right",
                fontsize=12,
                color="0.3",
            )
        ax.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=None))
        ax.set_xlim(min(model.cost for model in models) / 4, dearest)
        ax.set(xlabel=xlabel, ylabel=_WORDS[language]["test accuracy"])
        ax.legend(frameon=False, loc="lower right")
    return figure


def decision_tree(tree: ReadableTree, *, followed: Tensor | None = None, language: str = "en") -> Figure:
    """Draw a tree of questions, so that one decision can be followed from the top to its leaf.

    A box asks; yes goes left, no right. A leaf is named after its class, with the share of every class as a bar.

    Parameters
    ----------
    followed : optional example of shape (features,), whose path is drawn in the accent colour, with its own values
    language : "en" or "zh", for what the figure says by itself
    """
    words = _WORDS[language]
    path = [] if followed is None else tree.path(followed)
    values = (
        {}
        if followed is None
        else {step.node: written_apart(step.value, step.threshold)[0] for step in tree.decision(followed)}
    )
    places = tree.places
    depth = -min(y for _, y in places)
    with _look():
        figure = _Picture(figsize=(max(9.0, 2.5 * len(tree.leaves)), 1.9 * (depth + 1)))
        ax = figure.subplots()
        ax.set(xlim=(-0.55, len(tree.leaves) - 0.45), ylim=(-depth - 0.5, 0.4))
        ax.set_axis_off()
        for node, (x, y) in enumerate(places):
            colour, width = (DISTILLED, 4) if node in path else ("0.6", 1.5)
            if tree.left[node] == LEAF:
                _draw_leaf(ax, tree, node, x, y, colour, width, words["examples"])
                continue
            for child, answer in ((tree.left[node], words["yes"]), (tree.right[node], words["no"])):
                end_x, end_y = places[child]
                on_path = child in path
                ax.plot(
                    [x, end_x],
                    [y, end_y],
                    color=DISTILLED if on_path else "0.6",
                    linewidth=4 if on_path else 1.5,
                    zorder=1,
                )
                ax.text(
                    (x + end_x) / 2,
                    (y + end_y) / 2,
                    answer,
                    ha="center",
                    va="center",
                    fontsize=12,
                    bbox=_halo() | {"alpha": 1},
                )
            text = "\n".join(textwrap.wrap(tree.question(node).replace("≤ ", "≤\u00a0"), 20))
            if node in values:
                text += "\n" + words["this example"].format(value=values[node])
            frame = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": colour, "linewidth": width}
            ax.text(x, y, text, ha="center", va="center", fontsize=12, bbox=frame, zorder=3)
    return figure


def _draw_leaf(
    ax: Axes, tree: ReadableTree, node: int, x: float, y: float, colour: str, width: float, examples: str
) -> None:
    """Draw a leaf: its class, the share of each class as a bar of a part of the width, and how many examples it had."""
    best = int(tree.shares[node].argmax())
    greys = np.linspace(0.35, 0.85, tree.shares.shape[1])
    left = x - 0.42
    for c, share in enumerate(tree.shares[node]):
        ax.add_patch(Rectangle((left, y - 0.2), 0.84 * share, 0.14, facecolor=str(greys[c]), linewidth=0, zorder=3))
        left += 0.84 * share
    ax.add_patch(Rectangle((x - 0.42, y - 0.2), 0.84, 0.14, fill=False, edgecolor=colour, linewidth=width, zorder=4))
    name = f"{tree.dataset.class_names[best]} {100 * tree.shares[node, best]:.0f} %"
    ax.text(
        x,
        y,
        name,
        ha="center",
        va="center",
        fontsize=13,
        color=colour if width > 2 else "black",
        bbox=_halo() | {"alpha": 1},
        zorder=3,
    )
    ax.text(x, y - 0.24, examples.format(count=tree.examples[node]), ha="center", va="top", fontsize=10, color="0.3")


def _ring(ax: Axes, cell: tuple[int, int], linestyle: str) -> None:
    t, lam = cell
    ax.add_patch(
        Rectangle((lam - 0.47, t - 0.47), 0.94, 0.94, fill=False, edgecolor="black", linewidth=3, linestyle=linestyle)
    )


def _signed(points: float) -> str:
    return f"{round(points, 1) + 0.0:+.1f}"  # adding zero turns −0.0 into 0.0


def _halo() -> dict[str, object]:
    """Keep numbers readable on a hatched cell."""
    return {"boxstyle": "round,pad=0.1", "facecolor": "white", "alpha": 0.65, "linewidth": 0}
