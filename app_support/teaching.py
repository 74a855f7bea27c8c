"""Which examples teach most: those with much entropy, those that the teacher gets wrong, and the dark-knowledge matrix."""

from typing import Any

import numpy as np
import streamlit as st

from app_support import downloads, exports
from app_support.charts import Spec, names_axis
from app_support.look import DISTILLED, TEXT_SIZE, percent
from app_support.simple_controls import choice
from app_support.soft_view import SoftView
from app_support.words import say

SHOWN = 8  # examples at once
WAYS = ("entropy", "mistakes", "matrix")
_BLUES = ("#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b")


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
            st.session_state["cell_true"] = names[int(clicked[0]["true"])]
            st.session_state["cell_seen"] = names[int(clicked[0]["seen"])]

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
        matrix_chart(matrix, names, (true, seen)),
        key="matrix",
        on_select=take_click,
        selection_mode="cell",
        alt=finding,
    )
    here = percent(matrix[true, seen])
    st.markdown(f"{finding} {say('soft_targets.matrix_cell', true=names[true], seen=names[seen], share=here)}")
    return true, seen


def matrix_chart(matrix: np.ndarray, names: list[str], chosen: tuple[int, int]) -> Spec:
    """Draw the mean soft target of each class (column) over the examples of each true class (row), without the diagonal."""
    cells = [
        {
            "true": true,
            "seen": seen,
            "left": seen - 0.5,
            "right": seen + 0.5,
            "bottom": true - 0.5,
            "top": true + 0.5,
            "true_name": names[true],
            "seen_name": names[seen],
            "share": float(matrix[true, seen]),
        }
        for true, seen in np.ndindex(matrix.shape)
        if true != seen
    ]
    count = len(names)
    most = max(cell["share"] for cell in cells)
    scale = {"domain": [-0.5, count - 0.5], "nice": False, "zero": False}
    x: Spec = {
        "field": "left",
        "type": "quantitative",
        "title": say("soft_targets.matrix_seen"),
        "scale": scale,
        "axis": names_axis(names),
    }
    y = x | {"field": "bottom", "title": say("soft_targets.matrix_true"), "scale": scale | {"reverse": True}}
    place = {"x": x, "x2": {"field": "right"}, "y": y, "y2": {"field": "top"}}
    colour: dict[str, Any] = {
        "field": "share",
        "type": "quantitative",
        "scale": {"domain": np.linspace(0, most, len(_BLUES)).tolist(), "range": list(_BLUES)},
        "legend": {
            "title": say("soft_targets.matrix_legend"),
            "orient": "bottom",
            "gradientLength": 240,
            "format": ".1%",
            "tickCount": 4,
            "titleLimit": 400,
            "labelFontSize": TEXT_SIZE,
            "titleFontSize": TEXT_SIZE,
        },
    }
    tooltip = [
        {"field": "true_name", "type": "nominal", "title": say("soft_targets.matrix_true")},
        {"field": "seen_name", "type": "nominal", "title": say("soft_targets.matrix_seen")},
        {"field": "share", "type": "quantitative", "title": say("soft_targets.matrix_legend"), "format": ".2%"},
    ]
    ring = [cell for cell in cells if (cell["true"], cell["seen"]) == chosen]
    return {
        "height": 34 * count + 130,
        "data": {"values": cells},
        "layer": [
            {"mark": {"type": "rect", "stroke": "white", "strokeWidth": 1}, "encoding": place | {"color": colour}},
            {
                "data": {"values": ring},
                "mark": {"type": "rect", "fill": None, "stroke": DISTILLED, "strokeWidth": 4},
                "encoding": place,
            },
            {  # lies above the others, and takes the clicks
                "params": [{"name": "cell", "select": {"type": "point", "fields": ["true", "seen"], "toggle": False}}],
                "mark": {"type": "rect", "fill": "white", "opacity": 0.001, "cursor": "pointer"},
                "encoding": place | {"tooltip": tooltip},
            },
        ],
    }


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
