"""Train every student of a T × λ × seeds grid at once, so that a class can watch the surface appear.

One after another, small students spend nearly all their time in Python. Here they stand in one stack: all weights in
one buffer, one optimizer, and one closed-form gradient at the logits, by which all losses are trained:

    gradient = [(1 − λ)·softmax(z) + λ·T·softmax(z / T) − target] / batch,
    target   =  (1 − λ)·one-hot label + λ·T·soft target

Layout: examples run along the *last* axis, as in the maths (z = W x + b). Students of one seed share their first
weights, their transfer set and the order of their batches; they differ in T and λ alone. ``train_grid`` is the only
entrance; ``training.train_student`` is the plain loop that gives the same students one by one.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from toolkit import losses, metrics, models, scenarios
from toolkit.data import UNLABELLED, Dataset, check_seed, load, seeded_generator
from toolkit.scenarios import Scenario, TransferSet
from toolkit.training import Progress, Recipe, Teacher, TrainingDiverged, as_teacher


@dataclass(frozen=True)
class GridResult:
    """What a grid of students reached. Arrays have the axes [temperature, lam, seed, …]."""

    dataset: Dataset = field(repr=False)
    scenario: Scenario
    student: str
    teacher: Teacher = field(repr=False)
    temperatures: tuple[float, ...]
    lams: tuple[float, ...]
    seeds: tuple[int, ...]
    penalty_weight: float
    norm: str
    batch_size: int
    epochs: int
    epochs_done: int
    history: np.ndarray = field(repr=False)  # validation accuracy [T, λ, seed, epoch]
    val_accuracy: np.ndarray = field(repr=False)  # after the last epoch [T, λ, seed]
    accuracy: np.ndarray = field(repr=False)  # test, after the last epoch [T, λ, seed]
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

    def difference(self) -> np.ndarray:
        """Validation accuracy minus that of the student alone (λ = 0, same T and seed), [T, λ, seed]."""
        if 0 not in self.lams:
            raise ValueError(f"the student alone (λ = 0) is not in this grid; its lams are {self.lams}")
        alone = self.lams.index(0)
        return self.val_accuracy - self.val_accuracy[:, alone : alone + 1]

    def difference_interval(self) -> metrics.Interval:
        """The mean difference over seeds with its 95 % interval, [T, λ]."""
        return metrics.confidence_interval(self.difference(), examples=len(self.dataset.y_val))

    def best_cell(self) -> tuple[int, int]:
        """Indices (temperature, lam) of the cell with the highest mean *validation* accuracy."""
        mean = self.val_accuracy.mean(-1)
        temperature, lam = np.unravel_index(mean.argmax(), mean.shape)
        return int(temperature), int(lam)

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
    temperatures = _distinct("temperatures", temperatures, losses.check_temperature, float)
    lams = _distinct("lams", lams, losses.check_lam, float)
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool):
        seeds = range(seeds)
    seed_numbers = _distinct("seeds", seeds, check_seed, int)
    losses.check_penalty_weight(penalty_weight)
    losses.check_norm(norm)
    dataset = load(dataset) if isinstance(dataset, str) else dataset
    scenario = scenarios.get(scenario) if isinstance(scenario, str) else scenario
    recipe = Recipe(epochs=epochs, batch_size=batch_size)
    models.build(student, dataset, seed=0)  # a bad name is refused before a teacher is trained
    teacher = as_teacher(teacher, dataset, stop)

    arms = [(float(losses.usable_temperature(temperature)), lam) for temperature in temperatures for lam in lams]
    blocks = [
        _Block(dataset, scenario, student, teacher, arms[a], seed_numbers[s], recipe, penalty_weight, norm, (a, s))
        for a, s in _block_slices(len(arms), len(seed_numbers), _students_at_once(student))
    ]
    history = np.full((len(arms), len(seed_numbers), recipe.epochs), np.nan)
    epochs_done = 0
    for epoch in range(1, recipe.epochs + 1):
        if not _train_one_epoch(blocks, epoch, recipe.epochs, history, progress, stop):
            break
        epochs_done = epoch

    shape = (len(temperatures), len(lams), len(seed_numbers))
    val_accuracy, accuracy, class_accuracy = _evaluate(blocks, dataset, len(arms), len(seed_numbers))
    return GridResult(
        dataset=dataset,
        scenario=scenario,
        student=student,
        teacher=teacher,
        temperatures=temperatures,
        lams=lams,
        seeds=seed_numbers,
        penalty_weight=penalty_weight,
        norm=norm,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        epochs_done=epochs_done,
        history=history[..., :epochs_done].reshape(*shape, epochs_done),
        val_accuracy=val_accuracy.reshape(shape),
        accuracy=accuracy.reshape(shape),
        class_accuracy=class_accuracy.reshape(*shape, dataset.classes),
        weights=_gather_weights(blocks, shape),
    )


_STUDENTS_AT_ONCE = 128  # a block of about this many multilayer perceptrons works within the processor's cache
_CONVOLUTIONAL_AT_ONCE = 32  # these have far more numbers between their layers


def _students_at_once(student: str) -> int:
    return _STUDENTS_AT_ONCE if student.startswith("mlp") else _CONVOLUTIONAL_AT_ONCE


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
    """Cut arms × seeds into blocks of at most so many students: whole seeds where they fit."""
    arms_at_once = min(arms, students_at_once)
    seeds_at_once = max(1, students_at_once // arms_at_once)
    return [
        (slice(a, min(a + arms_at_once, arms)), slice(s, min(s + seeds_at_once, seeds)))
        for s in range(0, seeds, seeds_at_once)
        for a in range(0, arms, arms_at_once)
    ]


def _train_one_epoch(
    blocks: list["_Block"],
    epoch: int,
    epochs: int,
    history: np.ndarray,
    progress: Progress | None,
    stop: threading.Event | None,
) -> bool:
    """Take every block through the epoch; if stopped in between, put all of them back to where it began."""
    before: list[list[Tensor]] = []
    for number, block in enumerate(blocks, 1):
        before.append(block.snapshot())
        if not block.train_one_epoch(stop):
            for advanced, weights in zip(blocks, before, strict=False):
                advanced.restore(weights)
            return False
        block.check_finite(epoch)
        history[(*block.place, epoch - 1)] = block.right(block.dataset.x_val, block.dataset.y_val).mean(-1)
        if progress is not None:
            progress((epoch - 1) * len(blocks) + number, epochs * len(blocks))
    return True


def _evaluate(
    blocks: list["_Block"], dataset: Dataset, arms: int, seeds: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Validation and test accuracy (arms, seeds), and test accuracy per class (arms, seeds, classes)."""
    val_accuracy, accuracy = np.empty((2, arms, seeds))
    class_accuracy = np.empty((arms, seeds, dataset.classes))
    for block in blocks:
        val_accuracy[block.place] = block.right(dataset.x_val, dataset.y_val).mean(-1)
        right = block.right(dataset.x_test, dataset.y_test)  # (arms, seeds, examples)
        accuracy[block.place] = right.mean(-1)
        for c in range(dataset.classes):
            class_accuracy[(*block.place, c)] = right[..., dataset.y_test.numpy() == c].mean(-1)
    return val_accuracy, accuracy, class_accuracy


def _gather_weights(blocks: list["_Block"], shape: tuple[int, int, int]) -> dict[str, Tensor]:
    temperatures, lams, seeds = shape
    gathered: dict[str, Tensor] = {}
    for block in blocks:
        for name, part in block.network.state().items():  # part: (seeds, arms, …)
            whole = gathered.setdefault(name, torch.empty(temperatures * lams, seeds, *part.shape[2:]))
            whole[block.place] = part.transpose(0, 1)
    return {name: whole.unflatten(0, (temperatures, lams)) for name, whole in gathered.items()}


class _Block:
    """Some arms (pairs of T and λ) for some seeds, trained together; students count as seed-major (seed, arm)."""

    def __init__(
        self,
        dataset: Dataset,
        scenario: Scenario,
        student: str,
        teacher: Teacher,
        arms: list[tuple[float, float]],
        seeds: Sequence[int],
        recipe: Recipe,
        penalty_weight: float,
        norm: str,
        place: tuple[slice, slice],
    ):
        self.dataset, self.recipe, self.place = dataset, recipe, place  # place: where (arms, seeds) lie in the whole
        self.transfer_sets = [scenario.draw(dataset, seed) for seed in seeds]
        self.orders = [seeded_generator(seed, "batches") for seed in seeds]
        starts = [models.build(student, dataset, seed) for seed in seeds]
        self.network = (_StackedMLP if student.startswith("mlp") else _StackedModules)(starts, len(arms))
        self.gradient = _LogitGradient(arms, self.transfer_sets, teacher.train_logits)
        self.penalty_weight, self.norm = penalty_weight, norm
        self.examples = len(self.transfer_sets[0].indices)
        self.optimizer, self.schedule = recipe.optimizer_for(self.network.parameters, self.examples)
        self.indices = torch.stack([transfer.indices for transfer in self.transfer_sets])  # (seeds, examples)

    def train_one_epoch(self, stop: threading.Event | None) -> bool:
        """One pass over the transfer sets; False if it was stopped before its end."""
        permuted = torch.stack([torch.randperm(self.examples, generator=order) for order in self.orders])
        for batch in permuted.split(self.recipe.batch_size, dim=1):  # (seeds, batch), positions in the transfer set
            if stop is not None and stop.is_set():
                return False
            rows = self.indices.gather(1, batch)  # the same examples, as rows of the training part
            logits = self.network.forward(self.dataset.x_train[rows])
            self.network.backward(self.gradient(logits, batch, rows))
            if self.penalty_weight:
                self._add_penalty_gradient()
            self.optimizer.step()
            self.schedule.step()
        return True

    def _add_penalty_gradient(self) -> None:
        for weight in self.network.penalised:
            assert weight.grad is not None
            gradient = 2 * weight.detach() if self.norm == "l2" else weight.detach().sign()
            weight.grad.add_(gradient, alpha=self.penalty_weight)

    def right(self, x: Tensor, labels: Tensor) -> np.ndarray:
        """Which examples each student classifies rightly, (arms, seeds, examples)."""
        parts = []
        for some_x, some_labels in zip(
            x.split(self.network.examples_at_once), labels.split(self.network.examples_at_once), strict=True
        ):
            logits = self.network.predict(some_x)  # (students, classes, examples)
            # argmax would be far slower. An exact tie counts as right, where argmax would take the first class.
            of_true_class = logits.gather(1, some_labels.expand(len(logits), 1, -1))
            parts.append(of_true_class.squeeze(1) >= logits.amax(1))
        right = torch.cat(parts, 1)
        return right.unflatten(0, (len(self.orders), -1)).transpose(0, 1).numpy()

    def check_finite(self, epoch: int) -> None:
        if not all(torch.isfinite(parameter).all() for parameter in self.network.parameters):
            raise TrainingDiverged("a student of the grid", epoch)

    def snapshot(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self.network.parameters]

    def restore(self, weights: list[Tensor]) -> None:
        with torch.no_grad():
            for parameter, old in zip(self.network.parameters, weights, strict=True):
                parameter.copy_(old)


class _LogitGradient:
    """The gradient of every student's loss at its logits, in closed form.

    The targets of all students are one small product: a mixing matrix (arms × 1 + temperatures) times a basis: one-hot
    labels, and one soft target per temperature.
    """

    def __init__(self, arms: list[tuple[float, float]], transfer_sets: list[TransferSet], teacher_logits: Tensor):
        distinct = sorted({temperature for temperature, _ in arms})
        self.seeds, self.classes = len(transfer_sets), teacher_logits.shape[1]
        self.labels = torch.stack([transfer.labels for transfer in transfer_sets])  # (seeds, examples)
        self.all_labelled = bool((self.labels != UNLABELLED).all())
        soft = [losses.soft_targets(teacher_logits.double(), temperature) for temperature in distinct]
        self.soft = torch.stack(soft, 1).float()  # (rows of the training part, temperatures, classes)
        temperatures, lams = (torch.tensor(values, dtype=torch.float32) for values in zip(*arms, strict=True))
        self.mixing = torch.zeros(len(arms), 1 + len(distinct))
        self.mixing[:, 0] = 1 - lams
        for arm, (temperature, lam) in enumerate(arms):
            self.mixing[arm, 1 + distinct.index(temperature)] = lam * temperature
        each = lambda values: values.repeat(self.seeds).view(-1, 1, 1)  # noqa: E731  (students, 1, 1)
        self.inverse_temperature = each(1 / temperatures)
        self.hard_weight, self.soft_weight = each(1 - lams), each(lams * temperatures)

    def __call__(self, logits: Tensor, batch: Tensor, rows: Tensor) -> Tensor:
        """Logits (students, classes, batch) → gradient of the same shape; batch and rows are (seeds, batch)."""
        size = batch.shape[1]
        labels = self.labels.gather(1, batch)
        basis = torch.empty(self.seeds, self.mixing.shape[1], self.classes, size)
        basis[:, 0] = labels[:, None] == torch.arange(self.classes)[:, None]  # one-hot; all zero where unlabelled
        basis[:, 1:] = self.soft[rows].permute(0, 2, 3, 1)
        basis[:, 1:] /= size
        hard = torch.softmax(logits, 1)
        if self.all_labelled:
            basis[:, 0] /= size
            hard *= self.hard_weight / size
        else:  # the hard part is the mean over the labelled examples
            labelled = labels != UNLABELLED
            share = labelled / labelled.sum(1, keepdim=True).clamp(min=1)  # (seeds, batch)
            basis[:, 0] *= share[:, None]
            hard *= self.hard_weight
            hard.view(self.seeds, -1, self.classes, size).mul_(share[:, None, None])
        target = self.mixing @ basis.flatten(2)  # (seeds, arms, classes · batch)
        gradient = torch.softmax(logits * self.inverse_temperature, 1)
        return gradient.mul_(self.soft_weight / size).add_(hard).sub_(target.view_as(gradient))


class _StackedMLP:
    """Multilayer perceptrons of one shape, forward and backward written out, all weights in one flat buffer."""

    examples_at_once = 512  # when predicting: bounds the memory of hidden layers

    def __init__(self, starts: list[nn.Module], arms: int):
        layers = _linear_layers(starts[0])
        self.names = [name for name, _ in starts[0].named_parameters()]
        self.seeds, self.arms = len(starts), arms
        students = self.seeds * arms
        shapes = [(students, *layer.weight.shape) for layer in layers] + [
            (students, layer.out_features, 1) for layer in layers
        ]
        sizes = [int(np.prod(shape)) for shape in shapes]
        self.flat = torch.empty(sum(sizes))
        self.flat.grad = torch.empty_like(self.flat)
        views = [part.view(shape) for part, shape in zip(self.flat.split(sizes), shapes, strict=True)]
        grads = [part.view(shape) for part, shape in zip(self.flat.grad.split(sizes), shapes, strict=True)]
        depth = len(layers)
        self.weights, self.biases = views[:depth], views[depth:]
        self.weight_grads, self.bias_grads = grads[:depth], grads[depth:]
        for s, start in enumerate(starts):
            of_seed = slice(s * arms, (s + 1) * arms)
            for layer, weight, bias in zip(_linear_layers(start), self.weights, self.biases, strict=True):
                weight[of_seed] = layer.weight.detach()
                bias[of_seed] = layer.bias.detach()[:, None]
        all_weights = sum(sizes[:depth])  # weights come first in the buffer, so that the penalty is one slice
        penalised = self.flat[:all_weights]
        penalised.grad = self.flat.grad[:all_weights]
        self.parameters, self.penalised = [self.flat], [penalised]
        self.activations: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """Examples (seeds, batch, …) → logits (students, classes, batch)."""
        self.x = x.flatten(2)  # (seeds, batch, features)
        self.activations = self._layers(self.x)
        return self.activations.pop()

    def predict(self, x: Tensor) -> Tensor:
        """The same examples (n, …) for all students → logits (students, classes, n)."""
        return self._layers(x.flatten(1).expand(self.seeds, -1, -1))[-1]

    def _layers(self, x: Tensor) -> list[Tensor]:
        """The output of each layer, (students, width, batch): hidden ones after their ReLU, then the logits."""
        # Students of a seed share x, so that their first layer is one product: (arms · hidden, features) @ (features, batch)
        first, bias = self._by_seed(self.weights[0]), self._by_seed(self.biases[0])
        outputs = [torch.baddbmm(bias, first, x.transpose(1, 2)).view(len(self.weights[0]), -1, x.shape[1])]
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            outputs.append(torch.baddbmm(bias, weight, outputs[-1].relu_()))
        return outputs

    def backward(self, gradient: Tensor) -> None:
        """Write the gradients of all weights, from that at the logits (students, classes, batch)."""
        for layer in range(len(self.weights) - 1, 0, -1):
            below = self.activations[layer - 1]
            torch.bmm(gradient, below.transpose(1, 2), out=self.weight_grads[layer])
            torch.sum(gradient, 2, keepdim=True, out=self.bias_grads[layer])
            gradient = torch.bmm(self.weights[layer].transpose(1, 2), gradient)
            gradient = torch.ops.aten.threshold_backward(gradient, below, 0)
        torch.sum(gradient, 2, keepdim=True, out=self.bias_grads[0])
        torch.bmm(self._by_seed(gradient), self.x, out=self._by_seed(self.weight_grads[0]))

    def _by_seed(self, stacked: Tensor) -> Tensor:
        """(students, width, …) → (seeds, arms · width, …)"""
        return stacked.view(self.seeds, -1, stacked.shape[-1])

    def state(self) -> dict[str, Tensor]:
        pairs = zip(self.weights, self.biases, strict=True)
        stacked = [part for weight, bias in pairs for part in (weight, bias.squeeze(2))]
        return {
            name: part.unflatten(0, (self.seeds, self.arms)) for name, part in zip(self.names, stacked, strict=True)
        }


def _linear_layers(model: nn.Module) -> list[nn.Linear]:
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear)]


class _StackedModules:
    """Modules of any kind, stacked by ``torch.func``, with PyTorch's own gradients: convolutional students."""

    examples_at_once = 128

    def __init__(self, starts: list[nn.Module], arms: int):
        self.seeds, self.arms, self.module = len(starts), arms, starts[0]
        of_seeds, _ = stack_module_state(starts)  # (seeds, …)
        self.stacked = {
            name: part.detach()[:, None].repeat(1, arms, *[1] * (part.ndim - 1)).requires_grad_()
            for name, part in of_seeds.items()
        }  # (seeds, arms, …)
        self.parameters = list(self.stacked.values())
        self.penalised = [part for part in self.parameters if part[0, 0].ndim >= 2]

    def forward(self, x: Tensor) -> Tensor:
        """Examples (seeds, batch, …) → logits (students, classes, batch)."""
        self.logits = self._logits(x, 0).flatten(0, 1).transpose(1, 2)
        return self.logits.detach()

    def predict(self, x: Tensor) -> Tensor:
        """The same examples (n, …) for all students → logits (students, classes, n)."""
        with torch.no_grad():
            return self._logits(x, None).flatten(0, 1).transpose(1, 2)

    def _logits(self, x: Tensor, seeds_of_x: int | None) -> Tensor:
        def one(parameters: dict[str, Tensor], some: Tensor) -> Tensor:
            return functional_call(self.module, parameters, (some,))

        return vmap(vmap(one, (0, None)), (0, seeds_of_x))(self.stacked, x)  # (seeds, arms, batch, classes)

    def backward(self, gradient: Tensor) -> None:
        """Write the gradients of all weights, from that at the logits (students, classes, batch)."""
        for parameter in self.parameters:
            parameter.grad = None
        self.logits.backward(gradient)

    def state(self) -> dict[str, Tensor]:
        return {name: part.detach() for name, part in self.stacked.items()}
