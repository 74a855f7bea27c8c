"""``python -m bench``: measure everything, and write tables and figures into bench/results/."""

import argparse
import importlib
import os
import sys
import time
from pathlib import Path

from bench import tables
from bench.tables import Report
from toolkit import machine

PARTS = ("speed", "growth", "waits", "scenarios", "load")  # each a module of bench with run(quick) -> Report
ON_REQUEST = ("scenes",)  # results rather than performance: half an hour, run by name (make results)
RESULTS = Path(__file__).parent / "results"
READMES = [RESULTS.parent.parent / name for name in ("README.md", "README.zh.md")]
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
DETAILS = "<!-- details -->"  # what follows it in a part's file is left out of the README


def main(arguments: list[str] | None = None) -> int:
    """Run the measurements; the exit status is 1 where something claimed does not hold."""
    os.environ[machine.DEVICE_VARIABLE] = "cpu"  # the bound, and all that we are compared with, run on the processor
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)} (default: all of them); {', '.join(ON_REQUEST)}"
    )
    parser.add_argument("--quick", action="store_true", help="a short run that only shows that everything runs")
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.parts) - set(PARTS + ON_REQUEST)
    if unknown:
        parser.error(f"unknown part {min(unknown)!r}; known are {', '.join(PARTS + ON_REQUEST)}")
    holds = True
    for part in chosen.parts or (PARTS + ON_REQUEST if chosen.quick else PARTS):
        print(f"Measuring {part} …", flush=True)
        start = time.perf_counter()
        report = importlib.import_module(f"bench.{part}").run(chosen.quick)
        holds &= report.holds
        print(f"{report.details}\n\n{report.text}\n\n{part} took {time.perf_counter() - start:.0f} s", flush=True)
        if not chosen.quick:  # numbers of a short run must not replace real ones
            _write(part, report, report.seconds or time.perf_counter() - start)
    if chosen.quick:
        return 0
    print("everything claimed holds" if holds else "something claimed does NOT hold: see the tables")
    return 0 if holds else 1


def _write(part: str, report: Report, seconds: float) -> None:
    """Write a part's table, and its figure where there is one, and put it into the READMEs."""
    where = f"{tables.machine()}; measured in {seconds:.0f} s."
    RESULTS.mkdir(exist_ok=True)
    picture = ""
    if report.figure is not None:
        report.figure.savefig(RESULTS / f"{part}.svg", bbox_inches="tight")
        picture = f"![{report.title}]({part}.svg)\n\n"
    text = f"# {report.title}\n\n{picture}{report.text}\n\n{where}\n"
    if report.details:
        text += f"\n{DETAILS}\n\n{report.details}\n"
    (RESULTS / f"{part}.md").write_text(text, encoding="utf-8")
    for readme in READMES:
        _rewrite_measured_section(readme)


def _rewrite_measured_section(readme: Path) -> None:
    """Put what every part found between the two markers of a README."""
    sections = [_section(part) for part in PARTS + ON_REQUEST if (RESULTS / f"{part}.md").exists()]
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text("\n".join([before + BEGIN, *sections, END + after]), encoding="utf-8")


def _section(part: str) -> str:
    text = (RESULTS / f"{part}.md").read_text(encoding="utf-8").replace("](", "](bench/results/")
    text, _, details = text.partition(DETAILS)
    title, _, rest = text.removeprefix("# ").partition("\n")
    if part in ON_REQUEST:  # a table of many rows
        rest = f"\n<details><summary>All rows, and what they mean</summary>\n{rest}\n</details>\n"
    more = f"[All tables](bench/results/{part}.md).\n" if details else ""
    return f"### {title}\n{rest}{more}"


if __name__ == "__main__":
    sys.exit(main())
