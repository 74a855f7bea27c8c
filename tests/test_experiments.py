import csv
import io
from dataclasses import replace

import altair
import numpy as np
import pytest

from app_support import charts, experiments, exports, look, resources
from app_support.experiments import DistilRun, Task
from toolkit import plots

TASK = Task("digits", "small-transfer-set", (("examples", 100),), "mlp-8", 0.0, "l2", 2, 3)


def made_run(alone_end, distilled_end, **changes):
    alone, distilled = (np.stack([np.full(3, 0.5), np.array(end)], 1) for end in (alone_end, distilled_end))
    values = {"task": TASK, "temperature": 4.0, "lam": 0.9, "teacher_val": 0.99, "teacher_test": 0.98}
    values |= {"alone": alone, "distilled": distilled, "alone_test": alone[:, -1], "distilled_test": distilled[:, -1]}
    return DistilRun(**(values | changes))


@pytest.fixture(scope="module")
def run():
    job = experiments.start_distil(TASK, 4.0, 0.9)
    assert job.wait(60)
    assert not job.error
    return job.result


@pytest.fixture(scope="module")
def surface():
    job = experiments.start_surface(TASK, [2.0, 8.0], [0.5, 1.0])
    assert job.wait(60)
    assert not job.error
    return job.result


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_downloaded_results_are_the_numbers_of_the_run(run):
    table = rows(exports.results_csv({7: run}))
    assert {row["run"] for row in table} == {"7"}
    for arm, history, test in (
        ("student alone", run.alone, run.alone_test),
        ("distilled", run.distilled, run.distilled_test),
    ):
        mine = [row for row in table if row["arm"] == arm]
        assert [float(row["val_accuracy"]) for row in mine] == history[:, -1].tolist()
        assert [float(row["test_accuracy"]) for row in mine] == test.tolist()


def test_downloaded_curves_are_the_numbers_of_the_run(run):
    table = rows(exports.history_csv({1: run}))
    assert len(table) == 2 * 3 * 2
    for row in table:
        history = run.alone if row["arm"] == "student alone" else run.distilled
        assert float(row["val_accuracy"]) == history[int(row["seed"]), int(row["epoch"]) - 1]


def test_downloaded_surface_is_the_numbers_of_the_result(surface):
    table = rows(exports.surface_csv(surface, TASK))
    assert surface.lams == (0.0, 0.5, 1.0)  # the student alone is always among them
    assert surface.seeds == (0, 1, 2)
    names = ("dataset", "scenario", "parameter", "student", "penalty_weight", "norm", "epochs")
    assert [table[0][name] for name in names] == [
        "digits",
        "small-transfer-set",
        "examples = 100",
        "mlp-8",
        "0.0",
        "l2",
        "2",
    ]
    for row, value, difference in zip(table, surface.val_accuracy.ravel(), surface.difference().ravel(), strict=True):
        assert (float(row["val_accuracy"]), float(row["difference_from_alone"])) == (value, difference)


def test_only_cells_whose_interval_holds_zero_are_hatched(surface):
    spec = charts.surface(surface, surface.best_cell())
    fill, hatch = spec["layer"][:2]
    cells, lines = spec["data"]["values"], hatch["data"]["values"]
    hatched = {(round((x["left"] + x["right"]) / 2), round((x["bottom"] + x["top"]) / 2)) for x in lines}
    # The student alone is the reference.
    assert hatched == {(cell["column"], cell["row"]) for cell in cells if cell["held"] and cell["lam"] != 0}
    assert [cell["held"] for cell in cells] == surface.difference_interval().holds_zero.ravel().tolist()
    domain = fill["encoding"]["color"]["scale"]["domain"]
    assert domain[0] == -domain[-1]


def test_charts_are_valid_vega_lite(surface):
    curves = {"student alone": surface.history[0, 0], "distilled": surface.history[0, 1]}
    for spec in (charts.surface(surface, (0, 1)), charts.accuracy_curves(curves, 0.99)):
        altair.Chart.from_dict(spec)  # which checks against the schema


@pytest.mark.parametrize(
    ("alone", "distilled", "said"),
    [
        ([0.80, 0.81, 0.82], [0.90, 0.91, 0.92], "is better than"),
        ([0.90, 0.91, 0.92], [0.80, 0.81, 0.82], "is worse than"),
        ([0.80, 0.90, 0.85], [0.85, 0.80, 0.90], "No measurable difference"),
    ],
)
def test_the_sentence_says_what_happened(alone, distilled, said):
    run = made_run(alone, distilled)
    assert said in run.verdict
    assert bool(run.advice) == ("No measurable" in said)


def test_the_sentence_says_where_only_the_distilled_student_has_a_penalty():
    unlike = "(distilled with λ_f = 0.01, the student alone without it)"
    task = replace(TASK, penalty_weight=0.01)
    for ends in (([0.8, 0.81, 0.82], [0.9, 0.91, 0.92]), ([0.80, 0.90, 0.85], [0.85, 0.80, 0.90])):
        assert unlike in made_run(*ends, task=task).verdict
        assert unlike not in made_run(*ends).verdict


def test_arms_that_are_the_same_student_are_called_so():
    same = made_run([0.8] * 3, [0.8] * 3, lam=0.0)
    assert "same student" in same.verdict
    assert "λ" in same.advice
    assert (
        "same student:" not in made_run([0.8] * 3, [0.8] * 3, lam=0.0, task=replace(TASK, penalty_weight=0.1)).verdict
    )


def test_the_sentence_says_on_how_many_examples_it_stands():
    for distilled in ([0.8, 0.81, 0.82], [0.9, 0.91, 0.92]):
        assert "270 validation examples, one is 0.4 points" in made_run([0.81, 0.8, 0.82], distilled).verdict


def test_seeds_that_agree_on_a_single_example_measure_nothing():
    step = 1 / len(resources.dataset("digits").y_val)
    assert "No measurable difference" in made_run([0.8] * 3, [0.8 + step] * 3).verdict
    assert "is better" in made_run([0.8] * 3, [0.8 + 5 * step] * 3).verdict


def test_one_seed_gives_no_verdict_and_names_the_seeds():
    run = made_run([0.8] * 3, [0.9] * 3)
    single = {name: getattr(run, name)[:1] for name in ("alone", "distilled", "alone_test", "distilled_test")}
    one = made_run([0.8] * 3, [0.9] * 3, **single)
    assert "no verdict" in one.verdict
    assert "seeds" in one.advice


def test_a_stopped_run_claims_nothing():
    run = made_run([0.8, 0.8, 0.8], [0.9, 0.9, 0.9])
    stopped = made_run([0.8] * 3, [0.9] * 3, distilled=run.distilled[:, :1])
    assert "says nothing" in stopped.verdict


def test_the_app_has_the_colours_of_lessons_and_exports():
    assert (look.TEACHER, look.ALONE, look.DISTILLED) == (plots.TEACHER, plots.ALONE, plots.DISTILLED)


def test_figures_are_drawn_for_print(run, surface):
    for png in (exports.curves_png({"distilled": run.distilled}, 0.99, "Title"), exports.surface_png(surface, (0, 1))):
        assert png.startswith(b"\x89PNG")
