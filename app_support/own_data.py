"""A visitor's own data: the upload, with its limits said first, and what is wrong where a file cannot be used.

The file lives in memory, in the visitor's session and for a while in the worker, and is read as numbers and text.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st
from starlette.formparsers import MultiPartParser

from app_support import link, resources
from app_support.tasks import Task
from app_support.words import plain, say
from toolkit import files

_KEPT = "own_data"  # in the session: name → resources.OwnData that was accepted, the last few
_HELD = "own_data_held"  # in the session: what for → resources.OwnData, as long as what was made of them is shown
_OPENED = "own_data_opened"  # in the session: upload and label → what was read, or why it cannot be used
_MOST_KEPT = 4
_NOTHING = "—"

# The server's library would put what is larger than a megabyte into a temporary file while it comes in.
MultiPartParser.spool_max_size = 2 * files.LIMITS.max_bytes


def ask() -> list[str]:
    """Let a visitor upload data; gives the names of the data sets that are ready."""
    kept = st.session_state.setdefault(_KEPT, {})
    if not link.is_hidden("own"):
        _take_upload(kept)
    held = [own.name for own in st.session_state.get(_HELD, {}).values() if own is not None]
    return list(dict.fromkeys([*held, *kept]))


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
            names = _once(upload.file_id, lambda: files.columns(content, upload.name))
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
            given = _once(f"{upload.file_id} {label}", lambda: resources.accept(content, upload.name, label))
        except files.UnusableFile as problem:
            words = say(f"refused.{problem.reason}", **problem.values)
            st.error(plain(words[:1].upper() + words[1:]), icon=":material/error:")
            if (still := resources.own(st.session_state.get("task", ""))) is not None:
                st.caption(say("own.still", file=still.title))
            return
        if given.name not in kept:
            kept[given.name] = given
            for name in list(kept)[:-_MOST_KEPT]:
                del kept[name]
            st.session_state["task"] = given.name  # who uploads data wants to use them
        data = given.dataset
        parts = {"train": len(data.y_train), "val": len(data.y_val), "test": len(data.y_test)}
        st.success(
            say(
                "own.ready",
                file=given.title,
                examples=f"{sum(parts.values()):,}",
                inputs=data.input_shape,
                classes=data.classes,
                **parts,
            )
        )


def _once(key: str, do: Callable[[], Any]) -> Any:
    """Do this once for an upload, however often the page runs, and be it refused; the last few outcomes are kept."""
    outcomes: dict[str, Any] = st.session_state.setdefault(_OPENED, {})
    if key not in outcomes:
        try:
            outcomes[key] = do()
        except files.UnusableFile as problem:
            outcomes[key] = problem
        for old in list(outcomes)[:-_MOST_KEPT]:
            del outcomes[old]
    if isinstance(outcomes[key], files.UnusableFile):
        raise outcomes[key].with_traceback(None)
    return outcomes[key]


def hold(what_for: str, task: Task) -> None:
    """Keep a visitor's data, whatever else is uploaded, as long as what was made of them is shown."""
    st.session_state.setdefault(_HELD, {})[what_for] = resources.own(task.dataset)


def release(what_for: str) -> None:
    """Keep them no longer for that."""
    st.session_state.get(_HELD, {}).pop(what_for, None)


def _likely_label(names: list[str]) -> int:
    """Guess which column is the label, as its place behind the entry for none; 0 where nothing speaks for one."""
    usual = ("label", "labels", "class", "target", "y", "species", "category")
    found = [place for place, name in enumerate(names, 1) if name.lower() in usual]
    return found[0] if found else 0
