"""Fair comparisons: every method on one task, with the same start, the same batches, the same budget, the same number of tries.

``distil`` trains one student by one method. ``sweep`` does a list of such runs through joblib, in local processes or on a
cluster that joblib knows, and stores each result as it arrives, so that a killed sweep continues. ``compare`` chooses each
method's setting on validation data, and reports test accuracy as paired differences from the student alone, corrected for the
number of comparisons.
"""

import copy
import functools
import hashlib
import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from torch import Tensor, nn

from toolkit import losses, machine, methods, metrics, models, scenarios, store
from toolkit.data import Dataset, check_seed, load
from toolkit.methods import Batch, Method, Setting
from toolkit.models import Outputs, outputs_of
from toolkit.scenarios import Scenario, TransferSet
from toolkit.training import (
    Budget,
    History,
    Progress,
    Recipe,
    Student,
    Teacher,
    TrainingDiverged,
    as_teacher,
    bar_unless,
    fit_within,
    predict,
    train_teacher,
)

ALONE = "labels"  # the method that all others are compared with
_ENSEMBLE = 3  # teachers
_ASSISTANT_IS_WIDER = 4  # times as wide as the student
_SECOND_NETWORK = 1_000_000  # added to a seed: weights of no seed that anybody asks for


def distil(
    method: str,
    dataset: Dataset | str,
    student: str = "mlp-32",
    *,
    scenario: Scenario | str = "all-labels",
    setting: Setting | None = None,
    seed: int = 0,
    recipe: Recipe | None = None,
    teacher: Teacher | nn.Module | str | None = None,
    budget: Budget | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Student:
    """Train one student by a method: the method is one name.

    Parameters
    ----------
    method : one of ``methods.names()``
    setting : the method's own numbers, such as ``{"weight": 1.0}``; without one, the middle one of its settings
    seed : draws first weights, order of batches and the scenario's subset, alike for all methods
    teacher : as for ``train_student``; feature methods need an ``nn.Sequential``
    budget, progress, stop : as for ``train_student``; of a method that trains several networks, budget and progress concern the last

    Raises
    ------
    ValueError
        For an unknown name, a setting that the method does not have, or networks that do not fit the method.
    TrainingDiverged
        If the numbers leave the finite range.
    """
    dataset = load(dataset) if isinstance(dataset, str) else dataset
    scenario = scenarios.get(scenario) if isinstance(scenario, str) else scenario
    chosen = methods.get(method)
    setting = _checked(chosen, setting)
    check_seed(seed)
    run = _Training(dataset, scenario.draw(dataset, seed), recipe or Recipe(), seed, stop)
    network = models.build(student, dataset, seed)
    second = models.build(student, dataset, seed + _SECOND_NETWORK) if method in ("born-again", "mutual") else None
    learns_from: Teacher | None = None
    if method == "born-again":
        assert second is not None
        run.train(second, methods.get(ALONE), methods.get(ALONE).settings[0])
        learns_from = Teacher.of(second, dataset, f"{student}, trained alone")
    elif chosen.family != "labels" and method != "mutual":
        learns_from = as_teacher(teacher, dataset, stop)
    if method == "assistant" and learns_from:
        assistant = models.build(_wider(student), dataset, seed)
        run.train(assistant, chosen, setting, learns_from)
        learns_from = Teacher.of(assistant, dataset, f"the assistant {_wider(student)}")
    if method == "ensemble" and learns_from:
        learns_from = _ensemble(learns_from, setting["temperature"], stop)
    history = run.train(
        network,
        chosen,
        setting,
        learns_from,
        peer=second if method == "mutual" else None,
        budget=budget,
        progress=progress,
        name=f"the student {student} ({method}, {setting}, seed {seed})",
    )
    return Student(student, network, dataset, history)


def _checked(method: Method, setting: Setting | None) -> Setting:
    if setting is None:
        return method.settings[len(method.settings) // 2]
    known = method.settings[0]
    if set(setting) != set(known):
        raise ValueError(f"the method {method.name!r} has the settings {', '.join(known)}, not {', '.join(setting)}")
    checks = {"temperature": losses.check_temperature, "lam": losses.check_lam}
    for name, value in setting.items():
        if name in checks:
            checks[name](value)
        elif isinstance(value, bool | str) or not 0 <= value < float("inf"):
            raise ValueError(
                f"{name} of the method {method.name!r} must be a finite number of at least 0, not {value!r}"
            )
    return setting


def _wider(name: str) -> str:
    family, *widths = name.split("-")
    return "-".join([family, *(str(int(width) * _ASSISTANT_IS_WIDER) for width in widths)])


def _ensemble(teacher: Teacher, temperature: float, stop: threading.Event | None) -> Teacher:
    """Give one teacher whose soft targets at T are the mean of those of several, which differ in their seed."""
    try:
        models.build(teacher.name, teacher.dataset)
    except ValueError as problem:
        raise ValueError(
            f"the method 'ensemble' trains more teachers like the given one, which needs the name of a model, not {teacher.name!r}"
        ) from problem
    others = [
        train_teacher(teacher.dataset, teacher.name, seed=seed, progress=_quietly, stop=stop)
        for seed in range(1, _ENSEMBLE)
    ]
    together = replace(teacher, name=f"{_ENSEMBLE} × {teacher.name}")
    logits = [one.train_logits for one in (teacher, *others)]
    together.__dict__["train_logits"] = methods.ensemble_logits(logits, temperature)  # where the cached property looks
    return together


@dataclass(frozen=True)
class _Training:
    """What all networks of one run share: examples, recipe, seed."""

    dataset: Dataset
    transfer: TransferSet
    recipe: Recipe
    seed: int
    stop: threading.Event | None

    def train(
        self,
        network: nn.Module,
        method: Method,
        setting: Setting,
        teacher: Teacher | None = None,
        *,
        peer: nn.Module | None = None,
        budget: Budget | None = None,
        progress: Progress | None = None,
        name: str = "the first of two networks",
    ) -> History:
        setting = dict(setting)
        penalty_weight = setting.pop("penalty_weight", 0.0)
        rows = self.transfer.indices
        x = self.dataset.x_train[rows]
        also_train = peer
        watched = teacher.model if teacher is not None and method.uses_features else None
        if watched is not None:
            home, mode = next(watched.parameters()).device, watched.training
            watched.to(x.device).eval()
            if method.name == "hints":
                also_train = setting["projection"] = _projection(network, watched, x[:2], self.seed)
            watched.to(machine.device())
        teacher_logits = None if teacher is None else teacher.train_logits[rows]

        def batch_loss(examples: Tensor, labels: Tensor, of_batch: Tensor | None) -> Tensor:
            student = outputs_of(network, examples)
            if peer is not None:  # each is the other's teacher
                second = outputs_of(peer, examples)
                pairs = [Batch(student, second, labels), Batch(second, student, labels)]
            else:
                said = Outputs(student.logits.detach() if of_batch is None else of_batch, ())
                if watched is not None:
                    with torch.no_grad():
                        said = outputs_of(watched, examples)
                pairs = [Batch(student, said, labels)]
            parts = [part for pair in pairs for part in method.batch_loss(pair, **setting).values()]
            return torch.stack(parts).sum()

        try:
            return fit_within(
                budget,
                network,
                x,
                self.transfer.labels,
                teacher_logits,
                self.recipe,
                validation=(self.dataset.x_val, self.dataset.y_val),
                batch_loss=batch_loss,
                also_train=also_train,
                penalty_weight=penalty_weight,
                seed=self.seed,
                progress=progress,
                stop=self.stop,
                name=name,
            )
        finally:
            if watched is not None:
                watched.to(home).train(mode)


def _projection(network: nn.Module, teacher: nn.Module, x: Tensor, seed: int) -> nn.Module:
    """Make the projection of a hint; on copies in eval mode, so that looking at shapes changes nothing."""
    with torch.no_grad():
        ours, theirs = (methods.middle(outputs_of(copy.deepcopy(model).eval(), x)) for model in (network, teacher))
    return methods.projection_between(ours, theirs, seed=seed)


# ---- Many runs -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One student to be trained: everything that its result depends on.

    ``dataset`` is a name or the object, ``scenario`` a name; ``setting`` and ``parameters`` (of the scenario) are dicts, or
    pairs, which they become, so that a run can be compared and written down.
    """

    dataset: Dataset | str
    method: str
    setting: Mapping[str, Any] | tuple[tuple[str, Any], ...] = ()
    student: str = "mlp-32"
    seed: int = 0
    scenario: str = "all-labels"
    parameters: Mapping[str, float] | tuple[tuple[str, float], ...] = ()
    recipe: Recipe = field(default_factory=Recipe)
    teacher: str | None = None

    def __post_init__(self) -> None:
        for name in ("setting", "parameters"):
            object.__setattr__(self, name, tuple(sorted(dict(getattr(self, name)).items())))

    @property
    def key(self) -> str:
        """Names the run in a journal: another one where the data, the toolkit's version of them, or any setting differs."""
        numbers = [
            [(name, float(value)) for name, value in dict(pairs).items()] for pairs in (self.setting, self.parameters)
        ]
        names = [self.method, self.student, int(self.seed), self.scenario, self.teacher]
        what = [_FORMAT, _loaded(self.dataset).fingerprint, names, numbers, asdict(self.recipe)]
        return hashlib.blake2b(json.dumps(what, default=float).encode(), digest_size=12).hexdigest()


_FORMAT = 1  # raise it when results change their meaning: older ones are then ignored


@dataclass(frozen=True)
class Outcome:
    """What one run reached: accuracies, negative log likelihood and calibration error on the test part; agreement with the
    teacher; seconds of training, those of an assistant or of a first generation included, those of teachers not.

    A training that diverged says so; its network classifies nothing, so that its shares are 0, and its calibration error is 1.
    """

    val_accuracy: float
    test_accuracy: float
    negative_log_likelihood: float
    calibration_error: float
    fidelity: float
    seconds: float
    diverged: str = ""


def execute(run: Run) -> Outcome:
    """Do one run in this process."""
    dataset = _loaded(run.dataset)
    teacher = train_teacher(dataset, run.teacher, progress=_quietly)
    scenario = scenarios.get(run.scenario, **dict(run.parameters))
    start = time.perf_counter()
    try:
        student = distil(
            run.method,
            dataset,
            run.student,
            scenario=scenario,
            setting=dict(run.setting) or None,
            seed=run.seed,
            recipe=run.recipe,
            teacher=teacher,
        )
    except TrainingDiverged as problem:
        return Outcome(0.0, 0.0, float("inf"), 1.0, 0.0, time.perf_counter() - start, str(problem))
    seconds = time.perf_counter() - start
    logits = predict(student.model, dataset.x_test)
    return Outcome(
        student.val_accuracy,
        metrics.accuracy(logits, dataset.y_test),
        metrics.negative_log_likelihood(logits, dataset.y_test),
        metrics.calibration_error(logits, dataset.y_test),
        metrics.fidelity(logits, teacher.test_logits),
        seconds,
    )


def _quietly(done: int, total: int) -> None:
    """Stand where a bar of epochs would be: the sweep has one of its own."""


@functools.lru_cache(maxsize=2)
def _loaded_by_name(name: str) -> Dataset:
    return load(name)


def _loaded(dataset: Dataset | str) -> Dataset:
    return _loaded_by_name(dataset) if isinstance(dataset, str) else dataset


def _numbered(number: int, run: Run) -> tuple[int, Outcome]:
    return number, execute(run)


def sweep(
    runs: Iterable[Run],
    *,
    results: Path | str | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> dict[Run, Outcome]:
    """Do many runs at once through joblib, and store each result as it arrives.

    Parameters
    ----------
    results : a journal; what it already holds is not done again, so that a killed sweep continues where it was
    jobs : processes at a time; without a number, what ``joblib.parallel_config`` says (a cluster, for example), else one for
        each core
    progress : called with (runs done, runs in all); without one, a bar with the time left is shown
    stop : once set, no further run is begun, and what is done is given back. (After Ctrl-C it is in the journal.)

    Returns
    -------
    The outcomes of the runs that are done, in the order in which the runs were given.
    """
    runs = list(dict.fromkeys(runs))
    path = None if results is None else Path(results)
    records = [] if path is None else store.read_records(path)
    known = {record["key"]: record["outcome"] for record in records if {"key", "outcome"} <= set(record)}
    done = {run: Outcome(**known[run.key]) for run in runs if run.key in known}
    left = [run for run in runs if run not in done]
    of_ensembles = range(_ENSEMBLE)
    teachers = [
        (run.dataset, run.teacher, n) for run in left for n in (of_ensembles if run.method == "ensemble" else (0,))
    ]
    for dataset, teacher, number in dict.fromkeys(teachers):  # here and once, not in every process
        if not (stop and stop.is_set()):
            train_teacher(_loaded(dataset), teacher, seed=number, progress=progress and _quietly, stop=stop)
    if jobs is None and joblib.effective_n_jobs(None) == 1:
        jobs = joblib.cpu_count()
    with bar_unless(progress, "Training students", unit="student") as report:
        report(len(done), len(runs))
        waiting = (joblib.delayed(_numbered)(n, run) for n, run in enumerate(left) if not (stop and stop.is_set()))
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1)
        for number, outcome in parallel(waiting):
            run = left[number]
            done[run] = outcome
            if path is not None:
                store.append_record(path, {"key": run.key, "outcome": asdict(outcome)})
            report(len(done), len(runs))
    return {run: done[run] for run in runs if run in done}


# ---- A fair comparison ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One method: the setting that validation data chose, and what it reached on the test part.

    ``accuracies`` has one value a seed. ``difference`` is from the student alone, as a share, with the interval that is corrected
    for the number of methods; None for the student alone. All else are means over seeds.
    """

    method: str
    family: str
    setting: Setting
    val_accuracy: float
    accuracies: tuple[float, ...]
    difference: metrics.Interval | None
    fidelity: float
    calibration_error: float
    seconds: float

    @property
    def verdict(self) -> str:
        """ "better", "worse", "no measurable difference", or "the reference"."""
        return "the reference" if self.difference is None else metrics.verdict(self.difference)


@dataclass(frozen=True)
class Comparison:
    """What a fair comparison found: a row for each method, the student alone first."""

    dataset: str
    student: str
    scenario: str
    teacher: str
    teacher_accuracy: float
    examples: int  # that the student learns from
    epochs: int
    seeds: int
    tries: int
    rows: tuple[Row, ...]
    left_out: tuple[str, ...] = ()  # methods that do not fit the networks

    @property
    def sentence(self) -> str:
        """Say what was compared, how often, and how it was corrected."""
        return (
            f"{self.student} on {self.dataset} ({self.scenario}: {self.examples:,} examples), {self.epochs} epochs; "
            f"teacher {self.teacher} ({self.teacher_accuracy:.1%}); {self.seeds} seeds; {self.tries} settings tried for each method, chosen on validation data; "
            f"{len(self.rows) - 1} comparisons with the student alone, 95 % intervals corrected for their number (Holm)"
            + (f"; left out, since they do not fit these networks: {', '.join(self.left_out)}" if self.left_out else "")
        )


def compare(
    dataset: Dataset | str,
    chosen: Sequence[str] = (),
    student: str = "mlp-32",
    *,
    scenario: str = "all-labels",
    parameters: dict[str, float] | None = None,
    seeds: int = 5,
    recipe: Recipe | None = None,
    teacher: str | None = None,
    results: Path | str | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Comparison | None:
    """Compare methods with the student alone on one task.

    Each method gets the same number of tries: its settings are trained with the first two seeds, and the best mean *validation*
    accuracy chooses. Then all seeds are trained with what was chosen, and the test part is looked at.

    Parameters
    ----------
    chosen : names of methods; without any, all that fit the networks. The student alone always takes part
    teacher : the name of a model; without one, the usual teacher of the data set
    results, jobs, progress, stop : as for ``sweep``

    Returns
    -------
    The comparison; None if it was stopped before it was complete. What is done is then in the journal.
    """
    check_seed(seeds, "seeds")
    if seeds < 1:
        raise ValueError("seeds must be at least 1, not 0")
    loaded = _loaded(dataset)
    misfits = {name: why for name in chosen or methods.names() if (why := misfit(name, loaded, student, teacher))}
    if chosen and misfits:
        raise ValueError("; ".join(misfits.values()))
    names = [ALONE, *dict.fromkeys(name for name in chosen or methods.names() if name != ALONE and name not in misfits)]
    task = Run(
        dataset,
        ALONE,
        student=student,
        scenario=scenario,
        parameters=parameters or {},
        recipe=recipe or Recipe(),
        teacher=teacher,
    )

    def runs_of(method: str, setting: Setting, count: int) -> list[Run]:
        return [replace(task, method=method, setting=setting, seed=seed) for seed in range(count)]

    tried = min(seeds, _SEEDS_FOR_CHOOSING)
    done = functools.partial(sweep, results=results, jobs=jobs, progress=progress, stop=stop)
    trials = [(name, setting) for name in names for setting in methods.get(name).settings]
    outcomes = done([run for trial in trials for run in runs_of(*trial, tried)])
    if len(outcomes) < len(trials) * tried:
        return None

    def on_validation(name: str, setting: Setting) -> float:
        return float(np.mean([outcomes[run].val_accuracy for run in runs_of(name, setting, tried)]))

    best = {name: max(methods.get(name).settings, key=functools.partial(on_validation, name)) for name in names}
    wanted = [run for name in names for run in runs_of(name, best[name], seeds)]
    outcomes |= done([run for run in wanted if run not in outcomes])
    found = {name: [outcomes[run] for run in runs_of(name, best[name], seeds) if run in outcomes] for name in names}
    if any(len(of_method) < seeds for of_method in found.values()):
        return None
    return replace(_comparison(task, best, found, seeds), left_out=tuple(misfits))


_SEEDS_FOR_CHOOSING = 2


def misfit(method: str, dataset: Dataset, student: str, teacher: str | None = None) -> str:
    """Say why a method cannot work with these networks; an empty text where it can. Nothing is trained."""
    if not methods.get(method).uses_features:
        return ""
    names, few = (student, teacher or models.default_teacher(dataset)), dataset.x_train[:2]
    networks = [models.build(name, dataset, 0).eval() for name in names]
    setting = dict(methods.get(method).settings[0])
    if method == "hints":
        setting["projection"] = _projection(networks[0], networks[1], few, 0)
    with torch.no_grad():
        try:
            methods.get(method).batch_loss(
                Batch(outputs_of(networks[0], few), outputs_of(networks[1], few), dataset.y_train[:2]), **setting
            )
        except ValueError as problem:
            return f"{names[0]} and {names[1]}: {problem}"
    return ""


def _comparison(task: Run, best: dict[str, Setting], found: dict[str, list[Outcome]], seeds: int) -> Comparison:
    dataset = _loaded(task.dataset)
    accuracy = np.array([[outcome.test_accuracy for outcome in of_method] for of_method in found.values()])
    differences = metrics.holm_intervals(accuracy[1:] - accuracy[0], examples=len(dataset.y_test))
    rows = []
    for number, (name, outcomes) in enumerate(found.items()):
        mean = lambda part, of=outcomes: float(np.mean([getattr(outcome, part) for outcome in of]))  # noqa: E731
        rows.append(
            Row(
                name,
                methods.get(name).family,
                best[name],
                mean("val_accuracy"),
                tuple(accuracy[number].tolist()),
                differences.at(number - 1) if number else None,
                mean("fidelity"),
                mean("calibration_error"),
                mean("seconds"),
            )
        )
    teacher = train_teacher(dataset, task.teacher, progress=_quietly)
    return Comparison(
        dataset.name,
        task.student,
        task.scenario,
        teacher.name,
        teacher.test_accuracy,
        len(scenarios.get(task.scenario, **dict(task.parameters)).draw(dataset, task.seed).indices),
        task.recipe.epochs,
        seeds,
        len(methods.get(ALONE).settings),
        tuple(rows),
    )
