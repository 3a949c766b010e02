"""BeCAM for texts: which words of an item agree with what behaviour says of it.

The words take the place of the channels (Eq. 1): what a mask leaves of the text is encoded again,
projected and adapted, and held against the ID embedding by the same similarity. A word's weight is
what it adds to that similarity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from becam.attribution.words.controls import WordControls
from becam.attribution.words.features import WordFeatures, encode_words
from becam.attribution.words.item_texts import TEXT, ItemTexts
from becam.attribution.words.weighting import (
    CONTRIBUTIONS,
    Contribution,
    contributions,
    measure_words,
)
from becam.attribution.words.written import WrittenText
from becam.checkpoint import Checkpoint
from becam.data.dataset import Dataset
from becam.encoders.recorded import EncodeText, load_matching_text
from becam.encoders.spec import EncoderRecord
from becam.errors import BecamError

_SAME_FEATURE = 0.99
"""Cosine of one text's feature encoded in bfloat16 and in float32, at the least."""


@dataclass(frozen=True)
class WordWeights:
    """One text explained through one checkpoint.

    Attributes:
        text: words and gaps, as written.
        weights: (n,) float32, signed, one a word; NaN for words that the encoder does not read.
        controls: how far the weights can be trusted to speak of the item.
        label: the checkpoint, and whether its adapter was left out.
        target: what the text was compared with, in words.
        options: every choice that made the weights, as plain values.
    """

    text: WrittenText
    weights: NDArray[np.float32]
    controls: WordControls
    label: str
    target: str
    options: dict[str, Any]

    def extremes(self, count: int = 3) -> tuple[list[int], list[int]]:
        """The words that speak most for the target and most against it, the strongest first."""
        order = [int(k) for k in np.argsort(-self.weights, kind="stable")]  # NaN comes last
        positive = [k for k in order if self.weights[k] > 0]
        negative = [k for k in reversed(order) if self.weights[k] < 0]
        return positive[:count], negative[:count]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the weight of a word that was not read is None."""
        weights = [None if np.isnan(w) else float(w) for w in self.weights]
        return {
            "label": self.label,
            "target": self.target,
            "options": self.options,
            "words": list(self.text.words),
            "gaps": list(self.text.gaps),
            "weights": weights,
            "controls": self.controls.to_dict(),
            "sentences": self.controls.sentences(),
        }


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
    """Weigh the words of an item's text through one or more checkpoints.

    A word's weight is the mean of what it adds to the similarity s of the empty text and of what
    it adds to the others: (s(word) - s(none)) / 2 + (s(all) - s(all without the word)) / 2, the
    first and the last term of its Shapley value.

    Args:
        item_id: the user's own id of the item.
        checkpoints: checkpoints, or paths of them.
        dataset: a dataset folder made by ``becam prepare``, for the item's text and for TF-IDF,
            which is fitted on all texts.
        text: in place of the dataset's.
        user_id: compare with this user's embedding instead of the item's.
        labels: a name for each checkpoint; by default the model and its adapter, and the path.
        no_adapter: before each checkpoint that has an adapter the same one with its adapter left
            out.
        space: ``adapted`` (the paper), ``content``: stop before the adapter, or ``change``: what
            the text changes in the adapted feature.
        contribution: ``both`` as above, or one of its terms: ``alone`` (the first) or
            ``left-out`` (the last).
        encoder: the text encoder's spec, for checkpoints whose features came with the data.
        weights: where the encoders' weights files are now; matched by their hash.
        batch_size: texts per forward pass.
        device: ``auto``, ``cpu``, ``cuda``.

    Returns:
        One entry for each checkpoint, and one more for each that ``no_adapter`` adds.

    Raises:
        BecamError: unknown ids or options, an item without text, checkpoints without a text
            modality, encoders that cannot be had or are not those of the training.
    """
    if space not in SPACES:
        raise BecamError(f"Unknown space {space!r}; use one of {', '.join(SPACES)}.")
    if contribution not in CONTRIBUTIONS:
        raise BecamError(
            f"Unknown contribution {contribution!r}; use one of {', '.join(CONTRIBUTIONS)}."
        )
    columns = _columns(checkpoints, labels, item_id, user_id, space, no_adapter)
    opened = dataset if dataset is None or isinstance(dataset, Dataset) else Dataset.open(dataset)
    texts = None if opened is None else ItemTexts(opened)
    written = _written(item_id, text, texts)
    encoded: dict[str, WordFeatures] = {}
    found = []
    for column in columns:
        if column.features not in encoded:
            encode = _encoder(column.checkpoint, texts, encoder, weights, device)
            encoded[column.features] = encode_words(written, encode, batch_size=batch_size)
        features = encoded[column.features]
        _check_width(column, features)
        stored = None if texts is None or text is not None else texts.features(column.checkpoint)
        if texts is not None and stored is not None:
            _check_stored(column.label, features, stored[texts.row(item_id)])
        found.append(_weigh(column, features, contribution))
    return found


@dataclass(frozen=True)
class _Column:
    label: str
    checkpoint: Checkpoint
    target: Target

    @property
    def features(self) -> str:
        """Checkpoints in which this is the same were trained on the same text features."""
        record = EncoderRecord.from_dict(self.checkpoint.modalities[TEXT].encoder)
        return f"{record.identity} {self.checkpoint.training.get('features')}"


def _columns(
    checkpoints: Sources,
    labels: Sequence[str] | None,
    item_id: str,
    user_id: str | None,
    space: Space,
    no_adapter: bool,
) -> list[_Column]:
    columns = []
    for source, given in named_sources(checkpoints, labels):
        checkpoint = loaded(source)
        if TEXT not in checkpoint.modalities:
            name = "The checkpoint" if isinstance(source, Checkpoint) else source
            raise BecamError(f"{name} was trained without texts, so none can be explained.")
        label = column_label(source, checkpoint, TEXT) if given is None else given
        columns += [
            _Column(name, checkpoint, _target(checkpoint, item_id, user_id, chosen))
            for name, chosen in before_and_after(
                label, checkpoint, TEXT, space=space, no_adapter=no_adapter
            )
        ]
    return columns


def _target(checkpoint: Checkpoint, item_id: str, user_id: str | None, space: Space) -> Target:
    if user_id is None:
        return item_target(checkpoint, item_id, space=space, modality=TEXT)
    return user_target(checkpoint, item_id, user_id, space=space, modality=TEXT)


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


def _encoder(
    checkpoint: Checkpoint,
    texts: ItemTexts | None,
    spec: str | None,
    weights: Sequence[str | Path],
    device: str,
) -> EncodeText:
    return load_matching_text(
        EncoderRecord.from_dict(checkpoint.modalities[TEXT].encoder),
        spec=spec,
        weights=weights,
        device=device,
        texts=None if texts is None else texts.all,
        stored=None if texts is None else texts.features(checkpoint),
    )


def _check_width(column: _Column, features: WordFeatures) -> None:
    expected = column.checkpoint.modalities[TEXT].projection_weight.shape[1]
    width = len(features.whole)
    if width != expected:
        raise BecamError(
            f"{column.label} projects text features of length {expected}, but the encoder gives "
            f"{width}; it was trained with another encoder."
        )


def _check_stored(label: str, features: WordFeatures, stored: NDArray[np.float32]) -> None:
    similarity = float(cosine(features.whole, torch.from_numpy(np.array(stored))))
    if similarity < _SAME_FEATURE:
        raise BecamError(
            f"The encoder's feature of this text is not the one that {label} was trained on "
            f"(cosine {similarity:.2f}), so the text or the encoder is another; run becam features "
            "and becam train again."
        )


def _weigh(column: _Column, features: WordFeatures, contribution: Contribution) -> WordWeights:
    target, checkpoint = column.target, column.checkpoint
    read = contributions(features, target, contribution)
    weights = np.full(len(features.text.words), np.nan, dtype=np.float32)
    weights[: features.read] = read.numpy()
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
