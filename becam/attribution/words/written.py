"""A text as it is written: its words, and what stands between them."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class WrittenText:
    """Words and the white space around them, which together are the text again.

    A word is a run of anything but white space, so punctuation belongs to the word that it stands
    at, and a word that occurs twice is two words.

    Attributes:
        words: in their order, n of them.
        gaps: the white space before each word, and after the last one; n + 1 strings.
    """

    words: tuple[str, ...]
    gaps: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> WrittenText:
        """Take a text apart."""
        return cls(tuple(_WORD.findall(text)), tuple(_WORD.split(text)))

    def __str__(self) -> str:
        return self.gaps[0] + "".join(map("".join, zip(self.words, self.gaps[1:], strict=True)))

    def left(self, kept: Container[int]) -> str:
        """What a mask leaves: the words with these numbers, each with the space after it."""
        parts = zip(self.words, self.gaps[1:], strict=True)
        return "".join(w + gap for k, (w, gap) in enumerate(parts) if k in kept).rstrip()
