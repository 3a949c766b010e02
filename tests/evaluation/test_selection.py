"""Which items a rule chooses, against orders worked out by hand and by plain sorting."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from deviating import ITEMS, checkpoint_of
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from planted import planted_dataset

from becam.data.dataset import Dataset
from becam.errors import BecamError
from becam.evaluation.deviation import deviation
from becam.evaluation.item_table import ItemTable, item_table
from becam.evaluation.selection import RULES, select_items

IDS = ["a", "b", "c", "d", "e", "f"]
BEFORE = [80.0, 95.0, None, 80.0, 120.0, 30.0]
AFTER = [10.0, 10.0, None, 80.0, 125.0, 95.0]
SOLD = [3, 3, 9, 0, 1, 3]


def table_of(before=BEFORE, after=AFTER, sold=SOLD, ids=None):
    ids = [f"i{row}" for row in range(len(before))] if ids is None else ids
    items = pl.DataFrame(
        {"id": ids, "theta_before_0": before, "theta_after_0": after, "popularity": sold},
        schema_overrides={"theta_before_0": pl.Float64, "theta_after_0": pl.Float64},
    )
    return ItemTable(["BM3"], [], items)


def chosen(rule, table=None, **options):
    found = select_items(rule, table or table_of(ids=IDS), **options)
    return "".join(found.items["id"])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # Of equals the first in the dataset comes first, whichever way the order goes.
        ("top-drift", "ebadf"),
        ("top-drift:3", "eba"),
        ("least-drift", "fadbe"),
        ("least-drift:2", "fa"),
        ("top-omission", "adf"),  # over 90 degrees it is drift
        # Changes: a 70, b 85, e 5, f 65; d does not change and c has no angle.
        ("top-change", "bafe"),
        ("least-change", "efab"),
        ("popular", "cabfed"),
        ("popular:2", "ca"),
        ("rare", "deabfc"),
        ("all", "abcdef"),
    ],
)
def test_orders_worked_out_by_hand(rule, expected):
    assert chosen(rule) == expected


def test_what_the_rules_say():
    found = select_items("top-drift:2", table_of(ids=IDS))
    assert found.rule == "the largest angles to behaviour before the adapter (BM3)"
    assert found.opposite == "least-drift:2"
    assert chosen(found.opposite) == "fa"
    assert "key" not in found.items.columns
    assert select_items("popular", table_of()).rule == "the most interactions"
    assert select_items("all", table_of()).opposite is None
    for rule in set(RULES) - {"all", "sample"}:
        opposite = select_items(rule, table_of()).opposite
        assert opposite.partition(":")[0] in RULES


ANGLES = st.none() | st.sampled_from([10.0, 60.0, 90.0, 90.5, 140.0])


@given(st.lists(st.tuples(ANGLES, ANGLES, st.integers(0, 3)), min_size=1, max_size=12))
def test_orders_are_those_of_a_stable_sort(rows):
    before, after, sold = (list(values) for values in zip(*rows, strict=True))
    after = [None if b is None else a for a, b in zip(after, before, strict=True)]
    table = table_of(before, after, sold)
    ids = table.items["id"].to_list()
    change = [
        abs(a - b) if a is not None and b is not None else None
        for a, b in zip(after, before, strict=True)
    ]
    keys = {
        "top-drift": ([b and -b for b in before], None),
        "least-drift": (before, None),
        "top-omission": ([b and -b for b in before], lambda k: -k <= 90),
        "top-change": ([c and -c for c in change], lambda k: k != 0),
        "least-change": (change, lambda k: k != 0),
        "popular": ([-s for s in sold], None),
        "rare": (sold, None),
    }
    for rule, (key, kept) in keys.items():
        known = [i for i, k in enumerate(key) if k is not None and (kept is None or kept(k))]
        expected = [ids[i] for i in sorted(known, key=lambda i: key[i])]
        if expected:
            assert select_items(rule, table).items["id"].to_list() == expected
            assert select_items(f"{rule}:2", table).items["id"].to_list() == expected[:2]
        else:
            with pytest.raises(BecamError, match="choose sample"):
                select_items(rule, table)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 3))
def test_a_larger_sample_begins_with_the_smaller_one(n, count, seed):
    table = table_of([1.0] * n, [1.0] * n, [1] * n)
    small = select_items(f"sample:{count}", table, seed=seed).items["id"].to_list()
    large = select_items(f"sample:{count + 3}", table, seed=seed).items["id"].to_list()
    assert large[: len(small)] == small
    assert len(set(small)) == len(small) == min(n, count)


def test_samples_hang_on_the_seed_and_the_count_on_the_default():
    table = table_of([1.0] * 300, [1.0] * 300, [1] * 300)
    first, second = (select_items("sample", table, seed=seed) for seed in (0, 1))
    assert first.items.height == 100
    assert select_items("sample", table, count=7).items.height == 7
    assert not first.items.equals(second.items)
    assert "seed 1" in second.rule


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("ids.txt", "c\n\n  a \nc\nf", "caf"),
        ("ids.txt", "\ufeffb\r\na\r\n", "ba"),
        ("noending", "d\nb", "db"),
        ("ids.csv", "name,item_id\nx,e\ny,b\n", "eb"),
        ("ids.tsv", "id\tother\nf\t1\na\t2\n", "fa"),
        ("ids.csv", "c\nb\n", "cb"),
        ("ids.json", '["d", "a", "d"]', "da"),
        ("ids.json", '[{"id": "d", "theta": 3}, {"id": "b"}]', "db"),
        (
            "worst.json",
            json.dumps([{"before": [{"id": "e"}, {"id": "b"}], "after": [{"id": "b"}]}]),
            "eb",
        ),
    ],
)
def test_files_give_the_items_in_their_order(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content.encode())
    assert chosen(str(path)) == expected
    assert select_items(str(path), table_of(ids=IDS)).rule == f"listed in {name}"


def test_tables_and_numbers_as_ids(tmp_path):
    table = table_of([1.0] * 3, [1.0] * 3, [1] * 3, ids=["12", "7", "007"])
    pl.DataFrame({"id": [7, None, 12]}).write_parquet(tmp_path / "ids.parquet")
    assert chosen(str(tmp_path / "ids.parquet"), table) == "712"
    (tmp_path / "ids.json").write_text("[12, 7]")
    assert chosen(str(tmp_path / "ids.json"), table) == "127"
    (tmp_path / "ids.csv").write_text("id,x\n007,1\n")
    assert chosen(str(tmp_path / "ids.csv"), table) == "007"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("worst", "neither a file of item ids nor a rule"),
        ("top_drift:3", "neither a file of item ids nor a rule"),
        ("top-drift:0", "names no number"),
        ("top-drift:-1", "names no number"),
        ("sample:ten", "sample:100, for instance"),
        ("all:5", "write sample:5"),
    ],
)
def test_what_is_no_rule(rule, said):
    with pytest.raises(BecamError, match=said):
        chosen(rule)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("ids.txt", b"a\nnobody\n", "names the item 'nobody', which is not"),
        ("ids.txt", b"\n \n", "names no item"),
        ("ids.txt", b"\xff\xfe\x00", "cannot be read as text"),
        ("ids.json", b"[", "not a JSON list"),
        ("ids.json", b'{"before": []}', "not a JSON list"),
        ("ids.json", b"[null]", "not a JSON list"),
        ("ids.json", b"[[]]", "names no item"),
        ("ids.csv", b"", "is empty"),
    ],
)
def test_what_is_no_list(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BecamError, match=said):
        chosen(str(path))


def test_without_an_adapter_nothing_changes_and_it_is_said():
    with pytest.raises(BecamError, match="No item has what top-change goes by"):
        chosen("top-change", table_of(BEFORE, BEFORE, SOLD))


# --- the table --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A dataset whose items but the last have a picture, and two checkpoints."""
    folder = tmp_path_factory.mktemp("shop")
    dataset = planted_dataset(folder / "dataset", n_items=ITEMS)
    Image.new("RGB", (4, 4)).save(folder / "dataset" / "x.png")
    pictures = ["x.png"] * (ITEMS - 1) + [None]
    items = dataset.items.with_columns(image=pl.Series(pictures, dtype=pl.String))
    items.write_parquet(folder / "dataset" / "items.parquet")
    return Dataset.open(folder / "dataset"), [
        checkpoint_of(dataset),
        checkpoint_of(dataset, "befa"),
    ]


def test_the_table_holds_what_is_known_elsewhere(shop):
    dataset, checkpoints = shop
    table = item_table(checkpoints, dataset, labels=["one", "two"], seed=3)
    assert table.items["id"].to_list() == dataset.item_ids[:-1]
    assert table.items["item"].to_list() == list(range(ITEMS - 1))
    counts = np.zeros(ITEMS, int)
    for _, item in dataset.interactions("train"):
        counts[item] += 1
    assert table.items["popularity"].to_list() == counts[:-1].tolist()
    for number, checkpoint in enumerate(checkpoints):
        (want,) = deviation(checkpoint, dataset=dataset, modalities=["image"], seed=3)
        for name in ("theta_before", "theta_after", "theta_permuted_before"):
            assert table.items[f"{name}_{number}"].to_list() == want.items[name].to_list()[:-1]
    assert [each.label for each in table.deviations] == table.labels == ["one", "two"]
    assert "BeFA" in table.deviations[1].summary.sentences()[0]


def test_items_that_one_checkpoint_does_not_know_are_left_out(shop):
    dataset, checkpoints = shop
    fewer = checkpoint_of(dataset, ids=dataset.item_ids[5:20])
    table = item_table([checkpoints[0], fewer], dataset)
    assert table.items["id"].to_list() == dataset.item_ids[5:20]
    assert table.items["theta_before_0"].null_count() == 0


def test_what_deviation_writes_can_be_listed(shop, tmp_path):
    from becam.evaluation.deviation_report import write_deviations

    dataset, checkpoints = shop
    found = deviation(checkpoints[0], dataset=dataset, modalities=["image"])
    write_deviations(found, tmp_path, worst=3)
    table = item_table(checkpoints, dataset)
    worst = json.loads((tmp_path / "worst.json").read_text())
    wanted = [row["id"] for row in worst[0]["before"]]
    assert wanted == [row["id"] for row in worst[0]["after"]]  # there is no adapter
    assert dataset.item_ids[-1] not in wanted, "the item without a picture may not be shown"
    listed = select_items(str(tmp_path / "worst.json"), table)
    assert listed.items["id"].to_list() == wanted
    assert wanted == select_items("top-drift:3", table).items["id"].to_list()
