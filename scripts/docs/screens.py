"""Take the documentation's screenshots again: ``python scripts/docs/screens.py [FOLDER]``.

Gallery and explorer in Chromium, and Figure 7, all on the drawn catalogue. ``FOLDER`` keeps what
they are made of, so that a second run is quick.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import which

from pages import DOCS, Block, Givens, Runner
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from becam.demo.material import demo_material
from becam.experiments.store import Store
from becam.figures.paper import adapters_figure

ASSETS = DOCS / "assets"

_CHECKPOINTS = "run/bm3/befa.pt run/bm3-befa/befa.pt"
_GALLERY = f"""
becam gallery {_CHECKPOINTS} --dataset shop --items sample:60 -o gallery --overwrite
"""
_SERVE = ["serve", *_CHECKPOINTS.split(), "--dataset", "shop", "--port", "0"]
_ITEM = "item0042"
"""Taken for its number, before anybody had seen it."""
_VIEW = {"width": 1320, "height": 820}
_WIDEST = 1400
_QUALITY = 84


def main(folder: Path) -> None:
    """Write ``gallery.webp``, ``explorer.webp`` and ``figure-7.webp`` into ``docs/assets``."""
    shop = folder / "shop-and-demo"
    Givens(folder / "givens", full=True).copy(["shop"], shop)
    Runner(shop, full=True).run(Block("sh", _GALLERY, 0))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        _keep(_gallery(browser, shop / "gallery" / "index.html"), "gallery.webp")
        _keep(_explorer(browser, shop), "explorer.webp")
        browser.close()
    _keep(_figure_7(folder), "figure-7.webp")


def _gallery(browser: Browser, page: Path) -> Image.Image:
    opened = browser.new_page(viewport=_VIEW)
    opened.goto(page.as_uri())
    opened.wait_for_timeout(2000)
    return Image.open(io.BytesIO(opened.screenshot()))


def _explorer(browser: Browser, shop: Path) -> Image.Image:
    server = subprocess.Popen(
        [sys.executable, "-m", "becam", *_SERVE], cwd=shop, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        found = next(m for line in server.stdout if (m := re.search(r"http://\S+", line)))
        opened = browser.new_page(viewport=_VIEW)
        opened.goto(f"{found[0]}#item={_ITEM}")
        opened.wait_for_timeout(20_000)  # maps, then their control with a shuffled encoder
        return Image.open(io.BytesIO(opened.screenshot()))
    finally:
        server.terminate()
        server.wait()


def _figure_7(folder: Path) -> Image.Image:
    dataset, path = demo_material(folder / "material")
    store = Store(path)
    checkpoints = [
        store.checkpoint("bm3", adapter) for adapter in ("none", "lora", "soft-prompt", "befa")
    ]
    made = adapters_figure(checkpoints, dataset, items="top-drift:3", maps=folder / "maps")
    made.save(folder / "figure-7.png")
    return Image.open(folder / "figure-7.png")


def _keep(picture: Image.Image, name: str) -> None:
    small = picture.convert("RGB")
    small.thumbnail((_WIDEST, _WIDEST * 2), Image.Resampling.LANCZOS)
    small.save(ASSETS / name, quality=_QUALITY, method=6)


def _chromium() -> str:
    found = next(filter(None, map(which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        raise SystemExit("There is no Chromium here; install one to take screenshots.")
    return found


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
