import threading
import time

import numpy as np
import pytest
import torch

from app_support import resources
from app_support.jobs import Job, Stopped, sentence
from toolkit import data, losses, metrics, training


def test_a_job_gives_its_result_and_its_progress():
    seen = threading.Event()

    def work(job):
        progress = job.report("Counting", 0.2, 0.6)
        progress(1, 2)
        seen.wait(5)
        return "done"

    job = Job(work)
    while job.share < 0.3:
        time.sleep(0.01)
    assert job.running
    assert (job.doing, round(job.share, 3)) == ("Counting", 0.4)
    seen.set()
    assert job.wait(5)
    assert (job.result, job.error, job.stopped) == ("done", "", False)


def test_a_stopped_job_ends_without_result_or_error():
    def work(job):
        job.stop.wait(10)
        raise Stopped

    job = Job(work)
    job.stop.set()
    assert job.wait(5)
    assert (job.result, job.error, job.stopped) == (None, "", True)


def test_an_error_becomes_its_own_sentence():
    def work(job):
        losses.soft_targets(torch.zeros(1, 2), -1)

    job = Job(work)
    assert job.wait(5)
    assert job.error.startswith("Temperature")
    assert job.error.endswith(".")


def test_a_slow_data_set_keeps_nobody_waiting_who_needs_another(monkeypatch):
    loading, loaded = threading.Event(), threading.Event()

    def slow(name):
        loading.set()
        assert loaded.wait(20)
        return name

    monkeypatch.setattr(resources, "_load", slow)
    monkeypatch.setitem(resources._teachers, "ready", "its teacher")
    first, second = (Job(lambda job: resources.teacher("slow", stop=job.stop)) for _ in range(2))
    assert loading.wait(5)
    other = Job(lambda job: resources.teacher("ready", stop=job.stop))
    assert other.wait(2)
    assert other.result == "its teacher"
    for job in (first, second):
        job.stop.set()
        assert job.words == "Stopping …"
    assert second.wait(2)  # it only waited its turn
    loaded.set()
    assert first.wait(2)  # nothing is trained after the data have come
    assert (first.stopped, second.stopped, first.result, first.error) == (True, True, None, "")


def caught(work):
    with pytest.raises(Exception) as caught_here:
        work()
    return caught_here.value


def raise_here(problem):
    raise problem


def test_what_the_toolkit_raises_is_shown():
    assert sentence(caught(lambda: data.load("no-such-set"))).startswith("Unknown data set")
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
