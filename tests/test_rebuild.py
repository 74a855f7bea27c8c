"""A student's answers are taken out of whatever was handed in, and nothing else of it counts."""

import json
import re

import nbformat
import pytest
from handed_in import notebook, solutions

from course import build, rebuild
from course.rebuild import Unreadable

LESSON = "03-distillation-loss"
ANSWERS = solutions(LESSON)


@pytest.fixture
def handed_in():
    return notebook(LESSON, ANSWERS)


def read(notebook, lesson=LESSON):
    content = notebook if isinstance(notebook, bytes) else nbformat.writes(notebook).encode()
    return rebuild.answers_in(content, rebuild.lesson(lesson))


@pytest.mark.parametrize("lesson", build.lessons())
def test_a_lesson_has_its_tasks_points_and_rubrics(lesson):
    told = rebuild.lesson(lesson)
    assert told.code
    assert all(task.points > 0 and "HIDDEN TESTS" in task.checks[0].source for task in told.code)
    assert all("HIDDEN" not in check.released for task in told.code for check in task.checks)
    assert len(told.written) >= 2
    for task in told.written:
        assert task.text.question
        assert task.text.solution
        assert "SOLUTION" not in task.text.question + task.text.solution + task.text.rubric
        worth = re.findall(r"^\* (\d+) points?: ", task.text.rubric, re.MULTILINE)
        assert sum(map(int, worth)) == task.points


def test_the_answers_of_an_honest_notebook_are_found_and_nothing_is_noted(handed_in):
    answers = read(handed_in)
    assert answers.notes == ()
    assert dict(answers.sources) == ANSWERS


def test_a_file_in_another_encoding_or_format_version_is_read(handed_in):
    text = nbformat.writes(handed_in)
    plain = json.dumps(json.loads(text), ensure_ascii=False)
    for content in (text.encode("utf-16"), text.encode("utf-8-sig"), plain.encode("utf-32")):
        assert read(content).sources["soft-loss"] == ANSWERS["soft-loss"]
    latin = plain.replace("λ", "l").replace("²", "2").encode("cp1252", "replace")
    assert "kl" in read(latin.replace(b"divergence", b"kl")).sources["soft-loss"]
    old = nbformat.writes(nbformat.convert(handed_in, 3), 3).encode()
    assert "def soft_loss" in read(old).sources["soft-loss"], "format 3 knows no ids of cells, but the metadata stay"


def test_stripped_metadata_and_new_ids_leave_the_definition_to_go_by(handed_in):
    for cell in handed_in.cells:
        cell.metadata = {}
        cell.id = "x" + cell.id
    answers = read(handed_in)
    assert answers.sources["soft-loss"] == ANSWERS["soft-loss"]
    assert "the cell of soft_loss has lost its name; it was found by its definition" in answers.notes


def test_of_cells_with_one_name_the_one_that_was_changed_counts(handed_in):
    index = next(i for i, cell in enumerate(handed_in.cells) if cell.id == "soft-loss")
    untouched = notebook(LESSON, {}).cells[index]
    handed_in.cells.insert(index + 1, untouched)
    answers = read(handed_in)
    assert answers.sources["soft-loss"] == ANSWERS["soft-loss"]
    assert any("soft-loss is there 2 times" in note for note in answers.notes)


def test_what_was_done_to_check_cells_is_noted(handed_in):
    handed_in.cells = [cell for cell in handed_in.cells if cell.id != "check-total-loss"]
    next(cell for cell in handed_in.cells if cell.id == "check-soft-loss").source = "print('all right')"
    assert read(handed_in).notes == (
        "the cell check-soft-loss was changed; the original was used",
        "the cell check-total-loss is missing; the original was used",
    )


def test_an_import_in_the_set_up_cell_is_lost_and_the_student_is_told_why(handed_in):
    next(cell for cell in handed_in.cells if cell.id == "set-up").source += "\nimport numpy as np"
    (note,) = read(handed_in).notes
    assert note == "the set-up cell was changed; the original was used: imports for an answer belong into its cell"


@pytest.mark.parametrize(
    ("cell", "own"),
    [
        ("**Why?** Say\nso.\n\nBecause.\n\nSo.", "Because.\n\nSo."),
        ("**Why?** Say\nso.\n\n*Your answer here.* Because.", "*Your answer here.* Because."),
        ("Because.", "Because."),
        ("**Why?** Say\n  so.\n\nso.", "so."),
        ("**Why?** Say\nso.\n \n*Your answer here.*\n", ""),
        (" \n", ""),
    ],
)
def test_own_words_are_what_the_question_did_not_say(cell, own):
    assert rebuild.own_words(cell, "**Why?** Say\nso.\n\n*Your answer here.*") == own


def test_a_missing_answer_is_missing_and_costs_no_other(handed_in):
    handed_in.cells = [cell for cell in handed_in.cells if cell.id != "soft-loss"]
    answers = read(handed_in)
    assert "soft-loss" not in answers.sources
    assert "distillation-loss" in answers.sources


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf \n", "the file is empty"),
        (b"{", "the file is no notebook"),
        (b"[1, 2]", "it holds JSON, but no cells"),
        (b'{"cells": 3}', "it holds JSON, but no cells"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "the file is no notebook"),
        (b"[" * 100_000, "the file is no notebook"),
        (b'{"worksheets": [3]}', "it holds JSON, but no cells"),
    ],
)
def test_what_is_no_notebook_is_told_why(content, said):
    with pytest.raises(Unreadable, match=said):
        read(content)


def test_nonsense_within_a_notebook_is_passed_over():
    cells = [3, None, {"cell_type": "code"}, {"id": [1], "metadata": [], "source": {"a": 1}}, {"source": [1, "x"]}]
    assert dict(read(json.dumps({"cells": cells}).encode()).sources) == {}


def test_a_notebook_belongs_to_the_lesson_whose_answers_it_holds(handed_in):
    lessons = [rebuild.lesson(name) for name in build.lessons()]
    assert rebuild.whose(nbformat.writes(handed_in).encode(), lessons) == LESSON
    for cell in handed_in.cells:
        cell.metadata, cell.id = {}, "x" + cell.id
    assert rebuild.whose(nbformat.writes(handed_in).encode(), lessons) == LESSON
    assert rebuild.whose(b'{"cells": []}', lessons) is None
    assert rebuild.whose(b"nothing", lessons) is None


def test_the_digest_follows_the_lessons_source(tmp_path, monkeypatch):
    source = build.source_path(LESSON)
    before = rebuild._digest(source, build.ROOT)
    assert rebuild._digest(source, build.ROOT) == before
    changed = tmp_path / "changed.py"
    changed.write_bytes(source.read_bytes() + b"\n")
    assert rebuild._digest(changed, build.ROOT) != before
