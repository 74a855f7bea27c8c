"""The cache on disk: what took seconds to train is kept, checked when read, and never trusted.

An entry is one file: a checksum, then plain arrays as numpy's ``.npz`` holds them. Nothing is read whose checksum is
wrong, and nothing is pickled. Writing is atomic: a file is there whole, or not at all. A damaged file is dropped with a warning and its
content is computed anew; a folder that cannot be written costs time, never the result.

The folder is ``$DISTILLATION_CACHE``, or the usual place for caches on this system. ``python -m toolkit cache`` says where it lies and
how big it is, ``python -m toolkit cache --clear`` empties it.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path

CACHE_FOLDER_VARIABLE = "DISTILLATION_CACHE"
_FORMAT = 1  # raise it when an entry's meaning changes: older files are then ignored
_SUFFIX = ".arrays"
_MAPPED_SUFFIX = ".mapped"
JOURNAL_SUFFIX = ".jsonl"  # of journals that lie in the cache folder
_CHECKSUM_BYTES = 32
_FORMAT_ENTRY = "__format__"

Arrays = dict[str, np.ndarray]


def folder() -> Path:
    """Where the cache lies; the folder need not exist yet."""
    chosen = os.environ.get(CACHE_FOLDER_VARIABLE)
    return Path(chosen) if chosen else user_cache_path("distillation-toolkit", appauthor=False)


def load(key: str) -> Arrays | None:
    """Read an entry; None if there is none, or none that is whole."""
    path = _path(key)
    try:
        checksum, content = (raw := path.read_bytes())[:_CHECKSUM_BYTES], raw[_CHECKSUM_BYTES:]
        if checksum != _checksum(content):
            raise ValueError("its checksum is wrong")
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        return arrays if int(arrays.pop(_FORMAT_ENTRY, np.array(0))) == _FORMAT else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as problem:
        _complain(path, problem)
        return None


def _complain(path: Path, problem: Exception) -> None:
    warnings.warn(
        f"the cache file {path} cannot be used ({problem}); it is computed anew", RuntimeWarning, stacklevel=3
    )
    if not isinstance(problem, OSError):  # damaged, rather than out of reach for now
        with contextlib.suppress(OSError):
            path.unlink()


def save(key: str, arrays: Arrays) -> bool:
    """Keep arrays under a key; False, with a warning, where the folder cannot be written."""
    path = _path(key)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays, **{_FORMAT_ENTRY: np.array(_FORMAT)})
    content = buffer.getvalue()
    return _kept(path, _checksum(content) + content)


def _kept(path: Path, content: bytes) -> bool:
    """Write a file; False, with a warning, where the folder cannot be written."""
    try:
        _write_whole(path, content)
        return True
    except OSError as problem:
        warnings.warn(
            f"the cache folder {path.parent} cannot be written ({problem}); results are not kept. "
            f"Set the variable {CACHE_FOLDER_VARIABLE} to a folder of your own",
            RuntimeWarning,
            stacklevel=3,
        )
        return False


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".half-written-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


# ---- Results of a sweep, line by line ------------------------------------------------------------------------


def append_record(path: Path, record: Mapping[str, Any]) -> None:
    """Add one result to a journal, a text file with a checksum and JSON on each line; it is on disk when this returns."""
    content = json.dumps(record, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        file.seek(0, os.SEEK_END)
        broken = b""
        if file.tell():  # a line that a killed process left half-written must not swallow this one
            file.seek(-1, os.SEEK_END)
            broken = b"" if file.read(1) == b"\n" else b"\n"
        file.write(broken + f"{_checksum(content.encode()).hex()} {content}\n".encode())
        file.flush()
        os.fsync(file.fileno())


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read a journal, without the lines that are not whole; an absent journal is empty."""
    records = []
    lines = path.read_text("utf-8", errors="replace").splitlines() if path.exists() else []
    for line in lines:
        checksum, _, content = line.partition(" ")
        if checksum == _checksum(content.encode()).hex():
            records.append(json.loads(content))
    return records


# ---- Arrays that stay on disk --------------------------------------------------------------------------------


def save_mapped(key: str, array: np.ndarray) -> Path | None:
    """Keep one array so that it can be used without being read into memory: numpy's own format, then a checksum.

    Gives the path; None, with a warning, where the folder cannot be written.
    """
    path = _path(key).with_suffix(_MAPPED_SUFFIX)
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return path if _kept(path, buffer.getvalue() + _checksum(buffer.getvalue())) else None


def load_mapped(key: str) -> np.ndarray | None:
    """Map an array of ``save_mapped`` into memory, where changes stay; None if there is none, or none that is whole.

    The file is read through once, piece by piece, for its checksum; after that only the rows that are used are in memory.
    """
    path = _path(key).with_suffix(_MAPPED_SUFFIX)
    try:
        left = path.stat().st_size - _CHECKSUM_BYTES
        digest = hashlib.blake2b(digest_size=_CHECKSUM_BYTES)
        with path.open("rb") as file:
            while left > 0 and (piece := file.read(min(left, 2**20))):
                digest.update(piece)
                left -= len(piece)
            if digest.digest() != file.read():
                raise ValueError("its checksum is wrong")
        return np.load(path, mmap_mode="c", allow_pickle=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        _complain(path, problem)
        return None


def entries() -> list[Path]:
    """The files of the cache, half-written ones included."""
    return sorted(
        path
        for path in folder().glob("*")
        if path.suffix in (_SUFFIX, _MAPPED_SUFFIX, JOURNAL_SUFFIX) or path.name.startswith(".half-written-")
    )


def size() -> int:
    """Bytes that the cache takes on disk."""
    return sum(path.stat().st_size for path in entries())


def clear() -> int:
    """Empty the cache; returns the number of files that are gone."""
    files = entries()
    for path in files:
        path.unlink(missing_ok=True)
    return len(files)


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_CHECKSUM_BYTES).digest()


def _path(key: str) -> Path:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.=-]*", key):
        raise ValueError(f"a cache key has lower-case letters, digits, '.', '=' and '-', not {key!r}")
    return folder() / f"{key}{_SUFFIX}"
