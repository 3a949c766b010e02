"""COCO's instances of one picture: outlines and boxes as every tool writes them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from becam.errors import BecamError
from becam.evaluation.annotations.base import Annotation, LabelledBox, Pixels
from becam.evaluation.annotations.frames import Frame
from becam.evaluation.annotations.rasterise import (
    Size,
    box_mask,
    painted,
    polygon_mask,
    run_length_mask,
    uncompressed,
)
from becam.evaluation.boxes import Box
from becam.evaluation.localisation import BoolArray
from becam.images import MAX_PIXELS
from becam.records import parsed

Id = int | float | str
Raw = msgspec.Raw
"""JSON that is looked at when its picture is: what is wrong with it costs no other."""

REMEDY = "export it again as COCO, with images, annotations and categories"

_MOST_CLASSES = 254
_CORNERS = 3
_PAIR, _EDGES = 2, 4

_Number = Annotated[float, msgspec.Meta(ge=-1e7, le=1e7)]
_Side = Annotated[float, msgspec.Meta(ge=0, le=1e7)]

T = TypeVar("T")


class _RunLengths(msgspec.Struct):
    size: tuple[int, int] | None = None
    counts: str | list[int] = ""

    def mask(self, size: Size) -> BoolArray:
        if self.size != size:
            raise ValueError("run lengths of another size than the picture")
        counts = self.counts
        return run_length_mask(uncompressed(counts) if isinstance(counts, str) else counts, size)


_Polygon = NDArray[np.float64]
_Segmentation = _RunLengths | list[_RunLengths | _Number | list[_Number | list[_Number]]] | None
_Boxes = list[_Number | list[_Number]] | None


class _Written(msgspec.Struct):
    category_id: Id
    bbox: _Boxes = None
    segmentation: _Segmentation = None
    iscrowd: bool | float | None = None


class _Sides(msgspec.Struct):
    height: _Side | None = None
    width: _Side | None = None


def key(number: Id) -> str:
    """An id, alike whether it is written 7, 7.0, "7" or "007"."""
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    text = str(number).strip()
    return (text.lstrip("0") or "0") if text.isdecimal() else text


@dataclass(frozen=True)
class _Instance:
    """One instance as it is written.

    Attributes:
        name: of its class.
        crowd: whether it is a region in which there are many.
        outlines: it is what any of them has inside.
        boxes: around it.
    """

    name: str
    crowd: bool
    outlines: Sequence[_Polygon | _RunLengths]
    boxes: Sequence[Box]

    def outlined(self, size: Size) -> BoolArray | None:
        """Its pixels by its outlines; None where these have no area."""
        inside = np.zeros(size, dtype=bool)
        for outline in self.outlines:
            if isinstance(outline, _RunLengths):
                inside |= outline.mask(size)
            else:
                inside |= polygon_mask(outline, size)
        return inside if inside.any() else None

    def mask(self, size: Size) -> BoolArray:
        """Its pixels, by its boxes where it has no outline."""
        inside = self.outlined(size)
        if inside is None:
            inside = np.zeros(size, dtype=bool)
            for box in self.boxes:
                inside |= box_mask(box, size)
        return inside

    def extent(self) -> tuple[float, float]:
        """How far down and to the right it reaches."""
        polygons = [each for each in self.outlines if not isinstance(each, _RunLengths)]
        below = [*(box[3] for box in self.boxes), *(each[:, 1].max() for each in polygons)]
        right = [*(box[2] for box in self.boxes), *(each[:, 0].max() for each in polygons)]
        return max(below, default=0.0), max(right, default=0.0)


@dataclass(frozen=True)
class InstanceReader:
    """Reads what a COCO file has of one picture.

    Attributes:
        path: of the file.
        picture: its name in the file.
        entries: itself, once for each time that it is there.
        instances: with their numbers in the file.
        names: of all classes by id.
        shared: whether another picture has its id.
    """

    path: Path
    picture: str
    entries: Sequence[Raw]
    instances: Sequence[tuple[int, Raw]]
    names: Mapping[str, str]
    shared: bool

    def __call__(self, frame: Frame | None) -> Annotation:
        """Read them.

        Raises:
            BecamError: they are damaged, or of another picture.
        """
        if self.shared:
            raise self._damaged("another picture has the same id")
        instances = [self._instance(number, raw) for number, raw in self.instances]
        size = self._size(instances, frame)
        if frame is not None:
            frame.check(size)
        names = sorted({instance.name for instance in instances})
        if len(names) > _MOST_CLASSES:
            raise self._damaged(f"more than {_MOST_CLASSES} classes")
        numbers = {name: number for number, name in enumerate(names, start=1)}
        try:
            return self._annotation(instances, size, numbers)
        except ValueError as error:
            raise self._damaged(str(error)) from None

    def _annotation(
        self, instances: Sequence[_Instance], size: Size, numbers: Mapping[str, int]
    ) -> Annotation:
        objects = [one for one in instances if not one.crowd]
        crowds = [one for one in instances if one.crowd]
        boxes: list[LabelledBox] = []
        outlined = not objects
        for one in objects:
            mask = one.outlined(size)
            outlined = outlined or mask is not None
            around = one.boxes or ([] if mask is None else [_around(mask)])
            boxes += [LabelledBox(numbers[one.name], box) for box in around]

        def paint(some: Sequence[_Instance]) -> Pixels:
            # Masks of large pictures are drawn twice rather than kept.
            return painted(((numbers[one.name], one.mask(size)) for one in some), size)

        return Annotation(
            size,
            {number: name for name, number in numbers.items()},
            paint(objects) if outlined else None,
            tuple(boxes),
            paint(crowds) if crowds else None,
        )

    def _size(self, instances: Sequence[_Instance], frame: Frame | None) -> Size:
        """Height and width as declared, or else as run lengths, the picture or the rest have it."""
        sides = [self._parsed(entry, _Sides, "the size") for entry in self.entries]
        declared = {(int(one.height), int(one.width)) for one in sides if one.height and one.width}
        declared = declared or {
            outline.size
            for one in instances
            for outline in one.outlines
            if isinstance(outline, _RunLengths) and outline.size is not None
        }
        if len(declared) > 1:
            raise self._damaged("it has several sizes")
        if not declared and frame is not None:
            return frame.size
        extents = [one.extent() for one in instances] or [(1.0, 1.0)]
        least = max(y for y, _ in extents), max(x for _, x in extents)
        size = next(iter(declared), (max(1, math.ceil(least[0])), max(1, math.ceil(least[1]))))
        if min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
            raise self._damaged(f"{size[1]} x {size[0]} pixels are no picture's size")
        return size

    def _instance(self, number: int, raw: Raw) -> _Instance:
        place = f"annotations[{number}]"
        written = self._parsed(raw, _Written, place)
        name = self.names.get(key(written.category_id))
        if name is None:
            raise self._damaged(f"{place} has the category_id of no category")
        outlines, boxes = list(_outlines(written.segmentation)), list(_boxes(written.bbox))
        if None in boxes:
            raise self._damaged(f"{place} has a bbox that is not left, top, width, height")
        if not outlines and not boxes:
            raise self._damaged(f"{place} has neither an outline nor a box")
        found = [box for box in boxes if box is not None and _has_area(box)]
        return _Instance(name, bool(written.iscrowd), outlines, found)

    def _parsed(self, raw: Raw, kind: type[T], place: str) -> T:
        where = f"{place} of {self.picture} in {self.path}"
        return parsed(bytes(raw), kind, where=where, remedy=REMEDY, strict=False)

    def _damaged(self, what: str) -> BecamError:
        return BecamError(
            f"{self.path} has damaged annotations of {self.picture}: {what}; {REMEDY}."
        )


def _outlines(written: _Segmentation) -> Iterator[_Polygon | _RunLengths]:
    """Run lengths that are not empty, and polygons of three corners at least."""
    if isinstance(written, _RunLengths):
        written = [written]
    parts = written or []
    if _corners(parts) is not None:
        parts = [parts]  # type: ignore[list-item]  # a polygon that is in no list
    for part in parts:
        if isinstance(part, _RunLengths):
            if part.counts:
                yield part
        elif isinstance(part, list) and (corners := _corners(part)) is not None:
            yield corners


def _corners(written: Sequence[object]) -> _Polygon | None:
    """A polygon of numbers or of points; None where it is neither or has too few."""
    points = [each for each in written if isinstance(each, list) and len(each) == _PAIR]
    flat = [value for point in points for value in point] if points else list(written)
    if len(points) not in (0, len(written)) or len(flat) < _PAIR * _CORNERS or len(flat) % _PAIR:
        return None
    if not all(isinstance(value, float) for value in flat):
        return None
    return np.array(flat, dtype=np.float64).reshape(-1, _PAIR)


def _boxes(written: _Boxes) -> Iterator[Box | None]:
    """Boxes by their corners, those in a list of boxes too; None for one that is none."""
    if not written:
        return
    nested = all(isinstance(each, list) for each in written)
    for part in written if nested else [written]:
        if not isinstance(part, list) or len(part) != _EDGES:
            yield None
            continue
        left, top, width, height = (each if isinstance(each, float) else math.nan for each in part)
        right, bottom = left + width, top + height
        box = min(left, right), min(top, bottom), max(left, right), max(top, bottom)
        yield None if any(map(math.isnan, box)) else box


def _has_area(box: Box) -> bool:
    return box[0] < box[2] and box[1] < box[3]


def _around(mask: BoolArray) -> Box:
    rows, columns = np.nonzero(mask)
    return (
        float(columns.min()),
        float(rows.min()),
        float(columns.max() + 1),
        float(rows.max() + 1),
    )
