from __future__ import annotations

import datetime

import polars as pl
import pytest
from rawdata import pairs_of, write_picture

from becam.data.preparation import prepare_dataset
from becam.errors import BecamError

PAIRS = {("007", "01"), ("007", "2"), ("é; x", "01"), ("é; x", "2"), ("é; x", "none")}


@pytest.fixture
def folder(tmp_path):
    write_picture(tmp_path / "raw" / "pics" / "a.jpg")
    write_picture(tmp_path / "raw" / "pics" / "b.png")
    return tmp_path / "raw"


def interactions(**columns):
    ordered = sorted(PAIRS)
    frame = {"user": [u for u, _ in ordered], "item": [i for _, i in ordered]}
    return pl.DataFrame(frame).with_columns(**columns)


def items(image=("pics/a.jpg", "pics/b.png", None)):
    return pl.DataFrame({"item": ["01", "2", "none"], "image": image, "text": ["A", None, "C"]})


def write(table, path, separator=","):
    if path.suffix == ".parquet":
        table.write_parquet(path)
    else:
        table.write_csv(path, separator=separator)
    return path


def prepare(folder, interactions_path, items_path, **options):
    return prepare_dataset(
        "csv", interactions_path, folder.parent / "out", items=items_path, k_core=1, **options
    )


@pytest.mark.parametrize(
    ("suffix", "separator"),
    [(".csv", ","), (".csv", ";"), (".csv", "|"), (".tsv", "\t"), (".txt", "\t"), (".parquet", "")],
)
def test_formats_and_separators(folder, suffix, separator):
    dataset = prepare(
        folder,
        write(interactions(), folder / f"log{suffix}", separator),
        write(items(), folder / f"goods{suffix}", separator),
    )
    assert pairs_of(dataset) == {pair for pair in PAIRS if pair[1] != "none"}
    assert dataset.item_ids == ["01", "2"]
    assert dataset.items["text"].to_list() == ["A", ""]
    assert dataset.image_path(0) == folder / "pics" / "a.jpg"
    assert dataset.image_path(1) == folder / "pics" / "b.png"
    assert "timestamp" not in pl.read_parquet_schema(dataset.path / "interactions.parquet")


def test_a_folder_with_byte_order_marks(folder):
    write(interactions(), folder / "interactions.csv", ";")
    write(items(), folder / "items.csv", ";")
    for name in ("interactions.csv", "items.csv"):
        path = folder / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    dataset = prepare(folder, folder, None)
    assert len(pairs_of(dataset)) == 4


def test_names_are_guessed_and_can_be_given(folder):
    log = interactions().rename({"user": "Customer-ID", "item": "SKU"})
    goods = items().rename({"item": "id", "image": "Image Path", "text": "title"})
    goods = goods.with_columns(description=pl.lit("long"), kind=pl.lit("shirt"))
    paths = write(log, folder / "log.csv"), write(goods, folder / "goods.csv")
    dataset = prepare(folder, *paths)
    assert dataset.items["text"].to_list() == ["A. long", "long"]
    assert dataset.items["category"].to_list() == [None, None]
    chosen = {"item": ["SKU"], "text": ["kind", "title"], "category": ["kind"]}
    dataset = prepare(folder, *paths, columns=chosen, overwrite=True)
    assert dataset.items["text"].to_list() == ["shirt. A", "shirt"]
    assert dataset.items["category"].to_list() == ["shirt", "shirt"]


def test_absolute_paths_and_pictures_named_after_items(folder, tmp_path):
    log = write(interactions(), folder / "log.csv")
    absolute = [str(folder / "pics" / "a.jpg"), str(folder / "pics" / "b.png"), "gone.jpg"]
    dataset = prepare(folder, log, write(items(absolute), folder / "goods.csv"))
    assert dataset.image_path(1) == folder / "pics" / "b.png"
    write_picture(tmp_path / "named" / "deep" / "01.jpg")
    write_picture(tmp_path / "named" / "none.webp")
    goods = write(items().drop("image"), folder / "goods.csv")
    dataset = prepare(folder, log, goods, images=tmp_path / "named", overwrite=True)
    assert dataset.item_ids == ["01", "none"]
    assert dataset.image_path(0) == tmp_path / "named" / "deep" / "01.jpg"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3, 1, 2, 5, 4], [3, 1, 2, 5, 4]),
        ([1600000000123.0] * 5, [1600000000123] * 5),
        ([datetime.date(1970, 1, 2)] * 5, [86400] * 5),
        (["1970/01/03"] * 5, [172800] * 5),
        (["1970-01-01 00:01:00"] * 5, [60] * 5),
        (["1970-01-01T00:00:10.5"] * 5, [10] * 5),
        (["1970-01-01T01:00:00+01:00"] * 5, [0] * 5),
    ],
)
def test_timestamps(folder, suffix, values, expected):
    log = interactions(timestamp=pl.Series(values))
    goods = items(["pics/a.jpg", "pics/b.png", "pics/a.jpg"])
    dataset = prepare(
        folder, write(log, folder / f"log{suffix}"), write(goods, folder / "goods.csv")
    )
    table = pl.read_parquet(dataset.path / "interactions.parquet")
    assert table["timestamp"].dtype == pl.Int64
    assert table["timestamp"].to_list() == expected  # both are sorted by user and item


@pytest.mark.parametrize(
    ("log", "goods", "options", "message"),
    [
        ({"user": "who"}, {}, {}, "looks like the user .its columns are who, item.*--user-column"),
        ({"item": "what"}, {}, {}, "looks like the item .*--item-column"),
        ({}, {"item": "what"}, {}, "goods.csv has no column that looks like the item"),
        ({}, {"image": "x"}, {}, "goods.csv has no column of picture paths .*--image-column"),
        ({}, {}, {"columns": {"user": ["nobody"]}}, "no column nobody .its columns are user, item"),
        ({}, {}, {"columns": {"text": ["a"]}}, "no column a .*--text-column"),
        ({}, {}, {"images": "/no/such"}, "no folder of pictures"),
    ],
)
def test_what_is_not_found_is_named(folder, log, goods, options, message):
    paths = (
        write(interactions().rename(log), folder / "log.csv"),
        write(items().rename(goods), folder / "goods.csv"),
    )
    with pytest.raises(BecamError, match=message):
        prepare(folder, *paths, **options)


def test_a_strange_timestamp_is_shown(folder):
    log = write(interactions(timestamp=pl.lit("last week")), folder / "log.csv")
    goods = write(items(), folder / "goods.csv")
    with pytest.raises(BecamError, match=r"'last week' in column timestamp.* neither a number nor"):
        prepare(folder, log, goods, split="time")
    said = []
    dataset = prepare(folder, log, goods, say=said.append)
    assert "timestamp" not in pl.read_parquet_schema(dataset.path / "interactions.parquet")
    assert any("'last week'" in line and "left out" in line for line in said)


def test_the_items_file_must_be_named(folder):
    log = write(interactions(), folder / "log.csv")
    with pytest.raises(BecamError, match="--items"):
        prepare(folder, log, None)
    with pytest.raises(BecamError, match=r"no file .*nothing\.csv"):
        prepare(folder, log, folder / "nothing.csv")
    with pytest.raises(BecamError, match=r"no interactions\.csv"):
        prepare(folder, folder, None)
