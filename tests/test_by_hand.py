"""A mark set by hand survives every later run, whatever spreadsheet saved the file."""

import csv
import io
from dataclasses import replace

import pytest
from hypothesis import given, strategies

from course import by_hand
from course.marks import Mark, Sheet, TextTask

LESSON, TASK = "02-soft-targets", "prediction"
HEAD = "student,lesson,task,max_points,points,comment\n"


def text_mark(student="anna", status="needs_manual", answer="It grows.", most=2.0, **more):
    return Mark(student, LESSON, TASK, 0, most, status, kind="text", answer=answer, **more)


def sheets(*marks):
    return [Sheet(mark.student, mark.lesson, (mark,)) for mark in marks]


def rows(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def fill(path, **cells):
    """Write into the first row, as a person does."""
    found = rows(path)
    found[0] |= cells
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, found[0])
        writer.writeheader()
        writer.writerows(found)


def update(path, class_):
    return by_hand.update(path, class_)[0]


def only_mark(marked):
    ((mark,),) = (sheet.marks for sheet in marked)
    return mark


@pytest.fixture
def path(tmp_path):
    return tmp_path / "grades" / "by-hand.csv"


def test_an_answer_that_waits_gets_a_row(path):
    class_ = sheets(text_mark("bo"), text_mark(), text_mark("cy", "not_attempted"))
    assert update(path, class_) == class_
    assert [row["student"] for row in rows(path)] == ["anna", "bo"]
    assert tuple(rows(path)[0]) == by_hand.COLUMNS
    assert rows(path)[0]["answer"] == "It grows."
    assert (rows(path)[0]["max_points"], rows(path)[0]["points"]) == ("2", "")


def test_a_mark_is_applied_and_survives(path):
    update(path, sheets(text_mark()))
    fill(path, points="1.5", comment="Why?")
    saved = path.read_bytes()
    for _ in range(2):
        mark = only_mark(update(path, sheets(text_mark())))
        assert (mark.status, mark.points, mark.comment, mark.reason) == ("manual", 1.5, "Why?", "marked by hand")
        assert path.read_bytes() == saved


def test_rows_of_those_who_vanished_and_of_other_lessons_stay(path):
    update(path, sheets(text_mark()))
    fill(path, points="1")
    _, said = by_hand.update(path, sheets(text_mark("bo")))
    assert said == [
        f"marks in by-hand.csv for answers that are not there stay, and count for nobody: anna, {LESSON}, {TASK} (line 2)"
    ]
    update(path, [])
    assert [(row["student"], row["points"]) for row in rows(path)] == [("anna", "1"), ("bo", "")]


def test_a_row_that_waits_no_longer_goes_unless_somebody_wrote_into_it(path):
    update(path, sheets(text_mark(), text_mark("bo")))
    fill(path, comment="ask her")
    update(path, sheets(text_mark(status="not_attempted"), text_mark("bo", status="not_attempted")))
    assert [row["student"] for row in rows(path)] == ["anna"]


def test_a_mark_that_fits_nobody_is_kept_and_told(path):
    path.parent.mkdir()
    path.write_text(f"{HEAD}??,{LESSON},{TASK},2,1,\n??,other,{TASK},2,1,\n", "utf-8")
    _, (nobody, elsewhere) = by_hand.update(path, sheets(text_mark("王芳")))
    assert nobody.endswith(f"count for nobody: ??, {LESSON}, {TASK} (line 2)")
    assert elsewhere == "marks in by-hand.csv for lessons that were not graded now stay as they are: other"
    assert [row["student"] for row in rows(path)] == ["??", "??", "王芳"]


def test_an_answer_that_changed_keeps_its_mark_and_says_so(path):
    update(path, sheets(text_mark()))
    update(path, sheets(text_mark(answer="It shrinks.")))
    assert rows(path)[0]["answer"] == "It shrinks."
    fill(path, points="2")
    mark = only_mark(update(path, sheets(text_mark(answer="It stays."))))
    assert (mark.status, mark.points) == ("manual", 2)
    assert by_hand.ANSWER_CHANGED in mark.reason
    assert by_hand.ANSWER_CHANGED in rows(path)[0]["answer_changed"]
    assert rows(path)[0]["answer"] == "It stays."
    fill(path, answer_digest="")
    assert only_mark(update(path, sheets(text_mark(answer="It stays.")))).reason == "marked by hand"
    assert rows(path)[0]["answer"] == "It stays."
    assert rows(path)[0]["answer_changed"] == ""


def test_an_answer_that_comes_back_is_no_longer_called_changed(path):
    update(path, sheets(text_mark()))
    fill(path, points="2")
    update(path, sheets(text_mark(status="missing_file", answer="")))
    assert rows(path)[0]["answer_changed"]
    update(path, sheets(text_mark(answer="It grows.\n")))
    assert rows(path)[0]["answer_changed"] == ""


def test_a_row_for_code_overrides_the_checks_and_says_what_they_gave(path):
    code = Mark("anna", LESSON, "entropy", 0, 3, "timeout", "stopped after 10 s", answer="def entropy(p): ...")
    path.parent.mkdir()
    path.write_text(f"{HEAD}anna,{LESSON},entropy,,2,a slip\n", "utf-8")
    mark = only_mark(update(path, sheets(code)))
    assert (mark.status, mark.points, mark.comment) == ("manual", 2, "a slip")
    assert mark.reason == "marked by hand; the checks gave 0 of 3 (stopped after 10 s)"
    assert rows(path)[0]["answer_digest"]


def test_a_comment_alone_travels_without_points(path):
    update(path, sheets(text_mark()))
    fill(path, comment="come and see me")
    mark = only_mark(update(path, sheets(text_mark())))
    assert (mark.status, mark.comment) == ("needs_manual", "come and see me")


def test_the_file_before_is_kept_when_something_changes(path):
    update(path, sheets(text_mark()))
    backup = path.with_name("by-hand.csv.bak")
    assert not backup.exists()
    fill(path, points="1")
    before = path.read_bytes()
    update(path, sheets(text_mark()))
    assert not backup.exists()
    update(path, sheets(text_mark(), text_mark("bo")))
    assert backup.read_bytes() == before
    assert sorted(one.name for one in path.parent.iterdir()) == ["by-hand.csv", "by-hand.csv.bak"]


@pytest.mark.parametrize("delimiter", list(",;\t"))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "mac_roman"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_spreadsheet_may_have_saved_it(delimiter, encoding, end, path):
    class_ = sheets(text_mark("zoë"), text_mark("bo"))
    table = io.StringIO()
    writer = csv.writer(table, delimiter=delimiter, lineterminator=end)
    writer.writerows([["Points", "My notes", "Task", "student", "lesson", ""], ["1,5", "né", TASK, "zoë", LESSON, ""]])
    path.parent.mkdir()
    path.write_bytes(table.getvalue().encode(encoding))
    marked = update(path, class_)
    assert [(sheet.marks[0].status, sheet.marks[0].points) for sheet in marked] == [
        ("manual", 1.5),
        ("needs_manual", 0),
    ]
    again = path.read_bytes()
    assert again.decode("utf-16" if encoding.startswith("utf-16") else "utf-8-sig").splitlines()[0].split(delimiter)[
        :2
    ] == [
        "points",
        "My notes",
    ]
    assert update(path, class_) == marked
    assert path.read_bytes() == again


def test_a_chinese_spreadsheet_may_have_saved_it(path):
    path.parent.mkdir()
    path.write_bytes(f"{HEAD}王芳,{LESSON},{TASK},2,２．５,好\n".encode("gb18030"))
    mark = only_mark(update(path, sheets(text_mark("王芳", most=3))))
    assert (mark.points, mark.comment) == (2.5, "好")


def test_a_number_that_lost_its_zeros_is_still_the_student(path):
    path.parent.mkdir()
    path.write_text(f"{HEAD}17,{LESSON},{TASK},2,1,\n", "utf-8")
    assert only_mark(update(path, sheets(text_mark("0017")))).points == 1
    assert len(rows(path)) == 1
    both = update(path, sheets(text_mark("0017"), text_mark("17")))
    assert [sheet.points for sheet in both] == [0, 1]


@pytest.mark.parametrize("student", ["=anna", "'=anna", "-anna", "an\udce9", " anna", 'a"n;n,a', "a\nb"])
def test_an_odd_name_gets_one_row_and_its_mark(student, path):
    for _ in range(2):
        update(path, sheets(text_mark(student, answer="=1+1")))
    assert len(rows(path)) == 1
    assert rows(path)[0]["answer"] == "'=1+1"
    fill(path, points="1")
    assert only_mark(update(path, sheets(text_mark(student, answer="=1+1")))).points == 1


ANY_TEXT = strategies.text(strategies.characters(exclude_categories=["Cs"]), max_size=30)


@given(student=ANY_TEXT.filter(str.strip), answer=ANY_TEXT, comment=ANY_TEXT)
def test_a_mark_survives_any_text(student, answer, comment, tmp_path_factory):
    path = tmp_path_factory.mktemp("grades") / "by-hand.csv"
    class_ = sheets(text_mark(student, answer=answer))
    update(path, class_)
    fill(path, points="1", comment=comment)
    marked = update(path, class_)
    assert (only_mark(marked).status, only_mark(marked).points, only_mark(marked).reason) == (
        "manual",
        1,
        "marked by hand",
    )
    assert update(path, class_) == marked
    assert len(rows(path)) == 1


@pytest.mark.parametrize("points", ["two", "-1", "2.5", "nan", "inf", "1_0", "02. Mai"])
@pytest.mark.parametrize("known", [True, False])
def test_points_that_are_none_are_refused_and_nothing_is_written(points, known, path):
    path.parent.mkdir()
    path.write_text(
        f'student,lesson,task,max_points,points,comment\nzed,x,y,1,,"two\nlines"\nanna,{LESSON},{TASK},2,{points},\n',
        "utf-8",
    )
    before = path.read_bytes()
    with pytest.raises(ValueError) as caught:
        update(path, sheets(text_mark() if known else text_mark("bo")))
    for part in (str(path), "line 4", "anna", LESSON, TASK, repr(points), "from 0 to 2"):
        assert part in str(caught.value)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["by-hand.csv"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{HEAD}anna,{LESSON},{TASK},2,1,\nanna,{LESSON},{TASK},2,2,\n", "line 3: .*'2', and 1 in a line above"),
        ("student,points\nanna,1\n", "needs the columns student, lesson, task and points.* it has student, points"),
        (f"{HEAD}anna,{LESSON},{TASK},2,1,5,good\n", "line 2: more cells .* decimal comma"),
        (f"{HEAD}anna,{LESSON},{TASK},2,1,5,\n", "line 2: more cells .* decimal comma"),
        (f"points,{HEAD}1,anna,{LESSON},{TASK},2,1,\n", "no name twice"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(content, said, path):
    path.parent.mkdir()
    path.write_text(content, "utf-8")
    with pytest.raises(ValueError, match=said):
        update(path, sheets(text_mark()))
    assert path.read_text("utf-8") == content


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_a_beginning(content, path):
    path.parent.mkdir()
    path.write_bytes(content)
    update(path, sheets(text_mark()))
    assert len(rows(path)) == 1


def test_the_page_shows_question_rubric_and_who_waits(tmp_path):
    changed = replace(text_mark("di", "manual"), reason=f"marked by hand; {by_hand.ANSWER_CHANGED}")
    class_ = sheets(
        text_mark(answer="<b>It</b> grows."),
        text_mark("bo", "manual", comment="fine"),
        text_mark("cy", "not_attempted"),
        changed,
    )
    task = TextTask("What happens?", "It shrinks, since …", "* 1 point: says so")
    by_hand.write_page(tmp_path / "by-hand.html", class_, {(LESSON, TASK): task})
    html = (tmp_path / "by-hand.html").read_text("utf-8")
    order = ["1 waiting", "What happens?", "It shrinks", "1 point: says so", "anna", "&lt;b&gt;It", "changed since", "di<",
             "Already marked: 1", "bo<", "fine"]  # fmt: skip
    places = [html.index(part) for part in order]
    assert places == sorted(places)
    assert "cy<" not in html


def test_a_page_without_text_answers_says_so(tmp_path):
    by_hand.write_page(tmp_path / "by-hand.html", [], {})
    assert "No answer of this class" in (tmp_path / "by-hand.html").read_text("utf-8")
