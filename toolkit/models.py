"""Teachers and students by name, and what each costs in parameters, bytes and multiply-adds.

All of them return logits: the softmax belongs to the loss.
"""

import math
import re
from collections.abc import Callable

import torch
from torch import Tensor, nn

from toolkit.data import Dataset, seeded_generator

_STUDENTS = ("mlp-8", "mlp-16", "mlp-32", "mlp-64", "mlp-128", "mlp-512", "mlp-32-32", "cnn-4", "cnn-8", "cnn-16")
_TEACHERS = ("cnn-32", "cnn-16", "mlp-512", "mlp-256-256")
_GRAMMAR = "mlp-WIDTH (one hidden layer), mlp-WIDTH-WIDTH (two hidden layers) or cnn-CHANNELS, with whole numbers of at least 1"


def names(role: str = "student") -> list[str]:
    """List the usual models of a role, "teacher" or "student". Any other width works too: "mlp-48"."""
    if role not in ("teacher", "student"):
        raise ValueError(f"unknown role {role!r}; known are teacher, student")
    return list(_TEACHERS if role == "teacher" else _STUDENTS)


def default_teacher(dataset: Dataset) -> str:
    """Name the teacher that a data set gets unless another is asked for."""
    return "mlp-512" if dataset.kind == "table" else "cnn-32"


def build(name: str, dataset: Dataset, seed: int | None = None) -> nn.Module:
    """Build a model by name, with fresh weights; it maps (batch, *input_shape) to logits (batch, classes).

    Parameters
    ----------
    name : "mlp-32", "mlp-64-64", "cnn-16", …
        One hidden layer of 32; two of 64; convolutions of 16 channels. Any width.
    seed : optional
        Draws the weights; without it they come from PyTorch's global generator.

    Raises
    ------
    ValueError
        For a name that is not of this form, or convolutions on a table.
    """
    sizes = _parse(name)
    make: Callable[[list[int], tuple[int, ...], int], nn.Sequential]
    if name.startswith("mlp"):
        make = _mlp
    elif len(dataset.input_shape) == 3:
        make = _cnn_images
    elif len(dataset.input_shape) == 2:
        make = _cnn_signals
    else:
        raise ValueError(f"{name!r} needs images or signals, but {dataset.name!r} is a table; try mlp-32")
    with torch.device("meta"):  # no weights yet: PyTorch's own start would draw from the global generator
        model = make(sizes, dataset.input_shape, dataset.classes)
    model.to_empty(device="cpu")
    _draw_weights(model, torch.default_generator if seed is None else seeded_generator(seed, "weights"))
    return model


def _parse(name: str) -> list[int]:
    if not isinstance(name, str) or not re.fullmatch(r"mlp(-[1-9]\d{0,4}){1,2}|cnn-[1-9]\d{0,3}", name):
        raise ValueError(f"unknown model {name!r}; known are {_GRAMMAR}, for example {', '.join(_STUDENTS)}")
    return [int(size) for size in name.split("-")[1:]]


def _mlp(widths: list[int], input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = math.prod(input_shape)
    for width in widths:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


def _cnn_images(sizes: list[int], input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    (channels,), (inputs, height, width) = sizes, input_shape
    large = min(height, width) >= 16  # small images keep their size for the second layer
    shrunk = 4 if large else 2
    return nn.Sequential(
        nn.Conv2d(inputs, channels, 3, padding=1),
        nn.ReLU(),
        *([nn.MaxPool2d(2)] if large else []),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * channels * (height // shrunk) * (width // shrunk), classes),
    )


def _cnn_signals(sizes: list[int], input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    (channels,), (inputs, length) = sizes, input_shape
    for _ in range(3):  # each layer halves the length, rounded up
        length = (length + 1) // 2
    return nn.Sequential(
        nn.Conv1d(inputs, channels, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv1d(channels, channels, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv1d(channels, channels, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(channels * length, classes),
    )


def _draw_weights(model: nn.Module, generator: torch.Generator) -> None:
    """PyTorch's usual start (uniform within ±1/√fan_in), from a generator of our own."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            assert layer.bias is not None
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)


def count_parameters(model: nn.Module) -> int:
    """Count the numbers that training adjusts."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def count_bytes(model: nn.Module) -> int:
    """Count the bytes of parameters and buffers as stored, before any compression."""
    tensors: list[Tensor] = [*model.parameters(), *model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def count_multiply_adds(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Count multiply-add operations of linear and convolutional layers for one example.

    A layer uses each of its weights once for every position of its output: 1 for a linear layer.
    """
    total = 0

    def count(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        positions = math.prod(output.shape[2:])  # (1, channels, *positions)
        total += layer.get_parameter("weight").numel() * positions

    hooks = [
        layer.register_forward_hook(count)
        for layer in model.modules()
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)
    ]
    try:
        with torch.no_grad():
            model(torch.zeros(1, *input_shape))
    finally:
        for hook in hooks:
            hook.remove()
    return total
