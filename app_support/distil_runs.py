"""The runs of *Distil* in a visitor's session: the one that is trained now, those that are kept, and what buttons ask for."""

import streamlit as st

from app_support import own_data
from app_support.experiments import DistilRun, Settings, distil_order, start_distil
from app_support.jobs import Watch, trainer
from app_support.tasks import Task

_AT_ONCE = 2e6  # work (see Task.work) that takes about a second
_MOST_KEPT = 12
_JOB, _WISH, _CLEARED, _SAID, _NUMBER = "distil_job", "distil_wish", "distil_cleared", "distil_said", "run_number"
ASKED, LOOKED_AT = "distil_asked", "looked_at"


def kept() -> dict[int, DistilRun]:
    """Give the runs that are kept, by their numbers."""
    runs: dict[int, DistilRun] = st.session_state.setdefault("runs", {})
    return runs


def wish(what: str) -> None:
    """Take note of a button ("train", "step", "reset"); it is granted once the controls, which may change with it, are read."""
    st.session_state[_WISH] = what


def is_cleared() -> bool:
    """Whether the picture was reset, and nothing begun since."""
    return _CLEARED in st.session_state


def ended_without_result() -> Watch | None:
    """Give the last job where it failed, or was stopped before there was anything to compare."""
    watch: Watch | None = st.session_state.get(_SAID)
    return watch


def settings_of(watch: Watch) -> Settings:
    """Give what is trained."""
    order = watch.job.order
    return Settings(Task.of(order["task"]), order["temperature"], order["lam"])


def ask_about(settings: Settings) -> None:
    """Have the question stay about these settings."""
    if ASKED not in st.session_state:
        st.session_state[ASKED] = settings
        own_data.hold("asked", settings.task)


def current(settings: Settings) -> Watch | None:
    """Bring the session up to date: keep what has ended, grant a wish, train at once what is quick; gives the job there is."""
    watch = _take_in_if_ended(st.session_state.get(_JOB))
    if (what := st.session_state.pop(_WISH, None)) is not None:
        watch = _grant(what, watch, settings)
    nothing_yet = watch is None and not kept() and not is_cleared() and ended_without_result() is None
    if nothing_yet and (settings.task.is_quick(2, _AT_ONCE) or trainer.known(distil_order(*settings))):
        watch = _begin(settings)
        ask_about(settings)
        watch.wait(0.6)
    return _take_in_if_ended(watch)  # at once: it was quick, or known


def _begin(settings: Settings) -> Watch:
    st.session_state.pop(_SAID, None)
    st.session_state.pop(_CLEARED, None)
    watch = st.session_state[_JOB] = start_distil(*settings)
    own_data.hold("in training", settings.task)
    return watch


def _grant(what: str, watch: Watch | None, settings: Settings) -> Watch | None:
    if what == "reset":
        st.session_state.pop(_JOB, None)
        st.session_state.pop(_SAID, None)
        st.session_state[_CLEARED] = True
        if watch is not None:
            watch.stop()
        return None
    if watch is None:
        watch = _begin(settings)
    elif what == "train":
        watch.go_on()
    if what == "step":
        watch.step()
    return watch


def _take_in_if_ended(watch: Watch | None) -> Watch | None:
    """Keep a run that has ended, or was stopped after its first epoch, among the runs."""
    if watch is None or watch.paused or watch.running:
        return watch
    run = watch.result
    if run is None and watch.interim is not None:
        run = watch.interim.until(watch.hold_after)  # what its visitor saw: others may have let it go on
    del st.session_state[_JOB]
    if run is None or watch.failed:
        st.session_state[_SAID] = watch
    if run is not None:
        number = st.session_state[_NUMBER] = st.session_state.get(_NUMBER, 0) + 1
        kept()[number] = run
        st.session_state[LOOKED_AT] = number
        own_data.hold(f"run {number}", run.task)
        for old in sorted(kept())[:-_MOST_KEPT]:
            del kept()[old]
            own_data.release(f"run {old}")
    return None
