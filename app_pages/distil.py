"""Distil: train a student alone and a distilled one from the same seeds, and compare them."""

import pandas as pd
import streamlit as st

from app_support import charts, code, controls, distil_runs, downloads, exports, lecture, predict, side_by_side
from app_support.experiments import Settings, in_words, outcome, parameter_in_words, points, settings_in_words
from app_support.look import percent
from app_support.running import errors_as_sentences, follow, say_shown, show_failure, stop_button
from app_support.simple_controls import choice
from app_support.words import say

OUTCOMES = ("above", "same", "below")


def draw_curves(run, others, *, verdict="", only_alone=False):
    """Draw the curves of a run, finished or not; before the reader has answered only what is known beforehand."""
    curves = {"student alone": run.alone} if only_alone else run.curves_beside(others)
    last = {name: percent(history[:, -1].mean()) for name, history in run.curves.items()}
    alt = say(
        "distil.alt",
        epoch=run.epochs_done,
        epochs=run.task.epochs,
        teacher=percent(run.teacher_val),
        alone=last["student alone"],
        distilled="?" if only_alone else last["distilled"],
        verdict=verdict,
    )
    st.vega_lite_chart(charts.accuracy_curves(curves, run.teacher_val, run.task.epochs), alt=alt)


def why(task):
    """Say what speaks for the teacher in a scenario, whatever came of it."""
    return say(f"distil.why_{task.scenario}", **parameter_in_words(task))


def compare_prediction(run):
    """Compare the reader's answer with a run of the settings that it was about, once one can say what happened."""
    if prediction.answer is None:
        return
    if run.settings != asked:
        if not predict.is_compared("distil"):
            st.caption(say("distil.asked_about", words=settings_in_words(*asked)))
    elif not run.partial and run.task.seeds > 1 and not run.is_alone:
        predict.compare("distil", prediction, options, outcome(run.difference), why(run.task))


def show_run():
    """Draw the run that is looked at, say what happened, and offer it to be taken along."""
    numbers = sorted(runs, reverse=True)
    if st.session_state.get(distil_runs.LOOKED_AT) not in numbers:
        st.session_state.pop(distil_runs.LOOKED_AT, None)
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    number = bar.selectbox(
        say("distil.run"),
        numbers,
        format_func={n: say("distil.run_name", number=n, words=runs[n].words) for n in numbers}.__getitem__,
        key=distil_runs.LOOKED_AT,
        help=say("distil.run_help"),
    )
    run = runs[number]
    if run.settings != settings:
        say_shown(run.words, busy=False)
    comparable = [n for n in numbers if n != number and runs[n].task.dataset == run.task.dataset]
    overlay = []
    if comparable:
        kept = [n for n in st.session_state.get("compared", []) if n in comparable]
        if kept != st.session_state.get("compared"):
            st.session_state["compared"] = kept
        overlay = bar.pills(
            say("distil.compare"),
            comparable,
            default=kept,
            selection_mode="multi",
            key="compared",
            format_func={n: say("distil.run_short", number=n) for n in comparable}.__getitem__,
            help=say("distil.compare_help"),
        )
    others = {say("distil.run_short", number=n): runs[n] for n in overlay}
    compare_prediction(run)
    draw_curves(run, others, verdict=run.verdict)
    st.subheader(run.verdict, anchor=False)
    if run.alone_test is not None:
        shares = {"alone": run.alone_test.mean(), "distilled": run.distilled_test.mean(), "teacher": run.teacher_test}
        st.markdown(say("distil.on_test", **{name: percent(share) for name, share in shares.items()}))
    if run.left_out_difference is not None:
        of_class = {"alone": run.alone_left_out.mean(), "distilled": run.distilled_left_out.mean()}
        words = {name: percent(share) for name, share in of_class.items()} | parameter_in_words(run.task)
        st.markdown(say("distil.on_left_out", points=points(run.left_out_difference), **words))
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
        downloads.offer_figure("distil", lambda: exports.curves_figure(run, others))
        if not run.partial:
            downloads.offer_code("distil", lambda: code.distil(*run.settings))
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
                    say("distil.run"): say("distil.stopped_mark", number=n) if runs[n].partial else str(n),
                    columns["difference"]: None if runs[n].partial else points(runs[n].difference),
                    columns["alone"]: share_of(runs[n].alone_test),
                    columns["distilled"]: share_of(runs[n].distilled_test),
                    columns["settings"]: runs[n].words,
                }
                for n in numbers
            ]
        ),
        hide_index=True,
        placeholder="–",
        column_config={
            columns["difference"]: st.column_config.TextColumn(help=say("distil.column_difference_help")),
            columns["alone"]: st.column_config.NumberColumn(format="%.1f %%"),
            columns["distilled"]: st.column_config.NumberColumn(format="%.1f %%"),
        },
        alt=say("distil.all_runs_alt"),
    )


def share_of(test):
    return None if test is None else 100 * float(test.mean())


def draw_so_far():
    """Draw the curves of the job as far as this visitor wants to see them."""
    if job.interim is not None:
        draw_curves(job.interim.until(job.hold_after), {}, only_alone=not prediction.open)


runs = distil_runs.kept()
heading = st.container()
picture, right = st.columns([2, 1], gap="large")
with right:
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
settings = Settings(task, temperature, lam)
sentence.caption(controls.sentence(task))

with heading:
    lecture.heading(say("distil.title"))
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
    side_by_side.draw(settings, heading, picture)
    st.stop()

with heading:
    asked = st.session_state.get(distil_runs.ASKED, settings)
    options = {code_: say(f"distil.answer_{code_}") for code_ in OUTCOMES}
    question = say(
        "distil.question", task=in_words(asked.task), temperature=f"{asked.temperature:g}", lam=f"{asked.lam:g}"
    )
    prediction = predict.ask("distil", question, options)
    if prediction.answer is not None:  # from now on it is about these settings
        distil_runs.ask_about(settings)

job = distil_runs.current(settings)
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
        on_click=distil_runs.wish,
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
        on_click=distil_runs.wish,
        args=("step",),
        help=say("distil.step_help"),
    )
    if busy or paused:
        stop_button(job, "stop", say("distil.stop_keeps"))
    st.button(
        say("distil.reset"),
        icon=":material/restart_alt:",
        disabled=locked or (distil_runs.is_cleared() and job is None),
        key="reset",
        on_click=distil_runs.wish,
        args=("reset",),
        help=say("distil.reset_help"),
    )
    st.caption(in_words(task))

with picture, errors_as_sentences():
    said = distil_runs.ended_without_result()
    if (busy or paused) and distil_runs.settings_of(job) != settings:
        say_shown(settings_in_words(*distil_runs.settings_of(job)), busy=True)
    if busy or (paused and job.catching_up):
        follow(job, draw_so_far)
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
    elif distil_runs.is_cleared():
        st.info(say("distil.ready"), icon=":material/info:")
        if runs and prediction.open:
            show_table()
    elif not runs and said is None:
        st.info(say("distil.not_begun") if prediction.open else say("distil.answer_first"), icon=":material/info:")
    elif runs and not prediction.open:
        st.info(say("distil.locked"), icon=":material/info:")
        draw_curves(runs[max(runs)], {}, only_alone=True)
    elif runs:
        show_run()
