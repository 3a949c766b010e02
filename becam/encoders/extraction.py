"""Every item's picture and text through the encoders, into a dataset's feature set."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from becam.data.dataset import Dataset, FeatureSet
from becam.data.features import FeatureWriter
from becam.devices import autocast, resolve_device, resolve_precision
from becam.encoders import load_encoder
from becam.encoders.base import Encoder
from becam.encoders.spec import EncoderRecord, slug
from becam.encoders.text import TFIDF, load_text_encoder
from becam.errors import BecamError
from becam.images import read_image
from becam.progress import bar

NO_TEXT = "none"

_DECODERS = 4
_READ_AHEAD = 2


def extract_features(
    dataset: Dataset,
    encoder: str,
    *,
    weights: str | Path | None = None,
    text_encoder: str | None = None,
    name: str | None = None,
    batch_size: int = 64,
    device: str = "auto",
    precision: str = "auto",
    seed: int = 0,
    overwrite: bool = False,
) -> FeatureSet:
    """Write image and text features of all items; goes on where an earlier call was stopped.

    Args:
        dataset: its items need pictures.
        encoder: spec of the image encoder.
        weights: local weights of the image encoder.
        text_encoder: ``tfidf``, ``sentence-transformers:NAME``, ``none``; by default the
            encoder's own text tower, or ``tfidf`` where it has none.
        name: of the feature set; by default after the encoder's spec.
        batch_size: pictures per forward pass.
        device: ``auto``, ``cpu``, ``cuda``.
        precision: the encoder's arithmetic; features are stored as float32.
        seed: of the SVD behind ``tfidf``.
        overwrite: replace a finished feature set of that name.

    Raises:
        BecamError: unknown specs, items without pictures or texts, a feature set of that name
            by another encoder.
    """
    if batch_size < 1:
        raise BecamError("--batch-size must be at least 1.")
    model = load_encoder(encoder, weights=weights, device=device)
    name = slug(name or encoder.partition(",")[0].removesuffix(".json").replace("/", "-"))
    dtype = resolve_precision(precision, resolve_device(device))
    _write_images(dataset, model, name, batch_size, dtype, overwrite)
    text_encoder = text_encoder or ("" if model.has_text else TFIDF)
    if text_encoder != NO_TEXT:
        _write_texts(dataset, model, text_encoder, name, batch_size, dtype, seed, overwrite)
    return dataset.feature_set(name)


def _write_images(
    dataset: Dataset,
    model: Encoder,
    name: str,
    batch_size: int,
    dtype: torch.dtype,
    overwrite: bool,
) -> None:
    writer = FeatureWriter(
        dataset, name, "image", model.record.to_dict(), model.dim, overwrite=overwrite
    )
    missing = np.flatnonzero(~writer.done())
    done = dataset.n_items - len(missing)
    with bar(desc="pictures", total=dataset.n_items, unit="pic", initial=done) as progress:
        for rows, pixels in _batches(dataset, model, missing, batch_size):
            with torch.inference_mode(), autocast(model.device, dtype):
                features = model.encode_image(pixels.to(model.device))
            writer.write(rows, features.float().cpu().numpy())
            progress.update(len(rows))
    writer.finish()


def _batches(
    dataset: Dataset, model: Encoder, rows: NDArray[np.int64], batch_size: int
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Decode in threads, a little ahead of the encoder."""

    def load(row: int) -> Tensor:
        path = dataset.image_path(row)
        if path is None:
            raise BecamError(
                f"Item {dataset.item_ids[row]} has no picture, so this dataset has no picture "
                "features to extract; prepare it from a source with pictures."
            )
        return model.preprocessing(read_image(path))[0]

    chunks = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    with ThreadPoolExecutor(_DECODERS) as pool:
        pending = [pool.map(load, map(int, chunk)) for chunk in chunks[:_READ_AHEAD]]
        for position, chunk in enumerate(chunks):
            pixels = torch.stack(list(pending.pop(0)))
            if position + _READ_AHEAD < len(chunks):
                pending.append(pool.map(load, map(int, chunks[position + _READ_AHEAD])))
            yield chunk, pixels


def _write_texts(
    dataset: Dataset,
    model: Encoder,
    text_encoder: str,
    name: str,
    batch_size: int,
    dtype: torch.dtype,
    seed: int,
    overwrite: bool,
) -> None:
    texts = dataset.items["text"].to_list()
    if not any(texts):
        raise BecamError(
            "The items of this dataset have no text; pass --text-encoder none to go without."
        )
    if text_encoder:
        encode, record = load_text_encoder(text_encoder, seed=seed)
        features = encode(texts)
        writer = _text_writer(dataset, name, record, features.shape[1], overwrite)
        missing = np.flatnonzero(~writer.done())
        writer.write(missing, features[missing])
        writer.finish()
        return
    writer = _text_writer(dataset, name, model.record, model.dim, overwrite)
    missing = np.flatnonzero(~writer.done())
    done = dataset.n_items - len(missing)
    with bar(desc="texts", total=dataset.n_items, unit="text", initial=done) as progress:
        for start in range(0, len(missing), batch_size):
            rows = missing[start : start + batch_size]
            with autocast(model.device, dtype):
                encoded = model.encode_text([texts[row] for row in rows])
            writer.write(rows, encoded.float().cpu().numpy())
            progress.update(len(rows))
    writer.finish()


def _text_writer(
    dataset: Dataset, name: str, record: EncoderRecord, dim: int, overwrite: bool
) -> FeatureWriter:
    return FeatureWriter(dataset, name, "text", record.to_dict(), dim, overwrite=overwrite)
