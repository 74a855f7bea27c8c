import numpy as np
import pytest
import torch

from toolkit import data, models


@pytest.mark.parametrize("name", [*models.names("student"), *models.names("teacher"), "mlp-7", "cnn-3"])
@pytest.mark.parametrize("dataset", ["digits", "mnist1d"])
def test_every_named_model_returns_logits(name, dataset, request):
    dataset = request.getfixturevalue({"digits": "digits", "mnist1d": "signals"}[dataset])
    logits = models.build(name, dataset)(dataset.x_train[:3])
    assert logits.shape == (3, 10)
    assert logits.requires_grad
    assert (logits < 0).any()  # not probabilities


def test_a_seed_draws_the_same_weights_and_leaves_the_global_generator_alone(digits):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = (models.build("mlp-8", digits, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first[1].weight, again[1].weight)
    assert not torch.equal(first[1].weight, other[1].weight)


def test_without_a_seed_weights_come_from_the_global_generator(digits):
    torch.manual_seed(5)
    first = models.build("mlp-8", digits)
    torch.manual_seed(5)
    assert torch.equal(first[1].weight, models.build("mlp-8", digits)[1].weight)
    assert not torch.equal(first[1].weight, models.build("mlp-8", digits)[1].weight)


def test_first_weights_lie_within_pytorchs_usual_bounds(digits):
    layer = models.build("mlp-64", digits, 0)[1]
    bound = 1 / 8  # 64 inputs
    assert layer.weight.abs().max() <= bound
    assert layer.weight.abs().max() > 0.99 * bound
    assert layer.bias.abs().max() <= bound


def test_counts_of_a_small_perceptron_are_right(digits):
    model = models.build("mlp-32", digits)
    assert models.count_parameters(model) == 64 * 32 + 32 + 32 * 10 + 10
    assert models.count_bytes(model) == 4 * models.count_parameters(model)
    assert models.count_multiply_adds(model, digits.input_shape) == 64 * 32 + 32 * 10


def test_counts_of_convolutions_are_right(signals):
    model = models.build("cnn-16", signals)
    assert models.count_parameters(model) == 2474
    per_position = [16 * 5, 16 * 16 * 3, 16 * 16 * 3]
    assert models.count_multiply_adds(model, signals.input_shape) == (
        per_position[0] * 20 + per_position[1] * 10 + per_position[2] * 5 + 16 * 5 * 10
    )


@pytest.mark.parametrize("name", ["resnet", "mlp-0", "mlp-", "mlp-1-2-3", "cnn-4-4", "mlp-32 ", "", None])
def test_unknown_models_are_refused_with_the_known_ones(digits, name):
    with pytest.raises(ValueError, match=r"unknown model .*known are mlp-WIDTH"):
        models.build(name, digits)


def test_convolutions_on_a_table_are_refused():
    with pytest.raises(ValueError, match="'breast-cancer' is a table; try mlp-32"):
        models.build("cnn-8", data.load("breast-cancer"))


def test_unknown_role_is_refused():
    with pytest.raises(ValueError, match="unknown role 'pupil'; known are teacher, student"):
        models.names("pupil")


def test_convolutions_fit_large_images_too():
    x = np.random.default_rng(0).random((60, 1, 28, 28))
    dataset = data.from_arrays("large", x, np.arange(60) % 3, kind="vision")
    assert models.build("cnn-4", dataset)(dataset.x_train).shape == (len(dataset.x_train), 3)
