"""Data sets and teachers in memory, shared by all sessions of one server."""

import functools
import threading
from collections.abc import Callable

from app_support.jobs import Stopped
from toolkit import data, training

_teachers: dict[str, training.Teacher] = {}
_one_at_a_time = threading.Lock()  # two visitors who need the same teacher train it once


@functools.lru_cache(maxsize=4)
def dataset(name: str) -> data.Dataset:
    """Load a data set once."""
    return data.load(name)


def names(*kinds: str) -> list[str]:
    """Name the data sets that are on this machine now, of these kinds or of all."""
    return [
        source.name for source in data.available() if source.on_this_machine and (not kinds or source.kind in kinds)
    ]


def teacher(
    name: str, progress: Callable[[int, int], None] | None = None, stop: threading.Event | None = None
) -> training.Teacher:
    """Give the usual teacher of a data set: from memory, from the cache on disk, or trained now.

    Raises
    ------
    Stopped
        If ``stop`` was set before the teacher was ready.
    """
    while not _one_at_a_time.acquire(timeout=0.05):
        if stop is not None and stop.is_set():
            raise Stopped
    try:
        if name not in _teachers:
            trained = training.train_teacher(dataset(name), progress=progress or (lambda done, total: None), stop=stop)
            if trained.history.ending == "stop":
                raise Stopped
            if len(_teachers) >= 4:
                _teachers.pop(next(iter(_teachers)))
            _teachers[name] = trained
        return _teachers[name]
    finally:
        _one_at_a_time.release()
