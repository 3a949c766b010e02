"""Letters that a figure's font lacks: fonts of the machine that have them, and which nobody has.

A letter is always drawn by the first font, in an order that does not change, that has it: the same
text looks the same whatever was drawn before. Fonts are looked at only when a letter is lacking.
"""

from __future__ import annotations

import os
import re
import unicodedata
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import (
    FontEntry,
    FontProperties,
    findfont,
    findSystemFonts,
    fontManager,
    get_font,
)
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from numpy.typing import NDArray

from becam.errors import BecamWarning

MISSING = "□"
"""Stands for a letter that no font has."""

_PREFERRED = (
    *("notosanscjk", "sourcehansans", "pingfang", "hiragino", "msyh", "yugoth", "malgun"),
    *("wqy", "droidsansfallback", "notosans", "lohit", "nirmala", "arialunicode", "dejavusans"),
)
"""How names of files of fonts begin that go well with the rest."""
_OTHER_STYLES = re.compile(
    r"bold|italic|oblique|light|thin|medium|black|heavy|condensed|mono|serif|-[bi]\b", re.IGNORECASE
)
_NO_FONTS = re.compile(r"lastresort|blank|tofu|unifont", re.IGNORECASE)
"""Fonts that have a sign for every letter, and not the letter."""
_MOST_FONTS = 600
_SELECTORS = frozenset([*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])
"""Say how the letter before them looks; they are none."""
_FIRST_EMOJI = 0x1F000
_SHOWN = 12
_untold: set[str] = set()
_SCRIPTS = {
    "CJK": "Chinese",
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "KATAKANA-HIRAGANA": "Japanese",
    "HANGUL": "Korean",
}


def legible(figure: Figure) -> bool:
    """Give every text of a figure the fonts that its letters need; boxes where none has them.

    Returns:
        Whether there are letters that the usual font lacks.
    """
    lacking = False
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        string, families = text.get_text(), tuple(text.get_fontfamily())
        if not _is_plain(string):
            lacking = lacking or bool(_lacking(string, families))
            text.set_text(drawn(string, families))
            text.set_fontfamily(with_fallbacks(string, families))
    return lacking


def tell_missing() -> None:
    """Warn, in one sentence, of the letters that have become boxes since this was asked last."""
    # Marks that combine with a letter say little without it.
    found = sorted(_untold, key=lambda letter: (unicodedata.category(letter)[0] == "M", letter))
    _untold.clear()
    if not found:
        return
    scripts = sorted({_script(letter) for letter in found})
    more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
    emoji = " (Noto Emoji for emoji: fonts of coloured ones cannot be drawn)"
    warnings.warn(
        f"No font on this machine has these letters, so boxes stand for them: "
        f"{' '.join(found[:_SHOWN])}{more} ({', '.join(scripts)}); install one that has them, such "
        f"as Noto Sans CJK or Noto Sans{emoji if 'emoji' in scripts else ''}.",
        BecamWarning,
        stacklevel=3,
    )


def drawn(string: str, families: Sequence[str]) -> str:
    """A string with boxes for the letters that neither ``families`` nor any other font has.

    Signs that are no letters, such as those of direction, are left out where the fonts lack them,
    as are control characters but new lines; a tab becomes a space.
    """
    if _is_plain(string):
        return string
    string = string.replace("\t", " ")
    nowhere = {letter for letter in _lacking(string, families) if _font_of(letter) is None}
    _untold.update(nowhere)
    signs = {sign for sign in _unknown(string, families) if _is_sign(sign)}
    return string.translate({ord(c): MISSING if c in nowhere else None for c in nowhere | signs})


def with_fallbacks(string: str, families: Sequence[str]) -> list[str]:
    """``families``, and after them the fonts for the letters of a string that they lack."""
    places = {_font_of(letter) for letter in _lacking(string, families)}
    return [*families, *(_family(_fonts()[n]) for n in sorted(n for n in places if n is not None))]


def _lacking(string: str, families: Sequence[str]) -> set[str]:
    """The letters of a string that none of some families has."""
    if _is_plain(string):
        return set()
    return {
        letter
        for letter in _unknown(string, families)
        if not _is_sign(letter) and unicodedata.category(letter)[0] not in "CZ"
    }


def _unknown(string: str, families: Sequence[str]) -> set[str]:
    known = [_characters(family) for family in families]
    return {c for c in set(string) if not any(ord(c) in characters for characters in known)}


def _is_plain(string: str) -> bool:
    """Whether every font draws all of a string."""
    return string.isascii() and string.replace("\n", "").isprintable()


def _is_sign(character: str) -> bool:
    """Whether a character has no look of its own, and is no white space either."""
    kind = unicodedata.category(character)
    return ord(character) in _SELECTORS or kind == "Cf" or (kind == "Cc" and character != "\n")


@cache
def _characters(family: str) -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family=[family]))).get_charmap())


@cache
def _font_of(letter: str) -> int | None:
    """The place in :func:`_fonts` of the first that draws a letter; None where none does."""
    for place, path in enumerate(_fonts()):
        covered = _covered(path)
        at = int(np.searchsorted(covered, ord(letter)))
        if at < len(covered) and covered[at] == ord(letter) and _draws(path, letter):
            return place
    return None


@cache
def _fonts() -> tuple[str, ...]:
    """Files of fonts on the machine, the preferred ones first; one of a family is enough."""

    def rank(path: str) -> tuple[int, str, str]:
        name = re.sub(r"[^a-z0-9]", "", Path(path).stem.lower())
        places = (n for n, begin in enumerate(_PREFERRED) if name.startswith(begin))
        return next(places, len(_PREFERRED)), name, path

    plain = {
        path
        for path in findSystemFonts()
        if not _OTHER_STYLES.search(Path(path).stem) and not _NO_FONTS.search(path)
    }
    return tuple(sorted(plain, key=rank)[:_MOST_FONTS])


@cache
def _covered(path: str) -> NDArray[np.uint32]:
    """Code points that a font has outlines for, sorted; none where it cannot be read."""
    try:
        font = FT2Font(path)
        found = font.get_charmap() if font.scalable else {}  # pictures of coloured emoji are not
    except Exception:  # whatever a damaged file leads to: it is no font
        found = {}
    return np.sort(np.fromiter(found, dtype=np.uint32, count=len(found)))


def _draws(path: str, letter: str) -> bool:
    """Whether a font has more of a letter than an empty place."""
    font = FT2Font(path)
    font.load_char(ord(letter))
    return len(font.get_path()[0]) > 0


@cache
def _family(path: str) -> str:
    """A name by which matplotlib finds just this file, in bold letters its neighbour's."""
    name = f"becam {path}"
    bold = path.replace("Regular", "Bold")
    for file, weight in ((path, 400), (bold if os.path.isfile(bold) else path, 700)):
        fontManager.ttflist.append(FontEntry(fname=file, name=name, weight=weight, size="scalable"))
    return name


def _script(letter: str) -> str:
    if ord(letter) >= _FIRST_EMOJI and unicodedata.category(letter) in ("So", "Sk"):
        return "emoji"
    word = unicodedata.name(letter, "letters without a name").split()[0]
    return _SCRIPTS.get(word, word.capitalize())
