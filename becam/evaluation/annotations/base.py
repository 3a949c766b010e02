"""What is known of one picture."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from becam.evaluation.annotations.frames import Frame
from becam.evaluation.annotations.rasterise import Size, box_mask
from becam.evaluation.boxes import Box
from becam.evaluation.localisation import BoolArray

Pixels = NDArray[np.uint8]

VOID = 255
"""Among crowds: pixels of which nobody says what they show."""


@dataclass(frozen=True)
class LabelledBox:
    """A box around one object: its class, and left, top, right, bottom, the last two exclusive."""

    label: int
    box: Box


@dataclass(frozen=True)
class Annotation:
    """What is where in one picture.

    Attributes:
        size: height and width of the picture in pixels.
        classes: names by label.
        labels: the class of each pixel, (H, W); None where only boxes are known.
        boxes: around single objects; empty where only pixels are known.
        crowds: regions in which a class is somewhere, (H, W): their class, ``VOID`` where it may
            be any, else 0; None where there are none.
    """

    size: Size
    classes: Mapping[int, str]
    labels: Pixels | None = None
    boxes: tuple[LabelledBox, ...] = ()
    crowds: Pixels | None = None

    def present(self) -> set[str]:
        """Names of the classes that the picture shows."""
        found = {each.label for each in self.boxes}
        if self.labels is not None:
            found.update(int(label) for label in np.unique(self.labels))
        return {self.classes[label] for label in found if label in self.classes}

    def mask(self, names: Collection[str]) -> BoolArray:
        """Pixels of some classes, (H, W); the area of their boxes where only boxes are known."""
        wanted = self._numbers(names)
        if self.labels is not None:
            return np.isin(self.labels, list(wanted))
        inside = np.zeros(self.size, dtype=bool)
        for each in self.boxes:
            if each.label in wanted:
                inside |= box_mask(each.box, self.size)
        return inside

    def ignored(self, names: Collection[str]) -> BoolArray:
        """Pixels that may be of some classes or not, (H, W): neither object nor background."""
        if self.crowds is None:
            return np.zeros(self.size, dtype=bool)
        crowds: BoolArray = np.isin(self.crowds, [*self._numbers(names), VOID])
        return crowds & ~self.mask(names)

    def boxes_of(self, names: Collection[str]) -> list[Box]:
        """Boxes of some classes; one around all their pixels where only pixels are known."""
        wanted = self._numbers(names)
        found = [each.box for each in self.boxes if each.label in wanted]
        if not found and self.labels is not None:
            rows, columns = np.nonzero(np.isin(self.labels, list(wanted)))
            if len(rows):
                edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                left, top, right, bottom = (float(edge) for edge in edges)
                found = [(left, top, right, bottom)]
        return found

    def on(self, frame: Frame) -> Annotation:
        """The same of the upright picture.

        Where the size fits both the upright and the stored pixels, it is of the upright ones.

        Raises:
            BecamError: it is of another picture.
        """
        frame.check(self.size)
        if self.size == frame.size:
            return self
        return replace(
            self,
            size=frame.size,
            labels=None if self.labels is None else frame.turned(self.labels),
            crowds=None if self.crowds is None else frame.turned(self.crowds),
            boxes=tuple(replace(each, box=frame.turned_box(each.box)) for each in self.boxes),
        )

    def _numbers(self, names: Collection[str]) -> set[int]:
        return {number for number, name in self.classes.items() if name in names}
