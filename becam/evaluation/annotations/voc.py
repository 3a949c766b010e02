"""Pascal VOC's XML: boxes, one file a picture."""

from __future__ import annotations

import codecs
import math
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from becam.errors import BecamError
from becam.evaluation.annotations.base import Annotation, LabelledBox
from becam.evaluation.annotations.finding import files_in
from becam.evaluation.annotations.frames import Frame
from becam.evaluation.annotations.named import Annotations, Reader
from becam.evaluation.annotations.rasterise import Size
from becam.evaluation.boxes import Box
from becam.files import read_bytes
from becam.images import MAX_PIXELS

_FOLDERS = (".", "Annotations")
_MOST_BYTES = 32 << 20
_FARTHEST = 1e7
_LONGEST = 20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_DECLARATION = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)["']""")
_PROLOGUE = re.compile(r"^\s*<\?xml[^>]*\?>")


def find_voc(folder: Path) -> list[Path]:
    """The XML files of a folder."""
    for name in _FOLDERS:
        if files := files_in(folder / name, ".xml"):
            return files
    return []


def read_voc(source: Path, files: list[Path]) -> Annotations:
    """Boxes of VOC files; a picture is named as its file, or as that says.

    A damaged file costs its own picture.

    Raises:
        BecamError: all files are damaged.
    """
    readers: list[tuple[str, Reader]] = []
    read: list[tuple[str, _Picture]] = []
    damaged: list[BecamError] = []
    for path in files:
        try:
            read.append((path.stem, _read(path)))
        except BecamError as error:
            damaged.append(error)
            readers.append((path.stem, partial(_refuse, str(error))))
    if not read:
        many = f"None of the {len(files):,} VOC files in {source} can be read; the first: "
        raise BecamError(f"{many if len(files) > 1 else ''}{damaged[0]}")
    names = sorted({name for _, picture in read for name, _ in picture.objects})
    numbers = {name: number for number, name in enumerate(names, start=1)}
    readers += [(own, partial(_annotation, picture, numbers)) for own, picture in read]
    # Pictures are renamed together with their files, and what these say of names stays.
    others = [(picture.name, own) for own, picture in read if picture.name]
    return Annotations(
        source, names, readers, others=others, damaged=[str(error) for error in damaged]
    )


@dataclass(frozen=True)
class _Picture:
    """What a file says: the name and the size of its picture, (0, 0) for none, and boxes."""

    name: str
    size: Size
    objects: list[tuple[str, Box]]


def _refuse(reason: str, _: Frame | None) -> Annotation:
    raise BecamError(reason)


def _annotation(picture: _Picture, numbers: dict[str, int], frame: Frame | None) -> Annotation:
    size = picture.size
    if 0 in size:  # labelImg did not know it
        edges = [edge for _, box in picture.objects for edge in box] or [1.0]
        size = frame.size if frame is not None else (math.ceil(max(edges)),) * 2
    return Annotation(
        size,
        {number: name for name, number in numbers.items()},
        boxes=tuple(LabelledBox(numbers[name], box) for name, box in picture.objects),
    )


def _read(path: Path) -> _Picture:
    content = read_bytes(path, most=_MOST_BYTES, what="VOC file")
    try:
        root = ElementTree.fromstring(_decoded(content))
        if root.tag != "annotation":
            raise ValueError("no <annotation>")
        size = _side(root, "height"), _side(root, "width")
        if math.prod(size) > MAX_PIXELS:
            raise ValueError(f"{size[1]} x {size[0]} pixels are no picture's size")
        objects = [(_text(found, "name"), _box(found)) for found in root.findall("object")]
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise BecamError(f"{path} is not a VOC annotation ({error}); export it again.") from None
    return _Picture((root.findtext("filename") or "").strip(), size, objects)


def _decoded(content: bytes) -> str:
    """The text of an XML file, in whatever encoding it is, without entities of its own.

    Entities can grow without bound and name other files; annotations have no use for them.
    """
    found = next((name for mark, name in _BOMS if content.startswith(mark)), None)
    if found is None and (declared := _DECLARATION.match(content.lstrip())):
        found = declared[1].decode("ascii")
        if found.lower().replace("_", "-").startswith(("utf-16", "utf16", "ucs-2")):
            found = None  # .NET declares what its strings are, and writes UTF-8
    text = content.decode(found or "utf-8")
    if "<!ENTITY" in text:
        raise ValueError("it declares entities")
    return _PROLOGUE.sub("", text.removeprefix("\ufeff"))


def _side(root: ElementTree.Element, name: str) -> int:
    text = root.findtext(f"size/{name}")
    return int(_number(text)) if text is not None and text.strip() else 0


def _box(found: ElementTree.Element) -> Box:
    x0, y0, x1, y1 = (
        _number(_text(found, f"bndbox/{edge}")) for edge in ("xmin", "ymin", "xmax", "ymax")
    )
    # VOC counts pixels from 1 and includes the last one.
    return min(x0, x1) - 1, min(y0, y1) - 1, max(x0, x1), max(y0, y1)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= _FARTHEST:  # NaN is not either
        raise ValueError(f"{text.strip()[:_LONGEST]} is no place in a picture")
    return value


def _text(element: ElementTree.Element, path: str) -> str:
    found = (element.findtext(path) or "").strip()
    if not found:
        raise ValueError(f"no <{path.replace('/', '><')}>")
    return found
