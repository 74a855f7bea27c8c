"""Every scene of the article, measured: one table of teacher, student alone, distilled student, with intervals, bytes, latency.

Settings are fixed here beforehand, or chosen on validation data by ``compare``; test accuracy is reported as it came. What
a scene found is stored as soon as it is found: a run that was killed continues, and a finished one begins anew.
"""

import functools
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from bench.tables import Report, machine
from toolkit import compare, compress, data, deploy, losses, methods, metrics, models, readable, store
from toolkit.data import Dataset
from toolkit.grid import train_grid
from toolkit.metrics import Interval, confidence_interval
from toolkit.training import Budget, Recipe, Student, Teacher, fit, predict, train_student, train_teacher

RESULTS = Path(__file__).parent / "results" / "scenes.json"
PROCESSES = 3  # measure each file; the calmest counts
SOFT = {"temperature": 4.0, "lam": 0.9}  # of every scene that does not choose its own
LEGEND = """\
*Teacher*, *alone* and *distilled* are accuracies on the test part, means over seeds (splits, in medicine and finance). The *difference* is
paired by seed, in percentage points, from what stands in brackets; *better* and *worse* are said where its 95 % interval does not hold
zero. The rows of the scene *methods* are corrected for their number (Holm), the others are not: each answers a question of its own.
Settings were fixed beforehand or chosen on validation data; no row was left out. *Bytes* and *latency* (median of one example on one
thread, in the calmest of three processes) are those of the student's ONNX file, which depend on its architecture and not on what it
learned from, unless the notes say otherwise; p95 is the 95th percentile, which a budget of latency is about. A few microseconds more
or less are the machine's."""


@dataclass(frozen=True)
class Row:
    """One line of the table. Accuracies are shares of the test part, means over seeds; ``low`` … ``high`` is the 95 % interval of
    the paired difference from ``against``; bytes and seconds are those of the ONNX file of the student.
    """

    scene: str
    task: str
    method: str
    teacher: float | None = None
    alone: float | None = None
    distilled: float | None = None
    low: float | None = None
    mean: float | None = None
    high: float | None = None
    against: str = "the student alone"
    bytes: int | None = None
    latency: float | None = None
    seeds: int = 0
    note: str = ""


@dataclass(frozen=True)
class Scale:
    """How much is trained: everything, or (quick) so little that it only shows that all of it runs."""

    quick: bool
    journal: Path

    @property
    def seeds(self) -> int:
        """Seeds of a small task."""
        return 2 if self.quick else 5

    def epochs(self, usual: int) -> int:
        """Epochs of a training."""
        return 1 if self.quick else usual

    @property
    def measuring(self) -> dict[str, Any]:
        """How long a file is measured."""
        return {"runs": 50, "processes": 1} if self.quick else {"runs": 500, "processes": PROCESSES}

    def of(self, dataset: Dataset) -> Dataset:
        """Give the data set, or its first examples."""
        if not self.quick:
            return dataset
        parts = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")
        few = {part: getattr(dataset, part)[:600].clone() for part in parts}  # a slice would drag all the rest along
        groups = tuple(group[:600] for group in dataset.groups)
        return replace(dataset, name=f"{dataset.name}, 600 examples", groups=groups, **few)


Found = dict[str, Any]  # "rows", and what a scene gives to the pictures of the app


# ---- What scenes share ---------------------------------------------------------------------------------------


def cost(model: nn.Module, input_shape: tuple[int, ...], scale: Scale) -> tuple[int, float | None, float | None, str]:
    """Bytes on disk, median and 95th percentile of one example's latency as an ONNX file, and what to say where that is missing."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = deploy.export_onnx(model, input_shape, Path(folder) / "model.onnx")
            measured = deploy.cost_of(path, input_shape, **scale.measuring)
    except ImportError as problem:
        return models.count_bytes(model), None, None, f"bytes of the weights alone: {problem}"
    return measured.bytes_on_disk, measured.latency.median, measured.latency.p95, ""


def compared(alone: Sequence[float], distilled: Sequence[float], examples: int) -> dict[str, Any]:
    """Means of two arms and their paired difference with its interval."""
    difference = confidence_interval(np.subtract(distilled, alone), examples=examples)
    return {"alone": float(np.mean(alone)), "distilled": float(np.mean(distilled)), **bounds(difference)}


def bounds(interval: Interval) -> dict[str, Any]:
    """Low, mean, high; None for what a single seed cannot say."""
    return {
        name: float(value) if np.isfinite(value := getattr(interval, name)) else None
        for name in ("low", "mean", "high")
    }


def in_parallel(work: Callable[..., Any], items: Iterable[tuple[Any, ...]], title: str) -> list[Any]:
    """Do work on every item in local processes, one a core, with a bar that says how long it will take."""
    items = list(items)
    done = joblib.Parallel(n_jobs=joblib.cpu_count(), return_as="generator")(
        joblib.delayed(work)(*item) for item in items
    )
    return list(tqdm(done, title, total=len(items)))


def missing(scene: str, *names: str) -> list[Row]:
    """Give a line for each data set that is not on this machine, with what to install."""
    needs = {source.name: source.needs for source in data.available() if not source.on_this_machine}
    return [Row(scene, name, "–", note=f"not on this machine: {needs[name]}") for name in names if name in needs]


def task_scene(
    scene: str,
    dataset: Dataset | str,
    teacher_name: str,
    students: Sequence[str],
    recipe: Recipe,
    scale: Scale,
    seeds: int | None = None,
) -> Found:
    """Train each student alone and distilled: rows, and points of accuracy against bytes."""
    seeds = seeds or scale.seeds
    recipe = replace(recipe, epochs=scale.epochs(recipe.epochs))
    arms = {"labels": {"penalty_weight": 0.0}, "distillation": SOFT}
    runs = {
        (student, method): [
            compare.Run(dataset, method, setting, student, seed, recipe=recipe, teacher=teacher_name)
            for seed in range(seeds)
        ]
        for student in students
        for method, setting in arms.items()
    }
    outcomes = compare.sweep(
        [run for of_arm in runs.values() for run in of_arm],
        results=scale.journal.with_name(f"results-{scene.replace(' ', '-')}.jsonl"),
    )
    loaded = data.load(dataset) if isinstance(dataset, str) else dataset
    teacher = train_teacher(loaded, teacher_name)
    costs = cost(teacher.model, loaded.input_shape, scale)[:3]
    rows, points = [], [point(loaded.name, f"teacher {teacher.name}", "teacher", *costs, [teacher.test_accuracy])]
    for student in students:
        accuracy = {method: [outcomes[run].test_accuracy for run in runs[student, method]] for method in arms}
        model = models.build(student, loaded, 0)  # bytes and latency do not depend on what the weights are
        nbytes, median, p95, instead = cost(model, loaded.input_shape, scale)
        points += [
            point(loaded.name, student, role, nbytes, median, p95, accuracy[method])
            for role, method in (("alone", "labels"), ("distilled", "distillation"))
        ]
        teacher_cost, own_cost = (
            models.count_multiply_adds(network, loaded.input_shape) for network in (teacher.model, model)
        )
        change = bounds(confidence_interval(np.array(accuracy["distillation"]) - teacher.test_accuracy))
        rows.append(
            Row(scene, f"{loaded.name}, {student}, {recipe.epochs} epochs", "distillation, T = 4, λ = 0.9", teacher.test_accuracy,
                **compared(accuracy["labels"], accuracy["distillation"], len(loaded.y_test)),
                bytes=points[-1]["bytes"], latency=points[-1]["latency"], seeds=seeds,
                note=f"{teacher_cost / own_cost:.0f} times fewer multiply-adds than the teacher {teacher.name}, "
                f"{100 * change['mean']:+.1f} points from it" + (instead and f"; {instead}"))
        )  # fmt: skip
    return {"rows": [asdict(row) for row in rows], "sizes": points}


def distilled(dataset: Dataset, teacher: Teacher, recipe: Recipe, student: str, seed: int) -> Student:
    """Train one student with the usual soft targets."""
    return compare.distil("distillation", dataset, student, setting=SOFT, seed=seed, recipe=recipe, teacher=teacher)


def point(
    task: str, name: str, role: str, nbytes: int, median: float | None, p95: float | None, accuracy: Sequence[float]
) -> dict[str, Any]:
    """Give one point of the picture of accuracy against bytes and latency."""
    interval = bounds(confidence_interval(np.array(accuracy)))
    bars = {"accuracy": interval["mean"], "low": interval["low"], "high": interval["high"]}
    return {"task": task, "name": name, "role": role, "bytes": nbytes, "latency": median, "p95": p95, **bars}


# ---- The scenes ----------------------------------------------------------------------------------------------


def methods_scene(scale: Scale) -> Found:
    """All methods on one task: few images, where dark knowledge replaces data."""
    recipe = Recipe(epochs=scale.epochs(100))
    chosen = ("distillation", "hints") if scale.quick else ()
    found = compare.compare(
        "digits",
        chosen,
        "cnn-4",
        scenario="small-transfer-set",
        seeds=scale.seeds,
        recipe=recipe,
        results=scale.journal.with_name("results-methods.jsonl"),
    )
    assert found is not None  # nothing stops it
    alone = found.rows[0]
    dataset = data.load("digits")
    nbytes, latency, _, note = cost(models.build("cnn-4", dataset, 0), dataset.input_shape, scale)
    rows, listed = [], []
    for row in found.rows:
        setting = methods.in_symbols(row.setting)
        difference: dict[str, Any] = (
            bounds(row.difference) if row.difference is not None else dict.fromkeys(("low", "mean", "high"))
        )
        listed.append(
            {"method": row.method, "family": row.family, "setting": setting, "accuracy": float(np.mean(row.accuracies))}
            | difference
            | {name: getattr(row, name) for name in ("fidelity", "calibration_error", "seconds")}
        )
        if row is not alone:
            accuracy: dict[str, Any] = {"alone": float(np.mean(alone.accuracies)), "distilled": listed[-1]["accuracy"]}
            rows.append(
                Row("methods", f"digits, cnn-4, 200 examples, {recipe.epochs} epochs", f"{row.method} ({setting})", found.teacher_accuracy,
                    **accuracy, **difference, bytes=nbytes, latency=latency, seeds=found.seeds, note=note)
            )  # fmt: skip
    task = {"sentence": found.sentence, "teacher": found.teacher_accuracy, "task": "digits", "rows": listed}
    return {"rows": [asdict(row) for row in rows], "methods": task, "families": families(found)}


def families(found: compare.Comparison) -> Found:
    """Response against feature: of each kind the method with the best validation accuracy, and their paired difference."""
    best = {
        family: max((row for row in found.rows if row.family == family), key=lambda row: row.val_accuracy)
        for family in ("response", "feature")
    }
    examples = len(data.load(found.dataset).y_test)
    alone = found.rows[0].accuracies
    pairs = {name: np.subtract(row.accuracies, alone) for name, row in best.items()}
    pairs["feature − response"] = np.subtract(best["feature"].accuracies, best["response"].accuracies)
    intervals = metrics.holm_intervals(np.array(list(pairs.values())), examples=examples)
    count = {family: sum(row.family == family for row in found.rows) for family in best}
    return {
        "sentence": (
            f"{found.student} on {found.dataset} ({found.scenario}): of each kind the method that validation data prefer, one of "
            f"{count['response']} response-based and of {count['feature']} feature-based ones, each with {found.tries} settings; "
            "three comparisons, 95 % intervals corrected for their number (Holm)"
        ),
        "rows": [
            {"family": name, "methods": [best[name].method] if name in best else [row.method for row in best.values()]}
            | bounds(intervals.at(place))
            for place, name in enumerate(pairs)
        ],
    }


def vision_scene(scale: Scale) -> Found:
    """Fashion-MNIST at full scale, mirror images included: three seeds."""
    if absent := missing("vision", "fashion-mnist"):
        return {"rows": [asdict(row) for row in absent]}
    dataset = data.mirrored(scale.of(data.load("fashion-mnist")))
    teacher, students = ("vgg-4", ("mobile-2",)) if scale.quick else ("vgg-32", ("mobile-8",))
    recipe = Recipe(epochs=12, batch_size=256, learning_rate=0.015)
    return task_scene("vision", dataset, teacher, students, recipe, scale, seeds=2 if scale.quick else 3)


def phone_scene(scale: Scale) -> Found:
    """A distilled student as an ONNX file, float32 and int8: bytes, memory, latency, accuracy before and after."""
    dataset = data.load("digits")
    teacher = train_teacher(dataset)
    recipe = Recipe(epochs=scale.epochs(40))
    arms = [("cnn-8", seed) for seed in range(scale.seeds)]
    students = in_parallel(functools.partial(distilled, dataset, teacher, recipe), arms, "phone: digits")
    forms: dict[str, list[deploy.Form]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for student in students:
            for form in deploy.forms_of(student, folder, progress=lambda done, total: None, **scale.measuring):
                forms.setdefault(form.name, []).append(form)
    exact = [form.test_accuracy for form in forms["float32"]]
    costs = cost(teacher.model, dataset.input_shape, scale)[:3]
    rows, points = [], [point("digits", f"teacher {teacher.name}", "teacher", *costs, [teacher.test_accuracy])]
    for name, of_name in forms.items():
        accuracy = [form.test_accuracy for form in of_name]
        typical = sorted(of_name, key=lambda form: form.cost.latency.median)[len(of_name) // 2]
        memory = typical.cost.peak_memory
        found: Found = {"distilled": float(np.mean(exact))}
        if name != "float32":
            found = compared(exact, accuracy, len(dataset.y_test))
        found["alone"] = None  # no student of this scene learned without the teacher
        note = f"p95 {1e6 * typical.cost.latency.p95:.0f} µs" + (
            f", {memory / 1e6:.1f} MB more memory at its peak" if memory else ""
        )
        rows.append(
            Row("phone", "digits, cnn-8, distilled", name, teacher.test_accuracy, **found, against="the float32 file",
                bytes=typical.cost.bytes_on_disk, latency=typical.cost.latency.median, seeds=scale.seeds, note=note)
        )  # fmt: skip
        took, role = typical.cost.latency, "int8" if "int8" in name else "distilled"
        points.append(
            point("digits", f"cnn-8, {name}", role, typical.cost.bytes_on_disk, took.median, took.p95, accuracy)
        )
    return {"rows": [asdict(row) for row in rows], "sizes": points}


def real_time_scene(scale: Scale) -> Found:
    """Given a latency budget, the most accurate student that meets it on this machine: measured, chosen on validation data."""
    dataset = data.load("mnist1d")
    teacher = train_teacher(dataset)
    names = (
        ("mlp-8", "cnn-4")
        if scale.quick
        else ("mlp-8", "mlp-32", "mlp-128", "mlp-512", "cnn-4", "cnn-8", "cnn-16", "cnn-32")
    )
    recipe = Recipe(epochs=scale.epochs(20))
    work = functools.partial(distilled, dataset, teacher, recipe)
    students = in_parallel(work, [(name, 0) for name in names], "real time: mnist1d")
    measured = deploy.most_accurate_within(1.0, students, **scale.measuring).measured
    fastest, slowest = (edge(candidate.cost.latency.p95 for candidate in measured) for edge in (min, max))
    rows = []
    # One that none meets on this machine, one between the extremes, and one that all meet.
    for budget in (0.5 * fastest, (fastest * slowest) ** 0.5, slowest):
        choice = deploy.choose(budget, measured)
        found: dict[str, Any] = {"teacher": teacher.test_accuracy, "seeds": 1, "note": choice.sentence}
        if choice.chosen is not None:
            place = names.index(choice.chosen.name)
            costs = choice.chosen.cost
            found |= {
                "distilled": students[place].test_accuracy,
                "bytes": costs.bytes_on_disk,
                "latency": costs.latency.median,
            }
        rows.append(Row("real time", f"mnist1d, at most {1e6 * budget:.3g} µs", "distillation", **found))
    return {"rows": [asdict(row) for row in rows]}


def tables_scene(name: str, scale: Scale) -> Found:
    """A table distilled into a tree and into a few weights that a person can read, against the same models on labels."""
    scene = "medicine" if name == "breast-cancer" else "finance"
    if absent := missing(scene, name):
        return {"rows": [asdict(row) for row in absent]}
    dataset = data.load(name)
    usual = (dataset.y_test == dataset.y_train.mode().values).float().mean().item()
    rows = []
    for kind, scores in readable.over_splits(name, 2 if scale.quick else 20).items():
        label = {"tree": "tree of depth 3", "linear": "linear model of 5 columns"}[kind]
        teacher, alone, distilled = (
            float(np.mean(part)) for part in (scores.teacher, scores.on_labels, scores.distilled)
        )
        agree = (
            f"agrees with the teacher on {np.mean(scores.fidelity_distilled):.1%}, "
            f"on labels {np.mean(scores.fidelity_on_labels):.1%}: {metrics.in_points(scores.fidelity_difference)}"
        )
        rows.append(
            Row(scene, f"{name}, {label}", "soft targets as weights, T = 4", teacher, alone, distilled,
                **bounds(scores.accuracy_difference), against="the same model on labels", seeds=len(scores.teacher),
                note=f"{len(scores.teacher)} splits; {agree}; always naming the more frequent class would reach {usual:.1%}")
        )  # fmt: skip
    return {"rows": [asdict(row) for row in rows]}


def sequences_scene(
    scene: str, name: str, teacher: str, students: Sequence[str], recipe: Recipe, scale: Scale
) -> Found:
    """Language or speech: a recurrent or convolutional teacher, far smaller students."""
    if absent := missing(scene, name):
        return {"rows": [asdict(row) for row in absent]}
    dataset = scale.of(data.load(name)) if scale.quick else name
    return task_scene(scene, dataset, teacher, students[: 1 if scale.quick else None], recipe, scale)


def combined_scene(scale: Scale) -> Found:
    """Distillation after pruning, with training for int8, and with a start from the teacher's layers."""
    dataset = data.load("digits")
    teacher = train_teacher(dataset)
    kinds = ("plain", "pruned", "int8", "start")
    arms = [(kind, lam, seed, scale.quick) for kind in kinds for lam in (0.0, 0.9) for seed in range(scale.seeds)]
    with tempfile.TemporaryDirectory() as folder:
        done = in_parallel(functools.partial(combined, dataset, teacher, Path(folder)), arms, "combined: digits")
        found = dict(zip([arm[:3] for arm in arms], done, strict=True))
        costs = {  # measured now that nothing else is running
            (kind, seed): deploy.cost_of(one.file, dataset.input_shape, **scale.measuring)
            for (kind, lam, seed), one in found.items()
            if lam
        }
    words = {
        "plain": "distillation alone",
        "pruned": "80 % of the weights pruned, then trained on",
        "int8": "trained for int8 (static)",
        "start": "fine-tuned from the teacher's layers",
    }
    rows, points = [], []
    plain = [found["plain", 0.9, seed].accuracy for seed in range(scale.seeds)]
    for kind in kinds:
        arm = {lam: [found[kind, lam, seed] for seed in range(scale.seeds)] for lam in (0.0, 0.9)}
        accuracy = {lam: [one.accuracy for one in of_lam] for lam, of_lam in arm.items()}
        of_kind = [costs[kind, seed] for seed in range(scale.seeds)]
        nbytes = confidence_interval(np.array([one.bytes_on_disk for one in of_kind]))
        median, p95 = (
            confidence_interval(np.array([getattr(one.latency, name) for one in of_kind])) for name in ("median", "p95")
        )
        packed = confidence_interval(np.array([one.packed for one in arm[0.9]]))
        note = (
            f"latency {1e6 * median.mean:.0f} µs [{1e6 * median.low:.0f}, {1e6 * median.high:.0f}]; bytes {nbytes.mean:,.0f} "
            f"[{nbytes.low:,.0f}, {nbytes.high:,.0f}], in a zip archive {packed.mean:,.0f} [{packed.low:,.0f}, {packed.high:,.0f}]"
        )
        if kind != "plain":
            change = confidence_interval(np.subtract(accuracy[0.9], plain), examples=len(dataset.y_test))
            note += f"; against distillation alone {metrics.in_points(change)}"
        rows.append(
            Row("combined", "digits, cnn-8", words[kind], teacher.test_accuracy,
                **compared(accuracy[0.0], accuracy[0.9], len(dataset.y_test)), against="the same, trained on labels",
                bytes=round(float(nbytes.mean)), latency=float(median.mean), seeds=scale.seeds, note=note)
        )  # fmt: skip
        role = kind if kind in ("pruned", "int8") else "distilled"
        stored = round(float(nbytes.mean))
        points.append(
            point("digits", f"cnn-8, {words[kind]}", role, stored, float(median.mean), float(p95.mean), accuracy[0.9])
        )
    return {"rows": [asdict(row) for row in rows], "sizes": points}


@dataclass(frozen=True)
class Combined:
    """What one combined student reached, and its file."""

    accuracy: float
    packed: int  # bytes in a zip archive
    file: Path


def combined(
    dataset: Dataset, teacher: Teacher, folder: Path, kind: str, lam: float, seed: int, quick: bool
) -> Combined:
    """Train one student, alone (λ = 0) or distilled, and one other thing beside, and write its file into a folder.

    It is 40 epochs in all, whatever is done with them.
    """
    first, more = (1, 1) if quick else (20, 20)
    network = models.build("cnn-8", dataset, seed)
    if kind == "start":
        network = compress.start_from(network, teacher.model)
    learn = functools.partial(
        fit, x=dataset.x_train, labels=dataset.y_train, teacher_logits=teacher.train_logits,
        validation=(dataset.x_val, dataset.y_val), temperature=SOFT["temperature"], lam=lam, seed=seed,
    )  # fmt: skip
    if kind in ("pruned", "int8"):
        learn(network, recipe=Recipe(epochs=first))
        network = compress.prune(network, 0.8) if kind == "pruned" else compress.fake_quantised(network)
        learn(network, recipe=Recipe(epochs=more))
    else:
        learn(network, recipe=Recipe(epochs=first + more))
    path = deploy.export_onnx(network, dataset.input_shape, folder / f"{kind}-{lam}-{seed}.onnx")
    if kind == "int8":
        path = deploy.quantise(path, path.with_suffix(".int8.onnx"), "static", dataset.x_train[:500])
    logits = deploy.run_onnx(path, dataset.x_test)
    return Combined(metrics.accuracy(logits, dataset.y_test), deploy.sparse_bytes(path), path)


# ---- The three challenges ------------------------------------------------------------------------------------


def capacity_challenge(scale: Scale) -> Found:
    """Accuracy while the student shrinks: a curve over its width."""
    dataset = data.load("digits")
    teacher = train_teacher(dataset)
    curve, rows = [], []
    widths = (4, 32) if scale.quick else (2, 4, 8, 16, 32, 64, 128, 256, 512)
    for width in tqdm(widths, "capacity: widths"):
        name = f"mlp-{width}"
        result = train_grid(
            dataset, student=name, temperatures=(SOFT["temperature"],), lams=(0, SOFT["lam"]), seeds=scale.seeds,
            epochs=scale.epochs(40), teacher=teacher,
        )  # fmt: skip
        alone, distilled = result.accuracy[0]
        model = result.student_model(0, 1, 0)
        curve.append(
            {"task": dataset.name, "width": width, "parameters": models.count_parameters(model)}
            | {"alone": bounds(confidence_interval(alone)), "distilled": bounds(confidence_interval(distilled))}
        )
        rows.append(
            Row("challenge: capacity", f"digits, {name}, {result.epochs} epochs", "distillation, T = 4, λ = 0.9", teacher.test_accuracy,
                **compared(alone, distilled, len(dataset.y_test)), bytes=models.count_bytes(model), seeds=scale.seeds,
                note="bytes of the weights")
        )  # fmt: skip
    return {"rows": [asdict(row) for row in rows], "capacity": curve}


def soft_targets_challenge(scale: Scale) -> Found:
    """Soft targets for a whole training part, once and kept on disk, against anew in every epoch."""
    scene = "challenge: soft targets"
    if absent := missing(scene, "fashion-mnist"):
        return {"rows": [asdict(row) for row in absent]}
    dataset = scale.of(data.load("fashion-mnist"))
    teacher = train_teacher(data.mirrored(dataset), "vgg-4" if scale.quick else "vgg-32")
    x = torch.cat([dataset.x_train, dataset.x_val])  # all 60,000 that the data set has for training
    examples, batch = len(x), 128
    start = time.perf_counter()
    parts = tqdm(x.split(6_000), "soft targets, anew")
    logits = torch.cat([predict(teacher.model, part) for part in parts])
    anew = time.perf_counter() - start
    key = f"soft-targets-{dataset.fingerprint}"
    path = store.save_mapped(key, losses.soft_targets(logits, SOFT["temperature"]).numpy())
    start = time.perf_counter()
    kept = store.load_mapped(key)
    opening = time.perf_counter() - start
    assert kept is not None
    generator = data.seeded_generator(0, "batches")
    seconds = []
    for _ in range(5):
        order = torch.randperm(examples, generator=generator)
        start = time.perf_counter()
        for rows in order.split(batch):
            torch.from_numpy(kept[rows.numpy()])
        seconds.append(time.perf_counter() - start)
    mapped = float(np.median(seconds))
    note = (
        f"bytes of the soft targets; {examples:,} examples: computing takes {anew:.1f} s ({examples / anew:,.0f} a second), a shuffled epoch from the mapped file "
        f"{mapped:.3f} s ({examples / mapped:,.0f} a second, {anew / mapped:,.0f} times as many), opening it {1000 * opening:.0f} ms"
    )
    row = Row(scene, f"{dataset.name}, teacher {teacher.name}", "mapped from disk", teacher.test_accuracy, bytes=path.stat().st_size if path else None, note=note)  # fmt: skip
    return {"rows": [asdict(row)]}


def budget_challenge(scale: Scale) -> Found:
    """Distillation under a stated budget of time and memory, which the trainer keeps and reports."""
    dataset = data.load("digits")
    teacher = train_teacher(dataset)
    rows = []
    for seconds in tqdm((0.5,) if scale.quick else (0.5, 2.0, 8.0), "budget: seconds"):
        accuracy: dict[float, list[float]] = {0.0: [], SOFT["lam"]: []}
        for lam, found in accuracy.items():
            for seed in range(scale.seeds):
                student = train_student(
                    dataset, "small-transfer-set", "cnn-8", temperature=SOFT["temperature"], lam=lam, seed=seed, teacher=teacher,
                    recipe=Recipe(epochs=scale.epochs(400)), budget=Budget(seconds, memory_bytes=500e6),
                )  # fmt: skip
                found.append(student.test_accuracy)
        spent = student.history.spent
        assert spent is not None
        rows.append(
            Row("challenge: budget", f"digits, cnn-8, 200 examples, at most {seconds:g} s and 500 MB", "distillation, T = 4, λ = 0.9",
                teacher.test_accuracy, **compared(accuracy[0.0], accuracy[SOFT["lam"]], len(dataset.y_test)), seeds=scale.seeds,
                note=f"the last one: {student.history.epochs} epochs, {spent.sentence}")
        )  # fmt: skip
    return {"rows": [asdict(row) for row in rows]}


SCENES: dict[str, Callable[[Scale], Found]] = {
    "methods": methods_scene,
    "vision": vision_scene,
    "phone": phone_scene,
    "real time": real_time_scene,
    "medicine": functools.partial(tables_scene, "breast-cancer"),
    "finance": functools.partial(tables_scene, "credit"),
    "language": functools.partial(
        sequences_scene, "language", "names", "gru-64", ("cnn-4", "gru-8"), Recipe(epochs=25, learning_rate=0.01)
    ),
    "speech": functools.partial(
        sequences_scene, "speech", "speech", "cnn-32", ("cnn-4", "cnn-8"), Recipe(epochs=60, learning_rate=0.01)
    ),
    "speech, 9 speakers": functools.partial(
        sequences_scene, "speech, 9 speakers", "japanese-vowels", "cnn-32", ("cnn-4",), Recipe(epochs=150)
    ),
    "combined": combined_scene,
    "capacity": capacity_challenge,
    "soft targets": soft_targets_challenge,
    "budget": budget_challenge,
}


def run(quick: bool = False) -> Report:
    """Measure every scene that is not in the journal yet; give the table, and write what the app draws."""
    if not quick:
        return _run(Scale(False, store.folder() / f"results-scenes{store.JOURNAL_SUFFIX}"))
    with tempfile.TemporaryDirectory() as folder:
        return _run(Scale(True, Path(folder) / "results-scenes.jsonl"))


def _run(scale: Scale) -> Report:
    start = time.perf_counter()
    version = hashlib.blake2b(Path(__file__).read_bytes(), digest_size=8).hexdigest()
    records = store.read_records(scale.journal)
    done = {record["scene"]: record for record in records if record.get("version") == version}
    for name, scene in SCENES.items():
        if name not in done:
            begun = time.perf_counter()
            try:
                found = scene(scale)
            except (ImportError, FileNotFoundError) as problem:
                found = {"rows": [asdict(Row(name, "–", "–", note=str(problem)))]}
            done[name] = {"scene": name, "version": version, "seconds": time.perf_counter() - begun, **found}
            if any(row["teacher"] is not None for row in found["rows"]):  # what is missing may be there next time
                store.append_record(scale.journal, done[name])
        print(f"{name}: {done[name]['seconds']:.0f} s", flush=True)
    parts = [done[name] for name in SCENES]
    rows = [Row(**row) for part in parts for row in part["rows"]]
    if not scale.quick:
        RESULTS.write_text(json.dumps(picture(parts), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for journal in scale.journal.parent.glob(f"results-*{store.JOURNAL_SUFFIX}"):
            journal.unlink()  # what is complete begins anew next time
    seconds = sum(part["seconds"] for part in parts)
    print(f"all scenes: {seconds:.0f} s, of which now {time.perf_counter() - start:.0f} s", flush=True)
    return Report("Every scene of the article", f"{LEGEND}\n\n{table(rows)}", True, seconds=seconds)


def picture(found: list[Found]) -> Found:
    """Put together what the app's page draws."""
    sizes = [one for part in found for one in part.get("sizes", ())]
    parts: Found = {name: part[name] for part in found for name in ("methods", "families", "capacity") if name in part}
    rows = [row for part in found for row in part["rows"]]
    seconds = sum(part["seconds"] for part in found)
    return {"format": 1, "machine": machine(), "seconds": seconds, "rows": rows, "sizes": sizes, **parts}


def table(rows: Sequence[Row]) -> str:
    """Write the table: rows scenes and methods, columns teacher, student alone, distilled, interval, bytes, latency."""
    lines = [
        "| scene | task | method | teacher | alone | distilled | difference, 95 % interval | verdict | bytes | latency | seeds | notes |",
        "|" + "---|" * 12,
    ]
    for row in rows:
        interval = None
        if row.mean is not None:
            low, high = (-np.inf if row.low is None else row.low), (np.inf if row.high is None else row.high)
            interval = Interval(np.array(row.mean), np.array(low), np.array(high))
        values = [
            row.scene,
            row.task,
            row.method,
            *("" if share is None else f"{share:.1%}" for share in (row.teacher, row.alone, row.distilled)),
            "" if interval is None else f"{metrics.in_points(interval)} ({row.against})",
            "" if interval is None else metrics.verdict(interval),
            "" if row.bytes is None else f"{row.bytes:,}",
            "" if row.latency is None else f"{1e6 * row.latency:.0f} µs",
            str(row.seeds or ""),
            row.note,
        ]
        lines.append("| " + " | ".join(value.replace("|", "/") for value in values) + " |")
    return "\n".join(lines)
