"""What the app says, in English and Chinese, from one catalogue: the TOML files in ``words/``, one for each page.

A key is a file's name and a table in it: ``say("distil.train")`` reads ``[train]`` of ``words/distil.toml``. What only a
page can know is put in by name: ``say("distil.run_short", number=3)``. Work in the background has no language: it
reports a key with its values, which the page then says.
"""

import contextlib
import functools
import re
import tomllib
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import streamlit as st

from app_support import link

LANGUAGES = {"en": "English", "zh": "中文"}
_FOLDER = Path(__file__).parent / "words"
_spoken: ContextVar[str] = ContextVar("language of a file that is made after its page was drawn")


@functools.cache
def catalogue() -> dict[str, dict[str, str]]:
    """Read every entry: its key, and what it says in each language."""
    return {
        f"{path.stem}.{name}": entry
        for path in sorted(_FOLDER.glob("*.toml"))
        for name, entry in tomllib.loads(path.read_text(encoding="utf-8")).items()
    }


def language() -> str:
    """Give the language of this visitor: the one chosen, else that of the link, else the browser's, else English."""
    if (spoken := _spoken.get("")) in LANGUAGES:
        return spoken
    chosen = st.session_state.get("lang") or link.given("lang")
    if chosen in LANGUAGES:
        return str(chosen)
    return "zh" if str(st.context.locale or "").startswith("zh") else "en"


@contextlib.contextmanager
def speaking(language: str) -> Iterator[None]:
    """Speak this language within the block: a download is made outside its visitor's session."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def say(key: str, /, **values: object) -> str:
    """Say an entry of the catalogue in this visitor's language, with the values put in."""
    return template(key).format(**values).replace(" %", "\u00a0%")  # no line ends before it


def plain(text: str) -> str:
    """Write what a person or a file brings along so that Markdown takes none of it for markup, an image or a link.

    >>> print(plain("![x](http://a.b)"))
    \\!\\[x\\]\\(http\\:\\/\\/a\\.b\\)
    """
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


def template(key: str) -> str:
    """Give an entry as it stands, for a component that puts its own values in."""
    return catalogue()[key][language()]


def with_article(name: str) -> str:
    """Put the article before a class name.

    >>> with_article("8"), with_article("3"), with_article("ankle boot")
    ('an 8', 'a 3', 'an ankle boot')
    """
    return f"{'an' if name[:1].lower() in 'aeiou' or name[:1] == '8' else 'a'} {name}"
