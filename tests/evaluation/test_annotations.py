"""Annotations written by hand in every format, and what COCO's own tools made of masks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from PIL import Image
from zoo import SHARED

from becam.data.catalogue.build import build_catalogue
from becam.errors import BecamError
from becam.evaluation.annotations import read_annotations
from becam.evaluation.annotations.rasterise import (
    painted,
    polygon_mask,
    run_length_mask,
    uncompressed,
)

# Masks and what pycocotools 2.0 compresses them to.
COMPRESSED = [
    (
        "321O0020N12O",
        [[0, 1, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 1, 0], [1, 0, 0, 1, 1]],
    ),
    ("01321NM0001", [[1, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 1, 0]]),
]
ELLIPSE = (
    "R85Q14L4M2N2O0O2N2O0O2O000O2O000O2O000000000O2O000000000001N10000000001N10001N10001N101N2N101N"
    "2N3L4LXb0"
)


def runs(mask):
    """Run lengths, pixel by pixel down the columns."""
    counts, current = [0], False
    for column in range(mask.shape[1]):
        for row in range(mask.shape[0]):
            if bool(mask[row, column]) != current:
                counts.append(0)
                current = not current
            counts[-1] += 1
    return counts


def test_compressed_run_lengths_of_coco():
    for text, mask in COMPRESSED:
        mask = np.array(mask, bool)
        assert uncompressed(text) == runs(mask)
        assert np.array_equal(run_length_mask(uncompressed(text), mask.shape), mask)
    y, x = np.mgrid[:40, :70]
    ellipse = (y - 20) ** 2 / 200 + (x - 30) ** 2 / 600 < 1
    assert np.array_equal(run_length_mask(uncompressed(ELLIPSE), (40, 70)), ellipse)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_run_lengths(height, width, seed):
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    assert np.array_equal(run_length_mask(runs(mask), (height, width)), mask)


def test_bad_run_lengths():
    for counts in ([5], [3, -1, 10], [12, 1]):
        with pytest.raises(ValueError, match="add up"):
            run_length_mask(counts, (3, 4))
    for text in ("\x01", "321O002P"):
        with pytest.raises(ValueError, match="compressed"):
            uncompressed(text)


@given(
    st.lists(
        st.tuples(st.floats(-3, 12), st.floats(-3, 10)).map(lambda p: (round(p[0], 3), p[1])),
        min_size=3,
        max_size=7,
    )
)
def test_polygons_against_a_walk_over_pixels(corners):
    """A pixel is inside when a ray from its centre crosses the outline an odd number of times."""
    found = polygon_mask(corners, (7, 9))
    for row in range(7):
        for column in range(9):
            x, y, inside, close = column + 0.5, row + 0.5, False, False
            for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
                if (y0 > y) != (y1 > y):
                    at = x0 + (y - y0) / (y1 - y0) * (x1 - x0)
                    close |= abs(at - x) < 1e-9
                    inside ^= at < x
                close |= abs(y0 - y) < 1e-9
            assert close or found[row, column] == inside


def test_a_polygon_against_matplotlib():
    corners = [(3.2, 2.1), (40.7, 8.4), (33.3, 36.9), (20.1, 22.2), (5.5, 31.7)]
    y, x = np.mgrid[:45, :50] + 0.5
    want = Outline(corners).contains_points(np.stack([x.ravel(), y.ravel()], 1)).reshape(45, 50)
    assert np.array_equal(polygon_mask(corners, (45, 50)), want)


def test_smaller_masks_lie_on_top():
    large, small = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    large[:3], small[1, 1] = True, True
    for order in ([(1, large), (2, small)], [(2, small), (1, large)]):
        labels = painted(order, (4, 4))
        assert labels[1, 1] == 2
        assert (labels == 1).sum() == 11


def coco(tmp_path, **changes):
    mask = np.zeros((6, 8), bool)
    mask[2:4, 1:3] = True
    payload = {
        "images": [
            {"id": 7, "file_name": "train/a.jpg", "height": 6, "width": 8},
            {"id": 8, "file_name": "b.jpg", "height": 6, "width": 8},
            {"id": 9, "file_name": "c.jpg", "height": 6, "width": 8},
        ],
        "categories": [{"id": 90, "name": "mug"}, {"id": 4, "name": "hand"}],
        "annotations": [
            {
                "image_id": 7,
                "category_id": 90,
                "bbox": [4, 0, 4, 6],
                "segmentation": [[4, 0, 8, 0, 8, 6, 4, 6]],
            },
            {
                "image_id": 7,
                "category_id": 4,
                "segmentation": {"size": [6, 8], "counts": runs(mask)},
            },
            {"image_id": 8, "category_id": 90, "bbox": [1.5, 2, 3, 2]},
        ],
        **changes,
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(payload))
    return path


def test_coco(tmp_path):
    found = read_annotations(coco(tmp_path))
    assert len(found) == 3
    assert found.classes == ["hand", "mug"]
    assert set(found) == {"a", "b", "c"}
    outlined = found["a.jpg"]
    want = np.zeros((6, 8), bool)
    want[:, 4:] = True
    assert outlined.present() == {"mug", "hand"}
    assert np.array_equal(outlined.mask({"mug"}), want)
    assert outlined.mask({"hand"}).sum() == 4
    assert np.array_equal(outlined.mask({"hand", "mug"}), want | outlined.mask({"hand"}))
    assert outlined.boxes_of({"mug"}) == [(4, 0, 8, 6)]
    assert outlined.boxes_of({"hand"}) == [(1, 2, 3, 4)]
    boxed = found["somewhere/b.png"]
    assert boxed.labels is None
    assert boxed.boxes_of({"mug"}) == [(1.5, 2, 4.5, 4)]
    assert boxed.mask({"mug"}).sum() == 2 * 2  # columns 2 and 3 after rounding to even
    assert not boxed.mask({"hand"}).any()
    assert not found["c"].mask({"mug"}).any()
    assert found["c"].present() == set()
    assert "d.jpg" not in found


def test_class_names_are_found_whatever_their_case(tmp_path):
    found = read_annotations(coco(tmp_path))
    assert found.known(["MUG"]) == {"mug"}
    with pytest.raises(BecamError, match=r"no class 'cup'; it has hand, mug"):
        found.known(["cup"])


def one_sentence(path, read, *words):
    with pytest.raises(BecamError) as raised:
        read()
    said = str(raised.value)
    assert path.name in said
    assert "\n" not in said
    assert said.endswith(".")
    for word in words:
        assert word in said
    return said


def test_bad_coco_files(tmp_path):
    path = tmp_path / "bad.json"
    for text in ("", "[]", '{"images": []}', '{"images": 3, "annotations": [], "categories": []}'):
        path.write_text(text)
        one_sentence(path, lambda: read_annotations(path), "COCO")
    path.write_bytes(b"\xff\xfe\x00")
    one_sentence(path, lambda: read_annotations(path), "COCO")
    damaged = [
        {"image_id": 7, "category_id": 5},
        {"image_id": 7, "category_id": 4, "segmentation": {"size": [6, 8], "counts": [1]}},
        {"image_id": 7, "category_id": 4, "segmentation": {"size": [8, 6], "counts": [48]}},
        {"image_id": 7, "category_id": 4, "segmentation": {"size": [6, 8], "counts": "\x01"}},
        {"image_id": 7, "category_id": 4, "segmentation": [[1, 2, 3]]},
        {"image_id": 7, "category_id": 4, "bbox": [1, 2]},
    ]
    for annotation in damaged:
        found = coco(tmp_path, annotations=[annotation])
        one_sentence(found, lambda found=found: read_annotations(found)["a"], "train/a.jpg")
    twice = [{"id": n, "file_name": f"{n}/a.jpg", "height": 6, "width": 8} for n in (1, 2)]
    found = coco(tmp_path, images=twice, annotations=[])
    one_sentence(found, lambda: read_annotations(found)["a"], "two pictures named a")


def label_maps(folder, mode="L", table="index,name\n0,null\n3,dress\n9,skin\n"):
    (folder / "labels").mkdir(parents=True)
    labels = np.zeros((5, 7), np.uint8)
    labels[1:3, 2:6], labels[4] = 3, 9
    image = Image.fromarray(labels)
    if mode == "P":
        image.putpalette([value for n in range(256) for value in (n, 255 - n, 7)])
    image.save(folder / "labels" / "0001.png")
    (folder / "label_names.csv").write_text(table)
    return labels


@pytest.mark.parametrize("mode", ["L", "P"])
@pytest.mark.parametrize("below", [".", "labels"])
def test_label_maps(tmp_path, mode, below):
    labels = label_maps(tmp_path, mode)
    found = read_annotations(tmp_path / below)
    assert found.classes == ["dress", "null", "skin"]
    annotation = found["0001.jpg"]
    assert np.array_equal(annotation.labels, labels)
    assert annotation.size == (5, 7)
    assert annotation.present() == {"null", "dress", "skin"}
    assert np.array_equal(annotation.mask({"dress", "skin"}), labels > 0)
    assert annotation.boxes_of({"dress"}) == [(2, 1, 6, 3)]
    assert annotation.boxes_of(set()) == []


def test_bad_label_maps(tmp_path):
    for number, text in enumerate(
        ("", "index,name\n", "index,name\nx,dress\n", "a\n3\n", "i,n\n300,a\n")
    ):
        folder = tmp_path / str(number)
        label_maps(folder, table=text)
        one_sentence(folder / "label_names.csv", lambda folder=folder: read_annotations(folder))
    label_maps(tmp_path / "good")
    found = read_annotations(tmp_path / "good")
    path = tmp_path / "good" / "labels" / "0001.png"
    Image.new("RGB", (7, 5), (0, 3, 9)).save(path)
    one_sentence(path, lambda: found["0001"], "RGB")
    Image.fromarray(np.full((5, 7), 700, np.uint16)).save(path)
    one_sentence(path, lambda: found["0001"], "255")
    path.write_bytes(b"not a picture")
    one_sentence(path, lambda: found["0001"], "PNG")


def test_a_catalogue_is_annotated(tmp_path):
    catalogue = build_catalogue(tmp_path / "shop", n_items=3, n_users=2, image_size=64)
    found = read_annotations(catalogue)
    assert len(found) == 3
    assert "product" in found.classes
    with Image.open(catalogue / "masks" / "item0001.png") as mask:
        want = np.asarray(mask) == 1
    assert np.array_equal(found["item0001"].mask({"product"}), want)
    assert want.any()


VOC = """<annotation><folder>x</folder><filename>p1.jpg</filename>
<size><width>50</width><height>40</height><depth>3</depth></size>
<object><name>dog</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>10</xmax><ymax>20</ymax></bndbox>
</object><object><name>person</name><bndbox><xmin>11</xmin><ymin>1</ymin><xmax>50</xmax>
<ymax>40</ymax></bndbox></object></annotation>"""


def test_voc(tmp_path):
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "p1.xml").write_text(VOC)
    for path in (tmp_path, tmp_path / "Annotations", tmp_path / "Annotations" / "p1.xml"):
        found = read_annotations(path)
        annotation = found["p1.jpg"]
        assert annotation.size == (40, 50)
        assert annotation.boxes_of({"dog"}) == [(0, 1, 10, 20)]
        assert annotation.mask({"dog"}).sum() == 10 * 19
        assert annotation.mask({"dog"})[1, 0]
        assert annotation.present() == {"dog", "person"}
        assert annotation.labels is None


def test_bad_voc_files(tmp_path):
    path = tmp_path / "p1.xml"
    for text in (
        "",
        "<a/>",
        VOC[:200],
        VOC.replace("<xmin>1</xmin>", ""),
        VOC.replace("<width>50</width>", "<width>wide</width>"),
        VOC.replace("<name>dog</name>", ""),
    ):
        path.write_text(text)
        one_sentence(path, lambda: read_annotations(path), "VOC")


def test_neither(tmp_path):
    with pytest.raises(BecamError, match="no annotations at"):
        read_annotations(tmp_path / "nothing")
    with pytest.raises(BecamError, match="holds no annotations"):
        read_annotations(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(BecamError, match="holds no annotations"):
        read_annotations(tmp_path / "a.txt")


@pytest.mark.skipif(not (SHARED / "data/ccp").is_dir(), reason="needs the CCP pictures")
def test_real_label_maps():
    found = read_annotations(SHARED / "data/ccp")
    assert len(found) == 401
    assert {"skin", "hair", "dress", "null"} <= set(found.classes)
    with Image.open(SHARED / "data/ccp/photos/0001.jpg") as photo:
        assert found["0001.jpg"].size == (photo.height, photo.width)
    assert found["0001.jpg"].mask({"skin"}).any()
