"""One archive for students' own machines: released lessons, the toolkit as a wheel, and how to start."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import nbformat

from course import build

ARCHIVE = "distillation-course.zip"
_FOLDER = "distillation-course"
_PACKAGE_FILES = ("pyproject.toml", "README.md", "LICENSE")
_THAT_DAY = (2026, 1, 1, 0, 0, 0)  # the same content gives the same archive
_WHEEL_IN_TEXT = "WHEEL"  # in docs/course.md, for the name of the wheel


def write(lessons: Sequence[str], folder: Path = build.RELEASE) -> Path:
    """Write ``folder/distillation-course.zip``. Needs no network.

    Raises
    ------
    RuntimeError
        If the wheel cannot be built, with what pip said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        wheel = build_wheel(Path(scratch))
        start = (build.ROOT / "docs" / "course.md").read_text(encoding="utf-8").replace(_WHEEL_IN_TEXT, wheel.name)
        content: dict[str, bytes] = {
            "START-HERE.md": start.encode(),
            wheel.name: wheel.read_bytes(),
            "constraints.txt": (build.ROOT / "constraints.txt").read_bytes(),
        }
        for lesson in lessons:
            content[f"{lesson}/{lesson}.ipynb"] = nbformat.writes(build.released(lesson)).encode()
        unfinished = Path(scratch) / ARCHIVE
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in sorted(content.items()):
                archive.writestr(zipfile.ZipInfo(f"{_FOLDER}/{name}", _THAT_DAY), data, zipfile.ZIP_DEFLATED)
        shutil.move(unfinished, folder / ARCHIVE)
    return folder / ARCHIVE


def build_wheel(folder: Path) -> Path:
    """Build the wheel of toolkit and course from a copy, so that the checkout stays as it is."""
    copy = folder / "source"
    for package in ("toolkit", "course"):
        shutil.copytree(build.ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _PACKAGE_FILES:
        shutil.copy(build.ROOT / name, copy / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(copy)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the toolkit's wheel could not be built:\n{done.stderr.strip()}")
    (wheel,) = folder.glob("*.whl")
    return wheel
