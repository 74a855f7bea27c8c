"""The address of a page is its whole state: what a control shows is written there, and what is there is what it shows first.

Besides the controls a link can hold ``lang`` (en, zh), ``hide``: names of controls, or "question", that are left out and
keep the value that the link gives them; and ``lesson``, a preset (presets.toml), which turns into its settings on arrival.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

_GIVEN, _WRITTEN = "link_given", "link_written"  # in the session: what links said, what this run has to say
_MISFITS = "link_misfits"  # in the session: control → what was said in vain, and what is shown instead
_PAGE = "link_page"  # in the session: the page that was drawn last
_ON_EVERY_PAGE = ("lang", "hide")
_KEPT_BY_COMPONENTS = ("bars", "pad_bars", "loss_lab", "shown_example")


@cache
def presets() -> dict[str, dict[str, Any]]:
    """Read the presets: lesson → the page that goes with it, and its settings."""
    return tomllib.loads((Path(__file__).parent / "presets.toml").read_text(encoding="utf-8"))


def arrive() -> str | None:
    """Take over what the address says; gives the page that the preset of a lesson asks for, where there is one."""
    given = st.session_state.setdefault(_GIVEN, {})
    st.session_state[_WRITTEN] = {}
    said = {name: value for name, value in st.query_params.items() if len(value) < 2000}
    page = None
    if (lesson := said.pop("lesson", None)) is not None:
        del st.query_params["lesson"]
    if lesson in presets():
        settings = dict(presets()[lesson])
        page = settings.pop("page")
        lasting = {name: value for name, value in (given | said).items() if name in _ON_EVERY_PAGE}
        came_along = {} if _PAGE in st.session_state else said  # later the address holds what was set before
        said = {name: str(value) for name, value in settings.items()} | came_along | lasting
        _forget_controls(given)
    elif lesson is not None:
        note_misfit("lesson", lesson)
    given.update(said)
    for name in _ON_EVERY_PAGE:
        if given.get(name):
            write(name, given[name])
    return page


def enter(page: str) -> None:
    """Have the controls of a page that was just entered take up what the address says.

    Streamlit knows a control of another page by the same name, but draws the new one as if nothing had been set.
    """
    if st.session_state.get(_PAGE) != page:
        st.session_state[_PAGE] = page
        for name in st.session_state.get(_GIVEN, {}):
            if name == "lang" and name in st.session_state:
                st.session_state[name] = st.session_state[name]
            elif name != "hide":
                st.session_state.pop(name, None)


def _forget_controls(given: dict[str, str]) -> None:
    """Forget what was set before: what a preset does not say has its default."""
    for name in [*given, *_KEPT_BY_COMPONENTS, *(key for key in st.session_state if str(key).startswith("example_"))]:
        if name not in _ON_EVERY_PAGE:
            st.session_state.pop(name, None)
    given.clear()


def forget(name: str) -> None:
    """Drop a control from the address; also in a callback, which comes before the page is read."""
    for said in (_GIVEN, _WRITTEN):
        st.session_state.setdefault(said, {}).pop(name, None)
    if name in st.query_params:
        del st.query_params[name]


def given(name: str) -> str:
    """Give what a link, or this visitor on an earlier page, said of a control; empty where nothing was said."""
    return str(st.session_state.get(_GIVEN, {}).get(name, ""))


def write(name: str, value: str) -> None:
    """Have the address say this, and later pages know it."""
    st.session_state.setdefault(_GIVEN, {})[name] = value
    st.session_state.setdefault(_WRITTEN, {})[name] = value


def settle() -> None:
    """Bring the address up to date, in one go; called when a run of the page, or of a part of it, ends."""
    written = st.session_state.get(_WRITTEN, {})
    if any(st.query_params.get(name) != value for name, value in written.items()):
        st.query_params.update(written)


def note_misfit(name: str, said: str) -> None:
    """Take note that a control cannot show what the address says of it; nothing where it can."""
    st.session_state.setdefault(_MISFITS, {})[name] = (said, None)


def misfit(name: str, shown: str) -> str:
    """Give what the address said in vain, as long as what is shown in its place has not been changed; else nothing."""
    misfits = st.session_state.setdefault(_MISFITS, {})
    said, first_shown = misfits.get(name, ("", None))
    if said and first_shown in (None, shown):
        misfits[name] = said, shown
        return str(said)
    misfits.pop(name, None)
    return ""


def is_hidden(name: str) -> bool:
    """Whether the link hides a control (by its name in the address) or the questions ("question")."""
    return name in given("hide").split(",")
