"""Pascal VOC's XML: boxes, one file a picture."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from becam.errors import BecamError
from becam.evaluation.annotations.base import Annotation, Annotations, LabelledBox

_FOLDERS = (".", "Annotations")


def find_voc(folder: Path) -> list[Path]:
    """The XML files of a folder."""
    for name in _FOLDERS:
        if files := sorted((folder / name).glob("*.xml")):
            return files
    return []


def read_voc(source: Path, files: list[Path]) -> Annotations:
    """Boxes of VOC files; a picture has the name that its file says, or else the file's own.

    Raises:
        BecamError: a damaged file.
    """
    read = [(path, *_read(path)) for path in files]
    names = sorted({name for *_, objects in read for name, _ in objects})
    numbers = {name: number for number, name in enumerate(names, start=1)}
    classes = {number: name for name, number in numbers.items()}
    readers = [
        (
            picture,
            partial(
                Annotation,
                size,
                classes,
                None,
                tuple(LabelledBox(numbers[name], box) for name, box in objects),
            ),
        )
        for _, picture, size, objects in read
    ]
    return Annotations(source, names, readers)


_Object = tuple[str, tuple[float, float, float, float]]


def _read(path: Path) -> tuple[str, tuple[int, int], list[_Object]]:
    try:
        root = ElementTree.parse(path).getroot()
        if root.tag != "annotation":
            raise ValueError("no <annotation>")
        size = int(_text(root, "size/height")), int(_text(root, "size/width"))
        objects = []
        for found in root.findall("object"):
            left, top, right, bottom = (
                float(_text(found, f"bndbox/{edge}")) for edge in ("xmin", "ymin", "xmax", "ymax")
            )
            # VOC counts pixels from 1 and includes the last one.
            objects.append((_text(found, "name"), (left - 1, top - 1, right, bottom)))
        return root.findtext("filename") or path.name, size, objects
    except OSError as error:
        raise BecamError(f"Cannot read {path}: {error.strerror}.") from None
    except (ElementTree.ParseError, ValueError) as error:
        raise BecamError(f"{path} is not a VOC annotation ({error}); export it again.") from None


def _text(element: ElementTree.Element, path: str) -> str:
    found = element.findtext(path)
    if found is None:
        raise ValueError(f"no <{path.replace('/', '><')}>")
    return found.strip()
