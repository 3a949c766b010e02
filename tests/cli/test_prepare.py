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
    assert "log.csv: user from who, item from what, timestamp from when." in result.stderr
    assert "text from colour_group_name + product_type_name" in result.stderr
    assert isinstance(run(*arguments).exception, BecamError)
    assert run(*arguments, "--overwrite").exit_code == 0


def test_guesses_and_lost_rows_are_told(run, hm, tmp_path):
    items = pl.read_csv(hm / "articles.csv", infer_schema=False).select("article_id", "prod_name")
    lost = pl.DataFrame({"article_id": [None, ARTICLES[0]], "prod_name": ["a", "b"]})
    pl.concat([items, lost]).write_csv(tmp_path / "goods.csv")
    result = run(
        *("csv", hm / "transactions_train.csv", "--items", tmp_path / "goods.csv"),
        *("--images", hm / "images", "-o", tmp_path / "out", "--k-core", "4"),
    )
    assert result.exit_code == 0, result.output
    log = (
        "transactions_train.csv: user from customer_id, item from article_id, timestamp from t_dat."
    )
    assert log in result.stderr
    goods = "goods.csv: item from article_id, text from prod_name, images by name in"
    assert goods in result.stderr
    assert "no image column" not in result.stderr
    assert "rows of the items file without an id" in result.stdout
    assert "rows of the items file with an id seen" in result.stdout


def test_actions_reach_the_source(run, hm, tmp_path):
    result = run("hm", hm, "-o", tmp_path / "out", "--action", "click")
    assert "takes no --action" in str(result.exception)


def test_errors_are_becam_errors(run, hm, tmp_path):
    result = run("hm", hm, "-o", tmp_path / "out", "--k-core", "30")
    assert isinstance(result.exception, BecamError)
    result = run("hm", hm, "-o", tmp_path / "out", "--k-core", "0")
    assert "--k-core must be 1 or more" in str(result.exception)
    assert not (tmp_path / "out").exists()
