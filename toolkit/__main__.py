"""``python -m toolkit``: what is on this machine, and what is kept on it."""

import argparse
import sys

from toolkit import data, store


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m toolkit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("data", help="list the data sets, and what a missing one needs")
    cache = commands.add_parser("cache", help="say where trained teachers are kept, and how much room they take")
    cache.add_argument("--clear", action="store_true", help="empty it; teachers are trained again when they are needed")
    teacher = commands.add_parser("teacher", help="train a teacher into the cache, before a class needs it")
    teacher.add_argument("dataset", nargs="?", default="digits", help="name of a data set (default: digits)")
    chosen = parser.parse_args(arguments)
    if chosen.command == "data":
        for source in data.available():
            state = "ready" if source.on_this_machine else f"not on this machine: {source.needs}"
            print(f"{source.name:15} {source.kind:8} {source.origin:10} {state}")
    elif chosen.command == "cache":
        print(f"{store.folder()}: files: {len(store.entries())}, {store.size() / 1e6:.1f} MB")
        if chosen.clear:
            print(f"cleared, files removed: {store.clear()}")
    else:
        return _train_teacher(chosen.dataset)
    return 0


def _train_teacher(name: str) -> int:
    from toolkit.training import train_teacher

    try:
        teacher = train_teacher(name)
    except (ValueError, FileNotFoundError) as problem:
        print(problem, file=sys.stderr)
        return 2
    origin = "from the cache" if teacher.from_cache else teacher.history.sentence
    print(f"{teacher.name} on {name}: {teacher.test_accuracy:.1%} of the test part ({origin})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
