import threading
import time

from app_support.jobs import Job, Stopped, sentence
from toolkit.training import TrainingDiverged


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
        raise ValueError("temperature must be above 0, not -1")

    job = Job(work)
    assert job.wait(5)
    assert job.error == "Temperature must be above 0, not -1."


def test_messages_for_people_are_shown_and_others_are_not():
    assert "epoch 3" in sentence(TrainingDiverged("the student", 3))
    hidden = sentence(KeyError("/home/somebody/secret"))
    assert "secret" not in hidden
    assert "KeyError" in hidden
