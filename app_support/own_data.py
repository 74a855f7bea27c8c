"""A visitor's own data: the upload, with its limits said first, and what is wrong where a file cannot be used.

The file lives in the visitor's session alone, is read as numbers and text, and is gone with the page.
"""

import streamlit as st

from app_support import link, resources
from app_support.words import language, plain, say
from toolkit import files

_KEPT = "own_data"  # in the session: name → resources.OwnData that was accepted, the last few
_MOST_KEPT = 4
_NOTHING = "—"


def ask() -> list[str]:
    """Let a visitor upload data; gives the names of the data sets that are ready."""
    kept = st.session_state.setdefault(_KEPT, {})
    if not link.is_hidden("own"):
        _take_upload(kept)
    return list(kept)


def _take_upload(kept: dict[str, resources.OwnData]) -> None:
    with st.expander(say("own.title"), icon=":material/upload_file:", expanded=False):
        limits = files.LIMITS
        st.caption(
            say(
                "own.limits",
                megabytes=limits.max_bytes // 10**6,
                rows=f"{limits.max_rows:,}",
                columns=f"{limits.max_columns:,}",
                classes=limits.max_classes,
            )
        )
        upload = st.file_uploader(say("own.file"), type=["csv", "npz"], key="upload", help=say("own.file_help"))
        if upload is None:
            return
        content = upload.getvalue()
        try:
            names = files.columns(content, upload.name)
        except files.UnusableFile as problem:
            _refuse(problem)
            return
        label = st.selectbox(
            say("own.label"),
            [_NOTHING, *names],
            index=_likely_label(names),
            key=f"label_{upload.file_id}",
            help=say("own.label_help"),
        )
        if label == _NOTHING:
            return
        given = next((own for own in kept.values() if (own.content, own.label) == (content, label)), None)
        if given is None:
            try:
                given = resources.accept(content, upload.name, label)
            except files.UnusableFile as problem:
                _refuse(problem)
                return
            kept[given.name] = given
            for name in list(kept)[:-_MOST_KEPT]:
                del kept[name]
            st.session_state["task"] = given.name  # who uploads data wants to use them
        data = given.dataset
        examples = len(data.y_train) + len(data.y_val) + len(data.y_test)
        st.success(
            say(
                "own.ready",
                file=given.title,
                examples=f"{examples:,}",
                inputs=data.input_shape,
                classes=data.classes,
            )
        )


def _refuse(problem: "files.UnusableFile") -> None:
    """Say what is wrong with the file, in the visitor's language."""
    words = str(problem) if language() == "en" else say(f"refused.{problem.reason}", **problem.values)
    st.error(plain(words[:1].upper() + words[1:]), icon=":material/error:")


def _likely_label(names: list[str]) -> int:
    """Guess which column is the label, as its place behind the entry for none; 0 where nothing speaks for one."""
    usual = ("label", "labels", "class", "target", "y", "species", "category")
    found = [place for place, name in enumerate(names, 1) if name.lower() in usual]
    return found[0] if found else 0
