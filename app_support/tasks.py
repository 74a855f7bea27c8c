"""What a student is given, and what it may cost: the part of an order that *Distil* and *Surface* share."""

from dataclasses import dataclass
from typing import Any

from app_support import resources
from toolkit import scenarios


@dataclass(frozen=True)
class Task:
    """What a student is given, and what it may cost."""

    dataset: str
    scenario: str
    parameter: tuple[tuple[str, float], ...]  # of the scenario: a name and its value, or nothing
    student: str
    penalty_weight: float
    norm: str
    epochs: int
    seeds: int
    first_seed: int = 0

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Task":
        """Read a task that came as JSON."""
        return cls(**values | {"parameter": tuple((name, value) for name, value in values["parameter"])})

    @property
    def seed_numbers(self) -> list[int]:
        """The seeds themselves."""
        return list(range(self.first_seed, self.first_seed + self.seeds))

    @property
    def left_out(self) -> int:
        """The class that the student never sees, in the scenario that leaves one out."""
        return int(dict(self.parameter)["left_out"])

    @property
    def takes_all(self) -> bool:
        """Whether its "small" transfer set holds all training examples, as it may with few data."""
        return dict(self.parameter).get("examples") == len(resources.dataset(self.dataset).x_train)

    def get_scenario(self) -> scenarios.Scenario:
        """Give the scenario with its parameter."""
        return scenarios.get(self.scenario, **dict(self.parameter))

    def work(self, arms: int) -> float:
        """How much there is to train: arms × seeds × epochs × examples."""
        examples = len(self.get_scenario().draw(resources.dataset(self.dataset), 0).indices)
        return arms * self.seeds * self.epochs * examples

    def is_quick(self, arms: int, limit: float) -> bool:
        """Whether so little is to train that it is done on arrival, without being asked. Convolutions never are."""
        return not self.student.startswith("cnn") and self.work(arms) <= limit
