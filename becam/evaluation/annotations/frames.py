"""How pictures lie in their files, and what is annotated on the upright ones.

Cameras store turned pictures and say so in EXIF. Some annotation tools draw on the upright picture
and others on the stored pixels; the size that an annotation declares tells which.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from becam.errors import BecamError
from becam.evaluation.annotations.rasterise import Size
from becam.evaluation.boxes import Box
from becam.images import stored_shape

_TURNED = {5: (False, False), 6: (False, True), 7: (True, True), 8: (True, False)}
"""EXIF orientations that exchange height and width: whether to flip rows and columns after it."""


@dataclass(frozen=True)
class Frame:
    """How a picture lies in its file.

    Attributes:
        path: of the picture, for sentences.
        stored: height and width of the pixels in the file.
        orientation: EXIF's number, 1 for upright.
    """

    path: Path
    stored: Size
    orientation: int = 1

    @property
    def size(self) -> Size:
        """Height and width of the upright picture."""
        return self.stored[::-1] if self.orientation in _TURNED else self.stored

    def check(self, size: Size) -> None:
        """Raise unless annotations of ``size`` can be of the picture.

        Raises:
            BecamError: they belong to another one.
        """
        if size not in (self.size, self.stored):
            raise BecamError(
                f"{self.path} is {self.size[1]} x {self.size[0]} pixels but its annotation "
                f"{size[1]} x {size[0]}; they must be of the same picture."
            )

    def turned(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Pixels of a picture that is stored on its side, (H, W), as the upright one has them."""
        rows, columns = _TURNED[self.orientation]
        return np.ascontiguousarray(pixels.T[:: -1 if rows else 1, :: -1 if columns else 1])

    def turned_box(self, box: Box) -> Box:
        """A box as :meth:`turned` turns pixels."""
        rows, columns = _TURNED[self.orientation]
        height, width = self.size
        top, left, bottom, right = box  # height and width have changed places
        if rows:
            top, bottom = height - bottom, height - top
        if columns:
            left, right = width - right, width - left
        return left, top, right, bottom


def frame_of(path: Path) -> Frame:
    """How a picture lies in its file; nothing but its header is read.

    Raises:
        UnreadablePicture: not a picture.
    """
    return Frame(path, *stored_shape(path))
