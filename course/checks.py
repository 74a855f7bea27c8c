"""Instant feedback for learners: ``checks.check(softmax_with_temperature)`` says what is wrong, never how to write it.

An answer is *correct* (a line is printed), *incorrect* (``Incorrect`` names the wrong behaviour) or *not attempted yet*
(``NotAttempted``). Both exceptions fail an nbgrader cell, and notebooks show them without a traceback. Hints come on
request, one at a time: ``checks.hint("entropy")``. What is looked for lies in the modules ``course.diagnose_…``, one
for each lesson.
"""

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from course.answers import Answer, Feedback, Incorrect, NotAttempted, walled
from course.tasks import TASKS

__all__ = ["Feedback", "Incorrect", "NotAttempted", "check", "hint", "names", "without_toolkit"]

_hints_given: dict[str, int] = {}


def names() -> list[str]:
    """List the graded functions."""
    return list(TASKS)


def check(answer: Callable[..., Any], name: str | None = None) -> None:
    """Check a graded function, and say so where it is correct.

    Parameters
    ----------
    answer : the learner's function
    name : which graded function it is; without one, its own name says so, or that under which the caller knows it

    Raises
    ------
    Incorrect
        With the wrong behaviour, and the expected and actual value of a public case where that helps.
    NotAttempted
        If the body, or that of a graded function it calls, still raises a bare ``NotImplementedError``.
    ValueError
        If it is not a graded function.
    """
    if not callable(answer):
        raise ValueError(f"check needs the function itself, as in checks.check(entropy), not {type(answer).__name__}")
    name = _known(name or _name_of(answer, sys._getframe(1)))
    with without_toolkit(name):
        TASKS[name].diagnose(Answer(name, answer, graded=TASKS))
    print(f"✓ {name}: correct.")


def hint(name: str | Callable[..., Any] | None = None) -> None:
    """Print the next hint for a graded function, given by its name or itself; else say which names there are."""
    name = name if isinstance(name, str) or name is None else _name_of(name, sys._getframe(1))
    if name not in TASKS:
        problem = "A hint needs a name" if name is None else f"There are no hints for {name!r}"
        known = ", ".join(f'"{task}"' for task in TASKS)
        print(f"{problem}. Names are {known}.")
        return
    hints = TASKS[name].hints
    number = _hints_given.get(name, 0)
    if number == len(hints):
        print(f"{name}: those were all {len(hints)} hints; the last one again.")
    number = min(number + 1, len(hints))
    _hints_given[name] = number
    print(f"Hint {number} of {len(hints)} for {name}: {hints[number - 1]}")


@contextmanager
def without_toolkit(name: str) -> Iterator[None]:
    """Make the toolkit's own implementations of a graded function raise while an answer is judged.

    An answer that hides the exception is refused at the end.
    """
    with walled(TASKS[_known(name)].forbidden) as used:
        try:
            yield
        except Exception:
            if not used:
                raise
    if used:
        raise Incorrect(
            name, "your function calls the toolkit's own implementation of what is asked for: write it yourself"
        )


def say_unwritten_in(shell: Any) -> None:
    """Let an IPython shell show one line, and no traceback, where a cell calls a graded function that is a stub.

    So it does for later cells that lack what this one would have made. The cells fail all the same, and every other
    exception is shown as before.
    """
    unwritten: set[str] = set()

    def show(shell: Any, kind: type[BaseException], problem: BaseException, trace: Any, tb_offset: Any = None) -> None:
        *_, (frame, _line) = traceback.walk_tb(trace)
        function = frame.f_code.co_name
        line = ""
        if function in TASKS and isinstance(problem, NotImplementedError) and not str(problem):
            unwritten.add(function)
            line = f"○ {function} is not written yet: fill in its cell above, and run this one again."
        elif unwritten and function == "<module>" and isinstance(problem, NameError):
            line = (
                f"○ {problem}: a cell above makes it, which stopped at a function that was not written. Run that first."
            )
        if line:
            problem._render_traceback_ = lambda: [line]  # type: ignore[attr-defined]  # IPython shows this
        shell.showtraceback((kind, problem, trace), tb_offset=tb_offset)

    shell.set_custom_exc((NotImplementedError, NameError), show)


def _name_of(answer: Callable[..., Any], caller: FrameType) -> str:
    """Give the name of an answer; for a lambda or a decorated function, that of the caller's variable that holds it."""
    own = str(getattr(answer, "__name__", type(answer).__name__))
    variables = caller.f_globals | caller.f_locals
    return own if own in TASKS else next((task for task in TASKS if variables.get(task) is answer), own)


def _known(name: str) -> str:
    if name not in TASKS:
        raise ValueError(f"there is no check for {name!r}; graded functions are {', '.join(TASKS)}")
    return name


if "IPython" in sys.modules and (_shell := sys.modules["IPython"].get_ipython()) is not None:
    say_unwritten_in(_shell)
