"""Devices and threads. There is a GPU on few machines, so that one test lets tensors without memory stand in for it."""

import contextlib
import os
import traceback

import pytest
import torch

from toolkit import grid, machine, scenarios, training
from toolkit.training import Recipe


@pytest.fixture
def device_of(monkeypatch):
    """Choose a device by its name, for one test."""

    def choose(name):
        monkeypatch.setenv(machine.DEVICE_VARIABLE, name)
        machine.device.cache_clear()
        return machine.device()

    yield choose
    machine.device.cache_clear()


def test_a_gpu_is_chosen_where_there_is_one(monkeypatch, device_of):
    assert device_of("").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert machine.describe()


def test_device_is_chosen_once(monkeypatch, device_of):
    assert device_of("cpu") == torch.device("cpu")
    monkeypatch.setenv(machine.DEVICE_VARIABLE, "meta")
    assert machine.device() == torch.device("cpu")
    assert machine.describe() == f"processor ({os.cpu_count()} logical cores)"


@pytest.mark.parametrize("name", ["cuda:99", "abacus"])
def test_device_that_is_not_there_is_named_in_the_error(name, device_of):
    with pytest.raises(ValueError, match=f"PyTorch cannot use '{name}', which the variable DISTILLATION_DEVICE names"):
        device_of(name)


def test_number_of_threads_is_put_back_after_an_error():
    before = torch.get_num_threads()
    with contextlib.suppress(KeyError), machine.threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before


# ---- Every tensor of a training lies on the chosen device ---------------------------------------------------------
# On the "meta" device tensors have shapes, but no numbers: an operation that mixes them with tensors in ordinary memory
# fails as it would fail with a GPU's.


@pytest.mark.parametrize("scenario", ["all-labels", "few-labels"])
@pytest.mark.parametrize("student", ["mlp-4", "cnn-2"])
def test_grid_trains_wholly_on_the_device(digits, teacher, scenario, student, device_of):
    teacher_logits = teacher.train_logits
    device = device_of("meta")
    arms = [(1.0, 0.5), (1000.0, 0.9)]
    shared = grid._Shared(
        digits,
        digits.to(device),
        scenarios.get(scenario),
        student,
        grid._soft_targets(teacher_logits, arms),
        Recipe(1),
        penalty_weight=1e-3,
        norm="l1",
    )
    block = grid._Block(shared, arms, [0, 1], (slice(0, 2), slice(0, 2)))
    assert block.train_one_epoch(None)
    assert {tensor.device for tensor in block.network.state().values()} == {device}
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):  # by then all is computed
        block.right("val")


def test_plain_loop_trains_wholly_on_the_device(digits, teacher, device_of):
    assert teacher.train_logits.device.type == "cpu"
    device_of("meta")
    with pytest.raises(NotImplementedError) as error:  # when the numbers of the first epoch are wanted
        training.train_student(digits, "few-labels", teacher=teacher, recipe=Recipe(1))
    assert "Tensor.item() cannot be called on meta tensors" in "".join(
        traceback.format_exception(error.value.__context__)
    )


@pytest.mark.parametrize("student", ["mlp-16", "cnn-4"])
def test_devices_agree(digits, teacher, student, device_of):
    # Tolerance: GPUs add in another order, and convolve in TF32 (ten bits); rounding then drifts from step to step. Two
    # points are five of 270 examples. Without a GPU both sides are the processor: the tests above still hold.
    results, students = [], []
    for name in ("cpu", "cuda" if torch.cuda.is_available() else "cpu"):
        device_of(name)
        shared = {"student": student, "teacher": teacher, "penalty_weight": 1e-4}
        results.append(grid.train_grid(digits, temperatures=(1, 4), lams=(0, 0.9), seeds=2, epochs=5, **shared))
        students.append(training.train_student(digits, temperature=4, lam=0.9, seed=1, recipe=Recipe(5), **shared))
    for of_grid, plain in zip(results, students, strict=True):
        assert all(tensor.device.type == "cpu" for tensor in of_grid.weights.values())
        assert next(plain.model.parameters()).device.type == "cpu"
        assert of_grid.val_accuracy[1, 1, 1] == pytest.approx(plain.val_accuracy, abs=0.02)
    assert abs(results[0].val_accuracy - results[1].val_accuracy).max() <= 0.02


# ---- Threads -----------------------------------------------------------------------------------------------------


@pytest.fixture
def pace(monkeypatch):
    """A pace with a clock of its own, and what a unit of work takes with one thread and with two."""
    clock = {"now": 0.0, 1: 1.0, 2: 0.6}
    monkeypatch.setattr(machine.time, "perf_counter", lambda: clock["now"])

    def work(pieces):
        chosen = []
        for _ in range(pieces):
            with pace.piece(units=10):
                chosen.append(torch.get_num_threads())
                clock["now"] += 10 * clock[chosen[-1]]
        return chosen

    with machine.threads(2):
        pace = machine.Pace()
        pace.clock, pace.work = clock, work
        yield pace


def test_pace_tries_both_and_keeps_to_the_faster(pace):
    assert pace.work(2) == [1, 2]
    assert set(pace.work(machine.Pace.RETRY - 3)) == {2}
    assert pace.fastest == 2


def test_pace_tries_the_slower_again_and_changes_its_mind(pace):
    pace.work(machine.Pace.RETRY - 1)
    pace.clock[1] = 0.3  # lately the second processor is busy
    assert set(pace.work(1 + 5)) == {1}


def test_pace_leaves_threads_that_have_become_slow_and_does_not_try_them_again(pace):
    pace.work(5)
    pace.clock[2] = 100.0
    assert pace.work(1) == [2]
    assert set(pace.work(5 * machine.Pace.RETRY)) == {1}


def test_pace_has_one_choice_where_the_caller_allows_one_thread():
    with machine.threads(1):
        pace = machine.Pace()
        with pace.piece(1):
            assert torch.get_num_threads() == 1
        assert pace.fastest == 1


@pytest.mark.parametrize("student", ["mlp-16", "mlp-128", "mlp-16-16", "cnn-4"])
@pytest.mark.parametrize("data", ["digits", "signals"])
def test_students_do_not_depend_on_the_number_of_threads(data, student, request):
    dataset = request.getfixturevalue(data)
    teacher = training.train_teacher(dataset, "mlp-16", recipe=Recipe(2), progress=lambda *_: None)
    of_threads = []
    for count in (1, 2):
        with machine.threads(count):
            shared = {"student": student, "temperatures": (1, 4), "lams": (0, 0.9), "seeds": 2, "teacher": teacher}
            of_threads.append(grid.train_grid(dataset, epochs=2, **shared).weights)
    assert all(torch.equal(of_threads[0][name], of_threads[1][name]) for name in of_threads[0])


def test_memory_in_use_grows_with_what_is_held():
    before = machine.memory_in_use()
    held = torch.ones(25_000_000)  # 100 MB
    assert machine.memory_in_use() - before > 80e6
    del held
