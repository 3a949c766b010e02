"""BeCAM for texts: which words of an item agree with what behaviour says of it.

The words take the place of the channels (Eq. 1): what a mask leaves of the text is encoded again,
projected and adapted, and held against the ID embedding by the same similarity. A word's weight is
what it adds to that similarity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from becam.attribution.labels import (
    Sources,
    before_and_after,
    column_label,
    loaded,
    named_sources,
)
from becam.attribution.target import SPACES, Space, Target, item_target, user_target
from becam.attribution.weighting import cosine
from becam.attribution.words.features import WordFeatures, encode_words
from becam.attribution.words.item_texts import TEXT, ItemTexts
from becam.attribution.words.weighting import (
    CONTRIBUTIONS,
    Contribution,
    contributions,
    measure_words,
)
from becam.attribution.words.word_weights import WordWeights
from becam.attribution.words.written import WrittenText
from becam.checkpoint import Checkpoint
from becam.data.dataset import Dataset
from becam.encoders.recorded import EncodeText, load_matching_text
from becam.encoders.spec import EncoderRecord
from becam.errors import BecamError
from becam.limits import PICTURES
from becam.memory import Batches

_SAME_FEATURE = 0.99
"""Cosine of one text's feature encoded in bfloat16 and in float32, at the least."""


@dataclass(frozen=True, eq=False)
class WordColumn:
    """A checkpoint, with its adapter or without: weights of the words of every text.

    Attributes:
        label: a name for people.
        checkpoint: what is explained.
        space: ``adapted``, ``content`` or ``change``.
    """

    label: str
    checkpoint: Checkpoint
    space: Space

    @property
    def features(self) -> str:
        """Checkpoints in which this is the same were trained on the same text features."""
        record = EncoderRecord.from_dict(self.checkpoint.modalities[TEXT].encoder)
        return f"{record.identity} {self.checkpoint.training.get('features')}"


class WordExplainer:
    """Weighs the words of texts through one or more checkpoints.

    A word's weight is the mean of what it adds to the similarity s of the empty text and of what
    it adds to the others: (s(word) - s(none)) / 2 + (s(all) - s(all without the word)) / 2, the
    first and the last term of its Shapley value.

    Encoders are loaded and TF-IDF is fitted once, when first needed, and a text is encoded once
    for each encoder however many checkpoints stand on it.

    Args:
        checkpoints: checkpoints with a text modality, or paths of them.
        dataset: a dataset folder made by ``becam prepare``, for the items' texts and for TF-IDF,
            which is fitted on them.
        labels: a name for each checkpoint; by default the model and its adapter, and the path.
        no_adapter: put beside each checkpoint that has an adapter the same one with its adapter
            left out.
        space: ``adapted`` (the paper), ``content``: stop before the adapter, or ``change``: what
            the text changes in the adapted feature.
        contribution: ``both`` as above, or one of its terms: ``alone`` (the first) or
            ``left-out`` (the last).
        encoder: the text encoder's spec, for checkpoints whose features came with the data.
        weights: where the encoders' weights files are now; matched by their hash.
        batch_size: texts per forward pass.
        device: ``auto``, ``cpu``, ``cuda``.

    Attributes:
        columns: one entry for each checkpoint, and one more for each that ``no_adapter`` adds.

    Raises:
        BecamError: unknown options, unreadable checkpoints or some without a text modality.
    """

    def __init__(
        self,
        checkpoints: Sources,
        *,
        dataset: Dataset | str | Path | None = None,
        labels: Sequence[str] | None = None,
        no_adapter: bool = False,
        space: Space = "adapted",
        contribution: Contribution = "both",
        encoder: str | None = None,
        weights: Sequence[str | Path] = (),
        batch_size: int = 64,
        device: str = "auto",
    ) -> None:
        if space not in SPACES:
            raise BecamError(f"Unknown space {space!r}; use one of {', '.join(SPACES)}.")
        if contribution not in CONTRIBUTIONS:
            raise BecamError(
                f"Unknown contribution {contribution!r}; use one of {', '.join(CONTRIBUTIONS)}."
            )
        self.columns = _columns(checkpoints, labels, space, no_adapter)
        opened = (
            dataset if dataset is None or isinstance(dataset, Dataset) else Dataset.open(dataset)
        )
        self._texts = None if opened is None else ItemTexts(opened)
        self._contribution: Contribution = contribution
        self._spec = encoder
        self._weights = weights
        PICTURES.check(batch_size, "--batch-size")
        self._batches = Batches(batch_size, "texts")
        self._device = device
        self._encoders: dict[str, EncodeText] = {}
        self._stored: dict[str, NDArray[np.float32] | None] = {}

    def prepare(self, column: WordColumn) -> None:
        """Load what encodes a column's texts, unless it is there.

        Raises:
            BecamError: an encoder that cannot be had or is not that of the training.
        """
        if column.features not in self._encoders:
            texts = self._texts
            self._encoders[column.features] = load_matching_text(
                EncoderRecord.from_dict(column.checkpoint.modalities[TEXT].encoder),
                spec=self._spec,
                weights=self._weights,
                device=self._device,
                texts=None if texts is None else texts.all,
                stored=self._trained_on(column),
            )

    def explain(
        self,
        item_id: str,
        *,
        text: str | None = None,
        user_id: str | None = None,
        columns: Sequence[WordColumn] | None = None,
    ) -> list[WordWeights]:
        """Weigh the words of one text, one entry a column.

        Args:
            item_id: the user's own id of the item.
            text: in place of the dataset's.
            user_id: compare with this user's embedding instead of the item's.
            columns: these of its columns alone.

        Raises:
            BecamError: unknown ids, an item without text, a text that the encoder does not know,
                encoders that cannot be had or are not those of the training.
        """
        chosen = self.columns if columns is None else columns
        # First the targets: an unknown id should not cost the loading of an encoder.
        targets = [_target(column, item_id, user_id) for column in chosen]
        written = _written(item_id, text, self._texts)
        encoded: dict[str, WordFeatures] = {}
        found = []
        for column, target in zip(chosen, targets, strict=True):
            if column.features not in encoded:
                self.prepare(column)
                encoded[column.features] = encode_words(
                    written, self._encoders[column.features], batch_size=self._batches
                )
            features = encoded[column.features]
            _check_width(column, features)
            if text is None:
                self._check_stored(column, item_id, features)
            found.append(_weigh(column, target, features, self._contribution))
        return found

    def _trained_on(self, column: WordColumn) -> NDArray[np.float32] | None:
        if self._texts is None:
            return None
        if column.features not in self._stored:
            self._stored[column.features] = self._texts.features(column.checkpoint)
        return self._stored[column.features]

    def _check_stored(self, column: WordColumn, item_id: str, features: WordFeatures) -> None:
        stored = self._trained_on(column)
        if self._texts is None or stored is None:
            return
        row = torch.from_numpy(np.array(stored[self._texts.row(item_id)]))
        similarity = float(cosine(features.whole, row))
        if similarity < _SAME_FEATURE:
            raise BecamError(
                f"The encoder's feature of this text is not the one that {column.label} was "
                f"trained on (cosine {similarity:.2f}), so the text or the encoder is another; run "
                "becam features and becam train again."
            )


def explain_words(
    item_id: str,
    checkpoints: Sources,
    *,
    dataset: Dataset | str | Path | None = None,
    text: str | None = None,
    user_id: str | None = None,
    labels: Sequence[str] | None = None,
    no_adapter: bool = False,
    space: Space = "adapted",
    contribution: Contribution = "both",
    encoder: str | None = None,
    weights: Sequence[str | Path] = (),
    batch_size: int = 64,
    device: str = "auto",
) -> list[WordWeights]:
    """Weigh the words of one item's text; for more items use :class:`WordExplainer`.

    Args:
        item_id: the user's own id of the item.
        checkpoints: checkpoints with a text modality, or paths of them.
        text: in place of the dataset's.
        user_id: compare with this user's embedding instead of the item's.
        dataset, labels, no_adapter, space, contribution, encoder, weights, batch_size, device: as
            of :class:`WordExplainer`.

    Returns:
        One entry for each checkpoint, and one more for each that ``no_adapter`` adds.

    Raises:
        BecamError: unknown ids or options, an item without text, checkpoints without a text
            modality, encoders that cannot be had or are not those of the training.
    """
    explainer = WordExplainer(
        checkpoints,
        dataset=dataset,
        labels=labels,
        no_adapter=no_adapter,
        space=space,
        contribution=contribution,
        encoder=encoder,
        weights=weights,
        batch_size=batch_size,
        device=device,
    )
    return explainer.explain(item_id, text=text, user_id=user_id)


def _columns(
    checkpoints: Sources, labels: Sequence[str] | None, space: Space, no_adapter: bool
) -> list[WordColumn]:
    columns = []
    for source, given in named_sources(checkpoints, labels):
        checkpoint = loaded(source)
        if TEXT not in checkpoint.modalities:
            name = "The checkpoint" if isinstance(source, Checkpoint) else source
            raise BecamError(f"{name} was trained without texts, so none can be explained.")
        label = column_label(source, checkpoint, TEXT) if given is None else given
        columns += [
            WordColumn(name, checkpoint, chosen)
            for name, chosen in before_and_after(
                label, checkpoint, TEXT, space=space, no_adapter=no_adapter
            )
        ]
    return columns


def _target(column: WordColumn, item_id: str, user_id: str | None) -> Target:
    if user_id is None:
        return item_target(column.checkpoint, item_id, space=column.space, modality=TEXT)
    return user_target(column.checkpoint, item_id, user_id, space=column.space, modality=TEXT)


def _written(item_id: str, text: str | None, texts: ItemTexts | None) -> WrittenText:
    if text is None and texts is None:
        raise BecamError("Give --dataset, whose text of the item is explained, or --item-text.")
    if text is None and texts is not None:
        text = texts.all[texts.row(item_id)]
    written = WrittenText.of(text or "")
    if not written.words:
        fault = "The text is empty" if texts is None else f"Item {item_id} has no text"
        raise BecamError(f"{fault}, so no word can be weighed; give one with --item-text.")
    return written


def _check_width(column: WordColumn, features: WordFeatures) -> None:
    expected = column.checkpoint.modalities[TEXT].projection_weight.shape[1]
    width = len(features.whole)
    if width != expected:
        raise BecamError(
            f"{column.label} projects text features of length {expected}, but the encoder gives "
            f"{width}; it was trained with another encoder."
        )


def _weigh(
    column: WordColumn, target: Target, features: WordFeatures, contribution: Contribution
) -> WordWeights:
    read = contributions(features, target, contribution)
    weights = np.full(len(features.text.words), np.nan, dtype=np.float32)
    weights[: features.read] = read.numpy()
    checkpoint = column.checkpoint
    record = EncoderRecord.from_dict(checkpoint.modalities[TEXT].encoder)
    return WordWeights(
        text=features.text,
        weights=weights,
        controls=measure_words(features, target, read, contribution),
        label=column.label,
        target=target.words,
        options={
            "contribution": contribution,
            "encoder": record.describe(),
            "space": target.space,
            "adapter": checkpoint.adapter_name(TEXT),
        },
    )
