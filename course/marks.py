"""Marks as they travel from the sandbox to tables and pages: a mark for each task, a sheet for each student and lesson."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

Status = Literal[
    "graded",  # points were earned or lost; 0 is an honest 0
    "not_attempted",  # the answer is still as it was handed out
    "needs_manual",  # a person has to read it: see by-hand.csv
    "manual",  # a person gave these points
    "timeout",  # the answer was stopped
    "kernel_died",  # the answer ended its process
    "missing_file",  # nothing was handed in
    "unreadable",  # what was handed in is no notebook
]

NOT_HANDED_IN: tuple[Status, ...] = ("missing_file", "unreadable")


@dataclass(frozen=True)
class Mark:
    """One task of one student. The first seven fields are the columns of ``grades.csv``."""

    student: str
    lesson: str
    task: str  # the graded function, or the grade_id of a text answer
    points: float
    max_points: float
    status: Status
    reason: str = ""  # one line for the table
    kind: Literal["code", "text"] = "code"
    diagnosis: str = ""  # the wrong behaviour in the check's words: counted in the class report
    feedback: str = ""  # all lines of the check, with its public case, for the student's page
    answer: str = ""  # what the student wrote in the answer cell
    comment: str = ""  # by the person who marked it


@dataclass(frozen=True)
class Sheet:
    """What one student handed in for one lesson, and what it earned."""

    student: str
    lesson: str
    marks: tuple[Mark, ...]
    where: str = ""  # the file that was marked, as a person finds it
    handed_in: str = ""  # ISO date and time, where it is known
    late: str = ""  # "2 h 5 min late"; empty in time
    school_id: str = ""  # the student's number in the school's system
    returns: str = ""  # the folder in which that system takes a file back for the student
    notes: tuple[str, ...] = ()  # what was restored, and where the file was found

    @property
    def points(self) -> float:
        """Points earned so far."""
        return sum(mark.points for mark in self.marks)

    @property
    def max_points(self) -> float:
        """Points that could be earned."""
        return sum(mark.max_points for mark in self.marks)

    @property
    def waiting(self) -> int:
        """Number of answers that wait for a mark by hand."""
        return sum(mark.status == "needs_manual" for mark in self.marks)

    @property
    def missing(self) -> bool:
        """Whether nothing at all was handed in."""
        return all(mark.status == "missing_file" for mark in self.marks)

    def to_json(self) -> dict[str, Any]:
        """Give plain data, to be stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> "Sheet":
        """Make a sheet from what ``to_json`` gave.

        Raises
        ------
        KeyError, TypeError
            If something is missing, or nobody knows it.
        """
        marks = tuple(Mark(**mark) for mark in plain["marks"])
        return cls(**{**plain, "marks": marks, "notes": tuple(plain["notes"])})


@dataclass(frozen=True)
class TextTask:
    """A question that is answered in words, with what helps the person who marks the answers."""

    question: str
    solution: str
    rubric: str


EXAM_VARIABLE = (
    "DISTILLATION_EXAM_SPLIT"  # of the environment: tells the marking processes the split of the capstone's exam
)
COLUMNS = tuple(field.name for field in fields(Mark))[:7]
