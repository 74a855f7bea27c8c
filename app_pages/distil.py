"""Distil: train a student alone and a distilled one from the same seeds, and compare them."""

import pandas as pd
import streamlit as st

from app_support import charts, controls, exports
from app_support.experiments import start_distil
from app_support.look import percent
from app_support.sentences import errors_as_sentences, follow, stop_button

AT_ONCE = 2e6  # work (see Task.work) that takes about a second

runs = st.session_state.setdefault("runs", {})  # number → DistilRun
heading = st.container()
picture, settings = st.columns([2, 1], gap="large")
with settings:
    with controls.group("What the student is given", "inventory_2"):
        given = controls.given()
    with controls.group("How it learns", "school"):
        temperature = st.select_slider(
            "Temperature T",
            controls.TEMPERATURES,
            value=8,
            key="t",
            bind="query-params",
            help="Divides the logits of teacher and student before the softmax. Above 1 the wrong classes become visible.",
        )
        lam = st.slider(
            "Distillation weight λ",
            0.0,
            1.0,
            0.9,
            0.05,
            key="lam",
            bind="query-params",
            help="Share of the soft part of the loss. 0: hard labels only. 1: the teacher only.",
        )
        penalty = controls.penalty()
        st.caption("The student alone always learns with λ = 0 and λ_f = 0.")
    with controls.group("What it may cost", "payments"):
        cost = controls.cost(given[0])
task = controls.make_task(given, penalty, cost)

job = st.session_state.get("distil_job")
with heading:
    st.title("Does a teacher help this student?")
    with st.container(horizontal=True, vertical_alignment="center"):
        busy = job is not None and job.running
        if st.button(
            "Train",
            type="primary",
            icon=":material/play_arrow:",
            disabled=busy,
            key="train",
            help="Train the student alone and the distilled student from the same seeds, with the settings of this page.",
        ) or (job is None and not runs and task.is_quick(2, AT_ONCE)):
            job = st.session_state.distil_job = start_distil(task, float(temperature), lam)
            job.wait(0.8)
            if job.running:
                st.rerun()
        if busy:
            stop_button(
                job,
                "stop",
                ". Once the distilled student has had an epoch, what was trained is shown; "
                "before that (the teacher and the student alone come first) nothing is kept.",
            )
        st.caption(task.words)
    if job is not None and job.running:
        follow(job)
    elif job is not None and job.result is not None:
        number = st.session_state["run_number"] = st.session_state.get("run_number", 0) + 1
        runs[number] = st.session_state.pop("distil_job").result
        st.session_state["looked_at"] = number
        for old in sorted(runs)[:-12]:
            del runs[old]
    elif job is not None and job.error:
        st.error(job.error, icon=":material/error:")
    elif job is not None and job.stopped:
        below = " What is shown below are earlier runs." if runs else ""
        st.info(f"Stopped before there was anything to compare.{below}", icon=":material/info:")

with picture, errors_as_sentences():
    if not runs and job is not None:
        st.stop()  # what there is to say stands above
    if not runs:
        st.info(
            "These settings take longer than a moment, so nothing was trained on arrival. Press Train: the curves then show "
            "whether the distilled student ends above the same student alone, and whether the bands leave room for doubt.",
            icon=":material/info:",
        )
        st.stop()
    numbers = sorted(runs, reverse=True)
    if st.session_state.get("looked_at") not in numbers:
        st.session_state.pop("looked_at", None)
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    number = bar.selectbox(
        "Run",
        numbers,
        format_func=lambda n: f"Run {n}: {runs[n].words}",
        key="looked_at",
        help="The run that the picture and the sentence are about. Runs are kept until the page is closed.",
    )
    run = runs[number]
    if (run.task, run.temperature, run.lam) != (task, temperature, lam):
        now = "A new run is being trained." if job is not None and job.running else "Press Train to see theirs."
        st.caption(f"Shown: {run.words}. The controls have changed since. {now}")
    comparable = [n for n in numbers if n != number and runs[n].task.dataset == run.task.dataset]
    overlay = []
    if comparable:
        overlay = bar.multiselect(
            "Compare with",
            comparable,
            format_func=lambda n: f"run {n}",
            help="Earlier runs on the same data set; their distilled students are drawn into the picture.",
        )
    curves = run.curves | {f"run {n}": runs[n].distilled for n in overlay}
    st.vega_lite_chart(
        charts.accuracy_curves(curves, run.teacher_val), alt=f"Validation accuracy per epoch. {run.verdict}"
    )
    st.subheader(run.verdict, anchor=False)
    st.markdown(
        f"On the **test** part, after the last epoch: alone {percent(run.alone_test.mean())}, distilled {percent(run.distilled_test.mean())}, "
        f"teacher {percent(run.teacher_test)}. The picture and the sentence above use the validation part, on which choices are made."
    )
    if run.advice:
        st.markdown(run.advice)
    with st.container(horizontal=True):
        title = run.verdict.split(":")[0]
        exports.offer(
            "Results (CSV)",
            "distil-results.csv",
            lambda: exports.results_csv(runs),
            "Every run, arm and seed with its settings, validation and test accuracy.",
        )
        exports.offer(
            "Curves (CSV)",
            "distil-curves.csv",
            lambda: exports.history_csv(runs),
            "Validation accuracy of every run, arm, seed and epoch.",
        )
        exports.offer(
            "Figure (PNG)",
            "distil.png",
            lambda: exports.curves_png(curves, run.teacher_val, title),
            "The picture above, drawn for print.",
        )
    with st.expander(f"All runs ({len(runs)})", icon=":material/history:", expanded=len(runs) > 1):
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "Run": n,
                        "Difference (validation)": 100 * float(runs[n].difference.mean),
                        "Alone (test)": 100 * float(runs[n].alone_test.mean()),
                        "Distilled (test)": 100 * float(runs[n].distilled_test.mean()),
                        "Settings": runs[n].words + ("; stopped early" if runs[n].partial else ""),
                    }
                    for n in numbers
                ]
            ),
            hide_index=True,
            column_config={
                "Difference (validation)": st.column_config.NumberColumn(
                    format="%+.1f points", help="Distilled minus alone."
                ),
                "Alone (test)": st.column_config.NumberColumn(format="%.1f %%"),
                "Distilled (test)": st.column_config.NumberColumn(format="%.1f %%"),
            },
            alt="All runs with their settings and results",
        )
