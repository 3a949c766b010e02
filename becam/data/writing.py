"""The tables of a dataset folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from becam.data.integrity import fingerprint
from becam.data.split import SPLITS
from becam.data.tables import write_parquet


def write_tables(
    folder: Path, rows: pl.DataFrame, items: pl.DataFrame, users: pl.Series
) -> tuple[dict[str, int], str]:
    """Write ``interactions``, ``items`` and ``users``; indices are made dense, in their order.

    Args:
        folder: of the dataset.
        rows: ``user``, ``item``, ``split`` and perhaps ``timestamp``, sorted by user and item.
        items: ``item`` (original id), ``text``, ``category``, ``image``; ``rows`` points into it.
        users: original ids; ``rows`` points into them.

    Returns:
        Counts and fingerprint, as the manifest has them.
    """
    kept_users, kept_items = used(rows["user"]), used(rows["item"])
    names = ["user", "item", "split", *(["timestamp"] if "timestamp" in rows.columns else [])]
    interactions = rows.select(
        pl.Series("user", _dense(rows["user"], kept_users)),
        pl.Series("item", _dense(rows["item"], kept_items)),
        *names[2:],
    )
    chosen = items[kept_items].select(
        pl.Series("item", np.arange(len(kept_items), dtype=np.uint32)),
        pl.col("item").alias("id"),
        "image",
        pl.col("text").fill_null(""),
        "category",
    )
    user_ids = users.gather(kept_users)
    people = pl.DataFrame(
        {"user": np.arange(len(kept_users), dtype=np.uint32), "id": user_ids.cast(pl.String)}
    )
    for name, table in (("interactions", interactions), ("items", chosen), ("users", people)):
        write_parquet(table, folder / f"{name}.parquet")
    sizes = np.bincount(rows["split"].to_numpy(), minlength=len(SPLITS))
    counts = {
        "users": len(people),
        "items": len(chosen),
        "interactions": len(interactions),
        **{name: int(size) for name, size in zip(SPLITS, sizes, strict=True)},
    }
    return counts, fingerprint(interactions, chosen["id"], people["id"])


def used(codes: pl.Series) -> NDArray[np.int64]:
    """The codes that occur, ascending."""
    return np.flatnonzero(np.bincount(codes.to_numpy()))


def _dense(codes: pl.Series, kept: NDArray[np.int64]) -> NDArray[np.uint32]:
    index = np.zeros(int(kept[-1]) + 1, dtype=np.uint32)
    index[kept] = np.arange(len(kept), dtype=np.uint32)
    result: NDArray[np.uint32] = index[codes.to_numpy()]
    return result
