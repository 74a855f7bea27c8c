"""Teachers and students by name, and what each costs in parameters, bytes and multiply-adds.

All of them return logits: the softmax belongs to the loss.
"""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from toolkit.data import Dataset, seeded_generator

_STUDENTS = ("mlp-8", "mlp-16", "mlp-32", "mlp-64", "mlp-128", "mlp-512", "mlp-32-32", "cnn-4", "cnn-8", "cnn-16")
_TEACHERS = ("cnn-32", "cnn-16", "mlp-512", "mlp-256-256")
_GRAMMAR = (
    "mlp-WIDTH (one hidden layer), mlp-WIDTH-WIDTH (two hidden layers), cnn-CHANNELS, vgg-CHANNELS or mobile-CHANNELS "
    "(deeper, with batch norm, for large images; mobile of separable convolutions) or gru-WIDTH (recurrent, for signals), with whole numbers "
    "of at least 1"
)


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
        One hidden layer of 32; two of 64; convolutions of 16 channels; "vgg-32": three convolutions with batch norm, from 32
        channels on; "mobile-8": five, four of them separable, from 8 on; "gru-64": one recurrent layer of 64. Any width.
    seed : optional
        Draws the weights; without it they come from PyTorch's global generator.

    Raises
    ------
    ValueError
        For a name that is not of this form, or that does not fit the shape of the data.
    """
    sizes = _parse(name)
    family = name.partition("-")[0]
    make = _MAKERS.get((family, len(dataset.input_shape)))
    if family == "mlp":
        make = _mlp
    if make is None:
        wanted = {"cnn": "images or signals", "vgg": "images", "mobile": "images", "gru": "signals"}[family]
        given = {3: "holds images", 2: "holds signals"}.get(len(dataset.input_shape), "is a table")
        raise ValueError(f"{name!r} needs {wanted}, but {dataset.name!r} {given}; try mlp-32")
    deep = family in ("vgg", "mobile")
    if deep and min(dataset.input_shape[1:]) < 8:
        raise ValueError(
            f"{name!r} needs images of at least 8 × 8, but {dataset.name!r} has {dataset.input_shape}; try cnn-16"
        )
    with torch.device("meta"):  # no weights yet: PyTorch's own start would draw from the global generator
        model = make(sizes, dataset.input_shape, dataset.classes)
    model.to_empty(device="cpu")
    if deep:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a third faster in training, or more
    _draw_weights(model, torch.default_generator if seed is None else seeded_generator(seed, "weights"))
    return model


def _parse(name: str) -> list[int]:
    if not isinstance(name, str) or not re.fullmatch(
        r"mlp(-[1-9]\d{0,4}){1,2}|(cnn|vgg|mobile|gru)-[1-9]\d{0,3}", name
    ):
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


def _vgg_images(sizes: list[int], input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """Three 3×3 convolutions (Simonyan & Zisserman 2015) with batch norm, each of which halves the image."""
    (channels,), (inputs, height, width) = sizes, input_shape
    layers: list[nn.Module] = []
    for outputs in (channels, 2 * channels, 4 * channels):
        layers += _normed(nn.Conv2d(inputs, outputs, 3, padding=1), halves=True)
        inputs = outputs
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * (height // 8) * (width // 8), classes))


def _mobile_images(sizes: list[int], input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """One 3×3 convolution and four depthwise separable ones (MobileNets, Howard et al. 2017), with batch norm.

    A separable convolution filters each channel by itself and then mixes the channels at each place: 9 + outputs multiply-adds
    for each number that it reads, instead of 9·outputs. Where the image is small, channels are cheap: there are most of them.
    """
    (channels,), (colours, height, width) = sizes, input_shape
    layers = _normed(nn.Conv2d(colours, channels, 3, padding=1), halves=True)
    inputs = channels
    for times, halves in ((3, True), (6, False), (6, True), (12, False)):
        outputs = times * channels
        layers.append(nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs))
        layers += _normed(nn.Conv2d(inputs, outputs, 1), halves=halves)
        inputs = outputs
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * (height // 8) * (width // 8), classes))


def _normed(convolution: nn.Conv2d, *, halves: bool) -> list[nn.Module]:
    """Follow a convolution by batch norm (Ioffe & Szegedy 2015) and ReLU, after pooling: they then have a quarter of the work."""
    pooling = [nn.MaxPool2d(2)] if halves else []
    return [convolution, *pooling, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]


class Recurrent(nn.Module):
    """A GRU (Cho et al. 2014) over a signal (batch, channels, length): all its states, as a signal (batch, width, length)."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.gru = nn.GRU(inputs, width, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Read the signal from its beginning to its end."""
        states, _ = self.gru(x.transpose(1, 2))  # (batch, length, width)
        return states.transpose(1, 2)


def _gru_signals(sizes: list[int], input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """The mean of all states goes to the last layer: padding at a signal's end then does no harm to what was read before."""
    (width,) = sizes
    return nn.Sequential(
        Recurrent(input_shape[0], width), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(width, classes)
    )


_MAKERS: dict[tuple[str, int], Callable[[list[int], tuple[int, ...], int], nn.Sequential]] = {
    ("cnn", 3): _cnn_images,
    ("cnn", 2): _cnn_signals,
    ("vgg", 3): _vgg_images,
    ("mobile", 3): _mobile_images,
    ("gru", 2): _gru_signals,
}


def _draw_weights(model: nn.Module, generator: torch.Generator) -> None:
    """PyTorch's usual start (uniform within ±1/√fan_in), from a generator of our own."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            assert layer.bias is not None
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()  # ones and zeros: nothing is drawn
        elif isinstance(layer, nn.GRU):
            for parameter in layer.parameters():
                bound = 1 / math.sqrt(layer.hidden_size)
                nn.init.uniform_(parameter, -bound, bound, generator=generator)


# ---- What happens inside -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outputs:
    """What a network gave for a batch: logits (batch, classes), and its hidden activations in the order of its layers.

    Each of ``features`` has the shape (batch, width), (batch, channels, length) or (batch, channels, height, width).
    """

    logits: Tensor
    features: tuple[Tensor, ...]


def outputs_of(model: nn.Module, x: Tensor) -> Outputs:
    """Run a network, and keep what its hidden layers said (after each ReLU, and the states of each recurrent layer).

    Raises
    ------
    ValueError
        If the model is no ``nn.Sequential``, whose layers can be run one by one.

    Examples
    --------
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    >>> outputs = outputs_of(network, torch.zeros(5, 2, 3))
    >>> outputs.logits.shape, [feature.shape for feature in outputs.features]
    (torch.Size([5, 3]), [torch.Size([5, 4])])
    """
    if not isinstance(model, nn.Sequential):
        raise ValueError(
            f"features are read between the layers of an nn.Sequential, but the model is a {type(model).__name__}"
        )
    features = []
    for layer in model:
        x = layer(x)
        if isinstance(layer, nn.ReLU | Recurrent):
            features.append(x)
    return Outputs(x, tuple(features))


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Put a network into eval mode for a while, and then each of its layers back into its own mode."""
    modes = {layer: layer.training for layer in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for layer, mode in modes.items():
            layer.training = mode


# ---- What it costs -------------------------------------------------------------------------------------------


def count_parameters(model: nn.Module) -> int:
    """Count the numbers that training adjusts."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def count_bytes(model: nn.Module) -> int:
    """Count the bytes of parameters and buffers as stored, before any compression."""
    tensors: list[Tensor] = [*model.parameters(), *model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def count_multiply_adds(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Count multiply-add operations of linear, convolutional and recurrent layers for one example.

    A layer uses each of its weights once for every position of its output: 1 for a linear layer.
    """
    total = 0

    def count(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        positions = math.prod(output.shape[2:])  # (1, channels, *positions)
        total += positions * sum(weight.numel() for weight in layer.parameters() if weight.ndim >= 2)

    hooks = [
        layer.register_forward_hook(count)
        for layer in model.modules()
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | Recurrent)
    ]
    try:
        with in_eval_mode(model), torch.no_grad():  # what batch norm has seen must not change
            model(torch.zeros(1, *input_shape))
    finally:
        for hook in hooks:
            hook.remove()
    return total
