"""What only a browser shows: dragging, drawing, the URL, polling, layout, accessibility, and what leaves the machine."""

import csv
import io
import json
import re
import time
import zipfile

import pytest
import torch
from in_browser import press, scrolls_sideways, see, serious_findings, wait_until

import bench.browser
from app_support.loss_lab import EXAMPLES
from toolkit import losses

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(bench.browser.what_is_missing()), reason=bench.browser.what_is_missing()),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with (tmp_path_factory.mktemp("server") / "log").open("w") as log, bench.browser.server(log) as address:
        yield address


def bars_are_there(page):
    page.locator(".bars .share").last.wait_for()
    return page.locator(".bars")


def test_dragging_moves_the_bars_before_release_and_within_50_ms(page):
    page.goto("/?hide=question")
    bars = bars_are_there(page)
    page.wait_for_url("**T=4*")
    width = page.locator("rect[data-teacher]").first
    before = width.get_attribute("width"), bars.get_attribute("data-temperature"), page.url
    times = bench.browser.drag(page, *bench.browser.DRAG_T)
    assert width.get_attribute("width") != before[0]
    assert bars.get_attribute("data-temperature") != before[1]
    assert "uniform" in page.locator(".bars .sentence").inner_text()
    assert page.url == before[2]  # nothing is released yet
    assert max(times) <= 50
    page.mouse.up()
    temperature = bars.get_attribute("data-temperature")
    page.wait_for_url(f"**/?*T={temperature}*")
    page.reload()
    page.locator(f".bars[data-temperature='{temperature}']").wait_for()


def test_the_slider_obeys_the_keyboard(page):
    page.goto("/?T=1&hide=question")
    bars = bars_are_there(page)
    assert bars.get_attribute("data-temperature") == "1"
    page.locator("input[type=range][aria-label='Temperature T']").focus()
    page.keyboard.press("ArrowRight")
    page.locator(".bars[data-temperature='1.1'] .rows[aria-label*='temperature 1.1']").wait_for()


def test_a_slider_stays_where_it_was_released(page):
    page.goto("/?T=1&hide=question")
    bars = bars_are_there(page)
    slider = page.locator("input[type=range][aria-label='Temperature T']")
    for temperature in ("1.1", "1.2", "1.3"):
        slider.press("ArrowRight")
        page.wait_for_url(f"**/?*T={temperature}*")
        page.wait_for_timeout(500)  # the answer of the server must not move it back
        assert bars.get_attribute("data-temperature") == temperature


def test_a_slider_of_the_formulas_stays_where_it_was_released_and_keeps_the_focus(page):
    page.goto("/formulas?lam=0.5&hide=question")
    lab = page.locator(".lab")
    page.locator("input[type=range][aria-label='Distillation weight λ']").focus()
    for lam in ("0.55", "0.6", "0.65"):
        page.keyboard.press("ArrowRight")
        page.wait_for_url(f"**/formulas?*lam={lam}*")
        page.wait_for_timeout(500)  # the answer of the server must not move it back
        assert json.loads(lab.get_attribute("data-numbers"))["lam"] == float(lam)


def test_a_drag_that_ends_where_it_began_leaves_the_slider_free(page):
    page.goto("/formulas?lam=0.5&hide=question")
    slider = page.locator("input[type=range][aria-label='Distillation weight λ']")
    box = slider.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + box["width"] * 0.3, y)
    page.mouse.move(x, y)
    page.mouse.up()
    page.get_by_text("student = teacher", exact=True).click()
    page.wait_for_url("**case=agrees*")
    page.locator(""".lab[data-numbers*='"soft":0,']""").wait_for()


def test_settings_go_along_from_page_to_page(page):
    page.goto("/distil?hide=question&epochs=7&seeds=3&size=mlp-16&scenario=few-labels&labels=4&norm=l1")
    see(page, "paired, 3 seeds")
    for name, path in (("Surface", "surface"), ("Distil", "distil"), ("Surface", "surface")):
        page.get_by_role("link", name=name).first.click()
        page.wait_for_url(f"**/{path}?*epochs=7*")
        page.get_by_role("button", name="Train", exact=True).wait_for()
        page.wait_for_timeout(1000)
        for setting in ("epochs=7", "seeds=3", "size=mlp-16", "scenario=few-labels", "labels=4", "norm=l1"):
            assert setting in page.url, (path, page.url)
        epochs = page.get_by_role("slider", name="Epochs")
        wait_until(lambda epochs=epochs: epochs.input_value() == "7")


def test_before_the_answer_the_formulas_show_no_result(page):
    page.goto("/formulas")
    page.locator(".lab .number").last.wait_for()
    printed = page.locator(".lab .classes .number").first
    wait_until(lambda: printed.inner_text() == "?")
    assert page.locator(".lab .sentence").inner_text() == ""
    press(page, "Skip")
    page.locator(".lab .sentence:not(:empty)").wait_for()
    wait_until(lambda: printed.inner_text() == "0")


def test_signals_are_drawn_as_a_line(page):
    page.goto("/?data=mnist1d")
    bars_are_there(page)
    page.locator(".bars .example polyline").wait_for()


def test_distil_trains_and_says_what_happened(page):
    page.goto("/distil?epochs=5&seeds=3&scenario=few-labels&hide=question")
    see(page, "paired, 3 seeds;")
    see(page, "On the test part")
    press(page, "Train")
    see(page, "All runs (2)")
    with page.expect_download() as download:
        page.get_by_role("button", name="Results (CSV)").click()
    assert download.value.path().read_text().startswith("run,dataset,scenario")
    with page.expect_download() as download:
        page.get_by_role("button", name="Figure (PNG)").click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_stop_stops_a_long_run(page):
    page.goto("/distil?epochs=300&seeds=20&scenario=all-labels&size=mlp-512&hide=question")
    page.get_by_text("Press Train").wait_for()
    press(page, "Train")
    see(page, "Training 40 students")
    began = time.monotonic()
    press(page, "Stop")
    page.get_by_role("button", name="Stop", exact=True).wait_for(state="detached")
    assert time.monotonic() - began < 10
    page.get_by_role("button", name="Train", exact=True).and_(page.locator(":enabled")).wait_for()


def test_choosing_a_cell_of_the_surface_shows_its_test_accuracy(page):
    page.goto("/surface?epochs=20&seeds=2&size=mlp-16&hide=question")
    see(page, "With 2 seeds")
    see(page, "Test accuracy of this cell")
    page.get_by_role("button", name="Stop", exact=True).wait_for(state="detached")
    chart = page.locator("[data-testid=stVegaLiteChart]").first
    box = chart.bounding_box()
    chart.click(position={"x": box["width"] * 0.5, "y": 30})  # the row of the highest temperature
    see(page, "T = 20, λ = 0.")
    page.wait_for_url("**cell_T=20*")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?hide=question&more=pad",
        "/?hide=question&more=teach",
        "/distil?epochs=5&hide=question",
        "/surface?epochs=5&seeds=2&hide=question&lang=zh",
        "/formulas",
    ],
)
def test_a_phone_shows_each_page_without_sideways_scrolling(page, path):
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(path)
    if path.startswith("/?") or path == "/":
        bars_are_there(page)
        page.wait_for_timeout(500)
    elif path == "/formulas":
        page.locator(".lab .number").last.wait_for()
    else:
        page.locator("[data-testid=stVegaLiteChart]").first.wait_for()
    assert not scrolls_sideways(page)


def test_numbers_too_large_in_a_link_fall_back(page):
    page.goto("/?example=1e999")
    bars_are_there(page)
    page.wait_for_url(lambda address: "example=" in address and "1e999" not in address)
    page.goto(f"/distil?epochs={'9' * 400}&seeds=1e999&hide=question")
    see(page, "On the test part")


# ---- Predict, then see ---------------------------------------------------------------------------------------


def test_an_answer_unlocks_the_slider_moves_it_and_can_be_downloaded(page):
    page.goto("/")
    bars = bars_are_there(page)
    slider = page.locator("input[type=range][aria-label='Temperature T']")
    wait_until(slider.is_disabled)
    assert bars.get_attribute("data-temperature") == "1"
    press(page, "It shrinks")
    see(page, "It went otherwise")
    page.locator(".bars[data-temperature='10']").wait_for()
    wait_until(slider.is_enabled)
    page.get_by_role("button", name="For the lecture").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="My predictions (CSV)").click()
    (row,) = csv.DictReader(io.StringIO(download.value.path().read_text("utf-8")))
    assert (row["page"], row["predicted"], row["happened"], row["right"]) == (
        "soft_targets",
        "It shrinks",
        "It grows",
        "False",
    )


# ---- Drawing -------------------------------------------------------------------------------------------------


def shares(page):
    return page.locator(".bars").last.locator(".share").all_inner_texts()


def test_bars_follow_a_drawing_before_the_mouse_is_released(page):
    page.goto("/?hide=question&more=pad")
    sheet = page.locator("canvas.sheet")
    sheet.wait_for()
    sheet.scroll_into_view_if_needed()
    box = sheet.bounding_box()
    at = lambda x, y: (box["x"] + box["width"] * x, box["y"] + box["height"] * y)  # noqa: E731
    page.mouse.move(*at(0.5, 0.15))
    page.mouse.down()
    page.mouse.move(*at(0.5, 0.85), steps=10)
    see(page, "The teacher sees 1")
    wait_until(lambda: all(shares(page) or [""]))
    of_a_line = shares(page)
    page.mouse.move(*at(0.5, 0.5), steps=5)
    page.mouse.move(*at(0.9, 0.5), steps=10)
    wait_until(lambda: shares(page) != of_a_line)
    page.mouse.up()
    press(page, "Clear")
    see(page, "The sheet is empty")


def test_a_drawing_and_its_temperature_go_along_in_the_link(page):
    page.goto("/?hide=question&more=pad")
    sheet = page.locator("canvas.sheet")
    sheet.scroll_into_view_if_needed()
    box = sheet.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] - 20, steps=10)
    page.mouse.up()
    see(page, "The teacher sees")
    page.wait_for_url("**drawing=*")
    slider = page.locator("input[type=range]").last
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**pad_T=4.5*")
    ink = "sheet => sheet.getContext('2d').getImageData(0, 0, 320, 320).data.reduce((sum, value) => sum + value, 0)"
    drawn, bars = sheet.evaluate(ink), shares(page)
    page.goto(page.url)
    see(page, "The teacher sees")
    wait_until(lambda: page.locator(".bars .value").last.inner_text() == "T = 4.5")
    assert (sheet.evaluate(ink), shares(page)) == (drawn, bars)
    press(page, "Clear")
    see(page, "The sheet is empty")
    page.wait_for_function("!location.search.includes('drawing')")


def test_one_draws_with_the_keyboard_too(page):
    page.goto("/?hide=question&more=pad")
    page.locator("canvas.sheet").focus()
    page.keyboard.press(" ")
    for _ in range(14):
        page.keyboard.press("ArrowDown")
    see(page, "The teacher sees")
    page.keyboard.press("Delete")
    see(page, "The sheet is empty")


def test_a_cell_of_the_matrix_shows_its_examples_and_one_goes_to_the_picture(page):
    page.goto("/?hide=question&more=teach&cell_true=3&cell_seen=9")
    see(page, "of examples of 3, 9 gets")
    chart = page.locator("[data-testid=stVegaLiteChart]").first
    box = chart.bounding_box()
    chart.click(position={"x": box["width"] * 0.93, "y": 10})  # true class 0, last column
    see(page, "of examples of 0, 9 gets")
    show = page.get_by_role("button", name=re.compile(r"^Show \d+$")).first
    index = show.inner_text().split()[-1]
    show.click()
    page.locator(f".bars .example[aria-label^='Test example {index} of digits']").wait_for()
    page.wait_for_url(f"**example={index}*")


# ---- Formulas ------------------------------------------------------------------------------------------------


def numbers_of_the_lab(page):
    return json.loads(page.locator(".lab[data-numbers]").get_attribute("data-numbers"))


@pytest.mark.parametrize("case", EXAMPLES)
@pytest.mark.parametrize("at", [(0.0, 0.0, 1), (0.5, 0.01, 4), (1.0, 0.1, 20), (0.9, 1.0, 0.5)])
def test_the_formulas_page_computes_what_autograd_computes(page, case, at):
    lam, lam_f, temperature = at
    page.goto(f"/formulas?hide=question&case={case}&lam={lam}&lam_f={lam_f}&T={temperature}")
    shown = numbers_of_the_lab(page)
    assert (shown["lam"], shown["lam_f"], shown["T"]) == at
    example = EXAMPLES[case]
    student = torch.tensor([example.student], dtype=torch.double, requires_grad=True)
    teacher, labels = torch.tensor([example.teacher], dtype=torch.double), torch.tensor([example.label])
    layer = torch.nn.Linear(3, 1, bias=False).double()
    layer.weight.data = torch.tensor([example.weights], dtype=torch.double)
    loss = losses.distillation_loss(student, teacher, labels, temperature=temperature, lam=lam)
    penalty = losses.complexity_penalty(layer, "l2")
    total = losses.total_loss(loss, penalty, lam_f)
    total.backward()
    printed = losses.total_loss(torch.nn.functional.cross_entropy(teacher, labels), penalty, lam_f)
    close = lambda mine, theirs: torch.testing.assert_close(  # noqa: E731
        torch.tensor(mine, dtype=torch.double), theirs.detach().double(), atol=1e-5, rtol=1e-5
    )
    close(shown["total"], total)
    close(shown["printed"], printed)
    close(shown["gradient"], student.grad[0])
    close(shown["onWeights"], layer.weight.grad[0])


def test_the_sliders_of_the_formulas_move_the_numbers_and_the_address(page):
    page.goto("/formulas?hide=question")
    slider = page.locator("input[type=range][aria-label='Distillation weight λ']")
    slider.focus()
    before = numbers_of_the_lab(page)
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**lam=0.55*")
    assert numbers_of_the_lab(page) != before
    page.reload()
    assert numbers_of_the_lab(page)["lam"] == 0.55


def test_the_glossary_is_searched_in_both_languages(page):
    page.goto("/formulas?hide=question")
    box = page.get_by_role("textbox", name="Search")
    box.fill("暗知识")
    box.press("Enter")
    page.get_by_role("cell", name="transfer set", exact=True).wait_for(state="detached")
    page.get_by_role("cell", name="dark knowledge", exact=True).wait_for()
    box.fill("nothing of the kind")
    box.press("Enter")
    see(page, "Nothing here holds")


# ---- Run, pause, step, reset, leave --------------------------------------------------------------------------


def test_a_run_is_paused_stepped_left_and_ended(page):
    page.goto("/distil?hide=question&epochs=300&seeds=10&scenario=all-labels&size=mlp-128")
    see(page, "Press Train")
    press(page, "Train")
    page.locator("[data-testid=stVegaLiteChart]").first.wait_for()  # curves grow while it trains
    press(page, "Pause")
    see(page, "Paused after epoch")
    epoch = int(page.get_by_text("Paused after epoch").inner_text().split("epoch ")[1].split()[0])
    press(page, "Step")
    see(page, f"Paused after epoch {epoch + 1} ")
    page.get_by_role("link", name="Soft targets").click()
    bars_are_there(page)
    page.get_by_role("link", name="Distil").click()
    see(page, f"Paused after epoch {epoch + 1} ")
    press(page, "Continue")
    page.get_by_role("button", name="Pause", exact=True).and_(page.locator(":enabled")).wait_for()
    press(page, "Stop")
    see(page, "says nothing about which student is better")
    press(page, "Reset")
    see(page, "Ready at epoch 0")


def test_two_visitors_with_the_same_wish_train_once_and_a_third_waits(browser, server):
    contexts = [browser.new_context(base_url=server) for _ in range(3)]
    try:
        pages = [context.new_page() for context in contexts]
        path = "/distil?hide=question&epochs=300&seeds=20&scenario=all-labels&size=mlp-512"
        for opened, more in zip(pages, ("", "", "&seed=5"), strict=True):
            opened.set_default_timeout(60_000)
            opened.goto(path + more)
            see(opened, "Press Train")
            press(opened, "Train")
        see(pages[0], "Training 40 students")
        see(pages[1], "Training 40 students")
        see(pages[2], "Waiting: 1 before you")
        press(pages[0], "Stop")
        pages[0].get_by_role("button", name="Stop", exact=True).wait_for(state="detached")
        see(pages[2], "Waiting: 1 before you")  # the second visitor's wish still stands
        press(pages[1], "Stop")
        see(pages[2], "Training 40 students")
        press(pages[2], "Stop")
    finally:
        for context in contexts:
            context.close()


# ---- Upload --------------------------------------------------------------------------------------------------

FLOWERS = "\n".join(["a,b,species", *(f"{i % 7},{(i * i) % 11},{'xyz'[i % 3]}" for i in range(120))]).encode()


def upload(page, name, content):
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "text/plain", "buffer": content})


def test_own_data_are_uploaded_chosen_and_trained_on(page):
    page.goto("/distil?hide=question&epochs=3&seeds=2")
    page.get_by_text("Your own data").click()
    see(page, "at most 10 MB")
    upload(page, "flowers.csv", FLOWERS)
    see(page, "is ready: 120 examples")  # the label column was guessed by its name
    page.get_by_role("button", name="Train", exact=True).and_(page.locator(":enabled")).click()
    see(page, "All runs (2)")
    wait_until(lambda: "flowers.csv" in page.get_by_role("combobox", name="Run").input_value())


def bomb():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("y.npy", b"\0" * 300_000_000)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"a,b,a\n1,2,3\n", "Two columns are called 'a'"),
        (
            "![x](http://192.0.2.1/a.png).csv",
            b"![x](http://192.0.2.1/a.png),b,species\n1,,x\n",
            "is empty; fill or drop",
        ),
        ("a.npz", b"PK\x03\x04 and then nothing", "is no whole archive"),
        ("bomb.npz", bomb(), "would unpack to more than"),
    ],
)
def test_a_bad_upload_is_said_and_the_app_stays_up(page, name, content, said):
    page.goto("/distil?hide=question&epochs=3&seeds=2")
    page.get_by_text("Your own data").click()
    upload(page, name, content)
    see(page, said)
    press(page, "Train")
    see(page, "All runs (2)")


def test_an_upload_that_is_too_large_is_refused_by_the_browser(page):
    page.goto("/distil?hide=question&epochs=3&seeds=2")
    page.get_by_text("Your own data").click()
    upload(page, "large.csv", b"a,b\n" * 4_000_000)
    see(page, "must be 10.0MB or smaller")


# ---- Links and languages -------------------------------------------------------------------------------------


def test_a_copied_link_opens_the_same_state_elsewhere(page, browser, server):
    page.goto("/distil?hide=question&epochs=4&seeds=2")
    see(page, "On the test part")
    page.get_by_role("slider", name="Epochs").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**epochs=5*")
    press(page, "Train")
    see(page, "All runs (2)")
    verdict = page.locator("h3").first.inner_text()
    context = browser.new_context()
    try:
        elsewhere = context.new_page()
        elsewhere.goto(page.url)
        see(elsewhere, "On the test part")
        wait_until(lambda: elsewhere.locator("h3").first.inner_text() == verdict)
    finally:
        context.close()


def test_the_language_changes_everywhere_and_keeps_the_settings(page):
    page.goto("/distil?hide=question&epochs=4&seeds=2&t=2")
    see(page, "On the test part")
    page.get_by_role("radio", name="中文").or_(page.get_by_role("button", name="中文")).first.click()
    see(page, "教师能帮到这个学生吗？")
    page.wait_for_url("**lang=zh*")
    see(page, "最后一轮之后在")
    assert "t=2" in page.url
    assert "epochs=4" in page.url
    page.get_by_role("link", name="曲面").click()
    see(page, "在 T × λ 的哪里，教师有帮助？")
    page.wait_for_url("**lang=zh*")
    assert "hide=question" in page.url


def at_rest(page):
    """Wait until the page has run: in the midst of it Streamlit itself mistakes what Back asks for."""
    page.wait_for_timeout(1000)
    page.get_by_test_id("stStatusWidget").wait_for(state="detached")
    page.wait_for_timeout(1000)


def test_back_leads_to_the_page_before_as_it_was(page):
    page.goto("/?hide=question&example=5")
    bars_are_there(page)
    page.wait_for_url("**T=4*")
    page.get_by_role("link", name="Distil").click()
    see(page, "On the test part")
    slider = page.get_by_role("slider", name="Distillation weight λ")
    for value in ("0.85", "0.8"):
        slider.focus()
        page.keyboard.press("ArrowLeft")
        page.wait_for_url(f"**lam={value}&*")
    at_rest(page)
    page.go_back()
    page.locator(".bars .example[aria-label^='Test example 5 ']").wait_for()
    at_rest(page)
    page.go_forward()
    see(page, "Does a teacher help this student?")
    page.wait_for_url("**lam=0.8&*")


def test_a_preset_is_chosen_from_the_lecturers_tools(page):
    page.goto("/?hide=question")
    bars_are_there(page)
    page.get_by_role("button", name="For the lecture").click()
    page.get_by_role("combobox", name="Open a lesson's settings").click()
    page.get_by_role("option", name="04-train-a-student").click()
    page.get_by_role("link", name="04-train-a-student").click()
    see(page, "Does a teacher help this student?")
    page.wait_for_url("**scenario=few-labels*")


# ---- Accessibility -------------------------------------------------------------------------------------------

STATES = {
    "asks": "/",
    "soft targets": "/?hide=question",
    "pad": "/?hide=question&more=pad",
    "matrix": "/?hide=question&more=teach&lang=zh",
    "distil": "/distil?hide=question&epochs=3&seeds=2",
    "scenarios": "/distil?hide=question&view=all&lang=zh",
    "surface": "/surface?hide=question&epochs=3&seeds=2",
    "formulas": "/formulas?hide=question",
}


@pytest.mark.skipif(not bench.browser.AXE.exists(), reason="axe-core is missing: make axe")
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_serious(browser, server, state, theme):
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, base_url=server, color_scheme=theme)
    try:
        opened = context.new_page()
        opened.set_default_timeout(60_000)
        opened.goto(STATES[state])
        opened.locator("h1").first.wait_for()
        opened.get_by_test_id("stStatusWidget").wait_for(state="detached")
        opened.wait_for_timeout(1500)
        assert not serious_findings(opened)
    finally:
        context.close()


def test_whoever_wants_less_motion_gets_no_transition(browser, server):
    context = browser.new_context(base_url=server, reduced_motion="reduce")
    try:
        opened = context.new_page()
        opened.goto("/?hide=question")
        bars_are_there(opened)
        moving = opened.evaluate(
            """() => {
                const root = document.querySelector(".bars") ??
                    [...document.querySelectorAll("*")].map(e => e.shadowRoot?.querySelector(".bars")).find(Boolean);
                return [...root.querySelectorAll("*")].filter(e => parseFloat(getComputedStyle(e).transitionDuration) > 0).length;
            }"""
        )
        assert moving == 0
    finally:
        context.close()
