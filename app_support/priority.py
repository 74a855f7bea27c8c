"""Let visitors come first: what nobody waits for yet takes what is left of the processors."""

import contextlib
import os
import threading
from collections.abc import Callable


def in_the_background(work: Callable[[], object]) -> threading.Thread:
    """Do some work in a thread that steps back for all others (on Linux; elsewhere it is a thread like any other)."""

    def run() -> None:
        with contextlib.suppress(AttributeError, OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        work()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread
