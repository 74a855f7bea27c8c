"""Scenarios side by side, a part of the page *Distil*: the same settings in every scenario, and where they fail."""

from typing import TYPE_CHECKING

import streamlit as st

from app_support import charts, code, downloads, exports, own_data, predict
from app_support.experiments import (
    Settings,
    SideBySide,
    in_words,
    outcome,
    points,
    seeds_in_words,
    side_by_side_in_words,
    side_by_side_rows,
    start_side_by_side,
)
from app_support.jobs import Watch
from app_support.look import percent
from app_support.running import errors_as_sentences, follow, say_shown, show_failure, stop_button
from app_support.simple_controls import choice
from app_support.words import say

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator


def draw(wanted: Settings, heading: "DeltaGenerator", picture: "DeltaGenerator") -> None:
    """Draw the question and the button in the heading, and in the picture's place what came out."""
    names = {label: say(f"scenario.{label}") for label in side_by_side_rows(wanted.task)}
    with heading:
        prediction = predict.ask("scenarios", say("distil.all_question"), names)
    locked = not prediction.open
    if st.session_state.get("train"):  # asked before it is drawn: the page need not run twice
        st.session_state["scenarios_job"], st.session_state["scenarios_task"] = start_side_by_side(*wanted), wanted
        own_data.hold("scenarios", wanted.task)
    job: Watch | None = st.session_state.get("scenarios_job")
    busy = job is not None and job.running
    with heading, st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            say("distil.train"),
            icon=":material/play_arrow:",
            disabled=busy or locked,
            key="train",
            help=say("distil.train_help"),
        )
        if job is not None and busy:
            stop_button(job, "stop", say("distil.all_stop_keeps"))
        st.caption(side_by_side_in_words(*wanted))
    with picture, errors_as_sentences():
        if locked:
            st.info(say("distil.answer_first"), icon=":material/info:")
        elif job is None:
            st.info(say("distil.all_not_begun"), icon=":material/info:")
        else:
            result = job.interim
            if job.failed:
                show_failure(job)
            elif st.session_state["scenarios_task"] != wanted:
                say_shown(side_by_side_in_words(*st.session_state["scenarios_task"]), busy=busy)
            if job.stopped:
                done = 0 if result is None else result.parts
                st.info(say("distil.all_stopped", done=done, count=len(job.job.order["rows"])), icon=":material/info:")
            if busy:
                follow(job, parts_seen=0 if result is None else result.parts)
            if result is not None:
                if job.result is not None and st.session_state["scenarios_task"].task.seeds > 1:
                    compare_prediction(result, prediction)
                show_side_by_side(result)


def compare_prediction(result: SideBySide, prediction: predict.Prediction) -> None:
    """Compare the reader's answer with the scenario in which the difference was greatest."""
    names = {label: say(f"scenario.{label}") for label in result.rows}
    ranked = sorted(result.differences().items(), key=lambda row: float(row[1].mean))
    (lowest, least), (most, greatest) = ranked[0], ranked[-1]
    explanation = say("distil.all_explanation", points=points(greatest), low=names[lowest], lowest=points(least))
    predict.compare("scenarios", prediction, names, most, explanation)


def show_side_by_side(result: SideBySide) -> None:
    """Draw the differences in all scenarios, and the test accuracy of the one that is chosen."""
    names = {label: say(f"scenario.{label}") for label in result.rows}
    differences = {names[label]: interval for label, interval in result.differences().items()}
    verdicts = [outcome(interval) for interval in differences.values()]
    finding = say(
        "distil.all_finding",
        count=len(verdicts),
        better=verdicts.count("above"),
        worse=verdicts.count("below"),
        same=verdicts.count("same"),
        seeds=seeds_in_words(next(iter(result.rows.values()))),
    )
    each = "; ".join(
        say("distil.all_row", scenario=name, points=points(interval)) for name, interval in differences.items()
    )
    st.vega_lite_chart(charts.differences(differences), alt=f"{finding} {each}")
    st.caption(say("distil.all_legend"))
    st.subheader(finding, anchor=False)
    labels, help_text = list(result.rows), say("distil.look_scenario_help")
    label = choice(
        st.selectbox, "look", say("distil.look_scenario"), labels, labels[0], help_text, words=names.__getitem__
    )
    place = labels.index(label)
    st.markdown(
        f"{in_words(result.rows[label])}{say('controls.full_stop')} "
        + say(
            "distil.on_test",
            alone=percent(result.alone_test[place].mean()),
            distilled=percent(result.distilled_test[place].mean()),
            teacher=percent(result.teacher_test),
        )
    )
    with st.container(horizontal=True):
        downloads.offer(
            say("distil.results_csv"),
            "scenarios.csv",
            lambda: exports.side_by_side_csv(result),
            say("distil.all_csv_help"),
        )
        downloads.offer_figure("scenarios", lambda: exports.differences_figure(result))
        downloads.offer_code("scenarios", lambda: code.side_by_side(result))
