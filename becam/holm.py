"""Many tests at once, corrected together."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction of a family of p values; None stays None and does not count."""
    family = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    reached = 0.0
    for done, (p, place) in enumerate(family):
        reached = max(reached, min(1.0, p * (len(family) - done)))
        corrected[place] = reached
    return corrected
