"""What the worker can be told to do: each order is a generator that takes one epoch, or another short step, at a time.

An order is plain JSON, so that two visitors who ask for the same can be told from two who do not; own data come with it as
bytes. What comes out is plain too: values, and arrays. ``experiments.py`` makes the orders and reads the results.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from app_support import resources
from app_support.pipe import Arrays, Message
from app_support.problems import Stopped
from app_support.tasks import Task
from toolkit import training
from toolkit.grid import GridResult, GridTraining

if TYPE_CHECKING:
    from app_support.worker import Job, Progress


def steps(order: Message, arrays: Arrays, job: "Job") -> Iterator[None]:
    """Work an order off, a step at a time; the last step tells the result."""
    task = order.get("task")
    if arrays:
        resources.accept_and_keep(arrays["content"].tobytes(), **order["own"])
    yield from _KINDS[order["kind"]](None if task is None else Task.of(task), order, job)


def _distil(task: Task, order: Message, job: "Job") -> Iterator[None]:
    """Train the student alone and the distilled one side by side."""
    teacher = _teacher(task, job)
    yield
    temperature, lam = order["temperature"], order["lam"]
    if task.penalty_weight:
        alone = _training(task, teacher, job, [temperature], [0.0], penalty_weight=0.0)
        both = [alone, _training(task, teacher, job, [temperature], [lam])]
    else:
        both = [_training(task, teacher, job, [temperature], sorted({0.0, lam}))]
    arms = sum(len(part.lams) for part in both)
    key = "job.students" if task.epochs > 1 else "job.students_once"
    progress = job.report(key, {"count": arms * task.seeds, "epochs": task.epochs}, job.share, 1.0)
    yield from _side_by_side(both, job, progress, lambda: job.look(_teacher_values(teacher), _arms(both)))
    results = [part.result() for part in both]
    test = {"alone_test": results[0].accuracy[0, 0], "distilled_test": results[-1].accuracy[0, -1]}
    if task.scenario == "class-left-out":
        test["alone_left_out"] = results[0].class_accuracy[0, 0, :, task.left_out]
        test["distilled_left_out"] = results[-1].class_accuracy[0, -1, :, task.left_out]
    job.tell("result", _arms(both) | test, values=_teacher_values(teacher))


def _surface(task: Task, order: Message, job: "Job") -> Iterator[None]:
    """Train a surface seed after seed; what is done so far can be looked at."""
    teacher = _teacher(task, job)
    yield
    whole: GridResult | None = None
    begin, step = job.share, (1 - job.share) / task.seeds
    for number, seed in enumerate(task.seed_numbers, 1):
        low = begin + step * (number - 1)
        progress = job.report("job.seed", {"number": number, "count": task.seeds}, low, low + step, 1.0)
        part = _training(task, teacher, job, order["temperatures"], order["lams"], seeds=[seed])
        while part.train_one_epoch(progress):
            job.epochs_done += 1
            yield
        if part.epochs_done < part.epochs:
            raise Stopped
        seen = replace(
            part.result(), weights={}
        )  # thousands of students are not kept; nothing here asks for them again
        whole = seen if whole is None else whole.joined(seen)
        job.tell("interim", _scores(whole), values=_scores_values(whole, teacher))
    assert whole is not None  # there is at least one seed
    job.tell("result", _scores(whole), values=_scores_values(whole, teacher))


def _scenarios(task: Task, order: Message, job: "Job") -> Iterator[None]:
    """Train alone and distilled in every scenario, one after another, with the same settings."""
    teacher = _teacher(task, job)
    yield
    done: dict[str, dict[str, np.ndarray]] = {}
    begin, step = job.share, (1 - job.share) / len(order["rows"])
    for number, (label, settings) in enumerate(order["rows"].items(), 1):
        row = Task.of(settings)
        low = begin + step * (number - 1)
        values = {"number": number, "count": len(order["rows"])}
        progress = job.report("job.scenario", values, low, low + step, 1.0)
        both = [
            _training(row, teacher, job, [order["temperature"]], [0.0], penalty_weight=0.0),
            _training(row, teacher, job, [order["temperature"]], [order["lam"]]),
        ]
        yield from _side_by_side(both, job, progress, lambda: None)
        alone, distilled = (part.result() for part in both)
        done[label] = {
            "alone_val": alone.val_accuracy[0, 0],
            "distilled_val": distilled.val_accuracy[0, 0],
            "alone_test": alone.accuracy[0, 0],
            "distilled_test": distilled.accuracy[0, 0],
        }
        job.tell("interim", _rows(done), values={"rows": list(done), **_teacher_values(teacher)})
    job.tell("result", _rows(done), values={"rows": list(done), **_teacher_values(teacher)})


def _soft_view(task: Task | None, order: Message, job: "Job") -> Iterator[None]:
    """Make the stored view of the page *Soft targets*."""
    from app_support import soft_view

    view = soft_view.make(order["name"], order["distilled"], job)
    job.tell("result", asdict(view), values={})
    return
    yield


def _method(task: Task, order: Message, job: "Job") -> Iterator[None]:
    """Train the student alone and by another method, seed after seed; the seeds that are done can be looked at."""
    from toolkit import compare, methods

    teacher = _teacher(task, job)
    yield
    arms = {
        "alone": (compare.ALONE, methods.get(compare.ALONE).settings[0]),
        "taught": (order["method"], order["setting"]),
    }
    done: dict[str, list[float]] = {f"{arm}_{part}": [] for arm in arms for part in ("val", "test")}
    begin, step = job.share, (1 - job.share) / (len(arms) * task.seeds)
    for number, seed in enumerate(task.seed_numbers):
        for place, (arm, (method, setting)) in enumerate(arms.items()):
            low = begin + step * (len(arms) * number + place)
            values = {"number": number + 1, "count": task.seeds, "student": task.student}
            student = compare.distil(
                method,
                resources.dataset(task.dataset),
                task.student,
                scenario=task.get_scenario(),
                setting=setting,
                seed=seed,
                recipe=training.Recipe(epochs=task.epochs),
                teacher=teacher,
                progress=job.report("job.by_method", values, low, low + step, 1.0),
                stop=job.stop,
            )
            if student.history.ending == "stop":
                raise Stopped
            done[f"{arm}_val"].append(student.val_accuracy)
            done[f"{arm}_test"].append(student.test_accuracy)
            yield
        so_far = {name: np.array(values_of_arm) for name, values_of_arm in done.items()}
        job.tell("interim", so_far, values=_teacher_values(teacher))
    job.tell("result", so_far, values=_teacher_values(teacher))


def _tree(task: Task | None, order: Message, job: "Job") -> Iterator[None]:
    """Fit the tree that is followed on a page: on a teacher's soft targets, and beside it one on the labels."""
    from app_support import readable_view

    view = readable_view.make(order["name"], job)
    job.tell("result", asdict(view), values={})
    return
    yield


def _prompts(task: Task | None, order: Message, job: "Job") -> Iterator[None]:
    """Have the teacher listen to the spoken prompts of the test part."""
    from app_support import speech_view

    view = speech_view.make(job)
    job.tell("result", asdict(view), values={})
    return
    yield


_KINDS: dict[str, Callable[[Any, Message, "Job"], Iterator[None]]] = {
    "distil": _distil,
    "surface": _surface,
    "scenarios": _scenarios,
    "soft-view": _soft_view,
    "method": _method,
    "tree": _tree,
    "prompts": _prompts,
}


# ---- What they share -----------------------------------------------------------------------------------------


def _teacher(task: Task, job: "Job") -> training.Teacher:
    """Get the teacher: where it must be trained, that is about a third of the whole, else nothing."""
    return resources.teacher(task.dataset, job.report("job.teacher", {}, 0.0, 0.3), job.stop)


def _training(
    task: Task,
    teacher: training.Teacher,
    job: "Job",
    temperatures: list[float],
    lams: list[float],
    *,
    seeds: list[int] | None = None,
    penalty_weight: float | None = None,
) -> GridTraining:
    return GridTraining(
        resources.dataset(task.dataset),
        task.get_scenario(),
        task.student,
        temperatures=temperatures,
        lams=lams,
        seeds=task.seed_numbers if seeds is None else seeds,
        epochs=task.epochs,
        penalty_weight=task.penalty_weight if penalty_weight is None else penalty_weight,
        norm=task.norm,
        teacher=teacher,
        stop=job.stop,
    )


def _side_by_side(
    parts: list[GridTraining], job: "Job", progress: "Progress", look: Callable[[], None]
) -> Iterator[None]:
    """Take all parts through the same epochs, so that they can be compared wherever it is paused.

    Raises
    ------
    Stopped
        If it was stopped; what was looked at before stays with the server.
    """
    epochs = parts[0].epochs
    for epoch in range(1, epochs + 1):
        if not all(part.train_one_epoch() for part in parts):
            raise Stopped
        job.epochs_done += 1
        progress(epoch, epochs)
        look()
        if epoch < epochs:  # after the last one nothing is left to pause
            yield


def _arms(parts: list[GridTraining]) -> Arrays:
    """Validation accuracy (seeds, epochs) of the student alone and of the distilled one, over the epochs that both had."""
    epochs = min(part.epochs_done for part in parts)
    return {"alone": parts[0].history[0, 0, :, :epochs], "distilled": parts[-1].history[0, -1, :, :epochs]}


def _teacher_values(teacher: training.Teacher) -> dict[str, object]:
    return {
        "val_examples": len(teacher.dataset.y_val),
        "teacher_val": teacher.val_accuracy,
        "teacher_test": teacher.test_accuracy,
    }


_SCORES = ("history", "val_accuracy", "accuracy")


def _scores(result: GridResult) -> Arrays:
    return {name: getattr(result, name) for name in _SCORES}


def _scores_values(result: GridResult, teacher: training.Teacher) -> dict[str, object]:
    plain = ("temperatures", "lams", "seeds", "val_examples", "test_examples")
    return {
        "scores": {name: getattr(result, name) for name in plain},
        **_teacher_values(teacher),
    }


def _rows(done: dict[str, dict[str, np.ndarray]]) -> Arrays:
    names = next(iter(done.values()))
    return {name: np.stack([row[name] for row in done.values()]) for name in names}  # each (rows, seeds)
