"""Any interactions file and items file, with columns by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from becam.data.pictures import by_stem, require_folder
from becam.data.sources.base import Raw, SourceOptions, distinct_items, register
from becam.data.tables import SUFFIXES, columns, reading, scan_table
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

DATE_FORMATS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
)


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
    interactions_path = _find(path, "interactions") if path.is_dir() else path
    items_path = options.items or (_find(path, "items") if path.is_dir() else None)
    if items_path is None:
        raise BecamError("The source csv needs an items file too; name it with --items.")
    root = require_folder(options.images or items_path.parent)
    interactions, told = _interactions(interactions_path, options.columns)
    items, dropped, told_items = _items(
        items_path, options.columns, root if options.images else None
    )
    return Raw(
        interactions=interactions,
        items=items,
        origin=interactions_path,
        image_root=root,
        dropped=dropped,
        notes=[told, told_items],
    )


def _find(folder: Path, stem: str) -> Path:
    for suffix in SUFFIXES:
        if (folder / f"{stem}{suffix}").is_file():
            return folder / f"{stem}{suffix}"
    raise BecamError(
        f"{folder} has no {stem}.csv, .tsv or .parquet; name the interactions file itself, and "
        "the other with --items."
    )


def _interactions(path: Path, chosen: Mapping[str, Sequence[str]]) -> tuple[pl.LazyFrame, str]:
    """The interactions, and a sentence on their columns."""
    table = scan_table(path)
    user = _required(table, "user", chosen, path)
    item = _required(table, "item", chosen, path)
    selected = [
        pl.col(user).cast(pl.String).alias("user"),
        pl.col(item).cast(pl.String).alias("item"),
    ]
    if timestamp := _column(table, "timestamp", chosen, path):
        selected.append(_seconds(table, timestamp, path).alias("timestamp"))
    return table.select(selected), _told(path, {"user": user, "item": item, "timestamp": timestamp})


def _items(
    path: Path, chosen: Mapping[str, Sequence[str]], images: Path | None
) -> tuple[pl.DataFrame, dict[str, int], str]:
    """The items, what left by reason, and a sentence on their columns."""
    table = scan_table(path)
    # The two files may call the item differently: the chosen name need only be in one of them.
    named = [name for name in chosen.get("item", ()) if name in columns(table)]
    item = _required(table, "item", {"item": named}, path, extra=("id",))
    texts = _text_columns(table, chosen, path)
    category = _column(table, "category", chosen, path)
    image = _column(table, "image", chosen, path)
    if image is None and images is None:
        raise BecamError(
            f"{path} has no column of picture paths (its columns are {_listed(table)}); name it "
            "with --image-column, or the folder of pictures named after items with --images."
        )
    with reading(path):
        rows = table.select(
            item=pl.col(item).cast(pl.String),
            text=_joined(texts),
            category=_string(category),
            image=_string(image),
        ).collect()
    items, dropped = distinct_items(rows)
    if image is None and images is not None:
        pictures = by_stem(images)
        found = [pictures.get(name) for name in items["item"]]
        items = items.with_columns(image=pl.Series(found, dtype=pl.String))
    roles = {"item": item, "image": image, "text": " + ".join(texts), "category": category}
    by_name = "" if image is not None or images is None else f"images by name in {images}"
    return items, dropped, _told(path, roles, by_name)


def _told(path: Path, roles: Mapping[str, str | None], by_name: str = "") -> str:
    """Which column became what, where pictures were found, and what there is none of."""
    found = [f"{role} from {column}" for role, column in roles.items() if column]
    absent = [
        f"no {role} column"
        for role, column in roles.items()
        if not column and not (role == "image" and by_name)
    ]
    return f"{path.name}: {', '.join([*found, *filter(None, [by_name]), *absent])}."


def _text_columns(
    table: pl.LazyFrame, chosen: Mapping[str, Sequence[str]], path: Path
) -> list[str]:
    if chosen.get("text"):
        return _given(table, "text", chosen["text"], path)
    first, *others = ALIASES["text"]
    return _known(table, [first]) or _known(table, others)


def _required(
    table: pl.LazyFrame,
    role: str,
    chosen: Mapping[str, Sequence[str]],
    path: Path,
    extra: Sequence[str] = (),
) -> str:
    column = _column(table, role, chosen, path, extra)
    if column is None:
        raise BecamError(
            f"{path} has no column that looks like the {role} (its columns are {_listed(table)}); "
            f"name it with --{role}-column."
        )
    return column


def _column(
    table: pl.LazyFrame,
    role: str,
    chosen: Mapping[str, Sequence[str]],
    path: Path,
    extra: Sequence[str] = (),
) -> str | None:
    if chosen.get(role):
        return _given(table, role, chosen[role], path)[0]
    return next(iter(_known(table, (*ALIASES[role], *extra))), None)


def _given(table: pl.LazyFrame, role: str, names: Sequence[str], path: Path) -> list[str]:
    for name in names:
        if name not in columns(table):
            raise BecamError(
                f"{path} has no column {name} (its columns are {_listed(table)}); choose another "
                f"--{role}-column."
            )
    return list(names)


def _known(table: pl.LazyFrame, aliases: Sequence[str]) -> list[str]:
    """Columns of the table that answer to these aliases, in the order of the aliases."""
    found: dict[str, str] = {}
    for name in columns(table):
        found.setdefault(_plain(name), name)
    return [found[_plain(alias)] for alias in aliases if _plain(alias) in found]


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _listed(table: pl.LazyFrame) -> str:
    return ", ".join(columns(table))


def _string(column: str | None) -> pl.Expr:
    return pl.lit(None, pl.String) if column is None else pl.col(column).cast(pl.String)


def _joined(texts: Sequence[str]) -> pl.Expr:
    if not texts:
        return pl.lit("")
    return pl.concat_str(
        [pl.col(name).cast(pl.String) for name in texts], separator=". ", ignore_nulls=True
    )


def _seconds(table: pl.LazyFrame, column: str, path: Path) -> pl.Expr:
    """Numbers as they are, dates and times as seconds since 1970."""
    value, kind = pl.col(column), table.collect_schema()[column]
    if kind.is_numeric():
        return value.cast(pl.Int64)
    if kind.is_temporal():
        return value.cast(pl.Datetime("us")).dt.epoch("s")
    with reading(path):
        first = table.select(value.cast(pl.String)).drop_nulls().head(1).collect()
    if (
        first.is_empty()
        or first.select(pl.col(column).cast(pl.Float64, strict=False))[column].null_count() == 0
    ):
        return value.cast(pl.Float64).cast(pl.Int64)
    for pattern in DATE_FORMATS:
        parsed = first.select(_parse(pl.col(column), pattern, strict=False))[column]
        if parsed.null_count() == 0:
            return _parse(value, pattern, strict=True)
    raise BecamError(
        f"{path} has {first[column].item()!r} as its first {column}, which is neither a number nor "
        "a date such as 2020-09-22 or 2020-09-22 13:45:00; convert it."
    )


def _parse(value: pl.Expr, pattern: str, *, strict: bool) -> pl.Expr:
    zoned = pattern.endswith("z")
    kind = pl.Datetime("us", "UTC" if zoned else None)
    return value.str.strptime(kind, pattern, strict=strict).dt.epoch("s")
