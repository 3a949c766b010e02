"""MaxBoxAccV2 against hand-worked boxes, a flood fill and torchvision's overlaps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torchvision.ops import box_iou

from becam.evaluation.boxes import box_overlaps, max_box_accuracy


def flood(hot):
    """Boxes and sizes of the regions, by walking from pixel to pixel."""
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(hot), strict=True)}
    regions = []
    while left:
        region, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            region.add((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            edge += near
        rows, columns = zip(*region, strict=True)
        box = (min(columns), min(rows), max(columns) + 1, max(rows) + 1)
        regions.append((len(region), box))
    return regions


@given(
    hnp.arrays(np.int8, (6, 7), elements=st.integers(0, 4)),
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(1, 3), st.integers(1, 3)),
        min_size=1,
        max_size=2,
    ),
)
def test_against_a_flood_fill_and_torchvision(levels, corners):
    saliency = (levels / 4).astype(np.float32)
    boxes = [(x, y, min(7, x + w), min(6, y + h)) for x, y, w, h in corners]
    thresholds = np.array([0.0, 0.3, 0.6, 0.9])
    found = box_overlaps(saliency, boxes, thresholds=thresholds)
    for threshold, overlap in zip(thresholds, found, strict=True):
        regions = [box for _, box in flood(saliency > threshold)]
        want = 0.0
        if regions:
            want = float(
                box_iou(torch.tensor(regions).double(), torch.tensor(boxes).double()).max()
            )
        assert overlap == pytest.approx(want)


def test_version_one_takes_the_largest_region_alone():
    saliency = np.zeros((10, 10), np.float32)
    saliency[1:5, 1:5] = 1.0  # 16 pixels beside the object
    saliency[7:9, 7:10] = 1.0  # the object itself
    box = [(7, 7, 10, 9)]
    assert box_overlaps(saliency, box, thresholds=np.array([0.5])) == pytest.approx([1.0])
    largest = box_overlaps(saliency, box, thresholds=np.array([0.5]), components="largest")
    assert largest == pytest.approx([0.0])


def test_boxes_are_cut_at_what_was_seen():
    saliency = np.full((8, 8), np.nan, np.float32)
    saliency[2:6, 2:6] = 0.0
    saliency[2:6, 2:4] = 1.0
    # Of a box over the whole picture, columns and rows 2 to 5 were seen, half of them hot.
    assert box_overlaps(saliency, [(0, 0, 8, 8)], thresholds=np.array([0.5])) == pytest.approx(
        [0.5]
    )
    assert np.isnan(box_overlaps(saliency, [(0, 0, 2, 8)])).all()
    assert np.isnan(box_overlaps(saliency, [])).all()


def test_accuracy_by_hand():
    overlaps = np.array([[0.2, 0.4, 0.8], [0.6, 0.4, 0.0], [0.0, 0.35, 0.1]])
    # IoU .3: all three at the second threshold. .5: one each at the first and the third, so the
    # first. .7: one at the third.
    found = max_box_accuracy(overlaps)
    assert found == pytest.approx([(1 + 0 + 1) / 3, (1 + 1 + 0) / 3, 1 / 3])
    assert found.mean() == pytest.approx(np.mean([3 / 3, 1 / 3, 1 / 3]))


@given(hnp.arrays(np.float64, (5, 4), elements=st.floats(0, 1)))
def test_accuracy_against_its_definition(overlaps):
    want = np.mean(
        [max(np.mean(overlaps[:, t] >= iou) for t in range(4)) for iou in (0.3, 0.5, 0.7)]
    )
    assert max_box_accuracy(overlaps).mean() == pytest.approx(want)
