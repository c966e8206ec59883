"""A real browser on a viewer of the small study; CRATELM_SCREENSHOTS names a folder for screenshots."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.viewer.viewing import CHROMIUM, viewer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OFFLINE = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    from playwright.sync_api import expect, sync_playwright  # other tests of the viewer do without

    expect.set_options(timeout=30_000)  # the machine may be busy
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(study: Path) -> Iterator[str]:
    with viewer(study) as address:
        yield address


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    """A page on which no script fails, and which blocks nothing of its own."""
    page = browser.new_page(viewport={"width": 1360, "height": 850})
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
    yield page
    page.close()
    assert not faults


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("CRATELM_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
