"""Records of encoders and text specs from files that others wrote."""

from __future__ import annotations

import io
import subprocess
import sys
import time

import pytest
import torch

from becam.encoders.recorded import load_matching_text
from becam.encoders.spec import EncoderRecord
from becam.encoders.text import load_text_encoder
from becam.encoders.weights import read_state_dict
from becam.errors import BecamError


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("spec", 3),
        ("spec", ["timm:resnet18"]),
        ("weights", {"a": 1}),
        ("weights_sha256", 10**30),
        ("config", "x"),
        ("icc", "maybe"),
    ],
)
def test_a_field_of_another_type_is_named(field, value):
    values = {"spec": "becam:vit", field: value}
    with pytest.raises(BecamError, match=f"{field}: ") as caught:
        EncoderRecord.from_dict(values)
    assert "\n" not in str(caught.value)


def test_a_record_of_a_version_before_is_read():
    assert EncoderRecord.from_dict({}) == EncoderRecord(None)
    record = EncoderRecord("becam:vit", "a", "b", {"x": [1, {"y": None}]})
    assert EncoderRecord.from_dict({**record.to_dict(), "new": 1}) == record


@pytest.mark.parametrize("dim", ["0", "-1", "²", "1" * 5000, "70000", "1.5", "x"])
def test_axes_that_cannot_be_are_one_sentence(dim):
    with pytest.raises(BecamError, match="takes dim=NUMBER alone") as caught:
        load_text_encoder(f"tfidf,dim={dim}")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("config", [{"dim": 10**9, "seed": 0}, {"dim": "x", "seed": 0}, {"dim": 3}])
def test_a_stored_fit_is_checked(config):
    record = EncoderRecord("tfidf", config=config)
    stored = torch.zeros(2, 3).numpy()
    with pytest.raises(BecamError, match="record of its text encoder is damaged"):
        load_matching_text(record, texts=["a b", "a b"], stored=stored)


def test_envelopes_in_envelopes_end(tmp_path):
    """Dictionaries that hold each other many times over are few bytes and many paths."""
    bomb = {"weight": torch.ones(1)}
    for _ in range(30):
        bomb = dict.fromkeys([*map(str, range(200)), "model"], bomb)
    path = tmp_path / "bomb.pth"
    torch.save(bomb, path)
    begin = time.perf_counter()
    with pytest.raises(BecamError, match="no state dict"):
        read_state_dict(path)
    assert time.perf_counter() - begin < 20


def test_a_storage_that_is_only_declared_takes_no_memory(tmp_path):
    stream = io.BytesIO()
    torch.save({"a": torch.ones(4)}, stream, _use_new_zipfile_serialization=False)
    content = stream.getvalue()
    path = tmp_path / "weights.pth"
    assert content.count(b"K\x04") > 2  # storage and shape among them
    path.write_bytes(content.replace(b"K\x04", b"J\x00\x94\x35\x77"))  # 2 * 10**9 numbers
    program = (
        "import sys\nfrom becam.encoders.weights import read_state_dict\n"
        "from becam.errors import BecamError\n"
        "import resource\nimport torch\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    read_state_dict(sys.argv[1])\nexcept BecamError as error:\n    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    said, grown = found.stdout.strip().splitlines()
    assert "cannot be read as weights" in said
    assert int(grown) < 200 << 10  # KiB
