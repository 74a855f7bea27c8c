"""Soft targets: drag the temperature, and see what the teacher knows about the wrong classes."""

import numpy as np
import streamlit as st

from app_support import downloads, lecture, link, predict, soft_view
from app_support.live_bars import FIRST_TEMPERATURE, TEMPERATURES, live_bars
from app_support.look import percent
from app_support.running import errors_as_sentences, follow, show_failure, stop_button
from app_support.simple_controls import choice, number, say_misfit, stop_of_link
from app_support.words import language, say, with_article

LOCKED_AT, ASKED_UNTIL = 1.0, 10.0  # the question is about the bar at these temperatures
UNCHANGED = 0.002  # a share that moves by less stays the same to the eye
MORE = ("read", "pad", "teach")


def go_to(examples):
    """Go to the example of the list that follows the one shown."""
    shown = st.session_state.get(box)
    st.session_state[box] = examples[(examples.index(shown) + 1) % len(examples) if shown in examples else 0]


def forget_example():
    """Drop the example of another data set from the address: it may be gone while the new one is still loading."""
    link.forget("example")


def first_example():
    """Give the example to begin with: the one last shown, the one of the link, or the richest."""
    of, last = st.session_state.get("shown_example", (name, None))
    text = link.given("example")
    if last is None and text.isdecimal() and len(text) < 10:
        last = int(text)
    return last if of == name and last is not None and last < len(view.labels) else int(view.rich[0])


def ask_about(index, example):
    """Ask what becomes of the likeliest wrong class; gives the prediction, and what happens."""
    bars = {t: example.teacher_soft_targets(t) for t in (LOCKED_AT, ASKED_UNTIL)}
    second = int(np.argsort(-bars[LOCKED_AT], kind="stable")[1])
    before, after = (float(shares[second]) for shares in bars.values())
    happened = "same" if abs(after - before) < UNCHANGED else "grows" if after > before else "shrinks"
    options = {code: say(f"soft_targets.answer_{code}") for code in ("grows", "same", "shrinks")}
    question = say("soft_targets.question", second=example.class_names[second])
    explanation = say(
        "soft_targets.explanation",
        index=index,
        second=example.class_names[second],
        before=percent(before),
        after=percent(after),
        uniform=percent(1 / len(example.class_names)),
    )
    return predict.ask("soft_targets", question, options), (options, happened, explanation)


heading, asking, picture = st.container(), st.container(), st.container()
with st.container(horizontal=True, vertical_alignment="bottom"):
    name = choice(
        st.selectbox,
        "data",
        say("soft_targets.data"),
        soft_view.data_sets(),
        "digits",
        say("soft_targets.data_help"),
        width=220,
        on_change=forget_example,
    )
    which = choice(
        st.segmented_control,
        "arm",
        say("soft_targets.student"),
        ("distilled", "alone"),
        "distilled",
        say(
            "soft_targets.student_help",
            student=soft_view.STUDENT,
            temperature=f"{soft_view.TEMPERATURE:g}",
            lam=f"{soft_view.LAM:g}",
        ),
        words=lambda arm: say(f"chart.{arm}"),
        required=True,
    )
    more_controls = st.container(horizontal=True, vertical_alignment="bottom", width="content")

wanted = (name, which == "distilled")
view = soft_view.kept(*wanted)
if view is None:
    if st.session_state.get("soft_wanted") != wanted:
        if "soft_job" in st.session_state:
            st.session_state.soft_job.stop()
        st.session_state.soft_wanted, st.session_state.soft_job = wanted, soft_view.start(*wanted)
    job = st.session_state.soft_job
    if not job.stopped and not job.wait(1):
        with picture:
            lecture.heading(say("soft_targets.getting_ready"))
            follow(job)
            stop_button(job, "stop_soft", say("soft_targets.stop_keeps"))
        st.stop()
    view = job.result
    if view is None:
        del st.session_state.soft_wanted
        if job.failed:
            show_failure(job)
        else:
            st.error(say("soft_targets.stopped"), icon=":material/error:")
        st.stop()

box = f"example_{name}"
if box not in st.session_state or st.session_state.get("shown_example", (name,))[0] != name:
    st.session_state[box] = first_example()
with more_controls:
    last = len(view.labels) - 1
    label, help_text = say("soft_targets.example", last=last), say("soft_targets.example_help")
    index = number(st.number_input, box, label, 0, last, int(view.rich[0]), 1, help_text, address="example", width=180)
    if not link.is_hidden("example"):
        st.button(
            say("soft_targets.rich"),
            icon=":material/lightbulb:",
            on_click=go_to,
            args=(view.rich.tolist(),),
            help=say("soft_targets.rich_help"),
        )
        st.button(
            say("soft_targets.wrong"),
            icon=":material/close:",
            on_click=go_to,
            args=(view.wrong.tolist(),),
            disabled=not len(view.wrong),
            help=say("soft_targets.wrong_help", count=len(view.wrong)),
        )
st.session_state["shown_example"] = (name, index)

example, seen = view.example(index), view.class_names[view.teacher_choice(index)]
true = view.class_names[example.label]
verdict = "right" if seen == true else "wrong"
article = with_article if language() == "en" else str
with heading:
    sure = percent(view.confidence[index])
    lecture.heading(say(f"soft_targets.title_{verdict}", sure=sure, seen=article(seen), true=article(true)))

with asking:
    prediction, to_compare = ask_about(*st.session_state.get("soft_asked", (index, example)))
    if prediction.answer is not None:
        st.session_state.setdefault(
            "soft_asked", (index, example)
        )  # the answer stays about it when another one is shown
        predict.compare("soft_targets", prediction, *to_compare)
with picture:
    opens_at = ASKED_UNTIL if prediction.answer else FIRST_TEMPERATURE
    temperature = stop_of_link("T", TEMPERATURES, opens_at) if prediction.open else LOCKED_AT
    description = say("soft_targets.described", index=index, name=name, true=true)
    released = live_bars(
        example,
        description,
        distilled=wanted[1],
        temperature=temperature,
        key="bars" if prediction.open else "bars_locked",
        locked=not prediction.open,
    )
    if prediction.open:
        link.write("T", f"{released:g}")
        say_misfit("T", f"{released:g}")

more = choice(
    st.segmented_control,
    "more",
    say("soft_targets.more"),
    [part for part in MORE if part != "pad" or view.x.ndim == 4],
    "read",
    say("soft_targets.more_help"),
    words=lambda part: say(f"soft_targets.more_{part}"),
    required=True,
)
if more == "read":
    st.markdown(say("soft_targets.read"))
    st.caption(say("soft_targets.provenance", provenance=view.provenance))
    with st.container(horizontal=True):
        downloads.bars(example, released, description, "soft-targets")
        downloads.bars_code(name, index, released, distilled=wanted[1])
elif more == "pad":
    from app_support import pad

    @st.fragment
    @errors_as_sentences()
    def drawing():
        """Show the sheet, and what teacher and student see in what is drawn."""
        sheet, bars = st.columns([1, 2], gap="large")
        with sheet:
            image = pad.draw(view.x.shape[2:])
        if image is None:
            bars.caption(say("soft_targets.pad_empty"))
            return
        drawn = pad.look_at(image, name, view)
        choices = [drawn.class_names[int(np.argmax(logits))] for logits in (drawn.teacher_logits, drawn.student_logits)]
        with bars:
            st.markdown(say("soft_targets.pad_said", teacher=choices[0], student=choices[1]))
            seen_in_it = say("soft_targets.pad_described", teacher=choices[0], student=choices[1])
            released_here = live_bars(
                drawn,
                seen_in_it,
                distilled=wanted[1],
                temperature=stop_of_link("pad_T", TEMPERATURES, released),
                key="pad_bars",
            )
            link.write("pad_T", f"{released_here:g}")
            say_misfit("pad_T", f"{released_here:g}")
            st.caption(say("soft_targets.pad_honest"))
            with st.container(horizontal=True):
                downloads.bars(drawn, released_here, seen_in_it, "drawing")

    drawing()
else:
    from app_support import teaching

    teaching.section(view, name, released, box)
soft_view.import_meanwhile()
