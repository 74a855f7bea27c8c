"""The stored results of all methods and scenes, ``bench/results/scenes.json``: read, and checked before anything is drawn.

``python -m bench scenes`` writes the file. The page shows what it says, or says in one sentence how to make it.
"""

import functools
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from toolkit import metrics

FILE_VARIABLE = "DISTILLATION_SCENES"  # names another file
FORMAT = 1
FAMILIES = ("labels", "response", "feature", "schedule")
PAIRED = "feature − response"  # stands where a family does: the difference of the two
ROLES = ("teacher", "alone", "distilled", "int8", "pruned")
_FILE = Path(__file__).parent.parent / "bench" / "results" / "scenes.json"

Record = TypeVar("Record")


class UnusableResultsError(Exception):
    """The file holds something else; the message says what, in English."""


@dataclass(frozen=True)
class SceneRow:
    """One method in one scene. Shares, bytes, seconds; None where nothing was measured."""

    scene: str
    task: str
    method: str
    teacher: float | None
    alone: float | None
    distilled: float | None
    low: float | None
    mean: float | None
    high: float | None
    against: str
    bytes: float | None
    latency: float | None
    seeds: int
    note: str


@dataclass(frozen=True)
class MethodRow:
    """One method on the common task; ``mean`` [low, high] is its difference from the student alone, Holm-corrected."""

    method: str
    family: str
    setting: str
    accuracy: float
    mean: float | None
    low: float | None
    high: float | None
    fidelity: float
    calibration_error: float
    seconds: float


@dataclass(frozen=True)
class FamilyRow:
    """All methods of one family together."""

    family: str
    methods: list[str]
    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class SizeRow:
    """What one model costs, and how often it is right."""

    name: str
    role: str
    task: str
    bytes: float
    latency: float | None
    p95: float | None
    accuracy: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Bounds:
    """An accuracy with its interval."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class CapacityRow:
    """A student of one width, alone and distilled."""

    task: str
    width: int
    parameters: float
    alone: dict[str, float]
    distilled: dict[str, float]


@dataclass(frozen=True)
class Results:
    """What the file says."""

    machine: str  # empty where it does not say
    rows: tuple[SceneRow, ...]
    sentence: str  # what was compared, how often, how it was corrected; English
    task: str
    teacher: float
    methods: tuple[MethodRow, ...]
    families_sentence: str
    families: tuple[FamilyRow, ...]
    sizes: tuple[SizeRow, ...]
    capacity: tuple[SizeRow, ...]  # one task, students that shrink: alone and distilled, with their parameters as bytes

    @property
    def compared(self) -> list[MethodRow]:
        """The methods that were compared with the student alone, the best first."""
        return ranked(row for row in self.methods if row.mean is not None)


def difference(row: SceneRow | MethodRow | FamilyRow) -> metrics.Interval | None:
    """Give a row's difference with its interval; None where nothing was compared."""
    if row.mean is None:
        return None
    low, high = (-np.inf, np.inf) if row.low is None or row.high is None else (row.low, row.high)
    return metrics.Interval(np.array(row.mean), np.array(low), np.array(high))


def ranked(rows: Any) -> list[Any]:
    """Sort rows by their mean difference, the greatest first."""
    return sorted(rows, key=lambda row: row.mean, reverse=True)


def front(rows: Sequence[SizeRow], cost: str) -> list[SizeRow]:
    """Give the Pareto front, from the cheapest on: no other row costs no more and is at least as accurate.

    Parameters
    ----------
    cost : "bytes" or "latency"
    """
    found: list[SizeRow] = []
    measured = [row for row in rows if getattr(row, cost) is not None]
    for row in sorted(measured, key=lambda row: (getattr(row, cost), -row.accuracy)):
        if not found or row.accuracy > found[-1].accuracy:
            found.append(row)
    return found


# ---- Reading -------------------------------------------------------------------------------------------------


def stored() -> Results | None:
    """Read the results that are there; None where there are none.

    Raises
    ------
    UnusableResultsError
        If the file is no such results, or of another format.
    """
    path = Path(os.environ.get(FILE_VARIABLE) or _FILE)
    if not path.is_file():
        return None
    return _read(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> Results:
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as problem:  # JSON, or UTF-8
        raise UnusableResultsError("it is not JSON") from problem


def parse(content: Any) -> Results:
    """Check what a file holds, and give it typed.

    Raises
    ------
    UnusableResultsError
        If anything is missing, or is not what it should be; the message says what and where.
    """
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        said = content.get("format") if isinstance(content, dict) else None
        raise UnusableResultsError(f"its format is {said!r}, not {FORMAT}")
    methods, families = (_part(content, name, dict) for name in ("methods", "families"))
    results = Results(
        _part(content | {"machine": content.get("machine", "")}, "machine", str),
        _records(SceneRow, content, "rows"),
        _part(methods, "sentence", str),
        _part(methods, "task", str),
        _number(_part(methods, "teacher", (int, float)), "methods.teacher"),
        _records(MethodRow, methods, "rows"),
        _part(families, "sentence", str),
        _records(FamilyRow, families, "rows"),
        _records(SizeRow, content, "sizes"),
        _capacity(_records(CapacityRow, content, "capacity")),
    )
    families_said = {row.family for row in results.methods} | {row.family for row in results.families} - {PAIRED}
    for family in families_said - set(FAMILIES):
        raise UnusableResultsError(f"it has an unknown family {family!r}")
    for role in {row.role for row in results.sizes} - set(ROLES):
        raise UnusableResultsError(f"it has an unknown role {role!r}")
    for row in (*results.sizes, *results.capacity):
        if row.bytes <= 0 or (row.latency is not None and row.latency <= 0):
            raise UnusableResultsError(f"bytes, parameters and latency of {row.name!r} must be above 0")
    return results


def _capacity(rows: Sequence[CapacityRow]) -> tuple[SizeRow, ...]:
    """Give a model for each width and arm."""
    arms = [(row, role, _record(Bounds, getattr(row, role), role)) for row in rows for role in ("alone", "distilled")]
    return tuple(
        SizeRow(f"mlp-{row.width}", role, row.task, row.parameters, None, None, arm.mean, arm.low, arm.high)
        for row, role, arm in arms
    )


def _part(content: Mapping[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    value = content.get(name)
    if not isinstance(value, kind):
        raise UnusableResultsError(f"{name!r} is missing or of another kind")
    return value


def _number(value: float, where: str) -> float:
    if not math.isfinite(value):
        raise UnusableResultsError(f"{where} is not finite")
    return value


def _records(kind: type[Record], content: Mapping[str, Any], name: str) -> tuple[Record, ...]:
    return tuple(_record(kind, values, f"{name}[{place}]") for place, values in enumerate(_part(content, name, list)))


def _record(kind: type[Record], values: Any, where: str) -> Record:
    """Make a record of a dictionary, field by field; what it has beyond that is left alone."""
    hints, read = get_type_hints(kind), {}
    for field in fields(kind):  # type: ignore[arg-type]
        if not isinstance(values, dict) or field.name not in values:
            raise UnusableResultsError(f"{where} has no {field.name!r}")
        value, hint = values[field.name], hints[field.name]
        allowed = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        if isinstance(value, bool) or not isinstance(value, _plain(allowed)):
            raise UnusableResultsError(f"{where}.{field.name} is {value!r}")
        read[field.name] = _number(value, f"{where}.{field.name}") if isinstance(value, int | float) else value
    return kind(**read)


def _plain(allowed: Sequence[Any]) -> tuple[type, ...]:
    """Give the types that a JSON value may have: whole numbers pass for fractions."""
    kinds = [get_origin(kind) or kind for kind in allowed]
    return (*kinds, int) if float in kinds else tuple(kinds)
