"""A word tokenizer over a closed vocabulary, with open_clip's calling convention."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

PADDING, UNKNOWN, START = range(3)
_WORD = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def words(text: str) -> list[str]:
    """The lower-case words of a text; hyphenated words are one."""
    return _WORD.findall(text.lower())


class WordTokenizer:
    """Words to ids: 0 padding, 1 unknown, 2 start, then the vocabulary, then the end.

    The end's id is the highest because open_clip pools a text at the argmax of its ids.

    Attributes:
        vocabulary: the known words.
        context_length: ids per text.
        vocab_size: rows that the token table needs.
        end: the id of the end.
    """

    def __init__(self, vocabulary: Sequence[str], context_length: int) -> None:
        self.vocabulary = tuple(vocabulary)
        self.context_length = context_length
        self._ids = {word: START + 1 + index for index, word in enumerate(self.vocabulary)}
        self.end = START + 1 + len(self.vocabulary)
        self.vocab_size = self.end + 1

    def encode(self, text: str) -> list[int]:
        """The ids of a text's words, without start, end and padding."""
        return [self._ids.get(word, UNKNOWN) for word in words(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """The known words behind ids; an unknown word reads ``?``."""
        first, last = START + 1, self.end
        known = [i for i in ids if first <= i < last or i == UNKNOWN]
        return " ".join("?" if i == UNKNOWN else self.vocabulary[i - first] for i in known)

    def __call__(self, texts: str | Sequence[str], context_length: int | None = None) -> Tensor:
        """Ids (n, context_length) int64; longer texts are cut, the end is always kept."""
        length = self.context_length if context_length is None else context_length
        rows = [texts] if isinstance(texts, str) else list(texts)
        result = torch.full((len(rows), length), PADDING, dtype=torch.long)
        for row, text in zip(result, rows, strict=True):
            ids = [START, *self.encode(text)[: length - 2], self.end]
            row[: len(ids)] = torch.tensor(ids)
        return result
