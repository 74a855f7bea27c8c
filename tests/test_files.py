"""Whatever a file holds: a sentence that says what is wrong, bounded memory, and nothing of it runs."""

import contextlib
import csv
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


def words_in_many_columns():
    """A table of moderate size whose columns, one for each word, would fill memory."""
    header = ",".join([*(f"c{i}" for i in range(240)), "species"])
    return table(1000, header, lambda i: ",".join([*(f"w{(i + c) % 20}" for c in range(240)), "xyz"[i % 3]]))


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


def test_codes_with_an_underscore_are_words():
    content = table(header="code,b,species", row=lambda i: f"{i % 3}_1,{i},{'xy'[i % 2]}")
    assert files.read(content, "species", file_name="t.csv").input_shape == (4,)


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
        (rng.integers(0, 256, (60, 6, 5)), "vision", (1, 6, 5)),
        (rng.integers(0, 17, (60, 6, 5), dtype=np.uint64), "vision", (1, 6, 5)),
        (rng.random((60, 1, 6, 5)), "vision", (1, 6, 5)),
        (rng.random((60, 4)) < 0.5, "table", (4,)),
    ],
)
def test_arrays_become_a_data_set_on_which_students_are_trained(x, kind, shape):
    dataset = files.read(archive(x=x, y=LABELS), "y", file_name="a.npz")
    assert (dataset.kind, dataset.input_shape) == (kind, shape)
    if kind == "vision":
        assert 0 <= float(dataset.x_train.min()) < 0.1
        assert 0.9 < float(dataset.x_train.max()) <= 1
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
    "not_a_number": (table(row=lambda i: f"{'abc' if i == 7 else i},{i},{'xyz'[i % 3]}"), "t.csv"),
    "not_finite": (table() + b"\nnan,1,x\n", "t.csv"),
    "too_big_number": (table() + b"\n1e300,1,x\n", "t.csv"),
    "label_missing": (b"a,b,class\n1,2,3\n", "t.csv"),
    "one_class": (table(row=lambda i: f"{i},1,x"), "t.csv"),
    "too_many_classes": (table(600, row=lambda i: f"{i},1,c{i}"), "t.csv"),
    "class_too_small": (table() + b"\n1,1,rare\n", "t.csv"),
    "long_label": (table(row=lambda i: f"{i},1,{'xyz'[i % 3] * 100}"), "t.csv"),
    "too_small": (archive(x=np.zeros((60, 5, 1)), species=LABELS), "t.npz"),
    "too_many_values": (archive(x=np.zeros((60, 33, 32)), species=LABELS), "t.npz"),
    "not_an_archive": (GOOD[: len(GOOD) // 2], "t.npz"),
    "bad_member": (zipped({"y.npy": b"nonsense"}), "t.npz"),
    "too_many_members": (zipped({f"m{i}.npy": b"" for i in range(51)}), "t.npz"),
    "too_much_unpacked": (zipped({"y.npy": b"\0" * 200_000_000}), "t.npz"),
    "array_kind": (archive(x=np.full((60, 2), "text"), species=LABELS), "t.npz"),
    "label_kind": (archive(x=np.zeros((60, 2)), species=np.zeros(60, complex)), "t.npz"),
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
        (archive(x=np.zeros((60, 2)), species=LABELS + np.nan), "t.npz", "label_kind"),
        (archive(x=np.zeros((60, 2)), species=LABELS + 0.5), "t.npz", "label_kind"),
        (archive(x=np.zeros((60, 2)), species=LABELS + 1e300), "t.npz", "label_kind"),
        (archive(x=np.full((60, 2), 2**60, np.uint64), species=LABELS), "t.npz", "too_big_number"),
        (zipped({"y.npy": npy(LABELS)}, zipfile.ZIP_LZMA), "t.npz", "bad_member"),
        (zipped({"y.npy": npy(LABELS)}, zipfile.ZIP_BZIP2), "t.npz", "bad_member"),
        (b"a,b,species\r" * 1000, "t.csv", "one_class"),
        (archive(x=np.zeros((60, 2000)), species=LABELS), "t.npz", "too_many_columns"),
        (archive(x=np.zeros((60, 2)), species=np.zeros(60, int)), "t.npz", "one_class"),
        (archive(x=np.zeros((60, 1, 1, 1)), species=LABELS), "t.npz", "too_small"),
        (archive(x=np.zeros((60, 1, 3)), species=LABELS), "t.npz", "too_small"),
        (table(row=lambda i: f"{i},1," + ("a" if i else "b" * 100_000)), "t.csv", "long_label"),
        (words_in_many_columns(), "t.csv", "too_many_columns"),
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


@contextlib.contextmanager
def memory_at_most(size):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("reason", ["too_much_unpacked", "too_many_columns", "broken_row", "too_many_rows"])
def test_memory_stays_bounded(reason):
    content, file_name = BAD[reason]
    with memory_at_most(200_000_000), pytest.raises(UnusableFile):
        files.read(content, "species", file_name=file_name)


def test_one_long_label_does_not_make_room_in_every_row():
    content = table(2000, row=lambda i: f"{i},1," + ("a" if i else "b" * 100_000))
    with memory_at_most(5_000_000), pytest.raises(UnusableFile):
        files.read(content, "species", file_name="t.csv")


def test_columns_of_words_are_counted_before_they_are_made():
    content = words_in_many_columns()
    with memory_at_most(40 * len(content)), pytest.raises(UnusableFile):
        files.read(content, "species", file_name="t.csv")


@pytest.mark.parametrize(("classes", "rows"), [(2, 5), (3, 5), (10, 6), (50, 5)])
def test_as_few_examples_as_the_limits_say_are_enough(classes, rows):
    content = table(classes * rows, row=lambda i: f"{i},{i * i % 7},c{i % classes}")
    dataset = files.read(content, "species", file_name="t.csv")
    assert min(len(dataset.y_train), len(dataset.y_val), len(dataset.y_test)) >= classes
    assert set(dataset.y_train.tolist()) == set(range(classes))


def test_labels_that_only_look_like_numbers_are_words():
    content = table(row=lambda i: f"{i},1,{'-' * (i % 3)}{i % 3}")
    assert files.read(content, "species", file_name="t.csv").class_names == ("--2", "-1", "0")


names = st.text(alphabet=string.ascii_letters + string.digits + " -_.é中\"'|*<>$", min_size=1, max_size=80)


@st.composite
def tables(draw):
    """Whole tables: a header, labels as often as is asked for, columns of numbers and of words."""
    classes = draw(st.lists(names.map(str.strip).filter(bool), min_size=2, max_size=50, unique=True))
    labels = [name for name in classes for _ in range(draw(st.integers(5, 8)))]
    words = draw(st.lists(names.map(str.strip).filter(bool), min_size=1, max_size=25, unique=True))
    columns = {"species": labels}
    for number in range(draw(st.integers(1, 5))):
        source = words if draw(st.booleans()) else ["0", "1", "-2.5", "1e3"]
        columns[f"c{number}"] = [source[(7 * row + number) % len(source)] for row in range(len(labels))]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue().encode(), len(classes)


@given(tables())
def test_whole_tables_are_read_or_refused_by_a_sentence(made):
    content, classes = made
    with contextlib.suppress(UnusableFile):
        dataset = files.read(content, "species", file_name="t.csv")
        assert dataset.classes == classes
        assert len(set(dataset.class_names)) == classes


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
