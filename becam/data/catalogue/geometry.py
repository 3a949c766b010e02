"""Outlines: closed polygons (n, 2) of x, y, with y pointing down."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Outline = NDArray[np.float64]


def points(*pairs: tuple[float, float]) -> Outline:
    """An outline from x, y pairs."""
    return np.array(pairs, dtype=np.float64)


def mirrored(right: ArrayLike) -> Outline:
    """A symmetric outline from its right half, top to bottom, about x = 0."""
    half = np.asarray(right, dtype=np.float64)
    return np.concatenate([half, half[::-1] * (-1.0, 1.0)])


@lru_cache(maxsize=8)
def _catmull_rom(steps: int) -> NDArray[np.float64]:
    t = np.arange(steps)[:, None] / steps
    weights = np.concatenate(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3], 1
    )
    return np.asarray(0.5 * weights)


def smooth(corners: ArrayLike, steps: int = 6) -> Outline:
    """The closed Catmull-Rom spline through ``corners``."""
    p = np.asarray(corners, dtype=np.float64)
    stacked = np.stack([np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0)], axis=1)
    return np.asarray(
        np.einsum("sk,nkc->nsc", _catmull_rom(steps), stacked).reshape(-1, p.shape[1])
    )


def smooth_path(corners: ArrayLike, steps: int = 6) -> Outline:
    """The open Catmull-Rom spline through ``corners``, both ends included."""
    p = np.asarray(corners, dtype=np.float64)
    p = np.concatenate([p[:1], p, p[-1:]])
    stacked = np.stack([p[:-3], p[1:-2], p[2:-1], p[3:]], axis=1)
    curve = np.einsum("sk,nkc->nsc", _catmull_rom(steps), stacked).reshape(-1, p.shape[1])
    return np.concatenate([curve, p[-1:]])


def ellipse(
    x: float, y: float, rx: float, ry: float, start: float = 0, stop: float = 360, steps: int = 28
) -> Outline:
    """An ellipse, or the part of it between two angles in degrees (0 right, 90 down)."""
    angle = np.radians(np.linspace(start, stop, steps))
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def box(left: float, top: float, right: float, bottom: float) -> Outline:
    """A rectangle."""
    return points((left, top), (right, top), (right, bottom), (left, bottom))


def rounded(left: float, top: float, right: float, bottom: float, radius: float) -> Outline:
    """A rectangle with round corners."""
    centres = (
        (right - radius, bottom - radius, 0),
        (left + radius, bottom - radius, 90),
        (left + radius, top + radius, 180),
        (right - radius, top + radius, 270),
    )
    return np.concatenate([ellipse(x, y, radius, radius, a, a + 90, 6) for x, y, a in centres])


def band(path: ArrayLike, widths: float | Sequence[float]) -> Outline:
    """The outline of a stroke along a path, with round ends; full width, one or one per point."""
    p = np.asarray(path, dtype=np.float64)
    half = np.broadcast_to(np.asarray(widths, dtype=np.float64) / 2, len(p))
    along = np.gradient(p, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-12
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * half[:, None]
    angle = np.linspace(0, np.pi, 7)[1:-1, None]
    tail = p[-1] + across[-1] * np.cos(angle) + along[-1] * half[-1] * np.sin(angle)
    head = p[0] - across[0] * np.cos(angle) - along[0] * half[0] * np.sin(angle)
    return np.concatenate([p + across, tail, (p - across)[::-1], head])


def limb(joints: ArrayLike, widths: Sequence[float], steps: int = 6) -> Outline:
    """A smooth tapering limb through joints with a full width at each."""
    curve = smooth_path(np.column_stack([np.asarray(joints, dtype=np.float64), widths]), steps)
    return band(curve[:, :2], list(curve[:, 2]))


def moved(outline: Outline, x: float, y: float) -> Outline:
    """The outline shifted by x and y."""
    return np.asarray(outline + np.array([x, y]))


def turned(outline: Outline, degrees: float, about: tuple[float, float] = (0, 0)) -> Outline:
    """The outline turned clockwise (on screen) about a point."""
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray((outline - about) @ rotation + about)
