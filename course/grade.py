"""From a class's submissions to marks, tables and pages: ``python -m course grade FOLDER``.

Each submission is marked once and kept in ``grades/.marks``; another run marks what is new or changed, and everything when
the lesson's tests, the toolkit or the judge changed. A run that was killed goes on where it stopped.
"""

import hashlib
import json
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

from course import by_hand, collect, rebuild, report
from course.collect import Submission
from course.marks import EXAM_VARIABLE, Mark, Sheet, Status
from course.rebuild import Lesson

TASK_SECONDS = 20.0
MOST_BYTES = 256 * 2**20  # of one notebook: somebody prints 100 MB, and is marked all the same

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """A submission to be marked, and the key under which its sheet is kept."""

    submission: Submission
    lesson: Lesson
    key: str
    sealed: bool
    task_seconds: float


@dataclass(frozen=True)
class Graded:
    """What a run did."""

    sheets: list[Sheet]
    marked_now: int
    warnings: tuple[str, ...]

    @property
    def waiting(self) -> int:
        """Number of answers that wait for a mark by hand."""
        return sum(sheet.waiting for sheet in self.sheets)


def grade(
    folder: Path,
    grades: Path,
    *,
    lessons: Sequence[str] = (),
    deadline: datetime | None = None,
    again: bool = False,
    sealed: bool = True,
    task_seconds: float = TASK_SECONDS,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Graded:
    """Mark a class, and write ``grades.csv``, ``totals.csv``, the feedback, the report and what waits for a person.

    Parameters
    ----------
    folder : where the submissions lie, or the archive that a school's system gave
    grades : where marks and pages go
    lessons : which lessons; without any, all that somebody handed in
    deadline : later submissions are marked as late, and keep their points
    again : mark everything anew; marks by hand stay in any case
    sealed : whether each submission runs within bubblewrap
    task_seconds : how long the answer to one task may take in all
    processes : how many submissions at once; as many as there are processors, unless said otherwise
    progress : called with (submissions done, submissions in all)

    Raises
    ------
    ValueError
        If there are no submissions, or a mark by hand is none.
    """
    from course import build  # seconds of import time, of which the marking processes have no need

    known = {name: rebuild.lesson(name) for name in build.lessons(lessons)}
    found = collect.collect(folder, list(known), lambda content: rebuild.whose(content, known.values()))
    os.environ.setdefault(EXAM_VARIABLE, _exam_split(grades))
    report.write(grades / ".gitignore", "*\n")  # names and answers
    jobs = [
        Job(
            submission,
            known[submission.lesson],
            _key(submission, known[submission.lesson], sealed),
            sealed,
            task_seconds,
        )
        for submission in found.submissions
    ]
    kept = {job: None if again else _load(grades, job) for job in jobs}
    to_mark = [job for job, sheet in kept.items() if sheet is None]
    done = len(jobs) - len(to_mark)
    for job, sheet in _marked(to_mark, processes or os.cpu_count() or 1):
        _save(grades, job, sheet)
        kept[job] = sheet
        done += 1
        if progress is not None:
            progress(done, len(jobs))
    sheets = [_with_circumstances(sheet, job.submission, deadline) for job, sheet in kept.items() if sheet is not None]
    sheets, unused = by_hand.update(grades / "by-hand.csv", sheets)
    warnings = (*found.warnings, *_of_earlier_runs(grades, jobs), *unused, *_of_unknown_time(found, deadline))
    by_hand.write_page(
        grades / "by-hand.html",
        sheets,
        {(one.name, task.name): task.text for one in known.values() for task in one.written},
    )
    report.write_tables(sheets, grades)
    report.write_feedback(sheets, grades)
    report.write_report(sheets, grades, warnings)
    return Graded(sheets, len(to_mark), warnings)


def _of_earlier_runs(grades: Path, jobs: Sequence[Job]) -> Iterator[str]:
    """Say whose marks an earlier run has kept, and these submissions would make vanish from the tables."""
    gone = sorted(set((grades / ".marks").glob("*/*.json")) - {_kept_path(grades, job) for job in jobs})
    if gone:
        names = [f"{path.stem} ({path.parent.name})" for path in gone]
        yield (
            f"the tables hold what was handed in this time, not what an earlier run marked: {report.first_of(names)}. "
            "To have both, put all folders or archives into one folder and grade that; to keep them apart, give each its "
            "own grades folder"
        )


def _of_unknown_time(found: collect.Collection, deadline: datetime | None) -> Iterator[str]:
    """Say for how many submissions nobody knows whether they came in time."""
    unknown = [one for one in found.submissions if one.path and one.handed_in is None and not one.late]
    if deadline is not None and unknown:
        yield (
            f"nobody can tell whether {report.counted(len(unknown), 'submission')} came after the deadline: archives of "
            "Moodle and Canvas do not say when something was handed in. Only what Canvas itself has marked is late"
        )


# ---- One submission ------------------------------------------------------------------------------------------------


def mark(job: Job) -> Sheet:
    """Mark one submission, in a process that never runs a student's code itself."""
    from course import judge

    submission, lesson = job.submission, job.lesson
    if submission.problem and submission.path is None:
        return without_answers(job, "missing_file", submission.problem)
    try:
        if submission.problem:
            raise rebuild.Unreadable(submission.problem)
        answers = rebuild.answers_in(submission.read(MOST_BYTES), lesson)
    except (ValueError, OSError) as problem:
        return without_answers(job, "unreadable", str(problem))
    marks = judge.marks(submission.student, lesson, answers, sealed=job.sealed, task_seconds=job.task_seconds)
    return Sheet(submission.student, lesson.name, marks, submission.where, notes=answers.notes)


def without_answers(job: Job, status: Status, reason: str) -> Sheet:
    """Make the sheet of what cannot be marked: no points, with the reason for it beside each task."""
    lesson, student = job.lesson, job.submission.student
    marks = [Mark(student, lesson.name, task.name, 0.0, task.points, status, reason) for task in lesson.code]
    marks += [
        Mark(student, lesson.name, task.name, 0.0, task.points, status, reason, "text") for task in lesson.written
    ]
    return Sheet(student, lesson.name, tuple(marks), job.submission.where)


def _with_circumstances(sheet: Sheet, submission: Submission, deadline: datetime | None) -> Sheet:
    """Add what does not depend on the answers: when it came, whether that was late, and how it was found."""
    handed_in, late = submission.handed_in, "late" if submission.late else ""
    if deadline is not None and handed_in is not None:
        late = f"{_duration(handed_in - deadline)} late" if handed_in > deadline else ""
    return replace(
        sheet,
        where=submission.where,
        handed_in=f"{handed_in.astimezone():%Y-%m-%d %H:%M}" if handed_in is not None else "",
        late=late,
        school_id=submission.school_id,
        returns=submission.returns,
        notes=(*submission.notes, *sheet.notes),
    )


def _duration(time: timedelta) -> str:
    minutes = -(-int(time.total_seconds()) // 60)  # a minute that has begun counts
    days, hours = divmod(minutes // 60, 24)
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{minutes % 60} min" if not days else ""]
    return " ".join(part for part in parts if part)


# ---- All of them ---------------------------------------------------------------------------------------------------


def _marked(jobs: list[Job], processes: int) -> Iterator[tuple[Job, Sheet]]:
    """Mark in several processes; give each sheet as it comes.

    A process of ours that dies (the system may run out of memory) takes those beside it along: what is then without a
    mark is tried once more, alone.
    """
    unfinished = list(jobs)
    for alone in (False, True):
        for group in [[job] for job in unfinished] if alone else [unfinished]:
            for job, sheet in _try_to_mark(group, min(processes, len(group)) or 1):
                unfinished.remove(job)
                yield job, sheet
    for job in unfinished:
        yield (
            job,
            without_answers(job, "kernel_died", "the marking process died twice, perhaps for want of memory"),
        )


def _try_to_mark(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Job, Sheet]]:
    if not jobs:
        return
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_prepare)
    try:
        futures: dict[Future[Sheet], Job] = {pool.submit(mark, job): job for job in jobs}
        for future in as_completed(futures):
            with suppress(BrokenProcessPool):
                yield futures[future], future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _prepare() -> None:
    import torch

    torch.set_num_threads(1)
    torch.seed()


# ---- What is kept --------------------------------------------------------------------------------------------------


def _key(submission: Submission, lesson: Lesson, sealed: bool) -> str:
    """Tell a submission that was marked from one that is new or has changed, or whose tests have."""
    digest = hashlib.sha256(lesson.digest.encode())
    digest.update(json.dumps([submission.student, submission.where, submission.problem, sealed]).encode())
    digest.update(os.environ.get(EXAM_VARIABLE, "").encode())
    with suppress(ValueError, OSError):  # what cannot be read is told when it is marked
        digest.update(submission.read(MOST_BYTES))
    return digest.hexdigest()


def _kept_path(grades: Path, job: Job) -> Path:
    return grades / ".marks" / job.submission.lesson / f"{collect.safe_name(job.submission.student)}.json"


def _load(grades: Path, job: Job) -> Sheet | None:
    try:
        kept = json.loads(_kept_path(grades, job).read_text(encoding="utf-8"))
        return Sheet.from_json(kept["sheet"]) if kept["key"] == job.key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _save(grades: Path, job: Job, sheet: Sheet) -> None:
    path = _kept_path(grades, job)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps({"key": job.key, "sheet": sheet.to_json()}), encoding="utf-8")
    os.replace(unfinished, path)


def _exam_split(grades: Path) -> str:
    """Give the seed of the capstone's split: drawn when a class is first graded, and the same for all of it."""
    path = grades / ".marks" / "exam-split.txt"
    with suppress(OSError):
        return path.read_text(encoding="utf-8").strip()
    from course.capstone import FIRST_EXAM_SPLIT  # brings PyTorch along, which nothing else here needs

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(FIRST_EXAM_SPLIT + secrets.randbelow(2**31)), encoding="utf-8")
    return path.read_text(encoding="utf-8")


def summary(graded: Graded, grades: Path) -> Iterable[str]:
    """Say in a few lines what came out, and what to do next."""
    counted = report.counted
    students = {sheet.student for sheet in graded.sheets}
    lessons = {sheet.lesson for sheet in graded.sheets}
    unchanged = len(graded.sheets) - graded.marked_now
    yield (
        f"{counted(len(students), 'student')}, {counted(len(lessons), 'lesson')}: "
        f"{counted(graded.marked_now, 'submission')} marked"
        f"{f', {unchanged} unchanged since the last run' if unchanged else ''}."
    )
    if missing := sum(sheet.missing for sheet in graded.sheets):
        yield f"Of these, {missing} {'was' if missing == 1 else 'were'} never handed in."
    found = Counter(mark.status for sheet in graded.sheets for mark in sheet.marks)
    if troubles := [
        f"{found[status]} {status}" for status in ("timeout", "kernel_died", "unreadable") if found[status]
    ]:
        yield f"Tasks without a computed mark: {', '.join(troubles)}. The report names them."
    if graded.waiting:
        yield (
            f"{counted(graded.waiting, 'answer')} still without a mark by hand: read {grades / 'by-hand.html'}, fill in the points in "
            f"{grades / 'by-hand.csv'}, and run this again."
        )
    if changed := sum(report.ANSWER_CHANGED in mark.reason for sheet in graded.sheets for mark in sheet.marks):
        yield f"{counted(changed, 'answer')} changed after a mark by hand, which still stands: by-hand.html lists them."
    yield f"Report: {grades / 'report.html'}. Tables: grades.csv and totals.csv. A page for each student: {grades / 'feedback'}."
