"""``becam import`` as a user meets it, up to a heatmap."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import typer
from planted import planted_dataset
from torch import nn
from typer.testing import CliRunner

from becam import Heatmap
from becam.checkpoint import Checkpoint
from becam.cli.evaluate import evaluate
from becam.cli.explain import explain
from becam.cli.import_ import import_
from becam.data.features import FeatureWriter
from becam.errors import BecamError

ITEMS, DIM = 30, 64


@pytest.fixture
def run():
    app = typer.Typer()
    app.command("import")(import_)
    app.command()(explain)
    app.command()(evaluate)

    def invoke(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture(scope="module")
def encoder(load):
    return load("becam-vit")


@pytest.fixture
def folder(tmp_path, encoder):
    """The files of one model over the embedded encoder's features, random but for their form."""
    path = tmp_path / "weights"
    path.mkdir()
    torch.manual_seed(0)
    gate = {0: nn.Linear(DIM, 256), 4: nn.Linear(256, 256), 7: nn.Linear(256, DIM)}
    state = {f"{n}.{k}": v for n, layer in gate.items() for k, v in layer.state_dict().items()}
    torch.save(state, path / "gate_v_hm.pt")
    torch.save(nn.Linear(encoder.dim, DIM).state_dict(), path / "image_trs_hm.pt")
    items = np.random.default_rng(0).normal(size=(ITEMS, DIM)).astype(np.float32)
    np.save(path / "item_id_embedding_hm.npy", items)
    return path


@pytest.fixture
def dataset(tmp_path, encoder):
    """A dataset of as many items with features of the embedded encoder."""
    made = planted_dataset(tmp_path / "dataset", n_items=ITEMS, features=())
    record = encoder.record.to_dict()
    writer = FeatureWriter(made, "vit", "image", record, encoder.dim)
    writer.write(np.arange(ITEMS), np.ones((ITEMS, encoder.dim)))
    writer.finish()
    return made


@pytest.fixture
def photo(picture, tmp_path):
    picture.save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


def explained(run, tmp_path, photo, item, *more):
    """The heatmap of the checkpoint in ``tmp_path``."""
    out = tmp_path / "x.png"
    result = run(
        *("explain", "--image", photo, "--item-id", item, "--ckpt", tmp_path / "befa.pt"),
        *("-o", out, "--no-randomise", *more),
    )
    assert result.exit_code == 0, result.output + str(result.exception)
    assert json.loads(out.with_suffix(".json").read_text())["item_id"] == item
    return Heatmap.load(out.with_suffix(".npz"))


def test_a_dataset_tells_ids_and_encoder_and_explain_needs_no_more(
    run, folder, dataset, photo, tmp_path
):
    result = run("import", folder, "--dataset", dataset.path, "-o", tmp_path / "befa.pt")
    assert result.exit_code == 0, result.output
    assert f"30 items, such as {dataset.item_ids[0]!r}" in result.output
    assert "adapter befa" in result.output
    assert "becam:vit" in result.output
    heatmap = explained(run, tmp_path, photo, dataset.item_ids[7])
    assert heatmap.options["adapter"] == "befa"
    assert "becam:vit" in heatmap.options["encoder"]
    assert np.isfinite(heatmap.raw).all()


def test_an_encoder_named_now_or_at_explaining_gives_the_same_map(run, folder, photo, tmp_path):
    output = ("-o", tmp_path / "befa.pt")
    result = run("import", folder, *output)
    assert result.exit_code == 0
    assert "--encoder SPEC" in result.output
    late = explained(run, tmp_path, photo, "7", "--encoder", "becam:vit")
    assert isinstance(run("import", folder, *output).exception, BecamError)
    result = run("import", folder, *output, "--encoder", "becam:vit", "--overwrite")
    assert result.exit_code == 0
    early = explained(run, tmp_path, photo, "7")
    np.testing.assert_array_equal(early.raw, late.raw)


def test_without_an_encoder_explain_says_so(run, folder, photo, tmp_path):
    run("import", folder, "-o", tmp_path / "befa.pt")
    result = run(
        *("explain", "--image", photo, "--item-id", "7", "--ckpt", tmp_path / "befa.pt"),
        *("-o", tmp_path / "x.png"),
    )
    assert isinstance(result.exception, BecamError)
    assert "encoder is unknown" in str(result.exception)


def test_ids_of_a_table_and_of_mmrec(run, folder, tmp_path):
    ids = [f"{n:010d}" for n in range(ITEMS)]
    (tmp_path / "table.csv").write_text(
        "n,sku\n" + "".join(f"{n},{i}\n" for n, i in enumerate(ids))
    )
    mapping = "".join(f"{i}\t{n}\n" for n, i in reversed(list(enumerate(ids))))
    (tmp_path / "i_id_mapping.csv").write_text("asin\titemID\n" + mapping)
    for options in (("table.csv", "--item-column", "sku"), ("i_id_mapping.csv",)):
        result = run(
            *("import", folder, "--ids", tmp_path / options[0], *options[1:]),
            *("-o", tmp_path / "befa.pt", "--overwrite"),
        )
        assert result.exit_code == 0, result.exception
        assert Checkpoint.load(tmp_path / "befa.pt").item_ids == ids


def test_evaluate_has_nothing_to_rank_with(run, folder, dataset, tmp_path):
    run("import", folder, "--dataset", dataset.path, "-o", tmp_path / "befa.pt")
    result = run("evaluate", tmp_path / "befa.pt", dataset.path)
    assert isinstance(result.exception, BecamError)
    assert "no recommender to rank with" in str(result.exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--name", "BM3"), "'BM3'; choose a --name from 'hm'"),
        (("--features", "vit"), "--features belongs to --dataset"),
        (("--item-column", "sku"), "--item-column belongs to --ids"),
        (("--weights", "w.pt"), "--weights belongs to --encoder"),
        (("--encoder", "timm:nonsense"), "nonsense"),
        (("--ids", "/no/such/file"), "There is no file"),
        (("--dataset", "/no/such"), "is not a dataset"),
    ],
)
def test_wrong_options_are_one_sentence(run, folder, tmp_path, options, message):
    result = run("import", folder, *options, "-o", tmp_path / "befa.pt")
    assert isinstance(result.exception, BecamError), result.output
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not (tmp_path / "befa.pt").exists()


def test_a_folder_that_is_not_there(run, tmp_path):
    result = run("import", tmp_path / "none", "-o", tmp_path / "befa.pt")
    assert "There is no folder" in str(result.exception)
