"""Soft targets: drag the temperature, and see what the teacher knows about the wrong classes."""

import streamlit as st

from app_support import soft_view
from app_support.live_bars import live_bars, nearest_temperature
from app_support.look import percent, with_article
from app_support.sentences import follow, stop_button


def go_to(examples):
    """Go to the example of the list that follows the one shown."""
    shown = st.session_state.get(box)
    st.session_state[box] = examples[(examples.index(shown) + 1) % len(examples) if shown in examples else 0]


def forget_example():
    """Drop the example of another data set from the address: it may be gone while the new one is still loading."""
    st.query_params.pop("example", None)


def first_example():
    """Give the example to begin with: the one last shown, the one of the link, or the richest."""
    of, last = st.session_state.get("shown_example", (name, None))
    text = st.query_params.get("example", "")
    if last is None and text.isdecimal() and len(text) < 10:
        last = int(text)
    return last if of == name and last is not None and last < len(view.labels) else int(view.rich[0])


heading, picture = st.container(), st.container()
with st.container(horizontal=True, vertical_alignment="bottom"):
    name = st.selectbox(
        "Data set",
        soft_view.data_sets(),
        key="data",
        bind="query-params",
        width=220,
        on_change=forget_example,
        help="Where the example comes from. Only data sets on this machine with images or signals are listed; mnist1d is synthetic, the others are real.",
    )
    which = st.segmented_control(
        "Student",
        ["distilled", "alone"],
        default="distilled",
        required=True,
        key="arm",
        bind="query-params",
        help=f"The outlined bars. Distilled: an {soft_view.STUDENT} that learned from this teacher at T = {soft_view.TEMPERATURE:g} "
        f"with λ = {soft_view.LAM:g}. Alone: the same student, from the hard labels only (λ = 0). Both are really trained.",
    )
    more_controls = st.container(horizontal=True, vertical_alignment="bottom", width="content")

wanted = (name, which == "distilled")
view = soft_view.kept(*wanted)
if view is None:
    if st.session_state.get("soft_wanted") != wanted:
        if "soft_job" in st.session_state:
            st.session_state.soft_job.stop.set()
        st.session_state.soft_wanted, st.session_state.soft_job = wanted, soft_view.start(*wanted)
    job = st.session_state.soft_job
    if not job.wait(0 if job.stop.is_set() else 1):
        with picture:
            st.title("The teacher is getting ready. What will it know?")
            follow(job)
            stop_button(job, "stop_soft", ", or once the data are loaded; nothing is kept then.")
        st.stop()
    view = job.result
    if view is None:
        del st.session_state.soft_wanted
        st.error(
            job.error or "The preparation was stopped. Choose a data set to start it again.", icon=":material/error:"
        )
        st.stop()

# The address is read and written here: a widget bound to it stumbles over 1e999, and leaves out what is the default.
box = f"example_{name}"
if box not in st.session_state or st.session_state.get("shown_example", (name,))[0] != name:
    st.session_state[box] = first_example()
with more_controls:
    index = st.number_input(
        f"Example, 0 to {len(view.labels) - 1}",
        min_value=0,
        max_value=len(view.labels) - 1,
        key=box,
        width=180,
        help="Which example of the test part. The teacher was not trained on it.",
    )
    st.button(
        "Rich dark knowledge",
        icon=":material/lightbulb:",
        on_click=go_to,
        args=(view.rich.tolist(),),
        help="Go to the next example that the teacher gets right and is sure of, although it sees a second class in it.",
    )
    st.button(
        "Teacher wrong",
        icon=":material/close:",
        on_click=go_to,
        args=(view.wrong.tolist(),),
        disabled=not len(view.wrong),
        help=f"Go to the next of the {len(view.wrong)} test examples that the teacher gets wrong.",
    )

st.session_state["shown_example"] = (name, index)
if st.query_params.get("example") != str(index):
    st.query_params["example"] = str(index)
example, choice = view.example(index), view.teacher_choice(index)
sure = f"The teacher is {percent(view.confidence[index])} sure that this is {with_article(view.class_names[choice])}."
right = choice == example.label
question = (
    "What else does it know?" if right else f"It is {with_article(view.class_names[example.label])}. What did it see?"
)
heading.title(f"{sure} {question}")

with picture:
    temperature = st.session_state.get("temperature") or nearest_temperature(st.query_params.get("T"))
    description = f"Test example {index} of {name}, labelled {view.class_names[example.label]}."
    released = live_bars(example, description, distilled=wanted[1], temperature=temperature, key="bars")
    st.session_state.temperature = released
    if st.query_params.get("T", "4") != f"{released:g}":
        st.query_params["T"] = f"{released:g}"

with st.expander("How to read this picture", icon=":material/help:"):
    st.markdown(
        "A teacher's outputs (logits) are divided by the *temperature* T before the softmax. At T = 1 nearly everything goes to "
        "one class, and the other bars are invisible. A higher T makes the small ones visible: they say which wrong classes "
        "the teacher finds similar. That is its **dark knowledge**, and it is what a student learns from soft targets "
        "that it cannot learn from the hard label, which says one class and nothing else. "
        "As T grows further, all bars approach the dashed line: the same share for every class, which says nothing any more."
    )
    st.caption(f"Data: {view.provenance}.")
soft_view.import_meanwhile()
