"""Whatever a file holds: a sentence that says what is wrong, bounded memory, and nothing of it runs."""

import contextlib
import io
import os
import pickle
import string
import tomllib
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit import files, grid
from toolkit.files import REASONS, UnusableFile

rng = np.random.default_rng(0)


def table(rows=60, header="a,b,species", row=lambda i: f"{i % 7},{i / 3},{'xyz'[i % 3]}"):
    return "\n".join([header, *(row(i) for i in range(rows))]).encode()


def archive(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def zipped(members, compression=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as out:
        for name, content in members.items():
            out.writestr(name, content)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


LABELS = np.arange(60) % 3
GOOD = archive(x=rng.normal(size=(60, 4)), y=LABELS)


def test_a_table_becomes_a_data_set():
    dataset = files.read(table(), "species", file_name="flowers.csv")
    assert (dataset.name, dataset.kind, dataset.class_names) == ("flowers", "table", ("x", "y", "z"))
    assert dataset.input_shape == (2,)
    assert files.columns(table(), "flowers.csv") == ["a", "b", "species"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_separators_line_endings_and_a_byte_order_mark_are_understood(separator, ending):
    text = table().decode().replace(",", separator).replace("\n", ending)
    dataset = files.read(text.encode("utf-8-sig"), "species", file_name="t.CSV")
    assert dataset.fingerprint == files.read(table(), "species", file_name="t.csv").fingerprint


def test_a_column_of_few_words_becomes_one_column_for_each():
    content = table(header="colour,b,species", row=lambda i: f"{'红绿蓝'[i % 3]},{i},{'xy'[i % 2]}")
    assert files.read(content, "species", file_name="t.csv").input_shape == (4,)


def test_classes_that_are_numbers_keep_their_order():
    content = table(120, row=lambda i: f"{i},{i},{i % 12}")
    assert files.read(content, "species", file_name="t.csv").class_names == tuple(str(c) for c in range(12))


@pytest.mark.parametrize(
    ("x", "kind", "shape"),
    [
        (rng.normal(size=(60, 4)), "table", (4,)),
        (rng.normal(size=(60, 1, 20)), "signal", (1, 20)),
        (rng.integers(0, 256, (60, 6, 5), dtype=np.uint8), "vision", (1, 6, 5)),
        (rng.random((60, 1, 6, 5)), "vision", (1, 6, 5)),
    ],
)
def test_arrays_become_a_data_set_on_which_students_are_trained(x, kind, shape):
    dataset = files.read(archive(x=x, y=LABELS), "y", file_name="a.npz")
    assert (dataset.kind, dataset.input_shape) == (kind, shape)
    if kind == "vision":
        assert 0 <= float(dataset.x_train.min()) <= float(dataset.x_train.max()) <= 1
    result = grid.train_grid(dataset, student="mlp-8", temperatures=(2,), lams=(0, 1), seeds=1, epochs=2)
    assert np.isfinite(result.history).all()


def test_a_path_and_its_bytes_give_the_same(tmp_path):
    (tmp_path / "a.npz").write_bytes(GOOD)
    from_path = files.read(tmp_path / "a.npz", "y")
    assert from_path.fingerprint == files.read(GOOD, "y", file_name="a.npz").fingerprint
    assert from_path.name == "a"


class Evil:
    """Unpickling it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def huge_header():
    """A small member whose header claims petabytes."""
    content = bytearray(npy(np.zeros((10, 4))))
    return bytes(content).replace(b"(10, 4), ", b"(1" + b"0" * 15 + b", 4), ")[: len(content)]


BAD = {
    "too_large": (b"a,b\n" * 3_000_000, "t.csv"),
    "unknown_format": (b"whatever", "t.xlsx"),
    "empty": (b"", "t.csv"),
    "not_utf8": ("größe,b\n1,2\n".encode("latin-1"), "t.csv"),
    "no_header": (b"1,2,3\n4,5,6\n", "t.csv"),
    "duplicate_column": (b"a,b,a\n1,2,3\n", "t.csv"),
    "one_column": (b"species\nx\n", "t.csv"),
    "too_many_columns": (",".join(f"c{i}" for i in range(1_000_000)).encode() + b"\n", "t.csv"),
    "too_many_rows": (table(20_001), "t.csv"),
    "no_rows": (b"a,b,species\n", "t.csv"),
    "ragged_row": (table() + b"\n1,2\n", "t.csv"),
    "broken_row": (b'a,b,species\n"' + b"x" * 200_000 + b'",1,2\n', "t.csv"),
    "missing_value": (table() + b"\n1,,x\n", "t.csv"),
    "decimal_comma": (table(row=lambda i: f"{i};3,{i};x", header="a;b;species"), "t.csv"),
    "text_column": (table(row=lambda i: f"=cmd|'/c calc'!A{i},2,x"), "t.csv"),
    "not_finite": (table() + b"\nnan,1,x\n", "t.csv"),
    "too_big_number": (table() + b"\n1e300,1,x\n", "t.csv"),
    "label_missing": (b"a,b,class\n1,2,3\n", "t.csv"),
    "one_class": (table(row=lambda i: f"{i},1,x"), "t.csv"),
    "too_many_classes": (table(600, row=lambda i: f"{i},1,c{i}"), "t.csv"),
    "class_too_small": (table() + b"\n1,1,rare\n", "t.csv"),
    "not_an_archive": (GOOD[: len(GOOD) // 2], "t.npz"),
    "bad_member": (zipped({"y.npy": b"nonsense"}), "t.npz"),
    "too_many_members": (zipped({f"m{i}.npy": b"" for i in range(51)}), "t.npz"),
    "too_much_unpacked": (zipped({"y.npy": b"\0" * 200_000_000}), "t.npz"),
    "array_kind": (archive(x=np.full((60, 2), "text"), species=LABELS), "t.npz"),
    "label_shape": (archive(x=np.zeros((60, 2)), species=np.zeros((60, 2))), "t.npz"),
    "no_examples": (archive(x=np.zeros((61, 2)), species=LABELS), "t.npz"),
    "several_examples": (archive(x=np.zeros((60, 2)), z=np.zeros((60, 2)), species=LABELS), "t.npz"),
    "shape": (archive(x=np.zeros((60, 3, 4, 4)), species=LABELS), "t.npz"),
}


@pytest.mark.parametrize("reason", [reason for reason in REASONS if reason != "pickle"])
def test_what_is_wrong_is_said_in_a_sentence(reason):
    content, file_name = BAD[reason]
    with pytest.raises(UnusableFile) as caught:
        files.read(content, "species", file_name=file_name)
    assert caught.value.reason == reason
    assert str(caught.value) == REASONS[reason].format(**caught.value.values)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("content", "file_name", "reason"),
    [
        (table().decode().encode("utf-16"), "t.csv", "not_utf8"),
        (b"a,b,species\n1,\0,2\n", "t.csv", "not_utf8"),
        (b"", "t.npz", "empty"),
        (b"PK\x03\x04", "t.npz", "not_an_archive"),
        (zipped({"../../evil.npy": b"x"}), "t.npz", "bad_member"),
        (zipped({"y.npy": huge_header()}), "t.npz", "bad_member"),
        (archive(x=np.full((60, 2), np.nan), species=LABELS), "t.npz", "not_finite"),
        (archive(x=np.full((60, 2), np.inf), species=LABELS), "t.npz", "not_finite"),
        (archive(x=np.zeros((60, 0)), species=LABELS), "t.npz", "shape"),
        (archive(x=np.zeros((0, 2)), species=np.zeros(0, int)), "t.npz", "no_rows"),
        (archive(x=np.zeros((60, 2)), species=np.zeros(60, complex)), "t.npz", "array_kind"),
        (archive(x=np.zeros((60, 2)), species=LABELS + 0.5), "t.npz", "array_kind"),
        (archive(x=np.zeros((60, 2000)), species=LABELS), "t.npz", "too_many_columns"),
        (archive(x=np.zeros((60, 2)), species=np.zeros(60, int)), "t.npz", "one_class"),
    ],
)
def test_more_that_is_wrong(content, file_name, reason):
    with pytest.raises(UnusableFile) as caught:
        files.read(content, "species", file_name=file_name)
    assert caught.value.reason == reason


def test_nothing_is_unpickled(tmp_path):
    made = tmp_path / "made"
    objects = np.array([Evil(str(made))], dtype=object)
    buffer = io.BytesIO()
    np.savez(buffer, species=objects)
    forged = npy(np.zeros(3))[:-24] + pickle.dumps(Evil(str(made)))  # says it holds numbers
    for content in (buffer.getvalue(), zipped({"species.npy": forged})):
        with pytest.raises(UnusableFile) as caught:
            files.read(content, "species", file_name="t.npz")
        assert caught.value.reason in ("pickle", "bad_member")
    with pytest.raises(UnusableFile, match="Python objects"):
        files.columns(buffer.getvalue(), "t.npz")
    assert not made.exists()


def test_a_directory_that_lies_about_sizes_is_not_believed():
    content = bytearray(zipped({"y.npy": b"\0" * 100_000_000}))
    place = content.rindex(b"PK\x01\x02") + 24  # where the directory says how large the member will be
    content[place : place + 4] = (1000).to_bytes(4, "little")
    with pytest.raises(UnusableFile) as caught:
        files.read(bytes(content), "y", file_name="t.npz")
    assert caught.value.reason in ("too_much_unpacked", "bad_member")


@pytest.mark.parametrize("reason", ["too_much_unpacked", "too_many_columns", "broken_row", "too_many_rows"])
def test_memory_stays_bounded(reason):
    content, file_name = BAD[reason]
    tracemalloc.start()
    try:
        with pytest.raises(UnusableFile):
            files.read(content, "species", file_name=file_name)
        assert tracemalloc.get_traced_memory()[1] < 200_000_000
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=300), st.sampled_from(["t.csv", "t.npz"]))
def test_random_bytes_are_refused_or_read(content, file_name):
    try:
        files.columns(content, file_name)
        files.read(content, "y", file_name=file_name)
    except UnusableFile:
        pass


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_damaged_archive_is_refused_or_read(place, byte):
    content = bytearray(GOOD)
    content[place] = byte
    with contextlib.suppress(UnusableFile):
        files.read(bytes(content), "y", file_name="t.npz")


@given(st.text(alphabet=string.printable + "é中\0", max_size=200))
def test_random_text_is_refused_or_read(text):
    with contextlib.suppress(UnusableFile):
        files.read(text.encode(), "a", file_name="t.csv")


def test_every_reason_is_said_in_chinese_with_the_same_values():
    catalogue = tomllib.loads((Path(__file__).parent.parent / "app_support/words/refused.toml").read_text("utf-8"))
    assert set(catalogue) == set(REASONS)
    fields = lambda text: {name for _, name, _, _ in string.Formatter().parse(text) if name}  # noqa: E731
    for reason, entry in catalogue.items():
        assert entry["en"] == REASONS[reason]
        assert fields(entry["zh"]) <= fields(REASONS[reason])
