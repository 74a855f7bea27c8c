"""Readers of files that other people made: each gives numpy arrays, before anything is split or scaled.

``toolkit.data`` finds the files and makes a ``Dataset`` of what is read here. A package that only one reader needs is
imported inside it, so that this module costs nothing.
"""

import bz2
import gzip
import importlib
import lzma
import math
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# ---- Images: the IDX files of MNIST ----------------------------------------------------------------------------


def idx_path(folder: Path, part: str) -> Path:
    """Find one IDX file, gzip-packed or not."""
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
    except (ValueError, IndexError, EOFError, OSError, zlib.error) as problem:
        raise ValueError(f"{path} is not a whole IDX file: {problem}") from problem


# ---- Tables: what R packages hold ------------------------------------------------------------------------------


def read_r_table(index: Path, name: str) -> Any:
    """Read one table of an R package: its lazy-load index (.rdx) says where it lies in the .rdb beside it.

    Gives the pandas ``DataFrame`` that the package ``rdata`` makes of it; pandas comes with ``rdata``.
    """
    from rdata.conversion import convert
    from rdata.parser import parse_data

    try:
        places = convert(parse_data(index.read_bytes(), extension=".rds"))["variables"]
        offset, length = (int(number) for number in places[name])
        packed = index.with_suffix(".rdb").read_bytes()[offset : offset + length]
        return convert(parse_data(unpack_r(packed), extension=".rds"))
    except (ValueError, LookupError, EOFError, zlib.error, lzma.LZMAError, NotImplementedError) as problem:
        raise ValueError(f"{index} does not lead to a whole R table {name!r}: {problem}") from problem


def unpack_r(packed: bytes) -> bytes:
    """Unpack one entry of an R lazy-load file: four bytes of length, sometimes a letter for the method, the content."""
    method, content = packed[4:5], packed[5:]
    if method == b"Z":  # R leaves out the header of xz
        return lzma.decompress(content, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 6}])
    if method == b"2":
        return bz2.decompress(content)
    return content if method == b"0" else zlib.decompress(packed[4:])


def table_columns(table: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """Turn a pandas table into numbers (examples, features) and feature names.

    A column of numbers stays one column, missing values NaN. A column of words becomes one column for each word,
    "home = owner"; where the word is missing, none of them is 1.

    Examples
    --------
    >>> import pandas
    >>> table_columns(pandas.DataFrame({"Age": [30, None], "Home": pandas.Categorical(["rent", "owner"])}))
    (array([[30.,  0.,  1.],
           [nan,  1.,  0.]]), ('age', 'home = owner', 'home = rent'))
    """
    columns, names = [], []
    for title in table.columns:
        if table[title].dtype.name == "category":
            for word in table[title].cat.categories:
                columns.append((table[title] == word).to_numpy(float, na_value=0.0))
                names.append(f"{str(title).lower()} = {word}")
        else:
            columns.append(table[title].to_numpy(float, na_value=np.nan))
            names.append(str(title).lower())
    return np.column_stack(columns), tuple(names)


# ---- Language: names as rows of letters ------------------------------------------------------------------------


def read_names(locales: Iterable[str]) -> list[list[str]]:
    """Collect the first and last names that the package Faker has for each locale, in lower case and sorted.

    A name that several of the locales have is left out: nobody could tell where it belongs.
    """
    found = []
    for locale in locales:
        provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
        names = [*provider.first_names, *provider.last_names]  # a dictionary gives its names, without their frequencies
        found.append({plain_name(name) for name in names})
    locales_of = Counter(name for names in found for name in names)
    return [sorted(name for name in names if locales_of[name] == 1) for names in found]


def plain_name(name: str) -> str:
    """Write a name as the data have it: lower case, one character for each letter with its accent.

    >>> plain_name(" Zoë"), plain_name("İbrahim")  # Python gives the Turkish İ a second, combining dot
    ('zoë', 'ibrahim')
    """
    return unicodedata.normalize("NFC", name.strip().lower().replace("i\u0307", "i"))


def one_hot(names: Sequence[str], alphabet: str, length: int) -> np.ndarray:
    """Write names as arrays (examples, characters, length): a 1 for each letter, zeros behind the end.

    >>> one_hot(["aba"], "ab", 4)
    array([[[1., 0., 1., 0.],
            [0., 1., 0., 0.]]], dtype=float32)
    """
    x = np.zeros((len(names), len(alphabet), length), np.float32)
    place = {letter: index for index, letter in enumerate(alphabet)}
    for row, name in zip(x, names, strict=True):
        row[[place[letter] for letter in name], range(len(name))] = 1
    return x


# ---- Speech: recordings and what is computed from them ---------------------------------------------------------


def read_gsm(path: Path) -> np.ndarray:
    """Read a recording in the telephone code GSM 06.10: float32 samples in −1…1, 8,000 a second."""
    import soundfile

    return soundfile.read(path, samplerate=8000, channels=1, subtype="GSM610", format="RAW", dtype="float32")[0]


NOT_SPOKEN = ("silence", "beep", "beeperr", "ascending-2tone", "descending-2tone")


def read_prompts(folder: Path, voice: str, most: int) -> tuple[np.ndarray, list[str]]:
    """Read half-second windows of one voice, and for each the prompt it is from: ``"voice/file"`` without its ending.

    Prompts are taken in a fixed random order until there are ``most`` windows; tones and silence are left out.
    """
    prompts = [
        path
        for path in sorted((folder / voice).rglob("*.gsm"))
        if path.stem not in NOT_SPOKEN and path.parent.name != "silence"
    ]
    found: list[np.ndarray] = []
    origins: list[str] = []
    for place in np.random.default_rng(0).permutation(len(prompts)):
        if len(origins) >= most:
            break
        found.append(windows(read_gsm(prompts[place]), 4000, quietest=0.01)[: most - len(origins)])
        origins += [prompts[place].relative_to(folder).with_suffix("").as_posix()] * len(found[-1])
    if not origins:
        raise ValueError(f"{folder / voice} holds no spoken prompt (.gsm) of half a second")
    return np.concatenate(found), origins


def windows(samples: np.ndarray, length: int, quietest: float) -> np.ndarray:
    """Cut a recording into windows (windows, length) that do not overlap; drop the rest and what is quieter.

    ``quietest`` is the least root mean square of a window that is kept.
    """
    whole = samples[: len(samples) // length * length].reshape(-1, length)
    return whole[np.sqrt((whole**2).mean(1)) >= quietest]


def mel_filters(bands: int, frame: int, rate: int) -> np.ndarray:
    """Give the weights (bands, frame/2 + 1) that add a spectrum up into bands as the ear hears them.

    Triangles with equal distances on the mel scale, mel = 2595 log₁₀(1 + f / 700), between 60 Hz and half the rate.
    """
    lowest, highest = (2595 * math.log10(1 + hertz / 700) for hertz in (60, rate / 2))
    corners = 700 * (10 ** (np.linspace(lowest, highest, bands + 2) / 2595) - 1)  # Hz
    frequencies = np.fft.rfftfreq(frame, 1 / rate)
    rising = (frequencies - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - frequencies) / np.diff(corners)[1:, None]
    return np.clip(np.minimum(rising, falling), 0, None)


def log_mel(sound: np.ndarray, *, bands: int = 24, frame: int = 256, hop: int = 128, rate: int = 8000) -> np.ndarray:
    """Compute log-mel pictures (windows, bands, frames) of windows of sound (windows, samples).

    Each frame of 256 samples (32 ms), every 128, gives log₁₀ of its energy in each band; a window's mean is taken
    away, so that how loud it was says nothing.
    """
    frames = np.lib.stride_tricks.sliding_window_view(sound, frame, axis=-1)[:, ::hop]  # (windows, frames, samples)
    energy = np.abs(np.fft.rfft(frames * np.hanning(frame).astype(np.float32))) ** 2
    picture = np.log10(energy @ mel_filters(bands, frame, rate).T + 1e-6).swapaxes(1, 2)
    return (picture - picture.mean((1, 2), keepdims=True)).astype(np.float32)


def read_ts(path: Path) -> tuple[list[np.ndarray], list[str]]:
    """Read series of unequal length from a .ts file: one array (channels, frames) for each line, and the labels.

    Lines that start with # or @ describe the file; in the others ":" stands between channels and before the label.
    """
    series, labels = [], []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith(("#", "@")):
            continue
        *channels, label = line.split(":")
        try:
            series.append(np.array([channel.split(",") for channel in channels], np.float32))
            if series[-1].ndim != 2 or series[-1].shape[0] != series[0].shape[0]:
                raise ValueError(f"{series[-1].shape[0]} channels, the first series has {series[0].shape[0]}")
        except ValueError as problem:
            raise ValueError(f"{path}, line {number}, is not a series with its label: {problem}") from problem
        labels.append(label.strip())
    if not series:
        raise ValueError(f"{path} holds no series")
    return series, labels


def padded(series: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Stack series (channels, frames) of unequal length: (examples, channels, length), zeros behind the end."""
    x = np.zeros((len(series), series[0].shape[0], length), np.float32)
    for row, one in zip(x, series, strict=True):
        row[:, : one.shape[1]] = one
    return x
