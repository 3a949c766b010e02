"""Pictures as the explorer holds them: as they came, and small enough to be shown."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image

from becam.explorer.uploads import decode, decode_file

MEDIA_TYPE = "image/webp"

_SHOWN_SIDE = 1400
_THUMBNAIL_SIDE = 160
_QUALITY = 85
_THUMBNAILS = 2000


@dataclass(frozen=True)
class Upload:
    """A picture that somebody sent.

    Attributes:
        data: the file, as it came.
        name: that the sender gave it, for captions alone.
        width, height: upright, in pixels.
        shown: the picture for a page.
    """

    data: bytes
    name: str
    width: int
    height: int
    shown: bytes

    @classmethod
    def read(cls, data: bytes, name: str) -> Upload:
        """Decode what was sent.

        Raises:
            Refusal: it is no picture that can be explained.
        """
        picture = decode(data)
        return cls(data, name, picture.width, picture.height, _shrunk(picture, _SHOWN_SIDE))

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.data) + len(self.shown)

    def open(self) -> Image.Image:
        """The picture itself."""
        return decode(self.data)


@dataclass(frozen=True)
class ItemPicture:
    """The picture that a dataset has of an item.

    Attributes:
        path: of the file.
        name: for captions.
    """

    path: Path
    name: str

    def open(self) -> Image.Image:
        """The picture itself.

        Raises:
            Refusal: it cannot be read.
        """
        return decode_file(self.path)

    def shown(self) -> bytes:
        """The picture for a page; raises as :meth:`open` does."""
        return _shrunk(self.open(), _SHOWN_SIDE)

    def thumbnail(self) -> bytes:
        """The picture for a list; raises as :meth:`open` does."""
        return _thumbnail(self.path)


@lru_cache(_THUMBNAILS)
def _thumbnail(path: Path) -> bytes:
    return _shrunk(decode_file(path), _THUMBNAIL_SIDE)


def _shrunk(picture: Image.Image, side: int) -> bytes:
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, "WEBP", quality=_QUALITY, method=2)
    return stream.getvalue()
