"""Work in the background: a ``Job`` runs one function in a thread, with progress and a stop.

The page starts a job, keeps it in its session, and looks at it now and then. The function gets the job; it reports
through ``report`` and ``show``, watches ``stop``, and never calls Streamlit. Whatever it raises becomes a sentence.
"""

import atexit
import dis
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

_log = logging.getLogger(__name__)
_jobs: "weakref.WeakSet[Job]" = weakref.WeakSet()


class Stopped(Exception):  # noqa: N818 - no error: somebody wanted it
    """The work was stopped before it had anything to give."""


def sentence(problem: Exception) -> str:
    """Say in one sentence what went wrong; the log has the traceback of what nobody foresaw."""
    if _written_for_people(problem):
        text = str(problem)
        return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
    _log.error("unforeseen problem", exc_info=problem)
    return f"Something unforeseen went wrong ({type(problem).__name__}). The window in which the app runs says more."


def _written_for_people(problem: Exception) -> bool:
    """Whether a ``raise`` of the toolkit wrote the message; what NumPy or Python raise there or deeper is not for people."""
    last = problem.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None or not str(last.tb_frame.f_globals.get("__name__")).startswith("toolkit."):
        return False
    return dis.opname[last.tb_frame.f_code.co_code[last.tb_lasti]] == "RAISE_VARARGS"


class Job:
    """One piece of work in a thread of its own.

    >>> job = Job(lambda job: 6 * 7)
    >>> job.wait(10), job.result, job.error
    (True, 42, '')
    """

    def __init__(self, work: Callable[["Job"], Any]):
        self.stop = threading.Event()
        self.share, self.doing = 0.0, ""
        self.interim: Any = None  # what can be shown before the end
        self.result: Any = None
        self.error = ""
        self.stopped = False
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        _jobs.add(self)
        self._thread.start()

    def _run(self, work: Callable[["Job"], Any]) -> None:
        import torch  # not above: the page that opens first runs no job, and need not wait for it

        torch.set_num_threads(1)  # small products gain nothing from more, and the other sessions keep a processor
        try:
            self.result = work(self)
            self.stopped = self.stop.is_set()
        except Stopped:
            self.stopped = True
        except Exception as problem:
            self.error = sentence(problem)

    @property
    def running(self) -> bool:
        """Whether the work still goes on."""
        return self._thread.is_alive()

    @property
    def words(self) -> str:
        """Say what is going on; a wish to stop is answered at once, although the work may need a moment to end."""
        return "Stopping …" if self.stop.is_set() else self.doing or "Starting"

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; True if the work has ended."""
        self._thread.join(seconds)
        return not self.running

    def report(self, doing: str, low: float = 0.0, high: float = 1.0) -> Callable[[int, int], None]:
        """Give a progress function for one part of the work, which covers ``low`` to ``high`` of the whole."""
        self.doing, self.share = doing, low

        def progress(done: int, total: int) -> None:
            self.share = low + (high - low) * min(done / max(total, 1), 1.0)

        return progress


@atexit.register
def stop_all() -> None:
    """Stop what still runs, so that a server which is told to end does so at once and without complaint."""
    for job in list(_jobs):
        job.stop.set()
    for job in list(_jobs):
        job.wait(2)
