"""What stays: the k-core over items with readable pictures, to the fixed point."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from becam.data import pictures
from becam.data.coding import NO_PICTURE, UNKNOWN_ITEM, Coded
from becam.data.kcore import k_core, largest_core
from becam.data.sources import Raw
from becam.data.split import TRAIN
from becam.data.tables import reading
from becam.errors import BecamError


def filter_interactions(
    coded: Coded, raw: Raw, user_core: int, item_core: int
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Interactions of the k-core whose items have readable pictures.

    Only pictures of items in the core are decoded; where some cannot be, their items leave and the
    core is taken again: it can only shrink, so all that is left by then has been decoded. Users
    whose rows in the source's own split are all for validation and test leave too.

    Returns:
        The rows that stay, and numbers of interactions and items that left, by reason.

    Raises:
        BecamError: nothing is left.
    """
    users, items = coded.rows["user"].to_numpy(), coded.rows["item"].to_numpy()
    labels = coded.rows["split"].to_numpy() if "split" in coded.rows.columns else None
    rows = np.arange(len(users))
    dropped: Counter[str] = Counter()

    def keep(mask: NDArray[np.bool_], reason: str) -> bool:
        nonlocal rows
        dropped[f"interactions {reason}"] += int((~mask).sum())
        rows = rows[mask]
        return not mask.all()

    def shrink() -> None:
        changed = True
        while changed and len(rows):
            keep(k_core(users[rows], items[rows], user_core, item_core), "outside the k-core")
            changed = labels is not None and keep(
                _trained(users[rows], labels[rows]), "of users without training rows"
            )

    shrink()
    if raw.needs_pictures and len(rows):
        shown = np.unique(items[rows])
        readable = np.zeros(len(raw.items), dtype=bool)
        readable[shown] = pictures.readable(
            [_path(raw, name) for name in raw.items["image"].gather(shown)]
        )
        dropped["items with an unreadable picture"] = int((~readable[shown]).sum())
        if keep(readable[items[rows]], "with an item with an unreadable picture"):
            shrink()
    if not len(rows):
        raise _nothing_left(coded, raw, user_core, item_core)
    return coded.rows[rows], dict(dropped)


def _trained(users: NDArray[np.uint32], labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which rows are of users with a training row."""
    rows = np.bincount(users[labels == TRAIN], minlength=int(users.max(initial=0)) + 1)
    trained: NDArray[np.bool_] = (rows > 0)[users]
    return trained


def _path(raw: Raw, name: str) -> Path:
    return (raw.image_root or Path()) / name


def _example(reason: str, raw: Raw) -> str:
    """What the largest reason for an empty dataset looks like, in brackets."""
    if reason == UNKNOWN_ITEM and len(raw.items):
        with reading(raw.origin):
            asked = raw.interactions.select("item").drop_nulls().head(1).collect()["item"]
        return f" ({asked[0]!r}, where they have ids such as {raw.items['item'][0]!r})"
    named = raw.items["image"].drop_nulls()
    if reason == NO_PICTURE and len(named):
        return f" (there is no {_path(raw, named[0])})"
    return ""


def _nothing_left(coded: Coded, raw: Raw, user_core: int, item_core: int) -> BecamError:
    if not coded.read:
        return BecamError(
            f"{raw.origin} has no interactions that count; check the file and the options."
        )
    if not len(coded.rows):
        reason, count = max(coded.dropped.items(), key=lambda entry: entry[1])
        return BecamError(
            f"No interaction is left: {count:,} of {coded.read:,} are {reason}; check --images and "
            f"the ids{_example(reason, raw)}."
        )
    largest = largest_core(coded.rows["user"].to_numpy(), coded.rows["item"].to_numpy())
    if largest >= max(user_core, item_core):  # the pictures, not the core, emptied it
        return BecamError(
            f"No interaction is left, because pictures under {raw.image_root} cannot be read; "
            "check them."
        )
    asked = (
        f"{user_core}-core"
        if user_core == item_core
        else f"core of {user_core} per user and {item_core} per item"
    )
    return BecamError(
        f"The {asked} of these interactions is empty; the largest k whose k-core is not is "
        f"{largest}: pass --k-core {largest} or less."
    )
