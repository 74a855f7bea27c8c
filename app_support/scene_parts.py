"""The parts of *Methods and scenes* that run here: one decision of a tree, followed step by step, and a spoken prompt, played."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from app_support import charts, downloads, exports, lecture, predict, readable_view, resources, speech_view
from app_support.jobs import Watch
from app_support.look import percent
from app_support.readable_view import TreeView
from app_support.running import follow, show_failure, stop_button
from app_support.simple_controls import choice, number
from app_support.speech_view import PromptView
from app_support.words import say
from toolkit import data
from toolkit.readable import LEAF, ReadableTree, written_apart

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

_TABLES = ("breast-cancer", "credit")
_ASKED = "speech_asked"  # in the session: the prompt that the question is about


def _ready(name: str, wanted: str, start: Callable[[], Watch]) -> Any:
    """Give what the worker makes, once it is there; until then show how far it is, and give nothing."""
    job_key, wanted_key = f"{name}_job", f"{name}_wanted"
    if st.session_state.get(wanted_key) != wanted:
        if job_key in st.session_state:
            st.session_state[job_key].stop()
        st.session_state[wanted_key], st.session_state[job_key] = wanted, start()
    job: Watch = st.session_state[job_key]
    if job.running and not job.wait(0.6):
        follow(job)
        stop_button(job, f"stop_{name}", say("scenes.stop_keeps"))
        return None
    if job.result is None:
        if job.failed:
            show_failure(job)
        else:
            st.info(say("scenes.stopped"), icon=":material/info:")
        st.button(
            say("scenes.again"),
            icon=":material/restart_alt:",
            key=f"again_{name}",
            on_click=lambda: st.session_state.pop(wanted_key, None),
            help=say("scenes.again_help"),
        )
    return job.result


def _needs(name: str) -> str:
    """Say what a data set needs; empty where it is on this machine."""
    source = next(source for source in data.available() if source.name == name)
    return "" if source.on_this_machine else source.needs


# ---- One decision, step by step ------------------------------------------------------------------------------


def medicine(heading: "DeltaGenerator") -> None:
    """Follow one decision of a tree."""
    here = [name for name in _TABLES if not _needs(name)]
    controls = st.container(horizontal=True, vertical_alignment="bottom")
    with controls:
        name = choice(
            st.selectbox, "table", say("scenes.dataset"), here, here[0], say("scenes.dataset_help"), width=200
        )
    if missing := _needs("credit"):
        st.caption(say("scenes.credit_missing", needs=missing))
    view: TreeView | None = _ready("tree", name, lambda: readable_view.start(name))
    if view is None:
        with heading:
            lecture.heading(say("scenes.title_medicine_unknown"))
        return
    tree, last = view.tree(name), len(view.said) - 1
    with controls:
        label, help_text = say(f"scenes.who_{name}", last=last), say("scenes.who_help")
        index = int(number(st.number_input, "patient", label, 0, last, 0, 1, help_text, width=200))
        st.button(
            say("scenes.another"),
            icon=":material/person:",
            key="another_patient",
            on_click=_go_to,
            args=((index + 1) % (last + 1), 1),
            help=say("scenes.another_help"),
        )
    example = resources.dataset(name).x_test[index]
    decision = tree.decision(example)
    names = tree.dataset.class_names
    with heading:
        lecture.heading(say("scenes.title_medicine", index=index, said=names[view.said[index]]))
    picture, words = st.columns([1.1, 1], gap="large")
    with words:
        label, help_text = say("scenes.step"), say("scenes.step_help")
        done = int(number(st.slider, "step", label, 0, len(decision), min(1, len(decision)), 1, help_text))
        with st.container(horizontal=True):
            st.button(
                say("scenes.forward"),
                icon=":material/skip_next:",
                key="forward",
                disabled=done == len(decision),
                on_click=_go_to,
                args=(index, done + 1),
                help=say("scenes.forward_help"),
            )
            st.button(
                say("scenes.back"),
                icon=":material/skip_previous:",
                key="back",
                disabled=not done,
                on_click=_go_to,
                args=(index, done - 1),
                help=say("scenes.back_help"),
            )
        _say_steps(view, tree, index, done)
    with picture:
        questions = len(tree.feature) - len(tree.leaves)
        st.vega_lite_chart(
            charts.tree(_nodes(tree, tree.path(example)[: done + 1])),
            alt=say("scenes.tree_alt", questions=questions, index=index, steps=done, all=len(decision)),
        )
        st.caption(say("scenes.tree_legend", first=names[0], others=", ".join(names[1:])))
        with st.expander(say("scenes.tree_in_words")):
            st.code(tree.rules, language=None, wrap_lines=True)
    with st.container(horizontal=True):
        downloads.offer_figure("decision", lambda: exports.tree_figure(tree, index))
    st.markdown(_tree_scores(view, resources.dataset(name).y_test.numpy()))
    st.caption(say("scenes.tree_provenance", provenance=tree.dataset.provenance.rstrip(".")))


def _go_to(index: int, step: int) -> None:
    st.session_state["patient"], st.session_state["step"] = index, step


def _say_steps(view: TreeView, tree: ReadableTree, index: int, done: int) -> None:
    """Say the answers so far, and the next question, or what comes out."""
    dataset = tree.dataset
    example = dataset.x_test[index]
    decision, names = tree.decision(example), dataset.class_names
    lines = []
    for place, step in enumerate(decision[:done], 1):
        if step.asks_for_a_word:
            lines.append(say(f"scenes.answered_word_{step.goes}", number=place, said=step.answer))
            continue
        value, threshold = written_apart(step.value, step.threshold)
        lines.append(
            say(f"scenes.answered_{step.goes}", number=place, feature=step.feature, value=value, threshold=threshold)
        )
    if done < len(decision):
        step = decision[done]
        value = written_apart(step.value, step.threshold)[0]
        values = {"number": done + 1, "question": tree.question(step.node)}
        if step.asks_for_a_word:
            lines.append(say("scenes.asked_word", answer=step.answer, **values))
        else:
            lines.append(say("scenes.asked_number", value=value, **values))
    else:
        leaf = tree.path(example)[-1]
        best = int(tree.shares[leaf].argmax())
        share = percent(tree.shares[leaf, best])
        lines.append(say("scenes.leaf", said=names[best], share=share, examples=tree.examples[leaf]))
        sure = view.teacher_shares[index]
        true, teacher = names[int(dataset.y_test[index])], names[int(sure.argmax())]
        lines.append(say("scenes.truth", true=true, teacher=teacher, share=percent(float(sure.max()))))
    st.markdown("\n\n".join(lines))


def _nodes(tree: ReadableTree, gone: list[int]) -> list[charts.Node]:
    """Place all nodes for the picture, with the numbers of the steps that were gone."""
    places = tree.places
    above = {int(child): places[node] for side in (tree.left, tree.right) for node, child in enumerate(side)}
    nodes = []
    for node, (x, y) in enumerate(places):
        is_leaf = bool(tree.left[node] == LEAF)
        best = int(tree.shares[node].argmax())
        words = f"{tree.question(node)}?"
        if is_leaf:
            share, name = percent(tree.shares[node, best]), tree.dataset.class_names[best]
            words = say("scenes.leaf_words", said=name, share=share, examples=tree.examples[node])
        step = str(gone.index(node) + 1) if node in gone else ""
        nodes.append(charts.Node(x, y, above.get(node), words, step, is_leaf, best == 0))
    return nodes


def _tree_scores(view: TreeView, labels: np.ndarray) -> str:
    """Say how often teacher and trees are right, and how often the trees agree with the teacher."""
    teacher = view.teacher_said
    shares = {
        "teacher": teacher == labels,
        "tree": view.said == labels,
        "labels": view.said_on_labels == labels,
        "tree_agrees": view.said == teacher,
        "labels_agree": view.said_on_labels == teacher,
    }
    return say("scenes.tree_scores", **{name: percent(float(right.mean())) for name, right in shares.items()})


# ---- A spoken prompt -----------------------------------------------------------------------------------------


def speech(heading: "DeltaGenerator") -> None:
    """Play a prompt, and show what the teacher hears in it."""
    with heading:
        lecture.heading(say("scenes.title_speech"))
    if missing := _needs("speech"):
        st.info(say("scenes.speech_missing", needs=missing), icon=":material/info:")
        return
    view: PromptView | None = _ready("speech", "speech", speech_view.start)
    if view is None:
        return
    last = len(view.prompts) - 1
    label, help_text = say("scenes.prompt", last=last), say("scenes.prompt_help")
    index = int(number(st.number_input, "prompt", label, 0, last, 0, 1, help_text, width=220))
    st.audio(speech_view.recording(str(view.prompts[index])), sample_rate=speech_view.RATE)
    names = view.class_names.tolist()
    asked = min(st.session_state.get(_ASKED, index), last)
    prediction = predict.ask("speech", say("scenes.speech_question", index=asked), dict(zip(names, names, strict=True)))
    if not prediction.open:
        st.info(say("scenes.speech_locked"), icon=":material/info:")
        return
    if prediction.answer is not None:  # the answer stays about its prompt when another one is played
        st.session_state.setdefault(_ASKED, index)
        _compare_heard(view, asked, prediction, names)
    shares, true = view.shares[index], int(view.labels[index])
    heard = int(shares.argmax())
    finding = say("scenes.speech_said", said=names[heard], share=percent(float(shares[heard])), true=names[true])
    st.subheader(finding, anchor=False)
    st.vega_lite_chart(charts.class_shares(names, shares.tolist(), true), alt=finding)
    st.caption(say("scenes.speech_legend", windows=view.windows[index], file=view.prompts[index]))
    scores = {"windows": percent(float(view.right_windows)), "prompts": percent(view.right)}
    st.markdown(say("scenes.speech_scores", count=last + 1, **scores))


def _compare_heard(view: PromptView, index: int, prediction: predict.Prediction, names: list[str]) -> None:
    shares = view.shares[index]
    heard = int(shares.argmax())
    explanation = say(
        "scenes.speech_explanation",
        index=index,
        true=names[int(view.labels[index])],
        windows=view.windows[index],
        said=names[heard],
        share=percent(float(shares[heard])),
    )
    predict.compare("speech", prediction, dict(zip(names, names, strict=True)), names[heard], explanation)
