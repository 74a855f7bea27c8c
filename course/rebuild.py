"""A lesson as the judge sees it, and a student's answers taken out of whatever was handed in.

Of a submission only the answer cells count. Set-up and check cells come from the lesson's source, so that nothing is lost or
won by changing them; experiments are not run. Reading a submission executes nothing.
"""

import functools
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course.marks import TextTask

_SOLUTION = re.compile(r"[^\n]*BEGIN SOLUTION[^\n]*\n(.*?)\n[^\n]*END SOLUTION[^\n]*", re.DOTALL)

_WITHOUT_INFLUENCE = (
    "__main__",
    "alike",
    "archives",
    "bundle",
    "by_hand",
    "collect",
    "grade",
    "layouts",
    "report",
)  # on what an answer earns


@dataclass(frozen=True)
class Check:
    """A check cell with its tests, and what it is worth."""

    grade_id: str
    source: str
    released: str
    points: float


@dataclass(frozen=True)
class CodeTask:
    """A graded function: its answer cell as handed out and as solved, and its check cells."""

    name: str
    answer_id: str
    stub: str
    solution: str
    checks: tuple[Check, ...]

    @property
    def points(self) -> float:
        """Points of all its check cells."""
        return sum(check.points for check in self.checks)


@dataclass(frozen=True)
class WrittenTask:
    """A question that is answered in words, and read by a person."""

    name: str
    points: float
    stub: str
    text: TextTask


@dataclass(frozen=True)
class Lesson:
    """What the judge needs of a lesson. ``digest`` changes when its tests, the toolkit or the judge do."""

    name: str
    set_up: str
    released_set_up: str
    code: tuple[CodeTask, ...]
    written: tuple[WrittenTask, ...]
    digest: str


@functools.cache
def lesson(name: str) -> Lesson:
    """Read a lesson's source."""
    from course import build  # seconds of import time, of which the marking processes have no need

    path = build.source_path(name)
    cells, released = build.from_source(path).cells, {cell.id: cell.source for cell in build.released(name).cells}
    set_up = next(cell.source for cell in cells if cell.id == "set-up")
    code: list[CodeTask] = []
    written: list[WrittenTask] = []
    for cell in cells:
        grading = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "markdown" and grading.get("grade"):
            stub = released[cell.id]
            written.append(WrittenTask(cell.id, float(grading["points"]), stub, _text_task(cell.source)))
        elif cell.cell_type == "code" and grading.get("solution"):
            (function,) = re.findall(r"^def (\w+)\(", cell.source, re.MULTILINE)[:1]
            code.append(CodeTask(function, cell.id, released[cell.id], cell.source, ()))
        elif cell.cell_type == "code" and grading.get("grade"):
            task = code.pop()
            check = Check(cell.id, cell.source, released[cell.id], float(grading["points"]))
            code.append(CodeTask(task.name, task.answer_id, task.stub, task.solution, (*task.checks, check)))
    return Lesson(name, set_up, released["set-up"], tuple(code), tuple(written), _digest(path, build.ROOT))


def _text_task(source: str) -> TextTask:
    solved = _SOLUTION.search(source)
    solution, _, rubric = (solved.group(1) if solved else "").partition("Rubric:")
    return TextTask(_SOLUTION.sub("", source).strip(), solution.strip(), rubric.strip())


def _digest(source: Path, root: Path) -> str:
    """Tell one state of tests, judge and toolkit from another."""
    digest = hashlib.sha256(source.read_bytes())
    for path in sorted([*(root / "course").glob("*.py"), *(root / "toolkit").glob("*.py")]):
        if path.stem not in _WITHOUT_INFLUENCE:
            digest.update(path.read_bytes())
    return digest.hexdigest()


# ---- What was handed in ----------------------------------------------------------------------------------------


class Unreadable(ValueError):  # noqa: N818  reads better where it is raised
    """What was handed in is no notebook; the message says why."""


@dataclass(frozen=True)
class Cell:
    """A cell of a submission, as far as it can be trusted: an id that it claims, and its text."""

    ids: frozenset[str]
    is_code: bool
    source: str


@dataclass(frozen=True)
class Answers:
    """A student's answers by the id of their cell, and what was noticed on the way."""

    sources: Mapping[str, str]
    notes: tuple[str, ...]


def cells_of(content: bytes) -> list[Cell]:
    """Read the cells of a notebook file, in any encoding and of any format version, valid or not.

    Raises
    ------
    Unreadable
        With the reason.
    """
    if not content.strip(b" \t\r\n\0\xef\xbb\xbf"):
        raise Unreadable("the file is empty")
    try:
        notebook = json.loads(_text(content))
    except (ValueError, RecursionError) as problem:
        raise Unreadable(f"the file is no notebook: {str(problem)[:100]}") from None
    if not isinstance(notebook, dict):
        raise Unreadable("the file is no notebook: it holds JSON, but no cells")
    sheets = notebook.get("worksheets")  # format 3
    found = sheets[0].get("cells") if isinstance(sheets, list) and sheets and isinstance(sheets[0], dict) else None
    cells = notebook.get("cells", found)
    if not isinstance(cells, list):
        raise Unreadable("the file is no notebook: it holds JSON, but no cells")
    return [_cell(cell) for cell in cells if isinstance(cell, dict)]


def _text(content: bytes) -> str:
    try:
        return content.decode(json.detect_encoding(content), "strict")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _cell(cell: dict[str, Any]) -> Cell:
    metadata = cell.get("metadata")
    grading = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    claimed = [cell.get("id"), grading.get("grade_id") if isinstance(grading, dict) else None]
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    ids = frozenset(value for value in claimed if isinstance(value, str))
    return Cell(ids, cell.get("cell_type") == "code", source if isinstance(source, str) else "")


def answers_in(content: bytes, of: Lesson) -> Answers:
    """Take a student's answers out of a notebook file, and note what was not as it was handed out.

    Raises
    ------
    Unreadable
        With the reason.
    """
    cells, notes, sources = cells_of(content), [], {}
    wanted = [(task.answer_id, task.stub, task.name) for task in of.code] + [(t.name, t.stub, "") for t in of.written]
    for grade_id, stub, function in wanted:
        candidates = [cell for cell in cells if grade_id in cell.ids]
        if not candidates and function:
            defined = re.compile(rf"^(def|class) {function}\b|^{function}\s*=", re.MULTILINE)
            candidates = [cell for cell in cells if cell.is_code and defined.search(cell.source)]
            notes += [f"the cell of {function} has lost its name; it was found by its definition"] if candidates else []
        changed = [cell for cell in candidates if not same(cell.source, stub)]
        if len(candidates) > 1:
            notes.append(f"the cell {grade_id} is there {len(candidates)} times; the last one that was changed counts")
        if candidates:
            sources[grade_id] = (changed or candidates)[-1].source
    if not all(same(cell.source, of.released_set_up) for cell in cells if "set-up" in cell.ids):
        notes.append("the set-up cell was changed; the original was used: imports for an answer belong into its cell")
    notes += _tampering(cells, (check for task in of.code for check in task.checks))
    return Answers(sources, tuple(notes))


def _tampering(cells: list[Cell], checks: Iterable[Check]) -> list[str]:
    notes = []
    for check in checks:
        found = [cell.source for cell in cells if check.grade_id in cell.ids]
        if not found:
            notes.append(f"the cell {check.grade_id} is missing; the original was used")
        elif not all(same(source, check.released) for source in found):
            notes.append(f"the cell {check.grade_id} was changed; the original was used")
    return notes


def same(one: str, other: str) -> bool:
    """Whether two cells say the same, blank space at line ends aside."""
    return [line.rstrip() for line in one.strip().splitlines()] == [
        line.rstrip() for line in other.strip().splitlines()
    ]


def own_words(answer: str, stub: str) -> str:
    """Give what a student wrote into a text cell, without the question that stood there; empty for no answer.

    >>> own_words("**Why?** Say\\nso.\\n\\nBecause it is.", "**Why?** Say\\nso.\\n\\n*Your answer here.*")
    'Because it is.'
    """
    asked = Counter(line.strip() for line in stub.splitlines())
    own = []
    for line in answer.splitlines():
        if asked[line.strip()] > 0 and line.strip():
            asked[line.strip()] -= 1
        else:
            own.append(line.rstrip())
    return "\n".join(own).strip()


def whose(content: bytes, lessons: Iterable[Lesson]) -> str | None:
    """Name the lesson that a notebook belongs to, by the answer cells and functions in it; None if there are none."""
    try:
        cells = cells_of(content)
    except Unreadable:
        return None
    ids = {claimed for cell in cells for claimed in cell.ids}
    code = "\n".join(cell.source for cell in cells if cell.is_code)

    def likeness(candidate: Lesson) -> int:
        by_id = sum(task.answer_id in ids for task in candidate.code)
        return by_id or sum(bool(re.search(rf"^def {task.name}\(", code, re.MULTILINE)) for task in candidate.code)

    best = max(lessons, key=likeness, default=None)
    return best.name if best is not None and likeness(best) else None
