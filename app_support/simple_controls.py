"""One control at a time: what it shows first comes from the address, what it shows is written there, and it can be hidden.

Nothing of the toolkit is imported here: the page that opens first uses these controls.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from app_support import link
from app_support.words import language, plain, say

# What is set through the session reaches a browser once; if the page runs again before that, the browser would never hear of
# it, and take a widget's own default. So each widget is given as default what it should show: by this argument, as that.
_DEFAULTS = {st.selectbox: ("index", int), st.segmented_control: ("default", Any), st.select_slider: ("value", Any)}


def choice(
    draw: Callable[..., Any],
    name: str,
    label: str,
    options: Sequence[Any],
    default: Any,
    help_text: str,
    words: Callable[[Any], str] = str,
    **look: Any,
) -> Any:
    """Ask for one of some options by a widget of Streamlit: a selectbox, segmented control or select slider."""
    by_text = {as_text(option): option for option in options}
    chosen = st.session_state.get(name)
    if chosen not in options:  # nothing yet, or what another control no longer allows
        said = link.given(name)
        st.session_state[name] = chosen = by_text.get(said, default)
        link.note_misfit(name, "" if said in by_text else said)
    if not link.is_hidden(name):
        shown = {option: words(option) for option in options}
        if st.session_state.get(f"{name}_spoken", language()) != language():
            # Told anew: a browser keeps the words of what was chosen, in the other language.
            st.session_state[name] = chosen
        st.session_state[f"{name}_spoken"] = language()
        default_name, as_default = _DEFAULTS[draw]
        look[default_name] = list(options).index(chosen) if as_default is int else chosen
        chosen = draw(label, options, key=name, format_func=shown.__getitem__, help=help_text, **look)
    chosen = default if chosen is None else chosen
    say_misfit(name, words(chosen))
    link.write(name, as_text(chosen))
    return chosen


def stop_of_link(name: str, stops: Sequence[float], otherwise: float) -> float:
    """Give the stop of a slider nearest to what the link says; the other value where it says nothing, or nothing of use."""
    said = link.given(name)
    wanted = _number(said, min(stops), max(stops))
    if wanted is None:
        if said:
            link.note_misfit(name, said)
        return otherwise
    return min(stops, key=lambda stop: abs(stop - wanted))


def say_misfit(name: str, shown: str) -> None:
    """Say that a link, or another control, asked for what does not exist here, as long as something else stands in for it."""
    said = link.misfit(name, shown)
    if said.startswith("own-"):
        st.caption(say("common.misfit_file", shown=plain(shown)))
    elif said:
        st.caption(say("common.misfit", said=plain(said[:40]), shown=plain(shown)))


def several(name: str, label: str, options: Sequence[float], default: Sequence[float], help_text: str) -> list[float]:
    """Ask for some of the options; gives them in their order."""
    by_text = {as_text(option): option for option in options}
    if name not in st.session_state:
        said = [text for text in link.given(name).split(",") if text]
        st.session_state[name] = [by_text[text] for text in said if text in by_text] or list(default)
        link.note_misfit(name, ",".join(text for text in said if text not in by_text))
    chosen = st.session_state[name]
    if not link.is_hidden(name):
        chosen = st.pills(
            label, options, default=chosen, selection_mode="multi", key=name, format_func=as_text, help=help_text
        )
    chosen = sorted(chosen)
    text = ",".join(as_text(value) for value in chosen)
    say_misfit(name, text)
    link.write(name, text)
    return chosen


def number(
    draw: Callable[..., Any],
    name: str,
    label: str,
    low: float,
    high: float,
    default: float,
    step: float,
    help_text: str,
    *,
    address: str = "",
    **look: Any,
) -> Any:
    """Ask for a number within a range by a slider or a number input; a remembered one is moved into the range.

    ``address`` is its name in the address where that differs from the widget's.
    """
    address = address or name
    kind = type(low)
    before = st.session_state.get(name)
    if before is None:
        said = link.given(address)
        wanted = _number(said, low, high)
        value = default if wanted is None else wanted
        link.note_misfit(address, said if wanted is None else "")
    else:
        value = before
    chosen = kind(min(max(value, low), high))
    if chosen != before:  # what a widget has need not be set again: that would hold it against the finger
        st.session_state[name] = chosen
    if not link.is_hidden(address):
        chosen = draw(label, low, high, value=chosen, step=step, key=name, help=help_text, **look)
    say_misfit(address, as_text(chosen))
    link.write(address, as_text(chosen))
    return chosen


def _number(text: str, low: float, high: float) -> float | None:
    """Read a number of a link; None for what is no number, or lies outside the range."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and low <= value <= high else None


def as_text(value: Any) -> str:
    """Write a value as the address has it."""
    return f"{value:.10g}" if isinstance(value, int | float) else str(value)
