"""The histograms of deviations: every item in its bar, thresholds where they are."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from matplotlib.patches import StepPatch
from PIL import Image

from becam.evaluation.deviation_summary import summarise
from becam.figures.deviation import deviation_figure, save_deviation_figure

WHENS = ("before", "after")


def summary(label="BM3 + BeFA", modality="image", adapter="befa", n=200, omission=60.0):
    """Before: a quarter each at 7, 61, 89.5 and 180 degrees; after: all at 3; control: 90."""
    theta = np.resize([7.0, 61.0, 89.5, 180.0], n)
    values = {"theta_before": theta, "theta_after": np.full(n, 3.0)}
    values |= {f"theta_permuted_{when}": np.full(n, 90.0) for when in WHENS}
    values |= {f"deviation_{when}": np.zeros(n) for when in WHENS}
    flags = {f"{name}_{when}": [False] * n for name in ("omission", "drift") for when in WHENS}
    items = pl.DataFrame(
        {"id": [str(k) for k in range(n)], "checkpoint": "c", "modality": "m", **values, **flags}
    ).with_columns(pl.lit(None, dtype=pl.String).alias("category"))
    return summarise(items, label=label, modality=modality, adapter=adapter, omission=omission)


def bars(axes):
    """Shares of the items by the left edge of their bar: own content, and the control."""
    own, control = (p.get_data() for p in axes.patches if isinstance(p, StepPatch))
    return [
        {edge: share for edge, share in zip(found.edges[:-1], found.values, strict=True) if share}
        for found in (own, control)
    ]


@pytest.mark.parametrize(("n", "left"), [(200, (5, 60, 85, 175)), (2400, (6, 60, 88, 178))])
def test_every_item_is_in_its_bar(n, left):
    before, after = deviation_figure([summary(n=n)]).axes
    own, control = bars(before)
    assert own == dict.fromkeys(left, 0.25)
    assert control == {90: 1.0}
    (edge,) = bars(after)[0]
    assert edge == (0 if n < 2000 else 2)
    for axes, when in zip((before, after), WHENS, strict=True):
        assert axes.get_ylabel() == when
        assert axes.get_xlim() == (0, 180)
        assert axes.get_ylim()[1] >= max(max(found.values()) for found in bars(axes))


def test_thresholds_are_marked():
    for axes in deviation_figure([summary(omission=75.0)]).axes:
        assert [line.get_xdata()[0] for line in axes.lines] == [75, 90]
        omission, drift = (line.get_linestyle() for line in axes.lines)
        assert omission != drift


def test_a_panel_each_with_its_own_height():
    summaries = [
        summary("BM3", "image", "none"),
        summary("BM3", "text", "none"),
        summary("BM3 + BeFA", "text"),  # no pictures
    ]
    figure = deviation_figure(summaries)
    assert [axes.get_ylabel() for axes in figure.axes] == [
        *("no adapter", "no adapter", "before", "after")
    ]
    heights = {axes.get_ylim()[1] for axes in figure.axes}
    assert len(heights) == 1  # the control's full bar is in each
    titles = [text.get_text() for sub in figure.subfigs for text in sub.texts]
    assert titles == [
        "BM3\nimage (n = 200)",
        "BM3\ntext (n = 200)",
        "BM3 + BeFA\ntext (n = 200)",
    ]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [text for text in legend if "control" in text] == ["another item's content (control)"]
    assert {"omission", "drift", "before the adapter, or without", "after the adapter"} < set(
        legend
    )


def test_files(tmp_path):
    for suffix in ("png", "pdf"):
        save_deviation_figure(tmp_path / f"h.{suffix}", [summary()])
    with Image.open(tmp_path / "h.png") as sheet:
        sheet.load()
        assert sheet.width > 500
        colours = {pixel[1] for pixel in sheet.convert("RGB").getcolors(1 << 20)}
        assert len(colours) > 2
    assert (tmp_path / "h.pdf").read_bytes().startswith(b"%PDF")
