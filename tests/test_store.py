import io
import os
import threading
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolkit import store

ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "name": np.array("teacher"), "empty": np.zeros((0, 4), np.float32)}


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(store.CACHE_FOLDER_VARIABLE, str(tmp_path / "cache"))


def test_what_is_saved_is_read_back():
    assert store.save("key-1", ARRAYS)
    read = store.load("key-1")
    assert set(read) == set(ARRAYS)
    for name, value in ARRAYS.items():
        assert read[name].dtype == value.dtype
        assert np.array_equal(read[name], value)


def test_missing_entry_is_none_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.load("never-saved") is None


def damaged_path():
    store.save("key", ARRAYS)
    return store.folder() / "key.arrays"


@pytest.mark.parametrize("keep", [0, 1, 10, 0.5, 0.9])
def test_half_written_entry_is_dropped_with_a_warning(keep):
    path = damaged_path()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.warns(RuntimeWarning, match="key.arrays cannot be used .* computed anew"):
        assert store.load("key") is None
    assert not path.exists()
    assert store.save("key", ARRAYS)
    assert store.load("key") is not None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_flipped_byte_never_gives_wrong_numbers(position, flip):
    path = damaged_path()
    raw = bytearray(path.read_bytes())
    raw[position % len(raw)] ^= flip
    path.write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = store.load("key")
    assert read is None


def test_pickled_content_is_never_opened():
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, ("exploded",))

    store.save("key", ARRAYS)
    buffer = io.BytesIO()
    np.savez(buffer, bomb=np.array([Bomb()], dtype=object), __format__=np.array(1))
    (store.folder() / "key.arrays").write_bytes(store._checksum(buffer.getvalue()) + buffer.getvalue())
    with pytest.warns(RuntimeWarning, match="cannot be used"):
        assert store.load("key") is None
    assert not os.path.exists("exploded")


def test_entry_of_another_format_counts_as_absent(monkeypatch):
    monkeypatch.setattr(store, "_FORMAT", 999)
    store.save("key", ARRAYS)
    monkeypatch.setattr(store, "_FORMAT", 1)
    assert store.load("key") is None


def test_folder_that_cannot_be_written_costs_a_warning_and_no_result(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv(store.CACHE_FOLDER_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.warns(RuntimeWarning, match=f"cannot be written .*{store.CACHE_FOLDER_VARIABLE}"):
        assert not store.save("key", ARRAYS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert store.load("key") is None


def test_read_only_folder_leaves_nothing_half_written(monkeypatch):
    store.folder().mkdir(parents=True)

    def refuse(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr(store.os, "replace", refuse)
    with pytest.warns(RuntimeWarning, match="read-only"):
        assert not store.save("key", ARRAYS)
    assert store.entries() == []


def test_many_writers_and_readers_see_whole_entries_only():
    values = [{"x": np.full(5000, n)} for n in range(8)]
    store.save("key", values[0])
    problems = []

    def work(n):
        for _ in range(10):
            store.save("key", values[n])
            read = store.load("key")
            if read is None or len(np.unique(read["x"])) != 1:
                problems.append(read)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


def test_size_and_clear_count_the_files():
    store.save("one", ARRAYS)
    store.save("two", ARRAYS)
    assert len(store.entries()) == 2
    assert store.size() > 0
    assert store.clear() == 2
    assert store.size() == 0


@pytest.mark.parametrize("key", ["", "../outside", "a b", "A", "a/b"])
def test_keys_that_could_leave_the_folder_are_refused(key):
    with pytest.raises(ValueError, match="a cache key has lower-case letters"):
        store.save(key, ARRAYS)


# ---- Journals and mapped arrays ------------------------------------------------------------------------------


def test_a_journal_keeps_whole_lines_and_passes_over_broken_ones(tmp_path):
    path = tmp_path / "folder" / "journal.jsonl"
    assert store.read_records(path) == []
    store.append_record(path, {"run": 1, "accuracy": 0.5})
    with path.open("ab") as file:
        file.write(b"half a li")  # a killed process
    store.append_record(path, {"run": 2, "accuracy": 1 / 3})
    text = path.read_text("utf-8")
    path.write_text(text.replace('"run": 1', '"run": 7'), encoding="utf-8")  # its checksum no longer fits
    store.append_record(path, {"run": 3})
    assert store.read_records(path) == [{"run": 2, "accuracy": 1 / 3}, {"run": 3}]


def test_a_mapped_array_comes_back_without_being_read_whole():
    array = np.arange(600, dtype=np.float32).reshape(60, 10)
    assert store.load_mapped("soft-targets") is None
    path = store.save_mapped("soft-targets", array)
    mapped = store.load_mapped("soft-targets")
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, array)
    mapped[0] = -1  # stays in memory
    assert np.array_equal(store.load_mapped("soft-targets"), array)
    assert path in store.entries()
    path.unlink()


def test_a_damaged_mapped_array_counts_as_absent():
    path = store.save_mapped("soft-targets", np.zeros(100))
    raw = bytearray(path.read_bytes())
    raw[-40] ^= 1
    path.write_bytes(raw)
    with pytest.warns(RuntimeWarning, match="its checksum is wrong"):
        assert store.load_mapped("soft-targets") is None
    assert not path.exists()


def test_a_file_of_another_kind_counts_as_absent():
    path = store.folder() / "strange.arrays"
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))  # an array, where an archive should be
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(store._checksum(buffer.getvalue()) + buffer.getvalue())
    with pytest.warns(RuntimeWarning, match="cannot be used"):
        assert store.load("strange") is None


def test_a_mapped_array_that_cannot_be_kept_costs_no_result(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv(store.CACHE_FOLDER_VARIABLE, str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning, match="cannot be written"):
        assert store.save_mapped("soft-targets", np.zeros(3)) is None
