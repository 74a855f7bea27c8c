"""Train every student of a T × λ × seeds grid at once, so that a class can watch the surface appear.

One after another, small students spend nearly all their time in Python. Here they stand in one stack (``stack.py``): one
forward, one backward, one optimizer, and one closed-form gradient at the logits, by which all losses are trained:

    gradient = [(1 − λ)·softmax(z) + λ·T·softmax(z / T) − target] / batch,
    target   =  (1 − λ)·one-hot label + λ·T·soft target

Students of one seed share their first weights, their transfer set and the order of their batches; they differ in T and λ
alone. ``train_grid`` is the entrance, and ``GridTraining`` the same an epoch at a time; ``training.train_student`` is the
plain loop that gives the same students one by one. The stack was the faster way wherever it was measured
(``bench/growth.py``), for a single student too: so it is always taken.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toolkit import losses, machine, metrics, models, scenarios
from toolkit.data import UNLABELLED, Dataset, check_seed, load, seeded_generator
from toolkit.scenarios import Scenario
from toolkit.stack import FlatAdamW, StackedNetwork, numbers_per_student
from toolkit.training import Progress, Recipe, Teacher, TrainingDiverged, as_teacher


@dataclass(frozen=True, kw_only=True)
class GridScores:
    """How well a grid of students did. Arrays have the axes [temperature, lam, seed, …]."""

    temperatures: tuple[float, ...]
    lams: tuple[float, ...]
    seeds: tuple[int, ...]
    val_examples: int  # behind each validation accuracy
    test_examples: int
    history: np.ndarray = field(repr=False)  # validation accuracy [T, λ, seed, epoch]
    val_accuracy: np.ndarray = field(repr=False)  # after the last epoch [T, λ, seed]
    accuracy: np.ndarray = field(repr=False)  # test, after the last epoch [T, λ, seed]

    def difference(self) -> np.ndarray:
        """Validation accuracy minus that of the student alone (λ = 0, same T and seed), [T, λ, seed]."""
        if 0 not in self.lams:
            raise ValueError(f"the student alone (λ = 0) is not in this grid; its lams are {self.lams}")
        alone = self.lams.index(0)
        return self.val_accuracy - self.val_accuracy[:, alone : alone + 1]

    def difference_interval(self) -> metrics.Interval:
        """The mean difference over seeds with its 95 % interval, [T, λ]."""
        interval = metrics.confidence_interval(self.difference(), examples=self.val_examples)
        if len(self.seeds) > 1:  # the students alone are compared with themselves
            for edge in (interval.low, interval.high):
                edge[:, self.lams.index(0)] = 0
        return interval

    def best_cell(self) -> tuple[int, int]:
        """Indices (temperature, lam) of the cell with the highest mean *validation* accuracy."""
        mean = self.val_accuracy.mean(-1)
        temperature, lam = np.unravel_index(mean.argmax(), mean.shape)
        return int(temperature), int(lam)


@dataclass(frozen=True, kw_only=True)
class GridResult(GridScores):
    """What a grid of students reached, and what they were trained on."""

    dataset: Dataset = field(repr=False)
    scenario: Scenario
    student: str
    teacher: Teacher = field(repr=False)
    penalty_weight: float
    norm: str
    batch_size: int
    epochs: int
    epochs_done: int
    class_accuracy: np.ndarray = field(repr=False)  # test [T, λ, seed, class]
    weights: dict[str, Tensor] = field(repr=False)  # as in state_dict, each [T, λ, seed, …]

    @property
    def partial(self) -> bool:
        """Whether training was stopped before its last epoch."""
        return self.epochs_done < self.epochs

    @property
    def sentence(self) -> str:
        """Say what was trained, and whether all of it."""
        count = len(self.temperatures) * len(self.lams) * len(self.seeds)
        done = f"stopped after {self.epochs_done} of" if self.partial else "trained for"
        return f"{count} {'student' if count == 1 else 'students'} {self.student}, {done} {self.epochs} epochs"

    def student_model(self, temperature: int, lam: int, seed: int) -> nn.Module:
        """Give the trained student of a cell and seed, by their indices, as a module of its own."""
        model = models.build(self.student, self.dataset)
        model.load_state_dict({name: stacked[temperature, lam, seed] for name, stacked in self.weights.items()})
        return model.eval()

    def joined(self, other: "GridResult") -> "GridResult":
        """Put the seeds of another run of the same grid behind those of this one."""
        settings = ("scenario", "student", "temperatures", "lams", "penalty_weight", "norm", "batch_size", "epochs")
        for name in (*settings, "epochs_done"):
            if getattr(self, name) != getattr(other, name):
                raise ValueError(f"these grids differ in {name}: {getattr(self, name)} and {getattr(other, name)}")
        if self.dataset.fingerprint != other.dataset.fingerprint:
            raise ValueError(f"these grids differ in their data: {self.dataset.name} and {other.dataset.name}")
        if not torch.equal(self.teacher.train_logits, other.teacher.train_logits):
            raise ValueError(f"these grids differ in their teachers: {self.teacher.name} and {other.teacher.name}")
        if set(self.seeds) & set(other.seeds):
            raise ValueError(f"both grids hold seed {min(set(self.seeds) & set(other.seeds))}")
        join = lambda name: np.concatenate([getattr(self, name), getattr(other, name)], 2)  # noqa: E731
        return replace(
            self,
            seeds=self.seeds + other.seeds,
            history=join("history"),
            val_accuracy=join("val_accuracy"),
            accuracy=join("accuracy"),
            class_accuracy=join("class_accuracy"),
            weights={name: torch.cat([part, other.weights[name]], 2) for name, part in self.weights.items()},
        )


def train_grid(
    dataset: Dataset | str,
    scenario: Scenario | str = "all-labels",
    student: str = "mlp-32",
    *,
    temperatures: Sequence[float] = (1, 2, 4, 8),
    lams: Sequence[float] = (0, 0.5, 0.9, 1),
    seeds: int | Sequence[int] = 5,
    epochs: int = 40,
    batch_size: int = 64,
    penalty_weight: float = 0.0,
    norm: str = "l2",
    teacher: Teacher | nn.Module | str | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> GridResult:
    """Train a student for each temperature, λ and seed, all at once.

    Parameters
    ----------
    dataset, scenario : names, or the objects
    student : a name such as "mlp-32" or "cnn-8"
    temperatures, lams : the values of T and λ; λ = 0 is the student alone
    seeds : n for the seeds 0 … n−1, or the seeds themselves
    penalty_weight, norm : λ_f ≥ 0, and "l1" or "l2", for all students alike
    teacher : a Teacher, any module that returns logits, a model name, or None for the usual (cached) teacher
    progress : called with (done, total) at least once an epoch
    stop : a ``threading.Event``; once set, the students are given as they were after the last whole epoch

    Returns
    -------
    GridResult, whose ``partial`` and ``sentence`` say whether training was stopped.

    Raises
    ------
    ValueError
        For an unknown name, or a value out of range.
    TrainingDiverged
        If the numbers of a student leave the finite range.
    """
    training = GridTraining(
        dataset,
        scenario,
        student,
        temperatures=temperatures,
        lams=lams,
        seeds=seeds,
        epochs=epochs,
        batch_size=batch_size,
        penalty_weight=penalty_weight,
        norm=norm,
        teacher=teacher,
        stop=stop,
    )
    while training.train_one_epoch(progress):
        pass
    return training.result()


class GridTraining:
    """The training behind ``train_grid``, an epoch at a time: for whoever shows it, pauses it, or looks in between.

    Takes what ``train_grid`` takes, and raises what it raises.

    >>> training = GridTraining("digits", "small-transfer-set", temperatures=(4,), lams=(0, 1), seeds=1, epochs=2)
    >>> training.train_one_epoch(), training.history.shape
    (True, (1, 2, 1, 1))
    >>> training.result().sentence
    '2 students mlp-32, stopped after 1 of 2 epochs'
    """

    def __init__(
        self,
        dataset: Dataset | str,
        scenario: Scenario | str = "all-labels",
        student: str = "mlp-32",
        *,
        temperatures: Sequence[float],
        lams: Sequence[float],
        seeds: int | Sequence[int],
        epochs: int,
        batch_size: int = 64,
        penalty_weight: float = 0.0,
        norm: str = "l2",
        teacher: Teacher | nn.Module | str | None = None,
        stop: threading.Event | None = None,
    ):
        self.temperatures = _distinct("temperatures", temperatures, losses.check_temperature, float)
        self.lams = _distinct("lams", lams, losses.check_lam, float)
        if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool):
            seeds = range(seeds)
        self.seeds = _distinct("seeds", seeds, check_seed, int)
        losses.check_penalty_weight(penalty_weight)
        losses.check_norm(norm)
        dataset = load(dataset) if isinstance(dataset, str) else dataset
        scenario = scenarios.get(scenario) if isinstance(scenario, str) else scenario
        recipe = Recipe(epochs=epochs, batch_size=batch_size)
        model = models.build(student, dataset, seed=0)  # a bad name is refused before a teacher is trained
        self.teacher = as_teacher(teacher, dataset, stop)
        self.stop = stop

        arms = [(float(losses.usable_temperature(t)), lam) for t in self.temperatures for lam in self.lams]
        self._shared = _Shared(
            dataset,
            dataset.to(machine.device()),
            scenario,
            student,
            _soft_targets(self.teacher.train_logits, arms),
            recipe,
            penalty_weight,
            norm,
        )
        at_once = _students_at_once(model, dataset, recipe.batch_size)
        self._blocks = [
            _Block(self._shared, arms[a], self.seeds[s], (a, s))
            for a, s in _block_slices(len(arms), len(self.seeds), at_once)
        ]
        self._history = np.full((len(arms), len(self.seeds), recipe.epochs), np.nan)
        self.epochs, self.epochs_done, self._stopped = recipe.epochs, 0, False

    def train_one_epoch(self, progress: Progress | None = None) -> bool:
        """Take every student through one epoch; False once all epochs are done, or if it was stopped in this one.

        Who was stopped has the students, and their history, as they were before the epoch, and cannot go on.
        """
        if self._stopped or self.epochs_done == self.epochs:
            return False
        done = _train_one_epoch(self._blocks, self.epochs_done + 1, self.epochs, self._history, progress, self.stop)
        self.epochs_done += done
        self._stopped = not done
        return done

    @property
    def history(self) -> np.ndarray:
        """Validation accuracy after each epoch so far, [temperature, lam, seed, epoch]."""
        return self._history[..., : self.epochs_done].reshape(*self._shape, self.epochs_done)

    @property
    def _shape(self) -> tuple[int, int, int]:
        return len(self.temperatures), len(self.lams), len(self.seeds)

    def result(self) -> GridResult:
        """Evaluate the students as they are now."""
        dataset = self._shared.dataset
        val_accuracy, accuracy, class_accuracy = _evaluate(
            self._blocks, dataset.y_test, dataset.classes, self._history.shape[0], len(self.seeds)
        )
        return GridResult(
            dataset=dataset,
            scenario=self._shared.scenario,
            student=self._shared.student,
            teacher=self.teacher,
            temperatures=self.temperatures,
            lams=self.lams,
            seeds=self.seeds,
            penalty_weight=self._shared.penalty_weight,
            norm=self._shared.norm,
            batch_size=self._shared.recipe.batch_size,
            epochs=self.epochs,
            epochs_done=self.epochs_done,
            val_examples=len(dataset.y_val),
            test_examples=len(dataset.y_test),
            history=self.history,
            val_accuracy=val_accuracy.reshape(self._shape),
            accuracy=accuracy.reshape(self._shape),
            class_accuracy=class_accuracy.reshape(*self._shape, dataset.classes),
            weights=_gather_weights(self._blocks, self._shape),
        )


# Measured with one thread and with two: a step is fastest, per student, while a block works on about so many numbers, for
# perceptrons of 8 to 512 hidden units and for convolutions over signals and images alike. Larger ones leave the cache.
_NUMBERS_AT_ONCE = 3_000_000
_BATCHES_AT_ONCE = 16
_LEAST_EXAMPLES_AT_ONCE = 64  # when predicting; more at once bring nothing


def _students_at_once(model: nn.Module, dataset: Dataset, batch_size: int) -> int:
    examples = max(batch_size, _LEAST_EXAMPLES_AT_ONCE)
    return max(1, _NUMBERS_AT_ONCE // numbers_per_student(model, dataset.input_shape, examples))


def _distinct(name: str, values: Any, check: Callable[[Any], object], kind: type) -> tuple:
    """Check each value, give them as plain numbers, and refuse a value that stands there twice."""
    try:
        values = tuple(values)
    except TypeError as problem:
        raise ValueError(f"{name} must be a list of values, not {values!r}") from problem
    if not values:
        raise ValueError(f"{name} must hold at least one value")
    for value in values:
        check(value)
    values = tuple(kind(value) for value in values)
    if len(set(values)) < len(values):
        raise ValueError(f"{name} must not hold a value twice, as {values} does")
    return values


def _block_slices(arms: int, seeds: int, students_at_once: int) -> list[tuple[slice, slice]]:
    """Cut arms × seeds into blocks of at most so many students, of nearly equal size: whole seeds where they fit."""
    arms_at_once = _equal_share(arms, students_at_once)
    seeds_at_once = _equal_share(seeds, max(1, students_at_once // arms_at_once))
    return [
        (slice(a, min(a + arms_at_once, arms)), slice(s, min(s + seeds_at_once, seeds)))
        for s in range(0, seeds, seeds_at_once)
        for a in range(0, arms, arms_at_once)
    ]


def _equal_share(total: int, at_most: int) -> int:
    """Give the size of parts when so many are shared out to as few parts as possible, as equally as possible."""
    parts = -(-total // at_most)  # rounded up
    return -(-total // parts)


def _train_one_epoch(
    blocks: list["_Block"],
    epoch: int,
    epochs: int,
    history: np.ndarray,
    progress: Progress | None,
    stop: threading.Event | None,
) -> bool:
    """Take every block through the epoch; if stopped in between, put all of them back to where it began."""
    for number, block in enumerate(blocks, 1):
        block.keep_weights()
        if not block.train_one_epoch(stop):
            for advanced in blocks[:number]:
                advanced.restore_weights()
            return False
        block.check_finite(epoch)
        history[(*block.place, epoch - 1)] = block.right("val").mean(-1)
        if progress is not None:
            progress((epoch - 1) * len(blocks) + number, epochs * len(blocks))
    return True


def _evaluate(blocks: list["_Block"], labels: Tensor, classes: int, arms: int, seeds: int) -> tuple[np.ndarray, ...]:
    """Validation and test accuracy (arms, seeds), and test accuracy per class (arms, seeds, classes)."""
    val_accuracy, accuracy = np.empty((2, arms, seeds))
    class_accuracy = np.empty((arms, seeds, classes))
    members = F.one_hot(labels, classes).double()
    shares = (members / members.sum(0)).numpy()
    for block in blocks:
        val_accuracy[block.place] = block.right("val").mean(-1)
        right = block.right("test")  # (arms, seeds, examples)
        accuracy[block.place] = right.mean(-1)
        class_accuracy[block.place] = right @ shares
    return val_accuracy, accuracy, class_accuracy


def _gather_weights(blocks: list["_Block"], shape: tuple[int, int, int]) -> dict[str, Tensor]:
    temperatures, lams, seeds = shape
    gathered: dict[str, Tensor] = {}
    for block in blocks:
        for name, part in block.network.state().items():  # (students, …)
            if name not in gathered:
                gathered[name] = torch.empty(temperatures * lams, seeds, *part.shape[1:])
            gathered[name][block.place] = part.cpu().unflatten(0, (len(block.orders), -1)).transpose(0, 1)
    return {name: whole.unflatten(0, (temperatures, lams)) for name, whole in gathered.items()}


@dataclass(frozen=True)
class _SoftTargets:
    """The soft targets of the training part at every temperature, computed once."""

    temperatures: tuple[float, ...]
    values: Tensor  # (rows of the training part, temperatures, classes)


def _soft_targets(teacher_logits: Tensor, arms: list[tuple[float, float]]) -> _SoftTargets:
    temperatures = tuple(sorted({temperature for temperature, _ in arms}))
    # T² magnifies the rounding of probabilities that are nearly equal: float32 keeps six digits up to here.
    dtype = torch.float32 if temperatures[-1] <= 100 else torch.float64
    values = [losses.soft_targets(teacher_logits.double(), temperature).to(dtype) for temperature in temperatures]
    return _SoftTargets(temperatures, torch.stack(values, 1).to(machine.device()))


@dataclass(frozen=True)
class _Shared:
    """What all blocks of a grid have in common."""

    dataset: Dataset
    on_device: Dataset  # the same data, where students train
    scenario: Scenario
    student: str
    soft_targets: _SoftTargets
    recipe: Recipe
    penalty_weight: float
    norm: str
    pace: machine.Pace = field(default_factory=machine.Pace)


class _Block:
    """Some arms (pairs of T and λ) for some seeds, trained together; students count as seed-major (seed, arm)."""

    @torch.inference_mode()
    def __init__(
        self, shared: _Shared, arms: list[tuple[float, float]], seeds: Sequence[int], place: tuple[slice, slice]
    ):
        self.shared, self.place = shared, place  # place: where (arms, seeds) lie in the whole
        dataset, device = shared.dataset, shared.on_device.x_train.device
        self.orders = [seeded_generator(seed, "batches") for seed in seeds]
        transfer_sets = [shared.scenario.draw(dataset, seed) for seed in seeds]
        self.rows = torch.stack([transfer.indices for transfer in transfer_sets]).to(device)  # (seeds, examples)
        labels = torch.stack([transfer.labels for transfer in transfer_sets])
        self.labels = labels.to(device)
        starts = [models.build(shared.student, dataset, seed) for seed in seeds]
        self.network = StackedNetwork(starts, len(arms), device)
        self.kept = torch.empty_like(self.network.weights)
        self.optimizer = FlatAdamW(self.network, shared.recipe, self.rows.shape[1])
        all_labelled = bool((labels != UNLABELLED).all())
        self.gradient = _LogitGradient(arms, len(seeds), shared.soft_targets, all_labelled)

    @torch.inference_mode()
    def train_one_epoch(self, stop: threading.Event | None) -> bool:
        """One pass over the transfer sets; False if it was stopped before its end."""
        size = self.shared.recipe.batch_size
        permuted = torch.stack([torch.randperm(self.rows.shape[1], generator=order) for order in self.orders])
        # Several batches are gathered at once, so that each is a slice: copies cost time, all at once would cost memory.
        for positions in permuted.to(self.rows.device).split(_BATCHES_AT_ONCE * size, dim=1):
            with self.shared.pace.piece(positions.shape[1] * len(self.network.weights)):
                rows = self.rows.gather(1, positions)  # (seeds, examples), in the training part
                x = self.shared.on_device.x_train[rows].movedim(1, -1)  # (seeds, …, examples)
                basis = self.gradient.basis(self.labels.gather(1, positions), rows)
                for x_batch, basis_batch in zip(x.split(size, -1), basis.split(size, -1), strict=True):
                    if stop is not None and stop.is_set():
                        return False
                    logits = self.network.forward(x_batch)
                    self.network.backward(self.gradient(logits, basis_batch))
                    if self.shared.penalty_weight:
                        self._add_penalty_gradient()
                    self.optimizer.step()
        return True

    def _add_penalty_gradient(self) -> None:
        weights = self.network.weights[: self.network.penalised]
        gradient = 2 * weights if self.shared.norm == "l2" else weights.sign()
        self.network.gradients[: self.network.penalised].add_(gradient, alpha=self.shared.penalty_weight)

    @torch.inference_mode()
    def right(self, part: Literal["val", "test"]) -> np.ndarray:
        """Which examples of a part each student classifies rightly, (arms, seeds, examples)."""
        x, labels = (getattr(self.shared.on_device, f"{xy}_{part}") for xy in "xy")
        at_once = max(self.shared.recipe.batch_size, _LEAST_EXAMPLES_AT_ONCE)
        parts = []
        with machine.threads(self.shared.pace.fastest):
            for some_x, some_labels in zip(x.split(at_once), labels.split(at_once), strict=True):
                for_every_seed = some_x.movedim(0, -1).expand(len(self.orders), *some_x.shape[1:], -1)
                logits = self.network.predict(for_every_seed)  # (students, classes, examples)
                # argmax would be far slower. An exact tie counts as right, where argmax would take the first class.
                of_true_class = logits.gather(1, some_labels.expand(len(logits), 1, -1))
                parts.append(of_true_class.squeeze(1) >= logits.amax(1))
        right = torch.cat(parts, 1).cpu()
        return right.unflatten(0, (len(self.orders), -1)).transpose(0, 1).numpy()

    def check_finite(self, epoch: int) -> None:
        if not torch.isfinite(self.network.weights).all():
            raise TrainingDiverged("a student of the grid", epoch)

    @torch.inference_mode()
    def keep_weights(self) -> None:
        """Keep the weights as they are, in case that the epoch to come is stopped."""
        self.kept.copy_(self.network.weights)

    @torch.inference_mode()
    def restore_weights(self) -> None:
        self.network.weights.copy_(self.kept)


class _LogitGradient:
    """The gradient of every student's loss at its logits, in closed form.

    The targets of all students are one small product: a mixing matrix (arms × 1 + temperatures) times a basis: one-hot
    labels, and one soft target per temperature.
    """

    def __init__(self, arms: list[tuple[float, float]], seeds: int, soft_targets: _SoftTargets, all_labelled: bool):
        self.seeds, self.soft, self.all_labelled = seeds, soft_targets.values, all_labelled
        temperatures, lams = (self.soft.new_tensor(values) for values in zip(*arms, strict=True))
        self.mixing = self.soft.new_zeros(seeds, len(arms), 1 + len(soft_targets.temperatures))
        self.mixing[:, :, 0] = 1 - lams
        for arm, (temperature, lam) in enumerate(arms):
            self.mixing[:, arm, 1 + soft_targets.temperatures.index(temperature)] = lam * temperature
        of_students = lambda values: values.repeat(seeds).view(-1, 1, 1)  # noqa: E731
        self.inverse_temperature = of_students(1 / temperatures)
        self.hard_weight, self.soft_weight = of_students(1 - lams), of_students(lams * temperatures)

    def basis(self, labels: Tensor, rows: Tensor) -> Tensor:
        """Labels and rows (seeds, examples) → what targets are mixed from, (seeds, 1 + temperatures, classes, examples)."""
        classes = torch.arange(self.soft.shape[2], device=labels.device)
        one_hot = (labels[:, :, None] == classes).to(self.soft.dtype)  # all zero where unlabelled
        return torch.cat([one_hot[:, :, None], self.soft[rows]], 2).permute(0, 2, 3, 1)

    def __call__(self, logits: Tensor, basis: Tensor) -> Tensor:
        """Logits (students, classes, batch) and the basis of the same batch → gradient of the logits' shape."""
        size = logits.shape[2]
        exact = logits.to(self.soft.dtype)
        soft, hard = torch.softmax(exact * self.inverse_temperature, 1), torch.softmax(exact, 1)
        if not self.all_labelled:
            basis = self._spread_over_labelled(hard, basis)
        gradient = soft.mul_(self.soft_weight / size).addcmul_(hard, self.hard_weight, value=1 / size)
        by_seed = gradient.view(self.seeds, -1, gradient[0].numel())
        by_seed.baddbmm_(self.mixing, basis.reshape(self.seeds, -1, by_seed.shape[2]), alpha=-1 / size)
        return gradient.to(logits.dtype)

    def _spread_over_labelled(self, hard: Tensor, basis: Tensor) -> Tensor:
        """The hard part is the mean over the labelled examples of a batch: weigh those, and drop the others."""
        labelled = basis[:, :1].sum(2, keepdim=True)  # (seeds, 1, 1, batch), ones and zeros
        share = labelled * (labelled.shape[-1] / labelled.sum(-1, keepdim=True).clamp(min=1))
        hard.view(self.seeds, -1, *hard.shape[1:]).mul_(share)
        return torch.cat([basis[:, :1] * share, basis[:, 1:]], 1)
