"""A person's own file as a ``Dataset``: a table (CSV), or arrays (NPZ). The file is data, whatever it holds: nothing of it runs.

Every limit is checked before memory is spent, an archive is never unpacked beyond it, and whatever is wrong is said in a
sentence that names the value (``UnusableFile``). Nothing is written to disk.
"""

import csv
import io
import re
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.data import Dataset, from_arrays

Rows = Any  # what csv.reader gives, which has no public name


@dataclass(frozen=True)
class Limits:
    """What is accepted at most; a class needs at least ``examples_per_class``."""

    max_bytes: int = 10_000_000
    max_rows: int = 20_000
    max_columns: int = 1_000
    max_values: int = 1_024  # of an image or a signal, as 32 × 32
    max_classes: int = 50
    max_words: int = 20  # different words in a column of text
    max_name: int = 60  # characters in the name of a class
    max_unpacked_bytes: int = 32_000_000  # of an NPZ
    examples_per_class: int = 5


LIMITS = Limits()

# What can be wrong, by reason: one sentence each, with the values that the check found.
REASONS = {
    "too_large": "the file has {size:,} bytes, at most {most:,} are allowed; take fewer rows or columns",
    "unknown_format": "{file!r} is neither a table (.csv) nor arrays (.npz)",
    "empty": "the file is empty",
    "not_utf8": "the table is not UTF-8 text (byte {place}); save it as CSV UTF-8",
    "no_header": "the first row must name the columns, but it reads {found!r}",
    "duplicate_column": "two columns are called {column!r}; give each a name of its own",
    "one_column": "there is one column only; a table needs a label and at least one other column, separated by comma, semicolon or tab",
    "too_many_columns": "there are {columns:,} columns, at most {most:,} are allowed",
    "too_many_rows": "there are more than {most:,} rows; take a sample of them",
    "no_rows": "there is no row beneath the column names",
    "ragged_row": "row {row} has {found} fields, but the first row has {columns}; write decimals with a point, and put text that holds the separator in quotes",
    "broken_row": "row {row} cannot be read as CSV: {why}",
    "missing_value": "row {row}, column {column!r} is empty; fill or drop such rows first",
    "decimal_comma": "row {row}, column {column!r} reads {found!r}: write decimals with a point",
    "text_column": "column {column!r} is text with more than {most} different words (such as {found!r}); drop it, or turn it into numbers",
    "not_a_number": "row {row}, column {column!r} reads {found!r}, but most of the column are numbers; mend or drop such rows",
    "not_finite": "column {column!r} holds {found!r}; NaN and infinite values must be filled or dropped first",
    "too_big_number": "column {column!r} holds {found}, which is too large for the network's numbers (float32)",
    "label_missing": "there is no column or array {label!r}; there are {known}",
    "one_class": "column {label!r} holds one class only ({found!r}); there is nothing to tell apart",
    "too_many_classes": "column {label!r} holds {classes:,} different values, at most {most} are classes; is it the right column?",
    "long_label": "column {label!r} holds a text of {length:,} characters ({found!r} …), names of classes have at most {most}; is it the right column?",
    "class_too_small": "class {found!r} has {examples} examples, at least {least} are needed for training, validation and test",
    "not_an_archive": "the file ends in .npz but is no whole archive; it may be cut short",
    "bad_member": "{member!r} in the archive is not a whole numpy array",
    "too_many_members": "the archive holds {members:,} files, at most {most} are allowed",
    "too_much_unpacked": "the archive would unpack to more than {most:,} bytes",
    "pickle": "array {member!r} holds Python objects (pickle), which are never opened; save numbers or text instead",
    "array_kind": "array {member!r} holds {kind}; numbers are needed",
    "label_kind": "array {label!r} holds {kind}; labels are whole numbers or words",
    "label_shape": "array {label!r} has the shape {shape}, but labels have one for each example: (examples,)",
    "no_examples": "no other array fits {label!r}: one of shape ({examples}, …) is needed",
    "several_examples": "several arrays fit {label!r}: {found}; leave one of them in the file",
    "shape": "array {member!r} has the shape {shape}; a table is (examples, features), signals (examples, 1, length), images (examples, height, width) or (examples, 1, height, width)",
    "too_small": "array {member!r} has examples of the shape {shape}; an image needs at least {least} × {least} values and a signal {least}: give them as a table (examples, features)",
    "too_many_values": "array {member!r} has {values:,} values in each example, at most {most:,} are allowed; make the images or signals smaller",
}  # fmt: skip


class UnusableFile(ValueError):  # noqa: N818 - reads better where it is raised
    """A file that cannot be used: ``reason`` (a key of ``REASONS``), the ``values`` of its sentence, and the sentence."""

    def __init__(self, reason: str, **values: Any):
        super().__init__(REASONS[reason].format(**values))
        self.reason, self.values = reason, values


def columns(content: bytes, file_name: str, limits: Limits = LIMITS) -> list[str]:
    """Name the columns of a table, or the arrays of an NPZ: what can be chosen as the label.

    >>> columns(b"height,species\\n1.5,a\\n", "plants.csv")
    ['height', 'species']
    """
    _check_size(content, limits)
    if _is_archive(file_name):
        return list(_arrays_of(content, limits))
    return _header(_text_of(content), limits)[0]


def read(
    source: bytes | str | Path, label: str, *, file_name: str = "", name: str = "", limits: Limits = LIMITS
) -> Dataset:
    """Read a file as a ``Dataset``, with the fixed split of ``data.from_arrays``.

    A table's columns of numbers stay as they are; a column with a few different words becomes one column for each word.
    Arrays are a table (examples, features), signals (examples, 1, length), or images (examples, [1,] height, width);
    images that go beyond 1, such as 0 … 255, are divided by their largest value.

    Parameters
    ----------
    source : a path, or the bytes of a file whose ``file_name`` says what it is
    label : the column or array that says which class an example belongs to
    name : what the data set is called; without one, the file's name without its ending

    Raises
    ------
    UnusableFile
        If anything is wrong with the file; the message says what.
    """
    if isinstance(source, bytes):
        content = source
    else:
        path = Path(source)
        if path.stat().st_size > limits.max_bytes:
            raise UnusableFile("too_large", size=path.stat().st_size, most=limits.max_bytes)
        content, file_name = path.read_bytes(), path.name
    _check_size(content, limits)
    read_one = _read_arrays if _is_archive(file_name) else _read_table
    x, labels, kind = read_one(content, label, limits)
    classes, y = _classes(labels, label, limits)
    return from_arrays(name or Path(file_name).stem, x, y, classes, kind=kind, provenance=f"your own file {file_name}")


def _check_size(content: bytes, limits: Limits) -> None:
    if len(content) > limits.max_bytes:
        raise UnusableFile("too_large", size=len(content), most=limits.max_bytes)
    if not content:
        raise UnusableFile("empty")


def _is_archive(file_name: str) -> bool:
    ending = Path(file_name).suffix.lower()
    if ending not in (".csv", ".npz"):
        raise UnusableFile("unknown_format", file=file_name[-80:])
    return ending == ".npz"


def _classes(labels: list[Any], label: str, limits: Limits) -> tuple[list[str], np.ndarray]:
    """Number the classes: whole numbers in their order, words in alphabetical order."""
    labels, label = [str(value) for value in labels], label[:40]  # no array: it would give each the room of the longest
    sizes = Counter(labels)
    if len(sizes) < 2:
        raise UnusableFile("one_class", label=label, found=labels[0][:40])
    if len(sizes) > limits.max_classes:
        raise UnusableFile("too_many_classes", label=label, classes=len(sizes), most=limits.max_classes)
    longest, smallest = max(sizes, key=len), min(sizes, key=sizes.__getitem__)
    if len(longest) > limits.max_name:
        raise UnusableFile("long_label", label=label, length=len(longest), found=longest[:40], most=limits.max_name)
    if sizes[smallest] < limits.examples_per_class:
        raise UnusableFile("class_too_small", found=smallest, examples=sizes[smallest], least=limits.examples_per_class)
    whole = all(re.fullmatch("-?[0-9]{1,18}", name) for name in sizes)
    names = sorted(sizes, key=lambda name: (int(name) if whole else 0, name))  # 10 after 9
    number = {name: place for place, name in enumerate(names)}
    return names, np.array([number[value] for value in labels], dtype=np.int64)


# ---- Tables --------------------------------------------------------------------------------------------------


def _text_of(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise UnusableFile("not_utf8", place=problem.start) from None
    if "\0" in text:  # UTF-16, or no text at all
        raise UnusableFile("not_utf8", place=content.index(b"\0"))
    return text


def _header(text: str, limits: Limits) -> tuple[list[str], "Rows"]:
    """Find the separator, and give the names of the columns with a reader of the rows beneath."""
    first = re.split("[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    most, separator = max((first.count(mark), mark) for mark in ",;\t")
    if most >= limits.max_columns:
        raise UnusableFile("too_many_columns", columns=most + 1, most=limits.max_columns)
    rows = csv.reader(io.StringIO(text.lstrip("\r\n"), newline=""), delimiter=separator)
    names = [name.strip() for name in _next(rows) or []]
    if len(names) < 2:
        raise UnusableFile("one_column")
    if len(names) > limits.max_columns:
        raise UnusableFile("too_many_columns", columns=len(names), most=limits.max_columns)
    if not all(names) or all(_is_number(name) for name in names):
        raise UnusableFile("no_header", found=separator.join(names)[:60])
    for name in names:
        if names.count(name) > 1:
            raise UnusableFile("duplicate_column", column=name[:40])
    return names, rows


def _next(rows: "Rows") -> list[str] | None:
    try:
        return next(rows, None)
    except csv.Error as problem:  # a field too long, a quote that never closes
        raise UnusableFile("broken_row", row=rows.line_num + 1, why=str(problem)) from None


def _read_table(content: bytes, label: str, limits: Limits) -> tuple[np.ndarray, list[str], str]:
    names, rows = _header(_text_of(content), limits)
    if label not in names:
        raise UnusableFile("label_missing", label=label[:40], known=", ".join(names)[:200])
    table: list[list[str]] = []
    while (row := _next(rows)) is not None:
        if not row:  # an empty line
            continue
        if len(row) != len(names):
            raise UnusableFile("ragged_row", row=len(table) + 2, found=len(row), columns=len(names))
        if len(table) == limits.max_rows:
            raise UnusableFile("too_many_rows", most=limits.max_rows)
        table.append([field.strip() for field in row])
    if not table:
        raise UnusableFile("no_rows")
    by_column = dict(zip(names, zip(*table, strict=True), strict=True))
    for name, fields in by_column.items():
        if "" in fields:
            raise UnusableFile("missing_value", row=fields.index("") + 2, column=name[:40])
    labels = list(by_column.pop(label))
    words = {name: _words(name, fields, limits) for name, fields in by_column.items()}
    columns = sum(max(1, len(of_column)) for of_column in words.values())
    if columns > limits.max_columns:
        raise UnusableFile("too_many_columns", columns=columns, most=limits.max_columns)
    parts = [_column(name, fields, words[name]) for name, fields in by_column.items()]
    return np.concatenate(parts, 1), labels, "table"


def _words(name: str, fields: tuple[str, ...], limits: Limits) -> list[str]:
    """Name the different words in a column of text; none for a column of numbers."""
    if all(_is_number(field) for field in fields):
        return []
    for row, field in enumerate(fields, 2):
        if _is_number(field.replace(",", ".", 1)) and not _is_number(field):
            raise UnusableFile("decimal_comma", row=row, column=name[:40], found=field[:40])
    words = sorted(set(fields))
    if len(words) > limits.max_words:
        odd = [row for row, field in enumerate(fields) if not _is_number(field)]
        found = fields[odd[0]]
        if len(odd) < len(fields) / 2:
            raise UnusableFile("not_a_number", row=odd[0] + 2, column=name[:40], found=found[:40])
        raise UnusableFile("text_column", column=name[:40], most=limits.max_words, found=found[:40])
    return words


def _column(name: str, fields: tuple[str, ...], words: list[str]) -> np.ndarray:
    """Turn a column into numbers, (rows, 1), or into one column for each of its words."""
    if not words:
        return _finite(name, np.array([float(field) for field in fields])[:, None])
    place = {word: number for number, word in enumerate(words)}
    column = np.zeros((len(fields), len(words)), np.float32)
    column[np.arange(len(fields)), [place[field] for field in fields]] = 1
    return column


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python reads 0_1 as a number; in a table it is a code


def _finite(name: str, values: np.ndarray) -> np.ndarray:
    """Give the values as float32, which networks compute with."""
    finite = np.isfinite(values)
    if not finite.all():
        raise UnusableFile("not_finite", column=name[:40], found=str(values[~finite][0]))
    largest = max(float(values.max()), -float(values.min()))  # numpy would turn an unsigned sign around
    if largest > 1e15:  # squares of such numbers, as standardising takes them, would leave float32
        raise UnusableFile("too_big_number", column=name[:40], found=f"{largest:g}")
    return values.astype(np.float32)


# ---- Arrays --------------------------------------------------------------------------------------------------

_MAX_MEMBERS = 50
_LEAST_SIDE = 4  # the networks with convolutions halve an image or a signal twice


def _arrays_of(content: bytes, limits: Limits) -> dict[str, np.ndarray]:
    """Open the arrays of an NPZ in memory, never beyond the limit, whatever its directory says."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise UnusableFile("not_an_archive") from None
    if len(members) > _MAX_MEMBERS:
        raise UnusableFile("too_many_members", members=len(members), most=_MAX_MEMBERS)
    arrays, left = {}, limits.max_unpacked_bytes
    for member in members:
        name = member.filename.removesuffix(".npy")[:40]
        if member.file_size > left:
            raise UnusableFile("too_much_unpacked", most=limits.max_unpacked_bytes)
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # numpy writes no other
            raise UnusableFile("bad_member", member=name)
        try:
            with archive.open(member) as file:
                unpacked = file.read(left + 1)
        except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error):
            raise UnusableFile("bad_member", member=name) from None
        left -= len(unpacked)
        if left < 0:
            raise UnusableFile("too_much_unpacked", most=limits.max_unpacked_bytes)
        arrays[name] = _array_of(unpacked, name)
    return arrays


def _array_of(unpacked: bytes, name: str) -> np.ndarray:
    """Read one array; its header is checked against what is there before memory is given to it."""
    file = io.BytesIO(unpacked)
    try:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = header(file)
        if kind.hasobject:
            raise UnusableFile("pickle", member=name)
        size = kind.itemsize
        for length in shape:
            size *= length
        if size != len(unpacked) - file.tell():
            raise UnusableFile("bad_member", member=name)
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    except UnusableFile:
        raise
    except Exception:  # whatever a forged header brings about
        raise UnusableFile("bad_member", member=name) from None


def _read_arrays(content: bytes, label: str, limits: Limits) -> tuple[np.ndarray, list[Any], str]:
    arrays = _arrays_of(content, limits)
    if label not in arrays:
        raise UnusableFile("label_missing", label=label[:40], known=", ".join(arrays)[:200])
    labels = arrays.pop(label)
    if labels.ndim != 1:
        raise UnusableFile("label_shape", label=label[:40], shape=labels.shape)
    if not len(labels):
        raise UnusableFile("no_rows")
    if len(labels) > limits.max_rows:
        raise UnusableFile("too_many_rows", most=limits.max_rows)
    if labels.dtype.kind == "f" and (np.abs(labels) < 2**53).all() and (labels % 1 == 0).all():
        labels = labels.astype(np.int64)  # 0.0, 1.0, … as some programs write them
    if labels.dtype.kind not in "iubU":
        raise UnusableFile("label_kind", label=label[:40], kind=str(labels.dtype))
    fitting = [name for name, values in arrays.items() if values.ndim >= 2 and len(values) == len(labels)]
    if not fitting:
        raise UnusableFile("no_examples", label=label[:40], examples=len(labels))
    if len(fitting) > 1:
        raise UnusableFile("several_examples", label=label[:40], found=", ".join(fitting)[:200])
    x, kind = _shaped(fitting[0], arrays[fitting[0]])
    if x[0].size > limits.max_columns and kind == "table":
        raise UnusableFile("too_many_columns", columns=x[0].size, most=limits.max_columns)
    if x[0].size > limits.max_values:
        raise UnusableFile("too_many_values", member=fitting[0], values=x[0].size, most=limits.max_values)
    if kind != "table" and min(x.shape[2:]) < _LEAST_SIDE:
        raise UnusableFile("too_small", member=fitting[0], shape=x.shape[1:], least=_LEAST_SIDE)
    return x, labels.tolist(), kind


def _shaped(name: str, values: np.ndarray) -> tuple[np.ndarray, str]:
    """Give the examples as networks take them, with their kind."""
    if values.dtype.kind not in "iufb":
        raise UnusableFile("array_kind", member=name[:40], kind=str(values.dtype))
    match values.shape:
        case shape if 0 in shape:
            raise UnusableFile("shape", member=name[:40], shape=shape)
        case (_, _):
            return _finite(name, values), "table"
        case (_, 1, _):
            return _finite(name, values), "signal"
        case (examples, height, width) | (examples, 1, height, width):
            grey = _finite(name, values).reshape(examples, 1, height, width)
            return grey / max(np.abs(grey).max(), np.float32(1)), "vision"
    raise UnusableFile("shape", member=name[:40], shape=values.shape)
