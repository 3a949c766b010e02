"""Released weight files to a checkpoint, against the modules that such files come from."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import planted_dataset
from torch import nn

from becam.checkpoint import Checkpoint
from becam.errors import BecamError
from becam.interop.release import import_release, read_item_ids
from becam.training import evaluate

ITEMS, DIM, WIDTH = 60, 64, 12
REFERENCE = Path(__file__).resolve().parents[2].parent / "shared/reference/mmrec/LATTICE_BeFA.npz"


def released_gate(ratio=4, dim=DIM):
    """The authors' gate as they build it; places 0, 4 and 7 have parameters."""
    hidden = int(dim * ratio)
    return nn.Sequential(
        nn.Linear(dim, hidden),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Tanh(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(hidden, dim),
        nn.Sigmoid(),
    ).eval()


def write_release(folder, name="MGCN", ratio=4, width=WIDTH, seed=0):
    """What the authors' code saves; the modules by file stem, and the items' embeddings."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    modules = {
        "image_trs": nn.Linear(width, DIM),
        "text_trs": nn.Linear(7, DIM),
        "gate_v": released_gate(ratio),
        "gate_t": released_gate(ratio),
    }
    end = f"_{name}" if name else ""
    for stem, module in modules.items():
        torch.save(module.state_dict(), folder / f"{stem}{end}.pt")
    items = np.random.default_rng(seed).normal(size=(ITEMS, DIM)).astype(np.float32)
    np.save(folder / f"item_id_embedding{end}.npy", items)
    return modules, items


@pytest.fixture
def folder(tmp_path):
    write_release(tmp_path / "weights")
    return tmp_path / "weights"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return planted_dataset(
        tmp_path_factory.mktemp("release") / "dataset", n_items=ITEMS, width=WIDTH
    )


@pytest.mark.parametrize("ratio", [4, 0.5])
def test_heads_compute_what_the_modules_do(tmp_path, ratio):
    modules, items = write_release(tmp_path / "weights", ratio=ratio)
    import_release(tmp_path / "weights").save(tmp_path / "befa.pt")
    checkpoint = Checkpoint.load(tmp_path / "befa.pt")
    e = torch.from_numpy(items)
    assert torch.equal(checkpoint.item_embeddings, e)
    assert checkpoint.user_embeddings.shape == (0, DIM)
    assert list(checkpoint.modalities) == ["image", "text"]
    for modality, width, letter in (("image", WIDTH, "v"), ("text", 7, "t")):
        x = torch.randn(ITEMS, width)
        z = modules[f"{modality}_trs"](x)
        head = checkpoint.head(modality)
        torch.testing.assert_close(head.project(x), z)
        torch.testing.assert_close(head(x, e), e * modules[f"gate_{letter}"](z))
        assert checkpoint.adapter_name(modality) == "befa"


@pytest.mark.skipif(not REFERENCE.is_file(), reason=f"{REFERENCE} is absent")
def test_the_parameters_names_are_those_of_the_reference(tmp_path):
    _, items = write_release(tmp_path / "weights", width=512)
    arrays = np.load(REFERENCE, allow_pickle=False)
    for stem, prefix in (
        ("image_trs", "w.image_trs."),
        ("gate_v", "w.BeFA_v."),
    ):
        state = {
            key.removeprefix(prefix): torch.from_numpy(arrays[key])
            for key in arrays.files
            if key.startswith(prefix)
        }
        torch.save(state, tmp_path / "weights" / f"{stem}_MGCN.pt")
    head = import_release(tmp_path / "weights").head("image")
    gate = released_gate()
    gate.load_state_dict(state)
    z, e = torch.randn(ITEMS, DIM), torch.from_numpy(items)
    torch.testing.assert_close(head.adapt(z, e), e * gate(z))


def test_without_a_gate_there_is_no_adapter(folder):
    (folder / "gate_t_MGCN.pt").unlink()
    (folder / "gate_v_MGCN.pt").unlink()
    (folder / "text_trs_MGCN.pt").unlink()
    checkpoint = import_release(folder)
    assert list(checkpoint.modalities) == ["image"]
    assert checkpoint.adapter_name("image") == "none"


def test_one_gate_of_two(folder):
    (folder / "gate_t_MGCN.pt").unlink()
    checkpoint = import_release(folder)
    assert checkpoint.adapter_name("image") == "befa"
    assert checkpoint.adapter_name("text") == "none"


def test_names_without_an_ending_and_double_precision(tmp_path):
    _, items = write_release(tmp_path / "weights", name="")
    np.save(tmp_path / "weights" / "item_id_embedding.npy", items.astype(np.float64))
    checkpoint = import_release(tmp_path / "weights")
    assert torch.equal(checkpoint.item_embeddings, torch.from_numpy(items))


def test_several_models_in_one_folder(folder):
    _, other = write_release(folder, name="BM3_hm", seed=5)
    with pytest.raises(BecamError, match=r"several models; .*--name: 'BM3_hm', 'MGCN'\."):
        import_release(folder)
    with pytest.raises(BecamError, match=r"of 'BM3'; choose a --name from 'BM3_hm', 'MGCN'\."):
        import_release(folder, name="BM3")
    found = import_release(folder, name="BM3_hm")
    assert torch.equal(found.item_embeddings, torch.from_numpy(other))
    assert sorted(found.training["release"]) == [
        "gate_t_BM3_hm.pt",
        "gate_v_BM3_hm.pt",
        "image_trs_BM3_hm.pt",
        "item_id_embedding_BM3_hm.npy",
        "text_trs_BM3_hm.pt",
    ]


# Ids, dataset and encoder


def test_ids_and_encoders_of_the_dataset(folder, dataset):
    torch.save(nn.Linear(WIDTH, DIM).state_dict(), folder / "text_trs_MGCN.pt")
    checkpoint = import_release(folder, dataset=dataset)
    assert checkpoint.item_ids == dataset.item_ids
    assert checkpoint.dataset == {"name": "planted", "fingerprint": dataset.fingerprint}
    for modality in ("image", "text"):
        assert checkpoint.modalities[modality].encoder == {"spec": "test"}
    named = import_release(folder, dataset=dataset, item_ids=[f"x{n}" for n in range(ITEMS)])
    assert named.item_ids[0] == "x0"
    assert named.dataset["fingerprint"] == dataset.fingerprint


def test_without_a_dataset_the_rows_are_numbered(folder):
    checkpoint = import_release(folder)
    assert checkpoint.item_ids == [str(row) for row in range(ITEMS)]
    assert checkpoint.modalities["image"].encoder["spec"] is None


def test_the_encoder_can_be_named(tmp_path, load, dataset):
    dim = load("becam-vit").dim
    write_release(tmp_path / "weights", width=dim)
    checkpoint = import_release(tmp_path / "weights", encoder="becam:vit")
    assert checkpoint.modalities["image"].encoder == load("becam-vit").record.to_dict()
    assert checkpoint.modalities["text"].encoder["spec"] is None


def test_an_encoder_that_does_not_fit(folder, dataset, tmp_path):
    with pytest.raises(BecamError, match=r"image_trs projects features of length 12, .* have \d+"):
        import_release(folder, encoder="becam:vit")
    with pytest.raises(
        BecamError, match=r"text_trs projects features of length 7, .*plain have 12"
    ):
        import_release(folder, dataset=dataset)
    (folder / "text_trs_MGCN.pt").unlink()
    (folder / "gate_t_MGCN.pt").unlink()
    with pytest.raises(BecamError, match="features of the dataset are those of test"):
        import_release(folder, dataset=dataset, encoder="becam:vit")
    with pytest.raises(BecamError, match="no feature set other"):
        import_release(folder, dataset=dataset, features="other")


def test_ids_that_do_not_fit(folder, tmp_path):
    other = planted_dataset(tmp_path / "other", n_items=ITEMS - 5, features=())
    with pytest.raises(BecamError, match=r"60 rows and .*other 55 items, .*--ids"):
        import_release(folder, dataset=other)
    for ids, message in (
        (["a"] * ITEMS, "empty or given twice"),
        ([*map(str, range(ITEMS - 1)), ""], "empty or given twice"),
        (["a", "b"], "60 rows and there are 2 ids"),
    ):
        with pytest.raises(BecamError, match=message):
            import_release(folder, item_ids=ids)


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("007\nb\nc\n", None, ["007", "b", "c"]),
        ("id\n007\nb\nc\n", None, ["007", "b", "c"]),
        ("n,sku\n0,007\n1,b\n2,c\n", "sku", ["007", "b", "c"]),
        ("asin\titemID\nc\t2\n007\t0\nb\t1\n", None, ["007", "b", "c"]),
    ],
)
def test_ids_from_a_file(tmp_path, text, column, expected):
    (tmp_path / "ids.csv").write_text(text)
    assert read_item_ids(tmp_path / "ids.csv", 3, column) == expected


def test_ids_from_an_array(tmp_path):
    np.save(tmp_path / "ids.npy", np.array([5, 6, 7]))
    assert read_item_ids(tmp_path / "ids.npy", 3) == ["5", "6", "7"]


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("a,b\n1,2\n", None, "columns a, b; name that of the ids with --item-column"),
        ("a,b\n1,2\n", "c", "no column c"),
        ("asin\titemID\na\t0\nb\t5\n", None, "does not give each itemID from 0 to 2"),
        ("", None, "is empty"),
    ],
)
def test_files_without_ids_are_one_sentence(tmp_path, text, column, message):
    (tmp_path / "ids.csv").write_text(text)
    with pytest.raises(BecamError, match=message):
        read_item_ids(tmp_path / "ids.csv", 3, column)


# Files that are not what they should be


class Bomb:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def changed(stem, edit):
    """Save a state dict again after ``edit`` changed it in place."""

    def damage(folder):
        path = folder / f"{stem}_MGCN.pt"
        state = torch.load(path, weights_only=True)
        edit(state)
        torch.save(state, path)

    return damage


def cut(name):
    def damage(folder):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])

    return damage


def saved(name, value):
    def damage(folder):
        if name.endswith(".npy"):
            np.save(folder / name, value)
        else:
            torch.save(value, folder / name)

    return damage


def infinite(state):
    state["4.weight"][3, 5] = torch.inf


NOT_A_NUMBER = np.where(np.eye(ITEMS, DIM) > 0, np.nan, 1).astype(np.float32)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "item_id_embedding_MGCN.npy").unlink(), r"no item_id_embedding_\*\.npy"),
        (lambda f: (f / "image_trs_MGCN.pt").unlink(), "gate_v_MGCN.pt has no image_trs_MGCN.pt"),
        (cut("item_id_embedding_MGCN.npy"), "is not a .npy .*or is damaged"),
        (cut("image_trs_MGCN.pt"), "image_trs_MGCN.pt cannot be read as weights"),
        (cut("gate_v_MGCN.pt"), "gate_v_MGCN.pt cannot be read as weights"),
        (lambda f: (f / "gate_v_MGCN.pt").write_bytes(b""), "cannot be read as weights"),
        (saved("item_id_embedding_MGCN.npy", NOT_A_NUMBER), "not finite"),
        (saved("item_id_embedding_MGCN.npy", np.zeros(5)), r"float64 of shape \(5,\) where"),
        (saved("item_id_embedding_MGCN.npy", np.zeros((5, 2), int)), "int64 of shape"),
        (saved("item_id_embedding_MGCN.npy", np.zeros((0, DIM))), r"shape \(0, 64\)"),
        (saved("item_id_embedding_MGCN.npy", np.zeros((5, 32))), "not a linear layer to the items"),
        (changed("gate_v", infinite), "gate_v_MGCN.pt holds values that are not finite"),
        (changed("image_trs", lambda s: s.pop("bias")), "holds weight where a linear layer has"),
        (changed("gate_v", lambda s: s.pop("7.bias")), "where the released gate has 0.weight"),
        (
            changed("gate_v", lambda s: s.update({"7.weight": torch.zeros(32, 256)})),
            r"7\.weight \(32, 256\).*, which is not a gate from 64 to 256, 256 and 64",
        ),
        (
            changed("gate_v", lambda s: s.update({"0.bias": torch.zeros(100)})),
            "hidden width of 100: BeFA's ratio",
        ),
        (changed("gate_v", lambda s: s.update({"0.bias": torch.tensor(1.0)})), "hidden width of 0"),
        (
            changed("image_trs", lambda s: s.update({"weight": torch.zeros(DIM)})),
            r"weight \(64,\), bias \(64,\), which is not",
        ),
        (saved("gate_v_MGCN.pt", [1, 2]), "holds no state dict of tensors"),
        (saved("gate_v_MGCN.pt", torch.zeros(3)), "holds no state dict of tensors"),
        (saved("gate_v_MGCN.pt", {"a": 1}), "holds no state dict of tensors"),
        (saved("gate_v_MGCN.pt", {}), "holds nothing where the released gate has"),
        (saved("image_trs_MGCN.pt", nn.Linear(3, 3)), "cannot be read as weights"),
    ],
)
def test_one_sentence(folder, damage, message):
    damage(folder)
    with pytest.raises(BecamError, match=message) as caught:
        import_release(folder)
    assert "\n" not in str(caught.value)


def test_neither_projection(folder):
    for path in folder.glob("*.pt"):
        path.unlink()
    with pytest.raises(BecamError, match=r"neither image_trs_MGCN.pt nor text_trs_MGCN.pt"):
        import_release(folder)


def test_code_is_never_run(folder, tmp_path):
    trace = tmp_path / "executed"
    torch.save({"weight": Bomb(trace)}, folder / "gate_v_MGCN.pt")
    with pytest.raises(BecamError, match="cannot be read as weights"):
        import_release(folder)
    bombs = np.array([Bomb(trace)], dtype=object)
    np.save(folder / "item_id_embedding_MGCN.npy", bombs, allow_pickle=True)
    with pytest.raises(BecamError, match="could run code"):
        import_release(folder)
    assert not trace.exists()


def test_there_is_nothing_to_rank_with(folder, dataset):
    (folder / "text_trs_MGCN.pt").unlink()
    (folder / "gate_t_MGCN.pt").unlink()
    with pytest.raises(BecamError, match=r"\(imported\) has no recommender to rank with"):
        evaluate(import_release(folder, dataset=dataset), dataset)
