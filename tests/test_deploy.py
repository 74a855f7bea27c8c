import builtins
import logging
import os
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from toolkit import compress, deploy, metrics, models, training
from toolkit.deploy import Candidate, Cost, Latency
from toolkit.training import Recipe

ROOT = Path(__file__).parent.parent
NEEDS = "needs the extra deploy: pip install -e '.[deploy]'"


@pytest.fixture(scope="session")
def student(digits):
    return training.train_student(digits, student="cnn-8", lam=0, recipe=Recipe(15))


@pytest.fixture(scope="session")
def exported(student, tmp_path_factory):
    pytest.importorskip("onnxruntime", reason=NEEDS)
    return deploy.export_onnx(student.model, (1, 8, 8), tmp_path_factory.mktemp("exported") / "student.onnx")


def silent(done, total):
    pass


# ---- Files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data"),
    [("mlp-16", "digits"), ("cnn-4", "digits"), ("vgg-4", "digits"), ("cnn-4", "signals"), ("gru-8", "signals")],
)
def test_exported_file_gives_pytorchs_logits_for_any_batch(name, data, request, tmp_path):
    pytest.importorskip("onnxruntime", reason=NEEDS)
    dataset = request.getfixturevalue(data)
    model = models.build(name, dataset, 0)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):  # as after training
            layer.running_mean.uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(0))
            layer.running_var.uniform_(0.5, 2, generator=torch.Generator().manual_seed(1))
    path = deploy.export_onnx(model, dataset.input_shape, tmp_path / "new folder" / "model.onnx")
    for examples in (1, 7):
        x = dataset.x_test[:examples]
        assert torch.allclose(deploy.run_onnx(path, x), training.predict(model, x), atol=1e-4)
    assert model.training  # as it was built


def test_exporting_is_quiet_and_leaves_the_warnings_of_others_alone(tmp_path, capfd, caplog):
    pytest.importorskip("onnxruntime", reason=NEEDS)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exact = deploy.export_onnx(model, (4,), tmp_path / "a.onnx")
        deploy.quantise(exact, tmp_path / "b.onnx")
        deploy.quantise(exact, tmp_path / "c.onnx", "static", torch.randn(10, 4))
        deploy.run_onnx(tmp_path / "c.onnx", torch.randn(2, 4))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    logging.getLogger("somebody").warning("still heard")
    assert [record.message for record in caplog.records] == ["still heard"]


def test_pruned_and_rounded_network_is_exported_as_it_computes(digits, tmp_path):
    pytest.importorskip("onnxruntime", reason=NEEDS)
    pruned = compress.prune(models.build("cnn-4", digits, 0), 0.5)
    path = deploy.export_onnx(pruned, (1, 8, 8), tmp_path / "pruned.onnx")
    assert torch.allclose(deploy.run_onnx(path, digits.x_val), training.predict(pruned, digits.x_val), atol=1e-5)
    rounding = compress.fake_quantised(pruned)
    path = deploy.export_onnx(rounding, (1, 8, 8), tmp_path / "rounded.onnx")
    plain = compress.as_plain(rounding)
    assert torch.allclose(deploy.run_onnx(path, digits.x_val), training.predict(plain, digits.x_val), atol=1e-5)


@pytest.mark.parametrize("how", ["dynamic", "static"])
def test_int8_is_smaller_and_within_two_points_of_the_float_model(how, student, exported, digits, tmp_path):
    path = deploy.quantise(exported, tmp_path / "small.onnx", how, digits.x_train[:500])
    assert path.stat().st_size < 0.6 * exported.stat().st_size
    logits = deploy.run_onnx(path, digits.x_test)
    assert metrics.accuracy(logits, digits.y_test) == pytest.approx(student.test_accuracy, abs=0.02)
    exact = training.predict(student.model, digits.x_test)
    assert not torch.equal(logits, exact)
    error = (logits - exact).square().mean().sqrt() / exact.std()
    assert error < 0.03  # 256 steps; sums that overflow, as with signed weights on some processors, would give 0.1


def test_int8_computes_what_rounded_training_computed(digits, tmp_path):
    pytest.importorskip("onnxruntime", reason=NEEDS)
    rounding = compress.fake_quantised(models.build("mlp-16", digits, 0))
    arguments = {"validation": (digits.x_val, digits.y_val)}
    training.fit(rounding, digits.x_train, digits.y_train, None, Recipe(10), **arguments)
    exact = deploy.export_onnx(rounding, (1, 8, 8), tmp_path / "float.onnx")
    path = deploy.quantise(exact, tmp_path / "int8.onnx", "static", digits.x_train)
    inside, outside = training.predict(rounding, digits.x_test), deploy.run_onnx(path, digits.x_test)
    assert (inside - outside).square().mean().sqrt() < 0.03 * inside.std()
    assert metrics.fidelity(inside, outside) > 0.98


def test_a_killed_export_leaves_nothing_under_the_final_name(exported, tmp_path, monkeypatch):
    def killed(*arguments, **options):
        Path(arguments[2]).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.onnx, "export", killed)
    with pytest.raises(KeyboardInterrupt):
        deploy.export_onnx(nn.Linear(2, 2), (2,), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
    kept = tmp_path / "kept.onnx"
    kept.write_bytes(exported.read_bytes())
    with pytest.raises(KeyboardInterrupt):
        deploy.export_onnx(nn.Linear(2, 2), (2,), kept)
    assert kept.read_bytes() == exported.read_bytes()


def test_unknown_int8_and_static_without_examples_are_refused(tmp_path):
    with pytest.raises(ValueError, match="how must be 'dynamic' or 'static', not 'int4'"):
        deploy.quantise(tmp_path / "a.onnx", tmp_path / "b.onnx", "int4")
    for examples in (None, torch.zeros(0, 4)):
        with pytest.raises(ValueError, match=r"needs examples of the training part .*examples=dataset.x_train"):
            deploy.quantise(tmp_path / "a.onnx", tmp_path / "b.onnx", "static", examples)


def test_without_the_extra_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    original = builtins.__import__

    def refuse(name, *arguments, **options):
        if name.partition(".")[0] in ("onnx", "onnxruntime"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    for attempt in (
        lambda: deploy.export_onnx(nn.Linear(2, 2), (2,), tmp_path / "a.onnx"),
        lambda: deploy.quantise(tmp_path / "a.onnx", tmp_path / "b.onnx"),
        lambda: deploy.run_onnx(tmp_path / "a.onnx", torch.zeros(1, 2)),
        lambda: deploy.cost_of(tmp_path / "a.onnx", (2,)),
    ):
        with pytest.raises(
            ImportError, match=r"^exporting to ONNX needs the extra deploy: pip install -e '\.\[deploy\]'$"
        ):
            attempt()


def test_packed_bytes_are_those_of_deflate_and_fall_with_pruning(digits, tmp_path):
    pytest.importorskip("onnxruntime", reason=NEEDS)
    network = models.build("mlp-32", digits, 0)
    sizes = []
    for share in (0, 0.5, 0.9):
        path = deploy.export_onnx(compress.prune(network, share), (1, 8, 8), tmp_path / f"{share}.onnx")
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        stream = packer.compress(path.read_bytes()) + packer.flush()
        sizes.append(deploy.sparse_bytes(path))
        assert 0 < sizes[-1] - len(stream) < 200  # the archive's own lines
    assert sizes[2] < sizes[1] < sizes[0]
    assert sizes[2] < 0.35 * sizes[0]


# ---- Latency and cost ----------------------------------------------------------------------------------------


def test_latency_leaves_the_first_runs_out_and_its_figures_are_numpys(monkeypatch):
    took = iter([*[9.0] * 3, *range(1, 21)])  # three slow runs, then 1 … 20 seconds
    clock = [0.0]
    monkeypatch.setattr(deploy.time, "perf_counter", lambda: clock[0])

    def run():
        clock[0] += next(took)

    measured = deploy.latency(run, warm_up=3, runs=20)
    assert measured == Latency(10.5, float(np.percentile(range(1, 21), 95)), 1, 20, 20)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runs": 0}, "runs must be a whole number of at least 1, not 0"),
        ({"runs": 2.5}, "runs must be a whole number of at least 1, not 2.5"),
        ({"warm_up": -1}, "warm_up must be a whole number of at least 0, not -1"),
    ],
)
def test_latency_refuses_counts_that_are_none(options, message):
    with pytest.raises(ValueError, match=message):
        deploy.latency(lambda: None, **options)


def test_cost_is_measured_in_another_process_wherever_one_stands(exported, tmp_path, monkeypatch):
    (tmp_path / "random.py").write_text("raise SystemExit('a file of the student, not to be imported')")
    (tmp_path / "model.onnx").write_bytes(exported.read_bytes())
    monkeypatch.chdir(tmp_path)
    cost = deploy.cost_of("model.onnx", (1, 8, 8), warm_up=5, runs=40, processes=2)
    assert cost.bytes_on_disk == exported.stat().st_size
    assert cost.latency.runs == 40
    assert 0 < cost.latency.minimum <= cost.latency.median <= cost.latency.p95 <= cost.latency.maximum
    if sys.platform == "linux":
        assert cost.peak_memory > 100_000


def test_the_calmest_of_several_processes_counts(tmp_path, monkeypatch):
    medians = [3e-5, 1e-5, 2e-5]
    costs = [deploy.Cost(1, None, deploy.Latency(median, 2 * median, median, median, 5)) for median in medians]
    left = iter(costs)
    monkeypatch.setattr(deploy, "_measured", lambda *order: next(left))
    assert deploy.cost_of(tmp_path / "a.onnx", (2,), processes=3) is costs[1]
    assert next(left, None) is None, "each was measured"
    with pytest.raises(ValueError, match="processes must be a whole number of at least 1, not 0"):
        deploy.cost_of(tmp_path / "a.onnx", (2,), processes=0)


def test_memory_of_a_large_network_is_seen(tmp_path):
    pytest.importorskip("onnxruntime", reason=NEEDS)
    if sys.platform != "linux":
        pytest.skip("peak memory is known on Linux only")
    costs = [
        deploy.cost_of(
            deploy.export_onnx(nn.Sequential(nn.Linear(width, width)), (width,), tmp_path / f"{width}.onnx"),
            (width,),
            runs=3,
        )
        for width in (8, 2000)
    ]
    assert costs[1].peak_memory - costs[0].peak_memory > 4 * 2000**2  # its weights at least


def test_measuring_process_knows_nothing_of_pytorch():
    code = "import sys; from toolkit import deploy; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_examples_that_do_not_fit_the_file_are_refused_in_onnx_runtimes_own_words(exported):
    with pytest.raises(RuntimeError, match=r"could not be measured with examples of shape \(3,\): .*[Ii]nvalid"):
        deploy.cost_of(exported, (3,), runs=1)


def test_all_forms_of_a_student_are_measured(student, digits, tmp_path):
    pytest.importorskip("onnxruntime", reason=NEEDS)
    steps = []
    forms = deploy.forms_of(student, tmp_path, runs=20, progress=lambda done, total: steps.append((done, total)))
    assert [form.name for form in forms] == ["float32", "int8 dynamic", "int8 static"]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert sorted(os.listdir(tmp_path)) == ["cnn-8-dynamic.onnx", "cnn-8-static.onnx", "cnn-8.onnx"]
    assert forms[0].test_accuracy == pytest.approx(student.test_accuracy, abs=1e-3)
    for form in forms:
        assert form.cost.bytes_on_disk == form.path.stat().st_size
        assert form.packed_bytes == deploy.sparse_bytes(form.path)


# ---- Real time -----------------------------------------------------------------------------------------------


def candidate(name, accuracy, p95):
    return Candidate(name, accuracy, Cost(1, None, Latency(p95 / 2, p95, p95 / 3, 2 * p95, 10)))


MEASURED = [
    candidate("tiny", 0.90, 0.001),
    candidate("good", 0.95, 0.002),
    candidate("as good", 0.95, 0.003),
    candidate("best", 0.99, 0.010),
]


@pytest.mark.parametrize(
    ("budget", "chosen"), [(0.001, "tiny"), (0.0019, "tiny"), (0.005, "good"), (0.010, "best"), (1.0, "best")]
)
def test_the_most_accurate_student_within_the_budget_is_chosen_the_faster_of_equals(budget, chosen):
    choice = deploy.choose(budget, MEASURED)
    assert choice.chosen.name == chosen
    assert choice.measured == tuple(MEASURED)
    assert choice.sentence.startswith(f"{chosen} is the most accurate of the students that meet {1000 * budget:.3g} ms")


def test_where_none_meets_the_budget_the_sentence_says_which_came_closest():
    choice = deploy.choose(0.0005, MEASURED)
    assert choice.chosen is None
    assert choice.sentence == "none of 4 students meets 500 µs; tiny came closest with 1 ms at the 95th percentile"


def test_students_are_measured_on_this_machine_and_judged_by_validation(student, digits):
    pytest.importorskip("onnxruntime", reason=NEEDS)
    bare = ("bare", models.build("mlp-8", digits, 0), 0.1)
    steps = []
    choice = deploy.most_accurate_within(
        10.0,
        [bare, student],
        input_shape=(1, 8, 8),
        runs=20,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert choice.chosen.name == "cnn-8"
    assert choice.chosen.val_accuracy == student.val_accuracy
    assert [measured.name for measured in choice.measured] == ["bare", "cnn-8"]
    assert steps == [(1, 2), (2, 2)]
    assert deploy.most_accurate_within(1e-9, [student], runs=5, progress=silent).chosen is None


@pytest.mark.parametrize("budget", [0, -1, float("nan"), float("inf")])
def test_a_budget_that_is_no_time_is_refused(budget):
    with pytest.raises(ValueError, match=f"budget must be a time in seconds above 0, not {budget}"):
        deploy.most_accurate_within(budget, [])


def test_no_candidate_and_a_bare_model_without_its_shape_are_refused():
    with pytest.raises(ValueError, match="there is no candidate"):
        deploy.most_accurate_within(1.0, [])
    with pytest.raises(ValueError, match="candidate 'mine' is a bare model; say what it takes"):
        deploy.most_accurate_within(1.0, [("mine", nn.Linear(2, 2), 0.5)], progress=silent)
