"""An audit of pictures whose truth is known, from checkpoints to rows."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from planted import planted_dataset
from zoo import make_checkpoint

from becam.attribution import Explainer
from becam.attribution.masking import background
from becam.attribution.methods import BeCAM, Saliency
from becam.attribution.target import item_target
from becam.encoders.recorded import deciding_weights
from becam.encoders.spec import EncoderRecord
from becam.errors import BecamError
from becam.evaluation.aims import ClassNames, NearestItem, OwnItem, prompt
from becam.evaluation.annotations import read_annotations
from becam.evaluation.audit import audit
from becam.evaluation.auditor import Auditor, Plan, Truth
from becam.evaluation.faithfulness import Protocol, faithfulness
from becam.evaluation.localisation import energy, pointing_game
from becam.evaluation.scores import on_pictures, rank_score, similarity_score
from becam.evaluation.subjects import Subject, item_subjects, photo_subjects, showing, shuffled

ITEM = "0007"
PROTOCOL = Protocol(steps=4, percentiles=(30, 70))


@pytest.fixture(scope="module")
def encoder(load):
    return load("open_clip-vit")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three pictures of a red square on a grey ground, their label maps, and one without."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "labels").mkdir()
    (folder / "photos").mkdir()
    (folder / "label_names.csv").write_text("index,name\n0,ground\n1,square\n2,border\n")
    rng = np.random.default_rng(0)
    for number in range(4):
        labels = np.zeros((70, 64), np.uint8)
        labels[:, :4] = 2
        top, left = 12 * number, 8 * number
        labels[top : top + 24, left + 5 : left + 30] = 1
        values = rng.integers(90, 120, (70, 64, 3), dtype=np.uint8)
        values[labels == 1] = (220, 30, 40)
        Image.fromarray(values).save(folder / "photos" / f"000{number}.png")
        if number < 3:
            Image.fromarray(labels).save(folder / "labels" / f"000{number}.png")
    return folder


@pytest.fixture(scope="module")
def truth(photos):
    return Truth(read_annotations(photos), frozenset({"square"}), frozenset({"border"}))


@pytest.fixture(scope="module")
def explainer(encoder):
    checkpoints = [make_checkpoint(encoder, adapter="befa"), make_checkpoint(encoder, seed=1)]
    return Explainer(checkpoints, no_adapter=True)


@pytest.fixture
def subject(photos):
    return Subject(ITEM, photos / "photos" / "0001.png")


def audited(explainer, plan, subject, aiming=None):
    return pl.DataFrame(
        Auditor(explainer, aiming or OwnItem(), plan).rows(subject),
        infer_schema_length=None,
    )


def test_every_row_is_there(explainer, truth, subject):
    plan = Plan({"a": BeCAM(), "b": BeCAM("cosine")}, truth=truth, protocol=PROTOCOL, stages=2)
    found = audited(explainer, plan, subject)
    labels = [column.label for column in explainer.columns]
    assert len(labels) == 3
    assert found["checkpoint"].unique(maintain_order=True).to_list() == labels
    assert set(found["method"]) == {"a", "b", "random", "gaussian", "activation", "picture"}
    faithful = {
        f"{measure}_{score}"
        for measure in (
            *("deletion", "insertion", "drop", "increase", "gain"),
            *("road_morf", "road_lerf", "road"),
        )
        for score in ("similarity", "rank")
    }
    local = {"energy", "pointing", "iou", "pr_auc", "drift", "omission", "max_box_acc"}
    for label in labels:
        for method in plan.rows:
            cell = found.filter(pl.col("checkpoint") == label, pl.col("method") == method)
            assert cell["measure"].is_unique().all()
            by_group = {
                group: set(cell.filter(pl.col("group") == group)["measure"])
                for group in ("faithfulness", "localisation", "sanity")
            }
            assert by_group["faithfulness"] == faithful
            assert by_group["localisation"] == local
            stages = {"projection", "encoder_1of2", "encoder_2of2", "others", "blank"}
            stages |= {"adapter"} if label == labels[1] else set()
            assert by_group["sanity"] == {f"{k}_{s}" for k in ("spearman", "ssim") for s in stages}
    assert set(found["picture"]) == {ITEM}
    assert set(found["target"]) == {f"item {ITEM}"}


def test_values_are_those_of_the_measures(explainer, truth, subject):
    """Heatmaps by the explainer's own way, measured one by one."""
    plan = Plan({"becam": BeCAM()}, ("faithfulness", "localisation"), truth, PROTOCOL)
    found = audited(explainer, plan, subject)
    plain = Explainer(
        [c.checkpoint for c in explainer.columns][1:], no_adapter=True, randomise=False
    )
    views = plain.encode(subject.path)
    (view,) = views.values()
    mask = truth.annotations["0001"].mask({"square"})
    for heatmap, column in zip(plain.score(views, ITEM), explainer.columns, strict=True):
        own = {
            row["measure"]: row["value"]
            for row in found.iter_rows(named=True)
            if (row["checkpoint"], row["method"]) == (column.label, "becam")
        }
        assert own["energy"] == pytest.approx(energy(heatmap.full(), mask), abs=1e-5)
        assert own["pointing"] == pytest.approx(pointing_game(heatmap.full(), mask), abs=1e-5)
        target = item_target(column.checkpoint, ITEM, space=column.space)
        for score in (
            similarity_score(target),
            rank_score(column.checkpoint, ITEM, space=column.space),
        ):
            want = faithfulness(
                on_pictures(view.engine, [score]),
                view.pixels,
                torch.from_numpy(heatmap.raw),
                faded=torch.zeros_like(view.pixels),
                blurred=background(view.pixels, view.engine.encoder.preprocessing, "blur"),
                least=torch.tensor([score.least]),
                most=torch.tensor([score.most]),
                protocol=PROTOCOL,
            )
            for name, value in want.items():
                tolerance = 0.04 if score.name == "rank" else 1e-4
                assert own[f"{name}_{score.name}"] == pytest.approx(float(value), abs=tolerance)


def test_equal_maps_are_encoded_once(explainer, subject, monkeypatch):
    (engine,) = explainer.engines.values()
    calls = []
    original = engine.fast.encode_image
    monkeypatch.setattr(engine.fast, "encode_image", lambda x: calls.append(len(x)) or original(x))
    plan = Plan({}, ("faithfulness",), protocol=PROTOCOL)
    audited(explainer, plan, subject)
    a_map = 2 + 2 * (PROTOCOL.steps + 1) + 2 * len(PROTOCOL.percentiles)
    assert sum(calls) == 4 * a_map + 1  # four floors and a blank picture, however many checkpoints


def test_masking_by_blur_makes_its_own_blanks(encoder, subject):
    explainer = Explainer(make_checkpoint(encoder), masking="blur")
    found = audited(explainer, Plan({"becam": BeCAM()}, ("sanity",), stages=1), subject)
    assert found.filter(pl.col("measure") == "spearman_blank")["value"].is_not_null().all()


def test_an_annotation_of_another_picture(explainer, truth, photos):
    path = photos / "photos" / "0002.png"
    wrong = photos.parent / "0002.png"
    with Image.open(path) as image:
        image.resize((30, 30)).save(wrong)
    plan = Plan({}, ("localisation",), truth)
    with pytest.raises(BecamError, match=r"0002.png is 30 x 30 pixels but its annotation 64 x 70"):
        Auditor(explainer, OwnItem(), plan).rows(Subject(ITEM, wrong))


def test_boxes_alone_measure_what_boxes_can(explainer, subject, tmp_path):
    (tmp_path / "0001.xml").write_text(
        "<annotation><size><width>64</width><height>70</height></size><object><name>square</name>"
        "<bndbox><xmin>14</xmin><ymin>13</ymin><xmax>38</xmax><ymax>36</ymax></bndbox></object>"
        "</annotation>"
    )
    truth = Truth(read_annotations(tmp_path), frozenset({"square"}))
    found = audited(explainer, Plan({}, ("localisation",), truth), subject)
    assert set(found["measure"]) == {"energy", "pointing", "max_box_acc"}


def test_nearest_item_against_a_loop(encoder, photos):
    """Projected and compared one by one; trained features come from the checkpoint."""
    stored = torch.randn(30, encoder.dim, generator=torch.Generator().manual_seed(3))
    checkpoint = make_checkpoint(encoder, trained=stored)
    nearest = NearestItem(None)
    modality = checkpoint.modalities["image"]
    weight, bias = modality.projection_weight, modality.projection_bias
    for seed in range(5):
        feature = torch.randn(encoder.dim, generator=torch.Generator().manual_seed(seed))
        cosines = [
            float(torch.cosine_similarity(weight @ row + bias, weight @ feature + bias, dim=0))
            for row in stored
        ]
        want = checkpoint.item_ids[int(np.argmax(cosines))]
        assert nearest.nearest(checkpoint, feature) == want
    with pytest.raises(BecamError, match="--dataset"):
        nearest.nearest(make_checkpoint(encoder), feature)


def test_class_names_as_a_text(explainer, encoder, truth, photos, subject):
    assert prompt({"square", "border"}) == "a photo of border, square"
    annotation = truth.annotations["0001"]
    (column, *_), (engine,) = explainer.columns, explainer.engines.values()
    view = engine.view(Image.open(subject.path))
    named = ClassNames({"square"}, {"border"})(column, view, subject, annotation)
    text = encoder.encode_text(["a photo of square"])[0]
    assert torch.equal(named.target.vector, text)
    assert [score.name for score in named.scores] == ["similarity"]
    rest = ClassNames((), {"border"})(column, view, subject, annotation)
    assert torch.equal(rest.target.vector, encoder.encode_text(["a photo of ground, square"])[0])
    with pytest.raises(BecamError, match="Nothing is known"):
        ClassNames({"square"}, ())(column, view, subject, None)


def test_subjects(photos, truth, tmp_path):
    found = photo_subjects(photos / "photos")
    assert [subject.name for subject in found] == [f"000{n}.png" for n in range(4)]
    order = shuffled(found * 10, seed=3)
    assert order != found * 10
    assert order == shuffled(found * 10, seed=3)
    assert order != shuffled(found * 10, seed=4)
    annotated = showing(found, truth.annotations, truth.objects, 10)
    assert [subject.name for subject in annotated] == [f"000{n}.png" for n in range(3)]
    assert showing(found, truth.annotations, truth.objects, 2) == annotated[:2]
    assert showing(found, None, (), 4) == found
    with pytest.raises(BecamError, match="annotates no picture that shows nothing"):
        showing(found, truth.annotations, {"nothing"}, 2)
    with pytest.raises(BecamError, match="no pictures in"):
        photo_subjects(tmp_path)
    with pytest.raises(BecamError, match="no folder"):
        photo_subjects(tmp_path / "nothing")


def run(explainer, photos, output, names, groups=("localisation",), identity="a", **options):
    truth = Truth(read_annotations(photos), frozenset({"square"}), frozenset({"border"}))
    plan = Plan({"becam": BeCAM()}, groups, truth, PROTOCOL, stages=1)
    subjects = [
        Subject(f"000{number}", photos / "photos" / f"000{number % 3}.png") for number in names
    ]
    return audit(
        explainer, OwnItem(), plan, subjects, output, identity={"which": identity}, **options
    )


def test_an_audit_goes_on_and_grows(explainer, photos, tmp_path, monkeypatch):
    once = run(explainer, photos, tmp_path / "once", range(4))
    measured = []
    original = Auditor.rows
    monkeypatch.setattr(
        Auditor, "rows", lambda self, s: measured.append(s.name) or original(self, s)
    )
    output = tmp_path / "stopped"
    run(explainer, photos, output, range(2))
    (victim, *_) = (output / "parts").iterdir()
    victim.unlink()  # as after a kill
    grown = run(explainer, photos, output, range(4))
    assert len(measured) == 2 + 1 + 2
    assert (output / "table.md").read_text() == (tmp_path / "once" / "table.md").read_text()
    values = pl.read_parquet(output / "measures.parquet")
    assert values.equals(pl.read_parquet(tmp_path / "once" / "measures.parquet"))
    assert grown.cells == once.cells
    assert sorted(p.name for p in output.iterdir()) == [
        *("audit.json", "measures.parquet", "parts", "table.md")
    ]
    # Fewer again: the mean is over these alone.
    fewer = run(explainer, photos, output, range(3))
    assert {cell.n for cell in fewer.cells} == {3}


def test_a_changed_picture_is_measured_again(explainer, photos, tmp_path, monkeypatch):
    shutil.copytree(photos, tmp_path / "photos")
    photos, output = tmp_path / "photos", tmp_path / "out"
    measured = []
    original = Auditor.rows
    monkeypatch.setattr(
        Auditor, "rows", lambda self, s: measured.append(s.name) or original(self, s)
    )
    before = run(explainer, photos, output, range(3))
    changed = photos / "photos" / "0001.png"
    was = changed.stat()
    pixels = bytearray(changed.read_bytes())
    with Image.open(changed) as image:
        turned = image.transpose(Image.Transpose.ROTATE_180)
    turned.save(changed)
    os.utime(changed, ns=(was.st_atime_ns, was.st_mtime_ns))  # as a copy that keeps times
    after = run(explainer, photos, output, range(3))
    assert measured == ["0000", "0001", "0002", "0001"]
    assert after.cells != before.cells
    changed.write_bytes(pixels)
    assert run(explainer, photos, output, range(3)).cells == before.cells
    assert len(measured) == 4


def test_other_weights_of_an_unknown_encoder_are_another_identity(tmp_path):
    known = EncoderRecord("timm:test", weights_sha256="0" * 64)
    unknown = EncoderRecord(None)
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"1")
    torch.save({"weight": torch.ones(1)}, one)
    torch.save({"weight": torch.zeros(1)}, other)
    assert deciding_weights([known], [one]) == []
    assert deciding_weights([known, unknown], [one]) == [
        hashlib.sha256(one.read_bytes()).hexdigest()
    ]
    assert deciding_weights([unknown], [one]) != deciding_weights([unknown], [other])
    with pytest.raises(BecamError, match="no weights file"):
        deciding_weights([unknown], [tmp_path / "none"])


def test_an_interrupt_keeps_what_was_done(explainer, photos, tmp_path, monkeypatch):
    original = Auditor.rows

    def interrupted(self, subject):
        if subject.name == "0002":
            raise KeyboardInterrupt
        return original(self, subject)

    with monkeypatch.context() as patched:
        patched.setattr(Auditor, "rows", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(explainer, photos, tmp_path / "out", range(4))
    assert len(list((tmp_path / "out" / "parts").iterdir())) == 2
    assert not (tmp_path / "out" / "table.md").exists()
    assert {cell.n for cell in run(explainer, photos, tmp_path / "out", range(4)).cells} == {4}


def test_a_folder_keeps_to_one_audit(explainer, photos, tmp_path):
    run(explainer, photos, tmp_path / "out", range(1))
    with pytest.raises(BecamError, match=r"differs in which.*--overwrite"):
        run(explainer, photos, tmp_path / "out", range(1), identity="b")
    run(explainer, photos, tmp_path / "out", range(1), identity="b", overwrite=True)
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["which"] == "b"
    (tmp_path / "out" / "audit.json").write_text("{")
    with pytest.raises(BecamError, match="damaged"):
        run(explainer, photos, tmp_path / "out", range(1), identity="b")
    (tmp_path / "file").write_text("x")
    with pytest.raises(BecamError, match="is a file"):
        run(explainer, photos, tmp_path / "file", range(1))
    (part,) = (tmp_path / "out" / "parts").iterdir()
    run(explainer, photos, tmp_path / "out", range(1), overwrite=True)
    part.write_bytes(b"PAR1")
    with pytest.raises(BecamError, match=part.name):
        run(explainer, photos, tmp_path / "out", range(1))


def test_localisation_needs_truth(explainer, photos, tmp_path):
    plan = Plan({}, ("localisation",))
    with pytest.raises(BecamError, match="--annotations and --object"):
        audit(explainer, OwnItem(), plan, [], tmp_path, identity={})
    assert not (tmp_path / "audit.json").exists()


def test_drift_is_said_of_every_distractor(explainer, truth, subject):
    two = Truth(truth.annotations, frozenset({"square"}), frozenset({"border", "ground"}))
    plan = Plan({}, ("localisation",), two)
    found = audited(explainer, plan, subject)
    for _, cell in found.group_by("checkpoint", "method"):
        value = dict(zip(cell["measure"], cell["value"], strict=True))
        # Every pixel is the square's, the border's or the ground's.
        assert value["drift_border"] + value["drift_ground"] == pytest.approx(value["drift"])
        assert value["drift"] + value["energy"] == pytest.approx(1)
        assert 0 < value["drift_border"] < value["drift_ground"]


def test_a_map_without_energy_counts_nowhere(explainer, truth, subject, monkeypatch):
    nothing = BeCAM()
    monkeypatch.setattr(
        BeCAM, "saliency", lambda self, view, target: Saliency(-torch.ones(view.grid))
    )
    plan = Plan({"flat": nothing}, ("localisation", "sanity"), truth, stages=1)
    found = audited(explainer, plan, subject).filter(pl.col("method") == "flat")
    values = dict(zip(found["measure"], found["value"], strict=True))
    assert values["energy"] is None
    assert values["drift"] is None
    assert values["omission"] == 1.0
    assert values["spearman_others"] is None
    assert not math.isnan(values["iou"])


def test_items_of_a_dataset(load, tmp_path):
    dataset = planted_dataset(tmp_path / "d", n_items=40)
    with pytest.raises(BecamError, match="no item with a picture"):
        item_subjects(dataset, [make_checkpoint(load("open_clip-vit"))])
