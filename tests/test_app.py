import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from app_support import controls, live_bars, resources, soft_view
from app_support.jobs import Job
from toolkit import models, scenarios

APP = Path(__file__).parent.parent / "app.py"
PAGES = ("soft_targets", "distil", "surface")


def open_page(page, **query):
    at = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in query.items():
        at.query_params[name] = value
    at.switch_page(f"app_pages/{page}.py")
    return finished(at.run())


def finished(at, seconds=90):
    """Run again, as the page itself does, until nothing trains any more."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        names = [name for name in ("soft_job", "distil_job", "surface_job") if name in at.session_state]
        jobs = [at.session_state[name] for name in names]
        busy = [job for job in jobs if job.running]
        if not busy:
            return at.run()
        busy[0].wait(1)
    raise AssertionError("training did not end")


def assert_whole(at):
    assert not at.exception
    assert [error.value for error in at.error] == []
    assert at.title


@pytest.mark.parametrize("page", PAGES)
def test_each_page_shows_something_before_anybody_touches_a_control(page):
    at = open_page(page)
    assert_whole(at)
    if page != "soft_targets":
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


def test_stopping_without_a_result_is_said_although_earlier_runs_are_shown():
    at = open_page("distil", epochs="2", seeds="2")
    stopped = Job(lambda job: None if job.stop.wait(10) else "not stopped")
    stopped.stop.set()
    stopped.wait(5)
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
    assert "Of 1 cells about 0.05 (5 %) would look clear by chance alone" in said
    assert "from the student alone (teacher" in said
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
    job = at.session_state["distil_job"] = Job(lambda job: job.stop.wait(10))
    at.run()
    assert not at.info
    at.button(key="stop").click().run()
    assert job.stop.is_set()


@pytest.mark.parametrize("page", PAGES)
def test_every_control_has_a_help_text(page):
    at = open_page(page)
    kinds = ("selectbox", "slider", "select_slider", "multiselect", "number_input", "button", "segmented_control")
    widgets = [widget for kind in kinds for widget in at.get(kind)]
    assert widgets
    assert [widget.label for widget in widgets if not widget.proto.help] == []


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
        "soft_targets": ("T", "example", "arm", "data"),
        "distil": ("t", "lam", "penalty", "norm", "scenario", "size", "seeds", "task", "examples"),
        "surface": ("temperatures", "lams", "cell_T", "cell_lam", "seeds", "examples"),
    }[page]
    at = open_page(page, **(dict.fromkeys(names, bad) | {"epochs": "1"}))
    assert_whole(at)


def test_the_slider_stop_nearest_to_a_link_is_taken():
    assert live_bars.nearest_temperature("4.1") == 4
    assert [live_bars.nearest_temperature(text) for text in (None, "x", "nan", "inf", "-3", "0")] == [4] * 6


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
