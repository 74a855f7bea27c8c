"""``python -m bench.screenshots [NAME …]``: pictures of every page, in both languages and themes, and on a phone, from the real app.

They go to docs/screenshots/; the READMEs show some of them.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import browser

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER = browser.ROOT / "docs" / "screenshots"
SIZES = {"": (1400, 900), "-phone": (400, 860)}


@dataclass(frozen=True)
class Shot:
    """A state of a page: its address, what must be there before the picture is taken, and what is done before."""

    path: str
    ready: str
    act: Callable[["Page"], None] = lambda page: None


def _draw(page: "Page") -> None:
    """Draw a seven on the sheet."""
    sheet = page.locator("canvas.sheet")
    sheet.scroll_into_view_if_needed()
    box = sheet.bounding_box()
    assert box is not None
    corners = [(0.3, 0.2), (0.7, 0.2), (0.45, 0.85)]
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=10)
    page.mouse.up()
    page.locator(".bars").nth(1).wait_for()


def _scroll_to_matrix(page: "Page") -> None:
    page.locator(".st-key-teach").scroll_into_view_if_needed()
    page.get_by_test_id("stVegaLiteChart").first.evaluate("chart => chart.scrollIntoView({block: 'center'})")


def _train(page: "Page") -> None:
    """Train all scenarios; those who had the same wish before need not wait."""
    page.locator(".st-key-train").get_by_role("button").first.click()
    page.locator("[data-testid=stVegaLiteChart]").wait_for()
    page.wait_for_function("document.querySelector('.st-key-stop') === null")


SHOTS = {
    "question": Shot("/", ".bars .share"),
    "soft-targets": Shot("/?hide=question", ".bars .share"),
    "pad": Shot("/?hide=question&more=pad", "canvas.sheet", _draw),
    "matrix": Shot("/?hide=question&more=teach", ".st-key-teach", _scroll_to_matrix),
    "distil": Shot("/distil?hide=question", "h3"),
    "scenarios": Shot("/distil?hide=question&view=all", ".st-key-train", _train),
    "surface": Shot("/surface?hide=question&seeds=5", "h3"),
    "methods": Shot("/methods_and_scenes?hide=question", "[data-testid=stVegaLiteChart]"),
    "sizes": Shot("/methods_and_scenes?hide=question&part=sizes", "[data-testid=stVegaLiteChart]"),
    "decision": Shot("/methods_and_scenes?hide=question&part=medicine&step=2", "[data-testid=stVegaLiteChart]"),
    "formulas": Shot("/formulas?hide=question", ".lab .number"),
}


def main(names: list[str]) -> int:
    """Take the pictures of these names, or all; the exit status is 1 where no browser is at hand."""
    if missing := browser.what_is_missing():
        print(missing)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with browser.server() as address, browser.chromium() as chromium:
        for name in names or SHOTS:
            shot = SHOTS[name]
            for language in ("en", "zh"):
                for theme in ("light", "dark"):
                    for size, (width, height) in SIZES.items():
                        if size and (theme == "dark" or language == "zh"):
                            continue
                        page = chromium.new_page(
                            base_url=address, viewport={"width": width, "height": height}, color_scheme=theme
                        )
                        page.set_default_timeout(60_000)
                        page.goto(f"{shot.path}{'&' if '?' in shot.path else '?'}lang={language}")
                        page.locator(shot.ready).last.wait_for()
                        page.get_by_test_id("stStatusWidget").wait_for(state="detached")
                        shot.act(page)
                        page.mouse.move(0, 0)  # no tooltip
                        page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')")
                        page.wait_for_timeout(800)  # charts are drawn a moment after they are there
                        target = FOLDER / f"{name}-{language}-{theme}{size}.png"
                        page.screenshot(path=target)
                        print(target.relative_to(browser.ROOT), flush=True)
                        page.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
