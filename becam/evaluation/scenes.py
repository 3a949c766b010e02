"""Pictures of no item, each beside the item that it is nearest to: a table like that of items."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from becam.attribution.explainer import Explainer
from becam.attribution.view import Engine
from becam.checkpoint import Head
from becam.data.dataset import Dataset
from becam.data.pictures import warn_left_out
from becam.errors import BecamError
from becam.evaluation.aims import NearestItem
from becam.evaluation.deviation import compare
from becam.evaluation.item_table import ItemTable
from becam.evaluation.subjects import Subject
from becam.images import UnreadablePicture
from becam.progress import track


def scene_table(
    subjects: Sequence[Subject],
    explainer: Explainer,
    table: ItemTable,
    dataset: Dataset,
    *,
    progress: bool = False,
) -> ItemTable:
    """What is known of pictures that belong to no item.

    Each is held against one item under all checkpoints: that whose own content, projected by the
    first checkpoint, is nearest to the picture's.

    Pictures that cannot be read are left out, with a warning.

    Args:
        subjects: the pictures.
        explainer: has the encoders; its columns stand on the checkpoints of ``table``.
        table: of the items; its checkpoints and labels are taken.
        dataset: that of ``table``.
        progress: show a bar on stderr.

    Returns:
        A row a picture: ``id`` (its path below the folder), ``image``, ``target`` (the nearest
        item's id), ``category`` of that item, and for checkpoint k ``theta_before_k`` and
        ``theta_after_k``: angles in degrees of the picture's content to that item's ID embedding.
        It has no ``text`` and no ``popularity``: these are null.

    Raises:
        BecamError: no picture can be read, or features of the items that nobody has.
    """
    engines = {id(column.checkpoint): column.engine for column in explainer.columns}
    nearest = NearestItem(dataset)
    categories = dict(dataset.items.select("id", "category").iter_rows())
    first, rows, left_out = table.checkpoints[0], list[dict[str, Any]](), list[str]()
    heads = [checkpoint.head() for checkpoint in table.checkpoints]
    looked = track(subjects, desc="Looking for the nearest items", unit="picture")
    for subject in looked if progress else subjects:
        try:
            features = {
                identity: _feature(engine, subject.path)
                for identity, engine in explainer.engines.items()
            }
        except UnreadablePicture as error:
            if len(left_out) == len(subjects) - 1:
                raise BecamError(f"No picture can be read, such as this one: {error}") from error
            left_out.append(subject.name)
            continue
        target = nearest.nearest(first, features[engines[id(first)]])
        row = {
            "id": subject.name,
            "image": str(subject.path),
            "target": target,
            "category": categories[target],
        }
        for number, (checkpoint, head) in enumerate(zip(table.checkpoints, heads, strict=True)):
            e = checkpoint.item_embeddings[checkpoint.item_index(target)]
            angles = _angles(head, features[engines[id(checkpoint)]], e)
            row[f"theta_before_{number}"], row[f"theta_after_{number}"] = angles
        rows.append(row)
    warn_left_out(left_out, len(subjects), what="Pictures")
    frame = pl.DataFrame(rows, infer_schema_length=None).with_columns(
        text=pl.lit(None, pl.String), popularity=pl.lit(None, pl.Int64)
    )
    return ItemTable(table.labels, table.checkpoints, frame)


def _feature(engine: Engine, image: Path) -> Tensor:
    pixels = engine.view(image).pixels
    with torch.inference_mode():
        return engine.encoder.encode_image(pixels[None])[0].float().cpu()


def _angles(head: Head, feature: Tensor, embedding: Tensor) -> tuple[float, float]:
    """Before and after the adapter."""
    e, z = embedding[None].float(), head.project(feature[None])
    before, after = (compare(content, e).theta[0] for content in (z, head.adapt(z, e)))
    return float(before), float(after)
