"""A drawn person: pose, skin, face and hair, in body units (0 top of the head, 1 the soles)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from becam.data.catalogue import palette
from becam.data.catalogue.attributes import CLOTHING, HAIR, SKIN, Person
from becam.data.catalogue.canvas import Canvas, Paint
from becam.data.catalogue.geometry import (
    Outline,
    band,
    ellipse,
    limb,
    mirrored,
    points,
    smooth,
    smooth_path,
)
from becam.data.catalogue.palette import RGB
from becam.data.catalogue.pieces import Placement

HEAD = (0.0, 0.08)
"""Centre of the head."""
RADII = (0.055, 0.07)
"""Half-width and half-height of the head."""

_ARMS = {
    "down": ((9, 4), (11, 2)),
    "hip": ((40, -56), (10, 3)),
    "both hips": ((40, -56), (40, -56)),
    "wave": ((62, 158), (9, 4)),
    "open": ((24, 12), (26, 14)),
}
"""Degrees from straight down, outwards: upper arm and forearm, for one side and the other."""


@dataclass(frozen=True)
class Pose:
    """The joints that garments hang on; sides are -1 (left in the picture) and 1.

    Attributes:
        arms: per side (3, 2): shoulder, elbow, wrist.
        legs: per side (3, 2): hip, knee, ankle.
        shoulder: half the width of the shoulders.
        waist: half the width of the waist.
        hip: half the width of the hips.
    """

    arms: dict[int, Outline]
    legs: dict[int, Outline]
    shoulder: float
    waist: float
    hip: float


def bent(joints: Outline) -> Outline:
    """A path along three joints that rounds the middle one, as flesh and cloth do."""
    first, middle, last = joints
    return np.stack([first, middle + 0.3 * (first - middle), middle + 0.3 * (last - middle), last])


def pose(person: Person, rng: np.random.Generator, *, hand_free: bool = True) -> Pose:
    """A pose; with ``hand_free`` false the arm on side 1 hangs down to carry something."""
    woman = person.sex == "woman"
    shoulder, waist, hip = (0.107, 0.072, 0.1) if woman else (0.126, 0.093, 0.096)
    names = list(_ARMS) if hand_free else ["down", "hip"]
    sides = _ARMS[names[rng.integers(len(names))]]
    if hand_free and rng.random() < 0.5:
        sides = sides[::-1]
    arms = {}
    for side, (upper, lower) in zip((-1, 1), sides, strict=True):
        angles = np.radians([upper + rng.uniform(-4, 4), lower + rng.uniform(-4, 4)])
        steps = np.stack([side * np.sin(angles), np.cos(angles)], axis=1)
        start = np.array([side * (shoulder - 0.018), 0.2])
        elbow = start + 0.155 * steps[0]
        arms[side] = np.stack([start, elbow, elbow + 0.15 * steps[1]])
    stance = rng.uniform(0.0, 0.03)
    bent = rng.uniform(-0.012, 0.012, 2)
    legs = {
        side: points(
            (side * 0.05, 0.5),
            (side * (0.053 + 0.5 * stance) + bent[index], 0.72),
            (side * (0.05 + stance), 0.935),
        )
        for index, side in enumerate((-1, 1))
    }
    return Pose(arms, legs, shoulder, waist, hip)


class Figure:
    """Draws one person's body on a canvas, back to front as ``render`` calls for it."""

    def __init__(
        self,
        canvas: Canvas,
        person: Person,
        stance: Pose,
        placement: Placement,
        rng: np.random.Generator,
    ) -> None:
        self.canvas = canvas
        self.person = person
        self.pose = stance
        self.placement = placement
        self.skin = palette.jittered(palette.SKIN[person.skin], rng, 0.7)
        self.hair = palette.jittered(palette.HAIR[person.hair_colour], rng, 0.5)
        self.shoes = (palette.INK, palette.LEATHER, palette.CREAM)[rng.integers(3)]
        self.parting = (-1, 1)[rng.integers(2)]

    def _fill(self, outline: Outline, colour: RGB, label: int, shading: float = 0.18) -> None:
        paint = Paint(colour=colour, shading=shading)
        self.canvas.fill(self.placement(outline), paint, label)

    def back_hair(self) -> None:
        """The hair behind the head and the shoulders."""
        x, y = HEAD
        dark = palette.scaled(self.hair, 0.86)
        style = self.person.hair_style
        if style == "long":
            right = [
                (0.03, -0.005),
                (0.066, 0.03),
                (0.074, 0.1),
                (0.086, 0.2),
                (0.08, 0.29),
                (0.04, 0.3),
            ]
            self._fill(smooth(mirrored(right)), dark, HAIR)
        elif style == "curly":
            for angle in np.radians(np.arange(150, 400, 25)):
                curl = ellipse(
                    x + 0.068 * np.cos(angle), y - 0.008 + 0.074 * np.sin(angle), 0.034, 0.034
                )
                self._fill(curl, dark, HAIR)
        elif style == "bun":
            self._fill(ellipse(x, y - 0.088, 0.036, 0.032), dark, HAIR)

    def legs(self) -> None:
        """Bare legs and shoes."""
        for side, joints in self.pose.legs.items():
            self._fill(limb(joints, (0.098, 0.066, 0.042)), self.skin, SKIN)
            ankle = joints[2]
            shoe = smooth(
                points(
                    (-0.026, -0.012),
                    (0.026, -0.012),
                    (0.032 + 0.014 * side, 0.042),
                    (0.0 + 0.016 * side, 0.058),
                    (-0.032 + 0.014 * side, 0.042),
                )
            )
            self._fill(shoe + ankle, self.shoes, CLOTHING)

    def torso(self) -> None:
        """Bare trunk and neck."""
        s, w, h = self.pose.shoulder, self.pose.waist, self.pose.hip
        right = [
            (0.03, 0.165),
            (s - 0.012, 0.19),
            (s - 0.012, 0.25),
            (w, 0.385),
            (h, 0.5),
            (0.03, 0.55),
        ]
        self._fill(smooth(mirrored(right)), self.skin, SKIN)
        self._fill(
            points((-0.026, 0.12), (0.026, 0.12), (0.032, 0.185), (-0.032, 0.185)),
            palette.scaled(self.skin, 0.88),
            SKIN,
        )

    def arm(self, side: int) -> None:
        """One bare arm."""
        self._fill(limb(bent(self.pose.arms[side]), (0.056, 0.048, 0.045, 0.034)), self.skin, SKIN)

    def hand(self, side: int) -> None:
        """One hand; drawn after the sleeves."""
        joints = self.pose.arms[side]
        along = joints[2] - joints[1]
        fingers = joints[2] + along / np.linalg.norm(along) * np.array([[0.012], [0.032]])
        self._fill(limb(fingers, (0.034, 0.03)), palette.scaled(self.skin, 0.97), SKIN)

    def head(self) -> None:
        """Head, ears and face."""
        x, y = HEAD
        rx, ry = RADII
        for side in (-1, 1):
            self._fill(
                ellipse(x + side * rx, y + 0.006, 0.012, 0.018),
                palette.scaled(self.skin, 0.93),
                SKIN,
            )
        jaw = 0.88 if self.person.sex == "woman" else 1.0
        right = [
            (0.028, -ry),
            (rx, -0.03),
            (rx * 0.97, 0.02),
            (rx * 0.7 * jaw, 0.055),
            (0.012 * jaw, ry),
        ]
        self._fill(smooth(mirrored(right)) + HEAD, self.skin, SKIN, 0.14)
        self._face(x, y)

    def _face(self, x: float, y: float) -> None:
        brow = palette.mixed(self.hair, palette.INK, 0.35)
        lip = palette.mixed(self.skin, (188, 62, 72), 0.75 if self.person.sex == "woman" else 0.45)
        blush = palette.mixed(self.skin, (236, 110, 100), 0.28)
        for side in (-1, 1):
            eye = x + side * 0.022
            self._fill(ellipse(x + side * 0.032, y + 0.026, 0.012, 0.008), blush, SKIN, 0)
            self._fill(ellipse(eye, y + 0.004, 0.0095, 0.0065), (252, 252, 250), SKIN, 0)
            self._fill(ellipse(eye, y + 0.004, 0.0052, 0.0062), palette.INK, SKIN, 0)
            path = smooth_path(
                [(eye - 0.012, y - 0.014), (eye, y - 0.019), (eye + 0.012, y - 0.014)]
            )
            self._fill(band(path, 0.005), brow, SKIN, 0)
        nose = smooth_path([(x + 0.001, y + 0.006), (x + 0.006, y + 0.024), (x - 0.004, y + 0.026)])
        self._fill(band(nose, 0.004), palette.scaled(self.skin, 0.78), SKIN, 0)
        smile = smooth(
            [(x - 0.018, y + 0.038), (x, y + 0.041), (x + 0.018, y + 0.038), (x, y + 0.051)]
        )
        self._fill(smile, lip, SKIN, 0)

    def front_hair(self) -> None:
        """The hair over the forehead and beside the face."""
        x, y = HEAD
        style = self.person.hair_style
        p = self.parting
        cap = [
            (-0.061, 0.008),
            (-0.064, -0.03),
            (-0.045, -0.073),
            (0.0, -0.088),
            (0.045, -0.073),
            (0.064, -0.03),
            (0.061, 0.008),
            (0.05, -0.018),
            (0.03 - 0.01 * p, -0.043 + 0.006 * p),
            (0.018 * p, -0.05),
            (-0.03 - 0.01 * p, -0.043 - 0.006 * p),
            (-0.05, -0.018),
        ]
        self._fill(smooth(cap) + HEAD, self.hair, HAIR, 0.3)
        if style == "long":
            for side in (-1, 1):
                lock = [(side * 0.054, -0.03), (side * 0.064, 0.05), (side * 0.068, 0.16)]
                self._fill(limb(np.array(lock) + HEAD, (0.016, 0.026, 0.02)), self.hair, HAIR, 0.3)
        elif style == "curly":
            for angle in np.radians(np.arange(195, 350, 26)):
                curl = ellipse(
                    x + 0.05 * np.cos(angle), y - 0.014 + 0.06 * np.sin(angle), 0.025, 0.024
                )
                self._fill(curl, self.hair, HAIR, 0.35)
