"""The paper's figures of maps: every map in its cell, fonts that print, captions that warn."""

from __future__ import annotations

import itertools
import warnings
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from exhibited import HOSTILE, controls, corner_map, corner_of, exhibition, make_shop
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from PIL import Image

from becam.attribution import Explainer
from becam.checkpoint import Checkpoint
from becam.errors import BecamError, BecamWarning
from becam.evaluation.deviation import deviation
from becam.evaluation.item_table import ItemTable
from becam.evaluation.scenes import scene_table
from becam.evaluation.subjects import Subject
from becam.figures.overlay import overlay
from becam.figures.page import WIDTHS, Page, PaperFigure
from becam.figures.paper import adapters_figure, backbones_figure, drift_figure, scenes_figure
from becam.figures.paper.captions import caption
from becam.figures.paper.drift import _choose
from becam.figures.paper.exhibits import Exhibition
from becam.figures.paper.grid import check_room, map_figure
from becam.figures.paper.layout import Layout
from becam.figures.paper.maps import Maps, Wanted
from becam.figures.paper.pairs import families, only
from becam.figures.typesetting import FALLBACK_FONT, drawable, fitted, measuring

FAST = {"randomise": False, "method_options": {"budget": 8}}


@pytest.fixture(scope="module")
def shop(load, tmp_path_factory):
    return make_shop(tmp_path_factory.mktemp("shop"), load("open_clip-vit"))


def words(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def laid_out(figure) -> list:
    """Its pictures and maps in the order drawn, as boxes in inches from the upper left."""
    width, height = figure.get_size_inches()
    found = [axes.get_position() for axes in figure.axes[:-1]]  # the last is the colour bar
    return [
        (box.x0 * width, (1 - box.y1) * height, box.x1 * width, (1 - box.y0) * height)
        for box in found
    ]


# The grid.


@pytest.mark.parametrize(
    ("items_as", "size"), [("columns", (60, 90)), ("rows", (90, 60)), ("rows", (70, 70))]
)
def test_every_map_is_in_its_cell(tmp_path, items_as, size):
    """Items of three groups, blocks of one and two maps: each cell's hot corner is the map's."""
    shown = exhibition(tmp_path, groups=(2, 1, 2), blocks=(1, 2), size=size)
    page = Page(width=5.5, dpi=100)
    figure = map_figure(shown, page, items_as=items_as)
    PaperFigure(figure, "", page).save(tmp_path / "figure.png")
    image = np.asarray(Image.open(tmp_path / "figure.png").convert("RGB")).astype(int)
    boxes = laid_out(figure)
    assert len(boxes) == 5 * 4
    places = {}
    for number, (left, top, right, bottom) in enumerate(boxes):
        item, place = divmod(number, 4)
        x0, y0, x1, y1 = (
            round(100 * edge) + inward
            for edge, inward in zip((left, top, right, bottom), (3, 3, -3, -3), strict=True)
        )
        cell = image[y0:y1, x0:x1]
        change = np.abs(cell - 128).sum(-1)
        if place == 0:
            assert change.max() == 0  # the picture itself
        else:
            high, wide = change.shape
            quarters = [
                change[: high // 3, : wide // 3],
                change[: high // 3, -wide // 3 :],
                change[-high // 3 :, : wide // 3],
                change[-high // 3 :, -wide // 3 :],
            ]
            sums = [float(quarter.mean()) for quarter in quarters]
            assert int(np.argmax(sums)) == corner_of(item, place - 1)
            assert sorted(sums)[-2] < 0.2 * max(sums)
        places[item, place] = (left, top)
    across = 0 if items_as == "columns" else 1
    for item, place in places:
        if place < 3:  # maps follow each other below, or beside
            here, next_ = places[item, place], places[item, place + 1]
            assert next_[1 - across] > here[1 - across]
            assert next_[across] == pytest.approx(here[across])
        if item < 4:
            assert places[item + 1, place][across] > places[item, place][across]


@given(
    groups=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    blocks=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    items_as=st.sampled_from(["columns", "rows"]),
    aspect=st.floats(0.6, 1.6),
    width=st.sampled_from(list(WIDTHS.values())),
    lines=st.integers(0, 2),
)
def test_cells_are_equal_apart_and_on_the_page(groups, blocks, items_as, aspect, width, lines):
    page = Page(width=width)
    try:
        layout = Layout(page, tuple(groups), tuple(blocks), items_as, aspect, 1, 2, 2, lines, 0.3)
    except BecamError:
        return
    boxes = []
    for item, place in itertools.product(range(sum(groups)), range(1 + sum(blocks))):
        box, note = layout.picture(item, place), layout.note(item, place)
        assert box.height / box.width == pytest.approx(aspect)
        assert note.top == pytest.approx(box.bottom)
        boxes += [box, note]
    boxes += [layout.group(number) for number in range(len(groups))]
    boxes += [layout.block(number) for number in range(len(blocks))]
    boxes += [layout.heading(place) for place in range(1, 1 + sum(blocks))]
    tiny = 1e-6
    for box in boxes:
        assert box.left >= -tiny
        assert box.top >= -tiny
        assert box.right <= page.width + tiny
        assert box.bottom <= layout.height - 0.3 + tiny
    assert layout.height <= page.height + tiny
    for one, other in itertools.combinations(boxes, 2):
        apart = (
            one.right <= other.left + tiny
            or other.right <= one.left + tiny
            or one.bottom <= other.top + tiny
            or other.bottom <= one.top + tiny
        )
        assert apart, (one, other)


def test_too_many_for_the_page_is_told_before_anything_is_made(shop, tmp_path):
    shown = exhibition(tmp_path, groups=(8,), blocks=(2,))
    check_room(shown, Page(), "columns")
    with pytest.raises(BecamError, match="show fewer items"):
        check_room(shown, Page(width=2.0), "columns")
    check_room(shown, Page(), "rows")
    with pytest.raises(BecamError, match="show fewer items"):  # of tall pictures alone
        check_room(exhibition(tmp_path, groups=(12,), blocks=(2,)), Page(), "rows")
    check_room(exhibition(tmp_path, groups=(12,), blocks=(2,), size=(90, 60)), Page(), "rows")
    (tmp_path / "3.png").write_bytes(b"none")
    with pytest.raises(BecamError, match="not a picture"):
        check_room(shown, Page(), "columns")
    with pytest.raises(BecamError, match="show fewer items"):
        drift_figure(shop.checkpoint("bm3-none"), shop.dataset, count=20, weights=["missing"])


def test_a_heading_is_never_cut_to_its_opposite(tmp_path):
    shown = exhibition(tmp_path, groups=(1,), blocks=(4, 4))
    shown = replace(shown, headings=tuple(replace(h, label="without") for h in shown.headings))
    assert words(map_figure(shown, Page(), items_as="rows")).count("without") == 8
    with pytest.raises(BecamError, match="heading 'without' does not fit"):
        map_figure(shown, Page(width=3.35), items_as="rows")
    long = replace(shown, headings=tuple(replace(h, label="Soft Prompt") for h in shown.headings))
    found = words(map_figure(long, Page(width=4.5, dpi=50), items_as="rows"))
    assert (found.count("Soft"), found.count("Prompt")) == (8, 8)


@pytest.mark.parametrize(("items_as", "width"), [("columns", "column"), ("rows", "page")])
def test_no_word_is_clipped(tmp_path, items_as, width):
    shown = exhibition(
        tmp_path, groups=(1, 2), titles=("A rather long name of a thing", *HOSTILE), theta=123.0
    )
    page = Page.of(width, dpi=50)
    figure = map_figure(shown, page, items_as=items_as)
    figure.canvas.draw()
    edge = figure.bbox
    for text in figure.findobj(Text):
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            assert box.x0 >= edge.x0 - 1
            assert box.x1 <= edge.x1 + 1
            assert box.y0 >= edge.y0 - 1
            assert box.y1 <= edge.y1 + 1
    # Titles keep to their columns.
    spans = sorted(
        (text.get_window_extent().x0, text.get_window_extent().x1, text.get_position()[1])
        for text in figure.texts
        if text.get_rotation() == 0
    )
    for one, other in itertools.combinations(spans, 2):
        if one[2] == other[2]:
            assert one[1] <= other[0] + 1


def test_angles_and_marks_stand_below_their_maps(tmp_path):
    shown = exhibition(tmp_path, groups=(1,), blocks=(2,))
    (group,) = shown.groups
    (exhibit,) = group.exhibits
    maps = (
        corner_map(0, (60, 90), theta=61.4),
        corner_map(1, (60, 90), theta=3.2, similarity_spread=1e-4),
    )
    shown = replace(shown, groups=(replace(group, exhibits=(replace(exhibit, heatmaps=maps),)),))
    figure = map_figure(shown, Page(), items_as="columns")
    found = {text.get_text(): text for text in figure.texts}
    assert found["61°"].get_weight() == "normal"
    assert found["3° !"].get_weight() == "bold"
    first, second = (figure.axes[number].get_position() for number in (1, 2))
    assert second.y1 < found["61°"].get_position()[1] < first.y0
    assert found["3° !"].get_position()[1] < second.y0
    assert "a control speaks against the map" in " ".join(found)
    quiet = map_figure(exhibition(tmp_path, groups=(1,), blocks=(1,)), Page(), items_as="columns")
    assert "a control speaks" not in " ".join(words(quiet))  # no mark, no key to it


# Colours.


def test_scales(tmp_path):
    """A map a quarter as strong: as hot over its own range, a quarter as hot on a shared scale."""
    shown = exhibition(tmp_path, groups=(1,), blocks=(2,))
    (group,) = shown.groups
    (exhibit,) = group.exhibits
    maps = (corner_map(0, (60, 90), 4.0), corner_map(0, (60, 90), 1.0))
    shown = replace(shown, groups=(replace(group, exhibits=(replace(exhibit, heatmaps=maps),)),))
    page = Page(dpi=100)
    drawn = {
        scale: [
            np.asarray(axes.images[0].get_array()).astype(int)
            for axes in map_figure(shown, page, items_as="columns", scale=scale).axes[1:3]
        ]
        for scale in ("own", "shared")
    }
    strong, weak = drawn["own"]
    assert np.array_equal(strong, weak)
    assert np.array_equal(drawn["shared"][0], strong)
    want = overlay(Image.open(exhibit.path), maps[1], limit=4.0, max_side=weak.shape[0])
    difference = np.abs(np.asarray(want.resize(weak.shape[1::-1])).astype(int) - weak)
    assert not np.array_equal(drawn["shared"][1], weak)
    assert np.abs(drawn["shared"][1] - np.asarray(want.resize(weak.shape[1::-1]))).max() < 12
    assert difference.max() > 60


def test_a_map_for_a_text_keeps_its_own_range(tmp_path):
    shown = exhibition(tmp_path, groups=(1,), blocks=(2,))
    (group,) = shown.groups
    (exhibit,) = group.exhibits
    maps = (corner_map(0, (60, 90), 1.0), corner_map(0, (60, 90), 0.2, theta=None))
    shown = replace(shown, groups=(replace(group, exhibits=(replace(exhibit, heatmaps=maps),)),))
    axes = map_figure(shown, Page(dpi=60), items_as="columns", scale="shared").axes[1:3]
    first, second = (np.asarray(each.images[0].get_array()) for each in axes)
    assert np.array_equal(first, second)


def test_limits_of_an_overlay():
    picture = Image.new("RGB", (80, 80), (128, 128, 128))
    heatmap = corner_map(3, (80, 80), 2.0)
    full = np.asarray(overlay(picture, heatmap)).astype(int)
    assert np.array_equal(np.asarray(overlay(picture, heatmap, limit=2.0)), full)
    assert np.array_equal(np.asarray(overlay(picture, heatmap, limit=1.0)), full)  # no hotter
    for limit in (0.0, 1e9):
        assert np.abs(np.asarray(overlay(picture, heatmap, limit=limit)) - 128.0).max() <= 1
    negative = corner_map(3, (80, 80), -2.0)
    assert np.abs(np.asarray(overlay(picture, negative, limit=1.0)) - 128.0).max() <= 1


def test_a_scale_that_is_none(shop):
    with pytest.raises(BecamError, match="no scale 'log'"):
        drift_figure(shop.checkpoint("bm3-none"), shop.dataset, scale="log")
    checkpoints = [shop.checkpoint("bm3-none"), shop.checkpoint("bm3-befa")]
    with pytest.raises(BecamError, match="no scale 'log'"):
        backbones_figure(checkpoints, shop.dataset, scale="log")


# Fonts and files.


def test_fonts_are_embedded_as_truetype(tmp_path):
    page = Page(font="STIXGeneral", dpi=50)
    shown = exhibition(tmp_path, groups=(2,), blocks=(1,), titles=("plain", *HOSTILE))
    figure = map_figure(shown, page, items_as="columns")
    PaperFigure(figure, "", page).save(tmp_path / "f.pdf")
    written = (tmp_path / "f.pdf").read_bytes()
    assert b"/FontFile2" in written
    assert b"/Type3" not in written
    assert b"STIXGeneral" in written
    figure.savefig(tmp_path / "g.pdf")  # matplotlib's own way
    assert b"/Type3" in (tmp_path / "g.pdf").read_bytes()


def test_svg_is_whole_and_without_foreign_fonts(tmp_path):
    page = Page()
    figure = map_figure(exhibition(tmp_path), page, items_as="rows")
    PaperFigure(figure, "", page).save(tmp_path / "f.svg")
    root = ElementTree.parse(tmp_path / "f.svg").getroot()
    assert not list(root.iter("{http://www.w3.org/2000/svg}text"))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}image"))) == 3 * 4 + 1


@pytest.mark.parametrize("suffix", ["pdf", "svg", "png"])
def test_the_same_figure_gives_the_same_bytes(tmp_path, suffix):
    written = []
    for name in ("a", "b"):
        page = Page(dpi=100)
        figure = map_figure(exhibition(tmp_path), page, items_as="rows")
        PaperFigure(figure, "words", page, {"one": 1}).save(tmp_path / f"{name}.{suffix}")
        written.append((tmp_path / f"{name}.{suffix}").read_bytes())
    assert written[0] == written[1]
    assert (tmp_path / "a.txt").read_text() == "words\n"
    assert (tmp_path / "a.json").read_text() == '{\n  "one": 1\n}\n'


def test_pictures_have_the_resolution_of_the_page(tmp_path):
    shown = exhibition(tmp_path, groups=(1,), blocks=(1,), size=(600, 900))
    for dpi in (50, 300):
        page = Page(width=3.35, dpi=dpi)
        figure = map_figure(shown, page, items_as="rows")
        for axes in figure.axes[:2]:
            inches = axes.get_position().width * 3.35
            shape = np.asarray(axes.images[0].get_array()).shape
            assert shape[1] == pytest.approx(inches * dpi, abs=1)
            assert shape[0] == pytest.approx(1.5 * inches * dpi, abs=1)


@pytest.mark.parametrize(
    ("suffix", "font"),
    [
        ("pdf", FALLBACK_FONT),
        ("pdf", "STIXGeneral"),
        ("svg", FALLBACK_FONT),
        ("png", "STIXGeneral"),
    ],
)
def test_hostile_words_do_no_harm(tmp_path, suffix, font):
    shown = exhibition(tmp_path, groups=(4, 3), blocks=(1,), titles=HOSTILE)
    names = [replace(group, name=HOSTILE[k]) for k, group in enumerate(shown.groups)]
    headings = [replace(h, label=HOSTILE[-2], block=HOSTILE[4]) for h in shown.headings]
    shown = Exhibition(tuple(headings), tuple(names))
    page = Page(font=font, dpi=50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as of a glyph that is missing
        warnings.simplefilter("ignore", BecamWarning)  # letters that this machine lacks
        figure = map_figure(shown, page, items_as="columns")
        told = caption("T.", shown, scale="own", checkpoints=[HOSTILE[1]])
        PaperFigure(figure, told, page).save(tmp_path / f"f.{suffix}")
    assert max(map(len, words(figure))) < 200
    assert "costs $5 or $\\frac{1}$" in " ".join(words(figure))
    assert max(map(len, told.splitlines())) < 3000


def test_pages():
    assert [Page.of(name).width for name in WIDTHS] == list(WIDTHS.values())
    assert Page.of("4.25").width == 4.25
    for bad, said in (("wide", "is no width"), ("0.1", "fits no paper"), ("nan", "fits no paper")):
        with pytest.raises(BecamError, match=said):
            Page.of(bad)
    with pytest.raises(BecamError, match="no font 'No Such Font'"):
        Page(font="No Such Font")
    with pytest.raises(BecamError, match="cannot be read"):
        Page(size=1)


@given(st.text(max_size=60), st.floats(0.3, 3), st.integers(1, 3))
def test_fitted_words_fit(string, width, lines):
    line = drawable(string)
    found = fitted(line, width, len_in_tenths, lines=lines)
    assert len(found) <= lines
    assert all(len_in_tenths(one) <= width for one in found if len(one) > 2)
    if len_in_tenths(line) <= width:
        assert found == ([line] if line else [])
    joined = "".join(found).replace(" ", "")
    if not joined.endswith("…"):
        assert joined == line.replace(" ", "")


def len_in_tenths(string):
    return len(string) / 10


def test_what_can_be_drawn():
    assert drawable("a\n b\t\x00c\u202ed") == "a b cd"
    assert drawable("x👗y") == "x□y"
    assert len(drawable("ab " * 100_000)) < 2000
    assert measuring(FontProperties(size=10))("WW") > measuring(FontProperties(size=10))("ii")


# Captions.


def told(shown, **more):
    return caption("A title.", shown, scale="own", checkpoints=["BM3 (x)"], **more)


def test_a_caption_says_rule_checkpoints_and_method(tmp_path):
    found = told(exhibition(tmp_path), remarks=["One more."])
    for part in ("A title.", "rule 0", "rule 1", "(a) group 0: 2 items", "BM3 (x)", "zoo"):
        assert part in found
    for part in ("weighting centered", "blocks.0", "own range", "One more.", "id0", "id2"):
        assert part in found
    assert "- block 1, map 1: θ 70° to 70°, r with other items' maps 0.10" in found
    assert "almost nothing" not in found
    assert "shuffled encoder was left out" not in found
    shared = caption("T.", exhibition(tmp_path), scale="shared", checkpoints=[])
    assert "share one scale" in shared
    assert "own range" not in shared


@pytest.mark.parametrize(
    ("control", "value", "said"),
    [
        ("similarity_spread", 5e-4, "must not be read as focus"),
        ("correlation_others", 0.95, "those for other items look the same"),
        ("correlation_itself", 0.95, "that of the picture itself looks the same"),
        ("correlation_activation", 0.95, "the plain activation looks the same"),
        ("correlation_randomised", 0.95, "shuffled weights gives the same"),
        ("correlation_randomised", None, "shuffled encoder was left out"),
    ],
)
def test_a_caption_says_what_the_controls_object(tmp_path, control, value, said):
    assert said not in told(exhibition(tmp_path))
    assert said in told(exhibition(tmp_path, **{control: value}))


def test_objections_are_of_medians(tmp_path):
    shown = exhibition(tmp_path, groups=(3,), blocks=(1,))
    (group,) = shown.groups
    spreads = (1e-4, 0.5, 0.5)
    exhibits = tuple(
        replace(one, heatmaps=(corner_map(0, (60, 90), similarity_spread=spread),))
        for one, spread in zip(group.exhibits, spreads, strict=True)
    )
    found = told(replace(shown, groups=(replace(group, exhibits=exhibits),)))
    assert "must not be read as focus" not in found
    assert "1 of 3 with !" in found
    assert found.count("  ! block 0, map 0: Next to nothing") == 1
    alike = tuple(
        replace(one, heatmaps=(corner_map(0, (60, 90), correlation_others=r),))
        for one, r in zip(group.exhibits, (0.95, 0.1, 0.1), strict=True)
    )
    found = told(replace(shown, groups=(replace(group, exhibits=alike),)))
    assert "those for other items look the same" not in found


# From checkpoints to figures.


def order(path, dataset):
    """Ids by the angle before the adapter, the largest first."""
    (found,) = deviation(path, dataset=dataset, modalities=["image"])
    return found.items.sort("theta_before", descending=True, maintain_order=True)["id"].to_list()


def ids(made):
    return [[item["id"] for item in group["items"]] for group in made.numbers["groups"]]


def labels(made):
    return [
        [heatmap["label"] for heatmap in group["items"][0]["heatmaps"]]
        for group in made.numbers["groups"]
    ]


def test_figure_2(shop):
    plain = shop.checkpoint("bm3-none")
    made = drift_figure(plain, shop.dataset, count=2, **FAST)
    ranked = order(plain, shop.dataset)
    drift, omission, rest = ids(made)
    assert drift == ranked[:2]
    assert rest == ranked[::-1][:2]
    (found,) = deviation(plain, dataset=shop.dataset, modalities=["image"])
    below = found.items.filter(found.items["theta_before"] <= 90)
    assert omission == below.sort("theta_before", descending=True)["id"].to_list()[:2]
    assert {
        "(a) information drift",
        "(b) information omission",
        "(c) other end: least drift",
    } < set(words(made.figure))
    share = (found.items["theta_before"] > 90).mean()
    assert f"{share:.0%} of 20 items are over 90°" in made.caption
    # An adapter has no part in it.
    befa = drift_figure(shop.checkpoint("bm3-befa"), shop.dataset, count=2, **FAST)
    spaces = {
        heatmap["options"]["space"]
        for group in befa.numbers["groups"]
        for item in group["items"]
        for heatmap in item["heatmaps"]
    }
    assert spaces == {"content"}


def drift_table(angles):
    ids = [f"i{place}" for place in range(len(angles))]
    items = pl.DataFrame({"id": ids, "theta_before_0": angles}, schema_overrides={"id": pl.String})
    return ItemTable(["BM3"], [], items)


@pytest.mark.parametrize(
    ("angles", "groups", "missing"),
    [
        ([95, 120, 75, 30, 20], [["i1", "i0"], ["i2"], ["i4", "i3"]], []),
        # Nobody drifts: nothing up to 90 degrees is shown as drift.
        ([90, 89, 75, 30, 20], [["i0", "i1"], ["i4", "i3"]], ["over 90°"]),
        ([10, 5, 20], [["i1", "i0"]], ["over 90°", "over 60° and up to 90°"]),
        # Few items: none of them in two groups.
        ([95, 94], [["i0", "i1"]], ["over 60° and up to 90°"]),
        ([60.0001, None], [["i0"]], ["over 90°"]),
    ],
)
def test_the_groups_of_figure_2_are_what_their_names_say(angles, groups, missing):
    chosen, absent = _choose(drift_table(angles), count=2, seed=0)
    assert [found.items["id"].to_list() for _, found in chosen] == groups
    assert len(absent) == len(missing)
    assert all(words in sentence for words, sentence in zip(missing, absent, strict=True))


def test_figure_6(shop):
    names = ["lattice-befa", "bm3-none", "lattice-none", "bm3-befa"]
    made = backbones_figure(
        [shop.checkpoint(name) for name in names], shop.dataset, count=2, **FAST
    )
    # By recommender in the order given, without before with, whatever the order within.
    assert made.numbers["headings"] == [
        "LATTICE, without",
        "LATTICE, BeFA",
        "BM3, without",
        "BM3, BeFA",
    ]
    assert labels(made) == [["LATTICE", "LATTICE + BeFA", "BM3", "BM3 + BeFA"]] * 2
    ranked = order(shop.checkpoint("lattice-none"), shop.dataset)
    assert ids(made) == [ranked[:2], ranked[::-1][:2]]
    assert [group["name"] for group in made.numbers["groups"]] == ["top-drift", "least-drift"]
    assert {"(a) top-drift", "(b) least-drift", "LATTICE", "BM3"} < set(words(made.figure))
    for end in ("the largest angles to behaviour", "the smallest angles to behaviour"):
        assert end in made.caption
    # Its maps are those of `becam explain`.
    item = made.numbers["groups"][0]["items"][0]
    want = Explainer([shop.checkpoint("bm3-befa")], **FAST).explain(item["image"], item["id"])[0]
    assert item["heatmaps"][3]["controls"] == want.controls.to_dict()
    assert item["heatmaps"][3]["map"] == want.to_dict()["map"]


def test_figure_6_with_adapters_left_out(shop):
    made = backbones_figure(
        [shop.checkpoint("bm3-befa")],
        shop.dataset,
        items="sample:2",
        no_adapter=True,
        seed=3,
        **FAST,
    )
    assert labels(made) == [["BM3 + BeFA, no adapter", "BM3 + BeFA"]]
    assert made.numbers["headings"] == ["BM3, without", "BM3, BeFA"]
    assert "seed 3" in made.caption  # a sample has no other end


def test_figure_7(shop):
    names = ["bm3-lora", "bm3-befa", "bm3-none"]
    made = adapters_figure(
        [shop.checkpoint(name) for name in names], shop.dataset, items="rare:3", **FAST
    )
    assert made.numbers["headings"] == ["original", "LoRA", "BeFA"]
    assert labels(made) == [["BM3", "BM3 + LoRA", "BM3 + BeFA"]] * 2
    assert [group["name"] for group in made.numbers["groups"]] == ["rare", "popular"]
    sold = np.bincount(shop.dataset.interactions("train")[:, 1], minlength=20)
    rows = [shop.dataset.item_ids.index(name) for name in ids(made)[0]]
    assert sorted(sold[rows]) == sorted(sold)[:3]
    left_out = adapters_figure(
        [shop.checkpoint("bm3-lora"), shop.checkpoint("bm3-befa")],
        shop.dataset,
        items="rare:2",
        no_adapter=True,
        **FAST,
    )
    assert left_out.numbers["headings"] == [
        *("LoRA, without", "LoRA, with", "BeFA, without", "BeFA, with")
    ]


def test_figure_8(shop, tmp_path):
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    rng = np.random.default_rng(9)
    for number in range(5):
        values = rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(values).resize((120, 80)).save(scenes / f"s{number}.png")
    checkpoints = [shop.checkpoint("bm3-none"), shop.checkpoint("bm3-befa")]
    made = scenes_figure(
        checkpoints, shop.dataset, scenes, items="top-drift:1", text="a dress", **FAST
    )
    names = [group["name"] for group in made.numbers["groups"]]
    assert names == [
        *("products: top-drift", "products: least-drift"),
        *("scenes: top-drift", "scenes: least-drift"),
    ]
    ranked = order(checkpoints[0], shop.dataset)
    assert ids(made)[:2] == [ranked[:1], ranked[-1:]]
    # The scenes by the angle to the nearest item, from the definitions.
    plain = Checkpoint.load(checkpoints[0])
    head, encoder = plain.head(), Explainer(checkpoints[:1]).engines.popitem()[1].encoder
    contents = head.project(
        plain.item_embeddings.new_tensor(np.array(shop.dataset.feature_set("real").load("image")))
    )
    angles = {}
    for number in range(5):
        pixels = encoder.preprocessing(Image.open(scenes / f"s{number}.png"))[0]
        z = head.project(encoder.encode_image(pixels[None]).detach())[0]
        near = [float(z @ c / z.norm() / c.norm()) for c in contents]
        target = int(np.argmax(near))
        e = plain.item_embeddings[target]
        cosine = float(z @ e / z.norm() / e.norm())
        angles[f"s{number}.png"] = (np.degrees(np.arccos(cosine)), plain.item_ids[target])
    by_angle = sorted(angles, key=lambda name: -angles[name][0])
    assert ids(made)[2:] == [by_angle[:1], by_angle[-1:]]
    for group in made.numbers["groups"][2:]:
        (item,) = group["items"]
        theta, target = angles[item["id"]]
        assert item["target"] == target
        assert item["heatmaps"][0]["controls"]["theta"] == pytest.approx(theta, abs=0.01)
        assert [heatmap["target"] for heatmap in item["heatmaps"]] == [
            *[f"item {target}"] * 2,
            "text 'a dress'",
        ]
    for said in ("5 of 5 pictures", "belongs to no item", "No recommender takes part"):
        assert said in made.caption
    assert "“a dress”" in words(made.figure)


def test_angles_of_scenes(shop, tmp_path):
    values = np.random.default_rng(4).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "s.png")
    checkpoints = [Checkpoint.load(shop.checkpoint(f"bm3-{name}")) for name in ("befa", "none")]
    explainer = Explainer(checkpoints, **FAST)
    table = ItemTable(["a", "b"], checkpoints, pl.DataFrame())
    subjects = [Subject("s.png", tmp_path / "s.png")]
    (row,) = scene_table(subjects, explainer, table, shop.dataset).items.to_dicts()
    (engine,) = explainer.engines.values()
    pixels, _ = engine.encoder.preprocessing(Image.open(tmp_path / "s.png"))
    feature = engine.encoder.encode_image(pixels[None]).detach()
    for number, checkpoint in enumerate(checkpoints):
        head = checkpoint.head()
        e = checkpoint.item_embeddings[shop.dataset.item_ids.index(row["target"])][None]
        z = head.project(feature)
        for when, content in (("before", z), ("after", head.adapt(z, e))):
            cosine = float((content * e).sum() / content.norm() / e.norm())
            want = np.degrees(np.arccos(cosine))
            assert row[f"theta_{when}_{number}"] == pytest.approx(want, abs=0.01)
    assert row["theta_before_0"] != pytest.approx(row["theta_after_0"], abs=1)


def test_scenes_that_cannot_be_read_are_left_out(shop, tmp_path):
    values = np.random.default_rng(4).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "s.png")
    (tmp_path / "t.png").write_bytes(b"no picture")
    checkpoints = [Checkpoint.load(shop.checkpoint("bm3-none"))]
    explainer = Explainer(checkpoints, **FAST)
    table = ItemTable(["a"], checkpoints, pl.DataFrame())
    subjects = [Subject(name, tmp_path / name) for name in ("t.png", "s.png")]
    with pytest.warns(BecamWarning, match=r"Pictures left out .*: 1 of 2 \(t\.png\)"):
        found = scene_table(subjects, explainer, table, shop.dataset).items
    assert found["id"].to_list() == ["s.png"]
    with pytest.raises(BecamError, match=r"No picture can be read, such as .*t\.png"):
        scene_table(subjects[:1], explainer, table, shop.dataset)


# Pairs of checkpoints.


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (["bm3-none"], {}, "BM3 has no checkpoint with an adapter"),
        (["bm3-befa"], {}, "BM3 has no checkpoint without an adapter"),
        (["bm3-none", "bm3-befa", "lattice-befa"], {}, "LATTICE has no checkpoint without"),
        (["bm3-none", "bm3-none", "bm3-befa"], {}, "2 checkpoints without an adapter"),
        (["bm3-none", "bm3-lora", "bm3-befa"], {}, "2 checkpoints with an adapter"),
        (["bm3-none", "bm3-befa"], {"no_adapter": True}, "leave it out, or --no-adapter"),
        (["bm3-befa", "nothing"], {}, "no checkpoint at"),
    ],
)
def test_pairs_that_are_none(shop, names, options, said):
    with pytest.raises(BecamError, match=said):
        families([shop.checkpoint(name) for name in names], **options)


def test_pairs(shop):
    names = ["bm3-befa", "lattice-none", "bm3-none", "lattice-befa"]
    found = families([shop.checkpoint(name) for name in names])
    assert [family.title for family in found] == ["BM3", "LATTICE"]
    for family in found:
        assert family.plain.checkpoint.adapter_name("image") == "none"
        assert [each.adapter for each in family.adapted] == ["BeFA"]
    with pytest.raises(BecamError, match="BM3 and LATTICE"):
        only(found)
    twice = ["bm3-none", "bm3-befa", "bm3-befa"]
    (family,) = families([shop.checkpoint(name) for name in twice], single=False)
    assert all(each.adapter.startswith("BeFA (") for each in family.adapted)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"space": "content"}, "everything is before the adapter"),
        ({"space": "change", "no_adapter": True}, "Only in --space adapted"),
        ({"method": "nothing"}, "Unknown method"),
    ],
)
def test_options_that_do_not_fit(shop, options, said):
    names = ["bm3-befa"] if options.get("no_adapter") else ["bm3-none", "bm3-befa"]
    with pytest.raises(BecamError, match=said):
        backbones_figure([shop.checkpoint(name) for name in names], shop.dataset, **options)


# Maps are made once.


def test_maps_are_kept(shop, tmp_path, monkeypatch):
    checkpoints = [Checkpoint.load(shop.checkpoint(name)) for name in ("bm3-none", "bm3-befa")]
    wanted = Wanted(shop.dataset.image_path(3), "0003", "a dress")

    def made(**options):
        return Maps(checkpoints, ["a", "b"], tmp_path / "maps", **{**FAST, **options}).of(wanted)

    first = made()
    assert [heatmap.label for heatmap in first] == ["a", "b", "a"]
    kept = sorted((tmp_path / "maps").iterdir())
    assert len(kept) == 3
    with monkeypatch.context() as patched:
        patched.setattr(Maps, "explainer", property(lambda self: pytest.fail("made again")))
        again = made(batch_size=3, device="cpu")  # these change no map
        for one, other in zip(first, again, strict=True):
            assert np.array_equal(one.raw, other.raw)
            assert one.to_dict() == other.to_dict()
        for options in ({"method_options": {"budget": 9}}, {"masking": "black"}):
            with pytest.raises(pytest.fail.Exception):
                made(**options)
        with pytest.raises(pytest.fail.Exception):
            Maps(checkpoints, ["a", "b"], tmp_path / "maps", **FAST).of(
                replace(wanted, item_id="0004")
            )
    kept[0].write_bytes(b"broken")
    assert np.array_equal(made()[0].raw, first[0].raw)
    other = replace(checkpoints[0], item_embeddings=checkpoints[0].item_embeddings + 1)
    different = Maps([other, checkpoints[1]], ["a", "b"], tmp_path / "maps", **FAST).of(wanted)
    assert not np.array_equal(different[0].raw, first[0].raw)


def test_a_stopped_figure_goes_on(shop, tmp_path, monkeypatch):
    plain = shop.checkpoint("bm3-none")
    explain, seen = Explainer.explain, []

    def stopping(self, image, item_id):
        seen.append(item_id)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return explain(self, image, item_id)

    monkeypatch.setattr(Explainer, "explain", stopping)
    with pytest.raises(KeyboardInterrupt):
        drift_figure(plain, shop.dataset, count=1, maps=tmp_path, **FAST)
    assert len(list(tmp_path.iterdir())) == 2
    drift_figure(plain, shop.dataset, count=1, maps=tmp_path, **FAST)
    assert len(seen) == 4  # the third item alone is made again
    assert seen[2] == seen[3]


def test_controls_of_the_zoo_object_to_nothing():
    assert controls().warnings() == []
