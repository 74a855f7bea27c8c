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
import os
import re
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

CACHE_FOLDER_VARIABLE = "DISTILLATION_CACHE"
_FORMAT = 1  # raise it when an entry's meaning changes: older files are then ignored
_SUFFIX = ".arrays"
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
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, zipfile.BadZipFile) as problem:
        warnings.warn(
            f"the cache file {path} cannot be used ({problem}); it is computed anew", RuntimeWarning, stacklevel=2
        )
        if not isinstance(problem, OSError):  # damaged, rather than out of reach for now
            with contextlib.suppress(OSError):
                path.unlink()
        return None
    return arrays if int(arrays.pop(_FORMAT_ENTRY, np.array(0))) == _FORMAT else None


def save(key: str, arrays: Arrays) -> bool:
    """Keep arrays under a key; False, with a warning, where the folder cannot be written."""
    path = _path(key)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays, **{_FORMAT_ENTRY: np.array(_FORMAT)})
    content = buffer.getvalue()
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".half-written-")
        with os.fdopen(handle, "wb") as file:
            file.write(_checksum(content) + content)
        os.replace(temporary, path)
        return True
    except OSError as problem:
        warnings.warn(
            f"the cache folder {path.parent} cannot be written ({problem}); results are not kept. "
            f"Set the variable {CACHE_FOLDER_VARIABLE} to a folder of your own",
            RuntimeWarning,
            stacklevel=2,
        )
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        return False


def entries() -> list[Path]:
    """The files of the cache, half-written ones included."""
    return sorted(
        path for path in folder().glob("*") if path.suffix == _SUFFIX or path.name.startswith(".half-written-")
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
