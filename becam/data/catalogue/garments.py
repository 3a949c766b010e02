"""Garments on a pose, in body units: pieces back to front."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from becam.data.catalogue.figure import HEAD, Pose, bent
from becam.data.catalogue.geometry import (
    Outline,
    band,
    box,
    ellipse,
    limb,
    mirrored,
    moved,
    points,
    smooth,
    smooth_path,
)
from becam.data.catalogue.pieces import PLAIN, Piece

TOPS = ("t-shirt", "shirt", "jumper")
OUTER = ("jacket", "coat")
BOTTOMS = ("skirt", "trousers", "shorts")

LAYERS: dict[str, int] = {
    **dict.fromkeys(BOTTOMS, 0),
    **dict.fromkeys(TOPS, 1),
    "dress": 1,
    **dict.fromkeys(OUTER, 2),
    "scarf": 3,
    "hat": 4,
}
"""Order in which garments go on."""


def pieces(name: str, pose: Pose) -> list[Piece]:
    """The pieces of a garment that fits the pose."""
    return _GARMENTS[name](pose)


def _body(pose: Pose, hem: float, loose: float = 0.008, neck: float = 0.04) -> Outline:
    s, w, h = pose.shoulder, pose.waist + loose, pose.hip + loose
    half = [
        (neck, 0.168),
        (s - 0.012, 0.183),
        (s + 0.008, 0.215),
        (s - 0.004 + loose, 0.26),
        (w + 0.012, 0.385),
        (h, 0.47),
        (h + 0.004, hem),
    ]
    curve = smooth_path(half)
    scoop = smooth_path([(-neck, 0.168), (0, 0.168 + 0.6 * neck), (neck, 0.168)])
    return np.concatenate([curve, curve[::-1] * (-1, 1), scoop])


def _sleeves(pose: Pose, length: float, width: float = 0.075) -> list[Piece]:
    """Sleeves down to ``length`` arm segments: 0.6 above the elbow, 2 at the wrist."""
    result = []
    for shoulder, elbow, wrist in pose.arms.values():
        if length <= 1:
            end = shoulder + (elbow - shoulder) * length
            outline = limb([shoulder, end], (width, width * 1.02))
        else:
            end = elbow + (wrist - elbow) * (length - 1)
            path = bent(np.stack([shoulder, elbow, end]))
            outline = limb(path, (width, width * 0.9, width * 0.84, width * 0.72))
        result.append(Piece(outline, tone=0.9, shading=0.3))
    return result


def _cuffs(pose: Pose, width: float, at: float = 0.84) -> list[Piece]:
    result = []
    for _, elbow, wrist in pose.arms.values():
        ends = elbow + np.outer((at, at + 0.1), wrist - elbow)
        result.append(Piece(band(ends, width), PLAIN, 0.72))
    return result


def _tee(pose: Pose) -> list[Piece]:
    collar = smooth_path([(-0.043, 0.168), (0, 0.194), (0.043, 0.168)])
    return [
        Piece(_body(pose, 0.515)),
        *_sleeves(pose, 0.62, 0.086),
        Piece(band(collar, 0.011), PLAIN, 0.75),
    ]


def _shirt(pose: Pose) -> list[Piece]:
    buttons = [
        Piece(ellipse(0, y, 0.006, 0.006, steps=10), "cream", 1, 0)
        for y in np.arange(0.22, 0.52, 0.05)
    ]
    lapels = [
        Piece(
            points((0, 0.195), (side * 0.05, 0.225), (side * 0.052, 0.16), (side * 0.03, 0.152)),
            "cream",
        )
        for side in (-1, 1)
    ]
    return [
        Piece(_body(pose, 0.525, 0.012)),
        *_sleeves(pose, 1.95, 0.074),
        *_cuffs(pose, 0.056),
        Piece(box(-0.012, 0.19, 0.012, 0.525), PLAIN, 0.82, 0),
        *buttons,
        *lapels,
    ]


def _jumper(pose: Pose) -> list[Piece]:
    h = pose.hip + 0.018
    return [
        Piece(_body(pose, 0.5, 0.02)),
        *_sleeves(pose, 1.95, 0.092),
        *_cuffs(pose, 0.07),
        Piece(points((-h, 0.485), (h, 0.485), (h - 0.008, 0.525), (8e-3 - h, 0.525)), PLAIN, 0.75),
        Piece(
            smooth(mirrored([(0.036, 0.138), (0.042, 0.16), (0.05, 0.19), (0.02, 0.2)])), PLAIN, 0.8
        ),
    ]


def _open_front(pose: Pose, hem: float, flare: float, gap: float) -> list[Piece]:
    """Two front panels with a gap between them that widens downwards."""
    s, w, h = pose.shoulder + 0.008, pose.waist + 0.026, pose.hip + 0.02
    side_line = smooth_path(
        [
            (0.036, 0.16),
            (s - 0.01, 0.178),
            (s + 0.008, 0.215),
            (s, 0.27),
            (w, 0.385),
            (h, 0.48),
            (h + flare, hem),
        ]
    )
    front = points((gap + 0.014, hem + 0.006), (gap, 0.36), (0.02, 0.25))
    panel = np.concatenate([side_line, front])
    lapel = points(
        (0.03, 0.152), (0.052, 0.168), (0.064, 0.235), (gap + 0.004, 0.34), (0.022, 0.24)
    )
    return [
        *(Piece(panel * (side, 1), shading=0.26) for side in (-1, 1)),
        *_sleeves(pose, 1.97, 0.09),
        *(Piece(lapel * (side, 1), PLAIN, 0.7) for side in (-1, 1)),
    ]


def _jacket(pose: Pose) -> list[Piece]:
    pockets = [
        Piece(band(points((side * 0.062, 0.445), (side * 0.098, 0.43)), 0.01), PLAIN, 0.6)
        for side in (-1, 1)
    ]
    h = pose.hip + 0.02
    hems = [
        Piece(
            points(
                (side * 0.046, 0.505),
                (side * (h + 0.004), 0.5),
                (side * h, 0.53),
                (side * 0.05, 0.536),
            ),
            PLAIN,
            0.72,
        )
        for side in (-1, 1)
    ]
    return [*_open_front(pose, 0.53, 0.004, 0.034), *pockets, *hems, *_cuffs(pose, 0.07)]


def _coat(pose: Pose) -> list[Piece]:
    pockets = [
        Piece(
            points(
                (side * 0.06, 0.5), (side * 0.112, 0.49), (side * 0.115, 0.53), (side * 0.063, 0.54)
            ),
            PLAIN,
            0.76,
        )
        for side in (-1, 1)
    ]
    buttons = [
        Piece(ellipse(side * 0.046, y, 0.008, 0.008, steps=10), "ink", 1, 0)
        for y in (0.38, 0.45, 0.52)
        for side in (-1, 1)
    ]
    return [*_open_front(pose, 0.78, 0.042, 0.022), *pockets, *buttons]


def _dress(pose: Pose) -> list[Piece]:
    s, w = pose.shoulder, pose.waist
    half = smooth_path(
        [
            (0.05, 0.168),
            (s - 0.02, 0.18),
            (s - 0.012, 0.25),
            (w + 0.004, 0.375),
            (w + 0.05, 0.5),
            (w + 0.105, 0.7),
        ]
    )
    hem = smooth_path(
        [(w + 0.105, 0.7), (0.08, 0.716), (0, 0.72), (-0.08, 0.716), (-w - 0.105, 0.7)]
    )
    neck = smooth_path([(-0.05, 0.168), (0, 0.212), (0.05, 0.168)])
    outline = np.concatenate([half, hem, half[::-1] * (-1, 1), neck])
    belt = smooth_path([(-w - 0.006, 0.375), (0, 0.385), (w + 0.006, 0.375)])
    return [
        Piece(outline, shading=0.28),
        *_sleeves(pose, 0.42, 0.08),
        Piece(band(belt, 0.02), PLAIN, 0.65),
    ]


def _skirt(pose: Pose) -> list[Piece]:
    w = pose.waist + 0.008
    half = smooth_path([(w, 0.405), (pose.hip + 0.018, 0.5), (w + 0.085, 0.69)])
    hem = smooth_path([(w + 0.085, 0.69), (0.06, 0.703), (-0.06, 0.703), (-w - 0.085, 0.69)])
    folds = [
        Piece(band(points((x, 0.47), (x * 2.1, 0.69)), (0.003, 0.008)), PLAIN, 0.78, 0)
        for x in (-0.055, 0.0, 0.055)
    ]
    return [
        Piece(np.concatenate([half, hem, half[::-1] * (-1, 1)]), shading=0.28),
        *folds,
        Piece(box(-w - 0.002, 0.395, w + 0.002, 0.422), PLAIN, 0.72),
    ]


def _legs(pose: Pose, length: float, widths: tuple[float, float, float]) -> list[Piece]:
    """Trouser legs down to ``length`` leg segments."""
    w, h = pose.waist + 0.01, pose.hip + 0.006
    seat = smooth_path([(w, 0.405), (h, 0.49), (h, 0.535)])
    result = []
    for hip, knee, ankle in pose.legs.values():
        if length <= 1:
            end = hip + (knee - hip) * length
            outline = limb([hip, end], (widths[0], widths[1]))
        else:
            end = knee + (ankle - knee) * (length - 1)
            outline = limb([hip, knee, end], widths)
        result.append(Piece(outline, shading=0.3))
    pelvis = np.concatenate([seat, points((0, 0.56)), seat[::-1] * (-1, 1)])
    return [
        *result,
        Piece(pelvis, shading=0.1),
        Piece(band(points((0, 0.43), (0, 0.555)), 0.004), PLAIN, 0.7, 0),
        Piece(box(-w, 0.395, w, 0.422), PLAIN, 0.72),
    ]


def _trousers(pose: Pose) -> list[Piece]:
    return _legs(pose, 1.97, (0.112, 0.09, 0.078))


def _shorts(pose: Pose) -> list[Piece]:
    return _legs(pose, 0.62, (0.116, 0.12, 0.12))


def _hat(pose: Pose) -> list[Piece]:
    crown = smooth(
        mirrored([(0.02, -0.132), (0.05, -0.122), (0.064, -0.06), (0.064, -0.036), (0.02, -0.034)])
    )
    ribbon = points((-0.0655, -0.062), (0.0655, -0.062), (0.066, -0.04), (-0.066, -0.04))
    brim = smooth(
        [
            (-0.125, -0.03),
            (-0.07, -0.05),
            (0, -0.053),
            (0.07, -0.05),
            (0.125, -0.03),
            (0.06, -0.024),
            (-0.06, -0.024),
        ]
    )
    return [
        Piece(moved(brim, *HEAD), tone=0.88),
        Piece(moved(crown, *HEAD)),
        Piece(moved(ribbon, *HEAD), PLAIN, 0.55),
    ]


def _scarf(pose: Pose) -> list[Piece]:
    loop = smooth(
        mirrored([(0.03, 0.13), (0.064, 0.15), (0.074, 0.185), (0.05, 0.213), (0.02, 0.218)])
    )
    tail = limb([(0.024, 0.2), (0.036, 0.28), (0.032, 0.4)], (0.045, 0.056, 0.062))
    short = limb([(-0.006, 0.205), (-0.022, 0.27), (-0.02, 0.33)], (0.04, 0.05, 0.054))
    fringe = [
        Piece(band(points((x, y), (x, y + 0.024)), 0.006), PLAIN, 0.7, 0)
        for x, y in (
            (0.01, 0.425),
            (0.024, 0.43),
            (0.038, 0.43),
            (0.052, 0.425),
            (-0.036, 0.35),
            (-0.02, 0.355),
            (-0.004, 0.35),
        )
    ]
    return [*fringe, Piece(short, tone=0.82), Piece(tail, tone=0.92), Piece(loop, shading=0.3)]


_GARMENTS: dict[str, Callable[[Pose], list[Piece]]] = {
    "t-shirt": _tee,
    "shirt": _shirt,
    "jumper": _jumper,
    "jacket": _jacket,
    "coat": _coat,
    "dress": _dress,
    "skirt": _skirt,
    "trousers": _trousers,
    "shorts": _shorts,
    "hat": _hat,
    "scarf": _scarf,
}
