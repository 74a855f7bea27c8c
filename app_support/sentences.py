"""What the pages share around a job: errors as sentences, progress, and the Stop button."""

import contextlib
from collections.abc import Iterator

import streamlit as st

from app_support import jobs


@contextlib.contextmanager
def errors_as_sentences() -> Iterator[None]:
    """Show whatever goes wrong inside as a sentence on the page, never as a traceback."""
    try:
        yield
    except Exception as problem:
        st.error(jobs.sentence(problem), icon=":material/error:")


def stop_button(job: jobs.Job, key: str, what_stays: str) -> None:
    """Show the button that stops a job; it goes grey once pressed, while the job comes to its end."""
    st.button(
        "Stop",
        icon=":material/stop:",
        key=key,
        on_click=job.stop.set,
        disabled=job.stop.is_set(),
        help=f"Stop within one batch{what_stays}",
    )


def follow(job: jobs.Job) -> None:
    """Show a running job's progress, and run the page again when it has ended."""

    @st.fragment(run_every=0.3)
    def watch() -> None:
        if not job.running:
            st.rerun()
        st.progress(job.share, text=job.words)

    watch()
