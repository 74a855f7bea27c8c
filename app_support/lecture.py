"""The head of each page: its title, the language, and what a lecturer needs (lessons, the link, the record of predictions)."""

from functools import partial

import streamlit as st

from app_support import link, predict
from app_support.words import LANGUAGES, language, plain, say


def heading(title: str) -> None:
    """Draw the title with the language and the lecturer's tools beside it."""
    left, right = st.columns([3, 1.1], vertical_alignment="center")
    left.title(title, anchor=False)
    with right, st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        if not link.is_hidden("lecture"):
            with st.popover(
                say("common.lecture"), icon=":material/school:", help=say("common.lecture_help"), key="lecture"
            ):
                _tools()
        if not link.is_hidden("lang"):
            if st.session_state.get("lang") not in LANGUAGES:
                st.session_state["lang"] = language()
            st.segmented_control(
                say("common.language"),
                list(LANGUAGES),
                key="lang",
                default=language(),
                format_func=LANGUAGES.__getitem__,
                required=True,
                label_visibility="collapsed",
            )
    link.write("lang", language())
    if unknown := link.misfit("lesson", ""):
        st.caption(say("common.misfit_lesson", said=plain(unknown[:40]), lessons=", ".join(link.presets())))


def _tools() -> None:
    lesson = st.selectbox(
        say("common.lesson"),
        list(link.presets()),
        index=None,
        placeholder=say("common.no_lesson"),
        key="chosen_lesson",
        help=say("common.lesson_help"),
    )
    if lesson is not None:
        page = f"app_pages/{link.presets()[lesson]['page']}.py"
        st.page_link(page, label=lesson, icon=":material/arrow_forward:", query_params={"lesson": lesson})
    if record := predict.record():
        st.download_button(
            say("predict.record"),
            partial(predict.record_csv, record),  # made when it is asked for: what happens next belongs to it
            "predictions.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="record",
            help=say("predict.record_help"),
        )
    else:
        st.caption(say("predict.no_record"))
    st.caption(say("common.link"))
