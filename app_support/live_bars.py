"""The slider that moves bars while it is dragged: a small component that computes soft targets in the browser."""

import streamlit as st

from app_support import link
from app_support.component import component
from app_support.look import ALONE, DISTILLED, TEACHER
from app_support.soft_view import Example
from app_support.words import say, template

# Below 2 a step changes much, above 10 little.
TEMPERATURES = (
    *(round(0.2 + 0.1 * step, 1) for step in range(18)),  # 0.2 … 1.9
    *(2, 2.25, 2.5, 2.75, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20),
)
FIRST_TEMPERATURE = 4  # where a second class appears

_WORDS = (
    "teacher",
    "label",
    "uniform",
    "temperature",
    "slider",
    "slider_help",
    "time",
    "sentence",
    "sentence_nothing",
    "at_one",
    "then",
    "described",
)
_render = component("live_bars")


def live_bars(
    example: Example,
    description: str,
    *,
    distilled: bool,
    temperature: float,
    key: str,
    locked: bool = False,
) -> float:
    """Draw an example (described for those who cannot see it), and the bars with their slider; returns the temperature at which the slider was last released."""
    released = (st.session_state.get(key) or {}).get("temperature")  # newer than what the page knows
    if released in TEMPERATURES and not locked:
        temperature = released
    words = {name: template(f"soft_targets.bars_{name}") for name in _WORDS}
    if example.label is None:  # no class is wrong
        words["sentence"] = template("soft_targets.bars_sentence_drawing")
    _render(
        key=key,
        data={
            "x": example.x[0].tolist(),
            "description": description,
            "classes": list(example.class_names),
            "teacher_logits": example.teacher_logits,
            "student_logits": example.student_logits,
            "label": example.label,
            "student_name": say("soft_targets.student_distilled" if distilled else "soft_targets.student_alone"),
            "colours": {"teacher": TEACHER, "student": DISTILLED if distilled else ALONE},
            "temperatures": TEMPERATURES,
            "temperature": temperature,
            "locked": locked,
            "hidden": link.is_hidden("T"),
            "words": words,
        },
        default={"temperature": temperature},
        on_temperature_change=lambda: None,
    )
    return temperature
