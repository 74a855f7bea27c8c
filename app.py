"""The app: its list of pages, and the language of their names. Start it with ``streamlit run app.py``."""

import streamlit as st

from app_support import link
from app_support.component import component
from app_support.running import come_back, errors_as_sentences
from app_support.words import say

asked_for = link.arrive()
st.set_page_config(page_title=say("common.title"), page_icon="app_support/icon.svg", layout="wide")
pages = {
    "soft_targets": st.Page(
        "app_pages/soft_targets.py", title=say("common.soft_targets"), icon=":material/bar_chart:", default=True
    ),
    "distil": st.Page("app_pages/distil.py", title=say("common.distil"), icon=":material/show_chart:"),
    "surface": st.Page("app_pages/surface.py", title=say("common.surface"), icon=":material/grid_on:"),
    "methods_and_scenes": st.Page(
        "app_pages/methods_and_scenes.py", title=say("common.methods_and_scenes"), icon=":material/scatter_plot:"
    ),
    "formulas": st.Page("app_pages/formulas.py", title=say("common.formulas"), icon=":material/functions:"),
}
page = st.navigation(list(pages.values()), position="top")
if asked_for is not None and page != pages[asked_for]:
    st.switch_page(pages[asked_for])
link.enter(page.url_path)
with errors_as_sentences():
    come_back()
    page.run()
component("history")()
