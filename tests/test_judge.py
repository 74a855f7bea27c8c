"""Marks of one submission: right answers earn their points in any company, wrong and hostile ones nothing."""

import pytest
from handed_in import S3, function, solutions

from course import judge, rebuild, sandbox
from course.rebuild import Answers

L3, L4 = "03-distillation-loss", "04-train-a-student"
SEALED = sandbox.is_sealed()
KL = "F.kl_div(F.log_softmax(student_logits / temperature, -1), F.softmax(teacher_logits.detach() / temperature, -1), reduction='batchmean')"


def marks(lesson, answers, **options):
    told = judge.marks(
        "anna", rebuild.lesson(lesson), Answers(answers, ()), **{"sealed": SEALED, "task_seconds": 30} | options
    )
    return {mark.task: mark for mark in told}


def soft_loss(*lines, before=""):
    return function("soft_loss", S3, *lines, before=before)


@pytest.mark.parametrize("lesson", [L3, L4])
def test_the_lessons_own_solutions_earn_everything_and_text_waits(lesson):
    told = marks(lesson, solutions(lesson))
    assert all(mark.points == mark.max_points for mark in told.values() if mark.kind == "code")
    assert {mark.status for mark in told.values() if mark.kind == "text"} == {"needs_manual"}


def test_an_untouched_notebook_was_not_attempted():
    lesson = rebuild.lesson(L3)
    stubs = {task.answer_id: task.stub for task in lesson.code} | {task.name: task.stub for task in lesson.written}
    assert {(mark.points, mark.status) for mark in marks(L3, stubs).values()} == {(0, "not_attempted")}
    assert {(mark.points, mark.status) for mark in marks(L3, {}).values()} == {(0, "not_attempted")}


def test_old_gradients_are_added_where_they_are_not_cleared():
    answer = solutions(L4)["train-step"].replace("    optimizer.zero_grad()\n", "")
    told = marks(L4, solutions(L4) | {"train-step": answer})["train_step"]
    assert (told.points, told.status) == (0, "graded")
    assert "gradients are not cleared" in told.reason


HOSTILE = {
    "missing T²": (soft_loss(f"return {KL}"), "is T² missing?"),
    "patches the tests": (
        soft_loss(
            "return torch.zeros((), requires_grad=True)",
            before="from course import checks\nchecks.check = torch.equal = torch.testing.assert_close = lambda *_, **__: True\n",
        ),
        "Your loss is 0, though student and teacher differ",
    ),
    "equals everything": (
        soft_loss("return Equal()", before="class Equal:\n    __eq__ = lambda *_: True\n"),
        "returns a Equal, not a torch.Tensor",
    ),
    "leaves": (soft_loss("import sys; sys.exit(0)"), "raises SystemExit"),
    "10 GB": (soft_loss("return torch.ones(5 * 2**30).sum()"), "memory"),
    "prints 100 MB": (soft_loss("print('x' * 100_000_000)", f"return {KL}"), "is T² missing?"),
    "calls the toolkit": (
        soft_loss("return losses.soft_divergence(student_logits, teacher_logits.detach(), temperature)"),
        "toolkit's own implementation",
    ),
    "calls it behind an exception": (
        soft_loss("try:", "    losses.soft_divergence(student_logits, teacher_logits, 1.0)", "except Exception:", f"    return {KL} * temperature**2"),
        "toolkit's own implementation",
    ),
    "does not parse": ("def soft_loss(a, b, c)\n    return 1", "SyntaxError"),
    "defines something else": ("def softloss(a, b, c):\n    return 1", "does not define soft_loss"),
    "a name from an experiment": (soft_loss("return digits.x_train.sum()"), "NameError"),
}  # fmt: skip


@pytest.mark.parametrize("answer", HOSTILE)
def test_a_wrong_or_hostile_answer_earns_nothing_says_why_and_costs_no_other(answer):
    source, said = HOSTILE[answer]
    told = marks(L3, solutions(L3) | {"soft-loss": source})
    assert (told["soft_loss"].points, told["soft_loss"].status) == (0, "graded")
    assert said in told["soft_loss"].reason
    assert told["soft_loss"].feedback
    assert "torch.testing" not in told["soft_loss"].feedback + told["soft_loss"].reason
    assert [told[task].points for task in ("distillation_loss", "total_loss")] == [3, 1], "later ones get the reference"


@pytest.mark.parametrize(
    ("source", "status", "said"),
    [
        (soft_loss("while True:", "    pass"), "timeout", "stopped after 5 seconds"),
        ("while True:\n    pass", "timeout", "stopped after 5 seconds"),
        (soft_loss("import os; os._exit(0)"), "kernel_died", "ended with status 0"),
        (soft_loss("import ctypes; ctypes.string_at(0)"), "kernel_died", "crashed"),
    ],
)
def test_what_ends_its_process_has_a_status_of_its_own_and_costs_no_other(source, status, said):
    told = marks(L3, solutions(L3) | {"soft-loss": source}, task_seconds=5)
    assert (told["soft_loss"].points, told["soft_loss"].status) == (0, status)
    assert said in told["soft_loss"].reason
    assert [told[task].points for task in ("distillation_loss", "total_loss")] == [3, 1]


def test_magic_and_prints_beside_a_right_answer_cost_nothing():
    source = "%matplotlib inline\n!ls\n" + solutions(L3)["soft-loss"] + "\nprint(soft_loss)\n1 / 0"
    assert marks(L3, {"soft-loss": source})["soft_loss"].points == 3


def test_a_helper_of_an_earlier_cell_may_be_used_later():
    one = "def half(x):\n    return x / 2\n\n" + solutions(L3)["soft-loss"]
    two = solutions(L3)["distillation-loss"].replace("hard = ", "hard = 2 * half(1.0) * ")
    assert marks(L3, {"soft-loss": one, "distillation-loss": two})["distillation_loss"].points == 3


def test_a_number_on_the_last_line_of_a_check_is_what_was_earned():
    for value, points in (("1.5", 1.5), ("7", 4), ("-1", 0), ("True", 4), ("None", 4)):
        assert judge._points(rebuild.Check("check", f"x = 1\n{value}", "", 4.0), {}) == points
