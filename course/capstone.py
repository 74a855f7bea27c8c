"""The capstone's examiner: it trains a recipe anew on a split of the data, and says what it earns.

A recipe is plain data: what to build, how to train. ``rehearse`` tries one on a practice split; at grading the same code runs on
a split that was drawn after all recipes were written. The student's data are few: ``EXAMPLES`` images of the training part, which
is where a teacher's soft targets, and a choice of T and λ, matter.
"""

import difflib
import functools
import os
import re
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np
from tqdm.auto import tqdm

from course.marks import EXAM_VARIABLE
from toolkit import data, models, scenarios, training
from toolkit.data import Dataset
from toolkit.training import Progress, Teacher

DATASET = "digits"
EXAMPLES = 100  # what the student is given: so many training images of the split, with labels, others for each student
PARAMETERS = 3_000  # a student may have so many at most
SECONDS = 2.0  # of computing for each student; one that needs more is stopped, and counts as it stands
STUDENTS = 4  # are trained for an outcome, with seeds 0 … 3; their mean counts
STEPS = 20_000  # more updates than that fit into the time limit nowhere
FLOOR = 0.89  # labels alone come to about that within the budget: no points
FULL_MARKS = 0.95  # full marks from here on
POINTS = 10
PRACTICE_SPLIT = 1  # any number below FIRST_EXAM_SPLIT may be practised on
FIRST_EXAM_SPLIT = 1_000_000

BASELINE = {
    "student": "mlp-32",
    "teacher": "cnn-32",
    "temperature": 4.0,
    "lam": 0.9,
    "penalty_weight": 0.0,
    "norm": "l2",
    "epochs": 200,
    "batch_size": 32,
    "optimizer": "adamw",
    "learning_rate": 0.005,
    "weight_decay": 0.01,
}
_NUMBERS = {  # from … to …
    "temperature": (0.1, 100),
    "lam": (0, 1),
    "penalty_weight": (0, 1),
    "learning_rate": (1e-6, 10),
    "weight_decay": (0, 10),
}
_WHOLE_NUMBERS = {"epochs": (1, 10_000), "batch_size": (1, EXAMPLES)}
_WORDS = {"norm": ("l1", "l2"), "optimizer": ("adamw", "sgd")}
_WIDEST = 200  # a name with a larger number is over every budget, and is refused before anything is built


# ---- A recipe is untrusted ------------------------------------------------------------------------------------


def check_recipe(recipe: Any) -> dict[str, Any]:
    """Give a recipe back as plain strings and numbers, or refuse it.

    Raises
    ------
    ValueError
        For anything but a dict, a missing or unknown key, a value of the wrong type or out of range, a student over the
        budget of parameters, or more updates than fit into the time limit. Nothing large is built to find out.

    Examples
    --------
    >>> check_recipe({**BASELINE, "temperature": 8})["temperature"]
    8.0
    >>> check_recipe({**BASELINE, "student": "mlp-64"})
    Traceback (most recent call last):
        ...
    ValueError: student 'mlp-64' has 4,810 parameters, and the budget is 3,000
    """
    if not isinstance(recipe, dict):
        call = ": call it, as in my_recipe()" if callable(recipe) else ""
        raise ValueError(f"a recipe is a dict of plain values, not a {type(recipe).__name__}{call}")
    recipe = dict(recipe)
    _check_keys(recipe)
    plain: dict[str, Any] = {"student": _student(recipe["student"]), "teacher": _teacher_name(recipe["teacher"])}
    plain |= {name: _number(name, recipe[name], *limits) for name, limits in _NUMBERS.items()}
    plain |= {name: _whole(name, recipe[name], *limits) for name, limits in _WHOLE_NUMBERS.items()}
    plain |= {name: _word(name, recipe[name], words) for name, words in _WORDS.items()}
    if plain["teacher"] is None and plain["lam"] > 0:
        raise ValueError(
            f"teacher is None, so that there are no soft targets, but lam is {plain['lam']:g}: set it to 0"
        )
    steps = plain["epochs"] * -(-EXAMPLES // plain["batch_size"])
    if steps > STEPS:
        raise ValueError(
            f"epochs {plain['epochs']:,} with batch_size {plain['batch_size']} are {steps:,} updates, over the time limit: "
            f"more than {STEPS:,} do not fit into {SECONDS:g} seconds. Fewer epochs, or larger batches?"
        )
    return {name: plain[name] for name in BASELINE}


def _check_keys(recipe: dict[Any, Any]) -> None:
    for key in recipe:
        if _is_text(key) and str(key) in BASELINE:
            continue
        near = difflib.get_close_matches(str(key)[:40], BASELINE, 1) if _is_text(key) else []
        meant = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(BASELINE)}"
        raise ValueError(f"unknown key {_shown(key)}; {meant}")
    missing = [name for name in BASELINE if name not in recipe]
    if missing:
        raise ValueError(f"the key {missing[0]!r} is missing: a recipe has all of {', '.join(BASELINE)}")


def _student(name: Any) -> str:
    if not _is_text(name):
        raise ValueError(f"student must be a model's name, such as 'mlp-32', not {_shown(name)}")
    name = str(name)
    if len(name) < 40 and any(int(size) > _WIDEST for size in re.findall(r"[0-9]+", name)):
        raise ValueError(f"student {name!r} is far over the budget of {PARAMETERS:,} parameters")
    try:
        parameters = _parameters(name)
    except ValueError as problem:
        raise ValueError(f"student: {str(problem)[:300]}") from None
    if parameters > PARAMETERS:
        raise ValueError(f"student {name!r} has {parameters:,} parameters, and the budget is {PARAMETERS:,}")
    return name


def _teacher_name(name: Any) -> str | None:
    if name is None:
        return None
    known = models.names("teacher")
    if not _is_text(name) or str(name) not in known:
        raise ValueError(f"teacher must be one of {', '.join(known)}, or None for labels alone, not {_shown(name)}")
    return str(name)


def _number(name: str, value: Any, low: float, high: float) -> float:
    if not _is_number(value) or not low <= value <= high:  # NaN is in no range
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, not {_shown(value)}")
    return float(value)


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if not _is_number(value) or not low <= value <= high or value != int(value):
        raise ValueError(f"{name} must be a whole number from {low} to {high:,}, not {_shown(value)}")
    return int(value)


def _word(name: str, value: Any, words: tuple[str, ...]) -> str:
    if not _is_text(value) or str(value) not in words:
        raise ValueError(f"{name} must be one of {', '.join(words)}, not {_shown(value)}")
    return str(value)


def _is_text(value: Any) -> TypeGuard[str]:
    return type(value) in (str, np.str_)


def _is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a plain number, Python's or numpy's; a truth value is none, and neither is an object like one."""
    return type(value) in (int, float) or (
        isinstance(value, np.integer | np.floating) and type(value).__module__ == "numpy"
    )


def _shown(value: Any) -> str:
    """Write a value that may be anything, briefly."""
    try:
        text = repr(value[:60] if _is_text(value) else value)
    except Exception:  # a number of ten thousand digits has no repr, and an object's may do anything
        return f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"a {type(value).__name__} that begins with {text[:60]}"


@functools.cache
def _parameters(student: str) -> int:
    return models.count_parameters(models.build(student, data.load(DATASET), seed=0))


# ---- Training it -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What a recipe came to on one split: means over its students.

    ``accuracy`` is that of the split's test part, and ``val_accuracy`` that of the validation part, on which choices are made.
    ``seconds`` is the mean computing time of a student, the teacher's apart.
    """

    accuracy: float = field(repr=False)  # a notebook shows an outcome's repr; who wants the test part asks for it
    val_accuracy: float
    parameters: int
    seconds: float
    stopped_by_time: int  # so many students were stopped by the time limit …
    diverged: int  # … and so many count as all wrong, since their numbers left the finite range


class _Clock(threading.Event):
    """Is set once this thread has computed for so long. A busy machine makes nobody's time run faster."""

    def __init__(self, seconds: float):
        super().__init__()
        self.start, self.seconds = time.thread_time(), seconds

    @property
    def used(self) -> float:
        return time.thread_time() - self.start

    def is_set(self) -> bool:
        return self.used >= self.seconds


def train(recipe: Any, split_seed: int, progress: Progress | None = None) -> Outcome:
    """Train the students of a recipe on a split of the digits; needs no cache, but uses one.

    Parameters
    ----------
    recipe : what ``check_recipe`` accepts
    split_seed : draws the split, by ``data.resplit``
    progress : called with (epochs done, epochs in all), over all students

    Raises
    ------
    ValueError
        For a recipe that ``check_recipe`` refuses, or a seed that is no whole number of at least 0.
    """
    recipe = check_recipe(recipe)
    dataset = _split(split_seed)
    teacher = None if recipe["teacher"] is None else _teacher(split_seed, recipe["teacher"])
    results = []
    for seed in range(STUDENTS):
        before = seed * recipe["epochs"]

        def report(done: int, _: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done, STUDENTS * recipe["epochs"])

        results.append(_train_one(recipe, dataset, teacher, seed, report))
        report(recipe["epochs"], 0)  # one that was stopped is done, too
    accuracy, val_accuracy, seconds, stopped, diverged = np.array(results).T
    return Outcome(
        accuracy=float(accuracy.mean()),
        val_accuracy=float(val_accuracy.mean()),
        parameters=_parameters(recipe["student"]),
        seconds=float(seconds.mean()),
        stopped_by_time=int(stopped.sum()),
        diverged=int(diverged.sum()),
    )


def _train_one(
    recipe: dict[str, Any], dataset: Dataset, teacher: Teacher | None, seed: int, progress: Progress
) -> tuple[float, float, float, bool, bool]:
    """Give one student's test and validation accuracy, its seconds, and whether it was stopped, or diverged."""
    schedule = {name: recipe[name] for name in ("epochs", "batch_size", "optimizer", "learning_rate", "weight_decay")}
    clock = _Clock(SECONDS)
    try:
        student = training.train_student(
            dataset,
            scenarios.get("small-transfer-set", examples=EXAMPLES),
            recipe["student"],
            temperature=recipe["temperature"],
            lam=recipe["lam"],
            penalty_weight=recipe["penalty_weight"],
            norm=recipe["norm"],
            recipe=training.Recipe(**schedule),
            seed=seed,
            teacher=teacher,
            progress=progress,
            stop=clock,
        )
    except training.TrainingDiverged:
        return 0.0, 0.0, clock.used, False, True
    stopped = student.history.ending == "stop"
    return student.test_accuracy, student.val_accuracy, min(clock.used, SECONDS), stopped, False


@functools.lru_cache(maxsize=8)
def _split(seed: int) -> Dataset:
    return data.resplit(data.load(DATASET), seed)


@functools.lru_cache(maxsize=8)
def _teacher(split_seed: int, name: str) -> Teacher:
    """Take a split's teacher from the cache, or train it; one of a split that nobody will see again is not kept."""
    kept = split_seed < FIRST_EXAM_SPLIT or EXAM_VARIABLE in os.environ
    return training.train_teacher(_split(split_seed), name, cache=kept)


# ---- Practice and examination ---------------------------------------------------------------------------------


class Earned(float):
    """Points, and in ``reason`` what they were earned for."""

    reason: str

    def __new__(cls, points: float, reason: str) -> "Earned":  # noqa: D102
        earned = super().__new__(cls, points)
        earned.reason = reason
        return earned


def examined(recipe: Any) -> Earned:
    """Train a recipe on the exam split, which nobody has seen, and say what it earns.

    Raises
    ------
    ValueError
        For a recipe that ``check_recipe`` refuses.
    """
    outcome = train(recipe, exam_split())
    said = [f"the exam: {outcome.accuracy:.1%} of the test digits right, mean of {STUDENTS} students"]
    said += [f"{outcome.parameters:,} parameters", *_mishaps(outcome)]
    return Earned(points(outcome.accuracy), "; ".join(said))


def points(accuracy: float) -> float:
    """Points of an accuracy: 0 up to FLOOR, POINTS from FULL_MARKS on, a straight line between; to a tenth.

    >>> [points(accuracy) for accuracy in (0.80, 0.92, 0.97)]
    [0.0, 5.0, 10.0]
    """
    share = (accuracy - FLOOR) / (FULL_MARKS - FLOOR)
    return round(POINTS * min(max(share, 0.0), 1.0), 1)


def rehearse(recipe: Any, split: int = PRACTICE_SPLIT) -> Outcome:
    """Train a recipe on a practice split, and print what it came to on the *validation* part.

    Raises
    ------
    ValueError
        For a recipe that the examiner would refuse, or a split that is not for practice.
    """
    data.check_seed(split, "split")
    if split >= FIRST_EXAM_SPLIT:
        raise ValueError(f"splits for practice have numbers below {FIRST_EXAM_SPLIT:,}, not {split!r}")
    recipe = check_recipe(recipe)
    _ = recipe["teacher"] and _teacher(split, recipe["teacher"])  # has a bar of its own
    with tqdm(desc=f"Training {STUDENTS} students", unit="epoch", leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        outcome = train(recipe, split, show)
    print(described(outcome, split))
    return outcome


def described(outcome: Outcome, split: int) -> str:
    """Say in words what came out of a rehearsal."""
    lines = [
        f"practice split {split}: {outcome.val_accuracy:.1%} of the validation digits right, mean of {STUDENTS} students",
        f"the exam gives {points(outcome.val_accuracy):g} of {POINTS} points for such an accuracy",
        f"{outcome.parameters:,} of {PARAMETERS:,} parameters, {outcome.seconds:.2f} of {SECONDS:g} seconds a student",
        *_mishaps(outcome),
    ]
    return "\n  ".join(lines)


def _mishaps(outcome: Outcome) -> list[str]:
    said = []
    if outcome.stopped_by_time:
        said.append(f"{outcome.stopped_by_time} of {STUDENTS} students were stopped by the time limit")
    if outcome.diverged:
        said.append(f"{outcome.diverged} of {STUDENTS} students diverged and count as all wrong")
    return said


def exam_split() -> int:
    """Give the number of the split on which recipes are examined.

    The grading command sets the variable DISTILLATION_EXAM_SPLIT to a number drawn at random, the same for the whole
    class, and keeps it with the grades. Without it, a split is drawn here, another each time.

    Raises
    ------
    ValueError
        If the variable is not a whole number of at least 0.
    """
    given = os.environ.get(EXAM_VARIABLE)
    if given is None:
        return FIRST_EXAM_SPLIT + secrets.randbelow(10**9)
    if not re.fullmatch(r"[0-9]{1,18}", given):
        raise ValueError(f"the variable {EXAM_VARIABLE} must be a whole number of at least 0, not {given[:60]!r}")
    return int(given)
