"""Soft targets: drag the temperature, and see what the teacher knows about the wrong classes."""

import streamlit as st

from app_support import soft_view
from app_support.live_bars import live_bars, nearest_temperature
from app_support.look import percent, with_article
from app_support.sentences import follow


def go_to(examples):
    """Go to the example of the list that follows the one shown."""
    shown = st.session_state.get("example")
    st.session_state["example"] = examples[(examples.index(shown) + 1) % len(examples) if shown in examples else 0]


def forget_example():
    st.session_state.pop("example", None)


heading, picture = st.container(), st.container()
with st.container(horizontal=True, vertical_alignment="bottom"):
    name = st.selectbox(
        "Data set",
        soft_view.data_sets(),
        key="data",
        bind="query-params",
        width=220,
        on_change=forget_example,
        help="Where the example comes from. Only what is on this machine is listed; mnist1d is synthetic, the others are real.",
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
    if not job.wait(1):
        with picture:
            st.title("The teacher is getting ready. What will it know?")
            follow(job)
            if st.button("Stop", icon=":material/stop:", help="Stop within one batch; nothing is kept then."):
                job.stop.set()
                job.wait(2)
                st.rerun()
        st.stop()
    view = job.result
    if view is None:
        del st.session_state.soft_wanted
        st.error(
            job.error or "The preparation was stopped. Choose a data set to start it again.", icon=":material/error:"
        )
        st.stop()

if not st.query_params.get("example", "0").isdecimal():  # Streamlit stumbles over 1e999
    del st.query_params["example"]
with more_controls:
    index = st.number_input(
        f"Example, 0 to {len(view.labels) - 1}",
        min_value=0,
        max_value=len(view.labels) - 1,
        value=int(view.rich[0]),
        key="example",
        bind="query-params",
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

index = int(min(max(index if index is not None else int(view.rich[0]), 0), len(view.labels) - 1))
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
