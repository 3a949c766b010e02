"""``becam deviation`` as a user meets it."""

from __future__ import annotations

import json
from dataclasses import replace

import polars as pl
import pytest
from deviating import ITEMS, checkpoint_of
from PIL import Image
from planted import planted_dataset, write_items
from sentences import one_sentence

from becam.evaluation.deviation import deviation as measured


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Checkpoints of one dataset, and one that no dataset is needed for."""
    folder = tmp_path_factory.mktemp("deviation")
    dataset = planted_dataset(folder / "dataset", n_items=ITEMS)
    plain = checkpoint_of(dataset)
    plain.save(folder / "bm3" / "befa.pt")
    checkpoint_of(dataset, "befa").save(folder / "bm3-befa" / "befa.pt")
    images = {"image": plain.modalities["image"]}
    replace(plain, modalities=images).save(folder / "pictures.pt")
    replace(plain, training={}, modalities={"image": replace(images["image"], encoder={})}).save(
        folder / "unknown.pt"
    )
    planted_dataset(folder / "others", n_items=ITEMS, seed=5)
    items = dataset.items.with_columns(id=pl.lit("x") + pl.col("id"))
    write_items(folder / "others", items)
    return folder


@pytest.fixture
def deviation(run_cli, world):
    """Run ``becam deviation`` on checkpoints of ``world`` and whatever else is given."""

    def run(names, *more):
        return run_cli("deviation", *(world / name for name in names), *more)

    return run


def test_folder_and_terminal(deviation, world, tmp_path):
    out = tmp_path / "deep" / "out"
    # Folders of runs do as well as the files in them.
    status, printed, errors = deviation(
        ["bm3", "bm3-befa/befa.pt"], "--dataset", world / "dataset", "--worst", 4, "-o", out
    )
    assert status == 0, errors
    assert "%" not in errors  # no bar for what takes no time
    assert {path.name for path in out.iterdir()} == {
        *("items.parquet", "categories.parquet", "table.md"),
        *("histogram.png", "histogram.pdf", "worst.json"),
    }
    with Image.open(out / "histogram.png") as sheet:
        sheet.load()
    assert (out / "histogram.pdf").read_bytes().startswith(b"%PDF")
    items = pl.read_parquet(out / "items.parquet")
    assert items.group_by("checkpoint", "modality").len()["len"].to_list() == [ITEMS] * 4
    _, _, befa, _ = found = json.loads((out / "worst.json").read_text())
    assert [(each["adapter"], each["modality"]) for each in found] == [
        *(("none", "image"), ("none", "text"), ("befa", "image"), ("befa", "text"))
    ]
    own = items.filter(pl.col("checkpoint") == befa["checkpoint"], pl.col("modality") == "image")
    for when in ("before", "after"):
        want = own.sort(f"theta_{when}", descending=True)["id"].to_list()
        assert [item["id"] for item in befa[when]] == want[:4]
        for item in befa[when][:3]:
            assert f"{item['id']} ({item[f'theta_{when}']:.0f}°)" in printed
    for each in found:
        assert f"{each['checkpoint']}: {each['modality']}" in printed
        for sentence in each["sentences"]:
            assert sentence in printed
    assert "small for any content" in printed
    assert "whatever the content" in printed
    assert f"--items top-drift:4 -o {out}-gallery" in printed
    for line in (f"Wrote {out / 'table.md'}", "image, before", "text, after", "over 60°"):
        assert line in printed
    assert max(map(len, printed.split("Without an adapter")[0].splitlines())) <= 80


def test_options(deviation, world, tmp_path):
    out = tmp_path / "out"
    arguments = ("--dataset", world / "dataset", "-o", out)
    status, printed, _ = deviation(
        ["bm3"], *arguments, "--modality", "text", "--omission", 75, "--seed", 9
    )
    assert status == 0
    assert "over 75°" in printed
    assert "becam gallery" not in printed  # which shows pictures
    written = pl.read_parquet(out / "items.parquet")
    want = measured(
        world / "bm3", dataset=world / "dataset", modalities=["text"], omission=75, seed=9
    )
    assert written.equals(want[0].items)
    assert "already exists" in one_sentence(deviation(["bm3"], *arguments))
    assert pl.read_parquet(out / "items.parquet").equals(written)
    assert deviation(["bm3"], *arguments, "--overwrite")[0] == 0
    assert len(pl.read_parquet(out / "items.parquet")) == 2 * ITEMS


def test_errors_are_one_sentence_and_leave_nothing(deviation, world, tmp_path):
    out, dataset = ("-o", tmp_path / "out"), ("--dataset", world / "dataset")
    assert "--dataset" in one_sentence(deviation(["bm3"], *out))
    assert "no features of the checkpoint" in one_sentence(
        deviation(["unknown.pt"], *dataset, *out)
    )
    line = one_sentence(deviation(["pictures.pt"], *dataset, *out, "--modality", "text"))
    assert "pictures.pt was trained without text features" in line
    line = one_sentence(deviation(["bm3"], "--dataset", world / "others", *out))
    assert "no item that the checkpoint knows" in line
    assert "--omission" in one_sentence(deviation(["bm3"], *dataset, *out, "--omission", 120))
    assert "no checkpoint at" in one_sentence(deviation(["nothing"], *dataset, *out))
    # The first checkpoint is measured, the second fails.
    one_sentence(deviation(["bm3", "unknown.pt"], *dataset, *out))
    assert not list(tmp_path.iterdir())


def test_it_is_listed(run_cli):
    _, printed, _ = run_cli()
    assert "deviation" in printed
    status, printed, _ = run_cli("deviation", "--help")
    assert status == 0
    for word in ("--omission", "--worst", "--overwrite", "Example", "control", "Eq. 7"):
        assert word in printed
