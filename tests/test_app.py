import gc
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from app_support import controls, experiments, link, predict, resources, soft_view
from app_support.experiments import Settings
from app_support.tasks import Task
from app_support.words import LANGUAGES
from toolkit import files, losses, models, scenarios

APP = Path(__file__).parent.parent / "app.py"
PAGES = ("soft_targets", "distil", "surface", "formulas")
TRAINS_ON_ARRIVAL = ("distil", "surface")
JOBS = ("soft_job", "distil_job", "surface_job", "scenarios_job")


def open_page(page, *, ask=False, **query):
    """Open a page by its link, and wait until nothing trains any more; without its question unless asked for."""
    at = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in (query if ask else {"hide": "question"} | query).items():
        at.query_params[name] = value
    at.switch_page(f"app_pages/{page}.py")
    return finished(at.run())


def finished(at, seconds=90):
    """Run again, as the page itself does, until nothing trains any more."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        jobs = [at.session_state[name] for name in JOBS if name in at.session_state]
        busy = [job for job in jobs if job.running or job.catching_up]
        if not busy:
            return at.run()
        busy[0].wait(0.05)
    raise AssertionError("training did not end")


def long_watch():
    """Order something that takes longer than a test."""
    return experiments.start_distil(Task("digits", "all-labels", (), "mlp-16", 0.0, "l2", 100_000, 1), 4.0, 0.9)


def assert_whole(at):
    assert not at.exception
    assert [error.value for error in at.error] == []
    assert at.title


@pytest.mark.parametrize("page", PAGES)
def test_each_page_shows_something_before_anybody_touches_a_control(page):
    at = open_page(page)
    assert_whole(at)
    if page in TRAINS_ON_ARRIVAL:
        assert at.subheader


def test_the_title_of_soft_targets_is_made_from_the_data():
    at = open_page("soft_targets")
    assert at.title[0].value.startswith("The teacher is 9")
    assert "What else does it know?" in at.title[0].value


def test_a_new_data_set_is_offered_although_the_stored_view_does_not_know_it(monkeypatch):
    offered = resources.names("vision", "signal")
    monkeypatch.setattr(resources, "names", lambda *kinds: [*offered, "new"])
    # toolkit.data is imported here, as in a server soon after its start
    assert soft_view.data_sets() == [*offered, "new"]


@given(st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=12), st.floats(0.2, 20))
def test_the_bars_of_a_question_are_the_soft_targets(logits, temperature):
    example = soft_view.Example(np.zeros((1, 2, 2)), 0, [""] * len(logits), logits, logits)
    expected = losses.soft_targets(torch.tensor(logits, dtype=torch.double), temperature).numpy()
    np.testing.assert_allclose(example.teacher_soft_targets(temperature), expected, atol=1e-9)


def test_stopping_without_a_result_is_said_although_earlier_runs_are_shown():
    at = open_page("distil", epochs="2", seeds="2")
    stopped = long_watch()
    stopped.stop()
    at.session_state["distil_job"] = stopped
    at.run()
    assert_whole(at)
    assert "Stopped before" in at.info[0].value
    assert "earlier runs" in at.info[0].value


def test_the_surface_counts_what_chance_alone_would_show_and_compares_on_test():
    at = open_page(
        "surface", epochs="2", seeds="2", temperatures="2", lams="1", cell_T="2", cell_lam="1", penalty="0.01"
    )
    assert_whole(at)
    said = "\n".join(part.value for part in at.markdown)
    assert "all with λ_f = 0.01" in said
    assert "Of 1 cells about 0.05 (5\u00a0%) would look clear by chance alone" in said
    assert "from the student alone" in said
    assert "(teacher" in said
    assert "used for choosing" in at.subheader[0].value


def test_the_surface_trains_at_once_when_asked_and_offers_to_stop():
    at = open_page("surface", epochs="300", seeds="20", scenario="all-labels")  # too long to begin on arrival
    assert "surface_job" not in at.session_state
    at.button(key="train_surface").click().run()
    assert at.session_state["surface_job"].running
    assert at.button(key="train_surface").disabled
    at.button(key="stop_surface").click().run()
    at = finished(at)
    assert_whole(at)
    assert at.session_state["surface_job"].stopped
    assert not at.button(key="train_surface").disabled


def test_quick_picks_change_the_example():
    at = open_page("soft_targets")
    first = at.number_input[0].value
    next(button for button in at.button if button.label == "Teacher wrong").click().run()
    assert_whole(at)
    assert at.number_input[0].value != first
    assert "What did it see?" in at.title[0].value


def test_the_example_follows_the_data_set_in_both_directions():
    at = open_page("soft_targets", example="30")
    assert at.number_input[0].value == 30
    for name in ("mnist1d", "digits"):
        at.selectbox(key="data").set_value(name)
        finished(at.run())
        assert_whole(at)
        box, view = at.number_input[0], soft_view.kept(name, True)
        assert (box.value, box.max) == (int(view.rich[0]), len(view.labels) - 1)
        assert at.query_params["example"] == str(box.value)
        assert at.session_state["shown_example"] == (name, box.value)


@pytest.mark.parametrize("bad", ["1e999", "9" * 400, "9" * 5000, "nan", "-3", "540"])
def test_an_example_that_does_not_exist_falls_back_on_arrival(bad):
    at = AppTest.from_file(str(APP), default_timeout=60)  # not through open_page: there a page switch drops the query
    at.query_params["example"] = bad
    finished(at.run())
    assert_whole(at)
    assert at.number_input[0].value == soft_view.kept("digits", True).rich[0]


def test_an_old_verdict_is_not_taken_for_that_of_new_settings():
    at = open_page("distil", epochs="2", seeds="2")
    assert not [caption for caption in at.caption if "Shown:" in caption.value]
    at.slider(key="lam").set_value(0.5).run()
    assert [caption.value for caption in at.caption if "Shown: T = 8, λ = 0.9" in caption.value]


def test_what_nothing_was_trained_for_is_not_said_while_something_is():
    at = open_page("distil", epochs="300", seeds="20", scenario="all-labels")
    assert "nothing was trained on arrival" in at.info[0].value
    job = at.session_state["distil_job"] = long_watch()
    at.run()
    assert not at.info
    at.button(key="stop").click().run()
    assert job.stopped


@pytest.mark.parametrize("page", PAGES)
def test_every_control_has_a_help_text(page):
    at = open_page(page)
    kinds = ("selectbox", "slider", "select_slider", "multiselect", "number_input", "button", "segmented_control")
    widgets = [widget for kind in kinds for widget in at.get(kind)]
    assert widgets
    assert [widget.label for widget in widgets if not widget.proto.help and widget.key != "lang"] == []


def test_a_link_restores_the_controls():
    at = open_page(
        "distil", scenario="few-labels", labels="3", t="2", lam="0.5", epochs="2", seeds="2", size="mlp-16", norm="l1"
    )
    assert_whole(at)
    assert at.selectbox(key="scenario").value == "few-labels"
    assert at.slider(key="labels").value == 3
    assert at.select_slider(key="t").value == 2
    assert (at.slider(key="lam").value, at.slider(key="epochs").value, at.slider(key="seeds").value) == (0.5, 2, 2)
    assert at.selectbox(key="size").value == "mlp-16"


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("bad", ["-1", "nan", "1e999", "", "<script>", "99999999999999999999", "☃"])
def test_bad_values_in_a_link_fall_back(page, bad):
    names = {
        "soft_targets": ("T", "example", "arm", "data", "more", "lang", "lesson"),
        "distil": ("t", "lam", "penalty", "norm", "scenario", "size", "seeds", "seed", "task", "examples", "view"),
        "surface": ("temperatures", "lams", "cell_T", "cell_lam", "seeds", "seed", "examples"),
        "formulas": ("lam", "lam_f", "T", "case"),
    }[page]
    at = open_page(page, **(dict.fromkeys(names, bad) | {"epochs": "1"}))
    assert_whole(at)


@pytest.mark.parametrize(
    ("said", "shown"), [("4.1", "4"), ("0.93", "0.9"), ("", "4"), ("x", "4"), ("nan", "4"), ("-3", "4"), ("99", "4")]
)
def test_the_slider_stop_nearest_to_a_link_is_taken(said, shown):
    at = open_page("soft_targets", T=said)
    assert at.query_params["T"] == shown
    in_vain = any("was asked for" in caption.value for caption in at.caption)
    assert in_vain == (said in ("x", "nan", "-3", "99"))


def test_what_is_no_number_among_the_sliders_of_formulas_is_said():
    at = open_page("formulas", lam="0.52", lam_f="x", T="")
    assert [at.query_params[name] for name in ("lam", "lam_f", "T")] == ["0.5", "0.01", "4"]
    assert any("“x” was asked for" in caption.value for caption in at.caption)


one_epoch = {
    "task": st.sampled_from(["digits", "breast-cancer"]),
    "scenario": st.sampled_from(scenarios.names()),
    "labels": st.integers(1, 50),
    "noise": st.sampled_from([0.0, 0.4, 0.9]),
    "left_out": st.integers(0, 9),
    "examples": st.integers(20, 2000),
    "penalty": st.sampled_from(controls.PENALTIES),
    "norm": st.sampled_from(["l1", "l2"]),
    "size": st.sampled_from([name for name in models.names("student") if name != "cnn-16"]),
    "seeds": st.integers(1, 3),
    "epochs": st.just(1),
}
sampled = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def train_with(page, button, values):
    at = open_page(
        page, **{name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    )
    assert_whole(at)
    if not at.button(key=button).disabled:
        at.button(key=button).click()
        finished(at.run())
    assert_whole(at)


@sampled
@given(
    st.fixed_dictionaries(
        one_epoch | {"t": st.sampled_from([0.5, 1, 4, 20]), "lam": st.sampled_from([0.0, 0.05, 0.5, 1.0])}
    )
)
def test_no_setting_of_distil_ends_in_a_traceback(values):
    train_with("distil", "train", values)


@sampled
@given(
    st.fixed_dictionaries(
        one_epoch | {"cell_T": st.sampled_from(["1", "20", "7"]), "cell_lam": st.sampled_from(["0", "1", "x"])}
    )
)
def test_no_setting_of_surface_ends_in_a_traceback(values):
    train_with("surface", "train_surface", values | {"seeds": min(values["seeds"], 2)})


# ---- Predict, then see ---------------------------------------------------------------------------------------


def button_keys(at):
    return [button.key for button in at.button]


@pytest.mark.parametrize(
    ("page", "answer", "locked"),
    [("soft_targets", "grows", None), ("distil", "above", "train"), ("surface", "low_low", "train_surface")],
)
def test_an_answer_unlocks_the_control_and_is_compared_with_what_happens(page, answer, locked):
    at = open_page(page, ask=True, epochs="20", seeds="3")
    assert_whole(at)
    assert locked is None or at.button(key=locked).disabled
    assert not at.subheader  # what happened is not told beforehand
    at.button(key=f"prediction_{page}_{answer}").click()
    finished(at.run())
    assert_whole(at)
    assert locked is None or not at.button(key=locked).disabled
    told = [box.value for box in (*at.success, *at.info)]
    assert len([text for text in told if text.startswith("You predicted")]) == 1
    record = at.session_state["predictions"][page]
    assert (record.page, record.right) == (page, any("so it is" in text for text in told))
    assert f"prediction_{page}_{answer}" not in button_keys(at)


def test_the_formulas_of_the_article_send_no_gradient_whatever_was_predicted():
    at = open_page("formulas", ask=True)
    at.button(key="prediction_formulas_larger").click().run()
    assert "went otherwise" in at.info[0].value
    record = at.session_state["predictions"]["formulas"]
    assert (record.predicted, record.happened, record.right) == (
        "larger than that of the repaired loss",
        "zero",
        False,
    )


@pytest.mark.parametrize("page", PAGES)
def test_a_question_can_be_skipped_and_leaves_no_record(page):
    at = open_page(page, ask=True, epochs="5", seeds="2")
    at.button(key=f"prediction_{page}_skip").click()
    finished(at.run())
    assert_whole(at)
    assert not at.session_state["predictions"]
    assert not [text for text in (*at.success, *at.info) if "predicted" in text.value]


def test_the_record_of_predictions_is_a_table():
    record = predict.Record("2026-01-01T10:00:00+00:00", "distil", 'Where, "exactly"?', "above", "below", False)
    lines = predict.record_csv({"distil": record}).splitlines()
    assert lines[0] == "time,page,question,predicted,happened,right"
    assert lines[1].endswith('"Where, ""exactly""?",above,below,False')


# ---- Run, pause, step, stop, reset ---------------------------------------------------------------------------


def test_a_run_goes_step_by_step_and_then_on_to_its_end():
    at = open_page("distil", epochs="300", seeds="20", scenario="all-labels")  # nothing is trained on arrival
    for control, setting in (("epochs", 6), ("seeds", 2)):
        at.slider(key=control).set_value(setting)
    at.button(key="reset").click().run()
    assert "epoch 0" in at.info[0].value
    for epoch in (1, 2):
        at.button(key="step").click()
        finished(at.run())
        assert_whole(at)
        assert f"Paused after epoch {epoch} of 6" in at.info[0].value
        assert at.button(key="train").label == "Continue"
        assert not at.subheader  # no verdict yet
    at.button(key="train").click()
    finished(at.run())
    assert_whole(at)
    (run,) = at.session_state["runs"].values()
    assert (run.epochs_done, run.partial) == (6, False)


def test_a_stopped_run_keeps_its_curves_without_a_verdict():
    at = open_page("distil", epochs="300", seeds="20", scenario="all-labels")
    at.button(key="step").click()
    finished(at.run())
    at.button(key="stop").click().run()
    assert_whole(at)
    (run,) = at.session_state["runs"].values()
    assert run.partial
    assert "says nothing about which" in at.subheader[0].value
    assert not [text for text in at.markdown if "On the **test** part" in text.value]


def test_leaving_the_page_does_not_lose_the_run():
    at = open_page("distil", epochs="5", seeds="2")
    at.button(key="train").click()
    finished(at.run())
    before = dict(at.session_state["runs"])
    at.switch_page("app_pages/soft_targets.py").run()
    at.switch_page("app_pages/distil.py").run()
    assert_whole(at)
    assert dict(at.session_state["runs"]) == before
    assert (at.slider(key="epochs").value, at.slider(key="seeds").value) == (5, 2)


def test_all_scenarios_stand_side_by_side_with_the_one_that_fails():
    at = open_page("distil", view="all", epochs="3", seeds="2", size="mlp-8")
    at.button(key="train").click()
    finished(at.run())
    assert_whole(at)
    assert "of 6 better" in at.subheader[0].value
    assert at.selectbox(key="look").options[-1] == "tiny student, all labels"


# ---- Links, presets, languages -------------------------------------------------------------------------------


def test_hidden_controls_keep_the_value_of_the_link():
    at = open_page(
        "distil",
        hide="question,t,lam,norm",
        t="2",
        lam="0.5",
        penalty="0.01",
        norm="l1",
        epochs="2",
        seeds="2",
        seed="7",
    )
    assert_whole(at)
    assert not [widget for widget in at.select_slider if widget.key == "t"]
    assert not [widget for widget in at.slider if widget.key == "lam"]
    (run,) = at.session_state["runs"].values()
    assert (run.temperature, run.lam, run.task.norm, run.task.seed_numbers) == (2, 0.5, "l1", [7, 8])
    assert at.query_params["hide"] == "question,t,lam,norm"
    at.switch_page("app_pages/surface.py").run()
    assert at.query_params["hide"] == "question,t,lam,norm"


@pytest.mark.parametrize("lesson", link.presets())
def test_a_lesson_opens_its_page_with_its_settings(lesson):
    at = AppTest.from_file(str(APP), default_timeout=60)
    at.query_params["lesson"] = lesson
    at.query_params["hide"] = "question"
    finished(at.run())
    assert_whole(at)
    settings = dict(link.presets()[lesson])
    assert at.title[0].value.startswith(
        {
            "soft_targets": "The teacher is",
            "distil": "Does a teacher",
            "surface": "Where in T",
            "formulas": "Which gradient",
            "live": "Does this method",
            "medicine": "Why does the tree",
            "speech": "",  # says what was spoken, or what to install
        }[settings.get("part", settings["page"])]
    )
    del settings["page"]
    for name, value in settings.items():
        assert at.query_params[name] in (str(value), [str(value)])


def test_a_class_that_was_left_out_has_its_own_accuracy():
    at = open_page("distil", scenario="class-left-out", left_out="3", epochs="3", seeds="2", size="mlp-16")
    run = at.session_state["runs"][max(at.session_state["runs"])]
    assert run.alone_left_out.shape == run.distilled_left_out.shape == (2,)
    assert run.alone_left_out.mean() < run.alone_test.mean()
    assert [text for text in at.markdown.values if "never shown" in text and "class 3" in text]


def test_what_a_link_asks_for_in_vain_is_said_until_it_is_changed():
    at = open_page("distil", size="mlp-256", epochs="1000", task="own-0123456789abcdef", seeds="2.0")
    said = [caption.value for caption in at.caption if "warning" in caption.value]
    assert len(said) == 3
    assert any("mlp\\-256" in text for text in said)
    assert any("a file that is not here" in text for text in said)
    at.selectbox(key="size").set_value("mlp-8")
    finished(at.run())
    assert len([caption for caption in at.caption if "warning" in caption.value]) == 2


def test_scenarios_side_by_side_have_a_question_of_their_own():
    at = open_page("distil", ask=True, view="all", epochs="2", seeds="2", size="mlp-8")
    assert at.button(key="train").disabled
    at.button(key="prediction_scenarios_few-labels").click().run()
    at.button(key="train").click()
    finished(at.run())
    assert_whole(at)
    record = at.session_state["predictions"]["scenarios"]
    assert record.happened
    assert record.predicted == "few labels"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_answer_to_the_question_about_the_formulas_is_not_shown_beneath_it(lang):
    at = open_page("formulas", ask=True, lang=lang)
    known = at.markdown.values
    at.button(key="prediction_formulas_skip").click().run()
    told = [text for text in at.markdown.values if text not in known]
    assert any({"en": "no gradient reaches the student", "zh": "没有梯度到达学生"}[lang] in text for text in told)


def test_a_lesson_leaves_nothing_of_what_was_set_before():
    at = open_page("distil", seeds="1", penalty="0.1", epochs="3", lang="zh")
    assert at.slider(key="seeds").value == 1
    at.query_params["lesson"] = "04-train-a-student"
    finished(at.run())
    assert_whole(at)
    assert (at.slider(key="seeds").value, at.select_slider(key="penalty").value, at.slider(key="epochs").value) == (
        5,
        0,
        40,
    )
    assert at.query_params["lang"] in ("zh", ["zh"])


def test_a_prediction_is_compared_with_a_run_of_the_settings_that_it_was_about():
    at = open_page("distil", ask=True, epochs="300", seeds="20", scenario="all-labels", size="mlp-8")
    assert "T = 8" in "".join(text.value for text in at.markdown)  # the question
    at.button(key="prediction_distil_above").click().run()
    at.slider(key="epochs").set_value(3)
    at.slider(key="seeds").set_value(2)
    at.button(key="train").click()
    finished(at.run())
    assert_whole(at)
    assert at.session_state["runs"]
    assert not at.session_state["predictions"]["distil"].happened
    assert [caption.value for caption in at.caption if "about other settings" in caption.value]


def test_a_surface_that_was_stopped_or_has_one_seed_is_not_compared_with_a_prediction():
    at = open_page("surface", ask=True, epochs="2", seeds="1", size="mlp-8", temperatures="2,4", lams="0.5,1")
    at.button(key="prediction_surface_high_high").click()
    finished(at.run())
    assert at.session_state["surface_job"].result is not None
    assert not at.session_state["predictions"]["surface"].happened
    assert [caption.value for caption in at.caption if "once a surface has all its seeds" in caption.value]


def test_scenarios_that_are_stopped_before_the_first_say_so():
    at = open_page("distil", view="all", epochs="300", seeds="20", size="mlp-512")
    at.button(key="train").click().run()
    at.button(key="stop").click().run()
    finished(at)
    assert_whole(at)
    assert [info.value for info in at.info if "Stopped after 0 of" in info.value]


@pytest.mark.parametrize("page", PAGES)
def test_a_chinese_page_says_nothing_in_english(page):
    at = open_page(page, lang="zh", epochs="2", seeds="2")
    assert_whole(at)
    words = [
        part.value for kind in ("title", "subheader", "header", "caption", "info", "markdown") for part in at.get(kind)
    ]
    words += [widget.label for kind in ("button", "selectbox", "slider", "number_input") for widget in at.get(kind)]
    english = {word for word in words if not any("一" <= letter <= "鿿" for letter in word)}
    assert english <= {"", *(f"![]({word})" for word in words)}, english


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_language_of_a_link_goes_along_to_other_pages(language):
    at = open_page("formulas", lang=language)
    at.switch_page("app_pages/distil.py").run()
    assert at.query_params["lang"] in (language, [language])
    finished(at)


# ---- Own data ------------------------------------------------------------------------------------------------

FLOWERS = "\n".join(["a,b,species", *(f"{i % 7},{(i * i) % 11},{'xyz'[i % 3]}" for i in range(120))]).encode()


def test_own_data_are_chosen_trained_on_and_named():
    at = open_page("distil", epochs="2", seeds="2")
    assert "at most 10 MB" in "".join(caption.value for caption in at.caption)
    at.file_uploader(key="upload").set_value(("flowers.csv", FLOWERS, "text/csv")).run()
    assert_whole(at)
    label = next(box for box in at.selectbox if box.key.startswith("label_"))
    label.set_value("species").run()
    assert_whole(at)
    assert "flowers.csv" in at.success[0].value
    at.button(key="train").click()
    finished(at.run())
    assert_whole(at)
    at.switch_page("app_pages/surface.py").run()
    at.switch_page("app_pages/distil.py").run()
    assert_whole(at)
    assert "flowers.csv" in at.selectbox(key="task").options  # it is kept while the visit lasts
    assert "flowers.csv" in at.session_state["runs"][max(at.session_state["runs"])].words


def test_two_visitors_with_files_of_the_same_content_keep_their_own():
    one = resources.accept(FLOWERS, "flowers.csv", "species")
    other = resources.accept(FLOWERS, "other.csv", "species")
    same = resources.accept(FLOWERS, "flowers.csv", "species")
    assert same is one
    assert (resources.title(one.name), resources.title(other.name)) == ("flowers.csv", "other.csv")
    del other
    gc.collect()
    assert resources.dataset(one.name) is one.dataset


def test_data_that_a_run_needs_are_kept_when_more_are_uploaded():
    at = open_page("distil", epochs="2", seeds="2")
    for number in range(6):
        at.file_uploader(key="upload").set_value((f"flowers{number}.csv", FLOWERS, "text/csv")).run()
        next(box for box in at.selectbox if box.key.startswith("label_")).set_value("species").run()
        if number == 0:
            at.button(key="train").click()
            finished(at.run())
    assert_whole(at)
    options = at.selectbox(key="task").options
    assert [f"flowers{number}.csv" in options for number in range(6)] == [True, False, True, True, True, True]
    run = at.session_state["runs"][max(at.session_state["runs"])]
    assert "flowers0.csv" in run.words


def test_a_file_is_opened_once_however_often_the_page_runs(monkeypatch):
    opened = []
    columns = files.columns
    monkeypatch.setattr(files, "columns", lambda *given: opened.append(given) or columns(*given))
    at = open_page("distil", epochs="2", seeds="2")
    for content, times in ((FLOWERS, 1), (b"a,b,a\n1,2,3\n", 2)):
        at.file_uploader(key="upload").set_value(("flowers.csv", content, "text/csv")).run()
        at.slider(key="lam").set_value(0.5).run()
        at.slider(key="lam").set_value(0.6).run()
        assert len(opened) == times
        assert len(at.error) == times - 1


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_bad_upload_is_said_and_the_page_stays(lang):
    at = open_page("distil", epochs="2", seeds="2", lang=lang)
    at.file_uploader(key="upload").set_value(("flowers.csv", b"a,b,a\n1,2,3\n", "text/csv")).run()
    assert not at.exception
    assert {"en": "two columns are called", "zh": "有两列都叫"}[lang] in at.error[0].value.lower()
    assert at.button(key="train")


def test_what_a_link_asks_for_in_vain_among_several_is_said():
    at = open_page("surface", temperatures="7,4,1", epochs="1", seeds="1")
    assert_whole(at)
    assert at.query_params["temperatures"] == "1,4"
    assert any("“7” was asked for" in caption.value for caption in at.caption)


def test_the_class_that_is_left_out_is_called_by_its_name():
    at = open_page("distil", task="breast-cancer", scenario="class-left-out", left_out="1", epochs="1", seeds="1")
    assert_whole(at)
    assert at.selectbox(key="left_out").options == ["malignant", "benign"]
    assert any("No example of class benign" in caption.value for caption in at.caption)


def test_scenarios_that_came_to_nothing_are_not_compared_with_the_prediction():
    at = open_page("distil", ask=True, view="all", epochs="3", seeds="2", size="mlp-8")
    watch = experiments.start_side_by_side(Task("digits", "all-labels", (), "mlp-8", 0.0, "l2", 2, 2), 4.0, 0.9)
    assert watch.wait(60)
    watch.job.result, watch.job.lost = None, True
    at.session_state["scenarios_job"] = watch
    at.session_state["scenarios_task"] = Settings(next(iter(watch.interim.rows.values())), 4.0, 0.9)
    at.button(key="prediction_scenarios_class-left-out").click().run()
    assert not at.exception
    assert "ended unexpectedly" in at.error[0].value
    assert not at.success
    assert not any("It went otherwise" in info.value for info in at.info)


def test_a_control_that_changes_together_with_the_button_counts():
    at = open_page("distil", epochs="3", seeds="2")
    at.slider(key="lam").set_value(0.5)
    at.button(key="train").click()
    finished(at.run())
    assert at.session_state["runs"][max(at.session_state["runs"])].lam == 0.5


def test_an_upload_never_touches_the_disk():
    from starlette.formparsers import MultiPartParser

    import app_support.own_data  # noqa: F401 - it says so to the server's library

    assert MultiPartParser.spool_max_size > files.LIMITS.max_bytes
