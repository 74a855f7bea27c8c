"""The contestants of the race: ways to distil the same students, each as its users write it.

Data, teacher, architecture, first weights, batch size, optimizer, schedule, and validation accuracy after every epoch are
the same for all. Libraries that the toolkit does not need are imported where they are used: they live in an environment
of their own (``bench.peers``).
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from bench import bound
from toolkit import metrics, models
from toolkit.data import load, seeded_generator
from toolkit.grid import train_grid
from toolkit.training import Recipe, Teacher, train_student, train_teacher

Setting = tuple[float, float]  # (T, λ) of one student


@dataclass(frozen=True)
class Round:
    """What one timed round gave: seconds, and the test accuracy of each student, in the order of the settings."""

    seconds: float
    accuracies: list[float]


Trainer = Callable[[list[Setting], int], Round]  # called with the settings of the students, and the number of epochs


@dataclass(frozen=True)
class Contestant:
    """A way to train students. ``prepare`` does what need not be done again for every round."""

    title: str
    prepare: Callable[[], Trainer]
    students: int = 64  # in each round; slow ones train a few of the 64
    is_peer: bool = False  # runs in the peers' environment
    threads: int | None = None  # None: torch's default, unless the code that is timed sets its own
    remark: str = ""


# ---- One student after another -------------------------------------------------------------------------------


TrainOne = Callable[[Teacher, float, float, int], float]  # (teacher, T, λ, epochs) → test accuracy


def _one_by_one(train: TrainOne, data: str = "digits") -> Callable[[], Trainer]:
    """Make a contestant of a function that trains one student."""

    def prepare() -> Trainer:
        teacher = cached_teacher(data)

        def train_all(settings: list[Setting], epochs: int) -> Round:
            start = time.perf_counter()
            accuracies = [train(teacher, temperature, lam, epochs) for temperature, lam in settings]
            return Round(time.perf_counter() - start, accuracies)

        return train_all

    return prepare


def cached_teacher(data: str = "digits") -> Teacher:
    """Give the usual teacher of a data set; it is trained where the cache has none."""
    return train_teacher(load(data), progress=lambda done, total: None)


def spelled_out_loss(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, temperature: float, lam: float
) -> Tensor:
    """Hinton's loss as tutorials print it."""
    soft = F.kl_div(
        F.log_softmax(student_logits / temperature, dim=1),
        F.softmax(teacher_logits / temperature, dim=1),
        reduction="batchmean",
    )
    return (1 - lam) * F.cross_entropy(student_logits, labels) + lam * temperature**2 * soft


def torchdistill_loss(temperature: float, lam: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Make torchdistill's KDLoss; its alpha is the weight of the *hard* part. (At alpha = 0 it leaves T² out: not used.)"""
    kd_loss = _kd_loss(temperature, lam)

    def loss(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        return kd_loss({".": {"output": student_logits}}, {".": {"output": teacher_logits}}, labels)

    return loss


def _kd_loss(temperature: float, lam: float) -> nn.Module:
    from torchdistill.losses.mid_level import KDLoss

    return KDLoss(".", "output", ".", "output", temperature=temperature, alpha=1 - lam, reduction="batchmean")


def _tutorial(teacher: Teacher, temperature: float, lam: float, epochs: int) -> float:
    def loss(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        return spelled_out_loss(student_logits, teacher_logits, labels, temperature, lam)

    return _loop_with_teacher(teacher, loss, epochs)


def _tutorial_with_torchdistill(teacher: Teacher, temperature: float, lam: float, epochs: int) -> float:
    return _loop_with_teacher(teacher, torchdistill_loss(temperature, lam), epochs)


def _loop_with_teacher(teacher: Teacher, loss_of: Callable[[Tensor, Tensor, Tensor], Tensor], epochs: int) -> float:
    """The loop of the tutorials: a DataLoader, and the teacher's forward in every step."""
    dataset, recipe = teacher.dataset, Recipe(epochs=epochs)
    student = models.build("mlp-32", dataset, seed=0)
    loader = _loader(recipe, dataset.x_train, dataset.y_train)
    optimizer, schedule = recipe.optimizer_for(list(student.parameters()), len(dataset.x_train))
    teacher.model.eval()
    for _ in range(recipe.epochs):
        student.train()
        for x, labels in loader:
            with torch.no_grad():
                teacher_logits = teacher.model(x)
            loss = loss_of(student(x), teacher_logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        _accuracy(student, dataset.x_val, dataset.y_val)
    return _accuracy(student, dataset.x_test, dataset.y_test)


def _loop_with_cached_logits(teacher: Teacher, temperature: float, lam: float, epochs: int) -> float:
    """The same loop, but the DataLoader brings the teacher's logits along."""
    dataset, recipe = teacher.dataset, Recipe(epochs=epochs)
    student = models.build("mlp-32", dataset, seed=0)
    loader = _loader(recipe, dataset.x_train, dataset.y_train, teacher.train_logits)
    optimizer, schedule = recipe.optimizer_for(list(student.parameters()), len(dataset.x_train))
    for _ in range(recipe.epochs):
        student.train()
        for x, labels, teacher_logits in loader:
            loss = spelled_out_loss(student(x), teacher_logits, labels, temperature, lam)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        _accuracy(student, dataset.x_val, dataset.y_val)
    return _accuracy(student, dataset.x_test, dataset.y_test)


def _loader(recipe: Recipe, *tensors: Tensor) -> DataLoader:
    order = seeded_generator(0, "batches")
    return DataLoader(TensorDataset(*tensors), batch_size=recipe.batch_size, shuffle=True, generator=order)


@torch.no_grad()
def _accuracy(student: nn.Module, x: Tensor, labels: Tensor) -> float:
    student.eval()
    return metrics.accuracy(student(x), labels)


def _plain(student: str) -> TrainOne:
    """Our own loop, as the toolkit's users call it."""

    def train(teacher: Teacher, temperature: float, lam: float, epochs: int) -> float:
        return train_student(
            teacher.dataset,
            student=student,
            temperature=temperature,
            lam=lam,
            recipe=Recipe(epochs=epochs),
            teacher=teacher,
        ).test_accuracy

    return train


# ---- torchdistill's DistillationBox --------------------------------------------------------------------------


def _distillation_box(teacher: Teacher, temperature: float, lam: float, epochs: int) -> float:
    """torchdistill's own loop, set up by its dictionaries: what its YAML files hold."""
    _stand_in_for_torchvision()
    from torchdistill.core.distillation import DistillationBox

    dataset, recipe = teacher.dataset, Recipe(epochs=epochs)
    student = models.build("mlp-32", dataset, seed=0)
    optimizer, schedule = recipe.optimizer_for(list(student.parameters()), len(dataset.x_train))
    config = {
        "num_epochs": recipe.epochs,
        "train_data_loader": {
            "dataset_id": "train",
            "sampler": {"class_or_func": RandomSampler, "kwargs": {"generator": seeded_generator(0, "batches")}},
            "kwargs": {"batch_size": recipe.batch_size},
        },
        "teacher": {"forward_proc": "forward_batch_only", "requires_grad": False},
        "student": {"forward_proc": "forward_batch_only"},
        "criterion": {
            "key": "WeightedSumLoss",
            "kwargs": {"sub_terms": {"kd": {"criterion": _kd_loss(temperature, lam), "weight": 1.0}}},
        },
    }
    datasets = {"train": TensorDataset(dataset.x_train, dataset.y_train)}
    teacher.model.eval()
    box = DistillationBox(teacher.model, student, datasets, config, torch.device("cpu"), None, False, 1.0)
    # Its registries build both by name; the same objects as everywhere keep the settings equal.
    box.optimizer, box.lr_scheduler, box.scheduling_step = optimizer, schedule, 1
    box.grad_accum_step, box.max_grad_norm = 1, None
    for epoch in range(recipe.epochs):
        box.pre_epoch_process(epoch=epoch)
        for x, labels, extra in box.train_data_loader:
            box.pre_forward_process()
            box.post_forward_process(loss=box.forward_process(x, labels, extra))
        box.post_epoch_process()
        _accuracy(student, dataset.x_val, dataset.y_val)
    box.clean_modules()
    return _accuracy(student, dataset.x_test, dataset.y_test)


def _stand_in_for_torchvision() -> None:
    """Let torchdistill's core be imported: it names classes of torchvision for models that do not take part here."""
    names = {"": (), ".datasets": (), ".models": (), ".models.densenet": ("_DenseBlock", "_Transition")}
    for name, members in {**names, ".models.resnet": ("BasicBlock", "conv1x1")}.items():
        module = sys.modules.setdefault(f"torchvision{name}", ModuleType(f"torchvision{name}"))
        for member in members:
            setattr(module, member, type(member, (), {}))
    sys.modules["torchvision"].models = sys.modules["torchvision.models"]  # type: ignore[attr-defined]


# ---- Keras ---------------------------------------------------------------------------------------------------


def _keras(teacher: Teacher, temperature: float, lam: float, epochs: int) -> float:
    """``keras.distillation`` on PyTorch. Its loss is w·CE + (1 − w)·T²·KL, ours with w = 1 − λ.

    The KL must be given as an object: by its default, the string "kl_divergence", Keras 3.15.1 takes the KL of the *logits*,
    without softmax and without T², and the student learns nothing.
    """
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    class OneCycle(keras.callbacks.Callback):
        """Sets learning rate and momentum before every step, to what PyTorch's schedule gives the others."""

        def __init__(self) -> None:
            super().__init__()
            self.torch_optimizer, self.schedule = recipe.optimizer_for([torch.zeros(1)], len(dataset.x_train))

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            group = self.torch_optimizer.param_groups[0]
            self.model.optimizer.learning_rate, self.model.optimizer.beta_1 = group["lr"], group["betas"][0]

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.torch_optimizer.step()  # without gradients it changes nothing; the schedule wants it to be called
            self.schedule.step()

    dataset, recipe = teacher.dataset, Recipe(epochs=epochs)
    keras.utils.set_random_seed(0)
    keras_teacher = keras.Sequential(
        [keras.Input(dataset.input_shape), keras.layers.TorchModuleWrapper(teacher.model.eval())]
    )
    student = keras.Sequential(
        [
            keras.Input(dataset.input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(dataset.classes),
        ]
    )
    start = models.build("mlp-32", dataset, seed=0)
    student.set_weights([part.detach().numpy().T for part in start.parameters()])
    soft_loss = keras.distillation.LogitsDistillation(temperature, loss=keras.losses.KLDivergence())
    distiller = keras.distillation.Distiller(keras_teacher, student, soft_loss, student_loss_weight=1 - lam)
    distiller.compile(
        keras.optimizers.AdamW(weight_decay=recipe.weight_decay, epsilon=1e-8),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    distiller.fit(
        dataset.x_train.numpy(),
        dataset.y_train.numpy(),
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        validation_data=(dataset.x_val.numpy(), dataset.y_val.numpy()),
        validation_batch_size=len(dataset.x_val),
        callbacks=[OneCycle()],
        verbose=0,
    )
    test_logits = student.predict(dataset.x_test.numpy(), batch_size=len(dataset.x_test), verbose=0)
    return metrics.accuracy(torch.from_numpy(test_logits), dataset.y_test)


# ---- All students at once ------------------------------------------------------------------------------------


def _vmap() -> Trainer:
    """What an expert writes first: modules stacked by ``torch.func``, autograd, batches by index, cached logits."""
    teacher = cached_teacher()
    dataset = teacher.dataset
    module = models.build("mlp-32", dataset, seed=0)

    def forward(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(module, parameters, (x,))

    def loss(
        parameters: dict[str, Tensor],
        x: Tensor,
        teacher_logits: Tensor,
        labels: Tensor,
        temperature: Tensor,
        lam: Tensor,
    ) -> Tensor:
        return spelled_out_loss(forward(parameters, x), teacher_logits, labels, temperature, lam)  # type: ignore[arg-type]

    gradients_of = vmap(grad(loss), (0, None, None, None, 0, 0))
    predict = torch.no_grad()(vmap(forward, (0, None)))

    def train_all(settings: list[Setting], epochs: int) -> Round:
        begin = time.perf_counter()
        recipe = Recipe(epochs=epochs)
        temperatures, lams = torch.tensor(settings).unbind(1)
        parameters, _ = stack_module_state([models.build("mlp-32", dataset, seed=0) for _ in settings])
        optimizer, schedule = recipe.optimizer_for(list(parameters.values()), len(dataset.x_train))
        order = seeded_generator(0, "batches")
        for _ in range(recipe.epochs):
            for batch in torch.randperm(len(dataset.x_train), generator=order).split(recipe.batch_size):
                x, teacher_logits, labels = dataset.x_train[batch], teacher.train_logits[batch], dataset.y_train[batch]
                gradients = gradients_of(parameters, x, teacher_logits, labels, temperatures, lams)
                for name, parameter in parameters.items():
                    parameter.grad = gradients[name]
                optimizer.step()
                schedule.step()
            (predict(parameters, dataset.x_val).argmax(-1) == dataset.y_val).float().mean(-1)
        right = predict(parameters, dataset.x_test).argmax(-1) == dataset.y_test  # (students, examples)
        return Round(time.perf_counter() - begin, right.float().mean(-1).tolist())

    return train_all


def _grid(student: str = "mlp-32", seeds: int = 1, data: str = "digits") -> Callable[[], Trainer]:
    """One ``train_grid`` call; accuracies come in the order (T, λ, seed)."""

    def prepare() -> Trainer:
        teacher = cached_teacher(data)

        def train_all(settings: list[Setting], epochs: int) -> Round:
            temperatures, lams = (list(dict.fromkeys(values)) for values in zip(*settings, strict=True))
            start = time.perf_counter()
            result = train_grid(
                teacher.dataset,
                student=student,
                temperatures=temperatures,
                lams=lams,
                seeds=seeds,
                epochs=epochs,
                teacher=teacher,
            )
            return Round(time.perf_counter() - start, result.accuracy.flatten().tolist())

        return train_all

    return prepare


def _bound(hidden: int) -> Callable[[], Trainer]:
    """The bare matrix products of the grid's work: no training, so no accuracy."""

    def prepare() -> Trainer:
        dataset = load("digits")

        def multiply(settings: list[Setting], epochs: int) -> Round:
            seconds = bound.seconds(
                students=len(settings),
                hidden=hidden,
                features=dataset.x_train[0].numel(),
                classes=dataset.classes,
                examples=len(dataset.x_train),
                validation=len(dataset.x_val),
                test=len(dataset.x_test),
                epochs=epochs,
                temperatures=len({temperature for temperature, _ in settings}),
            )
            return Round(seconds, [])

        return multiply

    return prepare


CONTESTANTS = {
    "tutorial": Contestant("tutorial-style loop", _one_by_one(_tutorial), students=2),
    "tutorial-1": Contestant("tutorial-style loop, one thread", _one_by_one(_tutorial), students=2, threads=1),
    "cached": Contestant("tutorial-style loop, cached logits", _one_by_one(_loop_with_cached_logits), students=2),
    "kdloss": Contestant(
        "torchdistill's KDLoss in that loop", _one_by_one(_tutorial_with_torchdistill), students=2, is_peer=True
    ),
    "box": Contestant(
        "torchdistill's DistillationBox",
        _one_by_one(_distillation_box),
        students=2,
        is_peer=True,
        remark="torchvision, which it imports but does not need here, is replaced by empty classes",
    ),
    "keras": Contestant(
        "keras.distillation on PyTorch",
        _one_by_one(_keras),
        students=1,
        is_peer=True,
        remark="batches in Keras' own order; its KL as an object, because the default takes that of the bare logits",
    ),
    "vmap": Contestant("torch.func.vmap over stacked modules", _vmap),
    "plain": Contestant("our plain loop", _one_by_one(_plain("mlp-32")), students=4),
    "grid": Contestant("our grid", _grid()),
    "grid-640": Contestant("our grid, 10 seeds", _grid(seeds=10)),
    "bound": Contestant("bound: the bare matrix products", _bound(32)),
    "grid-128": Contestant("our grid, hidden 128", _grid("mlp-128")),
    "bound-128": Contestant("bound: the bare matrix products, hidden 128", _bound(128)),
    "plain-cnn": Contestant("our plain loop, cnn-16", _one_by_one(_plain("cnn-16"), "mnist1d"), students=4),
    "grid-cnn": Contestant("our grid, cnn-16", _grid("cnn-16", data="mnist1d")),
}
