"""The expensive half of weighing words: a text's words through one encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from becam.attribution.words.written import WrittenText
from becam.encoders.recorded import EncodeText
from becam.errors import BecamError
from becam.memory import Batches, batches

_ROUNDING = 1e-5
"""Features that differ by less than this, relative to their length, are of the same input."""

_PROBES = 64
"""Beginnings of a text that tell where the encoder's reading ends; between two of them all do."""


@dataclass(frozen=True)
class WordFeatures:
    """A text under the masks of its words; it depends on text and encoder alone.

    Attributes:
        text: the text.
        read: how many words the encoder reads, r; it may cut a long text, or know none of the
            last words.
        blank: feature (d_m,) of the empty text.
        whole: feature (d_m,) of the text.
        alone: features (r, d_m) of each word alone.
        without: features (r, d_m) of the text without each word.
    """

    text: WrittenText
    read: int
    blank: Tensor
    whole: Tensor
    alone: Tensor
    without: Tensor


def encode_words(
    text: WrittenText, encode: EncodeText, *, batch_size: int | Batches = 64
) -> WordFeatures:
    """Encode a text, its beginnings, each word alone and the text without it: up to 3n texts.

    The beginnings tell how far the encoder reads: it says the same of all that are longer. What
    it never reads is left out of every mask, or it would move up where a word was taken out.

    Raises:
        BecamError: the encoder says the same of the text as of none, or what is not finite.
    """

    sizes = batches(batch_size, "texts")

    def features(texts: list[str]) -> Tensor:
        encoded = torch.cat([found for _, found in sizes.split(texts, encode)]).float().cpu()
        if not bool(encoded.isfinite().all()):
            raise BecamError("The encoder's features of this text are not finite; check its file.")
        return encoded

    n = len(text.words)
    # Of a long text some beginnings tell where to look closely, or it would take hours.
    step = max(1, n // _PROBES)
    places = range(0, n, step)
    beginnings = features([*(text.left(range(k)) for k in places), str(text)])
    whole = beginnings[-1]
    scale = beginnings.norm(dim=-1).max()

    def read_to(places: range, encoded: Tensor) -> int:
        """The number of words in the longest beginning that is not the same as the text, and 1."""
        differs = (encoded - whole).norm(dim=-1) > _ROUNDING * scale
        return places[int(differs.nonzero().max())] + 1 if differs.any() else 0

    read = read_to(places, beginnings[:-1])
    if read:
        between = range(read, min(read + step - 1, n))
        if between:
            read = max(read, read_to(between, features([text.left(range(k)) for k in between])))
    if read == 0:
        raise BecamError(
            "The encoder says the same of this text as of none, so it knows no word of it; give "
            "another text."
        )
    alone = [text.left({k}) for k in range(read)]
    without = [text.left(set(range(read)) - {k}) for k in range(read)]
    masked = features([*alone, *without])
    return WordFeatures(text, read, beginnings[0], whole, masked[:read], masked[read:])
