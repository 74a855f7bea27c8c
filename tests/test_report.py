"""Tables say the numbers exactly, pages survive hostile text, and the report finds what was put into the class."""

import csv
import re
import zipfile
from dataclasses import replace
from html.parser import HTMLParser

import pytest

import bench.browser
from course import marks, report
from course.alike import alike, without_names
from course.marks import Mark, Sheet

HOSTILE = "<script>alert(1)</script></pre></table><b>\0\x1b[31mred\x1b[0m\ud800\u202e" + "x" * 100_000
SOFT = """def softened(logits, temperature):
    \"\"\"Give probabilities.\"\"\"
    shifted = logits / temperature
    shifted = shifted - shifted.max(dim=-1, keepdim=True).values
    return shifted.exp() / shifted.exp().sum(dim=-1, keepdim=True)
"""
RENAMED = """def softened(z: Tensor, T: float) -> Tensor:
    a = z / T  # mine
    a = a - a.max(dim=-1, keepdim=True).values
    return a.exp() / a.exp().sum(dim=-1,
                                 keepdim=True)
"""


def sheet(student, *marks, lesson="02-soft-targets", **more):
    return Sheet(student, lesson, tuple(replace(mark, student=student, lesson=lesson) for mark in marks), **more)


def mark(task="entropy", points=0.0, most=2.0, status="graded", **more):
    return Mark("", "", task, points, most, status, **more)


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


class Tags(HTMLParser):
    """Collect the tags of a page and check that they nest."""

    def __init__(self, html):
        super().__init__()
        self.open, self.seen, self.text = [], [], ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        self.text += " " if tag in ("p", "li", "details", "summary", "td") else ""
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attributes)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


# ---- Tables -------------------------------------------------------------------------------------------------------


def test_grades_have_the_agreed_columns_and_plain_numbers(tmp_path):
    one = sheet("bo", mark("entropy", 2.5, 3, reason="a, b\nc"), mark("a_task", 2, 2))
    report.write_tables([one, sheet("安娜", mark(points=1 / 3))], tmp_path)
    assert rows(tmp_path / "grades.csv") == [
        ["student", "lesson", "task", "points", "max_points", "status", "reason"],
        ["bo", "02-soft-targets", "a_task", "2", "2", "graded", ""],
        ["bo", "02-soft-targets", "entropy", "2.5", "3", "graded", "a, b c"],
        ["安娜", "02-soft-targets", "entropy", "0.3333", "2", "graded", ""],
    ]
    assert tuple(rows(tmp_path / "grades.csv")[0]) == marks.COLUMNS


@pytest.mark.parametrize("sign", list("=+-@\t"))
def test_no_cell_is_a_formula(sign, tmp_path):
    report.write_tables([sheet(f"{sign}anna", mark(reason=f"{sign}1+1"))], tmp_path)
    student, *_, reason = rows(tmp_path / "grades.csv")[1]
    assert student == f"'{sign}anna"
    assert not reason.startswith(tuple("=+-@\t"))
    assert rows(tmp_path / "totals.csv")[1][0] == f"'{sign}anna"


def test_totals_have_a_column_for_each_lesson(tmp_path):
    waits = mark("question", 0, 2, "needs_manual", kind="text")
    class_ = [
        sheet("bo", mark(points=1.5), waits, school_id="17"),
        sheet("bo", mark(points=2, most=4), lesson="03-distillation-loss", late="2 h late", school_id="40"),
        sheet("cy", mark(points=2), waits),
    ]
    report.write_tables(class_, tmp_path)
    assert rows(tmp_path / "totals.csv") == [
        ["student", "id", "02-soft-targets / 4", "03-distillation-loss / 4", "total", "max", "waiting", "late"],
        ["bo", "17; 40", "1.5", "2", "3.5", "8", "1", "03-distillation-loss: 2 h late"],
        ["cy", "", "2", "", "2", "8", "1", ""],
    ]


def test_a_name_that_utf_8_cannot_write_stops_nothing(tmp_path):
    report.write_tables([sheet("an\udce9", mark(reason=HOSTILE))], tmp_path)
    student, *_, reason = rows(tmp_path / "grades.csv")[1]
    assert student == "an\\udce9"
    assert len(reason) < 600


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
    report.write_tables([sheet("bo", mark())], tmp_path)
    before = (tmp_path / "grades.csv").read_bytes()

    def refuse(*_):
        raise PermissionError("locked")

    monkeypatch.setattr(report.os, "replace", refuse)
    with pytest.raises(PermissionError, match="is it open in a spreadsheet"):
        report.write_tables([sheet("cy", mark())], tmp_path)
    assert (tmp_path / "grades.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grades.csv", "totals.csv"]


# ---- Pages --------------------------------------------------------------------------------------------------------


def feedback_of(tmp_path, *sheets):
    report.write_feedback(sheets, tmp_path)
    return [path.read_text("utf-8") for path in sorted((tmp_path / "feedback").iterdir())]


@pytest.mark.parametrize(
    ("status", "points", "said"),
    [
        ("graded", 2, "right"), ("graded", 1, "partly right"), ("graded", 0, "wrong"),
        ("not_attempted", 0, "not attempted yet"), ("needs_manual", 0, "waiting for a person"),
        ("manual", 1, "marked by hand"), ("timeout", 0, "stopped after too long"),
        ("kernel_died", 0, "ended its own process"), 
        ("unreadable", 0, "the file cannot be read as a notebook"),
    ],
)  # fmt: skip
def test_each_status_has_words_of_its_own(status, points, said, tmp_path):
    (html,) = feedback_of(tmp_path, sheet("bo", mark(points=points, status=status)))
    assert re.search(rf"of 2, {said}<", html)


def test_a_lesson_that_was_not_handed_in_takes_one_line(tmp_path):
    (html,) = feedback_of(tmp_path, sheet("bo", mark("entropy", status="missing_file"), mark(status="missing_file")))
    assert html.count("nothing was handed in") == 1
    assert "<section>" not in html


def test_feedback_shows_a_student_everything_of_their_own_and_nothing_of_others(tmp_path):
    told = mark(
        points=1,
        feedback="✗ entropy: not right yet.\nThe sum is missing.\n    expected  1",
        comment="look again",
        answer="def mine(): ...",
    )
    anna = sheet("anna", told, notes=("a check cell was restored",), late="2 h late", where="/home/teacher/anna.ipynb")
    bo = sheet("bo", mark(points=2), lesson="03-distillation-loss")
    first, second = feedback_of(tmp_path, anna, bo, replace(anna, lesson="04-train-a-student"))
    assert "<summary>Your answer</summary><pre>def mine" in first
    for text in ("1 of 2", "The sum is missing.\n    expected", "look again", "was restored", "2 h late", "04-train"):
        assert text in first
    assert "teacher" not in first
    assert "bo<" not in first
    assert "anna" not in second


def test_what_came_out_of_moodle_goes_back_in_one_archive(tmp_path):
    back = {name: f"{name}_1{n}_assignsubmission_file_" for n, name in enumerate(["anna", "张伟"])}
    class_ = [sheet(name, mark(points=1), returns=place) for name, place in back.items()]
    report.write_feedback([*class_, sheet("bo", mark())], tmp_path)
    with zipfile.ZipFile(tmp_path / "feedback" / "02-soft-targets-moodle.zip") as archive:
        assert archive.namelist() == [f"{place}/feedback.html" for place in back.values()]
        page = archive.read("张伟_11_assignsubmission_file_/feedback.html")
    assert page == (tmp_path / "feedback" / "张伟.html").read_bytes()


def test_hostile_text_breaks_no_page(tmp_path):
    hostile = mark(
        f"task{HOSTILE}", reason=HOSTILE, feedback=HOSTILE, diagnosis=HOSTILE, answer=HOSTILE, comment=HOSTILE
    )
    waits = replace(hostile, status="needs_manual", kind="text")
    class_ = [
        sheet(name, hostile, waits, where=HOSTILE, late=HOSTILE, notes=(HOSTILE,))
        for name in (f"<i>{n}\ud800" for n in range(6))
    ]
    report.write_report(class_, tmp_path)
    report.write_feedback([replace(one, student=f"s{n}") for n, one in enumerate(class_)], tmp_path)
    pages = [tmp_path / "report.html", *(tmp_path / "feedback").iterdir()]
    assert len(pages) == 7
    for path in pages:
        html = path.read_text("utf-8")
        tags = Tags(html)
        assert "script" not in tags.seen
        assert not re.search("[\0\x1b\ud800\u202e]", html)
        assert "default-src 'none'" in html
        assert len(html) < 400_000
    assert "more characters" in html


def test_a_question_flows_and_a_list_keeps_its_lines():
    text = "**Why?** *Say*\nso in\n  words.\n\nRubric:\n* 1 point: a\n  b\n* 1 point: c\n| a |\n| b |"
    assert report.flowing(text) == "Why? Say so in words.\n\nRubric:\n* 1 point: a b\n* 1 point: c\n| a |\n| b |"


def test_tidy_keeps_lines_and_says_what_is_left_out():
    assert report.tidy("a\r\nb\tc") == "a\nb\tc"
    assert report.tidy("abc", letters=2) == "ab … (1 more characters)"
    assert report.tidy("a\nb\nc", lines=2) == "a\nb … (2 more characters)"


# ---- The report ---------------------------------------------------------------------------------------------------


def text_of_report(tmp_path, class_):
    report.write_report(class_, tmp_path)
    return " ".join(Tags((tmp_path / "report.html").read_text("utf-8")).text.split())


def test_report_says_what_is_to_do(tmp_path):
    class_ = [
        sheet("anna", mark("question", status="needs_manual", kind="text"), late="5 min late"),
        sheet(
            "bo",
            mark(status="timeout"),
            mark("soft_loss", 2),
            where="/subs/bo.ipynb",
            notes=("two check cells restored",),
        ),
        sheet("cy", mark(status="missing_file")),
        sheet("di", mark(points=1, status="manual", reason=f"marked by hand; {report.ANSWER_CHANGED}")),
    ]
    said = text_of_report(tmp_path, class_)
    assert "Waiting for a mark by hand: 1 answer 02-soft-targets, question: anna" in said
    assert "Marked by hand, and changed since: 1 answer di, 02-soft-targets, entropy" in said
    assert "Late: 1 submission anna, 02-soft-targets: 5 min late" in said
    assert "bo, 02-soft-targets: two check cells restored; stopped after too long (entropy) (/subs/bo.ipynb)" in said
    assert "Not handed in: 1 submission 02-soft-targets: cy" in said


def test_the_distribution_states_its_finding_twice(tmp_path):
    class_ = [sheet(f"s{n}", mark(points=n / 5, most=2)) for n in range(11)]
    class_.append(sheet("absent", mark(status="missing_file")))
    report.write_report(class_, tmp_path)
    html = (tmp_path / "report.html").read_text("utf-8")
    finding = "11 students, mean 50\xa0% of the points, median 50\xa0%; 5 below half."
    assert f'aria-label="02-soft-targets: {finding}"' in html
    assert f"<p>{finding}</p>" in html
    assert re.findall(r'text-anchor="middle">(\d+)</text>', html) == ["1"] * 9 + ["2"]


def test_difficulty_leaves_out_what_nobody_has_marked(tmp_path):
    class_ = [sheet("a", mark(points=2)), sheet("b", mark(points=1)), sheet("c", mark(status="needs_manual"))]
    class_ += [sheet("d", mark(status="missing_file")), sheet("e", mark(status="not_attempted"))]
    said = text_of_report(tmp_path, class_)
    assert "50 % (n = 3)" in said
    assert "not computable: only 0 students" in said


def test_a_task_of_which_only_empty_answers_have_a_mark_is_not_called_hard(tmp_path):
    class_ = [sheet("a", mark(status="needs_manual")), sheet("b", mark(status="not_attempted"))]
    assert "entropy not known yet" in text_of_report(tmp_path, class_)


def test_report_says_what_the_run_noticed(tmp_path):
    report.write_report([sheet("a", mark())], tmp_path, ["nobody can tell <b>when</b>"])
    html = (tmp_path / "report.html").read_text("utf-8")
    assert "<li>nobody can tell &lt;b&gt;when&lt;/b&gt;</li>" in html


def test_a_task_that_the_strong_get_right_separates():
    rests = [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9]
    assert report.separation([(rest > 0.5, rest) for rest in rests]).startswith("yes: 0.9")
    assert report.separation([(rest < 0.5, rest) for rest in rests]).startswith("the weak earn more")
    unrelated = [0, 1, 1, 0, 0, 1, 1, 0]
    assert report.separation(list(zip(unrelated, rests, strict=True))).startswith("cannot be told")


def test_separation_says_why_it_is_not_computable():
    assert report.separation([(0, 0.5)] * 4) == "not computable: only 4 students"
    assert report.separation([(1, n / 9) for n in range(9)]) == "not computable: everybody earned the same here"
    assert report.separation([(n / 9, 0.5) for n in range(9)]).endswith("the same in everything else")


def test_separation_compares_with_the_rest_not_with_the_whole(tmp_path):
    # Task b is the mirror image of a: against the whole, which holds both, every task would seem unrelated to it.
    class_ = [sheet(f"s{n}", mark("a", n % 2, 1), mark("b", 1 - n % 2, 1)) for n in range(8)]
    assert text_of_report(tmp_path, class_).count("the weak earn more: read it again: −1.00") == 2


def test_mistakes_are_counted_by_diagnosis_with_the_most_common_first(tmp_path):
    said_by = {"T² is missing": "abc", "the two are swapped": "de", "": "fg"}
    class_ = [sheet(name, mark(diagnosis=said)) for said, names in said_by.items() for name in names]
    said = text_of_report(tmp_path, class_)
    assert "entropy 3 × T² is missing a; b; c 2 × the two are swapped d; e" in said


# ---- The same answers ---------------------------------------------------------------------------------------------

SAME = [
    (SOFT, RENAMED),
    ("def f(x):\n    def g(y): return y * x\n    return g(x)", "def f(a):\n    def h(b): return b * a\n    return h(a)"),
    ("def g(x): return x.sum()\ndef f(x): return g(x)", "def h(z): return z.sum()\ndef f(logits): return h(logits)"),
    ("def g(x): return x\ndef f(x): return g(x=x)", "def h(y): return y\ndef f(x): return h(y=x)"),
    ("def f(x): return [i for i in x]", "def f(y): return [k for k in y]"),
    ("import torch.nn.functional as F\ndef f(x): return F.relu(x)", "import torch.nn.functional as G\ndef f(x): return G.relu(x)"),
    ("def f(x):\n    y: int = 3\n    return y", "def f(x):\n    n = 3\n    return n"),
    ("def f(x):\n    try: return x\n    except ValueError as e: raise e", "def f(x):\n    try: return x\n    except ValueError as p: raise p"),
    ("f = lambda x: x + 1", "g = lambda y: y + 1"),
    (
        "def f(x):\n    n = 0\n    def g():\n        nonlocal n\n        n += 1\n    g()\n    return n",
        "def f(y):\n    k = 0\n    def h():\n        nonlocal k\n        k += 1\n    h()\n    return k",
    ),
]  # fmt: skip
DIFFERENT = [
    ("def f(x, y): return x - y", "def f(x, y): return y - x"),
    ("def f(x): return x.sum(0)", "def f(x): return x.sum(1)"),
    ("def f(x): return x.exp()", "def f(x): return x.log()"),
    ("def f(x): return torch.exp(x)", "def f(x): return math.exp(x)"),
    ("def f(x): return x.sum(dim=0)", "def f(x): return x.sum(axis=0)"),
    ("import numpy as np\ndef f(x): return np.exp(x)", "import torch as np\ndef f(x): return np.exp(x)"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_answers_are_the_same_after_renaming(one, other):
    assert without_names(one) == without_names(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_is_more_than_a_name_makes_a_difference(one, other):
    assert without_names(one) != without_names(other)


@pytest.mark.parametrize(
    "source",
    ["x = 1\n" * 4000, "def f(:", "(" * 5000, "a\0b", "-" * 50_000 + "1", "x" + "[0]" * 6000, "%matplotlib inline\nx"],
)
def test_what_is_no_python_is_not_compared(source):
    assert without_names(source) is None


def test_pairs_are_told_and_the_rest_listed_apart():
    tries = [mark(answer=f"{SOFT}    # {n}\ndef helper{n}(): return {n}") for n in range(10)]
    pair = [mark(answer=SOFT, points=2), mark(answer=RENAMED, points=2)]
    short = [mark(answer="def f(x): return x")] * 2
    stub = [mark(answer=SOFT, status="not_attempted")] * 3
    assert alike([*tries, *pair, *short, *stub, mark(answer="def f(:")]) == ([pair], [short], 1)
    common = [mark(answer=SOFT)] * 4
    assert alike([*tries[:7], *common]) == ([], [common], 0)
    assert alike(pair) == ([pair], [], 0)


def test_texts_are_compared_word_for_word():
    words = " ".join(f"word{n}" for n in range(40))
    text = [mark(kind="text", answer=words), mark(kind="text", answer=words.upper().replace(" ", "\n"))]
    assert alike(text) == ([text], [], 0)
    assert alike(2 * text) == ([2 * text], [], 0), "many who copied are no reason to look away"
    assert alike([mark(kind="text", answer="It grows.")] * 2)[:1] == ([],)


def test_the_report_names_those_who_share_an_answer_with_care(tmp_path):
    said = text_of_report(tmp_path, [sheet("anna", mark(answer=SOFT)), sheet("bo", mark(answer=RENAMED))])
    assert "2 students, wrong: anna; bo" in said
    assert "no proof" in said


@pytest.mark.browser
@pytest.mark.skipif(bool(bench.browser.what_is_missing()), reason=bench.browser.what_is_missing())
def test_pages_fit_a_phone_and_ask_nothing_of_the_network(tmp_path):
    class_ = [
        sheet(f"学生{n}", mark(points=n % 3, answer=SOFT, feedback="f" * 3000, diagnosis="d" * 300)) for n in range(8)
    ]
    report.write_report(class_, tmp_path)
    report.write_feedback(class_[:1], tmp_path)
    with bench.browser.chromium() as browser:
        page = browser.new_page(viewport={"width": 400, "height": 800})
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: errors.append(message.text))
        for path in [tmp_path / "report.html", *(tmp_path / "feedback").iterdir()]:
            page.goto(path.as_uri())
            page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
            assert page.evaluate("document.documentElement.scrollWidth") <= 400
        assert len(asked) == 2
        assert errors == []
