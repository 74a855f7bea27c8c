"""The data: a ``Dataset`` holds tensors, their names and where they came from.

Everyone gets the same fixed, stratified split. Students train on the training part, choices are made on
the validation part, and the test part is looked at once, for what was chosen.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from toolkit import readers
from toolkit.readers import read_idx as read_idx
from toolkit.sources import DATA_FOLDER_VARIABLE as DATA_FOLDER_VARIABLE
from toolkit.sources import SOURCES, speech_folder

UNLABELLED = -100  # PyTorch's own ignore_index: such an example has no hard label
KINDS = ("vision", "signal", "table", "language", "speech")


@dataclass(frozen=True)
class Dataset:
    """Tensors of one task, split once and for all.

    ``x_*`` are float32 of shape (examples, channels, height, width) for images, (examples, channels, length)
    for signals, speech and language, and (examples, features) for tables; ``y_*`` are int64 class indices of shape (examples,).
    """

    name: str
    x_train: Tensor
    y_train: Tensor
    x_val: Tensor
    y_val: Tensor
    x_test: Tensor
    y_test: Tensor
    class_names: tuple[str, ...]
    kind: str  # one of KINDS
    origin: str  # "real" or "synthetic"
    provenance: str
    feature_names: tuple[str, ...] = ()  # of a table's columns, where they have names
    feature_means: Tensor | None = None  # (features,), what standardising a table took away …
    feature_deviations: Tensor | None = None  # (features,), … and what it divided by
    groups: tuple[tuple[str, ...], ...] = ()  # of the examples of training, validation, test; none is in two parts
    alphabet: str = ""  # what the channels of names stand for

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example, without the batch."""
        return tuple(self.x_train.shape[1:])

    def in_units(self, x: Tensor) -> Tensor:
        """Give standardised columns of a table (…, features) in their own units again; other data stay as they are."""
        if self.feature_means is None or self.feature_deviations is None:
            return x
        return x * self.feature_deviations.to(x.device) + self.feature_means.to(x.device)

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
    feature_names: Sequence[str] = (),
    groups: Sequence[str] = (),
    test: tuple[np.ndarray, np.ndarray] | None = None,
    test_share: float = 0.30,
    val_share: float = 0.15,
) -> Dataset:
    """Make a ``Dataset`` from arrays, with the fixed stratified split.

    Parameters
    ----------
    x, y : arrays of shape (examples, ...) and (examples,)
        Numbers, and class indices 0 … classes−1.
    feature_names : names of a table's columns, in their order
    groups : for each example what it was cut from (a recording, a patient), of one class; no group is then in two parts
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
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; known are {', '.join(KINDS)}")
    for share_name, share in (("test_share", test_share), ("val_share", val_share)):
        if not 0 < share < 1:
            raise ValueError(f"{share_name} must be a share between 0 and 1, not {share!r}")
    x, y = _checked(name, x, y)
    if len(feature_names) > 0 and (kind != "table" or x.ndim != 2 or len(feature_names) != x.shape[1]):
        raise ValueError(
            f"feature_names has {len(feature_names)} names, but x of {name!r} ({kind}) has the shape {x.shape}: "
            "a table (examples, features) needs one name for each column"
        )
    names = tuple(class_names) if class_names is not None else tuple(str(c) for c in range(int(y.max()) + 1))
    every_label = y if test is None else np.concatenate([y, np.asarray(test[1])])
    if every_label.min() < 0 or every_label.max() >= len(names):
        raise ValueError(
            f"labels of {name!r} run from {every_label.min()} to {every_label.max()}, but there are {len(names)} "
            "class names: labels must be class indices 0 … classes−1"
        )
    if len(groups) > 0 and (len(groups) != len(x) or test is not None):
        raise ValueError(
            f"groups has {len(groups)} entries for {len(x)} examples of {name!r}: give one for each example, and no "
            "test part with them"
        )
    # What the split deals out: groups, or where there are none, examples.
    _, first, unit = np.unique(groups if len(groups) > 0 else np.arange(len(y)), return_index=True, return_inverse=True)
    if (mixed := y != y[first][unit]).any():
        raise ValueError(
            f"group {groups[int(mixed.argmax())]!r} of {name!r} has examples of several classes, but needs one"
        )
    present, sizes = np.unique(y[first], return_counts=True)
    if len(names) < 2 or len(present) < len(names) or sizes.min() < 5:
        raise ValueError(
            f"{name!r} needs at least two classes with at least 5 {'groups' if len(groups) > 0 else 'examples'} each "
            f"to be split; it has {dict(zip(present.tolist(), sizes.tolist(), strict=True))} for classes {list(names)}"
        )
    units = _fixed_split(y[first], 0 if test is not None else test_share, val_share)
    train, val, held_out = (np.flatnonzero(np.isin(unit, part)) for part in units) if len(groups) > 0 else units
    x_train, x_val, x_test = x[train], x[val], x[held_out]
    y_train, y_val, y_test = y[train], y[val], y[held_out]
    if test is not None:
        x_test, y_test = _checked(f"{name} (test part)", *test)
        if x_test.shape[1:] != x.shape[1:]:
            raise ValueError(
                f"examples of {name!r} have the shape {x.shape[1:]}, but {x_test.shape[1:]} in its test part"
            )
    means = deviations = None
    if kind == "table":
        means, deviations = _units(x_train)
        x_train, x_val, x_test = ((part - means) / deviations for part in (x_train, x_val, x_test))
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
        feature_names=tuple(str(feature) for feature in feature_names),
        feature_means=None if means is None else torch.from_numpy(means),
        feature_deviations=None if deviations is None else torch.from_numpy(deviations),
        groups=tuple(tuple(str(groups[int(i)]) for i in part) for part in (train, val, held_out))
        if len(groups)
        else (),
    )


def _fixed_split(y: np.ndarray, test_share: float = 0.30, val_share: float = 0.15) -> tuple[np.ndarray, ...]:
    """Everybody's split: the shares in examples, but with room for each class where there are few of many classes."""
    classes = len(np.unique(y))
    test = max(math.ceil(len(y) * test_share), classes) if test_share > 0 else 0
    return _split(y, test, max(round(len(y) * val_share), classes), (0, 0))


def _split(y: np.ndarray, test: int, val: int, states: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Draw test and validation parts of these sizes, stratified; gives the places of training, validation and test."""
    from sklearn.model_selection import train_test_split  # a second of import time, so only where it is used

    rest, in_test = np.arange(len(y)), np.arange(0)
    if test > 0:
        rest, in_test = train_test_split(rest, test_size=test, stratify=y, random_state=states[0])
    in_train, in_val = train_test_split(rest, test_size=val, stratify=y[rest], random_state=states[1])
    return in_train, in_val, in_test


def _units(x_train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns of a table have units of their own: the training part says what is small and large."""
    means, deviations = x_train.mean(0), x_train.std(0)
    deviations[deviations == 0] = 1
    return means, deviations


def resplit(dataset: Dataset, seed: int) -> Dataset:
    """Split the same examples anew, stratified, into parts of the same sizes; a seed always gives the same split.

    For what is to be tried on a split that nobody has seen. A table's columns are standardised by the new training part.

    Raises
    ------
    ValueError
        If the seed is not a whole number of at least 0, or the data were split by groups.

    Examples
    --------
    >>> other = resplit(load("digits"), 123)
    >>> other.name, len(other.x_train), len(other.x_val), len(other.x_test)
    ('digits (split 123)', 987, 270, 540)
    """
    if dataset.groups:
        raise ValueError(
            f"{dataset.name!r} was split by groups (a recording is in one part only), and another split would mix "
            "them; keep the split that it has"
        )
    generator = seeded_generator(seed, "split")
    states = torch.randint(2**31, (2,), generator=generator).tolist()
    x = torch.cat([dataset.x_train, dataset.x_val, dataset.x_test]).numpy()
    y = torch.cat([dataset.y_train, dataset.y_val, dataset.y_test]).numpy()
    train, val, test = _split(y, len(dataset.y_test), len(dataset.y_val), states)
    x_train, x_val, x_test = x[train], x[val], x[test]
    means, deviations = dataset.feature_means, dataset.feature_deviations
    if dataset.kind == "table":  # a column that was scaled and shifted before ends as if it had not been
        shift, scale = _units(x_train)
        x_train, x_val, x_test = ((part - shift) / scale for part in (x_train, x_val, x_test))
        means = dataset.in_units(torch.from_numpy(shift))
        deviations = torch.from_numpy(scale) if deviations is None else deviations * torch.from_numpy(scale)
    return replace(
        dataset,
        name=f"{dataset.name} (split {int(seed)})",
        x_train=torch.from_numpy(x_train),
        y_train=torch.from_numpy(y[train]),
        x_val=torch.from_numpy(x_val),
        y_val=torch.from_numpy(y[val]),
        x_test=torch.from_numpy(x_test),
        y_test=torch.from_numpy(y[test]),
        feature_means=means,
        feature_deviations=deviations,
    )


def mirrored(dataset: Dataset) -> Dataset:
    """Add to the training part the mirror image of each of its images: twice the examples, in half the epochs as many steps.

    For things that may face either way, such as clothes; not for digits. Validation and test part stay.

    Raises
    ------
    ValueError
        If the data set holds no images.

    Examples
    --------
    >>> digits = load("digits")
    >>> twice = mirrored(digits)
    >>> len(digits.x_train), len(twice.x_train), bool((twice.x_train[987:].flip(3) == digits.x_train).all())
    (987, 1974, True)
    """
    if len(dataset.input_shape) != 3:
        raise ValueError(
            f"only images can be mirrored, but {dataset.name!r} has examples of shape {dataset.input_shape}"
        )
    return replace(
        dataset,
        name=f"{dataset.name}, mirrored too",
        x_train=torch.cat([dataset.x_train, dataset.x_train.flip(3)]),
        y_train=torch.cat([dataset.y_train, dataset.y_train]),
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


def encode_name(dataset: Dataset, name: str) -> Tensor:
    """Write a name as a batch of one example of "names": (1, characters, length), 1 where a letter stands.

    Raises
    ------
    ValueError
        If the data have no letters, the name is empty or too long, or has a letter that no name of these data has.
    """
    alphabet, length = _alphabet(dataset), dataset.input_shape[-1]
    plain = readers.plain_name(name)
    if not 1 <= len(plain) <= length:
        raise ValueError(f"a name has 1 to {length} letters here, but {name!r} has {len(plain)}")
    unknown = sorted(set(plain) - set(alphabet))
    if unknown:
        raise ValueError(
            f"{name!r} has what no name of {dataset.name!r} has: {' '.join(unknown)}; known are {alphabet.strip()}"
        )
    return torch.from_numpy(readers.one_hot([plain], alphabet, length))


def spell(dataset: Dataset, x: Tensor) -> str:
    """Read the name of one example (characters, length) of "names", in lower case."""
    alphabet = _alphabet(dataset)
    return "".join(alphabet[letter] for letter in x.argmax(0)[x.sum(0) > 0].tolist())


def _alphabet(dataset: Dataset) -> str:
    if not dataset.alphabet:
        raise ValueError(f'examples of {dataset.name!r} are not names and have no letters; load("names") has')
    return dataset.alphabet


@dataclass(frozen=True)
class Recording:
    """A recording to be played: float32 samples in −1…1, ``rate`` of them a second, and its class."""

    samples: np.ndarray
    rate: int
    title: str
    label: int


def recording(dataset: Dataset, index: int) -> Recording:
    """Give the whole spoken prompt that test example ``index`` of "speech" was cut from.

    Raises
    ------
    ValueError
        If the data are not "speech", or there is no such test example.
    FileNotFoundError
        If the prompts are no longer on this machine.
    """
    if dataset.kind != "speech" or not dataset.groups:
        raise ValueError(f'{dataset.name!r} has no recordings; load("speech") has')
    if not 0 <= index < len(dataset.y_test):
        raise ValueError(f"index must be a test example, 0 to {len(dataset.y_test) - 1}, not {index!r}")
    folder, prompt, label = speech_folder(), dataset.groups[-1][index], int(dataset.y_test[index])
    if folder is None:
        raise FileNotFoundError(f"the prompts of 'speech' are not on this machine: {SOURCES['speech'].needs}")
    title = f"{dataset.class_names[label]}: {prompt.partition('/')[2]}"
    return Recording(readers.read_gsm(folder / f"{prompt}.gsm"), 8000, title, label)


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
        for source in SOURCES.values()
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
    if name not in SOURCES:
        raise ValueError(f"unknown data set {name!r}; known are {', '.join(SOURCES)}")
    source = SOURCES[name]
    if not source.on_this_machine():
        raise FileNotFoundError(f"{name!r} is not on this machine: {source.needs}")
    arrays = source.arrays()
    dataset = from_arrays(
        name,
        _filled(arrays.x, arrays.y),
        arrays.y,
        arrays.class_names,
        kind=source.kind,
        origin=source.origin,
        provenance=arrays.provenance,
        feature_names=arrays.feature_names,
        groups=arrays.groups,
        test=arrays.test,
        val_share=arrays.val_share,
    )
    return replace(dataset, alphabet=arrays.alphabet)


def _filled(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Give each missing number of a table the median that its column has in the training part."""
    missing = np.isnan(x)
    return np.where(missing, np.nanmedian(x[_fixed_split(y)[0]], axis=0), x) if missing.any() else x


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
