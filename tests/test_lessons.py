"""The lessons keep their form, in source and built notebook: nothing that hides a failure, everything that was run."""

import itertools
import re
import tomllib

import nbformat
import pytest

from course import build, checks

LESSONS = build.lessons()
TAGS = {"nbval-ignore-output"}


@pytest.fixture(params=LESSONS)
def lesson(request):
    return request.param


@pytest.fixture
def built(lesson):
    return nbformat.read(build.built_path(lesson), as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def graded(cell):
    return cell.metadata.get("nbgrader", {})


def test_there_are_lessons_and_none_hides_from_the_tools():
    assert sorted(path.parent.name for path in build.LESSONS.glob("*/*.ipynb")) == LESSONS
    assert {"02-soft-targets", "03-distillation-loss", "04-train-a-student"} <= set(LESSONS)


def test_the_built_notebook_matches_its_source(lesson):
    assert build.differences(lesson) == []


def test_ids_are_grade_ids_and_unique(built):
    ids = [cell.id for cell in built.cells]
    assert len(ids) == len(set(ids))
    assert all(graded(cell)["grade_id"] == cell.id for cell in built.cells if graded(cell))


def test_every_code_cell_was_executed_in_order_and_without_errors(built):
    cells = code_cells(built)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all(output.output_type != "error" for cell in cells for output in cell.outputs)
    assert sum(bool(cell.outputs) for cell in cells) >= len(cells) / 3, "stripped outputs would make nbval vacuous"


def test_outputs_hold_no_warnings_addresses_or_paths_and_no_dead_widgets(built):
    for cell in code_cells(built):
        for output in cell.outputs:
            assert output.get("name") != "stderr", cell.id
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})
            text = output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
            assert not re.search(r"0x[0-9a-f]{6,}|/tmp/|/home/|\\Users\\", text), cell.id


def test_no_line_is_a_magic_or_a_shell_command(built):
    for cell in code_cells(built):
        assert not re.search(r"^\s*[!%]", cell.source, re.MULTILINE), cell.id
        assert "get_ipython" not in cell.source


def test_no_tag_hides_a_failure(built):
    for cell in built.cells:
        assert set(cell.metadata.get("tags", [])) <= TAGS, cell.id
        assert not re.search(r"NBVAL_SKIP|raises-exception", cell.source)


def test_a_trained_result_that_nbval_ignores_is_asserted_somewhere(lesson, built):
    ignored = [cell for cell in code_cells(built) if cell.metadata.get("tags")]
    assert sum("assert" in cell.source for cell in ignored) >= len(ignored) / 2


def test_cells_are_short(built):
    for cell in built.cells:
        lines = re.sub(r"### BEGIN HIDDEN TESTS.*### END HIDDEN TESTS", "", cell.source, flags=re.DOTALL).splitlines()
        assert len(lines) <= 20, cell.id


def test_metadata_are_valid_and_free_of_times_and_versions(built):
    nbformat.validate(built)
    assert built.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert all(set(cell.metadata) <= {"nbgrader", "tags"} for cell in built.cells)


def test_each_answer_cell_holds_one_graded_function_with_its_docstring_and_is_followed_by_its_check(built):
    cells = code_cells(built)
    answers = [(cell, after) for cell, after in itertools.pairwise(cells) if graded(cell).get("solution")]
    assert answers
    for answer, check in answers:
        (name,) = re.findall(r"^def (\w+)\(", answer.source, re.MULTILINE)
        assert name in checks.names()
        assert re.match(rf'def {name}\(.*\):\n    """(?s:.+?)"""\n    ### BEGIN SOLUTION\n', answer.source)
        assert answer.source.endswith("    ### END SOLUTION")
        assert check.source.startswith(f"checks.check({name})\n### BEGIN HIDDEN TESTS\n")
        assert check.source.endswith("### END HIDDEN TESTS")
        assert graded(check)["grade"]
        assert graded(check)["locked"]
        assert graded(check)["points"] > 0
        assert not graded(answer)["grade"]


def test_every_graded_function_has_exactly_one_home_lesson():
    homes = [
        name
        for lesson in LESSONS
        for cell in build.from_source(build.source_path(lesson)).cells
        for name in re.findall(r"^checks\.check\((\w+)\)", cell.source, re.MULTILINE)
    ]
    assert sorted(homes) == sorted(checks.names())


def test_a_lesson_opens_with_goals_asks_for_a_prediction_and_ends_with_questions(built):
    texts = [cell.source for cell in built.cells if cell.cell_type == "markdown"]
    assert "After this lesson you can" in texts[0]
    assert re.search(r"\*\*You need\*\*.*\*\*Time\*\*: about \d+ minutes", texts[0])
    first_result = next(i for i, cell in enumerate(built.cells) if cell.get("outputs"))
    assert any("rediction" in cell.source or "Predict" in cell.source for cell in built.cells[:first_result])
    assert any(text.startswith("## What could go wrong") for text in texts)
    assert texts[-2].startswith("## Questions")
    assert graded(built.cells[-1])["solution"]


def test_no_measured_number_of_ours_is_typed_into_the_text(built):
    """Percentages in prose are targets, predictions, interval levels or quotations that are named here, nothing else."""
    allowed = {"99 %", "92 %", "95 %", "97.1 %", "97.4 %", "47.3 %", "13.2 %"}
    for cell in built.cells:
        if cell.cell_type == "markdown":
            assert set(re.findall(r"[\d.]+ %", cell.source)) <= allowed, cell.id


def test_it_opens_the_app_with_its_own_preset(lesson):
    source = build.source_path(lesson).read_text("utf-8")
    presets = tomllib.loads((build.ROOT / "app_support" / "presets.toml").read_text("utf-8"))
    assert re.findall(r"http://localhost:8501/\?lesson=([a-z0-9-]+)", source) == [lesson]
    assert lesson in presets
