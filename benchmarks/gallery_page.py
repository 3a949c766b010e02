"""The gallery's page in Chromium, opened from disk: how soon, how smooth, for how many items.

    python benchmarks/gallery_page.py                      # 5,000 and 100,000 items
    python benchmarks/gallery_page.py --items 5000 --keep /tmp/galleries

Galleries are made up: three columns, maps of 7 x 7 cells, drawn pictures (a few, under many
names). "First picture" counts from the start of the navigation; at "all read" sorting and
filtering are ready. Long tasks are those over 50 ms that the browser itself reports: the page does
not react while they last. The scroll goes through the whole list, then by jumps to random places.
"Computed" is the time in the page's own code, "shown" lasts until the frame in which the results
stand; what can be done again is done nine times, and the median counts.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.table import Table

from becam.encoders.preprocessing import Geometry
from becam.gallery.model import Card, Column, Heading, Panel
from becam.gallery.page import PageWriter

PICTURES = 40
CATEGORIES = 60
WATCH = """
window.tasks = [];
window.times = {};
document.addEventListener("load", ({ target }) => {
  if (target.tagName === "IMG") window.times.first ??= performance.now();
}, true);
const wait = setInterval(() => {
  if (typeof becamGallery === "undefined") return;
  if (becamGallery.index?.ready !== becamGallery.heading.count) return;
  window.times.ready = performance.now();
  clearInterval(wait);
}, 10);
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.tasks.push(entry.duration);
}).observe({ type: "longtask", buffered: true });
"""
SHOWN = """
async ([change, times]) => {
  const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  const { state } = becamGallery;
  const before = Object.fromEntries(Object.keys(change).map((key) => [key, state.get()[key]]));
  const computed = [], shown = [];
  for (let i = 0; i < times; i++) {
    if (i) state.set(before);
    await frame();
    await frame();
    const start = performance.now();
    state.set(change);
    computed.push(performance.now() - start);
    await frame();
    shown.push(performance.now() - start);
  }
  const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
  return [median(computed), median(shown)];
}
"""
SCROLL = """
async (share) => {
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const steps = Math.min(600, Math.ceil(document.body.scrollHeight / (1.5 * innerHeight)));
  let worst = 0, last = performance.now();
  for (let i = 0; i < steps; i++) {
    scrollTo(0, (document.body.scrollHeight * i) / steps);
    await frame();
    const now = performance.now();
    worst = Math.max(worst, now - last);
    last = now;
  }
  for (let i = 0; i < 30; i++) {
    scrollTo(0, document.body.scrollHeight * Math.random());
    for (let k = 0; k < 12; k++) await frame();
  }
  return [steps, worst];
}
"""
TIMES = 9
CHANGES = {
    "filter by drift": ({"theta_over": 90}, TIMES),
    "filter by category as well": ({"category": ["category 7"]}, TIMES),
    "no filter": ({"theta_over": None, "category": []}, TIMES),
    "filter by two words": ({"q": "red coat"}, TIMES),
    "sort by θ, the first time": ({"q": "", "sort": "theta"}, 1),
    "sort by θ, descending": ({"down": True}, TIMES),
    "sort by title, the first time": ({"sort": "title"}, 1),
}
"""Choices, and how many times each is made; the median counts."""


def gallery(folder: Path, count: int) -> float:
    """Write a gallery of so many items; seconds."""
    rng = np.random.default_rng(0)
    columns = tuple(
        Column(label, "becam", adapter, space)
        for label, adapter, space in (
            ("BM3", "none", "content"),
            ("BM3 + BeFA, no adapter", "none", "content"),
            ("BM3 + BeFA", "befa", "adapted"),
        )
    )
    heading = Heading("A large shop", "all items", count, columns, 60.0, (), {"seed": "0"})
    noise = rng.integers(0, 255, (PICTURES, 6, 4, 3), dtype=np.uint8)
    pictures = [Image.fromarray(one).resize((214, 320), Image.Resampling.BICUBIC) for one in noise]
    nouns = ("coat", "boot", "dress", "scarf", "shirt", "lamp", "mug")
    colours = ("red", "blue", "green", "black", "white")
    writer = PageWriter(folder, heading)
    start = time.perf_counter()
    for number in range(count):
        panels = tuple(
            Panel(
                raw=rng.normal(0.1, 1.0, (7, 7)).astype(np.float32),
                theta=float(np.clip(rng.normal(mean, 15), 0, 180)),
                theta_control=float(rng.normal(88, 5)),
                warnings=("The maps of other items look the same.",) * int(rng.integers(0, 3)),
                notes=("Content is far from behaviour.",),
                controls={"positive_share": 0.5},
                weights=tuple(int(n) for n in rng.integers(0, 50, 24)),
                weight_range=(-0.2, 0.3),
            )
            for mean in (70.0, 90.0, 20.0)
        )
        name = f"{colours[rng.integers(5)]} {nouns[rng.integers(7)]}, model {number}"
        card = Card(
            id=f"{100_000_000 + 7 * number}",
            title=name,
            text=f"A {name} for those who like it. " * 4,
            category=f"category {rng.integers(CATEGORIES)}",
            popularity=int(rng.pareto(1.2) * 10),
            geometry=Geometry(1166, 1750, (0.0, 292.0, 1166.0, 1458.0)),
            panels=panels,
        )
        writer.add(card, pictures[number % PICTURES])
    writer.finish()
    return time.perf_counter() - start


def measure(page: Page, address: str) -> dict[str, str]:
    """Open the page, scroll and filter."""
    found: dict[str, str] = {}
    page.add_init_script(WATCH)
    page.goto(address, wait_until="commit")
    page.wait_for_function("() => window.times?.ready && window.times.first", timeout=120_000)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.wait_for_timeout(500)
    found["first paint"] = f"{paint:.0f} ms"
    for name, key in (("first picture", "first"), ("all read", "ready")):
        found[name] = f"{page.evaluate('times')[key]:.0f} ms"
    found["longest task on load"] = longest(page)
    steps, worst = page.evaluate(SCROLL)
    found["longest task while scrolling"] = longest(page)
    found[f"longest frame of {steps} scrolled"] = f"{worst:.0f} ms"
    for name, (change, times) in CHANGES.items():
        computed, shown = page.evaluate(SHOWN, [change, times])
        found[f"{name}: computed, shown"] = f"{computed:.0f}, {shown:.0f} ms"
    page.wait_for_timeout(300)
    found["longest task of these"] = longest(page)
    memory = page.evaluate("performance.memory.usedJSHeapSize")
    found["JavaScript heap"] = f"{memory / 2**20:.0f} MiB"
    return found


def longest(page: Page) -> str:
    """The longest task since the last time."""
    tasks = page.evaluate("tasks.splice(0)")
    return f"{max(tasks):.0f} ms" if tasks else "none over 50 ms"


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[5_000, 100_000])
    parser.add_argument("--keep", type=Path, help="Write the galleries here, or use those there.")
    arguments = parser.parse_args()
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    rows: dict[str, dict[int, str]] = {}
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browser, args=["--no-sandbox", "--enable-precise-memory-info"]
        )
        for count in arguments.items:
            folder = (arguments.keep or Path(temporary)) / str(count)
            if not folder.exists():
                seconds = gallery(folder, count)
                rows.setdefault("written in", {})[count] = f"{seconds:.0f} s"
            page = chromium.new_page(viewport={"width": 1400, "height": 900})
            for name, value in measure(page, (folder / "index.html").resolve().as_uri()).items():
                name = "longest frame of the scroll" if name.startswith("longest frame") else name
                rows.setdefault(name, {})[count] = value
            page.close()
        chromium.close()
    table = Table("", *(f"{count:,} items" for count in arguments.items))
    for name, values in rows.items():
        table.add_row(name, *(values.get(count, "") for count in arguments.items))
    Console().print(table)


if __name__ == "__main__":
    main()
