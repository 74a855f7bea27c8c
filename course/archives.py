"""Files and archives that nobody vouches for: listed and read within bounds; nothing is unpacked, no link followed.

A file may lie in a folder, in an archive, or in an archive in that. Whatever is wrong with it becomes a sentence.
"""

import contextlib
import io
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, TypeVar

MOST_FILES = 20_000  # of one student, or in one archive: no class has more, a trap does
MOST_BYTES = 50_000_000  # of an archive in an archive
MOST_LEVELS = 8  # of folders in folders
ENCRYPTED = "is encrypted, and cannot be read without its password"
TOO_MANY = f"lists more than {MOST_FILES:,} files"
NOTEBOOK = re.compile(r"(?i)\.ipynb(\.json|\.txt)?$")  # browsers append what they believe
ZIP = re.compile(r"(?i)\.zip$")
ARCHIVE = re.compile(r"(?i)\.(zip|rar|7z|tar|gz|tgz|bz2|xz)$")
T = TypeVar("T")


class UnreadableError(ValueError):
    """What is wrong with a file; the file's name belongs in front."""


@dataclass(frozen=True)
class Thing:
    """A file or folder, or what pretends to be one."""

    names: tuple[str, ...]  # from the folder down; an archive is a folder among them
    path: Path
    root: Path
    inside: tuple[str, ...] = ()  # its name in the archive at ``path``, then in the archive in that
    time: datetime | None = None
    is_folder: bool = False
    problem: str = ""

    @property
    def name(self) -> str:
        """Its own name."""
        return self.names[-1] if self.names else ""

    @property
    def where(self) -> str:
        """It as a person finds it, from the root down."""
        return where(self.path, self.inside, self.root)


def where(path: Path, inside: Sequence[str], root: Path) -> str:
    """Name a file as a person finds it: ``moodle.zip: Anna Berg_1_assignsubmission_file/work.ipynb``."""
    outside = path.relative_to(root) if path.is_relative_to(root) else path
    return ": ".join(shown(name) for name in (outside.as_posix(), *inside))


def shown(text: str) -> str:
    r"""Give a text on one line and not too long: what cannot be printed stands as Python escapes it.

    >>> print(shown("Anna\n=1+1"))
    Anna\n=1+1
    """
    if len(text) > 200:
        text = text[:199] + "…"
    return "".join(
        letter if letter.isprintable() else " " if unicodedata.category(letter) == "Zs" else ascii(letter)[1:-1]
        for letter in text
    )


def on_disk(folder: Path) -> Iterator[Thing]:
    """List what lies in a folder, at most so much under each name in it."""
    seen: Counter[str] = Counter()
    waiting = [Thing((), folder, folder)]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place.path) as entries:
                found = sorted(islice(entries, MOST_FILES + 1), key=lambda entry: entry.name)
        except OSError as problem:
            yield replace(place, problem=f"{place.where} cannot be read ({problem.strerror})")
            continue
        if len(found) > MOST_FILES and not place.names:
            yield replace(place, problem=f"only {MOST_FILES:,} of what lies in {shown(str(folder))} was looked at")
        for entry in found:
            if _is_ignored(entry.name):
                continue
            thing = Thing((*place.names, entry.name), place.path / entry.name, folder)
            head = thing.names[:1]
            seen[head[0]] += 1
            if seen[head[0]] > MOST_FILES:
                yield replace(thing, names=head, problem=f"{shown(head[0])} holds more than {MOST_FILES:,} files")
                waiting = [other for other in waiting if other.names[:1] != head]
                break
            with contextlib.suppress(OSError):  # gone in the meantime
                about = entry.stat(follow_symlinks=False)
                thing = _checked(thing, about.st_mode, entry.is_dir(follow_symlinks=False))
                yield replace(thing, time=_from_clock(about.st_mtime))
                if thing.is_folder and len(thing.names) < MOST_LEVELS:
                    waiting.append(thing)


def listed(archive: Thing, most: int = MOST_FILES, own_times: bool = False) -> list[Thing]:
    """List an archive; what is in it is as new as the archive, or as its list says.

    Raises
    ------
    UnreadableError
        If it is no ordinary .zip, or lists too much.
    """
    if not ZIP.search(archive.name):
        raise UnreadableError("is not opened: of archives only .zip is")
    if len(archive.inside) > 1:
        raise UnreadableError("is not opened: it lies in an archive in an archive")

    def members(file: IO[bytes]) -> dict[str, zipfile.ZipInfo]:
        inner = _Careful(io.BytesIO(_unpacked(file, archive.inside, MOST_BYTES))) if archive.inside else file
        with zipfile.ZipFile(inner) as opened:
            return _members(opened, most)

    things = []
    for name, info in _opened(archive.path, members).items():
        names = [part for part in name.split("/") if part not in ("", ".")]
        thing = replace(archive, names=(*archive.names, *names), inside=(*archive.inside, name))
        if ".." in names or name.startswith("/") or re.match(r"[A-Za-z]:", name):
            problem = f"{thing.where} would lie outside, and is left out"
            things.append(replace(thing, names=archive.names, problem=problem))
        elif names and not any(map(_is_ignored, names)):
            thing = _checked(thing, info.external_attr >> 16, name.endswith("/"))
            if info.flag_bits & 1 and not thing.problem and not thing.is_folder:
                thing = replace(thing, problem=f"{thing.where} {ENCRYPTED}")
            things.append(replace(thing, time=_from_list(info) if own_times else archive.time))
    return things


def contents(path: Path, inside: Sequence[str], limit: int) -> bytes:
    """Read a file, or the one inside an archive, or inside the archive in that.

    Raises
    ------
    UnreadableError
        If it is larger than ``limit`` bytes, whatever it declares, or is not what it should be.
    """
    return _opened(path, lambda file: _unpacked(file, inside, limit))


def _checked(thing: Thing, mode: int, is_folder: bool) -> Thing:
    """Say what is wrong with a thing that is no file."""
    problem = ""
    if stat.S_ISLNK(mode):
        problem, is_folder = "is a link, and links are not followed", False
    elif is_folder and NOTEBOOK.search(thing.name):
        problem = "is a folder, not a notebook"
    elif not is_folder and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        problem = "is not a file"
    return replace(thing, is_folder=is_folder, problem=f"{thing.where} {problem}" if problem else "")


def _is_ignored(name: str) -> bool:
    return name.startswith((".", "~$")) or name == "__MACOSX"


def _from_clock(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _from_list(info: zipfile.ZipInfo) -> datetime | None:
    try:
        return datetime(*info.date_time).astimezone()  # an archive does not say where; taken as here
    except (ValueError, OverflowError, OSError):
        return None


class _Careful(io.BufferedReader):
    """A file that refuses one huge read: that is how zipfile reads the list of an archive with a million members."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > 400 * MOST_FILES:
            raise UnreadableError(TOO_MANY)
        return super().read(size)


def _opened(path: Path, use: Callable[[IO[bytes]], T]) -> T:
    """Use a file that is no link, folder or pipe; what goes wrong is said in a sentence."""
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if path.is_symlink() or not path.is_file():
            raise UnreadableError("is not a file" if os.path.lexists(path) else "is not there any more")
        with _Careful(io.FileIO(path, opener=lambda name, mode: os.open(name, mode | flags))) as file:
            return use(file)
    except UnreadableError:
        raise
    except OSError as problem:
        raise UnreadableError(f"cannot be read ({problem.strerror or problem})") from None
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError):
        raise UnreadableError("is a broken archive") from None


def _unpacked(file: IO[bytes], inside: Sequence[str], limit: int) -> bytes:
    if not inside:
        return _at_most(limit, file)
    with zipfile.ZipFile(file) as archive:
        info = _members(archive).get(inside[0])
        if info is None or inside[0].endswith("/"):
            raise UnreadableError("is not there any more")
        if info.flag_bits & 1:
            raise UnreadableError(ENCRYPTED)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without bounds
            raise UnreadableError("is packed in an unusual way; only ordinary .zip archives are read")
        ceiling = MOST_BYTES if inside[1:] else limit
        if info.file_size > ceiling:
            raise UnreadableError(f"is larger than {ceiling:,} bytes")
        with archive.open(info) as member:
            data = _at_most(ceiling, member)
    return _unpacked(_Careful(io.BytesIO(data)), inside[1:], limit) if inside[1:] else data


def _at_most(limit: int, file: IO[bytes]) -> bytes:
    data = bytearray()
    while piece := file.read(min(1_000_000, limit + 1 - len(data))):
        data += piece
        if len(data) > limit:
            raise UnreadableError(f"is larger than {limit:,} bytes")
    return bytes(data)


def _members(archive: zipfile.ZipFile, most: int = MOST_FILES) -> dict[str, zipfile.ZipInfo]:
    if len(archive.infolist()) > most:
        raise UnreadableError(TOO_MANY)
    return {_member_name(info): info for info in archive.infolist()}


def _member_name(info: zipfile.ZipInfo) -> str:
    """Read a name as UTF-8 where it is, though the archive does not say so; some write a backslash for a slash."""
    name = info.filename
    if not info.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")
