from __future__ import annotations

import csv

import polars as pl
import pytest
from rawdata import naive_core, pairs_of, write_picture, write_truncated_picture

from becam.data.preparation import prepare_dataset
from becam.errors import BecamError

PAIRS = [  # user, item, milliseconds
    ("36121", "9580", "1583378629552"),
    ("36121", "7", "1583378629999"),
    ("36121", "7", "1583378628000"),
    ("2", "9580", "1584412681021"),
    ("2", "11", "1584412681021"),
]
TITLES = {"7": 'Comma, and "quotes"', "11": "短视频", "9580": "plain"}


def write_microlens(folder, pairs=PAIRS, titles=TITLES, size="50k", pictures=None):
    """A download of one size, unpacked."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"MicroLens-{size}"
    for ending, header, rows in (
        ("pairs", ("user", "item", "timestamp"), pairs),
        ("titles", ("item", "title"), titles.items()),
    ):
        with open(folder / f"{name}_{ending}.csv", "w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)
    for shade, item in enumerate(titles if pictures is None else pictures):
        write_picture(folder / f"{name}_covers" / f"{item}.jpg", shade)
    return folder


def prepare(folder, **options):
    return prepare_dataset("microlens", folder, folder.parent / "out", **{"k_core": 1, **options})


@pytest.mark.parametrize("size", ["50k", "1M"])
def test_ids_titles_covers_and_seconds(tmp_path, size):
    dataset = prepare(write_microlens(tmp_path / "raw", size=size))
    assert dataset.user_ids == ["2", "36121"]
    assert dataset.item_ids == ["11", "7", "9580"]
    assert dict(zip(dataset.item_ids, dataset.items["text"], strict=True)) == TITLES
    assert dataset.items["category"].null_count() == 3
    covers = tmp_path / "raw" / f"MicroLens-{size}_covers"
    assert dataset.image_path(2) == covers / "9580.jpg"
    rows = pl.read_parquet(dataset.path / "interactions.parquet")
    found = {
        (dataset.user_ids[u], dataset.item_ids[i], t)
        for u, i, t in rows.select("user", "item", "timestamp").iter_rows()
    }
    assert found == {
        ("36121", "9580", 1583378629),
        ("36121", "7", 1583378628),  # the earlier of two
        ("2", "9580", 1584412681),
        ("2", "11", 1584412681),
    }


def test_titles_without_a_header(tmp_path):
    """As MicroLens-100k has them: nothing is quoted, the first comma divides."""
    folder = write_microlens(tmp_path / "raw", size="100k")
    (folder / "MicroLens-100k_titles.csv").unlink()
    lines = [f"{item},{title}" for item, title in TITLES.items()]
    (folder / "MicroLens-100k_title_en.csv").write_bytes(
        "\r\n".join(["\ufeff" + lines[0], *lines[1:], ""]).encode()
    )
    dataset = prepare(folder)
    assert dict(zip(dataset.item_ids, dataset.items["text"], strict=True)) == TITLES


def test_another_folder_of_covers(tmp_path):
    folder = write_microlens(tmp_path / "raw")
    (folder / "MicroLens-50k_covers").rename(tmp_path / "elsewhere")
    with pytest.raises(BecamError, match=r"MicroLens-50k_covers; name it with --images"):
        prepare(folder)
    dataset = prepare(folder, images=tmp_path / "elsewhere")
    assert dataset.image_path(1) == tmp_path / "elsewhere" / "7.jpg"


def test_what_is_incomplete_leaves_and_is_counted(tmp_path):
    pairs = [*PAIRS, ("", "7", "1"), ("3", "", "1"), ("3", "404", "1"), ("4", "11", "")]
    titles = {**TITLES, "11": "", "12": "never watched", "": "no id"}
    folder = write_microlens(tmp_path / "raw", pairs, titles, pictures=["7", "11", "12"])
    dataset = prepare(folder)
    assert pairs_of(dataset) == {("36121", "7"), ("2", "11"), ("4", "11")}
    assert dataset.items["text"].to_list() == ["", TITLES["7"]]
    dropped = dataset.manifest.dropped
    assert dropped["interactions without a known user"] == 1
    assert dropped["interactions with an item the items lack"] == 2
    assert dropped["interactions with an item without a picture"] == 2
    assert dropped["items without a picture"] == 1
    assert dropped["rows of the items file without an id"] == 1
    assert dropped["repeated interactions of a pair"] == 1


def test_equals_the_naive_pipeline(tmp_path):
    pairs = [(str(n * n % 37), str(n * 7 % 23), str(n)) for n in range(600)]
    titles = {str(item): f"title {item}" for item in range(23)}
    folder = write_microlens(tmp_path / "raw", pairs, titles, pictures=list(titles)[3:])
    write_truncated_picture(folder / "MicroLens-50k_covers" / "5.jpg")
    dataset = prepare(folder, k_core=5)
    usable = set(list(titles)[3:]) - {"5"}
    expected = naive_core({(u, i) for u, i, _ in pairs if i in usable}, 5, 5)
    assert len(expected) > 50
    assert pairs_of(dataset) == expected


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "MicroLens-50k_pairs.csv").unlink(), r"has no \*_pairs\.csv"),
        (lambda f: (f / "MicroLens-50k_titles.csv").unlink(), "has no MicroLens-50k_titles.csv"),
        (lambda f: write_microlens(f, size="1M"), "several sizes .*1M_pairs.csv.*50k_pairs.csv"),
        (lambda f: edit(f / "MicroLens-50k_pairs.csv", "timestamp", "t"), "no column timestamp"),
        (lambda f: edit(f / "MicroLens-50k_titles.csv", "title", "text"), "no column title"),
        (lambda f: (f / "MicroLens-50k_pairs.csv").write_bytes(b""), "is empty"),
        (
            lambda f: (f / "MicroLens-50k_titles.csv").write_bytes(b"item,title\n7,\xff"),
            "not UTF-8",
        ),
        (lambda f: (f / "MicroLens-50k_titles.csv").write_bytes(b"7,\xff\n"), "not UTF-8"),
    ],
)
def test_damaged_files_are_one_sentence(tmp_path, damage, message):
    folder = write_microlens(tmp_path / "raw")
    damage(folder)
    with pytest.raises(BecamError, match=message) as caught:
        prepare(folder)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
