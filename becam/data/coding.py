"""Interactions by original id to interactions by integer, without holding the ids of every row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from becam.data.sources.base import Raw
from becam.data.tables import reading

UNKNOWN_ITEM = "interactions with an item the items lack"
NO_PICTURE = "interactions with an item without a picture"


@dataclass(frozen=True)
class Coded:
    """Interactions as integers.

    Attributes:
        rows: ``user`` u32 and ``item`` u32 (indices into ``users`` and into the source's items),
            ``timestamp`` and ``split`` where the source has them; distinct pairs, sorted.
        users: original ids, in the order of the indices.
        read: rows of the source.
        users_read: users of the source.
        dropped: rows that left, by reason.
    """

    rows: pl.DataFrame
    users: pl.Series
    read: int
    users_read: int
    dropped: dict[str, int]


def code(raw: Raw, has_picture: NDArray[np.bool_]) -> Coded:
    """Stream the interactions into integers; unknown items and repeated pairs leave.

    Of a repeated pair the earliest row stays.

    Args:
        raw: the source's data.
        has_picture: by item; interactions with others leave.

    Raises:
        BecamError: the interactions file is malformed.
    """
    items = pl.Enum(raw.items["item"])
    users = pl.Categorical() if raw.users is None else pl.Enum(raw.users)
    with reading(raw.origin):
        rows = raw.interactions.with_columns(
            pl.col("user").cast(users, strict=False),
            pl.col("item").cast(items, strict=False).to_physical().cast(pl.UInt32),
        ).collect(engine="streaming")
    dropped: dict[str, int] = {}
    read = len(rows)
    rows = _keep(rows, pl.col("user").is_not_null(), "interactions without a known user", dropped)
    rows = _keep(rows, pl.col("item").is_not_null(), UNKNOWN_ITEM, dropped)
    users_read = rows["user"].n_unique()
    pictured = pl.lit(pl.Series(has_picture)).gather(pl.col("item"))
    rows = _keep(rows, pictured, NO_PICTURE, dropped)
    rows, ids = _number_users(rows, raw.users)
    before = len(rows)
    rows = _distinct(rows)
    dropped["repeated interactions of a pair"] = before - len(rows)
    return Coded(rows, ids, read, users_read, dropped)


def _keep(
    rows: pl.DataFrame, condition: pl.Expr, reason: str, dropped: dict[str, int]
) -> pl.DataFrame:
    kept = rows.filter(condition)
    dropped[reason] = len(rows) - len(kept)
    return kept


def _number_users(rows: pl.DataFrame, given: pl.Series | None) -> tuple[pl.DataFrame, pl.Series]:
    """Users as integers; without a given order by rank of their id.

    A categorical numbers its values by whichever thread came first.
    """
    codes = rows["user"].to_physical().cast(pl.UInt32)
    if given is not None:
        return rows.with_columns(codes.alias("user")), given
    distinct = rows["user"].unique()
    ids = distinct.cast(pl.String)
    order = ids.arg_sort()
    rank = np.zeros(int(codes.max() or 0) + 1, dtype=np.uint32)  # type: ignore[arg-type]
    rank[distinct.to_physical().gather(order).to_numpy()] = np.arange(len(ids), dtype=np.uint32)
    ranked = pl.Series("user", rank[codes.to_numpy()], dtype=pl.UInt32)
    return rows.with_columns(ranked), ids.gather(order)


def _distinct(rows: pl.DataFrame) -> pl.DataFrame:
    details = [pl.col(name) for name in rows.columns if name not in ("user", "item")]
    return (
        rows.lazy()
        .sort("user", "item", *details, nulls_last=True)
        .unique(["user", "item"], keep="first", maintain_order=True)
        .collect(engine="streaming")
    )
