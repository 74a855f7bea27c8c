"""Run a learner's function with care: it may raise, change its input, or return anything at all."""

import inspect
import linecache
import math
import signal
import threading
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from numbers import Real
from types import CodeType
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Feedback(AssertionError):  # noqa: N818  a learner reads these names
    """What a learner is told instead of a traceback. The text is the same in a notebook and elsewhere."""

    def _render_traceback_(self) -> list[str]:  # IPython shows this
        return str(self).splitlines()


class Incorrect(Feedback):
    """The answer is wrong; the message names the wrong behaviour."""

    def __init__(self, name: str, behaviour: str, case: str = "", expected: Any = None, actual: Any = None):
        lines = [f"✗ {name}: not right yet.", _sentence(behaviour)]
        if case:
            lines += [f"    case      {case}", f"    expected  {shown(expected)}", f"    yours     {shown(actual)}"]
        lines.append(f'Stuck? checks.hint("{name}") gives one hint at a time.')
        self.behaviour = behaviour
        super().__init__("\n".join(lines))


class NotAttempted(Feedback):
    """The body still raises NotImplementedError, as it was handed out."""

    def __init__(self, name: str, unfinished: str):
        what = (
            "it still raises NotImplementedError"
            if unfinished == name
            else f"{unfinished}, which it calls, is not written"
        )
        super().__init__(f'○ {name}: not attempted yet ({what}).\nchecks.hint("{name}") helps to begin.')


@dataclass(frozen=True)
class Task:
    """A graded function: how to diagnose it, hints from vague to concrete, and what the toolkit has of the same."""

    diagnose: "Callable[[Answer], None]"
    hints: tuple[str, ...]
    forbidden: tuple[Callable[..., Any], ...]


class ToolkitUsed(Exception):  # noqa: N818  an answer called what it was asked to write
    """Raised within an answer that calls the toolkit's implementation of the function asked for."""


_uses: list[list[str]] = []


@contextmanager
def walled(functions: Iterable[Callable[..., Any]]) -> Iterator[list[str]]:
    """Make functions of the toolkit raise; the list given says afterwards whether one was called.

    Their code is swapped, not their name, so that an answer that imported one earlier reaches the same wall, and one that
    hides the exception is found out.
    """
    used: list[str] = []
    swapped: list[tuple[Any, CodeType]] = []
    _uses.append(used)
    try:
        for function in map(inspect.unwrap, functions):
            swapped.append((function, function.__code__))
            function.__code__ = _wall.__code__
        yield used
    finally:
        for function, code in reversed(swapped):
            function.__code__ = code
        _uses.pop()


def _wall(*_: Any, **__: Any) -> None:  # its code runs in the globals of the function it stands for
    from course.answers import toolkit_used

    toolkit_used()


def toolkit_used() -> None:
    """Stand in for a function that an answer must not call."""
    for used in _uses:
        used.append("used")
    raise ToolkitUsed("the toolkit's own implementation cannot be used here")


class Raised(Exception):  # noqa: N818  it tells of an exception
    """What a learner's code raised, in plain words: it may have happened in another process."""

    def __init__(self, kind: str, message: str = "", line: str = "", unwritten: str | None = None):
        super().__init__(kind, message, line, unwritten)
        self.kind, self.message, self.line = kind, message, line
        self.unwritten = unwritten  # the graded function whose body is still the stub, if it was that

    @classmethod
    def of(cls, problem: BaseException, name: str, function: Any, graded: Collection[str]) -> "Raised":
        """Describe an exception of a function; its line is the last one of the learner's own."""
        message = (str(problem).splitlines() or [""])[0][:200]
        own_code = getattr(inspect.unwrap(function), "__code__", None)
        frames = list(traceback.walk_tb(problem.__traceback__))
        unwritten = None
        if isinstance(problem, NotImplementedError) and not message and frames:
            # torch raises it too, with a message (a softmax of whole numbers), and so may a helper
            last = frames[-1][0].f_code
            unwritten = name if last is own_code else last.co_name if last.co_name in graded else None
        called = getattr(function, "__name__", name)
        own = [(frame, line) for frame, line in frames if frame.f_code.co_name == called]
        text = linecache.getline(own[-1][0].f_code.co_filename, own[-1][1]).strip() if own else ""
        return cls(type(problem).__name__, message, text, unwritten)

    def told(self, situation: str = "") -> str:
        """Say it: the kind, where, and the message."""
        at = f", at the line “{self.line}”" if self.line else ""
        return f"{self.kind}{situation}{at}{self.message and ': ' + self.message}"


PATIENCE = 30.0  # seconds for one call; none that is right takes more than a few


class NeverEnds(BaseException):
    """Interrupts a function that would go on for ever; no ``except Exception`` of its own holds it up."""


@contextmanager
def _interrupted_in_time() -> Iterator[None]:
    """Let a function that does not come to an end raise; not on Windows nor outside the main thread, where nothing rings."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: Any) -> None:
        raise NeverEnds

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Answer:
    """A learner's function: calling it gives the result, or raises the feedback that fits.

    ``graded`` are the names of all graded functions: an answer may call another one that is not written yet.
    """

    def __init__(self, name: str, function: Callable[..., Any], graded: Collection[str] = ()):
        self.name, self.function, self.graded = name, function, graded

    def wrong(self, behaviour: str, case: str = "", expected: Any = None, actual: Any = None) -> Incorrect:
        """Make the feedback that names a wrong behaviour."""
        return Incorrect(self.name, behaviour, case, expected, actual)

    def __call__(self, *arguments: Any, situation: str = "") -> Any:
        """Run it on arguments, and insist on a result; ``situation`` says in a message what was special about them."""
        before = [argument.detach().clone() if isinstance(argument, Tensor) else None for argument in arguments]
        try:
            with nullcontext() if hasattr(self.function, "has_own_clock") else _interrupted_in_time():
                result = self.function(*arguments)
        except NeverEnds:
            raise self.wrong(
                f"your function does not end within {PATIENCE:g} s: is there a loop that never stops?"
            ) from None
        except (Exception, SystemExit) as problem:
            raise self._feedback(problem, situation) from None
        for number, (argument, old) in enumerate(zip(arguments, before, strict=True), 1):
            if old is not None and not torch.equal(argument.detach(), old):
                raise self.wrong(f"your function changes its input in place (argument {number})")
        if not torch.is_grad_enabled():
            torch.set_grad_enabled(True)
            raise self.wrong("after your function returns, gradients stay switched off for the whole program")
        if result is None:
            raise self.wrong("your function returns None: is a return missing?")
        return result

    def _feedback(self, problem: Exception | SystemExit, situation: str) -> Exception:
        if isinstance(problem, Feedback | ToolkitUsed):
            return problem
        raised = problem if isinstance(problem, Raised) else Raised.of(problem, self.name, self.function, self.graded)
        if raised.unwritten is not None:
            return NotAttempted(self.name, raised.unwritten)
        return self.wrong(f"your function raises {raised.told(situation and ' ' + situation)}")

    def tensor(self, *arguments: Any, shape: tuple[int, ...], situation: str = "") -> Tensor:
        """Run it, and insist on a plain floating-point tensor of that shape."""
        result = self(*arguments, situation=situation)
        if type(result) is not Tensor:
            raise self.wrong(f"your function returns a {type(result).__name__}, not a torch.Tensor")
        if not result.is_floating_point():
            raise self.wrong(f"your function returns numbers of type {result.dtype}, not floating-point ones")
        if tuple(result.shape) != shape:
            wanted = "a single number (shape ())" if shape == () else f"the shape {shape}"
            raise self.wrong(f"your result has the shape {tuple(result.shape)}, where {wanted} is needed")
        return result


def number_in(value: Any) -> float | None:
    """Give one number, Python's, numpy's or that of a tensor or array that holds a single one; None for anything else."""
    if type(value) in (Tensor, np.ndarray) and math.prod(value.shape) == 1:
        value = value.item()
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else None


def close(actual: Any, expected: Any, tolerance: float = 1e-4) -> bool:
    """Whether two tensors or numbers agree, up to rounding in float32. NaN agrees with nothing."""
    actual, expected = (torch.as_tensor(value).detach().double() for value in (actual, expected))
    return actual.shape == expected.shape and torch.allclose(actual, expected, rtol=tolerance, atol=tolerance)


def nearest(actual: Any, likely: dict[str, Any], tolerance: float = 1e-4) -> str | None:
    """Name the likely value that agrees best with what was given; None where none agrees. Two may do so by chance."""
    agree = [name for name, value in likely.items() if close(actual, value, tolerance)]

    def apart(name: str) -> float:
        given, value = (torch.as_tensor(one).detach().double() for one in (actual, likely[name]))
        return float((given - value).abs().sum())

    return min(agree, key=apart, default=None)


def finite(value: Tensor) -> bool:
    """Whether every number is finite."""
    return bool(torch.isfinite(value.detach()).all())


def shown(value: Any) -> str:
    """Write a value briefly: at most four decimals, nested lists for tensors."""
    if isinstance(value, Tensor):
        value = value.detach().tolist()
    if isinstance(value, list):
        return "[" + ", ".join(shown(part) for part in value) + "]"
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".") if math.isfinite(value) else str(value)
    return str(value)


def _sentence(text: str) -> str:
    """Begin with a capital letter (but λ stays λ) and end with a full stop."""
    first = text[0].upper() if text[0].isascii() else text[0]
    return first + text[1:] + ("" if text.endswith(("?", ".")) else ".")
