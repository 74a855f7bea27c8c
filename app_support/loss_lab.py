"""The loss of one example, live: sliders λ, λ_f and T, the terms, and the gradient that reaches the student."""

from dataclasses import dataclass
from typing import Any

import streamlit as st

from app_support import link
from app_support.component import component
from app_support.live_bars import FIRST_TEMPERATURE, TEMPERATURES
from app_support.look import ALONE, DISTILLED, TEACHER
from app_support.simple_controls import say_misfit, stop_of_link
from app_support.words import say, template

STOPS: dict[str, tuple[float, ...]] = {
    "lam": tuple(round(0.05 * step, 2) for step in range(21)),
    "lam_f": (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    "T": TEMPERATURES,
}
FIRST = {"lam": 0.5, "lam_f": 0.01, "T": FIRST_TEMPERATURE}
_WORDS = (
    *STOPS,
    *(f"{name}_help" for name in STOPS),
    *(f"part_{name}" for name in ("hard", "soft", "complexity", "total", "printed")),
    *(
        "repaired_bars",
        "printed",
        "repaired",
        "on_logits",
        "on_weights",
        "sentence",
        "described",
        "described_printed",
        "described_weights",
    ),
)
_render = component("loss_lab")


@dataclass(frozen=True)
class LossExample:
    """Logits of student and teacher for one example, its label, and three of the student's weights."""

    student: tuple[float, ...]
    teacher: tuple[float, ...]
    label: int
    classes: tuple[str, ...] = ("0", "1", "2", "3", "4")
    weights: tuple[float, ...] = (0.5, -1.5, 0.1)


EXAMPLES = {
    "learns": LossExample(student=(0.5, 0.2, -0.3, 0.1, 0.0), teacher=(6.0, 3.0, -1.0, 0.5, -2.0), label=0),
    "disagrees": LossExample(student=(1.0, 3.0, 0.0, -1.0, 0.5), teacher=(1.5, 0.5, 5.0, 3.5, -1.0), label=2),
    "teacher_wrong": LossExample(student=(0.0, 2.0, 0.5, 0.0, -0.5), teacher=(0.5, 2.5, 4.0, -1.0, 0.0), label=1),
    "agrees": LossExample(student=(4.0, 1.0, 0.0, -1.0, 0.0), teacher=(4.0, 1.0, 0.0, -1.0, 0.0), label=0),
}


def loss_lab(example: LossExample, *, locked: bool) -> dict[str, float]:
    """Draw the sliders, the terms and the gradients; returns the values at which the sliders were last released."""
    at = {name: stop_of_link(name, stops, FIRST[name]) for name, stops in STOPS.items()}
    key = "loss_lab_locked" if locked else "loss_lab"
    released: Any = (st.session_state.get(key) or {}).get("at")  # newer than what the address says
    if not locked and isinstance(released, dict) and all(released.get(name) in stops for name, stops in STOPS.items()):
        at = {name: released[name] for name in STOPS}
    _render(
        key=key,
        data={
            "example": {
                "student": example.student,
                "teacher": example.teacher,
                "label": example.label,
                "classes": [
                    say("formulas.true_class", name=name) if place == example.label else name
                    for place, name in enumerate(example.classes)
                ],
                "weights": example.weights,
            },
            "stops": STOPS,
            "at": at,
            "hidden": [name for name in STOPS if link.is_hidden(name)],
            "locked": locked,
            "reach": 2.5,
            "weights_reach": 2.0,
            "colours": {"hard": ALONE, "soft": TEACHER, "sum": DISTILLED},
            "words": {name: template(f"formulas.lab_{name}") for name in _WORDS},
        },
        default={"at": at},
        on_at_change=lambda: None,
    )
    for name, value in at.items():
        link.write(name, f"{value:g}")
        say_misfit(name, f"{value:g}")
    return at
