"""Any interactions file and items file, with columns by name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from becam.data.columns import Chosen, Columns, whole
from becam.data.picture_paths import located
from becam.data.pictures import by_stem, require_folder
from becam.data.sources.base import Raw, SourceOptions, distinct_items, register
from becam.data.tables import SUFFIXES, reading, scan_table
from becam.data.times import read_times
from becam.errors import BecamError

ALIASES: Mapping[str, Sequence[str]] = {
    "user": ("user_id", "user", "uid", "customer_id", "customer", "reviewer_id", "visitor_id"),
    "item": (
        "item_id",
        "item",
        "iid",
        "article_id",
        "product_id",
        "product",
        "sku",
        "parent_asin",
        "asin",
    ),
    "timestamp": ("timestamp", "time", "datetime", "date", "t_dat", "unix_review_time"),
    "image": ("image", "image_path", "picture", "img", "image_file", "file", "filename", "path"),
    "text": ("text", "title", "name", "prod_name", "description", "detail_desc"),
    "category": ("category", "product_type_name", "product_type", "type", "class"),
}
"""Names by role, the first that a file has counts (for text: ``text``, else all the others);
case, spaces, dashes and underscores do not matter. An items file may also call its item ``id``."""

_LOOK = 1000
_SHOWN = 60


@register("csv", takes=["items", "images", *(f"{role}-column" for role in ALIASES)])
def read_tabular(path: Path, options: SourceOptions) -> Raw:
    """An interactions file and an items file, each CSV, TSV or parquet.

    Args:
        path: the interactions file, or a folder with ``interactions.*`` and ``items.*``.
        options: ``items`` is needed unless ``path`` is such a folder; picture paths start from
            ``images``, or from the items file's folder; without a column of them, pictures are
            files anywhere under ``images`` whose name without suffix is the item's id.

    Raises:
        BecamError: a file or a column is not found.
    """
    interactions_path = _find(path, "interactions") if os.path.isdir(path) else path
    items_path = options.items or (_find(path, "items") if os.path.isdir(path) else None)
    if items_path is None:
        raise BecamError("The source csv needs an items file too; name it with --items.")
    root = require_folder(options.images or items_path.parent)
    notes: list[str] = []
    interactions, untimed = _interactions(interactions_path, options.columns, notes)
    rows = _items(items_path, options.columns, root, options.images, notes)
    interactions, rows = _of_one_kind(interactions, rows, interactions_path, items_path, notes)
    items, dropped = distinct_items(rows)
    items = _pictures(items, root, notes)
    return Raw(
        interactions=interactions,
        items=items,
        origin=interactions_path,
        image_root=root,
        dropped=dropped,
        notes=notes,
        untimed=untimed,
    )


def _find(folder: Path, stem: str) -> Path:
    for suffix in SUFFIXES:
        if os.path.exists(folder / f"{stem}{suffix}"):
            return folder / f"{stem}{suffix}"
    raise BecamError(
        f"{folder} has no {stem}.csv, .tsv or .parquet; name the interactions file itself, and "
        "the other with --items."
    )


def _interactions(path: Path, chosen: Chosen, notes: list[str]) -> tuple[pl.LazyFrame, str]:
    """The interactions, and a sentence on times that are none."""
    table = scan_table(path, notes)
    columns = Columns(table, path, ALIASES)
    user, item = columns.require("user", chosen), columns.require("item", chosen)
    timestamp, untimed = columns.find("timestamp", chosen), ""
    users, of_users = columns.ids(user, "user")
    items, of_items = columns.ids(item, "item")
    selected = [users.alias("user"), items.alias("item")]
    if timestamp is not None:
        times = read_times(table, timestamp, columns.types[timestamp], path)
        if times.seconds is None:
            untimed = (
                f"{path} has {_short(times.strange)!r} in column {timestamp}, which is neither a "
                "number nor a date such as 2020-09-22 or 2020-09-22 13:45:00, so the column is "
                "left out; convert it to split by time."
            )
            timestamp = None
        else:
            selected.append(times.seconds.alias("timestamp"))
    roles = {"user": user + of_users, "item": item + of_items, "timestamp": timestamp}
    notes += [_told(path, roles), *filter(None, [untimed])]
    return table.select(selected), untimed


def _items(
    path: Path, chosen: Chosen, root: Path, images: Path | None, notes: list[str]
) -> pl.DataFrame:
    """The rows of the items file, without ``image`` where it has no such column."""
    table = scan_table(path, notes)
    columns = Columns(table, path, ALIASES)
    # The two files may call the item differently: the chosen name need only be in one of them.
    named = [name for name in chosen.get("item", ()) if name in columns.types]
    item = columns.require("item", {"item": named}, extra=("id",))
    first, *others = ALIASES["text"]
    texts = columns.given("text", chosen) or columns.known([first]) or columns.known(others)
    category, image = columns.find("category", chosen), columns.find("image", chosen)
    if image is None and images is None:
        raise BecamError(
            f"{path} has no column of picture paths (its columns are {columns}); name it with "
            "--image-column, or the folder of pictures named after items with --images."
        )
    ids, of_ids = columns.ids(item, "item")
    selected = {
        "item": ids,
        "text": _joined([columns.text(name, "text") for name in texts]),
        "category": pl.lit(None, pl.String)
        if category is None
        else columns.text(category, "category"),
    }
    if image is not None:
        selected["image"] = columns.pictures(image, root)
    with reading(path):
        rows = table.select(**selected).collect()
    roles = {"item": item + of_ids, "image": image, "text": " + ".join(texts), "category": category}
    notes.append(_told(path, roles, "" if image is not None else f"images by name in {images}"))
    return rows


def _of_one_kind(
    interactions: pl.LazyFrame, items: pl.DataFrame, log: Path, goods: Path, notes: list[str]
) -> tuple[pl.LazyFrame, pl.DataFrame]:
    """Both with ids such as 42.0 as 42, where they have nothing in common otherwise."""
    with reading(log):
        asked = interactions.select("item").head(_LOOK).collect()["item"].drop_nulls().unique()
    known, plain = items["item"], items.with_columns(whole(pl.col("item")))
    if not len(asked) or asked.is_in(known.implode()).any():
        return interactions, items
    mended = asked.to_frame().select(whole(pl.col("item")))["item"]
    if not mended.is_in(plain["item"].implode()).any():
        return interactions, items
    notes.append(
        f"{log.name} and {goods.name}: ids such as 42.0 and 42 are taken for the same item, 42."
    )
    return interactions.with_columns(whole(pl.col("item"))), plain


def _pictures(items: pl.DataFrame, root: Path, notes: list[str]) -> pl.DataFrame:
    """The items with the paths by which their pictures are there."""
    if "image" not in items.columns:
        pictures = by_stem(root)
        found, mended = [pictures.get(name) for name in items["item"]], 0
    else:
        found, mended = located(root, items["image"])
    if mended:
        notes.append(
            f"{mended:,} picture{' is' if mended == 1 else 's are'} there under a path written "
            "otherwise (backslashes, capitals, accents), which is taken."
        )
    foreign = [name for name in found if name is not None and not name.isascii() and _odd(name)]
    if foreign:
        notes.append(
            f"{len(foreign):,} pictures are left out, whose paths are no UTF-8, such as "
            f"{foreign[0]!a}; rename them."
        )
        found = [None if name is not None and _odd(name) else name for name in found]
    return items.with_columns(image=pl.Series(found, dtype=pl.String))


def _odd(name: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in name)


def _told(path: Path, roles: Mapping[str, str | None], by_name: str = "") -> str:
    """Which column became what, where pictures were found, and what there is none of."""
    found = [f"{role} from {column}" for role, column in roles.items() if column]
    absent = [
        f"no {role} column"
        for role, column in roles.items()
        if not column and not (role == "image" and by_name)
    ]
    return f"{path.name}: {', '.join([*found, *filter(None, [by_name]), *absent])}."


def _short(value: str) -> str:
    return value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"


def _joined(texts: Sequence[pl.Expr]) -> pl.Expr:
    if not texts:
        return pl.lit("")
    return pl.concat_str(texts, separator=". ", ignore_nulls=True)
