"""Marks by hand: ``by-hand.csv`` holds them, and no later run takes one away. ``by-hand.html`` is where to read answers.

A person fills in ``points`` and, if they like, ``comment``; a row added for a code task overrides what the checks gave.
Any spreadsheet may have saved the file. ``answer_digest`` remembers which answer was marked: when another one is handed
in the mark stays, and ``answer_changed`` says so until whoever has read the new answer empties ``answer_digest``.
"""

import csv
import hashlib
import io
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from course.marks import Mark, Sheet, TextTask
from course.report import ANSWER_CHANGED, PAGES, first_of, in_words, number, table, tidy, write

COLUMNS = (
    "student", "lesson", "task", "max_points", "points", "comment", "answer_changed", "answer", "answer_digest",
)  # fmt: skip
_ENCODINGS = ("cp1252", "gb18030", "mac_roman", "latin-1")  # of spreadsheets that know no UTF-8

Row = dict[str, str]
Key = tuple[str, str, str]  # student, lesson, task


@dataclass
class _File:
    """What a spreadsheet saved, and how: it is written back as the same spreadsheet likes it."""

    columns: list[str]
    rows: list[tuple[int, Row]]  # with the line on which each begins
    delimiter: str = ","
    encoding: str = "utf-8-sig"


def update(path: Path, sheets: Sequence[Sheet]) -> tuple[list[Sheet], list[str]]:
    """Apply the marks by hand to computed ones, and note in the file which answers wait for a mark.

    The file as it was stays beside it as ``.bak`` when something changes.

    Returns
    -------
    tuple
        The sheets with their marks by hand, and sentences about those that belong to no answer of this run.

    Raises
    ------
    ValueError
        If points are no number from 0 to the task's maximum, two rows disagree, or the file is no table with the
        columns needed. Nothing is written then.
    """
    marks = {(mark.student, mark.lesson, mark.task): mark for sheet in sheets for mark in sheet.marks}
    raw = path.read_bytes() if path.exists() else b""
    file = _read(path, raw, {mark.student for mark in marks.values()})
    before = [dict(row) for _, row in file.rows]
    keys = _keys(file, {mark.student for mark in marks.values()})
    points = _all_points(path, file, keys, marks)
    rows, written = _merged(file, keys, marks)
    if written != before or not raw:
        content = table([file.columns, *([row[column] for column in file.columns] for row in written)], file.delimiter)
        if raw:
            write(path.with_name(f"{path.name}.bak"), raw)
        write(path, content.encode(file.encoding, "backslashreplace"))

    def applied(mark: Mark) -> Mark:
        key = mark.student, mark.lesson, mark.task
        return _applied(mark, rows[key], points.get(key)) if key in rows else mark

    marked = [replace(sheet, marks=tuple(map(applied, sheet.marks))) for sheet in sheets]
    return marked, _given_to_nobody(path, file, keys, marks)


def _given_to_nobody(path: Path, file: _File, keys: Sequence[Key], marks: Mapping[Key, Mark]) -> list[str]:
    lessons = {lesson for _, lesson, _ in marks}
    unused = [
        (key, line) for key, (line, row) in zip(keys, file.rows, strict=True) if row["points"] and key not in marks
    ]
    told = []
    if here := [f"{', '.join(key)} (line {line})" for key, line in unused if key[1] in lessons]:
        told.append(f"marks in {path.name} for answers that are not there stay, and count for nobody: {first_of(here)}")
    if elsewhere := sorted({key[1] for key, _ in unused} - lessons):
        told.append(
            f"marks in {path.name} for lessons that were not graded now stay as they are: {first_of(elsewhere)}"
        )
    return told


def _merged(file: _File, keys: Sequence[Key], marks: Mapping[Key, Mark]) -> tuple[dict[Key, Row], list[Row]]:
    """Give the row that counts for each answer, and all rows to write: nothing goes that a person wrote into."""
    rows: dict[Key, Row] = {}
    for key, (_, row) in sorted(zip(keys, file.rows, strict=True), key=lambda pair: not pair[1][1]["points"]):
        rows.setdefault(key, row)
    written = []
    for key, (_, row) in zip(keys, file.rows, strict=True):
        still_open = key not in marks or marks[key].status == "needs_manual"
        if _touched(row) or (still_open and rows[key] is row):
            written.append(row)
    new = [key for key, mark in marks.items() if mark.status == "needs_manual" and key not in rows]
    for key in sorted(new, key=lambda key: (key[1], key[2], key[0])):
        most = number(marks[key].max_points).replace(".", "," if file.delimiter == ";" else ".")
        rows[key] = dict.fromkeys(file.columns, "") | dict(zip(COLUMNS, (*key, most), strict=False))
        written.append(rows[key])
    for key in rows.keys() & marks.keys():
        _compare(rows[key], marks[key])
    return rows, written


def _compare(row: Row, mark: Mark) -> None:
    """Note the answer that is about to be marked, or that it is another than the one that was."""
    digest = "answer-" + hashlib.sha256(mark.answer.strip().encode("utf-8", "backslashreplace")).hexdigest()[:12]
    row["answer"] = " ".join(tidy(mark.answer).split())
    if row["points"] and row["answer_digest"]:
        changed = row["answer_digest"] != digest
        row["answer_changed"] = f"{ANSWER_CHANGED}: read it, then empty answer_digest" if changed else ""
    else:
        row |= {"answer_digest": digest, "answer_changed": ""}


def _applied(mark: Mark, row: Row, points: float | None) -> Mark:
    comment = row["comment"] or mark.comment
    if points is None:
        return replace(mark, comment=comment)
    reason = "marked by hand"
    if mark.kind == "code":
        reason += (
            f"; the checks gave {number(mark.points)} of {number(mark.max_points)} ({mark.reason or in_words(mark)})"
        )
    if row["answer_changed"]:
        reason += f"; {ANSWER_CHANGED}"
    return replace(mark, status="manual", points=points, comment=comment, reason=reason)


def _touched(row: Row) -> bool:
    """Whether a person wrote something into a row."""
    return any(row[column].strip() for column in row if column not in COLUMNS or column in ("points", "comment"))


# ---- Reading what a spreadsheet saved -----------------------------------------------------------------------------


def _read(path: Path, raw: bytes, students: set[str]) -> _File:
    text, encoding = _decoded(raw, students)
    if not text.strip():
        return _File(list(COLUMNS), [])

    def head(delimiter: str) -> list[str]:
        first = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
        ours = [re.sub(r"\W+", "_", name.strip().lower()) for name in first]
        return [name if name in COLUMNS else own for name, own in zip(ours, first, strict=True)]

    delimiter = max(",;\t", key=lambda one: len(set(head(one)) & set(COLUMNS)))
    columns = head(delimiter)
    width = len(columns)
    while columns and not columns[-1].strip():
        columns.pop()
    if not {"student", "lesson", "task", "points"} <= set(columns) or len(set(columns)) < len(columns):
        wanted = "the first line needs the columns student, lesson, task and points, and no name twice"
        raise ValueError(f"{path}: {wanted}; it has {', '.join(columns)}")
    file = _File([*columns, *(column for column in COLUMNS if column not in columns)], [], delimiter, encoding)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    next(reader)
    line = reader.line_num + 1
    for cells in reader:
        if len(cells) > width or any(cells[len(columns) :]):
            hint = "is a decimal comma without quotation marks, or a column without a name?"
            raise ValueError(f"{path}, line {line}: more cells than the first line has columns; {hint}")
        row = dict.fromkeys(file.columns, "") | dict(zip(columns, map(_plain, cells), strict=False))
        row["points"] = row["points"].strip()
        if any(cell.strip() for cell in row.values()):
            file.rows.append((line, row))
        line = reader.line_num + 1
    return file


def _decoded(raw: bytes, students: set[str]) -> tuple[str, str]:
    """Give the text and the encoding to write it in: of old encodings, the one in which most students are found."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace"), "utf-16"
    if b"\0" in raw[:2]:
        return raw.decode("utf-16-be" if raw[0] == 0 else "utf-16-le", "replace"), "utf-16"
    try:
        return raw.decode("utf-8-sig"), "utf-8-sig"
    except UnicodeDecodeError:
        texts = [raw.decode(encoding, "replace") for encoding in _ENCODINGS]
        return max(texts, key=lambda text: (sum(name in text for name in students), -text.count("\ufffd"))), "utf-8-sig"


def _plain(cell: str) -> str:
    """Take away the apostrophe that keeps a spreadsheet from computing."""
    return cell[1:] if re.match(r"'+[=+\-@\t\r]", cell) else cell


def _keys(file: _File, students: set[str]) -> list[Key]:
    """Say whose answer each row is about. A spreadsheet may have taken 0017 for a number, or changed how é is stored."""

    def core(name: str) -> str:
        readable = name.encode("utf-8", "backslashreplace").decode()
        return unicodedata.normalize("NFKC", readable).strip().lstrip("0")

    cores = Counter(map(core, students))
    known = {core(name): name for name in students if cores[core(name)] == 1}
    return [
        (
            row["student"] if row["student"] in students else known.get(core(row["student"]), row["student"]),
            row["lesson"].strip(),
            row["task"].strip(),
        )
        for _, row in file.rows
    ]


def _all_points(path: Path, file: _File, keys: Sequence[Key], marks: Mapping[Key, Mark]) -> dict[Key, float]:
    found: dict[Key, float] = {}
    for key, (line, row) in zip(keys, file.rows, strict=True):
        if row["points"]:
            where = f"{path}, line {line}: {', '.join(key)}"
            most = marks[key].max_points if key in marks else _number(row["max_points"])
            value = _number(row["points"])
            if math.isnan(value) or value < 0 or value > most:
                allowed = "0 or more" if math.isnan(most) else f"from 0 to {number(most)}"
                raise ValueError(f"{where}: points are {row['points']!r}, where a number {allowed} is needed")
            if found.setdefault(key, value) != value:
                raise ValueError(f"{where}: points are {row['points']!r}, and {number(found[key])} in a line above")
    return found


def _number(text: str) -> float:
    """Read 2, 2.5, 2,5 and their full-width forms; NaN for anything else."""
    text = unicodedata.normalize("NFKC", text).strip().replace(",", ".")
    return float(text) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", text) else math.nan


# ---- The page to mark from ----------------------------------------------------------------------------------------

_BY_HAND = """{% extends "page" %}
{% block title %}Answers to mark by hand{% endblock %}
{% macro answer(mark, where) %}<section><h3><bdi>{{ mark.student }}</bdi>{% if mark.status == "manual" %}: {{ mark.points|number }} of {{ mark.max_points|number }}{% endif %}</h3>
<div class="text">{{ mark.answer }}</div>{% if where %}<p class="soft">{{ where }}</p>{% endif %}
{% if mark.comment %}<p class="comment">{{ mark.comment }}</p>{% endif %}</section>
{% endmacro %}
{% block body %}
<h1>Answers to mark by hand</h1>
<p>Write points and comments into <code>by-hand.csv</code>, where each answer below has its line, and grade again.</p>
{% for task in tasks %}
<h2>{{ task.lesson }}, <code>{{ task.name }}</code>: {{ task.waiting|length }} waiting, {{ task.most|counted("point") }} each</h2>
{% if task.text %}
<div class="text">{{ task.text.question|flowing }}</div>
<details open><summary>Model answer and rubric</summary><div class="text">{{ task.text.solution|flowing }}</div>
<div class="text">{{ (task.text.rubric or "There is no rubric.")|flowing }}</div></details>
{% endif %}
{% for mark, where in task.waiting %}{{ answer(mark, where) }}{% endfor %}
{% if task.changed %}<h3>Marked, and changed since</h3>
{% for mark, where in task.changed %}{{ answer(mark, where) }}{% endfor %}{% endif %}
{% if task.marked %}<details><summary>Already marked: {{ task.marked|length }}</summary>
{% for mark, where in task.marked %}{{ answer(mark, where) }}{% endfor %}</details>{% endif %}
{% else %}<p>No answer of this class is marked by hand.</p>
{% endfor %}
{% endblock %}
"""


@dataclass(frozen=True)
class _Answers:
    """One task of the page; each answer comes with the file that it was handed in with."""

    lesson: str
    name: str
    most: float
    text: TextTask | None
    waiting: list[tuple[Mark, str]]
    changed: list[tuple[Mark, str]]
    marked: list[tuple[Mark, str]]


def write_page(path: Path, sheets: Sequence[Sheet], tasks: Mapping[tuple[str, str], TextTask]) -> None:
    """Write the page to mark from: for each task the question, a model answer, the rubric, and what was answered."""
    found: dict[tuple[str, str], list[tuple[Mark, str]]] = {}
    for sheet in sorted(sheets, key=lambda sheet: (sheet.lesson, sheet.student)):
        for mark in sheet.marks:
            if mark.status == "needs_manual" or (mark.status == "manual" and mark.kind == "text"):
                found.setdefault((mark.lesson, mark.task), []).append((mark, sheet.where))
    answers = []
    for (lesson, name), given in found.items():
        waiting = [pair for pair in given if pair[0].status == "needs_manual"]
        changed = [pair for pair in given if pair not in waiting and ANSWER_CHANGED in pair[0].reason]
        marked = [pair for pair in given if pair not in waiting and pair not in changed]
        most = given[0][0].max_points
        answers.append(_Answers(lesson, name, most, tasks.get((lesson, name)), waiting, changed, marked))
    write(path, PAGES.from_string(_BY_HAND).render(tasks=answers))
