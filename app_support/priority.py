"""Let visitors come first: work that nobody waits for yet takes what is left of the processors."""

import contextlib
import os
import threading


def step_back() -> None:
    """Lower the priority of this thread (on Linux), or of a process that has this thread only; elsewhere nothing happens."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
