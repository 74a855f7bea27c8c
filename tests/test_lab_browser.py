"""Lesson 02 as a student meets it: in JupyterLab, where a slider is moved, and as a page without any kernel."""

import contextlib
import importlib.util
import os
import re
import socket
import subprocess
import sys
import urllib.request

import nbformat
import pytest
from handed_in import notebook, save, solutions
from in_browser import wait_until

import bench.browser
from course import build

MISSING = bench.browser.what_is_missing()
if not MISSING and importlib.util.find_spec("jupyterlab") is None:
    MISSING = "jupyterlab is missing: pip install -e '.[lab]'"
pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

LESSON = "02-soft-targets"
PATIENCE = 240  # seconds: starts a kernel, imports PyTorch and trains a teacher
NEWS = "JUPYTER_CONFIG_DIR/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
PIXELS = """image => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    canvas.getContext("2d").drawImage(image, 0, 0);
    return image.naturalWidth ? canvas.toDataURL() : "";
}"""


@pytest.fixture
def page():
    with bench.browser.chromium() as browser:
        opened = browser.new_context(viewport={"width": 1300, "height": 900}).new_page()
        opened.set_default_timeout(1000 * PATIENCE)
        yield opened


@pytest.fixture
def lab(tmp_path):
    """JupyterLab on a released lesson with both functions written, and with nothing of this user's settings."""
    import psutil

    save(build.release(LESSON, tmp_path), notebook(LESSON, solutions(LESSON)))
    folders = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    own = {name: str(tmp_path / name) for name in folders}
    save(tmp_path / NEWS, b'{"fetchNews": "false", "checkForUpdates": false}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root"]
    command += ["--ServerApp.token=", "--ServerApp.password=", "--ServerApp.port_retries=0"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | own, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}/api"), PATIENCE)
        assert process.poll() is None, (tmp_path / "log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        started = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        process.wait(60)
        for child in psutil.wait_procs(started, timeout=10)[1]:
            child.kill()


def answers(address):
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(address)


def reads_as_a_page(page, path):
    """Show a notebook without a kernel, widgets and network: all headings, and the panel's picture, nothing cut off."""
    from nbconvert import HTMLExporter

    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.route(re.compile("^https?:"), lambda route: route.abort())
    page.set_content(HTMLExporter().from_filename(str(path))[0])
    titles = [title.removesuffix("¶").strip() for title in page.locator("h1, h2, h3").all_inner_texts()]
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    assert titles == re.findall(r"^#+ (.+?) *$", "\n".join(cells), re.MULTILINE)
    picture = page.locator(".jp-Cell", has_text="temperature_slider(").locator("img")
    assert picture.evaluate(PIXELS)
    assert picture.bounding_box()["width"] > 400
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert [error for error in errors if "net::ERR_FAILED" not in error] == []  # what the network was to bring


def test_a_moved_slider_changes_the_picture_in_jupyterlab(lab, page, tmp_path):
    path = tmp_path / LESSON / f"{LESSON}.ipynb"
    page.goto(f"{lab}/lab/tree/{LESSON}/{LESSON}.ipynb")
    page.get_by_role("heading", name="Soft targets").first.wait_for()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # cells run before that may be lost
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    picture = page.locator(".jp-OutputArea img.widget-image")
    picture.wait_for(state="attached")
    picture.scroll_into_view_if_needed()
    wait_until(lambda: picture.evaluate(PIXELS), PATIENCE)
    before = picture.evaluate(PIXELS)
    page.locator(".jp-OutputArea").get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    wait_until(lambda: picture.evaluate(PIXELS) not in ("", before), PATIENCE)

    page.keyboard.press("Control+s")
    wait_until(lambda: "cnn-32" in path.read_text("utf-8"), PATIENCE)
    outputs = [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert sum(output.get("text", "").startswith("✓") for output in outputs) == 2
    reads_as_a_page(page.context.new_page(), path)


def test_without_widgets_a_lesson_reads_as_a_page(page):
    reads_as_a_page(page, build.built_path(LESSON))
