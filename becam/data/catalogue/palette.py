"""Colours by name, as RGB from 0 to 255."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RGB = tuple[float, float, float]

NAMED: dict[str, RGB] = {
    "red": (206, 38, 46),
    "orange": (241, 132, 32),
    "yellow": (248, 211, 55),
    "green": (56, 148, 78),
    "blue": (44, 92, 200),
    "purple": (124, 66, 168),
    "pink": (244, 138, 180),
    "brown": (122, 76, 44),
    "black": (42, 42, 48),
    "white": (244, 243, 239),
}
SKIN: dict[str, RGB] = {"light": (250, 214, 188), "tan": (214, 160, 116), "dark": (124, 80, 56)}
HAIR: dict[str, RGB] = {
    "black": (38, 32, 34),
    "brown": (98, 62, 40),
    "blond": (226, 184, 104),
    "red": (176, 78, 38),
    "grey": (168, 166, 168),
}
CREAM: RGB = (250, 247, 238)
SLATE: RGB = (92, 98, 116)
WOOD: RGB = (178, 128, 82)
METAL: RGB = (176, 180, 188)
GOLD: RGB = (214, 176, 92)
LEATHER: RGB = (104, 70, 48)
INK: RGB = (46, 44, 50)


def scaled(colour: RGB, factor: float) -> RGB:
    """Darker (below 1) or lighter (above 1, towards white)."""
    if factor <= 1:
        return (colour[0] * factor, colour[1] * factor, colour[2] * factor)
    return mixed(colour, (255, 255, 255), factor - 1)


def mixed(first: RGB, second: RGB, share: float) -> RGB:
    """``share`` of the second colour in the first."""
    r, g, b = (p + (q - p) * share for p, q in zip(first, second, strict=True))
    return (r, g, b)


def second(colour: str) -> RGB:
    """The colour that a pattern is printed in on a product of this colour."""
    return {"white": SLATE, "yellow": (120, 96, 40)}.get(colour, CREAM)


def jittered(colour: RGB, rng: np.random.Generator, amount: float = 1.0) -> RGB:
    """A near shade of the same colour."""
    light: float = rng.uniform(-14, 14) * amount
    r, g, b = (min(max(c + light + amount * rng.uniform(-8, 8), 0.0), 255.0) for c in colour)
    return (r, g, b)


def array(colour: RGB) -> NDArray[np.float32]:
    """The colour as float32 (3,)."""
    return np.array(colour, dtype=np.float32)
