"""From channels to masked pictures (method: steps 2 and 3)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.functional import gaussian_blur

from becam.encoders.preprocessing import Preprocessing
from becam.errors import BecamError

Masking = Literal["mean", "black", "blur"]
MASKINGS: tuple[Masking, ...] = ("mean", "black", "blur")

_FLAT = 1e-6


def channel_masks(activation: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Upsample channels to the picture and stretch each to [0, 1].

    Args:
        activation: channels (n, h, w).
        size: H and W of the encoder's input.

    Returns:
        Masks (n, H, W), and which of the n channels have a range (bool). A channel without range
        has a mask of zeros.
    """
    masks = functional.interpolate(
        activation[:, None], size=size, mode="bilinear", align_corners=False
    )[:, 0]
    low = masks.amin(dim=(1, 2), keepdim=True)
    span = masks.amax(dim=(1, 2), keepdim=True) - low
    # Below float32's resolution a range is rounding noise, and stretching would amplify it.
    live = (span > _FLAT * masks.abs().amax(dim=(1, 2), keepdim=True)) & span.isfinite()
    masks = torch.where(live, (masks - low) / torch.where(live, span, 1.0), 0.0)
    return masks, live[:, 0, 0]


def background(pixels: Tensor, preprocessing: Preprocessing, masking: Masking) -> Tensor:
    """What a fully masked picture fades to: (3, H, W), normalised.

    ``mean``: the mean colour, which is zero after normalisation. ``black``: black pixels.
    ``blur``: a copy blurred with a Gaussian whose sigma is an eighth of the shorter side.

    Raises:
        BecamError: unknown masking.
    """
    if masking == "mean":
        return torch.zeros_like(pixels)
    if masking == "black":
        mean, std = (
            pixels.new_tensor(v)[:, None, None] for v in (preprocessing.mean, preprocessing.std)
        )
        return (-mean / std).expand_as(pixels)
    if masking == "blur":
        sigma = min(pixels.shape[-2:]) / 8
        kernel = 2 * round(2 * sigma) + 1
        blurred: Tensor = gaussian_blur(pixels, [kernel, kernel], [sigma, sigma])
        return blurred
    raise BecamError(f"Unknown masking {masking!r}; use one of {', '.join(MASKINGS)}.")


def mask_picture(pixels: Tensor, masks: Tensor, faded: Tensor) -> Tensor:
    """``pixels`` (3, H, W) under each of ``masks`` (n, H, W), fading to ``faded``: (n, 3, H, W)."""
    return faded + (pixels - faded) * masks[:, None]
