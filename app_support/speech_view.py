"""The spoken prompts of the test part, and what a teacher hears in each: listened to by the worker, played by the page."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from app_support import resources
from app_support.jobs import Watch, trainer
from app_support.pipe import Arrays
from toolkit import losses, readers, sources

if TYPE_CHECKING:
    from app_support.worker import Job

RATE = 8000  # samples a second


@dataclass(frozen=True)
class PromptView:
    """One entry for each prompt of the test part, in the order of its windows."""

    prompts: np.ndarray  # "voice/file"
    labels: np.ndarray
    shares: np.ndarray  # (prompts, classes): the teacher's at T = 1, as a mean over windows
    windows: np.ndarray  # how many half seconds of it there are
    class_names: np.ndarray
    right_windows: np.ndarray  # the teacher's accuracy on single windows

    @property
    def right(self) -> float:
        """The share of prompts that the teacher hears rightly."""
        return float((self.shares.argmax(1) == self.labels).mean())


def start() -> Watch:
    """Have the teacher listen."""

    def read(values: dict[str, Any], arrays: Arrays) -> PromptView:
        return PromptView(**arrays)

    return trainer.order({"kind": "prompts"}, read)


def make(job: "Job") -> PromptView:
    """Listen to all prompts of the test part, in the worker."""
    job.report("job.loading", {"name": "speech"}, 0, 0)
    dataset = resources.dataset("speech")
    teacher = resources.teacher("speech", job.report("job.teacher", {}, 0, 1), job.stop)
    shares, labels = losses.soft_targets(teacher.test_logits, 1.0).numpy(), dataset.y_test.numpy()
    prompts, first, of, windows = np.unique(
        dataset.groups[-1], return_index=True, return_inverse=True, return_counts=True
    )
    summed = np.zeros((len(prompts), dataset.classes))
    np.add.at(summed, of, shares)
    order = first.argsort()
    return PromptView(
        prompts[order],
        labels[first[order]],
        (summed / windows[:, None])[order],
        windows[order],
        np.array(dataset.class_names),
        np.array(teacher.test_accuracy),
    )


def recording(prompt: str) -> np.ndarray:
    """Give the samples of a prompt, to be played.

    Raises
    ------
    FileNotFoundError
        If the prompts are no longer on this machine.
    """
    folder = sources.speech_folder()
    if folder is None:
        raise FileNotFoundError(sources.SOURCES["speech"].needs)
    return readers.read_gsm(folder / f"{prompt}.gsm")
