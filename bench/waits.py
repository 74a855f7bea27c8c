"""Everything a person waits for, each with a budget: the app in a real browser, teachers, lessons, the command line.

What follows a click is timed inside the browser, up to the frame after the new picture is drawn; dragging T by the page's
own stopwatch; the opening of a page from outside, until what it shows is there. The caches
hold the teacher, as they do on every day but the first; training with an empty cache has a row of its own.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from bench import browser
from bench.tables import Report, markdown
from toolkit import data, store, training

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROUNDS = 5
FIRST_PAGE, BARS = "/?hide=question", ".bars .share"
TRIVIAL_BARS = "[data-testid=stVegaLiteChart] .mark-rect path"
STARTS, FIRST, NEXT = (
    "app: `streamlit run app.py` until it answers",
    "app: first picture, first visitor of a fresh server",
    "app: first picture, next visitor",
)
TRIVIAL_FIRST, TRIVIAL_NEXT = (
    "a trivial page of Streamlit (one slider, one chart): first picture, first visitor of a fresh server",
    "a trivial page of Streamlit: first picture, next visitor",
)
LATER = {  # name: the app's wait, the trivial page's, seconds by which the first may be longer
    "app: first picture later than that of the trivial page, first visitor": (FIRST, TRIVIAL_FIRST, 1.0),
    "app: first picture later than that of the trivial page, next visitor": (NEXT, TRIVIAL_NEXT, 0.5),
}
DRAG, DRAG_LAM, CONTROL, DISTIL = (
    "app: dragging T until the bars are redrawn",
    "app: dragging λ on *Formulas* until loss and gradients are redrawn",
    "app: choosing another example until it is drawn",
    "app: *Distil* opened until the verdict of its default run shows",
)
SURFACE = {  # the case: address of the page, names of its two waits
    "20 epochs": (
        "/surface?hide=question&scenario=all-labels&size=mlp-32&epochs=20",
        "app: *Surface*, 64 students mlp-32, all labels, 20 epochs: click until the first seed is drawn",
        "app: *Surface*, the same: each further seed",
    ),
    "defaults": (
        "/surface?hide=question&epochs=100",
        "app: *Surface* with its defaults, 64 students mlp-64, 200 examples, 100 epochs: click until the first seed is drawn",
        "app: *Surface* with its defaults: each further seed",
    ),
}
BROWSER_BUDGETS = {  # seconds
    STARTS: 10.0,
    FIRST: 5.0,
    NEXT: 3.0,
    DRAG: 0.016,  # one frame of 60 per second
    DRAG_LAM: 0.016,
    CONTROL: 0.15,
    SURFACE["20 epochs"][1]: 1.0,
    SURFACE["20 epochs"][2]: 0.5,
    SURFACE["defaults"][1]: 3.0,
    SURFACE["defaults"][2]: 2.0,
    DISTIL: 5.0,
}
TRAINS, CACHED = "teacher of digits: trained, with an empty cache", "teacher of digits: from the cache"
IMPORTS, COMMAND = "`import toolkit` in a new process", "`python -m toolkit data`"
OTHER_BUDGETS = {TRAINS: 10.0, CACHED: 0.1, IMPORTS: 0.5, COMMAND: 8.0}
LESSON_BUDGET = 60.0
GRADED_LESSON, STUDENTS = "03-distillation-loss", 30
GRADING = f"grading: {STUDENTS} students, lesson `{GRADED_LESSON}`, time per student"
GRADING_BUDGET = 1.0

Waits = Iterator[tuple[str, float]]  # what was waited for, and seconds


CLICKS = 4  # on another example, in each round


@dataclass(frozen=True)
class Row:
    """One thing that a person waits for; the median is what the budget is for, where there is one."""

    wait: str
    median: str
    min: str
    max: str
    rounds: int
    budget: str
    within_budget: bool | None
    p95: str = ""


def run(quick: bool = False) -> Report:
    """Measure every wait; quick measures each once, and leaves out the surface's long case and the lessons."""
    rounds = 1 if quick else ROUNDS
    rows = _browser_rows(rounds, quick)
    rows += _rows([*_teachers(rounds), *_commands(rounds)], OTHER_BUDGETS)
    if not quick:
        rows += [*_grading_rows(), *_lesson_rows()]
    text = f"{markdown(rows)}\n\nThe median counts. Budgets are for a laptop with two cores; the teacher is cached where nothing else is said."
    return Report("What a person waits for", text, all(row.within_budget is not False for row in rows))


def _row(name: str, seconds: list[float], budget: float | None) -> Row:
    median, p95 = (float(value) for value in np.percentile(seconds, [50, 95]))
    least, most = _words(min(seconds)), _words(max(seconds))
    within, words = (None, "") if budget is None else (median <= budget, _words(budget))
    return Row(name, _words(median), least, most, len(seconds), words, within, _words(p95))


def _rows(waits: list[tuple[str, float]], budgets: dict[str, float]) -> list[Row]:
    """Make one row for each thing measured, in the order of the budgets."""
    measured = {name: [seconds for what, seconds in waits if what == name] for name in budgets}
    return [_row(name, seconds, budgets[name]) for name, seconds in measured.items() if seconds]


def _difference_row(name: str, seconds: list[float], trivial: list[float], budget: float) -> Row:
    """Compare two waits of the same rounds: the difference of their medians, and of the rounds the least and the most."""
    differences = np.subtract(seconds, trivial)
    median = float(np.median(seconds) - np.median(trivial))
    least, most = _words(float(differences.min())), _words(float(differences.max()))
    return Row(name, _words(median), least, most, len(differences), _words(budget), median <= budget)


def _not_measured(name: str, why: str, budget: float) -> Row:
    return Row(name, f"not measured: {why}", "", "", 0, _words(budget), within_budget=False)


def _words(seconds: float) -> str:
    return f"{seconds:.2f} s" if abs(seconds) >= 0.995 else f"{1000 * seconds:.3g} ms"


# ---- The app -------------------------------------------------------------------------------------------------


def _browser_rows(rounds: int, quick: bool) -> list[Row]:
    if missing := browser.what_is_missing():
        return [_not_measured(name, missing, budget) for name, budget in BROWSER_BUDGETS.items()]
    with browser.chromium() as chromium:
        with browser.server() as address:  # fills the caches, and then serves those who know the app
            _open(chromium, address, FIRST_PAGE, BARS)
            waits = [
                *_soft_targets(chromium, address, rounds),
                *_formulas(chromium, address, rounds),
                *_distil(chromium, address, rounds),
            ]
            for case in ("20 epochs",) if quick else SURFACE:
                waits += _surface(chromium, address, case, rounds)
        visits = [*_visits(chromium, rounds)]
    return _rows([*waits, *visits], BROWSER_BUDGETS) + _beside_trivial(visits)


def _visits(chromium: "Browser", rounds: int) -> Waits:
    """Start the app and the trivial page in turn: a machine that is slow for a while is slow for both."""
    for _ in tqdm(range(rounds), "visits"):
        yield from _visit(chromium, "app.py", (STARTS, FIRST, NEXT), "/", BARS)
        yield from _visit(chromium, "bench/trivial_app.py", ("", TRIVIAL_FIRST, TRIVIAL_NEXT), "/", TRIVIAL_BARS)


def _visit(chromium: "Browser", script: str, names: tuple[str, str, str], path: str, shown: str) -> Waits:
    """Start a server, and let two visitors come, one after the other."""
    began = time.perf_counter()
    with browser.server(script=script) as address:
        yield names[0], time.perf_counter() - began
        for visitor in names[1:]:
            began = time.perf_counter()
            page = _open(chromium, address, path, shown)
            yield visitor, time.perf_counter() - began
            page.close()  # it would go on asking for a server that is gone


def _beside_trivial(visits: list[tuple[str, float]]) -> list[Row]:
    """Tell how long the trivial page takes, and how much later the app's first picture is there."""
    seconds = {name: [took for what, took in visits if what == name] for name, _ in visits}
    rows = [_row(name, seconds[name], None) for name in (TRIVIAL_FIRST, TRIVIAL_NEXT)]
    for name, (wait, trivial, budget) in LATER.items():
        rows.append(_difference_row(name, seconds[wait], seconds[trivial], budget))
    return rows


def _open(chromium: "Browser", address: str, path: str, shown: str) -> "Page":
    """Open a page as a new visitor, with nothing in the browser's cache, and wait until the last of something shows."""
    page = chromium.new_page(base_url=address, viewport={"width": 1400, "height": 900})
    page.set_default_timeout(60_000)
    page.goto(path)
    page.locator(shown).last.wait_for()
    return page


# Look at the page whenever it changes; keep what is seen new after a click, and how long after it the frame was drawn.
_WATCH = """(element) => {
    let clicked = Infinity, last = null;
    document.addEventListener("click", () => { clicked = performance.now(); window.seen = []; }, true);
    const shown = () => (%s);
    const look = () => {
        const now = shown();
        if (now !== last && performance.now() > clicked)
            requestAnimationFrame(() => window.seen.push([now, (performance.now() - clicked) / 1000]));
        last = now;
    };
    new MutationObserver(look).observe(element, { subtree: true, childList: true, attributes: true });
    look();
}"""
_WHICH_EXAMPLE = "element.getAttribute('aria-label')"
_WHICH_SEEDS = """[...element.querySelectorAll("[data-testid=stVegaLiteChart][aria-label^=With]")]
    .filter(chart => chart.querySelectorAll(".mark-rect path").length >= 64)  // all cells are drawn
    .map(chart => chart.getAttribute("aria-label")).join()"""


def _seen(page: "Page", last: str) -> list[tuple[str, float]]:
    """Give what was seen since the click, once what was to come last (the beginning of its text) is there."""
    page.wait_for_function("last => window.seen?.some(([text]) => text.startsWith(last))", arg=last)
    return [(text, seconds) for text, seconds in page.evaluate("window.seen")]


def _soft_targets(chromium: "Browser", address: str, rounds: int) -> Waits:
    page = _open(chromium, address, FIRST_PAGE, BARS)
    page.locator(".bars .example").evaluate(_WATCH % _WHICH_EXAMPLE)
    for _ in range(rounds):
        for milliseconds in browser.drag(page, *browser.DRAG_T):
            yield DRAG, milliseconds / 1000
        page.mouse.up()
        for _ in range(CLICKS):
            page.wait_for_timeout(500)  # the server hears of the release, and has done with the last click
            page.get_by_role("button", name="Rich dark knowledge").click()
            yield CONTROL, _seen(page, "Test example")[0][1]
    page.close()


def _formulas(chromium: "Browser", address: str, rounds: int) -> Waits:
    for _ in range(rounds):
        page = _open(chromium, address, "/formulas?hide=question", ".lab .number")
        for milliseconds in browser.drag(page, *browser.DRAG_LAM):
            yield DRAG_LAM, milliseconds / 1000
        page.close()


def _distil(chromium: "Browser", address: str, rounds: int) -> Waits:
    for number in range(rounds):  # each with other seeds: what was trained once is kept
        began = time.perf_counter()
        page = _open(chromium, address, f"/distil?hide=question&seed={number}", "h3:has-text('paired, 5 seeds')")
        yield DISTIL, time.perf_counter() - began
        page.close()


def _surface(chromium: "Browser", address: str, case: str, rounds: int) -> Waits:
    path, first, further = SURFACE[case]
    seeds = 3
    page = _open(chromium, address, f"{path}&seeds={seeds}", f"[aria-label^='With {seeds} seeds']")
    page.locator("body").evaluate(_WATCH % _WHICH_SEEDS)
    for number in tqdm(range(rounds), f"surface, {case}"):
        page.get_by_role("button", name="Stop").wait_for(state="detached")
        page.wait_for_timeout(500)  # the page is drawn once more when a job has ended
        first_seed = page.get_by_role("spinbutton", name="First seed")
        first_seed.fill(str(100 * (number + 1)))  # other students than before: what was trained once is kept
        first_seed.press("Enter")
        page.wait_for_url(f"**seed={100 * (number + 1)}*")  # else the click would ask for what is there already
        page.wait_for_timeout(500)  # the button takes clicks again
        page.get_by_role("button", name="Train").click()
        times = [seconds for text, seconds in _seen(page, f"With {seeds} seeds") if text.startswith("With")]
        yield first, times[0]
        yield from ((further, gap) for gap in np.diff(times))
    page.close()


# ---- The teacher, the command line, the lessons --------------------------------------------------------------


def _teachers(rounds: int) -> Waits:
    dataset = data.load("digits")
    usual_folder = os.environ.get(store.CACHE_FOLDER_VARIABLE)
    try:
        for _ in tqdm(range(rounds), "teachers"):
            with tempfile.TemporaryDirectory() as empty:
                os.environ[store.CACHE_FOLDER_VARIABLE] = empty
                for name in (TRAINS, CACHED):
                    began = time.perf_counter()
                    training.train_teacher(dataset, progress=lambda done, total: None)
                    yield name, time.perf_counter() - began
    finally:
        del os.environ[store.CACHE_FOLDER_VARIABLE]
        if usual_folder is not None:
            os.environ[store.CACHE_FOLDER_VARIABLE] = usual_folder


def _commands(rounds: int) -> Waits:
    for _ in range(rounds):
        for name, arguments in ((IMPORTS, ["-c", "import toolkit"]), (COMMAND, ["-m", "toolkit", "data"])):
            began = time.perf_counter()
            _run(*arguments).check_returncode()
            yield name, time.perf_counter() - began


def _run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], cwd=browser.ROOT, capture_output=True, check=False)


def _grading_rows() -> list[Row]:
    """Grade a class of right answers, with a fresh folder for the marks each time."""
    if importlib.util.find_spec("nbgrader") is None:
        return [_not_measured(GRADING, "nbgrader is missing: pip install -e '.[teacher]'", GRADING_BUDGET)]
    import nbformat

    from course import build, sandbox

    solved = {cell.id: cell.source for cell in build.from_source(build.source_path(GRADED_LESSON)).cells}
    notebook = build.released(GRADED_LESSON)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = solved[cell.id]
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(STUDENTS):
            path = Path(folder) / "class" / f"student{number}" / GRADED_LESSON / f"{GRADED_LESSON}.ipynb"
            path.parent.mkdir(parents=True)
            nbformat.write(notebook, path)
        for number in tqdm(range(3), "grading"):
            began = time.perf_counter()
            _run("-m", "course", "grade", f"{folder}/class", "--grades", f"{folder}/grades{number}").check_returncode()
            seconds.append((time.perf_counter() - began) / STUDENTS)
    seal = "within bubblewrap" if sandbox.is_sealed() else "without bubblewrap"
    return [_row(f"{GRADING}, {seal}", seconds, GRADING_BUDGET)]


def _lesson_rows() -> list[Row]:
    """Run each lesson once, as ``make notebooks`` does."""
    paths = sorted((browser.ROOT / "notebooks").glob("*/*.ipynb"))
    return [_lesson_row(path) for path in tqdm(paths, "lessons")]


def _lesson_row(path: Path) -> Row:
    name = f"lesson `{path.stem}`, all cells"
    for package in ("nbval", "nbclient"):
        if importlib.util.find_spec(package) is None:
            return _not_measured(name, f"{package} is missing: pip install -e '.[teacher,test]'", LESSON_BUDGET)
    began = time.perf_counter()
    finished = _run("-m", "course", "nbval", path.stem)
    if finished.returncode:
        return _not_measured(name, f"a cell fails, see `python -m course nbval {path.stem}`", LESSON_BUDGET)
    return _row(name, [time.perf_counter() - began], LESSON_BUDGET)
