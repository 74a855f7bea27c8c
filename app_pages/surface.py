"""Surface: where in T × λ does the teacher help?"""

import streamlit as st

from app_support import charts, code, controls, downloads, exports, lecture, own_data, predict
from app_support.experiments import in_words, points, seeds_in_words, start_surface, surface_order
from app_support.jobs import trainer
from app_support.look import percent
from app_support.running import errors_as_sentences, follow, say_shown, show_failure, stop_button
from app_support.simple_controls import choice, several
from app_support.words import say
from toolkit import metrics

LAMS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)
AT_ONCE = 1.5e7  # work (see Task.work) of a few seconds
BEST = "best"  # in the address: the cell that validation chose
LOOK_EVERY = 0.15  # seconds: a small surface has a new seed several times a second
CORNERS = ("high_high", "high_low", "low_high", "low_low", "alone")


def take_click():
    """Take over the cell that was clicked."""
    clicked = st.session_state["surface_chart"].selection.get("cell", [])
    surface = st.session_state.get("surface_result")
    if clicked and surface is not None:
        st.session_state["cell_T"] = f"{surface.scores.temperatures[int(clicked[0]['row'])]:g}"
        st.session_state["cell_lam"] = f"{surface.scores.lams[int(clicked[0]['column'])]:g}"


def choose(axis, values):
    """Let one coordinate of a cell be chosen; gives its index, or None for validation's choice."""
    options = [BEST, *(f"{value:g}" for value in values)]
    chosen = choice(
        st.selectbox,
        f"cell_{axis}",
        say(f"surface.cell_{axis}"),
        options,
        BEST,
        say(f"surface.cell_{axis}_help"),
        words=lambda option: say("surface.validation_choice") if option == BEST else option,
    )
    return None if chosen == BEST else options.index(chosen) - 1


def compare_prediction(surface):
    """Compare the reader's answer with the cell that validation chose, once all seeds are there; one alone says too little."""
    if prediction.answer is None:
        return
    if surface.partial or surface.task.seeds == 1:
        if not predict.is_compared("surface"):
            st.caption(say("surface.compared_later"))
        return
    scores = surface.scores
    t, lam = scores.best_cell()
    happened, middle_t, middle_lam = surface.best_corner()
    explanation = say(
        "surface.explanation_alone" if happened == "alone" else "surface.explanation",
        temperature=f"{scores.temperatures[t]:g}",
        lam=f"{scores.lams[lam]:g}",
        rows=len(scores.temperatures),
        columns=len(scores.lams),
        points=points(scores.difference_interval().at(t, lam)),
        task=in_words(surface.task),
        middle_t=f"{middle_t:g}",
        middle_lam=f"{middle_lam:g}",
    )
    predict.compare("surface", prediction, corners, happened, explanation)


@st.fragment  # choosing a cell draws this part alone again
@errors_as_sentences()
def show(surface, busy):
    """Draw the surface, and beneath it the chosen cell; while seeds come in, only a cell that a person chose."""
    st.session_state["surface_result"] = surface
    scores = surface.scores
    best = scores.best_cell()
    with st.container(horizontal=True):
        t, lam = choose("T", scores.temperatures), choose("lam", scores.lams)
    # While seeds come in, each drawing takes time from the training, and validation's choice may yet change.
    wait = busy and t is None and lam is None
    t, lam = best[0] if t is None else t, best[1] if lam is None else lam
    difference = scores.difference_interval()
    clear, cells = int((~difference.holds_zero).sum()), difference.mean.size - len(scores.temperatures)
    weight, seeds = surface.task.penalty_weight, len(scores.seeds)
    chosen = f"T = {scores.temperatures[best[0]]:g}, λ = {scores.lams[best[1]]:g}"
    if scores.lams[best[1]] == 0:  # T is nothing there
        chosen = say("surface.corner_alone")
    finding = say(
        "surface.finding",
        seeds=seeds_in_words(surface.done),
        penalty=say("surface.penalty", weight=f"{weight:g}") if weight else "",
        clear=clear,
        cells=cells,
        chosen=chosen,
    )
    chance = say("surface.chance", cells=cells, expected=f"{0.05 * cells:.2g}") if seeds > 1 else ""
    st.vega_lite_chart(
        charts.surface(scores, (t, lam)), key="surface_chart", on_select=take_click, selection_mode="cell", alt=finding
    )
    st.markdown(f"{finding}{chance} {say('surface.legend')}")
    if wait:
        st.caption(say("surface.wait"))
        return
    show_cell(surface, t, lam)
    with st.container(horizontal=True):
        downloads.offer(
            say("surface.csv"), "surface.csv", lambda: exports.surface_csv(surface), say("surface.csv_help")
        )
        downloads.offer_figure("surface", lambda: exports.surface_figure(surface, (t, lam)))
        downloads.offer_code("surface", lambda: code.surface(surface, (t, lam)))


def show_cell(surface, t, lam):
    """Say how the chosen cell did, on test too, and draw its curves."""
    scores = surface.scores
    temperature, weight = f"{scores.temperatures[t]:g}", f"{scores.lams[lam]:g}"
    cell = scores.difference_interval().at(t, lam)
    alone = scores.lams.index(0)
    words = say("surface.cell", temperature=temperature, lam=weight, points=points(cell))
    st.subheader(say("surface.corner_alone") if lam == alone else words, anchor=False)
    gain = metrics.confidence_interval(
        scores.accuracy[t, lam] - scores.accuracy[t, alone], examples=scores.test_examples
    )
    beside = say("surface.is_alone")
    if lam != alone:
        beside = say("surface.from_alone", points=points(gain))
        beside += say("surface.no_difference") if gain.holds_zero else ""
    accuracy, teacher = percent(scores.accuracy[t, lam].mean()), percent(surface.teacher_test)
    st.markdown(say("surface.on_test", accuracy=accuracy, beside=beside, teacher=teacher))
    curves = {"student alone": scores.history[t, alone]}
    if lam != alone:
        curves["distilled"] = scores.history[t, lam]
    st.vega_lite_chart(
        charts.accuracy_curves(curves, surface.teacher_val),
        alt=say("surface.curves_alt", temperature=temperature, lam=weight, points=points(cell)),
    )


heading = st.container()
picture, settings = st.columns([2, 1], gap="large")
with settings:
    with controls.group(say("controls.given"), "inventory_2"):
        given = controls.given()
        sentence = st.empty()
    with controls.group(say("controls.tried"), "grid_on"):
        temperatures = several(
            "temperatures",
            say("surface.temperatures"),
            controls.TEMPERATURES,
            [1, 2, 3, 4, 6, 8, 12, 20],
            say("surface.temperatures_help"),
        )
        lams = several("lams", say("surface.lams"), LAMS, LAMS[1:], say("surface.lams_help"))
        penalty = controls.penalty()
    with controls.group(say("controls.may_cost"), "payments"):
        cost = controls.cost(given[0])
task = controls.make_task(given, penalty, cost)
sentence.caption(controls.sentence(task))
wanted = (task, tuple(temperatures), tuple(lams))
students = len(temperatures) * (len(lams) + 1) * task.seeds
ready = bool(temperatures and lams)

with heading:
    lecture.heading(say("surface.title"))
    corners = {code_: say(f"surface.corner_{code_}") for code_ in CORNERS}
    prediction = predict.ask("surface", say("surface.question"), corners)

job = st.session_state.get("surface_job")
busy = job is not None and job.running
# What the button says is asked before it is drawn: training begins at once, and the page need not run twice.
wished = st.session_state.get("train_surface") or (
    job is None
    and ready
    and (task.is_quick(students // task.seeds, AT_ONCE) or trainer.known(surface_order(task, temperatures, lams)))
)
if ready and wished and not busy:
    job = start_surface(task, temperatures, lams)
    busy = job.running
    st.session_state["surface_job"], st.session_state["surface_task"] = job, wanted
    own_data.hold("surface", task)

with heading, st.container(horizontal=True, vertical_alignment="center"):
    st.button(
        say("surface.train"),
        icon=":material/play_arrow:",
        disabled=busy or not ready or not prediction.open,
        key="train_surface",
        help=say("surface.train_help"),
    )
    if busy:
        stop_button(job, "stop_surface", say("surface.stop_keeps"))
    st.caption(say("surface.students", count=students, task=in_words(task)) if ready else say("surface.choose_more"))

with picture:
    if job is None:
        st.info(say("surface.not_begun") if prediction.open else say("surface.answer_first"), icon=":material/info:")
    else:
        surface = job.interim  # read once: the job may put more seeds there at any moment
        if job.failed:
            show_failure(job)
        elif job.stopped and surface is None:
            st.info(say("surface.stopped_early"), icon=":material/info:")
        elif st.session_state["surface_task"] != wanted and surface is not None and prediction.open:
            say_shown(in_words(st.session_state["surface_task"][0]), busy=busy)
        if busy:
            follow(job, parts_seen=0 if surface is None else surface.parts, every=LOOK_EVERY)
        if not prediction.open:
            if job.running or surface is not None:
                st.info(say("surface.locked"), icon=":material/info:")
        elif surface is not None:
            if not busy:
                compare_prediction(surface)
            show(surface, busy)
