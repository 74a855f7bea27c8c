"""Which examples teach most: those with much entropy, those that the teacher gets wrong, and the dark-knowledge matrix."""

import numpy as np
import streamlit as st

from app_support import charts, downloads, exports
from app_support.look import percent
from app_support.simple_controls import choice
from app_support.soft_view import SoftView
from app_support.words import say

SHOWN = 8  # examples at once
WAYS = ("entropy", "mistakes", "matrix")


def section(view: SoftView, name: str, temperature: float, example_box: str) -> None:
    """Draw the section; an example that is chosen goes to the picture above (through the state of its box)."""
    import torch

    from toolkit import losses, metrics

    soft = losses.soft_targets(torch.from_numpy(view.teacher_logits), temperature)
    way = choice(
        st.segmented_control,
        "teach",
        say("soft_targets.teach_way"),
        WAYS,
        "matrix",
        say("soft_targets.teach_way_help"),
        words=lambda way: say(f"soft_targets.teach_{way}"),
        required=True,
    )
    if way == "entropy":
        entropy = metrics.entropy(soft).numpy()
        found = np.argsort(-entropy, kind="stable")[:SHOWN]
        uniform = np.log(soft.shape[1])
        st.markdown(say("soft_targets.teach_entropy_text", temperature=f"{temperature:g}", uniform=f"{uniform:.2f}"))
        said = [say("soft_targets.teach_entropy_of", entropy=f"{entropy[index]:.2f}") for index in found]
    elif way == "mistakes":
        found = view.wrong[:SHOWN]
        st.markdown(say("soft_targets.teach_mistakes_text", count=len(view.wrong), examples=len(view.labels)))
        names = view.class_names
        said = [
            say(
                "soft_targets.teach_mistake_of",
                seen=names[view.teacher_choice(index)],
                share=percent(view.confidence[index]),
            )
            for index in found
        ]
    else:
        matrix = metrics.dark_knowledge(
            torch.from_numpy(view.teacher_logits), torch.from_numpy(view.labels), temperature
        ).numpy()
        true, seen = _cell(matrix, view, temperature)
        members = np.flatnonzero(view.labels == true)
        shares = soft[:, seen].numpy()
        found = members[np.argsort(-shares[members], kind="stable")][:SHOWN]
        said = [
            say("soft_targets.teach_share_of", seen=view.class_names[seen], share=percent(shares[i])) for i in found
        ]
    _pictures(view, found, said, example_box, name)
    if way == "matrix":
        about = say("soft_targets.matrix_about", name=name, temperature=f"{temperature:g}")
        names = view.class_names.tolist()
        with st.container(horizontal=True):
            downloads.offer_figure("dark-knowledge", lambda: exports.matrix_figure(matrix, names, about))
            downloads.offer(
                say("soft_targets.matrix_csv"),
                "dark-knowledge.csv",
                lambda: exports.matrix_csv(matrix, names),
                say("soft_targets.matrix_csv_help"),
            )


def _cell(matrix: np.ndarray, view: SoftView, temperature: float) -> tuple[int, int]:
    """Draw the matrix, and let one of its cells be chosen, by a click or by two boxes."""
    names = [str(name) for name in view.class_names]
    off = matrix.copy()
    np.fill_diagonal(off, -1)
    most = np.unravel_index(off.argmax(), off.shape)

    def take_click() -> None:
        clicked = st.session_state["matrix"].selection.get("cell", [])
        if clicked:
            st.session_state["cell_true"] = names[int(clicked[0]["row"])]
            st.session_state["cell_seen"] = names[int(clicked[0]["column"])]

    with st.container(horizontal=True):
        true = names.index(
            choice(
                st.selectbox,
                "cell_true",
                say("soft_targets.cell_true"),
                names,
                names[most[0]],
                say("soft_targets.cell_help"),
            )
        )
        others = [name for name in names if name != names[true]]
        usual = names[int(off[true].argmax())]
        seen = names.index(
            choice(
                st.selectbox, "cell_seen", say("soft_targets.cell_seen"), others, usual, say("soft_targets.cell_help")
            )
        )
    finding = say(
        "soft_targets.matrix_finding",
        temperature=f"{temperature:g}",
        true=names[most[0]],
        seen=names[most[1]],
        share=percent(off[most]),
    )
    st.vega_lite_chart(
        charts.dark_knowledge(matrix, names, (true, seen)),
        key="matrix",
        on_select=take_click,
        selection_mode="cell",
        alt=finding,
    )
    sentences = [finding, say("soft_targets.matrix_examples")]
    if (true, seen) != most:
        share = percent(matrix[true, seen])
        sentences.insert(1, say("soft_targets.matrix_cell", true=names[true], seen=names[seen], share=share))
    st.markdown(" ".join(sentences))
    return true, seen


def _pictures(view: SoftView, found: np.ndarray, said: list[str], example_box: str, name: str) -> None:
    """Show examples with what is said of each, and bring one to the picture above where asked."""
    if not len(found):
        st.caption(say("soft_targets.teach_none"))
        return

    def bring(index: int) -> None:
        st.session_state[example_box] = index

    with st.container(horizontal=True, gap="medium"):
        for index, words in zip(found.tolist(), said, strict=True):
            with st.container(width=130):
                label = str(view.class_names[view.labels[index]])
                _picture(view.x[index], say("soft_targets.teach_alt", index=index, name=name, label=label, words=words))
                st.button(
                    say("soft_targets.teach_bring", index=index),
                    key=f"bring_{index}",
                    on_click=bring,
                    args=(index,),
                    help=say("soft_targets.teach_bring_help"),
                )
                st.caption(f"{say('soft_targets.teach_label', label=label)} {words}")


def _picture(x: np.ndarray, alt: str) -> None:
    """Draw one example small: an image enlarged pixel by pixel, a signal as a line."""
    if x.ndim == 3:
        times = max(1, 120 // x.shape[1])
        grey = np.kron(1 - x[0].clip(0, 1), np.ones((times, times)))
        st.image((255 * grey).astype(np.uint8), width=112, alt=alt)
        return
    rows = [{"time": place, "value": value} for place, value in enumerate(x[0].tolist())]
    axis = {"axis": None}
    st.vega_lite_chart(
        {
            "height": 90,
            "data": {"values": rows},
            "mark": {"type": "line", "strokeWidth": 2},
            "encoding": {
                "x": {"field": "time", "type": "quantitative", **axis},
                "y": {"field": "value", "type": "quantitative", **axis},
            },
        },
        alt=alt,
    )
