"""Colours as people see them: from the profile that a picture carries to sRGB."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Literal

import numpy as np
from PIL import Image, ImageCms

Icc = Literal["convert", "ignore"]
"""What becomes of embedded colour profiles (ICC): pictures are converted to sRGB by them, or they
are ignored, as most pipelines for CLIP do."""

CONVERT: Icc = "convert"
IGNORE: Icc = "ignore"

_MOST_BYTES = 4 << 20
_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}
_DEVICES = ("mntr", "scnr", "prtr", "spac")
_LEVELS = 9
_ROUNDING = 2
"""A profile that moves no colour by more of 255 levels is that of sRGB."""


def to_srgb(image: Image.Image, rgb: Image.Image) -> Image.Image:
    """A picture's colours by its profile.

    Args:
        image: the picture as stored, with its profile in ``info``.
        rgb: the same as 8-bit RGB, the profile ignored; it may be changed.

    Returns:
        sRGB; ``rgb`` itself where there is no profile, or it is damaged, foreign to the picture's
        colours, or that of sRGB.
    """
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not 0 < len(profile) <= _MOST_BYTES:
        return rgb
    found = _transform(profile)
    if found is None:
        return rgb
    mode, transform = found
    if mode in ("CMYK", "LAB") or image.mode in ("CMYK", "LAB"):
        if image.mode != mode:
            return rgb
        source = image
    elif mode == "L":
        if image.mode[0] not in "1LIF":
            return rgb
        source = rgb.getchannel(0)
    else:
        ImageCms.applyTransform(rgb, transform, inPlace=True)
        return rgb
    return ImageCms.applyTransform(source, transform) or rgb


@lru_cache(maxsize=8)
def _transform(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform] | None:
    """From the colours of a profile, of this mode, to sRGB; None: there is nothing to convert."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _SPACES[opened.profile.xcolor_space]
        if opened.profile.device_class not in _DEVICES:
            return None
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            flags=ImageCms.Flags.HIGHRESPRECALC,
        )
        sample = _sample(mode)
        found = np.asarray(ImageCms.applyTransform(sample, transform), dtype=int)
    except Exception:  # littleCMS's own errors, a missing littleCMS, a space without a mode
        return None
    if (
        mode in ("RGB", "L")
        and np.abs(found - np.asarray(sample.convert("RGB"))).max() <= _ROUNDING
    ):
        return None
    return mode, transform


def _sample(mode: str) -> Image.Image:
    """Colours all over a mode's space."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    levels = np.linspace(0, 255, _LEVELS).round().astype(np.uint8)
    values = np.stack(np.meshgrid(*[levels] * bands), axis=-1).reshape(-1, bands)
    return Image.frombytes(mode, (len(values), 1), values.tobytes())
