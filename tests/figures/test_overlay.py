"""Overlays show what the map says, where it says it."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from becam.attribution.controls import Controls
from becam.attribution.heatmap import Heatmap
from becam.encoders.preprocessing import Geometry
from becam.errors import BecamError
from becam.figures.explanation import explanation_figure, save_explanation
from becam.figures.overlay import overlay
from becam.figures.writing import check_format

CONTROLS = Controls(0.1, 0.2, 0, 0.3, 0.99, 0.99, None, 0.6, 100.0)


def spot(row, column, size=(80, 120)):
    raw = np.full((7, 7), -1.0, np.float32)
    raw[row, column] = 2.0
    return Heatmap(
        raw,
        np.ones(3, np.float32),
        Geometry(*size, (0.0, 20.0, 80.0, 100.0)),
        CONTROLS,
        "BM3",
        "item 1",
        {},
    )


def test_the_hot_spot_is_bright_and_in_its_place():
    picture = Image.new("RGB", (80, 120), (90, 90, 90))
    shown = np.asarray(overlay(picture, spot(1, 5))).astype(int)
    assert shown.shape == (120, 80, 3)
    change = np.abs(shown - 90).sum(-1)[20:100]
    row, column = np.unravel_index(change.argmax(), change.shape)
    assert abs(row - 80 * 1.5 / 7) < 8
    assert abs(column - 80 * 5.5 / 7) < 8
    assert (change[60:, :30] == 0).all()  # cold regions show the picture


def test_what_the_encoder_never_saw_is_marked():
    picture = Image.new("RGB", (80, 120), (90, 90, 90))
    shown = np.asarray(overlay(picture, spot(3, 3))).astype(int)
    assert (shown[:19] > 120).all()
    assert len(np.unique(shown[:19])) > 1  # hatched, not merely lighter


def test_large_pictures_are_drawn_small():
    picture = Image.new("RGB", (3000, 4500))
    heatmap = spot(3, 3, (3000, 4500))
    assert max(overlay(picture, heatmap, max_side=512).size) == 512


def test_the_sheet_has_a_column_each_and_says_the_warnings(tmp_path):
    picture = Image.new("RGB", (80, 120), (90, 90, 90))
    figure = explanation_figure(picture, [spot(1, 1), spot(5, 5)], title="x")
    assert isinstance(figure, Figure)
    words = " ".join(t.get_text() for axes in figure.axes for t in axes.texts)
    assert words.replace("\n ", "").count("whatever the target") == 2
    titles = [axes.get_title() for axes in figure.axes]
    assert sum("BM3" in title for title in titles) == 2
    for suffix, magic in ((".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")):
        path = tmp_path / f"a{suffix}"
        save_explanation(path, picture, [spot(1, 1)])
        assert path.read_bytes().startswith(magic)


def test_an_odd_suffix_is_named():
    with pytest.raises(BecamError, match="does not end in a format"):
        check_format("x.docx")
