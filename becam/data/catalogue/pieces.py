"""Things as lists of pieces: one outline and one finish each, drawn in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from becam.data.catalogue import palette
from becam.data.catalogue.attributes import Thing
from becam.data.catalogue.canvas import Canvas, Paint
from becam.data.catalogue.geometry import Outline
from becam.data.catalogue.palette import RGB

MAIN = "main"
"""The finish that shows the thing's colour and pattern."""
PLAIN = "plain"
"""The thing's colour without its pattern."""

_FIXED: dict[str, RGB] = {
    "wood": palette.WOOD,
    "metal": palette.METAL,
    "gold": palette.GOLD,
    "leather": palette.LEATHER,
    "ink": palette.INK,
    "cream": palette.CREAM,
    "glass": (214, 228, 234),
    "glow": (255, 240, 196),
    "tea": (92, 54, 34),
    "leaf": (84, 132, 72),
}


@dataclass(frozen=True)
class Piece:
    """One outline of a thing.

    Attributes:
        outline: in the thing's own coordinates.
        finish: ``MAIN``, ``PLAIN`` or the name of a fixed material.
        tone: brightness of the finish.
        shading: strength of the soft shading.
    """

    outline: Outline
    finish: str = MAIN
    tone: float = 1.0
    shading: float = 0.22


@dataclass(frozen=True)
class Placement:
    """Own coordinates to canvas units: a scale, an optional mirror and an origin."""

    x: float
    y: float
    scale: float
    mirror: bool = False

    def __call__(self, outline: Outline) -> Outline:
        """The outline in canvas units."""
        factor = np.array([-self.scale if self.mirror else self.scale, self.scale])
        return np.asarray(outline * factor + (self.x, self.y))


def draw(
    canvas: Canvas,
    pieces: Iterable[Piece],
    thing: Thing,
    placement: Placement,
    label: int,
    rng: np.random.Generator,
    period: float,
) -> None:
    """Draw a thing; ``rng`` picks its exact shade, ``period`` is its pattern's, in canvas units."""
    colour = palette.jittered(palette.NAMED[thing.colour], rng)
    period *= rng.uniform(0.88, 1.12)
    origin = (placement.x, placement.y)
    for piece in pieces:
        fixed = _FIXED.get(piece.finish)
        paint = Paint(
            colour=palette.scaled(fixed or colour, piece.tone),
            second=palette.scaled(palette.second(thing.colour), min(piece.tone, 1.0)),
            pattern=thing.pattern if piece.finish == MAIN else "solid",
            period=period,
            shading=piece.shading,
        )
        canvas.fill(placement(piece.outline), paint, label, origin)
