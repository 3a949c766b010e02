"""Tables as other programs write them, end to end: which items and interactions come out."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from rawdata import pairs_of, write_picture

from becam.data.preparation import prepare_dataset
from becam.errors import BecamError

CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases"

needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason=f"{CASES} is absent")

TITLES = {
    "inch": ["Plain mug", '27" TV', "Lamp", '5" heels', "Shelf 3'", 'Cut 9"', "Dress", "Last one"],
    "words": ["Plain mug", "Lamp", '"Great" lamp', "Heels", "TV", '"Big" scarf', "Dress", "Last"],
    "unclosed": ["Plain mug", "Lamp", '"Unclosed lamp', "Heels", "TV", "Scarf", "Dress", "Last"],
    "two": ["Plain mug", "Lamp", '"Unclosed lamp', "Heels", "TV", 'Scarf "', "Dress", "Last one"],
}


@pytest.fixture
def shop(tmp_path):
    folder = tmp_path / "shop"
    for number in range(1, 9):
        write_picture(folder / "pics" / f"{number}.jpg", number)
    rows = [f"u{user},{item}" for user in range(4) for item in range(1, 9)]
    (folder / "orders.csv").write_text("\n".join(["user_id,item_id", *rows]) + "\n")
    rows = [f"{item},thing {item},pics/{item}.jpg" for item in range(1, 9)]
    (folder / "items.csv").write_text("\n".join(["item_id,title,image", *rows]) + "\n")
    return folder


def prepare(folder, orders="orders.csv", items="items.csv", **options):
    said: list[str] = []
    options = {"k_core": 1, "overwrite": True, "say": said.append, **options}
    dataset = prepare_dataset(
        "csv", folder / orders, folder.parent / "out", items=folder / items, **options
    )
    return dataset, said


def titles_of(dataset):
    return dataset.items.sort("id")["text"].to_list()


@pytest.mark.parametrize("separator", ["\t", ",", ";", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("kind", TITLES)
def test_marks_that_quote_nothing(shop, kind, separator, end):
    rows = [f"{n}{separator}pics/{n}.jpg{separator}{t}" for n, t in enumerate(TITLES[kind], 1)]
    header = separator.join(["item_id", "image", "title"])
    (shop / "items.tsv").write_bytes(end.join([header, *rows, ""]).encode())
    dataset, _ = prepare(shop, items="items.tsv")
    assert titles_of(dataset) == TITLES[kind]


def test_marks_of_both_kinds_in_one_file(shop):
    titles = ['27" TV', "Mug, blue", 'A "big" one', "two\nlines, both long", "e", "f", "g", "h"]
    quoted = ['27" TV', '"Mug, blue"', '"A ""big"" one"', '"two\nlines, both long"', *"efgh"]
    rows = [f"{n},pics/{n}.jpg,{t}" for n, t in enumerate(quoted, 1)]
    (shop / "mixed.csv").write_text("\n".join(["item_id,image,title", *rows]) + "\n")
    dataset, _ = prepare(shop, items="mixed.csv")
    assert titles_of(dataset) == titles


def test_rows_over_several_lines_are_told(shop):
    rows = [f'{n},pics/{n}.jpg,"a\n, b\n{n}"' for n in range(1, 9)]
    (shop / "broken.csv").write_text("\n".join(["item_id,image,title", *rows]) + "\n")
    dataset, said = prepare(shop, items="broken.csv")
    assert titles_of(dataset) == [f"a\n, b\n{n}" for n in range(1, 9)]
    assert any("its rows are 16 fewer than its lines" in line for line in said)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1,pics/1.jpg,Mug, blue", "2,pics/2.jpg,b"], "4 fields in line 2 where its header has 3"),
        (['1,pics/1.jpg,"a" b, c', "2,pics/2.jpg,b"], "quotation marks near line 2"),
        (['1,pics/1.jpg,"a', "2,pics/2.jpg,b, c"], "quotation marks near line 2"),
    ],
)
def test_rows_that_fit_no_reading_are_named_by_line(shop, rows, message):
    (shop / "bad.csv").write_text("\n".join(["item_id,image,title", *rows]) + "\n")
    with pytest.raises(BecamError, match=message):
        prepare(shop, items="bad.csv")


def test_short_rows_lack_their_last_cells_alone(shop):
    lines = (shop / "items.csv").read_text().splitlines()
    lines = ["item_id,image,title"] + [
        f"{n},pics/{n}.jpg" + (f',"a ""{n}"", b"' if n % 2 else "") for n in range(1, len(lines))
    ]
    (shop / "short.csv").write_text("\n".join(lines))
    dataset, _ = prepare(shop, items="short.csv")
    assert titles_of(dataset) == [f'a "{n}", b' if n % 2 else "" for n in range(1, 9)]


def test_a_field_longer_than_the_csv_module_likes(shop):
    long = "x" * 300_000
    rows = [f'{n},pics/{n}.jpg,"{long}, {n}"' for n in range(1, 9)]
    (shop / "long.csv").write_text("\n".join(["item_id,image,title", *rows]) + "\n")
    dataset, _ = prepare(shop, items="long.csv")
    assert titles_of(dataset) == [f"{long}, {n}" for n in range(1, 9)]
    name = "y" * 200_000
    (shop / "header.csv").write_text(f"item_id,image,{name}\n1,pics/1.jpg,a\n2,pics/2.jpg,b\n")
    dataset, _ = prepare(shop, items="header.csv", columns={"text": [name]})
    assert titles_of(dataset) == ["a", "b"]


AT = datetime(2024, 3, 1, 10, 43, tzinfo=UTC).timestamp()
DAY = datetime(2024, 3, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-03-01 10:43:00+00", AT),
        ("2024-03-01 10:43:00.5+00:00", AT),
        ("2024-03-01 10:43:00 UTC", AT),
        ("2024-03-01 10:43:00.000001 UTC", AT),
        ("2024-03-01 10:43:00 +0000 UTC", AT),
        ("2024-03-01 11:43:00+01:00", AT),
        ("2024-03-01 16:13:00+0530", AT),
        ("2024-03-01T10:43:00Z", AT),
        ("2024-03-01T10:43:00.000Z", AT),
        ("2024-03-01T10:43Z", AT),
        ("20240301T104300Z", AT),
        ("2024-03-01 10:43", AT),
        ("2024/03/01 10:43", AT),
        ("2024.03.01 10:43:00", AT),
        ("1 Mar 2024 10:43", AT),
        ("Fri, 01 Mar 2024 10:43:00 GMT", AT),
        ("Fri, 01 Mar 2024 11:43:00 +0100", AT),
        ("Fri Mar  1 10:43:00 2024", AT),
        (" 2024-03-01 ", DAY),
        ("20240301", DAY),
        ("20240301104300", AT),
        ("1709289780", AT),
        ("1.70928978e9", AT),
        ("1709289780.25", AT),
        ("1709289780000", AT * 1000),
    ],
)
@pytest.mark.parametrize("nothing", ["", "NULL", "NaN", "nat", "\\N"])
def test_times(shop, value, expected, nothing):
    lines = (shop / "orders.csv").read_text().splitlines()
    rows = [f'{line},"{value}"' for line in lines[1:]]
    rows[3] = f"{lines[4]},{nothing}"
    (shop / "timed.csv").write_text("\n".join([f"{lines[0]},timestamp", *rows]))
    dataset, said = prepare(shop, "timed.csv")
    stored = pl.read_parquet(dataset.path / "interactions.parquet")["timestamp"].to_list()
    assert stored == [None if row == 3 else int(expected) for row in range(32)]
    assert "1 of 32 interactions have no timestamp that can be read." in said
    with pytest.raises(BecamError, match="1 interactions have no timestamp that can be read"):
        prepare(shop, "timed.csv", split="time")


@pytest.mark.parametrize("value", ["01.03.2024", "03/01/2024", "1/3/24", "1 Mar 24", "last week"])
def test_times_that_nobody_can_tell_are_left_out_where_they_are_not_needed(shop, value):
    lines = (shop / "orders.csv").read_text().splitlines()
    rows = [f"{line},{value}" for line in lines[1:]]
    (shop / "timed.csv").write_text("\n".join([f"{lines[0]},date", *rows]))
    dataset, said = prepare(shop, "timed.csv")
    assert len(pairs_of(dataset)) == 32
    assert "timestamp" not in pl.read_parquet_schema(dataset.path / "interactions.parquet")
    assert any(f"{value!r} in column date" in line for line in said)
    with pytest.raises(BecamError, match="convert it to split by time"):
        prepare(shop, "timed.csv", split="time")


def test_a_date_among_numbers_and_times_of_parquet(shop):
    orders = pl.read_csv(shop / "orders.csv", infer_schema=False)
    mixed = ["2024-03-01" if row == 5 else str(1709200000 + row) for row in range(32)]
    for name, times, expected in (
        ("mixed", mixed, [int(DAY) if r == 5 else 1709200000 + r for r in range(32)]),
        ("nan", [float("nan"), *range(31)], [None, *range(31)]),
        ("days", [20240301] * 32, [int(DAY)] * 32),
        ("clock", [datetime(2024, 3, 1, 10, 43).time()] * 32, None),
        ("lists", [[1]] * 32, None),
    ):
        orders.with_columns(timestamp=pl.Series(times)).write_parquet(shop / f"{name}.parquet")
        dataset, _ = prepare(shop, f"{name}.parquet")
        stored = pl.read_parquet(dataset.path / "interactions.parquet")
        if expected is None:
            assert "timestamp" not in stored.columns
        else:
            assert stored["timestamp"].to_list() == expected


@pytest.mark.parametrize(
    ("rewritten", "told"),
    [
        (lambda n: f"pics\\{n}.jpg", 8),
        (lambda n: f".\\pics\\\\{n}.jpg", 8),
        (lambda n: f"Pics/{n}.JPG", 8),
        (lambda n: f"pics/{n}.jpg" if n > 2 else f"PICS\\{n}.Jpg", 2),
        (lambda n: f"./pics/../pics/{n}.jpg", 0),
    ],
)
def test_paths_of_other_systems(shop, rewritten, told):
    rows = [f"{n},{rewritten(n)}" for n in range(1, 9)]
    (shop / "windows.csv").write_text("\n".join(["item_id,image", *rows]))
    dataset, said = prepare(shop, items="windows.csv")
    assert dataset.n_items == 8
    assert all(dataset.image_path(item).is_file() for item in range(8))
    assert [line for line in said if "written otherwise" in line] == (
        [f"{told} pictures are there under a path written otherwise (backslashes, capitals, "
         "accents), which is taken."] if told else []
    )  # fmt: skip


def test_a_path_that_may_mean_two_files_means_none(shop):
    write_picture(shop / "pics" / "a.jpg")
    write_picture(shop / "pics" / "A.jpg", 2)
    rows = ["1,pics/a.JPG", "2,pics/2.jpg", "3,pics\\3.jpg\0", "4,pics"]
    (shop / "twins.csv").write_text("\n".join(["item_id,image", *rows]))
    dataset, _ = prepare(shop, items="twins.csv")
    assert dataset.item_ids == ["2"]
    dropped = dataset.manifest.dropped
    assert dropped["items without a picture"] == 2
    assert dropped["items with an unreadable picture"] == 1


def test_accents_written_in_two_ways(shop):
    (shop / "pics" / "1.jpg").rename(shop / "pics" / "cafe\u0301.jpg")
    (shop / "accents.csv").write_text("item_id,image\n1,pics/caf\u00e9.jpg\n2,pics/2.jpg\n")
    dataset, _ = prepare(shop, items="accents.csv")
    assert dataset.item_ids == ["1", "2"]


@pytest.mark.parametrize(
    "folder", ["data[1]", "a*", "x?", "{a,b}", "year=2020", "café ü", "a#b%20"]
)
def test_names_that_are_patterns_elsewhere(tmp_path, shop, folder):
    place = tmp_path / folder
    shop.rename(place)
    for decoy in ("data1", "ab", "xy", "a"):
        (tmp_path / decoy).mkdir()
        (tmp_path / decoy / "orders.csv").write_text("user_id,item_id\nstranger,1\n")
        (tmp_path / decoy / "orders.parquet").write_bytes(b"PAR1")
    (place / "orders*.csv").write_text((place / "orders.csv").read_text().replace("u0", "star"))
    dataset, _ = prepare(place)
    assert dataset.user_ids == ["u0", "u1", "u2", "u3"]
    dataset, _ = prepare(place, "orders*.csv")
    assert dataset.user_ids == ["star", "u1", "u2", "u3"]
    orders = pl.read_csv(place / "orders.csv", infer_schema=False, glob=False)
    orders.write_parquet(place / "orders.parquet")
    output = tmp_path / f"{folder}*[2]"
    dataset = prepare_dataset(
        "csv", place / "orders.parquet", output, items=place / "items.csv", k_core=1
    )
    assert dataset.user_ids == ["u0", "u1", "u2", "u3"]
    assert len(dataset.interactions("train")) == 24
    assert "year" not in dataset.items.columns


@pytest.mark.parametrize("address", ["s3:", "hf:", "file:", "https:"])
def test_addresses_are_folders(shop, monkeypatch, address):
    place = shop.parent / address
    shop.rename(place)
    monkeypatch.chdir(shop.parent)
    dataset = prepare_dataset(
        "csv", f"{address}//orders.csv", "out", items=f"{address}//items.csv", k_core=1
    )
    assert dataset.n_items == 8


@pytest.mark.skipif(os.name == "nt", reason="names are bytes on POSIX alone")
def test_names_that_are_no_utf8(tmp_path, shop):
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    shop.rename(place)
    images = tmp_path / "images"
    (place / "pics").rename(images)
    (images / "3.jpg").rename(images / os.fsdecode(b"\xe9.jpg"))
    (images / os.fsdecode(b"\xe8")).mkdir()
    (images / "4.jpg").rename(images / os.fsdecode(b"\xe8") / "4.jpg")
    (place / "plain.csv").write_text("item_id\n" + "\n".join(map(str, range(1, 9))))
    said: list[str] = []
    dataset = prepare_dataset(
        "csv",
        place / "orders.csv",
        place / "out",
        items=place / "plain.csv",
        images=images,
        k_core=1,
        say=said.append,
    )
    assert dataset.item_ids == ["1", "2", "5", "6", "7", "8"]
    assert any("no UTF-8" in line and r"\udce8" in line for line in said)
    with pytest.raises(BecamError, match="no UTF-8"):
        prepare_dataset(
            "csv", place / "orders.csv", tmp_path / "out", items=place / "items.csv", k_core=1
        )


def test_ids_that_became_fractions(shop):
    orders = pl.read_csv(shop / "orders.csv", infer_schema=False)
    items = pl.read_csv(shop / "items.csv", infer_schema=False)
    numbers = pl.col("item_id").cast(pl.Float64)
    some = pl.DataFrame({"user_id": ["u9"], "item_id": [None]}, schema=orders.schema)
    floats = pl.concat([orders, some]).with_columns(numbers)
    floats.write_parquet(shop / "floats.parquet")
    floats.write_csv(shop / "floats.csv")
    items.with_columns(numbers).write_csv(shop / "float-items.csv")
    items.with_columns(numbers.cast(pl.Decimal(38, 9))).write_parquet(shop / "decimals.parquet")
    expected = [str(number) for number in range(1, 9)]
    for log, goods, told in (
        ("floats.parquet", "items.csv", "numbers such as 42.0 as 42"),
        ("floats.parquet", "decimals.parquet", "numbers such as 42.0 as 42"),
        ("floats.csv", "items.csv", "taken for the same item"),
        ("orders.csv", "float-items.csv", "taken for the same item"),
    ):
        dataset, said = prepare(shop, log, goods)
        assert dataset.item_ids == expected
        assert len(pairs_of(dataset)) == 32
        assert any(told in line for line in said)
    dataset, _ = prepare(shop, "floats.csv", "float-items.csv")
    assert dataset.item_ids == [f"{number}.0" for number in range(1, 9)]
    assert dataset.manifest.dropped["interactions with an item the items lack"] == 1


def test_ids_that_never_meet_are_shown(shop):
    text = (shop / "items.csv").read_text().rstrip()
    (shop / "other.csv").write_text(text.replace("\n", "\nSKU-"))
    with pytest.raises(BecamError, match=r"the ids \('1', where they have ids such as 'SKU-1'\)"):
        prepare(shop, items="other.csv")


def test_pictures_and_lists_inside_a_parquet(shop):
    items = pl.read_csv(shop / "items.csv", infer_schema=False)
    picture = pl.struct(bytes=pl.lit(b"\xff\xd8\xff\xe0"), path=pl.col("image"))
    forms = {
        "paths": items.with_columns(image=picture),
        "names": items.with_columns(
            image=picture.struct.with_fields(path=pl.col("item_id") + ".jpg")
        ),
        "bytes": items.with_columns(image=pl.struct(bytes=pl.lit(b"\xff\xd8"))),
        "raw": items.with_columns(image=pl.lit(b"\xff\xd8\xff")),
        "binary": items.with_columns(pl.col("item_id", "image").cast(pl.Binary)),
        "list": items.with_columns(title=pl.concat_list("title", "title")),
        "struct": items.with_columns(item_id=pl.struct("item_id")),
    }
    for name, table in forms.items():
        table.write_parquet(shop / f"{name}.parquet")
    for name in ("paths", "binary"):
        assert prepare(shop, items=f"{name}.parquet")[0].n_items == 8
    dataset, _ = prepare(shop, items="names.parquet", images=shop / "pics")
    assert dataset.n_items == 8
    for name, message in (
        ("names", r"Column image .*holds the pictures themselves.*there is no .*1\.jpg.*--images"),
        ("bytes", "Column image of .*holds the pictures themselves.*--images"),
        ("raw", "Column image of .*holds the pictures themselves.*--images"),
        ("list", "Column title of .*list.parquet holds lists.*--text-column"),
        ("struct", "Column item_id of .*struct.parquet holds structs.*--item-column"),
    ):
        with pytest.raises(BecamError, match=message):
            prepare(shop, items=f"{name}.parquet")


def zipped(path):
    path.write_bytes(b"PK\x03\x04" + b"\0" * 100)


DAMAGE = {
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "header": (lambda p: p.write_text("user_id,item_id\n"), "has no interactions"),
    "gzip": (lambda p: p.write_bytes(gzip.compress(p.read_bytes())), "gzip.*unpack"),
    "zip": (zipped, "save it as CSV"),
    "utf16": (lambda p: p.write_text(p.read_text(), "utf-16"), "UTF-16"),
    "utf16le": (lambda p: p.write_text(p.read_text(), "utf-16-le"), "not text"),
    "latin1": (lambda p: p.write_bytes(p.read_bytes().replace(b"u0", b"\xe9")), "not UTF-8"),
    "zeros": (lambda p: p.write_bytes(b"\0" * 5000), "not text"),
    "mac": (lambda p: p.write_text(p.read_text().replace("\n", "\r"), newline=""), "carriage"),
    "ragged": (lambda p: p.write_text(p.read_text() + "u1,2,3\n"), "3 fields in line 34"),
    "twice": (lambda p: p.write_text("user_id,item_id,item_id\nu,1,2\n"), "several columns called"),
    "binary": (lambda p: p.write_bytes(bytes(range(256)) * 50), "not text|not UTF-8"),
    "parquet": (lambda p: p.write_bytes(b"PAR1" + b"\1" * 40 + b"PAR1"), "cannot be read|damaged"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_files_that_are_no_tables_are_one_sentence(shop, kind):
    damage, message = DAMAGE[kind]
    damage(shop / "orders.csv")
    with pytest.raises(BecamError, match=message) as caught:
        prepare(shop)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["orders.csv", "items.csv"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "loop", "dangling"])
def test_what_is_no_file_is_refused_at_once(shop, place, kind):
    (shop / place).unlink()
    if kind == "pipe":
        os.mkfifo(shop / place)
    elif kind == "folder":
        (shop / place).mkdir()
    else:
        target = {"device": "/dev/zero", "loop": place, "dangling": "nowhere"}[kind]
        (shop / place).symlink_to(target)
    with pytest.raises(BecamError):
        prepare(shop)
    (shop / "interactions.csv").symlink_to(shop / place)
    with pytest.raises(BecamError):
        prepare_dataset("csv", shop, shop.parent / "out", k_core=1)


LONG = "n" * 300


@pytest.mark.parametrize("odd", [LONG, f"a/{LONG}", "file/below", "zero\0byte", "loop/x", "\udce9"])
@pytest.mark.parametrize("role", ["path", "items", "images", "output"])
@pytest.mark.parametrize("source", ["csv", "hm", "mmrec", "microlens", "tmall"])
def test_odd_paths_are_one_sentence(shop, monkeypatch, source, role, odd):
    monkeypatch.chdir(shop.parent)
    Path("file").write_text("")
    Path("loop").symlink_to("loop")
    given = {"path": shop if source == "csv" else shop / "pics", "output": "out", role: odd}
    if role == "output" and odd == "\udce9":
        return  # a name like any other
    with pytest.raises(BecamError) as caught:
        prepare_dataset(source, given.pop("path"), given.pop("output"), k_core=1, **given)
    assert "\n" not in str(caught.value)


def test_marks_of_the_byte_order_empty_lines_and_zero_bytes(shop):
    text = (shop / "orders.csv").read_text().replace("u0", "u\0") + "\n\n"
    (shop / "odd.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    dataset, _ = prepare(shop, "odd.csv")
    assert dataset.user_ids == ["u\0", "u1", "u2", "u3"]
    assert len(pairs_of(dataset)) == 32


def test_very_many_columns(shop):
    lines = (shop / "orders.csv").read_text().splitlines()
    header = ",".join(f"c{n}" for n in range(20_000))
    rows = [f"{header},{lines[0]}", *("," * 20_000 + line for line in lines[1:4])]
    (shop / "wide.csv").write_text("\n".join(rows))
    dataset, _ = prepare(shop, "wide.csv")
    assert len(pairs_of(dataset)) == 3
    with pytest.raises(BecamError, match="no column that looks like the user") as caught:
        (shop / "wide.csv").write_text("\n".join(rows).replace("user_id", "x"))
        prepare(shop, "wide.csv")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(("most", "validated"), [(1, False), (2, False), (3, True)])
def test_histories_too_short_to_validate_are_told(shop, most, validated):
    rows = [f"u{u},{1 + (u + n) % 8}" for u in range(30) for n in range(2 if u else most)]
    rows = [row for row in rows if most > 1 or row.endswith(tuple("12345678"))]
    (shop / "short.csv").write_text("\n".join(["user_id,item_id", *rows]))
    dataset, said = prepare(shop, "short.csv")
    told = [line for line in said if "nothing can be validated" in line]
    assert len(told) == (0 if validated else 1)
    assert (dataset.manifest.counts["validation"] == 1) is validated


@needs_cases
@pytest.mark.parametrize("name", ["items-two", "items-words"])
def test_case_of_marks(tmp_path, name):
    lines = (CASES / "12-tsv-quotes" / f"{name}.tsv").read_text().splitlines()[1:]
    for number in range(1, 9):
        write_picture(tmp_path / "becam-demo/catalogue/images" / f"item000{number}.jpg")
    dataset = prepare_dataset(
        "csv",
        CASES / "12-tsv-quotes" / "orders.csv",
        tmp_path / "out",
        items=CASES / "12-tsv-quotes" / f"{name}.tsv",
        images=tmp_path,
        k_core=1,
    )
    assert titles_of(dataset) == [line.split("\t")[2] for line in lines]


@needs_cases
def test_case_of_paths_from_windows(tmp_path):
    case = CASES / "17-backslash"
    dataset = prepare_dataset(
        "csv", case / "orders.csv", tmp_path / "out", items=case / "items.csv", k_core=1
    )
    assert dataset.manifest.counts["items"] == 8
    assert all(dataset.image_path(item).is_file() for item in range(8))


@needs_cases
def test_case_of_names_in_a_picture_folder(tmp_path):
    case = CASES / "08-image-folder"
    dataset = prepare_dataset(
        "csv",
        case / "orders.csv",
        tmp_path / "out",
        items=case / "items.csv",
        images=case / "pictures",
        k_core=1,
    )
    assert dataset.item_ids == ["1", "2", "3", "4", "5", "6"]
    assert not any("MACOSX" in image or "._" in image for image in dataset.items["image"])


@needs_cases
@pytest.mark.parametrize("form", ["bigquery", "postgres", "minutes", "one-nan"])
def test_case_of_times(tmp_path, form):
    case = CASES / "16-timestamps"
    table = pl.read_csv(case / f"orders-{form}.csv", infer_schema=False)
    for name in pl.read_csv(case / "items.csv")["image"]:
        write_picture(tmp_path / name)
    dataset = prepare_dataset(
        "csv",
        case / f"orders-{form}.csv",
        tmp_path / "out",
        items=case / "items.csv",
        images=tmp_path,
        k_core=1,
    )
    stored = pl.read_parquet(dataset.path / "interactions.parquet")["timestamp"]
    assert len(stored) == len(table)
    assert stored.null_count() == (1 if form == "one-nan" else 0)
    if form != "one-nan":
        days = [datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M") for second in stored]
        assert sorted(days) == sorted(value[:16] for value in table["timestamp"])


@needs_cases
def test_case_of_pictures_in_parquet(tmp_path):
    case = CASES / "10-hf-parquet"
    with pytest.raises(BecamError, match=r"Column image .*holds the pictures themselves"):
        prepare_dataset(
            "csv", case / "orders.parquet", tmp_path / "out", items=case / "items.parquet", k_core=1
        )
    with pytest.raises(BecamError, match=r"Column (title|image) .*holds lists"):
        prepare_dataset(
            "csv",
            case / "orders.parquet",
            tmp_path / "out",
            items=case / "items-list.parquet",
            k_core=1,
        )


@needs_cases
@pytest.mark.parametrize("name", ["once", "twice"])
def test_case_of_short_histories(tmp_path, name):
    case, said = CASES / "46-short-histories", []
    for image in pl.read_csv(case / "items.csv")["image"]:
        write_picture(tmp_path / image)
    prepare_dataset(
        "csv",
        case / f"{name}.csv",
        tmp_path / "out",
        items=case / "items.csv",
        images=tmp_path,
        k_core=1,
        say=said.append,
    )
    assert any("No user has 3 interactions" in line and "--no-validation" in line for line in said)
