"""Every item's picture and text through the encoders, into a dataset's feature set."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from becam.data.dataset import MODALITIES, Dataset, FeatureSet
from becam.data.features import FeatureWriter
from becam.devices import autocast, resolve_device, resolve_precision
from becam.encoders import load_encoder
from becam.encoders.base import Encoder
from becam.encoders.reach import warn_unless_explained
from becam.encoders.spec import EncoderRecord, slug
from becam.encoders.text import TFIDF, load_text_encoder
from becam.errors import BecamError
from becam.images import read_image
from becam.progress import bar

NO_TEXT = "none"
OWN_TOWER = "own"

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
        text_encoder: ``own`` (the encoder's text tower), ``tfidf``,
            ``sentence-transformers:NAME`` or ``none``; by default ``own``, or ``tfidf`` where the
            encoder has no text tower.
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
    warn_unless_explained(model)
    name = slug(name or encoder.partition(",")[0].removesuffix(".json").replace("/", "-"))
    dtype = resolve_precision(precision, resolve_device(device))
    text_encoder = text_encoder or (OWN_TOWER if model.has_text else TFIDF)
    modalities = ("image",) if text_encoder == NO_TEXT else MODALITIES

    def writer(modality: str, record: EncoderRecord, dim: int) -> FeatureWriter:
        return FeatureWriter(
            dataset,
            name,
            modality,
            record.to_dict(),
            dim,
            modalities=modalities,
            overwrite=overwrite,
        )

    if text_encoder != NO_TEXT and not any(dataset.items["text"]):
        raise BecamError(
            "The items of this dataset have no text; pass --text-encoder none to go without."
        )
    _write_images(dataset, model, writer("image", model.record, model.dim), batch_size, dtype)
    if text_encoder == OWN_TOWER:
        _write_texts(dataset, model, writer("text", model.record, model.dim), batch_size, dtype)
    elif text_encoder != NO_TEXT:
        encode, record = load_text_encoder(text_encoder, seed=seed)
        features = encode(dataset.items["text"].fill_null("").to_list())
        text_writer = writer("text", record, features.shape[1])
        missing = np.flatnonzero(~text_writer.done())
        text_writer.write(missing, features[missing])
        text_writer.finish()
    return dataset.feature_set(name)


def _write_images(
    dataset: Dataset,
    model: Encoder,
    writer: FeatureWriter,
    batch_size: int,
    dtype: torch.dtype,
) -> None:
    missing = np.flatnonzero(~writer.done())
    done = dataset.n_items - len(missing)
    with bar(
        desc="Encoding pictures", total=dataset.n_items, unit="picture", initial=done
    ) as progress:
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
    writer: FeatureWriter,
    batch_size: int,
    dtype: torch.dtype,
) -> None:
    texts = dataset.items["text"].fill_null("").to_list()
    missing = np.flatnonzero(~writer.done())
    done = dataset.n_items - len(missing)
    with bar(desc="Encoding texts", total=dataset.n_items, unit="text", initial=done) as progress:
        for start in range(0, len(missing), batch_size):
            rows = missing[start : start + batch_size]
            with autocast(model.device, dtype):
                encoded = model.encode_text([texts[row] for row in rows])
            writer.write(rows, encoded.float().cpu().numpy())
            progress.update(len(rows))
    writer.finish()
