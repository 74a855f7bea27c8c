import ast
import csv
import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import altair
import numpy as np
import pytest
import torch

from app_support import charts, code, downloads, experiments, exports, look, resources, soft_view, words
from app_support.experiments import DistilRun
from app_support.soft_view import Example
from app_support.tasks import Task
from toolkit import losses, plots, scenarios

TASK = Task("digits", "small-transfer-set", (("examples", 100),), "mlp-8", 0.0, "l2", 2, 3)


def made_run(alone_end, distilled_end, **changes):
    alone, distilled = (np.stack([np.full(3, 0.5), np.array(end)], 1) for end in (alone_end, distilled_end))
    values = {
        "task": TASK,
        "temperature": 4.0,
        "lam": 0.9,
        "val_examples": 270,
        "teacher_val": 0.99,
        "teacher_test": 0.98,
    }
    values |= {"alone": alone, "distilled": distilled, "alone_test": alone[:, -1], "distilled_test": distilled[:, -1]}
    return DistilRun(**(values | changes))


@pytest.fixture(scope="module")
def run():
    job = experiments.start_distil(TASK, 4.0, 0.9)
    assert job.wait(60)
    assert not job.failed
    return job.result


@pytest.fixture(scope="module")
def surface():
    job = experiments.start_surface(TASK, [2.0, 8.0], [0.5, 1.0])
    assert job.wait(60)
    assert not job.failed
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
    table, scores = rows(exports.surface_csv(surface)), surface.scores
    assert scores.lams == (0.0, 0.5, 1.0)  # the student alone is always among them
    assert scores.seeds == (0, 1, 2)
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
    for row, value, difference in zip(table, scores.val_accuracy.ravel(), scores.difference().ravel(), strict=True):
        assert (float(row["val_accuracy"]), float(row["difference_from_alone"])) == (value, difference)


def test_only_cells_whose_interval_holds_zero_are_hatched(surface):
    surface = surface.scores
    spec = charts.surface(surface, surface.best_cell())
    fill, hatch = spec["layer"][:2]
    cells, lines = spec["data"]["values"], hatch["data"]["values"]
    hatched = {(round((x["left"] + x["right"]) / 2), round((x["bottom"] + x["top"]) / 2)) for x in lines}
    # The student alone is the reference.
    assert hatched == {(cell["column"], cell["row"]) for cell in cells if cell["held"] and cell["lam"] != 0}
    assert [cell["held"] for cell in cells] == surface.difference_interval().holds_zero.ravel().tolist()
    domain = fill["encoding"]["color"]["scale"]["domain"]
    assert domain[0] == -domain[-1]


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_charts_are_valid_vega_lite(surface, rows_of_scenarios, language, monkeypatch):
    monkeypatch.setattr(words, "language", lambda: language)
    scores = surface.scores
    curves = {"student alone": scores.history[0, 0], "distilled": scores.history[0, 1], "run 3": scores.history[1, 1]}
    matrix = np.full((3, 3), 1 / 3)
    for spec in (
        charts.surface(scores, (0, 1)),
        charts.accuracy_curves(curves, 0.99, epochs=50),
        charts.differences(rows_of_scenarios.differences()),
        charts.dark_knowledge(matrix, ["a", "b", "c"], (0, 1)),
    ):
        altair.Chart.from_dict(spec)  # which checks against the schema


def test_curves_differ_without_colours_too(run):
    line = charts.accuracy_curves(run.curves, 0.99)["layer"][0]["layer"][1]
    dashes = line["encoding"]["strokeDash"]["scale"]["range"]
    assert len({tuple(dash) for dash in dashes}) == len(dashes) == 3


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
    assert bool(run.advice) == (said != "is better than")


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
    few = made_run([0.8, 0.9, 0.8], [0.8, 0.8, 0.8], val_examples=10)
    assert "10 validation examples, one is 10 points" in few.verdict


def test_seeds_that_agree_on_a_single_example_measure_nothing():
    step = 1 / len(resources.dataset("digits").y_val)
    assert "No measurable difference" in made_run([0.8] * 3, [0.8 + step] * 3).verdict
    assert "is better" in made_run([0.8] * 3, [0.8 + 5 * step] * 3).verdict


def test_one_seed_gives_no_verdict_and_names_the_seeds():
    run = made_run([0.8] * 3, [0.9] * 3)
    single = {name: getattr(run, name)[:1] for name in ("alone", "distilled", "alone_test", "distilled_test")}
    one = made_run([0.8] * 3, [0.9] * 3, task=replace(TASK, seeds=1), **single)
    assert "no verdict" in one.verdict
    assert "seeds" in one.advice


def test_a_stopped_run_claims_nothing():
    run = made_run([0.8, 0.8, 0.8], [0.9, 0.9, 0.9])
    stopped = made_run([0.8] * 3, [0.9] * 3, distilled=run.distilled[:, :1])
    assert "says nothing" in stopped.verdict


def test_the_app_has_the_colours_of_lessons_and_exports():
    assert (look.TEACHER, look.ALONE, look.DISTILLED) == (plots.TEACHER, plots.ALONE, plots.DISTILLED)


@pytest.mark.parametrize("language", words.LANGUAGES)
@pytest.mark.filterwarnings("error:Glyph")  # no Chinese character is missing in a font
def test_figures_are_drawn_for_print(run, surface, rows_of_scenarios, language, monkeypatch):
    monkeypatch.setattr(words, "language", lambda: language)
    monkeypatch.setattr(exports, "language", lambda: language)
    drawing = Example(np.ones((1, 8, 8)), None, ["一", "2"], [1.0, 2.0], [0.0, 3.0])
    for figure in (
        exports.curves_figure(run, {words.say("distil.run_short", number=2): run}),
        exports.surface_figure(surface, (0, 1)),
        exports.differences_figure(rows_of_scenarios),
        exports.bars_figure(drawing, 4.0, words.say("soft_targets.pad_described", teacher="一", student="2")),
        exports.matrix_figure(np.full((2, 2), 0.5), drawing.class_names, words.say("soft_targets.csv_help")),
    ):
        for kind, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind)
            assert buffer.getvalue().startswith(start)


# ---- Scenarios side by side ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows_of_scenarios():
    job = experiments.start_side_by_side(TASK, 4.0, 1.0)
    assert job.wait(60)
    assert not job.failed
    return job.result


def test_every_scenario_is_a_row_and_so_is_the_case_that_fails(rows_of_scenarios):
    assert list(rows_of_scenarios.rows) == [*scenarios.names(), experiments.TINY]
    assert rows_of_scenarios.rows["small-transfer-set"] == TASK  # with the reader's own parameter
    assert rows_of_scenarios.alone_val.shape == rows_of_scenarios.distilled_test.shape == (6, 3)
    table = rows(exports.side_by_side_csv(rows_of_scenarios))
    assert [float(row["val_accuracy"]) for row in table if row["arm"] == "student alone"] == (
        rows_of_scenarios.alone_val.ravel().tolist()
    )


# ---- The code that repeats a run -----------------------------------------------------------------------------


def printed(script, folder):
    """Run a script as whoever downloaded it would, and give what it prints after each colon."""
    path = folder / "repeat.py"
    path.write_text(script, encoding="utf-8")
    done = subprocess.run([sys.executable, str(path)], cwd=folder, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return {line.partition(":")[0]: line.partition(":")[2].strip() for line in done.stdout.splitlines()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"penalty_weight": 0.01, "norm": "l1", "first_seed": 5, "seeds": 2},
        {"scenario": "class-left-out", "parameter": (("left_out", 3),), "student": "cnn-4"},
    ],
)
def test_the_code_repeats_a_run_with_the_same_numbers(changes, tmp_path):
    task = replace(TASK, **changes)
    job = experiments.start_distil(task, 4.0, 0.9)
    assert job.wait(120)
    run, said = job.result, printed(code.distil(task, 4.0, 0.9), tmp_path)
    assert ast.literal_eval(said["alone, validation"]) == run.alone[:, -1].tolist()
    assert ast.literal_eval(said["distilled, validation"]) == run.distilled[:, -1].tolist()
    assert ast.literal_eval(said["alone, test"]) == run.alone_test.tolist()
    assert ast.literal_eval(said["distilled, test"]) == run.distilled_test.tolist()
    assert said["difference"] == experiments.points(run.difference)


@pytest.mark.parametrize(
    ("best", "corner"), [((0, 1), "low_low"), ((1, 2), "high_high"), ((0, 2), "low_high"), ((1, 0), "alone")]
)
def test_the_corner_that_validation_chose_is_named(surface, best, corner):
    accuracy = np.full_like(surface.scores.val_accuracy, 0.5)
    accuracy[best] = 0.9
    accuracy[:, 0] = accuracy[1, 0]  # the student alone is the same at every temperature
    found = replace(surface, scores=replace(surface.scores, val_accuracy=accuracy))
    assert found.best_corner() == (corner, 5.0, 0.75)


def test_the_code_repeats_a_surface_with_the_same_numbers(surface, tmp_path):
    t, lam = surface.scores.best_cell()
    said = printed(code.surface(surface, (t, lam)), tmp_path)
    cell = surface.scores.difference_interval().at(t, lam)
    accuracy = surface.scores.val_accuracy[t, lam].mean()
    assert said["validation"] == f"{accuracy:.4f}, from the student alone {experiments.points(cell)}"
    assert printed(code.surface(surface, (t, 0)), tmp_path)["test"].endswith("this is the student alone")
    assert said["validation chose"] == f"T = {surface.scores.temperatures[t]} lam = {surface.scores.lams[lam]}"
    assert ast.literal_eval(said["validation, mean over seeds"]) == surface.scores.val_accuracy.mean(-1).tolist()


def test_the_code_repeats_a_run_on_own_data(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 3))
    lines = ["a,b,c,label", *(f"{a},{b},{c},{'yes' if a + b > 0 else 'no'}" for a, b, c in x.tolist())]
    content = "\n".join(lines).encode()
    own = resources.accept(content, "mine.csv", "label")
    (tmp_path / "mine.csv").write_bytes(content)
    task = Task(own.name, "all-labels", (), "mlp-8", 0.0, "l2", 3, 2)
    job = experiments.start_distil(task, 4.0, 0.9)
    assert job.wait(60)
    assert not job.failed, job.job.error
    said = printed(code.distil(task, 4.0, 0.9), tmp_path)
    assert ast.literal_eval(said["distilled, test"]) == job.result.distilled_test.tolist()
    assert "mine.csv" in job.result.words


def test_a_file_speaks_the_language_of_its_page_although_it_is_made_later_in_another_thread(monkeypatch):
    offered = []
    monkeypatch.setattr(downloads.st, "download_button", lambda label, make, *rest, **options: offered.append(make))
    with words.speaking("zh"):
        downloads.offer("label", "a.csv", lambda: words.say("chart.teacher"), "help")
    with ThreadPoolExecutor() as elsewhere:
        assert elsewhere.submit(offered[0]).result() == "教师"
    assert words.language() == "en"


def test_the_code_repeats_the_scenarios_with_the_same_numbers(rows_of_scenarios, tmp_path):
    said = printed(code.side_by_side(rows_of_scenarios), tmp_path)
    differences = rows_of_scenarios.differences()
    assert {name: text.partition(" (")[0] for name, text in said.items()} == {
        label: experiments.points(interval) for label, interval in differences.items()
    }


@pytest.mark.parametrize("distilled", [True, False])
def test_the_code_repeats_the_bars_with_the_same_numbers(distilled, tmp_path):
    job = soft_view.start("digits", distilled)
    assert job.wait(120)
    view = job.result
    said = printed(code.soft_targets("digits", 7, 4.0, distilled=distilled), tmp_path)
    for who, logits in (("teacher", view.teacher_logits), ("student", view.student_logits)):
        expected = losses.soft_targets(torch.tensor(logits[7:8]), 4.0)[0]
        torch.testing.assert_close(torch.tensor(ast.literal_eval(said[who])), expected, atol=1e-6, rtol=1e-5)
    assert said["label"] == view.class_names[view.labels[7]]
