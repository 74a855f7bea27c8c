import functools
import threading

import numpy as np
import pytest
import torch

from toolkit import grid, metrics, models, scenarios, training
from toolkit.grid import train_grid
from toolkit.training import Recipe


def differences(result, cell, student):
    """Absolute differences of all weights between a student of the grid and one trained by the plain loop."""
    ours, theirs = result.student_model(*cell).state_dict(), student.model.state_dict()
    return torch.cat([(ours[name] - theirs[name]).abs().flatten() for name in theirs])


@pytest.mark.parametrize("scenario", scenarios.names())
@pytest.mark.parametrize(("penalty_weight", "norm"), [(0.0, "l2"), (1e-3, "l2"), (1e-3, "l1")])
def test_grid_gives_the_students_of_the_plain_loop(digits, teacher, scenario, penalty_weight, norm):
    # Tolerance: both do the same sums in another order, so that float32 rounding drifts: about 1e-8 in the median. A few
    # weights drift further, where a ReLU or Adam's division by a tiny root sits on the edge: hence a loose maximum.
    shared = {"teacher": teacher, "penalty_weight": penalty_weight, "norm": norm}
    result = train_grid(digits, scenario, "mlp-16", temperatures=(1, 8), lams=(0, 0.5, 1), seeds=2, epochs=4, **shared)
    for t, lam, seed in [(0, 0, 0), (0, 1, 1), (1, 1, 0), (1, 2, 1)]:
        student = training.train_student(
            digits,
            scenario,
            "mlp-16",
            temperature=result.temperatures[t],
            lam=result.lams[lam],
            seed=result.seeds[seed],
            recipe=Recipe(epochs=4),
            **shared,
        )
        drift = differences(result, (t, lam, seed), student)
        assert drift.median() < 1e-6
        assert drift.max() < 1e-3
        assert result.accuracy[t, lam, seed] == pytest.approx(student.test_accuracy, abs=1.5 / 540)
        assert result.history[t, lam, seed] == pytest.approx(student.history.val_accuracy, abs=1.5 / 270)


def test_twenty_epochs_give_the_same_accuracies_as_the_plain_loop(digits, teacher):
    result = train_grid(digits, temperatures=(1, 4), lams=(0, 0.9), seeds=[1], epochs=20, teacher=teacher)
    for t, lam in np.ndindex(2, 2):
        student = training.train_student(
            digits, temperature=result.temperatures[t], lam=result.lams[lam], seed=1, recipe=Recipe(20), teacher=teacher
        )
        assert differences(result, (t, lam, 0), student).median() < 1e-5
        assert result.accuracy[t, lam, 0] == pytest.approx(student.test_accuracy, abs=2.5 / 540)


@pytest.mark.parametrize(("student", "dataset"), [("mlp-12-8", "digits"), ("cnn-3", "digits"), ("cnn-4", "signals")])
def test_deeper_and_convolutional_students_agree_with_the_plain_loop(student, dataset, request):
    dataset = request.getfixturevalue(dataset)
    teacher = training.train_teacher(dataset, "mlp-16", recipe=Recipe(2), progress=lambda *_: None)
    shared = {"teacher": teacher, "penalty_weight": 1e-3}
    result = train_grid(dataset, "few-labels", student, temperatures=(1, 8), lams=(0, 0.5), seeds=2, epochs=2, **shared)
    plain = training.train_student(
        dataset, "few-labels", student, temperature=8, lam=0.5, seed=1, recipe=Recipe(2), **shared
    )
    drift = differences(result, (1, 1, 1), plain)
    assert drift.median() < 1e-6
    assert drift.max() < 1e-3


@pytest.mark.parametrize("temperature", [1e-30, 0.05, 100, 101, 1e4, 1e5, 1e300])
@pytest.mark.parametrize("scenario", ["all-labels", "few-labels"])
def test_grid_agrees_with_the_plain_loop_over_the_whole_range_of_temperatures(digits, teacher, temperature, scenario):
    result = train_grid(
        digits, scenario, temperatures=(temperature,), lams=(0.5, 1), seeds=1, epochs=2, teacher=teacher
    )
    for lam in (0, 1):
        plain = training.train_student(
            digits, scenario, temperature=temperature, lam=result.lams[lam], recipe=Recipe(2), teacher=teacher
        )
        assert differences(result, (0, lam, 0), plain).median() < 1e-5


def test_arrays_have_the_axes_of_the_contract(digits, teacher):
    result = train_grid(
        digits, temperatures=(1, 2, 4), lams=(0, 1), seeds=2, epochs=3, student="mlp-8", teacher=teacher
    )
    assert result.val_accuracy.shape == result.accuracy.shape == (3, 2, 2)
    assert result.class_accuracy.shape == (3, 2, 2, 10)
    assert result.history.shape == (3, 2, 2, 3)
    assert np.array_equal(result.history[..., -1], result.val_accuracy)
    weights = np.bincount(digits.y_test.numpy()) / len(digits.y_test)
    assert result.class_accuracy @ weights == pytest.approx(result.accuracy)
    model = result.student_model(2, 1, 1)
    assert metrics.accuracy(training.predict(model, digits.x_test), digits.y_test) == result.accuracy[2, 1, 1]
    assert not result.partial
    assert result.sentence == "12 students mlp-8, trained for 3 epochs"


def test_same_call_gives_the_same_numbers_to_the_bit(digits, teacher):
    one, two = (train_grid(digits, temperatures=(2,), seeds=2, epochs=2, teacher=teacher) for _ in range(2))
    assert all(torch.equal(one.weights[name], two.weights[name]) for name in one.weights)


def test_blocks_of_any_size_give_the_same_students(digits, teacher, monkeypatch):
    shared = {"temperatures": (2,), "lams": (0, 0.3, 0.5, 0.9, 1), "seeds": 3, "epochs": 2, "teacher": teacher}
    whole = train_grid(digits, "noisy-labels", **shared)
    monkeypatch.setattr(grid, "_students_at_once", lambda *_: 4)  # blocks of 3 and 2 arms
    cut = train_grid(digits, "noisy-labels", **shared)
    for name in whole.weights:
        assert torch.allclose(whole.weights[name], cut.weights[name], atol=1e-5)
    assert np.abs(whole.accuracy - cut.accuracy).max() < 2.5 / 540


@pytest.mark.parametrize(("arms", "seeds"), [(1, 1), (64, 1), (64, 10), (200, 3), (16, 1000), (128, 2), (130, 1)])
def test_blocks_cover_every_student_once_and_stay_small(arms, seeds):
    covered = np.zeros((arms, seeds), int)
    for place in grid._block_slices(arms, seeds, 128):
        covered[place] += 1
        assert covered[place].size <= 128
    assert (covered == 1).all()


def test_student_alone_is_the_same_at_every_temperature(digits, teacher):
    result = train_grid(digits, temperatures=(1, 20), lams=(0, 1), seeds=1, epochs=3, teacher=teacher)
    assert torch.allclose(result.weights["1.weight"][0, 0], result.weights["1.weight"][1, 0])
    assert (result.difference()[:, 0] == 0).all()
    assert np.array_equal(result.difference()[:, 1], result.val_accuracy[:, 1] - result.val_accuracy[:, 0])


def test_difference_without_the_student_alone_is_refused(digits, teacher):
    result = train_grid(digits, temperatures=(1,), lams=(0.5,), seeds=1, epochs=1, teacher=teacher)
    with pytest.raises(ValueError, match="λ = 0"):
        result.difference()


def test_grids_of_other_seeds_are_joined_into_the_one_trained_at_once(digits, teacher):
    shared = {"temperatures": (1, 4), "lams": (0, 1), "epochs": 2, "teacher": teacher}
    joined = train_grid(digits, seeds=[0], **shared).joined(train_grid(digits, seeds=[1], **shared))
    whole = train_grid(digits, seeds=2, **shared)
    assert joined.seeds == whole.seeds
    assert joined.accuracy == pytest.approx(whole.accuracy, abs=1.5 / 540)
    assert joined.class_accuracy.shape == whole.class_accuracy.shape
    with pytest.raises(ValueError, match="both grids hold seed 1"):
        joined.joined(train_grid(digits, seeds=[1], **shared))
    for change, message in (
        ({"epochs": 1}, "differ in epochs: 2 and 1"),
        ({"batch_size": 32}, "differ in batch_size: 64 and 32"),
        ({"scenario": "few-labels"}, "differ in scenario"),
        ({"teacher": models.build("mlp-8", digits, 0)}, "differ in their teachers: cnn-32 and your own teacher"),
    ):
        with pytest.raises(ValueError, match=message):
            joined.joined(train_grid(digits, seeds=[2], **shared | change))


def test_numbers_of_numpy_and_torch_are_welcome(digits, teacher):
    result = train_grid(
        digits,
        temperatures=torch.tensor([1.0, 4.0]),
        lams=np.array([0, 0.5]),
        seeds=np.int64(2),
        epochs=np.int64(1),
        batch_size=np.int64(100),
        teacher=teacher,
    )
    assert (result.temperatures, result.lams, result.seeds, result.epochs) == ((1.0, 4.0), (0.0, 0.5), (0, 1), 1)


@pytest.mark.parametrize("temperature", [1e-40, 0.01, 1e3, 1e40])
def test_extreme_temperatures_give_finite_students(digits, teacher, temperature):
    result = train_grid(digits, temperatures=(temperature,), lams=(0.5,), seeds=1, epochs=2, teacher=teacher)
    assert all(torch.isfinite(weights).all() for weights in result.weights.values())


# ---- Progress and stop ---------------------------------------------------------------------------------------


def test_progress_comes_at_least_once_an_epoch_and_reaches_its_total(digits, teacher):
    seen = []
    train_grid(
        digits,
        temperatures=(1,),
        seeds=2,
        epochs=5,
        teacher=teacher,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert len(seen) >= 5
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("students_at_once", [128, 2])
def test_stopped_grid_holds_the_students_of_the_last_whole_epoch(digits, teacher, monkeypatch, students_at_once):
    monkeypatch.setattr(grid, "_students_at_once", lambda *_: students_at_once)
    shared = {"temperatures": (1, 4), "lams": (0, 1), "seeds": 2, "teacher": teacher, "student": "mlp-8"}
    stop = threading.Event()
    blocks = 1 if students_at_once == 128 else 4

    def progress(done, total):
        if done == 2 * blocks + (blocks > 1):  # after two epochs; with several blocks, in the middle of the third
            stop.set()

    result = train_grid(digits, epochs=50, progress=progress, stop=stop, **shared)
    assert result.partial
    assert result.epochs_done == 2
    assert result.history.shape[-1] == 2
    assert np.array_equal(result.history[..., -1], result.val_accuracy)
    assert result.sentence == "8 students mlp-8, stopped after 2 of 50 epochs"


def test_grid_stopped_before_its_first_epoch_gives_untrained_students(digits, teacher):
    stop = threading.Event()
    stop.set()
    result = train_grid(digits, temperatures=(1,), lams=(0,), seeds=1, epochs=5, teacher=teacher, stop=stop)
    assert result.epochs_done == 0
    assert result.history.shape == (1, 1, 1, 0)
    assert result.accuracy.item() < 0.5


def test_grid_that_diverges_stops_with_a_message(digits, teacher, monkeypatch):
    monkeypatch.setattr(grid, "Recipe", functools.partial(Recipe, learning_rate=1e30))
    with pytest.raises(training.TrainingDiverged, match=r"epoch \d.* Try a smaller learning rate"):
        train_grid(digits, temperatures=(1,), seeds=1, epochs=3, teacher=teacher)


# ---- Names, or the objects; bad input ------------------------------------------------------------------------


def test_names_and_objects_mean_the_same(digits, teacher):
    by_name = train_grid("digits", "small-transfer-set", temperatures=(1,), lams=(1,), seeds=1, epochs=1)
    scenario = scenarios.get("small-transfer-set", examples=200)
    by_object = train_grid(digits, scenario, temperatures=(1,), lams=(1,), seeds=1, epochs=1, teacher=teacher)
    assert by_name.accuracy == by_object.accuracy


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperatures": (1, 0)}, "temperature must be a finite number above 0, not 0"),
        ({"temperatures": ()}, "temperatures must hold at least one value"),
        ({"temperatures": 4}, "temperatures must be a list of values, not 4"),
        ({"temperatures": torch.tensor([2.0, 2.0])}, "temperatures must not hold a value twice"),
        ({"seeds": True}, "seeds must be a list of values, not True"),
        ({"seeds": None}, "seeds must be a list of values, not None"),
        ({"temperatures": (1, 1.0)}, "temperatures must not hold a value twice"),
        ({"lams": (0, 1.1)}, "lam .* not 1.1"),
        ({"seeds": 0}, "seeds must hold at least one value"),
        ({"seeds": [-1]}, "seed must be a whole number"),
        ({"epochs": 0}, "epochs must be a whole number"),
        ({"batch_size": -1}, "batch_size must be a whole number"),
        ({"penalty_weight": float("nan")}, "penalty_weight .* not nan"),
        ({"norm": "max"}, "unknown norm 'max'"),
        ({"student": "mlp"}, "unknown model 'mlp'"),
        ({"scenario": "none"}, "unknown scenario 'none'"),
    ],
)
def test_bad_arguments_are_refused(digits, teacher, arguments, message):
    with pytest.raises(ValueError, match=message):
        train_grid(**{"dataset": digits, "teacher": teacher, "epochs": 1, "seeds": 1} | arguments)


def test_an_epoch_at_a_time_gives_the_same_students(digits, teacher):
    settings = {"temperatures": (1, 4), "lams": (0, 0.9), "seeds": [3, 5], "epochs": 3, "teacher": teacher}
    training = grid.GridTraining(digits, "small-transfer-set", **settings)
    seen = []
    while training.train_one_epoch():
        seen.append(training.history.copy())
    assert [history.shape[-1] for history in seen] == [1, 2, 3]
    assert not training.train_one_epoch()  # all epochs are done
    at_once = grid.train_grid(digits, "small-transfer-set", **settings)
    np.testing.assert_array_equal(training.result().history, at_once.history)
    np.testing.assert_array_equal(training.result().accuracy, at_once.accuracy)
    np.testing.assert_array_equal(seen[0], at_once.history[..., :1])
