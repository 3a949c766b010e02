"""The checkpoint: what goes in comes out, and nothing malformed gets through or runs."""

import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from becam.adapters import create_adapter
from becam.checkpoint import FORMAT, Checkpoint, Modality
from becam.errors import BecamError

D, D_M, ITEMS, USERS = 8, 12, 6, 4


def modality(adapter="befa", **config):
    torch.manual_seed(3)
    module = create_adapter(adapter, D, **config)
    return Modality(
        torch.randn(D, D_M),
        torch.randn(D),
        {"name": adapter, "config": module.config(), "state": dict(module.state_dict())},
        {"spec": "timm:mobilenetv2_100", "weights": None, "config": None},
    )


@pytest.fixture
def checkpoint():
    torch.manual_seed(0)
    return Checkpoint(
        item_ids=["0108775015", "0108775044", "0110065001", "cap", "hat", "scarf"],
        user_ids=["ann", "bea", "cyd", "dan"],
        item_embeddings=torch.randn(ITEMS, D),
        user_embeddings=torch.randn(USERS, D),
        modalities={"image": modality(ratio=2.0), "text": modality("none")},
        recommender={"name": "bm3", "config": {"layers": 1, "adapter_config": {"ratio": 2.0}}},
        state={"predictor.weight": torch.randn(D, D)},
        metrics={"epoch": 3, "validation": {"recall@20": 0.1}, "test": {"recall@20": 1 / 3}},
        dataset={"name": "shop", "fingerprint": "ab" * 32},
        training={"seed": 0, "version": "1"},
    )


@pytest.fixture
def saved(checkpoint, tmp_path):
    checkpoint.save(tmp_path / "befa.pt")
    return tmp_path / "befa.pt"


def test_comes_back_as_it_was(checkpoint, saved):
    for path in (saved, saved.parent):
        back = Checkpoint.load(path)
        for name in ("item_ids", "user_ids", "recommender", "metrics", "dataset", "training"):
            assert getattr(back, name) == getattr(checkpoint, name)
        assert torch.equal(back.item_embeddings, checkpoint.item_embeddings)
        assert torch.equal(back.user_embeddings, checkpoint.user_embeddings)
        assert torch.equal(back.state["predictor.weight"], checkpoint.state["predictor.weight"])
        assert back.modalities["image"].encoder == checkpoint.modalities["image"].encoder
        assert back.adapter_name("image") == "befa"
        assert back.adapter_name("text") == "none"


def test_loads_without_becam_with_weights_only(saved):
    payload = torch.load(saved, weights_only=True)
    assert payload["program"] == "becam"
    assert payload["format"] == FORMAT


def test_head_is_projection_then_adapter_frozen_and_without_dropout(checkpoint, saved):
    head = Checkpoint.load(saved).head("image")
    assert not head.training
    assert not any(p.requires_grad for p in head.parameters())
    features, e = torch.randn(5, D_M), checkpoint.item_embeddings[:5]
    m = checkpoint.modalities["image"]
    z = features @ m.projection_weight.T + m.projection_bias
    torch.testing.assert_close(head.project(features), z)
    adapter = create_adapter("befa", D, **m.adapter["config"]).eval()
    adapter.load_state_dict(m.adapter["state"])
    torch.testing.assert_close(head(features, e), adapter(z, e))
    assert torch.equal(head(features, e), head.adapt(head.project(features), e))
    assert set(dict(head.named_children())) == {"projection", "adapter"}


def test_a_head_does_not_share_memory_with_the_checkpoint(checkpoint):
    head = checkpoint.head("image")
    before = checkpoint.modalities["image"].projection_weight.clone()
    head.projection.weight.zero_()
    assert torch.equal(checkpoint.modalities["image"].projection_weight, before)


def test_unknown_modality_names_the_known_ones(checkpoint):
    with pytest.raises(BecamError, match="image, text"):
        checkpoint.head("audio")


def test_rows_by_id(checkpoint):
    assert [checkpoint.item_index(i) for i in checkpoint.item_ids] == list(range(ITEMS))
    assert checkpoint.user_index("cyd") == 2


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("108775015", "0108775015"),  # the leading zero lost
        ("00108775015", "0108775015"),
        ("0108775016", "0108775015"),  # a digit wrong
        ("0110065010", "0110065001"),  # two digits swapped
        ("01100650011", "0110065001"),
        ("011006", "0110065001"),  # a prefix
        ("HAT", "hat"),
        (" cap", "cap"),
        ("scraf", "scarf"),
    ],
)
def test_an_unknown_item_names_its_neighbour_first(checkpoint, asked, near):
    with pytest.raises(BecamError, match=rf"near ids are '{near}'"):
        checkpoint.item_index(asked)


def test_an_item_like_no_other_still_gets_an_example(checkpoint):
    with pytest.raises(BecamError, match=r"no item 'zzzzzz' among the 6 .* look like '0108775015'"):
        checkpoint.item_index("zzzzzz")
    with pytest.raises(BecamError, match="no user"):
        checkpoint.user_index("")


def refused(path):
    """The sentence that loading this file ends in."""
    with pytest.raises(BecamError) as caught:
        Checkpoint.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


def test_missing(tmp_path):
    assert "becam train writes one" in refused(tmp_path / "none.pt")
    assert "becam train writes one" in refused(tmp_path)  # a folder without a run


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * share)])
    assert "befa.pt" in refused(saved)


def test_truncated_by_one_byte_anywhere_near_the_end(saved):
    whole = saved.read_bytes()
    for cut in range(1, 40):
        saved.write_bytes(whole[:-cut])
        refused(saved)


def test_a_flipped_bit_in_the_weights(saved):
    damaged = bytearray(saved.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    saved.write_bytes(damaged)
    refused(saved)


def test_random_bytes(tmp_path):
    rng = np.random.default_rng(0)
    for length in (1, 100, 10_000):
        for start in (b"", b"PK\x03\x04", b"\x80\x02"):
            path = tmp_path / "noise.pt"
            path.write_bytes(start + rng.bytes(length))
            refused(path)


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_code_is_never_run(checkpoint, tmp_path):
    trace, path = tmp_path / "executed", tmp_path / "evil.pt"
    torch.save({"program": "becam", "format": FORMAT, "x": Bomb(str(trace))}, path)
    assert "could run code" in refused(path)
    path.write_bytes(pickle.dumps(Bomb(str(trace))))
    assert "not a becam checkpoint" in refused(path)
    assert not trace.exists()


def test_files_of_other_programs(tmp_path):
    path = tmp_path / "other.pt"
    for payload in ({"state_dict": torch.ones(2)}, torch.ones(2), [1, 2], {"format": 1}):
        torch.save(payload, path)
        assert "not a becam checkpoint" in refused(path)
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    assert "not a becam checkpoint" in refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert "not a becam checkpoint" in refused(path)


def rewritten(saved, **changes):
    payload = torch.load(saved, weights_only=True)
    torch.save(payload | changes, saved)
    return saved


def test_a_newer_format_says_update(saved):
    assert "update becam" in refused(rewritten(saved, format=FORMAT + 1))


@pytest.mark.parametrize("version", [0, -1, "1", None])
def test_a_senseless_format(saved, version):
    refused(rewritten(saved, format=version))


@pytest.mark.parametrize(
    "changes",
    [
        {"item_embeddings": torch.zeros(ITEMS + 1, D)},
        {"item_embeddings": torch.zeros(ITEMS, D + 1)},
        {"item_embeddings": torch.tensor(1.0)},
        {"user_embeddings": torch.zeros(USERS, D, 1)},
        {"item_ids": None},
        {"item_ids": [1, 2, 3, 4, 5, 6]},
        {"modalities": {}},
        {"modalities": {"image": {}}},
        {"modalities": [1]},
        {"recommender": {}},
        {"dataset": {"name": "shop"}},
        {"state": None},
    ],
    ids=str,
)
def test_parts_that_do_not_fit_together(saved, changes):
    assert "does not fit together" in refused(rewritten(saved, **changes))


def test_every_part_is_required(saved):
    payload = torch.load(saved, weights_only=True)
    for name in payload.keys() - {"program", "format"}:
        torch.save({k: v for k, v in payload.items() if k != name}, saved)
        assert name in refused(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"projection_weight": torch.zeros(D + 1, D_M)},
        {"projection_bias": torch.zeros(D + 1)},
        {"adapter": {"name": "bfea", "config": {}, "state": {}}},
        {"adapter": {"name": "befa", "config": {}, "state": {}}},
        {"adapter": {"name": "befa", "config": {"colour": 1}, "state": {}}},
        {"adapter": {"name": "befa"}},
    ],
    ids=str,
)
def test_a_modality_that_does_not_fit(checkpoint, tmp_path, changes):
    broken = replace(
        checkpoint, modalities={"image": replace(checkpoint.modalities["image"], **changes)}
    )
    broken.save(tmp_path / "befa.pt")
    assert "does not fit together" in refused(tmp_path / "befa.pt")


def test_a_failed_save_leaves_the_old_file(checkpoint, saved, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("killed")

    before = saved.read_bytes()
    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(RuntimeError):
        checkpoint.save(saved)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == ["befa.pt"]


def test_the_fingerprint_is_of_what_maps_depend_on_and_of_nothing_else(checkpoint, saved):
    assert Checkpoint.load(saved).fingerprint == checkpoint.fingerprint
    assert replace(checkpoint, metrics={"epoch": 99}).fingerprint == checkpoint.fingerprint
    moved = checkpoint.item_embeddings.clone()
    moved[0, 0] += 1e-3
    image = checkpoint.modalities["image"]
    gate = {name: value + 1e-3 for name, value in image.adapter["state"].items()}
    others = [
        {"item_embeddings": moved},
        {"item_ids": checkpoint.item_ids[::-1]},
        {"user_ids": checkpoint.user_ids[::-1]},
        {"state": {"features.image.rows": torch.ones(ITEMS, D_M)}},
        {"modalities": {"image": replace(image, adapter={**image.adapter, "state": gate})}},
        {"modalities": {"image": image}},
    ]
    found = {replace(checkpoint, **change).fingerprint for change in others}
    assert len(found | {checkpoint.fingerprint}) == 1 + len(others)
