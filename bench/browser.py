"""The app as visitors have it: its server in a process of its own, and Chromium without a window.

Shared by the browser tests and by the part *waits*; nothing here is imported by the app itself.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parent.parent
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
_FLAGS = (
    "--no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run"
)
AXE = ROOT / ".axe" / "node_modules" / "axe-core" / "axe.min.js"
_SECONDS_TO_START = 60


def what_is_missing() -> str:
    """Say what to install before a browser can open the app; empty where everything is there."""
    for package, extra in (("streamlit", "app"), ("playwright", "test"), ("psutil", "test")):
        if importlib.util.find_spec(package) is None:
            return f"{package} is missing: pip install -e '.[{extra}]'"
    if not Path(CHROMIUM).exists():
        return "Chromium is missing: install it (apt install chromium), or name it in the variable CHROMIUM"
    return ""


@contextmanager
def server(log: IO[str] | None = None, script: str = "app.py") -> Iterator[str]:
    """Start the app, or another script, on a free port, and give its address once it answers.

    In the end it and its children are ended.
    """
    import psutil

    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", script, "--server.headless=true", f"--server.port={port}"]
    output = subprocess.DEVNULL if log is None else log
    process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    address = f"http://localhost:{port}"
    try:
        _wait_until_healthy(process, address)
        yield address
    finally:
        if process.poll() is None:
            for child in [*psutil.Process(process.pid).children(recursive=True), process]:
                child.terminate()
        process.wait(20)


def _wait_until_healthy(process: subprocess.Popen, address: str) -> None:
    end = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the app ended at once, with exit status {process.returncode}")
        try:
            urllib.request.urlopen(f"{address}/_stcore/health")
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the app did not answer within {_SECONDS_TO_START} s")


@contextmanager
def chromium() -> "Iterator[Browser]":
    """Start Chromium; each visitor is a new context of it, with nothing cached."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=_FLAGS.split())
        try:
            yield browser
        finally:
            browser.close()


DRAG_T = "input[type=range][aria-label='Temperature T']", ".bars"
DRAG_LAM = "input[type=range][aria-label='Distillation weight λ']", ".lab"


def drag(page: "Page", slider: str, drawn: str, moves: int = 20) -> list[float]:
    """Drag a slider, and keep it held; gives the milliseconds of each redraw, as what is drawn has taken them."""
    box = page.locator(slider).bounding_box()
    if box is None:
        raise RuntimeError(f"{slider} is not on the page")
    x, y = box["x"] + box["width"] * 0.68, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    times = []
    for step in range(moves):
        page.mouse.move(x + box["width"] * 0.3 * step / moves, y)
        times.append(float(page.locator(drawn).get_attribute("data-redraw-ms") or "inf"))
    return times
