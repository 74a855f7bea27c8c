"""Many small networks as one: the weights of all students in one buffer, forward and backward written out.

Examples run along the *last* axis, as in the maths (z = W x + b, one column per example): activations have the shape
(students, channels, positions …, examples). A layer of all students is then one batched product of contiguous blocks,
and students that share their input, as those of one seed do in the first layer, make one large product of it.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from toolkit.training import Recipe


class StackedNetwork:
    """Networks of one architecture: ``nn.Sequential`` of linear and convolutional layers, ReLU and max pooling.

    ``weights`` and ``gradients`` are flat buffers of all parameters; λ_f acts on the first ``penalised`` of them.
    """

    def __init__(self, starts: Sequence[nn.Module], copies: int, device: torch.device):
        """Each start (one a seed) is copied so many times: student number seed · copies + copy."""
        modules = [module for module in starts[0].children() if not isinstance(module, nn.Flatten)]
        self.layers = [_LAYERS[type(module)](module) for module in modules]
        weighted = [layer for layer in self.layers if isinstance(layer, _Weighted)]
        students = len(starts) * copies
        shapes = [(students, *layer.shape) for layer in weighted] + [
            (students, layer.shape[0], 1) for layer in weighted
        ]
        sizes = [math.prod(shape) for shape in shapes]
        self.penalised = sum(sizes[: len(weighted)])  # biases come last
        self.weights, self.gradients = torch.empty(2, sum(sizes), device=device)
        parts = [part.view(shape) for part, shape in zip(self.weights.split(sizes), shapes, strict=True)]
        gradients = [part.view(shape) for part, shape in zip(self.gradients.split(sizes), shapes, strict=True)]
        for number, layer in enumerate(weighted):
            of_layer = slice(number, None, len(weighted))  # its weight and its bias
            layer.place(parts[of_layer], gradients[of_layer], len(starts) if number == 0 else students)
        in_order = [part for number in range(len(weighted)) for part in parts[number :: len(weighted)]]
        self._named = {
            name: stacked.view(students, *parameter.shape)
            for (name, parameter), stacked in zip(starts[0].named_parameters(), in_order, strict=True)
        }
        for name, stacked in self._named.items():
            first = torch.stack([start.get_parameter(name).detach() for start in starts])
            stacked.copy_(first.repeat_interleave(copies, 0))

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (seeds, …, examples), shared by the copies → logits (students, classes, examples)."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def predict(self, x: Tensor) -> Tensor:
        """Do as ``forward``, and keep nothing for a backward."""
        logits = self.forward(x)
        for layer in self.layers:
            layer.kept = None
        return logits

    def backward(self, gradient: Tensor) -> None:
        """Write the gradients of all weights, from that at the logits of the last ``forward``."""
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient, wanted=layer is not self.layers[0])

    def state(self) -> dict[str, Tensor]:
        """Give the weights as in ``state_dict``, each of shape (students, …)."""
        return self._named


def numbers_per_student(model: nn.Module, input_shape: tuple[int, ...], batch_size: int) -> int:
    """Count the numbers that one student of a stack works on in a step: what has to fit into the processor's cache."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    per_example = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal per_example
        per_example += output[0].numel()
        if isinstance(layer, nn.Conv1d | nn.Conv2d) and layer is not layers[0]:  # its windows are shared by a seed
            per_example += layer.weight[0].numel() * output[0, 0].numel()

    layers = [layer for layer in model.children() if not isinstance(layer, nn.Flatten | nn.ReLU)]  # these add none
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.no_grad():
            model(torch.zeros(1, *input_shape))
    finally:
        for hook in hooks:
            hook.remove()
    return 4 * parameters + 2 * batch_size * per_example  # with gradients and AdamW's two; forward and backward


class FlatAdamW:
    """The recipe's AdamW and its schedule, on the flat buffers of a network.

    Every number comes from the recipe's own optimizer and schedule. Its ``step`` would spend more time around the kernel
    than within, so that the kernel is called here.
    """

    def __init__(self, network: StackedNetwork, recipe: Recipe, examples: int):
        self.weights, self.gradients = network.weights, network.gradients
        self.optimizer, self.schedule = recipe.optimizer_for([self.weights], examples)
        self.optimizer.step()  # does nothing, as there is no .grad: the schedule wants to see one step before its own
        self.mean, self.square = torch.zeros_like(self.weights), torch.zeros_like(self.weights)
        self.steps = self.weights.new_zeros(())

    def step(self) -> None:
        """Take one step along the gradients in the buffer."""
        group = self.optimizer.param_groups[0]
        beta1, beta2 = group["betas"]
        self.steps += 1
        torch._fused_adamw_(
            [self.weights],
            [self.gradients],
            [self.mean],
            [self.square],
            [],
            [self.steps],
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )
        self.schedule.step()


# ---- Layers: ``forward`` keeps what ``backward`` needs, from the gradient at its outputs to that at its inputs --------


class _Weighted:
    """What linear and convolutional layers have in common: one product of weights and columns, plus biases."""

    shape: tuple[int, int]  # (outputs, inputs)
    kept: Any = None

    def place(self, parameters: list[Tensor], gradients: list[Tensor], inputs: int) -> None:
        """Take weights and biases as views of the buffers; so many different inputs are shared by the students."""
        self.weight, _ = parameters
        by_input = lambda part: part.view(inputs, -1, part.shape[-1])  # noqa: E731
        self.weight_rows, self.bias_rows = map(by_input, parameters)  # (inputs, sharing students · outputs, …)
        self.weight_gradient, self.bias_gradient = map(by_input, gradients)

    def multiply(self, columns: Tensor) -> Tensor:
        """Columns (inputs, shape[1], examples) → (students, shape[0], examples)."""
        return torch.baddbmm(self.bias_rows, self.weight_rows, columns).view(*self.weight.shape[:2], -1)

    def write_gradients(self, gradient: Tensor, columns: Tensor) -> None:
        """Write the gradients of weights and biases, from that at the outputs (students, shape[0], examples)."""
        gradient = gradient.view(*self.bias_gradient.shape[:2], -1)
        torch.sum(gradient, 2, keepdim=True, out=self.bias_gradient)
        torch.bmm(gradient, columns.transpose(1, 2), out=self.weight_gradient)


class _Linear(_Weighted):
    def __init__(self, module: nn.Linear):
        self.shape = (module.out_features, module.in_features)

    def forward(self, x: Tensor) -> Tensor:
        self.kept = x
        return self.multiply(x.flatten(1, -2))

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor | None:
        self.write_gradients(gradient, self.kept.flatten(1, -2))
        return torch.bmm(self.weight.transpose(1, 2), gradient).view(self.kept.shape) if wanted else None


class _Convolution(_Weighted):
    """A convolution as a product: each output position sees its window of the input as one column.

    For what ``toolkit.models`` builds: square kernels, no groups, no dilation.
    """

    def __init__(self, module: nn.Conv1d | nn.Conv2d):
        assert not isinstance(module.padding, str)
        self.kernel, self.stride, self.padding = module.kernel_size[0], module.stride[0], module.padding[0]
        self.axes = len(module.kernel_size)  # 1 for signals, 2 for images
        self.shape = (module.out_channels, module.in_channels * self.kernel**self.axes)

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (0, 0) + (self.padding, self.padding) * self.axes)
        windows = padded
        for axis in range(2, 2 + self.axes):
            windows = windows.unfold(axis, self.kernel, self.stride)
        # (inputs, channels, positions …, examples, window …) → (inputs, channels, window …, positions …, examples)
        windows = windows.permute(0, 1, *range(-self.axes, 0), *range(2, 3 + self.axes))
        columns = windows.reshape(len(x), self.shape[1], -1)
        self.kept = columns, windows.shape[2 + self.axes :], padded.shape
        return self.multiply(columns).unflatten(2, windows.shape[2 + self.axes :])

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor | None:
        columns, outputs, padded_shape = self.kept
        gradient = gradient.flatten(2)
        self.write_gradients(gradient, columns)
        if not wanted:
            return None
        windows = torch.bmm(self.weight.transpose(1, 2), gradient).view(*padded_shape[:2], -1, *outputs)
        padded = gradient.new_zeros(padded_shape)
        reach = [self.stride * (length - 1) + 1 for length in outputs[:-1]]
        for number, offsets in enumerate(itertools.product(range(self.kernel), repeat=self.axes)):
            seen = [slice(start, start + length, self.stride) for start, length in zip(offsets, reach, strict=True)]
            padded[:, :, *seen] += windows[:, :, number]  # a place was seen by several windows
        inner = [slice(self.padding, -self.padding or None)] * self.axes
        return padded[:, :, *inner]


class _ReLU:
    kept: Any = None

    def __init__(self, module: nn.ReLU):
        pass

    def forward(self, x: Tensor) -> Tensor:
        self.kept = x.relu_()
        return self.kept

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor:
        # A boolean mask would take six times as long, and a new tensor as long as the work itself.
        return torch.ops.aten.threshold_backward.grad_input(gradient, self.kept, 0, grad_input=gradient)


class _MaxPool:
    """PyTorch's own pooling: examples along the last axis are what it calls channels in its channels-last format."""

    kept: Any = None

    def __init__(self, module: nn.MaxPool2d):
        self.size = [module.kernel_size, module.kernel_size]

    def forward(self, x: Tensor) -> Tensor:
        images = x.flatten(0, 1).permute(0, 3, 1, 2)
        pooled, indices = torch.ops.aten.max_pool2d_with_indices(images, self.size)
        self.kept = images, indices, x.shape
        return pooled.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor:
        images, indices, shape = self.kept
        gradient = torch.ops.aten.max_pool2d_with_indices_backward(
            gradient.flatten(0, 1).permute(0, 3, 1, 2), images, self.size, self.size, [0, 0], [1, 1], False, indices
        )
        return gradient.permute(0, 2, 3, 1).reshape(shape)


_LAYERS = {nn.Linear: _Linear, nn.Conv1d: _Convolution, nn.Conv2d: _Convolution, nn.ReLU: _ReLU, nn.MaxPool2d: _MaxPool}
