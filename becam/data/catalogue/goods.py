"""Goods that stand on their own: base at the origin, y up to -1 or x from -0.5 to 0.5."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from becam.data.catalogue.geometry import (
    band,
    box,
    ellipse,
    limb,
    mirrored,
    points,
    rounded,
    smooth,
    smooth_path,
    turned,
)
from becam.data.catalogue.pieces import PLAIN, Piece


def pieces(name: str) -> list[Piece]:
    """The pieces of a type of goods, back to front."""
    return _GOODS[name]()


def _handbag() -> list[Piece]:
    body = smooth(
        mirrored([(0.2, -0.54), (0.37, -0.52), (0.43, -0.3), (0.46, -0.06), (0.4, 0), (0.1, 0)])
    )
    flap = smooth(mirrored([(0.36, -0.53), (0.39, -0.42), (0.3, -0.27), (0.1, -0.21)]))
    handle = smooth_path([(-0.25, -0.5), (-0.22, -0.78), (0, -0.93), (0.22, -0.78), (0.25, -0.5)])
    return [
        Piece(band(handle, 0.06), PLAIN, 0.72),
        Piece(body),
        Piece(flap, PLAIN, 0.86),
        Piece(rounded(-0.06, -0.28, 0.06, -0.17, 0.025), "gold"),
        Piece(ellipse(-0.25, -0.51, 0.035, 0.035), "gold"),
        Piece(ellipse(0.25, -0.51, 0.035, 0.035), "gold"),
    ]


def _backpack() -> list[Piece]:
    loop = smooth_path([(-0.1, -0.9), (-0.08, -1.0), (0.08, -1.0), (0.1, -0.9)])
    body = smooth(
        mirrored([(0.14, -0.95), (0.3, -0.85), (0.36, -0.5), (0.38, -0.1), (0.3, 0), (0.1, 0)])
    )
    strap = [(0.34, -0.7), (0.47, -0.45), (0.45, -0.12), (0.36, -0.05)]
    left = [(-x, y) for x, y in strap]
    return [
        Piece(band(loop, 0.05), "leather"),
        Piece(limb(strap, (0.08, 0.08, 0.07, 0.06)), PLAIN, 0.66),
        Piece(limb(left, (0.08, 0.08, 0.07, 0.06)), PLAIN, 0.66),
        Piece(body),
        Piece(band(smooth_path([(-0.3, -0.62), (0, -0.57), (0.3, -0.62)]), 0.022), "ink", 1.1),
        Piece(rounded(-0.26, -0.42, 0.26, -0.06, 0.07), PLAIN, 0.8),
        Piece(band(points((-0.22, -0.33), (0.22, -0.33)), 0.022), "ink", 1.1),
        Piece(box(-0.02, -0.33, 0.02, -0.24), "gold"),
    ]


def _shoe() -> list[Piece]:
    upper = smooth(
        points(
            (-0.47, -0.1),
            (-0.47, -0.42),
            (-0.36, -0.5),
            (-0.14, -0.46),
            (-0.02, -0.36),
            (0.18, -0.26),
            (0.4, -0.2),
            (0.49, -0.1),
            (0.2, -0.05),
            (-0.2, -0.05),
        )
    )
    laces = [
        Piece(band(points((x, y), (x + 0.075, y - 0.075)), 0.03), "cream", 1, 0)
        for x, y in ((-0.1, -0.33), (-0.01, -0.28), (0.08, -0.24))
    ]
    return [
        Piece(ellipse(-0.27, -0.46, 0.18, 0.05), "ink"),
        Piece(upper),
        Piece(smooth(points((0.24, -0.23), (0.4, -0.2), (0.5, -0.08), (0.3, -0.07))), PLAIN, 0.84),
        Piece(
            smooth(points((-0.48, -0.4), (-0.36, -0.36), (-0.36, -0.08), (-0.48, -0.08))),
            PLAIN,
            0.7,
        ),
        *laces,
        Piece(rounded(-0.5, -0.11, 0.51, 0, 0.05), "cream"),
        Piece(box(-0.46, -0.035, 0.47, -0.012), PLAIN, 0.75),
    ]


def _mug() -> list[Piece]:
    handle = ellipse(0.3, -0.38, 0.2, 0.22, -95, 95, 20)
    body = smooth_path([(-0.34, -0.76), (-0.335, -0.3), (-0.31, -0.06), (-0.2, 0)])
    outline = np.concatenate([body, body[::-1] * (-1, 1)])
    return [
        Piece(band(handle, 0.085), PLAIN, 0.8),
        Piece(outline, shading=0.34),
        Piece(ellipse(0, -0.76, 0.34, 0.085), PLAIN, 1.15, 0.05),
        Piece(ellipse(0, -0.755, 0.3, 0.065), "tea", 1, 0.1),
    ]


def _teapot() -> list[Piece]:
    spout = [(0.25, -0.2), (0.42, -0.28), (0.48, -0.46), (0.56, -0.54)]
    return [
        Piece(limb(spout, (0.19, 0.13, 0.08, 0.075)), PLAIN, 0.86),
        Piece(band(ellipse(-0.33, -0.34, 0.18, 0.19, 80, 285, 22), 0.07), PLAIN, 0.78),
        Piece(
            smooth(
                mirrored([(0.14, -0.63), (0.31, -0.5), (0.37, -0.27), (0.26, -0.05), (0.13, 0)])
            ),
            shading=0.34,
        ),
        Piece(ellipse(0, -0.62, 0.18, 0.055), PLAIN, 0.75),
        Piece(smooth(mirrored([(0.05, -0.74), (0.16, -0.64), (0.1, -0.61)])), PLAIN, 0.92),
        Piece(ellipse(0, -0.78, 0.05, 0.05), "gold"),
    ]


def _bottle() -> list[Piece]:
    side = smooth_path(
        [(-0.075, -0.86), (-0.085, -0.72), (-0.19, -0.58), (-0.2, -0.3), (-0.2, -0.03)]
    )
    side = np.concatenate([side, points((-0.17, 0))])
    return [
        Piece(np.concatenate([side, side[::-1] * (-1, 1)]), shading=0.4),
        Piece(rounded(-0.105, -1.0, 0.105, -0.85, 0.03), "metal"),
        Piece(rounded(-0.15, -0.5, -0.115, -0.08, 0.017), PLAIN, 1.4, 0),
        Piece(box(-0.2, -0.62, 0.2, -0.6), PLAIN, 0.7),
    ]


def _vase() -> list[Piece]:
    stems = [
        ((0.02, -0.5), (0.06, -0.8), (0.16, -0.93)),
        ((-0.02, -0.5), (-0.1, -0.8), (-0.17, -0.88)),
    ]
    leaves = [Piece(ellipse(x, y, 0.055, 0.085), "leaf") for x, y in ((0.09, -0.72), (-0.1, -0.7))]
    blooms = [
        Piece(
            ellipse(x + 0.06 * np.cos(a), y + 0.06 * np.sin(a), 0.05, 0.05, steps=12), "cream", 1, 0
        )
        for x, y in ((0.17, -0.94), (-0.18, -0.9))
        for a in np.arange(5) * 1.257
    ]
    hearts = [
        Piece(ellipse(x, y, 0.035, 0.035, steps=12), "gold")
        for x, y in ((0.17, -0.94), (-0.18, -0.9))
    ]
    body = smooth(
        mirrored(
            [(0.13, -0.66), (0.1, -0.56), (0.25, -0.38), (0.28, -0.22), (0.16, -0.03), (0.1, 0)]
        )
    )
    return [
        *(Piece(limb(s, (0.025, 0.02, 0.02)), "leaf") for s in stems),
        *leaves,
        *blooms,
        *hearts,
        Piece(body, shading=0.36),
        Piece(ellipse(0, -0.645, 0.125, 0.03), PLAIN, 0.7),
    ]


def _lamp() -> list[Piece]:
    return [
        Piece(ellipse(0, -0.03, 0.24, 0.05), "metal", 0.8),
        Piece(band(points((0, -0.55), (0, -0.04)), 0.045), "metal"),
        Piece(ellipse(0, -0.52, 0.11, 0.05), "glow", 1, 0),
        Piece(points((-0.2, -1.0), (0.2, -1.0), (0.38, -0.52), (-0.38, -0.52)), shading=0.3),
        Piece(band(points((-0.38, -0.52), (0.38, -0.52)), 0.03), PLAIN, 0.75),
        Piece(band(points((-0.2, -1.0), (0.2, -1.0)), 0.025), PLAIN, 0.75),
        Piece(band(points((0.27, -0.5), (0.27, -0.36)), 0.012), "metal"),
        Piece(ellipse(0.27, -0.35, 0.02, 0.02), "gold"),
    ]


def _chair() -> list[Piece]:
    legs = [((-0.24, -0.4), (-0.28, 0)), ((0.24, -0.4), (0.28, 0))]
    back_legs = [((-0.16, -0.4), (-0.17, -0.07)), ((0.16, -0.4), (0.17, -0.07))]
    return [
        *(Piece(band(points(*leg), 0.045), "wood", 0.7) for leg in back_legs),
        *(Piece(band(points(*leg), 0.055), "wood") for leg in legs),
        Piece(
            smooth(
                mirrored([(0.2, -1.0), (0.28, -0.93), (0.27, -0.7), (0.25, -0.46), (0.1, -0.42)])
            )
        ),
        Piece(rounded(-0.33, -0.52, 0.33, -0.35, 0.075), tone=0.92),
        Piece(
            limb([(-0.31, -0.74), (-0.36, -0.7), (-0.36, -0.5)], (0.05, 0.06, 0.06)), PLAIN, 0.75
        ),
        Piece(limb([(0.31, -0.74), (0.36, -0.7), (0.36, -0.5)], (0.05, 0.06, 0.06)), PLAIN, 0.75),
    ]


def _cushion() -> list[Piece]:
    corners = points(
        (-0.44, -0.84), (-0.2, -0.79), (0.2, -0.79), (0.44, -0.84), (0.4, -0.6), (0.4, -0.24),
        (0.45, 0), (0.2, -0.04), (-0.2, -0.04), (-0.45, 0), (-0.4, -0.24), (-0.4, -0.6),
    )  # fmt: skip
    return [
        Piece(smooth(corners * 1.03 - (0, -0.01)), PLAIN, 0.72),
        Piece(smooth(corners * 0.97 - (0, 0.01)), shading=0.34),
        Piece(ellipse(0, -0.42, 0.035, 0.03), PLAIN, 0.6),
    ]


def _watch() -> list[Piece]:
    hands = [
        Piece(band(points((0, -0.5), (0.0, -0.66)), 0.028), "ink", 1, 0),
        Piece(band(points((0, -0.5), (0.11, -0.44)), 0.028), "ink", 1, 0),
    ]
    marks = [
        Piece(turned(box(-0.01, -0.71, 0.01, -0.675), 30.0 * hour, (0, -0.5)), "ink", 1, 0)
        for hour in range(12)
    ]
    holes = [Piece(ellipse(0, y, 0.014, 0.014, steps=8), "ink", 1, 0) for y in (-0.05, -0.12)]
    strap = mirrored(
        [(0.09, -1.0), (0.105, -0.94), (0.15, -0.7), (0.15, -0.3), (0.1, -0.04), (0.08, 0)]
    )
    return [
        Piece(strap),
        *holes,
        Piece(rounded(-0.105, -0.965, 0.105, -0.91, 0.02), "metal", 0.8),
        Piece(rounded(0.22, -0.535, 0.3, -0.465, 0.02), "gold", 0.9),
        Piece(ellipse(0, -0.5, 0.265, 0.265, steps=40), "gold"),
        Piece(ellipse(0, -0.5, 0.222, 0.222, steps=40), "cream", 1, 0.08),
        *marks,
        *hands,
    ]


_GOODS: dict[str, Callable[[], list[Piece]]] = {
    "handbag": _handbag,
    "backpack": _backpack,
    "shoe": _shoe,
    "mug": _mug,
    "teapot": _teapot,
    "bottle": _bottle,
    "vase": _vase,
    "lamp": _lamp,
    "chair": _chair,
    "cushion": _cushion,
    "watch": _watch,
}
NAMES = frozenset(_GOODS)
