"""Texts of other programs and files, made fit for sentences."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_LONGEST = 200


def printable(text: str) -> str:
    """A text of others: short, and without what would move a terminal."""
    kept = "".join(letter for letter in re.sub(_ESCAPE, "", text) if letter.isprintable())
    return kept[:_LONGEST]


def first_line(error: Exception) -> str:
    """What an error says, without the rest of it."""
    lines = str(error).strip().splitlines()
    return printable(lines[0] if lines else type(error).__name__).rstrip(".")


def describe_mismatch(missing: list[str], unexpected: list[str]) -> str:
    """The first names that do not fit."""
    parts = []
    if missing:
        parts.append(f"{len(missing)} missing, such as {printable(missing[0])}")
    if unexpected:
        parts.append(f"{len(unexpected)} unknown, such as {printable(unexpected[0])}")
    return "; ".join(parts)
