"""Maps lie where they should on the original picture, and survive a round trip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from becam.attribution.controls import Controls
from becam.attribution.heatmap import Heatmap, place, stretch
from becam.encoders.preprocessing import Preprocessing
from becam.errors import BecamError

CONTROLS = Controls(0.1, 0.2, 0, 0.3, 0.4, None, -0.5, 0.6, 70.0)
CLIP = {"mean": (0.5,) * 3, "std": (0.5,) * 3}


def heatmap(raw, size=(80, 120), box=(0.0, 20.0, 80.0, 100.0)):
    from becam.encoders.preprocessing import Geometry

    return Heatmap(
        np.asarray(raw, np.float32),
        np.ones(3, np.float32),
        Geometry(*size, box),
        CONTROLS,
        "label",
        "item 1",
        {"method": "becam"},
    )


@given(
    width=st.integers(20, 400),
    height=st.integers(20, 400),
    mode=st.sampled_from(["shortest", "longest", "squash"]),
    crop=st.sampled_from([1.0, 0.875]),
    cx=st.floats(0.3, 0.7),
    cy=st.floats(0.3, 0.7),
)
@settings(max_examples=150, deadline=None)
def test_a_spot_comes_back_to_where_it_was(width, height, mode, crop, cx, cy):
    """A white spot, seen through preprocessing and a coarse grid, is hottest at its own place."""
    picture = np.zeros((height, width, 3), np.uint8)
    preprocessing = Preprocessing(
        (224, 224), **CLIP, resize_mode=mode, crop_pct=crop if mode == "shortest" else 1.0
    )
    side = min(width, height)
    # inside the visible part of a centre crop
    x = width / 2 + (cx - 0.5) * (side if mode == "shortest" else width)
    y = height / 2 + (cy - 0.5) * (side if mode == "shortest" else height)
    yy, xx = np.mgrid[0:height, 0:width]
    radius = side / 10
    picture[(xx + 0.5 - x) ** 2 + (yy + 0.5 - y) ** 2 < radius**2] = 255
    seen, geometry = preprocessing.crop(Image.fromarray(picture))
    grid = np.asarray(seen.convert("L"), np.float32)
    grid = grid.reshape(28, 8, 28, 8).mean((1, 3))
    full = place(stretch(grid), geometry)
    assert full.shape == (height, width)
    mass = np.nan_to_num(full)
    centre = (mass * (xx + 0.5)).sum() / mass.sum(), (mass * (yy + 0.5)).sum() / mass.sum()
    left, top, right, bottom = geometry.box
    # A spot within one cell of the grid comes back as that cell: half a cell, and a pixel.
    assert abs(centre[0] - x) < 1 + (right - left) / 28 / 2
    assert abs(centre[1] - y) < 1 + (bottom - top) / 28 / 2


def test_outside_of_the_crop_is_nan():
    full = heatmap(np.eye(7)).full()
    assert full.shape == (120, 80)
    assert np.isnan(full[:20]).all()
    assert np.isnan(full[100:]).all()
    assert not np.isnan(full[20:100]).any()
    assert full[20:100].min() >= 0
    assert full[20:100].max() <= 1


def test_display_is_relu_then_min_max():
    shown = heatmap([[-5.0, 0.0], [1.0, 4.0]]).display()
    assert shown.tolist() == [[0.0, 0.0], [0.25, 1.0]]
    assert heatmap([[-5.0, -1.0]]).display().tolist() == [[0.0, 0.0]]


def test_save_and_load(tmp_path):
    written = heatmap(np.random.default_rng(0).normal(size=(7, 7)))
    written.save(tmp_path / "a.npz")
    read = Heatmap.load(tmp_path / "a.npz")
    assert np.array_equal(read.raw, written.raw)
    assert read.geometry == written.geometry
    assert read.controls == written.controls
    assert read.options == written.options


def test_loading_something_else_is_one_sentence(tmp_path):
    with pytest.raises(BecamError, match="no heatmap"):
        Heatmap.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(BecamError, match="not a heatmap"):
        Heatmap.load(tmp_path / "other.npz")
    heatmap(np.eye(7)).save(tmp_path / "a.npz")
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BecamError, match="truncated"):
        Heatmap.load(tmp_path / "cut.npz")
    evil = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "evil.npz", meta=evil, raw=evil)
    with pytest.raises(BecamError):
        Heatmap.load(tmp_path / "evil.npz")


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [(1, 1), (1, 90_000), (2000, 1), (3, 700), (100, 9000), (9000, 7)])
def test_maps_of_the_thinnest_pictures(size, mode):
    """What the encoder sees has values, a pixel at least; nothing else has, and memory is small."""
    preprocessing = Preprocessing((224, 224), (0.5,) * 3, (0.5,) * 3, mode)
    _, geometry = preprocessing.crop(Image.new("RGB", size))
    placed = place(np.full((7, 7), 0.5, np.float32), geometry)
    assert placed.shape == size[::-1]
    left, top, right, bottom = geometry.visible
    seen = np.zeros(placed.shape, bool)
    seen[top:bottom, left:right] = True
    assert seen.any()
    assert np.array_equal(~np.isnan(placed), seen)
    assert np.allclose(placed[seen], 0.5, atol=1e-5)
