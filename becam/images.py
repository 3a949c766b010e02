"""Reading pictures the way people see them, whatever the file holds."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from becam.errors import BecamError

MAX_PIXELS = 100_000_000
"""Pictures with more pixels than this are refused before they are decoded (300 MB as RGB)."""


def read_image(
    source: str | Path | BinaryIO, *, max_pixels: int = MAX_PIXELS, name: str | None = None
) -> Image.Image:
    """Read a picture as upright 8-bit RGB.

    EXIF rotation is applied, transparency is laid on white, CMYK, palette, grey and 16-bit
    pictures are converted, and of an animation the first frame is taken.

    Args:
        source: its path, or the file's bytes as a stream.
        max_pixels: pictures with more are refused before they are decoded.
        name: of the picture in errors; by default its path.

    Raises:
        BecamError: no such file, not a picture, truncated, or more than ``max_pixels`` pixels.
    """
    path = name or (str(source) if isinstance(source, (str, Path)) else "The picture")
    try:
        # Pillow's own bomb check would only warn below twice its limit: ours is exact.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(source) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise _too_large(path, f"{width} x {height}", max_pixels)
                image.seek(0)
                return _to_rgb(ImageOps.exif_transpose(image))
    except BecamError:
        raise
    except FileNotFoundError:
        raise BecamError(f"There is no picture at {path}; check the path.") from None
    except IsADirectoryError:
        raise BecamError(f"{path} is a folder; give the path of one picture.") from None
    except PermissionError:
        raise BecamError(f"{path} may not be read; check its permissions.") from None
    except Image.DecompressionBombError:
        raise _too_large(path, "too many", max_pixels) from None
    except UnidentifiedImageError:
        raise BecamError(
            f"{path} is not a picture that can be read; convert it to JPEG, PNG or WebP."
        ) from None
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, ...
        raise BecamError(
            f"{path} is corrupt or truncated ({error}); fetch or export the picture again."
        ) from None


def _too_large(path: str, size: str, limit: int) -> BecamError:
    return BecamError(
        f"{path} has {size} pixels, more than the limit of {limit:,}; scale the picture down first."
    )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep_grey(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        canvas = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(canvas, rgba).convert("RGB")
    return image.convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float grey to 8 bits; Pillow's own conversion would clip at 255."""
    values = np.asarray(image, dtype=np.float64)
    if image.mode.startswith("I;16") or (image.mode == "I" and values.max(initial=0) > 255):
        values = values / 257.0
    elif image.mode == "F" and values.max(initial=0) <= 1.0:
        values = values * 255.0
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8)).convert("RGB")
