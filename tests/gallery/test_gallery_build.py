"""Galleries against the explainers behind them and scikit-learn; and what goes wrong on the way."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from shown import HOSTILE, PLAIN, make_shop
from sklearn.neighbors import NearestNeighbors
from zoo import make_checkpoint

from becam.attribution import Explainer, explain_words
from becam.attribution.controls import Controls
from becam.attribution.methods import parse_method
from becam.errors import BecamError, BecamWarning
from becam.evaluation.deviation import deviation
from becam.gallery import neighbours as neighbours_module
from becam.gallery.build import Gallery, build_gallery
from becam.gallery.explaining import ItemExplainer
from becam.gallery.neighbours import nearest_rows
from becam.gallery.request import Request
from becam.gallery.titles import LENGTH, title_of

QUICK = {"randomise": False, "words": False}
ITEMS = len(HOSTILE) + len(PLAIN)


@pytest.fixture
def shown(monkeypatch):
    """Cards and headings as they reach the pages, in the place of the pages."""

    class Recorder:
        headings: list = []  # noqa: RUF012
        cards: list = []  # noqa: RUF012

        def __init__(self, folder, heading, *, picture_side):
            self.folder = folder
            Recorder.headings.append(heading)

        def add(self, card, picture):
            assert picture.size == (card.geometry.width, card.geometry.height)
            Recorder.cards.append(card)

        def finish(self):
            (self.folder / "index.html").write_text("page")

    monkeypatch.setattr("becam.gallery.build.PageWriter", Recorder)
    return Recorder


@pytest.fixture
def listed(tmp_path):
    """A file with the ids of items."""

    def write(*names):
        path = tmp_path / "ids.txt"
        path.write_text("\n".join(names))
        return str(path)

    return write


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# --- what the cards say -------------------------------------------------------------------------


def test_cards_say_what_the_explainers_say(shop, shown, listed, tmp_path):
    names = ["p3", "a/b\\c", "p0"]
    checkpoints = [shop.checkpoints["bm3"], shop.checkpoints["befa"]]
    page = build_gallery(
        checkpoints,
        shop.dataset,
        tmp_path / "out",
        items=listed(*names),
        labels=["plain", "adapted"],
        no_adapter=True,
        methods=["becam", "eigen-cam"],
        seed=4,
    )
    assert page == tmp_path / "out" / "index.html"
    (heading,) = shown.headings
    labels = ["plain", "adapted, no adapter", "adapted"]
    assert [c.label for c in heading.columns] == [label for label in labels for _ in "12"]
    assert [c.method for c in heading.columns] == ["becam", "eigen-cam"] * 3
    assert [c.adapter for c in heading.columns] == ["none"] * 4 + ["befa"] * 2
    assert [c.space for c in heading.columns] == ["adapted"] * 2 + ["content"] * 2 + ["adapted"] * 2
    assert heading.total == ITEMS
    assert heading.rule == "listed in ids.txt"
    assert [card.id for card in shown.cards] == names

    explainer = Explainer(checkpoints, labels=["plain", "adapted"], no_adapter=True)
    angles = [
        {row["id"]: row for row in found.items.iter_rows(named=True)}
        for found in deviation(checkpoints, dataset=shop.dataset, modalities=["image"], seed=4)
    ]
    whens = [(0, "after"), (1, "before"), (1, "after")]
    rows = pl.read_parquet(tmp_path / "out" / "items.parquet")
    assert rows["id"].to_list() == [name for name in names for _ in range(6)]
    for card in shown.cards:
        place = shop.dataset.item_ids.index(card.id)
        views = explainer.encode(shop.dataset.image_path(place))
        assert card.text == {**HOSTILE, **PLAIN}[card.id]
        assert card.category == shop.dataset.items["category"][place]
        train = shop.dataset.interactions("train")
        assert card.popularity == int((train[:, 1] == place).sum())
        own = rows.filter(pl.col("id") == card.id)
        assert own["column"].to_list() == list(range(6))
        for number, spec in enumerate(["becam", "eigen-cam"]):
            found = explainer.score(views, card.id, method=parse_method(spec))
            for column, heatmap in enumerate(found):
                panel = card.panels[2 * column + number]
                checkpoint, when = whens[column]
                assert np.allclose(panel.raw, heatmap.raw, atol=1e-6)
                assert panel.warnings == tuple(heatmap.controls.warnings())
                assert panel.notes == tuple(heatmap.controls.words()[len(panel.warnings) :])
                assert Controls(**panel.controls).theta == pytest.approx(heatmap.controls.theta)
                assert panel.controls["correlation_randomised"] is not None
                truth = angles[checkpoint][card.id]
                assert panel.theta == truth[f"theta_{when}"]
                assert panel.theta_control == truth[f"theta_permuted_{when}"]
                assert panel.geometry is None
                assert card.geometry == heatmap.geometry
                line = own.row(2 * column + number, named=True)
                assert line["theta"] == panel.theta
                assert line["warnings"] == len(panel.warnings)
                assert line["map_max"] == pytest.approx(float(heatmap.raw.max()))
                assert line["control_positive_share"] == heatmap.controls.positive_share
                if spec == "becam":
                    live = next(iter(views.values())).live.numpy()
                    counts, edges = np.histogram(heatmap.weights[live].astype(float), 24)
                    assert panel.weights == tuple(counts)
                    assert panel.weight_range == pytest.approx((edges[0], edges[-1]))
                    assert sum(panel.weights) == live.sum()


def test_coloured_words_are_those_of_becam_words(shop, shown, listed, tmp_path):
    checkpoints = [shop.checkpoints["bm3"], shop.checkpoints["befa"]]
    build_gallery(
        checkpoints,
        shop.dataset,
        tmp_path / "out",
        items=listed("p3", "no text"),
        no_adapter=True,
        budget=4,
        randomise=False,
    )
    card, silent = shown.cards
    assert [panel.words for panel in silent.panels] == [None] * 3
    want = explain_words("p3", checkpoints, dataset=shop.dataset, no_adapter=True)
    assert len(want) == 3
    for panel, one in zip(card.panels, want, strict=True):
        assert [word.text for word in panel.words] == list(one.text.words)
        for word, weight in zip(panel.words, one.weights, strict=True):
            if np.isnan(weight):
                assert word.weight is None
            else:
                assert word.weight == pytest.approx(float(weight), abs=1e-6)


def test_why_words_are_not_coloured_is_said_once(shop, shown, listed, tmp_path):
    foreign = replace(
        shop.checkpoints["bm3"], training={"features": {"sha256": {"text": "0", "image": "0"}}}
    )
    unknown = replace(
        foreign,
        modalities={
            "image": foreign.modalities["image"],
            "text": replace(foreign.modalities["text"], encoder={}),
        },
    )
    with pytest.warns(BecamWarning) as said:
        build_gallery(
            [unknown, shop.checkpoints["befa"]],
            shop.dataset,
            tmp_path / "out",
            items=listed("p1", "p2"),
            budget=4,
            randomise=False,
        )
    assert len(said) == 1
    assert "No coloured words" in str(said[0].message)
    assert "--encoder" in str(said[0].message)
    for card in shown.cards:
        assert card.panels[0].words is None
        assert card.panels[1].words is not None


def test_texts_that_have_changed_are_not_coloured_and_it_is_said(shop, shown, tmp_path, listed):
    own = copied(shop, tmp_path)
    texts = pl.when(pl.col("id").is_in(["p1", "p2"])).then(pl.lit("unlike it")).otherwise("text")
    own.dataset.items.with_columns(text=texts).write_parquet(own.dataset.path / "items.parquet")
    with pytest.warns(BecamWarning) as said:
        build_gallery(
            shop.checkpoints["bm3"],
            own.dataset.path,
            tmp_path / "out",
            items=listed("p1", "p2", "p3"),
            budget=4,
            randomise=False,
        )
    (line,) = [str(one.message) for one in said]
    assert line.startswith("Items whose words are not coloured: 2, such as p1: The encoder's")
    assert [card.panels[0].words is None for card in shown.cards] == [True, True, False]


def test_without_words_nothing_is_said(shop, shown, listed, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_gallery(
            shop.checkpoints["bm3"], shop.dataset, tmp_path / "out", items=listed("p1"), **QUICK
        )
    assert shown.cards[0].panels[0].words is None


def test_columns_on_several_encoders(shop, shown, load, encoder_files, tmp_path, listed):
    other = make_shop(tmp_path / "other", load, encoder_files, family="timm-cnn")
    # Features of both encoders in one dataset.
    shutil.copytree(
        other.folder / "dataset" / "features" / "tiny",
        tmp_path / "both" / "features" / "cnn",
    )
    for path in shop.dataset.path.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path / "both")
    shutil.copytree(
        shop.dataset.path / "features" / "tiny", tmp_path / "both" / "features" / "tiny"
    )
    build_gallery(
        [shop.checkpoints["bm3"], other.checkpoints["bm3"]],
        tmp_path / "both",
        tmp_path / "out",
        items=listed("p1"),
        budget=4,
        **QUICK,
    )
    (card,) = shown.cards
    picture = shop.dataset.image_path(shop.dataset.item_ids.index("p1"))
    for panel, name in zip(card.panels, ("open_clip-vit", "timm-cnn"), strict=True):
        with Image.open(picture) as image:
            _, geometry = load(name).preprocessing(image)
        assert (panel.geometry or card.geometry) == geometry
    assert card.panels[0].geometry is None
    dead = card.panels[1].controls["flat_channels"]
    assert dead > 0, "a network that ends in ReLUs has channels that this picture leaves silent"
    assert sum(card.panels[1].weights) == 1280 - dead  # MobileNetV2's last layer
    assert [c.label for c in shown.headings[0].columns] == ["BM3 #1", "BM3 #2"]


# --- nearest items ------------------------------------------------------------------------------


@pytest.mark.parametrize("rows_at_once", [3, 7, 4096])
@pytest.mark.parametrize("n", [2, 5, 30])
def test_nearest_rows_against_scikit_learn(monkeypatch, rows_at_once, n):
    monkeypatch.setattr(neighbours_module, "_ROWS", rows_at_once)
    x = np.random.default_rng(n).normal(size=(n, 6)).astype(np.float32)
    asked = np.random.default_rng(1).permutation(n)[: max(1, n // 2)]
    found = nearest_rows(lambda rows: torch.from_numpy(x[rows]), n, asked, 6)
    k = min(7, n)
    distances, indices = (
        NearestNeighbors(n_neighbors=k, metric="cosine").fit(x).kneighbors(x[asked])
    )
    for row, near, far, order in zip(asked, found, distances, indices, strict=True):
        want = [(i, 1 - d) for i, d in zip(order, far, strict=True) if i != row][:6]
        assert [i for i, _ in near] == [i for i, _ in want]
        assert [c for _, c in near] == pytest.approx([c for _, c in want], abs=1e-6)


def test_rows_without_a_direction_are_nobodys_neighbours():
    x = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [-1.0, 0.0]])
    found = nearest_rows(lambda rows: x[torch.from_numpy(rows)], 4, np.arange(4), 6)
    assert [[i for i, _ in near] for near in found] == [[2, 3], [], [0, 3], [2, 0]]
    assert found[0][1][1] == pytest.approx(-1.0)


def test_cards_name_their_neighbours(shop, shown, listed, tmp_path):
    build_gallery(
        shop.checkpoints["bm3"], shop.dataset, tmp_path / "out", items=listed("p5"), **QUICK
    )
    (card,) = shown.cards
    ids = shop.dataset.item_ids
    place = ids.index("p5")
    vectors = {
        "by_behaviour": shop.checkpoints["bm3"].item_embeddings.numpy(),
        "by_content": np.asarray(shop.dataset.feature_set("tiny").load("image")),
    }
    for name, x in vectors.items():
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        cosines = unit @ unit[place]
        order = [row for row in np.argsort(-cosines, kind="stable") if row != place][:6]
        near = getattr(card, name)
        assert [one.id for one in near] == [ids[row] for row in order]
        assert [one.similarity for one in near] == pytest.approx(cosines[order], abs=1e-6)
        for one in near:
            assert one.title == title_of({**HOSTILE, **PLAIN}[one.id], one.id)


# --- titles -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Strap top. Vest top. Solid.", "Strap top"),
        ("Strap top", "Strap top"),
        ("First line\nsecond", "First line"),
        ("\n  \n Indented \t tabs ", "Indented tabs"),
        ("What? Yes.", "What?"),
        ("S. Skinny Ankle. Jeans", "S. Skinny Ankle"),
        ("Model No. 5, blue. Soap", "Model No. 5, blue"),
        ("Size 2.5 mm needles. More", "Size 2.5 mm needles"),
        ("红色连衣裙。很漂亮。", "红色连衣裙。"),
        ("", "the id"),
        (None, "the id"),
        ("\x00\x07\n", "the id"),
        ("bell\x07rung", "bellrung"),
        ("\u202eevil\u202c", "evil"),
        ("x" * 300, "x" * (LENGTH - 1) + "…"),
        ("word " * 60, "word " * 17 + "word…"),
    ],
)
def test_titles(text, expected):
    assert title_of(text, "the id") == expected


@given(st.text() | st.none(), st.text())
def test_any_text_has_a_title(text, name):
    found = title_of(text, name)
    assert 0 < len(found) <= LENGTH + 1
    assert found == found.strip()
    assert not set(found) & set("\n\r\t\x00\x1b\x7f\u202e\u2028")


def test_an_emoji_is_not_cut_in_two():
    family = "👩\u200d👩\u200d👧"
    found = title_of("a" * (LENGTH - 3) + family * 3, "x")
    assert "\u200d…" not in found


# --- going on -----------------------------------------------------------------------------------


def gallery(shop, out, items="sample:6", **options):
    writing = {k: options.pop(k) for k in ("overwrite", "sheets", "fiftyone") if k in options}
    request = Request(
        checkpoints=shop.paths("bm3", "befa"),
        dataset=shop.dataset.path,
        items=items,
        **{**QUICK, "budget": 4, **options},
    )
    return Gallery(request, out, **writing)


@pytest.fixture
def counted(monkeypatch):
    """Ids of the items that are explained; ``stop_after`` presses Ctrl-C."""

    class Counter(list):
        stop_after = 10**9

    seen, real = Counter(), ItemExplainer.maps

    def maps(self, subject, text):
        if len(seen) == seen.stop_after:
            raise KeyboardInterrupt
        seen.append(subject.name)
        return real(self, subject, text)

    monkeypatch.setattr(ItemExplainer, "maps", maps)
    return seen


def test_a_stopped_gallery_goes_on_and_is_the_same(shop, tmp_path, counted):
    counted.stop_after = 2
    begun = gallery(shop, tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        begun.explain()
    assert not (tmp_path / "out").exists()
    assert len(begun.missing()) == 4
    counted.stop_after = 10**9
    again = gallery(shop, tmp_path / "out")
    again.explain()
    again.write()
    assert len(counted) == len(set(counted)) == 6
    whole = gallery(shop, tmp_path / "whole")
    whole.explain()
    whole.write()
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert not list(tmp_path.glob(".*"))


def test_other_items_go_on_from_the_maps_that_are_kept(shop, tmp_path, counted):
    first = gallery(shop, tmp_path / "out", "sample:3")
    first.explain()
    first.write()
    assert len(counted) == 3
    with pytest.raises(BecamError, match="already exists"):
        gallery(shop, tmp_path / "out", "sample:5")
    more = gallery(shop, tmp_path / "out", "sample:5", overwrite=True)
    more.explain()
    more.write()
    assert len(counted) == len(set(counted)) == 5
    rows = pl.read_parquet(tmp_path / "out" / "items.parquet")
    assert rows["id"].unique(maintain_order=True).to_list() == list(counted)


def test_whoever_misses_nothing_needs_no_encoder(shop, tmp_path, monkeypatch):
    gallery(shop, tmp_path / "out").explain()
    monkeypatch.setattr(Request, "explainer", lambda self: pytest.fail("it loads an encoder"))
    again = gallery(shop, tmp_path / "out")
    again.explain()
    again.write()
    assert (tmp_path / "out" / "index.html").is_file()


def test_maps_of_another_kind_are_refused_or_replaced(shop, tmp_path, counted):
    gallery(shop, tmp_path / "out", "sample:2").explain()
    for changed, named in (
        ({"methods": ["eigen-cam"], "budget": None}, "methods"),
        ({"no_adapter": True}, "no_adapter"),
        ({"precision": "bfloat16"}, "precision"),
        ({"randomise": True}, "randomise"),
        ({"masking": "blur"}, "masking"),
        ({"words": True}, "words"),
    ):
        with pytest.raises(BecamError, match=f"maps of a gallery that differs in {named};"):
            gallery(shop, tmp_path / "out", "sample:2", **changed)
    # What does not change a map changes nothing.
    kept = gallery(shop, tmp_path / "out", "sample:2", batch_size=3, omission=70.0, device="cpu")
    assert not kept.missing()
    begun = gallery(shop, tmp_path / "out", "sample:2", masking="blur", overwrite=True)
    assert len(begun.missing()) == 2


def test_another_checkpoint_at_the_same_path_is_another(shop, tmp_path):
    path = tmp_path / "ckpt.pt"
    shutil.copy(shop.paths("bm3")[0], path)
    request = {"dataset": shop.dataset, "items": "sample:2", **QUICK}
    Gallery(Request(checkpoints=path, **request), tmp_path / "out").explain()
    moved = tmp_path / "moved.pt"
    shutil.copy(path, moved)
    assert not Gallery(Request(checkpoints=moved, **request), tmp_path / "out").missing()
    made = shop.checkpoints["bm3"]
    changed = made.item_embeddings.clone()
    changed[-1, -1] += 1e-3
    replace(made, item_embeddings=changed).save(path)
    with pytest.raises(BecamError, match="differs in checkpoints"):
        Gallery(Request(checkpoints=path, **request), tmp_path / "out")


def copied(shop, folder: Path):
    shutil.copytree(shop.dataset.path, folder / "dataset")
    return replace(shop, dataset=type(shop.dataset).open(folder / "dataset"))


def test_a_changed_picture_is_explained_again(shop, tmp_path, counted):
    own = copied(shop, tmp_path)
    gallery(own, tmp_path / "out", "all").explain()
    changed = own.dataset.image_path(3)
    with Image.open(changed) as image:
        image.rotate(180).save(changed)
    assert [s.name for s in gallery(own, tmp_path / "out", "all").missing()] == [
        own.dataset.item_ids[3]
    ]


def test_what_is_there_is_replaced_whole_and_only_at_the_end(shop, tmp_path, monkeypatch):
    first = gallery(shop, tmp_path / "out", "sample:2", sheets=[tmp_path / "s.pdf"])
    first.explain()
    first.write()
    before, sheet = files(tmp_path / "out"), (tmp_path / "s.pdf").read_bytes()
    again = gallery(shop, tmp_path / "out", "sample:4", overwrite=True, sheets=[tmp_path / "s.pdf"])
    again.explain()
    broken = "becam.gallery.numbers.NumberWriter.finish"
    with monkeypatch.context() as patch:
        patch.setattr(broken, lambda self: (_ for _ in ()).throw(OSError(28, "No space")))
        with pytest.raises(BecamError, match="disk is full"):
            again.write()
    assert files(tmp_path / "out") == before
    assert (tmp_path / "s.pdf").read_bytes() == sheet
    again.write()
    assert files(tmp_path / "out") != before
    assert not list(tmp_path.glob(".*"))


def test_a_damaged_part_is_named(shop, tmp_path):
    begun = gallery(shop, tmp_path / "out", "sample:2")
    begun.explain()
    part = next((tmp_path / "out.parts" / "parts").iterdir())
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(BecamError, match="is damaged; delete it"):
        begun.write()
    assert not (tmp_path / "out").exists()


# --- what pictures and names do -----------------------------------------------------------------


def test_pictures_that_cannot_be_read_cost_their_items(shop, tmp_path):
    own = copied(shop, tmp_path)
    bad = [own.dataset.item_ids[row] for row in (2, 5, 7, 11)]
    for row, content in ((2, b""), (5, b"not a picture"), (7, None), (11, b"\x89PNG\r\n\x1a\n\0")):
        own.dataset.image_path(row).unlink()
        if content is not None:
            own.dataset.image_path(row).write_bytes(content)
    begun = gallery(own, tmp_path / "out", "all")
    begun.explain()
    assert begun.left_out == bad
    with pytest.warns(BecamWarning) as said:
        begun.write()
    (line,) = [str(one.message) for one in said]
    assert line == (
        "Items left out because their pictures cannot be read: 4 of 20 "
        f"({', '.join(bad[:3])} and others)."
    )
    rows = pl.read_parquet(tmp_path / "out" / "items.parquet")
    assert set(rows["id"]) == set(own.dataset.item_ids) - set(bad)
    for row in range(ITEMS):
        own.dataset.image_path(row).write_bytes(b"no")
    begun = gallery(own, tmp_path / "none", "all")
    begun.explain()
    with pytest.raises(BecamError, match="None of the 20 pictures can be read"):
        begun.write()
    assert not (tmp_path / "none").exists()


def test_pictures_from_elsewhere_are_shown_only_where_their_folder_is_named(shop, tmp_path):
    own = copied(shop, tmp_path)
    folder, rows = own.dataset.path, own.dataset.items
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    named = rows["image"].to_list()
    for row in (1, 4, 6):
        (folder / named[row]).rename(elsewhere / named[row])
    (folder / named[6]).symlink_to(elsewhere / named[6])
    (folder / "link.png").symlink_to(folder / named[0])  # within is within
    named[0], named[1] = "link.png", f"../elsewhere/{named[1]}"
    named[4] = str(elsewhere / named[4])
    rows.with_columns(image=pl.Series(named)).write_parquet(folder / "items.parquet")
    own.dataset = type(own.dataset).open(folder)
    outside = {own.dataset.item_ids[row] for row in (1, 4, 6)}
    begun = gallery(own, tmp_path / "out", "all", fiftyone=tmp_path / "fo")
    begun.explain()
    with pytest.warns(BecamWarning, match="outside .* 3 of 20 .*--picture-folder") as said:
        page = begun.write()
    assert len(said) == 1
    shown = pl.read_parquet(page.parent / "items.parquet")["id"]
    assert set(shown) == set(own.dataset.item_ids) - outside
    assert len(list((page.parent / "thumbs").rglob("*.*"))) == ITEMS - 3
    begun = gallery(own, tmp_path / "all", "all", picture_folders=[elsewhere])
    begun.explain()
    assert set(pl.read_parquet(begun.write().parent / "items.parquet")["id"]) == set(
        own.dataset.item_ids
    )


def test_hostile_names_stay_in_their_folder(shop, tmp_path):
    within = tmp_path / "deep" / "deeper"
    begun = gallery(
        shop,
        within / "out",
        "all",
        sheets=[within / "s.pdf"],
        fiftyone=within / "fo",
    )
    begun.explain()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as of matplotlib
        warnings.filterwarnings("ignore", "No font on this machine", BecamWarning)
        begun.write()
    assert {p.name for p in (tmp_path / "deep").iterdir()} == {"deeper"}
    assert {p.name for p in within.iterdir()} >= {"out", "out.parts", "s.pdf", "fo"}
    for path in within.rglob("*"):
        name = path.relative_to(within).as_posix()
        assert all(c.isascii() and (c.isalnum() or c in "/._-") for c in name), name
        assert ".." not in name
    rows = pl.read_parquet(within / "out" / "items.parquet")
    assert set(rows["id"]) == {*HOSTILE, *PLAIN}
    assert rows["title"].str.len_chars().max() <= LENGTH + 1


# --- options ------------------------------------------------------------------------------------


def test_a_budget_is_for_the_methods_that_have_one(shop):
    request = Request(
        checkpoints=shop.paths("bm3"),
        dataset=shop.dataset,
        methods=["eigen-cam", "becam,weighting=cosine", "becam", "becam"],
        budget=8,
        tolerance=None,
    )
    assert list(request.by_spec) == [
        "eigen-cam",
        "becam,weighting=cosine,budget=8",
        "becam,budget=8",
    ]
    assert [method.name for method in request.by_spec.values()] == ["eigen-cam", "becam", "becam"]
    with pytest.raises(BecamError, match="--tolerance is an option of becam"):
        _ = replace(request, methods=["eigen-cam"], budget=None, tolerance=0.1).by_spec


def test_what_cannot_be_shown_is_said_before_anything_is_made(shop, load, tmp_path):
    def begin(out=tmp_path / "out", checkpoints=None, sheets=(), **options):
        request = Request(
            checkpoints=checkpoints or shop.paths("bm3"), dataset=shop.dataset, **options
        )
        return Gallery(request, out, sheets=sheets)

    for options, said in (
        ({"items": "nonsense"}, "neither a file"),
        ({"methods": ["nonsense"]}, "Unknown method"),
        ({"space": "nonsense"}, "Unknown space"),
        ({"masking": "nonsense"}, "Unknown masking"),
        ({"precision": "nonsense"}, "Unknown precision"),
        ({"device": "nonsense"}, "no device"),
        ({"sheets": [tmp_path / "s.docx"]}, "no contact sheet"),
        ({"omission": 100.0}, "--omission"),
        ({"labels": ["a", "b"]}, "1 checkpoints but 2 labels"),
    ):
        with pytest.raises(BecamError, match=said):
            begin(**options)
    texts = replace(
        shop.checkpoints["bm3"], modalities={"text": shop.checkpoints["bm3"].modalities["text"]}
    )
    with pytest.raises(BecamError, match="trained without pictures"):
        begin(checkpoints=[texts])
    stranger = make_checkpoint(load("open_clip-vit"))
    with pytest.raises(BecamError, match="no item with a picture that the checkpoints know"):
        begin(checkpoints=[stranger])
    (tmp_path / "file").write_text("x")
    with pytest.raises(BecamError, match="is a file; choose a folder"):
        begin(out=tmp_path / "file")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
