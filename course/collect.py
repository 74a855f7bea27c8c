"""What a class handed in, found where schools put it. Nothing is run, unpacked or trusted here.

A folder or an archive → things (archives.py) → whose → which lesson → the one that counts.
What the systems call what they hand out: nbgrader's exchange ``<student>+<lesson>+<time>[+random]`` (nbgrader,
exchange/default/submit.py); Moodle ``<full name>_<number>_assignsubmission_file[_]``, a folder or in front of a file's name
(mod/assign/classes/downloader.php); Canvas ``<name>[_LATE]_<user>_<file>_<file's name>[-N]`` (lib/content_zipper.rb).
Files in archives of Moodle and Canvas carry the time of the *download*, so only Canvas's LATE says anything about a
deadline there. Moodle numbers its participants anew for each assignment; Canvas's numbers are a person's everywhere.
"""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from course import archives
from course.archives import ARCHIVE, NOTEBOOK, ZIP, Thing, UnreadableError, shown

MOST_OPENED = 100  # archives, and notebooks under other names, that are opened for one student
NOTHING = "no notebook was handed in"
LAYOUTS = (
    "<student>/<lesson>/<lesson>.ipynb, nbgrader's <student>+<lesson>+<time>/, or what Moodle or Canvas downloads as "
    "all submissions (the .zip, or unpacked)"
)
_EXCHANGE = re.compile(
    r"(?P<name>.+)\+(?P<lesson>[^+]+)\+(?P<time>\d{4}-\d\d-\d\d.\d\d\D\d\d\D\d\d[^+]*(\+\d{4})?)(\+[^+]*)?"
)
_MOODLE = re.compile(r"(?s)(?P<name>.+?)(_(?P<number>\d{1,19}))?_assignsubmission_(?P<kind>[a-z]+)(_(?P<file>.*))?")
_CANVAS = re.compile(
    r"(?s)((?P<name>[^_].*?)_)??((?P<late>LATE)_)?(?P<number>\d{1,19}|anon_[0-9A-Za-z]+)_"
    r"((?P<id>\d{1,19})_(?P<file>.+)|(text|link)\.html)"
)
_RESUBMITTED = re.compile(r"(?s)(?P<stem>.+)-(?P<again>\d{1,9})(?P<suffix>\.\w+)")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T_](\d\d)\D(\d\d)\D(\d\d)(?:\.\d*)? ?(\S*)")
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)")  # names that Windows keeps


@dataclass(frozen=True)
class Submission:
    """What one student handed in for one lesson, or that there is nothing."""

    student: str  # unique in the class, on one line, no formula of a spreadsheet
    lesson: str
    path: Path | None  # the file, or the archive that holds it; None: nothing was handed in
    member: str | None = None  # its name in the archive
    inner: str | None = None  # where the member is an archive itself: its name in that one
    handed_in: datetime | None = None  # with its zone; None where nobody knows
    late: bool = False  # the school's system says so
    notes: tuple[str, ...] = ()
    problem: str = ""  # why nothing can be marked
    folder: Path = Path()  # where the class was collected

    @property
    def where(self) -> str:
        """The file as a person finds it, from the folder down; empty for nothing."""
        return archives.where(self.path, self._inside, self.folder) if self.path else ""

    @property
    def _inside(self) -> tuple[str, ...]:
        return tuple(name for name in (self.member, self.inner) if name is not None)

    def read(self, limit: int) -> bytes:
        """Give the notebook's bytes.

        Raises
        ------
        ValueError
            With a sentence: nothing was handed in, more than ``limit`` bytes (declared or real), no file, a broken
            or encrypted archive.
        """
        if self.problem or self.path is None:
            raise ValueError(self.problem or NOTHING)
        try:
            return archives.contents(self.path, self._inside, limit)
        except UnreadableError as problem:
            raise ValueError(f"{self.where} {problem}") from None


@dataclass(frozen=True)
class Collection:
    """A class: one submission for each student and lesson in question, and what could not be used."""

    submissions: tuple[Submission, ...]
    warnings: tuple[str, ...] = ()


class _Owner(NamedTuple):
    name: str
    number: str = ""  # in the school's system
    download: str = ""  # within which a number is one person's


@dataclass(frozen=True)
class _Claim:
    """A thing that its owner handed in, and which lesson it claims to be."""

    thing: Thing  # its names are those below the student's
    late: bool = False
    again: tuple[float, ...] = ()  # larger for what was handed in again: Canvas's two numbers, the archive's time
    lesson: str = ""
    sure: bool = False  # by name or cells; a guess counts where nothing is sure

    @property
    def when(self) -> tuple[datetime, tuple[float, ...]]:
        return self.thing.time or datetime.min.replace(tzinfo=UTC), self.again

    def order(self) -> tuple[tuple[datetime, tuple[float, ...]], bool, tuple[str, ...]]:
        return self.when, NOTEBOOK.sub("", self.thing.name) == self.lesson, self.thing.names


def collect(folder: Path, lessons: Sequence[str], known: Callable[[bytes], str | None]) -> Collection:
    """Find what a class handed in for these lessons, in a folder or a .zip; sorted by student and lesson.

    ``known`` gives the lesson that a notebook belongs to by its cells, or None; it is asked where the file's name is
    not the lesson's. The lessons in question are those that at least one student handed in.

    Raises
    ------
    ValueError
        If there is no such folder, or nothing in it is a student's notebook of these lessons.
    """
    if not folder.exists():
        raise ValueError(f"there is no folder or archive {shown(str(folder))}; expected is {LAYOUTS}")
    plain = {_plain(lesson): lesson for lesson in lessons}
    warnings: list[str] = []
    handed: dict[_Owner, list[_Claim]] = defaultdict(list)
    for thing, download in _things_of_class(folder, plain):
        if whose := _whose(thing, download, plain):
            handed[whose[0]].append(whose[1])
        elif _is_worth_a_look(thing):
            warnings.append(thing.problem or f"nobody can tell whose {thing.where} is")
    claims, troubles = {}, {}
    for owner, things in handed.items():
        claims[owner], troubles[owner] = _looked_through(owner, things, plain, known)
        warnings += troubles[owner]
    in_question = sorted({claim.lesson for found in claims.values() for claim in found})
    if not in_question:
        raise ValueError(
            f"{shown(str(folder))} holds no student's notebook of {', '.join(lessons)}; expected is {LAYOUTS}"
            + "".join(f"; {warning}" for warning in warnings[:5])
        )
    keys = _keys(claims)
    submissions = []
    for key in sorted(set(keys.values())):
        owners = [owner for owner in claims if keys[owner] == key]
        nothing = "; ".join([NOTHING, *(trouble for owner in owners for trouble in troubles[owner])])
        for lesson in in_question:
            mine = [claim for owner in owners for claim in claims[owner] if claim.lesson == lesson]
            empty = Submission(key, lesson, None, problem=nothing, folder=_root(folder))
            submissions.append(_counting(mine, empty) if mine else empty)
    return Collection(tuple(submissions), tuple(warnings))


def _counting(claims: Sequence[_Claim], empty: Submission) -> Submission:
    """Choose the submission that counts: the latest that can be read, a guess only where nothing is sure."""
    pool = [claim for claim in claims if claim.sure] or claims
    latest = max(pool, key=_Claim.order)
    chosen = max([claim for claim in pool if not claim.thing.problem] or pool, key=_Claim.order)
    notes, thing = [], chosen.thing
    if NOTEBOOK.sub("", thing.name) != empty.lesson:
        notes.append(f"found as '{shown(thing.name)}'")
    if len(pool) > 1:
        alike = any(claim.when == chosen.when for claim in pool if claim is not chosen)
        notes.append(f"{'one' if alike else 'the latest'} of {len(pool)} submissions")
    if latest is not chosen:
        notes.append(f"a later one does not count: {latest.thing.problem}")
    return replace(
        empty,
        path=thing.path,
        member=thing.inside[0] if thing.inside else None,
        inner=thing.inside[1] if thing.inside[1:] else None,
        handed_in=thing.time,
        late=chosen.late,
        notes=tuple(notes),
        problem=thing.problem,
    )


def _looked_through(
    owner: _Owner, handed: Sequence[_Claim], plain: Mapping[str, str], known: Callable[[bytes], str | None]
) -> tuple[list[_Claim], list[str]]:
    """Look at what one student handed in: the notebooks with the lesson that each claims to be, and what is wrong."""
    stamps = {claim.thing.names[:-1]: claim.thing for claim in handed if claim.thing.name == "timestamp.txt"}
    queue = [replace(claim, thing=_stamped(claim.thing, stamps)) for claim in handed]
    claims: list[_Claim] = []
    troubles: list[str] = []
    opened = 0
    for claim in queue:  # it grows while archives are opened
        thing = claim.thing
        if not _is_worth_a_look(thing):
            continue
        lesson = plain.get(_plain(thing.name)) if NOTEBOOK.search(thing.name) else None
        sure = lesson is not None
        if not sure and not thing.problem:
            opened += 1
            if opened > MOST_OPENED:
                continue
            try:
                if not NOTEBOOK.search(thing.name):
                    more = archives.listed(thing, archives.MOST_FILES - len(queue))
                    queue += [replace(claim, thing=one) for one in more]
                    continue
                lesson = _asked(known, archives.contents(thing.path, thing.inside, archives.MOST_BYTES))
            except UnreadableError as problem:
                thing = replace(thing, problem=f"{thing.where} {problem}")
            sure = lesson is not None
        lesson = lesson or _guessed(thing.names, plain)
        if lesson is None:
            troubles.append(thing.problem or f"{thing.where} belongs to none of the lessons")
        elif lesson in plain.values():
            claims.append(replace(claim, thing=thing, lesson=lesson, sure=sure))
    if opened > MOST_OPENED:
        troubles.append(f"{shown(owner.name)} handed in more than {MOST_OPENED} archives and notebooks of other names")
    return claims, troubles


def _is_worth_a_look(thing: Thing) -> bool:
    """Whether this may be, or hide, a notebook."""
    if NOTEBOOK.search(thing.name) or ARCHIVE.search(thing.name):
        return bool(thing.problem) or not thing.is_folder
    return bool(thing.problem) and "." not in thing.name


def _asked(known: Callable[[bytes], str | None], content: bytes) -> str | None:
    try:
        return known(content)
    except Exception:  # whatever is wrong with this notebook, the others go on
        return None


# ---- Whose it is, and which lesson ------------------------------------------------------------------------------


def _whose(thing: Thing, download: str, plain: Mapping[str, str]) -> tuple[_Owner, _Claim] | None:
    """Tell the student by the first name alone: what lies below is written by students, who could name others."""
    head, *below = thing.names or ("",)
    arrived = (thing.path.stat().st_mtime,) if download and thing.inside else ()
    is_file = bool(ZIP.search(head)) if below else not thing.is_folder
    if match := _EXCHANGE.fullmatch(head):
        time = _time(match["time"]) or thing.time
        return _Owner(match["name"]), _Claim(replace(thing, names=(match["lesson"], *below), time=time))
    if match := _MOODLE.fullmatch(head):
        names = (match["file"], *below) if match["file"] else tuple(below)
        owner = _Owner(match["name"], match["number"] or "", download or "unpacked")
        names = names if match["kind"] == "file" else ()  # what was typed into the browser is no notebook
        return owner, _Claim(replace(thing, names=names, time=None), again=arrived)
    if is_file and (match := _CANVAS.fullmatch(head)):
        name, again = match["file"], 0
        if name and _plain(name) not in plain and (copy := _RESUBMITTED.fullmatch(name)):
            name, again = copy["stem"] + copy["suffix"], int(copy["again"])
        owner = _Owner(match["name"] or match["number"], match["number"], "Canvas")
        thing = replace(thing, names=(name, *below) if name else (), time=None)
        return owner, _Claim(thing, bool(match["late"]), (again, int(match["id"] or 0), *arrived))
    is_student = below or thing.is_folder or (thing.problem and "." not in head)  # a link instead of a folder
    if not head or not is_student or _plain(head) in plain:
        return None
    return _Owner(head), _Claim(replace(thing, names=tuple(below)), again=arrived)


def _plain(name: str) -> str:
    stem = ZIP.sub("", NOTEBOOK.sub("", name))
    return unicodedata.normalize("NFC", stem.strip().casefold())


def _guessed(names: Sequence[str], plain: Mapping[str, str]) -> str | None:
    """Guess the lesson from a file's name that contains it, or else from the folders."""
    dashed = {re.sub(r"[\W_]+", "-", name): lesson for name, lesson in plain.items()}
    words = re.sub(r"[\W_]+", "-", _plain("".join(names[-1:])))
    within = [name for name in dashed if f"-{name}-" in f"-{words}-"]
    above = [plain[_plain(name)] for name in reversed(names) if _plain(name) in plain]
    return dashed[max(within, key=len)] if within else next(iter(above), None)


def _stamped(thing: Thing, stamps: Mapping[tuple[str, ...], Thing]) -> Thing:
    """Take the time that nbgrader wrote beside it."""
    stamp = stamps.get(thing.names[:-1])
    if stamp is None or thing.time is None:
        return thing
    try:
        return replace(thing, time=_time(archives.contents(stamp.path, stamp.inside, 1000).decode()) or thing.time)
    except ValueError:
        return thing


def _time(text: str) -> datetime | None:
    """Read nbgrader's time; without a zone it is UTC, as nbgrader has it."""
    match = _TIME.match(text.strip())
    if not match:
        return None
    day, hours, minutes, seconds, zone = match.groups()
    try:
        local = datetime.fromisoformat(f"{day} {hours}:{minutes}:{seconds}")
        if offset := re.fullmatch(r"([+-])(\d\d):?(\d\d)", zone):
            ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
            return local.replace(tzinfo=timezone(ahead if offset[1] == "+" else -ahead))
        return local.replace(tzinfo=UTC if zone in ("", "Z", "UTC") else ZoneInfo(zone))
    except (ValueError, KeyError, OSError):
        return None


# ---- Names of students -------------------------------------------------------------------------------------------


def _keys(claims: Mapping[_Owner, Sequence[_Claim]]) -> dict[_Owner, str]:
    """Give each student a name of their own that is safe to print.

    Owners of one name are one person if their numbers are the same, or if they come from different downloads and never
    handed in the same lesson: an assignment has one number for a person.
    """
    by_name: dict[str, list[_Owner]] = defaultdict(list)
    for owner in claims:
        by_name[owner.name].append(owner)
    people = {}
    for name, owners in by_name.items():
        handed = {(claim.lesson, owner.number) for owner in owners for claim in claims[owner]}
        one_each = len({owner.download for owner in owners}) == len(owners)
        one_each = one_each and len({lesson for lesson, _ in handed}) == len(handed)
        together = one_each or len({owner.number for owner in owners}) == 1
        for owner in owners:
            people[owner] = (name, "" if together else owner.number)
    keys: dict[tuple[str, str], str] = {}
    for name, number in sorted(set(people.values()), key=lambda person: (_key(person[0]) != person[0], person)):
        key = _key(f"{name} ({number})" if number else name)
        while key in keys.values():  # looks like another one's, and is not
            key = f"{key} #{_digest(name + number)}"
        keys[name, number] = key
    return {owner: keys[person] for owner, person in people.items()}


def _key(name: str) -> str:
    key = unicodedata.normalize("NFC", shown(name)).strip()
    return repr(key) if not key or key[0] in "=+-@＝＋－＠" else key  # a spreadsheet would compute it


def safe_name(student: str) -> str:
    """Give a name for a student's files, different for different students on every file system.

    What is not a small letter or digit of some script, or a few signs, is replaced, and a digest keeps such names apart.

    >>> safe_name("anna"), safe_name("张伟"), safe_name("Anna/../b")
    ('anna', '张伟', 'anna_.._b-eb689605d3')
    """
    folded = unicodedata.normalize("NFC", student.casefold())
    name = "".join(c if c.isalnum() or c in " -_.()'" or unicodedata.category(c)[0] == "M" else "_" for c in folded)
    name = name.encode("utf-8", "replace")[:120].decode("utf-8", "ignore").strip(" .") or "_"
    name = f"_{name}" if _RESERVED.match(name) else name
    return name if name == student and not re.search(r"-[0-9a-f]{10}$", name) else f"{name}-{_digest(student)}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]


# ---- Where a class lies ------------------------------------------------------------------------------------------


def _root(folder: Path) -> Path:
    return folder if folder.is_dir() else folder.parent


def _things_of_class(folder: Path, plain: Mapping[str, str]) -> Iterator[tuple[Thing, str]]:
    """Give everything in the folder and in the archives that lie there, with the download that it belongs to."""
    if folder.is_dir():
        things = _look_through(list(archives.on_disk(folder)))
    else:
        things = [(Thing((folder.name,), folder, folder.parent), "")]
    for thing, download in things:
        is_archive = len(thing.names) == 1 and ZIP.search(thing.name) and not (thing.problem or thing.is_folder)
        if not is_archive or (folder.is_dir() and _of_school(thing.name)):  # one file of a download, unpacked
            yield thing, download
            continue
        try:
            inside = archives.listed(thing, own_times=True)
        except UnreadableError as problem:
            yield replace(thing, names=(), problem=f"{thing.where} {problem}"), ""
            continue
        yield from ((one, thing.name) for one in _as_in_folder(inside, plain))


def _as_in_folder(inside: Sequence[Thing], plain: Mapping[str, str]) -> Iterator[Thing]:
    """Name what an archive holds as if it lay in the folder: the class's, a zipped folder of it, or one student's."""
    names = [thing.names[1:] for thing in inside if thing.names[1:]]
    files = [thing.names[1:] for thing in inside if thing.names[1:] and not thing.is_folder]
    start = 1
    if any(_plain(first) in plain for first, *_ in names):
        start = 0  # one student's, whose name is the archive's
        inside = [replace(thing, names=(ZIP.sub("", thing.names[0]), *thing.names[1:])) for thing in inside]
    elif len({first for first, *_ in names}) == 1 and not _of_school(names[0][0]):
        start = 2 if files and all(len(file) > 2 and _plain(file[1]) not in plain for file in files) else 1
    for thing in inside:
        if len(thing.names) > start or thing.problem:
            yield replace(thing, names=thing.names[start:])


def _of_school(name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in (_EXCHANGE, _MOODLE, _CANVAS))


def _look_through(things: Sequence[Thing]) -> list[tuple[Thing, str]]:
    """Look through folders into which downloads were unpacked; where a class has other folders, they are students'."""
    below: dict[str, list[str]] = defaultdict(list)
    for thing in things:
        if thing.names and (thing.is_folder or thing.names[1:]) and not _of_school(thing.names[0]):
            below[thing.names[0]] += thing.names[1:2]
    if not all(names and all(map(_of_school, names)) for names in below.values()):
        below = {}
    seen = {(head,) for head in below}
    return [
        (replace(thing, names=thing.names[1:]), thing.names[0]) if thing.names[:1] in seen else (thing, "")
        for thing in things
        if thing.names not in seen
    ]
