"""Columns on several encoders: each map lies where its own encoder looked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from carded import cards, write_gallery

from becam.encoders.preprocessing import Geometry
from becam.gallery.page.blocks import likeness

pytest_plugins = ["browsing"]

PAINTED = """() => Array.from(document.querySelectorAll("#items canvas"), (canvas) => {
    const { width, height } = canvas;
    const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    const of = (x, y) => Array.from(pixels.slice(4 * (y * width + x), 4 * (y * width + x) + 4));
    const middle = Math.floor(width / 2);
    return { top: of(middle, 2), centre: of(middle, Math.floor(height / 2)) };
})"""
HOT = np.ones((7, 7), np.float32) * np.linspace(1, 2, 7, dtype=np.float32)


def test_each_map_lies_where_its_encoder_looked(open_tab, tmp_path):
    """The card's crop leaves the picture's top out, the second encoder saw all of it."""
    (card,) = cards(1, columns=2)
    whole = Geometry(960, 1280, (0.0, 0.0, 960.0, 1280.0))
    first, second = (replace(panel, raw=HOT) for panel in card.panels)
    card = replace(card, panels=(first, replace(second, geometry=whole)))
    tab = open_tab(write_gallery(tmp_path / "gallery", [card], 2).as_uri())
    tab.page.wait_for_function(f"({PAINTED})().every((one) => one.centre[3] > 0)")
    left, right = tab.page.evaluate(PAINTED)
    assert left["centre"] == right["centre"]
    # In the middle of its width this map is half hot, wherever its encoder looked.
    assert right["top"] == right["centre"]
    assert left["top"] != left["centre"]


def test_maps_of_other_parts_of_a_picture_are_not_compared():
    (card,) = cards(1, columns=2)
    one, other = (replace(panel, raw=HOT) for panel in card.panels)
    assert likeness(one, other) == 100
    elsewhere = replace(other, geometry=Geometry(960, 1280, (0.0, 0.0, 960.0, 1280.0)))
    assert likeness(one, elsewhere) == -128
