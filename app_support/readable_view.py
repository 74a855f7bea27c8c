"""The tree whose decisions a page follows: fitted by the worker on a teacher's soft targets, and read again by the page."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from app_support import resources
from app_support.jobs import Watch, trainer
from app_support.pipe import Arrays
from toolkit import losses
from toolkit.readable import ReadableTree, fit_tree

if TYPE_CHECKING:
    from app_support.worker import Job

DEPTH, TEMPERATURE = 3, 4.0


@dataclass(frozen=True)
class TreeView:
    """A tree as plain arrays (see ``ReadableTree``), and what teacher and trees say of the test part."""

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    shares: np.ndarray
    examples: np.ndarray
    teacher_shares: np.ndarray  # (test examples, classes), at T = 1
    said: np.ndarray  # (test examples,): the classes that the tree gives
    said_on_labels: np.ndarray  # and those of the tree that was fitted on labels

    def tree(self, name: str) -> ReadableTree:
        """Give the tree itself, of this data set."""
        arrays = self.feature, self.threshold, self.left, self.right, self.shares, self.examples
        return ReadableTree(resources.dataset(name), *arrays)

    @property
    def teacher_said(self) -> np.ndarray:
        """The classes that the teacher gives."""
        return np.asarray(self.teacher_shares.argmax(1))


def start(name: str) -> Watch:
    """Have the tree of a table fitted."""

    def read(values: dict[str, Any], arrays: Arrays) -> TreeView:
        return TreeView(**arrays)

    return trainer.order({"kind": "tree", "name": name}, read)


def make(name: str, job: "Job") -> TreeView:
    """Fit the trees, in the worker."""
    job.report("job.loading", {"name": name}, 0, 0)
    dataset = resources.dataset(name)
    teacher = resources.teacher(name, job.report("job.teacher", {}, 0, 0.9), job.stop)
    tree = fit_tree(dataset, losses.soft_targets(teacher.train_logits, TEMPERATURE), depth=DEPTH)
    on_labels = fit_tree(dataset, depth=DEPTH)
    return TreeView(
        tree.feature,
        tree.threshold,
        tree.left,
        tree.right,
        tree.shares,
        tree.examples,
        losses.soft_targets(teacher.test_logits, 1.0).numpy(),
        tree.predict(dataset.x_test).numpy(),
        on_labels.predict(dataset.x_test).numpy(),
    )
