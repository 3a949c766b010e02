"""RISE against a naive loop, and its random masks against what they are meant to be."""

from __future__ import annotations

import math
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from zoo import make_checkpoint

from becam.attribution.methods import create_method
from becam.attribution.methods.perturbation import RandomMasks
from becam.attribution.target import item_target
from becam.attribution.view import Engine, Settings


def axis(size, cells):
    """Bilinear interpolation along an axis, half-pixel centres: neighbours and the part between."""
    at = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
    low = np.floor(at).astype(int)
    return low, np.minimum(low + 1, cells - 1), at - low


def naive_mask(grid, shift, height, width):
    """Petsiuk et al., section 3.2: (h + 1) C_H x (w + 1) C_W, then a crop at a random place."""
    cells = len(grid)
    cell = math.ceil(height / cells), math.ceil(width / cells)
    y0, y1, fy = axis((cells + 1) * cell[0], cells)
    x0, x1, fx = axis((cells + 1) * cell[1], cells)
    top = grid[y0][:, x0] * (1 - fx) + grid[y0][:, x1] * fx
    bottom = grid[y1][:, x0] * (1 - fx) + grid[y1][:, x1] * fx
    whole = top * (1 - fy)[:, None] + bottom * fy[:, None]
    return whole[shift[0] : shift[0] + height, shift[1] : shift[1] + width]


@pytest.mark.parametrize("encoder_name", ["open_clip-vit", "timm-cnn"])
@pytest.mark.parametrize("masking", ["mean", "black"])
def test_map_equals_the_naive_loop(encoder_name, masking, load, picture):
    encoder = load(encoder_name)
    checkpoint = make_checkpoint(encoder)
    engine = Engine(
        encoder, encoder.target_layer(), Settings(masking=masking, batch_size=7, seed=3)
    )
    view = engine.view(picture)
    method = create_method("rise", {"masks": 20, "cells": 5, "keep": 0.4})
    found = method.saliency(view, item_target(checkpoint, "0007", space="adapted"))

    drawn = RandomMasks(20, 5, 0.4, size=view.size, seed=3)
    mean, std = (
        torch.tensor(v)[:, None, None]
        for v in (encoder.preprocessing.mean, encoder.preprocessing.std)
    )
    faded = torch.zeros_like(view.pixels) if masking == "mean" else (0 - mean) / std
    modality = checkpoint.modalities["image"]
    item = checkpoint.item_embeddings[7].double()
    total, kept = np.zeros(view.size), np.zeros(view.size)
    for grid, shift in zip(drawn.grids.double().numpy(), drawn.shifts.tolist(), strict=True):
        mask = naive_mask(grid, shift, *view.size)
        m = torch.from_numpy(mask).float()
        with torch.no_grad():
            feature = encoder.encode_image((view.pixels * m + faded * (1 - m))[None])[0]
        z = (modality.projection_weight @ feature + modality.projection_bias).double()
        total += float(z @ item / (z.norm() * item.norm())) * mask
        kept += mask
    expected = total / (20 * 0.4)
    assert found.encoded == 20
    np.testing.assert_allclose(found.map.numpy(), expected, atol=1e-5)
    method = create_method("rise", {"masks": 20, "cells": 5, "keep": 0.4, "coverage": "drawn"})
    found = method.saliency(view, item_target(checkpoint, "0007", space="adapted")).map.numpy()
    often = kept > 0.1
    assert often.any()
    np.testing.assert_allclose(found[often], (total / kept.clip(1e-9))[often], atol=1e-4)


def test_pixels_that_no_mask_kept_are_zero(load, picture):
    encoder = load("open_clip-vit")
    view = Engine(encoder, encoder.target_layer()).view(picture)
    method = create_method("rise", {"masks": 1, "cells": 4, "keep": 0.05, "coverage": "drawn"})
    target = item_target(make_checkpoint(encoder), "0007", space="adapted")
    mask = RandomMasks(1, 4, 0.05, size=view.size, seed=0)(torch.tensor([0]))[0]
    found = method.saliency(view, target).map
    assert (mask == 0).any()
    assert (found[mask == 0] == 0).all()
    assert found.isfinite().all()


@pytest.mark.parametrize(("size", "cells"), [((64, 96), 5), ((50, 50), 7), ((33, 20), 1)])
def test_masks_are_shifted_grids(size, cells):
    masks = RandomMasks(200, cells, 0.3, size=size, seed=1)
    cell = [math.ceil(side / cells) for side in size]
    made = masks(torch.tensor([0, 5, 199]))
    assert made.shape == (3, *size)
    for mask, index in zip(made.numpy(), (0, 5, 199), strict=True):
        expected = naive_mask(masks.grids[index].numpy(), masks.shifts[index].tolist(), *size)
        np.testing.assert_allclose(mask, expected, atol=1e-5)
    assert set(masks.grids.unique().tolist()) == {0.0, 1.0}
    shifts = masks.shifts
    assert shifts.min() == 0
    assert [int(column.max()) < side for column, side in zip(shifts.T, cell, strict=True)] == [
        True
    ] * 2
    # 200 draws of a shift among at most 50: nearly all of them come up.
    assert all(
        len(column.unique()) > 0.9 * side for column, side in zip(shifts.T, cell, strict=True)
    )


def test_the_mean_mask_is_the_share_that_is_kept():
    """So that a similarity that no mask changes gives a map of just that similarity."""
    masks = RandomMasks(4000, 4, 0.3, size=(24, 24), seed=0)
    mean = masks(torch.arange(4000)).mean(0)
    # Five standard errors of a mean of coins; interpolation only narrows it.
    assert (mean - 0.3).abs().max() < 5 * math.sqrt(0.3 * 0.7 / 4000)


def test_seeds_and_options_make_other_masks():
    one = RandomMasks(50, 4, 0.5, size=(24, 24), seed=0)
    same = RandomMasks(50, 4, 0.5, size=(24, 24), seed=0)
    other = RandomMasks(50, 4, 0.5, size=(24, 24), seed=1)
    assert torch.equal(one.grids, same.grids)
    assert torch.equal(one.shifts, same.shifts)
    assert not torch.equal(one.grids, other.grids)
    assert not torch.equal(one.shifts, other.shifts)


def test_keeping_everything_shows_the_pictures_similarity(load, picture):
    encoder = load("open_clip-vit")
    checkpoint = make_checkpoint(encoder)
    view = Engine(encoder, encoder.target_layer()).view(picture)
    target = item_target(checkpoint, "0007", space="adapted")
    found = create_method("rise", {"masks": 5, "keep": 1}).saliency(view, target).map
    own = float(target.similarity(view.whole[None]))
    assert torch.allclose(found, torch.tensor(own), atol=1e-5)


def test_drawn_coverage_takes_the_draw_out_of_the_map(load, picture):
    """A similarity that no mask changes must give a flat map, whatever was drawn."""
    encoder = load("open_clip-vit")
    view = Engine(encoder, encoder.target_layer()).view(picture)
    target = Mock(similarity=lambda features: torch.full((len(features),), 0.99))
    found = {
        coverage: create_method("rise", {"masks": 60, "coverage": coverage}).saliency(view, target)
        for coverage in ("expected", "drawn")
    }
    assert torch.allclose(found["drawn"].map, torch.tensor(0.99), atol=1e-6)
    assert found["expected"].map.std() > 0.01


def test_methods_of_other_options_keep_other_features(load, picture):
    encoder = load("open_clip-vit")
    checkpoint = make_checkpoint(encoder)
    target = item_target(checkpoint, "0007", space="adapted")
    options = [{"masks": 6}, {"masks": 6, "keep": 0.3}, {"masks": 6, "cells": 3}, {"masks": 5}]
    view = Engine(encoder, encoder.target_layer()).view(picture)
    together = [create_method("rise", o).saliency(view, target).map for o in options]
    for found, option in zip(together, options, strict=True):
        fresh = Engine(encoder, encoder.target_layer()).view(picture)
        assert torch.equal(found, create_method("rise", option).saliency(fresh, target).map)


def test_progress_is_shown_where_asked_for(load, picture, capfd):
    encoder = load("open_clip-vit")
    target = item_target(make_checkpoint(encoder), "0007", space="adapted")
    for progress in (False, True):
        settings = Settings(progress=progress)
        view = Engine(encoder, encoder.target_layer(), settings).view(picture)
        create_method("rise", {"masks": 5}).saliency(view, target)
        assert ("random masks" in capfd.readouterr().err) is progress
