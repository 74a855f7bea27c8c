"""Data sets and teachers in memory, shared by all sessions of one server."""

import functools
import threading
from collections import defaultdict
from collections.abc import Callable

from app_support.jobs import Stopped
from toolkit import data, training

_teachers: dict[str, training.Teacher] = {}
# By data set: two visitors who need the same are served once, and keep nobody waiting who needs another.
_loading: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
_training: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


@functools.lru_cache(maxsize=4)
def _load(name: str) -> data.Dataset:
    return data.load(name)


def dataset(name: str) -> data.Dataset:
    """Load a data set once."""
    with _loading[name]:
        return _load(name)


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
    if (ready := _teachers.get(name)) is not None:
        return ready
    stop = stop or threading.Event()
    while not _training[name].acquire(timeout=0.05):
        if stop.is_set():
            raise Stopped
    try:
        if (ready := _teachers.get(name)) is not None:
            return ready
        loaded = dataset(name)
        if stop.is_set():
            raise Stopped
        trained = training.train_teacher(loaded, progress=progress or (lambda done, total: None), stop=stop)
        if trained.history.ending == "stop":
            raise Stopped
        if len(_teachers) >= 4:
            _teachers.pop(next(iter(_teachers)), None)
        _teachers[name] = trained
        return trained
    finally:
        _training[name].release()
