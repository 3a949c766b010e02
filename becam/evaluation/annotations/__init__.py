"""What is where in pictures: masks and boxes from the usual formats."""

from __future__ import annotations

import os
from pathlib import Path

from becam.errors import BecamError
from becam.evaluation.annotations.base import Annotation, LabelledBox
from becam.evaluation.annotations.coco import read_coco
from becam.evaluation.annotations.frames import Frame, frame_of
from becam.evaluation.annotations.labelmaps import find_label_maps, read_label_maps
from becam.evaluation.annotations.named import Annotations, stem
from becam.evaluation.annotations.voc import find_voc, read_voc

__all__ = [
    "Annotation",
    "Annotations",
    "Frame",
    "LabelledBox",
    "frame_of",
    "read_annotations",
    "stem",
]


def read_annotations(path: str | Path) -> Annotations:
    """Annotations of pictures, found by the pictures' names.

    Args:
        path: a COCO file (``.json``: polygons, run lengths, boxes), a folder of PNG label maps
            with their class names in ``label_names.csv`` or ``labels.json`` (in the folder or
            beside it; the maps may lie in ``labels`` or ``masks`` below), or a folder of VOC
            files, or one (``.xml``).

    Raises:
        BecamError: none of these, or one that is damaged.
    """
    path = Path(path)
    if os.path.isfile(path) and path.suffix.lower() == ".json":
        return read_coco(path)
    if os.path.isfile(path) and path.suffix.lower() == ".xml":
        return read_voc(path, [path])
    if os.path.isdir(path):
        if (maps := find_label_maps(path)) is not None:
            return read_label_maps(*maps)
        if files := find_voc(path):
            return read_voc(path, files)
    if not os.path.lexists(path):
        raise BecamError(f"There are no annotations at {path}; check the path.")
    raise BecamError(
        f"{path} holds no annotations that becam reads: a COCO .json, a folder of PNG label maps "
        "with label_names.csv, or a folder of VOC .xml."
    )
