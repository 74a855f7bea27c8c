"""The page *Methods and scenes*: stored results, or none; the tree that is followed; the prompt; the small case that runs here."""

import csv
import io
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import altair
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_scenes import made_up_results
from streamlit.testing.v1 import AppTest

from app_support import (
    charts,
    code,
    exports,
    method_runs,
    readable_view,
    resources,
    scene_parts,
    scenes,
    speech_view,
    words,
)
from app_support.method_runs import MethodRun, Settings
from app_support.scenes import SizeRow, UnusableResultsError
from app_support.words import LANGUAGES
from toolkit import data, methods, metrics, readable
from toolkit.losses import soft_targets

ROOT = Path(__file__).parent.parent
JOBS = ("tree_job", "speech_job", "method_job")


@pytest.fixture
def results_file(tmp_path, monkeypatch):
    """Point the page at made-up results; gives a function that changes what they say."""
    path = tmp_path / "scenes.json"

    def write(**changes):
        path.write_text(json.dumps(made_up_results() | changes), encoding="utf-8")

    monkeypatch.setenv(scenes.FILE_VARIABLE, str(path))
    write()
    return write


@pytest.fixture
def no_results(tmp_path, monkeypatch):
    monkeypatch.setenv(scenes.FILE_VARIABLE, str(tmp_path / "nothing.json"))


def open_part(part, *, ask=False, **query):
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for name, value in ({"part": part} | ({} if ask else {"hide": "question"}) | query).items():
        at.query_params[name] = value
    at.switch_page("app_pages/methods_and_scenes.py")
    return finished(at.run())


def finished(at, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        busy = [at.session_state[name] for name in JOBS if name in at.session_state and at.session_state[name].running]
        if not busy:
            return at.run()
        busy[0].wait(0.05)
    raise AssertionError("the work did not end")


def assert_whole(at):
    assert not at.exception
    assert [error.value for error in at.error] == []
    assert at.title[0].value


def told(at):
    return "\n".join(
        part.value for kind in ("title", "subheader", "markdown", "caption", "info") for part in at.get(kind)
    )


# ---- What is stored ------------------------------------------------------------------------------------------


def test_the_title_counts_the_methods_that_were_measurably_better(results_file):
    at = open_part("methods")
    assert_whole(at)
    # Means go from −5 to +7 points in steps of one, with 1.5 points on either side.
    assert at.title[0].value == "6 of the 13 methods were measurably better than the student alone"
    assert "6 methods are measurably better, 4 worse, and for 3 there is no measurable difference" in told(at)


@pytest.mark.parametrize(("mean", "title"), [(-0.1, "None of the 13 methods was"), (0.1, "13 of the 13 methods were")])
def test_the_title_says_none_or_all(results_file, mean, title):
    made = made_up_results()["methods"]
    made["rows"][1:] = [row | {"mean": mean, "low": mean - 0.01, "high": mean + 0.01} for row in made["rows"][1:]]
    results_file(methods=made)
    assert open_part("methods").title[0].value.startswith(title)


def test_before_the_answer_nothing_of_the_result_is_told(results_file):
    at = open_part("methods", ask=True)
    assert at.title[0].value == "Which methods help this student?"
    assert "measurably better than" not in at.title[0].value
    assert not at.get("vega_lite_chart")
    at.button(key="prediction_methods_and_scenes_half").click().run()
    assert_whole(at)
    assert at.success[0].value.startswith("You predicted “some, at most half”, and so it is.")
    assert at.session_state["predictions"]["methods_and_scenes"].right is True


def test_dots_are_sorted_and_hollow_where_zero_lies_within(results_file):
    compared = scenes.stored().compared
    dots = [charts.Dot(row.method, row.family, scenes.difference(row)) for row in compared]
    spec = charts.method_dots(dots)
    rows = spec["data"]["values"]
    assert [row["points"] for row in rows] == sorted((row["points"] for row in rows), reverse=True)
    assert [row["held"] for row in rows] == [row["low"] <= 0 <= row["high"] for row in rows]
    assert sum(row["held"] for row in rows) == 3
    zero, _, dot = spec["layer"]
    assert zero["data"]["values"] == [{"zero": 0}]
    assert dot["encoding"]["fill"]["condition"]["test"] == "datum.held"
    assert dot["encoding"]["y"]["sort"] == [row["name"] for row in rows]


def test_the_table_holds_every_method_and_the_reference_last(results_file):
    at = open_part("methods")
    table = at.dataframe[0].value
    assert len(table) == 14
    assert table.iloc[-1]["Verdict"] == "the reference"
    assert table["Verdict"].tolist()[:6] == ["better"] * 6


def test_one_scene_is_shown_alone(results_file):
    at = open_part("scenes")
    assert_whole(at)
    assert at.title[0].value == "Of 2 comparisons in all scenes, 1 came out measurably better and 0 worse"
    assert len(at.dataframe[0].value) == 3
    at.selectbox(key="scene").set_value("finance").run()
    assert_whole(at)
    table = at.dataframe[0].value
    assert table["Scene"].tolist() == ["finance"]
    assert table["Verdict"].tolist() == ["no measurable difference"]
    assert at.title[0].value == "finance: comparisons 1, measurably better 0, worse 0"


@pytest.mark.parametrize("cost", ["bytes", "latency"])
def test_accuracy_against_cost_names_the_front_and_marks_the_teacher(results_file, cost):
    at = open_part("sizes", cost=cost)
    assert_whole(at)
    assert (
        at.title[0].value
        == {
            "bytes": "small, distilled: 100 times fewer bytes than the teacher, -10.0 points of accuracy",
            "latency": "small, distilled: 1,000 µs for one example, the teacher 10,000 µs; -10.0 points of accuracy",
        }[cost]
    )
    said = told(at)
    front = said.split("as accurate: ")[1].split(". ")[0]
    expected = {"bytes": ["small, int8", "small, distilled", "big"], "latency": ["small, distilled", "big"]}[cost]
    assert [name.split(" (")[0] for name in front.split("; ")] == expected


def test_another_task_has_a_picture_of_its_own_and_what_was_not_measured_is_said(results_file):
    at = open_part("sizes", sizes_of="another")
    assert_whole(at)
    assert "tiny" in told(at)
    assert len(at.dataframe[0].value) == 1
    at.segmented_control(key="cost").set_value("latency").run()
    assert_whole(at)
    assert "not measured" in at.info[0].value


def test_the_difference_of_the_two_families_is_said_and_not_drawn_among_those_from_the_student_alone(results_file):
    at = open_part("methods")
    assert "Feature minus response, paired: -2.0 points [-3.0, -1.0] (worse)." in told(at)


def test_the_curve_of_capacity_is_drawn_from_its_smallest_to_its_largest_student(results_file):
    at = open_part("sizes")
    assert "On made up, from mlp-64 (alone 90.0\u00a0%, distilled 90.0\u00a0%) down to mlp-2" in told(at)


points_of_models = st.lists(
    st.tuples(st.integers(1, 6), st.integers(0, 6)).map(
        lambda pair: SizeRow("m", "alone", "", pair[0], None, None, pair[1] / 6, None, None)
    ),
    min_size=1,
    max_size=12,
)


@given(points_of_models)
def test_on_the_front_is_what_no_other_model_beats(rows):
    front = scenes.front(rows, "bytes")
    beaten = lambda one: any(  # noqa: E731
        other.bytes <= one.bytes
        and other.accuracy >= one.accuracy
        and (other.bytes, other.accuracy) != (one.bytes, one.accuracy)
        for other in rows
    )
    assert {(row.bytes, row.accuracy) for row in front} == {
        (row.bytes, row.accuracy) for row in rows if not beaten(row)
    }
    assert [row.bytes for row in front] == sorted({row.bytes for row in front})


# ---- None, or something else ---------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["methods", "sizes", "scenes"])
@pytest.mark.parametrize("lang", LANGUAGES)
def test_without_results_one_sentence_says_how_to_make_them(no_results, part, lang):
    at = open_part(part, lang=lang)
    assert_whole(at)
    assert "`make results`" in at.info[0].value


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "its format is 2, not 1"),
        ({"sizes": None}, "'sizes' is missing"),
        ({"rows": [{"scene": "phone"}]}, "rows[0] has no 'task'"),
        ({"rows": [7]}, "rows[0] has no 'scene'"),
        ({"machine": 3}, "'machine' is missing or of another kind"),
        (
            {"capacity": [{"task": "x", "width": 2, "parameters": 0, "alone": {}, "distilled": {}}]},
            "alone has no 'mean'",
        ),
    ],
)
def test_results_of_another_kind_are_refused_with_a_reason(results_file, changes, said):
    results_file(**changes)
    with pytest.raises(UnusableResultsError) as problem:
        scenes.stored()
    assert said in str(problem.value)
    at = open_part("methods")
    assert_whole(at)
    assert "`make results`" in at.info[0].value


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("accuracy", "high", "sizes[0].accuracy is 'high'"),
        ("accuracy", True, "sizes[0].accuracy is True"),
        ("accuracy", float("nan"), "sizes[0].accuracy is not finite"),
        ("latency", "fast", "sizes[0].latency is 'fast'"),
        ("latency", 0, "must be above 0"),
        ("bytes", 0, "must be above 0"),
        ("role", "uncle", "unknown role 'uncle'"),
    ],
)
def test_each_field_of_a_record_is_checked(field, value, said):
    made = made_up_results()
    made["sizes"][0][field] = value
    with pytest.raises(UnusableResultsError, match=said.replace("[", r"\[").replace("]", r"\]")):
        scenes.parse(made)


def test_an_unknown_family_is_refused():
    made = made_up_results()
    made["families"]["rows"][0]["family"] = "uncles"
    with pytest.raises(UnusableResultsError, match="unknown family 'uncles'"):
        scenes.parse(made)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]", b"null"])
def test_a_file_that_holds_no_results_is_refused(tmp_path, monkeypatch, content):
    (tmp_path / "scenes.json").write_bytes(content)
    monkeypatch.setenv(scenes.FILE_VARIABLE, str(tmp_path / "scenes.json"))
    with pytest.raises(UnusableResultsError):
        scenes.stored()


def test_a_file_that_changes_is_read_again(results_file, tmp_path):
    assert scenes.stored().machine == ""
    time.sleep(0.02)
    results_file(machine="another")
    assert scenes.stored().machine == "another"


def test_results_that_hold_nothing_are_shown_as_such(results_file):
    made = made_up_results()["methods"] | {"rows": []}
    results_file(rows=[], sizes=[], capacity=[], methods=made, families={"sentence": "x", "rows": []})
    for part in ("methods", "sizes", "scenes"):
        at = open_part(part)
        assert_whole(at)
        assert "nothing of this kind" in at.info[0].value


# ---- One decision, step by step ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cancer():
    return data.load("breast-cancer")


def test_a_decision_is_followed_forward_and_back(no_results, cancer):
    at = open_part("medicine", patient="3", step="0")
    assert_whole(at)
    tree = at.session_state["tree_job"].result.tree("breast-cancer")
    decision = tree.decision(cancer.x_test[3])
    assert f"Question 1: **{tree.question(0)}?**" in told(at)
    for number, step in enumerate(decision, 1):
        at.button(key="forward").click().run()
        assert_whole(at)
        way = "so to the left" if step.goes == "left" else "so to the right"
        (line,) = [part for part in told(at).split("\n") if part.startswith(f"{number}. ")]
        assert line.startswith(f"{number}. {step.feature}")
        assert line.endswith(way)
        assert at.query_params["step"] in (str(number), [str(number)])
    assert at.button(key="forward").disabled
    said = cancer.class_names[int(tree.predict(cancer.x_test[3:4]))]
    assert f"So: **{said}**" in told(at)
    assert f"“{said}”" in at.title[0].value
    at.button(key="back").click().run()
    assert "So: **" not in told(at)
    at.button(key="another_patient").click().run()
    assert_whole(at)
    assert at.number_input(key="patient").value == 4


def test_the_tree_of_the_page_is_the_one_that_the_toolkit_fits(no_results, cancer):
    from toolkit import training

    view = open_part("medicine").session_state["tree_job"].result
    teacher = training.train_teacher(cancer, progress=lambda done, total: None)
    soft = soft_targets(teacher.train_logits, readable_view.TEMPERATURE)
    tree = readable.fit_tree(cancer, soft, depth=readable_view.DEPTH)
    np.testing.assert_array_equal(view.feature, tree.feature)
    np.testing.assert_array_equal(view.said, tree.predict(cancer.x_test).numpy())
    np.testing.assert_allclose(view.teacher_shares.sum(1), 1, atol=1e-5)


def test_nodes_stand_above_the_middle_of_what_lies_below_them(cancer):
    tree = readable.fit_tree(cancer, depth=3)
    nodes = scene_parts._nodes(tree, [])
    assert len(nodes) == len(tree.feature)
    assert nodes[0].above is None
    leaves = [nodes[leaf].x for leaf in tree.leaves]
    assert leaves == [float(place) for place in range(len(leaves))]
    for node, place in enumerate(nodes):
        if tree.left[node] != readable.LEAF:
            below = [nodes[int(side[node])] for side in (tree.left, tree.right)]
            assert place.x == sum(child.x for child in below) / 2
            assert {child.above for child in below} == {(place.x, place.y)}
            assert {child.y for child in below} == {place.y - 1}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_followed_tree_can_be_printed(cancer, language, monkeypatch):
    for module in (words, exports):
        monkeypatch.setattr(module, "language", lambda: language)
    figure = exports.tree_figure(readable.fit_tree(cancer, depth=2), 3)
    assert "breast-cancer" in figure.get_suptitle()
    figure.savefig(io.BytesIO(), format="png")


@pytest.mark.parametrize("bad", ["-1", "nan", "1e999", "", "<script>", "99999999999999999999", "☃"])
def test_bad_values_in_a_link_fall_back(no_results, bad):
    names = ("patient", "step", "table", "prompt", "part", "cost", "scene", "lang", "lesson")
    at = open_part("medicine", **dict.fromkeys(names[:3], bad))
    assert_whole(at)
    at = open_part(bad, **dict.fromkeys(names[5:], bad))
    assert_whole(at)


def test_a_question_about_a_word_is_answered_with_the_word(monkeypatch):
    """A table with words: who owns a home pays back."""
    monkeypatch.setattr(words, "language", lambda: "en")
    said = []
    monkeypatch.setattr(scene_parts.st, "markdown", said.append)
    x = np.repeat([[0.0], [1.0]], 40, axis=0)
    names = {"feature_names": ["home = owner"], "class_names": ["bad", "good"]}
    dataset = data.from_arrays("homes", x, x[:, 0].astype(int), kind="table", **names)
    tree = readable.fit_tree(dataset, depth=1)
    everyone = np.eye(2)[tree.predict(dataset.x_test).numpy()]
    view = readable_view.TreeView(
        tree.feature, tree.threshold, tree.left, tree.right, tree.shares, tree.examples, everyone, everyone, everyone
    )
    owner = int(dataset.y_test.argmax())
    scene_parts._say_steps(view, tree, owner, 0)
    scene_parts._say_steps(view, tree, owner, 1)
    asked, answered = said
    assert asked == "Question 1: **home ≠ owner?** Here home = owner."
    assert answered.startswith("1. home = owner, so to the right")


def test_the_table_of_finance_is_followed_where_it_is_here(no_results):
    if "credit" not in resources.names("table"):
        pytest.skip(next(source.needs for source in data.available() if source.name == "credit"))
    at = open_part("medicine", table="credit", step="2")
    assert_whole(at)
    assert at.number_input(key="patient").label.startswith("Borrower")


# ---- Speech --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGUAGES)
def test_without_the_prompts_one_sentence_says_what_to_install(no_results, monkeypatch, lang):
    missing = [data.Availability("speech", "speech", "real", "apt install prompts", False)]
    monkeypatch.setattr(data, "available", lambda: missing)
    at = open_part("speech", lang=lang)
    assert_whole(at)
    assert "apt install prompts" in at.info[0].value
    assert not at.get("audio")


def made_up_prompts():
    return speech_view.PromptView(
        np.array(["en/hello", "fr/bonjour"]),
        np.array([0, 1]),
        np.array([[0.75, 0.25], [0.5, 0.5]]),
        np.array([4, 2]),
        np.array(["English", "French"]),
        np.array(0.875),
    )


@pytest.fixture
def heard(no_results, monkeypatch):
    """A teacher that has listened already, to two prompts that are not on any disk."""

    class Done:
        running = stopped = failed = False
        result = made_up_prompts()

        def stop(self):
            """Nothing runs."""

    present = [data.Availability("speech", "speech", "real", "", True)]
    monkeypatch.setattr(data, "available", lambda: present)
    monkeypatch.setattr(speech_view, "start", Done)
    monkeypatch.setattr(speech_view, "recording", lambda prompt: np.ones(8000, dtype=np.float32))


def test_a_prompt_is_played_and_what_the_teacher_hears_is_said(heard):
    at = open_part("speech")
    assert_whole(at)
    assert at.get("audio")
    assert at.subheader[0].value == "The teacher says English (75.0\u00a0%); the label is English."
    assert "on 87.5\u00a0% of the half seconds, and on 50.0\u00a0% of the 2 whole prompts" in told(at)


def test_what_was_heard_is_compared_with_the_prompt_that_the_question_was_about(heard):
    at = open_part("speech", ask=True)
    assert not at.subheader
    at.button(key="prediction_speech_English").click().run()
    assert "Prompt 0 is English; the teacher names English" in at.success[0].value
    at.number_input(key="prompt").set_value(1).run()
    assert_whole(at)
    assert "Prompt 0 is English" in at.success[0].value
    assert "the label is French" in at.subheader[0].value


def test_real_prompts_are_listened_to_and_can_be_played():
    if "speech" not in resources.names("speech"):
        pytest.skip(next(source.needs for source in data.available() if source.name == "speech"))
    watch = speech_view.start()
    assert watch.wait(150)
    view, dataset = watch.result, data.load("speech")
    assert len(view.prompts) == len(set(dataset.groups[-1]))
    assert view.windows.sum() == len(dataset.y_test)
    np.testing.assert_allclose(view.shares.sum(1), 1, atol=1e-5)
    assert view.prompts[0] == dataset.groups[-1][0]
    np.testing.assert_array_equal(speech_view.recording(str(view.prompts[0])), data.recording(dataset, 0).samples)
    assert data.recording(dataset, 0).rate == speech_view.RATE


# ---- Trained here --------------------------------------------------------------------------------------------

QUICK = {"live_task": "breast-cancer", "method": "hints", "method_seeds": "2", "method_epochs": "2"}


def quick(method="hints", seeds=2, epochs=2, choice=1):
    return Settings(method_runs.make_task("breast-cancer", epochs, seeds), method, choice)


def test_a_method_is_trained_and_its_paired_difference_said(no_results):
    at = open_part("live", **QUICK)
    assert_whole(at)
    assert "a few seconds for each seed" in at.info[0].value
    at.button(key="train_method").click()
    finished(at.run())
    assert_whole(at)
    run = at.session_state["method_job"].result
    assert (run.parts, run.partial) == (2, False)
    assert run.alone_val.shape == run.taught_test.shape == (2,)
    verdict = metrics.verdict(run.difference)
    words_of = {"better": "better than", "worse": "worse than", "no measurable difference": "no measurable difference"}
    assert words_of[verdict] in at.subheader[0].value
    at.selectbox(key="method").set_value("distillation")
    at.button(key="train_method").click()
    finished(at.run())
    assert_whole(at)
    assert len(at.session_state["method_runs"]) == 2  # both stand in one picture


def test_the_same_wish_is_trained_once():
    first = method_runs.start(quick())
    second = method_runs.start(quick())
    assert first.job is second.job
    assert first.wait(90)


def test_what_the_worker_trains_is_what_the_toolkit_trains(cancer):
    from toolkit import compare, training

    watch = method_runs.start(quick())
    assert watch.wait(90)
    run = watch.result
    alone = compare.distil(
        "labels",
        cancer,
        "mlp-8",
        setting={"penalty_weight": 0.0},
        seed=1,
        recipe=training.Recipe(epochs=2),
    )
    assert run.alone_val[1] == alone.val_accuracy
    assert run.alone_test[1] == alone.test_accuracy
    assert run.settings.setting == methods.get("hints").settings[1]


def test_stopping_keeps_the_seeds_that_are_done(no_results):
    at = open_part("live", **QUICK | {"method_epochs": "200", "method_seeds": "5", "method": "relational"})
    at.button(key="train_method").click().run()
    job = at.session_state["method_job"]
    end = time.monotonic() + 90
    while job.running and (job.interim is None or job.interim.parts < 1) and time.monotonic() < end:
        time.sleep(0.02)
    at.run()
    if job.running:
        at.button(key="stop_method").click()
    finished(at.run())
    assert_whole(at)
    assert job.stopped
    assert job.interim.partial
    assert "Stopped: " in at.info[0].value
    assert not at.button(key="train_method").disabled


def test_a_method_that_does_not_fit_is_said_as_a_sentence(no_results):
    at = open_part("live", **QUICK | {"method": "attention"})
    at.button(key="train_method").click()
    finished(at.run())
    assert not at.exception
    assert "Attention transfer needs hidden maps" in at.error[0].value


def test_changed_controls_do_not_pass_for_what_is_shown(no_results):
    at = open_part("live", **QUICK)
    at.button(key="train_method").click()
    finished(at.run())
    at.slider(key="method_epochs").set_value(3).run()
    assert any("Shown: hints" in caption.value for caption in at.caption)


def made_run(taught, seeds=3):
    alone, taught = np.full(seeds, 0.5), np.array(taught)
    return MethodRun(quick(seeds=seeds), 85, 0.9, 0.9, alone, taught, alone, taught)


@pytest.mark.parametrize(
    ("taught", "said"),
    [
        ([0.7, 0.71, 0.7], "hints: better than"),
        ([0.3, 0.31, 0.3], "hints: worse than"),
        ([0.4, 0.5, 0.61], "hints: no measurable difference"),
    ],
)
def test_the_verdict_follows_the_interval(taught, said):
    assert made_run(taught).verdict.startswith(said)


def test_one_seed_gets_no_verdict():
    run = made_run([0.9], seeds=1)
    assert "says nothing about chance" in run.verdict
    (row,) = charts.method_dots([charts.Dot(run.name, "feature", run.difference)])["data"]["values"]
    assert (row["low"], row["high"], row["held"]) == (None, None, True)


def test_an_interval_of_two_seeds_leaves_room_for_the_others():
    wide = charts.Dot("wide", "feature", metrics.confidence_interval(np.array([-0.2, 0.2])))
    narrow = charts.Dot("narrow", "feature", metrics.confidence_interval(np.array([0.02, 0.03, 0.025])))
    spec = charts.method_dots([wide, narrow])
    low, high = spec["layer"][2]["encoding"]["x"]["scale"]["domain"]
    assert spec["data"]["values"][0]["high"] > 100
    assert -25 < low < -20 < 20 < high < 25
    low, high = charts.method_dots([narrow])["layer"][2]["encoding"]["x"]["scale"]["domain"]
    ends = spec["data"]["values"][1]
    assert low < 0 < ends["high"] < high < 2 * ends["high"]


def test_downloaded_runs_are_the_numbers_of_the_runs():
    run = made_run([0.6, 0.7, 0.8])
    table = list(csv.DictReader(io.StringIO(exports.method_runs_csv([run]))))
    assert [float(row["val_accuracy"]) for row in table if row["arm"] == "hints"] == [0.6, 0.7, 0.8]
    assert {row["setting"] for row in table} == {"weight = 1"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_figure_for_print_has_a_row_for_each_method(results_file, language, monkeypatch):
    monkeypatch.setattr(words, "language", lambda: language)
    monkeypatch.setattr(exports, "language", lambda: language)
    dots = [charts.Dot(row.method, row.family, scenes.difference(row)) for row in scenes.stored().compared]
    figure = exports.dots_figure(dots, "made up")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [dot.name for dot in dots]
    figure.savefig(io.BytesIO(), format="png")


def test_the_python_code_of_a_run_gives_its_numbers(tmp_path):
    settings = quick()
    watch = method_runs.start(settings)
    assert watch.wait(90)
    (tmp_path / "method.py").write_text(code.method(settings), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "method.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert not done.returncode, done.stderr[-2000:]
    accuracy, difference = done.stdout.splitlines()[:2]
    assert accuracy == str(
        {"alone": watch.result.alone_val.tolist(), "by the method": watch.result.taught_val.tolist()}
    )
    assert metrics.in_points(watch.result.difference) in difference


@pytest.mark.parametrize("name", list(method_runs.TASKS))
def test_downloaded_code_imports_what_it_uses_and_no_more(name):
    script = code.method(Settings(method_runs.make_task(name, 2, 2), "hints", 1))
    (line,) = re.findall("from toolkit import (.*)", script)
    body = script.split("torch.set_num_threads")[1]
    assert [module for module in line.split(", ") if f"{module}." not in body] == []
    assert "200.0" not in script


# ---- Charts and words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_charts_are_valid_vega_lite(results_file, cancer, language, monkeypatch):
    monkeypatch.setattr(words, "language", lambda: language)
    results = scenes.stored()
    dots = [charts.Dot(row.method, row.family, scenes.difference(row)) for row in results.compared]
    models = [charts.Cost(row.name, row.role, row.bytes, row.accuracy, row.low, row.high) for row in results.sizes]
    nodes = [
        charts.Node(0.5, 0, None, "?", "1", False, False),
        charts.Node(0, -1, (0.5, 0), "a", "2", True, True),
        charts.Node(1, -1, (0.5, 0), "b", "", True, False),
    ]
    for spec in (
        charts.method_dots(dots),
        charts.method_dots(dots[:1]),
        charts.accuracy_against_cost(models, models[:2], "bytes"),
        charts.accuracy_against_cost(models, [], "parameters"),
        charts.tree(nodes),
        charts.class_shares(["a", "b"], [0.25, 0.75], 1),
    ):
        altair.Chart.from_dict(spec)  # which checks against the schema


def test_the_catalogue_knows_every_method_in_the_toolkits_own_words():
    for name, sentence in methods.names().items():
        assert words.catalogue()[f"scenes.does_{name}"]["en"] == sentence
        assert f"scenes.method_{name}" in words.catalogue()


@pytest.mark.parametrize("part", ["methods", "sizes", "scenes", "medicine", "live"])
def test_a_chinese_page_says_nothing_in_english(results_file, part):
    at = open_part(part, lang="zh")
    assert_whole(at)
    said = [text.value for kind in ("title", "subheader", "caption", "info", "markdown") for text in at.get(kind)]
    said += [widget.label for kind in ("button", "selectbox", "slider", "number_input") for widget in at.get(kind)]
    assert [text for text in said if text and not any("一" <= letter <= "鿿" for letter in text)] == []


@pytest.mark.parametrize("part", ["methods", "sizes", "scenes", "medicine", "live"])
def test_every_control_has_a_help_text(results_file, part):
    at = open_part(part)
    kinds = ("selectbox", "slider", "number_input", "button", "segmented_control")
    widgets = [widget for kind in kinds for widget in at.get(kind)]
    assert widgets
    assert [widget.label for widget in widgets if not widget.proto.help and widget.key != "lang"] == []
