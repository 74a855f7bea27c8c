"""What the page *Soft targets* shows: the test part of a data set, with the logits of a teacher and of a student.

It is the page that opens first. What was computed once is kept as plain arrays, so that a server started later shows it
without waiting for PyTorch and scikit-learn to be imported: hence the imports inside functions.
"""

import functools
import hashlib
import importlib.metadata
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app_support.jobs import Watch, trainer
from app_support.pipe import Arrays
from app_support.priority import step_back
from app_support.problems import Stopped
from toolkit import store

if TYPE_CHECKING:
    from app_support.worker import Job

STUDENT, TEMPERATURE, LAM = "mlp-32", 4.0, 0.9
_PACKAGES = {"digits": "scikit-learn", "mnist1d": "mnist1d"}  # data that a package brings: kept per version of it


@dataclass(frozen=True)
class Example:
    """One test example, with what teacher and student say of it."""

    x: np.ndarray  # (channels, height, width) or (channels, length)
    label: int | None  # None for a drawing
    class_names: list[str]
    teacher_logits: list[float]
    student_logits: list[float]

    def teacher_soft_targets(self, temperature: float) -> np.ndarray:
        """Give the teacher's share of each class, as ``losses.soft_targets`` does, which has to import PyTorch."""
        weights = np.exp((np.array(self.teacher_logits) - max(self.teacher_logits)) / temperature)
        return np.asarray(weights / weights.sum())


@dataclass(frozen=True)
class SoftView:
    """Test examples with logits (examples, classes), and the examples from which most can be learned."""

    x: np.ndarray
    labels: np.ndarray
    teacher_logits: np.ndarray
    student_logits: np.ndarray
    confidence: np.ndarray  # the teacher's highest probability at T = 1
    rich: np.ndarray  # right and sure at T = 1, with a clear second class at T = 4; richest first
    wrong: np.ndarray  # where the teacher errs, the surest first
    class_names: np.ndarray
    provenance: np.ndarray
    data_sets: np.ndarray  # those that the page could show when this was made
    teacher_name: np.ndarray  # of the model
    teacher_weights: np.ndarray  # one after another, for drawings
    student_weights: np.ndarray

    def example(self, index: int) -> Example:
        """Give one example by its place in the test part."""
        logits = (self.teacher_logits[index].tolist(), self.student_logits[index].tolist())
        return Example(self.x[index], int(self.labels[index]), self.class_names.tolist(), *logits)

    def teacher_choice(self, index: int) -> int:
        """Give the class that the teacher picks."""
        return int(self.teacher_logits[index].argmax())


def data_sets() -> list[str]:
    """Name the data sets whose examples can be shown, without waiting for imports where that is possible."""
    if "toolkit.data" not in sys.modules and (view := kept("digits", True)) is not None:
        return list(view.data_sets.tolist())
    from app_support import resources

    return resources.names("vision", "signal")


@functools.lru_cache(maxsize=4)
def _kept(key: str) -> SoftView | None:
    arrays = store.load(key)
    try:
        return None if arrays is None else SoftView(**arrays)
    except TypeError:  # not what this version writes
        return None


def epochs_for(examples: int) -> int:
    """Give the student's epochs: fewer where each of them has many steps."""
    return 40 if examples < 10_000 else 3


_made: dict[tuple[str, bool], SoftView] = {}  # in this server's time, also of data that are not stored


def kept(name: str, distilled: bool) -> SoftView | None:
    """Give the view as this server made it, or an earlier one; None if there is none."""
    if (view := _made.get((name, distilled))) is not None:
        return view
    key = _key(name, distilled)
    return None if key is None else _kept(key)


@functools.cache
def _key(name: str, distilled: bool) -> str | None:
    """Name the entry by all that it depends on: the code, and the package that the data come with."""
    if name not in _PACKAGES:
        return None
    digest = hashlib.blake2b(importlib.metadata.version(_PACKAGES[name]).encode(), digest_size=8)
    for path in [*sorted(Path(store.__file__).parent.glob("*.py")), Path(__file__)]:
        digest.update(path.read_bytes())
    return f"soft-view-{name}-{'distilled' if distilled else 'alone'}-{digest.hexdigest()}"


def start(name: str, distilled: bool) -> Watch:
    """Have the view made: a teacher, from the cache or trained now, and a really trained student."""

    def read(values: dict[str, Any], arrays: Arrays) -> SoftView:
        view = SoftView(**arrays)
        _made[name, distilled] = view
        return view

    return trainer.order({"kind": "soft-view", "name": name, "distilled": distilled}, read)


def make(name: str, distilled: bool, job: "Job") -> SoftView:
    """Make the view, in the worker, and store it where that is possible."""
    view = _make(name, distilled, job)
    if (key := _key(name, distilled)) is not None:
        store.save(key, asdict(view))
    return view


def _make(name: str, distilled: bool, job: "Job") -> SoftView:
    from torch.nn.utils import parameters_to_vector

    from app_support import resources
    from toolkit import losses, metrics, training

    job.report("job.loading", {"name": name}, 0, 0)
    dataset = resources.dataset(name)
    teacher = resources.teacher(name, job.report("job.teacher", {}, 0, 0.8), job.stop)
    student = training.train_student(
        dataset,
        student=STUDENT,
        temperature=TEMPERATURE,
        lam=LAM if distilled else 0.0,
        recipe=training.Recipe(epochs=epochs_for(len(dataset.x_train))),
        teacher=teacher,
        progress=job.report("job.student", {"student": STUDENT}, 0.8, 1),
        stop=job.stop,
    )
    if student.history.ending == "stop":
        raise Stopped
    logits, labels = teacher.test_logits, dataset.y_test
    confidence = losses.soft_targets(logits, 1.0).amax(1)
    mistakes = (logits.argmax(1) != labels).nonzero().squeeze(1)
    return SoftView(
        dataset.x_test.numpy(),
        labels.numpy(),
        logits.numpy(),
        training.predict(student.model, dataset.x_test).numpy(),
        confidence.numpy(),
        metrics.rich_examples(logits, labels)[:20].numpy(),
        mistakes[confidence[mistakes].argsort(descending=True, stable=True)].numpy(),
        np.array(dataset.class_names),
        np.array(dataset.provenance),
        np.array(resources.names("vision", "signal")),
        np.array(teacher.name),
        parameters_to_vector(teacher.model.parameters()).detach().numpy(),
        parameters_to_vector(student.model.parameters()).detach().numpy(),
    )


_QUIET, _AT_MOST = 2.0, 15.0  # seconds without a look at the page; seconds until nobody can wait longer
_looked_at = 0.0


def import_meanwhile() -> None:
    """Import what the other pages need while this one is looked at: once nobody is opening it, for a class comes at once."""
    global _looked_at
    _looked_at = time.monotonic()
    _begin_to_import()


@functools.cache
def _begin_to_import() -> None:
    latest = time.monotonic() + _AT_MOST

    def work() -> None:
        while (now := time.monotonic()) < min(_looked_at + _QUIET, latest):
            time.sleep(min(_looked_at + _QUIET, latest) - now)
        trainer.start()  # before stepping back: a process inherits the priority of the thread that starts it
        step_back()
        import app_support.charts
        import app_support.controls  # noqa: F401

    threading.Thread(target=work, daemon=True).start()
