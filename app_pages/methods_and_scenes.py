"""Methods and scenes: what each way to distil brings, what it costs, and small cases that run here."""

import streamlit as st

from app_support import lecture, method_parts, scene_parts, scenes, stored_parts
from app_support.running import errors_as_sentences
from app_support.simple_controls import choice
from app_support.words import plain, say

PARTS = ("methods", "sizes", "scenes", "medicine", "speech", "live")
STORED = {"methods": stored_parts.methods, "sizes": stored_parts.sizes, "scenes": stored_parts.scene_table}

results, why = None, ""
try:
    results = scenes.stored()
except scenes.UnusableResultsError as problem:
    why = str(problem)

heading = st.container()
part = choice(
    st.segmented_control,
    "part",
    say("scenes.part"),
    PARTS,
    "methods",
    say("scenes.part_help"),
    words=lambda part: say(f"scenes.part_{part}"),
    required=True,
)
with errors_as_sentences():
    if part == "medicine":
        scene_parts.medicine(heading)
    elif part == "speech":
        scene_parts.speech(heading)
    elif part == "live":
        method_parts.live(heading)
    elif results is None:
        with heading:
            lecture.heading(say("scenes.title_unknown"))
        st.info(say("scenes.unusable", why=plain(why)) if why else say("scenes.absent"), icon=":material/info:")
    else:
        STORED[part](results, heading)
