from __future__ import annotations

import calendar
import time

import polars as pl
import pytest
from rawdata import (
    hm_article,
    hm_customer,
    naive_core,
    pairs_of,
    random_purchases,
    write_hm,
    write_picture,
    write_truncated_picture,
)

from becam.data.preparation import prepare_dataset
from becam.errors import BecamError

ARTICLES = [hm_article(number) for number in range(30)]


def seconds(date: str) -> int:
    return calendar.timegm(time.strptime(date, "%Y-%m-%d"))


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_naive_pipeline(tmp_path, seed):
    purchases = random_purchases(seed)
    pictured = [a for n, a in enumerate(ARTICLES) if n % 4]
    write_hm(tmp_path / "hm", purchases, ARTICLES, pictures=pictured)
    corrupt = set(pictured[:20:6])
    for article in corrupt:
        write_truncated_picture(tmp_path / "hm" / "images" / article[:3] / f"{article}.jpg")
    dataset = prepare_dataset("hm", tmp_path / "hm", tmp_path / "out", k_core=4)
    usable = set(pictured) - corrupt
    expected = naive_core({(c, a) for c, a, _ in purchases if a in usable}, 4, 4)
    assert len(expected) > 50
    assert pairs_of(dataset) == expected
    earliest: dict[tuple[str, str], str] = {}
    for customer, article, date in purchases:
        pair = (customer, article)
        earliest[pair] = min(earliest.get(pair, date), date)
    rows = pl.read_parquet(tmp_path / "out" / "interactions.parquet")
    for user, item, stamp in rows.select("user", "item", "timestamp").iter_rows():
        pair = (dataset.user_ids[user], dataset.item_ids[item])
        assert stamp == seconds(earliest[pair])


def test_every_interaction_is_accounted_for(tmp_path):
    purchases = random_purchases(7)
    purchases += [(hm_customer(1), "9999999999", "2020-02-01"), ("", hm_article(3), "2020-02-01")]
    write_hm(tmp_path / "hm", purchases, ARTICLES, pictures=ARTICLES[3:])
    write_truncated_picture(tmp_path / "hm" / "images" / "000" / f"{ARTICLES[4]}.jpg")
    manifest = prepare_dataset("hm", tmp_path / "hm", tmp_path / "out", k_core=3).manifest
    dropped = {
        reason: count for reason, count in manifest.dropped.items() if "interactions" in reason
    }
    assert sum(dropped.values()) + manifest.counts["interactions"] == len(purchases)
    assert dropped["interactions with an item the items lack"] == 1
    assert dropped["interactions without a known user"] == 1
    pictureless = sum(article in ARTICLES[:3] for _, article, _ in purchases)
    assert dropped["interactions with an item without a picture"] == pictureless
    assert manifest.dropped["items without a picture"] == 3
    assert manifest.dropped["items with an unreadable picture"] == 1
    assert dropped["interactions with an item with an unreadable picture"] > 0


def test_ids_texts_and_paths_are_those_of_the_release(tmp_path):
    articles = ["0108775044", "0118458003"]
    purchases = [
        (hm_customer(5), articles[0], "2020-09-16"),
        (hm_customer(5), articles[1], "2020-09-16"),
        (hm_customer(5), articles[1], "2020-09-01"),
    ]
    write_hm(tmp_path / "hm", purchases, articles)
    dataset = prepare_dataset("hm", tmp_path / "hm", tmp_path / "out", k_core=1)
    assert dataset.user_ids == [hm_customer(5)]
    assert dataset.item_ids == articles
    assert dataset.items["text"].to_list() == [
        "Name 0, with comma. Vest top. White",
        'Name 1, with comma. Vest top. White. A "quoted" text\nover two lines.',
    ]
    assert dataset.items["category"].to_list() == ["Vest top", "Vest top"]
    assert dataset.image_path(1) == tmp_path / "hm" / "images" / "011" / "0118458003.jpg"
    rows = pl.read_parquet(tmp_path / "out" / "interactions.parquet")
    assert rows["timestamp"].to_list() == [seconds("2020-09-16"), seconds("2020-09-01")]


def test_ids_robbed_of_their_zeros_get_them_back(tmp_path):
    write_hm(
        tmp_path / "hm", [(hm_customer(5), "108775044", "2020-09-16")], ["108775044"], pictures=[]
    )
    write_picture(tmp_path / "hm" / "images" / "010" / "0108775044.jpg")
    dataset = prepare_dataset("hm", tmp_path / "hm", tmp_path / "out", k_core=1)
    assert dataset.item_ids == ["0108775044"]


def test_small_pictures_and_another_folder(tmp_path):
    purchases = [(hm_customer(5), ARTICLES[0], "2020-09-16")]
    write_hm(tmp_path / "small", purchases, ARTICLES[:1], images="images_128_128")
    small = prepare_dataset("hm", tmp_path / "small", tmp_path / "out", k_core=1)
    assert small.image_path(0).parts[-3] == "images_128_128"
    write_hm(tmp_path / "bare", purchases, ARTICLES[:1], images="photos")
    with pytest.raises(BecamError, match="--images"):
        prepare_dataset("hm", tmp_path / "bare", tmp_path / "out2", k_core=1)
    named = prepare_dataset(
        "hm", tmp_path / "bare", tmp_path / "out2", k_core=1, images=tmp_path / "bare" / "photos"
    )
    assert named.image_path(0).is_file()


def break_header(folder):
    path = folder / "articles.csv"
    path.write_text(path.read_text().replace("detail_desc", "description"))


def break_dates(folder):
    path = folder / "transactions_train.csv"
    path.write_text(path.read_text().replace("2020-02-0", "02/2020/0"))


def break_encoding(folder):
    path = folder / "transactions_train.csv"
    path.write_bytes(path.read_bytes() + b"2020-02-01,caf\xe9,0000000001,0.1,2\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "articles.csv").unlink(), "no articles.csv"),
        (lambda folder: (folder / "transactions_train.csv").unlink(), "no transactions_train.csv"),
        (lambda folder: (folder / "articles.csv").write_text(""), "is empty"),
        (break_header, "no column detail_desc .*description"),
        (break_encoding, "not UTF-8"),
    ],
)
def test_damaged_files_are_one_sentence(tmp_path, damage, message):
    write_hm(tmp_path / "hm", random_purchases(0), ARTICLES)
    damage(tmp_path / "hm")
    with pytest.raises(BecamError, match=message) as caught:
        prepare_dataset("hm", tmp_path / "hm", tmp_path / "out", k_core=2)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_dates_that_are_none_cost_a_random_split_nothing(tmp_path):
    write_hm(tmp_path / "hm", random_purchases(0), ARTICLES)
    break_dates(tmp_path / "hm")
    said = []
    dataset = prepare_dataset("hm", tmp_path / "hm", tmp_path / "out", k_core=2, say=said.append)
    missing = pl.read_parquet(dataset.path / "interactions.parquet")["timestamp"].null_count()
    assert 0 < missing < dataset.manifest.counts["interactions"]
    assert any("interactions have no timestamp that can be read" in line for line in said)
    with pytest.raises(BecamError, match="have no timestamp that can be read"):
        prepare_dataset("hm", tmp_path / "hm", tmp_path / "time", k_core=2, split="time")
