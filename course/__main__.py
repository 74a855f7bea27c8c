"""Build, release, validate and grade: ``python -m course build | check | release | nbval | grade``."""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tqdm import tqdm

_COMMANDS = {
    "build": "run the sources and write the notebooks beside them, solved and with outputs",
    "check": "say whether the built notebooks match their sources (sources and metadata; outputs are for nbval)",
    "release": "write what students get into release/: notebooks without solutions, hidden tests and outputs, and one archive",
    "nbval": "run every built notebook again and compare with its stored outputs",
}
_GRADE = "mark a class's submissions: tables, a page of feedback for each student, a report"
_STOPPED = 130  # as a shell says it of Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    from course import build  # not at the top: marking processes read this file, too, and have no need of it

    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        names = build.lessons(chosen.lessons)
    except ValueError as problem:
        parser.error(str(problem))
    if chosen.command == "nbval":
        return build.validate(names)
    if chosen.command == "check":
        return _check(names)
    if chosen.command == "build":
        return _build(names)
    if chosen.command == "release":
        return _release(names, archive=not chosen.notebooks_only)
    return _grade(chosen, parser)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m course", description="The lessons, from their sources to marks.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, purpose in _COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.add_argument("lessons", nargs="*", metavar="lesson", help="such as 02-soft-targets (default: all)")
        if name == "release":
            command.add_argument("--notebooks-only", action="store_true", help="leave out the archive")
    grade = commands.add_parser("grade", help=_GRADE, description=_GRADE)
    grade.add_argument(
        "folder",
        type=Path,
        help="folder/<student>/<lesson>/<lesson>.ipynb, or what Moodle, Canvas or nbgrader hand out (.zip or unpacked)",
    )
    grade.add_argument(
        "--lesson",
        dest="lessons",
        action="append",
        default=[],
        metavar="LESSON",
        help="only this one (may be repeated)",
    )
    grade.add_argument("--grades", type=Path, default=Path("grades"), help="where marks go (default: grades/)")
    grade.add_argument(
        "--deadline", type=_time, help='mark what came later as late: "2026-11-30 23:59", this machine\'s time zone'
    )
    grade.add_argument("--again", action="store_true", help="mark what did not change anew, too")
    grade.add_argument(
        "--task-seconds", type=float, default=20, help="how long one answer may take in all (default: 20)"
    )
    grade.add_argument("--processes", type=int, metavar="N", help="submissions at once (default: one per processor)")
    grade.add_argument(
        "--without-sandbox",
        action="store_true",
        help="run submissions with your own rights, although bubblewrap is there",
    )
    return parser


def _time(text: str) -> datetime:
    """Read a date and time; without a zone it is this machine's, and a date alone means the end of that day."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date and time such as 2026-11-30 23:59") from None
    if len(text.strip()) == len("2026-11-30"):
        time = time.replace(hour=23, minute=59, second=59)
    return time.astimezone()


def _check(names: Sequence[str]) -> int:
    from course import build

    found = [difference for name in names for difference in build.differences(name)]
    for difference in found:
        print(difference, file=sys.stderr)
    if found:
        print("Build them anew: python -m course build", file=sys.stderr)
    return bool(found)


def _build(names: Sequence[str]) -> int:
    from nbclient.exceptions import CellExecutionError

    from course import build

    for name in names:
        try:
            print(build.build(name).relative_to(build.ROOT))
        except CellExecutionError as problem:
            print(f"{name}: a cell fails, nothing is written\n{problem}", file=sys.stderr)
            return 1
    return 0


def _release(names: Sequence[str], archive: bool) -> int:
    from course import build, bundle

    for name in names:
        try:
            print(build.release(name).relative_to(build.ROOT))
        except FileExistsError as kept:
            print(kept)
    if archive:
        print(bundle.write(names).relative_to(build.ROOT))
    return 0


def _grade(chosen: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from course import grade, sandbox

    sealed = not chosen.without_sandbox and sandbox.is_sealed()
    if not sealed:
        print(_UNSEALED, file=sys.stderr)
    with tqdm(desc="Marking", unit="submission", file=sys.stderr, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        try:
            graded = grade.grade(
                chosen.folder,
                chosen.grades,
                lessons=chosen.lessons,
                deadline=chosen.deadline,
                again=chosen.again,
                sealed=sealed,
                task_seconds=chosen.task_seconds,
                processes=chosen.processes,
                progress=progress,
            )
        except ValueError as problem:
            bar.close()
            parser.error(str(problem))
        except RuntimeError as problem:
            bar.close()
            print(f"Grading failed: {problem}. What is marked is kept.", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            bar.close()
            print("Stopped. What is marked is kept: the same command goes on from there.", file=sys.stderr)
            sys.stderr.flush()
            os._exit(_STOPPED)  # the marking processes may still be at work; nothing of theirs is needed
    for warning in graded.warnings:
        print(f"Note: {warning}", file=sys.stderr)
    for line in grade.summary(graded, chosen.grades):
        print(line)
    return 0


_UNSEALED = (
    "Warning: submissions run with your own rights, in processes with time and memory limits but without a sandbox: they can "
    "read and change your files. Install bubblewrap (Debian, Ubuntu: apt install bubblewrap), or grade on a machine that holds "
    "nothing else."
)


if __name__ == "__main__":
    sys.exit(main())
