"""``becam words`` as a user meets it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from sentences import one_sentence
from worded import item_texts, text_checkpoint, worded_dataset
from zoo import make_checkpoint

from becam.encoders.spec import EncoderRecord
from becam.encoders.text import tfidf_svd

ITEM = "0007"
TEXT = "A soft black coat\nwith buttons"


@pytest.fixture(scope="module")
def files(load, tmp_path_factory):
    """Checkpoints, and the dataset of one of them."""
    folder = tmp_path_factory.mktemp("words")
    tower = load("open_clip-vit")
    for name, adapter in (("bm3", "none"), ("befa", "befa")):
        text_checkpoint(tower.record, tower.dim, adapter=adapter).save(folder / f"{name}.pt")
    make_checkpoint(tower).save(folder / "pictures.pt")
    record = EncoderRecord("tfidf,dim=6", config={"dim": 6, "seed": 0})
    rows = tfidf_svd(item_texts(40), dim=6)
    _, sha256 = worded_dataset(folder / "dataset", rows, record.to_dict())
    tfidf = text_checkpoint(record, 6, n_items=40, features_sha256=sha256, adapter="befa")
    tfidf.save(folder / "tfidf.pt")
    return folder


@pytest.fixture
def words(run_cli, files):
    """Run ``becam words`` on a checkpoint of ``files`` and whatever else is given."""

    def run(ckpt, *more, item=ITEM):
        return run_cli("words", "--item-id", item, "--ckpt", files / ckpt, *more)

    return run


def test_sheet_numbers_and_terminal(words, files, tmp_path):
    out = tmp_path / "deep" / "x.png"
    status, printed, _ = words(
        "bm3.pt", "--ckpt", files / "befa.pt", "--no-adapter", "--item-text", TEXT, "-o", out
    )
    assert status == 0
    with Image.open(out) as sheet:
        sheet.load()
        assert sheet.width > 2 * sheet.height / 2
    record = json.loads(out.with_suffix(".json").read_text())
    assert (record["item_id"], record["text"]) == (ITEM, TEXT)
    assert len(record["explanations"]) == 3
    for found in record["explanations"]:
        pieces = [g + w for g, w in zip(found["gaps"], [*found["words"], ""], strict=True)]
        assert "".join(pieces) == TEXT
        assert len(found["weights"]) == len(found["words"]) == 6
        assert set(found["controls"]) >= {"theta", "correlation_others", "strongest_share"}
        assert found["label"] in printed
        for sentence in found["sentences"]:
            assert sentence in printed
        strongest = int(np.argmax(found["weights"]))
        if found["weights"][strongest] > 0:
            assert f"For: {found['words'][strongest]} +" in printed
    assert printed.count(TEXT) == 3
    assert "\x1b" not in printed  # no colours where nobody sees them
    assert sorted(p.name for p in out.parent.iterdir()) == ["x.json", "x.png"]


def test_the_terminal_is_coloured(words, tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    status, printed, _ = words("bm3.pt", "--item-text", TEXT, "-o", tmp_path / "x.png")
    assert status == 0
    assert printed.count("48;2;") == 6  # a background each


def test_tfidf_from_its_dataset(words, files, tmp_path):
    out = tmp_path / "x.svg"
    more = ("--dataset", files / "dataset", "--no-adapter", "--contribution", "left-out", "-o", out)
    status, _, errors = words("tfidf.pt", *more)
    assert status == 0, errors
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["text"] == item_texts(40)[7]
    before, after = record["explanations"]
    assert before["options"]["space"] == "content"
    assert after["options"]["contribution"] == "left-out"


def test_errors_are_one_sentence(words, files, tmp_path):
    out = ("-o", tmp_path / "o.png")
    text = ("--item-text", TEXT, *out)
    dataset = ("--dataset", files / "dataset", *out)
    assert "'0007'" in one_sentence(words("bm3.pt", *text, item="7"))
    assert "--dataset" in one_sentence(words("tfidf.pt", *text))
    assert "Give --dataset" in one_sentence(words("bm3.pt", *out))
    assert "has no text" in one_sentence(words("tfidf.pt", *dataset, item="0039"))
    assert "pictures.pt was trained without texts" in one_sentence(words("pictures.pt", *text))
    assert "no weights file" in one_sentence(words("bm3.pt", *text, "--weights", tmp_path / "no"))
    assert "nonsense" in one_sentence(words("bm3.pt", *text, "--space", "nonsense"))
    assert "nonsense" in one_sentence(words("bm3.pt", *text, "--contribution", "nonsense"))
    assert "no user" in one_sentence(words("bm3.pt", *text, "--user-id", "nobody"))
    bad = words("bm3.pt", "--item-text", TEXT, "-o", tmp_path / "o.docx")
    assert "does not end in a format" in one_sentence(bad)
    assert not list(tmp_path.iterdir())


def test_it_is_listed(run_cli):
    status, printed, _ = run_cli()
    assert "words" in printed
    status, printed, _ = run_cli("words", "--help")
    assert status == 0
    for word in ("--item-text", "--no-adapter", "--contribution", "Example"):
        assert word in printed
