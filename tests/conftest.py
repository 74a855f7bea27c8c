"""What tests share: a cache of their own, data, teachers; and the rule that on CI a skipped test is a failure."""

import os

import pytest
import torch
from hypothesis import settings

from toolkit import data, store, training

torch.set_num_threads(1)  # small networks gain nothing from more, and a busy machine loses much
settings.register_profile("any-machine", deadline=None)  # tests assert behaviour; bench/ measures time
settings.load_profile("any-machine")


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """Keep the tests out of the user's cache; the workers of one run share theirs."""
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if os.environ.get("PYTEST_XDIST_WORKER") else root) / "cache"
    before = os.environ.get(store.CACHE_FOLDER_VARIABLE)
    os.environ[store.CACHE_FOLDER_VARIABLE] = str(folder)
    yield folder
    if before is None:
        del os.environ[store.CACHE_FOLDER_VARIABLE]
    else:
        os.environ[store.CACHE_FOLDER_VARIABLE] = before


@pytest.fixture(scope="session")
def digits():
    return data.load("digits")


@pytest.fixture(scope="session")
def signals():
    return data.load("mnist1d")


@pytest.fixture(scope="session")
def teacher(digits, cache_folder):
    return training.train_teacher(digits, progress=lambda done, total: None)


@pytest.fixture(scope="module")
def browser():
    from bench.browser import chromium  # only where a test asks for it

    with chromium() as started:
        yield started


@pytest.fixture
def page(browser, server):
    """A fresh page of the module's server that fails its test for any error in the console and any request to another machine."""
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as a failure on CI: {report.longrepr}"
    return report
