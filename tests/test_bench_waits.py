import re
import subprocess

import pytest

from bench import browser, waits


def test_the_median_counts_against_the_budget():
    row = waits._row("a picture", [0.2, 0.9, 0.3], budget=0.3)
    assert (row.median, row.min, row.max, row.rounds, row.budget) == ("300 ms", "200 ms", "900 ms", 3, "300 ms")
    assert row.within_budget
    assert not waits._row("a picture", [0.2, 0.9, 0.3], budget=0.29).within_budget
    assert waits._row("a picture", [1.0, 2.0], budget=2.0).median == "1.50 s"  # of an even number: the middle


def test_each_budget_has_the_seconds_that_were_measured_for_it():
    first, second = waits._rows([("b", 2.0), ("a", 1.0), ("b", 4.0)], {"a": 1.5, "b": 2.5})
    assert (first.wait, first.median, first.rounds, first.within_budget) == ("a", "1.00 s", 1, True)
    assert (second.wait, second.median, second.rounds, second.within_budget) == ("b", "3.00 s", 2, False)


@pytest.fixture
def only_quick_waits(monkeypatch):
    """Leave out what takes seconds; what is reported of the rest is under test."""
    monkeypatch.setattr(waits, "_teachers", lambda rounds: [(waits.TRAINS, 1.0), (waits.CACHED, 0.01)] * rounds)
    monkeypatch.setattr(waits, "_commands", lambda rounds: [(waits.IMPORTS, 0.1), (waits.COMMAND, 1.0)] * rounds)
    monkeypatch.setattr(waits, "_browser_rows", lambda rounds, quick: [])


@pytest.mark.usefixtures("only_quick_waits")
def test_one_wait_over_its_budget_makes_the_report_fail(monkeypatch):
    assert waits.run(quick=True).holds
    monkeypatch.setitem(waits.OTHER_BUDGETS, waits.CACHED, 0.005)
    report = waits.run(quick=True)
    assert not report.holds
    assert re.search(r"from the cache \| 10 ms \| 10 ms \| 10 ms \| 1 \| 5 ms \| NO \|", report.text)


def test_a_missing_browser_is_reported_in_every_row_with_what_to_install(monkeypatch):
    monkeypatch.setattr(browser, "CHROMIUM", "/no/such/browser")
    rows = waits._browser_rows(1, quick=True)
    assert [row.wait for row in rows] == list(waits.BROWSER_BUDGETS)
    for row in rows:
        assert row.median == (
            "not measured: Chromium is missing: install it (apt install chromium), or name it in the variable CHROMIUM"
        )
        assert not row.within_budget


@pytest.mark.parametrize(("package", "extra"), [("streamlit", "app"), ("playwright", "test"), ("psutil", "test")])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch, package, extra):
    monkeypatch.setattr(browser.importlib.util, "find_spec", lambda name: None if name == package else "there")
    assert browser.what_is_missing() == f"{package} is missing: pip install -e '.[{extra}]'"


def test_a_lesson_that_fails_or_cannot_run_is_no_time(monkeypatch):
    path = browser.ROOT / "notebooks" / "02-soft-targets" / "02-soft-targets.ipynb"
    monkeypatch.setattr(waits, "_run", lambda *arguments: subprocess.CompletedProcess(arguments, returncode=1))
    row = waits._lesson_row(path)
    assert row.median == "not measured: a cell fails, see `python -m course nbval 02-soft-targets`"
    assert not row.within_budget
    monkeypatch.setattr(waits.importlib.util, "find_spec", lambda name: None)
    assert "pip install -e '.[teacher,test]'" in waits._lesson_row(path).median


def test_every_lesson_has_a_row(monkeypatch):
    monkeypatch.setattr(waits, "_run", lambda *arguments: subprocess.CompletedProcess(arguments, returncode=0))
    lessons = [row.wait for row in waits._lesson_rows()]
    assert len(lessons) == len(list((browser.ROOT / "notebooks").glob("*/*.ipynb")))
    assert "lesson `02-soft-targets`, all cells" in lessons


@pytest.mark.browser
@pytest.mark.skipif(bool(browser.what_is_missing()), reason=browser.what_is_missing())
def test_a_click_is_timed_until_the_frame_after_the_change():
    page_of_the_test = """
        <div id="shown">old</div>
        <button onclick="setTimeout(() => shown.textContent = 'new', 200)">Change</button>"""
    with browser.chromium() as chromium:
        page = chromium.new_page()
        page.set_content(page_of_the_test)
        page.locator("#shown").evaluate(waits._WATCH % "element.textContent")
        page.wait_for_timeout(100)  # waiting before the click must not count
        page.get_by_role("button").click()
        ((text, seconds),) = waits._seen(page, "new")
    assert text == "new"
    assert 0.2 <= seconds < 5


def test_an_app_that_ends_at_once_is_an_error_and_no_endless_wait(monkeypatch, tmp_path):
    monkeypatch.setattr(browser, "ROOT", tmp_path)  # where there is no app.py
    with pytest.raises(RuntimeError, match="ended at once"), browser.server():
        pass
