"""What the page *Soft targets* shows: the test part of a data set, with the logits of a teacher and of two students."""

import hashlib
from dataclasses import dataclass

import numpy as np

from app_support import resources
from app_support.jobs import Job, Stopped
from toolkit import store, training
from toolkit.losses import soft_targets


@dataclass(frozen=True)
class Example:
    """One test example, with what teacher and student say of it."""

    x: np.ndarray  # (channels, height, width) or (channels, length)
    label: int
    class_names: tuple[str, ...]
    teacher_logits: list[float]
    student_logits: list[float]


@dataclass(frozen=True)
class SoftView:
    """Test examples with logits (examples, classes), and the examples from which most can be learned."""

    class_names: tuple[str, ...]
    provenance: str
    x: np.ndarray
    labels: np.ndarray
    teacher_logits: np.ndarray
    student_logits: np.ndarray
    teacher_confidence: np.ndarray  # highest probability at T = 1
    rich: list[int]  # right and sure at T = 1, with a clear second class at T = 4; richest first
    wrong: list[int]  # where the teacher errs, the surest first

    def example(self, index: int) -> Example:
        """Give one example by its place in the test part."""
        return Example(
            self.x[index],
            int(self.labels[index]),
            self.class_names,
            self.teacher_logits[index].tolist(),
            self.student_logits[index].tolist(),
        )

    def teacher_choice(self, index: int) -> int:
        """Give the class that the teacher picks."""
        return int(self.teacher_logits[index].argmax())


STUDENT, TEMPERATURE, LAM = "mlp-32", 4.0, 0.9


def _student_logits(name: str, distilled: bool, job: Job) -> np.ndarray:
    """Train the student, or take its logits from the cache."""
    dataset, teacher, lam = resources.dataset(name), resources.teacher(name), LAM if distilled else 0.0
    epochs = 40 if len(dataset.x_train) < 10_000 else 3
    cause = (
        repr((dataset.fingerprint, STUDENT, TEMPERATURE, lam, epochs)).encode() + teacher.train_logits.numpy().tobytes()
    )
    key = f"shown-student-{hashlib.blake2b(cause, digest_size=8).hexdigest()}"
    kept = store.load(key)
    if kept is not None and kept.get("logits", np.empty(0)).shape == tuple(teacher.test_logits.shape):
        return kept["logits"]
    student = training.train_student(
        dataset,
        student=STUDENT,
        temperature=TEMPERATURE,
        lam=lam,
        recipe=training.Recipe(epochs=epochs),
        teacher=teacher,
        progress=job.report(f"Training a student, {STUDENT}", 0.8),
        stop=job.stop,
    )
    if student.history.ending == "stop":
        raise Stopped
    logits = training.predict(student.model, dataset.x_test).numpy()
    store.save(key, {"logits": logits})
    return logits


def _view(name: str, distilled: bool, job: Job) -> SoftView:
    dataset, teacher = resources.dataset(name), resources.teacher(name)
    at_one, at_four = (soft_targets(teacher.test_logits, temperature).numpy() for temperature in (1.0, 4.0))
    labels = dataset.y_test.numpy()
    right = at_one.argmax(1) == labels
    confidence, second = at_one.max(1), np.sort(at_four, 1)[:, -2]
    sure = right & (confidence >= 0.98)
    candidates = np.flatnonzero(sure if sure.any() else right)
    mistakes = np.flatnonzero(~right)
    return SoftView(
        dataset.class_names,
        dataset.provenance,
        dataset.x_test.numpy(),
        labels,
        teacher.test_logits.numpy(),
        _student_logits(name, distilled, job),
        confidence,
        candidates[np.argsort(-second[candidates], kind="stable")][:20].tolist() or [0],
        mistakes[np.argsort(-confidence[mistakes], kind="stable")].tolist(),
    )


def start(name: str, distilled: bool) -> Job:
    """Prepare the view in the background: the teacher, from the cache or trained now, and a really trained student."""

    def work(job: Job) -> SoftView:
        resources.teacher(name, job.report(f"Training the teacher on {name}", 0, 0.8), job.stop)
        return _view(name, distilled, job)

    return Job(work)
