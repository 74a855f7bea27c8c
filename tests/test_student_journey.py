"""A student's way: mistakes, feedback that names them, a hint, one repair after another, and full marks in the end."""

import csv

import nbformat
import pytest
from handed_in import S3, function, save, solutions
from nbclient import NotebookClient

from course import build
from course.__main__ import main

LESSON = "03-distillation-loss"
RIGHT = solutions(LESSON)
LOGS = "p, q = (F.log_softmax(z / temperature, -1) for z in (teacher_logits.detach(), student_logits))"
KL = "F.kl_div(q, p, reduction='batchmean', log_target=True)"
HARD, SOFT = "F.cross_entropy(student_logits, labels)", "soft_loss(student_logits, teacher_logits, temperature)"
BOTH = "student_logits, teacher_logits, labels, temperature, lam"
WITHOUT_T2 = function("soft_loss", S3, LOGS, f"return {KL}")
WITH_T2 = function("soft_loss", S3, LOGS, f"return temperature**2 * {KL}")
WRONG_PART = function("distillation_loss", BOTH, f"return lam * {HARD} + (1 - lam) * {SOFT}")
RIGHT_PART = function("distillation_loss", BOTH, f"return (1 - lam) * {HARD} + lam * {SOFT}")
SECRET = {line.strip() for source in RIGHT.values() for line in source.splitlines() if line.startswith("    ")} - {
    line.strip() for cell in build.released(LESSON).cells for line in cell.source.splitlines()
}


@pytest.fixture
def lesson(tmp_path):
    return nbformat.read(build.release(LESSON, tmp_path / "release"), as_version=4)


@pytest.fixture
def run(lesson, tmp_path):
    """Run cells in the student's one kernel, each perhaps edited before; gives what the last of them showed."""
    client = NotebookClient(
        lesson, timeout=120, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}
    )

    def run(*names, **edited):
        for name in [*(key.replace("_", "-") for key in edited), *names]:
            number, cell = next((n, cell) for n, cell in enumerate(lesson.cells) if cell.id == name)
            cell.source = edited.get(name.replace("-", "_"), cell.source)
            client.execute_cell(cell, number)
        shown = "\n".join(part.get("text") or "\n".join(part.get("traceback", [])) for part in cell.outputs)
        assert "Traceback" not in shown
        assert not any(line in shown for line in SECRET)
        return shown

    with client.setup_kernel():
        run("set-up")
        yield run


def grade(folder):
    """Points, status and reason by student and task, and a student's page, from the real command."""
    marks = folder / "grades"
    assert main(["grade", str(folder / "class"), "--grades", str(marks), "--lesson", LESSON]) == 0
    with (marks / "grades.csv").open(encoding="utf-8", newline="") as file:
        table = {(row["student"], row["task"]): row for row in csv.DictReader(file)}
    return table, (marks / "feedback" / "in-the-end.html").read_text("utf-8")


def mark_by_hand(path, points):
    """Write a teacher's marks for the texts into by-hand.csv."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        table = [row | {"points": points[row["task"]]} for row in reader]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, reader.fieldnames)
        writer.writeheader()
        writer.writerows(table)


def test_a_student_goes_from_mistakes_by_their_feedback_to_full_marks(lesson, run, tmp_path):
    assert len(SECRET) >= 5  # or nothing would be looked for

    def hand_in(student):
        return save(tmp_path / "class" / student / LESSON / f"{LESSON}.ipynb", lesson)

    said = run("soft-loss", "check-soft-loss")
    assert "not attempted yet" in said
    assert "✗" not in said

    said = run("check-soft-loss", soft_loss=WITHOUT_T2)
    assert said.startswith("✗ soft_loss: not right yet.")
    assert "too small by T², and so the gradient shrinks as T grows: is T² missing?" in said
    assert 'checks.hint("soft_loss")' in said
    assert "✗ distillation_loss" in run("check-distillation-loss", distillation_loss=WRONG_PART)
    assert "total_loss: not attempted yet" in run("total-loss", "check-total-loss")
    hand_in("at-first")

    lesson.cells.append(nbformat.v4.new_code_cell('checks.hint("soft_loss")', id="ask"))
    hints = [run("ask") for _ in range(5)]
    assert hints[0].startswith("Hint 1 of 5 for soft_loss: Both sets of logits")
    assert "undo what 1/T did to the gradient, twice" in hints[3]
    assert len(set(hints)) == 5

    assert run("check-soft-loss", soft_loss=WITH_T2) == "✓ soft_loss: correct.\n"
    assert "λ is on the wrong part: at λ = 1 only the soft part should count" in run("check-distillation-loss")
    hand_in("half-way")

    assert run("check-distillation-loss", distillation_loss=RIGHT_PART) == "✓ distillation_loss: correct.\n"
    assert "not attempted yet" in run("check-total-loss")
    assert run("check-total-loss", total_loss=RIGHT["total-loss"]) == "✓ total_loss: correct.\n"
    for cell in lesson.cells:
        if cell.id in ("prediction", "question-weights"):
            cell.source = "It shrinks, since T divides twice."
    hand_in("in-the-end")

    table, page = grade(tmp_path)
    for student, points in {"at-first": "000", "half-way": "300", "in-the-end": "331"}.items():
        assert [table[student, task]["points"] for task in ("soft_loss", "distillation_loss", "total_loss")] == [
            *points
        ]
    assert "is T² missing?" in table["at-first", "soft_loss"]["reason"]
    assert "wrong part" in table["half-way", "distillation_loss"]["reason"]
    assert table["half-way", "total_loss"]["status"] == "not_attempted"
    assert "7 of 10 points so far; 2 answers still to be read by a person" in page
    assert not any(line in page for line in SECRET if line not in RIGHT["total-loss"]), "that one they wrote themselves"

    mark_by_hand(tmp_path / "grades" / "by-hand.csv", {"prediction": "1", "question-weights": "2"})
    table, page = grade(tmp_path)
    assert all(row["points"] == row["max_points"] for (student, _), row in table.items() if student == "in-the-end")
    assert "10 of 10 points" in page
