"""What goes wrong, as a sentence for people; shared by server and worker."""

import dis
import logging

_log = logging.getLogger(__name__)


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
