"""Fixtures of the browser's tests: a running DashTrade and Chromium."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.visitor import PATIENCE, Visitor
from tests.end_to_end.stack import Stack, running_stack

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "Chromium is missing: install it with `apt-get install chromium`, then run `make test` again"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Run Chromium for the whole session; skip, and say how to get it, where there is none."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(MISSING)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def stack(chromium: Browser) -> Iterator[Stack]:
    """Run everything that `make run` starts; after `chromium`, so that nothing is started in vain."""
    with running_stack() as stack:
        yield stack


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """Give a window of a browser that was never here before."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


@pytest.fixture
def visitor(stack: Stack, page: Page) -> Visitor:
    """Give somebody who opens the dashboard for the first time."""
    return Visitor(stack, page)
