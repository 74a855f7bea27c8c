"""A clock that a check sets, and work that takes a known time on it: how long it takes is the same on every machine.

Both are modules, since what an answer does to a module travels back from where the answer runs.
"""

from torch import nn


class Clock(nn.Module):
    """Say what time it is, in seconds, when called; nothing but ``Work`` makes it go on."""

    def __init__(self, now: float):
        super().__init__()
        self.now = now
        self.readings = 0

    def forward(self) -> float:
        """Read it."""
        self.readings += 1
        return self.now


class Work(nn.Module):
    """Take the next of some seconds on a clock each time it is called."""

    def __init__(self, clock: Clock, seconds: list[float]):
        super().__init__()
        self.clock, self.seconds = clock, seconds
        self.calls = 0

    def forward(self) -> float:
        """Work; the result is of no use. Whoever calls too often gets no time for it, and is found out by ``calls``."""
        self.clock.now += self.seconds[self.calls] if self.calls < len(self.seconds) else 0.0
        self.calls += 1
        return float(self.calls)
