import gzip
import random
import struct

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


def test_available_says_what_each_data_set_is_and_needs():
    records = {record.name: record for record in data.available()}
    assert records["digits"].on_this_machine
    assert records["digits"].origin == "real"
    assert records["mnist1d"].origin == "synthetic"
    assert "dataset-fashion-mnist" in records["fashion-mnist"].needs


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown data set 'cifar'; known are digits, mnist1d"):
        data.load("cifar")


def test_missing_data_set_says_what_to_install(monkeypatch):
    monkeypatch.setattr(data, "_idx_folder", lambda name: None)
    with pytest.raises(FileNotFoundError, match="apt install dataset-fashion-mnist"):
        data.load("fashion-mnist")
    assert not {record.name: record for record in data.available()}["fashion-mnist"].on_this_machine


def test_fashion_mnist_is_read_from_debians_package():
    available = {record.name: record for record in data.available()}
    if not available["fashion-mnist"].on_this_machine:
        pytest.skip("Fashion-MNIST is not on this machine: " + available["fashion-mnist"].needs)
    dataset = data.load("fashion-mnist")
    assert dataset.x_train.shape == (55000, 1, 28, 28)
    assert dataset.x_val.shape == (5000, 1, 28, 28)
    assert dataset.x_test.shape == (10000, 1, 28, 28)
    assert 0 <= dataset.x_train.min() < dataset.x_train.max() == 1
    assert dataset.class_names[9] == "boot"


# ---- IDX files -----------------------------------------------------------------------------------------------


def write_idx(path, values):
    header = struct.pack(f">BBBB{values.ndim}i", 0, 0, 8, values.ndim, *values.shape)
    raw = header + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_from_the_data_folder_are_read(tmp_path, monkeypatch, suffix):
    folder = tmp_path / "mnist"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for part, count in (("train", 600), ("t10k", 100)):
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", generator.integers(0, 256, (count, 28, 28)))
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", np.arange(count) % 10)
    monkeypatch.setenv(data.DATA_FOLDER_VARIABLE, str(tmp_path))
    dataset = data.load("mnist")
    assert dataset.x_train.shape == (550, 1, 28, 28)
    assert dataset.x_test.shape == (100, 1, 28, 28)


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x00\x08", b"\x1f\x8bnot gzip", b"\x00\x00\x08\x01\x00\x00\x00\x09abc", b"GIF89a.."]
)
def test_damaged_idx_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="train-images-idx3-ubyte is not a whole IDX file"):
        data.read_idx(path)


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
        ({"kind": "tabel"}, "unknown kind 'tabel'; known are vision, signal, table"),
        ({"test_share": 1.5}, "test_share must be a share between 0 and 1, not 1.5"),
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
