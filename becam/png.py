"""PNG files without what goes with their pixels: texts, times, profiles."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

_MAGIC = b"\x89PNG\r\n\x1a\n"
_MOST_BYTES = 64 << 20
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


def bared(stream: BinaryIO) -> Iterator[BinaryIO]:
    """A PNG file without its texts, then without all but its pixels; nothing of another file.

    Checksums of what stays are kept, damaged ones included. Large files are not looked at.
    """
    stream.seek(0)
    if stream.read(len(_MAGIC)) != _MAGIC:
        return
    data = _MAGIC + stream.read(_MOST_BYTES)
    if stream.read(1):
        return
    chunks = list(_chunks(data))
    yield _joined(chunk for kind, chunk in chunks if kind not in _TEXTS)
    yield _joined(chunk for kind, chunk in chunks if kind in _PIXELS)


def _joined(chunks: Iterable[bytes]) -> BinaryIO:
    return io.BytesIO(_MAGIC + b"".join(chunks))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and whole bytes of each chunk, to where the file breaks off."""
    place = len(_MAGIC)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        end = place + 12 + length
        yield data[place + 4 : place + 8], data[place:end]
        place = end
