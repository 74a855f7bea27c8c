"""The page *Methods and scenes* in a browser: nothing leaves, no error, no sideways scrolling, axe finds nothing, and it works by hand."""

import json
import os

import pytest
from in_browser import press, scrolls_sideways, see, serious_findings, wait_until
from made_up_scenes import made_up_results

import bench.browser
from app_support import scenes

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(bench.browser.what_is_missing()), reason=bench.browser.what_is_missing()),
]
PATH = "/methods_and_scenes?hide=question&"
STATES = {
    "asks": "/methods_and_scenes",
    "methods": f"{PATH}part=methods",
    "sizes": f"{PATH}part=sizes&lang=zh",
    "scenes": f"{PATH}part=scenes",
    "medicine": f"{PATH}part=medicine&step=2",
    "live": f"{PATH}part=live&lang=zh",
}
QUICK = f"{PATH}part=live&live_task=breast-cancer&method=hints&method_seeds=2&method_epochs=2"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The app, with results that are obviously made up."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "scenes.json").write_text(json.dumps(made_up_results()), encoding="utf-8")
    before = os.environ.get(scenes.FILE_VARIABLE)
    os.environ[scenes.FILE_VARIABLE] = str(folder / "scenes.json")
    try:
        with (folder / "log").open("w") as log, bench.browser.server(log) as address:
            yield address
    finally:
        del os.environ[scenes.FILE_VARIABLE]
        if before is not None:
            os.environ[scenes.FILE_VARIABLE] = before


def wait_until_drawn(page, state):
    page.locator("h1").first.wait_for()
    if state in ("methods", "sizes", "medicine"):
        page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg").first.wait_for()
    page.get_by_test_id("stStatusWidget").wait_for(state="detached")
    page.wait_for_timeout(1000)


@pytest.mark.parametrize("state", STATES)
def test_a_phone_shows_each_part_without_sideways_scrolling(page, state):
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(STATES[state])
    wait_until_drawn(page, state)
    assert not scrolls_sideways(page)


@pytest.mark.skipif(not bench.browser.AXE.exists(), reason="axe-core is missing: make axe")
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_serious(browser, server, state, theme):
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, base_url=server, color_scheme=theme)
    try:
        opened = context.new_page()
        opened.set_default_timeout(60_000)
        opened.goto(STATES[state])
        wait_until_drawn(opened, state)
        assert not serious_findings(opened)
    finally:
        context.close()


def test_an_answer_opens_the_results_and_their_figure_can_be_taken_along(page):
    page.goto(STATES["asks"])
    see(page, "Predict first:")
    press(page, "some, at most half")
    see(page, "and so it is")
    see(page, "6 of the 13 methods were measurably better")
    with page.expect_download() as download:
        page.get_by_role("button", name="Figure (PNG)").click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")
    with page.expect_download() as download:
        page.get_by_role("button", name="Table (CSV)").click()
    assert download.value.path().read_text("utf-8").startswith("method,family,setting")


def test_the_parts_are_chosen_and_go_along_in_the_address(page):
    page.goto(STATES["methods"])
    wait_until_drawn(page, "methods")
    page.get_by_role("radio", name="Size and speed").or_(
        page.get_by_role("button", name="Size and speed")
    ).first.click()
    see(page, "100 times fewer bytes than the teacher")
    page.wait_for_url("**part=sizes*")
    page.reload()
    see(page, "100 times fewer bytes than the teacher")


def test_what_was_chosen_stays_chosen_in_the_words_of_another_language(page):
    page.goto(f"{PATH}part=live&method=hints")
    box = page.get_by_role("combobox", name="Method")
    wait_until(lambda: box.input_value() == "hints")
    page.get_by_role("radio", name="中文").or_(page.get_by_role("button", name="中文")).first.click()
    box = page.get_by_role("combobox", name="方法")
    wait_until(lambda: "FitNets" in box.input_value())
    page.wait_for_url("**method=hints*")


def test_a_decision_is_followed_to_its_end(page):
    page.goto(f"{PATH}part=medicine&step=0&patient=3")
    see(page, "Question 1:")
    for step in range(1, 4):
        press(page, "Step")
        page.wait_for_url(f"**step={step}*")
        if page.get_by_role("button", name="Step", exact=True).first.is_disabled():
            break
    see(page, "The truth:")
    page.reload()
    see(page, "The truth:")


def test_a_small_case_is_trained_here_and_can_be_taken_along(page):
    page.goto(QUICK)
    press(page, "Train")
    see(page, "paired, 2 seeds")
    page.locator("[data-testid=stVegaLiteChart]").first.wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Python code").click()
    assert "compare.distil" in download.value.path().read_text("utf-8")


def test_stop_ends_a_small_case_and_keeps_what_is_done(page):
    page.goto(f"{PATH}part=live&live_task=digits&method=relational&method_seeds=5&method_epochs=200")
    press(page, "Train")
    see(page, "Seed 1 of 5")
    press(page, "Stop")
    page.get_by_role("button", name="Stop", exact=True).wait_for(state="detached")
    see(page, "Stopped before the first seed was finished")
    page.get_by_role("button", name="Train", exact=True).and_(page.locator(":enabled")).wait_for()
