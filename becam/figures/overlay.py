"""A saliency map laid over its picture."""

from __future__ import annotations

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from becam.attribution.heatmap import Heatmap, place

COLORMAP = "inferno"
"""Perceptually even and readable by the colour-blind; dark means low."""

_MAX_SIDE = 1024
_OPACITY = 0.85
_UNSEEN_FADE = 0.65


def overlay(
    picture: Image.Image,
    heatmap: Heatmap,
    *,
    colormap: str = COLORMAP,
    opacity: float = _OPACITY,
    max_side: int = _MAX_SIDE,
    limit: float | None = None,
) -> Image.Image:
    """The picture under the map: the hotter, the more opaque, so that cold regions stay visible.

    What the encoder never saw (outside its crop) is faded and hatched.

    Args:
        picture: the original, the size that ``heatmap.geometry`` says.
        heatmap: its map.
        colormap: any matplotlib name.
        opacity: of the hottest point.
        max_side: larger pictures are scaled down to this, in pixels.
        limit: map value of the hottest colour, where zero is the coldest; by default the map is
            stretched over its own range.
    """
    values = heatmap.full() if limit is None else _scaled(heatmap, limit)
    height, width = values.shape
    scale = min(1.0, max_side / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    base = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), np.float32)
    unseen = _resize(np.isnan(values).astype(np.float32), size) > 0.5
    heat = np.clip(_resize(np.nan_to_num(values), size), 0.0, 1.0)
    grey = base @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    # Colours of the picture would be read as heat: half of them goes.
    muted = 0.5 * base + 0.5 * grey[..., None]
    blended = _blend(muted, heat, colormap, opacity)
    blended[unseen] = _hatched(grey, unseen)
    return Image.fromarray(np.clip(blended, 0, 255).astype(np.uint8))


def ramp(*, colormap: str = COLORMAP, opacity: float = _OPACITY, steps: int = 256) -> Image.Image:
    """All heats from none to the hottest as they look on white: one row, for a colour bar."""
    heat = np.linspace(0.0, 1.0, steps, dtype=np.float32)[None]
    white = np.full((1, steps, 3), 255.0, dtype=np.float32)
    return Image.fromarray(_blend(white, heat, colormap, opacity).astype(np.uint8))


def _blend(
    base: NDArray[np.float32], heat: NDArray[np.float32], colormap: str, opacity: float
) -> NDArray[np.float32]:
    """Colours (h, w, 3) from 0 to 255 of heats (h, w) from 0 to 1 over ``base``."""
    colours = matplotlib.colormaps[colormap](heat)[..., :3].astype(np.float32) * 255.0
    alpha = (opacity * heat)[..., None]
    blended: NDArray[np.float32] = (1 - alpha) * base + alpha * colours
    return blended


def _scaled(heatmap: Heatmap, limit: float) -> NDArray[np.float32]:
    share = np.zeros_like(heatmap.raw) if limit <= 0 else np.clip(heatmap.raw / limit, 0.0, 1.0)
    return place(share.astype(np.float32), heatmap.geometry)


def _hatched(grey: NDArray[np.float32], unseen: NDArray[np.bool_]) -> NDArray[np.float32]:
    rows, columns = np.nonzero(unseen)
    stripe = ((rows + columns) % 12 < 2).astype(np.float32) * 40.0
    faded = (1 - _UNSEEN_FADE) * grey[unseen] + _UNSEEN_FADE * 255.0 - stripe
    return np.repeat(faded[:, None], 3, axis=1)


def _resize(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
