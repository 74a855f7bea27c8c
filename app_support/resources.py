"""Data sets and teachers in memory, shared by all sessions of one server; the worker has its own.

A visitor's own data belong to the visitor's session, which alone keeps them in the server: here they are only known while
it lasts. The worker has no sessions: it keeps the last few.
"""

import functools
import hashlib
import json
import re
import threading
import weakref
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

from app_support.problems import Stopped
from toolkit import data, files, training

Parameter = tuple[tuple[str, float], ...]

_teachers: dict[str, training.Teacher] = {}
# By data set: two visitors who need the same are served once, and keep nobody waiting who needs another.
_loading: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


@dataclass(frozen=True, eq=False)
class OwnData:
    """What a visitor uploaded: the file as it came, what was read from it, and the name that orders have for it."""

    content: bytes
    file_name: str
    label: str
    dataset: data.Dataset

    @functools.cached_property
    def name(self) -> str:
        """Name it by all that came from the visitor, so that who uploads the same has the same data set, and nobody else."""
        return _own_name(self.content, self.file_name, self.label)

    @property
    def title(self) -> str:
        """What people know it by: the file's name, without what Markdown could take for markup."""
        return _harmless(self.file_name)[-60:]

    @property
    def order(self) -> dict[str, str]:
        """What the worker must be told to read the file again."""
        return {"file_name": self.file_name, "label": self.label}


def _harmless(text: str) -> str:
    return re.sub(r"[^\w .-]", "_", text)


def _own_name(content: bytes, file_name: str, label: str) -> str:
    digest = hashlib.blake2b(content, digest_size=8)
    digest.update(json.dumps([file_name, label]).encode())
    return f"own-{digest.hexdigest()}"


_own: "weakref.WeakValueDictionary[str, OwnData]" = weakref.WeakValueDictionary()
_accepted: deque[OwnData] = deque(maxlen=4)  # the worker's: it has no sessions


def accept(content: bytes, file_name: str, label: str) -> OwnData:
    """Read a visitor's file.

    Raises
    ------
    toolkit.files.UnusableFile
        If it cannot be used; the message says why.
    """
    known = _own.get(_own_name(content, file_name, label))
    if known is not None:
        return known
    given = OwnData(content, file_name, label, files.read(content, label, file_name=file_name))
    return _own.setdefault(given.name, given)  # two visitors may upload it at once


def accept_and_keep(content: bytes, file_name: str, label: str) -> None:
    """Read a file for the worker, which keeps the last few."""
    given = accept(content, file_name, label)
    if given in _accepted:
        _accepted.remove(given)
    _accepted.append(given)


def own(name: str) -> OwnData | None:
    """Give a visitor's own data by the name of the data set."""
    return _own.get(name)


@functools.lru_cache(maxsize=4)
def _load(name: str) -> data.Dataset:
    return data.load(name)


def dataset(name: str) -> data.Dataset:
    """Load a data set once."""
    if (given := _own.get(name)) is not None:
        return given.dataset
    with _loading[name]:
        return _load(name)


def title(name: str) -> str:
    """Give the name that people know a data set by."""
    given = _own.get(name)
    return name if given is None else given.title


def class_title(name: str, number: int) -> str:
    """Give the name of a class, without what Markdown could take for markup where a visitor brought it."""
    title = dataset(name).class_names[number]
    return _harmless(title) if name in _own else title


def names(*kinds: str) -> list[str]:
    """Name the data sets that are on this machine now, of these kinds or of all."""
    return [
        source.name for source in data.available() if source.on_this_machine and (not kinds or source.kind in kinds)
    ]


def usual_parameters(of: data.Dataset) -> dict[str, Parameter]:
    """Give every scenario that these data allow, with a parameter that fits."""
    smallest, examples = int(of.y_train.bincount().min()), len(of.y_train)
    return {
        "all-labels": (),
        "few-labels": (("labels_per_class", min(5, smallest)),),
        "noisy-labels": (("noise", 0.4),),
        "class-left-out": (("left_out", min(3, of.classes - 1)),),
        "small-transfer-set": (("examples", min(200, examples)),),
    }


def teacher(name: str, progress: Callable[[int, int], None], stop: threading.Event) -> training.Teacher:
    """Give the usual teacher of a data set: from memory, from the cache on disk, or trained now; the worker asks for it.

    The teacher of a visitor's own data is kept in memory alone.

    Raises
    ------
    Stopped
        If ``stop`` was set before the teacher was ready.
    """
    if (ready := _teachers.get(name)) is not None:
        return ready
    trained = training.train_teacher(dataset(name), progress=progress, stop=stop, cache=name not in _own)
    if trained.history.ending == "stop":
        raise Stopped
    if len(_teachers) >= 4:
        del _teachers[next(iter(_teachers))]
    _teachers[name] = trained
    return trained
