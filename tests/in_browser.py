"""What tests in a browser share: seeing, pressing, waiting until something holds, and what axe finds."""

import time

import bench.browser

PATIENCE = 60  # seconds: a page that just changed may still be drawn, and the machine may be busy


def see(page, text):
    page.get_by_text(text).first.wait_for()


def press(page, name):
    page.get_by_role("button", name=name, exact=True).first.click()


def wait_until(holds, patience=PATIENCE):
    """Ask again until it holds. What is read at once may still be what was shown before."""
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.1)


def serious_findings(page):
    """Let axe look at a page; gives what it calls serious or critical."""
    page.evaluate(bench.browser.AXE.read_text("utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return {
        f"{rule['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    }


def scrolls_sideways(page):
    main = "document.querySelector('[data-testid=stMain]')"
    return page.evaluate(
        f"{main}.scrollWidth > {main}.clientWidth || document.documentElement.scrollWidth > window.innerWidth"
    )
