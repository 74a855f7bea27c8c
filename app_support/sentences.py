"""What the pages say: errors as sentences, progress, and what an experiment showed."""

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


def follow(job: jobs.Job) -> None:
    """Show a running job's progress, and run the page again when it has ended."""

    @st.fragment(run_every=0.3)
    def watch() -> None:
        if not job.running:
            st.rerun()
        st.progress(job.share, text=job.words)

    watch()
