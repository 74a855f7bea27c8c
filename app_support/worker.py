"""``python -m app_support.worker``: the process that trains, so that the server stays quick.

Orders come in on standard input, and what became of them goes out on standard output (``pipe.py``). Orders are worked off
in turn, an epoch at a time; one that is paused lets the next have its turn until it goes on.

    → {"do": "train", "id": 7, "order": {"kind": "distil", …}}      → {"do": "stop", "id": 7}
    → {"do": "hold", "id": 7, "after": 12}     pause after so many epochs; null goes on
    ← {"id": 7, "event": "doing", "doing": ["job.students", {…}], "share": 0.4, "end": 1.0}
    ← {"id": 7, "event": "interim" or "result", "values": {…}} with arrays
    ← {"id": 7, "event": "error", "sentence": "…"}      ← {"id": 7, "event": "stopped"}
"""

import importlib
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import IO

from app_support import pipe
from app_support.priority import step_back
from app_support.problems import Stopped, sentence

Progress = Callable[[int, int], None]
Steps = Callable[[pipe.Message, pipe.Arrays, "Job"], Iterator[None]]
_LOOK_EVERY = 0.05  # seconds between two interim results: nobody sees more, and each takes time from the training


class Job:
    """One order: its steps, and what it reports."""

    def __init__(self, number: int, out: IO[bytes]):
        self.number, self.out = number, out
        self.stop = threading.Event()
        self.hold_after: int | None = None  # epochs
        self.epochs_done = 0
        self.share = 0.0  # of the whole that is done
        self._next_look = 0.0
        self._untold: tuple[dict[str, object], pipe.Arrays] | None = None
        self.steps: Iterator[None] = iter(())

    @property
    def held(self) -> bool:
        """Whether it is paused where it stands."""
        return self.hold_after is not None and self.epochs_done >= self.hold_after and not self.stop.is_set()

    def tell(self, event: str, arrays: pipe.Arrays | None = None, **content: object) -> None:
        """Send the server what happened."""
        message = {"id": self.number, "event": event, "epochs_done": self.epochs_done, "stopped": self.stop.is_set()}
        pipe.send(self.out, message | content, arrays)

    def report(
        self, key: str, values: Mapping[str, object], low: float, high: float, end: float | None = None
    ) -> Progress:
        """Say what begins; gives a progress function for it, which covers ``low`` to ``high`` of the whole.

        ``end`` is the share at which all work of the kind is done, at ``high`` unless more of it follows.
        """
        end = high if end is None else end
        self.share = low
        self.tell("doing", doing=[key, values], share=low, end=end)
        last = time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal last
            self.share = low + (high - low) * min(done / max(total, 1), 1.0)
            if time.monotonic() - last > _LOOK_EVERY:
                last = time.monotonic()
                self.tell("doing", doing=[key, values], share=self.share, end=end)

        return progress

    def look(self, values: dict[str, object], arrays: pipe.Arrays) -> None:
        """Show what there is after an epoch; not oftener than eyes can follow, unless somebody goes step by step."""
        self._untold = (values, arrays)
        if time.monotonic() >= self._next_look or self.hold_after is not None:
            self._next_look = time.monotonic() + _LOOK_EVERY
            self._tell_untold()

    def hold(self, after: int | None) -> None:
        """Pause after so many epochs, or go on; whoever pauses is shown where it stands."""
        self.hold_after = after
        self._tell_untold()

    def _tell_untold(self) -> None:
        if self._untold is not None:
            values, arrays = self._untold
            self._untold = None
            self.tell("interim", arrays, values=values)

    def advance(self) -> bool:
        """Take one step; False once there is no more to do."""
        try:
            next(self.steps)
            return True
        except StopIteration:
            return False
        except Stopped:
            self.tell("stopped")
        except Exception as problem:
            self.tell("error", sentence=sentence(problem))
        return False


class Worker:
    """The queue of orders, and the loop that works it off."""

    def __init__(self, commands: IO[bytes], out: IO[bytes]):
        self.commands, self.out = commands, out
        self.jobs: dict[int, Job] = {}  # in the order in which they have their turn
        self.inbox: queue.Queue[tuple[pipe.Message, pipe.Arrays] | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while (received := pipe.receive(self.commands)) is not None:
            if received[0]["do"] == "stop" and (job := self.jobs.get(received[0]["id"])):
                job.stop.set()  # at once: it is looked at after every batch
            self.inbox.put(received)
        for job in list(self.jobs.values()):
            job.stop.set()
        self.inbox.put(None)

    def run(self, steps: Steps) -> None:
        """Work until the server has ended; ``steps`` makes the steps of an order."""
        while True:
            job = next((job for job in list(self.jobs.values()) if not job.held), None)
            while job is None or not self.inbox.empty():
                received = self.inbox.get()
                if received is None:
                    return
                self._take(steps, *received)
                job = next((job for job in list(self.jobs.values()) if not job.held), None)
            if not job.advance():
                del self.jobs[job.number]

    def _take(self, steps: Steps, command: pipe.Message, arrays: pipe.Arrays) -> None:
        number = command["id"]
        if command["do"] == "train":
            self.jobs[number] = Job(number, self.out)
            self.jobs[number].steps = steps(command["order"], arrays, self.jobs[number])
        elif (job := self.jobs.get(number)) is not None:
            if command["do"] == "stop":
                job.stop.set()
            elif command["do"] == "hold":
                job.hold(command["after"])


def main() -> None:
    """Listen and work; what libraries print, be it in C, must not come between the answers."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    worker = Worker(sys.stdin.buffer, answers)  # listens from now on: orders with data must not wait for the imports
    # The imports take seconds of a processor that visitors want too. The training itself must not step back as far:
    # where another program is busy, it would hardly get on.
    importing = threading.Thread(target=_import_in_the_background)
    importing.start()
    importing.join()
    import torch

    from app_support import orders

    torch.set_num_threads(1)  # small products gain nothing from more, and the sessions keep a processor
    step_back(2)
    worker.run(orders.steps)


def _import_in_the_background() -> None:
    step_back()
    importlib.import_module("app_support.orders")


if __name__ == "__main__":
    main()
