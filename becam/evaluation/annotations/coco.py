"""COCO's JSON: pictures, categories and annotations, put together by their ids."""

from __future__ import annotations

import codecs
import re
import warnings
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from becam.errors import BecamError, BecamWarning
from becam.evaluation.annotations.instances import REMEDY, Id, InstanceReader, Raw, key
from becam.evaluation.annotations.named import Annotations
from becam.files import read_bytes
from becam.records import parsed

_MOST_BYTES = 2 << 30
_NO_NUMBER = re.compile(rb"(?<=[\[,:\s])(?:NaN|-?Infinity)(?=[\s,\]}])")


class _File(msgspec.Struct):
    images: list[Raw]
    annotations: list[Raw]
    categories: list[_Category]


class _Category(msgspec.Struct):
    id: Id
    name: str | int | float


class _Named(msgspec.Struct):
    id: Id
    file_name: str = ""
    coco_url: str = ""  # LVIS has no file names


class _Owned(msgspec.Struct):
    image_id: Id


def read_coco(path: Path) -> Annotations:
    """Annotations of a COCO file; pixels no instance covers have label 0, which has no name.

    An instance without an outline, or with one that has no area, is its box. A picture of which
    no instance has an outline has no label map. Where instances overlap, the smaller one is seen.
    Crowds (``iscrowd``) are neither instances nor background. Ids may be text or numbers.

    Raises:
        BecamError: not such a file, or none of its annotations is of one of its pictures.
    """
    file = _read(path)
    names = {key(category.id): str(category.name) for category in file.categories}
    found: dict[str, list[tuple[int, Raw]]] = defaultdict(list)
    for number, raw in enumerate(file.annotations):
        owner = parsed(bytes(raw), _Owned, where=f"annotations[{number}] of {path}", remedy=REMEDY)
        found[key(owner.image_id)].append((number, raw))
    pictures: dict[str, dict[str, list[Raw]]] = defaultdict(lambda: defaultdict(list))
    owners: dict[str, set[str]] = defaultdict(set)
    for number, raw in enumerate(file.images):
        picture = parsed(bytes(raw), _Named, where=f"images[{number}] of {path}", remedy=REMEDY)
        name = picture.file_name or picture.coco_url
        if not name:
            raise BecamError(f"images[{number}] of {path} has no file_name; {REMEDY}.")
        # Files that were merged may have a picture twice, under two ids.
        pictures[name][key(picture.id)].append(raw)
        owners[key(picture.id)].add(name)
    _check_strays(path, found, owners)
    readers = [
        (
            name,
            InstanceReader(
                path,
                name,
                [raw for entries in by_id.values() for raw in entries],
                [instance for number in by_id for instance in found.get(number, ())],
                names,
                shared=any(len(owners[number]) > 1 for number in by_id),
            ),
        )
        for name, by_id in pictures.items()
    ]
    return Annotations(path, names.values(), readers)


def _read(path: Path) -> _File:
    content = read_bytes(path, most=_MOST_BYTES, what="COCO file")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as PowerShell writes
        content = content.decode("utf-16", "replace").encode("utf-8", "replace")
    try:
        return parsed(content, _File, where=str(path), remedy=REMEDY)
    except BecamError:
        # Python writes numbers that are no JSON: a picture that has one is damaged, not the file.
        mended = _NO_NUMBER.sub(b"null", content)
        if mended == content:
            raise
        return parsed(mended, _File, where=str(path), remedy=REMEDY)


def _check_strays(path: Path, found: Mapping[str, Sequence[object]], ids: Collection[str]) -> None:
    """Say which annotations belong to no picture."""
    strays = {number: len(some) for number, some in found.items() if number not in ids}
    if not strays:
        return
    count, total = sum(strays.values()), sum(map(len, found.values()))
    said = (
        f"{count:,} of the {total:,} annotations in {path} belong to none of its pictures, such as "
        f"those of image_id {next(iter(strays))}"
    )
    if count == total:
        raise BecamError(f"{said}; {REMEDY}.")
    warnings.warn(f"{said}; they are left out.", BecamWarning, stacklevel=2)
