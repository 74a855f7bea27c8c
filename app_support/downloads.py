"""Files that a page offers: made once they are asked for, in the language of the page. Imports of the toolkit wait until then."""

import csv
import io
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from app_support.soft_view import SoftView
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
    draw().savefig(buffer, format=kind)
    return buffer.getvalue()


def soft_targets(view: SoftView, name: str, index: int, temperature: float, *, distilled: bool) -> None:
    """Offer the bars of one example at a temperature: figure, table, and the code that repeats them."""

    def draw() -> "Figure":
        import torch

        from toolkit import plots

        return plots.soft_target_bars(
            torch.tensor(view.teacher_logits[index]),
            view.class_names.tolist(),
            (temperature,),
            student_logits=torch.tensor(view.student_logits[index]),
            label=int(view.labels[index]),
            image=torch.tensor(view.x[index]),
            language=language(),
        )

    def table() -> str:
        import torch

        from toolkit import losses

        bars = [
            losses.soft_targets(torch.tensor(logits[index]), temperature).tolist()
            for logits in (view.teacher_logits, view.student_logits)
        ]
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["class", "is_label", "teacher", "student", "temperature"])
        for place, (label, *shares) in enumerate(zip(view.class_names, *bars, strict=True)):
            writer.writerow([label, place == view.labels[index], *shares, temperature])
        return out.getvalue()

    def script() -> str:
        from app_support import code

        return code.soft_targets(name, index, temperature, distilled=distilled)

    offer_figure("soft-targets", draw)
    offer(say("soft_targets.csv"), "soft-targets.csv", table, say("soft_targets.csv_help"))
    offer_code("soft-targets", script)
