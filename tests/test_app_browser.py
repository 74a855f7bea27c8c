"""What only a browser shows: dragging, the URL, polling, layout, and what leaves the machine."""

import time

import pytest

import bench.browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(bench.browser.what_is_missing()), reason=bench.browser.what_is_missing()),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with (tmp_path_factory.mktemp("server") / "log").open("w") as log, bench.browser.server(log) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with bench.browser.chromium() as started:
        yield started


@pytest.fixture
def page(browser, server):
    """A fresh page that fails its test for any error in the console and any request to another machine."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, base_url=server)
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    outside, errors = [], []
    opened.on("request", lambda r: None if r.url.startswith((server, "data:", "blob:")) else outside.append(r.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda m: errors.append(f"{m.text} {m.location}") if m.type == "error" else None)
    yield opened
    context.close()
    assert outside == []
    # A page opened by its address is first looked for beneath that address: harmless.
    assert [error for error in errors if "404" not in error] == []


def bars_are_there(page):
    page.locator(".bars .share").last.wait_for()
    return page.locator(".bars")


def see(page, text):
    page.get_by_text(text).first.wait_for()


def test_dragging_moves_the_bars_before_release_and_within_50_ms(page):
    page.goto("/")
    bars = bars_are_there(page)
    width = page.locator("rect[data-teacher]").first
    before = width.get_attribute("width"), bars.get_attribute("data-temperature"), page.url
    times = bench.browser.drag_temperature(page)
    assert width.get_attribute("width") != before[0]
    assert bars.get_attribute("data-temperature") != before[1]
    assert "uniform" in page.locator(".bars .sentence").inner_text()
    assert page.url == before[2]  # nothing is released yet
    print(f"redraw: median {sorted(times)[len(times) // 2]} ms, at most {max(times)} ms")
    assert max(times) <= 50
    page.mouse.up()
    temperature = bars.get_attribute("data-temperature")
    page.wait_for_url(f"**/?*T={temperature}*")
    page.reload()
    assert bars_are_there(page).get_attribute("data-temperature") == temperature


def test_the_slider_obeys_the_keyboard(page):
    page.goto("/?T=1")
    bars = bars_are_there(page)
    assert bars.get_attribute("data-temperature") == "1"
    page.locator("input[type=range][aria-label='Temperature T']").focus()
    page.keyboard.press("ArrowRight")
    assert bars.get_attribute("data-temperature") == "1.1"
    assert "temperature 1.1" in page.locator(".bars .rows").get_attribute("aria-label")


def test_signals_are_drawn_as_a_line(page):
    page.goto("/?data=mnist1d")
    bars_are_there(page)
    page.locator(".bars .example polyline").wait_for()


def test_distil_trains_and_says_what_happened(page):
    page.goto("/distil?epochs=5&seeds=3&scenario=few-labels")
    see(page, "paired, 3 seeds;")
    see(page, "On the test part")
    page.get_by_role("button", name="Train").click()
    see(page, "All runs (2)")
    with page.expect_download() as download:
        page.get_by_role("button", name="Results (CSV)").click()
    assert download.value.path().read_text().startswith("run,dataset,scenario")
    with page.expect_download() as download:
        page.get_by_role("button", name="Figure (PNG)").click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_stop_stops_a_long_run(page):
    page.goto("/distil?epochs=300&seeds=20&scenario=all-labels&size=mlp-512")
    page.get_by_text("Press Train").wait_for()
    page.get_by_role("button", name="Train").click()
    page.get_by_role("button", name="Stop").click()
    began = time.monotonic()
    see(page, "Stopped before there was anything to compare")
    assert time.monotonic() - began < 10


def test_choosing_a_cell_of_the_surface_shows_its_test_accuracy(page):
    page.goto("/surface?epochs=20&seeds=2&size=mlp-16")
    see(page, "With 2 seeds")
    see(page, "Test accuracy of this cell")
    page.get_by_role("button", name="Stop").wait_for(state="detached")
    chart = page.locator("[data-testid=stVegaLiteChart]").first
    box = chart.bounding_box()
    chart.click(position={"x": box["width"] * 0.5, "y": 30})  # the row of the highest temperature
    see(page, "T = 20, λ = 0.")
    page.wait_for_url("**cell_T=20*")


@pytest.mark.parametrize("path", ["/", "/distil?epochs=5", "/surface?epochs=5&seeds=2"])
def test_a_phone_shows_each_page_without_sideways_scrolling(page, path):
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(path)
    if path == "/":
        bars_are_there(page)
        first_bar = page.locator("rect[data-teacher]").first.bounding_box()
        assert first_bar["y"] < 800  # without scrolling
    else:
        page.locator("[data-testid=stVegaLiteChart]").first.wait_for()
    main = "document.querySelector('[data-testid=stMain]')"
    assert page.evaluate(f"{main}.scrollWidth <= {main}.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_numbers_too_large_in_a_link_fall_back(page):
    page.goto("/?example=1e999")
    bars_are_there(page)
    page.wait_for_url("**example=*")
    assert "1e999" not in page.url
    page.goto(f"/distil?epochs={'9' * 400}&seeds=1e999")
    see(page, "On the test part")
