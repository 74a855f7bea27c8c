"""Files that a page offers: made once they are asked for, in the language of the page. Imports of the toolkit wait until then."""

import io
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from app_support.soft_view import Example
from app_support.words import language, say, speaking

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KINDS = {"csv": "text/csv", "png": "image/png", "svg": "image/svg+xml", "py": "text/x-python"}


def offer(label: str, file_name: str, make: Callable[[], str | bytes], help_text: str) -> None:
    """Offer a file, which is made once it is asked for, in the language that the page has now."""
    spoken = language()

    def make_now() -> str | bytes:
        with speaking(spoken):
            return make()

    kind = _KINDS[file_name.rpartition(".")[2]]
    st.download_button(
        label, make_now, file_name, kind, icon=":material/download:", on_click="ignore", help=help_text, key=file_name
    )


def offer_figure(name: str, draw: Callable[[], "Figure"]) -> None:
    """Offer a figure, drawn for print, as PNG and as SVG."""
    for kind in ("png", "svg"):
        label, help_text = say(f"common.figure_{kind}"), say("common.figure_help")
        offer(label, f"{name}.{kind}", partial(_draw_file, draw, kind), help_text)


def offer_code(name: str, code: Callable[[], str]) -> None:
    """Offer the script that repeats a run."""
    offer(say("common.code"), f"{name}.py", code, say("common.code_help"))


def _draw_file(draw: Callable[[], "Figure"], kind: str) -> bytes:
    buffer = io.BytesIO()
    draw().savefig(buffer, format=kind, dpi=200)
    return buffer.getvalue()


def bars(example: Example, temperature: float, description: str, file_name: str) -> None:
    """Offer the bars of one example, or of a drawing, at a temperature: figure and table."""

    def draw() -> "Figure":
        from app_support import exports

        return exports.bars_figure(example, temperature, description)

    def table() -> str:
        from app_support import exports

        return exports.bars_csv(example, temperature)

    offer_figure(file_name, draw)
    offer(say("soft_targets.csv"), f"{file_name}.csv", table, say("soft_targets.csv_help"))


def bars_code(name: str, index: int, temperature: float, *, distilled: bool) -> None:
    """Offer the script that repeats the bars of one example."""

    def script() -> str:
        from app_support import code

        return code.soft_targets(name, index, temperature, distilled=distilled)

    offer_code("soft-targets", script)
