"""Reading pictures the way people see them, whatever the file holds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from becam import png
from becam.colour import CONVERT, Icc, to_srgb
from becam.errors import BecamError
from becam.files import open_file

MAX_PIXELS = 100_000_000
"""Pictures with more pixels than this are refused before they are decoded (400 MB as RGB)."""
MAX_BYTES = 1 << 30
"""Larger files are not opened."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "MPO", "PPM")
"""Pillow's names of what is read: pictures of pixels whose header states their size. Nothing that
another program would have to draw (EPS, WMF), and no containers of several sizes (ICO)."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
_BAND_PIXELS = 4_000_000
_LONGEST_REASON = 100

# Pillow warns of what is handled here (sizes, damaged EXIF). Filters are of the whole process, and
# those of single calls get lost between threads: so once, and after the user's own.
warnings.filterwarnings("ignore", module=r"PIL\.", append=True)


class UnreadablePicture(BecamError):
    """A picture that cannot be read: it costs its own item and no other."""


class TooManyPixels(UnreadablePicture):
    """One that is larger than it may be; it has not been decoded."""


def read_image(
    source: str | Path | BinaryIO,
    *,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
    icc: Icc = CONVERT,
) -> Image.Image:
    """Read a picture as upright 8-bit sRGB.

    EXIF rotation is applied, colours are converted by the profile that the file carries,
    transparency is laid on white, CMYK, palette, grey and 16-bit pictures are converted, and of an
    animation the first frame is taken. A damaged profile or EXIF is passed over.

    Args:
        source: its path, or the file's bytes as a stream.
        max_pixels: pictures with more are refused before they are decoded.
        name: of the picture in errors; by default its path.
        icc: ``ignore`` leaves the colours as they are stored, whatever profile goes with them.

    Raises:
        UnreadablePicture: no such file, not a picture, truncated, or more than ``max_pixels``
            pixels.
    """
    with decoded(source, max_pixels=max_pixels, name=name) as image:
        upright = _upright(image)
        rgb = _to_rgb(upright)
        picture = to_srgb(upright, rgb) if icc == CONVERT else rgb
        picture.info = {}  # texts, thumbnails, profiles: none of it is true of these pixels
        return picture


def as_picture(image: Image.Image | str | Path, *, icc: Icc) -> Image.Image:
    """An image as it is, or a file read by :func:`read_image`, which may raise."""
    return image if isinstance(image, Image.Image) else read_image(image, icc=icc)


def check_image(source: str | Path | BinaryIO, *, max_pixels: int = MAX_PIXELS) -> None:
    """Raise as :func:`read_image` does, some times faster."""
    with decoded(source, max_pixels=max_pixels, small=True):
        pass


@contextmanager
def decoded(
    source: str | Path | BinaryIO,
    *,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
    small: bool = False,
    formats: tuple[str, ...] = FORMATS,
) -> Iterator[Image.Image]:
    """A picture as it is stored, decoded to its end.

    Args:
        source, max_pixels, name: as of :func:`read_image`.
        small: a JPEG may come at an eighth of its size: still every byte of the file is decoded,
            but a few times faster.
        formats: those that may be read, by Pillow's names.

    Raises:
        UnreadablePicture: as :func:`read_image`; likewise what Pillow raises inside the block.
    """
    path = name or (str(source) if isinstance(source, (str, Path)) else "The picture")
    try:
        stream = _stream(source)
        try:
            image = _load(stream, path, max_pixels, small, formats)
            with image:
                yield image
        finally:
            if stream is not source:
                stream.close()
    except UnreadablePicture:
        raise
    except BecamError as error:
        raise UnreadablePicture(str(error)) from error
    except UnidentifiedImageError:
        raise UnreadablePicture(
            f"{path} is not a picture that can be read; convert it to JPEG, PNG or WebP."
        ) from None
    except MemoryError:
        raise UnreadablePicture(
            f"{path} needs more memory than there is; scale the picture down first."
        ) from None
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, ...
        raise UnreadablePicture(
            f"{path} is corrupt or truncated{_reason(error)}; fetch or export the picture again."
        ) from None


def stored_shape(path: str | Path) -> tuple[tuple[int, int], int]:
    """Height and width of a picture as it is stored, and how it is turned: EXIF's number.

    Its pixels are not looked at.

    Raises:
        UnreadablePicture: not a picture.
    """
    try:
        with (
            open_file(path, most=MAX_BYTES, what="picture") as stream,
            Image.open(stream, formats=_supported(FORMATS)) as image,
        ):
            return (image.height, image.width), _orientation(image)
    except BecamError as error:
        raise UnreadablePicture(str(error)) from error
    except Exception as error:
        raise UnreadablePicture(
            f"{path} is not a picture that can be read{_reason(error)}; convert it to JPEG, PNG or "
            "WebP."
        ) from None


@cache
def suffixes() -> frozenset[str]:
    """How names of files of the formats read end, in lower case, such as ``.jpg``."""
    known = Image.registered_extensions()
    return frozenset(suffix for suffix, name in known.items() if name in FORMATS)


def _stream(source: str | Path | BinaryIO) -> BinaryIO:
    if not isinstance(source, (str, Path)):
        return source
    return open_file(source, most=MAX_BYTES, what="picture")


def _load(
    stream: BinaryIO, path: str, max_pixels: int, small: bool, formats: tuple[str, ...]
) -> Image.Image:
    """Decode; of a PNG without what goes with its pixels, where that is damaged."""
    try:
        return _open(stream, path, max_pixels, small, formats)
    except (UnreadablePicture, MemoryError):
        raise
    except Exception:
        if "PNG" not in formats:
            raise
        for bare in png.bared(stream):
            try:
                return _open(bare, path, max_pixels, small, ("PNG",))
            except (UnreadablePicture, MemoryError):
                raise
            except Exception:  # the next may do
                continue
        raise


def _open(
    stream: BinaryIO, path: str, max_pixels: int, small: bool, formats: tuple[str, ...]
) -> Image.Image:
    try:
        image = Image.open(stream, formats=_supported(formats))
    except Image.DecompressionBombError:
        raise _too_large(path, "too many", max_pixels) from None
    width, height = image.size
    if not width * height:
        raise UnreadablePicture(f"{path} has no pixels; export the picture again.")
    if width * height > max_pixels:
        raise _too_large(path, f"{width} x {height}", max_pixels)
    if small and image.format == "JPEG":
        image.draft(image.mode, (1, 1))
    image.load()
    return image


@cache
def _supported(formats: tuple[str, ...]) -> tuple[str, ...]:
    """Those that this Pillow was built with."""
    Image.init()
    return tuple(name for name in formats if name in Image.OPEN)


def _too_large(path: str, size: str, limit: int) -> TooManyPixels:
    return TooManyPixels(
        f"{path} has {size} pixels, more than the limit of {limit:,}; scale the picture down first."
    )


def _reason(error: Exception) -> str:
    words = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())
    return f" ({words[:_LONGEST_REASON]})" if words else ""


def _upright(image: Image.Image) -> Image.Image:
    """Turned as EXIF says; as it is where EXIF is too damaged to say anything."""
    method = _UPRIGHT.get(_orientation(image))
    return image if method is None else image.transpose(method)


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # whatever a damaged block leads to
        return 1
    return orientation if isinstance(orientation, int) and orientation in _UPRIGHT else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _in_bands(image, _deep_grey_to_rgb(image))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _in_bands(image, _on_white)
    return image.convert("RGB")


def _in_bands(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Convert a large picture a piece at a time, so that what lies between is never whole."""
    rows = max(1, _BAND_PIXELS // image.width)
    if image.height <= rows:
        return convert(image)
    whole = Image.new("RGB", image.size)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        whole.paste(convert(image.crop((0, top, image.width, bottom))), (0, top))
    return whole


def _on_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    canvas = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(canvas, rgba).convert("RGB")


def _deep_grey_to_rgb(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """16-bit, 32-bit and float grey to 8 bits; Pillow's own conversion would clip at 255."""
    scale = 1.0
    if image.mode.startswith("I;16"):
        scale = 1 / 257.0
    else:  # of one channel, so a pair of numbers
        most = float(image.getextrema()[1])  # type: ignore[arg-type]
        if image.mode == "I" and most > 255:
            scale = 1 / 257.0
        elif image.mode == "F" and most <= 1.0:
            scale = 255.0

    def convert(band: Image.Image) -> Image.Image:
        values = np.nan_to_num(np.asarray(band, dtype=np.float64) * scale)
        grey = np.clip(np.rint(values), 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")

    return convert
