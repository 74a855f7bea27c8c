import numpy as np
import pytest
import torch

from toolkit import scenarios
from toolkit.data import UNLABELLED


def test_names_are_those_of_the_design():
    assert scenarios.names() == ["all-labels", "few-labels", "noisy-labels", "class-left-out", "small-transfer-set"]


@pytest.mark.parametrize("name", scenarios.names())
def test_same_seed_draws_the_same_transfer_set(digits, name):
    first, again = (scenarios.get(name).draw(digits, 1) for _ in range(2))
    assert torch.equal(first.indices, again.indices)
    assert torch.equal(first.labels, again.labels)
    assert len(first.indices) == len(first.labels) == len(first.indices.unique())


@pytest.mark.parametrize("name", ["few-labels", "noisy-labels", "small-transfer-set"])
def test_another_seed_draws_another_transfer_set_of_the_same_size(digits, name):
    first, other = (scenarios.get(name).draw(digits, seed) for seed in (0, 1))
    assert len(first.indices) == len(other.indices)
    assert not (torch.equal(first.indices, other.indices) and torch.equal(first.labels, other.labels))


def test_few_labels_keeps_five_true_labels_of_each_class(digits):
    labels = scenarios.get("few-labels").draw(digits, 0).labels
    kept = labels != UNLABELLED
    assert torch.bincount(labels[kept]).tolist() == [5] * 10
    assert torch.equal(labels[kept], digits.y_train[kept])


def test_noisy_labels_are_wrong_in_exactly_the_stated_share(digits):
    labels = scenarios.get("noisy-labels").draw(digits, 0).labels
    assert (labels != digits.y_train).sum().item() == round(0.4 * len(labels))
    assert labels.min() >= 0
    assert labels.max() < 10


def test_class_left_out_never_appears(digits):
    transfer = scenarios.get("class-left-out", left_out=7).draw(digits, 0)
    assert 7 not in digits.y_train[transfer.indices]
    assert len(transfer.indices) == (digits.y_train != 7).sum()


def test_small_transfer_set_has_200_examples_with_true_labels(digits):
    transfer = scenarios.get("small-transfer-set").draw(digits, 0)
    assert len(transfer.indices) == 200
    assert torch.equal(transfer.labels, digits.y_train[transfer.indices])


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("many-labels", {}, "unknown scenario 'many-labels'; known are all-labels, few-labels"),
        ("all-labels", {"noise": 0.1}, "has no parameter 'noise'; it has none"),
        ("few-labels", {"noise": 0.1}, "has no parameter 'noise'; it has labels_per_class"),
        ("few-labels", {"labels_per_class": 0}, "labels_per_class must be a whole number of at least 1, not 0"),
        ("noisy-labels", {"noise": 1.5}, "noise must be a share between 0 and 1, not 1.5"),
        ("class-left-out", {"left_out": -1}, "left_out must be a whole number of at least 0"),
        ("small-transfer-set", {"examples": 2.5}, "examples must be a whole number"),
        ("small-transfer-set", {"examples": float("nan")}, "examples must be a whole number .* not nan"),
        ("small-transfer-set", {"examples": None}, "examples must be a whole number .* not None"),
        ("noisy-labels", {"noise": "a lot"}, "noise must be a share between 0 and 1, not 'a lot'"),
        ("noisy-labels", {"noise": True}, "noise must be a share"),
    ],
)
def test_bad_names_and_parameters_are_refused(name, parameters, message):
    with pytest.raises(ValueError, match=message):
        scenarios.get(name, **parameters)


def test_scenarios_are_equal_where_name_and_parameters_are(digits):
    assert scenarios.get("few-labels") == scenarios.get("few-labels", labels_per_class=5.0)
    assert scenarios.get("few-labels") != scenarios.get("few-labels", labels_per_class=4)
    assert len(scenarios.get("few-labels", labels_per_class=np.float64(2)).draw(digits, 0).labels) == 987


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("few-labels", {"labels_per_class": 500}, "labels_per_class=500, but class '0' of 'digits' has"),
        ("class-left-out", {"left_out": 10}, "left_out=10, but 'digits' has classes 0 to 9"),
        ("small-transfer-set", {"examples": 5000}, "examples=5000, but 'digits' has only 987"),
    ],
)
def test_scenarios_that_a_data_set_cannot_serve_say_why(digits, name, parameters, message):
    with pytest.raises(ValueError, match=message):
        scenarios.get(name, **parameters).draw(digits, 0)
