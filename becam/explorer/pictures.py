"""Pictures as the explorer holds them: as they came, and small enough to be shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from becam.explorer import limits
from becam.explorer.decoders import Source

MEDIA_TYPE = "image/webp"

SHOWN_SIDE = 1400
THUMBNAIL_SIDE = 160


@dataclass(frozen=True)
class Upload:
    """A picture that somebody sent.

    Attributes:
        data: the file, as it came.
        name: that the sender gave it, for captions alone.
        width, height: upright, in pixels.
        shown: the picture for a page.
    """

    data: bytes | bytearray
    name: str
    width: int
    height: int
    shown: bytes

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.data) + len(self.shown)

    @property
    def source(self) -> Source:
        """For those who read it."""
        return sent(self.data)


@dataclass(frozen=True)
class ItemPicture:
    """The picture that a dataset has of an item.

    Attributes:
        path: of the file.
        name: for captions.
    """

    path: Path
    name: str

    @property
    def source(self) -> Source:
        """For those who read it."""
        return Source("The item's picture", limits.ITEM_PIXELS, path=self.path)


def sent(data: bytes | bytearray) -> Source:
    """What somebody sent, which may be no picture."""
    return Source("The file", limits.UPLOAD_PIXELS, data)
