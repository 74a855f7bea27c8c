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


# ---- Deeper and recurrent teachers, and what happens inside ------------------------------------------------------


def test_recurrent_networks_read_signals_and_deep_ones_large_images(digits, signals):
    assert models.build("gru-8", signals, 0)(signals.x_train[:3]).shape == (3, 10)
    assert models.build("vgg-4", digits, 0)(digits.x_train[:3]).shape == (3, 10)
    assert models.build("mobile-2", digits, 0)(digits.x_train[:3]).shape == (3, 10)


@pytest.mark.parametrize(("name", "dataset"), [("gru-8", "signals"), ("vgg-4", "digits"), ("mobile-2", "digits")])
def test_a_seed_draws_all_weights_of_deep_and_recurrent_networks(name, dataset, request):
    dataset = request.getfixturevalue(dataset)
    state = torch.random.get_rng_state()
    first, again, other = (models.build(name, dataset, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    assert all(not torch.equal(value, other[key]) for key, value in first.items() if value.ndim >= 2)
    assert all(torch.isfinite(value).all() for value in first.values())


def test_padding_at_the_end_does_not_change_what_a_recurrent_network_read_before(signals):
    network = models.build("gru-8", signals, 0)
    x = signals.x_train[:2]
    changed = x.clone()
    changed[..., 30:] = 0
    whole, cut = (models.outputs_of(network, part).features[0] for part in (x, changed))
    assert torch.equal(whole[..., :30], cut[..., :30])


@pytest.mark.parametrize("name", ["mlp-8", "mlp-8-4", "cnn-4", "vgg-4", "mobile-2"])
def test_outputs_of_gives_the_same_logits_and_the_hidden_layers(name, digits):
    network = models.build(name, digits, 0).eval()
    outputs = models.outputs_of(network, digits.x_test[:5])
    assert torch.equal(outputs.logits, network(digits.x_test[:5]))
    assert len(outputs.features) == {"mlp-8": 1, "mlp-8-4": 2, "cnn-4": 2, "vgg-4": 3, "mobile-2": 5}[name]
    assert all((feature >= 0).all() for feature in outputs.features), "after the ReLU"


def test_features_need_layers_in_a_row():
    with pytest.raises(ValueError, match=r"nn\.Sequential, but the model is a Linear"):
        models.outputs_of(torch.nn.Linear(2, 2), torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("name", "dataset", "said"),
    [
        ("gru-8", "digits", "'gru-8' needs signals, but 'digits' holds images; try mlp-32"),
        ("vgg-8", "signals", "'vgg-8' needs images, but 'mnist1d' holds signals; try mlp-32"),
        ("mobile-8", "signals", "'mobile-8' needs images, but 'mnist1d' holds signals; try mlp-32"),
    ],
)
def test_a_model_that_does_not_fit_the_data_is_refused(name, dataset, said, request):
    with pytest.raises(ValueError) as caught:
        models.build(name, request.getfixturevalue(dataset))
    assert str(caught.value) == said


def test_multiply_adds_of_a_recurrent_layer_are_its_weights_at_every_step(signals):
    network = models.build("gru-8", signals, 0)
    assert models.count_multiply_adds(network, signals.input_shape) == 40 * (3 * 8 * 1 + 3 * 8 * 8) + 8 * 10


def test_separable_convolutions_cost_what_their_papers_formula_says(digits):
    network = models.build("mobile-2", digits, 0)  # 8 × 8 images, halved three times

    def separable(inputs, outputs, side):
        return (9 * inputs + inputs * outputs) * side**2

    assert models.count_multiply_adds(network, digits.input_shape) == (
        9 * 2 * 8**2 + separable(2, 6, 4) + separable(6, 12, 2) + separable(12, 12, 2) + separable(12, 24, 1) + 24 * 10
    )


def test_counting_leaves_what_batch_norm_has_seen_as_it_was(digits):
    network = models.build("vgg-4", digits, 0).train()
    models.count_multiply_adds(network, digits.input_shape)
    assert network.training
    assert network[2].num_batches_tracked == 0


def test_every_layer_comes_back_in_its_own_mode(digits):
    model = models.build("mlp-8", digits).train()
    model[1].eval()  # frozen, say
    with models.in_eval_mode(model):
        assert not any(layer.training for layer in model.modules())
    assert [layer.training for layer in model.modules()] == [True, True, False, True, True]
