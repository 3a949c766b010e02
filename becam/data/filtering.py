"""What stays: the k-core over items with readable pictures, to the fixed point."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from becam.data import pictures
from becam.data.coding import Coded
from becam.data.kcore import k_core, largest_core
from becam.data.sources import Raw
from becam.data.split import TRAIN
from becam.errors import BecamError


def filter_interactions(
    coded: Coded, raw: Raw, user_core: int, item_core: int
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Interactions of the k-core whose items have readable pictures.

    Only pictures of items in the core are decoded; where some cannot be, their items leave and the
    core is taken again, until nothing changes. Users whose rows in the source's own split are all
    for validation and test leave too.

    Returns:
        The rows that stay, and numbers of interactions and items that left, by reason.

    Raises:
        BecamError: nothing is left.
    """
    users, items = coded.rows["user"].to_numpy(), coded.rows["item"].to_numpy()
    labels = coded.rows["split"].to_numpy() if "split" in coded.rows.columns else None
    rows = np.arange(len(users))
    unchecked = np.full(len(raw.items), raw.needs_pictures)
    dropped: Counter[str] = Counter()

    def keep(mask: NDArray[np.bool_], reason: str) -> bool:
        nonlocal rows
        dropped[f"interactions {reason}"] += int((~mask).sum())
        rows = rows[mask]
        return not mask.all()

    while len(rows):
        keep(k_core(users[rows], items[rows], user_core, item_core), "outside the k-core")
        if labels is not None:
            trained = np.zeros(len(coded.users), dtype=bool)
            trained[users[rows[labels[rows] == TRAIN]]] = True
            if keep(trained[users[rows]], "of users without training rows"):
                continue
        new = np.flatnonzero(unchecked & _present(items[rows], len(unchecked)))
        if not len(new):
            break
        readable = np.ones(len(unchecked), dtype=bool)
        readable[new] = pictures.readable(
            [_path(raw, name) for name in raw.items["image"].gather(new)]
        )
        unchecked[new] = False
        dropped["items with an unreadable picture"] += int((~readable).sum())
        keep(readable[items[rows]], "with an item with an unreadable picture")
    if not len(rows):
        raise _nothing_left(coded, raw, user_core, item_core)
    return coded.rows[rows], dict(dropped)


def _present(items: NDArray[np.uint32], count: int) -> NDArray[np.bool_]:
    present = np.zeros(count, dtype=bool)
    present[items] = True
    return present


def _path(raw: Raw, name: str) -> Path:
    return (raw.image_root or Path()) / name


def _nothing_left(coded: Coded, raw: Raw, user_core: int, item_core: int) -> BecamError:
    if not coded.read:
        return BecamError(f"{raw.origin} has no interactions; export it again.")
    if not len(coded.rows):
        reason, count = max(coded.dropped.items(), key=lambda entry: entry[1])
        return BecamError(
            f"No interaction is left: {count:,} of {coded.read:,} are {reason}; check --images and "
            "the ids."
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
