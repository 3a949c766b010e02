"""COCO's JSON: instances with polygons, run lengths or boxes."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from becam.errors import BecamError
from becam.evaluation.annotations.base import Annotation, Annotations, LabelledBox
from becam.evaluation.annotations.rasterise import (
    Size,
    painted,
    polygon_mask,
    run_length_mask,
    uncompressed,
)
from becam.evaluation.localisation import BoolArray

_MOST_CLASSES = 255


def read_coco(path: Path) -> Annotations:
    """Annotations of a COCO file; pixels no instance covers have label 0, which has no name.

    Instances without an outline keep their box alone. A picture of which no instance has an
    outline has no label map. Where instances overlap, the smaller one is seen.

    Raises:
        BecamError: not such a file.
    """
    try:
        payload = json.loads(path.read_text(encoding="utf-8"))
        names = {int(c["id"]): str(c["name"]) for c in payload["categories"]}
        instances: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for instance in payload["annotations"]:
            instances[instance["image_id"]].append(instance)
        pictures = [
            (str(p["file_name"]), (int(p["height"]), int(p["width"])), instances[p["id"]])
            for p in payload["images"]
        ]
    except OSError as error:
        raise BecamError(f"Cannot read {path}: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BecamError(
            f"{path} is not a COCO file with images, annotations and categories "
            f"({type(error).__name__}: {error}); export it again."
        ) from None
    readers = [
        (name, partial(_annotation, path, name, size, found, names))
        for name, size, found in pictures
    ]
    return Annotations(path, names.values(), readers)


def _annotation(
    path: Path, picture: str, size: Size, instances: list[dict[str, Any]], names: dict[int, str]
) -> Annotation:
    try:
        shown = sorted({names[int(instance["category_id"])] for instance in instances})
        if len(shown) > _MOST_CLASSES:
            raise ValueError(f"more than {_MOST_CLASSES} classes")
        numbers = {name: number for number, name in enumerate(shown, start=1)}
        masks, boxes = [], []
        for instance in instances:
            label = numbers[names[int(instance["category_id"])]]
            mask = _mask(instance.get("segmentation"), size)
            if mask is not None:
                masks.append((label, mask))
            if instance.get("bbox"):
                left, top, width, height = (float(value) for value in instance["bbox"])
                boxes.append(LabelledBox(label, (left, top, left + width, top + height)))
            elif mask is not None and mask.any():
                boxes.append(LabelledBox(label, _around(mask)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BecamError(
            f"{path} has a damaged annotation of {picture} ({type(error).__name__}: {error}); "
            "export it again."
        ) from None
    labels = painted(masks, size) if masks or not instances else None
    return Annotation(size, {n: name for name, n in numbers.items()}, labels, tuple(boxes))


def _mask(segmentation: Any, size: Size) -> BoolArray | None:
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        if tuple(segmentation["size"]) != size:
            raise ValueError("run lengths of another size than the picture")
        return run_length_mask(uncompressed(counts) if isinstance(counts, str) else counts, size)
    inside = np.zeros(size, dtype=bool)
    for polygon in segmentation:
        inside |= polygon_mask(np.asarray(polygon, dtype=np.float64).reshape(-1, 2), size)
    return inside


def _around(mask: BoolArray) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(mask)
    return (
        float(columns.min()),
        float(rows.min()),
        float(columns.max() + 1),
        float(rows.max() + 1),
    )
