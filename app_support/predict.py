"""Predict, then see: a page asks a question first, and its control unlocks once the reader has answered or skipped it.

What was predicted is kept for the visit and can be downloaded. A link with ``hide=question`` asks nothing.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import streamlit as st

from app_support import link
from app_support.words import say

_RECORD = "predictions"  # in the session: page → its Record


@dataclass(frozen=True)
class Prediction:
    """What became of a page's question: whether the control may be used now, and the code of the answer, if any."""

    open: bool
    answer: str | None = None


@dataclass(frozen=True)
class Record:
    """One answer, as it is downloaded."""

    time: str
    page: str
    question: str
    predicted: str
    happened: str = ""  # not yet
    right: bool | str = ""


def ask(page: str, question: str, options: Mapping[str, str]) -> Prediction:
    """Ask a page's question, unless it was answered, skipped, or hidden by the link.

    Parameters
    ----------
    options : code → what the reader can choose, in the visitor's language
    """
    key = f"prediction_{page}"
    if link.is_hidden("question"):
        return Prediction(open=True)
    if key in st.session_state:
        return Prediction(open=True, answer=st.session_state[key])
    with st.container(border=True):
        st.markdown(f":material/psychology: **{say('predict.first')}** {question}")
        with st.container(horizontal=True):
            for code, text in options.items():
                st.button(
                    text,
                    key=f"{key}_{code}",
                    on_click=_keep,
                    args=(page, code, question, text),
                    help=say("predict.help"),
                )
            st.button(
                say("predict.skip"),
                key=f"{key}_skip",
                type="tertiary",
                on_click=_keep,
                args=(page, None),
                help=say("predict.skip_help"),
            )
    return Prediction(open=False)


def _keep(page: str, code: str | None, question: str = "", text: str = "") -> None:
    st.session_state[f"prediction_{page}"] = code
    if code is not None:
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        st.session_state.setdefault(_RECORD, {})[page] = Record(now, page, question, text)


def compare(page: str, prediction: Prediction, options: Mapping[str, str], happened: str, explanation: str) -> None:
    """Compare the answer with what happened (a code of the options), explain it, and complete the record."""
    if prediction.answer is None:
        return
    right = prediction.answer == happened
    verdict = say(
        "predict.right" if right else "predict.other", predicted=options[prediction.answer], happened=options[happened]
    )
    (st.success if right else st.info)(
        f"{verdict} {explanation}", icon=":material/check:" if right else ":material/lightbulb:"
    )
    kept = st.session_state[_RECORD]
    if not kept[page].happened:
        kept[page] = replace(kept[page], happened=options[happened], right=right)


def is_compared(page: str) -> bool:
    """Whether the answer to a page's question was compared with what happened."""
    kept = record().get(page)
    return kept is not None and bool(kept.happened)


def record() -> Mapping[str, Record]:
    """Give the answers of this visit, by page; they are completed as things happen."""
    kept: dict[str, Record] = st.session_state.setdefault(_RECORD, {})
    return kept


def record_csv(records: Mapping[str, Record]) -> str:
    """Write answers as a table, one row each."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(Record.__annotations__)
    for kept in records.values():
        writer.writerow([getattr(kept, name) for name in Record.__annotations__])
    return out.getvalue()
