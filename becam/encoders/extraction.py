"""Every item's picture and text through the encoders, into a dataset's feature set."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from becam.colour import CONVERT, IGNORE, Icc
from becam.data.dataset import MODALITIES, Dataset, FeatureSet
from becam.data.features import FeatureWriter, begun_by
from becam.devices import autocast, resolve_device, resolve_precision
from becam.encoders import load_encoder
from becam.encoders.base import Encoder
from becam.encoders.reach import warn_unless_explained
from becam.encoders.spec import EncoderRecord, slug
from becam.encoders.text import TFIDF, load_text_encoder
from becam.errors import BecamError
from becam.files import check_output_folder, filling, sweep, write_json
from becam.images import UnreadablePicture, read_image
from becam.limits import PICTURES, SEED
from becam.memory import Batches
from becam.progress import bar

NO_TEXT = "none"
OWN_TOWER = "own"

FAILED = "image.failed.json"
"""In a feature set's folder: pictures that could not be read, until they can."""

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
    icc: Icc | None = None,
    overwrite: bool = False,
) -> FeatureSet:
    """Write image and text features of all items; goes on where an earlier call was stopped.

    Pictures that cannot be read hold up no others: all else is written, they are listed in
    ``image.failed.json`` of the feature set's folder, and the call ends with an error.

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
        icc: ``convert`` pictures to sRGB by their colour profiles, or ``ignore`` these; by default
            as a feature set of that name was begun, else ``convert``.
        overwrite: replace a finished feature set of that name.

    Raises:
        BecamError: unknown specs, items without pictures or texts, pictures that cannot be read,
            a feature set of that name by another encoder.
    """
    if icc not in (None, CONVERT, IGNORE):
        raise BecamError(f"There is no --icc {icc}; choose {CONVERT} or {IGNORE}.")
    PICTURES.check(batch_size, "--batch-size")
    SEED.check(seed, "--seed")
    name = slug(name or encoder.partition(",")[0].removesuffix(".json").replace("/", "-"))
    folder = dataset.path / "features" / name
    check_output_folder(folder)
    with filling(folder) as alone:
        sweep(folder, alone=alone)
        model = load_encoder(encoder, weights=weights, device=device)
        warn_unless_explained(model)
        dtype = resolve_precision(precision, resolve_device(device))
        text_encoder = text_encoder or (OWN_TOWER if model.has_text else TFIDF)
        modalities = ("image",) if text_encoder == NO_TEXT else MODALITIES
        if icc is None:
            begun = None if overwrite else begun_by(dataset, name, "image")
            icc = CONVERT if begun is None else EncoderRecord.from_dict(begun).icc
        record = replace(model.record, icc=icc)

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
        image_writer = writer("image", record, model.dim)
        failures = _write_images(dataset, model, icc, image_writer, batch_size, dtype)
        if text_encoder == OWN_TOWER:
            _write_texts(dataset, model, writer("text", model.record, model.dim), batch_size, dtype)
        elif text_encoder != NO_TEXT:
            encode, text_record = load_text_encoder(text_encoder, seed=seed)
            features = encode(dataset.items["text"].fill_null("").to_list())
            text_writer = writer("text", text_record, features.shape[1])
            missing = np.flatnonzero(~text_writer.done())
            text_writer.write(missing, features[missing])
            text_writer.finish()
        if failures:
            raise _unfinished(dataset, image_writer, failures)
    return dataset.feature_set(name)


@dataclass(frozen=True)
class _Failure:
    """A picture that cannot be read.

    Attributes:
        id: of its item.
        image: its path.
        reason: a sentence.
    """

    id: str
    image: str
    reason: str


def _write_images(
    dataset: Dataset,
    model: Encoder,
    icc: Icc,
    writer: FeatureWriter,
    batch_size: int,
    dtype: torch.dtype,
) -> list[_Failure]:
    """Write the features of all pictures that can be read, and list the others."""
    missing = np.flatnonzero(~writer.done())
    done = dataset.n_items - len(missing)
    failures: list[_Failure] = []
    sizes = Batches(batch_size)

    def encode(pixels: Tensor) -> Tensor:
        with torch.inference_mode(), autocast(model.device, dtype):
            return model.encode_image(pixels.to(model.device)).float().cpu()

    with bar(
        desc="Encoding pictures", total=dataset.n_items, unit="picture", initial=done
    ) as progress:
        for rows, pixels, failed in _batches(dataset, model, icc, missing, batch_size):
            failures += failed
            if len(rows):
                features = torch.cat([found for _, found in sizes.split(pixels, encode)])
                writer.write(rows, features.numpy())
            progress.update(len(rows))
    path = writer.folder / FAILED
    if failures:
        write_json(path, [asdict(failure) for failure in failures])
    else:
        writer.finish()
        path.unlink(missing_ok=True)
    return failures


def _unfinished(dataset: Dataset, writer: FeatureWriter, failures: list[_Failure]) -> BecamError:
    first = failures[0]
    return BecamError(
        f"{len(failures):,} of {dataset.n_items:,} pictures cannot be read, such as that of item "
        f"{first.id} ({first.reason.rstrip('.')}); all others are encoded and kept: mend those "
        f"listed in {writer.folder / FAILED} and run the same command again, which encodes them "
        "alone, or make the dataset again with becam prepare --overwrite, which leaves their "
        "items out and its features to be made again."
    )


def _batches(
    dataset: Dataset, model: Encoder, icc: Icc, rows: NDArray[np.int64], batch_size: int
) -> Iterator[tuple[NDArray[np.int64], Tensor, list[_Failure]]]:
    """Decode in threads, a little ahead of the encoder: rows, their pixels, and what failed."""

    def load(row: int) -> Tensor | _Failure:
        path = dataset.image_path(row)
        if path is None:
            raise BecamError(
                f"Item {dataset.item_ids[row]} has no picture, so this dataset has no picture "
                "features to extract; prepare it from a source with pictures."
            )
        try:
            return model.preprocessing(read_image(path, icc=icc))[0]
        except UnreadablePicture as error:
            return _Failure(dataset.item_ids[row], str(path), str(error))

    chunks = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    with ThreadPoolExecutor(_DECODERS) as pool:
        pending = [pool.map(load, map(int, chunk)) for chunk in chunks[:_READ_AHEAD]]
        for position, chunk in enumerate(chunks):
            found = list(pending.pop(0))
            if position + _READ_AHEAD < len(chunks):
                pending.append(pool.map(load, map(int, chunks[position + _READ_AHEAD])))
            read = [pixels for pixels in found if isinstance(pixels, Tensor)]
            good = np.array([isinstance(pixels, Tensor) for pixels in found], dtype=bool)
            yield (
                chunk[good],
                torch.stack(read) if read else torch.empty(0),
                [failure for failure in found if isinstance(failure, _Failure)],
            )


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

    def encode(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        with autocast(model.device, dtype):
            found: NDArray[np.float32] = (
                model.encode_text([texts[row] for row in rows]).float().cpu().numpy()
            )
        return found

    with bar(desc="Encoding texts", total=dataset.n_items, unit="text", initial=done) as progress:
        for rows, encoded in Batches(batch_size, "texts").split(missing, encode):
            writer.write(rows, encoded)
            progress.update(len(rows))
    writer.finish()
