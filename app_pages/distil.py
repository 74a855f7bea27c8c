"""Distil: train a student alone and a distilled one from the same seeds, and compare them."""

import pandas as pd
import streamlit as st

from app_support import charts, code, controls, downloads, exports, lecture, predict, side_by_side
from app_support.experiments import (
    distil_order,
    in_words,
    outcome,
    settings_in_words,
    start_distil,
)
from app_support.jobs import trainer
from app_support.look import percent
from app_support.running import errors_as_sentences, progress, show_failure, stop_button
from app_support.simple_controls import choice
from app_support.words import say

AT_ONCE = 2e6  # work (see Task.work) that takes about a second
LOOK_EVERY = 0.3  # seconds
RUNS_KEPT = 12

OUTCOMES = ("above", "same", "below")


def take_in(watch):
    """Keep a run that has ended, or was stopped after its first epoch, among the runs."""
    run = watch.result or watch.interim
    del st.session_state["distil_job"]
    if run is None or watch.failed:
        st.session_state["distil_said"] = watch
    if run is None:
        return
    number = st.session_state["run_number"] = st.session_state.get("run_number", 0) + 1
    runs[number] = run
    st.session_state["looked_at"] = number
    for old in sorted(runs)[:-RUNS_KEPT]:
        del runs[old]


def wish(what):
    """Take note of a button; it is granted once the controls have been read, which may have changed together with it."""
    st.session_state["distil_wish"] = what


def grant(what, watch):
    """Do what a button asked for; gives the watch that there is then."""
    if what == "reset":
        st.session_state.pop("distil_job", None)
        st.session_state.pop("distil_said", None)
        st.session_state["distil_cleared"] = True
        if watch is not None:
            watch.stop()
        return None
    if watch is None:
        watch = begin()
    elif what == "train":
        watch.go_on()
    if what == "step":
        watch.step()
    return watch


def begin():
    """Order the run that the controls describe."""
    st.session_state.pop("distil_said", None)
    st.session_state.pop("distil_cleared", None)
    watch = st.session_state["distil_job"] = start_distil(task, temperature, lam)
    return watch


def draw_curves(run, others, *, only_alone=False):
    """Draw the curves of a run, finished or not; before the reader has answered only what is known beforehand."""
    curves = {"student alone": run.alone} if only_alone else run.curves | others
    last = {name: percent(history[:, -1].mean()) for name, history in run.curves.items()}
    alt = say(
        "distil.alt",
        epoch=run.epochs_done,
        epochs=run.task.epochs,
        teacher=percent(run.teacher_val),
        alone=last["student alone"],
        distilled="?" if only_alone else last["distilled"],
        verdict="" if only_alone else run.verdict,
    )
    st.vega_lite_chart(charts.accuracy_curves(curves, run.teacher_val, run.task.epochs), alt=alt)


def compare_prediction(run):
    """Compare the reader's answer with a run of the settings that it was about, once one can say what happened."""
    if prediction.answer is None:
        return
    if (run.task, run.temperature, run.lam) != (asked_task, asked_temperature, asked_lam):
        if not predict.is_compared("distil"):
            st.caption(say("distil.asked_about", words=asked_words))
    elif not run.partial and run.task.seeds > 1 and not run.is_alone:
        predict.compare("distil", prediction, options, outcome(run.difference), run.verdict)


def show_run():
    """Draw the run that is looked at, say what happened, and offer it to be taken along."""
    numbers = sorted(runs, reverse=True)
    if st.session_state.get("looked_at") not in numbers:
        st.session_state.pop("looked_at", None)
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    number = bar.selectbox(
        say("distil.run"),
        numbers,
        format_func={n: say("distil.run_name", number=n, words=runs[n].words) for n in numbers}.__getitem__,
        key="looked_at",
        help=say("distil.run_help"),
    )
    run = runs[number]
    if (run.task, run.temperature, run.lam) != (task, temperature, lam):
        now = say("distil.now_training" if busy else "distil.now_press")
        st.caption(say("distil.shown", words=run.words, now=now))
    comparable = [n for n in numbers if n != number and runs[n].task.dataset == run.task.dataset]
    overlay = []
    if comparable:
        overlay = bar.pills(
            say("distil.compare"),
            comparable,
            selection_mode="multi",
            format_func={n: say("distil.run_short", number=n) for n in comparable}.__getitem__,
            help=say("distil.compare_help"),
        )
    others = {say("distil.run_short", number=n): runs[n].distilled for n in overlay}
    compare_prediction(run)
    draw_curves(run, others)
    st.subheader(run.verdict, anchor=False)
    if run.alone_test is not None:
        shares = {"alone": run.alone_test.mean(), "distilled": run.distilled_test.mean(), "teacher": run.teacher_test}
        st.markdown(say("distil.on_test", **{name: percent(share) for name, share in shares.items()}))
    if run.advice:
        st.markdown(run.advice)
    with st.container(horizontal=True):
        downloads.offer(
            say("distil.results_csv"),
            "distil-results.csv",
            lambda: exports.results_csv(runs),
            say("distil.results_help"),
        )
        downloads.offer(
            say("distil.curves_csv"), "distil-curves.csv", lambda: exports.history_csv(runs), say("distil.curves_help")
        )
        downloads.offer_figure(
            "distil", lambda: exports.curves_figure(run.curves | others, run.teacher_val, say("distil.curves_title"))
        )
        if not run.partial:
            downloads.offer_code("distil", lambda: code.distil(run.task, run.temperature, run.lam))
    show_table()


def show_table():
    """List all runs, the latest first."""
    numbers = sorted(runs, reverse=True)
    box = st.expander(say("distil.all_runs", count=len(runs)), icon=":material/history:", expanded=len(runs) > 1)
    columns = {name: say(f"distil.column_{name}") for name in ("difference", "alone", "distilled", "settings")}
    box.dataframe(
        pd.DataFrame(
            [
                {
                    say("distil.run"): n,
                    columns["difference"]: 100 * float(runs[n].difference.mean),
                    columns["alone"]: share_of(runs[n].alone_test),
                    columns["distilled"]: share_of(runs[n].distilled_test),
                    columns["settings"]: runs[n].words + (say("distil.stopped_mark") if runs[n].partial else ""),
                }
                for n in numbers
            ]
        ),
        hide_index=True,
        column_config={
            columns["difference"]: st.column_config.NumberColumn(
                format="%+.1f", help=say("distil.column_difference_help")
            ),
            columns["alone"]: st.column_config.NumberColumn(format="%.1f %%"),
            columns["distilled"]: st.column_config.NumberColumn(format="%.1f %%"),
        },
        alt=say("distil.all_runs_alt"),
    )


def share_of(test):
    return None if test is None else 100 * float(test.mean())


@st.fragment(run_every=LOOK_EVERY)
@errors_as_sentences()
def grow(watch):
    """Draw the curves as they grow; once the job has ended, run the page again."""
    if not watch.running and not watch.catching_up:
        st.rerun()
    progress(watch)
    if watch.interim is not None:
        draw_curves(watch.interim.until(watch.hold_after), {}, only_alone=not prediction.open)


runs = st.session_state.setdefault("runs", {})  # number → DistilRun
heading = st.container()
picture, settings = st.columns([2, 1], gap="large")
with settings:
    with controls.group(say("controls.given"), "inventory_2"):
        given = controls.given()
        sentence = st.empty()
    with controls.group(say("controls.learns"), "school"):
        temperature = controls.temperature(8)
        lam = controls.lam()
        penalty = controls.penalty()
        st.caption(say("controls.alone_note"))
    with controls.group(say("controls.may_cost"), "payments"):
        cost = controls.cost(given[0])
task = controls.make_task(given, penalty, cost)
sentence.caption(controls.sentence(task))

with heading:
    lecture.heading(say("distil.title"))
    asked_task, asked_temperature, asked_lam = st.session_state.get("distil_asked", (task, temperature, lam))
    options = {code_: say(f"distil.answer_{code_}") for code_ in OUTCOMES}
    question = say(
        "distil.question", task=in_words(asked_task), temperature=f"{asked_temperature:g}", lam=f"{asked_lam:g}"
    )
    asked_words = settings_in_words(asked_task, asked_temperature, asked_lam)
    prediction = predict.ask("distil", question, options)
    if prediction.answer is not None:  # from now on it is about these settings
        st.session_state.setdefault("distil_asked", (task, temperature, lam))
    everywhere = (
        choice(
            st.segmented_control,
            "view",
            say("distil.view"),
            ("one", "all"),
            "one",
            say("distil.view_help"),
            words=lambda view: say(f"distil.view_{view}"),
            required=True,
        )
        == "all"
    )

if everywhere:
    side_by_side.draw(task, temperature, lam, heading, picture, locked=not prediction.open)
    st.stop()

job = st.session_state.get("distil_job")
if job is not None and not job.paused and not job.running:
    take_in(job)
    job = None
if (wished := st.session_state.pop("distil_wish", None)) is not None:
    job = grant(wished, job)
cleared = "distil_cleared" in st.session_state
nothing_yet = job is None and not runs and not cleared and "distil_said" not in st.session_state
if nothing_yet and (task.is_quick(2, AT_ONCE) or trainer.known(distil_order(task, temperature, lam))):
    job = begin()
    st.session_state["distil_asked"] = (task, temperature, lam)
    job.wait(0.6)
if job is not None and not job.paused and not job.running:  # at once: it was quick, or known
    take_in(job)
    job = None
busy = job is not None and job.running
paused = job is not None and job.paused
if paused:
    job.wait_for_epoch(0.3)

with heading, st.container(horizontal=True, vertical_alignment="center"):
    locked = not prediction.open
    st.button(
        say("distil.continue" if paused else "distil.train"),
        icon=":material/play_arrow:",
        disabled=busy or locked,
        key="train",
        on_click=wish,
        args=("train",),
        help=say("distil.train_help"),
    )
    st.button(
        say("distil.pause"),
        icon=":material/pause:",
        disabled=not busy or locked,
        key="pause",
        on_click=job.pause if busy else None,
        help=say("distil.pause_help"),
    )
    st.button(
        say("distil.step"),
        icon=":material/skip_next:",
        disabled=busy or locked,
        key="step",
        on_click=wish,
        args=("step",),
        help=say("distil.step_help"),
    )
    if busy or paused:
        stop_button(job, "stop", say("distil.stop_keeps"))
    st.button(
        say("distil.reset"),
        icon=":material/restart_alt:",
        disabled=locked or (cleared and job is None),
        key="reset",
        on_click=wish,
        args=("reset",),
        help=say("distil.reset_help"),
    )
    st.caption(in_words(task))

with picture, errors_as_sentences():
    said = st.session_state.get("distil_said")
    if busy or (paused and job.catching_up):
        grow(job)
    elif paused:
        epochs = job.job.order["task"]["epochs"]
        st.info(say("job.paused", epoch=job.hold_after, epochs=epochs), icon=":material/pause:")
        if job.interim is not None and job.hold_after:
            draw_curves(job.interim.until(job.hold_after), {})
    elif said is not None:
        if said.failed:
            show_failure(said)
        else:
            below = say("distil.earlier_runs_below") if runs else ""
            st.info(say("distil.stopped_early", below=below), icon=":material/info:")
    if busy or paused:
        pass
    elif cleared:
        st.info(say("distil.ready"), icon=":material/info:")
        if runs and prediction.open:
            show_table()
    elif not runs and said is None:
        st.info(say("distil.not_begun"), icon=":material/info:")
    elif runs and not prediction.open:
        st.info(say("distil.locked"), icon=":material/info:")
        draw_curves(runs[max(runs)], {}, only_alone=True)
    elif runs:
        show_run()
