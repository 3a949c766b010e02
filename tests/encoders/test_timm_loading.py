"""timm's models at other sizes, and options that cannot be."""

from __future__ import annotations

import pytest
import timm
import torch
from zoo import save_family

from becam.encoders import load_encoder
from becam.errors import BecamError


def test_a_transformer_takes_another_size(tmp_path):
    """Positions are interpolated as timm does for pictures of any size."""
    spec, weights = save_family(tmp_path, "timm-dinov2")
    encoder = load_encoder(f"{spec},size=84", weights=weights)
    assert encoder.preprocessing.size == (84, 84)
    assert encoder.target_layer().grid == (6, 6)
    free = timm.create_model(
        "vit_small_patch14_reg4_dinov2",
        embed_dim=48,
        depth=3,
        num_heads=3,
        img_size=56,
        num_classes=0,
        dynamic_img_size=True,
    ).eval()
    free.load_state_dict(torch.load(weights, weights_only=True), strict=False)
    pixels = torch.randn(2, 3, 84, 84, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(encoder.encode_image(pixels), free(pixels), atol=1e-4)


def test_the_size_is_the_models_own_without_the_option(tmp_path):
    spec, weights = save_family(tmp_path, "timm-eva")
    assert load_encoder(spec, weights=weights).preprocessing.size == (56, 56)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("timm-vit", "size=abc"),
        ("timm-vit", "size=4"),
        ("timm-vit", "mean=grey"),
        ("timm-resnet", "std=0.5x"),
        ("timm-resnet", "crop_pct=most"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(name, options, tmp_path):
    spec, weights = save_family(tmp_path, name)
    with pytest.raises(BecamError, match="change size, mean, std or crop_pct") as caught:
        load_encoder(f"{spec},{options}", weights=weights)
    assert "\n" not in str(caught.value)


def test_a_wrong_argument_beside_a_file_is_not_blamed_on_the_hub(tmp_path):
    spec, weights = save_family(tmp_path, "timm-vit")
    with pytest.raises(BecamError, match="refuses the options"):
        load_encoder(f"{spec},num_heads=5", weights=weights)
