"""Every notebook runs from its first cell to its last, and is kept with what it printed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

import becam.demo.material as material

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SMALL = {"n_items": 60, "n_users": 80}


def _runner():
    spec = importlib.util.spec_from_file_location(
        "run_notebooks", ROOT / "scripts" / "run_notebooks.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="module")
def parameters(folder):
    """For each notebook, small data in place of what it would draw and train."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(material, "_TRAINING", {"epochs": 2})
        patch.setattr(material, "SEEDS", 1)
        made = material.demo_material(folder / "small", **SMALL)
        swept = material.demo_sweep(folder / "small", **SMALL)
    data = {"DATASET": str(made.dataset), "STORE": str(made.store)}
    return {
        "01-quickstart": {"N_ITEMS": "60", "N_USERS": "80", "EPOCHS": "2"},
        "figure-10-lambda": {"STORE": str(swept.store)},
        "figure-8-scenes": data | {"SCENES": str(folder / "small" / "catalogue" / "images")},
    }, data


def outputs(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield from cell.outputs


def test_the_notebooks_are_those_of_the_paper():
    names = [path.stem.split("-")[:2] for path in NOTEBOOKS]
    assert [f"{a}-{b}" for a, b in names] == [
        "01-quickstart",
        "figure-10",
        "figure-2",
        "figure-6",
        "figure-7",
        "figure-8",
        "figure-9",
        "tables-2",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_on_small_data(path, folder, parameters):
    own, data = parameters
    executed = _runner().execute(path, folder / path.stem, own.get(path.stem, data))
    kept = nbformat.read(path, as_version=4)
    # The same kinds of output as those that are kept, cell by cell.
    assert [_kinds(cell) for cell in executed.cells] == [_kinds(cell) for cell in kept.cells]
    assert [cell.source for cell in executed.cells] == [cell.source for cell in kept.cells]


def _kinds(cell):
    if cell.cell_type != "code":
        return []
    return [sorted(output.get("data", {"text": 0})) for output in cell.outputs]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_whole(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0].cell_type == "markdown"
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", ())]
    assert cell is next(c for c in notebook.cells if c.cell_type == "code")
    found = list(outputs(notebook))
    assert found
    assert not [one for one in found if one.output_type == "error" or one.get("name") == "stderr"]
    said = "\n".join(str(one.get("text", "")) + str(one.get("data", "")) for one in found)
    # Nothing of the machine it ran on.
    assert not re.search(r"(/home/|/root/|/tmp/|/Users/|C:\\\\|0x[0-9a-f]{8})", said)
    assert path.stat().st_size < 4_000_000


def test_an_unknown_parameter_is_refused(folder):
    with pytest.raises(KeyError):
        _runner().execute(NOTEBOOKS[0], folder, {"NO_SUCH": "1"})
