"""Where schools put what a class handed in, and whose it is: names only, in nbgrader's, Moodle's and Canvas's words.

nbgrader's exchange: ``<student>+<lesson>+<time>[+random]/`` (nbgrader, exchange/default/submit.py). Moodle:
``<full name>_<number>_assignsubmission_file[_]``, a folder or in front of a file's name (Moodle,
mod/assign/classes/downloader.php). Canvas: ``<name>[_LATE]_<user>_<file>_<file's name>[-N]`` (canvas-lms,
lib/content_zipper.rb). Archives of Moodle and Canvas give their files the time of the *download*, so only Canvas's LATE
says anything about a deadline there. Moodle numbers its participants anew for each assignment; Canvas's numbers are a
person's everywhere.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from course import archives
from course.archives import NOTEBOOK, ZIP, Thing, UnreadableError

LAYOUTS = (
    "<student>/<lesson>/<lesson>.ipynb, nbgrader's <student>+<lesson>+<time>/, or what Moodle or Canvas downloads as "
    "all submissions (the .zip, or unpacked)"
)
_EXCHANGE = re.compile(
    r"(?s)(?P<name>.+)\+(?P<lesson>[^+]+)\+(?P<time>\d{4}-\d\d-\d\d.\d\d\D\d\d\D\d\d[^+]*(\+\d{4})?)(\+[^+]*)?"
)
_MOODLE = re.compile(r"(?s)(?P<name>.+?)(_(?P<number>\d{1,19}))?_assignsubmission_(?P<kind>[a-z]+)(_(?P<file>.*))?")
_CANVAS = re.compile(
    r"(?s)((?P<name>[^_].*?)_)??((?P<late>LATE)_)?(?P<number>\d{1,19}|anon_[0-9A-Za-z]+)_"
    r"((?P<id>\d{1,19})_(?P<file>.+)|(text|link)\.html)"
)
_RESUBMITTED = re.compile(r"(?s)(?P<stem>.+)-(?P<again>\d{1,9})(?P<suffix>\.\w+)")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T_](\d\d)\D(\d\d)\D(\d\d)(\.\d+)? ?(\S*)")
_STEPS = {("source",), ("release",), ("autograded",), ("feedback",)}  # nbgrader's folders beside "submitted"


class Owner(NamedTuple):
    """A student as a layout names them; who is one person is decided over the whole class."""

    name: str
    number: str = ""  # in the school's system
    download: str = ""  # within which a number is one person's


@dataclass(frozen=True)
class Claim:
    """A thing that its owner handed in, and which lesson it claims to be."""

    thing: Thing  # its names are those below the student's
    late: bool = False
    again: tuple[float, ...] = ()  # larger for what was handed in again: Canvas's two numbers, the archive's time
    lesson: str = ""
    sure: bool = False  # by name or cells; a guess counts where nothing is sure
    number: str = ""  # its owner's in the school's system
    returns: str = ""  # the folder in which that system takes a file back for its owner

    @property
    def when(self) -> tuple[datetime, tuple[float, ...]]:
        """Larger for later, as far as anything is known."""
        return self.thing.time or datetime.min.replace(tzinfo=UTC), self.again

    def order(self) -> tuple[tuple[datetime, tuple[float, ...]], bool, tuple[str, ...]]:
        """Larger for what counts rather."""
        return self.when, NOTEBOOK.sub("", self.thing.name) == self.lesson, self.thing.names


class _Download(NamedTuple):
    name: str = ""
    arrived: tuple[float, ...] = ()


def plain(name: str) -> str:
    """Give a file's or folder's name as lessons are compared by it.

    >>> plain("02-Soft-Targets.ipynb"), plain("02-soft-targets.zip")
    ('02-soft-targets', '02-soft-targets')
    """
    stem = ZIP.sub("", NOTEBOOK.sub("", name))
    return unicodedata.normalize("NFC", stem.strip().casefold())


def handed_in(folder: Path, lessons: Mapping[str, str]) -> Iterator[tuple[Owner | None, Claim]]:
    """Give everything in a folder, and in the archives of a class that lie there, with its owner where there is one."""
    if not folder.is_dir():
        start = [(Thing((folder.name,), folder, folder.parent), _Download())]
    else:
        start = _from_inside(list(archives.on_disk(folder)), lessons)
    for thing, download in start:
        is_archive = len(thing.names) == 1 and ZIP.search(thing.name) and not (thing.problem or thing.is_folder)
        if not is_archive or (folder.is_dir() and _is_of_school(thing.name)):  # a file of a download that was unpacked
            yield _whose(thing, download, lessons)
            continue
        try:
            inside = archives.listed(thing, own_times=True)
            download = _Download(thing.name, (thing.path.stat().st_mtime,))
        except (UnreadableError, OSError) as problem:
            yield None, Claim(replace(thing, names=(), problem=f"{thing.where} {problem}"))
            continue
        of_one = any(plain(name) in lessons for one in inside for name in one.names[1:2])  # student, by its name
        above = (ZIP.sub("", thing.name),) if of_one else ()
        for one, _ in _from_inside([replace(one, names=(*above, *one.names[1:])) for one in inside], lessons):
            yield _whose(one, download, lessons)


def _whose(thing: Thing, download: _Download, lessons: Mapping[str, str]) -> tuple[Owner | None, Claim]:
    """Tell the student by the first name alone: what lies below is written by students, who could name others."""
    head, *below = thing.names or ("",)
    is_file = bool(ZIP.search(head)) if below else not thing.is_folder
    if match := _EXCHANGE.fullmatch(head):
        time = as_time(match["time"]) or thing.time
        return Owner(match["name"]), Claim(replace(thing, names=(match["lesson"], *below), time=time))
    if match := _MOODLE.fullmatch(head):
        names = (match["file"], *below) if match["file"] else tuple(below)
        names = names if match["kind"] == "file" else ()  # what was typed into the browser is no notebook
        owner = Owner(match["name"], match["number"] or "", download.name or "unpacked")
        returns = f"{owner.name}_{owner.number}_assignsubmission_file_" if owner.number else ""
        thing = replace(thing, names=names, time=None)
        return owner, Claim(thing, again=download.arrived, number=owner.number, returns=returns)
    if is_file and (match := _CANVAS.fullmatch(head)):
        name, again = match["file"], 0
        if name and plain(name) not in lessons and (copy := _RESUBMITTED.fullmatch(name)):
            name, again = copy["stem"] + copy["suffix"], int(copy["again"])
        owner = Owner(match["name"] or match["number"], match["number"], "Canvas")
        thing = replace(thing, names=(name, *below) if name else (), time=None)
        order = again, int(match["id"] or 0), *download.arrived
        return owner, Claim(thing, bool(match["late"]), order, number=match["number"])
    is_student = below or thing.is_folder or (thing.problem and "." not in head)  # a link instead of a folder
    if not head or not is_student or plain(head) in lessons:
        return None, Claim(thing)
    return Owner(head), Claim(replace(thing, names=tuple(below)), again=download.arrived)


def _is_of_school(name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in (_EXCHANGE, _MOODLE, _CANVAS))


def _from_inside(things: Sequence[Thing], lessons: Mapping[str, str]) -> list[tuple[Thing, _Download]]:
    """Look through a folder around the class: nbgrader's "submitted", a zipped class, downloads that were unpacked.

    Students could make folders that look like downloads. So these count where a class has no other folders.
    """
    below: dict[tuple[str, ...], set[str]] = defaultdict(set)
    classes: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for thing in things:
        if thing.names and (thing.is_folder or thing.names[1:]) and not _is_of_school(thing.names[0]):
            below[thing.names[:1]].update(thing.names[1:2])
            if plain("".join(thing.names[2:3])) in lessons and (thing.is_folder or thing.names[3:]):
                classes[thing.names[:1]].add(thing.names[1])
    around: set[tuple[str, ...]] = set()
    if ("submitted",) in below:
        around = {("submitted",)}
        things = [thing for thing in things if thing.names[:1] not in _STEPS]
    elif all(names and all(map(_is_of_school, names)) for names in below.values()):
        around = set(below)
    elif len(below) == 1 and not any(plain(name) in lessons for names in below.values() for name in names):
        around = {head for head, students in classes.items() if len(students) > 1}
    return [
        (replace(thing, names=thing.names[1:]), _Download(thing.names[0]))
        if thing.names[:1] in around
        else (thing, _Download())
        for thing in things
        if thing.names not in around
    ]


def as_time(text: str) -> datetime | None:
    """Read nbgrader's time; without a zone it is UTC, as nbgrader has it.

    >>> as_time("2026-02-03 08:00:00.5 UTC").isoformat()
    '2026-02-03T08:00:00.500000+00:00'
    """
    match = _TIME.match(text.strip())
    if not match:
        return None
    day, hours, minutes, seconds, fraction, zone = match.groups()
    try:
        local = datetime.fromisoformat(f"{day} {hours}:{minutes}:{seconds}{fraction or ''}")
        if offset := re.fullmatch(r"([+-])(\d\d):?(\d\d)", zone):
            ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
            return local.replace(tzinfo=timezone(ahead if offset[1] == "+" else -ahead))
        return local.replace(tzinfo=UTC if zone in ("", "Z", "UTC") else ZoneInfo(zone))
    except (ValueError, KeyError, OSError):
        return None
