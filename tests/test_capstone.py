"""The capstone's examiner: what a recipe may be, that it is trained anew, and what it earns."""

import os

import pytest
from answers.capstone import QUICK
from handed_in import solutions
from hypothesis import given
from hypothesis import strategies as st

from course import capstone, judge, rebuild, sandbox
from course.rebuild import Answers
from toolkit import models

EXAM = "1000007"


@pytest.fixture
def exam(monkeypatch):
    monkeypatch.setenv(capstone.EXAM_VARIABLE, EXAM)


# ---- A recipe is untrusted ------------------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def refusal(recipe):
    """What the examiner says against a recipe, or nothing; any other exception is an error."""
    try:
        capstone.check_recipe(recipe)
    except ValueError as problem:
        return str(problem)
    return ""


@given(anything)
def test_whatever_is_handed_in_is_refused_in_words(thing):
    assert 0 < len(refusal(thing)) < 500
    assert len(refusal({**QUICK, **(thing if isinstance(thing, dict) else {})})) < 500


@given(st.sampled_from(list(capstone.BASELINE)), anything)
def test_any_value_of_any_key_is_taken_as_plain_data_or_refused_by_name(key, value):
    recipe = {**QUICK, key: value}
    if refused := refusal(recipe):
        assert key in refused
    else:
        assert type(capstone.check_recipe(recipe)[key]) in (str, int, float, type(None))


class Sly(str):
    """A text that claims to equal everything."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other):
        return True


class Huge:
    def __ge__(self, other):
        return True

    __le__ = __lt__ = __gt__ = __ge__

    def __repr__(self):
        raise SystemError("no repr")


@pytest.mark.parametrize(
    "changes",
    [
        {"student": Sly("mlp-64")},
        {"teacher": Sly("anything")},
        {"epochs": Huge()},
        {"epochs": 10**5000},
        {"learning_rate": Huge()},
        {"lam": True},
        {"student": "mlp-" + "9" * 5000},
        {"student": "mlp-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8-8"},
        {"student": "../../etc"},
        {"temperature": [8]},
        {Sly("student"): "mlp-64"},
    ],
)
def test_hostile_values_are_refused(changes):
    with pytest.raises(ValueError, match=r"."):
        capstone.check_recipe({**QUICK, **changes})


def test_nothing_is_built_to_find_out_that_a_student_is_too_large(monkeypatch):
    monkeypatch.setattr(models, "build", lambda *_, **__: pytest.fail("was built"))
    with pytest.raises(ValueError, match="far over the budget"):
        capstone.check_recipe({**QUICK, "student": "mlp-100000-100000"})


# ---- Trained anew ---------------------------------------------------------------------------------------------


def test_the_same_recipe_on_the_same_split_makes_the_same_students():
    first, second = (capstone.train(QUICK, 1) for _ in range(2))
    assert (first.accuracy, first.val_accuracy) == (second.accuracy, second.val_accuracy)
    assert (first.stopped_by_time, first.diverged, first.parameters) == (0, 0, 2410)
    assert capstone.train(QUICK, 2).val_accuracy != first.val_accuracy
    assert "accuracy=0" not in repr(first).replace("val_accuracy", ""), "a notebook does not show the test part"


def test_progress_is_told_over_all_students():
    told = []
    capstone.train(QUICK, 1, lambda *done: told.append(done))
    assert told[-1] == (4 * QUICK["epochs"],) * 2
    assert told == sorted(told)


def test_the_time_limit_stops_students_and_what_they_learned_counts(monkeypatch, capsys):
    monkeypatch.setattr(capstone, "SECONDS", 0.05)
    outcome = capstone.rehearse({**QUICK, "epochs": 2000, "batch_size": 50}, split=1)
    assert outcome.stopped_by_time == 4
    assert 0 < outcome.accuracy < 1
    assert "4 of 4 students were stopped by the time limit" in capsys.readouterr().out


def test_a_student_that_diverges_counts_as_all_wrong(capsys):
    outcome = capstone.rehearse({**QUICK, "optimizer": "sgd", "learning_rate": 10, "penalty_weight": 1, "epochs": 40})
    assert outcome.diverged == 4
    assert outcome.accuracy == outcome.val_accuracy == 0
    assert "4 of 4 students diverged and count as all wrong" in capsys.readouterr().out


def test_practice_stays_away_from_the_splits_of_exams():
    with pytest.raises(ValueError, match="splits for practice have numbers below 1,000,000, not 1000000"):
        capstone.rehearse(QUICK, split=capstone.FIRST_EXAM_SPLIT)
    for split in (-1, "a", 1.5, True):
        with pytest.raises(ValueError, match=f"split must be a whole number ≥ 0, not {split!r}"):
            capstone.rehearse(QUICK, split=split)
    with pytest.raises(ValueError, match=r"not a function: call it, as in my_recipe\(\)"):
        capstone.rehearse(lambda: QUICK)


# ---- The exam -------------------------------------------------------------------------------------------------


def test_the_exam_split_comes_from_the_grading_or_is_drawn(monkeypatch, exam):
    assert capstone.exam_split() == int(EXAM)
    monkeypatch.setenv(capstone.EXAM_VARIABLE, "soon")
    with pytest.raises(ValueError, match="must be a whole number of at least 0, not 'soon'"):
        capstone.exam_split()
    monkeypatch.delenv(capstone.EXAM_VARIABLE)
    drawn = {capstone.exam_split() for _ in range(3)}
    assert len(drawn) == 3
    assert min(drawn) >= capstone.FIRST_EXAM_SPLIT


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_accuracy_never_earns_less(one, other):
    low, high = sorted((one, other))
    assert 0 <= capstone.points(low) <= capstone.points(high) <= capstone.POINTS


def test_points_begin_at_the_floor_and_end_at_full_marks():
    assert [capstone.points(a) for a in (capstone.FLOOR, 0.92, capstone.FULL_MARKS)] == [0, 5, 10]


def test_the_lesson_says_as_many_points_as_the_examiner():
    (task,) = rebuild.lesson("capstone").code
    assert task.points == capstone.POINTS


def marked(source):
    answers = Answers({"my-recipe": source}, ())
    told = judge.marks("anna", rebuild.lesson("capstone"), answers, sealed=sandbox.is_sealed(), task_seconds=30)
    return {mark.task: mark for mark in told}["my_recipe"]


def test_a_submission_earns_what_its_recipe_earns_in_the_exam(exam):
    best = marked(solutions("capstone")["my-recipe"])
    assert (best.points, best.status) == (10, "graded")
    assert "2,650 parameters" in best.reason
    source = f"def my_recipe():\n    return {QUICK | {'epochs': 40}!r}"
    middling = marked(source)
    earned = capstone.examined(QUICK | {"epochs": 40})
    assert middling.points == earned < 10
    assert f"the exam: {capstone.train(QUICK | {'epochs': 40}, int(EXAM)).accuracy:.1%}" in middling.reason


def test_a_recipe_over_the_budget_earns_nothing_and_says_why(exam):
    mark = marked(f"def my_recipe():\n    return {QUICK | {'student': 'mlp-64'}!r}")
    assert mark.points == 0
    assert "4,810 parameters, and the budget is 3,000" in mark.reason


def test_a_recipe_that_asks_for_the_exam_split_finds_none(exam):
    source = "import os\ndef my_recipe():\n    raise ValueError(os.environ.get('DISTILLATION_EXAM_SPLIT'))"
    assert EXAM in os.environ[capstone.EXAM_VARIABLE]
    assert EXAM not in marked(source).reason
