from __future__ import annotations

import polars as pl
import pytest
import typer
from rawdata import hm_article, random_purchases, write_hm
from typer.testing import CliRunner

from becam.cli.prepare import prepare
from becam.data.dataset import Dataset
from becam.errors import BecamError

ARTICLES = [hm_article(number) for number in range(25)]


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(prepare)

    def invoke(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def hm(tmp_path):
    return write_hm(tmp_path / "hm", random_purchases(0), ARTICLES, pictures=ARTICLES[2:])


def test_report_states_the_datasets_numbers(run, hm, tmp_path):
    result = run("hm", hm, "-o", tmp_path / "out", "--k-core", "4", "--seed", "3")
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(tmp_path / "out")
    rows, out = dataset.interactions(), result.stdout
    assert f"{len(rows) / (dataset.n_users * dataset.n_items):.3%}" in out
    assert f"{len(rows) / dataset.n_users:.2f}" in out
    assert f"{len(rows) / dataset.n_items:.2f}" in out
    assert "random, seed 3" in out
    for split in ("train", "validation", "test"):
        line = next(line for line in out.splitlines() if f" {split} " in line)
        assert f"{len(dataset.interactions(split)):,}" in line
    assert "interactions with an item without a picture" in out
    assert "unreadable" not in out  # nothing of that kind was left out
    assert f"becam features {tmp_path / 'out'}" in out


def test_options_reach_the_dataset(run, hm, tmp_path):
    purchases = pl.read_csv(hm / "transactions_train.csv", infer_schema=False)
    purchases.rename({"customer_id": "who", "article_id": "what", "t_dat": "when"}).write_csv(
        tmp_path / "log.csv"
    )
    arguments = (
        *("csv", tmp_path / "log.csv", "-o", tmp_path / "out", "--items", hm / "articles.csv"),
        *("--images", hm / "images", "--user-column", "who", "--item-column", "what"),
        *("--timestamp-column", "when", "--text-column", "colour_group_name"),
        *("--text-column", "product_type_name", "--category-column", "colour_group_name"),
        *("--user-core", "3", "--item-core", "5", "--split", "time"),
    )
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.manifest.filters == {"user_core": 3, "item_core": 5}
    assert dataset.manifest.split["scheme"] == "time"
    assert set(dataset.items["text"]) == {"White. Vest top"}
    assert set(dataset.items["category"]) == {"White"}
    same = run("hm", hm, "-o", tmp_path / "hm-out", *arguments[-6:])
    assert same.exit_code == 0
    assert Dataset.open(tmp_path / "hm-out").fingerprint == dataset.fingerprint
    assert isinstance(run(*arguments).exception, BecamError)
    assert run(*arguments, "--overwrite").exit_code == 0


def test_errors_are_becam_errors(run, hm, tmp_path):
    result = run("hm", hm, "-o", tmp_path / "out", "--k-core", "30")
    assert isinstance(result.exception, BecamError)
    assert run("hm", hm, "-o", tmp_path / "out", "--k-core", "0").exit_code == 2
    assert not (tmp_path / "out").exists()
