"""Run the answers of one submission in a process of its own, where the judge stays out of their reach.

``Sandbox`` starts ``course.runner``: within bubblewrap where the system has it (no network, no file but Python's and the
course's own, nothing to write but a small /tmp), else as a plain process, which ``is_sealed`` tells. A graded function then
is a *stand-in* here: calling it calls the student's function over there, and gradients flow through it. So a lesson's check
cell runs here, with the tests in it, and never meets a student's code.
"""

import contextlib
import importlib.util
import itertools
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course import wire
from course.answers import Raised, toolkit_used

START_SECONDS = 120.0  # a busy machine may be slow to import PyTorch
_HIDDEN = (
    "build.py",
    "checks.py",
    "tasks.py",
    "reference.py",
    "diagnose_*.py",
    "__pycache__/reference.*",
    "__pycache__/diagnose_*",
)


class Stopped(BaseException):
    """The process is gone. No ``except Exception`` on the way, of a check or a test, may take it for an answer."""


class TimedOut(Stopped):
    """It took too long, and was ended."""


class Died(Stopped):
    """It ended by itself, or sent what nobody can read."""


def is_sealed() -> bool:
    """Whether this system can seal off a submission: bubblewrap is there, and is allowed to work."""
    try:
        return subprocess.run([*_bubblewrap(), "true"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _bubblewrap() -> list[str]:
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    for folder in (
        "/usr",
        "/bin",
        "/lib",
        "/lib64",
        "/lib32",
        "/etc/ld.so.cache",
        "/etc/ld.so.conf",
        "/etc/alternatives",
    ):
        if Path(folder).is_symlink():
            command += ["--symlink", os.readlink(folder), folder]
        else:
            command += ["--ro-bind-try", folder, folder]
    command += ["--dev", "/dev", "--proc", "/proc", "--size", str(64 * 2**20), "--tmpfs", "/tmp", "--chdir", "/tmp"]
    for folder in _needed():
        command += ["--ro-bind", folder, folder]
    course = Path(__file__).parent
    for file in sorted(path for pattern in _HIDDEN for path in course.glob(pattern)):
        command += ["--ro-bind", "/dev/null", str(file)]
    return command


def _needed() -> list[str]:
    """Folders of Python, of what is installed, and of toolkit and course; a folder before what lies in it."""
    packages = [importlib.util.find_spec(name) for name in ("toolkit", "course")]
    folders = {
        sys.prefix,
        sys.base_prefix,
        *(str(Path(str(spec.origin)).parent) for spec in packages if spec is not None),
    }
    return sorted(folder for folder in folders if not folder.startswith("/usr/"))


def _environment(scratch: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return kept | one_thread | {
        "HOME": scratch, "TMPDIR": scratch, "TEMP": scratch, "USER": "student", "LANG": "C.UTF-8", "PYTHONUTF8": "1",
        "MPLBACKEND": "agg", "TQDM_DISABLE": "1", "DISTILLATION_DEVICE": "cpu",
    }  # fmt: skip


class Sandbox:
    """The process of one submission. Use it in ``with``, or close it.

    Parameters
    ----------
    set_up : source of the lesson's set-up cell
    forbidden : for each graded function, (module, name) of the toolkit's functions that it must not call
    sealed : whether to run within bubblewrap

    Raises
    ------
    RuntimeError
        If the process does not come up: the machine's fault, or ours.
    """

    def __init__(self, set_up: str, forbidden: Mapping[str, Sequence[tuple[str, str]]], *, sealed: bool):
        self._scratch = tempfile.TemporaryDirectory(prefix="answer-", ignore_cleanup_errors=True)
        scratch = "/tmp" if sealed else self._scratch.name
        python = [sys.executable, "-I", "-m", "course.runner", *(["sealed"] if sealed else [])]
        self._numbers = itertools.count()
        self.alive = True
        self.seconds_left = START_SECONDS
        with tempfile.TemporaryFile() as errors:  # of the start alone: what answers write goes nowhere
            self._process = subprocess.Popen(
                [*_bubblewrap(), *python] if sealed else python,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=self._scratch.name,
                env=_environment(scratch),
                start_new_session=True,
            )
            try:
                self._ask("start", set_up, {task: list(functions) for task, functions in forbidden.items()})
            except Stopped as end:  # no answer was there yet: this is no student's doing
                errors.seek(0)
                said = [line for line in errors.read(100_000).decode(errors="replace").splitlines() if line.strip()]
                why = "; ".join([str(end) or "it takes too long", *said[-1:]])
                raise RuntimeError(f"the process for answers does not come up: {why}") from None

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and all that it started."""
        self.alive = False
        _kill(self._process)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
        self._process.wait()
        self._scratch.cleanup()

    def begin(self, seconds: float) -> None:
        """Give the process this many seconds for what follows."""
        self.seconds_left = seconds

    def run(self, task: str, source: str) -> tuple[Raised | None, bool]:
        """Execute an answer cell; gives what it raised, and whether its function is there now."""
        match self._ask("cell", task, source):
            case ["toolkit"]:
                return Raised("ToolkitUsed", "the toolkit's own implementation cannot be used here"), False
            case ["done", None, bool(defined)]:
                return None, defined
            case ["done", (str(kind), str(message), str(line), _), bool(defined)]:
                return Raised(kind[:80], message[:300], line[:200]), defined
        raise self._broken()

    def function(self, task: str) -> Callable[..., Any]:
        """Give the stand-in for a graded function."""

        def answer(*arguments: Any) -> Any:
            return self._call(task, arguments)

        answer.__name__ = task
        answer.has_own_clock = True  # type: ignore[attr-defined]  # the seconds that are left, of which there may be many
        return answer

    def _call(self, task: str, arguments: tuple[Any, ...]) -> Any:
        inputs = wire.tensors_in(arguments)
        number = next(self._numbers)
        sent = wire.with_tensors(arguments, [_copy(tensor) for tensor in inputs])
        leaves, gradients = [tensor.is_leaf for tensor in inputs], [_gradients(part) for part in (*arguments, *inputs)]
        match self._ask("call", number, task, sent, leaves, gradients, torch.is_grad_enabled()):
            case ["toolkit"]:
                toolkit_used()
            case ["raised", *told]:
                raise self._raised(told)
            case ["returned", result, [*changed], [*states], [*gradients], bool(with_gradients)]:
                try:
                    _carry_back(arguments, inputs, changed, states)
                    _set_gradients(inputs, gradients)
                except Exception as problem:  # names or shapes that nobody can make sense of
                    raise Raised("RuntimeError", f"an argument came back in another form: {problem}"[:200]) from None
                torch.set_grad_enabled(with_gradients)
                return self._with_gradients(number, result, inputs)
        raise self._broken()

    def _with_gradients(self, number: int, result: Any, inputs: list[Tensor]) -> Any:
        """Tie the tensors of a result to the inputs, so that gradients go back through the student's function."""
        every = wire.tensors_in(result)
        ends = [index for index, tensor in enumerate(every) if tensor.requires_grad]
        if ends:
            needed = [tensor for tensor in inputs if tensor.requires_grad]
            always = torch.zeros((), requires_grad=True)  # a result may depend on a module's weights alone
            with torch.enable_grad():
                tied = _Tied.apply(self, number, [every[index].detach() for index in ends], always, *needed)
            for index, tensor in zip(ends, tied, strict=True):
                every[index] = tensor
        return wire.with_tensors(result, every)

    def gradients(self, number: int, of_outputs: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Send gradients back through a call."""
        match self._ask("gradients", number, [None if part is None else part.detach().clone() for part in of_outputs]):
            case ["gradients", [*found]] if all(part is None or isinstance(part, Tensor) for part in found):
                return found
            case ["raised", *told]:
                raise self._raised(told)
        raise self._broken()

    def _raised(self, told: list[Any]) -> Exception:
        match told:
            case [str(kind), str(message), str(line), None | str() as unwritten]:
                return Raised(kind[:80], message[:300], line[:200], unwritten)
        raise self._broken()

    def _broken(self, why: str = "it sent what nobody can read") -> Died:
        self.close()
        return Died(why)

    def _ask(self, action: str, *arguments: Any) -> list[Any]:
        """Send a request and wait for its answer, no longer than the seconds that are left."""
        if not self.alive:
            raise Died("its process had ended before")
        process, late = self._process, threading.Event()
        assert process.stdin is not None
        assert process.stdout is not None

        def end() -> None:
            late.set()
            _kill(process)

        clock = threading.Timer(max(self.seconds_left, 0), end)
        began = time.monotonic()
        clock.start()
        try:
            wire.write_frame(process.stdin, pickle.dumps((action, *arguments)))
            return list(wire.decode(wire.read_frame(process.stdout)))
        except (EOFError, OSError):
            if late.is_set():
                self.close()
                raise TimedOut from None
            raise self._broken(_ending(process)) from None
        except (wire.WireError, TypeError) as problem:
            raise self._broken(f"it sent what nobody can read: {problem}") from None
        finally:
            clock.cancel()
            self.seconds_left -= time.monotonic() - began


def _ending(process: subprocess.Popen[bytes]) -> str:
    try:
        status = process.wait(5)
    except subprocess.TimeoutExpired:
        return "it closed its connection"
    if status in (-signal.SIGKILL, 128 + signal.SIGKILL, -9, 137):
        return "it was killed, perhaps for want of memory"
    if status < 0 or status > 128:
        return f"it crashed (signal {-status if status < 0 else status - 128})"
    return f"it ended with status {status}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


class _Tied(torch.autograd.Function):
    """The identity on a call's results; backward asks the student's process."""

    @staticmethod
    def forward(ctx: Any, sandbox: Sandbox, number: int, outputs: list[Tensor], _: Tensor, *inputs: Tensor) -> Any:
        """Give the results as they came."""
        ctx.sandbox, ctx.number, ctx.inputs = sandbox, number, inputs
        ctx.set_materialize_grads(False)
        return tuple(output.clone() for output in outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        """Ask for the gradients of the inputs."""
        found = ctx.sandbox.gradients(ctx.number, gradients)
        shapes = [None if part is None else part.shape for part in found]
        if len(found) != len(ctx.inputs) or any(
            shape not in (None, part.shape) for shape, part in zip(shapes, ctx.inputs, strict=True)
        ):
            raise Raised("RuntimeError", "gradients of another shape")
        return None, None, None, None, *found


def _copy(tensor: Tensor) -> Tensor:
    copy = tensor.detach().clone().requires_grad_(tensor.requires_grad)
    return nn.Parameter(copy, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else copy


def _gradients(thing: Any) -> dict[str, Tensor] | Tensor | None:
    """What pickles leave behind: gradients of a module's parameters, or of a tensor."""
    if isinstance(thing, nn.Module):
        return {name: parameter.grad for name, parameter in thing.named_parameters() if parameter.grad is not None}
    return thing.grad if isinstance(thing, Tensor) and thing.is_leaf else None


def _set_gradients(tensors: list[Tensor], gradients: list[Any]) -> None:
    for tensor, gradient in zip(tensors, gradients, strict=True):
        if tensor.is_leaf and tensor.requires_grad:
            tensor.grad = gradient


def _carry_back(arguments: Sequence[Any], inputs: list[Tensor], changed: list[Any], states: list[Any]) -> None:
    """Do to the judge's arguments what the call did to their copies."""
    for tensor, now in zip(inputs, changed, strict=True):
        if now is not None:
            tensor.data = now
    for argument, state in zip(arguments, states, strict=True):
        if isinstance(argument, nn.Module):
            _carry_back_module(argument, state)
        elif isinstance(argument, torch.optim.Optimizer):
            _update(argument, state["plain"])
            argument.load_state_dict(state["optimizer"])


def _carry_back_module(module: nn.Module, state: Any) -> None:
    own = dict([*module.named_parameters(), *module.named_buffers()])
    for name, value in state["tensors"].items():
        own[name].data = value.detach()
    for name, value in state["gradients"].items():
        own[name].grad = value
    parts = dict(module.named_modules())
    for name, seen in state["modules"].items():
        _update(parts[name], seen["plain"])
        parts[name].training = bool(seen["training"])


def _update(thing: nn.Module | torch.optim.Optimizer, plain: dict[str, Any]) -> None:
    """Take over numbers, words and lists of them, where there were such before."""
    for name, value in plain.items():
        if type(getattr(thing, name, None)) is type(value):
            setattr(thing, name, value)
