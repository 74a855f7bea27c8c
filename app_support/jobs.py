"""Orders to the worker, seen from the server: who wants the same shares one job, and everybody sees where theirs stands.

A page gives an order and keeps the ``Watch`` that it gets in its session. A watch is paused and stopped for its visitor
alone: the job itself pauses, or stops, once nobody is left who wants it to go on. A visitor who closed the page counts no
more after a while: Streamlit keeps such a session for minutes, so it is asked whether a browser is still there. Who comes
back then (a locked phone, a lost network) has the same trained again. Finished jobs are kept for a while, for whoever asks
next.
"""

import atexit
import contextlib
import itertools
import json
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app_support import pipe
from app_support.problems import sentence

_ROOT = Path(__file__).parent.parent
_FINISHED_JOBS_KEPT = 48
_AWAY = 15.0  # seconds without a browser until a visitor counts as gone: a network may fail for less
Read = Callable[[dict[str, Any], pipe.Arrays], Any]


class Job:
    """One order that the worker has, and what it told of it so far."""

    def __init__(self, number: int, order: pipe.Message, read: Read, process: "subprocess.Popen[bytes]"):
        self.number, self.order, self.read, self.process = number, order, read, process
        self.doing: tuple[str, dict[str, Any]] = ("job.waits", {})
        self.share = 0.0
        self.interim: Any = None  # what can be shown before the end
        self.epochs_done = 0
        self.result: Any = None
        self.error = ""
        self.lost = False  # the worker ended before it
        self.stopped = False
        self.end_of_phase = 1.0  # the share at which what it is doing is done
        self.pace_from: tuple[float, float] | None = None  # time and share at which the present phase began, or went on
        self.ended = threading.Event()
        self.watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        self.hold_after: int | None = None  # what the worker was told

    @property
    def running(self) -> bool:
        """Whether there is still something to wait for."""
        return not self.ended.is_set()

    @property
    def wanted_by(self) -> "list[Watch]":
        """The watches of those who have neither stopped it nor closed the page."""
        return [watch for watch in self.watches if not watch.left and watch.here]

    @property
    def held(self) -> bool:
        """Whether it is paused where it stands, so that others have their turn."""
        return self.hold_after is not None and self.epochs_done >= self.hold_after

    @property
    def seconds_left(self) -> float | None:
        """How long what it is doing will take from here at the pace so far; None while nobody can say."""
        if self.pace_from is None or not self.running:
            return None
        began, share = self.pace_from
        if self.share - share < 0.05 * (self.end_of_phase - share) or self.share <= share:
            return None
        return (time.monotonic() - began) * (self.end_of_phase - self.share) / (self.share - share)

    def hear(self, message: pipe.Message, arrays: pipe.Arrays) -> None:
        """Take in what the worker tells."""
        event = message["event"]
        self.epochs_done = message["epochs_done"]
        if event == "doing":
            key, values = message["doing"]
            self.share, self.end_of_phase = message["share"], message["end"]
            if key != self.doing[0] or self.pace_from is None:
                self.pace_from = time.monotonic(), self.share
            self.doing = key, values
            return
        try:
            if arrays:
                self.interim = self.read(message["values"], arrays)
        except Exception as problem:
            message = {"event": "error", "sentence": sentence(problem)}
            event = "error"
        if event == "interim":
            return
        if event == "result":
            self.result = self.interim
        self.error = message.get("sentence", "")
        self.stopped = self.stopped or event == "stopped" or message.get("stopped", False)
        self.share = 1.0
        self.ended.set()

    def lose(self) -> None:
        """Take note that the worker has ended, and all that it had in its hands is gone."""
        self.lost = True
        self.ended.set()


class Watch:
    """A visitor's view of a job, which others may share: paused and stopped for this visitor alone."""

    def __init__(self, job: Job, trainer: "Trainer", arrays: pipe.Arrays | None = None):
        self.job, self._trainer = job, trainer
        self.arrays = arrays  # that came with the order, for another one: here they go when their visitor goes
        self.hold_after: int | None = None  # epochs: paused there, whatever others let the job do meanwhile
        self.left = False
        self._session, self._seen = _session(), time.monotonic()
        job.watches.add(self)

    @property
    def here(self) -> bool:
        """Whether its visitor has the page open, or had it a moment ago."""
        if _is_open(self._session):
            self._seen = time.monotonic()
        return time.monotonic() - self._seen < _AWAY

    @property
    def running(self) -> bool:
        """Whether there is something to wait for: neither ended, nor stopped, nor paused."""
        return self.job.running and not self.left and not self.paused

    @property
    def paused(self) -> bool:
        """Whether this visitor has paused it, before its last epoch."""
        if self.hold_after is None or self.left:
            return False
        return self.job.running or self.hold_after < self.job.epochs_done

    @property
    def catching_up(self) -> bool:
        """Whether it is paused at an epoch that is still to come."""
        return self.hold_after is not None and self.job.running and self.job.epochs_done < self.hold_after

    @property
    def result(self) -> Any:
        """What came out; None before the end, while paused, and where it was stopped."""
        return None if self.paused or self.left else self.job.result

    @property
    def interim(self) -> Any:
        """What can be shown already; of a paused run perhaps more than its visitor wants to see."""
        return self.job.interim

    @property
    def stopped(self) -> bool:
        """Whether it was stopped."""
        return self.left or self.job.stopped

    @property
    def failed(self) -> bool:
        """Whether something went wrong."""
        return bool(self.job.error) or self.job.lost

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        return self.job.share

    @property
    def ahead(self) -> int:
        """How many jobs have their turn before this one."""
        return len(self._trainer.before(self.job)) if self.job.running else 0

    @property
    def seconds_left(self) -> float | None:
        """How long what it is doing will take from here at the pace so far; None while nobody can say."""
        return self.job.seconds_left

    @property
    def seconds_of_the_one_before(self) -> float | None:
        """How long the job that is trained now will take; None while nobody can say."""
        now = self._trainer.before(self.job)
        return now[0].seconds_left if now else None

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; True if the work has ended."""
        self.job.ended.wait(seconds)
        return not self.job.running

    def wait_for_epoch(self, seconds: float) -> None:
        """Wait at most so long for the epoch at which it is paused."""
        end = time.monotonic() + seconds
        while self.catching_up and time.monotonic() < end:
            time.sleep(0.01)

    def pause(self) -> None:
        """Pause after the epoch that is going on."""
        self._hold(self.job.epochs_done)

    def step(self) -> None:
        """Go on for one epoch."""
        self._hold((self.hold_after or 0) + 1)

    def go_on(self) -> None:
        """Go on to the end."""
        self._hold(None)

    def _hold(self, after: int | None) -> None:
        self.hold_after = after
        self._trainer.settle(self.job)

    def come_back(self) -> None:
        """Have the same trained again where the job was stopped because its visitor seemed to have gone."""
        if self.job.stopped and not self.left:
            self._trainer.join(self)

    def stop(self) -> None:
        """Take no further interest in it; the job itself ends where nobody else wants it."""
        self.left = True
        self._trainer.settle(self.job)


class Trainer:
    """The worker process and its queue, one for all visitors of a server."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._jobs: dict[str, Job] = {}  # by what was ordered, in the order in which it came
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """Start the worker unless it runs; its imports take a second or two."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                command = [sys.executable, "-m", "app_support.worker"]
                self._process = subprocess.Popen(
                    command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
                )
                threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
            return self._process

    def order(self, order: pipe.Message, read: Read, arrays: pipe.Arrays | None = None) -> Watch:
        """Have something trained, or share the job of those who wanted the same.

        Parameters
        ----------
        read : makes the result of the values and arrays that the worker gives
        """
        with self._lock:
            watch = Watch(self._job(order, read, arrays), self, arrays)
            self.settle(watch.job)
            self._forget_old()
            return watch

    def join(self, watch: Watch) -> None:
        """Give a watch whose job was stopped another one of the same order."""
        with self._lock:
            watch.job = self._job(watch.job.order, watch.job.read, watch.arrays)
            watch.job.watches.add(watch)
            self.settle(watch.job)

    def _job(self, order: pipe.Message, read: Read, arrays: pipe.Arrays | None) -> Job:
        """Give the job there is for an order, or a new one where there is none that could still come to something."""
        key = json.dumps(order, sort_keys=True)
        job = self._jobs.get(key)
        if job is None or job.error or job.lost or job.stopped:
            self._jobs.pop(key, None)  # the new one goes to the end
            process = self.start()
            job = self._jobs[key] = Job(next(self._numbers), order, read, process)
            self._send(process, {"do": "train", "id": job.number, "order": order}, arrays)
        return job

    def known(self, order: pipe.Message) -> bool:
        """Whether the very same was trained a while ago and is still at hand."""
        job = self._jobs.get(json.dumps(order, sort_keys=True))
        return job is not None and job.result is not None and not job.stopped

    def before(self, job: Job) -> list[Job]:
        """Give the jobs that have their turn before this one, in that order."""
        with self._lock:
            earlier = [other for other in self._jobs.values() if other.number < job.number and other.running]
            return [other for other in earlier if not other.held]

    def settle(self, job: Job) -> None:
        """Tell the worker what the visitors of a job want: to go on, to pause, or nothing any more."""
        with self._lock:
            if not job.running or self._process is None:
                return
            watches = job.wanted_by
            if not watches:
                self._send(self._process, {"do": "stop", "id": job.number})
                job.stopped = True  # whoever orders the same now gets a job of their own
                job.ended.set()  # for a job in the queue, the worker's own word comes only with its turn
                return
            holds = [watch.hold_after for watch in watches if watch.hold_after is not None]
            hold_after = max(holds) if len(holds) == len(watches) else None
            if hold_after != job.hold_after:
                job.hold_after, job.pace_from = hold_after, None
                self._send(self._process, {"do": "hold", "id": job.number, "after": hold_after})

    def _send(self, process: subprocess.Popen[bytes], message: pipe.Message, arrays: pipe.Arrays | None = None) -> None:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: _listen says so to those who wait
            pipe.send(process.stdin, message, arrays)

    def _forget_old(self) -> None:
        finished = [key for key, job in self._jobs.items() if not job.running]
        for key in finished[:-_FINISHED_JOBS_KEPT]:
            del self._jobs[key]

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        try:
            while (received := pipe.receive(process.stdout)) is not None:
                message, arrays = received
                with self._lock:
                    numbers = {job.number: job for job in self._jobs.values()}
                if (job := numbers.get(message["id"])) is not None:
                    job.hear(message, arrays)
                    self._settle_all()
        finally:  # also where something else than an answer came through the pipe: nothing after it could be believed
            process.terminate()
            with self._lock:
                if self._process is process:
                    self._process = None
                for job in self._jobs.values():
                    if job.running and job.process is process:  # others may be with the next worker already
                        job.lose()

    def _settle_all(self) -> None:
        """See again what visitors want: a closed page takes its watches along without a word."""
        with self._lock:
            for job in list(self._jobs.values()):
                self.settle(job)

    def end(self) -> None:
        """End the worker at once."""
        with self._lock:
            process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            process.wait(5)


def _session() -> str:
    """Give the session of Streamlit in which this is said; empty outside of any."""
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx(suppress_warning=True)
    return "" if context is None else context.session_id


def _is_open(session: str) -> bool:
    """Whether a browser has this session's page open; a watch outside of any session lasts as long as it is kept."""
    from streamlit import runtime

    return not session or not runtime.exists() or runtime.get_instance().is_active_session(session)


trainer = Trainer()
atexit.register(trainer.end)
