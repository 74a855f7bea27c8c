"""Checks tell right answers from wrong ones, whatever style the right ones have, and name what is wrong."""

import functools
import time
import warnings

import answers
import pytest
import torch
import torch.nn.functional as F
from answers import RIGHT, SHORTCUTS, WRONG
from answers.training import careful, step
from torch import nn

from course import build, capstone, checks
from course.answers import nearest
from toolkit import losses, metrics

answers.load_all()
ONE_LINERS = {"total_loss"}  # formulas of one line have fewer ways to be written, and to be wrong


@pytest.fixture(autouse=True)
def exam(monkeypatch):
    """Let all recipes of the capstone meet the same exam, whose teacher is trained once."""
    monkeypatch.setenv(capstone.EXAM_VARIABLE, "1000007")


@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name, answers in RIGHT.items() for answer in answers])
def test_a_right_answer_passes_in_any_style(name, answer, capsys):
    checks.check(answer, name)
    assert capsys.readouterr().out == f"✓ {name}: correct.\n"


@pytest.mark.parametrize(
    ("name", "answer", "said"), [(name, *case) for name, cases in WRONG.items() for case in cases]
)  # fmt: skip
def test_a_wrong_answer_is_refused_with_its_behaviour(name, answer, said):
    with pytest.raises(checks.Incorrect) as caught:
        checks.check(answer, name)
    assert said.lower() in str(caught.value).lower()


@pytest.mark.parametrize("name", checks.names())
def test_every_function_has_enough_styles_and_mistakes(name):
    right, wrong = (2, 3) if name in ONE_LINERS else (4, 6)
    assert len(RIGHT[name]) >= right
    assert len(WRONG[name]) >= wrong
    assert len({said for _, said in WRONG[name]}) >= (2 if name in ONE_LINERS else 5), (
        "each mistake has words of its own"
    )


# ---- The same answers in a lesson's check cell, where hidden tests follow the check ------------------------------


@functools.cache
def check_cell(name):
    """Give a fresh copy of the names that a lesson's set-up makes, and the code of the function's check cell."""
    for lesson in build.lessons():
        cells = {cell.id: cell.source for cell in build.from_source(build.source_path(lesson)).cells}
        for source in cells.values():
            if source.startswith(f"checks.check({name})"):
                return compile(cells["set-up"], "set-up", "exec"), compile(source, "check cell", "exec")
    raise LookupError(name)


def run_check_cell(name, answer):
    set_up, check = check_cell(name)
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(set_up, names)
        exec(check, names | {name: answer})


@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name, answers in RIGHT.items() for answer in answers])
def test_a_right_answer_earns_its_points(name, answer):
    run_check_cell(name, named(answer, name))


@pytest.mark.parametrize(("name", "answer"), [(name, case[0]) for name, cases in WRONG.items() for case in cases])
def test_a_wrong_answer_earns_nothing(name, answer):
    with pytest.raises(Exception):  # noqa: B017  whatever it raises costs the points
        run_check_cell(name, named(answer, name))


@pytest.mark.parametrize(("name", "shortcut"), SHORTCUTS)
def test_a_call_of_the_toolkit_earns_nothing(name, shortcut):
    with pytest.raises(checks.Incorrect, match="the toolkit's own implementation"):
        run_check_cell(name, named(shortcut, name))


def named(answer, name):
    """Call an answer what its lesson calls it."""

    def graded(*arguments):
        return answer(*arguments)

    graded.__name__ = name
    return graded


@pytest.mark.parametrize("name", checks.names())
def test_an_untouched_stub_is_not_attempted_yet(name):
    def stub(*_):
        raise NotImplementedError

    with pytest.raises(checks.NotAttempted, match="not attempted yet"):
        checks.check(stub, name)


def test_an_answer_that_stands_on_an_unwritten_one_says_which():
    def soft_loss(*_):
        raise NotImplementedError

    with pytest.raises(checks.NotAttempted, match="soft_loss, which it calls, is not written"):
        checks.check(lambda s, z, y, t, lam: soft_loss(s, z, t), "distillation_loss")


def torch_refuses(z, t):
    return torch.tensor([1, 2]).softmax(-1)  # NotImplementedError, from torch itself


def helper_refuses(z, t):
    def helper():
        raise NotImplementedError

    return helper()


def says_why(z, t):
    raise NotImplementedError("only T = 1")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (torch_refuses, "not implemented for 'Long'"),
        (helper_refuses, "at the line “return helper()”."),
        (says_why, "only T = 1"),
    ],
)
def test_a_not_implemented_error_that_is_no_stub_counts_as_an_attempt(answer, said):
    with pytest.raises(checks.Incorrect, match="Your function raises NotImplementedError") as caught:
        checks.check(answer, "softmax_with_temperature")
    assert said in str(caught.value)


def test_a_decorated_stub_is_not_attempted_yet():
    @torch.no_grad()
    def stub(teacher, x):
        raise NotImplementedError

    with pytest.raises(checks.NotAttempted):
        checks.check(stub, "teacher_logits")


@pytest.mark.parametrize(("name", "shortcut"), SHORTCUTS)
def test_the_toolkits_own_implementation_earns_a_reason_and_no_pass(name, shortcut):
    with pytest.raises(checks.Incorrect, match="the toolkit's own implementation"):
        checks.check(shortcut, name)


def test_the_toolkit_works_again_after_a_check():
    with pytest.raises(checks.Incorrect):
        checks.check(losses.soft_targets, "softmax_with_temperature")
    assert losses.soft_targets(torch.zeros(2)).tolist() == [0.5, 0.5]
    assert metrics.entropy(torch.ones(1)).item() == 0


def test_feedback_is_short_and_without_a_traceback_in_a_notebook():
    with pytest.raises(checks.Incorrect) as caught:
        checks.check(lambda z, t: F.softmax(z, -1), "softmax_with_temperature")
    lines = caught.value._render_traceback_()
    assert "\n".join(lines) == str(caught.value)
    assert len(lines) <= 6
    assert all(word in str(caught.value) for word in ("expected", "yours", "case"))


@pytest.mark.parametrize(("name", "answer", "said"), [(name, *case) for name, cases in WRONG.items() for case in cases])
def test_feedback_never_holds_code_of_a_solution(name, answer, said):
    with pytest.raises(checks.Incorrect) as caught:
        checks.check(answer, name)
    mine = str(caught.value).split("at the line “")[0]  # a learner's own line may be quoted
    assert not any(
        code in mine for code in ("torch.softmax", "log_softmax(", ".mean(", ".sum(", "zero_grad(", ".eval(")
    )


def test_an_exception_is_reported_with_the_learners_own_line():
    def entropy(probabilities):
        return probabilities.lgo()

    with pytest.raises(checks.Incorrect, match=r"AttributeError, at the line “return probabilities.lgo\(\)”"):
        checks.check(entropy)


def test_an_answer_that_tries_to_leave_is_refused():
    with pytest.raises(checks.Incorrect, match="raises SystemExit"):
        checks.check(lambda p: exit(0), "entropy")


class AlwaysEqual:
    """A hostile answer: equal to everything."""

    def __eq__(self, other):
        return True

    __hash__ = None
    shape, ndim = (2, 3), 2

    def is_floating_point(self):
        return True


class Disguised(torch.Tensor):
    """A hostile answer that calls itself a tensor."""


@pytest.mark.parametrize("name", checks.names())
def test_objects_that_pretend_are_refused(name):
    for result in (AlwaysEqual(), torch.zeros(2, 3).as_subclass(Disguised), True, "1.0"):
        with pytest.raises(checks.Incorrect):
            checks.check(lambda *_, result=result: result, name)


def test_the_learners_random_numbers_are_left_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    checks.check(careful, "teacher_logits")
    checks.check(step, "train_step")
    assert torch.equal(torch.rand(1), expected)


def test_what_is_not_a_graded_function_is_named_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"no check for 'print'; graded functions are .*softmax_with_temperature, entropy"
    ):
        checks.check(print)
    with pytest.raises(ValueError, match="the function itself"):
        checks.check(torch.zeros(1))


def test_an_answer_without_a_name_of_its_own_is_known_by_its_variable(capsys):
    total_loss = lambda a, b, w: a + w * b  # noqa: E731  some learners write it so
    checks.check(total_loss)
    assert capsys.readouterr().out == "✓ total_loss: correct.\n"
    total_loss = functools.partial(lambda scale, a, b, w: scale * a + w * b, 1)
    checks.check(total_loss)
    checks.hint(total_loss)
    assert "of 2 for total_loss" in capsys.readouterr().out
    with pytest.raises(ValueError, match="no check for '<lambda>'"):
        checks.check(lambda a, b, w: a + w * b)


def test_a_loss_is_not_blamed_for_the_soft_part_that_it_is_given():
    cells = "def soft_loss(s, z, t):\n    return {}\ndef distillation_loss(s, z, y, t, lam):\n    return {}"
    kl = "F.kl_div((s / t).log_softmax(1), (z.detach() / t).softmax(1), reduction='batchmean')"
    both = "(1 - lam) * F.cross_entropy(s, y) + lam * soft_loss(s, z, t)"
    for soft, whole, said in (
        (kl, both, "mend soft_loss first"),
        (f"t**2 * {kl}", both.replace("soft_loss(", "t**2 * soft_loss("), "T² is applied twice"),
        ("1 / 0", both, "raises ZeroDivisionError"),
    ):
        names = {"F": F}
        exec(cells.format(soft, whole), names)
        with pytest.raises(checks.Incorrect, match=said):
            checks.check(names["distillation_loss"])


@pytest.mark.parametrize(("given", "said"), [((), "hint needs a name"), (("entropie",), "no hints for 'entropie'")])
def test_a_hint_without_a_name_or_with_a_misspelt_one_lists_the_names_in_a_sentence(given, said, capsys):
    checks.hint(*given)
    out = capsys.readouterr().out
    assert said in out.lower()
    assert all(f'"{name}"' in out for name in checks.names())


def in_ipython(*cells):
    """What a shell shows for the last of some cells; its error still counts as one."""
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell()
    checks.say_unwritten_in(shell)
    return [shell.run_cell(cell) for cell in cells][-1]


def test_a_cell_that_calls_an_unwritten_function_says_so_in_a_line(capsys):
    result = in_ipython("def soft_loss(s, z, t):\n    raise NotImplementedError\nsoft_loss(1, 2, 3)")
    assert isinstance(result.error_in_exec, NotImplementedError)
    shown = capsys.readouterr()
    line = "○ soft_loss is not written yet: fill in its cell above, and run this one again."
    assert (shown.out + shown.err).strip() == line


UNWRITTEN = "def soft_loss(s, z, t):\n    raise NotImplementedError\nloss = soft_loss(1, 2, 3)"


def test_a_cell_that_stands_on_one_that_stopped_says_so_in_a_line(capsys):
    result = in_ipython(UNWRITTEN, "print(loss)")
    assert isinstance(result.error_in_exec, NameError)
    shown = capsys.readouterr()
    line = "○ name 'loss' is not defined: a cell above makes it, which stopped at a function that was not written."
    assert f"{line} Run that first." in shown.out + shown.err
    assert "Traceback" not in shown.out + shown.err


@pytest.mark.parametrize("cells", [["print(los)"], [UNWRITTEN, "def mine(): return los\nmine()"]])
def test_any_other_name_error_keeps_its_traceback(cells, capsys):
    in_ipython(*cells)
    shown = capsys.readouterr()
    assert "Traceback" in shown.out + shown.err


@pytest.mark.parametrize(
    "code", ["def other():\n    raise NotImplementedError\nother()", "raise NotImplementedError(1)"]
)
def test_any_other_not_implemented_error_keeps_its_traceback(code, capsys):
    in_ipython(code)
    shown = capsys.readouterr()
    assert "Traceback" in shown.out + shown.err


def test_hints_come_one_at_a_time_and_say_how_many_there_are(capsys, monkeypatch):
    monkeypatch.setattr(checks, "_hints_given", {})
    shown = []
    for _ in range(5):
        checks.hint("entropy")
        shown.append(capsys.readouterr().out)
    assert [text.split(" for ")[0] for text in shown[:3]] == ["Hint 1 of 3", "Hint 2 of 3", "Hint 3 of 3"]
    assert len(set(shown[:3])) == 3
    assert "those were all 3 hints" in shown[3]
    assert shown[4] == shown[3]


def test_a_students_module_is_trained_by_the_reference_step_of_this_file():
    student = nn.Linear(6, 4)
    before = student.weight.detach().clone()
    loss = step(
        student,
        torch.optim.SGD(student.parameters(), 0.1),
        torch.randn(3, 6),
        torch.arange(3),
        torch.randn(3, 4),
        2.0,
        0.5,
    )
    assert type(loss) is float
    assert not torch.equal(student.weight, before)


def test_a_loop_without_an_end_is_interrupted_and_named(monkeypatch):
    def decision_path(feature, threshold, left, right, x):
        node = 0
        while True:
            node = int(left[node])

    monkeypatch.setattr("course.answers.PATIENCE", 0.2)
    with pytest.raises(checks.Incorrect, match="is there a loop that never stops"):
        checks.check(decision_path)


def test_an_answer_in_the_sandbox_has_the_time_that_the_teacher_gives(monkeypatch):
    def seconds_per_run(run, clock, warm_up, runs):
        time.sleep(0.01)
        return RIGHT["seconds_per_run"][0](run, clock, warm_up, runs)

    monkeypatch.setattr("course.answers.PATIENCE", 0.001)
    seconds_per_run.has_own_clock = True  # as sandbox.function marks its stand-ins
    checks.check(seconds_per_run)


def test_of_two_mistakes_that_agree_the_nearer_is_named():
    likely = {
        "by chance": torch.tensor(1.0005),
        "exactly": torch.tensor(1.0),
        "far off": 2.0,
        "of another shape": [1.0],
    }
    assert nearest(1.0, likely, 1e-3) == "exactly"
    assert nearest(1.5, likely, 1e-3) is None
