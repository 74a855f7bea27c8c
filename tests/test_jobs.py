"""Orders to the worker: shared, queued, paused for one visitor alone, and lost by nobody without a word."""

import gc
import io
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

from app_support import jobs, pipe, resources
from app_support.jobs import Trainer
from app_support.problems import sentence
from toolkit import data, losses, metrics, training

TASK = {
    "dataset": "digits",
    "scenario": "small-transfer-set",
    "parameter": [["examples", 50]],
    "student": "mlp-8",
    "penalty_weight": 0.0,
    "norm": "l2",
    "epochs": 3,
    "seeds": 1,
    "first_seed": 0,
}


def distil(**changes):
    return {"kind": "distil", "task": TASK | changes, "temperature": 4.0, "lam": 0.9}


LONG = {"epochs": 100_000, "student": "mlp-16"}


def read(values, arrays):
    return values, arrays


@pytest.fixture(scope="module")
def trainer():
    started = Trainer()
    yield started
    started.end()


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_an_order_gives_its_result_and_shows_it_on_the_way(trainer):
    watch = trainer.order(distil(epochs=4), read)
    assert watch.running
    assert watch.wait(60)
    values, arrays = watch.result
    assert arrays["distilled"].shape == arrays["alone"].shape == (1, 4)
    assert 0 < values["teacher_val"] <= 1
    assert (watch.failed, watch.stopped, watch.running, watch.share) == (False, False, False, 1.0)


def test_who_orders_the_same_shares_one_job_and_is_served_at_once_later(trainer):
    first, second = (trainer.order(distil(epochs=5), read) for _ in range(2))
    assert first.job is second.job
    assert first.wait(60)
    assert trainer.known(distil(epochs=5))
    assert not trainer.known(distil(epochs=6))
    third = trainer.order(distil(epochs=5), read)
    assert third.result is first.result


def test_a_second_order_waits_its_turn_and_says_how_many_are_before_it(trainer):
    first = trainer.order(distil(**LONG), read)
    second = trainer.order(distil(epochs=7), read)
    third = trainer.order(distil(epochs=8), read)
    assert until(lambda: first.job.epochs_done > 2)
    assert (first.ahead, second.ahead, third.ahead) == (0, 1, 2)
    assert second.seconds_left is None
    first.stop()
    assert third.wait(60)
    assert second.result is not None
    assert third.ahead == 0


def test_a_paused_job_lets_others_have_their_turn_and_goes_on_where_it_was(trainer):
    first = trainer.order(distil(first_seed=1, **LONG), read)
    assert until(lambda: first.job.epochs_done > 2)
    first.pause()
    after = first.hold_after
    assert (first.paused, first.running) == (True, False)
    other = trainer.order(distil(epochs=9), read)
    assert other.ahead == 0
    assert other.wait(60)
    assert until(lambda: first.interim[1]["alone"].shape[1] >= after)
    at_rest = first.job.epochs_done
    first.step()
    while first.hold_after <= at_rest:  # it had gone on a little before it heard of the pause
        first.step()
    assert until(lambda: not first.catching_up)
    assert until(lambda: first.interim[1]["alone"].shape[1] == first.hold_after)
    first.go_on()
    assert until(lambda: first.job.epochs_done > at_rest + 3)
    first.stop()


def test_one_visitor_pauses_and_stops_for_himself_alone(trainer):
    order = distil(first_seed=2, **LONG)
    one, other = trainer.order(order, read), trainer.order(order, read)
    assert until(lambda: one.job.epochs_done > 2)
    one.pause()
    before = other.job.epochs_done
    assert until(lambda: other.job.epochs_done > before + 3)  # the other's goes on
    one.stop()
    assert (one.stopped, one.running) == (True, False)
    before = other.job.epochs_done
    assert until(lambda: other.job.epochs_done > before + 3)
    other.stop()
    assert until(lambda: not other.job.running)  # nobody is left
    anew = trainer.order(order, read)
    assert anew.job is not one.job
    anew.stop()


def test_stepping_to_the_last_epoch_ends_the_pause(trainer):
    watch = trainer.order(distil(epochs=2, first_seed=3), read)
    watch.step()
    watch.step()
    assert until(lambda: not watch.job.running)
    assert not watch.paused
    assert watch.result is not None


def test_a_pause_keeps_its_place_although_another_visitor_lets_the_job_end(trainer):
    order = distil(epochs=20, first_seed=5)
    one, other = trainer.order(order, read), trainer.order(order, read)
    one.step()
    assert other.wait(60)
    assert other.result is not None
    assert (one.paused, one.result) == (True, None)
    for _ in range(18):
        one.step()
    assert one.paused
    one.step()
    assert one.result is other.result


def test_a_visitor_who_is_gone_counts_no_more(trainer):
    gone = trainer.order(distil(first_seed=4, **LONG), read)
    job = gone.job
    assert until(lambda: job.epochs_done > 2)
    del gone
    gc.collect()
    assert until(lambda: not job.running)


@pytest.fixture
def open_sessions(monkeypatch):
    """The sessions whose pages are open; who closes one counts as gone soon."""
    sessions = {"one", "other"}
    monkeypatch.setattr(jobs, "_is_open", sessions.__contains__)
    monkeypatch.setattr(jobs, "_AWAY", 0.5)
    return sessions


@pytest.fixture
def order_in(trainer, monkeypatch):
    """Give an order in a session."""

    def order(session, *what):
        monkeypatch.setattr(jobs, "_session", lambda: session)
        return trainer.order(*what)

    return order


def test_a_closed_page_counts_no_more_after_a_while(open_sessions, order_in):
    one, other = (order_in(session, distil(first_seed=7, **LONG), read) for session in ("one", "other"))
    one.pause()
    open_sessions.remove("one")
    time.sleep(1)
    assert other.running  # its visitor is still there
    open_sessions.remove("other")
    assert until(lambda: not one.job.running)
    assert one.job.stopped


def test_a_job_goes_on_for_nobody_who_only_paused_it(open_sessions, order_in):
    one, other = (order_in(session, distil(first_seed=9, **LONG), read) for session in ("one", "other"))
    one.pause()
    assert not one.job.held
    open_sessions.remove("other")
    assert until(lambda: one.job.held)
    one.stop()
    assert not other.job.running


def test_who_was_away_and_comes_back_has_the_same_trained_again(open_sessions, order_in):
    busy = order_in("other", distil(first_seed=10, **LONG), read)
    one = order_in("one", distil(epochs=23), read)
    before = one.job
    one.come_back()  # nothing was stopped
    assert one.job is before
    open_sessions.remove("one")
    assert until(lambda: not one.job.running)  # although its turn never came
    assert one.ahead == 0
    another = order_in("other", distil(epochs=23), read)  # the job of who was away is no obstacle
    open_sessions.add("one")
    one.come_back()
    assert one.job is another.job
    busy.stop()
    assert one.wait(60)
    assert one.result is another.result is not None
    one.stop()
    one.come_back()  # who stopped stays stopped
    assert one.stopped


def test_who_comes_back_to_own_data_brings_them_along(open_sessions, order_in, trainer, monkeypatch):
    content = "\n".join(["a,b,species", *(f"{i % 7},{i % 5},{'xyz'[i % 3]}" for i in range(120))]).encode()
    own = resources.accept(content, "flowers.csv", "species")
    order = distil(dataset=own.name, scenario="all-labels", parameter=[], **LONG) | {"own": own.order}
    arrays = {"content": np.frombuffer(content, np.uint8)}
    one = order_in("one", order, read, arrays)
    assert until(lambda: one.job.epochs_done > 2)
    open_sessions.remove("one")
    assert until(lambda: one.job.share == 1)  # the worker, too, has said that it stopped
    sent = []
    send = trainer._send
    monkeypatch.setattr(trainer, "_send", lambda *what: sent.append(what) or send(*what))
    open_sessions.add("one")
    one.come_back()
    assert sent[0][-1] is arrays
    assert until(lambda: one.job.epochs_done > 2)
    one.stop()


def test_who_stopped_is_not_counted_among_those_before_one(trainer):
    first = trainer.order(distil(first_seed=8, **LONG), read)
    second = trainer.order(distil(epochs=21), read)
    third = trainer.order(distil(epochs=22), read)
    assert third.ahead == 2
    second.stop()
    assert third.ahead == 1
    first.stop()
    assert third.wait(60)


def job_with(share, *, doing="job.students", pace_from, end=1.0):
    job = jobs.Job(1, {}, read, None)
    job.share, job.doing, job.pace_from, job.end_of_phase = share, (doing, {}), pace_from, end
    return job


def test_time_left_counts_the_present_phase_alone(monkeypatch):
    monkeypatch.setattr(jobs.time, "monotonic", lambda: 100.0)
    left = lambda **of: jobs.Watch(job_with(**of), Trainer()).seconds_left  # noqa: E731
    # A tenth of the students' part is done in 6 s: nine more.
    assert left(share=0.37, pace_from=(94.0, 0.3)) == pytest.approx(54)
    assert left(share=0.15, pace_from=(94.0, 0.0), end=0.3) == pytest.approx(6)  # of the teacher's part
    assert left(share=0.31, pace_from=(94.0, 0.3)) is None  # too early to say
    assert left(share=0.5, pace_from=None) is None


def test_a_pause_is_no_part_of_the_pace(trainer):
    watch = trainer.order(distil(first_seed=10, epochs=2000), read)
    assert until(lambda: watch.job.share > 0.4)
    watch.pause()
    assert until(lambda: watch.job.held)
    time.sleep(3)
    watch.go_on()
    assert until(lambda: watch.seconds_left is not None or not watch.job.running)
    assert watch.job.pace_from is None or time.monotonic() - watch.job.pace_from[0] < 3
    watch.stop()


def assert_a_loss_is_told_and_the_next_order_starts_another_worker(lose):
    lonely = Trainer()
    try:
        watch = lonely.order(distil(**LONG), read)
        assert until(lambda: watch.job.epochs_done > 1)
        lose(lonely)
        assert watch.wait(10)
        assert watch.job.lost
        assert watch.failed
        second = lonely.order(distil(epochs=2), read)
        assert second.wait(60)
        assert second.result is not None
    finally:
        lonely.end()


def test_noise_in_the_pipe_counts_as_a_loss_of_the_worker(monkeypatch):
    noise, receive = threading.Event(), pipe.receive

    def receive_or_fail(stream):
        if noise.is_set():
            noise.clear()
            raise ValueError("no JSON")
        return receive(stream)

    monkeypatch.setattr(pipe, "receive", receive_or_fail)
    monkeypatch.setattr(threading, "excepthook", lambda hook: None)
    assert_a_loss_is_told_and_the_next_order_starts_another_worker(lambda lonely: noise.set())


def test_what_a_library_prints_in_c_does_not_come_between_the_answers():
    code = (
        "import ctypes, sys\n"
        "from app_support import worker\n"
        "def noisy():\n"
        "    libc = ctypes.CDLL(None)\n"
        "    libc.puts(b'noise'), libc.fflush(None)\n"
        "    print('more noise')\n"
        "worker._import_in_the_background = noisy\n"
        "worker.main()\n"
    )
    process = subprocess.run([sys.executable, "-c", code], input=b"", capture_output=True, check=True)
    assert process.stdout == b""
    assert b"noise" in process.stderr


def test_an_error_becomes_its_own_sentence(trainer):
    watch = trainer.order(distil(parameter=[["examples", 5000]]), read)
    assert watch.wait(60)
    assert watch.failed
    assert watch.job.error.startswith("Examples=5000, but")
    again = trainer.order(distil(parameter=[["examples", 5000]]), read)
    assert again.job is not watch.job  # what failed is not kept
    assert again.wait(60)


def test_a_worker_that_ends_is_told_and_the_next_order_starts_another():
    assert_a_loss_is_told_and_the_next_order_starts_another_worker(Trainer.end)


def test_a_surface_shows_the_seeds_that_are_done(trainer):
    order = {"kind": "surface", "task": TASK | {"seeds": 3}, "temperatures": [2.0], "lams": [0.0, 1.0]}
    seen = []
    watch = trainer.order(order, lambda values, arrays: seen.append(values["scores"]["seeds"]) or values)
    assert watch.wait(60)
    assert [0] in seen
    assert seen[-1] == [0, 1, 2]


def test_messages_survive_the_pipe_and_half_of_one_is_none():
    stream = io.BytesIO()
    pipe.send(stream, {"id": 1}, {"a": np.arange(3)})
    pipe.send(stream, {"id": 2})
    whole = stream.getvalue()
    stream.seek(0)
    message, arrays = pipe.receive(stream)
    assert (message, arrays["a"].tolist()) == ({"id": 1}, [0, 1, 2])
    assert pipe.receive(stream) == ({"id": 2}, {})
    assert pipe.receive(stream) is None
    assert pipe.receive(io.BytesIO(whole[:60])) is None


def test_a_slow_data_set_keeps_nobody_waiting_who_needs_another(monkeypatch):
    loading, loaded = threading.Event(), threading.Event()

    def load(name):
        if name == "slow":
            loading.set()
            assert loaded.wait(20)
        return name

    monkeypatch.setattr(resources, "_load", load)
    slow = threading.Thread(target=resources.dataset, args=("slow",))
    slow.start()
    assert loading.wait(5)
    assert resources.dataset("quick") == "quick"
    loaded.set()
    slow.join(5)


def caught(work):
    with pytest.raises(Exception) as caught_here:
        work()
    return caught_here.value


def raise_here(problem):
    raise problem


def test_what_the_toolkit_raises_is_shown():
    assert sentence(caught(lambda: data.load("no-such-set"))).startswith("Unknown data set")
    assert sentence(caught(lambda: losses.soft_targets(torch.zeros(1, 2), -1))).endswith(".")
    diverging = training.Recipe(epochs=1, learning_rate=1e30)
    problem = caught(lambda: training.train_student(data.load("digits"), lam=0, recipe=diverging, progress=print))
    assert isinstance(problem, training.TrainingDiverged)
    assert "epoch 1" in sentence(problem)


@pytest.mark.parametrize(
    "work",
    [
        lambda: raise_here(ValueError("secret")),
        lambda: raise_here(KeyError("/home/somebody/secret")),
        lambda: np.concatenate([np.zeros(1), np.zeros((1, 1))]),
        lambda: torch.distributions.Normal(torch.zeros(1), -torch.ones(1)),
        lambda: metrics.confidence_interval(np.array(["secret"])),  # NumPy raises, called by the toolkit
    ],
)
def test_what_others_raise_is_not_shown(work):
    problem = caught(work)
    hidden = sentence(problem)
    assert str(problem) not in hidden
    assert hidden.startswith(f"Something unforeseen went wrong ({type(problem).__name__})")


def test_an_order_that_makes_no_sense_fails_alone(trainer):
    watch = trainer.order({"kind": "no such kind"}, read)
    assert watch.wait(60)
    assert watch.failed
    assert not watch.job.lost  # the worker is still there
    other = trainer.order(distil(epochs=2, first_seed=9), read)
    assert other.wait(60)
    assert other.result is not None
