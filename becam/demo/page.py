"""The demo's result as one self-contained HTML page."""

from __future__ import annotations

import base64
import io
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
from matplotlib.colors import to_hex
from PIL import Image

from becam.attribution.target import Space
from becam.attribution.weighting import Weighting
from becam.errors import BecamError
from becam.figures.overlay import COLORMAP
from becam.files import open_file, write_text

PAGE = "index.html"

_TITLE = b"<title>becam demo:"
_HEAD_BYTES = 1024

COLOURS = {
    "product": "#3b7d4f",
    "clothing": "#8aa6c1",
    "skin": "#e0a080",
    "hair": "#7a4b2a",
    "other": "#c2a83e",
    "text": "#b0407a",
    "background": "#b9b6ae",
}
"""One colour a class of pixels, in the order in which classes are shown."""


@dataclass(frozen=True)
class MapView:
    """One kind of map to choose.

    Attributes:
        key: for the page's own use.
        words: for people.
        weighting, space: how its maps are made.
    """

    key: str
    words: str
    weighting: Weighting
    space: Space


VIEWS = (
    MapView("cosine", "Eq. 2", "cosine", "adapted"),
    MapView("centered", "Eq. 2, weights minus their mean", "centered", "adapted"),
    MapView(
        "change", "change of the adapted feature, weights minus their mean", "centered", "change"
    ),
)


@dataclass(frozen=True)
class MapPanel:
    """One overlay of one item: of which view, and where its energy lies."""

    name: str
    view: str
    overlay: Image.Image
    shares: dict[str, float]
    warnings: list[str]
    notes: list[str]


@dataclass(frozen=True)
class ItemCard:
    """One item: its picture, what is in it, and its maps."""

    id: str
    title: str
    caption: str
    picture: Image.Image
    area: dict[str, float]
    maps: list[MapPanel]


def write_page(path: Path, *, cards: list[ItemCard], **values: Any) -> None:
    """Render the page; every picture is embedded, so the file can be moved and mailed.

    Args:
        path: the HTML file.
        cards: one an item.
        values: whatever else the template names.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    template = environment.from_string(
        files("becam.demo").joinpath("page.html.j2").read_text(encoding="utf-8")
    )
    text = template.render(
        cards=[_embed(card) for card in cards],
        colours=COLOURS,
        classes=list(COLOURS),
        gradient=_gradient(),
        views=VIEWS,
        **values,
    )
    write_text(path, text)


def is_page(path: Path) -> bool:
    """Whether a file is a page that this module wrote."""
    with suppress(BecamError, OSError), open_file(path) as stream:
        return _TITLE in stream.read(_HEAD_BYTES)
    return False


def _embed(card: ItemCard) -> dict[str, Any]:
    maps = [{**vars(panel), "overlay": _data_uri(panel.overlay)} for panel in card.maps]
    return {**vars(card), "picture": _data_uri(card.picture), "maps": maps}


def _data_uri(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=82)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _gradient() -> str:
    steps = [to_hex(matplotlib.colormaps[COLORMAP](step / 6)) for step in range(7)]
    return ", ".join(steps)
