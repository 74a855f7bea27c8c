"""Make a network smaller before or while it learns: magnitude pruning, quantisation-aware training, a start from the teacher.

Each function takes a network and gives a new one, which ``training.fit`` trains with any loss as it trains every other.
``as_plain`` gives ordinary layers back, to be counted and exported. The order is: start, prune, then round.

Han et al. 2015, "Learning both weights and connections" (pruning); Jacob et al. 2018, "Quantization and training of neural
networks for efficient integer-arithmetic-only inference"; Bengio et al. 2013 (the straight-through estimator); Li et al. 2017,
"Pruning filters for efficient ConvNets" (which channels of the teacher are kept).
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

_Linear = nn.Linear | nn.Conv1d | nn.Conv2d  # layers that are one matrix product, and that int8 kernels exist for


def as_plain(model: nn.Module) -> nn.Module:
    """Give a copy made of ordinary layers: pruned weights are zeros in it, rounded weights keep their rounded values.

    Inputs are no longer rounded: that is what the int8 export does (``deploy.quantise``).
    """
    model = copy.deepcopy(model)
    for layer in list(model.modules()):
        if not parametrize.is_parametrized(layer):
            continue
        names = list(dict(layer.get_submodule("parametrizations").named_children()))
        weights = {name: getattr(layer, name).detach().clone() for name in names}
        layer.__class__ = parametrize.type_before_parametrizations(layer)  # PyTorch's own way back would
        del layer.parametrizations  # take the weights from the original too: a copy shares its class
        for name, weight in weights.items():
            layer.register_parameter(name, nn.Parameter(weight))
        if isinstance(layer, nn.RNNBase):
            layer._init_flat_weights()
    if any(isinstance(layer, RoundedInput) for layer in model.children()):
        assert isinstance(model, nn.Sequential)  # as fake_quantised made it
        model = nn.Sequential(*(layer for layer in model if not isinstance(layer, RoundedInput))).train(model.training)
    return model


# ---- Pruning -------------------------------------------------------------------------------------------------


class Mask(nn.Module):
    """A weight as the network uses it: zero wherever ``kept`` is False, and no gradient reaches it there."""

    kept: Tensor

    def __init__(self, kept: Tensor):
        super().__init__()
        self.register_buffer("kept", kept)

    def forward(self, weight: Tensor) -> Tensor:
        """Give the masked weight; both have the shape of ``kept``."""
        return torch.where(self.kept, weight, 0.0)  # not a product: −2 × 0 is −0, which compresses worse


def prune(model: nn.Module, share: float) -> nn.Module:
    """Give a copy in which the smallest weights are zero, and stay zero however it is trained afterwards.

    Magnitude pruning over the whole network: all weights of two or more dimensions (no biases, no norm layers) are sorted
    by their absolute value, and the smallest ``share`` of them are cut, so that one layer may lose more than another.
    A network that is pruned already is cut further: what was zero stays zero.

    Parameters
    ----------
    share : 0 ≤ share < 1, of all these weights

    Raises
    ------
    ValueError
        If the share is out of range, or the network is being trained with rounding: prune first, then round.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(3, 2))
    >>> network[0].weight.data = torch.tensor([[1.0, -5.0, 3.0], [-2.0, 4.0, 6.0]])
    >>> prune(network, 0.5)[0].weight.tolist()
    [[0.0, -5.0, 0.0], [0.0, 4.0, 6.0]]
    """
    if not 0 <= share < 1:
        raise ValueError(
            f"share must be a number of at least 0 and below 1, not {share!r}; 0.8 cuts four weights of five"
        )
    if any(isinstance(layer, RoundedInput) for layer in model.modules()):
        raise ValueError("this network is being trained with rounding already; call prune first, then fake_quantised")
    model = as_plain(model)
    weights = _weights(model)
    sizes = torch.cat([layer.get_parameter(name).detach().abs().flatten() for layer, name in weights])
    kept = torch.ones(len(sizes), dtype=torch.bool, device=sizes.device)
    kept[sizes.argsort(stable=True)[: round(share * len(sizes))]] = False
    kept &= sizes > 0  # what was cut before
    parts = kept.split([layer.get_parameter(name).numel() for layer, name in weights])
    for (layer, name), part in zip(weights, parts, strict=True):
        weight = layer.get_parameter(name)
        mask = Mask(part.reshape(weight.shape))
        weight.data = mask(weight.data)  # so that a penalty over the weights does not count what was cut
        parametrize.register_parametrization(layer, name, mask)
        if isinstance(layer, nn.RNNBase):  # its own list of its weights knows nothing of masks: ask anew each time
            type(layer)._flat_weights = property(_current_weights, _keep_no_list)  # type: ignore
    return model


def share_of_zeros(model: nn.Module) -> float:
    """Share of the weights of two or more dimensions that are exactly zero."""
    weights = [layer.get_parameter(name) for model in [as_plain(model)] for layer, name in _weights(model)]
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)


def _weights(model: nn.Module) -> list[tuple[nn.Module, str]]:
    """Name the weights of two or more dimensions, with the layer that each belongs to."""
    return [
        (layer, name)
        for layer in model.modules()
        for name, parameter in layer.named_parameters(recurse=False)
        if parameter.ndim >= 2
    ]


def _current_weights(layer: nn.RNNBase) -> list[Tensor]:
    return [getattr(layer, name) for name in layer._flat_weights_names]


def _keep_no_list(layer: nn.RNNBase, _: list[Tensor]) -> None:
    pass


# ---- Quantisation-aware training -----------------------------------------------------------------------------


def rounded(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Round to 256 steps from ``low`` to ``high``, 0 among them: scale · (clip(round(x / scale) + zero, 0, 255) − zero).

    The gradient passes as if nothing had been rounded (straight through), except where a value was clipped: 0 there.

    Parameters
    ----------
    values : any shape
    low, high : the range, one number each; widened to hold 0, since padding and ReLU must give 0 exactly

    Examples
    --------
    >>> rounded(torch.tensor([0.126, -9.0]), torch.tensor(-1.0), torch.tensor(1.55))
    tensor([ 0.1300, -1.0000])
    """
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = ((high - low) / 255).clamp(min=1e-12)  # where all is 0, any step will do
    zero = torch.round(-low / scale)  # the whole number that stands for 0
    steps = (torch.round(values / scale) + zero).clamp(0, 255)
    clipped = values.clamp((-0.5 - zero) * scale, (255.5 - zero) * scale)
    return clipped + (scale * (steps - zero) - clipped).detach()


class RoundedWeight(nn.Module):
    """A weight as int8 stores it: 256 steps from the smallest to the largest of the layer; a pruned 0 stays 0."""

    def forward(self, weight: Tensor) -> Tensor:
        """Round a weight of any shape."""
        return rounded(weight, *torch.aminmax(weight.detach()))


class RoundedInput(nn.Module):
    """What enters a layer, as int8 holds it: 256 steps between the smallest and the largest value of late.

    While training, a batch that goes beyond the range widens it at once, and it shrinks slowly towards batches within. The export
    measures the full range too; a moving average (Jacob et al. 2018, section 3.1) would clip here what is not clipped there.
    """

    low: Tensor
    high: Tensor
    MEMORY = 0.99  # share of the range that stays when a batch is within it

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(0.0))
        self.register_buffer("high", torch.tensor(0.0))

    def forward(self, values: Tensor) -> Tensor:
        """Round values of any shape; before any training they pass as they are."""
        if self.training:
            low, high = torch.aminmax(values.detach())
            self.low = torch.minimum(low, torch.lerp(low, self.low, self.MEMORY))
            self.high = torch.maximum(high, torch.lerp(high, self.high, self.MEMORY))
        return rounded(values, self.low, self.high) if self.high > self.low else values


def fake_quantised(model: nn.Module) -> nn.Sequential:
    """Give a copy that computes as the int8 export will, so that training can make up for the rounding.

    The weights of linear and convolutional layers are rounded, and what enters these layers. Recurrent and norm layers stay
    as they are: ONNX Runtime has no int8 for a GRU; a norm layer is merged into its convolution at the export, whose weights
    are then rounded anew. A pruned network stays pruned.

    Raises
    ------
    ValueError
        If the model is no ``nn.Sequential``, or is rounded already.
    """
    if not isinstance(model, nn.Sequential):
        raise ValueError(f"rounding needs layers in a row (nn.Sequential), not {type(model).__name__}")
    if any(isinstance(layer, RoundedInput) for layer in model):
        raise ValueError("this network is being trained with rounding already")
    layers: list[nn.Module] = []
    for layer in copy.deepcopy(model):
        if isinstance(layer, _Linear):
            parametrize.register_parametrization(layer, "weight", RoundedWeight())
            layers.append(RoundedInput())
        layers.append(layer)
    return nn.Sequential(*layers).train(model.training)


# ---- A start from the teacher --------------------------------------------------------------------------------


def start_from(student: nn.Module, teacher: nn.Module) -> nn.Module:
    """Give a copy of the student whose first layers are the teacher's, to be fine-tuned from there.

    Both are walked from the input on, layer with weights by layer. A layer of the teacher is copied where it is of the same
    kind and size; where the student's is narrower, the output channels whose weights are largest (sum of absolute values,
    Li et al. 2017) are copied in their order, and the next layer takes only their columns. The walk ends at the first layer
    that does not fit: the rest of the student keeps its own weights.

    Raises
    ------
    ValueError
        If not even the first layer fits.
    """
    student, teacher = as_plain(student), as_plain(teacher)
    kept: Tensor | None = None  # which channels of the layer before were copied; None at the input: all of them
    copied = channels = 0
    for ours, theirs in zip(_layers(student), _layers(teacher), strict=False):
        if isinstance(ours, nn.BatchNorm2d) and isinstance(theirs, nn.BatchNorm2d) and kept is not None:
            for name, values in theirs.state_dict().items():
                ours.state_dict()[name].copy_(values[kept] if values.ndim else values)
            continue
        if type(ours) is not type(theirs) or not isinstance(ours, _Linear) or not isinstance(theirs, _Linear):
            break
        weight = theirs.weight.detach()
        if kept is not None and weight.shape[1] % channels:  # something in between mixes channels
            break
        if kept is not None:
            weight = _columns_of(weight, kept, channels)
        if weight.shape[1:] != ours.weight.shape[1:] or len(weight) < len(ours.weight):
            break
        rows = weight.abs().flatten(1).sum(1).argsort(descending=True, stable=True)[: len(ours.weight)].sort().values
        with torch.no_grad():
            ours.weight.copy_(weight[rows])
            if ours.bias is not None and theirs.bias is not None:
                ours.bias.copy_(theirs.bias[rows])
        kept, channels, copied = rows, len(weight), copied + 1
    if not copied:
        raise ValueError(
            "not even the first layer of the teacher fits the student: both must begin with the same kind of layer (linear or "
            "convolution), the student's as wide or narrower, such as cnn-8 for cnn-32"
        )
    return student


def _layers(model: nn.Module) -> list[nn.Module]:
    return [layer for layer in model.modules() if next(layer.parameters(recurse=False), None) is not None]


def _columns_of(weight: Tensor, kept: Tensor, channels: int) -> Tensor:
    """Keep the columns that read the kept channels; after a Flatten each channel has several columns side by side."""
    positions = weight.shape[1] // channels
    return weight.unflatten(1, (channels, positions))[:, kept].flatten(1, 2)
