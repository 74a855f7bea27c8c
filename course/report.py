"""Marks → what people read: tables for the school's system, a page for each student, a report on the class.

``grades.csv`` has one row per student, lesson and task, ``totals.csv`` one per student. What students wrote is hostile
until shown: every text passes ``tidy`` and is escaped, pages ask nothing of the network and run no script.
"""

import csv
import io
import itertools
import math
import os
import re
import statistics
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import DictLoader, Environment, StrictUndefined

from course.alike import SHORT, alike
from course.collect import safe_name
from course.marks import COLUMNS, NOT_HANDED_IN, Mark, Sheet

ANSWER_CHANGED = "the answer has changed since it was marked"
_STATUS = {
    "not_attempted": "not attempted yet",
    "needs_manual": "waiting for a person",
    "manual": "marked by hand",
    "timeout": "stopped after too long",
    "kernel_died": "ended its own process",
    "missing_file": "nothing was handed in",
    "unreadable": "the file cannot be read as a notebook",
}
T = TypeVar("T")

# ---- Texts, numbers, files ----------------------------------------------------------------------------------------

_ESCAPES = re.compile(r"\r(?=\n)|\x1b\[[0-9;]*[A-Za-z]")
_UNPRINTABLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def tidy(text: str, letters: int = 4000, lines: int = 120) -> str:
    """Make any text fit for a page: no control characters, nothing that UTF-8 cannot write, and an end."""
    kept = "\n".join(text[:letters].split("\n")[:lines])
    left = len(text) - len(kept)
    kept = _UNPRINTABLE.sub("\ufffd", _ESCAPES.sub("", kept))
    return f"{kept} … ({left} more characters)" if left else kept


def number(value: float) -> str:
    """Write 2 as "2" and 2.5 as "2.5"."""
    return f"{value + 0:.4f}".rstrip("0").rstrip(".")


def counted(count: float, noun: str) -> str:
    """Write "1 student", "2 students"."""
    return f"{number(count)} {noun if count == 1 else noun + 's'}"


def first_of(names: Sequence[str], most: int = 5) -> str:
    """List some names, and say how many more there are.

    >>> first_of(["Anna", "Ben", "Cora"], most=1)
    'Anna and 2 more'
    """
    rest = len(names) - most
    return "; ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def flowing(text: str) -> str:
    """Write a lesson's Markdown as plain text: paragraphs on one line each, lists and tables as they are, no asterisks."""
    joined: list[str] = []
    for line in re.sub(r"(?<![\w*])(\*{1,2})(\S|\S[^*]*\S)\1", r"\2", text).splitlines():
        begins = not line.strip() or re.match(r"\s*([-*|>#]|\d+\.)\s", line)
        if begins or not joined or not joined[-1]:
            joined.append(line.rstrip())
        else:
            joined[-1] += f" {line.strip()}"
    return "\n".join(joined)


def in_words(mark: Mark) -> str:
    """Say what became of an answer: "not attempted yet" is not "wrong"."""
    if mark.status == "graded":
        return "right" if mark.points >= mark.max_points else "partly right" if mark.points > 0 else "wrong"
    return _STATUS[mark.status]


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    PermissionError
        With what to do about a file that a spreadsheet keeps open.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half_written = path.with_name(f".{path.name}.half-written")
    try:
        half_written.write_bytes(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)
        os.replace(half_written, path)
    except PermissionError as problem:
        raise PermissionError(
            f"{path} cannot be written; is it open in a spreadsheet? Close it, run again"
        ) from problem
    finally:
        half_written.unlink(missing_ok=True)


def no_formula(text: str) -> str:
    """Keep a spreadsheet from computing what a student wrote: an apostrophe before = + - @ and tabs."""
    return "'" + text if re.match(r"'*[=+\-@\t\r]", text) else text


# ---- Tables -------------------------------------------------------------------------------------------------------


def write_tables(sheets: Sequence[Sheet], folder: Path) -> None:
    """Write ``grades.csv`` and ``totals.csv``.

    In ``totals.csv`` the column ``id`` is the student's number in the school's system, where the names of the files
    handed in hold one: Canvas's user ID, Moodle's participant number (another one for each assignment). A lesson's
    column is headed "lesson / points that can be earned" and holds the points so far; it is empty for a lesson of which
    nothing is known. Moodle reads the file as it is: map the column ``student`` to
    username, ID number or email address, whichever the folders were named by, and each lesson to its grade item.
    Canvas only reads tables that have its own columns: paste a lesson's column into its export, by SIS Login ID.
    """
    rows = []
    for sheet in sorted(sheets, key=lambda sheet: (sheet.student, sheet.lesson)):
        late = f"handed in {sheet.late}" if sheet.late else ""
        for mark in sorted(sheet.marks, key=lambda mark: mark.task):
            reason = "; ".join(filter(None, (mark.reason, late)))
            rows.append([*(getattr(mark, column) for column in COLUMNS[:-1]), _one_line(reason)])
    write(folder / "grades.csv", table([COLUMNS, *rows]))

    best = {lesson: max(s.max_points for s in sheets if s.lesson == lesson) for lesson in _lessons(sheets)}
    head = [
        "student",
        "id",
        *(f"{lesson} / {number(most)}" for lesson, most in best.items()),
        "total",
        "max",
        "waiting",
        "late",
    ]
    rows = []
    for student, own in _by_student(sheets):
        points = {sheet.lesson: sheet.points for sheet in own}
        late = "; ".join(f"{sheet.lesson}: {sheet.late}" for sheet in own if sheet.late)
        waiting = sum(sheet.waiting for sheet in own)
        total, most = sum(points.values()), sum(best.values())
        ids = dict.fromkeys(sheet.school_id for sheet in own if sheet.school_id)
        rows.append([student, "; ".join(ids), *(points.get(lesson, "") for lesson in best), total, most, waiting, late])
    write(folder / "totals.csv", table([head, *rows]))


def table(rows: Iterable[Sequence[Any]], delimiter: str = ",") -> str:
    """Write rows as CSV: plain numbers, and no text that a spreadsheet takes for a formula."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter)
    for row in rows:
        writer.writerow([no_formula(cell) if isinstance(cell, str) else number(cell) for cell in row])
    return file.getvalue()


def _one_line(text: str) -> str:
    return " ".join(tidy(text, letters=500).split())


def _lessons(sheets: Sequence[Sheet]) -> list[str]:
    return sorted({sheet.lesson for sheet in sheets})


def _by_student(sheets: Sequence[Sheet]) -> Iterator[tuple[str, list[Sheet]]]:
    for student, own in itertools.groupby(sorted(sheets, key=lambda s: (s.student, s.lesson)), lambda s: s.student):
        yield student, list(own)


# ---- Feedback for students ----------------------------------------------------------------------------------------

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{% block title %}{% endblock %}</title>
<style>
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #595959; --line: #c8c8c8; --paper: #fff; --panel: #f3f3f1; --accent: #0060a0 }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --soft: #b0b0b0; --line: #4a4a4a; --paper: #16181b; --panel: #23262a; --accent: #64b1ea } }
@media print { :root { color-scheme: light } section { break-inside: avoid-page } }
body { max-width: 60rem; margin: auto; padding: 1rem; font: 1.05rem/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); overflow-wrap: anywhere }
h1, h2, h3 { line-height: 1.25; margin: 1.4em 0 .4em } h1 { margin-top: .3em } p, ul { margin: .4em 0 }
h2 { border-top: 2px solid var(--accent); padding-top: .5em }
.soft { color: var(--soft) } .comment { border-left: 4px solid var(--accent); padding-left: .7em; white-space: pre-wrap }
.text { white-space: pre-wrap; background: var(--panel); padding: .6em .8em; margin: .4em 0; unicode-bidi: plaintext }
pre { white-space: pre-wrap; background: var(--panel); padding: .6em .8em; margin: .4em 0; font: .9rem/1.45 ui-monospace, Consolas,
  monospace; overflow: hidden; unicode-bidi: plaintext }
details { margin: .3em 0 } details > :not(summary) { margin-left: 1.1em } summary { cursor: pointer }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; vertical-align: top; padding: .4em .8em .4em 0;
  border-bottom: 1px solid var(--line); overflow-wrap: break-word }
svg { max-width: 100%; height: auto } svg text { font: 14pt system-ui, sans-serif; fill: var(--ink) } svg rect { fill: var(--accent) }
@media screen and (max-width: 40rem) { thead { display: none } table, tbody, tr, td { display: block } td { border: 0; padding: .1em 0 }
  tr { border-bottom: 1px solid var(--line); padding: .6em 0; display: block } td[data-is]::before { content: attr(data-is) ": ";
  color: var(--soft) } }
</style>
</head>
<body>
{% block body %}{% endblock %}
</body>
</html>
"""

PAGES = Environment(
    loader=DictLoader({"page": _PAGE}),
    autoescape=True,
    finalize=lambda value: tidy(value) if type(value) is str else value,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
PAGES.filters |= {"number": number, "in_words": in_words, "counted": counted, "flowing": flowing}

_FEEDBACK = """{% extends "page" %}
{% block title %}Feedback for {{ student }}{% endblock %}
{% block body %}
<h1>Feedback for <bdi>{{ student }}</bdi></h1>
<p>{{ points|number }} of {{ most|number }} points so far{% if waiting %}; {{ waiting|counted("answer") }} still to be read by a person{% endif %}.</p>
{% for sheet in sheets %}
<h2>{{ sheet.lesson }}: {{ sheet.points|number }} of {{ sheet.max_points|number }} points</h2>
{% if sheet.handed_in %}<p class="soft">Handed in: {{ sheet.handed_in }}</p>{% endif %}
{% if sheet.late %}<p><strong>Handed in {{ sheet.late }}</strong></p>{% endif %}
{% if sheet.notes %}<ul>{% for note in sheet.notes %}<li>{{ note }}</li>{% endfor %}</ul>{% endif %}
{% if sheet.missing %}<p>{{ sheet.marks[0]|in_words }}</p>{% endif %}
{% for mark in sheet.marks if not sheet.missing %}
<section>
<h3><code>{{ mark.task }}</code>: {{ "–" if mark.status == "needs_manual" else mark.points|number }} of {{ mark.max_points|number }}, {{ mark|in_words }}</h3>
{% if mark.reason and mark.reason not in mark.feedback ~ mark|in_words %}<p>{{ mark.reason }}</p>{% endif %}
{% if mark.feedback %}<pre>{{ mark.feedback }}</pre>{% endif %}
{% if mark.comment %}<p class="comment">{{ mark.comment }}</p>{% endif %}
{% if mark.answer and mark.status != "not_attempted" %}<details><summary>Your answer</summary><pre>{{ mark.answer }}</pre></details>{% endif %}
</section>
{% endfor %}
{% endfor %}
{% endblock %}
"""


def write_feedback(sheets: Sequence[Sheet], folder: Path) -> None:
    """Write ``feedback/<safe name>.html`` for each student: nothing of the hidden tests, nothing of anybody else.

    For each lesson that came out of Moodle there is ``feedback/<lesson>-moodle.zip``, which Moodle hands back by itself
    (Upload multiple feedback files in a zip).
    """
    page = PAGES.from_string(_FEEDBACK)
    returned: dict[str, dict[str, str]] = {}  # lesson → place in Moodle's archive → page
    for student, own in _by_student(sheets):
        points, most = sum(sheet.points for sheet in own), sum(sheet.max_points for sheet in own)
        waiting = sum(sheet.waiting for sheet in own)
        html = page.render(student=student, sheets=own, points=points, most=most, waiting=waiting)
        write(folder / "feedback" / f"{safe_name(student)}.html", html)
        for sheet in own:
            if sheet.returns:
                returned.setdefault(sheet.lesson, {})[f"{sheet.returns}/feedback.html"] = html
    for lesson, pages in returned.items():
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
            for name, html in pages.items():
                opened.writestr(name, html.encode("utf-8", "backslashreplace"))
        write(folder / "feedback" / f"{lesson}-moodle.zip", archive.getvalue())


# ---- The report on the class --------------------------------------------------------------------------------------

_REPORT = """{% extends "page" %}
{% block title %}Class report{% endblock %}
{% macro people(marks) %}{% for mark in marks %}<bdi>{{ mark.student }}</bdi>{{ "; " if not loop.last }}{% endfor %}{% endmacro %}
{% macro listed(title, count, noun) %}{% if count %}<details open><summary>{{ title }}: {{ count|counted(noun) }}</summary><ul>{{ caller() }}</ul></details>
{% else %}<p>{{ title }}: none.</p>{% endif %}{% endmacro %}
{% macro groups(found) %}<ul>{% for group in found %}<li>{{ group|length }} students, {{ group|map("in_words")|unique|join(" or ") }}: {{ people(group) }}
<details><summary>the answer of <bdi>{{ group[0].student }}</bdi></summary><pre>{{ group[0].answer }}</pre></details></li>{% endfor %}</ul>{% endmacro %}
{% block body %}
<h1>Class report</h1>
<p>{{ students|counted("student") }}, {{ lessons|length|counted("lesson") }}. Points are those given so far: an answer that waits for a person,
or was never handed in, is left out of every mean below. In <code>totals.csv</code> the school's system recognises a student by the column <code>student</code> or <code>id</code>.</p>
<h2>To do</h2>
{% call listed("Waiting for a mark by hand", waiting|map("last")|map("length")|sum, "answer") %}
{% for key, marks in waiting %}<li>{{ key[0] }}, <code>{{ key[1] }}</code>: {{ people(marks) }}</li>{% endfor %}{% endcall %}
{% call listed("Marked by hand, and changed since", changed|length, "answer") %}
{% for mark in changed %}<li><bdi>{{ mark.student }}</bdi>, {{ mark.lesson }}, <code>{{ mark.task }}</code></li>{% endfor %}{% endcall %}
{% call listed("Late", late|length, "submission") %}
{% for sheet in late %}<li><bdi>{{ sheet.student }}</bdi>, {{ sheet.lesson }}: {{ sheet.late }}</li>{% endfor %}{% endcall %}
{% call listed("Not handed in", missing|map("last")|map("length")|sum, "submission") %}
{% for lesson, sheets in missing %}<li>{{ lesson }}: {{ people(sheets) }}</li>{% endfor %}{% endcall %}
{% call listed("Something was wrong with", troubled|length, "submission") %}
{% for sheet, troubles in troubled %}<li><bdi>{{ sheet.student }}</bdi>, {{ sheet.lesson }}: {{ troubles|join("; ") }}
{% if sheet.where %}<span class="soft">({{ sheet.where }})</span>{% endif %}</li>{% endfor %}{% endcall %}
{% if warnings %}<details open><summary>To know</summary><ul>{% for warning in warnings %}<li>{{ warning }}</li>{% endfor %}</ul></details>{% endif %}
{% for lesson in lessons %}
<h2>{{ lesson.name }}</h2>
<p>{{ lesson.finding }}</p>
{% if lesson.bars %}
<svg role="img" aria-label="{{ lesson.name }}: {{ lesson.finding }}" width="350" height="200" viewBox="0 0 350 200">
{% for count in lesson.bars %}{% set high = 120 * count / lesson.bars|max %}
<rect x="{{ 10 + 33 * loop.index0 }}" y="{{ 150 - high }}" width="29" height="{{ high + 1 }}"></rect>
{% if count %}<text x="{{ 24.5 + 33 * loop.index0 }}" y="{{ 144 - high }}" text-anchor="middle">{{ count }}</text>{% endif %}
{% endfor %}
<text x="10" y="172">0 %</text><text x="173" y="172" text-anchor="middle">50 %</text><text x="338" y="172" text-anchor="end">100 %</text>
<text x="173" y="194" text-anchor="middle">students by share of the points</text>
</svg>
{% endif %}
<table>
<thead><tr><th>Task</th><th>Mean share</th><th>Separates strong from weak?</th><th>Answers</th></tr></thead>
<tbody>{% for task in lesson.tasks %}
<tr><td><code>{{ task.name }}</code></td><td data-is="Mean share of its points">{{ task.difficulty }}</td>
<td data-is="Separates strong from weak">{{ task.separation }}</td><td data-is="Answers">{{ task.statuses }}</td></tr>{% endfor %}
</tbody></table>
<h3>The most common mistakes</h3>
{% for task in lesson.tasks if task.mistakes %}<p><code>{{ task.name }}</code></p>
{% for said, marks in task.mistakes %}<details><summary>{{ marks|length }} × {{ said }}</summary><p>{{ people(marks) }}</p></details>{% endfor %}
{% else %}<p>No check has named one.</p>{% endfor %}
<h3>Answers that are the same</h3>
<p class="soft">Code is compared without its names, comments and layout, text word for word. Equal answers are a reason to look and to ask, no proof: there are few ways to write a
short function, and people who learn together write alike.</p>
{% for task in lesson.tasks if task.telling %}<p><code>{{ task.name }}</code></p>{{ groups(task.telling) }}
{% else %}<p>None that would mean anything.</p>{% endfor %}
{% set common = lesson.tasks|selectattr("common")|list %}
{% if common %}<details><summary>Too short (fewer than {{ short }} parts) or too common (code of more than a third of those who tried) to mean anything</summary>
{% for task in common %}<p><code>{{ task.name }}</code></p>{{ groups(task.common) }}{% endfor %}</details>{% endif %}
{% set unread = lesson.tasks|sum("unread") %}
{% if unread %}<p class="soft">{{ unread|counted("answer") }} could not be read as Python and took no part.</p>{% endif %}
{% endfor %}
{% endblock %}
"""


@dataclass(frozen=True)
class _Task:
    """What the report says of one task of a lesson."""

    name: str
    difficulty: str
    separation: str
    statuses: str
    mistakes: list[tuple[str, list[Mark]]]
    telling: list[list[Mark]]
    common: list[list[Mark]]
    unread: int


@dataclass(frozen=True)
class _Lesson:
    """What the report says of one lesson; ``bars`` counts students by tenths of the points."""

    name: str
    finding: str
    bars: list[int]
    tasks: list[_Task]


def write_report(sheets: Sequence[Sheet], folder: Path, warnings: Sequence[str] = ()) -> None:
    """Write ``report.html``: what is to do and to know, then for each lesson points, tasks, mistakes, equal answers."""
    marks = [mark for sheet in sheets for mark in sheet.marks]
    waiting = _grouped((m for m in marks if m.status == "needs_manual"), lambda m: (m.lesson, m.task))
    html = PAGES.from_string(_REPORT).render(
        students=len({sheet.student for sheet in sheets}),
        lessons=[_lesson(lesson, sheets) for lesson in _lessons(sheets)],
        waiting=sorted(waiting.items()),
        changed=[mark for mark in marks if mark.status == "manual" and ANSWER_CHANGED in mark.reason],
        late=[sheet for sheet in sheets if sheet.late],
        missing=list(_grouped((sheet for sheet in sheets if sheet.missing), lambda sheet: sheet.lesson).items()),
        troubled=[(sheet, troubles) for sheet in sheets if (troubles := _troubles(sheet))],
        warnings=warnings,
        short=SHORT,
    )
    write(folder / "report.html", html)


def share(marks: Iterable[Mark]) -> float | None:
    """Give the share of the points in what has been handed in and marked; None where nothing has."""
    marked = [mark for mark in marks if mark.status not in ("needs_manual", *NOT_HANDED_IN)]
    return sum(m.points for m in marked) / sum(m.max_points for m in marked) if marked else None


def separation(pairs: Sequence[tuple[float, float]]) -> str:
    """Say how well a task separates strong from weak: the corrected item–total correlation, with its interval.

    A pair is one student's share of the points in the task, and in everything else. The 95 % interval is Fisher's.

    >>> separation([(0, 0.1), (0, 0.2), (1, 0.8), (1, 0.9), (1, 0.7)])
    'yes: 0.98 (95 % interval 0.68 to 1.00)'
    >>> separation([(1, 0.1), (1, 0.9)])
    'not computable: only 2 students'
    """
    if len(pairs) < 5:
        return f"not computable: only {counted(len(pairs), 'student')}"
    here, rest = zip(*pairs, strict=True)
    for shares, where in ((here, "here"), (rest, "in everything else")):
        if max(shares) - min(shares) < 1e-9:
            return f"not computable: everybody earned the same {where}"
    r = statistics.correlation(here, rest)
    middle, half = math.atanh(max(-0.9999, min(r, 0.9999))), 1.96 / math.sqrt(len(pairs) - 3)
    low, high = math.tanh(middle - half), math.tanh(middle + half)
    verdict = "yes" if low > 0 else "the weak earn more: read it again" if high < 0 else "cannot be told in this class"
    return f"{verdict}: {r:.2f} (95 % interval {low:.2f} to {high:.2f})".replace("-", "−")


def _lesson(name: str, sheets: Sequence[Sheet]) -> _Lesson:
    shares = [part for sheet in sheets if sheet.lesson == name and (part := share(sheet.marks)) is not None]
    bars = Counter(min(int(10 * part + 1e-9), 9) for part in shares)
    finding = "Nothing has been handed in and marked."
    if shares:
        mean, median = _percent(statistics.mean(shares)), _percent(statistics.median(shares))
        below = sum(part < 0.5 for part in shares) or "nobody"
        finding = f"{counted(len(shares), 'student')}, mean {mean} of the points, median {median}; {below} below half."
    tasks = _grouped((m for s in sheets if s.lesson == name for m in s.marks), lambda m: m.task)
    everything = _grouped((mark for sheet in sheets for mark in sheet.marks), lambda m: m.student)
    return _Lesson(
        name, finding, [bars[tenth] for tenth in range(10)] if shares else [],
        [_task(task, marks, everything) for task, marks in tasks.items()],
    )  # fmt: skip


def _task(name: str, marks: list[Mark], everything: dict[str, list[Mark]]) -> _Task:
    pairs = [
        (here, rest)
        for mark in marks
        if (here := share([mark])) is not None
        and (rest := share(other for other in everything[mark.student] if other is not mark)) is not None
    ]
    shares = [here for mark in marks if (here := share([mark])) is not None]
    found = {mark.status for mark in marks}
    unread = "needs_manual" in found and not found & {"graded", "manual"}  # then only the empty answers have a mark
    known = bool(shares) and not unread
    difficulty = f"{_percent(statistics.mean(shares))} (n\xa0=\xa0{len(shares)})" if known else "not known yet"
    statuses = Counter(in_words(mark) for mark in marks).most_common()
    mistakes = _grouped((mark for mark in marks if mark.diagnosis), lambda m: m.diagnosis)
    return _Task(
        name, difficulty, separation(pairs), ", ".join(f"{count} {words}" for words, count in statuses),
        sorted(mistakes.items(), key=lambda item: -len(item[1])), *alike(marks),
    )  # fmt: skip


def _percent(part: float) -> str:
    return f"{100 * part:.0f}\xa0%"


def _grouped(things: Iterable[T], by: Callable[[T], Any]) -> dict[Any, list[T]]:
    groups: dict[Any, list[T]] = {}
    for thing in things:
        groups.setdefault(by(thing), []).append(thing)
    return groups


def _troubles(sheet: Sheet) -> list[str]:
    """Say what was wrong with a submission: its notes, and every answer that could not be run to its end."""
    bad = [mark for mark in sheet.marks if mark.status in ("timeout", "kernel_died", "unreadable")]
    troubles = list(sheet.notes)
    for words, marks in _grouped(bad, in_words).items():
        if marks[0].status == "unreadable":
            troubles.append(f"{words}: {marks[0].reason}")
        else:
            everything = len(marks) == len(sheet.marks)
            troubles.append(words if everything else f"{words} ({', '.join(mark.task for mark in marks)})")
    return troubles
