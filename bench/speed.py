"""How fast is the grid? The same 64 students, trained in many ways side by side (``bench.race``), and what is claimed."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from bench import agreement, peers
from bench.contestants import cached_teacher
from bench.race import SETTINGS, Race, Result, race
from bench.tables import Report, markdown

ROUNDS = 5
EPOCHS, EPOCHS_OF_CONVOLUTIONS = 20, 10


# ---- Tables --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A contestant's line in the table."""

    contestant: str
    students_a_round: str = "–"
    median_s: str = "–"
    min: str = "–"
    max: str = "–"
    seconds_for_64: str = "–"
    times_the_grid: str = "–"
    test_accuracy: str = "–"
    minus_the_grid: str = "–"
    comparable: str = ""


def rows(contest: Race, grid: str) -> list[Row]:
    """Make the lines of a race; ``grid`` names the contestant that the others are compared with."""
    return [_row(result, contest, contest.results[grid]) for result in contest.results.values()]


def _row(result: Result, contest: Race, grid: Result) -> Row:
    if not result.seconds:
        return Row(result.title, comparable=f"not measured: {result.problem}")
    return Row(
        result.title,
        str(result.students),
        f"{result.median:.3f}",
        f"{min(result.seconds):.3f}",
        f"{max(result.seconds):.3f}",
        f"{64 * result.per_student:.3g}",
        f"{result.per_student / grid.per_student:.3g}" if grid.seconds else "–",
        f"{100 * np.mean(list(result.accuracies.values())):.2f} %" if result.accuracies else "–",
        f"{100 * contest.difference(result, grid):+.2f}" if result.accuracies and grid.accuracies else "–",
        "; ".join(part for part in (_verdict(result, contest, grid), result.remark, result.problem) if part),
    )


def _verdict(result: Result, contest: Race, grid: Result) -> str:
    if result is grid or not result.accuracies or not grid.accuracies:
        return ""
    noise = f"± {100 * contest.noise(list(result.accuracies)):.2f}"
    return f"yes, within {noise}" if contest.is_comparable(result, grid) else f"not comparable: beyond {noise}"


@dataclass(frozen=True)
class Claim:
    """Something claimed: what is wanted, what was measured, whether it holds (None: stated only, or not measured)."""

    claim: str
    wanted: str
    measured: str
    holds: bool | None


def at_least(claim: str, wanted: float, measured: float | None, note: str = "") -> Claim:
    """Claim that a measured number is as large as wanted."""
    if measured is None:
        return Claim(claim, f"at least {wanted:g}{note}", "not measured", None)
    return Claim(claim, f"at least {wanted:g}{note}", f"{measured:.3g}", measured >= wanted)


def at_most(claim: str, wanted: float, measured: float | None) -> Claim:
    """Claim that a measured number is as small as wanted."""
    if measured is None:
        return Claim(claim, f"at most {wanted:g}", "not measured", None)
    return Claim(claim, f"at most {wanted:g}", f"{measured:.3g}", measured <= wanted)


def claims_of_race(digits: Race, wide: Race, convolutional: Race) -> list[Claim]:
    """Hold the ratios of the races against what is claimed of them."""
    return [
        at_least(
            "grid, 64 students: times faster than the tutorial-style loop",
            120,
            digits.ratio("tutorial, all", "grid"),
            " (goal 150)",
        ),
        at_least(
            "grid, 64 students: times faster than that loop with cached logits",
            50,
            digits.ratio("cached, all", "grid"),
        ),
        at_most("grid, hidden 32: times the bound", 2.5, digits.ratio("grid", "bound")),
        at_most("grid, hidden 128: times the bound", 2.0, wide.ratio("grid-128", "bound-128")),
        at_most("time per student: 640 students in one call against 64", 1.0, digits.ratio("grid-640", "grid")),
        at_least(
            "64 convolutional students (mnist1d, 10 epochs): times faster than one by one",
            7,
            convolutional.ratio("plain-cnn", "grid-cnn"),
        ),
        at_least(
            "one student, plain loop: times faster than the tutorial-style loop",
            1.5,
            digits.ratio("tutorial", "plain"),
        ),
        at_least(
            "one student, plain loop: times faster than torchdistill's KDLoss in that loop",
            1.5,
            digits.ratio("kdloss", "plain"),
        ),
    ]


def claims_of_accuracy(contest: Race, grid: str, names: Sequence[str]) -> list[Claim]:
    """Claim that these contestants reached the grid's accuracy: times of unlike work prove nothing."""
    reference = contest.results[grid]
    claims = []
    for result in (contest.results[name] for name in names if name in contest.results):
        measured, holds = "not measured", None
        if result.accuracies and reference.accuracies:
            measured = f"{100 * contest.difference(result, reference):+.2f} points"
            holds = contest.is_comparable(result, reference)
        claims.append(Claim(f"same accuracy as the grid: {result.title}", "within noise", measured, holds))
    return claims


def claims_of_agreement(losses: Mapping[str, float], students: agreement.StudentDifferences) -> list[Claim]:
    """Claim that losses have the same values, and that stacking changes neither accuracies nor weights."""
    return [
        at_most(
            "loss values (relative where above 1): largest difference from the tutorial's", 1e-5, losses.get("tutorial")
        ),
        at_most(
            "loss values (relative where above 1): largest difference from torchdistill's KDLoss",
            1e-5,
            losses.get("KDLoss"),
        ),
        at_most("64 students stacked or one by one: mean difference in accuracy, points", 0.1, students.accuracy_mean),
        at_most("… largest difference in accuracy, points", 1.0, students.accuracy_max),
        at_most("… median difference of weights", 1e-6, students.weight_median),
        Claim("… largest difference of weights", "stated", f"{students.weight_max:.3g}", None),
    ]


# ---- The figure ----------------------------------------------------------------------------------------------

BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#666666"  # Okabe and Ito's colours can be told apart by everyone


def figure(contest: Race, epochs: int) -> Figure:
    """Draw seconds for 64 students as bars on a logarithmic axis, from minimum to maximum."""
    measured = sorted(
        (result for result in contest.results.values() if result.seconds), key=lambda result: -result.per_student
    )
    drawing = Figure(figsize=(10, 0.5 * len(measured) + 1.2), layout="constrained")
    axes = drawing.subplots()
    for position, result in enumerate(measured):
        scale = 64 / result.students
        middle, low, high = (scale * value for value in (result.median, min(result.seconds), max(result.seconds)))
        colour = BLUE if result.title.startswith("our") else GREY if result.title.startswith("bound") else ORANGE
        axes.barh(position, middle, color=colour, height=0.7)
        axes.plot([low, high], [position, position], color="black", linewidth=2)
        axes.text(high * 1.1, position, f"{middle:.3g} s", va="center", fontsize=12)
    axes.set_yticks(range(len(measured)), [result.title for result in measured], fontsize=12)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(right=2 * axes.get_xlim()[1])  # room for the words
    axes.set_xlabel(f"seconds for 64 students, {epochs} epochs (bar: median; line: minimum to maximum)", fontsize=12)
    axes.tick_params(axis="x", labelsize=12)
    axes.spines[["top", "right"]].set_visible(False)
    return drawing


# ---- All of it -----------------------------------------------------------------------------------------------


def run(quick: bool = False) -> Report:
    """Run the races, check the claims, and report. Quick: one round, few epochs; it only proves that all of it runs."""
    cached_teacher("digits"), cached_teacher("mnist1d")  # once, before several processes want them
    rounds = 1 if quick else ROUNDS
    epochs, epochs_of_convolutions = (2, 1) if quick else (EPOCHS, EPOCHS_OF_CONVOLUTIONS)
    ways = ("tutorial", "tutorial-1", "cached", "kdloss", "box", "keras", "vmap", "plain", "grid", "bound", "grid-640")
    digits = race(ways, rounds=rounds, epochs=epochs, in_full=() if quick else ("tutorial", "cached"), few=quick)
    wide = race(("grid-128", "bound-128"), rounds=rounds, epochs=epochs)
    convolutional = race(("plain-cnn", "grid-cnn"), rounds=rounds, epochs=epochs_of_convolutions, few=quick)
    if quick:  # nobody reads its tables, so that a contestant that broke must stop it
        for contest in (digits, wide, convolutional):
            contest.raise_if_one_broke()
    settings = (
        [setting for setting in SETTINGS if setting[0] in (1, 20) and setting[1] in (0, 0.9)] if quick else SETTINGS
    )
    claims = [
        *claims_of_race(digits, wide, convolutional),
        *claims_of_accuracy(digits, "grid", ("tutorial, all", "cached, all", "kdloss", "vmap", "plain")),
        *claims_of_accuracy(convolutional, "grid-cnn", ("plain-cnn",)),
        *claims_of_agreement(_losses(), agreement.student_differences(settings, epochs)),
    ]
    details = "\n\n".join(
        [
            markdown(rows(digits, "grid")),
            _explanation(digits, epochs),
            "Hidden layers of 128:",
            markdown(rows(wide, "grid-128")),
            f"Convolutional students, cnn-16 on mnist1d, {epochs_of_convolutions} epochs:",
            markdown(rows(convolutional, "grid-cnn")),
        ]
    )
    holds = all(claim.holds is not False for claim in claims)
    return Report("How fast is the grid?", markdown(claims), holds, figure(digits, epochs), details)


def _explanation(contest: Race, epochs: int) -> str:
    return (
        f"64 students mlp-32 on digits, 8 temperatures × 8 values of λ, {epochs} epochs. All have the same first weights, batch size "
        "(64), AdamW with the one-cycle schedule, and validation after every epoch; students of a subset lie spread over T "
        f"and λ. Rounds are interleaved, on the processor, each after a warm-up of one epoch; what takes less than a second takes three turns in a round. Threads: torch's default ({contest.threads}), except where a row or the toolkit "
        "sets its own. *Comparable* means: the mean test accuracy of the same students differs from the grid's by at most "
        "three standard deviations of what another seed changes (ten seeds of the grid); half a point for the convolutional "
        "ones. The bound is the time of the grid's "
        "matrix products alone, each in its fastest form."
    )


def _losses() -> dict[str, float]:
    """Compare the losses: torchdistill's too, where the peers' environment has it."""
    if peers.PYTHON.exists():
        ask = [str(peers.PYTHON), "-m", "bench.agreement"]
        answer = subprocess.run(ask, cwd=peers.ROOT, stdout=subprocess.PIPE, text=True, check=False)
        if answer.returncode == 0:
            return json.loads(answer.stdout)
    return agreement.loss_differences()
