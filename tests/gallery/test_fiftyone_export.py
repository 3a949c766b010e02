"""The FiftyOne dataset: its samples and heatmaps, and FiftyOne's own reading of it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from becam.attribution.controls import Controls
from becam.encoders.preprocessing import Geometry
from becam.gallery.fiftyone import FiftyOneWriter, field_names
from becam.gallery.model import Card, Column, Heading, Panel

CONTROLS = Controls(0.1, 0.2, 0, 0.1, 0.2, 0.3, None, 0.5, 80.0).to_dict()
COLUMNS = (
    Column("BM3 (run/bm3)", "becam", "none", "adapted"),
    Column("BM3 + BeFA (run/befa)", "becam", "befa", "adapted"),
)
HEADING = Heading(
    title="shop",
    rule="drawn at random",
    total=9,
    columns=COLUMNS,
    omission=60.0,
    notes=("A note.",),
    facts={"Seed": "0"},
)
NAMES = ["bm3_run_bm3", "bm3_befa_run_befa"]


def panel(raw, theta, warned=(), geometry=None):
    raw = np.asarray(raw, np.float32)
    return Panel(raw, theta, 88.5, tuple(warned), (), CONTROLS, geometry=geometry)


def card(name, first, second, size=(300, 600), box=(0.0, 150.0, 300.0, 450.0)):
    return Card(name, f"title of {name}", "", None, 3, Geometry(*size, box), (first, second))


CARDS = [
    card("0001", panel([[1, 0], [0, 0]], 95.0), panel([[0, 0], [0, 2]], 61.5, ["It says little."])),
    card("a/../<b>", panel([[-1, -2], [-1, -1]], None), panel([[1, 2], [3, 4]], 20.0)),
]


@pytest.fixture
def export(tmp_path):
    """The folder, and the pictures that it points to."""
    pictures = {}
    for number, one in enumerate(CARDS):
        pictures[one.id] = tmp_path / f"{number}.png"
        Image.new("RGB", (300, 600), (number, 0, 0)).save(pictures[one.id])
    folder = tmp_path / "export"
    folder.mkdir()
    with FiftyOneWriter(folder, HEADING, pictures) as writer:
        for one in CARDS:
            writer.add(one, Image.new("RGB", (300, 600)))
        writer.finish()
    return folder


def test_samples_and_their_heatmaps(export):
    metadata = json.loads((export / "metadata.json").read_text())
    assert metadata["info"]["rule"] == "drawn at random"
    fields = {field["name"]: field for field in metadata["sample_fields"]}
    samples = json.loads((export / "samples.json").read_text())["samples"]
    assert [sample["item_id"] for sample in samples] == [one.id for one in CARDS]
    assert len({sample["_id"]["$oid"] for sample in samples}) == 2
    assert [sample["tags"] for sample in samples] == [["drift", "omission"], []]
    for sample, one in zip(samples, CARDS, strict=True):
        assert os.path.isfile(sample["filepath"])
        assert set(sample) <= {*fields, "_id"}
        for name, own in zip(NAMES, one.panels, strict=True):
            assert sample[f"{name}_theta"] == own.theta
            assert sample[f"{name}_theta_control"] == 88.5
            assert sample[f"{name}_warnings"] == list(own.warnings)
            with Image.open(export / sample[name]["map_path"]) as image:
                values = np.asarray(image)
            assert values.shape == (128, 64)  # the whole picture, its longer side 128
            assert values.dtype == np.uint8
            assert not values[:31].any()  # never seen by the encoder
            assert not values[97:].any()
    hot = {
        (0, 0): (slice(32, 50), slice(0, 16)),
        (0, 1): (slice(80, 96), slice(48, 64)),
        (1, 1): (slice(80, 96), slice(48, 64)),
    }
    for (row, column), place in hot.items():
        path = samples[row][NAMES[column]]["map_path"]
        with Image.open(export / path) as image:
            values = np.asarray(image)
        assert values.max() == 255
        assert values[place].mean() > 1.5 * values[32:96].mean()
    with Image.open(export / samples[1][NAMES[0]]["map_path"]) as image:
        assert not np.asarray(image).any()  # nothing agrees
    assert [samples[0][name]["tags"] for name in NAMES] == [["drift"], ["omission"]]


def test_a_column_on_another_encoder_lies_where_that_one_looked(tmp_path):
    whole = Geometry(300, 600, (0.0, 0.0, 300.0, 600.0))
    one = card("x", panel([[1, 1], [1, 1.5]], 10.0), panel([[1, 1], [1, 1.5]], 10.0, (), whole))
    with FiftyOneWriter(tmp_path, HEADING, {"x": tmp_path / "x.png"}) as writer:
        writer.add(one, Image.new("RGB", (300, 600)))
        writer.finish()
    bottoms = []
    for name in NAMES:
        (path,) = (tmp_path / "fields" / name).iterdir()
        with Image.open(path) as image:
            bottoms.append(bool(np.asarray(image)[100:].any()))
    assert bottoms == [False, True]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["BM3", "BM3"], ["bm3", "bm3_2"]),
        (["42", "<b>", "é"], ["map_42", "b", "map"]),
        (["a.b$c", "_x_"], ["a_b_c", "x"]),
        (["y" * 300, "y" * 300], ["y" * 60, "y" * 60 + "_2"]),
    ],
)
def test_field_names_are_what_fiftyone_takes(labels, expected):
    found = field_names(tuple(Column(label, "becam", "none", "adapted") for label in labels))
    assert found == expected
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in found)


def test_several_methods_are_told_apart():
    columns = tuple(Column("BM3", method, "none", "adapted") for method in ("becam", "rise"))
    assert field_names(columns) == ["bm3_becam", "bm3_rise"]


READ = """
import json, sys
import fiftyone as fo
from fiftyone import ViewField as F
dataset = fo.Dataset.from_dir(dataset_dir=sys.argv[1], dataset_type=fo.types.FiftyOneDataset)
schema = dataset.get_field_schema()
kinds = {name: getattr(field, "document_type", None) for name, field in schema.items()}
maps = [name for name, kind in kinds.items() if kind is fo.Heatmap]
print("FOUND " + json.dumps({
    "ids": dataset.values("item_id"),
    "files": dataset.values("filepath"),
    "media": dataset.media_type,
    "tags": dataset.count_sample_tags(),
    "label_tags": dataset.count_label_tags(),
    "maps": maps,
    "shapes": [[s[name].get_map().shape for name in maps] for s in dataset],
    "sums": [[int(s[name].get_map().sum()) for name in maps] for s in dataset],
    "theta": dataset.values(maps[0] + "_theta"),
    "warnings": dataset.values(maps[1] + "_warnings"),
    "drifting": dataset.match(F(maps[0] + "_theta") > 90).values("item_id"),
    "about": schema[maps[1]].description,
    "rule": dataset.info["rule"],
}))
dataset.delete()
"""

PYTHON = os.environ.get("FIFTYONE_PYTHON") or sys.executable


@pytest.mark.skipif(
    "FIFTYONE_PYTHON" not in os.environ and importlib.util.find_spec("fiftyone") is None,
    reason="needs FiftyOne with its database, here or in the interpreter FIFTYONE_PYTHON",
)
def test_fiftyone_reads_it(export):
    run = subprocess.run(
        [PYTHON, "-c", READ, str(export)], capture_output=True, text=True, timeout=300, check=False
    )
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("FOUND ")] or [
        run.stderr
    ]
    found = json.loads(line.removeprefix("FOUND "))
    assert found["ids"] == [one.id for one in CARDS]
    assert [os.path.basename(path) for path in found["files"]] == ["0.png", "1.png"]
    assert found["media"] == "image"
    assert found["tags"] == {"drift": 1, "omission": 1}
    assert found["label_tags"] == {"drift": 1, "omission": 1}
    assert found["maps"] == NAMES
    assert found["shapes"] == [[[128, 64]] * 2] * 2
    assert found["sums"][1][0] == 0
    assert min(found["sums"][0]) > 0
    assert found["theta"] == [95.0, None]
    assert found["warnings"] == [["It says little."], []]
    assert found["drifting"] == ["0001"]
    assert "BeFA" in found["about"]
    assert found["rule"] == "drawn at random"
