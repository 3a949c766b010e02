"""How state dicts differ, in words."""

from __future__ import annotations

from becam.errors import printable


def describe_mismatch(missing: list[str], unexpected: list[str]) -> str:
    """The first names that do not fit."""
    parts = []
    if missing:
        parts.append(f"{len(missing)} missing, such as {printable(missing[0])}")
    if unexpected:
        parts.append(f"{len(unexpected)} unknown, such as {printable(unexpected[0])}")
    return "; ".join(parts)
