"""The documentation's site: built strictly, whole, and without anything from another host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

ROOT = Path(__file__).resolve().parents[2]
ASSETS_LIMIT = 1_500_000

pytest_plugins = ["browsing"]

for needed in ("material", "mkdocstrings", "l2m4m"):
    pytest.importorskip(needed, reason="the site needs pip install 'becam[docs]'")


class Html(HTMLParser):
    """Ids, and what a page refers to, by tag and attribute."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.references: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        self.references.append((tag, attributes))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def html(site):
    # The 404 page refers to the place where a server would have it.
    return {path: Html(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}


def test_every_link_leads_somewhere(site, html):
    broken = []
    for path, page in html.items():
        for _, attributes in page.references:
            for value in filter(None, (attributes.get("href"), attributes.get("src"))):
                if re.match(r"[a-z]+:", value):
                    continue
                address, fragment = urldefrag(value)
                target = (path.parent / unquote(address)).resolve() if address else path
                there = html[target].ids if target in html else set()
                if not target.exists() or (there and fragment and unquote(fragment) not in there):
                    broken.append((path.name, value))
    assert broken == []


def test_nothing_comes_from_another_host(site, html):
    foreign = [
        (path.name, tag, value)
        for path, page in html.items()
        for tag, attributes in page.references
        for value in filter(None, (attributes.get("src"), attributes.get("href")))
        if tag != "a" and re.match(r"(https?:)?//", value)
    ]
    assert foreign == []
    for path in site.rglob("*.css"):
        found = re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", path.read_text("utf-8"))
        assert found == [], path


def test_no_workplace_and_no_half_made_page(site, html):
    for path in (p for kind in ("*.html", "*.js", "*.json") for p in site.rglob(kind)):
        text = path.read_text("utf-8")
        assert not re.search(r"/(?:work|tmp|home|root)/[a-z]", text), path
    for path, page in html.items():
        assert page.text.count("```") == 0, path
        assert not re.search(r"<!--\s*(given|setup)|no-run|reason=", page.text), path


def test_pictures_are_few_and_small(site):
    pictures = [path for path in (ROOT / "docs" / "assets").iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in pictures) < ASSETS_LIMIT
    used = "".join(path.read_text("utf-8") for path in site.rglob("*.html"))
    assert [path.name for path in pictures if path.name not in used] == []


def test_equations_are_mathml(html):
    (method,) = [page for path, page in html.items() if path.name == "method.html"]
    blocks = [a for tag, a in method.references if tag == "math" and a.get("display") == "block"]
    assert len(blocks) >= 9
    assert "$" not in method.text
    assert "\\" not in method.text


def test_the_command_line_reference_has_what_the_terminal_shows(site):
    from typer.testing import CliRunner

    from becam.cli.app import app

    source = (site / "reference" / "cli.html").read_text("utf-8")
    sections = dict(
        re.findall(r'<h2 id="becam-([^"]+)">(.*?)(?=<h2|</article>)', source, re.DOTALL)
    )
    runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
    commands = [[name] for name in _listed(runner.invoke(app, ["--help"]).output)]
    assert len(commands) > 15
    for command in commands:
        output = runner.invoke(app, [*command, "--help"]).output
        if subcommands := _listed(output):
            commands += [[*command, name] for name in subcommands]
            continue
        section = sections.pop("-".join(command))
        for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", output)) - {"--help"}:
            assert option in section, (command, option)
    assert sections == {}


def _listed(output: str) -> list[str]:
    """Names in the panel of commands of a help text."""
    _, found, panel = output.partition("─ Commands ─")
    return re.findall(r"^│ ([a-z0-9-]+) ", panel, re.MULTILINE) if found else []


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_open_from_disk_in_a_browser(site, open_tab, scheme, width):
    for name in ("index", "tutorials/shop-engineer", "method", "reference/cli"):
        tab = open_tab(f"{(site / name).as_uri()}.html", width=width, color_scheme=scheme)
        page = tab.page
        page.wait_for_load_state("networkidle")
        assert tab.strangers == []
        assert tab.errors == []
        root = "document.documentElement"
        assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth"), "it scrolls sideways"
        broken = "[...document.images].filter(i => i.complete && !i.naturalWidth).length"
        assert page.evaluate(broken) == 0
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        channels = [int(value) for value in re.findall(r"\d+", background)[:3]]
        assert (max(channels) < 100) == (scheme == "dark")


def test_the_search_works_from_disk(site, open_tab):
    page = open_tab(f"{(site / 'index').as_uri()}.html").page
    page.keyboard.press("/")
    page.keyboard.type("fingerprint")
    page.wait_for_selector(".md-search-result__item a[href*='tutorials/researcher']")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "name", ["index", "tutorials/shop-engineer", "method", "how-to/fast", "reference/cli"]
)
def test_pages_have_no_serious_barrier(site, open_tab, name, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    page = open_tab(f"{(site / name).as_uri()}.html", color_scheme=scheme).page
    page.wait_for_load_state("networkidle")
    serious = [
        (each["id"], each["nodes"][0]["html"])
        for each in axe.Axe().run(page).response["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []
