"""Fabric and print patterns: how much of the second colour is at each point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[Any]
"""float32; numpy's stubs would call its product with a float float64."""


def coverage(pattern: str, x: Field, y: Field, soft: float) -> Field:
    """Share of the second colour at each point, 0 to 1.

    Args:
        pattern: a name in ``PATTERNS`` other than ``solid``.
        x: horizontal coordinates in periods of the pattern, broadcastable with ``y``.
        y: vertical coordinates in periods.
        soft: the size of a pixel in periods; edges are this soft.
    """
    return _PATTERNS[pattern](x, y, soft)


def _edge(distance: Field, soft: float) -> Field:
    """1 inside (distance below zero), 0 outside, linear over a pixel."""
    return np.clip(0.5 - distance / soft, 0, 1)


def _centred(value: Field) -> Field:
    return value - np.floor(value) - 0.5


def _striped(x: Field, y: Field, soft: float) -> Field:
    return _edge(np.abs(_centred(y + 0 * x)) - 0.21, soft)


def _checked(x: Field, y: Field, soft: float) -> Field:
    across = _edge(np.abs(_centred(x)) - 0.22, soft)
    down = _edge(np.abs(_centred(y)) - 0.22, soft)
    return 0.55 * (across + down) - 0.1 * across * down


def _lattice(x: Field, y: Field) -> tuple[Field, Field]:
    """Offsets from the nearest point of a brick lattice."""
    shift = 0.5 * (np.floor(y) % 2)
    return _centred(x + shift), _centred(y)


def _dotted(x: Field, y: Field, soft: float) -> Field:
    dx, dy = _lattice(x, y * 1.1)
    return _edge(np.sqrt(dx * dx + dy * dy) - 0.27, soft)


def _floral(x: Field, y: Field, soft: float) -> Field:
    dx, dy = _lattice(x * 0.72, y * 0.8)
    square = dx * dx + dy * dy
    radius = np.sqrt(square) + np.float32(1e-6)
    # cos(5a) as a polynomial of cos(a): an arctangent per pixel would dominate the render time.
    c = dx / radius
    petals = 16 * c**5 - 20 * c**3 + 5 * c
    flower = _edge(radius - (0.3 + 0.12 * petals), soft)
    heart = _edge(radius - 0.1, soft)
    return np.asarray(flower * (1 - heart))


def _zigzag(x: Field, y: Field, soft: float) -> Field:
    peak = 2 * np.abs(_centred(x * 0.8))
    return _edge((np.abs(_centred(y + 0.75 * peak)) - 0.21) * np.float32(0.7), soft)


_PATTERNS: dict[str, Callable[[Field, Field, float], Field]] = {
    "striped": _striped,
    "checked": _checked,
    "dotted": _dotted,
    "floral": _floral,
    "zigzag": _zigzag,
}
