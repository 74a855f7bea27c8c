"""A visitor's own data: the upload, with its limits said first, and what is wrong where a file cannot be used.

The file lives in memory, in the visitor's session and for a while in the worker, and is read as numbers and text.
"""

from typing import TYPE_CHECKING

import streamlit as st
from starlette.formparsers import MultiPartParser

from app_support import link, resources
from app_support.words import language, plain, say
from toolkit import files

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

_KEPT = "own_data"  # in the session: name → resources.OwnData that was accepted, the last few
_MOST_KEPT = 4
_NOTHING = "—"

# The server's library would put what is larger than a megabyte into a temporary file while it comes in.
MultiPartParser.spool_max_size = 2 * files.LIMITS.max_bytes


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
            names = _columns(content, upload)
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
            st.info(say("own.choose_label"), icon=":material/info:")
            return
        wanted = content, upload.name, label
        given = next((own for own in kept.values() if (own.content, own.file_name, own.label) == wanted), None)
        if given is None:
            try:
                given = resources.accept(*wanted)
            except files.UnusableFile as problem:
                _refuse(problem)
                return
            kept[given.name] = given
            in_use = {run.task.dataset for run in st.session_state.get("runs", {}).values()}
            for name in list(kept)[:-_MOST_KEPT]:
                if name not in in_use:
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


def _columns(content: bytes, upload: "UploadedFile") -> list[str]:
    """Name the columns of an upload, which is opened once, however often the page runs."""
    file_id, names = st.session_state.get("own_columns", ("", []))
    if file_id != upload.file_id:
        names = files.columns(content, upload.name)
        st.session_state["own_columns"] = upload.file_id, names
    return list(names)


def _refuse(problem: "files.UnusableFile") -> None:
    """Say what is wrong with the file, in the visitor's language."""
    words = str(problem) if language() == "en" else say(f"refused.{problem.reason}", **problem.values)
    st.error(plain(words[:1].upper() + words[1:]), icon=":material/error:")


def _likely_label(names: list[str]) -> int:
    """Guess which column is the label, as its place behind the entry for none; 0 where nothing speaks for one."""
    usual = ("label", "labels", "class", "target", "y", "species", "category")
    found = [place for place, name in enumerate(names, 1) if name.lower() in usual]
    return found[0] if found else 0
