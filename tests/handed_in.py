"""Make what students hand in: a release with some cells filled in, and notebooks that are broken in known ways."""

import functools

import nbformat

from course import build

S3 = "student_logits, teacher_logits, temperature"


@functools.cache
def _release(lesson):
    return nbformat.writes(build.released(lesson))


@functools.cache
def solutions(lesson):
    """The lesson's own solutions of code and text, by grade_id."""
    cells = build.from_source(build.source_path(lesson)).cells
    return {cell.id: cell.source for cell in cells if cell.metadata.get("nbgrader", {}).get("solution")}


def notebook(lesson, answers):
    """The released notebook with these cells filled in."""
    filled = nbformat.reads(_release(lesson), as_version=4)
    for cell in filled.cells:
        cell.source = answers.get(cell.id, cell.source)
    return filled


def save(path, content):
    """Write a notebook, or bytes, and the folders above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else nbformat.writes(content).encode())
    return path


def function(name, arguments, *lines, before=""):
    """Source of a function."""
    return before + f"def {name}({arguments}):\n" + "".join(f"    {line}\n" for line in lines)
