"""From one submission to marks: each answer runs in the sandbox, each check cell with its tests runs here.

An answer that earns nothing does not cost the later ones: where they call it, they get the lesson's own solution instead.
"""

import ast
import contextlib
import functools
import io
import re
from dataclasses import dataclass
from typing import Any

import torch

from course.answers import Feedback, Incorrect, NotAttempted, Raised
from course.marks import Mark, Status
from course.rebuild import Answers, Check, CodeTask, Lesson, WrittenTask, own_words, same
from course.sandbox import Died, Sandbox, Stopped, TimedOut
from course.tasks import TASKS


@dataclass(frozen=True)
class Verdict:
    """What became of one answer."""

    points: float
    status: Status
    reason: str = ""
    diagnosis: str = ""
    feedback: str = ""


def marks(student: str, lesson: Lesson, answers: Answers, *, sealed: bool, task_seconds: float) -> tuple[Mark, ...]:
    """Mark every task of a lesson."""
    with _Submission(lesson, answers, sealed, task_seconds) as submission:
        code = [_mark(student, lesson, task, submission.verdict(task), answers) for task in lesson.code]
    return (*code, *(_written_mark(student, lesson, task, answers) for task in lesson.written))


def _mark(student: str, lesson: Lesson, task: CodeTask, verdict: Verdict, answers: Answers) -> Mark:
    return Mark(
        student,
        lesson.name,
        task.name,
        verdict.points,
        task.points,
        verdict.status,
        verdict.reason,
        diagnosis=verdict.diagnosis,
        feedback=verdict.feedback,
        answer=answers.sources.get(task.answer_id, ""),
    )


def _written_mark(student: str, lesson: Lesson, task: WrittenTask, answers: Answers) -> Mark:
    answer = answers.sources.get(task.name, "")
    own = own_words(answer, task.stub)
    status: Status = "needs_manual" if own else "not_attempted"
    return Mark(student, lesson.name, task.name, 0.0, task.points, status, kind="text", answer=own)


class _Submission:
    """One submission while it is judged. A sandbox that ended is replaced, and caught up with what came before."""

    def __init__(self, lesson: Lesson, answers: Answers, sealed: bool, task_seconds: float):
        self.lesson, self.answers, self.sealed, self.task_seconds = lesson, answers, sealed, task_seconds
        self.sandbox: Sandbox | None = None
        self.cells_so_far: list[tuple[str, str]] = []  # task and source, as the next sandbox needs them

    def __enter__(self) -> "_Submission":
        return self

    def __exit__(self, *_: object) -> None:
        if self.sandbox is not None:
            self.sandbox.close()

    def verdict(self, task: CodeTask) -> Verdict:
        """Judge one answer, and leave for the later ones what they may build on."""
        source = self.answers.sources.get(task.answer_id)
        if source is None:
            verdict = Verdict(0, "not_attempted", "its cell is missing from the notebook")
        elif same(source, task.stub) or not source.strip():
            verdict = Verdict(0, "not_attempted", "the answer is as it was handed out")
        else:
            source = _without_magic(source)
            verdict = self._judged(task, source)
            if verdict.status not in ("timeout", "kernel_died"):
                self.cells_so_far.append((task.name, source))
        if verdict.points < task.points and self._is_needed_later(task):
            self.cells_so_far.append((task.name, task.solution))
            if self.sandbox is not None and self.sandbox.alive:
                with contextlib.suppress(Stopped):
                    self.sandbox.run(task.name, task.solution)
        return verdict

    def _is_needed_later(self, task: CodeTask) -> bool:
        """Whether a later answer speaks of it: only then does the solution enter the sandbox."""
        names = [other.name for other in self.lesson.code]
        later = self.lesson.code[names.index(task.name) + 1 :]
        return any(re.search(rf"\b{task.name}\b", self.answers.sources.get(other.answer_id, "")) for other in later)

    def _running(self) -> Sandbox:
        if self.sandbox is None or not self.sandbox.alive:
            forbidden = {
                task.name: [(function.__module__, function.__qualname__) for function in TASKS[task.name].forbidden]
                for task in self.lesson.code
            }
            self.sandbox = Sandbox(self.lesson.set_up, forbidden, sealed=self.sealed)
            self.sandbox.begin(self.task_seconds)
            for name, source in self.cells_so_far:
                self.sandbox.run(name, source)
        return self.sandbox

    def _judged(self, task: CodeTask, source: str) -> Verdict:
        try:
            sandbox = self._running()
            sandbox.begin(self.task_seconds)
            raised, is_defined = sandbox.run(task.name, source)
            if not is_defined:
                why = f"raises {raised.told()}" if raised is not None else f"does not define {task.name}"
                return _lost(f"the answer cell {why}")
            return _judge(task, names_of(self.lesson.set_up) | {task.name: sandbox.function(task.name)})
        except TimedOut:
            return Verdict(0, "timeout", f"stopped after {self.task_seconds:g} seconds: does a loop never end?")
        except Died as end:
            return Verdict(0, "kernel_died", f"the answer ended its own process: {end}")


@functools.cache
def names_of(set_up: str) -> dict[str, Any]:
    """Run a lesson's set-up cell here, for its check cells."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(set_up, "<set-up>", "exec"), names)
    return names


def _judge(task: CodeTask, names: dict[str, Any]) -> Verdict:
    points, reasons = 0.0, []
    for check in task.checks:
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                earned = _points(check, names)
            points += earned
            reasons.append(getattr(earned, "reason", ""))
        except NotAttempted as feedback:
            return Verdict(points, "not_attempted", str(feedback).splitlines()[0].lstrip("○ "), feedback=str(feedback))
        except Incorrect as feedback:
            return _lost(feedback.behaviour, str(feedback), points)
        except Feedback as feedback:
            return _lost(str(feedback).splitlines()[0], str(feedback), points)
        except Raised as raised:
            return _lost(f"the function raises {raised.told()}", points=points)
        except Exception:  # whatever a test says of an answer says something of the test, and stays here
            return _lost("the function passes the check that you see, but is wrong on other values", points=points)
        finally:
            torch.set_grad_enabled(True)
    return Verdict(points, "graded", "; ".join(filter(None, reasons)))


def _lost(diagnosis: str, feedback: str = "", points: float = 0.0) -> Verdict:
    diagnosis = diagnosis[0].upper() + diagnosis[1:]
    return Verdict(points, "graded", diagnosis, diagnosis, feedback or diagnosis)


def _points(check: Check, names: dict[str, Any]) -> float:
    """Run a check cell. As in nbgrader, a number on its last line is what was earned; without one, it is everything.

    That number may say in ``reason`` what it was earned for.
    """
    cell = ast.parse(check.source)
    last = cell.body.pop() if cell.body and isinstance(cell.body[-1], ast.Expr) else None
    exec(compile(cell, f"<{check.grade_id}>", "exec"), names)
    value = None
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), f"<{check.grade_id}>", "eval"), names)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return check.points
    return value if 0 <= value <= check.points else min(max(float(value), 0.0), check.points)


def _without_magic(source: str) -> str:
    """Turn ``%magic`` and ``!command`` into calls of a shell that does nothing; plain Python stays as it is."""
    if not re.search(r"^\s*[%!?]|\?\s*$|=\s*[%!]", source, re.MULTILINE):
        return source
    from IPython.core.inputtransformer2 import TransformerManager  # half a second, which few answers ask for

    try:
        return TransformerManager().transform_cell(source)
    except Exception:  # then Python will say what is wrong with it
        return source
