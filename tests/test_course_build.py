"""A lesson's way from its source to what students get, and what an answer in there earns."""

import re
import subprocess
import sys

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from course import build
from course.__main__ import main

LESSONS = build.lessons()


def marked(lesson, what):
    """Lines between BEGIN and END marks of a lesson's source, by cell."""
    for cell in build.from_source(build.source_path(lesson)).cells:
        for part in re.findall(rf"BEGIN {what}.*?\n(.*?)\n[^\n]*END {what}", cell.source, re.DOTALL):
            yield cell, part


def is_graded(cell, kind):
    return cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get(kind)


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    return {lesson: nbformat.read(build.release(lesson, folder), as_version=4) for lesson in LESSONS}


@pytest.mark.parametrize("lesson", LESSONS)
@pytest.mark.parametrize("what", ["SOLUTION", "HIDDEN TESTS"])
def test_a_released_lesson_holds_no_line_of_a_solution_or_hidden_test(release, lesson, what):
    cells = {cell.id: cell.source for cell in release[lesson].cells}
    everything = "\n".join(cells.values())
    found = list(marked(lesson, what))
    assert found
    for cell, part in found:
        for line in map(str.strip, part.splitlines()):
            if re.search(r"\w", line):  # not a bracket alone
                assert line not in cells[cell.id], line
            if len(line) > 30:
                assert line not in everything, line
    assert not re.search(r"BEGIN|END|HIDDEN|SOLUTION", everything)


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_released_lesson_holds_no_output(release, lesson):
    for cell in release[lesson].cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_released_code_cell_can_be_run(release, lesson):
    for cell in release[lesson].cells:
        if cell.cell_type == "code":
            compile(cell.source, cell.id, "exec")


@pytest.mark.parametrize("lesson", LESSONS)
def test_an_answer_cell_keeps_its_def_line_and_docstring_and_raises(release, lesson):
    answers = [cell for cell in release[lesson].cells if is_graded(cell, "solution")]
    assert answers
    for cell in answers:
        assert re.fullmatch(r'def \w+\(.*\):\n    """(?s:.+?)"""\n    raise NotImplementedError', cell.source)


@pytest.mark.parametrize("lesson", LESSONS)
def test_graded_cells_are_locked_and_checksummed(release, lesson):
    for cell in release[lesson].cells:
        if (grading := cell.metadata.get("nbgrader")) and (grading["grade"] or grading["solution"]):
            assert grading["checksum"]
            assert cell.metadata.deletable is False
        if is_graded(cell, "grade"):
            assert cell.metadata.editable is False


def run_answers(notebook, answers, folder):
    """Execute set-up, answer and check cells of a release, with some answers filled in."""
    submission = nbformat.from_dict(notebook)
    kept = []
    for cell in submission.cells:
        if cell.cell_type == "code" and "nbgrader" in cell.metadata:
            cell.source = answers.get(cell.id, cell.source)
            kept.append(cell)
    submission.cells = kept
    return build.execute(submission, folder)


@pytest.mark.parametrize("lesson", LESSONS)
def test_right_answers_filled_into_the_release_pass_their_checks(release, lesson, tmp_path):
    answers = {cell.id: cell.source for cell, _ in marked(lesson, "SOLUTION")}
    done = run_answers(release[lesson], answers, tmp_path)
    said = [output.text for cell in done.cells if is_graded(cell, "grade") for output in cell.outputs]
    assert len(said) == sum(bool(is_graded(cell, "grade")) for cell in done.cells)
    assert all(re.fullmatch(r"✓ \w+: correct\.\n", text) for text in said)


@pytest.mark.parametrize("lesson", LESSONS)
def test_an_untouched_release_does_not_pass_and_says_not_attempted(release, lesson, tmp_path):
    with pytest.raises(CellExecutionError, match="not attempted yet"):
        run_answers(release[lesson], {}, tmp_path)


def test_an_answer_cell_that_raises_does_not_pass(release, tmp_path):
    answers = {"softmax-with-temperature": 'raise RuntimeError("deliberate")'}
    with pytest.raises(CellExecutionError, match="deliberate"):
        run_answers(release["02-soft-targets"], answers, tmp_path)
    answers = {
        "softmax-with-temperature": "def softmax_with_temperature(logits, temperature):\n    return logits / 0 * x"
    }
    with pytest.raises(CellExecutionError, match="raises NameError"):
        run_answers(release["02-soft-targets"], answers, tmp_path)


def test_a_failing_check_shows_its_message_and_no_traceback(release, tmp_path):
    answers = {
        "softmax-with-temperature": "def softmax_with_temperature(logits, temperature):\n    return logits.softmax(-1)"
    }
    submission = nbformat.from_dict(release["02-soft-targets"])
    with pytest.raises(CellExecutionError) as caught:
        run_answers(submission, answers, tmp_path)
    assert "The temperature has no effect" in caught.value.traceback
    assert "Traceback" not in caught.value.traceback
    assert "course" not in caught.value.traceback


def test_a_release_is_the_same_every_time():
    one, other = (nbformat.writes(build.released(LESSONS[0])) for _ in range(2))
    assert one == other


SOURCE = """\
# %% first
print("hello")

# %% second [markdown]
# Text.
"""


@pytest.fixture
def small_course(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "LESSONS", tmp_path)
    monkeypatch.setattr(build, "ROOT", tmp_path)
    (tmp_path / "01-small").mkdir()
    source = tmp_path / "01-small" / "01-small.py"
    source.write_text(SOURCE, "utf-8")
    return source


def test_building_twice_gives_the_same_file(small_course):
    first = build.build("01-small").read_bytes()
    assert build.build("01-small").read_bytes() == first
    assert b"hello" in first


def test_a_progress_bar_leaves_nothing_and_a_widget_its_picture(small_course):
    code = (
        "from ipywidgets import IntProgress\nfrom toolkit.widgets import Panel\n"
        "from toolkit.plots import accuracy_curves\ndisplay(IntProgress())\n"
        "Panel([], lambda: accuracy_curves({'alone': [[0.5, 0.6]]}))"
    )
    small_course.write_text(f"# %% only\n{code}\n", "utf-8")
    (output,) = nbformat.read(build.build("01-small"), as_version=4).cells[0].outputs
    assert set(output.data) == {"image/png", "text/plain"}


def test_a_change_in_source_text_or_metadata_is_noticed(small_course, capsys):
    assert build.differences("01-small") == ["01-small: not built yet"]
    build.build("01-small")
    assert build.differences("01-small") == []
    small_course.write_text(SOURCE.replace("hello", "goodbye"), "utf-8")
    assert build.differences("01-small") == ["01-small: source of cell first differs"]
    small_course.write_text(SOURCE.replace("# %% first", '# %% first tags=["nbval-ignore-output"]'), "utf-8")
    assert build.differences("01-small") == ["01-small: metadata of cell first differs"]
    small_course.write_text(SOURCE + "\n# %% third\n1\n", "utf-8")
    assert build.differences("01-small") == ["01-small: its cells are others, or in another order"]


def test_a_lesson_whose_cell_fails_is_not_written(small_course, monkeypatch):
    small_course.write_text(SOURCE + "\n# %% third\n1 / 0\n", "utf-8")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        build.build("01-small")
    assert not build.built_path("01-small").exists()


@pytest.mark.parametrize(
    ("bad", "said"), [("# %%\n1\n", "needs a name"), ("# %% a\n1\n\n# %% a\n2\n", "two cells are named 'a'")]
)
def test_a_cell_without_a_name_of_its_own_is_refused(small_course, bad, said):
    small_course.write_text(bad, "utf-8")
    with pytest.raises(ValueError, match=said):
        build.from_source(small_course)


def test_nbval_notices_a_stored_output_that_is_no_longer_true(small_course, monkeypatch, capfd):
    path = build.build("01-small")
    assert build.validate(["01-small"]) == 0
    path.write_text(path.read_text("utf-8").replace('"hello\\n"', '"something else\\n"'), "utf-8")
    assert build.validate(["01-small"]) == 1
    assert "something else" in capfd.readouterr().out


@pytest.mark.parametrize("command", ["build", "check", "release", "nbval"])
def test_an_unknown_lesson_is_named_with_the_known_ones(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "05-nothing"])
    assert caught.value.code == 2
    assert re.search(r"no lesson '05-nothing'; known are .*02-soft-targets, 03-", capsys.readouterr().err)


def test_check_says_that_all_is_well(capsys):
    assert main(["check"]) == 0
    assert capsys.readouterr().err == ""


def test_check_fails_for_a_lesson_that_is_not_built(small_course, capsys):
    assert main(["check"]) == 1
    assert "python -m course build" in capsys.readouterr().err


def test_the_command_line_explains_itself():
    done = subprocess.run([sys.executable, "-m", "course", "--help"], capture_output=True, text=True, cwd=build.ROOT)
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("build", "check", "release", "nbval"))


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_released_experiment_does_not_say_beforehand_what_comes_out(release, lesson):
    for cell in release[lesson].cells:
        if cell.cell_type == "code":
            assert "assert" not in cell.source, cell.id


def test_claims_are_taken_out_and_everything_else_stays():
    source = "x = 1\nassert x == 1, (\n    'two lines'\n)\nfor y in x:\n    print(y)\n    assert y\ntorch.testing.assert_close(x, x)\n"
    assert build.without_claims(source) == "x = 1\nfor y in x:\n    print(y)"


def test_a_notebook_that_was_worked_on_is_never_overwritten(tmp_path, capsys, monkeypatch):
    path = build.release(LESSONS[0], tmp_path)
    fresh = path.read_text(encoding="utf-8")
    assert build.release(LESSONS[0], tmp_path).read_text(encoding="utf-8") == fresh  # untouched: replaced

    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].source += "\n# my idea"
    nbformat.write(notebook, path)
    worked_on = path.read_text(encoding="utf-8")
    with pytest.raises(FileExistsError, match="has been worked on and is kept; move it away"):
        build.release(LESSONS[0], tmp_path)
    assert path.read_text(encoding="utf-8") == worked_on

    path.write_text("no notebook any more", encoding="utf-8")
    with pytest.raises(FileExistsError):
        build.release(LESSONS[0], tmp_path)


def test_release_goes_on_with_the_other_lessons_where_one_is_kept(capsys, monkeypatch):
    def release(lesson):
        if lesson == LESSONS[0]:
            raise FileExistsError("it is kept")
        return build.RELEASE / lesson

    monkeypatch.setattr(build, "release", release)
    assert main(["release"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "it is kept"
