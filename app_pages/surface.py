"""Surface: where in T × λ does the teacher help?"""

import streamlit as st

from app_support import charts, controls, exports
from app_support.experiments import start_surface
from app_support.look import percent
from app_support.sentences import errors_as_sentences, stop_button
from toolkit import metrics

LAMS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)
AT_ONCE = 1.5e7  # work (see Task.work) of a few seconds
BEST = "as validation chose"
LOOK_EVERY = 0.15  # seconds between two looks at the job; a look costs a few milliseconds


def take_click():
    """Take over the cell that was clicked."""
    points = st.session_state["surface_chart"].selection.get("cell", [])
    result = st.session_state.get("surface_result")
    if points and result is not None:
        st.session_state["cell_T"] = f"{result.temperatures[int(points[0]['row'])]:g}"
        st.session_state["cell_lam"] = f"{result.lams[int(points[0]['column'])]:g}"


def choose(label, key, values, help_text):
    """Let one coordinate of a cell be chosen; gives its index, or None for validation's choice."""
    options = [BEST, *(f"{value:g}" for value in values)]
    controls.keep_among(key, options)
    chosen = st.selectbox(label, options, key=key, bind="query-params", help=help_text)
    return None if chosen == BEST else options.index(chosen) - 1


@st.fragment  # choosing a cell draws this part alone again
@errors_as_sentences()
def show(result, task, busy):
    """Draw the surface, and beneath it the chosen cell; while seeds come in, only a cell that a person chose."""
    st.session_state["surface_result"] = result
    best = result.best_cell()
    where = st.container(horizontal=True)
    with where:
        t = choose(
            "Cell: temperature T",
            "cell_T",
            result.temperatures,
            "The row to look at. A click on a cell chooses it too.",
        )
        lam = choose("Cell: λ", "cell_lam", result.lams, "The column to look at. A click on a cell chooses it too.")
    wait = (
        busy and t is None and lam is None
    )  # each drawing takes time from the training, and the choice may yet change
    t, lam = best[0] if t is None else t, best[1] if lam is None else lam
    difference = result.difference_interval()
    clear, cells = int((~difference.holds_zero).sum()), difference.mean.size - len(result.temperatures)
    penalty = f", all with λ_f = {task.penalty_weight:g}" if task.penalty_weight else ""
    finding = (
        f"With {len(result.seeds)} {'seed' if len(result.seeds) == 1 else 'seeds'}{penalty}, {clear} of {cells} cells with λ above 0 "
        f"differ measurably from the student alone; validation chose T = {result.temperatures[best[0]]:g}, λ = {result.lams[best[1]]:g}."
    )
    chance = (
        f" Of {cells} cells about {0.05 * cells:.2g} (5 %) would look clear by chance alone."
        if len(result.seeds) > 1
        else ""
    )
    st.vega_lite_chart(
        charts.surface(result, (t, lam)), key="surface_chart", on_select=take_click, selection_mode="cell", alt=finding
    )
    st.markdown(
        f"{finding}{chance} *Hatched*: the 95 % interval of the difference holds zero. *Alone* (λ = 0): the reference. *Solid ring*: the cell that validation chose. "
        "*Dashed ring*: the cell below."
    )
    if wait:
        st.caption("The chosen cell's curves and its test accuracy follow after the last seed.")
        return
    cell = metrics.Interval(difference.mean[t, lam], difference.low[t, lam], difference.high[t, lam])
    alone = result.lams.index(0)
    st.subheader(
        f"T = {result.temperatures[t]:g}, λ = {result.lams[lam]:g}: {metrics.in_points(cell)} on validation, which was used for choosing",
        anchor=False,
    )
    gain = result.accuracy[t, lam] - result.accuracy[t, alone]
    on_test = metrics.confidence_interval(gain, examples=len(result.dataset.y_test))
    beside = "this is the student alone" if lam == alone else f"{metrics.in_points(on_test)} from the student alone"
    st.markdown(
        f"Test accuracy of this cell: **{percent(result.accuracy[t, lam].mean())}**, {beside} (teacher {percent(result.teacher.test_accuracy)}). "
        "The test part is looked at for a chosen cell only: choosing by it would flatter the choice."
    )
    curves = {"student alone": result.history[t, alone]}
    if lam != alone:
        curves["distilled"] = result.history[t, lam]
    st.vega_lite_chart(
        charts.accuracy_curves(curves, result.teacher.val_accuracy),
        alt=f"Validation accuracy per epoch at T = {result.temperatures[t]:g}, λ = {result.lams[lam]:g}: {metrics.in_points(cell)}",
    )
    with st.container(horizontal=True):
        exports.offer(
            "Surface (CSV)",
            "surface.csv",
            lambda: exports.surface_csv(result, task),
            "Validation accuracy of every T, λ and seed, and its difference from the student alone.",
        )
        exports.offer(
            "Figure (PNG)",
            "surface.png",
            lambda: exports.surface_png(result, (t, lam)),
            "The surface, drawn for print, with the number in each cell.",
        )


heading = st.container()
picture, settings = st.columns([2, 1], gap="large")
with settings:
    with controls.group("What the student is given", "inventory_2"):
        given = controls.given()
    with controls.group("What is tried", "grid_on"):
        temperatures = st.multiselect(
            "Temperatures T",
            controls.TEMPERATURES,
            default=[1, 2, 3, 4, 6, 8, 12, 20],
            format_func=lambda value: f"{value:g}",
            key="temperatures",
            bind="query-params",
            help="The rows of the surface.",
        )
        lams = st.multiselect(
            "Distillation weights λ",
            LAMS,
            default=[lam for lam in LAMS if lam != 0.05],
            format_func=lambda value: f"{value:g}",
            key="lams",
            bind="query-params",
            help="The columns of the surface. λ = 0, the student alone, is always among them.",
        )
        penalty = controls.penalty()
    with controls.group("What it may cost", "payments"):
        cost = controls.cost(given[0])
task = controls.make_task(given, penalty, cost)
wanted = (task, tuple(temperatures), tuple(lams))

students = len(temperatures) * (len(lams) + 1) * task.seeds
ready = bool(temperatures and lams)

job = st.session_state.get("surface_job")
busy = job is not None and job.running
# What the button says is asked before it is drawn: training begins at once, and the page need not run twice.
wished = st.session_state.get("train_surface") or (job is None and task.is_quick(students // task.seeds, AT_ONCE))
if ready and wished and not busy:
    job, busy = start_surface(task, temperatures, lams), True
    st.session_state.surface_job, st.session_state.surface_task = job, wanted

with heading:
    st.title("Where in T × λ does the teacher help?")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Train",
            type="primary",
            icon=":material/play_arrow:",
            disabled=busy or not ready,
            key="train_surface",
            help="Train all students of the surface, seed after seed. The picture grows as they come in.",
        )
        if busy:
            stop_button(job, "stop_surface", ". Finished seeds stay.")
        st.caption(f"{students} students: {task.words}" if ready else "Choose at least one temperature and one λ.")

with picture:

    @st.fragment(run_every=LOOK_EVERY)
    @errors_as_sentences()
    def follow(seeds_shown):
        """Show how far the job is; once it has a new seed or has ended, run the page again."""
        if not job.running or (job.interim is not None and len(job.interim.seeds) > seeds_shown):
            st.rerun()
        st.progress(job.share, text=job.words)

    if job is None:
        st.info(
            "These settings take longer than a moment, so nothing was trained on arrival. Press Train: each cell becomes a student "
            "trained with that T and λ, coloured by how far it ends above or below the student alone.",
            icon=":material/info:",
        )
    else:
        surface = job.interim  # read once: the job may put more seeds there at any moment
        if job.error:
            st.error(job.error, icon=":material/error:")
        elif job.stopped and surface is None:
            st.info("Stopped before the first seed was finished.", icon=":material/info:")
        elif st.session_state.surface_task != wanted:
            st.caption(
                f"Shown: {st.session_state.surface_task[0].words}. The controls have changed since; press Train to see theirs."
            )
        if busy:
            follow(0 if surface is None else len(surface.seeds))
        if surface is not None:
            show(surface, st.session_state.surface_task[0], busy)
