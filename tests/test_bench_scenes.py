"""The table of scenes is made from what was found, survives being killed, and says what is missing."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from bench import scenes
from bench.scenes import Row, Scale
from toolkit import data, store


def test_the_table_has_a_line_for_each_row_and_judges_by_the_interval():
    rows = [
        Row("a", "t", "m", teacher=0.9, alone=0.8, distilled=0.85, low=0.01, mean=0.05, high=0.09, bytes=1234, latency=3e-5, seeds=5),
        Row("b", "t", "m", low=-0.01, mean=0.0, high=0.01, note="one | two"),
        Row("c", "t", "m", low=None, mean=0.1, high=None),
    ]  # fmt: skip
    _, _, first, second, third = scenes.table(rows).splitlines()
    assert first == (
        "| a | t | m | 90.0% | 80.0% | 85.0% | +5.0 points [+1.0, +9.0] (the student alone) | better | 1,234 | 30 µs | 5 |  |"
    )
    assert "no measurable difference" in second
    assert second.count("|") == first.count("|")
    assert "no measurable difference" in third, "a single seed tells no difference"


def test_what_the_app_draws_is_put_together_from_all_scenes():
    row = asdict(Row("a", "t", "m"))
    found = [
        {"rows": [row], "seconds": 1.0, "sizes": [{"name": "x"}], "capacity": [1]},
        {"rows": [row], "seconds": 2.0, "methods": {"rows": []}},
    ]
    picture = scenes.picture(found)
    assert (len(picture["rows"]), picture["sizes"], picture["capacity"]) == (2, [{"name": "x"}], [1])
    assert picture["seconds"] == 3.0
    assert "processors" in picture["machine"]


def test_differences_of_a_single_seed_have_no_bounds():
    found = scenes.compared([0.5], [0.75], 100)
    assert (found["alone"], found["distilled"], found["mean"], found["low"], found["high"]) == (
        0.5,
        0.75,
        0.25,
        None,
        None,
    )
    assert scenes.compared([0.5, 0.5], [0.75, 0.75], 100)["low"] == pytest.approx(0.25, abs=0.05)


def test_a_data_set_that_is_missing_gives_a_line_that_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(
        data, "available", lambda: [data.Availability("credit", "table", "real", "fetch it first", False)]
    )
    (row,) = scenes.tables_scene("credit", Scale(True, tmp_path / "scenes.jsonl"))["rows"]
    assert row["note"] == "not on this machine: fetch it first"


def test_a_killed_run_continues_and_a_finished_one_begins_anew(monkeypatch, tmp_path):
    done, broken = [], [True]

    def good(name):
        def scene(scale):
            done.append(name)
            return {"rows": [asdict(Row(name, "t", "m", teacher=0.5))]}

        return scene

    def killed(scale):
        if broken:
            raise KeyboardInterrupt
        return good("second")(scale)

    monkeypatch.setenv(store.CACHE_FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(scenes, "RESULTS", tmp_path / "scenes.json")
    monkeypatch.setattr(scenes, "SCENES", {"first": good("first"), "second": killed})
    with pytest.raises(KeyboardInterrupt):
        scenes.run()
    broken.clear()
    report = scenes.run()
    assert done == ["first", "second"], "what is done is not done again"
    assert report.text.count("50.0%") == 2
    assert [row["scene"] for row in json.loads((tmp_path / "scenes.json").read_text("utf-8"))["rows"]] == done
    scenes.run()
    assert done == ["first", "second"] * 2


def test_without_onnx_a_scene_gives_one_sentence(monkeypatch, tmp_path):
    def scene(scale):
        raise ImportError("exporting to ONNX needs the extra deploy")

    monkeypatch.setattr(scenes, "SCENES", {"phone": scene})
    monkeypatch.setattr(scenes, "RESULTS", tmp_path / "untouched.json")
    assert "| phone | – | – |" in (text := scenes.run(quick=True).text)
    assert "exporting to ONNX needs the extra deploy" in text
    assert not (tmp_path / "untouched.json").exists(), "a short run must not replace real results"


def test_what_was_missing_is_tried_again_next_time(monkeypatch, tmp_path):
    there = []

    def scene(scale):
        return {"rows": [asdict(Row("finance", "credit", "m", teacher=0.8 if there else None))]}

    monkeypatch.setenv(store.CACHE_FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(scenes, "RESULTS", tmp_path / "scenes.json")
    monkeypatch.setattr(scenes, "SCENES", {"finance": scene})
    scale = Scale(False, tmp_path / "results-scenes.jsonl")
    scenes._run(scale)
    there.append(True)
    assert "80.0%" in scenes._run(scale).text


def test_a_combined_student_is_pruned_as_said(digits, teacher, tmp_path):
    found = scenes.combined(digits, teacher, tmp_path, "pruned", 0.9, 0, True)
    assert found.packed < 0.6 * found.file.stat().st_size, "zeros pack to almost nothing"


def test_a_short_run_takes_the_first_examples_only(digits, tmp_path):
    few = Scale(True, tmp_path / "x").of(digits)
    assert len(few.x_train) == 600
    assert Scale(False, tmp_path / "x").of(digits) is digits
    assert np.array_equal(few.x_train, digits.x_train[:600])
