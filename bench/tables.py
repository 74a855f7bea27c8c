"""What a part of the bench reports, and how tables are written as Markdown."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Report:
    """What a part of the bench found: a title, tables and words as Markdown, whether all it claims holds, a figure.

    Details stand in the part's own file, and not in the README.
    """

    title: str
    text: str
    holds: bool
    figure: Figure | None = None
    details: str = ""
    seconds: float | None = None  # of a run that went on where another was stopped: of both


@dataclass(frozen=True)
class Row:
    """Two arms and their paired difference; what was claimed of it, and whether that holds (None: nothing claimed)."""

    scenario: str
    setting: str
    alone: str
    distilled: str
    difference: str
    verdict: str
    claim: str = ""
    holds: bool | None = None


def machine() -> str:
    """Say where numbers were measured."""
    return f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, torch {torch.__version__}"


def markdown(rows: Sequence[object]) -> str:
    """Write rows, dataclasses of one kind, as a Markdown table with one column per field."""
    fields = [field.replace("_", " ") for field in asdict(rows[0])]  # type: ignore[call-overload]
    lines = ["| " + " | ".join(fields) + " |", "|" + "---|" * len(fields)]
    words = {True: "yes", False: "NO", None: ""}
    for row in rows:
        values = [words[v] if v is None or isinstance(v, bool) else str(v) for v in asdict(row).values()]  # type: ignore[call-overload]
        lines.append("| " + " | ".join(values) + " |")
    return "\n".join(lines)
