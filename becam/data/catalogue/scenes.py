"""The places: everything behind the product, drawn as background."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from becam.data.catalogue import palette
from becam.data.catalogue.canvas import Canvas
from becam.data.catalogue.geometry import box, ellipse, moved, points, rounded, smooth
from becam.data.catalogue.palette import RGB

Rng = np.random.Generator

_WALLS: tuple[RGB, ...] = (
    (226, 219, 208),
    (205, 216, 219),
    (219, 208, 214),
    (213, 219, 200),
    (232, 222, 196),
    (198, 200, 208),
)
_FACADES: tuple[RGB, ...] = (
    (196, 158, 132),
    (176, 178, 186),
    (206, 190, 160),
    (158, 132, 122),
    (188, 198, 196),
    (168, 160, 174),
)
_FURNITURE: tuple[RGB, ...] = (
    (168, 124, 84),
    (142, 146, 154),
    (206, 198, 184),
    (120, 136, 140),
    (176, 156, 140),
)
TABLES: dict[str, tuple[RGB, ...]] = {
    "studio": ((232, 230, 228), (214, 212, 214)),
    "bedroom": ((186, 142, 98), (222, 214, 202)),
    "kitchen": ((210, 206, 202), (172, 130, 90)),
    "street": ((170, 168, 166), (150, 110, 78)),
    "park": ((160, 118, 78), (144, 106, 76)),
    "beach": ((206, 178, 138), (222, 210, 190)),
}
"""Tops that small goods stand on, per scene."""


def draw(scene: str, canvas: Canvas, rng: Rng) -> None:
    """Draw a scene over the whole canvas."""
    _SCENES[scene](canvas, rng)


def table(scene: str, canvas: Canvas, edge: float, rng: Rng) -> None:
    """A table top in the foreground whose far edge is at ``edge``."""
    colour = palette.jittered(_pick(TABLES[scene], rng), rng)
    front = canvas.height - 0.35 * (canvas.height - edge)
    canvas.shadow(canvas.width / 2, edge, canvas.width * 0.8, 0.05, 0.25)
    canvas.gradient(edge, front, palette.scaled(colour, 1.1), colour)
    canvas.gradient(front, canvas.height, palette.scaled(colour, 0.7), palette.scaled(colour, 0.6))
    canvas.line(points((0, edge), (canvas.width, edge)), palette.scaled(colour, 1.3), 0.006)
    if scene not in ("studio", "kitchen"):
        for y in np.linspace(edge, front, 4)[1:-1]:
            canvas.line(points((0, y), (canvas.width, y)), palette.scaled(colour, 0.88), 0.004)


def _pick(choices: tuple[RGB, ...], rng: Rng) -> RGB:
    return choices[rng.integers(len(choices))]


def _studio(canvas: Canvas, rng: Rng) -> None:
    grey = rng.uniform(196, 244)
    tint = rng.uniform(-9, 9, 3)
    wall: RGB = (grey + tint[0], grey + tint[1], grey + tint[2])
    line = canvas.height * rng.uniform(0.68, 0.78)
    canvas.gradient(0, line, palette.scaled(wall, 1.0), palette.scaled(wall, 0.9))
    canvas.gradient(line - 0.06, line, palette.scaled(wall, 0.91), palette.scaled(wall, 0.97))
    canvas.gradient(line, canvas.height, palette.scaled(wall, 0.97), palette.scaled(wall, 0.86))
    if rng.random() < 0.6:  # a soft box on a stand
        side = -1 if rng.random() < 0.5 else 1
        x = canvas.width / 2 + side * canvas.width * 0.42
        canvas.line(points((x, 0.2), (x, line + 0.05)), (70, 70, 76), 0.012)
        hood = points((-0.11, -0.1), (0.1, -0.07), (0.1, 0.07), (-0.11, 0.1)) * (side, 1)
        canvas.flat(moved(hood, x, 0.16), (58, 58, 64))
        canvas.flat(moved(hood * (0.35, 0.86), x - side * 0.07, 0.16), (255, 252, 240))


def _room(canvas: Canvas, rng: Rng, line: float) -> None:
    wall = palette.jittered(_pick(_WALLS, rng), rng)
    floor = palette.jittered((176, 136, 98) if rng.random() < 0.6 else (158, 150, 146), rng)
    canvas.gradient(0, line, wall, palette.scaled(wall, 0.92))
    canvas.gradient(line, canvas.height, palette.scaled(floor, 0.9), floor)
    canvas.flat(box(0, line - 0.025, canvas.width, line), palette.scaled(wall, 1.5))
    for x in np.arange(rng.uniform(-0.2, 0), canvas.width + 0.3, 0.16):
        foot = canvas.width / 2 + (x - canvas.width / 2) * 1.9
        canvas.line(points((x, line), (foot, canvas.height)), palette.scaled(floor, 0.86), 0.004)


def _window(canvas: Canvas, x: float, top: float, rng: Rng) -> None:
    width, height = rng.uniform(0.24, 0.32), rng.uniform(0.28, 0.36)
    canvas.flat(box(x, top, x + width, top + height), (246, 244, 240))
    inner = box(x + 0.016, top + 0.016, x + width - 0.016, top + height - 0.016)
    canvas.flat(inner, (182, 216, 238))
    hill = smooth(points((0.016, 0.2), (0.1, 0.16), (width - 0.016, 0.2)), 5)
    hill = np.clip(hill, 0.016, (width - 0.016, height - 0.016))
    foot = points((width - 0.016, height - 0.016), (0.016, height - 0.016))
    canvas.flat(moved(np.concatenate([hill[:10], foot]), x, top), (152, 190, 140))
    bar = (246, 244, 240)
    canvas.line(points((x + width / 2, top), (x + width / 2, top + height)), bar, 0.014)
    canvas.line(points((x, top + height / 2), (x + width, top + height / 2)), bar, 0.014)


def _frame(canvas: Canvas, x: float, y: float, size: float, rng: Rng) -> None:
    canvas.flat(box(x, y, x + size, y + size * 1.2), palette.scaled(_pick(_FURNITURE, rng), 0.6))
    canvas.flat(
        box(x + 0.014, y + 0.014, x + size - 0.014, y + size * 1.2 - 0.014), (240, 236, 226)
    )
    canvas.flat(
        ellipse(x + size / 2, y + size * 0.62, size * 0.24, size * 0.3), _pick(_FACADES, rng)
    )


def _plant(canvas: Canvas, x: float, y: float, size: float, rng: Rng) -> None:
    green = palette.jittered((92, 132, 88), rng)
    for angle in np.linspace(-60, 60, 7):
        lean = np.radians(angle + rng.uniform(-8, 8))
        tip = np.array([np.sin(lean), -np.cos(lean)]) * size
        side = np.array([np.cos(lean), np.sin(lean)]) * size * 0.13
        leaf = smooth(np.stack([np.zeros(2), tip * 0.5 + side, tip, tip * 0.5 - side]), 4)
        canvas.flat(moved(leaf, x, y), palette.scaled(green, rng.uniform(0.85, 1.15)))
    pot = points((-0.2, -0.1), (0.2, -0.1), (0.14, 0.36), (-0.14, 0.36)) * size
    canvas.flat(moved(pot, x, y), (186, 156, 136))


def _bedroom(canvas: Canvas, rng: Rng) -> None:
    w, line = canvas.width, canvas.height * rng.uniform(0.66, 0.74)
    _room(canvas, rng, line)
    flip = rng.random() < 0.5

    def place(x: float) -> float:
        return w - x if flip else x

    _window(canvas, w - 0.36 if flip else 0.06, line - rng.uniform(0.56, 0.62), rng)
    if rng.random() < 0.7:
        _frame(canvas, place(0.87) - 0.07, line - rng.uniform(0.52, 0.6), 0.14, rng)
    # A bed with its head against one side of the picture.
    wood = palette.jittered(_pick(_FURNITURE, rng), rng)
    sheet = palette.jittered((222, 222, 228), rng)
    head = np.array([place(w), place(w - 0.1)])
    end = place(w * 0.42)
    top = line - 0.06
    near, far = sorted((float(head[0]), end))
    canvas.flat(rounded(near, top, far, line + 0.12, 0.03), sheet)
    canvas.flat(rounded(near, top + 0.05, far, line + 0.12, 0.02), palette.mixed(sheet, wood, 0.45))
    left, right = sorted(float(v) for v in head)
    canvas.flat(rounded(left, line - 0.24, right + 0.02, line + 0.15, 0.02), wood)
    pillow = place(w - 0.2)
    canvas.flat(
        rounded(pillow - 0.09, top - 0.06, pillow + 0.09, top + 0.04, 0.03), (246, 246, 248)
    )
    canvas.flat(box(near, line + 0.12, far, line + 0.15), palette.scaled(wood, 0.8))
    canvas.flat(ellipse(w / 2, canvas.height * 0.93, 0.44, 0.07), palette.mixed(wood, sheet, 0.6))


def _kitchen(canvas: Canvas, rng: Rng) -> None:
    w, line = canvas.width, canvas.height * rng.uniform(0.7, 0.78)
    _room(canvas, rng, line)
    tile = palette.jittered((206, 218, 220), rng)
    counter = line - 0.27
    canvas.gradient(counter - 0.24, counter, tile, palette.scaled(tile, 0.95))
    for y in np.arange(counter - 0.24, counter, 0.06):
        canvas.line(points((0, y), (w, y)), palette.scaled(tile, 1.4), 0.004)
    for x in np.arange(rng.uniform(0, 0.08), w, 0.08):
        canvas.line(points((x, counter - 0.24), (x, counter)), palette.scaled(tile, 1.4), 0.004)
    cupboard = palette.jittered(_pick(_FURNITURE, rng), rng)
    step = rng.uniform(0.24, 0.32)
    for x in np.arange(rng.uniform(-0.2, 0), w, step):
        upper = box(x + 0.006, counter - 0.6, x + step - 0.006, counter - 0.28)
        canvas.flat(upper, cupboard)
        canvas.flat(upper * 0.8 + upper.mean(0) * 0.2, palette.scaled(cupboard, 1.1))
        lower = box(x + 0.006, counter + 0.03, x + step - 0.006, line - 0.02)
        canvas.flat(lower, cupboard)
        canvas.flat(lower * 0.8 + lower.mean(0) * 0.2, palette.scaled(cupboard, 1.1))
        canvas.line(
            points((x + 0.04, counter + 0.07), (x + 0.1, counter + 0.07)), (90, 90, 94), 0.01
        )
    canvas.flat(box(0, counter - 0.01, w, counter + 0.03), palette.scaled(cupboard, 0.62))
    # A stove with a pot, or a sink with a tap.
    x = w * (0.16 if rng.random() < 0.5 else 0.84)
    if rng.random() < 0.5:
        canvas.flat(box(x - 0.13, counter + 0.03, x + 0.13, line - 0.02), (66, 68, 74))
        canvas.flat(box(x - 0.1, counter + 0.08, x + 0.1, line - 0.07), (112, 118, 128))
        canvas.flat(
            rounded(x - 0.08, counter - 0.11, x + 0.08, counter - 0.01, 0.015), (134, 138, 146)
        )
        canvas.line(
            points((x - 0.11, counter - 0.09), (x + 0.11, counter - 0.09)), (84, 86, 92), 0.014
        )
    else:
        canvas.line(
            points(
                (x, counter),
                (x, counter - 0.13),
                (x + 0.08, counter - 0.13),
                (x + 0.08, counter - 0.09),
            ),
            (146, 152, 160),
            0.018,
        )
        canvas.flat(box(x - 0.03, counter - 0.015, x + 0.16, counter + 0.01), (168, 174, 182))


def _sky(canvas: Canvas, line: float, rng: Rng, clouds: int) -> None:
    above, below = ((132, 182, 228), (214, 232, 244))
    if rng.random() < 0.3:
        above, below = ((158, 156, 204), (250, 214, 180))
    canvas.gradient(0, line, palette.jittered(above, rng), palette.jittered(below, rng))
    for _ in range(clouds):
        x, y = rng.uniform(0, canvas.width), rng.uniform(0.05, max(line - 0.35, 0.1))
        for dx, dy, r in ((-0.07, 0.01, 0.04), (0, -0.012, 0.055), (0.07, 0.012, 0.038)):
            canvas.flat(ellipse(x + dx, y + dy, r * 1.3, r * 0.8, steps=18), (246, 248, 252))


def _street(canvas: Canvas, rng: Rng) -> None:
    w, line = canvas.width, canvas.height * rng.uniform(0.7, 0.77)
    _sky(canvas, line, rng, 2)
    x = rng.uniform(-0.2, 0)
    while x < w:
        wide, top = rng.uniform(0.24, 0.42), line - rng.uniform(0.44, 0.85)
        facade = palette.jittered(_pick(_FACADES, rng), rng)
        canvas.flat(box(x, top, x + wide, line), facade)
        canvas.flat(box(x - 0.01, top, x + wide + 0.01, top + 0.02), palette.scaled(facade, 0.75))
        columns = max(2, round(wide / 0.12))
        for i in range(columns):
            left = x + wide * (i + 0.25) / columns
            for y in np.arange(top + 0.06, line - 0.24, 0.13):
                pane = (118, 140, 162) if rng.random() < 0.75 else (250, 226, 160)
                canvas.flat(box(left, y, left + wide * 0.5 / columns, y + 0.075), pane)
        door = x + wide * rng.uniform(0.2, 0.6)
        canvas.flat(box(door, line - 0.17, door + 0.085, line), palette.scaled(facade, 0.5))
        shop = x + wide * 0.06
        canvas.flat(
            points(
                (shop, line - 0.22),
                (x + wide * 0.94, line - 0.22),
                (x + wide, line - 0.18),
                (x, line - 0.18),
            ),
            palette.scaled(facade, 0.62),
        )
        x += wide
    canvas.gradient(line, line + 0.02, (150, 148, 146), (150, 148, 146))
    canvas.gradient(line + 0.02, canvas.height, (186, 184, 180), (168, 166, 164))
    for x in np.arange(rng.uniform(-0.1, 0), w + 0.2, 0.2):
        foot = w / 2 + (x - w / 2) * 1.8
        canvas.line(points((x, line + 0.02), (foot, canvas.height)), (154, 152, 150), 0.005)
    for y in (line + 0.08, line + 0.18):
        canvas.line(points((0, y), (w, y)), (154, 152, 150), 0.005)
    if rng.random() < 0.7:
        x = w * (0.08 if rng.random() < 0.5 else 0.92)
        canvas.line(points((x, line - 0.62), (x, line + 0.04)), (58, 62, 68), 0.018)
        canvas.flat(
            points(
                (x - 0.03, line - 0.7),
                (x + 0.03, line - 0.7),
                (x + 0.045, line - 0.61),
                (x - 0.045, line - 0.61),
            ),
            (252, 240, 196),
        )
        canvas.flat(
            points((x, line - 0.74), (x + 0.05, line - 0.7), (x - 0.05, line - 0.7)), (58, 62, 68)
        )


def _tree(canvas: Canvas, x: float, foot: float, size: float, rng: Rng) -> None:
    trunk = points((-0.06, 0), (-0.04, -0.6), (0.04, -0.6), (0.06, 0)) * size
    canvas.flat(moved(trunk, x, foot), (118, 90, 68))
    green = palette.jittered((98, 142, 88), rng, 1.5)
    for dx, dy, r in ((-0.2, -0.62, 0.26), (0.2, -0.64, 0.25), (0, -0.86, 0.3), (0.02, -0.6, 0.26)):
        crown = ellipse(x + dx * size, foot + dy * size, r * size, r * size * 0.92, steps=20)
        canvas.flat(crown, palette.scaled(green, rng.uniform(0.9, 1.1)))


def _park(canvas: Canvas, rng: Rng) -> None:
    w, line = canvas.width, canvas.height * rng.uniform(0.6, 0.68)
    _sky(canvas, line, rng, 2)
    hills = ellipse(w * rng.uniform(0.2, 0.8), line + 0.05, w * 0.8, 0.22)
    canvas.flat(hills, (146, 184, 140))
    canvas.gradient(line, canvas.height, (148, 188, 112), (122, 168, 92))
    path = w * rng.uniform(0.35, 0.65)
    canvas.flat(
        points(
            (path - 0.03, line),
            (path + 0.03, line),
            (path + 0.34, canvas.height),
            (path - 0.3, canvas.height),
        ),
        (216, 200, 168),
    )
    for x in rng.permutation(np.linspace(0.05, w - 0.05, 5))[: rng.integers(2, 5)]:
        _tree(canvas, float(x), line + rng.uniform(0.0, 0.06), rng.uniform(0.34, 0.6), rng)
    if rng.random() < 0.6:
        x, y = w * (0.16 if rng.random() < 0.5 else 0.84), line + 0.1
        for dy in (-0.09, -0.05, 0.0):
            canvas.line(points((x - 0.13, y + dy), (x + 0.13, y + dy)), (142, 102, 70), 0.024)
        for dx in (-0.1, 0.1):
            canvas.line(points((x + dx, y - 0.09), (x + dx, y + 0.06)), (70, 72, 76), 0.014)
    for _ in range(14):
        x, y = rng.uniform(0, w), rng.uniform(line + 0.05, canvas.height)
        canvas.line(points((x, y), (x + 0.008, y - 0.018)), (98, 144, 76), 0.006)


def _beach(canvas: Canvas, rng: Rng) -> None:
    w, line = canvas.width, canvas.height * rng.uniform(0.5, 0.58)
    _sky(canvas, line, rng, 3)
    shore = line + rng.uniform(0.1, 0.15)
    canvas.gradient(line, shore + 0.03, (72, 146, 178), (136, 204, 208))
    for _ in range(8):
        x, y = rng.uniform(0, w), rng.uniform(line + 0.02, shore - 0.02)
        canvas.line(points((x, y), (x + rng.uniform(0.05, 0.14), y)), (190, 226, 232), 0.005)
    sand = palette.jittered((234, 212, 170), rng)
    waves = [(w * i / 6, shore + 0.014 * (-1) ** i) for i in range(7)]
    canvas.flat(points(*waves, (w, canvas.height), (0, canvas.height)), (248, 246, 238))
    waves = [(x, y + 0.018) for x, y in waves]
    canvas.flat(points(*waves, (w, canvas.height), (0, canvas.height)), sand)
    for _ in range(26):
        x, y = rng.uniform(0, w), rng.uniform(shore + 0.05, canvas.height)
        canvas.line(points((x, y), (x + 0.014, y)), palette.scaled(sand, 0.9), 0.005)
    if rng.random() < 0.65:  # a parasol
        x, y = w * (0.14 if rng.random() < 0.5 else 0.86), shore + 0.1
        canvas.line(points((x, y - 0.42), (x + 0.02, y)), (236, 232, 224), 0.012)
        cloth = palette.jittered(_pick(_FURNITURE, rng), rng)
        canvas.flat(ellipse(x, y - 0.38, 0.17, 0.13, 180, 360), cloth)
        canvas.flat(ellipse(x, y - 0.38, 0.06, 0.13, 180, 360), (244, 240, 230))
    if rng.random() < 0.5:
        x = rng.uniform(0.2, w - 0.2)
        canvas.flat(
            points((x, line - 0.1), (x + 0.06, line - 0.02), (x, line - 0.02)), (250, 248, 244)
        )
        canvas.flat(
            points(
                (x - 0.03, line - 0.015),
                (x + 0.07, line - 0.015),
                (x + 0.05, line + 0.008),
                (x - 0.01, line + 0.008),
            ),
            (124, 92, 76),
        )


_SCENES: dict[str, Callable[[Canvas, Rng], None]] = {
    "studio": _studio,
    "bedroom": _bedroom,
    "kitchen": _kitchen,
    "street": _street,
    "park": _park,
    "beach": _beach,
}
