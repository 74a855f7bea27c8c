"""What this machine computes on: its device, chosen once, and how many threads a piece of work is worth."""

import contextlib
import functools
import os
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
    """Name the device as a person would, for example "processor (2 cores)" or "NVIDIA H100"."""
    if device().type == "cuda":
        return torch.cuda.get_device_name(device())
    return f"processor ({os.cpu_count()} cores)" if device().type == "cpu" else str(device())


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Let PyTorch work with so many threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
