"""The demo, small: every step runs, and the page stands on its own and says what was measured."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

import becam.demo.run as demo
from becam import Checkpoint, Dataset
from becam.demo.page import COLOURS, ItemCard, MapPanel, write_page
from becam.errors import BecamError


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "N_ITEMS", 44)
        patch.setattr(demo, "N_USERS", 60)
        patch.setattr(demo, "N_EXPLAINED", 2)
        patch.setattr(demo, "_EPOCHS", 2)
        folder = tmp_path_factory.mktemp("demo") / "out"
        return demo.run_demo(folder, encoder="becam:resnet", device="cpu")


def test_the_page_is_self_contained_and_complete(made):
    page = Page(made.read_text())
    images = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 2 * 7  # the picture, and two maps in each of three views
    assert all(source.startswith("data:image/webp;base64,") for source in images)
    links = [v for _, a in page.tags for k, v in a.items() if k in ("href", "src")]
    assert [link for link in links if not link.startswith("data:")] == []
    assert all(a.get("alt") for tag, a in page.tags if tag == "img")
    for name in COLOURS:
        assert name in page.text
    assert "{{" not in page.text
    for floor in ("random", "gaussian", "activation", "picture"):
        assert floor in page.text


def test_the_parts_can_be_built_upon(made):
    folder = made.parent
    dataset = Dataset.open(folder / "dataset")
    assert dataset.image_path(0).is_file()
    for name, adapter in (("bm3", "none"), ("bm3-befa", "befa")):
        checkpoint = Checkpoint.load(folder / name / "befa.pt")
        assert checkpoint.adapter_name("image") == adapter
        assert f"{checkpoint.metrics['test']['recall@20']:.4f}" in made.read_text()


def test_it_does_not_overwrite_unasked(made):
    before = made.read_bytes()
    with pytest.raises(BecamError, match="--overwrite"):
        demo.run_demo(made.parent)
    assert made.read_bytes() == before


@pytest.fixture
def tiny(monkeypatch):
    for name, value in {"N_ITEMS": 44, "N_USERS": 60, "N_EXPLAINED": 2, "_EPOCHS": 2}.items():
        monkeypatch.setattr(demo, name, value)


def test_a_stopped_demo_goes_on(tiny, tmp_path, monkeypatch):
    def stopped(*_arguments, **_options):
        raise KeyboardInterrupt

    options = {"encoder": "becam:resnet", "device": "cpu"}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(demo, "train", stopped)
        demo.run_demo(tmp_path / "out", **options)
    assert not (tmp_path / "out" / "index.html").exists()
    with pytest.raises(BecamError, match="another demo"):
        demo.run_demo(tmp_path / "out", **options, seed=1)
    drawn = (tmp_path / "out" / "catalogue" / "items.csv").stat().st_mtime_ns
    demo.run_demo(tmp_path / "out", **options)
    assert (tmp_path / "out" / "catalogue" / "items.csv").stat().st_mtime_ns == drawn
    with pytest.raises(BecamError, match="holds a demo already"):
        demo.run_demo(tmp_path / "out", **options)


def test_ctrl_c_while_it_trains_ends_it(tiny, tmp_path, monkeypatch):
    real = demo.train

    def pressed(*arguments, **options):
        checkpoint = real(*arguments, **options)
        return replace(checkpoint, training={**checkpoint.training, "stopped": "interrupted"})

    monkeypatch.setattr(demo, "train", pressed)
    with pytest.raises(KeyboardInterrupt):
        demo.run_demo(tmp_path / "out", encoder="becam:resnet", device="cpu")
    assert not (tmp_path / "out" / "index.html").exists()


@pytest.mark.parametrize("name", ["index.html", "demo.json"])
def test_what_is_no_demos_stays(tmp_path, name):
    (tmp_path / name).write_text("<title>Mine</title>")
    for overwrite in (False, True):
        with pytest.raises(BecamError, match="left as it is"):
            demo.run_demo(tmp_path, overwrite=overwrite)
    assert (tmp_path / name).read_text() == "<title>Mine</title>"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_each_kind_comes_once_before_any_comes_twice(made):
    dataset = Dataset.open(made.parent / "dataset")
    kinds = dataset.items["category"].to_list()
    order = demo.one_of_each_kind(dataset, dataset.n_items)
    assert sorted(order) == list(range(dataset.n_items))
    distinct = len(set(kinds))
    assert len({kinds[item] for item in order[:distinct]}) == distinct


def test_texts_cannot_break_the_page(tmp_path):
    nasty = "<script>alert('x')</script> \"quoted\" & 'single' 👗 \u202eright-to-left"
    shares = dict.fromkeys(COLOURS, 1 / len(COLOURS))
    picture = Image.new("RGB", (8, 8))
    panel = MapPanel(nasty, "cosine", picture, shares, [nasty], [nasty])
    card = ItemCard(nasty, nasty, nasty, picture, shares, [panel])
    write_page(
        tmp_path / "p.html",
        cards=[card],
        energy=[],
        ranking=[],
        n_items=1,
        n_users=1,
        encoder=nasty,
        rule=nasty,
        seconds=1.0,
        seed=0,
        version="0",
    )
    source = (tmp_path / "p.html").read_text()
    assert "<script>alert" not in source
    assert len(re.findall("<script", source)) == 1
    assert nasty in Page(source).text
