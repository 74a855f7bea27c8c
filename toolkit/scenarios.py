"""What the student is given: the transfer set, as a scenario draws it from the training part.

A scenario changes only the training part; validation and test stay clean and hold all classes. The
teacher is trained on the whole, clean training part: a scenario says what is left for the student.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real

import torch
from torch import Tensor

from toolkit.data import UNLABELLED, Dataset, seeded_generator


@dataclass(frozen=True)
class TransferSet:
    """Which training examples a student sees, and with which hard labels.

    ``indices`` point into the training part, shape (examples,); ``labels`` are class indices of the same
    shape, with −100 where an example is unlabelled.
    """

    indices: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Scenario:
    """A named rule that draws a transfer set; ``sentence`` says in words what it does."""

    name: str
    sentence: str
    _draw: Callable[[Dataset, torch.Generator], TransferSet] = field(repr=False, compare=False)

    def draw(self, dataset: Dataset, seed: int) -> TransferSet:
        """Draw the transfer set of a seed. The same seed always gives the same set.

        Raises
        ------
        ValueError
            If the data set is too small for the scenario, or lacks the class that it leaves out.
        """
        return self._draw(dataset, seeded_generator(seed, f"scenario {self.name}"))


def names() -> list[str]:
    """List the scenarios by name."""
    return list(_MAKERS)


def get(name: str, **parameters: float) -> Scenario:
    """Give the scenario of a name, with parameters of its own where wanted.

    Parameters: ``labels_per_class=5`` for "few-labels", ``noise=0.4`` for "noisy-labels", ``left_out=3``
    for "class-left-out", ``examples=200`` for "small-transfer-set".

    >>> get("few-labels", labels_per_class=2).sentence
    '2 labels per class, the rest unlabelled'
    """
    if name not in _MAKERS:
        raise ValueError(f"unknown scenario {name!r}; known are {', '.join(_MAKERS)}")
    maker = _MAKERS[name]
    allowed = list(maker.__kwdefaults__ or {})
    unknown = sorted(set(parameters) - set(allowed))
    if unknown:
        raise ValueError(
            f"scenario {name!r} has no parameter {unknown[0]!r}; it has {', '.join(allowed) if allowed else 'none'}"
        )
    return maker(**parameters)


def _all_labels() -> Scenario:
    def draw(dataset: Dataset, _: torch.Generator) -> TransferSet:
        return TransferSet(torch.arange(len(dataset.y_train)), dataset.y_train)

    return Scenario("all-labels", "every training example with its true label", draw)


def _few_labels(*, labels_per_class: int = 5) -> Scenario:
    labels_per_class = _whole("labels_per_class", labels_per_class, low=1)

    def draw(dataset: Dataset, generator: torch.Generator) -> TransferSet:
        labels = torch.full_like(dataset.y_train, UNLABELLED)
        for c in range(dataset.classes):
            members = (dataset.y_train == c).nonzero().squeeze(1)
            if len(members) < labels_per_class:
                raise ValueError(
                    f"labels_per_class={labels_per_class}, but class {dataset.class_names[c]!r} of {dataset.name!r} "
                    f"has {len(members)} training examples"
                )
            chosen = members[torch.randperm(len(members), generator=generator)[:labels_per_class]]
            labels[chosen] = c
        return TransferSet(torch.arange(len(labels)), labels)

    plural = "label" if labels_per_class == 1 else "labels"
    return Scenario("few-labels", f"{labels_per_class} {plural} per class, the rest unlabelled", draw)


def _noisy_labels(*, noise: float = 0.4) -> Scenario:
    if isinstance(noise, bool) or not isinstance(noise, Real) or not 0 <= noise <= 1:
        raise ValueError(f"noise must be a share between 0 and 1, not {noise!r}")

    def draw(dataset: Dataset, generator: torch.Generator) -> TransferSet:
        labels = dataset.y_train.clone()
        wrong = torch.randperm(len(labels), generator=generator)[: round(noise * len(labels))]
        shift = torch.randint(1, dataset.classes, (len(wrong),), generator=generator)  # never 0: always wrong
        labels[wrong] = (labels[wrong] + shift) % dataset.classes
        return TransferSet(torch.arange(len(labels)), labels)

    return Scenario("noisy-labels", f"{noise:.0%} of the labels are wrong", draw)


def _class_left_out(*, left_out: int = 3) -> Scenario:
    left_out = _whole("left_out", left_out, low=0)

    def draw(dataset: Dataset, _: torch.Generator) -> TransferSet:
        if left_out >= dataset.classes:
            raise ValueError(
                f"left_out={left_out}, but {dataset.name!r} has classes 0 to {dataset.classes - 1}: choose one of them"
            )
        kept = (dataset.y_train != left_out).nonzero().squeeze(1)
        return TransferSet(kept, dataset.y_train[kept])

    return Scenario("class-left-out", f"no example of class {left_out}", draw)


def _small_transfer_set(*, examples: int = 200) -> Scenario:
    examples = _whole("examples", examples, low=1)

    def draw(dataset: Dataset, generator: torch.Generator) -> TransferSet:
        if examples > len(dataset.y_train):
            raise ValueError(
                f"examples={examples}, but {dataset.name!r} has only {len(dataset.y_train)} training examples"
            )
        chosen = torch.randperm(len(dataset.y_train), generator=generator)[:examples]
        return TransferSet(chosen, dataset.y_train[chosen])

    return Scenario("small-transfer-set", f"only {examples} training examples, drawn anew for each seed", draw)


def _whole(name: str, value: float, low: int) -> int:
    """Take a whole number, also as 5.0 or as numpy's, or refuse it by name."""
    if isinstance(value, bool) or not isinstance(value, Real) or value < low or value % 1:
        raise ValueError(f"{name} must be a whole number of at least {low}, not {value!r}")
    return int(value)


_MAKERS: dict[str, Callable[..., Scenario]] = {
    "all-labels": _all_labels,
    "few-labels": _few_labels,
    "noisy-labels": _noisy_labels,
    "class-left-out": _class_left_out,
    "small-transfer-set": _small_transfer_set,
}
