import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from toolkit import compare, data, methods, store
from toolkit.compare import Run
from toolkit.training import Budget, Recipe, Teacher, train_student, train_teacher

ROOT = Path(__file__).parent.parent
SHORT = Recipe(epochs=2)
LEARNS = Recipe(epochs=2, batch_size=16, learning_rate=0.02)


@pytest.fixture(scope="module")
def small():
    """A task that is trained in a fraction of a second."""
    points = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    return data.from_arrays("signs", points, (points[:, 0] > 0) + 2 * (points[:, 1] > 0))


def quiet(done, total):
    pass


# ---- One student ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", sorted(set(methods.names()) - {"ensemble"}))
def test_every_method_trains_a_student_on_pictures(method, digits, teacher):
    student = compare.distil(method, digits, "cnn-4", seed=1, recipe=LEARNS, teacher=teacher)
    assert student.history.epochs == 2
    assert student.val_accuracy > 0.2
    again = compare.distil(method, digits, "cnn-4", seed=1, recipe=LEARNS, teacher=teacher)
    assert torch.equal(student.model[0].weight, again.model[0].weight), "the same seed gives the same numbers"


def test_an_ensemble_learns_from_the_mean_of_three_teachers(small, monkeypatch):
    together = compare._ensemble(train_teacher(small, "mlp-8", progress=quiet), 2.0, None)
    alone = [train_teacher(small, "mlp-8", seed=seed, progress=quiet) for seed in range(3)]
    mean = sum(torch.softmax(one.train_logits / 2, 1) for one in alone) / 3
    assert torch.allclose(torch.softmax(together.train_logits / 2, 1), mean, atol=1e-5)
    assert compare.distil("ensemble", small, "mlp-4", recipe=SHORT, teacher="mlp-8").history.epochs == 2


@pytest.mark.parametrize(("method", "lam"), [("labels", 0.0), ("distillation", 0.5)])
def test_by_name_and_by_the_plain_loop_the_student_is_the_same(method, lam, digits, teacher):
    setting = {"penalty_weight": 0.0} if method == "labels" else {"temperature": 2.0, "lam": lam}
    by_name = compare.distil(method, digits, "mlp-8", setting=setting, seed=3, recipe=SHORT, teacher=teacher)
    plainly = train_student(digits, student="mlp-8", temperature=2.0, lam=lam, seed=3, recipe=SHORT, teacher=teacher)
    for one, other in zip(by_name.model.parameters(), plainly.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_all_methods_of_a_seed_begin_with_the_same_weights_and_see_the_same_batches(small, monkeypatch):
    seen = {}
    fit = compare.fit_within

    def spy(budget, network, x, labels, *others, batch_loss, **options):
        seen[method] = (torch.cat([p.detach().flatten() for p in network.parameters()]), [])

        def watched(examples, labels, teacher_logits):
            seen[method][1].append(examples)
            return batch_loss(examples, labels, teacher_logits)

        return fit(budget, network, x, labels, *others, batch_loss=watched, **options)

    monkeypatch.setattr(compare, "fit_within", spy)
    for method in ("labels", "distillation", "hints", "relational", "mutual", "born-again"):
        compare.distil(method, small, "mlp-4", scenario="noisy-labels", seed=2, recipe=SHORT, teacher="mlp-8")
    weights, batches = seen.pop("labels")
    for other_weights, other_batches in seen.values():
        assert torch.equal(weights, other_weights)
        assert all(torch.equal(one, other) for one, other in zip(batches, other_batches, strict=True))


def test_feature_methods_leave_the_teacher_as_it_was(small):
    teacher = train_teacher(small, "mlp-8", progress=quiet)
    before = {name: value.clone() for name, value in teacher.model.state_dict().items()}
    compare.distil("hints", small, "mlp-4", recipe=SHORT, teacher=teacher)
    assert all(torch.equal(value, before[name]) for name, value in teacher.model.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.model.parameters())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "magic"}, "unknown method 'magic'"),
        ({"method": "hints", "setting": {"T": 1}}, "the method 'hints' has the settings weight, not T"),
        ({"method": "hints", "setting": {"weight": -1.0}}, "weight of the method 'hints' must be a finite number"),
        (
            {"method": "distillation", "setting": {"temperature": -1.0, "lam": 0.5}},
            "temperature must be a finite number",
        ),
        ({"method": "distillation", "setting": {"temperature": 1.0, "lam": 2.0}}, "lam .* must lie between 0 and 1"),
        ({"method": "attention"}, "attention transfer needs hidden maps"),
        ({"method": "labels", "seed": -1}, "seed must be a whole number"),
        ({"method": "labels", "scenario": "magic"}, "unknown scenario"),
    ],
)
def test_errors_name_the_value(options, said, small):
    with pytest.raises(ValueError, match=said):
        compare.distil(dataset=small, student="mlp-4", recipe=SHORT, teacher="mlp-8", **options)


def test_a_teacher_whose_layers_cannot_be_read_is_refused_by_feature_methods(small):
    class Hidden(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(6, 4)

        def forward(self, x):
            return self.layer(x)

    teacher = Teacher.of(Hidden(), small)
    assert compare.distil("distillation", small, "mlp-4", recipe=SHORT, teacher=teacher).history.epochs == 2
    with pytest.raises(ValueError, match=r"between the layers of an nn\.Sequential, but the model is a Hidden"):
        compare.distil("relational", small, "mlp-4", recipe=SHORT, teacher=teacher)


def test_a_budget_of_time_ends_the_training_and_is_reported(small):
    student = compare.distil("labels", small, "mlp-4", recipe=Recipe(epochs=100_000), budget=Budget(seconds=0.3))
    assert student.history.ending == "time"
    assert student.history.spent.seconds < 3, "as many epochs as the time allows, and no more"
    assert "at the end of its time budget" in student.history.sentence
    assert not student.model.training


def test_schedules_learn_from_whom_they_say(small, monkeypatch):
    """What the last network of each schedule is given as the teacher's logits."""
    given = []
    fit_within = compare.fit_within
    monkeypatch.setattr(
        compare, "fit_within", lambda *args, **options: given.append(args[4]) or fit_within(*args, **options)
    )
    teacher = train_teacher(small, "mlp-8", progress=quiet)

    def last_of(method):
        given.clear()
        compare.distil(method, small, "mlp-4", recipe=SHORT, teacher=teacher)
        return given

    assert torch.equal(last_of("distillation")[-1], teacher.train_logits)
    alone, distilled = last_of("born-again")
    assert alone is None, "the first generation learns from labels"
    assert not torch.equal(distilled, teacher.train_logits)
    first, second = last_of("assistant")
    assert torch.equal(first, teacher.train_logits), "the assistant learns from the teacher"
    assert not torch.equal(second, teacher.train_logits), "and the student from the assistant"
    assert last_of("mutual") == [None], "peers have no teacher"


def test_an_ensemble_needs_a_teacher_that_can_be_trained_again(small):
    own = Teacher.of(train_teacher(small, "mlp-8", progress=quiet).model, small)
    with pytest.raises(ValueError, match="needs the name of a model, not 'your own teacher'"):
        compare.distil("ensemble", small, "mlp-4", recipe=SHORT, teacher=own)


def test_a_budget_shorter_than_one_epoch_gives_what_it_has_and_says_so(small):
    student = compare.distil("labels", small, "mlp-4", recipe=Recipe(epochs=50), budget=Budget(seconds=1e-6))
    assert student.history.ending == "time"
    assert student.history.spent.budget == Budget(seconds=1e-6)


# ---- Many runs -----------------------------------------------------------------------------------------------


def runs_on(dataset, count=4):
    return [Run(dataset, "labels", student="mlp-4", seed=seed, recipe=SHORT, teacher="mlp-8") for seed in range(count)]


def numbers(outcomes):
    """What a run reached, without the seconds it took."""
    return [[o.val_accuracy, o.test_accuracy, o.negative_log_likelihood, o.fidelity] for o in outcomes.values()]


def test_a_sweep_gives_every_run_in_order_whatever_the_number_of_processes(small):
    runs = runs_on(small)
    one, two = (compare.sweep(runs, jobs=jobs, progress=quiet) for jobs in (1, 2))
    assert list(one) == list(two) == runs
    assert numbers(one) == numbers(two)


def test_a_sweep_that_is_stopped_trains_no_teacher_any_more_and_shows_no_bar_of_its_own(
    monkeypatch, small, tmp_path, capsys
):
    monkeypatch.setenv(store.CACHE_FOLDER_VARIABLE, str(tmp_path))  # where no teacher is
    stop = threading.Event()
    stop.set()
    assert compare.sweep(runs_on(small, 2), jobs=1, progress=lambda done, total: None, stop=stop) == {}
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().err == ""


def test_a_setting_may_be_a_dict_or_pairs_in_any_order():
    as_dict = Run("digits", "distillation", {"temperature": 4, "lam": 0.9}, parameters={"examples": 50})
    pairs = Run("digits", "distillation", (("lam", 0.9), ("temperature", 4)), parameters=(("examples", 50),))
    assert as_dict == pairs
    assert (hash(as_dict), as_dict.key) == (hash(pairs), pairs.key)


def test_a_stopped_sweep_keeps_what_is_done_and_continues(small, tmp_path):
    stop, journal, counts = threading.Event(), tmp_path / "sweep.jsonl", []

    def stop_after_two(done, total):
        counts.append(done)
        if done >= 2:
            stop.set()

    part = compare.sweep(runs_on(small, 6), results=journal, jobs=1, progress=stop_after_two, stop=stop)
    assert 2 <= len(part) < 6
    assert len(store.read_records(journal)) == len(part)
    counts.clear()
    whole = compare.sweep(runs_on(small, 6), results=journal, jobs=1, progress=lambda done, total: counts.append(done))
    assert counts[0] == len(part), "nothing is trained twice"
    assert numbers(whole) == numbers(compare.sweep(runs_on(small, 6), jobs=1, progress=quiet))


def test_a_run_is_another_where_anything_that_matters_differs(small, digits):
    base = Run("digits", "labels")
    others = [
        Run("digits", "labels", seed=1),
        Run("digits", "hints"),
        Run("digits", "labels", (("penalty_weight", 0.1),)),
        Run("digits", "labels", student="mlp-8"),
        Run("digits", "labels", scenario="noisy-labels"),
        Run("digits", "labels", scenario="noisy-labels", parameters=(("noise", 0.1),)),
        Run("digits", "labels", recipe=SHORT),
        Run("digits", "labels", teacher="mlp-8"),
        Run(small, "labels"),
        Run("digits", "labels", recipe=Recipe(learning_rate=0.1)),
    ]
    assert len({run.key for run in (base, *others)}) == len(others) + 1
    assert base.key == Run("digits", "labels").key == Run(digits, "labels").key
    settings = (("lam", 1), ("temperature", 4)), (("temperature", 4.0), ("lam", 1.0))
    assert Run("digits", "distillation", settings[0]).key == Run("digits", "distillation", settings[1]).key


def test_a_training_that_diverges_does_not_end_a_sweep(small, tmp_path):
    wild = Run(
        small, "labels", student="mlp-4", recipe=Recipe(epochs=3, optimizer="sgd", learning_rate=1e30), teacher="mlp-8"
    )
    journal = tmp_path / "sweep.jsonl"
    for _ in range(2):  # trained, then from the journal
        outcome = compare.sweep([wild, *runs_on(small, 1)], results=journal, jobs=1, progress=quiet)[wild]
        assert "diverged in epoch 1" in outcome.diverged
        assert outcome.val_accuracy == outcome.test_accuracy == 0
    assert len(store.read_records(journal)) == 2


def test_without_a_number_a_sweep_uses_every_core(small, monkeypatch):
    asked = []
    parallel = compare.joblib.Parallel
    monkeypatch.setattr(compare.joblib, "Parallel", lambda n_jobs, **o: asked.append(n_jobs) or parallel(n_jobs=1, **o))
    compare.sweep(runs_on(small, 1), progress=quiet)
    assert asked == [compare.joblib.cpu_count()]


def test_a_journal_of_another_kind_is_passed_over(small, tmp_path):
    journal = tmp_path / "sweep.jsonl"
    store.append_record(journal, {"scene": "vision"})
    assert len(compare.sweep(runs_on(small, 1), results=journal, jobs=1, progress=quiet)) == 1


KILLED = """
import sys
from pathlib import Path
import numpy as np
from toolkit import compare, data
from toolkit.training import Recipe
points = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
small = data.from_arrays("signs", points, (points[:, 0] > 0) + 2 * (points[:, 1] > 0))
runs = [compare.Run(small, "labels", student="mlp-4", seed=seed, recipe=Recipe(epochs=40), teacher="mlp-8") for seed in range(30)]
compare.sweep(runs, results=sys.argv[1], jobs=1)
"""


def test_a_killed_sweep_continues_where_it_was(tmp_path):
    journal = tmp_path / "sweep.jsonl"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(journal)], cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(store.read_records(journal)) < 2 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = store.read_records(journal)
    assert 2 <= len(kept) < 30
    with journal.open("ab") as file:
        file.write(b"0123 {half a line")
    assert subprocess.run([sys.executable, "-c", KILLED, str(journal)], cwd=ROOT, capture_output=True).returncode == 0
    records = store.read_records(journal)
    assert len(records) == 30 == len({record["key"] for record in records})
    assert records[: len(kept)] == kept, "what was done is not done again"


CLUSTER = """
import json, os, signal, sys, threading, time
import joblib, numpy as np
from distributed import Client, LocalCluster
from toolkit import compare, data
from toolkit.training import Recipe

def main():
    points = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    small = data.from_arrays("signs", points, (points[:, 0] > 0) + 2 * (points[:, 1] > 0))
    runs = [compare.Run(small, "distillation", (("lam", 0.5), ("temperature", 2.0)), student="mlp-4", seed=seed,
                        recipe=Recipe(epochs=20), teacher="mlp-8") for seed in range(16)]
    plain = compare.sweep(runs, jobs=1, progress=lambda done, total: None)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        workers = set(client.run(os.getpid).values())
        killed = []
        def kill_one(done, total):
            if done >= 3 and not killed:
                killed.append(min(workers))
                os.kill(killed[0], signal.SIGKILL)
        with joblib.parallel_config(backend="dask"):
            outcomes = compare.sweep(runs, results=sys.argv[1], progress=kill_one)
        alive = set(client.run(os.getpid).values())
    table = lambda found: [[o.val_accuracy, o.test_accuracy, o.negative_log_likelihood] for o in found.values()]
    print(json.dumps({"killed": killed, "workers": sorted(workers), "alive": sorted(alive), "done": len(outcomes),
                      "identical": table(outcomes) == table(plain)}))

if __name__ == "__main__":
    main()
"""


def test_a_cluster_that_loses_a_worker_still_gives_the_full_identical_table(tmp_path):
    pytest.importorskip("distributed", reason="needs the extra cluster: pip install -e '.[cluster]'")
    script = tmp_path / "on_a_cluster.py"
    script.write_text(CLUSTER, encoding="utf-8")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "sweep.jsonl")],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert len(found["workers"]) == 2
    assert found["killed"][0] in found["workers"]
    assert found["killed"][0] not in found["alive"]
    assert found["done"] == 16
    assert found["identical"]
    assert len(store.read_records(tmp_path / "sweep.jsonl")) == 16


# ---- A fair comparison ---------------------------------------------------------------------------------------


def test_a_comparison_tries_as_many_settings_for_each_chooses_on_validation_and_corrects_the_intervals(small, tmp_path):
    journal = tmp_path / "comparison.jsonl"
    options = {"student": "mlp-4", "seeds": 3, "recipe": SHORT, "teacher": "mlp-8", "jobs": 1, "progress": quiet}
    found = compare.compare(small, ("distillation", "hints"), results=journal, **options)
    assert [row.method for row in found.rows] == ["labels", "distillation", "hints"]
    assert "3 settings tried for each method" in found.sentence
    assert f"(all-labels: {len(small.x_train)} examples), {SHORT.epochs} epochs" in found.sentence
    assert "2 comparisons" in found.sentence
    alone, *others = found.rows
    assert alone.difference is None
    assert alone.verdict == "the reference"
    trials = 3 * 3 * 2  # methods, settings, seeds for choosing
    assert len(store.read_records(journal)) == trials + 3, "of the chosen settings one more seed"
    for row in found.rows:
        tried = [
            np.mean([compare.execute(Run(small, row.method, tuple(sorted(s.items())), "mlp-4", seed, recipe=SHORT, teacher="mlp-8")).val_accuracy for seed in (0, 1)])
            for s in methods.get(row.method).settings
        ]  # fmt: skip
        assert tried[methods.get(row.method).settings.index(row.setting)] == max(tried)
    runs = {row.method: [compare.execute(Run(small, row.method, tuple(sorted(row.setting.items())), "mlp-4", seed, recipe=SHORT, teacher="mlp-8")).test_accuracy for seed in range(3)] for row in found.rows}  # fmt: skip
    differences = np.array([np.subtract(runs[row.method], runs["labels"]) for row in others])
    expected = compare.metrics.holm_intervals(differences, examples=len(small.y_test))
    assert [float(row.difference.low) for row in others] == pytest.approx(list(expected.low))


def test_a_stopped_comparison_gives_none_and_continues(small, tmp_path):
    stop, journal = threading.Event(), tmp_path / "comparison.jsonl"
    options = {"student": "mlp-4", "seeds": 2, "recipe": SHORT, "teacher": "mlp-8", "jobs": 1, "results": journal}
    assert compare.compare(small, ("distillation",), progress=lambda d, t: stop.set(), stop=stop, **options) is None
    assert compare.compare(small, ("distillation",), progress=quiet, **options) is not None


def test_methods_that_do_not_fit_are_left_out_and_named_or_refused(small):
    options = {"student": "mlp-4", "seeds": 1, "recipe": SHORT, "teacher": "mlp-8", "jobs": 1, "progress": quiet}
    found = compare.compare(small, ("hints", "hints", "labels"), **options)
    assert [row.method for row in found.rows] == ["labels", "hints"], "named twice, compared once"
    with pytest.raises(ValueError, match="mlp-4 and mlp-8: attention transfer needs hidden maps"):
        compare.compare(small, ("attention",), **options)
    found = compare.compare(small, **options)
    assert found.left_out == ("attention",)
    assert found.sentence.endswith("left out, since they do not fit these networks: attention")
    assert len(found.rows) == len(methods.names()) - 1


@pytest.mark.parametrize("seeds", [0, -1, 2.5])
def test_a_number_of_seeds_that_is_none_is_refused(seeds, small):
    with pytest.raises(ValueError, match="seeds must be"):
        compare.compare(small, ("distillation",), seeds=seeds)
