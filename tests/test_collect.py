"""What a class handed in is found wherever schools put it, and nothing in it can lead the search astray."""

import contextlib
import io
import json
import os
import struct
import sys
import unicodedata
import zipfile
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course import archives
from course.collect import NOTHING, collect, safe_name

SOFT, LOSS = "02-soft-targets", "03-the-losses"
LESSONS = [SOFT, LOSS, "capstone"]
LIMIT = 1_000_000


def notebook(lesson, text=""):
    return json.dumps({"lesson": lesson, "text": text}).encode()


def known(content):
    return json.loads(content)["lesson"]


def put(folder, name, content=b"", when=None):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if when:
        os.utime(path, (when, when))
    return path


def zipped(members, **options):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, **options) if options else name, content)
    return file.getvalue()


def found(folder, lessons=LESSONS):
    return {(one.student, one.lesson): one for one in collect(folder, lessons, known).submissions}


def said(folder):
    return "\n".join(collect(folder, LESSONS, known).warnings)


# ---- The layouts -------------------------------------------------------------------------------------------------


def test_the_layout_of_the_course(tmp_path):
    put(tmp_path, f"anna/{SOFT}/{SOFT}.ipynb", notebook(SOFT), when=1_700_000_000)
    put(tmp_path, f"ben/{LOSS}/{LOSS}.ipynb", notebook(LOSS))
    (tmp_path / "cora").mkdir()
    put(tmp_path, "read me.txt", b"not a student")
    collection = collect(tmp_path, LESSONS, known)
    assert [(one.student, one.lesson, one.problem) for one in collection.submissions] == [
        ("anna", SOFT, ""), ("anna", LOSS, NOTHING), ("ben", SOFT, NOTHING), ("ben", LOSS, ""),
        ("cora", SOFT, NOTHING), ("cora", LOSS, NOTHING),
    ]  # fmt: skip
    anna = collection.submissions[0]
    assert anna.path == tmp_path / "anna" / SOFT / f"{SOFT}.ipynb"
    assert anna.where == f"anna/{SOFT}/{SOFT}.ipynb"
    assert anna.read(LIMIT) == notebook(SOFT)
    assert anna.handed_in == datetime.fromtimestamp(1_700_000_000, UTC)
    assert (anna.notes, anna.late, collection.warnings) == ((), False, ())
    missing = collection.submissions[1]
    assert (missing.path, missing.where, missing.handed_in) == (None, "", None)
    with pytest.raises(ValueError, match=f"^{NOTHING}$"):
        missing.read(LIMIT)


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("2026-02-02 15:58:23.948203 UTC", datetime(2026, 2, 2, 15, 58, 23, 948203, tzinfo=UTC)),
        ("2026-02-02 15:58:23", datetime(2026, 2, 2, 15, 58, 23, tzinfo=UTC)),
        ("2026-02-02T15:58:23Z", datetime(2026, 2, 2, 15, 58, 23, tzinfo=UTC)),
        ("2026-02-02 15:58:23 +0800\n", datetime(2026, 2, 2, 15, 58, 23, tzinfo=timezone(timedelta(hours=8)))),
        ("2026-02-02 15:58:23.1 -03:30", datetime(2026, 2, 2, 19, 28, 23, 100_000, tzinfo=UTC)),
        ("2026-07-02 15:58:23 CET", datetime(2026, 7, 2, 13, 58, 23, tzinfo=UTC)),
        ("2026-02-30 15:58:23 UTC", None),
        ("2026-02-02 15:58:23 ../../etc/passwd", None),
        ("2026-02-02 15:58:23 Nowhere/AtAll", None),
        ("yesterday", None),
        ("\udcff", None),
    ],
)
def test_the_time_beside_the_notebook_counts_where_it_can_be_read(tmp_path, stamp, expected):
    put(tmp_path, f"anna/{SOFT}/{SOFT}.ipynb", notebook(SOFT), when=1_700_000_000)
    put(tmp_path, f"anna/{SOFT}/timestamp.txt", stamp.encode("utf-8", "surrogatepass"))
    assert found(tmp_path)["anna", SOFT].handed_in == (expected or datetime.fromtimestamp(1_700_000_000, UTC))


def test_a_file_that_is_no_notebook_is_not_nothing(tmp_path):
    put(tmp_path, f"anna/{SOFT}/{SOFT}.ipynb", notebook(SOFT))
    put(tmp_path, f"anna/{SOFT}/data.csv")
    put(tmp_path, f"ben/{SOFT}/answer.docx")
    put(tmp_path, f"ben/{LOSS}/{LOSS}.ipynb", notebook(LOSS))
    put(tmp_path, "cora/timestamp.txt")
    put(tmp_path, f"di/{LOSS}.py")
    put(tmp_path, f"eve/{SOFT}.ipynb", notebook(SOFT))
    put(tmp_path, "eve/my answer.html")
    submissions = found(tmp_path)
    ben = submissions["ben", SOFT]
    assert ben.problem == f"handed in was ben/{SOFT}/answer.docx, which is no notebook"
    assert ben.where == f"ben/{SOFT}/answer.docx"
    with pytest.raises(ValueError, match=r"answer\.docx"):
        ben.read(LIMIT)
    assert submissions["eve", LOSS].problem == "handed in was eve/my answer.html, which is no notebook"
    assert submissions["di", LOSS].problem == f"handed in was di/{LOSS}.py, which is no notebook"
    assert [submissions[name, lesson].problem for name, lesson in (("anna", SOFT), ("ben", LOSS))] == ["", ""]
    assert submissions["anna", LOSS].problem == submissions["cora", SOFT].problem == submissions["di", SOFT].problem
    assert submissions["anna", LOSS].problem == NOTHING


def test_a_file_that_is_no_notebook_belongs_to_the_lesson_of_its_archive(tmp_path):
    for lesson, number in ((SOFT, 1), (LOSS, 5)):
        members = {f"anna_{number}_assignsubmission_file_/x.ipynb": notebook(lesson)}
        if lesson == SOFT:
            members["ben_2_assignsubmission_file_/answer.pdf"] = b"%PDF"
        put(tmp_path, f"{lesson} all.zip", zipped(members))
    submissions = found(tmp_path)
    assert submissions["ben", SOFT].problem.endswith("answer.pdf, which is no notebook")
    assert (submissions["ben", LOSS].problem, submissions["ben", SOFT].school_id) == (NOTHING, "2")


def test_namesakes_whose_lessons_cannot_be_put_together_are_told(tmp_path):
    for lesson, number in ((SOFT, 1), (LOSS, 5)):
        members = {f"anna_{number + n}_assignsubmission_file_/x.ipynb": notebook(lesson) for n in (0, 1)}
        put(tmp_path, f"{lesson}.zip", zipped(members))
    assert len({student for student, _ in found(tmp_path)}) == 4
    assert "several students are called anna" in said(tmp_path)


def test_namesakes_with_the_same_numbers_in_every_archive_are_put_together(tmp_path):
    for lesson in (SOFT, LOSS):
        members = {f"anna_{number}_assignsubmission_file_/x.ipynb": notebook(lesson) for number in (1, 2)}
        put(tmp_path, f"{lesson}.zip", zipped(members))
    assert sorted(found(tmp_path)) == [
        (student, lesson) for student in ("anna (1)", "anna (2)") for lesson in (SOFT, LOSS)
    ]
    assert said(tmp_path) == ""


def test_of_several_in_the_exchange_the_latest_counts(tmp_path):
    for stamp, random in (
        ("2026-02-03 08:00:00.5 UTC", "+b-_x"),
        ("2026-02-10 07:59:00.5 UTC", ""),
        ("2026-02-09 09:00:00 UTC", "+zz"),
    ):
        put(tmp_path, f"anna+b+{SOFT}+{stamp}{random}/{SOFT}.ipynb", notebook(SOFT, stamp))
    anna = found(tmp_path)["anna+b", SOFT]
    assert known(anna.read(LIMIT)) == SOFT
    assert json.loads(anna.read(LIMIT))["text"] == "2026-02-10 07:59:00.5 UTC"
    assert anna.handed_in == datetime(2026, 2, 10, 7, 59, 0, 500_000, tzinfo=UTC)
    assert anna.notes == ("the latest of 3 submissions",)


MOODLE = {
    f"Anna Berg_1234_assignsubmission_file_/{SOFT}.ipynb": notebook(SOFT),
    "Seán O'Brien_1235_assignsubmission_file_/sub folder/my copy.ipynb": notebook(SOFT, "Seán"),
    "张 伟_1236_assignsubmission_file/作业.ipynb": notebook(SOFT, "张"),
    "Only Text_1237_assignsubmission_onlinetext/onlinetext.html": b"<p>I did it</p>",
    "Default team_assignsubmission_file/02-soft-targets (1).ipynb": b"{",
}
MOODLE_FLAT = {name.replace("file_/", "file_").replace("/", "_"): content for name, content in MOODLE.items()}


@pytest.mark.parametrize("members", [MOODLE, MOODLE_FLAT])
@pytest.mark.parametrize("how", ["zip beside others", "zip alone", "unpacked", "unpacked into a folder"])
def test_what_moodle_downloads(tmp_path, members, how):
    folder = tmp_path / "class"
    folder.mkdir()
    if how.startswith("zip"):
        path = put(folder, "moodle.zip", zipped(members))
    else:
        for name, content in members.items():
            put(folder / "course-02-17" if "into" in how else folder, name, content)
    submissions = found(path if how == "zip alone" else folder)
    assert sorted(submissions) == [
        (name, SOFT) for name in ("Anna Berg", "Default team", "Only Text", "Seán O'Brien", "张 伟")
    ]
    anna, sean, wei = (submissions[name, SOFT] for name in ("Anna Berg", "Seán O'Brien", "张 伟"))
    assert (anna.read(LIMIT), anna.notes) == (notebook(SOFT), ())
    assert (sean.read(LIMIT), wei.read(LIMIT)) == (notebook(SOFT, "Seán"), notebook(SOFT, "张"))
    assert "my copy.ipynb" in sean.notes[0]
    assert (anna.school_id, anna.returns) == ("1234", "Anna Berg_1234_assignsubmission_file_")
    assert submissions["Default team", SOFT].returns == "", "a team has no number, and Moodle would not find it"
    assert submissions["Only Text", SOFT].problem == NOTHING
    assert submissions["Default team", SOFT].read(LIMIT) == b"{"  # found by its name, broken as it is
    assert all(one.handed_in is None for one in submissions.values()), "an archive has the time of the download"
    if how.startswith("zip") and members is MOODLE:
        assert anna.where == f"moodle.zip: Anna Berg_1234_assignsubmission_file_/{SOFT}.ipynb"
        assert (anna.path, anna.member) == (path, f"Anna Berg_1234_assignsubmission_file_/{SOFT}.ipynb")


CANVAS = {
    f"berganna_LATE_98765_1234567_{SOFT}-1.ipynb": notebook(SOFT, "late"),
    f"berganna_98765_1234500_{SOFT}.ipynb": notebook(SOFT, "first"),
    "obrien_98766_1234570_my copy-3.ipynb": notebook(SOFT, "renamed"),
    "LATE_anon_a1B2c_1234580_x.ipynb": notebook(SOFT, "anonymous"),
    "张伟_98767_1234590_作业.ipynb": notebook(SOFT, "张"),
    "typed_98768_text.html": b"<p>text</p>",
    "essay_98769_1234591_essay.pdf": b"%PDF",
}


@pytest.mark.parametrize("how", ["zip", "zip alone", "unpacked", "unpacked into a folder"])
def test_what_canvas_downloads(tmp_path, how):
    folder = tmp_path / "class"
    folder.mkdir()
    if how.startswith("zip"):
        path = put(folder, "submissions.zip", zipped(CANVAS))
    else:
        for name, content in CANVAS.items():
            put(folder / "submissions" if "into" in how else folder, name, content)
    submissions = found(path if how == "zip alone" else folder)
    assert sorted(student for student, _ in submissions) == [
        "anon_a1B2c",
        "berganna",
        "essay",
        "obrien",
        "typed",
        "张伟",
    ]
    anna, brian, nobody = (submissions[name, SOFT] for name in ("berganna", "obrien", "anon_a1B2c"))
    assert (anna.late, anna.notes, anna.read(LIMIT)) == (True, ("the latest of 2 submissions",), notebook(SOFT, "late"))
    assert (brian.late, brian.notes, brian.read(LIMIT)) == (
        False,
        ("found as 'my copy.ipynb'",),
        notebook(SOFT, "renamed"),
    )
    assert (nobody.late, nobody.handed_in) == (True, None)
    assert submissions["typed", SOFT].problem == NOTHING
    assert submissions["essay", SOFT].problem.endswith("98769_1234591_essay.pdf, which is no notebook")
    assert (anna.school_id, anna.returns, submissions["张伟", SOFT].school_id) == ("98765", "", "98767")


def test_layouts_may_be_mixed(tmp_path):
    put(tmp_path, f"anna/{SOFT}/{SOFT}.ipynb", notebook(SOFT))
    put(tmp_path, f"ben+{SOFT}+2026-02-03 08:00:00 UTC/{SOFT}.ipynb", notebook(SOFT))
    put(tmp_path, "moodle.zip", zipped(MOODLE))
    put(tmp_path, "submissions.zip", zipped(CANVAS))
    put(tmp_path, f"Cora C_1_assignsubmission_file/{LOSS}.ipynb", notebook(LOSS))
    students = {student for student, lesson in found(tmp_path) if lesson == SOFT}
    assert {"anna", "ben", "Cora C", "Anna Berg", "berganna"} <= students
    assert len(students) == 3 + len(MOODLE) + len(CANVAS) - 1


def test_a_class_zipped_as_a_folder_and_one_students_archive(tmp_path):
    put(
        tmp_path,
        "class.zip",
        zipped({f"class/{name}/{SOFT}/{SOFT}.ipynb": notebook(SOFT, name) for name in ("anna", "ben")}),
    )
    put(tmp_path, "one.zip", zipped({f"cora/{SOFT}/{SOFT}.ipynb": notebook(SOFT, "cora"), "empty/": b""}))
    put(tmp_path, "dora.zip", zipped({f"{SOFT}.ipynb": notebook(SOFT, "dora")}))
    put(tmp_path, "emil.zip", zipped({f"{SOFT}/work.ipynb": notebook(SOFT, "emil")}))
    submissions = found(tmp_path)
    assert {student for student, _ in submissions} == {"anna", "ben", "cora", "dora", "emil", "empty"}
    for name in ("anna", "ben", "cora", "dora", "emil"):
        assert submissions[name, SOFT].read(LIMIT) == notebook(SOFT, name)


@pytest.mark.parametrize(
    "name",
    [
        "work.zip/x/my notebook.ipynb",
        f"{SOFT}.zip/{SOFT}.ipynb",
        f"{SOFT}/deep/er/{SOFT}.IPYNB",
        f"{SOFT}.ipynb.txt",
        f"{SOFT}/{SOFT}.ipynb.json",
        "work.ZIP/backslash\\as on windows\\x.ipynb",
    ],
)
@pytest.mark.parametrize(
    "layout", ["anna/", "Anna Berg_1_assignsubmission_file_/", "Anna Berg_1_assignsubmission_file_", "a_1_2_"]
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_notebook_in_a_folder_or_an_archive_of_the_student_is_found(tmp_path, name, layout, packed):
    if not layout.endswith("/") and name.startswith(f"{SOFT}/"):
        return  # a file has no folders
    outer, zip_name, _ = f"{layout}{name}".lower().partition(".zip")
    outer = f"{layout}{name}"[: len(outer) + len(zip_name)]
    content = zipped({f"{layout}{name}"[len(outer) + 1 :]: notebook(SOFT, "x")}) if zip_name else notebook(SOFT, "x")
    if packed:
        put(tmp_path, "download.zip", zipped({outer: content, "ben/": b""}))
    else:
        put(tmp_path, outer, content)
    (one,) = [one for one in found(tmp_path).values() if one.path]
    assert one.read(LIMIT) == notebook(SOFT, "x")
    assert one.student == {"a": "anna", "A": "Anna Berg"}[layout[0]] if layout != "a_1_2_" else "a"
    assert all(part in one.where for part in name.replace("\\", "/").split("/")[-1:])


@pytest.mark.parametrize("around", ["submitted", "a class"])
def test_a_folder_around_the_class_is_looked_through(tmp_path, around):
    for name in ("anna", "ben"):
        put(tmp_path, f"{around}/{name}/{SOFT}/{SOFT}.ipynb", notebook(SOFT, name))
    if around == "submitted":  # a course of nbgrader
        put(tmp_path, f"source/{SOFT}/{SOFT}.ipynb", notebook(SOFT, "solved"))
        put(tmp_path, f"autograded/anna/{SOFT}/{SOFT}.ipynb", notebook(SOFT, "marked"))
    submissions = found(tmp_path)
    assert sorted(submissions) == [("anna", SOFT), ("ben", SOFT)]
    assert submissions["anna", SOFT].where == f"{around}/anna/{SOFT}/{SOFT}.ipynb"
    put(tmp_path, f"cora/{SOFT}.ipynb", notebook(SOFT))
    assert ("cora", SOFT) in found(tmp_path)


def test_a_single_students_own_folders_are_not_taken_for_students(tmp_path):
    put(tmp_path, f"anna/my work/{SOFT}.ipynb", notebook(SOFT))
    put(tmp_path, f"anna/week 2/{LOSS}/{LOSS}.ipynb", notebook(LOSS))
    assert sorted(found(tmp_path)) == [("anna", SOFT), ("anna", LOSS)]


def test_the_last_archive_of_three_is_not_opened(tmp_path):
    put(tmp_path, f"ben/{SOFT}.ipynb", notebook(SOFT))
    put(tmp_path, "anna/a.zip", zipped({"b.zip": zipped({"c.zip": zipped({f"{SOFT}.ipynb": notebook(SOFT)})})}))
    problem = found(tmp_path)["anna", SOFT].problem
    assert problem == f"{NOTHING}; anna/a.zip: b.zip: c.zip is not opened: it lies in an archive in an archive"


def test_archives_of_other_kinds_are_named(tmp_path):
    put(tmp_path, f"ben/{SOFT}.ipynb", notebook(SOFT))
    put(tmp_path, "anna/work.rar", b"Rar!")
    assert found(tmp_path)["anna", SOFT].problem == f"{NOTHING}; anna/work.rar is not opened: of archives only .zip is"


# ---- Which lesson, and which of several --------------------------------------------------------------------------


def test_cells_tell_the_lesson_of_a_renamed_notebook(tmp_path):
    put(tmp_path, f"anna/{LOSS}/Untitled 3.ipynb", notebook(SOFT))
    put(tmp_path, "anna/capstone/scratch.ipynb", notebook(None))
    submissions = found(tmp_path)
    assert submissions["anna", SOFT].notes == ("found as 'Untitled 3.ipynb'",)
    assert submissions["anna", "capstone"].notes == ("found as 'scratch.ipynb'",)  # by its folder
    assert ("anna", LOSS) not in submissions


def test_a_lesson_that_is_not_looked_for_is_left_alone(tmp_path):
    put(tmp_path, f"anna/{SOFT}/{SOFT}.ipynb", notebook(SOFT))
    put(tmp_path, "anna/x.ipynb", notebook(LOSS))
    collection = collect(tmp_path, [SOFT], known)
    assert [(one.student, one.lesson) for one in collection.submissions] == [("anna", SOFT)]
    assert collection.warnings == ()


def test_a_scratch_notebook_beside_the_lesson_never_wins(tmp_path):
    put(tmp_path, f"anna/{SOFT}/{SOFT}.ipynb", notebook(SOFT), when=1_000_000_000)
    put(tmp_path, f"anna/{SOFT}/scratch.ipynb", notebook(None), when=1_700_000_000)
    anna = found(tmp_path)["anna", SOFT]
    assert (anna.where, anna.notes) == (f"anna/{SOFT}/{SOFT}.ipynb", ())


def test_the_later_of_two_counts_whatever_its_name(tmp_path):
    put(tmp_path, f"anna/{SOFT}/{SOFT}.ipynb", notebook(SOFT), when=1_000_000_000)
    put(tmp_path, f"anna/{SOFT}/mine.ipynb", notebook(SOFT), when=1_700_000_000)
    assert found(tmp_path)["anna", SOFT].notes == ("found as 'mine.ipynb'", "the latest of 2 submissions")


def test_where_nothing_tells_which_is_later_the_lessons_own_name_counts_and_it_is_said(tmp_path):
    for name in (f"{SOFT}.ipynb", "Copy.ipynb", "zz.ipynb"):
        put(tmp_path, f"anna/{name}", notebook(SOFT), when=1_700_000_000)
        put(tmp_path, f"ben/x{name}", notebook(SOFT), when=1_700_000_000)
    submissions = found(tmp_path)
    assert (submissions["anna", SOFT].where, submissions["anna", SOFT].notes) == (
        f"anna/{SOFT}.ipynb",
        ("one of 3 submissions",),
    )
    assert submissions["ben", SOFT].where == "ben/xzz.ipynb"


def test_a_later_download_of_the_same_assignment_counts(tmp_path):
    name = f"Anna_1_assignsubmission_file_/{SOFT}.ipynb"
    put(tmp_path, "a later.zip", zipped({name: notebook(SOFT, "new")}), when=1_700_000_900)
    put(tmp_path, "moodle.zip", zipped({name: notebook(SOFT, "old")}), when=1_700_000_000)
    anna = found(tmp_path)["Anna", SOFT]
    assert (anna.read(LIMIT), anna.notes) == (notebook(SOFT, "new"), ("the latest of 2 submissions",))


def test_an_earlier_one_counts_where_the_latest_cannot_be_read(tmp_path):
    put(tmp_path, f"anna/{SOFT}/{SOFT}.ipynb", notebook(SOFT), when=1_000_000_000)
    (tmp_path / f"anna/{SOFT}.ipynb").mkdir()
    anna = found(tmp_path)["anna", SOFT]
    assert anna.read(LIMIT) == notebook(SOFT)
    assert anna.notes[1] == f"a later one does not count: anna/{SOFT}.ipynb is a folder, not a notebook"


@pytest.mark.parametrize("fault", [ValueError, KeyError, RecursionError, MemoryError])
def test_a_notebook_that_breaks_the_reader_does_not_stop_the_others(tmp_path, fault):
    def fragile(content):
        raise fault

    put(tmp_path, f"anna/{SOFT}/{SOFT}.ipynb", notebook(SOFT))
    put(tmp_path, "ben/bomb.ipynb", b"[" * 100)
    collection = collect(tmp_path, LESSONS, fragile)
    assert [one.problem for one in collection.submissions] == [
        "",
        f"{NOTHING}; ben/bomb.ipynb belongs to none of the lessons",
    ]
    assert collection.warnings == ("ben/bomb.ipynb belongs to none of the lessons",)


# ---- Names of students -------------------------------------------------------------------------------------------


def test_two_students_with_one_name_stay_two(tmp_path):
    put(
        tmp_path,
        "moodle.zip",
        zipped({f"Anna Berg_{n}_assignsubmission_file_/{SOFT}.ipynb": notebook(SOFT, n) for n in "12"}),
    )
    put(tmp_path, "submissions.zip", zipped({f"obrien_{n}_77_{SOFT}.ipynb": notebook(SOFT, n) for n in "34"}))
    submissions = found(tmp_path)
    assert {student for student, _ in submissions} == {"Anna Berg (1)", "Anna Berg (2)", "obrien (3)", "obrien (4)"}
    assert submissions["Anna Berg (2)", SOFT].read(LIMIT) == notebook(SOFT, "2")


def test_moodles_numbers_differ_between_assignments_for_one_student(tmp_path):
    put(tmp_path, "soft.zip", zipped({f"Anna Berg_1_assignsubmission_file_/{SOFT}.ipynb": notebook(SOFT)}))
    put(tmp_path, "loss.zip", zipped({f"Anna Berg_9_assignsubmission_file_/{LOSS}.ipynb": notebook(LOSS)}))
    assert [(one.student, one.problem) for one in found(tmp_path).values()] == [("Anna Berg", ""), ("Anna Berg", "")]
    put(tmp_path, "other group.zip", zipped({f"Anna Berg_5_assignsubmission_file_/{SOFT}.ipynb": notebook(SOFT)}))
    assert {student for student, _ in found(tmp_path)} == {"Anna Berg (1)", "Anna Berg (5)", "Anna Berg (9)"}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("=cmd|'/C calc'!A0", None),
        ("+1", "'+1'"),
        ("@x", "'@x'"),
        ("-x", "'-x'"),
        ("two\nlines\t", "two\\nlines\\t"),
        ("\u202egnp", "\\u202egnp"),
        ("\udcff", "\\udcff"),
        ("a\u3000b", "a b"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_names_are_safe_to_print(tmp_path, name, key):
    put(tmp_path, "moodle.zip", zipped({f"ben/{SOFT}.ipynb": notebook(SOFT)}))
    if key is None:
        name, key = "=cmd|' C calc'!A0", "\"=cmd|' C calc'!A0\""
    member = f"{name}_1_assignsubmission_file_x.ipynb".encode("utf-8", "surrogateescape")
    archive = zipped({"?" * len(member): notebook(SOFT)}).replace(b"?" * len(member), member)
    put(tmp_path, "x.zip", archive)
    collection = collect(tmp_path, LESSONS, known)
    (one,) = [one for one in collection.submissions if one.student != "ben"]
    assert one.student == key or name == "\udcff"
    assert one.read(LIMIT) == notebook(SOFT)
    assert all(text.isprintable() for text in (one.student, one.where, *one.notes, *collection.warnings))


def test_keys_are_unique_though_names_look_alike(tmp_path):
    names = ["José", unicodedata.normalize("NFD", "José"), "a b", "a\u3000b", "Anna (1)"]
    for name in names:
        put(tmp_path, f"{name}/{SOFT}.ipynb", notebook(SOFT, name))
    put(tmp_path, "moodle.zip", zipped({f"Anna_{n}_assignsubmission_file_/{SOFT}.ipynb": notebook(SOFT) for n in "12"}))
    submissions = found(tmp_path)
    assert len(submissions) == len(names) + 2
    assert submissions["José", SOFT].read(LIMIT) == notebook(SOFT, "José")


def folded(name):
    return unicodedata.normalize("NFC", name.casefold())


names = st.text(st.sampled_from("aAäÄ\u0308张/\\.: -_conLPT1\udcff\u202e'=…"), max_size=8) | st.text(max_size=100)


@given(names, names)
def test_names_of_files_are_different_for_different_students_on_every_file_system(one, other):
    if one != other:
        assert folded(safe_name(one)) != folded(safe_name(other))
    name = safe_name(one)
    assert 0 < len(name.encode()) < 150
    assert not set(name) & set('/\\:*?"<>|\n\0')
    assert name == name.strip(" .")
    assert name.partition(".")[0].strip().casefold() not in ("con", "prn", "aux", "nul", "com1", "lpt1")


def test_names_of_files_stay_as_they_are_where_that_is_safe():
    assert [safe_name(name) for name in ("anna berg", "张伟", "seán o'brien")] == ["anna berg", "张伟", "seán o'brien"]
    assert safe_name("con.txt").startswith("_con.txt-")
    assert safe_name(safe_name("Anna")) != safe_name("Anna")


# ---- What somebody might try -------------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path):
    put(tmp_path, f"class/ben/{SOFT}/{SOFT}.ipynb", notebook(SOFT))
    put(tmp_path, f"solutions/{SOFT}.ipynb", notebook(SOFT, "secret"))
    return tmp_path / "class", tmp_path / "solutions"


def test_links_are_not_followed(outside):
    folder, solutions = outside
    (folder / "file").mkdir()
    (folder / "file" / f"{SOFT}.ipynb").symlink_to(solutions / f"{SOFT}.ipynb")
    (folder / "lesson").mkdir()
    (folder / "lesson" / SOFT).symlink_to(solutions)
    (folder / "student").symlink_to(solutions)
    (folder / "archive").mkdir()
    (folder / "archive" / "x.zip").symlink_to(solutions)
    submissions = found(folder)
    link = "is a link, and links are not followed"
    assert submissions["file", SOFT].problem == f"file/{SOFT}.ipynb {link}"
    assert submissions["lesson", SOFT].problem == f"lesson/{SOFT} {link}"
    assert submissions["student", SOFT].problem == f"{NOTHING}; student {link}"
    assert submissions["archive", SOFT].problem == f"{NOTHING}; archive/x.zip {link}"
    assert f"student {link}" in said(folder)
    with pytest.raises(ValueError, match=link):
        submissions["file", SOFT].read(LIMIT)


def test_a_file_exchanged_for_a_link_after_it_was_found_is_not_read(outside):
    folder, solutions = outside
    ben = found(folder)["ben", SOFT]
    ben.path.unlink()
    with pytest.raises(ValueError, match=rf"^ben/{SOFT}/{SOFT}.ipynb is not there any more$"):
        ben.read(LIMIT)
    ben.path.symlink_to(solutions / f"{SOFT}.ipynb")
    with pytest.raises(ValueError, match=r"is not a file$"):
        ben.read(LIMIT)


def test_links_and_paths_in_archives_do_not_lead_outside(outside):
    folder, _ = outside
    link = zipfile.ZipInfo(f"linked/{SOFT}.ipynb")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(folder / "class.zip", "w") as archive:
        archive.writestr(link, "../../solutions/02-soft-targets.ipynb")
        archive.writestr(f"../../{SOFT}.ipynb", notebook(SOFT))
        archive.writestr(f"cora/../ben/{SOFT}.ipynb", notebook(SOFT, "not Ben's"))
        archive.writestr(f"/etc/{SOFT}.ipynb", notebook(SOFT))
        archive.writestr(f"C:/{SOFT}.ipynb", notebook(SOFT))
    put(folder, "emil/x.zip", zipped({f"../ben/{SOFT}.ipynb": notebook(SOFT, "not Ben's")}))
    submissions = found(folder)
    assert {student for student, _ in submissions} == {"ben", "emil", "linked"}
    assert submissions["linked", SOFT].problem.endswith("is a link, and links are not followed")
    assert submissions["ben", SOFT].read(LIMIT) == notebook(SOFT)
    left_out = [f"../../{SOFT}.ipynb", f"cora/../ben/{SOFT}.ipynb", f"/etc/{SOFT}.ipynb", f"C:/{SOFT}.ipynb"]
    for name in left_out:
        assert f"class.zip: {name} would lie outside, and is left out" in said(folder)
    assert "emil/x.zip: ../ben" in submissions["emil", SOFT].problem


def test_nobody_hands_in_for_somebody_else(outside):
    folder, _ = outside
    for name in (
        f"ben+{SOFT}+2099-01-01 00:00:00 UTC/x.ipynb",
        "ben_1_assignsubmission_file_/x.ipynb",
        "ben_1_2_x.ipynb",
    ):
        put(folder, f"mallory/{name}", notebook(SOFT, "not Ben's"))
    put(folder, "mallory/x.zip", zipped({f"ben/{SOFT}/{SOFT}.ipynb": notebook(SOFT, "not Ben's")}))
    submissions = found(folder)
    assert {student for student, _ in submissions} == {"ben", "mallory"}
    assert submissions["ben", SOFT].read(LIMIT) == notebook(SOFT)


def test_what_is_no_file_is_not_opened(outside):
    folder, _ = outside
    (folder / "pipe").mkdir()
    os.mkfifo(folder / "pipe" / f"{SOFT}.ipynb")
    (folder / "dir" / f"{SOFT}.ipynb").mkdir(parents=True)
    put(folder, f"empty/{SOFT}.ipynb")
    submissions = found(folder)
    assert submissions["pipe", SOFT].problem == f"pipe/{SOFT}.ipynb is not a file"
    assert submissions["dir", SOFT].problem == f"dir/{SOFT}.ipynb is a folder, not a notebook"
    assert submissions["dir", SOFT].path == folder / "dir" / f"{SOFT}.ipynb"
    assert (submissions["empty", SOFT].problem, submissions["empty", SOFT].read(LIMIT)) == ("", b"")


def test_what_may_not_be_read_is_said(outside, monkeypatch):
    folder, _ = outside
    put(folder, f"anna/{SOFT}/{SOFT}.ipynb")
    scandir = os.scandir

    def forbidding(path):
        if path.name == SOFT and path.parent.name == "anna":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidding)
    submissions = found(folder)
    assert submissions["anna", SOFT].problem == f"anna/{SOFT} cannot be read (Permission denied)"
    assert submissions["ben", SOFT].problem == ""


def test_hidden_things_are_ignored(outside):
    folder, _ = outside
    for name in (
        ".ipynb_checkpoints/x-checkpoint.ipynb",
        "__MACOSX/x.ipynb",
        f"._{SOFT}.ipynb",
        f"~${SOFT}.ipynb",
        ".x.zip",
    ):
        put(folder, f"anna/{name}", notebook(SOFT))
        put(folder, name, notebook(SOFT))
        put(folder, f"{name.count('x')}{len(name)}.zip", zipped({f"cora/{name}": notebook(SOFT), "cora/": b""}))
    submissions = found(folder)
    assert {student for student, _ in submissions} == {"anna", "ben", "cora"}
    assert submissions["anna", SOFT].problem == submissions["cora", SOFT].problem == NOTHING


def encrypted(members):
    """Mark every member as encrypted, in the file's own headers and in the list."""
    data = bytearray(zipped(members))
    for sign, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.find(sign)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(sign, at + 1)
    return bytes(data)


def test_encrypted_and_broken_archives_are_problems_of_their_student_alone(outside):
    folder, _ = outside
    whole = zipped({f"{SOFT}.ipynb": notebook(SOFT)})
    put(folder, "anna/x.zip", encrypted({f"{SOFT}.ipynb": notebook(SOFT)}))
    put(folder, f"cora/{SOFT}/x.zip", whole[:-30])
    put(folder, "dora/x.zip", b"PK\3\4")
    put(folder, f"emil/{SOFT}.zip", whole.replace(b"PK\1\2", b"PK\1\3"))
    put(folder, "class.zip", whole[:40])
    put(folder, "two.zip", zipped({f"Fay_1_assignsubmission_file_{SOFT}.zip": encrypted({"x.ipynb": notebook(SOFT)})}))
    submissions = found(folder)
    assert submissions["anna", SOFT].problem == f"anna/x.zip: {SOFT}.ipynb {archives.ENCRYPTED}"
    assert submissions["cora", SOFT].problem == f"cora/{SOFT}/x.zip is a broken archive"
    assert submissions["cora", SOFT].path == folder / "cora" / SOFT / "x.zip"
    assert submissions["dora", SOFT].problem == f"{NOTHING}; dora/x.zip is a broken archive"
    assert submissions["emil", SOFT].problem == f"emil/{SOFT}.zip is a broken archive"
    assert submissions["Fay", SOFT].problem.endswith(f"x.ipynb {archives.ENCRYPTED}")
    assert submissions["ben", SOFT].read(LIMIT) == notebook(SOFT)
    assert "class.zip is a broken archive" in said(folder).splitlines()


def test_sizes_are_bounded_whatever_an_archive_declares(outside):
    folder, _ = outside
    bomb = zipped({f"{SOFT}.ipynb": b"0" * 3_000_000})
    put(folder, "anna/x.zip", bomb)
    lie = bytearray(bomb)
    lie[lie.find(b"PK\1\2") + 24 :][:4]
    lie[lie.find(b"PK\1\2") + 24 : lie.find(b"PK\1\2") + 28] = struct.pack("<I", 100)
    put(folder, "cora/x.zip", bytes(lie))
    put(folder, f"dora/{SOFT}.ipynb", b"0" * 3_000_000)
    submissions = found(folder)
    for student, sentence in (
        ("anna", f"anna/x.zip: {SOFT}.ipynb is larger than 1,000,000 bytes"),
        ("cora", f"cora/x.zip: {SOFT}.ipynb is a broken archive"),
        ("dora", f"dora/{SOFT}.ipynb is larger than 1,000,000 bytes"),
    ):
        with pytest.raises(ValueError, match=f"^{sentence}$"):
            submissions[student, SOFT].read(LIMIT)
    assert len(submissions["dora", SOFT].read(3_000_000)) == 3_000_000


def test_an_archive_in_an_archive_is_bounded_too(outside, monkeypatch):
    folder, _ = outside
    monkeypatch.setattr(archives, "MOST_BYTES", 100_000)
    put(folder, "anna/x.zip", zipped({"y.zip": b"0" * 200_000}))
    monkeypatch.setattr(sys.modules["course.collect"], "MOST_BYTES", 100_000)
    put(folder, "cora/huge.ipynb", b"0" * 200_000)
    submissions = found(folder)
    assert submissions["anna", SOFT].problem == f"{NOTHING}; anna/x.zip: y.zip is larger than 100,000 bytes"
    assert submissions["cora", SOFT].problem == f"{NOTHING}; cora/huge.ipynb is larger than 100,000 bytes"


def test_unusual_packing_is_refused(outside):
    folder, _ = outside
    with zipfile.ZipFile(put(folder, "anna/x.zip"), "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr(f"{SOFT}.ipynb", notebook(SOFT))
    with pytest.raises(ValueError, match=r"is packed in an unusual way; only ordinary \.zip archives are read$"):
        found(folder)["anna", SOFT].read(LIMIT)


def test_an_archive_with_a_million_members_is_not_even_listed(outside, monkeypatch):
    folder, _ = outside
    put(folder, "cora/x.zip", zipped({f"{n}.txt": b"" for n in range(archives.MOST_FILES + 1)}))
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    many = 1_000_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(entry) * many, 0, 0)
    put(folder, "anna/x.zip", entry * many + end)
    made = []
    real = zipfile.ZipInfo
    monkeypatch.setattr(zipfile, "ZipInfo", lambda *args: made.append(args) or real(*args))
    submissions = found(folder)
    assert len(made) == archives.MOST_FILES + 1  # Cora's
    for name in ("anna", "cora"):
        assert submissions[name, SOFT].problem == f"{NOTHING}; {name}/x.zip lists more than 20,000 files"


def test_too_many_files_of_one_student_do_not_stop_the_others(outside, monkeypatch):
    folder, _ = outside
    monkeypatch.setattr(archives, "MOST_FILES", 30)
    for number in range(100):
        put(folder, f"anna/{number % 10}/{number}.txt")
    submissions = found(folder)
    assert submissions["anna", SOFT].problem == f"{NOTHING}; anna holds more than 30 files"
    assert submissions["ben", SOFT].problem == ""
    for number in range(40):
        (folder / f"d{number}").mkdir()
    assert f"only 30 of what lies in {folder} was looked at" in said(folder)


def test_archives_in_an_archive_do_not_add_up(outside, monkeypatch):
    folder, _ = outside
    monkeypatch.setattr(archives, "MOST_FILES", 30)
    put(folder, "anna/x.zip", zipped({f"{n}.zip": zipped({f"{m}.txt": b"" for m in range(20)}) for n in range(5)}))
    problem = found(folder)["anna", SOFT].problem
    assert problem.count("lists more than") == 4
    assert "x.zip: 4.zip lists more than 20,000 files" in problem


def test_a_hundred_notebooks_of_other_names_are_opened_and_no_more(outside):
    folder, _ = outside
    for number in range(150):
        put(folder, f"anna/{number:03}.ipynb", notebook(None))
    put(folder, f"anna/z/{SOFT}.ipynb", notebook(SOFT))
    anna = found(folder)["anna", SOFT]
    assert anna.read(LIMIT) == notebook(SOFT)
    assert said(folder).splitlines()[-1] == "96 more things of anna could not be used"


def test_deep_folders_end_the_search_not_the_class(outside):
    folder, _ = outside
    put(folder, "anna/" + "d/" * 60 + f"{SOFT}.ipynb", notebook(SOFT))
    assert found(folder)["anna", SOFT].problem == NOTHING


def attempt(submission):
    try:
        return "", submission.read(LIMIT)
    except ValueError as problem:
        return str(problem), b""


@given(st.binary(max_size=8), st.integers(0, 600), st.integers(0, 600))
def test_a_damaged_archive_is_a_sentence_and_nothing_else(tmp_path_factory, noise, at, cut):
    folder = tmp_path_factory.mktemp("damaged")
    put(folder, f"ben/{SOFT}.ipynb", notebook(SOFT))
    data = zipped({f"{SOFT}.ipynb": notebook(SOFT), "y.zip": zipped({"x.ipynb": notebook(SOFT)}), "é.txt": b"x"})
    damaged = data[:at] + noise + data[at + len(noise) :]
    put(folder, "anna/x.zip", damaged[:cut] if cut < 300 else damaged)
    for one in found(folder).values():
        problem, content = attempt(one)
        assert problem.isprintable()
        assert one.student == "anna" or content == notebook(SOFT)


PARTS = [
    "anna",
    "anna",
    "Anna_1_assignsubmission_file_",
    "Anna_1_assignsubmission_file_x.ipynb",
    "a_LATE_1_2_x-3.ipynb",
]
PARTS += [
    SOFT,
    f"{SOFT}.ipynb",
    "x.ipynb",
    "x.zip",
    f"{LOSS}.zip",
    "submitted",
    "timestamp.txt",
    "=1",
    "a\nb",
    "..",
    "é",
]
PARTS += [f"ben+{SOFT}+2026-02-03 08:00:00 UTC+r", "_assignsubmission_onlinetext", "link", "__MACOSX", " ", "A.IPYNB"]
paths = st.lists(st.sampled_from(PARTS), min_size=1, max_size=5).map("/".join)
contents = st.sampled_from([b"", notebook(SOFT), notebook(LOSS), notebook(None), b"2026-02-03 08:00:00", zipped({})])
trees = st.dictionaries(paths, contents, max_size=6)
forests = st.dictionaries(paths, contents | trees.map(zipped), max_size=6)


@given(forests, st.booleans())
def test_any_mixture_gives_each_student_one_submission_for_each_lesson(tmp_path_factory, forest, packed):
    folder = tmp_path_factory.mktemp("any")
    put(folder, f"zoe/{SOFT}.ipynb", notebook(SOFT))
    if packed:
        put(folder, "class.zip", zipped(forest))
    else:
        for name, content in forest.items():
            with contextlib.suppress(OSError):  # a file where a folder is wanted
                path = put(folder, name.replace("..", "dots"), content)
                if name.endswith("link"):
                    path.unlink()
                    path.symlink_to("/etc")
    collection = collect(folder, LESSONS, known)
    pairs = [(one.student, one.lesson) for one in collection.submissions]
    lessons = sorted({lesson for _, lesson in pairs})
    assert pairs == [(student, lesson) for student in sorted({student for student, _ in pairs}) for lesson in lessons]
    for one in collection.submissions:
        problem, _ = attempt(one)
        assert all(text.isprintable() for text in (one.student, one.where, problem, *one.notes, *collection.warnings))
        assert bool(problem) == bool(one.problem) or one.path is not None
        assert one.path is None or one.path.resolve().is_relative_to(folder.resolve()) or one.problem


# ---- Nothing there -----------------------------------------------------------------------------------------------


def test_nothing_recognisable_is_said_with_what_was_looked_for(tmp_path):
    with pytest.raises(ValueError, match=r"there is no folder or archive .*nowhere; expected is <student>/<lesson>/"):
        collect(tmp_path / "nowhere", LESSONS, known)
    with pytest.raises(
        ValueError, match=f"holds no student's notebook of {SOFT}, {LOSS}, capstone; expected is .*Moodle"
    ):
        collect(tmp_path, LESSONS, known)
    put(tmp_path, f"{SOFT}.ipynb", notebook(SOFT))
    put(tmp_path, f"{LOSS}/anna/{LOSS}.ipynb", notebook(LOSS))
    with pytest.raises(ValueError, match=f"nobody can tell whose {LOSS}/anna/{LOSS}.ipynb is"):
        collect(tmp_path, LESSONS, known)
    put(tmp_path, f"anna/{SOFT}.ipynb", notebook(SOFT))
    assert f"nobody can tell whose {SOFT}.ipynb is" in said(tmp_path)
    broken = put(tmp_path, "broken.zip", b"PK")
    with pytest.raises(ValueError, match=r"broken.zip holds no student's .*; broken.zip is a broken archive"):
        collect(broken, LESSONS, known)
    text = put(tmp_path, "read me.txt", b"PK")
    with pytest.raises(ValueError, match="holds no student's notebook"):
        collect(text, LESSONS, known)
