"""The encoders that a checkpoint remembers, of pictures and of texts, ready to encode again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor

from becam.encoders import load_encoder, load_recorded
from becam.encoders.base import Encoder
from becam.encoders.spec import EncoderRecord
from becam.encoders.text import SENTENCE_TRANSFORMERS, TFIDF, LatentSemantics, load_text_encoder
from becam.encoders.weights_files import check_weights_file
from becam.errors import BecamError
from becam.files import sha256
from becam.records import checked


@dataclass(frozen=True)
class _Fit:
    """What TF-IDF was fitted with."""

    dim: Annotated[int, Meta(ge=1, le=1 << 16)]
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


EncodeText = Callable[[Sequence[str]], Tensor]
"""Texts to features (B, d_m), float32 on the CPU."""

_SAME_FEATURE = 1e-3
"""A refitted TF-IDF may differ by rounding, which is far below this, in features of length 1."""


def load_matching(
    record: EncoderRecord, *, spec: str | None, weights: Sequence[str | Path], device: str
) -> Encoder:
    """The encoder behind a checkpoint's features, with the user's help where it needs some.

    Args:
        record: what the checkpoint remembers of it.
        spec: what the user says it is, for a record that does not know.
        weights: files of which the one with the record's hash is taken.
        device: ``auto``, ``cpu``, ``cuda``.

    Raises:
        BecamError: encoder or weights are not those of the record, or cannot be had.
    """
    if record.spec is None and spec is not None:
        return load_encoder(spec, weights=weights[0] if weights else None, device=device)
    _check_spec(record, spec)
    matching = [path for path in weights if _hash(path) == record.weights_sha256]
    if weights and not matching and record.weights_sha256 is not None:
        raise BecamError(
            f"None of the weights given is what the checkpoint was trained with "
            f"({record.describe()}); pass that file."
        )
    return load_recorded(record, weights=matching[0] if matching else None, device=device)


def load_matching_text(
    record: EncoderRecord,
    *,
    spec: str | None = None,
    weights: Sequence[str | Path] = (),
    device: str = "cpu",
    texts: Sequence[str] | None = None,
    stored: NDArray[np.float32] | None = None,
) -> EncodeText:
    """What encodes texts as the text features of a checkpoint were made.

    TF-IDF is a function of the texts it was fitted on, so it is fitted again on ``texts`` and has
    to give ``stored`` again.

    Args:
        record, spec, weights, device: as of :func:`load_matching`.
        texts: of all items of the dataset, in order; TF-IDF alone needs them.
        stored: their features (I, d_m) as the checkpoint was trained on them, likewise.

    Raises:
        BecamError: an encoder that nobody knows, that has no text tower or that cannot be had;
            a TF-IDF without texts, or whose features are not the stored ones.
    """
    known = record.spec or spec
    if known is None:
        raise BecamError(
            "The text features of this checkpoint came with the data and their encoder is unknown; "
            "name it with --encoder, such as sentence-transformers:NAME, or train on features of "
            "becam features."
        )
    if known == TFIDF or known.startswith(f"{TFIDF},"):
        _check_spec(record, spec)
        return _refitted(known, record, texts, stored)
    if known.startswith(SENTENCE_TRANSFORMERS):
        _check_spec(record, spec)
        encode, _ = load_text_encoder(known, progress=False, local=spec is None)
        return lambda texts: torch.from_numpy(encode(texts))
    tower = load_matching(record, spec=spec, weights=weights, device=device)
    return lambda texts: tower.encode_text(texts).float().cpu()


def _refitted(
    spec: str,
    record: EncoderRecord,
    texts: Sequence[str] | None,
    stored: NDArray[np.float32] | None,
) -> EncodeText:
    if texts is None:
        raise BecamError(
            "The checkpoint's text features are TF-IDF over all items' texts; give the dataset it "
            "was trained on with --dataset."
        )
    if stored is None:
        raise BecamError(
            "The dataset does not hold the text features that the checkpoint was trained on, so "
            "TF-IDF cannot be fitted again as then; give the dataset of the training."
        )
    _, default = load_text_encoder(spec)
    config = checked(
        record.config or default.config,
        _Fit,
        where="The checkpoint's record of its text encoder",
        remedy="run becam features and becam train again",
    )
    fitted = LatentSemantics(texts, dim=config.dim, seed=config.seed)
    found, expected = fitted.rows, np.asarray(stored)
    if found.shape != expected.shape or np.abs(found - expected).max() > _SAME_FEATURE:
        raise BecamError(
            "TF-IDF fitted again on the dataset's texts does not give the features that the "
            "checkpoint was trained on, so the texts or scikit-learn have changed since; run "
            "becam features and becam train again."
        )
    return lambda texts: torch.from_numpy(fitted(texts))


def deciding_weights(records: Iterable[EncoderRecord], weights: Sequence[str | Path]) -> list[str]:
    """Hashes of the weights files given, where features depend on them.

    A record that knows its encoder takes no other weights than its own; one that does not takes
    what the user gives.

    Raises:
        BecamError: a file is not there.
    """
    if all(record.spec is not None for record in records):
        return []
    return sorted(map(_hash, weights))


def _check_spec(record: EncoderRecord, spec: str | None) -> None:
    if record.spec is not None and spec is not None and spec != record.spec:
        raise BecamError(
            f"The checkpoint was trained on features of {record.describe()}, not of {spec}; leave "
            "--encoder out."
        )


def _hash(path: str | Path) -> str:
    check_weights_file(Path(path))  # before its hash, which takes long for a large file
    return sha256(path)
