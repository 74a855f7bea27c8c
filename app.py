"""The app: its list of pages. Start it with ``streamlit run app.py``."""

import streamlit as st

from app_support.sentences import errors_as_sentences

st.set_page_config(page_title="Model distillation", page_icon="app_support/icon.svg", layout="wide")
page = st.navigation(
    [
        st.Page("app_pages/soft_targets.py", title="Soft targets", icon=":material/bar_chart:", default=True),
        st.Page("app_pages/distil.py", title="Distil", icon=":material/show_chart:"),
        st.Page("app_pages/surface.py", title="Surface", icon=":material/grid_on:"),
    ],
    position="top",
)
with errors_as_sentences():
    page.run()
