"""What a class handed in: found, and for each student and lesson chosen. Nothing is run, unpacked or trusted here.

A folder or an archive → things (archives.py) → whose (layouts.py) → which lesson → the one that counts.
"""

import hashlib
import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from course import archives
from course.archives import ARCHIVE, NOTEBOOK, Thing, UnreadableError, shown
from course.layouts import LAYOUTS, Claim, Owner, as_time, handed_in, plain

MOST_OPENED = 100  # archives, and notebooks under other names, that are opened for one student
MOST_SAID = 5  # of what is wrong with one student's things
MOST_BYTES = 20_000_000  # of a notebook that is opened to see its lesson
NOTHING = "no notebook was handed in"
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
    school_id: str = ""  # the student's number in that system
    returns: str = ""  # the folder in which that system takes a file back for the student
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
    asked = {plain(lesson): lesson for lesson in lessons}
    warnings: list[str] = []
    handed: dict[Owner, list[Claim]] = defaultdict(list)
    for whose, claim in handed_in(folder, asked):
        if whose:
            handed[whose].append(claim)
        elif _is_worth_a_look(claim.thing):
            warnings.append(claim.thing.problem or f"nobody can tell whose {claim.thing.where} is")
    claims, troubles = {}, {}
    for owner, things in handed.items():
        claims[owner], troubles[owner] = _looked_through(owner, things, asked, known)
        warnings += troubles[owner]
    in_question = sorted({claim.lesson for found in claims.values() for claim in found})
    if not in_question:
        raise ValueError(
            f"{shown(str(folder))} holds no student's notebook of {', '.join(lessons)}; expected is {LAYOUTS}"
            + "".join(f"; {warning}" for warning in warnings[:5])
        )
    keys = _keys(claims)
    warnings += _namesakes(keys)
    held: dict[Path, set[str]] = defaultdict(set)  # archive → lessons of the notebooks in it
    for claim in itertools.chain.from_iterable(claims.values()):
        held[claim.thing.path].add(claim.lesson)
    root = folder if folder.is_dir() else folder.parent
    submissions = []
    for key in sorted(set(keys.values())):
        owners = [owner for owner in claims if keys[owner] == key]
        nothing = "; ".join([NOTHING, *(trouble for owner in owners for trouble in troubles[owner])])
        answered = {claim.lesson for owner in owners for claim in claims[owner]}
        unanswered = [lesson for lesson in in_question if lesson not in answered]
        others = [claim for owner in owners for claim in _no_notebooks(handed[owner], asked, held, unanswered)]
        number = owners[0].number if len(owners) == 1 else ""
        for lesson in in_question:
            mine = [claim for owner in owners for claim in claims[owner] if claim.lesson == lesson]
            if not mine and nothing == NOTHING:
                mine = [claim for claim in others if claim.lesson == lesson]
            empty = Submission(key, lesson, None, problem=nothing, school_id=number, folder=root)
            submissions.append(_counting(mine, empty) if mine else empty)
    return Collection(tuple(submissions), tuple(warnings))


def _counting(claims: Sequence[Claim], empty: Submission) -> Submission:
    """Choose the submission that counts: the latest that can be read, a guess only where nothing is sure."""
    pool = [claim for claim in claims if claim.sure] or claims
    latest = max(pool, key=Claim.order)
    chosen = max([claim for claim in pool if not claim.thing.problem] or pool, key=Claim.order)
    notes, thing = [], chosen.thing
    if thing.name != f"{empty.lesson}.ipynb":
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
        school_id=chosen.number,
        returns=chosen.returns,
        notes=tuple(notes),
        problem=thing.problem,
    )


def _looked_through(
    owner: Owner, handed: Sequence[Claim], asked: Mapping[str, str], known: Callable[[bytes], str | None]
) -> tuple[list[Claim], list[str]]:
    """Look at what one student handed in: the notebooks with the lesson that each claims to be, and what is wrong."""
    stamps = {claim.thing.names[:-1]: claim.thing for claim in handed if claim.thing.name == "timestamp.txt"}
    queue = [replace(claim, thing=_stamped(claim.thing, stamps)) for claim in handed]
    claims: list[Claim] = []
    troubles: list[str] = []
    opened = 0
    for claim in queue:  # it grows while archives are opened
        thing = claim.thing
        if not _is_worth_a_look(thing):
            continue
        lesson = asked.get(plain(thing.name)) if NOTEBOOK.search(thing.name) else None
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
                lesson = _asked(known, archives.contents(thing.path, thing.inside, MOST_BYTES))
            except UnreadableError as problem:
                thing = replace(thing, problem=f"{thing.where} {problem}")
            sure = lesson is not None
        lesson = lesson or _guessed(thing.names, asked)
        if lesson is None:
            troubles.append(thing.problem or f"{thing.where} belongs to none of the lessons")
        elif lesson in asked.values():
            claims.append(replace(claim, thing=thing, lesson=lesson, sure=sure))
    if opened > MOST_OPENED:
        troubles.append(f"{shown(owner.name)} handed in more than {MOST_OPENED} archives and notebooks of other names")
    if len(troubles) > MOST_SAID:
        rest = f"{len(troubles) - MOST_SAID:,} more things of {shown(owner.name)} could not be used"
        troubles = [*troubles[:MOST_SAID], rest]
    return claims, troubles


def _no_notebooks(
    handed: Sequence[Claim], asked: Mapping[str, str], held: Mapping[Path, set[str]], unanswered: Sequence[str]
) -> Iterator[Claim]:
    """Give a student's files that are no notebooks as what was handed in for a lesson: an answer.docx is not nothing.

    The lesson is the one that its name says, that of the other notebooks in its archive, or the only one unanswered.
    """
    for claim in handed:
        thing = claim.thing
        if not thing.names or thing.is_folder or thing.problem or thing.name == "timestamp.txt":
            continue
        around = held[thing.path] if thing.inside and thing.path in held else unanswered
        lesson = _guessed(thing.names, asked) or (next(iter(around)) if len(around) == 1 else None)
        if lesson is not None and lesson in unanswered and not _is_worth_a_look(thing):
            problem = f"handed in was {thing.where}, which is no notebook"
            yield replace(claim, thing=replace(thing, problem=problem), lesson=lesson)


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


def _guessed(names: Sequence[str], asked: Mapping[str, str]) -> str | None:
    """Guess the lesson from a file's name that contains it, or else from the folders."""
    dashed = {re.sub(r"[\W_]+", "-", name): lesson for name, lesson in asked.items()}
    words = re.sub(r"[\W_]+", "-", plain("".join(names[-1:])))
    within = [name for name in dashed if f"-{name}-" in f"-{words}-"]
    above = [asked[plain(name)] for name in reversed(names) if plain(name) in asked]
    return dashed[max(within, key=len)] if within else next(iter(above), None)


def _stamped(thing: Thing, stamps: Mapping[tuple[str, ...], Thing]) -> Thing:
    """Take the time that nbgrader wrote beside it."""
    stamp = stamps.get(thing.names[:-1])
    if stamp is None or thing.time is None:
        return thing
    try:
        return replace(thing, time=as_time(archives.contents(stamp.path, stamp.inside, 1000).decode()) or thing.time)
    except ValueError:
        return thing


# ---- Names of students -------------------------------------------------------------------------------------------


def _keys(claims: Mapping[Owner, Sequence[Claim]]) -> dict[Owner, str]:
    """Give each student a name of their own that is safe to print.

    Owners of one name are one person if their numbers are the same, or if they come from different downloads and never
    handed in the same lesson: an assignment has one number for a person.
    """
    by_name: dict[str, list[Owner]] = defaultdict(list)
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


def _namesakes(keys: Mapping[Owner, str]) -> Iterator[str]:
    """Say whose lessons could not be put together: two of one name whose numbers are others in each archive."""
    for name in sorted({owner.name for owner in keys}):
        owners = [owner for owner in keys if owner.name == name]
        downloads, numbers = {owner.download for owner in owners}, {owner.number for owner in owners}
        if len(downloads) > 1 and len(numbers) == len(owners) == len({keys[owner] for owner in owners}):
            yield (
                f"several students are called {shown(name)}, and each archive numbers them anew: they have a row for each "
                "archive, which only you can put together"
            )


def _key(name: str) -> str:
    key = unicodedata.normalize("NFC", shown(name)).strip()
    return repr(key) if not key or key[0] in "=+-@＝＋－＠" else key  # a spreadsheet would compute it


def safe_name(student: str) -> str:
    """Give a name for a student's files, different for different students on every file system.

    What is no small letter or digit of some script is replaced, and a digest keeps such names apart.

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
