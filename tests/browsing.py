"""A headless Chromium for tests of pages: ``pytest_plugins = ["browsing"]`` gives its fixtures.

``chromium`` is the browser, ``open_tab`` opens pages in it. A tab records what a user would find
in its console, what the page asked of places that are none of its business, and long tasks.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

_WATCH = """
window.becamWatched = { tasks: [], alarms: [] };
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.becamWatched.tasks.push(entry.duration);
}).observe({ type: "longtask", buffered: true });
// What an injected script would do first.
for (const name of ["alert", "confirm", "prompt"]) {
  window[name] = (text) => window.becamWatched.alarms.push(String(text));
}
"""


@dataclass
class Tab:
    """A page under watch.

    Attributes:
        page: Playwright's own.
        errors: of the console and of scripts.
        strangers: addresses that the page asked for beside its own place; none was answered.
    """

    page: object
    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def long_tasks(self) -> list[float]:
        """Milliseconds of each task over 50 ms so far."""
        return self.page.evaluate("window.becamWatched.tasks")

    def alarms(self) -> list[str]:
        """Texts of dialogs that scripts tried to open: whatever was injected has run."""
        return self.page.evaluate("window.becamWatched.alarms")

    def text(self, selector: str) -> str:
        """Text of the first match, as it is shown."""
        return self.page.locator(selector).first.inner_text()

    def count(self, selector: str) -> int:
        """Number of matches."""
        return self.page.locator(selector).count()


@pytest.fixture(scope="session")
def chromium():
    """The browser, or a skip where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_tab(chromium):
    """Open a page: ``open_tab(url, width=1300, height=900, **context)``; closed after the test."""
    contexts = []

    def open_one(url: str, *, width: int = 1300, height: int = 900, **options: object) -> Tab:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        own = urlsplit(url)
        tab = Tab(context.new_page())

        def guard(route):
            asked = urlsplit(route.request.url)
            if asked.scheme in ("data", "blob") or asked[:2] == own[:2]:
                route.continue_()
            else:
                tab.strangers.append(route.request.url)
                route.abort()

        context.route("**/*", guard)
        context.add_init_script(_WATCH)
        tab.page.on(
            "console",
            lambda message: tab.errors.append(message.text) if message.type == "error" else None,
        )
        tab.page.on("pageerror", lambda error: tab.errors.append(str(error)))
        tab.page.goto(url)
        return tab

    yield open_one
    for context in contexts:
        context.close()
