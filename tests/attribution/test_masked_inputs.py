"""Patches under masks by linearity are the patches of the masked pictures."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from zoo import make_checkpoint

from becam.attribution import Explainer
from becam.attribution.inputs import MaskedPatches, masked_encoder
from becam.attribution.masking import background, mask_picture, upsample
from becam.attribution.target import item_target
from becam.attribution.view import Engine
from becam.encoders.base import PatchStem
from becam.encoders.fast import FastEncoder


@pytest.mark.parametrize("grid", [(4, 4), (1, 1), (2, 5), (7, 3)])
@pytest.mark.parametrize("bias", [False, True])
def test_patches_of_any_grid(grid, bias):
    torch.manual_seed(0)
    projection = nn.Conv2d(3, 10, 8, stride=8, bias=bias).requires_grad_(False)
    size = (8 * grid[0], 8 * grid[1])
    pixels, faded = torch.randn(2, 3, *size)
    masks = torch.rand(5, *grid)
    found = MaskedPatches(PatchStem("", projection, nn.Identity()), pixels, faded, grid)(masks)
    pictures = mask_picture(pixels, upsample(masks, size), faded)
    expected = projection(pictures).flatten(2).transpose(1, 2)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("masking", ["mean", "black", "blur"])
@pytest.mark.parametrize("name", ["open_clip-vit", "becam-vit"])
def test_features_are_those_of_the_masked_pictures(name, masking, load, picture):
    encoder = load(name)
    pixels, _ = encoder.preprocessing(picture)
    faded = background(pixels, encoder.preprocessing, masking)
    fast = FastEncoder(encoder)
    assert fast.stem is not None
    grid = encoder.target_layer().grid
    masks = torch.rand(4, *grid, generator=torch.Generator().manual_seed(1))
    found = masked_encoder(fast, pixels, faded, grid)(masks)
    size = tuple(pixels.shape[-2:])
    expected = encoder.encode_image(mask_picture(pixels, upsample(masks, size), faded))
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))


def test_change_is_the_cosine_of_changes(load, picture):
    """Against the definition, written out; the gate makes it depend on the item."""
    encoder = load("open_clip-vit")
    checkpoint = make_checkpoint(encoder, adapter="befa", seed=1)
    view = Engine(encoder, encoder.target_layer()).view(picture)
    target = item_target(checkpoint, "0007", space="change").on(view)
    head, e = checkpoint.head("image"), checkpoint.item_embeddings[7]

    def adapted(feature):
        return head(feature[None], e[None])[0]

    blank, whole = adapted(view.blank), adapted(view.whole)
    found = target.similarity(view.masked_features[:5])
    for value, feature in zip(found, view.masked_features[:5], strict=True):
        a, b = adapted(feature) - blank, whole - blank
        assert float(value) == pytest.approx(float(a @ b / a.norm() / b.norm()), abs=1e-4)
    assert float(target.similarity(view.whole[None])) == pytest.approx(1, abs=1e-5)
    assert float(target.similarity(view.blank[None])) == 0
    maps = {
        space: Explainer(
            checkpoint,
            space=space,
            method="becam",
            method_options={"weighting": "cosine"},
            randomise=False,
        ).explain(picture, "0007")[0]
        for space in ("adapted", "change")
    }
    others = {space: found.controls.correlation_others for space, found in maps.items()}
    assert others["change"] < others["adapted"]
    assert maps["change"].controls.weight_std > 10 * maps["adapted"].controls.weight_std
