import random

import numpy as np
import pytest
import torch

from toolkit import data


@pytest.mark.parametrize(
    ("name", "shape", "sizes"),
    [
        ("digits", (1, 8, 8), (987, 270, 540)),
        ("mnist1d", (1, 40), (3400, 600, 1000)),
        ("breast-cancer", (30,), (313, 85, 171)),
    ],
)
def test_data_sets_have_the_fixed_split(name, shape, sizes):
    dataset = data.load(name)
    assert dataset.input_shape == shape
    assert tuple(len(part) for part in (dataset.x_train, dataset.x_val, dataset.x_test)) == sizes
    for part in (dataset.y_train, dataset.y_val, dataset.y_test):
        assert part.dtype == torch.int64
        assert set(part.tolist()) == set(range(dataset.classes))
    assert dataset.x_train.dtype == torch.float32
    assert dataset.provenance
    assert dataset.fingerprint == data.load(name).fingerprint


def test_split_is_stratified_and_parts_share_no_example(digits):
    shares = [torch.bincount(part) / len(part) for part in (digits.y_train, digits.y_val, digits.y_test)]
    assert (shares[0] - shares[1]).abs().max() < 0.01
    assert (shares[0] - shares[2]).abs().max() < 0.01
    rows = [{tuple(x.flatten().tolist()) for x in part} for part in (digits.x_train, digits.x_val, digits.x_test)]
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]
    assert not rows[1] & rows[2]


def test_loading_leaves_the_global_random_generators_alone():
    np.random.seed(1)
    random.seed(1)
    expected = np.random.rand(), random.random()
    np.random.seed(1)
    random.seed(1)
    data.load("mnist1d")
    assert (np.random.rand(), random.random()) == expected


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown data set 'cifar'; known are digits, mnist1d"):
        data.load("cifar")


# ---- A data set of one's own ---------------------------------------------------------------------------------


def arrays(examples=100, classes=2):
    generator = np.random.default_rng(0)
    return generator.normal(size=(examples, 4)), np.arange(examples) % classes


def test_own_table_is_standardised_by_its_training_part():
    x, y = arrays()
    dataset = data.from_arrays("mine", 100 * x + 7, y)
    assert dataset.x_train.mean(0).abs().max() < 1e-5
    assert (dataset.x_train.std(0, correction=0) - 1).abs().max() < 1e-5


def test_column_without_spread_stays_finite():
    x, y = arrays()
    x[:, 0] = 5
    assert torch.isfinite(data.from_arrays("mine", x, y).x_test).all()


@pytest.mark.parametrize("split", [None, 3])
def test_columns_can_be_read_in_their_own_units(split):
    from sklearn.datasets import load_breast_cancer

    dataset = data.load("breast-cancer")
    raw = torch.from_numpy(load_breast_cancer().data).float()
    dataset = dataset if split is None else data.resplit(data.resplit(dataset, 8), split)
    assert dataset.feature_names[:2] == ("mean radius", "mean texture")
    units = torch.cat([dataset.in_units(part) for part in (dataset.x_train, dataset.x_val, dataset.x_test)])
    scale = raw.std(0)
    assert torch.allclose(units.sort(0).values / scale, raw.sort(0).values / scale, atol=1e-4)
    assert torch.equal(dataset.in_units(dataset.x_test[4]), dataset.in_units(dataset.x_test)[4])


def test_images_are_in_their_units_already(digits):
    assert torch.equal(digits.in_units(digits.x_test), digits.x_test)


def test_no_group_is_in_two_parts():
    x, _ = arrays(300)
    patient = np.random.default_rng(1).permutation(300) // 6  # six visits each
    patients = [f"patient {number}" for number in patient]
    dataset = data.from_arrays("visits", x, patient % 2, groups=patients)
    parts = [set(part) for part in dataset.groups]
    assert [len(part) for part in dataset.groups] == [len(dataset.y_train), len(dataset.y_val), len(dataset.y_test)]
    assert set.union(*parts) == set(patients)
    assert sum(map(len, parts)) == 50
    assert [len(part) for part in parts] == [27, 8, 15]


def test_fingerprint_changes_with_any_value():
    x, y = arrays()
    before = data.from_arrays("mine", x, y).fingerprint
    x[0, 0] += 1
    assert data.from_arrays("mine", x, y).fingerprint != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x, y[:-1]), r"got \(100, 4\) and \(99,\)"),
        (lambda x, y: (x, y + 0.5), "labels of 'mine' must be integers"),
        (lambda x, y: (np.where(x > 1, np.nan, x), y), "NaN or infinite"),
        (lambda x, y: (x, y - 1), "run from -1 to 0"),
        (lambda x, y: (x, y * 0), "at least two classes"),
        (lambda x, y: (x, (np.arange(100) > 97).astype(int)), "at least 5 examples each"),
        (lambda x, y: (x[:0], y[:0]), r"got \(0, 4\)"),
    ],
)
def test_unusable_arrays_are_refused_with_what_is_wrong(change, message):
    with pytest.raises(ValueError, match=message):
        data.from_arrays("mine", *change(*arrays()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "tabel"}, "unknown kind 'tabel'; known are vision, signal, table, language, speech"),
        ({"test_share": 1.5}, "test_share must be a share between 0 and 1, not 1.5"),
        (
            {"feature_names": ["a", "b"]},
            r"feature_names has 2 names, but x of 'mine' \(table\) has the shape \(100, 4\)",
        ),
        ({"kind": "signal", "feature_names": list("abcd")}, r"feature_names has 4 names, but x of 'mine' \(signal\)"),
        ({"groups": ["a"] * 99}, "groups has 99 entries for 100 examples of 'mine': give one for each"),
        ({"groups": list("ab") * 50}, "at least 5 groups each to be split; it has {0: 1, 1: 1}"),
        ({"groups": ["a"] * 100}, "group 'a' of 'mine' has examples of several classes, but needs one"),
        ({"groups": ["a"] * 100, "test": (np.zeros((9, 4)), np.zeros(9, int))}, "and no test part with them"),
        ({"val_share": 0}, "val_share must be a share between 0 and 1, not 0"),
        ({"test": (np.zeros((9, 3)), np.zeros(9, int))}, r"have the shape \(4,\), but \(3,\) in its test part"),
    ],
)
def test_unusable_options_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.from_arrays("mine", *arrays(), **arguments)


def test_labels_of_a_given_test_part_are_checked_too():
    x, y = arrays()
    with pytest.raises(ValueError, match="run from 0 to 2, but there are 2 class names"):
        data.from_arrays("mine", x, y, test=(x, y + 1))


# ---- Randomness ----------------------------------------------------------------------------------------------


def test_purposes_of_a_seed_are_independent_and_repeat():
    def draw(seed, purpose):
        return torch.rand(4, generator=data.seeded_generator(seed, purpose))

    assert torch.equal(draw(0, "weights"), draw(0, "weights"))
    assert not torch.equal(draw(0, "weights"), draw(0, "batches"))
    assert not torch.equal(draw(0, "weights"), draw(1, "weights"))


@pytest.mark.parametrize("seed", [-1, 1.5, "0", None, True])
def test_bad_seed_is_refused(seed):
    with pytest.raises(ValueError, match="seed must be a whole number"):
        data.seeded_generator(seed, "weights")


# ---- Another split -------------------------------------------------------------------------------------------

PARTS = ("train", "val", "test")


def examples(dataset):
    """All examples with their labels, in an order that no split changes."""
    rows = [
        (*x.flatten().tolist(), y)
        for part in PARTS
        for x, y in zip(getattr(dataset, f"x_{part}"), getattr(dataset, f"y_{part}").tolist(), strict=True)
    ]
    return sorted(rows)


def test_another_split_holds_the_same_examples_in_other_parts_of_the_same_sizes(digits):
    other = data.resplit(digits, 123)
    assert other.name == "digits (split 123)"
    assert examples(other) == examples(digits)
    for part in PARTS:
        x, y, labels = getattr(other, f"x_{part}"), getattr(other, f"y_{part}"), getattr(digits, f"y_{part}")
        assert x.shape == getattr(digits, f"x_{part}").shape
        assert (torch.bincount(y) - torch.bincount(labels)).abs().max() <= 1, "stratified"
        assert x.dtype == torch.float32
        assert y.dtype == torch.int64
    fingerprints = {data.resplit(digits, seed).fingerprint for seed in (0, 1, 123, 10**12)}
    assert len(fingerprints | {digits.fingerprint}) == 5
    assert data.resplit(digits, 123).fingerprint == other.fingerprint
    assert data.resplit(digits, np.int64(123)).name == other.name


def test_another_split_of_a_table_is_standardised_as_if_it_were_the_first():
    generator = np.random.default_rng(0)
    columns = generator.normal(size=(200, 3)).astype(np.float32) * [1, 1000, 1e-3] + [0, 5000, 1]
    columns = np.column_stack([columns, np.full(200, 7.0)])  # and one that never changes
    table = data.from_arrays("table", columns, generator.integers(0, 2, 200))
    other = data.resplit(table, 5)
    assert torch.allclose(other.x_train.mean(0), torch.zeros(4), atol=1e-4)
    assert torch.allclose(other.x_train.std(0, correction=0), torch.tensor([1.0, 1, 1, 0]), atol=1e-3)
    assert not torch.allclose(other.x_test.mean(0)[:3], torch.zeros(3), atol=1e-4), "the test part has no say in it"
    again = data.resplit(other, 6)
    assert torch.allclose(again.x_test[:, :3].sort(0).values[0], again.x_test[:, :3].min(0).values)
    assert torch.allclose(again.x_train.std(0, correction=0)[:3], torch.ones(3), atol=1e-3)


def test_a_test_part_that_a_data_set_brought_along_is_mixed_in(signals):
    other = data.resplit(signals, 1)
    assert len(other.x_test) == 1000
    assert other.kind == "signal"
    assert other.origin == "synthetic"


@pytest.mark.parametrize("seed", [-1, 1.5, True, "1"])
def test_a_split_needs_a_whole_number(digits, seed):
    with pytest.raises(ValueError, match="seed must be a whole number ≥ 0"):
        data.resplit(digits, seed)
