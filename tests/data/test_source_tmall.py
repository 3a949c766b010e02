from __future__ import annotations

import calendar
import time

import numpy as np
import polars as pl
import pytest
from rawdata import naive_core, pairs_of, write_picture, write_truncated_picture

from becam.data.preparation import prepare_dataset
from becam.errors import BecamError

PRODUCTS = "tianchi_2014001_rec_tmall_product.txt"
LOG = "tianchi_2014002_rec_tmall_log_part{}.txt"

TITLES = {"1": "夏季 新款 连衣裙", "2": 'say "so", 2 x', "10": ""}
LINES = [  # item, user, action, time
    ("1", "u9774184", "alipay", "2014-07-01 10:11:12"),
    ("2", "u9774184", "alipay", "2014-07-01 00:00:00"),
    ("2", "u9774184", "alipay", "2014-06-30 23:59:59"),
    ("10", "u1", "alipay", "2014-06-30 23:59:59"),
    ("1", "u1", "click", "2014-06-30 23:59:59"),
    ("1", "u2", "cart", "2014-06-30 23:59:59"),
    ("2", "u2", "collect", "2014-06-30 23:59:59"),
]


def encoded(rows) -> bytes:
    return "".join("\x01".join(row) + "\n" for row in rows).encode()


def product(item, title="t"):
    return (item, title, "http://img/x.jpg", "21-407", "b47686", "s4735")


def write_tmall(folder, parts, titles=TITLES, pictures=None):
    """The published files; ``parts``: rows by letter."""
    folder.mkdir(parents=True)
    (folder / PRODUCTS).write_bytes(encoded(product(*entry) for entry in titles.items()))
    for letter, rows in parts.items():
        (folder / LOG.format(letter)).write_bytes(encoded(rows))
    for shade, item in enumerate(titles if pictures is None else pictures):
        write_picture(folder / "pictures" / f"{item}.jpg", shade)
    return folder


def prepare(folder, **options):
    arguments = {"images": folder / "pictures", "k_core": 1, **options}
    return prepare_dataset("tmall", folder, folder.parent / "out", **arguments)


def seconds(moment: str) -> int:
    return calendar.timegm(time.strptime(moment, "%Y-%m-%d %H:%M:%S"))


def test_purchases_of_all_parts_with_ids_texts_and_times(tmp_path):
    parts = {"a": LINES[:2], "b": LINES[2:3], "c": LINES[3:]}
    dataset = prepare(write_tmall(tmp_path / "raw", parts))
    assert dataset.user_ids == ["u1", "u9774184"]
    assert dataset.item_ids == ["1", "10", "2"]
    assert dict(zip(dataset.item_ids, dataset.items["text"], strict=True)) == TITLES
    assert set(dataset.items["category"]) == {"21-407"}
    assert dataset.image_path(1) == tmp_path / "raw" / "pictures" / "10.jpg"
    rows = pl.read_parquet(dataset.path / "interactions.parquet")
    found = {
        (dataset.user_ids[u], dataset.item_ids[i], t)
        for u, i, t in rows.select("user", "item", "timestamp").iter_rows()
    }
    assert found == {
        ("u1", "10", seconds("2014-06-30 23:59:59")),
        ("u9774184", "1", seconds("2014-07-01 10:11:12")),
        ("u9774184", "2", seconds("2014-06-30 23:59:59")),  # the earlier of two
    }
    assert dataset.manifest.dropped["repeated interactions of a pair"] == 1


@pytest.mark.parametrize("parts", ["a", "b", "bc", "abc"])
def test_any_of_the_parts(tmp_path, parts):
    dataset = prepare(write_tmall(tmp_path / "raw", dict.fromkeys(parts, LINES)))
    assert len(pairs_of(dataset)) == 3


def test_names_without_a_suffix(tmp_path):
    folder = write_tmall(tmp_path / "raw", {"a": LINES})
    for path in folder.glob("*.txt"):
        path.rename(path.with_suffix(""))
    assert len(pairs_of(prepare(folder))) == 3


@pytest.mark.parametrize(
    "actions", [("click",), ("cart", "collect"), ("alipay", "click", "alipay")]
)
def test_the_actions_that_count(tmp_path, actions):
    dataset = prepare(write_tmall(tmp_path / "raw", {"b": LINES}), actions=actions)
    assert pairs_of(dataset) == {(u, i) for i, u, action, _ in LINES if action in actions}


def test_equals_the_naive_pipeline(tmp_path):
    rng = np.random.default_rng(3)
    kinds = ["click", "alipay", "alipay", "cart"]
    rows = [
        (str(i), f"u{u}", kinds[k], "2014-08-01 00:00:00")
        for i, u, k in zip(
            np.minimum(rng.geometric(0.1, 900), 30),
            np.minimum(rng.geometric(0.08, 900), 40),
            rng.integers(0, 4, 900),
            strict=True,
        )
    ]
    titles = {str(i): f"title {i}" for i in range(1, 31)}
    pictured = [item for item in titles if int(item) % 4]
    folder = write_tmall(
        tmp_path / "raw", {"a": rows[:500], "c": rows[500:]}, titles, pictures=pictured
    )
    write_truncated_picture(folder / "pictures" / "6.jpg")
    dataset = prepare(folder, k_core=4, actions=["alipay", "cart"])
    usable = set(pictured) - {"6"}
    pairs = {(u, i) for i, u, kind, _ in rows if kind != "click" and i in usable}
    expected = naive_core(pairs, 4, 4)
    assert len(expected) > 50
    assert pairs_of(dataset) == expected


def test_bad_rows_leave_and_are_counted(tmp_path):
    bad = [
        ("1", "u3"),  # cut off: no action, so it is none that counts
        ("", "u3", "alipay", "2014-07-01 10:11:12"),
        ("1", "", "alipay", "2014-07-01 10:11:12"),
        ("77", "u3", "alipay", "2014-07-01 10:11:12"),  # not among the products
        ("1", "u4", "ALIPAY", "2014-07-01 10:11:12"),
    ]
    kept = [
        ("1", "u5", "alipay", "yesterday"),
        ("1", "u6", "alipay"),
        ("1", "u7", "alipay", "2014-07-01 10:11:12", "more"),
        ("1", '"u8', "alipay", "2014-07-01 10:11:12"),  # a quote is a letter like any other
    ]
    folder = write_tmall(tmp_path / "raw", {"a": [LINES[0], *bad, *kept]})
    with open(folder / LOG.format("a"), "ab") as stream:
        stream.write(b"\n1\x01u9\x01alipay\x012014-07-01 10:11:12\r\n")  # an empty row; CR LF
    dataset = prepare(folder)
    assert {user for user, _ in pairs_of(dataset)} == {
        *("u9774184", "u5", "u6", "u7", '"u8', "u9"),
    }
    dropped = dataset.manifest.dropped
    assert dropped["interactions without a known user"] == 1
    assert dropped["interactions with an item the items lack"] == 2
    rows = pl.read_parquet(dataset.path / "interactions.parquet")
    assert rows["timestamp"].null_count() == 2
    with pytest.raises(BecamError, match="2 interactions have no timestamp"):
        prepare(folder, split="time", overwrite=True)


def test_bad_products_leave_and_are_counted(tmp_path):
    folder = write_tmall(tmp_path / "raw", {"a": LINES})
    rows = [product("1", "first"), product("1", "second"), product("", "none"), ("2",)]
    (folder / PRODUCTS).write_bytes(encoded(rows))
    dataset = prepare(folder)
    assert dataset.item_ids == ["1", "2"]
    assert dataset.items["text"].to_list() == ["first", ""]
    assert dataset.items["category"].to_list() == ["21-407", None]
    assert dataset.manifest.dropped["rows of the items file without an id"] == 1
    assert dataset.manifest.dropped["rows of the items file with an id seen before"] == 1


def test_items_without_a_picture_leave(tmp_path):
    dataset = prepare(write_tmall(tmp_path / "raw", {"a": LINES}, pictures=["2"]))
    assert pairs_of(dataset) == {("u9774184", "2")}
    assert dataset.manifest.dropped["items without a picture"] == 2
    assert dataset.manifest.dropped["interactions with an item without a picture"] == 2


def with_commas(folder):
    path = folder / LOG.format("a")
    path.write_bytes(path.read_bytes().replace(b"\x01", b","))


def in_gbk(folder):
    path = folder / PRODUCTS
    path.write_bytes(path.read_text("utf-8").encode("gbk"))


@pytest.mark.parametrize(
    ("damage", "options", "message"),
    [
        (lambda f: None, {"images": None}, "--images; .*pict_url's are not downloaded"),
        (lambda f: None, {"images": "/no/such"}, "no folder of pictures /no/such"),
        (lambda f: None, {"actions": ["buy"]}, "no --action buy; choose from click, collect"),
        (lambda f: None, {"actions": ["cart"]}, "no interactions that count"),
        (lambda f: (f / PRODUCTS).unlink(), {}, "has no tianchi_2014001_rec_tmall_product"),
        (lambda f: (f / LOG.format("a")).unlink(), {}, "has no tianchi_2014002_rec_tmall_log"),
        (
            lambda f: (f / LOG.format("b")).write_bytes(b"1\x01u1\n"),
            {},
            "partb.txt is not .* 2 of 4",
        ),
        (
            lambda f: (f / LOG.format("a")).write_bytes(b""),
            {},
            "parta.txt is not as it was published",
        ),
        (lambda f: (f / PRODUCTS).write_bytes(b""), {}, "product.txt is not as it was published"),
        (with_commas, {}, "parta.txt is not .* byte 0x01.* 1 of 4 fields"),
        (in_gbk, {}, "product.txt is not UTF-8"),
    ],
)
def test_one_sentence(tmp_path, damage, options, message):
    lines = [row for row in LINES if row[2] != "cart"]
    folder = write_tmall(tmp_path / "raw", {"a": lines})
    damage(folder)
    with pytest.raises(BecamError, match=message) as caught:
        prepare(folder, **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_other_sources_take_no_action(tmp_path):
    folder = write_tmall(tmp_path / "raw", {"a": LINES})
    for source in ("hm", "csv", "mmrec", "microlens"):
        with pytest.raises(BecamError, match=rf"{source} takes no --action; .*the source tmall"):
            prepare_dataset(source, folder, tmp_path / "out", actions=["click"])
