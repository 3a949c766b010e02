"""Annotations as other tools write them, damaged ones, and such as would do harm."""

from __future__ import annotations

import json
import os
import struct
import warnings
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from zoo import SHARED, make_checkpoint

from becam.attribution import Explainer
from becam.attribution.heatmap import place, stretch
from becam.errors import BecamError, BecamWarning
from becam.evaluation.aims import OwnItem
from becam.evaluation.annotations import Frame, frame_of, read_annotations
from becam.evaluation.annotations.rasterise import uncompressed
from becam.evaluation.auditor import Auditor, Plan, Truth
from becam.evaluation.floors import FLOOR_METHODS
from becam.evaluation.localisation import energy, omission, pointing_game
from becam.evaluation.subjects import Subject, showing
from becam.images import read_image

CASES = SHARED / "cases"
BOX = [2, 1, 4, 3]
INSIDE = (slice(1, 4), slice(2, 6))
SQUARE = [2, 1, 6, 1, 6, 4, 2, 4]


def expected(*places):
    mask = np.zeros((6, 8), bool)
    for each in places or (INSIDE,):
        mask[each] = True
    return mask


def column_runs(mask):
    flat = np.concatenate([[False], mask.T.ravel(), [True]])
    edges = np.flatnonzero(np.diff(flat.astype(int))).tolist()
    runs = np.diff([0, *edges, mask.size]).tolist()
    return runs if sum(runs) == mask.size else runs[:-1]


RUNS = {"size": [6, 8], "counts": column_runs(expected())}


def coco(tmp_path, annotations, images=None, categories=None, text=str):
    """A file of one picture ``a.jpg`` of 8 x 6 pixels and its annotations."""
    payload = {
        "images": images or [{"id": 1, "file_name": "a.jpg", "width": 8, "height": 6}],
        "categories": categories or [{"id": 1, "name": "product"}],
        "annotations": [
            {"image_id": 1, "category_id": 1, **annotation} for annotation in annotations
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(text(json.dumps(payload)))
    return path


def sentence(call):
    with pytest.raises(BecamError) as raised:
        call()
    said = str(raised.value)
    assert "\n" not in said
    assert said.endswith(".")
    assert len(said) < 10_000
    return said


# Case by case -------------------------------------------------------------------------------


def case(name, *paths):
    found = CASES.joinpath(name, *paths)
    if not found.exists():
        pytest.skip(f"needs {found.name} of the shared cases")
    return read_annotations(found)


def product_of(annotations, name="item0001.jpg"):
    annotation = annotations[name]
    return int(annotation.mask({"product"}).sum()), annotation.boxes_of({"product"})


def test_the_case_of_lists_of_run_lengths():
    found = case("30-coco-rle-list", "list-of-dict.json")
    for name in ("item0001.jpg", "item0003.jpg"):
        assert product_of(found, name) == (7000, [(20, 10, 90, 110)])


@pytest.mark.parametrize("name", ["empty", "two-points"])
def test_the_case_of_outlines_without_area(name):
    found = case("32-coco-empty-polygons", f"{name}.json")
    assert product_of(found) == (7000, [(20, 10, 90, 110)])


def test_the_case_of_outlines_for_some():
    found = case("32-coco-empty-polygons", "mixed.json")
    assert product_of(found) == (11_200, [(20, 10, 90, 110), (120, 120, 190, 180)])


def test_the_case_of_crowds():
    found = case("36-coco-crowd", "crowd.json")
    assert product_of(found) == product_of(case("36-coco-crowd", "without.json"))
    assert product_of(found) == (7000, [(20, 10, 90, 110)])
    assert found["item0001"].ignored({"product"}).sum() == 51_200


def test_the_case_of_backslashes():
    found = case("17-backslash", "coco.json")
    folder = CASES / "17-backslash" / "pictures"
    subjects = [Subject(path.name, path) for path in sorted(folder.iterdir())]
    assert len(showing(subjects, found, {"product"}, 8)) == 8


# COCO ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "segmentation",
    [
        *([SQUARE], SQUARE, [[[2, 1], [6, 1], [6, 4], [2, 4]]], [[2, 1], [6, 1], [6, 4], [2, 4]]),
        *(RUNS, [RUNS], {**RUNS, "counts": [str(n) for n in RUNS["counts"]]}),
        [[2, 1, 6, 1, 6, 2, 2, 2], [2, 2, 6, 2, 6, 4, 2, 4]],
        [[1, 2], SQUARE],
        [{"size": [6, 8], "counts": column_runs(expected((slice(1, 3), slice(2, 6))))}, RUNS],
    ],
)
def test_outlines_in_every_form(tmp_path, segmentation):
    for box in ({}, {"bbox": BOX}, {"bbox": [BOX]}, {"bbox": []}, {"bbox": None}):
        path = coco(tmp_path, [{"segmentation": segmentation, **box}])
        found = read_annotations(path)["a"]
        assert np.array_equal(found.mask({"product"}), expected())
        assert found.boxes_of({"product"}) == [(2, 1, 6, 4)]
        assert found.labels is not None


@pytest.mark.parametrize(
    "segmentation",
    [
        *([], [[]], None, {}, [{}], [[3, 3]], [[1, 1, 5, 5]], [1, 2, 3], [[1, 2, 3]], [1, 1, 5, 5]),
        *([[2, 2, 2, 2, 2, 2]], [[0, 1, 5, 1, 7, 1]], {"size": [6, 8], "counts": [48]}),
        {"size": [6, 8], "counts": []},
    ],
)
def test_an_outline_without_area_is_none(tmp_path, segmentation):
    found = read_annotations(coco(tmp_path, [{"segmentation": segmentation, "bbox": BOX}]))["a"]
    assert np.array_equal(found.mask({"product"}), expected())
    assert found.boxes_of({"product"}) == [(2, 1, 6, 4)]
    assert found.labels is None
    other = {"bbox": [0, 5, 2, 1], "segmentation": [[0, 5, 2, 5, 2, 6, 0, 6]]}
    both = coco(tmp_path, [{"segmentation": segmentation, "bbox": BOX}, other])
    found = read_annotations(both)["a"]
    want = expected(INSIDE, (slice(5, 6), slice(0, 2)))
    assert np.array_equal(found.mask({"product"}), want)


def test_boxes_from_the_right_and_without_area(tmp_path):
    found = read_annotations(coco(tmp_path, [{"bbox": [6, 4, -4, -3]}, {"bbox": [1, 1, 0, 3]}]))
    assert found["a"].boxes_of({"product"}) == [(2, 1, 6, 4)]


@pytest.mark.parametrize("own", [7, "7", 7.0, "007", "abc", "4f-7"])
@pytest.mark.parametrize("its", [7, "7", 7.0, "007", "abc", "4f-7"])
def test_ids_as_text_and_as_numbers(tmp_path, own, its):
    images = [{"id": own, "file_name": "a.jpg", "width": 8, "height": 6}]
    path = coco(tmp_path, [{"image_id": its, "bbox": BOX}], images=images)
    if str(own).strip("0.") == str(its).strip("0."):
        found = read_annotations(path)["a"]
        assert found.boxes_of({"product"}) == [(2, 1, 6, 4)]
    else:
        assert "belong to none of its pictures" in sentence(lambda: read_annotations(path))


def test_categories_as_text(tmp_path):
    categories = [{"id": "1", "name": "product"}, {"id": 2, "name": 7}]
    annotations = [{"bbox": BOX}, {"bbox": BOX, "category_id": "2"}]
    found = read_annotations(coco(tmp_path, annotations, categories=categories))
    assert found["a"].present() == {"product", "7"}


def test_annotations_of_no_picture_are_told(tmp_path):
    path = coco(tmp_path, [{"bbox": BOX}, {"bbox": BOX, "image_id": "x9"}])
    with pytest.warns(BecamWarning, match=r"1 of the 2 annotations in .* image_id x9"):
        assert len(read_annotations(path)["a"].boxes) == 1


def test_crowds_are_neither_object_nor_background(tmp_path):
    lower = [[0, 3, 8, 3, 8, 6, 0, 6]]
    crowd = {"segmentation": lower, "bbox": [0, 3, 8, 3]}
    plain = {"segmentation": [SQUARE], "bbox": BOX}
    categories = [{"id": 1, "name": "product"}, {"id": 2, "name": "person"}]
    for flag in (1, True, 1.0, "1", "true"):
        annotations = [plain, {**crowd, "iscrowd": flag}]
        found = read_annotations(coco(tmp_path, annotations, categories=categories))["a"]
        assert np.array_equal(found.mask({"product"}), expected())
        assert found.boxes_of({"product"}) == [(2, 1, 6, 4)]
        want = expected((slice(3, 6), slice(0, 8))) & ~expected()
        assert np.array_equal(found.ignored({"product"}), want)
        assert not found.ignored({"person"}).any()
    alone = read_annotations(coco(tmp_path, [{"bbox": BOX, "iscrowd": 1}]))["a"]
    assert alone.present() == set()
    assert not alone.mask({"product"}).any()
    assert np.array_equal(alone.ignored({"product"}), expected())
    for flag in (0, False, None, "0", "false"):
        found = read_annotations(coco(tmp_path, [{**crowd, "iscrowd": flag}]))["a"]
        assert found.mask({"product"}).sum() == 24


def test_measures_leave_crowds_out(tmp_path, load):
    """By loops over the pixels that are no crowd's."""

    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (60, 60, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    images = [{"id": 1, "file_name": "a.png", "width": 60, "height": 60}]
    categories = [{"id": 1, "name": "product"}, {"id": 2, "name": "skin"}]
    annotations = [
        {"segmentation": [[5, 5, 30, 5, 30, 30, 5, 30]], "bbox": [5, 5, 25, 25]},
        {"segmentation": [[35, 5, 60, 5, 60, 30, 35, 30]], "category_id": 2},
        {"bbox": [0, 20, 60, 40], "iscrowd": 1},
    ]
    path = coco(tmp_path, annotations, images=images, categories=categories)
    encoder = load("open_clip-vit")
    explainer = Explainer([make_checkpoint(encoder)])
    truth = Truth(read_annotations(path), frozenset({"product"}), frozenset({"skin"}))
    plan = Plan({}, ("localisation",), truth)
    rows = Auditor(explainer, OwnItem(), plan).rows(Subject("0007", tmp_path / "a.png"))
    (view,) = explainer.encode(tmp_path / "a.png").values()
    saliency = FLOOR_METHODS["gaussian"].saliency(view, None).map
    shown = place(stretch(saliency.clamp(min=0).numpy()), view.geometry)
    total = on_product = on_skin = hottest = 0.0
    seen = []
    for y in range(60):
        for x in range(60):
            product, skin = 5 <= x < 30 and 5 <= y < 30, x >= 35 and 5 <= y < 30
            if np.isnan(shown[y, x]) or (y >= 20 and not product and not skin):
                continue
            total += shown[y, x]
            on_product += shown[y, x] * product
            on_skin += shown[y, x] * skin
            hottest = max(hottest, shown[y, x])
            seen.append((shown[y, x], product))
    got = {row["measure"]: row["value"] for row in rows if row["method"] == "gaussian"}
    assert got["energy"] == pytest.approx(on_product / total, abs=1e-5)
    assert got["drift"] == pytest.approx(on_skin / total, abs=1e-5)
    covered = [value >= hottest / 2 for value, product in seen if product]
    assert got["omission"] == pytest.approx(1 - np.mean(covered))
    assert got["pointing"] == np.mean([product for value, product in seen if value == hottest])


DAMAGED = [
    {"bbox": [1, 2]},
    {"bbox": [1, 2, "wide", 4]},
    {"bbox": [1, 2, None, 4]},
    {"bbox": [1, 2, float("nan"), 4]},
    {"bbox": [1, 2, float("inf"), 4]},
    {"bbox": [1, 2, 1e300, 4]},
    {"bbox": [1, 2, 10**400, 4]},
    {"bbox": 7},
    {"bbox": {"x": 1}},
    {"bbox": [[1, 2, 3, 4], 5]},
    {"bbox": [[[1, 2, 3, 4]]]},
    {"bbox": BOX, "category_id": 99},
    {"bbox": BOX, "category_id": None},
    {"bbox": BOX, "category_id": [1]},
    {"bbox": BOX, "iscrowd": "some"},
    {"bbox": BOX, "iscrowd": [1]},
    {"segmentation": []},
    {"segmentation": "poly", "bbox": BOX},
    {"segmentation": [["a", "b", "c", "d", "e", "f"]], "bbox": BOX},
    {"segmentation": [[float("nan")] * 6], "bbox": BOX},
    {"segmentation": [[0, 0, 1e200, 0, 5, 5]], "bbox": BOX},
    {"segmentation": {"size": [6, 8], "counts": [10, 10]}},
    {"segmentation": {"size": [6, 8], "counts": [50, -2]}},
    {"segmentation": {"size": [6, 8], "counts": [2**62, 2**62, 2**62, 2**62]}},
    {"segmentation": {"size": [6, 8], "counts": [2**63, 48 - 2**63]}},
    {"segmentation": {"size": [6, 8], "counts": [10**300]}},
    {"segmentation": {"size": [6, 8], "counts": "o" * 100_000}},
    {"segmentation": {"size": [6, 8], "counts": "oooooooooooo7" * 3}},
    {"segmentation": {"size": [6, 8], "counts": "\x01"}},
    {"segmentation": {"size": [6, 8], "counts": 48}},
    {"segmentation": {"size": [2**40, 2**40], "counts": [2**80]}},
    {"segmentation": {"size": [-6, -8], "counts": [48]}},
    {"segmentation": {"size": [6], "counts": [48]}},
    {"segmentation": {"size": "6x8", "counts": [48]}},
    {"segmentation": {"counts": [48, 0]}},
]


@pytest.mark.parametrize("annotation", DAMAGED, ids=lambda one: str(one)[:60])
def test_a_damaged_annotation_costs_its_picture_alone(tmp_path, annotation):
    images = [
        {"id": n, "file_name": f"{name}.jpg", "width": 8, "height": 6}
        for n, name in ((1, "a"), (2, "b"))
    ]
    annotations = [annotation, {"image_id": 2, "bbox": BOX}]
    found = read_annotations(coco(tmp_path, annotations, images=images))
    said = sentence(lambda: found["a"])
    assert "a.jpg" in said
    assert "instances.json" in said
    assert found["b"].boxes_of({"product"}) == [(2, 1, 6, 4)]


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "3", "null", "{", '{"images": [], "annotations": [], "categories": 3}'),
        '{"images": [3], "annotations": [], "categories": []}',
        '{"images": [{"id": 1}], "annotations": [], "categories": []}',
        '{"images": [{"file_name": "a.jpg"}], "annotations": [], "categories": []}',
        '{"images": [], "annotations": [3], "categories": []}',
        '{"images": [], "annotations": [{}], "categories": []}',
        '{"images": [], "annotations": [{"image_id": [1]}], "categories": []}',
        '{"images": [], "annotations": [{"image_id": 1e999}], "categories": []}',
        '{"images": [], "annotations": [], "categories": [{"id": 1}]}',
        '{"images": [], "annotations": [], "categories": [{"name": "a"}]}',
        '{"images": [], "annotations": [], "categories": [{"id": true, "name": "a"}]}',
        '{"images": [], "annotations": [' + "[" * 200_000 + "]" * 200_000 + '], "categories": []}',
        '{"a":' * 200_000 + "1" + "}" * 200_000,
        '{"images": [{"id": ' + "1" * 10_000 + '}], "annotations": [], "categories": []}',
        '{"images": NaN, "annotations": [], "categories": []}',
        '{"images": [{"id": 1, "file_name": "\\ud800"}], "annotations": [], "categories": []}',
    ],
    ids=lambda text: text[:50],
)
def test_damaged_coco_files(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    said = sentence(lambda: read_annotations(path))
    assert "bad.json" in said
    assert "COCO" in said


def test_coco_in_other_encodings(tmp_path):
    path = coco(tmp_path, [{"bbox": BOX}], categories=[{"id": 1, "name": "Schürze"}])
    text = json.dumps(json.loads(path.read_text()), ensure_ascii=False)
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_bytes(text.encode(encoding))
        assert read_annotations(path)["a"].present() == {"Schürze"}
    path.write_bytes(text.encode("latin-1"))
    assert "COCO" in sentence(lambda: read_annotations(path))


@pytest.mark.parametrize(
    "size", [(0, 0), (-8, 6), (10**9, 10**9), (1e308, 1), (None, "x"), ([8], 6), (20_000, 20_000)]
)
def test_declared_sizes_are_bounded(tmp_path, size):
    images = [{"id": 1, "file_name": "a.jpg", "width": size[0], "height": size[1]}]
    path = coco(tmp_path, [{"bbox": [0, 0, 30_000, 30_000]}], images=images)
    said = sentence(lambda: read_annotations(path)["a"])
    assert "a.jpg" in said


@pytest.mark.parametrize("sides", [{}, {"width": 0, "height": 0}, {"width": None, "height": None}])
def test_sizes_that_are_not_declared(tmp_path, sides):
    """The picture's own, or what is needed where nobody has the picture."""
    images = [{"id": 1, "file_name": "a.jpg", **sides}]
    path = coco(tmp_path, [{"segmentation": [SQUARE]}], images=images)
    found = read_annotations(path)
    assert found["a"].size == (4, 6)
    assert found["a"].mask({"product"}).sum() == 12
    seen = found.of("a.jpg", Frame(tmp_path / "a.jpg", (6, 8)))
    assert seen.size == (6, 8)
    assert np.array_equal(seen.mask({"product"}), expected())
    path = coco(tmp_path, [{"segmentation": RUNS}], images=images)
    assert np.array_equal(read_annotations(path)["a"].mask({"product"}), expected())


def test_sizes_as_text(tmp_path):
    images = [{"id": 1, "file_name": "a.jpg", "width": "8", "height": "6"}]
    assert read_annotations(coco(tmp_path, [{"bbox": BOX}], images=images))["a"].size == (6, 8)


@given(st.lists(st.sampled_from([*"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_`abcno"]), max_size=60))
def test_any_compressed_text_is_read_or_refused(letters):
    with suppress(ValueError):
        assert all(isinstance(count, int) for count in uncompressed("".join(letters)))


# Names ----------------------------------------------------------------------------------------


def two(names):
    return [
        {"id": n, "file_name": name, "width": 8, "height": 6} for n, name in enumerate(names, 1)
    ]


def test_names_with_folders_of_any_system(tmp_path):
    for name in ("train/x/a.jpg", r"train\x\a.jpg", r"C:\data\a.jpg", "a.JPG", "http://h/b/a.jpg"):
        found = read_annotations(coco(tmp_path, [{"bbox": BOX}], images=two([name])))
        assert found["a.jpg"].boxes_of({"product"}) == [(2, 1, 6, 4)]


def test_letters_with_accents_in_either_form(tmp_path):
    images = two(["caf\u00e9.jpg"])
    found = read_annotations(coco(tmp_path, [{"bbox": BOX}], images=images))
    assert found["cafe\u0301.jpg"].boxes


def test_pictures_of_one_name_are_told_apart_by_folder_and_suffix(tmp_path):
    annotations = [{"bbox": BOX}, {"bbox": [0, 0, 1, 1], "image_id": 2}]
    for names in (["cat/1.jpg", r"dog\1.jpg"], ["1.jpg", "1.png"]):
        found = read_annotations(coco(tmp_path, annotations, images=two(names)))
        assert len(found) == 2
        asked = [f"/pictures/{name}".replace("\\", "/") for name in names]
        assert found[asked[0]].boxes_of({"product"}) == [(2, 1, 6, 4)]
        assert found[asked[1]].boxes_of({"product"}) == [(0, 0, 1, 1)]
        assert "two pictures named 1" in sentence(lambda found=found: found["1"])


def test_a_picture_that_is_there_twice(tmp_path):
    annotations = [{"bbox": BOX}, {"bbox": [0, 0, 1, 1], "image_id": 2}]
    found = read_annotations(coco(tmp_path, annotations, images=two(["a.jpg", "a.jpg"])))
    assert found["a"].boxes_of({"product"}) == [(2, 1, 6, 4), (0, 0, 1, 1)]
    images = two(["a.jpg", "a.jpg"])
    images[1]["height"] = 7
    found = read_annotations(coco(tmp_path, annotations, images=images))
    assert "several sizes" in sentence(lambda: found["a"])


def test_two_pictures_of_one_id(tmp_path):
    images = two(["a.jpg", "b.jpg", "c.jpg"])
    images[1]["id"] = "1"
    found = read_annotations(coco(tmp_path, [{"bbox": BOX}], images=images))
    assert "same id" in sentence(lambda: found["a"])
    assert found["c"].boxes == ()


def picture(path, size=(8, 6), **saving):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "red").save(path, **saving)
    return Subject(path.name, path)


def test_none_is_taken_for_another(tmp_path):
    """One annotated picture of a name that two pictures have."""
    here, there = picture(tmp_path / "cat/1.png"), picture(tmp_path / "dog/1.png")
    found = read_annotations(coco(tmp_path, [{"bbox": BOX}], images=two(["cat/1.png"])))
    assert showing([there, here], found, {"product"}, 5) == [here]
    found = read_annotations(coco(tmp_path, [{"bbox": BOX}], images=two(["1.png"])))
    said = sentence(lambda: showing([there, here], found, {"product"}, 5))
    assert "several" in said


# VOC ------------------------------------------------------------------------------------------


def voc(name="p1.jpg", size=(8, 6), box=(3, 2, 6, 4), label="dog", head="", more=""):
    edges = "".join(
        f"<{edge}>{value}</{edge}>"
        for edge, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return (
        f"{head}<annotation verified='no'><folder>x</folder><filename>{name}</filename>"
        f"<path>C:\\stale\\{name}</path><size><width>{size[0]}</width><height>{size[1]}</height>"
        f"<depth>3</depth></size><object><name>{label}</name><pose>Unspecified</pose>"
        f"<bndbox>{edges}</bndbox>{more}</object></annotation>"
    )


def test_voc_of_labelimg_without_a_size(tmp_path):
    (tmp_path / "p1.xml").write_text(voc(size=(0, 0)))
    found = read_annotations(tmp_path)
    assert found["p1"].mask({"dog"})[INSIDE].all()
    seen = found.of("p1.jpg", Frame(tmp_path / "p1.jpg", (6, 8)))
    assert seen.size == (6, 8)
    assert np.array_equal(seen.mask({"dog"}), expected())
    (tmp_path / "p1.xml").write_text(voc().replace("<size>", "<was>").replace("</size>", "</was>"))
    assert read_annotations(tmp_path)["p1"].boxes_of({"dog"}) == [(2, 1, 6, 4)]


def test_voc_floats_and_corners_in_any_order(tmp_path):
    path = tmp_path / "p1.xml"
    for box, want in (
        ((3.5, 2.0, 6.25, 4), (2.5, 1, 6.25, 4)),
        ((6, 4, 3, 2), (2, 1, 6, 4)),
        ((" 3 ", "2", "6", "4\n"), (2, 1, 6, 4)),
    ):
        path.write_text(voc(box=box, size=("8.0", "6.0")))
        assert read_annotations(path)["p1"].boxes_of({"dog"}) == [want]
        assert read_annotations(path)["p1"].size == (6, 8)


def test_voc_files_are_named_as_their_pictures(tmp_path):
    """What a file says of names is older than the file's own name."""
    (tmp_path / "new.one.xml").write_text(voc("old.jpg", label="cat"))
    (tmp_path / "p2.xml").write_text(voc("new.one.jpg"))
    found = read_annotations(tmp_path)
    assert found["new.one.jpg"].present() == {"cat"}
    assert found["new.one"].present() == {"cat"}
    assert found["p2.jpg"].present() == {"dog"}
    assert found["old.jpg"].present() == {"cat"}  # where nobody says what pictures there are
    pictures = {name: [tmp_path / f"{name}.jpg"] for name in ("old", "new.one")}
    assert found.of(tmp_path / "old.jpg", pictures=pictures) is None
    assert found.of(tmp_path / "new.one.jpg", pictures=pictures).present() == {"cat"}


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        *((name, name) for name in ("utf-8", "utf-16", "latin-1", "cp1252", "shift_jis", "gbk")),
        *(("utf-8-sig", "utf-8"), ("utf-8", None), ("utf-16", None), ("utf-16-le", "utf-16")),
        ("utf-8", "utf-16"),
    ],
)
def test_voc_in_other_encodings(tmp_path, encoding, declared):
    label = "狗" if encoding in ("shift_jis", "gbk") else "chien battu"
    label = "café" if encoding in ("latin-1", "cp1252") else label
    head = f'<?xml version="1.0" encoding="{declared}"?>\n' if declared else ""
    (tmp_path / "p1.xml").write_bytes(voc(label=label, head=head).encode(encoding))
    assert read_annotations(tmp_path)["p1"].present() == {label}


LAUGHS = "".join(
    f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' if n else '<!ENTITY a0 "ha">' for n in range(12)
)


@pytest.mark.parametrize(
    "text",
    [
        voc(label="&a11;", head=f"<?xml version='1.0'?><!DOCTYPE annotation [{LAUGHS}]>"),
        voc(
            label="&x;",
            head='<!DOCTYPE annotation [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        ),
        voc(label="&x;", head='<!DOCTYPE annotation SYSTEM "file:///etc/passwd">'),
        voc(head='<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x"> %x;]>'),
        voc(label="&nothing;"),
        *(voc()[:length] for length in (0, 10, 100, 250)),
        voc(head='<?xml version="1.0" encoding="nonsense"?>'),
        voc(head='<?xml version="1.0" encoding="zlib"?>'),
        voc(label=" "),
        *(voc(box=(edge, 2, 6, 4)) for edge in ("nan", "inf", "1e999", "-1e12", "", "x")),
        *(voc(size=(side, 6)) for side in ("wide", "nan", "1e12", "inf", "9" * 5000)),
        "<annotation>" * 20_000,
        "\0",
    ],
    ids=lambda text: text[-60:],
)
def test_damaged_voc_files_cost_their_own_pictures(tmp_path, text):
    (tmp_path / "p1.xml").write_text(text)
    said = sentence(lambda: read_annotations(tmp_path))
    assert len(said) < 500
    assert "p1.xml is not a VOC annotation" in said
    assert "root:" not in said  # of /etc/passwd
    (tmp_path / "p2.xml").write_text(voc(label="cat"))
    found = read_annotations(tmp_path)
    assert found["p2"].present() == {"cat"}
    assert "p1.xml" in sentence(lambda: found["p1.jpg"])
    assert "p1.xml" in sentence(lambda: found.known(["dog"]))


def test_damaged_voc_undeclared_encoding(tmp_path):
    (tmp_path / "p1.xml").write_bytes(voc(label="café").encode("latin-1"))
    assert "p1.xml is not a VOC" in sentence(lambda: read_annotations(tmp_path))


def test_where_no_voc_file_is_left(tmp_path):
    for number in range(3):
        (tmp_path / f"p{number}.xml").write_text("<a/>")
    said = sentence(lambda: read_annotations(tmp_path))
    assert "None of the 3 VOC files" in said
    assert "p0.xml" in said


# Label maps -----------------------------------------------------------------------------------

TABLE = "index,name\n0,null\n3,dress\n9,skin\n"
LABELS = np.array([[0, 3, 3, 9], [0, 3, 0, 9], [0, 0, 0, 9]], np.uint8)


def maps(tmp_path, image, table=TABLE, encoding="utf-8"):
    (tmp_path / "labels").mkdir(exist_ok=True)
    if isinstance(image, bytes):
        (tmp_path / "labels/a.png").write_bytes(image)
    else:
        image.save(tmp_path / "labels/a.png")
    (tmp_path / "label_names.csv").write_bytes(table.encode(encoding))
    return read_annotations(tmp_path)


def png(values, depth, kind=0):
    """A PNG of few bits, as Pillow does not write them."""

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = values.shape
    rows = []
    for row in values:
        bits = "".join(f"{value:0{depth}b}" for value in row)
        bits += "0" * (-len(bits) % 8)
        rows.append(b"\0" + bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)))
    palette = b"" if kind == 0 else chunk(b"PLTE", bytes(range(48)))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
        + palette
        + chunk(b"IDAT", zlib.compress(b"".join(rows)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("mode", ["L", "P", "I;16", "RGB", "RGBA", "LA", "grey4", "palette4"])
def test_label_maps_in_every_mode(tmp_path, mode):
    image = Image.fromarray(LABELS)
    if mode == "P":
        image.putpalette([value for n in range(256) for value in (n, 255 - n, 7)])
    elif mode == "I;16":
        image = Image.fromarray(LABELS.astype(np.uint16))
    elif mode.endswith("4"):
        image = png(LABELS, 4, 0 if mode == "grey4" else 3)
    else:
        image = image.convert(mode)
    found = maps(tmp_path, image)["a.jpg"]
    assert np.array_equal(found.labels, LABELS)
    assert found.labels.dtype == np.uint8


@pytest.mark.parametrize("depth", [1, 2])
def test_label_maps_of_few_bits(tmp_path, depth):
    labels = LABELS.clip(max=2**depth - 1)
    found = maps(tmp_path, png(labels, depth), "i,n\n0,null\n1,dress\n3,skin\n")["a"]
    assert np.array_equal(found.labels, labels)


def test_void_is_neither_object_nor_background(tmp_path):
    labels = LABELS.copy()
    labels[2] = 255
    found = maps(tmp_path, Image.fromarray(labels))["a"]
    assert np.array_equal(found.ignored({"dress"}), labels == 255)
    assert np.array_equal(found.mask({"dress"}), labels == 3)
    found = maps(tmp_path, Image.fromarray(labels), TABLE + "255,sky\n")["a"]
    assert not found.ignored({"dress"}).any()
    assert found.present() == {"null", "dress", "skin", "sky"}


def test_label_maps_that_are_none(tmp_path):
    rgb = np.stack([LABELS, LABELS, LABELS], -1)
    rgb[0, 0] = (200, 30, 40)
    for image in (
        *(Image.fromarray(rgb), Image.fromarray(LABELS.astype(np.uint16) * 100), b"", b"\x89PNG"),
        png(LABELS, 4)[:50],
        png(np.zeros((2, 2), np.uint8), 1).replace(
            struct.pack(">II", 2, 2), struct.pack(">II", 10**9, 10**9)
        ),
    ):
        found = maps(tmp_path, image)
        assert "a.png" in sentence(lambda found=found: found["a"])
    Image.fromarray(LABELS).save(tmp_path / "labels/a.jpg")
    os.replace(tmp_path / "labels/a.jpg", tmp_path / "labels/a.png")  # its values are not exact
    assert "a.png" in sentence(lambda: found["a"])


@pytest.mark.parametrize(
    ("table", "encoding"),
    [
        (TABLE, "utf-8-sig"),
        (TABLE, "utf-16"),
        (TABLE.replace(",", ";"), "utf-8"),
        (TABLE.replace(",", "\t"), "utf-8"),
        (TABLE.replace("\n", "\r\n") + "\r\n\r\n", "utf-8"),
        (TABLE.replace(",", " , "), "utf-8"),
        ("0,null\n3,dress\n9,skin\n", "utf-8"),
        ("name,index\nnull,0\ndress,3\nskin,9\n", "utf-8"),
        ('"index","name","colour"\n"0","null","#000"\n"3","dress","#111"\n9,skin,', "utf-8"),
    ],
)
def test_tables_of_names_in_odd_forms(tmp_path, table, encoding):
    found = maps(tmp_path, Image.fromarray(LABELS), table, encoding)
    assert found.classes == ["dress", "null", "skin"]
    assert np.array_equal(found["a"].mask({"dress"}), LABELS == 3)


@pytest.mark.parametrize(
    "table",
    [
        *("\0", "index,name\n" + "3," + "x" * 200_000 + "\n", "index,name\n3,a\n3,b\n"),
        *("index,name\n3,\n", "index,name\n" + "3" * 5000 + ",a\n", "i,n\n-1,a\n", "i,n\n²,a\n"),
    ],
    ids=lambda text: text[:20],
)
def test_damaged_tables_of_names(tmp_path, table):
    said = sentence(lambda: maps(tmp_path, Image.fromarray(LABELS), table))
    assert "label_names.csv" in said


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"classes": 3}', '{"classes": [3]}', '{"classes": {"a": "b"}}'),
        *('{"classes": []}', "[" * 100_000, '{"classes": ["' + '","'.join("abc" * 100) + '"]}'),
    ],
    ids=lambda text: text[:20],
)
def test_damaged_names_in_json(tmp_path, text):
    Image.fromarray(LABELS).save(tmp_path / "a.png")
    (tmp_path / "labels.json").write_text(text)
    assert "labels.json" in sentence(lambda: read_annotations(tmp_path))


def test_names_in_json(tmp_path):
    Image.fromarray(LABELS).save(tmp_path / "a.png")
    for classes in ({"0": "null", "3": "dress", "9": "skin"}, [*"abcdefghij"]):
        (tmp_path / "labels.json").write_text(json.dumps({"classes": classes, "colours": [1]}))
        found = read_annotations(tmp_path)["a"]
        assert found.mask({"dress", "d"}).sum() == 3


# Turned pictures ------------------------------------------------------------------------------


def turned_picture(path, upright, orientation):
    """A file whose pixels lie so that EXIF's orientation turns them upright."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(path, exif=exif)
    return stored


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_pictures(tmp_path, orientation):
    """Annotations of the upright picture and of the stored one mean the same pixels."""
    upright = np.zeros((6, 8, 3), np.uint8)
    upright[INSIDE] = 255
    path = tmp_path / "a.png"
    stored = np.asarray(turned_picture(path, Image.fromarray(upright), orientation))
    seen = np.asarray(read_image(path))[..., 0] > 0
    assert np.array_equal(seen, expected())
    for pixels in (upright, stored) if orientation >= 5 else (upright,):
        mask = pixels[..., 0] > 0
        rows, columns = np.nonzero(mask)
        left, top = int(columns.min()), int(rows.min())
        box = [left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top]
        height, width = mask.shape
        images = [{"id": 1, "file_name": "a.png", "width": width, "height": height}]
        runs = {"size": [height, width], "counts": column_runs(mask)}
        for annotation in ({"bbox": box}, {"bbox": box, "segmentation": runs}):
            annotations = [annotation, {**annotation, "iscrowd": 1, "category_id": 2}]
            categories = [{"id": 1, "name": "product"}, {"id": 2, "name": "people"}]
            read = read_annotations(coco(tmp_path, annotations, images, categories))
            found = read.of(path, frame_of(path))
            assert found.size == (6, 8)
            assert np.array_equal(found.mask({"product"}), expected())
            assert found.boxes_of({"product"}) == [(2, 1, 6, 4)]
            assert np.array_equal(found.ignored({"people"}), expected())


def test_annotations_of_another_size(tmp_path):
    subject = picture(tmp_path / "a.png", (9, 6))
    read = read_annotations(coco(tmp_path, [{"bbox": BOX}]))
    said = sentence(lambda: showing([subject], read, {"product"}, 1))
    assert "9 x 6 pixels but its annotation 8 x 6" in said


def test_damaged_exif_turns_nothing(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (8, 6)).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert frame_of(path) == Frame(path, (6, 8))


# A run ----------------------------------------------------------------------------------------


def test_damaged_ones_are_left_out_counted_and_named(tmp_path):
    for number in range(4):
        (tmp_path / f"p{number}.xml").write_text(voc(f"p{number}.png") if number else "<broken")
    subjects = [picture(tmp_path / f"p{number}.png") for number in range(4)]
    with pytest.warns(BecamWarning, match=r"cannot be used: 1\. .*p0\.xml is not a VOC") as caught:
        assert showing(subjects, read_annotations(tmp_path), {"dog"}, 9) == subjects[1:]
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert showing(subjects[1:], read_annotations(tmp_path), {"dog"}, 9) == subjects[1:]
    said = sentence(lambda: showing(subjects[:1], read_annotations(tmp_path), {"dog"}, 9))
    assert "1 left out" in said
    assert "p0.xml" in said


# Files that are none --------------------------------------------------------------------------


def odd_files(folder, name):
    """Things at a path that are not a regular file."""

    def clear():
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        elif path.is_symlink() or path.exists():
            path.unlink()
        return path

    os.mkfifo(clear())
    yield "pipe"
    clear().symlink_to(folder / name)
    yield "loop"
    clear().symlink_to("/dev/zero")
    yield "device"
    clear().mkdir()
    yield "folder"
    clear().symlink_to(folder / "nothing")
    yield "dangling"


def test_what_is_no_file(tmp_path):
    for name in ("a.json", "a.xml"):
        for kind in odd_files(tmp_path, name):
            if kind != "folder":
                said = sentence(lambda name=name: read_annotations(tmp_path / name))
                assert name in said
        (tmp_path / name).unlink()
    for path in (tmp_path / ("x" * 5000), tmp_path / "a\0b.json", tmp_path / "a.txt" / "b.json"):
        sentence(lambda path=path: read_annotations(path))


def test_no_voc_file_in_a_folder(tmp_path):
    (tmp_path / "p2.xml").write_text(voc(label="cat"))
    for _ in odd_files(tmp_path, "p1.xml"):
        found = read_annotations(tmp_path)
        assert found["p2"].present() == {"cat"}
        assert "p1.xml" in sentence(lambda found=found: found["p1"])


def test_no_label_map_in_a_folder(tmp_path):
    found = maps(tmp_path, Image.fromarray(LABELS))
    os.unlink(tmp_path / "labels/a.png")
    for _ in odd_files(tmp_path / "labels", "a.png"):
        assert "a.png" in sentence(lambda: found["a"])
    for _ in odd_files(tmp_path, "label_names.csv"):
        sentence(lambda: read_annotations(tmp_path))


def test_what_macos_and_windows_leave(tmp_path):
    (tmp_path / "P1.XML").write_text(voc("P1.jpg"))
    (tmp_path / "._P1.xml").write_bytes(b"\0\5\x16\7")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    found = read_annotations(tmp_path)
    assert list(found) == ["P1"]
    Image.fromarray(LABELS).save(tmp_path / "a.PNG", format="PNG")
    (tmp_path / "._a.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "label_names.csv").write_text(TABLE)
    assert list(read_annotations(tmp_path)) == ["a"]


def test_measures_of_ignored_pixels():
    """NaN is what the measures know for pixels that do not count."""
    saliency = np.array([[0.5, 0.25, np.nan], [0.0, 0.25, np.nan]], np.float32)
    mask = np.array([[True, False, True], [True, False, False]])
    assert energy(saliency, mask) == 0.5
    assert pointing_game(saliency, mask) == 1
    assert omission(saliency, mask) == 0.5
