"""``python -m bench``: measure everything, and write tables into bench/results/."""

import argparse
import os
import platform
import sys
from pathlib import Path

import torch

from bench import scenarios, speed
from bench.tables import markdown

RESULTS = Path(__file__).parent / "results"
READMES = [RESULTS.parent.parent / name for name in ("README.md", "README.zh.md")]
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
WANTED_RATIO = 40


def main(arguments: list[str] | None = None) -> int:
    """Run the measurements; the exit status is 1 where something claimed does not hold."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help="speed, scenarios (default: both)")
    parser.add_argument("--quick", action="store_true", help="a short run that only shows that everything runs")
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.parts) - {"speed", "scenarios"}
    if unknown:
        parser.error(f"unknown part {min(unknown)!r}; known are speed, scenarios")
    parts = chosen.parts or ["speed", "scenarios"]
    holds = True
    if "speed" in parts:
        print("Speed: the same 64 students, twice …", flush=True)
        measured = speed.run(chosen.quick)
        holds &= measured.ratio >= WANTED_RATIO and measured.equal_accuracy
        _write("speed", f"# How fast is the grid?\n\n{measured.table()}\n", chosen.quick)
    if "scenarios" in parts:
        rows = []
        for row in scenarios.run(chosen.quick):
            print(f"{row.scenario}, {row.setting}: {row.alone} → {row.distilled}, {row.verdict}", flush=True)
            rows.append(row)
        holds &= all(row.holds is not False for row in rows)
        _write("scenarios", f"# What distillation brings, test accuracy on digits\n\n{markdown(rows)}\n", chosen.quick)
    if chosen.quick:
        return 0
    print("everything claimed holds" if holds else "something claimed does NOT hold: see the tables")
    return 0 if holds else 1


def _write(name: str, text: str, quick: bool) -> None:
    text += f"\n{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, torch {torch.__version__}.\n"
    print(text)
    if quick:  # numbers of a short run must not replace real ones
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    for readme in READMES:
        _rewrite_measured_section(readme)


def _rewrite_measured_section(readme: Path) -> None:
    """Put the tables of all results between the two markers of a README."""
    tables = [path.read_text(encoding="utf-8").replace("# ", "### ", 1) for path in sorted(RESULTS.glob("*.md"))]
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text("\n".join([before + BEGIN, *tables, END + after]), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
