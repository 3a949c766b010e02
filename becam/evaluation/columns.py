"""What an explainer stands on: its checkpoints and their encoders."""

from __future__ import annotations

from becam.attribution.explainer import Explainer, Identity, _Column
from becam.attribution.view import Engine

Column = _Column
"""A checkpoint, with or without its adapter."""


def columns_of(explainer: Explainer) -> list[Column]:
    """All columns, in order."""
    return explainer._columns


def engines_of(explainer: Explainer) -> dict[Identity, Engine]:
    """Encoders by their identities, which columns name."""
    return explainer._engines
