"""``becam explain`` as a user meets it, on good pictures and on bad ones."""

from __future__ import annotations

import json
import os
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from zoo import huge_png, make_checkpoint

from becam import Heatmap

ITEM = "0007"


@pytest.fixture(scope="module")
def checkpoints(load, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, adapter in (("bm3", "none"), ("befa", "befa")):
        make_checkpoint(load("open_clip-vit"), adapter=adapter).save(folder / f"{name}.pt")
    make_checkpoint(load("timm-cnn")).save(folder / "cnn.pt")
    return folder


@pytest.fixture
def photo(picture, tmp_path):
    picture.save(tmp_path / "photo.jpg", quality=92)
    return tmp_path / "photo.jpg"


@pytest.fixture
def explain(run_cli):
    """Run ``becam explain`` on a picture with a checkpoint and whatever else is given."""

    def run(image, ckpt, *more, item=ITEM):
        return run_cli("explain", "--image", image, "--item-id", item, "--ckpt", ckpt, *more)

    return run


def one_sentence(result):
    status, _, errors = result
    assert status == 1
    lines = [line for line in errors.splitlines() if line.startswith("becam:")]
    assert len(lines) == 1
    assert errors.strip().splitlines()[-1] == lines[0]
    assert "Traceback" not in errors
    return lines[0]


def test_picture_map_and_numbers(explain, checkpoints, photo, tmp_path):
    out = tmp_path / "deep" / "x.png"
    status, printed, _ = explain(
        photo,
        checkpoints / "bm3.pt",
        "--ckpt",
        checkpoints / "befa.pt",
        "--no-adapter",
        "-o",
        out,
    )
    assert status == 0
    assert "shuffled encoder" in printed
    with Image.open(out) as sheet:
        sheet.load()
        assert sheet.width > 3 * sheet.height / 2  # four columns
    record = json.loads(out.with_suffix(".json").read_text())
    assert len(record["heatmaps"]) == 3
    assert record["item_id"] == ITEM
    for number, found in enumerate(record["heatmaps"]):
        heatmap = Heatmap.load(tmp_path / "deep" / f"x.{number}.npz")
        assert heatmap.to_dict() == found
        assert heatmap.full().shape == (150, 100)
        assert set(found["controls"]) >= {"weight_mean", "correlation_others", "theta"}
    assert sorted(p.name for p in out.parent.iterdir()) == [
        "x.0.npz",
        "x.1.npz",
        "x.2.npz",
        "x.json",
        "x.png",
    ]


def test_the_same_call_gives_the_same_map(explain, checkpoints, photo, tmp_path):
    maps = []
    for name in ("a", "b"):
        out = tmp_path / f"{name}.png"
        explain(
            photo,
            checkpoints / "befa.pt",
            "-o",
            out,
        )
        maps.append(Heatmap.load(out.with_suffix(".npz")))
    assert np.array_equal(maps[0].raw, maps[1].raw)
    assert maps[0].controls == maps[1].controls


@pytest.mark.parametrize("kind", ["cmyk", "deep", "transparent", "rotated", "animated", "grey"])
def test_odd_pictures_are_explained(kind, explain, checkpoints, picture, tmp_path):
    path = tmp_path / {"cmyk": "a.jpg", "rotated": "a.jpg", "animated": "a.gif"}.get(kind, "a.png")
    shape = (150, 100)
    if kind == "cmyk":
        picture.convert("CMYK").save(path)
    elif kind == "deep":
        Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(path)
    elif kind == "transparent":
        picture.convert("RGBA").save(path)
    elif kind == "rotated":
        exif = Image.Exif()
        exif[0x0112] = 8
        picture.save(path, exif=exif)
        shape = (100, 150)
    elif kind == "animated":
        picture.save(path, save_all=True, append_images=[picture.rotate(90)], duration=40)
    else:
        picture.convert("L").save(path)
    out = tmp_path / "out.png"
    status, _, errors = explain(
        path,
        checkpoints / "bm3.pt",
        "--no-randomise",
        "-o",
        out,
    )
    assert status == 0, errors
    assert Heatmap.load(out.with_suffix(".npz")).full().shape == shape


def test_bad_pictures(explain, checkpoints, photo, tmp_path):
    whole = photo.read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("not a picture")
    huge_png(tmp_path / "huge.png", 30_000, 30_000)
    for name, said in [
        ("none.jpg", "There is no picture"),
        ("cut.jpg", "truncated"),
        ("text.jpg", "not a picture"),
        ("huge.png", "more than the limit"),
        (".", "folder"),
    ]:
        result = explain(
            tmp_path / name,
            checkpoints / "bm3.pt",
            "-o",
            tmp_path / "o.png",
        )
        assert said in one_sentence(result)
        assert not (tmp_path / "o.png").exists()


def test_unknown_item_names_near_ones(explain, checkpoints, photo, tmp_path):
    out = ("-o", tmp_path / "o.png")
    result = explain(photo, checkpoints / "bm3.pt", *out, item="7")
    assert "0007" in one_sentence(result)


def test_bad_checkpoints(explain, checkpoints, photo, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    whole = (checkpoints / "bm3.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / "noise.pt").write_bytes(os.urandom(4000))
    torch.save({"weights": torch.zeros(3)}, tmp_path / "foreign.pt")
    torch.save({"program": "becam", "a": Evil()}, tmp_path / "evil.pt")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(Evil()))
    for name in ("cut.pt", "noise.pt", "foreign.pt", "evil.pt", "pickle.pt", "none.pt"):
        result = explain(
            photo,
            tmp_path / name,
            "-o",
            tmp_path / "o.png",
        )
        assert name in one_sentence(result)
    assert not (tmp_path / "owned").exists()


def test_weights_of_another_encoder(explain, checkpoints, encoder_files, photo, tmp_path):
    _, weights = encoder_files["open_clip-vit"]
    result = explain(
        photo,
        checkpoints / "cnn.pt",
        "--weights",
        weights,
        "-o",
        tmp_path / "o.png",
    )
    assert "None of the weights given" in one_sentence(result)


def test_bad_options(explain, checkpoints, photo, tmp_path):
    base = (photo, checkpoints / "bm3.pt")
    assert "does not end in a format" in one_sentence(explain(*base, "-o", tmp_path / "o.docx"))
    out = ("-o", tmp_path / "o.png")
    for option in ("--method", "--space", "--masking", "--precision", "--device"):
        assert "nonsense" in one_sentence(explain(*base, *out, option, "nonsense"))
    assert "no module 'nonsense'" in one_sentence(
        explain(*base, *out, "--target-layer", "nonsense")
    )
    result = explain(
        photo,
        checkpoints / "cnn.pt",
        *out,
        "--text",
        "a mug",
    )
    assert "no text tower" in one_sentence(result)


def test_a_full_disk_keeps_what_was_there(explain, checkpoints, photo, tmp_path, monkeypatch):
    out = tmp_path / "o.png"
    out.write_text("old")
    import errno

    from matplotlib.figure import Figure

    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    result = explain(
        photo,
        checkpoints / "bm3.pt",
        "--no-randomise",
        "-o",
        out,
    )
    assert "The disk is full" in one_sentence(result)
    assert out.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_help_teaches(run_cli):
    status, printed, _ = run_cli("explain", "--help")
    assert status == 0
    for word in ("--ckpt", "--no-adapter", "--method", "Example"):
        assert word in printed
    status, printed, _ = run_cli()
    for command in ("demo", "prepare", "features", "train", "evaluate", "explain"):
        assert command in printed
    status, printed, _ = run_cli("--version")
    assert status == 0
    assert printed.startswith("becam ")


def test_a_warning_is_one_line(explain, checkpoints, photo, tmp_path, monkeypatch):
    import warnings

    from becam.attribution import Explainer
    from becam.errors import BecamWarning

    original = Explainer.explain

    def warns(*arguments, **options):
        warnings.warn("The weights may not fit.", BecamWarning, stacklevel=2)
        return original(*arguments, **options)

    monkeypatch.setattr(Explainer, "explain", warns)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        status, _, errors = explain(
            photo, checkpoints / "bm3.pt", "--no-randomise", "-o", tmp_path / "o.png"
        )
    assert status == 0
    assert "becam: The weights may not fit." in errors.splitlines()


def test_methods_and_budgets(explain, run_cli, checkpoints, photo, tmp_path):
    out = tmp_path / "o.png"
    base = (photo, checkpoints / "bm3.pt", "--no-randomise", "-o", out)
    status, printed, _ = explain(*base, "--method", "becam,weighting=centered", "--budget", 20)
    assert status == 0
    assert "20 masks encoded, the others inferred" in printed
    (found,) = json.loads(out.with_suffix(".json").read_text())["heatmaps"]
    options = {"weighting": "centered", "budget": 20, "tolerance": 0.0}
    assert found["options"]["method_options"] == options
    assert found["controls"]["encoded"] == 20
    assert 0 < found["controls"]["correlation_expected"] < 1
    refused = explain(*base, "--method", "grad-eclip", "--budget", 20)
    assert "has no option 'budget'" in one_sentence(refused)
    status, printed, _ = run_cli("methods")
    assert status == 0
    for name in ("becam", "grad-eclip", "integrated-gradients", "weighting"):
        assert name in printed
