"""Experiment files: the grid that they say, and what is wrong with others in one sentence."""

import hashlib
import json
import os
from pathlib import Path

import pytest
import yaml
from planted import planted_dataset

from becam.errors import BecamError
from becam.experiments.config import load_experiment, parse_experiment
from becam.recommenders import RECOMMENDERS
from becam.training import train

BASE = {"datasets": ["p"], "models": ["bm3"], "adapters": ["befa"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("configs")
    planted_dataset(folder / "p", features=("a", "b"))
    planted_dataset(folder / "q", seed=1, features=("a", "b"))
    return folder


def write(folder, text):
    path = folder / "config.yaml"
    path.write_text(text, "utf-8")
    return path


def test_the_grid_is_the_product(folder):
    path = write(
        folder,
        """
        datasets: [p, {path: q, features: [b], name: other}]
        models: [bm3, {name: mgcn, options: {contrast_weight: 0.1}, lr: 5e-4}]
        adapters: [none, befa, {name: befa, options: {ratio: 1/2}, label: "lambda=1/2"}]
        seeds: 3
        train: {epochs: 7, lr: 1e-2}
        """,
    )
    experiment = load_experiment(path)
    assert experiment.seeds == (0, 1, 2)
    assert experiment.search is None
    assert [row.cell for row in experiment.rows] == [
        (dataset, features, model, adapter, label)
        for dataset, features in (("planted", "a"), ("planted", "b"), ("other", "b"))
        for model in ("bm3", "mgcn")
        for adapter, label in (("none", ""), ("befa", ""), ("befa", "lambda=1/2"))
    ]
    by_cell = {row.cell: row.options for row in experiment.rows}
    assert by_cell["other", "b", "mgcn", "none", ""]["model_options"]["contrast_weight"] == 0.1
    assert by_cell["other", "b", "mgcn", "none", ""]["lr"] == 5e-4
    assert by_cell["other", "b", "bm3", "none", ""]["lr"] == 1e-2
    assert by_cell["planted", "a", "bm3", "befa", "lambda=1/2"]["adapter_options"]["ratio"] == 0.5
    assert {options["epochs"] for options in by_cell.values()} == {7}


def test_options_are_those_that_train_reports(folder):
    """A row's options, complete with defaults, are train's own account of what it used."""
    for model in RECOMMENDERS:
        config = BASE | {"datasets": [{"path": "p", "features": ["a"]}], "models": [model]}
        config["train"] = {"epochs": 1, "batch_size": 512, "device": "cpu"}
        (row,) = parse_experiment(config, folder).rows
        used = train(row.source.dataset, quiet=True, **row.options).training["options"]
        assert {name: used[name] for name in row.options} == row.options


def test_seeds_may_be_a_list(folder):
    assert parse_experiment(BASE | {"seeds": [7, 3]}, folder).seeds == (7, 3)


def test_keys_follow_from_what_decides_a_result(folder):
    def key(seed=0, **more):
        config = BASE | {"datasets": [{"path": "p", "features": ["a"]}]} | more
        return parse_experiment(config, folder).rows[0].key(seed=seed)

    same = key()
    assert key(adapters=[{"name": "befa", "options": {"ratio": 4}}]) == same  # the default
    assert key(train={"threads": 2, "device": "cpu"}) == same
    others = [
        key(seed=1),
        key(datasets=[{"path": "p", "features": ["b"]}]),
        key(datasets=[{"path": "q", "features": ["a"]}]),
        key(adapters=["none"]),
        key(adapters=[{"name": "befa", "options": {"ratio": 2}}]),
        key(adapters=[{"name": "befa", "label": "mine"}]),
        key(models=["mgcn"]),
        key(models=[{"name": "bm3", "options": {"layers": 2}}]),
        key(train={"epochs": 3}),
        key(train={"modalities": ["image"]}),
    ]
    assert len({same, *others}) == 1 + len(others)


def test_keys_follow_the_bytes_of_the_features(tmp_path):
    first = planted_dataset(tmp_path / "p")
    before = parse_experiment(BASE, tmp_path).rows[0].key(seed=0)
    path = first.path / "features/plain/image.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    # Bytes that are not those recorded are refused; these are as becam features records them.
    record = path.with_name("features.json")
    values = json.loads(record.read_text())
    values["modalities"]["image"]["sha256"] = hashlib.sha256(content).hexdigest()
    record.write_text(json.dumps(values))
    assert parse_experiment(BASE, tmp_path).rows[0].key(seed=0) != before


def test_a_search_space_overrides_what_classes_declare(folder):
    config = BASE | {
        "models": [{"name": "bm3", "options": {"layers": 2}}],
        "search": {
            "trials": 4,
            "epochs": 2,
            "space": {
                "bm3": {"dropout": [0.1, "1/2"], "layers": [1, 2], "lr": [1e-3, "1e-2"]},
                "befa": {"ratio": []},
            },
        },
    }
    experiment = parse_experiment(config, folder)
    space = experiment.search.space_of(experiment.rows[0])
    assert space["model.dropout"] == (0.1, 0.5)
    assert space["lr"] == (0.001, 0.01)
    assert "adapter.ratio" not in space
    assert "model.layers" not in space  # fixed by the row
    assert "adapter.dropout" in space  # as declared


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dataset": []}, "'dataset'"),
        ({"datasets": "p"}, "datasets is a list"),
        ({"datasets": []}, "datasets is a list"),
        ({"datasets": ["nowhere"]}, "nowhere"),
        ({"datasets": [{"features": ["a"]}]}, "path"),
        ({"datasets": [{"path": "p", "features": "a"}]}, "features is a list"),
        ({"datasets": [{"path": "p", "features": ["c"]}]}, "feature set c"),
        ({"datasets": [{"path": "p", "encoder": "a"}]}, "'encoder'"),
        ({"datasets": ["p", "q"]}, "another name"),
        ({"models": ["bm4"]}, "no model 'bm4'"),
        ({"models": [{"name": "bm3", "option": {}}]}, "'option'"),
        ({"models": [{"name": "bm3", "options": {"depth": 1}}]}, "no option 'depth'"),
        ({"models": [{"name": "bm3", "options": {"layers": "two"}}]}, "layers"),
        ({"models": [{"name": "bm3", "lr": "fast"}]}, "lr"),
        ({"models": [["bm3"]]}, "models"),
        ({"models": [{"options": {}}]}, "needs a name"),
        ({"adapters": ["bfea"]}, "no adapter 'bfea'"),
        ({"adapters": [{"name": "befa", "options": {"ratio": 5.5}}]}, "ratio"),
        ({"adapters": [{"name": "befa", "options": [2]}]}, "options of befa"),
        ({"adapters": [{"name": "befa", "label": 2}]}, "label"),
        ({"adapters": [{"name": "befa", "lr": 1}]}, "'lr'"),
        ({"adapters": ["befa", {"name": "befa", "options": {"ratio": 2}}]}, "label"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": True}, "seeds"),
        ({"seeds": [1, 1]}, "twice"),
        ({"seeds": [-1]}, "seeds"),
        ({"seeds": []}, "seed"),
        ({"train": {"epoch": 3}}, "'epoch'"),
        ({"train": {"epochs": 2.5}}, "epochs"),
        ({"train": {"mask_validation": "maybe"}}, "mask_validation"),
        ({"train": {"features_mode": "melted"}}, "features_mode"),
        ({"train": {"modalities": "image"}}, "modalities"),
        ({"train": {"modalities": ["audio"]}}, "audio"),
        ({"search": {"trials": 3}}, "epochs"),
        ({"search": {"trials": 0, "epochs": 3}}, "trials"),
        ({"search": {"trials": 3, "epochs": 3, "space": {"mgcn": {}}}}, "mgcn"),
        ({"search": {"trials": 3, "epochs": 3, "space": {"bm3": {"x": [1]}}}}, r"bm3\.x"),
        ({"search": {"trials": 3, "epochs": 3, "space": {"bm3": {"layers": 1}}}}, "list"),
        ({"search": {"trials": 3, "epochs": 3, "space": {"befa": {"lr": [1]}}}}, r"befa\.lr"),
    ],
    ids=str,
)
def test_a_wrong_file_is_one_sentence(folder, change, says):
    path = write(folder, yaml.safe_dump(BASE | change))
    with pytest.raises(BecamError, match=says) as raised:
        load_experiment(path)
    assert str(raised.value).startswith(str(path))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("datasets: [p", "line 1"),
        ("seeds: 1\nseeds: 2", "line 2.*twice"),
        ("!!python/object/apply:os.getcwd []", "not YAML"),
        ("", "mapping"),
        ("- bm3", "mapping"),
    ],
)
def test_what_is_not_an_experiment_is_one_sentence(folder, text, says):
    with pytest.raises(BecamError, match=says):
        load_experiment(write(folder, text))


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(BecamError, match="no experiment file"):
        load_experiment(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    with pytest.raises(BecamError, match="UTF-8"):
        load_experiment(tmp_path / "latin.yaml")


def test_the_example_is_valid(folder):
    """Every name and option in examples/hm.yaml exists; only its dataset is replaced."""
    text = (Path(__file__).parents[2] / "examples/hm.yaml").read_text("utf-8")
    config = yaml.safe_load(text)
    config["datasets"] = ["p"]
    experiment = parse_experiment(config, folder)
    assert len(experiment.rows) == 2 * 4 * 4
    assert experiment.search.trials == 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 20_000, "more than an experiment can mean"),
        ("a: &a [" + "x," * 99 + "]\n" + "b: [" + "*a," * 999 + "]", "more than an experiment"),
        ("datasets: &a [*a]", "names what it stands in"),
        ("? [a, b]\n: 1", "no name but a list"),
        ("? {a: 1}\n: 1", "no name but a list"),
        ("seeds: 1000000000", "seeds must be .* 1,000 or less"),
        (f"seeds: [{10**30}]", "A seed must be"),
        (f"seeds: {list(range(1001))}", "The number of seeds must be"),
        ("train: {lr: 2020-13-01}", "."),
        (f"train: {{lr: {'9' * 5000}}}", "."),
        ("datasets: \x1b[31m", "not YAML"),
        ("datasets: [p]\n? !!python/name:os.system\n: 1", "not YAML"),
    ],
)
def test_files_that_mean_too_much_or_nothing(folder, text, words):
    datasets = "" if "datasets" in text or text.startswith("[") else "datasets: [p]\n"
    rest = "models: [bm3]\nadapters: [none]\n" if datasets and not text.startswith("?") else ""
    path = write(folder, datasets + rest + text)
    with pytest.raises(BecamError, match=words) as caught:
        load_experiment(path)
    assert len(str(caught.value)) < 600
    assert "\x1b" not in str(caught.value)


def test_aliases_are_read(folder):
    path = write(folder, "datasets: [p]\nmodels: &m [bm3]\nadapters: [none]\ntrain: {epochs: 2}")
    assert len(load_experiment(path).rows) == 2


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b" " * (2 << 20))
    for name in ("pipe", "large", "nothing", "."):
        with pytest.raises(BecamError):
            load_experiment(tmp_path / name)
