"""What is sent to the explorer: read within limits, and never named or placed by the sender."""

from __future__ import annotations

import asyncio
import io
import threading
from pathlib import Path

from fastapi import Request
from PIL import Image

from becam.errors import BecamError
from becam.explorer.refusal import Refusal
from becam.images import read_image

MAX_BYTES = 20_000_000
"""A larger upload is refused while it arrives."""
MAX_PIXELS = 50_000_000
"""A picture with more pixels is refused before it is decoded; fewer take up to 150 MB for it."""

_SECONDS = 60.0
"""An upload on this machine, or near it, that takes longer has stalled."""
_DECODERS = 2
"""Pictures decoded at a time, since each takes up to 150 MB."""

_decoding = threading.BoundedSemaphore(_DECODERS)


async def read_body(request: Request, limit: int, what: str) -> bytes:
    """The body of a request, never more of it than ``limit`` bytes in memory.

    Args:
        request: any.
        limit: in bytes.
        what: the body is, for people.

    Raises:
        Refusal: it is larger, or does not arrive.
    """
    large = Refusal(
        413, f"{what} has more than {limit / 1e6:g} MB; make it smaller before you send it."
    )
    # What is stated may be wrong, but it saves waiting.
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > limit:
        raise large
    body = bytearray()
    try:
        async with asyncio.timeout(_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise large
    except TimeoutError:
        raise Refusal(
            408, f"{what} did not arrive within {_SECONDS:.0f} s; send it again."
        ) from None
    return bytes(body)


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read a picture as upright 8-bit RGB.

    Raises:
        Refusal: what ``becam.images.read_image`` refuses, in its words.
    """
    with _decoding:
        try:
            return read_image(io.BytesIO(data), max_pixels=max_pixels, name="The file")
        except BecamError as error:
            raise Refusal(422, str(error)) from None


def decode_file(path: Path, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read a picture of the dataset in the same way.

    Raises:
        Refusal: it cannot be read.
    """
    with _decoding:
        try:
            return read_image(path, max_pixels=max_pixels, name="The item's picture")
        except BecamError as error:
            raise Refusal(422, str(error)) from None
