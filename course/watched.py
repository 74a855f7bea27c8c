"""Networks and optimizers that remember how an answer used them. They travel to where the answer runs, and back."""

from typing import Any

import torch
from torch import Tensor, nn


class Watched(nn.Module):
    """A small network with dropout and batch norm that remembers in which mode it was run."""

    def __init__(self, dropout: float = 0.5, norm: bool = True):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(6, 16),
            nn.BatchNorm1d(16) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(16, 4),
        )
        self.modes: list[bool] = []
        self.parts_in_training: list[bool] = []
        generator = torch.Generator()
        generator.seed()
        for parameter in self.parameters():
            parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator)  # other weights at each check

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 6) to logits (batch, 4)."""
        self.modes.append(self.training)
        self.parts_in_training.append(any(module.training for module in self.layers.modules()))
        return self.layers(x)


def watched(**options: Any) -> Watched:
    """Make a watched network. Its layers draw first weights from torch's global generator, which is put back."""
    with torch.random.fork_rng(devices=[]):
        return Watched(**options)


class CountingSGD(torch.optim.SGD):
    """Plain SGD that counts its steps."""

    steps = 0  # of the class: an optimizer's own attributes are not pickled

    def step(self, *arguments: Any, **options: Any) -> Any:
        """Count, then step."""
        self.steps += 1
        return super().step(*arguments, **options)
