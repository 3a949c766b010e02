"""An answer as files to keep."""

from __future__ import annotations

import io
import json
import textwrap
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from zipfile import ZipFile

from PIL import Image

from becam.attribution.heatmap import Heatmap
from becam.attribution.methods import METHODS
from becam.explorer.explorer import Answer, Explorer
from becam.explorer.refusal import Refusal

_drawing = threading.Lock()
"""Matplotlib draws in one thread at a time."""

_DPI = 130
_SIDE = 640
"""Of pictures on a sheet, where their longer side has some 470 pixels: drawing takes 100 MB of more
than a thousand."""
_ABREAST = 4
"""Maps in a row of the sheet."""
_CHARACTERS = 44
_LINES = 3


def sheet(answer: Answer, explorer: Explorer) -> bytes:
    """The picture beside its maps, as ``becam explain`` draws it, in rows below each other; PNG.

    Raises:
        Refusal: there is no map.
    """
    picture = explorer.read(explorer.picture(answer.question), _SIDE)
    methods = _by_method(answer)
    with _drawing:
        rows = [
            _row(picture, answer.caption, maps[start : start + _ABREAST])
            for maps in methods
            for start in range(0, len(maps), _ABREAST)
        ]
    if not rows:
        raise Refusal(404, "There is no map to draw; see the page for why.")
    size = max(row.width for row in rows), sum(row.height for row in rows)
    whole = Image.new("RGB", size, "white")
    top = 0
    for row in rows:
        whole.paste(row, (0, top))
        top += row.height
    stream = io.BytesIO()
    whole.save(stream, "PNG")
    return stream.getvalue()


def numbers(answer: Answer, _explorer: Explorer) -> bytes:
    """Choices and controls of all maps; JSON."""
    aim = answer.inquiry.aim
    record: dict[str, Any] = {
        "image": answer.caption,
        "item_id": aim.item,
        "user_id": aim.user,
        "text": aim.text,
        "heatmaps": [heatmap.to_dict() for maps in _by_method(answer) for heatmap in maps],
    }
    return json.dumps(record, indent=2, ensure_ascii=False).encode()


def maps(answer: Answer, explorer: Explorer) -> bytes:
    """Raw maps and weights, one ``.npz`` a map as ``Heatmap.load`` reads them; ZIP."""
    stream = io.BytesIO()
    heatmaps = [heatmap for maps in _by_method(answer) for heatmap in maps]
    with ZipFile(stream, "w") as zip:
        for number, heatmap in enumerate(heatmaps):
            with zip.open(f"{number}.npz", "w") as file:
                heatmap.write(file)
        zip.writestr("numbers.json", numbers(answer, explorer))
    return stream.getvalue()


def _by_method(answer: Answer) -> list[list[Heatmap]]:
    """The maps of each method, in the order of the columns."""
    places = sorted(answer.found, key=lambda place: (place.method, place.column))
    return [
        [
            heatmap
            for place in places
            if place.method == method and (heatmap := answer.found[place].heatmap) is not None
        ]
        for method in range(len(answer.inquiry.methods))
    ]


def _row(picture: Image.Image, caption: str, heatmaps: list[Heatmap]) -> Image.Image:
    from becam.figures.explanation import explanation_figure

    method = METHODS[heatmaps[0].options["method"]].title
    drawn = [
        replace(
            heatmap,
            geometry=heatmap.geometry.resized(*picture.size),
            label=_wrapped(heatmap.label),
            target=_wrapped(heatmap.target),
        )
        for heatmap in heatmaps
    ]
    figure = explanation_figure(picture, drawn, title=f"{_wrapped(caption)}\n{method}")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI)
    return Image.open(stream).convert("RGB")


def _wrapped(text: str) -> str:
    """A few short lines."""
    lines = textwrap.wrap(text, _CHARACTERS, max_lines=_LINES, placeholder=" …")
    return "\n".join(lines)


@dataclass(frozen=True)
class File:
    """A kind of file.

    Attributes:
        media_type: of it.
        make: its bytes.
    """

    media_type: str
    make: Callable[[Answer, Explorer], bytes]


FILES = {
    "sheet.png": File("image/png", sheet),
    "numbers.json": File("application/json", numbers),
    "maps.zip": File("application/zip", maps),
}
"""What an answer can be downloaded as, by name."""
