"""Components of our own: a folder's ``<name>.html``, ``.css`` and ``.js``, and what all of them share (``shared.js``)."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

_FOLDER = Path(__file__).parent


@functools.cache  # app.py runs again for each click
def component(name: str) -> Callable[..., Any]:
    """Register a component; gives what draws it."""
    html, css, js = (_read(f"{name}.{kind}") for kind in ("html", "css", "js"))
    return st.components.v2.component(name, html=html, css=css, js=f"{_read('shared.js')}{js}")


def _read(file_name: str) -> str | None:
    path = _FOLDER / file_name
    return path.read_text(encoding="utf-8") if path.exists() else None
