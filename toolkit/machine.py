"""What this machine computes on: its device, chosen once, and how many threads a piece of work is worth."""

import contextlib
import functools
import os
import time
from collections.abc import Iterator

import torch

DEVICE_VARIABLE = "DISTILLATION_DEVICE"


@functools.cache
def device() -> torch.device:
    """Choose where models train: an NVIDIA GPU where PyTorch sees one, else the processor.

    The variable ``DISTILLATION_DEVICE`` names another, such as "cpu" or "cuda:1". Data, teachers' logits and trained
    models stay in ordinary memory; they visit the device while they are needed there.

    Raises
    ------
    ValueError
        If PyTorch cannot use the device that is named.
    """
    name = os.environ.get(DEVICE_VARIABLE) or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as problem:
        reason = str(problem).splitlines()[0]
        raise ValueError(
            f"PyTorch cannot use {name!r}, which the variable {DEVICE_VARIABLE} names ({reason}); try cpu, or unset it"
        ) from problem


def describe() -> str:
    """Name the device as a person would, for example "processor (2 logical cores)" or "NVIDIA H100"."""
    if device().type == "cuda":
        return torch.cuda.get_device_name(device())
    return f"processor ({os.cpu_count()} logical cores)" if device().type == "cpu" else str(device())


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Let PyTorch work with so many threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def memory_in_use() -> int:
    """Bytes of memory that this process holds now."""
    import psutil

    return psutil.Process().memory_info().rss


class Pace:
    """Works with one thread or with all that the caller allows, whichever was faster lately.

    On a quiet machine a second thread saves between nothing (a few small students) and two fifths of the time; where
    another program keeps that core busy, it costs many times more, since every product then waits for its slower half. So
    both are measured, and now and then again, except what was far slower. Results do not depend on the choice.
    """

    RETRY = 16  # how many pieces of work pass before the slower number of threads is tried again …
    FAR_SLOWER = 3  # … unless it was so many times slower

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(sorted({1, torch.get_num_threads()}), 0.0)  # threads → for a unit of work, lately
        self.pieces = 0

    @property
    def fastest(self) -> int:
        """The number of threads that was faster lately; one that was never tried counts as fast."""
        return min(self.seconds, key=lambda count: self.seconds[count])

    def _next(self) -> int:
        slower = max(self.seconds, key=lambda count: self.seconds[count])
        worth_a_try = self.seconds[slower] < self.FAR_SLOWER * self.seconds[self.fastest]
        return slower if worth_a_try and self.pieces % self.RETRY == self.RETRY - 1 else self.fastest

    @contextlib.contextmanager
    def piece(self, units: int) -> Iterator[None]:
        """Do and measure a piece of work, of so many units."""
        count = self._next()
        self.pieces += 1
        with threads(count):
            start = time.perf_counter()
            yield
            self.seconds[count] = (time.perf_counter() - start) / units
