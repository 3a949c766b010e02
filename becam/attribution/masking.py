"""From channels to masked pictures (method: steps 2 and 3).

A mask is the bilinear upsampling of a channel, stretched to [0, 1]. Upsampling is linear and
carries constants to constants, so the stretched mask is the upsampling of a stretched channel: all
that defines a mask is its h x w coefficients on the channel's own grid.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.functional import gaussian_blur

from becam.encoders.preprocessing import Preprocessing
from becam.errors import BecamError

Masking = Literal["mean", "black", "blur"]
MASKINGS: tuple[Masking, ...] = ("mean", "black", "blur")

Size = tuple[int, int]

_FLAT = 1e-6


def mask_coefficients(activation: Tensor, size: Size) -> tuple[Tensor, Tensor]:
    """Channels stretched so that their upsampling to ``size`` runs from 0 to 1.

    Args:
        activation: channels (n, h, w).
        size: H and W of the encoder's input.

    Returns:
        Coefficients (n, h, w), and which of the n channels have a range (bool). A channel without
        range has coefficients of zero.
    """
    low, high = _extremes(activation, size)
    span = high - low
    # Below float32's resolution a range is rounding noise, and stretching would amplify it.
    live = (span > _FLAT * torch.maximum(high.abs(), low.abs())) & span.isfinite()
    scale = torch.where(live, span, 1.0)[:, None, None]
    stretched = (activation - low[:, None, None]) / scale
    return torch.where(live[:, None, None], stretched, 0.0), live


def upsample(coefficients: Tensor, size: Size) -> Tensor:
    """Masks (n, H, W) in [0, 1] from coefficients (n, h, w)."""
    masks = functional.interpolate(
        coefficients[:, None], size=size, mode="bilinear", align_corners=False
    )
    return masks[:, 0].clamp_(0.0, 1.0)  # rounding alone leaves the range


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


def _extremes(activation: Tensor, size: Size) -> tuple[Tensor, Tensor]:
    """Smallest and largest value (n,) that each channel's upsampling takes, without making it.

    Between four neighbouring cells the upsampling is bilinear, so on the samples that fall there
    its extremes lie at the corners: the first and the last sample of each interval are enough.
    """
    rows, columns = (
        _interval_ends(cells, samples).to(activation)
        for cells, samples in zip(activation.shape[1:], size, strict=True)
    )
    corners = rows @ activation @ columns.T
    return corners.amin(dim=(1, 2)), corners.amax(dim=(1, 2))


def _interval_ends(cells: int, samples: int) -> Tensor:
    """Rows of the (samples, cells) interpolation matrix that bound an interval between cells."""
    at = np.clip((np.arange(samples) + 0.5) * cells / samples - 0.5, 0, None)  # half-pixel centres
    low = np.minimum(np.floor(at).astype(int), cells - 1)
    ends = [i for i in range(samples) if i in (0, samples - 1) or len({*low[i - 1 : i + 2]}) > 1]
    part = torch.from_numpy(at[ends] - low[ends]).float()
    matrix = torch.zeros(len(ends), cells)
    index = torch.arange(len(ends))
    matrix[index, torch.from_numpy(low[ends])] += 1 - part
    matrix[index, torch.from_numpy(np.minimum(low[ends] + 1, cells - 1))] += part
    return matrix
