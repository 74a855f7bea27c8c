"""The part of *Methods and scenes* that trains: the student alone and by a method, a small case, while one looks."""

from typing import TYPE_CHECKING

import streamlit as st

from app_support import charts, code, downloads, exports, lecture, method_runs
from app_support.experiments import points
from app_support.jobs import Watch, trainer
from app_support.look import percent
from app_support.method_runs import MethodRun, Settings
from app_support.running import follow, say_shown, show_failure, stop_button
from app_support.simple_controls import choice, number
from app_support.words import say
from toolkit import methods

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

_JOB, _WANTED, _RUNS = "method_job", "method_wanted", "method_runs"
_MOST_KEPT = 20


def live(heading: "DeltaGenerator") -> None:
    """Choose a method and a task, train, and see the paired difference."""
    with heading:
        lecture.heading(say("scenes.title_live"))
    actions = st.container(horizontal=True, vertical_alignment="center")
    picture, right = st.columns([2, 1], gap="large")
    with right:
        wanted = _choose()
    job: Watch | None = st.session_state.get(_JOB)
    busy = job is not None and job.running
    # What the button says is asked before it is drawn: training begins at once, and the page need not run twice.
    if not busy and (st.session_state.get("train_method") or (job is None and _known(wanted))):
        job = method_runs.start(wanted)
        st.session_state[_JOB], st.session_state[_WANTED] = job, wanted
        job.wait(0.3)
        busy = job.running
    with actions:
        st.button(
            say("scenes.train"),
            icon=":material/play_arrow:",
            key="train_method",
            disabled=busy,
            help=say("scenes.train_help"),
        )
        if job is not None and busy:
            stop_button(job, "stop_method", say("scenes.live_stop_keeps"))
        st.caption(wanted.words)
    with picture:
        if job is None:
            st.info(say("scenes.live_not_begun"), icon=":material/info:")
        else:
            _show(job, wanted)


def _known(wanted: Settings) -> bool:
    return trainer.known(method_runs.method_order(wanted))


def _choose() -> Settings:
    """Ask for task, method, its setting, epochs and seeds."""
    tasks, known = list(method_runs.TASKS), list(methods.names())
    task = choice(
        st.selectbox,
        "live_task",
        say("scenes.live_task"),
        tasks,
        tasks[0],
        say("scenes.live_task_help"),
        words=lambda name: say(f"scenes.live_{name}"),
    )
    method = choice(
        st.selectbox,
        "method",
        say("scenes.method"),
        known,
        "distillation",
        say("scenes.method_help"),
        words=method_runs.title,
    )
    chosen = methods.get(method)
    st.caption(f"{method_runs.description(method)} ({chosen.paper})")
    setting = choice(
        st.selectbox,
        "setting",
        say("scenes.setting"),
        range(len(chosen.settings)),
        len(chosen.settings) // 2,
        say("scenes.setting_help"),
        words=lambda place: methods.in_symbols(chosen.settings[place]),
    )
    label, help_text = say("scenes.live_seeds"), say("scenes.live_seeds_help")
    seeds = number(st.slider, "method_seeds", label, 1, 5, 3, 1, help_text)
    label, help_text = say("scenes.live_epochs"), say("scenes.live_epochs_help")
    epochs = number(st.slider, "method_epochs", label, 1, 200, 100, 1, help_text)
    return Settings(method_runs.make_task(task, int(epochs), int(seeds)), method, int(setting))


def _show(job: Watch, wanted: Settings) -> None:
    """Show how far the job is, and what is done of it beside what was tried before on the same task."""
    run: MethodRun | None = job.interim  # read once: the job may put more seeds there at any moment
    if job.failed:
        show_failure(job)
    elif st.session_state[_WANTED] != wanted:
        say_shown(st.session_state[_WANTED].words, busy=job.running)
    if job.stopped:
        if run is None:
            st.info(say("scenes.live_stopped_early"), icon=":material/info:")
        else:
            seeds = run.settings.task.seeds
            st.info(say("scenes.live_partial", done=run.parts, seeds=seeds), icon=":material/info:")
    if job.running:
        follow(job, parts_seen=0 if run is None else run.parts)
    if run is None:
        return
    kept: dict[Settings, MethodRun] = st.session_state.setdefault(_RUNS, {})
    if not job.running:
        kept[run.settings] = run
        for old in list(kept)[:-_MOST_KEPT]:
            del kept[old]
    shown = method_runs.of_the_same_task([*(kept | {run.settings: run}).values()], run)
    dots = [charts.Dot(one.name, methods.get(one.settings.method).family, one.difference) for one in shown]
    each = "; ".join(say("distil.all_row", scenario=one.name, points=points(one.difference)) for one in shown)
    st.vega_lite_chart(charts.method_dots(dots, say("chart.points_above_val")), alt=say("scenes.live_alt", each=each))
    st.subheader(run.verdict, anchor=False)
    tests = {"alone": run.alone_test.mean(), "taught": run.taught_test.mean(), "teacher": run.teacher_test}
    st.markdown(say("scenes.live_on_test", **{name: percent(float(share)) for name, share in tests.items()}))
    st.caption(say("scenes.live_legend"))
    with st.container(horizontal=True):
        downloads.offer(
            say("scenes.csv"),
            "method-runs.csv",
            lambda: exports.method_runs_csv([*(kept | {run.settings: run}).values()]),
            say("scenes.live_csv_help"),
        )
        downloads.offer_figure("method-runs", lambda: exports.dots_figure(dots, run.settings.words))
        if not run.partial:
            downloads.offer_code("method", lambda: code.method(run.settings))
