"""One line for people out of whatever text an item has."""

from __future__ import annotations

import re
import unicodedata

LENGTH = 90

# A full stop after a letter or two is an abbreviation's: "S. Skinny Ankle", "No. 5".
_END = re.compile(r"(?<=[^\s.]{3}\.)\s|(?<=[!?])\s|(?<=[。！？])")
_INVISIBLE = ("Cc", "Cs", "Co")
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def title_of(text: str | None, name: str) -> str:
    """The first sentence or line of a text, cut; ``name`` where there is none.

    Control characters and marks of direction, which would reach beyond the title, are left out.

    Args:
        text: any.
        name: any, the item's id.
    """
    lines = (_plain(line) for line in (text or "")[: 20 * LENGTH].splitlines())
    first = next((line for line in lines if line), "")
    sentence = _END.split(first, maxsplit=1)[0].strip()
    return _cut(sentence.removesuffix(".") or _plain(name)) or "(no name)"


def _plain(line: str) -> str:
    kept = (
        character
        for character in line.replace("\t", " ")
        if unicodedata.category(character) not in _INVISIBLE and character not in _DIRECTIONS
    )
    return " ".join("".join(kept).split())


def _cut(line: str) -> str:
    if len(line) <= LENGTH:
        return line
    space = line.rfind(" ", LENGTH // 2, LENGTH)
    cut = line[: space if space > 0 else LENGTH - 1]
    # An emoji of several characters is shown whole or not at all.
    while cut and (cut[-1] == "\u200d" or unicodedata.category(line[len(cut)])[0] == "M"):
        cut = cut[:-1]
    return cut.rstrip() + "…"
