"""A student's function in its own process: called as if it were here, and powerless."""

import os
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from course import build, sandbox
from course.answers import Raised, ToolkitUsed
from course.sandbox import Died, Sandbox, TimedOut
from course.watched import CountingSGD, watched

SET_UP = "import torch\nimport torch.nn.functional as F\nfrom course import checks\nfrom toolkit import losses, plots\n"
FORBIDDEN = {"answer": [("toolkit.losses", "soft_divergence")], "other": []}
SEALED = sandbox.is_sealed()
needs_bubblewrap = pytest.mark.skipif(not SEALED, reason="install bubblewrap (apt install bubblewrap) to test the seal")


@pytest.fixture(scope="module", params=[pytest.param(True, marks=needs_bubblewrap), False], ids=["sealed", "plain"])
def box(request):
    with Sandbox(SET_UP, FORBIDDEN, sealed=request.param) as box:
        yield box


@pytest.fixture
def run(box):
    """Define the answer from the lines of its body, and give its stand-in."""

    def define(*lines, arguments="x", before=""):
        box.begin(20)
        source = before + f"def answer({arguments}):\n" + "".join(f"    {line}\n" for line in lines)
        assert box.run("answer", source) == (None, True)
        return box.function("answer")

    return define


def test_values_come_back_with_their_types(run):
    answer = run("return x, [1, 2.5, None, 'a'], {'k': x > 0}, True")
    x = torch.randn(3, dtype=torch.float64)
    value, plain, by_key, truth = answer(x)
    assert torch.equal(value, x)
    assert plain == [1, 2.5, None, "a"]
    assert torch.equal(by_key["k"], x > 0)
    assert truth is True


def test_gradients_flow_through_the_call_and_only_where_they_do_over_there(run):
    answer = run("return (x ** 2 * y.detach()).sum(), x.detach() * 2, x * 3", arguments="x, y")
    x, y = torch.randn(4, requires_grad=True), torch.randn(4, requires_grad=True)
    first, cut, third = answer(2 * x, y)  # one of them is no leaf
    assert not cut.requires_grad
    assert type(first) is torch.Tensor
    gradients = torch.autograd.grad(first, (x, y), allow_unused=True, retain_graph=True)
    torch.testing.assert_close(gradients[0], 8 * x.detach() * y.detach())
    assert gradients[1] is None
    (gradient,) = torch.autograd.grad((first + third.sum()), x)
    torch.testing.assert_close(gradient, 8 * x.detach() * y.detach() + 6)
    with torch.no_grad():
        assert not answer(x, y)[0].requires_grad


def test_a_change_of_an_argument_in_place_is_seen_here(run):
    x = torch.ones(3)
    run("x += 1", "return x")(x)
    assert x.tolist() == [2, 2, 2]


def test_modules_and_optimizers_are_carried_there_and_back(run):
    answer = run(
        "model.train()",
        "model(x).sum().backward()",
        "optimizer.step()",
        "return model.training",
        arguments="model, optimizer, x",
    )
    model = watched(dropout=0.0).eval()
    optimizer = CountingSGD(model.parameters(), 0.1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert answer(model, optimizer, torch.randn(8, 6)) is True
    assert model.training
    assert model.modes == [True]
    assert optimizer.steps == 1
    assert not torch.equal(before["layers.1.running_mean"], model.layers[1].running_mean)
    weight = model.layers[4].weight
    torch.testing.assert_close(weight.detach(), before["layers.4.weight"] - 0.1 * weight.grad)


def test_old_gradients_are_there_and_new_ones_come_back(run):
    model = nn.Linear(3, 1)
    model.weight.grad = torch.ones(1, 3)
    x = torch.ones(2, 3, requires_grad=True)
    run("model(x).sum().backward()", "return 0", arguments="model, x")(model, x)
    assert model.weight.grad.tolist() == [[3.0, 3.0, 3.0]], "the old gradient and the new one"
    torch.testing.assert_close(x.grad, model.weight.detach().expand(2, 3))


def test_a_process_that_does_not_come_up_is_no_students_fault():
    with pytest.raises(RuntimeError, match="does not come up"):
        Sandbox("import nothing_of_this_name", FORBIDDEN, sealed=False)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_why_the_process_does_not_come_up_is_told(tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'No module named course' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sandbox.sys, "executable", str(python))
    with pytest.raises(RuntimeError, match="it ended with status 1; No module named course"):
        Sandbox("", FORBIDDEN, sealed=False)


def test_what_was_raised_is_told_with_the_students_own_line(run):
    with pytest.raises(Raised) as caught:
        run("y = 1", "return x / undefined")(torch.ones(1))
    assert (caught.value.kind, caught.value.line) == ("NameError", "return x / undefined")
    with pytest.raises(Raised) as caught:
        run("raise NotImplementedError")(1)
    assert caught.value.unwritten == "answer"
    with pytest.raises(Raised, match="SystemExit"):
        run("import sys; sys.exit(3)")(1)


@pytest.mark.parametrize(
    ("before", "line"),
    [
        ("", "return losses.soft_divergence(x, x, 1.0)"),
        ("from toolkit.losses import soft_divergence\n", "return soft_divergence(x, x, 1.0)"),
        ("import importlib\n", "importlib.reload(losses); return losses.soft_divergence(x, x, 1.0)"),
        ("import types\n", "return types.FunctionType(losses.soft_divergence.__code__, vars(losses))(x, x, 1.0)"),
        ("", "return open(losses.__file__).read()"),
    ],
)
def test_the_toolkits_own_implementation_is_out_of_reach(run, before, line):
    with pytest.raises(ToolkitUsed):
        run(line, before=before)(torch.ones(1, 2))


def test_a_copy_made_while_the_cell_ran_holds_the_wall_too(run):
    before = "import types\ncopied = types.FunctionType(losses.soft_divergence.__code__, vars(losses))\n"
    with pytest.raises(ToolkitUsed):
        run("return copied(x, x, 1.0)", before=before)(torch.ones(1, 2))


def test_the_source_of_a_function_cannot_be_read_while_the_cell_runs(box):
    box.begin(20)
    raised, defined = box.run("missing", "import inspect\nexec(inspect.getsource(losses))\ndef missing(): pass")
    assert raised.kind == "ToolkitUsed"
    assert not defined


@pytest.mark.parametrize("module", ["reference", "tasks", "diagnose_loss"])
def test_what_judges_is_not_there(run, module):
    with pytest.raises(Raised, match="ModuleNotFoundError"):
        run(f"import course.{module}")(1)


def test_a_cell_says_what_it_raised_and_whether_the_function_is_there(box):
    box.begin(20)
    raised, defined = box.run("late", "def late(): pass\n1 / 0")
    assert (raised.kind, defined) == ("ZeroDivisionError", True)
    raised, defined = box.run("never", "def never(:")
    assert (raised.kind, defined) == ("SyntaxError", False)


@needs_bubblewrap
@pytest.mark.parametrize("box", [True], ids=["sealed"], indirect=True)
def test_a_sealed_process_sees_no_network_no_submissions_and_no_solutions(box, run):
    with pytest.raises(Raised, match="unreachable"):
        run("import socket", "socket.create_connection(('192.0.2.1', 80), timeout=5)")(1)
    listed = run("import os", "return sorted(os.listdir(x))")
    assert set(listed(str(build.ROOT))) <= {"toolkit", "course", ".venv"}
    bound = {
        Path(folder).parts[2] for folder in sandbox._needed() if folder.startswith("/tmp/")
    }  # the project may lie there
    assert set(listed("/tmp")) <= {".cache", ".config", "torchinductor_student", *bound}, "what libraries leave there"
    with pytest.raises(Raised, match="Read-only"):
        run("open(x, 'w')")(str(build.ROOT / "toolkit" / "new.py"))
    given = {name for name in run("import os", "return dict(os.environ)")(1) if not name.startswith("TORCH")}
    assert given <= {*sandbox._environment("/tmp"), "PWD", "LC_CTYPE"}


# ---- What ends the process: each of these has one of its own ------------------------------------------------------


@pytest.fixture(params=[pytest.param(True, marks=needs_bubblewrap), False], ids=["sealed", "plain"])
def own_box(request):
    with Sandbox(SET_UP, FORBIDDEN, sealed=request.param) as box:
        box.begin(20)
        yield box


def test_an_endless_loop_is_stopped_and_leaves_no_process(own_box, tmp_path):
    own_box.run("answer", "import os\ndef answer(x):\n    os.fork()\n    while True: pass")
    own_box.begin(1)
    with pytest.raises(TimedOut):
        own_box.function("answer")(1)
    assert own_box._process.poll() is not None
    with pytest.raises(Died, match="ended before"):
        own_box.function("answer")(1)


NONSENSE = """\
import contextlib, os
    for number in range(3, 32):
        with contextlib.suppress(OSError):
            os.write(number, b"\\xff" * 64)
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import os; os._exit(3)", "ended with status 3"),
        ("import ctypes; ctypes.string_at(0)", "crashed"),
        (NONSENSE, "nobody can read"),
    ],
)  # fmt: skip
def test_a_process_that_ends_or_talks_nonsense_is_told_apart(own_box, line, said):
    own_box.run("answer", f"def answer(x):\n    {line}")
    with pytest.raises(Died, match=said):
        own_box.function("answer")(1)


def test_memory_is_limited(own_box):
    own_box.run("answer", "def answer(x):\n    return len(bytearray(10 * 2**30))")
    with pytest.raises(Raised, match="MemoryError"):
        own_box.function("answer")(1)


def test_a_flood_of_prints_goes_nowhere(own_box):
    own_box.run("answer", "def answer(x):\n    print('x' * 100_000_000)\n    return 1")
    assert own_box.function("answer")(1) == 1


def test_scratch_files_are_gone_afterwards():
    with Sandbox(SET_UP, FORBIDDEN, sealed=False) as box:
        box.begin(20)
        box.run("answer", "def answer(x):\n    import os\n    open('here', 'w').write('x')\n    return os.getcwd()")
        folder = Path(box.function("answer")(1))
        assert (folder / "here").exists()
    assert not folder.exists()
    assert not os.path.exists(folder)


def test_plain_modules_of_torch_travel_too(run):
    assert run("return sum(p.numel() for p in x.parameters())")(nn.Linear(3, 2)) == 8
