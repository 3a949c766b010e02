"""What is known of one picture, and of many."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from becam.errors import BecamError
from becam.evaluation.boxes import Box
from becam.evaluation.localisation import BoolArray


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
    """

    size: tuple[int, int]
    classes: Mapping[int, str]
    labels: NDArray[np.uint8] | None = None
    boxes: tuple[LabelledBox, ...] = ()

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
                left, top, right, bottom = (max(0, round(edge)) for edge in each.box)
                inside[top:bottom, left:right] = True
        return inside

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

    def _numbers(self, names: Collection[str]) -> set[int]:
        return {number for number, name in self.classes.items() if name in names}


class Annotations(Mapping[str, Annotation]):
    """Annotations by the names of their pictures, read when asked for.

    A picture is found by its name without folder and suffix, so that ``images/0001.jpg`` and the
    label map ``0001.png`` belong together.

    Args:
        source: the file or folder, for sentences.
        classes: names of all classes.
        readers: by the pictures' names.

    Raises:
        BecamError: two pictures have the same name.
    """

    def __init__(
        self,
        source: Path,
        classes: Collection[str],
        readers: Collection[tuple[str, Callable[[], Annotation]]],
    ) -> None:
        self.source = source
        self.classes = sorted(set(classes))
        self._readers: dict[str, Callable[[], Annotation]] = {}
        for name, reader in readers:
            if _stem(name) in self._readers:
                raise BecamError(
                    f"{source} has two pictures named {_stem(name)}; give pictures names that "
                    "differ by more than folder and suffix."
                )
            self._readers[_stem(name)] = reader

    def __getitem__(self, picture: str) -> Annotation:
        return self._readers[_stem(picture)]()

    def __contains__(self, picture: object) -> bool:
        return isinstance(picture, str) and _stem(picture) in self._readers

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)

    def known(self, names: Collection[str]) -> frozenset[str]:
        """Some class names, as the annotations spell them.

        Raises:
            BecamError: one that they do not have.
        """
        spelt = {name.casefold(): name for name in self.classes}
        for name in names:
            if name.casefold() not in spelt:
                raise BecamError(
                    f"{self.source} has no class {name!r}; it has {', '.join(self.classes)}."
                )
        return frozenset(spelt[name.casefold()] for name in names)


def _stem(name: str) -> str:
    return PurePath(name).stem
