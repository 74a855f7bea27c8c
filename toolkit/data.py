"""The data: a ``Dataset`` holds tensors, their names and where they came from.

Everyone gets the same fixed, stratified split. Students train on the training part, choices are made on
the validation part, and the test part is looked at once, for what was chosen.
"""

import gzip
import hashlib
import importlib.util
import math
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

UNLABELLED = -100  # PyTorch's own ignore_index: such an example has no hard label
DATA_FOLDER_VARIABLE = "DISTILLATION_DATA"


@dataclass(frozen=True)
class Dataset:
    """Tensors of one task, split once and for all.

    ``x_*`` are float32 of shape (examples, channels, height, width) for images, (examples, channels, length)
    for signals and (examples, features) for tables; ``y_*`` are int64 class indices of shape (examples,).
    """

    name: str
    x_train: Tensor
    y_train: Tensor
    x_val: Tensor
    y_val: Tensor
    x_test: Tensor
    y_test: Tensor
    class_names: tuple[str, ...]
    kind: str  # "vision", "signal" or "table"
    origin: str  # "real" or "synthetic"
    provenance: str

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example, without the batch."""
        return tuple(self.x_train.shape[1:])

    def to(self, device: torch.device) -> "Dataset":
        """Give the same data on another device."""
        parts = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")
        return replace(self, **{part: getattr(self, part).to(device) for part in parts})

    @cached_property
    def fingerprint(self) -> str:
        """Changes when any example, label or part of the split changes; part of every cache key."""
        digest = hashlib.blake2b(digest_size=8)
        for part in (self.x_train, self.y_train, self.x_val, self.y_val, self.x_test, self.y_test):
            digest.update(str(tuple(part.shape)).encode())
            digest.update(np.ascontiguousarray(part.numpy()).data)
        return digest.hexdigest()


def from_arrays(
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    class_names: Sequence[str] | None = None,
    *,
    kind: str = "table",
    origin: str = "real",
    provenance: str = "your own arrays",
    test: tuple[np.ndarray, np.ndarray] | None = None,
    test_share: float = 0.30,
    val_share: float = 0.15,
) -> Dataset:
    """Make a ``Dataset`` from arrays, with the fixed stratified split.

    Parameters
    ----------
    x, y : arrays of shape (examples, ...) and (examples,)
        Numbers, and class indices 0 … classes−1.
    test : optional (x, y)
        A test part that the data set brings along; otherwise ``test_share`` of the examples is kept for it.
    test_share, val_share : shares of *all* examples given in ``x``.

    Raises
    ------
    ValueError
        If shapes do not match, a value is not finite, a label is out of range, or a class has too few examples.

    Examples
    --------
    >>> points = np.random.default_rng(0).normal(size=(200, 5))
    >>> dataset = from_arrays("above-zero", points, (points[:, 0] > 0).astype(int), ["below", "above"])
    >>> dataset.x_train.shape, dataset.x_val.shape, dataset.x_test.shape
    (torch.Size([110, 5]), torch.Size([30, 5]), torch.Size([60, 5]))
    """
    from sklearn.model_selection import train_test_split  # a second of import time, so only where it is used

    if kind not in ("vision", "signal", "table"):
        raise ValueError(f"unknown kind {kind!r}; known are vision, signal, table")
    for share_name, share in (("test_share", test_share), ("val_share", val_share)):
        if not 0 < share < 1:
            raise ValueError(f"{share_name} must be a share between 0 and 1, not {share!r}")
    x, y = _checked(name, x, y)
    names = tuple(class_names) if class_names is not None else tuple(str(c) for c in range(int(y.max()) + 1))
    every_label = y if test is None else np.concatenate([y, np.asarray(test[1])])
    if every_label.min() < 0 or every_label.max() >= len(names):
        raise ValueError(
            f"labels of {name!r} run from {every_label.min()} to {every_label.max()}, but there are {len(names)} "
            "class names: labels must be class indices 0 … classes−1"
        )
    present, sizes = np.unique(y, return_counts=True)
    if len(names) < 2 or len(present) < len(names) or sizes.min() < 5:
        raise ValueError(
            f"{name!r} needs at least two classes with at least 5 examples each to be split; "
            f"it has {dict(zip(present.tolist(), sizes.tolist(), strict=True))} for classes {list(names)}"
        )
    # A few examples of many classes: a part must have room for each class.
    val_examples = max(round(len(x) * val_share), len(names))
    if test is None:
        test_examples = max(math.ceil(len(x) * test_share), len(names))
        x, x_test, y, y_test = train_test_split(x, y, test_size=test_examples, stratify=y, random_state=0)
    else:
        x_test, y_test = _checked(f"{name} (test part)", *test)
        if x_test.shape[1:] != x.shape[1:]:
            raise ValueError(
                f"examples of {name!r} have the shape {x.shape[1:]}, but {x_test.shape[1:]} in its test part"
            )
    x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=val_examples, stratify=y, random_state=0)
    if kind == "table":
        x_train, x_val, x_test = _standardised(x_train, x_val, x_test)
    return Dataset(
        name,
        x_train=torch.from_numpy(x_train),
        y_train=torch.from_numpy(y_train),
        x_val=torch.from_numpy(x_val),
        y_val=torch.from_numpy(y_val),
        x_test=torch.from_numpy(x_test),
        y_test=torch.from_numpy(y_test),
        class_names=names,
        kind=kind,
        origin=origin,
        provenance=provenance,
    )


def _standardised(x_train: np.ndarray, *others: np.ndarray) -> Iterator[np.ndarray]:
    """Columns of a table have units of their own: the training part says what is small and large."""
    mean, deviation = x_train.mean(0), x_train.std(0)
    deviation[deviation == 0] = 1
    return ((part - mean) / deviation for part in (x_train, *others))


def resplit(dataset: Dataset, seed: int) -> Dataset:
    """Split the same examples anew, stratified, into parts of the same sizes; a seed always gives the same split.

    For what is to be tried on a split that nobody has seen. A table's columns are standardised by the new training part.

    Raises
    ------
    ValueError
        If the seed is not a whole number of at least 0.

    Examples
    --------
    >>> other = resplit(load("digits"), 123)
    >>> other.name, len(other.x_train), len(other.x_val), len(other.x_test)
    ('digits (split 123)', 987, 270, 540)
    """
    from sklearn.model_selection import train_test_split

    generator = seeded_generator(seed, "split")
    states = torch.randint(2**31, (2,), generator=generator).tolist()
    x = torch.cat([dataset.x_train, dataset.x_val, dataset.x_test]).numpy()
    y = torch.cat([dataset.y_train, dataset.y_val, dataset.y_test]).numpy()
    sizes = len(dataset.y_test), len(dataset.y_val)
    x, x_test, y, y_test = train_test_split(x, y, test_size=sizes[0], stratify=y, random_state=states[0])
    x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=sizes[1], stratify=y, random_state=states[1])
    if dataset.kind == "table":  # a column that was scaled and shifted before ends as if it had not been
        x_train, x_val, x_test = _standardised(x_train, x_val, x_test)
    return replace(
        dataset,
        name=f"{dataset.name} (split {int(seed)})",
        x_train=torch.from_numpy(x_train),
        y_train=torch.from_numpy(y_train),
        x_val=torch.from_numpy(x_val),
        y_val=torch.from_numpy(y_val),
        x_test=torch.from_numpy(x_test),
        y_test=torch.from_numpy(y_test),
    )


def _checked(name: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x, dtype=np.float32), np.asarray(y)
    if x.ndim < 2 or y.ndim != 1 or len(x) != len(y) or len(x) == 0:
        raise ValueError(
            f"{name!r} needs x of shape (examples, ...) and y of shape (examples,); got {x.shape} and {y.shape}"
        )
    if not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f"labels of {name!r} must be integers (class indices), not {y.dtype}")
    if not np.isfinite(x).all():
        raise ValueError(f"x of {name!r} holds NaN or infinite values; fill or drop them first")
    return x, y.astype(np.int64)


# ---- The data sets -------------------------------------------------------------------------------------------


def _digits() -> Dataset:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return from_arrays(
        "digits",
        bunch.images[:, None] / 16,  # (1797, 1, 8, 8), grey values 0 … 1
        bunch.target,
        kind="vision",
        provenance="1,797 handwritten digits, 8×8 grey values; UCI optical recognition test set, by scikit-learn",
    )


def _mnist1d() -> Dataset:
    from mnist1d.data import get_dataset_args, make_dataset

    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:  # the package seeds the global generators; whoever uses them must not notice
        arrays = make_dataset(get_dataset_args())
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
    return from_arrays(
        "mnist1d",
        arrays["x"][:, None],  # (4000, 1, 40)
        arrays["y"],
        kind="signal",
        origin="synthetic",
        provenance="MNIST-1D (Greydanus & Kobak 2020), generated by the package mnist1d with its default seed",
        test=(arrays["x_test"][:, None], arrays["y_test"]),
    )


def _breast_cancer() -> Dataset:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    return from_arrays(
        "breast-cancer",
        bunch.data,
        bunch.target,
        [str(name) for name in bunch.target_names],
        provenance="569 tumours, 30 measured features; Wisconsin diagnostic breast cancer (1995), by scikit-learn",
    )


FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")


def _idx_images(name: str, folder: Path, class_names: Sequence[str], provenance: str) -> Dataset:
    x, y, x_test, y_test = (
        read_idx(_idx_path(folder, part))
        for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    )
    return from_arrays(
        name,
        x[:, None] / np.float32(255),  # (60000, 1, 28, 28)
        y,
        class_names,
        kind="vision",
        provenance=provenance,
        test=(x_test[:, None] / np.float32(255), y_test),
        val_share=1 / 12,
    )


def _idx_path(folder: Path, part: str) -> Path:
    for spelling in (f"{part}-ubyte.gz", f"{part}-ubyte"):
        if (folder / spelling).is_file():
            return folder / spelling
    raise FileNotFoundError(f"{folder} has no file {part}-ubyte.gz")


def read_idx(path: Path) -> np.ndarray:
    """Read one file in the IDX format of MNIST (unsigned bytes, gzip-packed or not)."""
    raw = path.read_bytes()
    try:
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        dimensions = raw[3]
        shape = np.frombuffer(raw, ">i4", dimensions, offset=4)
        if raw[:3] != b"\x00\x00\x08" or (shape < 0).any():
            raise ValueError("its first bytes are not those of unsigned-byte IDX data")
        values = np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions)
        return values.reshape(tuple(int(size) for size in shape))
    except (ValueError, IndexError, EOFError, OSError) as problem:
        raise ValueError(f"{path} is not a whole IDX file: {problem}") from problem


def _data_folder() -> Path:
    """Where a user puts files of his own: ``$DISTILLATION_DATA``, else ``data/`` in the current folder."""
    return Path(os.environ.get(DATA_FOLDER_VARIABLE, "data"))


def _idx_folder(name: str) -> Path | None:
    candidates = [_data_folder() / name, Path("/usr/share/datasets") / name]
    return next((folder for folder in candidates if folder.is_dir()), None)


def _load_idx(name: str, class_names: Sequence[str], provenance: str) -> Dataset:
    folder = _idx_folder(name)
    if folder is None:
        raise FileNotFoundError(f"{name!r} is not on this machine: {_SOURCES[name].needs}")
    return _idx_images(name, folder, class_names, provenance)


@dataclass(frozen=True)
class Source:
    """One line of the list of data sets."""

    name: str
    kind: str
    origin: str  # "real" or "synthetic"
    needs: str  # what to install, in one sentence; empty where nothing is needed
    load: Callable[[], Dataset]
    on_this_machine: Callable[[], bool]


def _idx_needs(name: str, package: str = "") -> str:
    debian = f"install Debian's package {package} (apt install {package}), or " if package else ""
    return (
        f"{debian}put the four IDX files (train-images-idx3-ubyte.gz and so on) into the folder {name!r} "
        f"inside ./data, or inside the folder that the variable {DATA_FOLDER_VARIABLE} names"
    )


def _always() -> bool:
    return True


_SOURCES = {
    source.name: source
    for source in (
        Source("digits", "vision", "real", "", _digits, _always),
        Source(
            "mnist1d",
            "signal",
            "synthetic",
            "pip install mnist1d (the usual setup brings it)",
            _mnist1d,
            lambda: importlib.util.find_spec("mnist1d") is not None,
        ),
        Source("breast-cancer", "table", "real", "", _breast_cancer, _always),
        Source(
            "fashion-mnist",
            "vision",
            "real",
            _idx_needs("fashion-mnist", "dataset-fashion-mnist"),
            lambda: _load_idx("fashion-mnist", FASHION, "70,000 photographs of clothes, 28×28 (Xiao et al. 2017)"),
            lambda: _idx_folder("fashion-mnist") is not None,
        ),
        Source(
            "mnist",
            "vision",
            "real",
            _idx_needs("mnist"),
            lambda: _load_idx("mnist", [str(d) for d in range(10)], "70,000 digits, 28×28 (LeCun et al. 1998)"),
            lambda: _idx_folder("mnist") is not None,
        ),
    )
}


@dataclass(frozen=True)
class Availability:
    """What ``available()`` says of one data set."""

    name: str
    kind: str
    origin: str
    needs: str
    on_this_machine: bool


def available() -> list[Availability]:
    """List the data sets: name, kind, real or synthetic, what each needs, and whether it is on this machine."""
    return [
        Availability(source.name, source.kind, source.origin, source.needs, source.on_this_machine())
        for source in _SOURCES.values()
    ]


def load(name: str) -> Dataset:
    """Load a data set by name, with the fixed split.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    FileNotFoundError
        For a data set that is not on this machine; the message says what to install.
    """
    if name not in _SOURCES:
        raise ValueError(f"unknown data set {name!r}; known are {', '.join(_SOURCES)}")
    return _SOURCES[name].load()


def check_seed(seed: int, name: str = "seed") -> None:
    """Refuse a seed that is not a whole number of at least 0; ``name`` is what the caller calls it."""
    if isinstance(seed, bool | np.bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"{name} must be a whole number ≥ 0, not {seed!r}")


def seeded_generator(seed: int, purpose: str) -> torch.Generator:
    """Give a random generator of its own to each purpose ("weights", "batches", …) of a seed.

    Everything random in the toolkit comes from here, never from the global generator: two trainings in
    two threads of the app then cannot disturb each other.
    """
    check_seed(seed)
    digest = hashlib.blake2b(f"{purpose} {int(seed)}".encode(), digest_size=7).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest))
