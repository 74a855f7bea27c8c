import numpy as np
import pytest

from toolkit import store
from toolkit.__main__ import main


def test_data_lists_every_data_set(capsys):
    assert main(["data"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("digits") and line.endswith("ready") for line in lines)
    assert any(line.startswith("mnist1d") and "synthetic" in line for line in lines)


def test_cache_says_where_it_lies_and_clear_empties_it(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv(store.CACHE_FOLDER_VARIABLE, str(tmp_path))
    store.save("one", {"x": np.zeros(10)})
    assert main(["cache"]) == 0
    assert f"{tmp_path}: files: 1" in capsys.readouterr().out
    assert main(["cache", "--clear"]) == 0
    assert "files removed: 1" in capsys.readouterr().out
    assert store.entries() == []


def test_teacher_is_trained_ahead_of_class(capsys):
    assert main(["teacher", "digits"]) == 0
    assert capsys.readouterr().out.startswith("cnn-32 on digits: 9")


def test_unknown_data_set_is_a_sentence_and_a_status(capsys):
    assert main(["teacher", "cifar"]) == 2
    assert "unknown data set 'cifar'" in capsys.readouterr().err


def test_unknown_command_is_refused():
    with pytest.raises(SystemExit):
        main(["fly"])
