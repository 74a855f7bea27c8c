"""The archive for students: everything to start with, nothing that gives an answer away."""

import io
import re
import zipfile

import nbformat
import pytest

from course import build, bundle


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return zipfile.ZipFile(bundle.write(build.lessons(), tmp_path_factory.mktemp("release")))


def test_it_holds_the_lessons_the_wheel_and_how_to_start(archive):
    names = {name.removeprefix("distillation-course/") for name in archive.namelist()}
    (wheel,) = [name for name in names if name.endswith(".whl")]
    assert names == {"START-HERE.md", "constraints.txt", wheel, *(f"{name}/{name}.ipynb" for name in build.lessons())}
    start = archive.read("distillation-course/START-HERE.md").decode()
    assert wheel in start
    assert not re.search(r"\bWHEEL\b", start)
    assert all(tool in start for tool in ("JupyterLab", "VS Code", "Colab"))


def test_its_lessons_are_the_released_ones(archive):
    for lesson in build.lessons():
        notebook = nbformat.reads(archive.read(f"distillation-course/{lesson}/{lesson}.ipynb").decode(), as_version=4)
        assert notebook == build.released(lesson)


def test_the_wheel_holds_toolkit_and_checks_and_no_lesson(archive):
    (name,) = [name for name in archive.namelist() if name.endswith(".whl")]
    wheel = zipfile.ZipFile(io.BytesIO(archive.read(name)))
    assert {"toolkit/losses.py", "course/checks.py"} <= set(wheel.namelist())
    for file in wheel.namelist():
        assert not file.startswith(("notebooks", "tests"))
        assert not file.endswith(".ipynb")
    for lesson in build.lessons():
        for cell in build.from_source(build.source_path(lesson)).cells:
            for part in re.findall(r"BEGIN HIDDEN TESTS\n(.*?)\n### END", cell.source, re.DOTALL):
                assert part.encode() not in b"".join(wheel.read(file) for file in wheel.namelist())


def test_the_checkout_stays_as_it_is_and_the_archive_is_whole():
    assert not (build.ROOT / "build").exists()


def test_a_wheel_that_cannot_be_built_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "_PACKAGE_FILES", ("README.md",))
    with pytest.raises(RuntimeError, match="the toolkit's wheel could not be built"):
        bundle.build_wheel(tmp_path)
