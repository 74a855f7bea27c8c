"""A class is graded: known mistakes give exactly the known marks, whatever else was handed in beside them."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from datetime import datetime, timedelta

import nbformat
import pytest
from handed_in import S3, function, notebook, save, solutions

from course import build, grade
from course.__main__ import main
from course.marks import Mark, Sheet
from course.report import ANSWER_CHANGED

LESSON = "03-distillation-loss"
RIGHT = solutions(LESSON)
KL = "F.kl_div(F.log_softmax(student_logits / temperature, -1), F.softmax(teacher_logits.detach() / temperature, -1), reduction='batchmean')"
S4 = "student_logits, teacher_logits, labels, temperature, lam"
MOST = {"soft_loss": 3, "distillation_loss": 3, "total_loss": 1}


def answers(**wrong):
    return RIGHT | {name.replace("_", "-"): source for name, source in wrong.items()}


def soft(*lines, before=""):
    return answers(soft_loss=function("soft_loss", S3, *lines, before=before))


STUB = next(cell.source for cell in build.released(LESSON).cells if cell.id == "soft-loss")
HARD, SOFT = "F.cross_entropy(student_logits, labels)", "soft_loss(student_logits, teacher_logits, temperature)"

# What thirty students wrote; the tasks that lose their points, with part of the reason; and the status where it is not "graded".
CLASS = [
    (RIGHT, {}),
    (soft(f"return temperature**2 * {KL}"), {}),
    (soft("p, q = [torch.log_softmax(z / temperature, 1) for z in (teacher_logits.detach(), student_logits)]", "return temperature**2 * torch.einsum('bc,bc->b', p.exp(), p - q).mean()"), {}),
    (soft("loss = nn.KLDivLoss(reduction='sum', log_target=True)", "p, q = [torch.log_softmax(z.double() / temperature, 1) for z in (teacher_logits.detach(), student_logits)]", "return temperature**2 * loss(q, p) / len(p)", before="from torch import nn\n"), {}),
    (soft("return Loss(temperature)(student_logits, teacher_logits)", before=f"class Loss(torch.nn.Module):\n    def __init__(self, t):\n        super().__init__()\n        self.t = t\n\n    def forward(self, student_logits, teacher_logits):\n        temperature = self.t\n        return {KL} * self.t**2\n\n\n"), {}),
    (soft(f"return {KL}"), {"soft_loss": "is T² missing?"}),
    (soft(f"return temperature * {KL}"), {"soft_loss": "not fast enough"}),
    (soft(f"return temperature**2 * {KL} / student_logits.shape[1]"), {"soft_loss": "number of classes"}),
    (soft(f"student_logits, teacher_logits = teacher_logits, student_logits\nreturn temperature**2 * {KL}".split("\n")[0], f"return temperature**2 * {KL}"), {"soft_loss": "swapped"}),
    (soft(f"return temperature**2 * {KL.replace('.detach()', '')}"), {"soft_loss": "gradient reaches the teacher"}),
    (soft(f"return (temperature**2 * {KL}).detach()"), {"soft_loss": "cut off from the graph"}),
    (soft(f"return (temperature**2 * {KL}).item()"), {"soft_loss": "returns a float"}),
    (soft(f"return temperature**2 * {KL.replace('-1', '0')}"), {"soft_loss": "along the batch"}),
    (soft("student_logits /= temperature", "return student_logits.sum()"), {"soft_loss": ""}),
    (answers(distillation_loss=function("distillation_loss", S4, f"return lam * {HARD} + (1 - lam) * {SOFT}")), {"distillation_loss": "wrong part"}),
    (answers(distillation_loss=function("distillation_loss", S4, f"return (1 - lam) * {HARD} + lam * temperature**2 * {SOFT}")), {"distillation_loss": "T² is applied twice"}),
    (answers(distillation_loss=function("distillation_loss", S4, "return losses.distillation_loss(student_logits, teacher_logits, labels, temperature=temperature, lam=lam)")), {"distillation_loss": "toolkit's own"}),
    (answers(soft_loss=STUB), {"soft_loss": "as it was handed out"}),
    (answers(soft_loss=function("soft_loss", S3, f"return {KL}"), total_loss=function("total_loss", "cross_entropy, penalty, penalty_weight", "return cross_entropy + penalty")), {"soft_loss": "T² missing", "total_loss": "no effect"}),
    (answers(total_loss=function("total_loss", "cross_entropy, penalty, penalty_weight", "return (1 - penalty_weight) * cross_entropy + penalty_weight * penalty")), {"total_loss": "weighs the two"}),
    (soft("while True:", "    pass"), {"soft_loss": "stopped"}),
    (soft("import os; os._exit(1)"), {"soft_loss": "ended its own process"}),
    (soft("return bytearray(10 * 2**30)"), {"soft_loss": "MemoryError"}),
    (soft("import sys; sys.exit()"), {"soft_loss": "SystemExit"}),
    (soft("return undefined"), {"soft_loss": "NameError"}),
    (answers(soft_loss="def soft_loss(:"), {"soft_loss": "SyntaxError"}),
]  # fmt: skip
STATUS = {17: "not_attempted", 20: "timeout", 21: "kernel_died"}
BROKEN = {  # what else may lie in a student's folder: its bytes, and the status that every task gets
    "empty": (b"", "unreadable"),
    "broken": (b'{"cells": [', "unreadable"),
    "elsewhere": (None, "missing_file"),
}


def tampered():
    handed_in = notebook(LESSON, soft(f"return {KL}"))
    handed_in.cells = [cell for cell in handed_in.cells if cell.id != "check-total-loss"]
    next(cell for cell in handed_in.cells if cell.id == "check-soft-loss").source = "print('✓ soft_loss: correct.')"
    return handed_in


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory):
    folder = tmp_path_factory.mktemp("submissions")
    for number, (sources, _) in enumerate(CLASS):
        save(folder / f"student{number:02}" / LESSON / f"{LESSON}.ipynb", notebook(LESSON, sources))
    save(folder / "tampered" / LESSON / "my copy (1).ipynb", tampered())
    for name, (content, _) in BROKEN.items():
        if content is None:
            (folder / name / LESSON).mkdir(parents=True)
        else:
            save(folder / name / LESSON / f"{LESSON}.ipynb", content)
    return folder


@pytest.fixture(scope="module")
def graded(handed_in, tmp_path_factory):
    grades = tmp_path_factory.mktemp("grades")
    assert main(["grade", str(handed_in), "--grades", str(grades), "--task-seconds", "10"]) == 0
    return grades


def rows(grades):
    with (grades / "grades.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        assert reader.fieldnames == ["student", "lesson", "task", "points", "max_points", "status", "reason"]
        return {(row["student"], row["task"]): row for row in reader}


def test_a_class_of_thirty_gets_exactly_the_known_marks(graded):
    table = rows(graded)
    assert len({student for student, _ in table}) == len(CLASS) + len(BROKEN) + 1 == 30
    for number, (_, lost) in enumerate(CLASS):
        for task, most in MOST.items():
            row = table[f"student{number:02}", task]
            assert float(row["max_points"]) == most
            assert float(row["points"]) == (0 if task in lost else most), row
            assert row["status"] == (STATUS.get(number, "graded") if task in lost else "graded"), row
            assert lost.get(task, "") in row["reason"], row
        assert table[f"student{number:02}", "prediction"]["status"] == "needs_manual"


def test_what_cannot_be_marked_has_a_status_and_a_reason_of_its_own(graded):
    table = rows(graded)
    for name, (_, status) in BROKEN.items():
        for task in MOST:
            assert (table[name, task]["points"], table[name, task]["status"]) == ("0", status)
            assert table[name, task]["reason"]


def test_changed_and_deleted_check_cells_in_a_renamed_notebook_are_put_back(graded):
    table = rows(graded)
    assert [table["tampered", task]["points"] for task in MOST] == ["0", "3", "1"]
    (page,) = (graded / "feedback").glob("tampered*.html")
    text = page.read_text("utf-8")
    assert "check-soft-loss was changed; the original was used" in text
    assert "check-total-loss is missing; the original was used" in text
    assert "my copy (1).ipynb" in text


def test_no_page_holds_a_hidden_test_or_another_student(graded):
    hidden = [line.strip() for cell in build.from_source(build.source_path(LESSON)).cells for part in cell.source.split("### BEGIN HIDDEN TESTS\n")[1:] for line in part.splitlines() if len(line.strip()) > 25]  # fmt: skip
    assert hidden
    for page in (graded / "feedback").glob("*.html"):
        text = page.read_text("utf-8")
        assert not any(line in text for line in hidden)
        assert sum(f"student{number:02}" in text for number in range(30)) <= 1


def test_a_second_run_marks_only_what_changed(graded, handed_in, capsys):
    before = rows(graded)
    command = ["grade", str(handed_in), "--grades", str(graded), "--task-seconds", "10"]
    assert main(command) == 0
    assert "0 submissions marked, 30 unchanged" in capsys.readouterr().out
    save(handed_in / "student17" / LESSON / f"{LESSON}.ipynb", notebook(LESSON, RIGHT))
    assert main(command) == 0
    assert "1 submission marked, 29 unchanged" in capsys.readouterr().out
    after = rows(graded)
    assert {key for key in before if before[key] != after[key]} == {("student17", "soft_loss")}
    assert after["student17", "soft_loss"]["points"] == "3"


def test_a_mark_by_hand_survives_every_later_run(graded, handed_in):
    path = graded / "by-hand.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns, table = reader.fieldnames, list(reader)
    row = next(row for row in table if (row["student"], row["task"]) == ("student03", "question-weights"))
    row["points"], row["comment"] = "1.5", "the ratio is right"
    table.append(
        dict.fromkeys(columns, "") | {"student": "student05", "lesson": LESSON, "task": "soft_loss", "points": "2"}
    )
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(table)
    for extra in ([], ["--deadline", "2001-01-01"]):
        assert main(["grade", str(handed_in), "--grades", str(graded), "--task-seconds", "10", *extra]) == 0
        marks = rows(graded)
        assert marks["student03", "question-weights"]["points"] == "1.5"
        assert marks["student03", "question-weights"]["status"] == "manual"
        assert marks["student05", "soft_loss"]["points"] == "2"
        assert marks["student04", "question-weights"]["status"] == "needs_manual"
    assert "late" in marks["student03", "soft_loss"]["reason"]


# ---- Small classes -------------------------------------------------------------------------------------------------


def test_everything_is_marked_anew_when_the_tests_changed(tmp_path, monkeypatch):
    save(tmp_path / "class" / "anna" / LESSON / f"{LESSON}.ipynb", notebook(LESSON, {}))
    run = lambda: grade.grade(tmp_path / "class", tmp_path / "grades", lessons=[LESSON], sealed=False).marked_now  # noqa: E731
    assert [run(), run()] == [1, 0]
    kept = next((tmp_path / "grades" / ".marks").glob("*/anna*.json"))
    told = json.loads(kept.read_text())
    kept.write_text(json.dumps(told | {"key": "of other tests"}))
    assert run() == 1
    kept.write_text("{ broken")
    assert run() == 1


def test_a_moodle_archive_with_two_students_of_one_name_gives_two_students(tmp_path):
    archive = tmp_path / "moodle.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for number in (11, 12):
            content = nbformat.writes(notebook(LESSON, RIGHT if number == 11 else {}))
            file.writestr(f"张 伟_{number}_assignsubmission_file_/{LESSON}.ipynb", content)
    deadline = datetime(2001, 1, 1).astimezone()
    graded = grade.grade(archive, tmp_path / "grades", sealed=False, deadline=deadline)
    (said,) = graded.warnings
    assert said.startswith("nobody can tell whether 2 submissions came after the deadline")
    assert "nobody can tell" in (tmp_path / "grades" / "report.html").read_text("utf-8")
    assert [sheet.school_id for sheet in graded.sheets] == ["11", "12"]
    assert (tmp_path / "grades" / "feedback" / f"{LESSON}-moodle.zip").exists()
    table = rows(tmp_path / "grades")
    assert sorted((student, row["points"]) for (student, task), row in table.items() if task == "total_loss") == [
        ("张 伟 (11)", "1"),
        ("张 伟 (12)", "0"),
    ]


def test_students_of_an_earlier_run_do_not_vanish_in_silence(tmp_path):
    for group, student in (("monday", "anna"), ("tuesday", "ben")):
        save(tmp_path / group / student / LESSON / f"{LESSON}.ipynb", notebook(LESSON, {}))
    assert grade.grade(tmp_path / "monday", tmp_path / "grades", sealed=False).warnings == ()
    (said,) = grade.grade(tmp_path / "tuesday", tmp_path / "grades", sealed=False).warnings
    assert f"not what an earlier run marked: anna ({LESSON})" in said
    assert "put all folders or archives into one folder" in said


def test_names_and_answers_stay_out_of_git_whatever_the_folder_is_called(tmp_path):
    save(tmp_path / "class" / "anna" / LESSON / f"{LESSON}.ipynb", notebook(LESSON, {}))
    grade.grade(tmp_path / "class", tmp_path / "marks of my class", sealed=False)
    assert (tmp_path / "marks of my class" / ".gitignore").read_text() == "*\n"


def test_the_summary_names_marks_by_hand_whose_answer_has_changed(tmp_path):
    one = Mark("anna", LESSON, "question-weights", 1, 2, "manual", f"marked by hand; {ANSWER_CHANGED}", "text")
    lines = [*grade.summary(grade.Graded([Sheet("anna", LESSON, (one,))], 1, ()), tmp_path)]
    assert "1 answer changed after a mark by hand, which still stands: by-hand.html lists them." in lines
    assert lines[0] == "1 student, 1 lesson: 1 submission marked."


def test_late_is_counted_from_the_deadline_and_keeps_its_points(tmp_path):
    path = save(tmp_path / "class" / "anna" / LESSON / f"{LESSON}.ipynb", notebook(LESSON, RIGHT))
    deadline = datetime.now().astimezone().replace(microsecond=0)
    late = (deadline + timedelta(hours=2, minutes=5)).timestamp()
    os.utime(path, (late, late))
    (sheet,) = grade.grade(tmp_path / "class", tmp_path / "grades", deadline=deadline, sealed=False).sheets
    assert sheet.late == "2 h 5 min late"
    assert sheet.points == 7
    (sheet,) = grade.grade(tmp_path / "class", tmp_path / "grades", sealed=False).sheets
    assert sheet.late == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere"),
        (["."], "holds no student's notebook"),
        (["nowhere", "--lesson", "99-none"], "no lesson '99-none'"),
        (["nowhere", "--deadline", "tomorrow"], "'tomorrow' is no date and time such as"),
    ],
)
def test_what_the_teacher_mistyped_is_told(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["grade", *arguments])
    assert caught.value.code == 2
    assert re.search(said, capsys.readouterr().err)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_run_that_is_killed_goes_on_where_it_stopped(tmp_path):
    for number in range(6):
        save(tmp_path / "class" / f"s{number}" / LESSON / f"{LESSON}.ipynb", notebook(LESSON, RIGHT))
    command = [sys.executable, "-m", "course", "grade", str(tmp_path / "class"), "--grades", str(tmp_path / "grades")]
    process = subprocess.Popen(command, cwd=build.ROOT, start_new_session=True, stderr=subprocess.DEVNULL)
    kept = tmp_path / "grades" / ".marks" / LESSON
    deadline = time.monotonic() + 120
    while len(list(kept.glob("*.json"))) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = len(list(kept.glob("*.json")))
    assert 2 <= done < 6
    graded = grade.grade(tmp_path / "class", tmp_path / "grades")
    assert graded.marked_now == 6 - done
    assert {sheet.points for sheet in graded.sheets} == {7}
