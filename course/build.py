"""Source → built notebook → release. Every step gives the same result for the same source.

A lesson source is py:percent; a cell's name, or its ``grade_id`` where it has nbgrader's metadata, becomes its id. The
built notebook is executed and solved. What students get comes from it by nbgrader's own preprocessors.
"""

import ast
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbgrader import preprocessors
from traitlets.config import Config

ROOT = Path(__file__).resolve().parent.parent
LESSONS = ROOT / "notebooks"
RELEASE = ROOT / "release"
CELL_SECONDS = 60
STUB = "raise NotImplementedError"
ANSWER_HERE = "*Your answer here.*"
_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# One thread per kernel: two lessons at once do not fight over two cores, and sums have one order. No progress bars:
# the one of a teacher that is not cached yet would differ from run to run.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TQDM_DISABLE": "1"}


def lessons(names: Sequence[str] = (), folder: Path = LESSONS) -> list[str]:
    """Give the lessons of these names, or all of them.

    Raises
    ------
    ValueError
        For an unknown lesson, with the known ones.
    """
    known = sorted(path.stem for path in folder.glob("*/*.py") if path.stem == path.parent.name)
    for name in names:
        if name not in known:
            raise ValueError(f"there is no lesson {name!r}; known are {', '.join(known)}")
    return list(names) or known


def source_path(lesson: str) -> Path:
    """Where the reviewed source of a lesson lies."""
    return LESSONS / lesson / f"{lesson}.py"


def built_path(lesson: str) -> Path:
    """Where the built notebook of a lesson lies."""
    return LESSONS / lesson / f"{lesson}.ipynb"


def from_source(path: Path) -> NotebookNode:
    """Read a lesson source as a notebook without outputs; cell ids are their grade_id, or their name.

    Raises
    ------
    ValueError
        If a cell has no name, or two have the same.
    """
    notebook = jupytext.read(path, fmt="py:percent")
    seen: set[str] = set()
    for number, cell in enumerate(notebook.cells, 1):
        name = cell.metadata.pop("title", None)
        cell.metadata.pop("lines_to_next_cell", None)  # blank lines in the source are none of a notebook's business
        cell.id = cell.metadata.get("nbgrader", {}).get("grade_id", name)
        if not cell.id or not re.fullmatch(r"[a-z0-9-]{1,64}", cell.id):
            raise ValueError(f"{path.name}: cell {number} needs a name of a-z, 0-9 and -; it has {cell.id!r}")
        if cell.id in seen:
            raise ValueError(f"{path.name}: two cells are named {cell.id!r}")
        seen.add(cell.id)
    notebook.metadata = nbformat.from_dict(_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def build(lesson: str) -> Path:
    """Execute a lesson and write the built notebook.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails; nothing is written then.
    """
    notebook = execute(from_source(source_path(lesson)), LESSONS / lesson)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if _stays_without_kernel(output)]
    notebook.metadata = nbformat.from_dict(_METADATA)
    return _write(notebook, built_path(lesson))


def _stays_without_kernel(output: NotebookNode) -> bool:
    """Reduce a widget to its picture; one without a picture, such as a progress bar, goes."""
    data = output.get("data", {})
    return data.pop(_WIDGET_VIEW, None) is None or "image/png" in data


def execute(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Run all cells in a fresh kernel of this environment, in that folder."""
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # it warns that it listens on this machine's own ports
    )
    with _environment():
        return client.execute()


def differences(lesson: str) -> list[str]:
    """Say where the built notebook no longer matches its source: cells, ids, sources, metadata (not outputs)."""
    if not built_path(lesson).exists():
        return [f"{lesson}: not built yet"]
    wanted, built = from_source(source_path(lesson)), nbformat.read(built_path(lesson), as_version=4)
    found = [f"{lesson}: notebook metadata differ"] if built.metadata != wanted.metadata else []
    if [cell.id for cell in built.cells] != [cell.id for cell in wanted.cells]:
        return [*found, f"{lesson}: its cells are others, or in another order"]
    for one, other in zip(wanted.cells, built.cells, strict=True):
        for part in ("cell_type", "source", "metadata"):
            if one[part] != other[part]:
                found.append(f"{lesson}: {part} of cell {one.id} differs")
    return found


def released(lesson: str) -> NotebookNode:
    """Make a lesson what students get: no solution, no hidden test, no output; graded cells locked and checksummed."""
    notebook = from_source(source_path(lesson))
    config = Config()
    config.ClearSolutions.code_stub = {"python": STUB}
    config.ClearSolutions.text_stub = ANSWER_HERE
    resources: dict[str, object] = {"unique_key": lesson, "metadata": {"name": lesson}}
    for name in (
        "LockCells",
        "ClearSolutions",
        "ClearOutput",
        "CheckCellMetadata",
        "ClearHiddenTests",
        "ComputeChecksums",
    ):
        notebook, resources = getattr(preprocessors, name)(config=config).preprocess(notebook, resources)
    for cell in notebook.cells:
        cell.metadata.pop("tags", None)  # they speak to nbval, not to students
        if cell.cell_type == "code" and "nbgrader" not in cell.metadata:
            cell.source = without_claims(cell.source)
        cell.source = cell.source.rstrip()
    notebook.cells = [cell for cell in notebook.cells if cell.source]
    notebook.metadata[_RELEASED] = _digest(notebook)
    nbformat.validate(notebook)
    return notebook


def without_claims(source: str) -> str:
    """Take the assertions out of an experiment: they say beforehand what a student is asked to predict."""
    lines = source.splitlines()
    statements = [part for part in ast.walk(ast.parse(source)) if isinstance(part, ast.stmt)]
    for claim in sorted(filter(_is_claim, statements), key=lambda statement: -statement.lineno):  # from the end
        del lines[claim.lineno - 1 : claim.end_lineno]
    return "\n".join(lines)


def _is_claim(part: ast.stmt) -> bool:
    called = part.value.func if isinstance(part, ast.Expr) and isinstance(part.value, ast.Call) else None
    return isinstance(part, ast.Assert) or (isinstance(called, ast.Attribute) and called.attr == "assert_close")


def release(lesson: str, folder: Path = RELEASE) -> Path:
    """Write what students get into ``folder/<lesson>/<lesson>.ipynb``.

    Raises
    ------
    FileExistsError
        If there is one that somebody has worked on: nothing of it is overwritten.
    """
    path = folder / lesson / f"{lesson}.ipynb"
    if path.exists() and not _is_untouched(path):
        raise FileExistsError(f"{path} has been worked on and is kept; move it away to get a fresh one")
    return _write(released(lesson), path)


_RELEASED = "released"  # notebook metadata: a digest of the cell sources as students got them


def _digest(notebook: NotebookNode) -> str:
    sources = [cell.source for cell in notebook.cells if cell.source.strip()]  # Jupyter adds empty cells at the end
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def _is_untouched(path: Path) -> bool:
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception:  # not a notebook any more, but somebody's file all the same
        return False
    return notebook.metadata.get(_RELEASED) == _digest(notebook)


def validate(names: Sequence[str]) -> int:
    """Run nbval on built notebooks; its exit status is given back. Stored outputs are compared unless a cell trained."""
    processes = min(len(names), os.cpu_count() or 1)
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "--rootdir", str(LESSONS)]
    patience = str(2 * CELL_SECONDS)  # on a new machine notebooks train their teachers, two at a time
    command += ["--nbval", "--nbval-current-env", "--nbval-cell-timeout", patience, "--durations", "5"]
    command += ["-n", str(processes), "--dist", "loadfile"] if processes > 1 else []
    command += [str(built_path(name)) for name in names]
    return subprocess.run(command, cwd=LESSONS, env=os.environ | _ENVIRONMENT, check=False).returncode


def _write(notebook: NotebookNode, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.validate(notebook)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        nbformat.write(notebook, file)
    return path


@contextmanager
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
