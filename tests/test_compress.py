import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from toolkit import compress, losses, models, training
from toolkit.training import Recipe


def small(*, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))


def weights_of(model):
    return {name: value for name, value in compress.as_plain(model).named_parameters() if value.ndim > 1}


# ---- Pruning -------------------------------------------------------------------------------------------------


@given(share=st.floats(0, 0.99), seed=st.integers(0, 5))
def test_pruning_cuts_exactly_the_smallest_weights_of_the_whole_network(share, seed):
    network = small(seed=seed)
    before = np.concatenate([p.detach().numpy().ravel() for p in network.parameters() if p.ndim > 1])
    after = np.concatenate([p.detach().numpy().ravel() for p in weights_of(compress.prune(network, share)).values()])
    expected = before.copy()
    expected[np.argsort(np.abs(before))[: round(share * before.size)]] = 0  # ties have no chance among random weights
    assert np.array_equal(after, expected)
    assert not np.signbit(after[after == 0]).any()  # +0, which packs better than −0


def test_pruning_leaves_the_network_it_was_given_and_all_biases(digits):
    network = models.build("cnn-4", digits, 0)
    before = copy.deepcopy(network.state_dict())
    pruned = compress.as_plain(compress.prune(network, 0.9))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    for name, value in pruned.named_parameters():
        if value.ndim == 1:
            assert torch.equal(value, before[name])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_pruned_weights_stay_zero_through_further_training_and_the_others_move(digits, teacher, optimizer, penalty):
    pruned = compress.prune(models.build("cnn-4", digits, 0), 0.7)
    before = weights_of(pruned)
    training.fit(
        pruned,
        digits.x_train,
        digits.y_train,
        teacher.train_logits,
        Recipe(2, optimizer=optimizer, weight_decay=0.1),
        validation=(digits.x_val, digits.y_val),
        temperature=4.0,
        lam=0.9,
        penalty_weight=1e-4,
        norm=penalty,
    )
    for name, after in weights_of(pruned).items():
        cut = before[name] == 0
        assert (after[cut] == 0).all()
        assert (after[~cut] != before[name][~cut]).any()


def test_pruned_recurrent_layer_stays_pruned_while_it_learns(signals):
    recurrent = models.build("gru-8", signals, 0)
    pruned = compress.prune(recurrent, 0.6)
    zeros = {name: value == 0 for name, value in weights_of(pruned).items()}
    assert any("gru" in name and cut.any() for name, cut in zeros.items())
    copied = copy.deepcopy(pruned)
    x, y = signals.x_train[:200], signals.y_train[:200]
    training.fit(pruned, x, y, None, Recipe(2), validation=(signals.x_val, signals.y_val))
    after = weights_of(pruned)
    assert all((after[name][cut] == 0).all() for name, cut in zeros.items())
    plain = compress.as_plain(pruned)
    assert type(plain[0].gru) is nn.GRU
    assert torch.equal(training.predict(plain, x), training.predict(pruned, x))
    assert not torch.equal(training.predict(copied, x), training.predict(pruned, x))


def test_a_copy_of_a_pruned_network_keeps_its_mask_and_making_it_plain_leaves_the_original_masked(digits):
    pruned = compress.prune(models.build("mlp-8", digits, 0), 0.5)
    copied = copy.deepcopy(pruned)
    compress.as_plain(copied)
    for network in (pruned, copied):
        network(digits.x_train[:8]).sum().backward()
        layer = network[1]
        assert (layer.parametrizations.weight.original.grad[layer.weight == 0] == 0).all()


def test_pruning_a_pruned_network_cuts_further(digits):
    once = compress.prune(models.build("mlp-32", digits, 0), 0.5)
    twice = compress.prune(once, 0.8)
    assert compress.share_of_zeros(once) == pytest.approx(0.5, abs=1e-3)
    assert compress.share_of_zeros(twice) == pytest.approx(0.8, abs=1e-3)
    for name, value in weights_of(twice).items():
        assert (value[weights_of(once)[name] == 0] == 0).all()


def test_pruning_by_a_smaller_share_brings_nothing_back(digits):
    network = compress.prune(compress.prune(models.build("mlp-32", digits, 0), 0.8), 0.5)
    network(digits.x_train[:8]).sum().backward()
    layer = network[1]
    assert (layer.weight == 0).float().mean() > 0.7
    assert (layer.parametrizations.weight.original.grad[layer.weight == 0] == 0).all()


def test_a_plain_network_can_be_counted_and_has_the_same_logits(digits):
    pruned = compress.prune(models.build("cnn-4", digits, 0), 0.5)
    plain = compress.as_plain(pruned)
    assert [type(layer) for layer in plain] == [type(layer) for layer in models.build("cnn-4", digits)]
    assert models.count_multiply_adds(plain, (1, 8, 8)) == models.count_multiply_adds(
        models.build("cnn-4", digits), (1, 8, 8)
    )
    assert torch.equal(plain(digits.x_val), pruned(digits.x_val))


def test_a_penalty_does_not_count_what_was_cut(digits):
    pruned = compress.prune(models.build("mlp-8", digits, 0), 0.5)
    assert losses.complexity_penalty(pruned).item() == pytest.approx(
        losses.complexity_penalty(compress.as_plain(pruned)).item()
    )


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ValueError, match=f"share must be a number of at least 0 and below 1, not {share}"):
        compress.prune(small(), share)


def test_pruning_comes_before_rounding():
    with pytest.raises(ValueError, match="call prune first, then fake_quantised"):
        compress.prune(compress.fake_quantised(small()), 0.5)


# ---- Rounding ------------------------------------------------------------------------------------------------


@given(
    values=st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=20),
    low=st.floats(-4, -0.125, width=32),
    high=st.floats(0.125, 4, width=32),
)
def test_rounding_agrees_with_pytorchs_own_in_values_and_gradients(values, low, high):
    ours = torch.tensor(values, requires_grad=True)
    theirs = torch.tensor(values, requires_grad=True)
    scale = (high - low) / 255
    zero = round(-low / scale)
    got = compress.rounded(ours, torch.tensor(low), torch.tensor(high))
    wanted = torch.fake_quantize_per_tensor_affine(theirs, scale, zero, 0, 255)
    assert torch.allclose(got, wanted, atol=1.01 * scale)  # a tie may fall to either side
    assert (got - wanted).abs().median() < 1e-4 or len(values) < 3
    got.sum().backward()
    wanted.sum().backward()
    steps = ours.detach() / scale + zero
    far = ((steps - 0).abs() > 1) & ((steps - 255).abs() > 1)  # from both ends
    assert torch.equal(ours.grad[far], theirs.grad[far])


def test_rounding_by_hand():
    values = torch.tensor([-2.0, -1.0, -0.004, 0.0, 0.0149, 1.55, 9.0], requires_grad=True)
    got = compress.rounded(values, torch.tensor(-1.0), torch.tensor(1.55))  # steps of 0.01
    assert torch.allclose(got, torch.tensor([-1.0, -1.0, 0.0, 0.0, 0.01, 1.55, 1.55]), atol=1e-6)
    got.sum().backward()
    assert values.grad.tolist() == [0, 1, 1, 1, 1, 1, 0]


@given(seed=st.integers(0, 100), scale=st.floats(0.01, 100))
def test_rounding_a_weight_twice_changes_nothing_and_zero_stays_zero(seed, scale):
    weight = scale * torch.randn(5, 7, generator=torch.Generator().manual_seed(seed))
    weight[0] = 0
    once = compress.RoundedWeight()(weight)
    assert torch.allclose(compress.RoundedWeight()(once), once, atol=1e-5 * scale)
    assert (once[0] == 0).all()
    assert len(once.unique()) <= 256
    assert (once - weight).abs().max() <= 0.51 * (weight.max() - weight.min()) / 255


def test_a_weight_of_zeros_stays_zeros():
    assert torch.equal(compress.RoundedWeight()(torch.zeros(2, 3)), torch.zeros(2, 3))


def test_an_input_is_rounded_to_the_range_that_training_showed():
    layer = compress.RoundedInput().eval()
    assert torch.equal(layer(torch.tensor([0.123])), torch.tensor([0.123]))  # nothing seen yet
    layer.train()
    layer(torch.tensor([-1.0, 1.0]))
    layer(torch.tensor([-3.0, 3.0]))
    assert (layer.low.item(), layer.high.item()) == pytest.approx((-3, 3))  # widened at once …
    layer(torch.tensor([-1.0, 2.0]))
    assert (layer.low.item(), layer.high.item()) == pytest.approx((-2.98, 2.99))  # … and narrowed slowly
    layer.eval()
    assert layer(torch.tensor([50.0])).item() == pytest.approx(2.99, abs=0.02)
    assert layer.high.item() == pytest.approx(2.99)  # it watches only while training


def test_rounded_training_learns_with_a_teacher_and_leaves_ordinary_layers(digits, teacher):
    network = models.build("cnn-4", digits, 0)
    rounding = compress.fake_quantised(compress.prune(network, 0.5))
    history = training.fit(
        rounding,
        digits.x_train,
        digits.y_train,
        teacher.train_logits,
        Recipe(15),
        validation=(digits.x_val, digits.y_val),
        temperature=4.0,
        lam=0.9,
    )
    assert history.val_accuracy[-1] > 0.8
    plain = compress.as_plain(rounding)
    assert [type(layer) for layer in plain] == [type(layer) for layer in network]
    assert compress.share_of_zeros(rounding) >= 0.5 - 1e-2
    for layer in plain:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            assert len(layer.weight.unique()) <= 256
    logits, exact = training.predict(rounding, digits.x_test), training.predict(plain, digits.x_test)
    assert not torch.equal(logits, exact)
    assert (logits.argmax(1) == exact.argmax(1)).double().mean() > 0.95


def test_recurrent_and_norm_layers_are_not_rounded(signals):
    rounding = compress.fake_quantised(
        nn.Sequential(models.Recurrent(1, 4), nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(160, 10))
    )
    assert [type(layer).__name__ for layer in rounding][-2:] == ["RoundedInput", "ParametrizedLinear"]
    assert sum(isinstance(layer, compress.RoundedInput) for layer in rounding) == 1
    assert rounding(signals.x_train[:4]).shape == (4, 10)


def test_what_cannot_be_rounded_is_refused():
    with pytest.raises(ValueError, match=r"layers in a row \(nn.Sequential\), not Linear"):
        compress.fake_quantised(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="trained with rounding already"):
        compress.fake_quantised(compress.fake_quantised(small()))


# ---- A start from the teacher --------------------------------------------------------------------------------


def test_start_from_a_teacher_of_the_same_size_gives_its_logits(digits):
    teacher, student = models.build("cnn-4", digits, 1), models.build("cnn-4", digits, 2)
    started = compress.start_from(student, teacher)
    assert torch.equal(started(digits.x_val), teacher(digits.x_val))
    assert not torch.equal(student(digits.x_val), teacher(digits.x_val))  # left as it was


@pytest.mark.parametrize(("student", "teacher"), [("cnn-4", "cnn-16"), ("mlp-8-8", "mlp-32-16"), ("mlp-8", "mlp-512")])
def test_narrower_start_computes_as_the_teacher_with_its_small_channels_silenced(digits, student, teacher):
    theirs = models.build(teacher, digits, 1)
    started = compress.start_from(models.build(student, digits, 2), theirs)
    silenced = copy.deepcopy(theirs)
    kept = None
    layers = [(a, b) for a, b in zip(silenced, started, strict=True) if hasattr(a, "weight")]
    for ours, narrow in layers[:-1]:
        with torch.no_grad():
            if kept is not None:
                ours.weight[:, ~kept] = 0
            sizes = ours.weight.abs().flatten(1).sum(1)
            kept = torch.zeros(len(sizes), dtype=torch.bool)
            kept[sizes.topk(len(narrow.weight)).indices] = True
            ours.weight[~kept] = 0
            ours.bias[~kept] = 0  # after ReLU such a channel is 0
    assert torch.allclose(started(digits.x_val), silenced(digits.x_val), atol=1e-5)


def test_norm_layers_follow_the_channels_that_are_kept():
    def network(width):
        return nn.Sequential(
            nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten(), nn.Linear(36 * width, 3)
        )

    teacher = network(4).train()
    for _ in range(3):
        teacher(torch.randn(16, 1, 8, 8))
    teacher.eval()
    teacher[0].weight.data[[0, 2]] *= 10
    started = compress.start_from(network(2), teacher).eval()
    assert torch.equal(started[1].running_mean, teacher[1].running_mean[[0, 2]])
    x = torch.randn(5, 1, 8, 8)
    assert torch.allclose(started[:3](x), teacher[:3](x)[:, [0, 2]], atol=1e-6)


def test_start_ends_at_the_first_layer_that_does_not_fit():
    teacher = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    student = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 9))
    started = compress.start_from(student, teacher)
    assert not torch.equal(started[0].weight, student[0].weight)
    assert torch.equal(started[2].weight, student[2].weight)


def test_start_from_a_pruned_teacher_takes_its_zeros(digits):
    teacher = compress.prune(models.build("cnn-4", digits, 1), 0.5)
    started = compress.start_from(models.build("cnn-4", digits, 2), teacher)
    assert torch.equal(started(digits.x_val), teacher(digits.x_val))


def test_start_from_a_teacher_of_another_kind_is_refused(digits):
    with pytest.raises(ValueError, match="not even the first layer of the teacher fits"):
        compress.start_from(models.build("mlp-8", digits), models.build("cnn-8", digits))
