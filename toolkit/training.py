"""Train one model, plainly: the loop that a lesson shows, and the reference that the fast grid is tested against.

The teacher is trained once and cached with its logits; a student then learns from the teacher's logits, which
are computed once, in eval mode and without gradients. Training stops when its epochs are used up, *or* when a
stated target is reached (the article's fourth step), and says which.
"""

import contextlib
import copy
import functools
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from toolkit import losses, machine, metrics, models, scenarios, store
from toolkit.data import Dataset, load, seeded_generator
from toolkit.scenarios import Scenario

Progress = Callable[[int, int], None]  # called with (epochs done, epochs in all)
BatchLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]  # of examples, labels and the teacher's logits of a batch
Ending = Literal["epochs", "target", "stop", "time", "memory"]
Result = TypeVar("Result")
MANY_EXAMPLES = 10_000


class TrainingDiverged(RuntimeError):  # noqa: N818  reads better where it is raised
    """The loss left the finite numbers; the message says at which epoch, and what to try."""

    def __init__(self, what: str, epoch: int):
        super().__init__(
            f"{what} diverged in epoch {epoch}: its numbers are no longer finite. "
            "Try a smaller learning rate, a smaller penalty weight, or a temperature nearer to 1"
        )


_USUAL_LEARNING_RATE = {"adamw": 0.005, "sgd": 0.1}


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. Teacher, plain loop and grid share it, so that comparisons are fair.

    ``learning_rate`` is the peak of PyTorch's one-cycle schedule; without one, a usual value for the optimizer.
    """

    epochs: int = 40
    batch_size: int = 64
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float | None = None
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
            object.__setattr__(self, name, int(value))  # numpy's whole numbers are welcome, and end here
        if self.optimizer not in ("adamw", "sgd"):
            raise ValueError(f"unknown optimizer {self.optimizer!r}; known are adamw, sgd")
        if self.learning_rate is not None and not 0 < self.learning_rate < float("inf"):
            raise ValueError(f"learning_rate must be a finite number above 0, not {self.learning_rate!r}")
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError(f"weight_decay must be a finite number of at least 0, not {self.weight_decay!r}")

    def optimizer_for(
        self, parameters: list[Tensor], examples: int
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """Make the optimizer and its one-cycle schedule (Smith & Topin 2018) over all steps of the training."""
        peak = self.learning_rate or _USUAL_LEARNING_RATE[self.optimizer]
        optimizer: torch.optim.Optimizer
        if self.optimizer == "adamw":
            optimizer = torch.optim.AdamW(parameters, peak, weight_decay=self.weight_decay, fused=True)
        else:
            optimizer = torch.optim.SGD(parameters, peak, momentum=0.9, weight_decay=self.weight_decay)
        steps = self.epochs * -(-examples // self.batch_size)  # rounded up: the last batch may be smaller
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps)


@dataclass(frozen=True)
class Budget:
    """What a training may cost at most: seconds, and bytes of memory beyond what the process had when it began."""

    seconds: float = float("inf")
    memory_bytes: float = float("inf")

    def __post_init__(self) -> None:
        for name in ("seconds", "memory_bytes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} of a budget must be above 0, not {getattr(self, name)!r}")


@dataclass(frozen=True)
class Spent:
    """What a training cost: its budget, the seconds it took, and the most memory that it had beyond what was there before
    (0 where the budget did not limit it).
    """

    budget: Budget
    seconds: float
    memory_bytes: int

    @property
    def sentence(self) -> str:
        """Say what was spent of what."""
        memory = f", {self.memory_bytes / 1e6:.0f} MB of {self.budget.memory_bytes / 1e6:g} MB"
        return f"{self.seconds:.1f} s of {self.budget.seconds:g} s" + (
            memory if self.budget.memory_bytes < float("inf") else ""
        )


class Spending:
    """Keeps account while a training runs. Memory is looked at in every batch, where it is limited."""

    def __init__(self, budget: Budget):
        self.budget = budget
        self._start, self._before = time.perf_counter(), machine.memory_in_use()
        self._most = 0

    def look(self) -> None:
        """Look at the memory that the process has now."""
        if self.budget.memory_bytes < float("inf"):
            self._most = max(self._most, machine.memory_in_use() - self._before)

    @property
    def over(self) -> Ending | None:
        """Which part of the budget is used up, if any."""
        if time.perf_counter() - self._start >= self.budget.seconds:
            return "time"
        return "memory" if self._most >= self.budget.memory_bytes else None

    @property
    def report(self) -> Spent:
        """What was spent so far."""
        return Spent(self.budget, time.perf_counter() - self._start, self._most)


@dataclass(frozen=True)
class History:
    """What was seen after each epoch: mean training loss, validation accuracy; and why training ended."""

    loss: list[float]
    val_accuracy: list[float]
    ending: Ending
    target: float | None = None
    spent: Spent | None = field(
        default=None, compare=False
    )  # None for a training of which nothing is known but its results

    @property
    def epochs(self) -> int:
        """Number of whole epochs that were trained."""
        return len(self.val_accuracy)

    @property
    def sentence(self) -> str:
        """Say why training ended."""
        if self.ending == "target":
            assert self.target is not None
            return f"stopped after epoch {self.epochs}: the target of {self.target:.1%} validation accuracy is reached"
        if self.ending == "stop":
            return f"stopped by hand after epoch {self.epochs}"
        if self.ending in ("time", "memory"):
            assert self.spent is not None
            return f"stopped after epoch {self.epochs}, at the end of its {self.ending} budget: {self.spent.sentence}"
        ended = f"ended after its budget of {self.epochs} epochs"
        return ended if self.target is None else f"{ended}, below the target of {self.target:.1%} validation accuracy"


def _placed(work: Callable[..., Result]) -> Callable[..., Result]:
    """Let the model visit the chosen device, and use one thread where there are few examples.

    Model and examples come first among the arguments. With one thread sums keep one order, so that a seed gives the same
    numbers on the same machine whatever the caller's number of threads. Small networks gain nothing from more, and lose
    much on a busy machine. On a GPU a model serves one thread at a time, as it moves there and back.
    """

    @functools.wraps(work)
    def placed(model: nn.Module, x: Tensor, *others: Any, **options: Any) -> Result:
        home = next(model.parameters(), x).device
        model.to(machine.device())
        try:
            with machine.threads(1) if len(x) < MANY_EXAMPLES else contextlib.nullcontext():
                return work(model, x, *others, **options)
        finally:
            model.to(home)

    return placed


@_placed
def fit(
    model: nn.Module,
    x: Tensor,
    labels: Tensor,
    teacher_logits: Tensor | None,
    recipe: Recipe,
    *,
    validation: tuple[Tensor, Tensor],
    temperature: float = 1.0,
    lam: float = 0.0,
    penalty_weight: float = 0.0,
    norm: str = "l2",
    batch_loss: BatchLoss | None = None,
    also_train: nn.Module | None = None,
    seed: int = 0,
    target: float | None = None,
    spending: "Spending | None" = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    name: str = "the model",
) -> History:
    """Train a model in place: the loop itself, which trusts T, λ, λ_f and norm to have been checked.

    Parameters
    ----------
    x, labels, teacher_logits : shapes (n, ...), (n,) and (n, classes), which belong together by row
        Without teacher logits the model learns from the labels alone.
    validation : examples and labels on which accuracy is measured after each epoch
    batch_loss : another loss in place of (1 − λ)·CE + λ·T²·KL, which runs the model itself
    also_train : what such a loss trains along with the model: a projection, or a peer
    spending : the account of a budget, at the end of which training ends with what it has

    Raises
    ------
    ValueError
        If the target is not an accuracy.
    TrainingDiverged
        If loss or validation logits leave the finite range.
    """
    if target is not None and not 0 < target <= 1:
        raise ValueError(f"target must be a validation accuracy above 0 and at most 1, not {target!r}")
    spending = spending or Spending(Budget())
    device = machine.device()
    x, labels, val_x, val_labels = (part.to(device) for part in (x, labels, *validation))
    teacher_logits = None if teacher_logits is None else teacher_logits.to(device)
    trained = nn.ModuleList([model] if also_train is None else [model, also_train.to(device)])
    optimizer, schedule = recipe.optimizer_for(list(trained.parameters()), len(x))
    order = seeded_generator(seed, "batches")
    history = History([], [], "epochs", target)
    for epoch in range(1, recipe.epochs + 1):
        trained.train()
        losses_of_epoch = []
        for batch in torch.randperm(len(x), generator=order).to(device).split(recipe.batch_size):
            over: Ending | None = "stop" if stop is not None and stop.is_set() else spending.over
            if over:
                trained.eval()
                return replace(history, ending=over, spent=spending.report)
            soft_target_logits = None if teacher_logits is None else teacher_logits[batch]
            if batch_loss is not None:
                loss = batch_loss(x[batch], labels[batch], soft_target_logits)
            else:
                loss = losses.mixed_loss(model(x[batch]), soft_target_logits, labels[batch], temperature, lam)
            if penalty_weight:
                loss = loss + penalty_weight * losses.complexity_penalty(model, norm)
            spending.look()  # now, as everything that the backward pass needs is in memory
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses_of_epoch.append(loss.detach())
        trained.eval()
        val_logits = predict(model, val_x)
        mean_loss = torch.stack(losses_of_epoch).mean().item()
        if not np.isfinite(mean_loss) or not torch.isfinite(val_logits).all():
            raise TrainingDiverged(name, epoch)
        history.loss.append(mean_loss)
        history.val_accuracy.append(metrics.accuracy(val_logits, val_labels))
        if progress is not None:
            progress(epoch, recipe.epochs)
        if target is not None and history.val_accuracy[-1] >= target:
            return replace(history, ending="target", spent=spending.report)
    return replace(history, spent=spending.report)


def fit_within(
    budget: Budget | None,
    model: nn.Module,
    x: Tensor,
    labels: Tensor,
    teacher_logits: Tensor | None,
    recipe: Recipe,
    *,
    also_train: nn.Module | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> History:
    """Train as ``fit`` does, within a budget, if there is one.

    An epoch on trial says how many epochs, at most those of the recipe, the time allows, so that the schedule of the learning
    rate comes to its end; the trial counts. Then training begins anew, unless time allows no second epoch: the trial is then
    what there is.
    """
    spending = Spending(budget or Budget())
    options |= {"also_train": also_train, "spending": spending}
    train = functools.partial(fit, model, x, labels, teacher_logits, **options)
    if spending.budget.seconds == float("inf") or recipe.epochs == 1:
        return train(recipe, progress=progress)
    trained = nn.ModuleList([model] if also_train is None else [model, also_train])
    start = copy.deepcopy(trained.state_dict())
    trial = train(replace(recipe, epochs=1))
    if trial.ending != "epochs":
        return trial
    seconds = spending.report.seconds
    affordable = min(recipe.epochs, int(_OF_WHAT_IS_LEFT * (spending.budget.seconds - seconds) / seconds))
    if affordable > 1:
        trained.load_state_dict(start)
        trial = train(replace(recipe, epochs=affordable), progress=progress)
    cut_short = trial.ending == "epochs" and affordable < recipe.epochs
    return replace(trial, ending="time") if cut_short else trial


_OF_WHAT_IS_LEFT = 0.9  # a machine is not equally fast all the time


# ---- The teacher ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Teacher:
    """A trained teacher with the logits that students learn from, each of shape (examples, classes).

    Logits are computed once, when they are first asked for; those from the cache come along.
    """

    name: str
    model: nn.Module
    dataset: Dataset = field(repr=False)
    history: History = field(repr=False)
    from_cache: bool = False

    @classmethod
    def of(cls, model: nn.Module, dataset: Dataset, name: str = "your own teacher") -> "Teacher":
        """Make any module a teacher that gives finite logits, one for each class of the data set."""
        teacher = cls(name, model, dataset, History([], [], "epochs"))
        for logits in (teacher.val_logits, teacher.test_logits, teacher.train_logits):
            if logits.ndim != 2 or logits.shape[1] != dataset.classes:
                raise ValueError(
                    f"{name} gives outputs of shape {tuple(logits.shape)}, but {dataset.name!r} needs one logit for each "
                    f"of its {dataset.classes} classes"
                )
            if not torch.isfinite(logits).all():
                raise ValueError(f"{name} gives logits that are NaN or infinite")
        return teacher

    @functools.cached_property
    def train_logits(self) -> Tensor:
        """Logits of the training part."""
        return predict(self.model, self.dataset.x_train)

    @functools.cached_property
    def val_logits(self) -> Tensor:
        """Logits of the validation part."""
        return predict(self.model, self.dataset.x_val)

    @functools.cached_property
    def test_logits(self) -> Tensor:
        """Logits of the test part."""
        return predict(self.model, self.dataset.x_test)

    @property
    def val_accuracy(self) -> float:
        """Share of the validation part that it classifies rightly."""
        return metrics.accuracy(self.val_logits, self.dataset.y_val)

    @property
    def test_accuracy(self) -> float:
        """Share of the test part that it classifies rightly; for what was chosen, not for choosing."""
        return metrics.accuracy(self.test_logits, self.dataset.y_test)


@_placed
@torch.no_grad()
def predict(model: nn.Module, x: Tensor, batch_size: int = 1024) -> Tensor:
    """Logits of shape (examples, classes), in eval mode and without a graph; the model's mode is put back.

    They come on the device of the examples.
    """
    with models.in_eval_mode(model):
        return torch.cat([model(part.to(machine.device())).to(x.device) for part in x.split(batch_size)])


def usual_recipe(dataset: Dataset) -> Recipe:
    """The recipe of a teacher unless another is asked for: fewer epochs of larger batches where there are many examples."""
    if len(dataset.x_train) < MANY_EXAMPLES:
        return Recipe(epochs=30, learning_rate=0.01)
    return Recipe(epochs=7, batch_size=128, learning_rate=0.006, weight_decay=0.05)


def train_teacher(
    dataset: Dataset | str,
    model: str | None = None,
    *,
    recipe: Recipe | None = None,
    seed: int = 0,
    target: float | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    cache: bool = True,
) -> Teacher:
    """Train a teacher on the labels, or take it from the cache.

    Parameters
    ----------
    dataset : a Dataset, or a name
    model : a name such as "cnn-32"; without one, the usual teacher of the data set
    recipe : epochs, batch size, optimizer ("adamw", or "sgd" as in the article), learning rate
    target : optional validation accuracy at which training stops before its epochs are used up
    progress : called with (epochs done, epochs in all); without one, a progress bar is shown
    stop : a ``threading.Event``; once set, training ends with what it has, which is not cached
    cache : False trains anew and keeps nothing

    Raises
    ------
    ValueError
        For an unknown data set or model, or a value out of range.
    TrainingDiverged
        If the numbers leave the finite range.
    """
    dataset = load(dataset) if isinstance(dataset, str) else dataset
    name = model or models.default_teacher(dataset)
    recipe = recipe or usual_recipe(dataset)
    network = models.build(name, dataset, seed)
    key = _teacher_key(dataset, name, recipe, seed, target)
    cached = store.load(key) if cache else None
    if cached is not None and (teacher := _unpack(cached, name, dataset)) is not None:
        return teacher
    with bar_unless(progress, f"Training the teacher {name} on {dataset.name}") as report:
        history = fit(
            network,
            dataset.x_train,
            dataset.y_train,
            None,
            recipe,
            validation=(dataset.x_val, dataset.y_val),
            seed=seed,
            target=target,
            progress=report,
            stop=stop,
            name=f"the teacher {name}",
        )
    teacher = Teacher(name, network, dataset, history)
    if cache and history.ending != "stop":
        store.save(key, _pack(teacher))
    return teacher


def as_teacher(
    teacher: "Teacher | nn.Module | str | None", dataset: Dataset, stop: threading.Event | None = None
) -> Teacher:
    """Accept what callers have at hand: a Teacher, a module of their own, a model name, or nothing (the usual one)."""
    if isinstance(teacher, Teacher):
        if teacher.dataset.fingerprint != dataset.fingerprint:
            raise ValueError(f"this teacher was trained on {teacher.dataset.name!r}, not on {dataset.name!r}")
        return teacher
    if isinstance(teacher, nn.Module):
        return Teacher.of(teacher, dataset)
    return train_teacher(dataset, teacher, stop=stop)


def _teacher_key(dataset: Dataset, name: str, recipe: Recipe, seed: int, target: float | None) -> str:
    wanted = None if target is None else float(target)
    cause = json.dumps([dataset.fingerprint, name, asdict(recipe), int(seed), wanted], sort_keys=True, default=float)
    return f"teacher-{name}-{hashlib.blake2b(cause.encode(), digest_size=8).hexdigest()}"


_LOGITS = ("train_logits", "val_logits", "test_logits")


def _pack(teacher: Teacher) -> store.Arrays:
    arrays = {f"weights.{key}": value.numpy() for key, value in teacher.model.state_dict().items()}
    arrays |= {part: getattr(teacher, part).numpy() for part in _LOGITS}
    history = teacher.history
    return arrays | {
        "loss": np.array(history.loss),
        "val_accuracy": np.array(history.val_accuracy),
        "ending": np.array(history.ending),
        "target": np.array(np.nan if history.target is None else history.target),
    }


def _unpack(arrays: store.Arrays, name: str, dataset: Dataset) -> Teacher | None:
    """Build the teacher from a cache entry; None where the entry does not fit, which then counts as absent."""
    network = models.build(name, dataset, seed=0)
    try:
        weights = {
            key.removeprefix("weights."): torch.from_numpy(value)
            for key, value in arrays.items()
            if key.startswith("weights.")
        }
        network.load_state_dict(weights)
        target = float(arrays["target"])
        ending: Ending = "target" if str(arrays["ending"]) == "target" else "epochs"
        history = History(
            arrays["loss"].tolist(), arrays["val_accuracy"].tolist(), ending, None if np.isnan(target) else target
        )
        logits = {part: torch.from_numpy(arrays[part]) for part in _LOGITS}
    except (KeyError, RuntimeError, TypeError, ValueError):
        return None
    network.eval()
    teacher = Teacher(name, network, dataset, history, from_cache=True)
    teacher.__dict__.update(logits)  # where the cached properties keep what they computed
    return teacher


@contextlib.contextmanager
def bar_unless(progress: Progress | None, title: str, unit: str = "epoch") -> Iterator[Progress]:
    """Give the caller's own progress function back, or show a bar with the time left."""
    if progress is not None:
        yield progress
        return
    with tqdm(desc=title, unit=unit) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


# ---- The student ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Student:
    """A trained student, and how its training went."""

    name: str
    model: nn.Module
    dataset: Dataset = field(repr=False)
    history: History = field(repr=False)

    @property
    def val_accuracy(self) -> float:
        """Share of the validation part that it classifies rightly."""
        return metrics.accuracy(predict(self.model, self.dataset.x_val), self.dataset.y_val)

    @property
    def test_accuracy(self) -> float:
        """Share of the test part that it classifies rightly; for what was chosen, not for choosing."""
        return metrics.accuracy(predict(self.model, self.dataset.x_test), self.dataset.y_test)


def train_student(
    dataset: Dataset | str,
    scenario: Scenario | str = "all-labels",
    student: str = "mlp-32",
    *,
    temperature: float = 4.0,
    lam: float = 0.9,
    penalty_weight: float = 0.0,
    norm: str = "l2",
    recipe: Recipe | None = None,
    seed: int = 0,
    teacher: Teacher | nn.Module | str | None = None,
    target: float | None = None,
    budget: Budget | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Student:
    """Distil one student: (1 − λ)·CE + λ·T²·KL + λ_f·L_f. With λ = 0 it learns from the labels alone.

    Parameters
    ----------
    dataset, scenario : names, or the objects
    student : a name such as "mlp-32"
    temperature, lam, penalty_weight, norm : T, λ, λ_f, and "l1" or "l2"
    seed : draws the first weights, the order of the batches, and the scenario's subset or noise
    teacher : a Teacher, any module that returns logits, a model name, or None for the usual (cached) teacher
    budget : time and memory that the training may take (``fit_within``)
    target, progress, stop : as for ``train_teacher``; without a progress function it works silently

    Raises
    ------
    ValueError
        For an unknown name, or a value out of range.
    TrainingDiverged
        If the numbers leave the finite range.
    """
    losses.check_temperature(temperature)
    losses.check_lam(lam)
    losses.check_penalty_weight(penalty_weight)
    losses.check_norm(norm)
    dataset = load(dataset) if isinstance(dataset, str) else dataset
    scenario = scenarios.get(scenario) if isinstance(scenario, str) else scenario
    network = models.build(student, dataset, seed)
    transfer = scenario.draw(dataset, seed)
    teacher_logits = None if lam == 0 else as_teacher(teacher, dataset, stop).train_logits[transfer.indices]
    history = fit_within(
        budget,
        network,
        dataset.x_train[transfer.indices],
        transfer.labels,
        teacher_logits,
        recipe or Recipe(),
        validation=(dataset.x_val, dataset.y_val),
        temperature=temperature,
        lam=lam,
        penalty_weight=penalty_weight,
        norm=norm,
        seed=seed,
        target=target,
        progress=progress,
        stop=stop,
        name=f"the student {student} (T = {temperature:g}, λ = {lam:g}, λ_f = {penalty_weight:g}, seed {seed})",
    )
    return Student(student, network, dataset, history)
