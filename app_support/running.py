"""What pages show of work in the background: progress, place in the queue, time left; and errors as sentences."""

import contextlib
from collections.abc import Callable, Iterator

import streamlit as st

from app_support import link
from app_support.jobs import Watch
from app_support.problems import sentence
from app_support.words import language, say


@contextlib.contextmanager
def errors_as_sentences() -> Iterator[None]:
    """Show whatever goes wrong inside as a sentence on the page, never as a traceback; then settle the address."""
    try:
        yield
    except Exception as problem:
        show_error(sentence(problem))
    finally:
        link.settle()


def show_error(words: str) -> None:
    """Show an error; the toolkit's own sentences are English, which a Chinese page says."""
    st.error(words if language() == "en" else say("job.in_english", words=words), icon=":material/error:")


def come_back() -> None:
    """Have a visitor who was away find what was asked for: see ``Watch.come_back``."""
    for kept in st.session_state.values():
        if isinstance(kept, Watch):
            kept.come_back()


def show_failure(watch: Watch) -> None:
    """Say what went wrong with a job."""
    show_error(say("job.worker_ended") if watch.job.lost else watch.job.error)


def progress(watch: Watch) -> None:
    """Show how far a job is, how many have their turn before it, and how long it will take."""
    if ahead := watch.ahead:
        left = watch.seconds_of_the_one_before
        words = (
            say("job.queue", ahead=ahead) if left is None else say("job.queue_left", ahead=ahead, seconds=round(left))
        )
        st.progress(0.0, text=words)
        return
    key, values = watch.job.doing
    words = say(key, **values)
    if (left := watch.seconds_left) is not None:
        words = say("job.left", doing=words, seconds=max(1, round(left)))
    st.progress(watch.share, text=words)


def say_shown(words: str, *, busy: bool) -> None:
    """Say what is shown where the controls say something else by now."""
    st.caption(say("job.shown", words=words, now="" if busy else say("job.press_train")))


def stop_button(watch: Watch, key: str, what_stays: str) -> None:
    """Show the button that stops a job."""
    st.button(
        say("job.stop"),
        icon=":material/stop:",
        key=key,
        on_click=watch.stop,
        disabled=watch.stopped,
        help=say("job.stop_help", what_stays=what_stays),
    )


def follow(
    watch: Watch, draw: Callable[[], None] = lambda: None, parts_seen: int | None = None, every: float = 0.3
) -> None:
    """Show a running job's progress, and run the page again when it has ended.

    Parameters
    ----------
    draw : shows what there is so far, at each look
    parts_seen : of an interim result that grows by parts, how many the page shows; it runs again once there are more
    every : seconds between two looks; each costs a few milliseconds
    """

    @st.fragment(run_every=every)
    @errors_as_sentences()
    def look() -> None:
        grown = parts_seen is not None and watch.interim is not None and watch.interim.parts > parts_seen
        if grown or not (watch.running or watch.catching_up):
            st.rerun()
        progress(watch)
        draw()

    look()
