"""The stacked network against PyTorch's own modules, gradients and optimizer."""

import numpy as np
import pytest
import torch

from toolkit import data, models
from toolkit.stack import FlatAdamW, StackedNetwork
from toolkit.training import Recipe

CPU = torch.device("cpu")


def images(size):
    """Random images with flat patches, where the largest of four values is often there twice."""
    random = np.random.default_rng(0)
    return data.from_arrays(
        "images",
        np.maximum(random.normal(size=(60, 2, size, size)), 0.5),
        np.arange(60) % 3,
        kind="vision",
        origin="synthetic",
    )


@pytest.fixture
def cases(digits, signals):
    return {"digits": digits, "signals": signals, "small images": images(7), "large images": images(18)}


@pytest.mark.parametrize(
    ("student", "name"),
    [
        ("mlp-8", "digits"),
        ("mlp-8-5", "digits"),
        ("mlp-8", "signals"),
        ("cnn-4", "signals"),
        ("cnn-3", "digits"),
        ("cnn-3", "small images"),
        ("cnn-3", "large images"),
    ],
)
def test_logits_and_gradients_are_those_of_the_modules(student, name, cases):
    dataset = cases[name]
    starts = [models.build(student, dataset, seed) for seed in range(2)]
    stacked = StackedNetwork(starts, 3, CPU)
    x = torch.stack([dataset.x_train[:7], dataset.x_train[7:14]])  # each seed has a batch of its own
    logits = stacked.forward(x.movedim(1, -1))
    gradient = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0))
    stacked.backward(gradient)
    stacked.weights.copy_(stacked.gradients)  # so that state() names the gradients
    for number in range(6):
        module = starts[number // 3]
        module.zero_grad()
        expected = module(x[number // 3])
        torch.testing.assert_close(logits[number].T, expected)
        expected.backward(gradient[number].T)
        for parameter, value in module.named_parameters():
            torch.testing.assert_close(stacked.state()[parameter][number], value.grad, rtol=1e-4, atol=1e-5)


def test_predicting_gives_the_same_and_keeps_nothing(signals):
    stacked = StackedNetwork([models.build("cnn-4", signals, 0)], 2, CPU)
    x = signals.x_train[None, :5].movedim(1, -1)
    assert torch.equal(stacked.predict(x), stacked.forward(x))
    stacked.predict(x)
    assert all(layer.kept is None for layer in stacked.layers)


def test_penalty_acts_on_weights_and_not_on_biases(digits):
    stacked = StackedNetwork([models.build("mlp-8-5", digits, 0)], 2, CPU)
    stacked.weights[: stacked.penalised] = 0
    for name, values in stacked.state().items():
        assert (values == 0).all() == name.endswith("weight")


def test_steps_are_those_of_the_recipe(digits):
    recipe = Recipe(epochs=3)
    stacked = StackedNetwork([models.build("mlp-4", digits, 0)], 2, CPU)
    ours = FlatAdamW(stacked, recipe, examples=200)
    theirs = stacked.weights.clone()
    optimizer, schedule = recipe.optimizer_for([theirs], examples=200)
    random = torch.Generator().manual_seed(0)
    for _ in range(12):  # three epochs of four batches
        stacked.gradients.copy_(torch.randn(stacked.gradients.shape, generator=random))
        theirs.grad = stacked.gradients.clone()
        ours.step()
        optimizer.step()
        schedule.step()
    assert torch.equal(stacked.weights, theirs)
