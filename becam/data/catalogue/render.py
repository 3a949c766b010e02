"""From the description of a scene to its picture and label map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from becam.data.catalogue import garments, goods, lettering, palette, pieces, scenes
from becam.data.catalogue.attributes import (
    BACKGROUND,
    CLOTHING,
    OTHER,
    PRODUCT,
    TEXT,
    SceneSpec,
    Sign,
    Thing,
)
from becam.data.catalogue.canvas import Canvas, Paint
from becam.data.catalogue.figure import Figure, Pose, pose
from becam.data.catalogue.geometry import band, box, ellipse, points
from becam.data.catalogue.pieces import Placement

_SIZES = {"lamp": 0.62, "chair": 0.66, "backpack": 0.56, "bottle": 0.58, "vase": 0.58, "watch": 0.6}
"""Heights of goods as a product, in units; 0.56 for the rest."""
_SMALL = {"lamp": 0.34, "chair": 0.34, "bottle": 0.32, "vase": 0.32, "watch": 0.32}
_BODY = {"full": (0.9, 1.0), "upper": (1.42, 1.55), "bust": (2.0, 2.25)}
_PAPERS: tuple[palette.RGB, ...] = (
    (250, 244, 226),
    (44, 52, 72),
    (206, 74, 62),
    (58, 112, 132),
    (236, 196, 92),
)


@dataclass(frozen=True)
class Rendered:
    """A picture and what each of its pixels shows.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        labels: uint8 (H, W), indices into ``CLASSES``.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def render(spec: SceneSpec, size: int = 256) -> Rendered:
    """Draw a scene; the same specification always gives the same pixels.

    Args:
        spec: the scene.
        size: the picture's shorter side in pixels.
    """
    streams = iter(np.random.default_rng([spec.seed, part]) for part in range(16))
    layout = next(streams)
    canvas = Canvas(size, spec.aspect, light=float(layout.choice([-1.0, 1.0])))
    scenes.draw(spec.scene, canvas, next(streams))
    canvas.soften(size / 256 * (0.5 + 0.7 * layout.random()))
    sign_stream = next(streams)
    if spec.sign is not None and spec.sign.kind != "badge":
        _sign(canvas, spec.sign, sign_stream)
    if spec.person is not None:
        _dressed(canvas, spec, layout, next(streams), next(streams))
    else:
        _still(canvas, spec, layout, next(streams), next(streams))
    others_stream = next(streams)
    for thing, (x, foot) in zip(spec.others, _slots(canvas, spec, layout), strict=False):
        _other(canvas, thing, x, foot, spec, others_stream)
    if spec.sign is not None and spec.sign.kind == "badge":
        _sign(canvas, spec.sign, sign_stream)
    warmth, strength = layout.uniform(-0.05, 0.05), layout.uniform(0.86, 1.06)
    canvas.tint((strength * (1 + warmth), strength, strength * (1 - warmth)))
    return Rendered(canvas.image, canvas.labels)


def _still(
    canvas: Canvas,
    spec: SceneSpec,
    layout: np.random.Generator,
    shade: np.random.Generator,
    top: np.random.Generator,
) -> None:
    product = spec.product
    height = _SIZES.get(product.type, 0.56) * layout.uniform(0.86, 1.16)
    foot = _foot(canvas, layout)
    if _on_table(product):
        scenes.table(spec.scene, canvas, foot - 0.12, top)
    place = Placement(
        canvas.width / 2 + layout.uniform(-0.07, 0.07), foot, height, bool(layout.random() < 0.5)
    )
    canvas.shadow(place.x - canvas.light * 0.04, foot, 0.62 * height, 0.045, 0.42)
    pieces.draw(canvas, goods.pieces(product.type), product, place, PRODUCT, shade, 0.085)


def _on_table(product: Thing) -> bool:
    return product.type not in ("chair", "backpack")


def _foot(canvas: Canvas, layout: np.random.Generator) -> float:
    return canvas.height - 0.6 * canvas.inset[1] - 0.17 + layout.uniform(-0.02, 0.02)


def _dressed(
    canvas: Canvas,
    spec: SceneSpec,
    layout: np.random.Generator,
    shade: np.random.Generator,
    body: np.random.Generator,
) -> None:
    assert spec.person is not None
    carried = spec.product.type in goods.NAMES
    low, high = _BODY[spec.framing]
    scale = layout.uniform(low, high)
    x = canvas.width / 2 + layout.uniform(-0.06, 0.06)
    if spec.framing == "full":
        foot = canvas.height - 0.8 * canvas.inset[1] - layout.uniform(0.02, 0.05)
        top = max(foot - scale, canvas.inset[1] + 0.05)
        scale = foot - top
    else:
        top = 0.09 if spec.framing == "upper" else 0.16
        top += 0.8 * canvas.inset[1] + layout.uniform(0, 0.04)
    place = Placement(x, top, scale, bool(layout.random() < 0.5))
    stance = pose(spec.person, body, hand_free=not carried)
    figure = Figure(canvas, spec.person, stance, place, body)
    worn = [(thing, CLOTHING) for thing in spec.person.garments]
    if not carried:
        worn.append((spec.product, PRODUCT))
    worn.sort(key=lambda pair: garments.LAYERS[pair[0].type])

    if spec.framing == "full":
        canvas.shadow(x, top + scale * 0.985, 0.2 * scale, 0.03 * scale, 0.45)
    figure.back_hair()
    figure.legs()
    figure.torso()
    for side in (-1, 1):
        figure.arm(side)
    over_the_head = []
    for thing, label in worn:
        # Every garment has its own stream, so what one looks like leaves the others alone.
        stream = np.random.default_rng([spec.seed, 100 + garments.LAYERS[thing.type]])
        drawing = (garments.pieces(thing.type, stance), thing, place, label, stream, 0.062 * scale)
        if garments.LAYERS[thing.type] >= garments.LAYERS["scarf"]:
            over_the_head.append(drawing)
        else:
            pieces.draw(canvas, *drawing)
    for side in (-1, 1):
        figure.hand(side)
    figure.head()
    figure.front_hair()
    for drawing in over_the_head:
        pieces.draw(canvas, *drawing)
    if carried:
        _carried(canvas, spec.product, stance, place, shade)


def _carried(
    canvas: Canvas, product: Thing, stance: Pose, place: Placement, shade: np.random.Generator
) -> None:
    """Goods that hang from the hand on side 1."""
    size = 0.3
    wrist = stance.arms[1][2] + (0.012, 0.012)
    hand = place(wrist[None])[0]
    at = Placement(hand[0], hand[1] + 0.93 * size * place.scale, size * place.scale)
    pieces.draw(canvas, goods.pieces(product.type), product, at, PRODUCT, shade, 0.06 * place.scale)


def _slots(
    canvas: Canvas, spec: SceneSpec, layout: np.random.Generator
) -> list[tuple[float, float]]:
    """Where the other objects stand: either side first, as (x, foot)."""
    spread = 0.36 + 0.2 * canvas.inset[0] + layout.uniform(-0.02, 0.01)
    foot = canvas.height - 0.7 * canvas.inset[1] - layout.uniform(0.03, 0.07)
    sides = [-1.0, 1.0] if layout.random() < 0.5 else [1.0, -1.0]
    places = [(canvas.width / 2 + side * spread, foot) for side in sides]
    return sorted(places[: len(spec.others)])


def _other(
    canvas: Canvas,
    thing: Thing,
    x: float,
    foot: float,
    spec: SceneSpec,
    rng: np.random.Generator,
) -> None:
    size = _SMALL.get(thing.type, 0.28) * rng.uniform(0.9, 1.08)
    if spec.framing in ("upper", "bust"):
        size *= 1.1
    canvas.shadow(x, foot, 0.6 * size, 0.03, 0.4)
    place = Placement(x, foot, size, bool(rng.random() < 0.5))
    pieces.draw(canvas, goods.pieces(thing.type), thing, place, OTHER, rng, 0.06)


def _sign(canvas: Canvas, sign: Sign, rng: np.random.Generator) -> None:
    paper = _PAPERS[rng.integers(len(_PAPERS))]
    ink = palette.INK if sum(paper) > 480 else palette.CREAM
    left_side = rng.random() < 0.5
    wide = rng.uniform(0.24, 0.29)
    margin = 0.045 + 0.8 * canvas.inset[0]
    left = margin if left_side else canvas.width - margin - wide
    top = 0.9 * canvas.inset[1] + rng.uniform(0.06, 0.13)
    if sign.kind == "banner":
        wide = rng.uniform(0.5, 0.62)
        left = (canvas.width - wide) / 2 + rng.uniform(-0.1, 0.1)
        top = canvas.inset[1] + 0.035
    lines, tall = lettering.strokes(sign.word, left, top, wide)
    if sign.kind == "banner":
        tall = min(tall, 0.1)
        squeeze = tall / (6 * wide / (5.6 * len(sign.word) - 1.6))
        lines = [(line - (left, top)) * (1, squeeze) + (left, top) for line in lines]
    right, bottom = left + wide, top + tall
    rim = 0.03
    if sign.kind == "poster":
        canvas.flat(
            box(left - rim, top - rim, right + rim, bottom + 0.16), palette.scaled(paper, 0.75)
        )
        inner = box(left - rim + 0.008, top - rim + 0.008, right + rim - 0.008, bottom + 0.152)
        canvas.flat(inner, paper)
        middle = (left + right) / 2
        canvas.flat(ellipse(middle, bottom + 0.085, 0.05, 0.045), palette.mixed(paper, ink, 0.3))
    elif sign.kind == "banner":
        canvas.flat(box(left - rim, top - rim, right + rim, bottom + rim), paper)
        for x in (left - rim, right + rim):
            canvas.line(points((x, top - rim), (x, 0)), palette.scaled(paper, 0.7), 0.006)
    else:
        centre = ((left + right) / 2, (top + bottom) / 2)
        disc = ellipse(*centre, wide * 0.67, wide * 0.5)
        canvas.fill(disc, Paint(paper, shading=0.1), BACKGROUND)
        canvas.line(ellipse(*centre, wide * 0.63, wide * 0.46), ink, 0.006)
    stroke = min(0.13 * tall + 0.004, wide / (5.6 * len(sign.word)) * 0.9)
    for line in lines:
        canvas.flat(band(line, stroke), ink)
    edge = stroke / 2
    rows = slice(round((top - edge) * canvas.unit), round((bottom + edge) * canvas.unit) + 1)
    columns = slice(round((left - edge) * canvas.unit), round((right + edge) * canvas.unit) + 1)
    canvas.labels[rows, columns] = TEXT
