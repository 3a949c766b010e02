"""Pictures and maps drawn on a page."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from becam.attribution.heatmap import Heatmap
from becam.errors import BecamError
from becam.figures.overlay import COLORMAP, overlay, ramp
from becam.figures.page import Page
from becam.figures.paper.exhibits import Exhibit, Exhibition, Scale
from becam.figures.paper.layout import ItemsAs, Layout
from becam.figures.paper.sheet import HAIR, Box, Sheet
from becam.figures.typesetting import fitted
from becam.images import read_image

_ASPECTS = (0.6, 1.6)
"""Of cells: a picture that is flatter or taller is drawn smaller."""
_BAR_INCHES = (1.2, 0.06)
_FOOT_GAP = 0.08
_BAR_GAP = 0.05
_MOST_LINES, _KEY_LINES = 2, 4
_LONG = 60
_FRAME = "0.75"
_MEANING = {
    "own": "Bright: agrees with behaviour; each map over its own range.",
    "shared": "Bright: agrees with behaviour; one scale for all maps of a picture.",
}
_ANGLE = "θ: angle to behaviour."
_MARK = "Bold with !: a control speaks against the map."
_UNSEEN = "Hatched: outside the encoder's crop."


def map_figure(
    shown: Exhibition,
    page: Page,
    *,
    items_as: ItemsAs,
    scale: Scale = "own",
    colormap: str = COLORMAP,
) -> Figure:
    """Every item's picture with its maps, below each other or side by side.

    Args:
        shown: groups of items.
        page: size and letters.
        items_as: whether items are columns or rows.
        scale: ``own``: each map is stretched over its own range, as in the paper; ``shared``: one
            scale from zero for all maps of a picture, so that they compare in strength.
        colormap: any matplotlib name.

    Raises:
        BecamError: a picture that cannot be read, or more items than the page has room for.
    """
    exhibits = list(shown.exhibits())
    pictures = [read_image(exhibit.path) for exhibit in exhibits]
    key = _key(exhibits, page, scale)
    layout = _layout(shown, page, items_as, pictures, len(key))
    with page.style():
        sheet = Sheet(page, layout.height)
        _names(sheet, layout, shown)
        for item, (exhibit, picture) in enumerate(zip(exhibits, pictures, strict=True)):
            _image(sheet, layout.picture(item, 0), picture, picture)
            room = layout.note(item, 0)
            sheet.centred(room, _title(exhibit.title, room, page, layout.title_lines))
            limits = _limits(exhibit.heatmaps, scale)
            side = max(1, round(max(layout.cell) * page.dpi))
            for place, heatmap in enumerate(exhibit.heatmaps, start=1):
                drawn = overlay(
                    picture, heatmap, colormap=colormap, max_side=side, limit=limits[place - 1]
                )
                _image(sheet, layout.picture(item, place), drawn, picture)
                _note(sheet, layout.note(item, place), heatmap)
        _foot(sheet, layout, key, colormap)
    return sheet.figure


def check_room(shown: Exhibition, page: Page, items_as: ItemsAs) -> None:
    """Fail before maps are made that the page has no room for, or of pictures that are none.

    Args:
        shown: what is to be drawn; its maps need not be there.
        page: size and letters.
        items_as: whether items are columns or rows.

    Raises:
        BecamError: as of :func:`map_figure`.
    """
    flat = [Image.new("RGB", (5, 3))]
    _layout(shown, page, items_as, flat, _KEY_LINES)  # thousands of pictures are not read in vain
    pictures = [read_image(exhibit.path) for exhibit in shown.exhibits()]
    _layout(shown, page, items_as, pictures, _KEY_LINES)


def _names(sheet: Sheet, layout: Layout, shown: Exhibition) -> None:
    """Of groups, of blocks of maps and of single maps, above columns and beside rows."""
    above = layout.items_as == "columns"
    for number, group in enumerate(shown.groups):
        sheet.name(layout.group(number), _lettered(number, group.name), above=above, ruled=True)
    for number, (name, _) in enumerate(shown.blocks()):
        if name:
            sheet.name(layout.block(number), name, above=not above, ruled=True)
    for place, heading in enumerate(shown.headings, start=1):
        sheet.name(layout.heading(place), heading.label, above=not above)


def _image(sheet: Sheet, cell: Box, drawn: Image.Image, picture: Image.Image) -> None:
    """Draw something of a picture's shape as large as it goes in the middle of a cell."""
    scale = min(cell.width / picture.width, cell.height / picture.height)
    width, height = picture.width * scale, picture.height * scale
    left = cell.left + (cell.width - width) / 2
    top = cell.top + (cell.height - height) / 2
    dpi = sheet.page.dpi
    pixels = max(1, round(width * dpi)), max(1, round(height * dpi))
    axes = _framed(sheet, Box(left, top, width, height), _FRAME)
    # Its pixels are those of the page: there is nothing to interpolate.
    axes.imshow(
        drawn.convert("RGB").resize(pixels, Image.Resampling.LANCZOS),
        aspect="auto",
        interpolation="none",
    )


def _note(sheet: Sheet, room: Box, heatmap: Heatmap) -> None:
    """The angle below a map, with a mark where a control speaks against it."""
    theta, flagged = heatmap.controls.theta, bool(heatmap.controls.warnings())
    words = [] if theta is None else [f"{theta:.0f}°"]
    line = " ".join([*words, "!"] if flagged else words)
    sheet.centred(room, [line], weight="bold" if flagged else "normal")


def _foot(sheet: Sheet, layout: Layout, key: Sequence[str], colormap: str) -> None:
    """The colour bar, and the key to colours and marks."""
    page = sheet.page
    line = page.lines(1, small=True)
    top = layout.height - (len(key) + 1) * line
    width, height = _BAR_INCHES
    left, middle = (page.width - width) / 2, top + line / 2
    axes = _framed(sheet, Box(left, middle - height / 2, width, height), "black")
    axes.imshow(ramp(colormap=colormap), aspect="auto")
    sheet.text(left - _BAR_GAP, middle, "least", small=True, ha="right")
    sheet.text(left + width + _BAR_GAP, middle, "most", small=True, ha="left")
    sheet.centred(Box(0, top + line, page.width, len(key) * line), key)


def _framed(sheet: Sheet, box: Box, colour: str) -> Axes:
    axes = sheet.axes(box)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(linewidth=HAIR, color=colour)
    return axes


def _layout(
    shown: Exhibition,
    page: Page,
    items_as: ItemsAs,
    pictures: Sequence[Image.Image],
    key_lines: int,
) -> Layout:
    """With as many lines for names and titles as they need, up to two."""
    layout = Layout(
        page,
        groups=tuple(len(group.exhibits) for group in shown.groups),
        blocks=tuple(count for _, count in shown.blocks()),
        items_as=items_as,
        aspect=float(np.clip(np.median([p.height / p.width for p in pictures]), *_ASPECTS)),
        block_lines=int(any(name for name, _ in shown.blocks())),
        heading_lines=1,
        group_lines=1,
        title_lines=_MOST_LINES,
        foot=_FOOT_GAP + page.lines(1 + key_lines, small=True),
    )
    titles = (
        _title(exhibit.title, layout.note(item, 0), page, _MOST_LINES)
        for item, exhibit in enumerate(shown.exhibits())
    )
    above = items_as == "columns"
    groups = [
        (_lettered(number, group.name), _length(layout.group(number), above=above))
        for number, group in enumerate(shown.groups)
    ]
    headings = [
        (heading.label, _length(layout.heading(place), above=not above))
        for place, heading in enumerate(shown.headings, start=1)
    ]
    if items_as == "rows":
        _check_words(headings, page)
    return replace(
        layout,
        title_lines=max(map(len, titles)),
        group_lines=_lines(groups, page),
        heading_lines=_lines(headings, page),
    )


def _lines(names: Sequence[tuple[str, float]], page: Page) -> int:
    """How many lines the longest of some names takes in its room, up to two."""
    fits = all(page.measure(page.drawable(name)) <= room for name, room in names)
    return 1 if fits else _MOST_LINES


def _check_words(names: Sequence[tuple[str, float]], page: Page) -> None:
    """A heading that is cut may say the opposite: *with*, of *without*."""
    for name, room in names:
        if any(page.measure(word) > room for word in page.drawable(name).split()):
            raise BecamError(
                f"The heading {page.drawable(name)[:_LONG]!r} does not fit above its maps on "
                f"{page.width:g} inches; give a larger --width or a smaller --font-size."
            )


def _title(title: str, room: Box, page: Page, lines: int) -> list[str]:
    return fitted(page.drawable(title), room.width, page.measure_small, lines=lines)


def _lettered(number: int, name: str) -> str:
    return f"({string.ascii_lowercase[number % len(string.ascii_lowercase)]}) {name}"


def _length(room: Box, *, above: bool) -> float:
    """What a name has above columns, or turned beside rows."""
    return room.width if above else room.height


def _key(exhibits: Sequence[Exhibit], page: Page, scale: Scale) -> list[str]:
    """What colours and marks mean, in lines; marks that no map bears are left out."""
    heatmaps = [heatmap for exhibit in exhibits for heatmap in exhibit.heatmaps]
    words = [_MEANING[scale]]
    if any(heatmap.controls.theta is not None for heatmap in heatmaps):
        words.append(_ANGLE)
    if any(heatmap.controls.warnings() for heatmap in heatmaps):
        words.append(_MARK)
    if any(_is_cut(heatmap) for heatmap in heatmaps):
        words.append(_UNSEEN)
    lines = [words[0]]
    for phrase in words[1:]:
        longer = f"{lines[-1]} {phrase}"
        if page.measure_small(longer) <= page.width:
            lines[-1] = longer
        else:
            lines.append(phrase)
    return [
        part for line in lines for part in fitted(line, page.width, page.measure_small, lines=3)
    ]


def _is_cut(heatmap: Heatmap) -> bool:
    return heatmap.geometry.visible != (0, 0, heatmap.geometry.width, heatmap.geometry.height)


def _limits(heatmaps: Sequence[Heatmap], scale: Scale) -> list[float | None]:
    """The map value of the hottest colour; None: each its own range.

    A map for a text is no cosine with an item, and keeps its own range.
    """
    if scale == "own":
        return [None] * len(heatmaps)
    comparable = [heatmap for heatmap in heatmaps if heatmap.controls.theta is not None]
    most = max((float(heatmap.raw.max()) for heatmap in comparable), default=0.0)
    return [most if heatmap.controls.theta is not None else None for heatmap in heatmaps]
