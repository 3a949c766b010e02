"""An item's picture and text through every column: the expensive half of a gallery."""

from __future__ import annotations

import numpy as np
import torch

from becam.attribution.explainer import Column as ExplainedColumn
from becam.attribution.explainer import Explainer
from becam.attribution.heatmap import Heatmap
from becam.attribution.methods import Method
from becam.attribution.view import View
from becam.attribution.words.explainer import WordColumn, WordExplainer
from becam.errors import BecamError
from becam.evaluation.subjects import Subject
from becam.gallery.maps import ItemMap
from becam.gallery.model import Word

_BINS = 24


class ItemExplainer:
    """Explains single items.

    Args:
        explainer: checkpoints on their encoders.
        methods: a picture is encoded once for all of them.
        words: of the checkpoints whose texts are explained; None where none are.
        word_columns: those of its columns that can be explained.

    Attributes:
        wordless: ids of the items so far whose text could not be explained, and why.
    """

    def __init__(
        self,
        explainer: Explainer,
        methods: list[Method],
        words: WordExplainer | None = None,
        word_columns: list[WordColumn] | None = None,
    ) -> None:
        self._explainer = explainer
        self._methods = methods
        self._words = words
        self._word_columns = word_columns or []
        self.wordless: list[tuple[str, str]] = []

    def maps(self, subject: Subject, text: str) -> list[ItemMap]:
        """One a column: all methods of the first checkpoint, then those of the next.

        Raises:
            UnreadablePicture: the picture cannot be read.
            BecamError: what would happen to every item.
        """
        views = self._explainer.encode(subject.path)
        found = [
            self._explainer.score(views, subject.name, method=method) for method in self._methods
        ]
        words = self._weighed(subject.name) if text.strip() else {}
        return [
            _item_map(maps[number], views[column.engine], _words_of(words, column))
            for number, column in enumerate(self._explainer.columns)
            for maps in found
        ]

    def _weighed(self, item_id: str) -> dict[tuple[int, str], tuple[Word, ...]]:
        """Words by checkpoint and space; empty where this text cannot be explained."""
        if self._words is None or not self._word_columns:
            return {}
        try:
            found = self._words.explain(item_id, columns=self._word_columns)
        except BecamError as error:  # such as a text of which the encoder knows no word
            self.wordless.append((item_id, str(error)))
            return {}
        return {
            (id(column.checkpoint), column.space): tuple(
                Word(word, None if np.isnan(weight) else float(weight))
                for word, weight in zip(one.text.words, one.weights, strict=True)
            )
            for column, one in zip(self._word_columns, found, strict=True)
        }


def _words_of(
    words: dict[tuple[int, str], tuple[Word, ...]], column: ExplainedColumn
) -> tuple[Word, ...] | None:
    # Without an adapter of its own, a text is the same before and after.
    checkpoint = id(column.checkpoint)
    return words.get((checkpoint, column.space), words.get((checkpoint, "adapted")))


def _item_map(heatmap: Heatmap, view: View, words: tuple[Word, ...] | None) -> ItemMap:
    return ItemMap(
        raw=heatmap.raw,
        geometry=heatmap.geometry,
        controls=heatmap.controls,
        options=heatmap.options,
        weights=_histogram(heatmap, view),
        words=words,
    )


def _histogram(heatmap: Heatmap, view: View) -> tuple[tuple[int, ...], tuple[float, float]] | None:
    """Live channels' weights in equal bins, and the outer edges."""
    if not len(heatmap.weights) or not bool(view.live.any()):
        return None
    # In double precision: after BeFA weights may differ in their last digits alone.
    live = torch.from_numpy(heatmap.weights)[view.live].double().numpy()
    counts, edges = np.histogram(live, _BINS)
    return tuple(int(count) for count in counts), (float(edges[0]), float(edges[-1]))
