import copy
import itertools
import threading
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from toolkit import losses, models, store, training
from toolkit.training import Budget, Recipe


def silent(done, total):
    pass


# ---- The teacher ---------------------------------------------------------------------------------------------


def test_teacher_on_digits_reaches_97_5_percent_of_the_test_part(teacher):
    assert teacher.test_accuracy >= 0.975


def test_teacher_comes_from_the_cache_the_second_time(digits, teacher):
    again = training.train_teacher(digits)
    assert again.from_cache
    assert torch.equal(again.train_logits, teacher.train_logits)
    for ours, theirs in zip(again.model.state_dict().values(), teacher.model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    assert again.history == teacher.history


def test_cached_logits_belong_to_their_examples(digits, teacher):
    again = training.train_teacher(digits)
    for i in (0, 17, 500):
        fresh = training.predict(again.model, digits.x_train[i : i + 1])[0]
        assert torch.allclose(again.train_logits[i], fresh, atol=1e-4)


def test_first_use_shows_a_progress_bar_and_the_cache_none(digits, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(store.CACHE_FOLDER_VARIABLE, str(tmp_path))
    training.train_teacher(digits, "mlp-8", recipe=Recipe(epochs=2))
    assert "Training the teacher mlp-8 on digits" in capsys.readouterr().err
    training.train_teacher(digits, "mlp-8", recipe=Recipe(epochs=2))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("damage", [b"", b"garbage", "half"])
def test_damaged_cache_file_is_computed_anew_with_the_same_result(digits, tmp_path, monkeypatch, damage):
    monkeypatch.setenv(store.CACHE_FOLDER_VARIABLE, str(tmp_path))
    arguments = {"recipe": Recipe(epochs=2), "progress": silent}
    first = training.train_teacher(digits, "mlp-8", **arguments)
    (path,) = store.entries()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if damage == "half" else damage)
    with pytest.warns(RuntimeWarning, match="computed anew"):
        again = training.train_teacher(digits, "mlp-8", **arguments)
    assert not again.from_cache
    assert torch.equal(again.test_logits, first.test_logits)
    assert training.train_teacher(digits, "mlp-8", **arguments).from_cache


def test_entry_that_does_not_fit_the_model_counts_as_absent(digits, tmp_path, monkeypatch):
    monkeypatch.setenv(store.CACHE_FOLDER_VARIABLE, str(tmp_path))
    key = training._teacher_key(digits, "mlp-8", Recipe(epochs=1), 0, None)
    almost = models.build("mlp-8-7", digits, 1).state_dict()  # its first layer would fit
    store.save(key, {f"weights.{name}": value.numpy() for name, value in almost.items()})
    arguments = {"recipe": Recipe(epochs=1), "progress": silent}
    teacher = training.train_teacher(digits, "mlp-8", **arguments)
    assert not teacher.from_cache
    assert torch.equal(
        teacher.test_logits, training.train_teacher(digits, "mlp-8", cache=False, **arguments).test_logits
    )


def test_cache_folder_that_cannot_be_written_still_gives_a_teacher(digits, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(store.CACHE_FOLDER_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.warns(RuntimeWarning, match="cannot be written"):
        teacher = training.train_teacher(digits, "mlp-8", recipe=Recipe(epochs=1), progress=silent)
    assert teacher.test_logits.shape == (540, 10)


def test_teacher_can_be_trained_with_sgd_as_in_the_article(digits):
    teacher = training.train_teacher(digits, "mlp-64", recipe=Recipe(15, optimizer="sgd"), progress=silent, cache=False)
    assert teacher.test_accuracy > 0.9


def test_any_module_that_returns_logits_can_be_the_teacher(digits):
    module = models.build("mlp-8", digits, 0)
    teacher = training.as_teacher(module, digits)
    assert torch.equal(teacher.test_logits, training.predict(module, digits.x_test))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 7)), r"outputs of shape \(270, 7\).* 10 classes"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Threshold(1e9, float("nan"))), "logits that are NaN"),
    ],
)
def test_teacher_that_cannot_teach_is_refused_by_what_is_wrong(digits, module, message):
    with pytest.raises(ValueError, match=f"your own teacher gives .*{message}"):
        training.train_student(digits, teacher=module, recipe=Recipe(1))


def test_numbers_of_numpy_are_welcome(digits, tmp_path, monkeypatch):
    monkeypatch.setenv(store.CACHE_FOLDER_VARIABLE, str(tmp_path))
    recipe = Recipe(epochs=np.int64(2), batch_size=np.int32(64))
    teacher = training.train_teacher(
        digits, "mlp-8", recipe=recipe, seed=np.int64(1), target=np.float32(0.99), progress=silent
    )
    assert teacher.history.epochs == 2
    again = training.train_teacher(digits, "mlp-8", recipe=Recipe(2), seed=1, target=float(np.float32(0.99)))
    assert again.from_cache


def test_stop_reaches_the_teacher_that_a_student_needs(digits, tmp_path, monkeypatch):
    monkeypatch.setenv(store.CACHE_FOLDER_VARIABLE, str(tmp_path))
    stop = threading.Event()
    stop.set()
    student = training.train_student(digits, stop=stop)
    assert student.history.ending == "stop"
    assert student.history.epochs == 0
    assert store.entries() == []


def test_teacher_of_another_data_set_is_refused(teacher, signals):
    with pytest.raises(ValueError, match="trained on 'digits', not on 'mnist1d'"):
        training.as_teacher(teacher, signals)


def test_predicting_keeps_the_mode_and_builds_no_graph():
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.9))
    before = copy.deepcopy(network.state_dict())
    network.train()
    logits = training.predict(network, torch.randn(7, 3))
    assert network.training
    assert not logits.requires_grad
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


# ---- The student ---------------------------------------------------------------------------------------------


def test_distilling_changes_the_student_and_nothing_of_the_teacher(digits, teacher):
    before = copy.deepcopy(teacher.model.state_dict())
    student = training.train_student(digits, teacher=teacher, recipe=Recipe(2), student="mlp-16")
    assert all(torch.equal(before[key], value) for key, value in teacher.model.state_dict().items())
    fresh = models.build("mlp-16", digits, 0)
    assert not torch.equal(student.model[1].weight, fresh[1].weight)


def test_same_seed_gives_the_same_student_to_the_bit(digits, teacher):
    one, two, other = (
        training.train_student(digits, teacher=teacher, recipe=Recipe(2), seed=seed) for seed in (3, 3, 4)
    )
    assert torch.equal(one.model[1].weight, two.model[1].weight)
    assert not torch.equal(one.model[1].weight, other.model[1].weight)


def test_number_of_threads_changes_nothing_and_is_put_back(digits, tmp_path, monkeypatch):
    before = torch.get_num_threads()
    try:
        logits = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            teacher = training.train_teacher(digits, "cnn-4", recipe=Recipe(2), cache=False, progress=silent)
            logits.append(teacher.train_logits)
            assert torch.get_num_threads() == threads
        assert torch.equal(*logits)
    finally:
        torch.set_num_threads(before)


def test_student_is_in_train_mode_for_every_batch_and_in_eval_mode_afterwards(digits, teacher, monkeypatch):
    modes = []
    original = losses.mixed_loss
    network = models.build("mlp-8", digits, 0)
    monkeypatch.setattr(training.losses, "mixed_loss", lambda *a: modes.append(network.training) or original(*a))
    recipe = Recipe(3)
    training.fit(network, digits.x_train, digits.y_train, None, recipe, validation=(digits.x_val, digits.y_val))
    assert len(modes) == 3 * 16
    assert all(modes)
    assert not network.training


def test_training_stops_when_the_target_is_reached_and_says_so(digits, teacher):
    student = training.train_student(digits, teacher=teacher, target=0.9, recipe=Recipe(40))
    assert student.history.ending == "target"
    assert student.history.epochs < 40
    assert student.history.val_accuracy[-1] >= 0.9
    assert all(accuracy < 0.9 for accuracy in student.history.val_accuracy[:-1])
    assert "the target of 90.0% validation accuracy is reached" in student.history.sentence


def test_training_ends_with_its_budget_and_says_that_the_target_was_missed(digits, teacher):
    student = training.train_student(digits, teacher=teacher, target=1.0, recipe=Recipe(2))
    assert student.history.ending == "epochs"
    assert (
        student.history.sentence == "ended after its budget of 2 epochs, below the target of 100.0% validation accuracy"
    )


def test_stop_ends_training_within_a_batch(digits, teacher):
    stop = threading.Event()
    seen = []

    def progress(done, total):
        seen.append((done, total))
        if done == 2:
            stop.set()

    student = training.train_student(digits, teacher=teacher, recipe=Recipe(1000), progress=progress, stop=stop)
    assert seen == [(1, 1000), (2, 1000)]
    assert student.history.ending == "stop"
    assert student.history.sentence == "stopped by hand after epoch 2"


def test_stopped_teacher_is_not_cached(digits, tmp_path, monkeypatch):
    monkeypatch.setenv(store.CACHE_FOLDER_VARIABLE, str(tmp_path))
    stop = threading.Event()
    stop.set()
    teacher = training.train_teacher(digits, "mlp-8", stop=stop, progress=silent)
    assert teacher.history.ending == "stop"
    assert store.entries() == []


def test_penalty_shrinks_the_weights(digits, teacher):
    sizes = [
        losses.complexity_penalty(
            training.train_student(digits, teacher=teacher, recipe=Recipe(5), penalty_weight=weight, norm=norm).model,
            norm,
        ).item()
        for norm in ("l1", "l2")
        for weight in (0, 1e-3)
    ]
    assert sizes[1] < sizes[0]
    assert sizes[3] < sizes[2]


def test_run_that_diverges_stops_with_the_epoch_and_what_to_try(digits, teacher):
    with pytest.raises(training.TrainingDiverged, match=r"diverged in epoch \d.* Try a smaller learning rate"):
        training.train_student(digits, teacher=teacher, recipe=Recipe(3, optimizer="sgd", learning_rate=1e30))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0}, "temperature must be a finite number above 0, not 0"),
        ({"lam": 2}, "lam .* not 2"),
        ({"penalty_weight": -1}, "penalty_weight .* not -1"),
        ({"norm": "l0"}, "unknown norm 'l0'"),
        ({"student": "tiny"}, "unknown model 'tiny'"),
        ({"scenario": "no-labels"}, "unknown scenario 'no-labels'"),
        ({"dataset": "cifar"}, "unknown data set 'cifar'"),
        ({"target": 1.5}, "target must be a validation accuracy above 0 and at most 1, not 1.5"),
        ({"seed": -1}, "seed must be a whole number"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_trained(digits, teacher, arguments, message):
    with pytest.raises(ValueError, match=message):
        training.train_student(**{"dataset": digits, "teacher": teacher, "recipe": Recipe(1)} | arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, not 0"),
        ({"epochs": 2.5}, "epochs must be a whole number"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, not 0"),
        ({"optimizer": "adam"}, "unknown optimizer 'adam'; known are adamw, sgd"),
        ({"learning_rate": 0}, "learning_rate must be a finite number above 0, not 0"),
        ({"learning_rate": float("nan")}, "learning_rate .* not nan"),
        ({"weight_decay": -1}, "weight_decay must be a finite number of at least 0, not -1"),
    ],
)
def test_bad_recipes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**arguments)


def test_training_makes_no_warnings(digits, teacher):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        training.train_student(digits, teacher=teacher, recipe=Recipe(2))


# ---- With a budget -------------------------------------------------------------------------------------------


def test_a_training_within_a_time_budget_has_as_many_epochs_as_the_time_allows(digits, monkeypatch):
    """A clock that advances by a tenth of a second whenever somebody looks."""
    clock = itertools.count()
    monkeypatch.setattr(training.time, "perf_counter", lambda: next(clock) / 10)
    student = training.train_student(
        digits, "small-transfer-set", "mlp-8", lam=0, recipe=Recipe(epochs=50), budget=Budget(seconds=20)
    )
    history = student.history
    assert 1 < history.epochs < 50
    assert history.ending == "time", "fewer epochs than the recipe has"
    assert history.spent.seconds <= 20.2
    assert history.spent.budget == Budget(seconds=20)


def test_a_budget_that_is_large_enough_changes_nothing(digits):
    plain, within = (
        training.train_student(digits, "small-transfer-set", "mlp-8", lam=0, recipe=Recipe(epochs=3), budget=budget)
        for budget in (None, Budget(seconds=1000))
    )
    assert within.history.epochs == 3
    assert torch.equal(plain.model[1].weight, within.model[1].weight)


def test_a_time_budget_too_small_for_one_epoch_ends_at_once_and_says_so(digits):
    student = training.train_student(digits, "all-labels", "mlp-8", lam=0, budget=Budget(seconds=1e-6))
    assert student.history.ending == "time"
    assert student.history.sentence.startswith("stopped after epoch 0, at the end of its time budget: ")
    assert student.history.spent.budget == Budget(seconds=1e-6)


def test_time_for_one_epoch_gives_the_student_of_that_epoch(digits, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(training.time, "perf_counter", lambda: next(clock) / 10)
    one = training.train_student(digits, "small-transfer-set", "mlp-8", lam=0, recipe=Recipe(epochs=1))
    within = training.train_student(
        digits, "small-transfer-set", "mlp-8", lam=0, recipe=Recipe(epochs=50), budget=Budget(seconds=1)
    )
    assert within.history.epochs == 1
    assert within.history.ending == "time"
    assert torch.equal(one.model[1].weight, within.model[1].weight)


def test_a_memory_budget_ends_the_training_and_says_what_was_used(digits, monkeypatch):
    used = itertools.count(0, 10_000_000)
    monkeypatch.setattr(training.machine, "memory_in_use", lambda: next(used))
    student = training.train_student(
        digits, "all-labels", "mlp-8", lam=0, budget=Budget(seconds=1000, memory_bytes=205e6)
    )
    assert student.history.ending == "memory"
    assert "of 205 MB" in student.history.sentence


@pytest.mark.parametrize("name", ["seconds", "memory_bytes"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_budget_of_nothing_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} of a budget must be above 0, not {value!r}"):
        Budget(**{name: value})
