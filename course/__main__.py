"""Build, release and validate the lessons: ``python -m course build | check | release | nbval [lesson …]``."""

import argparse
import sys
from collections.abc import Sequence

from nbclient.exceptions import CellExecutionError

from course import build

_COMMANDS = {
    "build": "run the sources and write the notebooks beside them, solved and with outputs",
    "check": "say whether the built notebooks match their sources (sources and metadata; outputs are for nbval)",
    "release": "write what students get into release/: no solutions, no hidden tests, no outputs",
    "nbval": "run every built notebook again and compare with its stored outputs",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command on the lessons named, or on all; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m course", description="The lessons: sources, notebooks, releases.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, purpose in _COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.add_argument("lessons", nargs="*", metavar="lesson", help="such as 02-soft-targets (default: all)")
    chosen = parser.parse_args(arguments)
    try:
        names = build.lessons(chosen.lessons)
    except ValueError as problem:
        parser.error(str(problem))
    if chosen.command == "nbval":
        return build.validate(names)
    if chosen.command == "check":
        return _check(names)
    for name in names:
        try:
            path = build.build(name) if chosen.command == "build" else build.release(name)
        except CellExecutionError as problem:
            print(f"{name}: a cell fails, nothing is written\n{problem}", file=sys.stderr)
            return 1
        except FileExistsError as kept:
            print(kept)
            continue
        print(path.relative_to(build.ROOT))
    return 0


def _check(names: Sequence[str]) -> int:
    found = [difference for name in names for difference in build.differences(name)]
    for difference in found:
        print(difference, file=sys.stderr)
    if found:
        print("Build them anew: python -m course build", file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
