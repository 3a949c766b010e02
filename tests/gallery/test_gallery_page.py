"""The gallery's page in a real browser, opened from disk."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from carded import cards, heading, picture, write_gallery
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from becam.attribution.heatmap import place, stretch
from becam.encoders.preprocessing import Geometry
from becam.gallery.model import Card, Neighbour, Word
from becam.gallery.page import PageWriter
from becam.web import asset, colormap_tables, encode_map, script_json

pytest_plugins = ["browsing"]

MANY = 5000
"""The issue's own number."""


@pytest.fixture(scope="module")
def few():
    return list(cards(40))


@pytest.fixture(scope="module")
def gallery(tmp_path_factory, few):
    """A gallery of 40 items, as an address."""
    return write_gallery(tmp_path_factory.mktemp("few") / "gallery", few).as_uri()


@pytest.fixture(scope="module")
def many():
    return list(cards(MANY, seed=1))


@pytest.fixture(scope="module")
def large(tmp_path_factory, many):
    """A gallery of 5,000 items, as an address."""
    return write_gallery(tmp_path_factory.mktemp("many") / "gallery", many).as_uri()


@pytest.fixture
def visit(open_tab):
    """Open a gallery and wait until it can be sorted and filtered; nothing may go wrong."""
    tabs = []

    def visit_one(address, state="", **options):
        tab = open_tab(address + state, **options)
        tab.page.wait_for_function(
            "() => typeof becamGallery !== 'undefined'"
            " && becamGallery.index?.ready === becamGallery.heading.count"
        )
        tabs.append(tab)
        return tab

    yield visit_one
    for tab in tabs:
        if tab.page.is_closed():
            continue
        assert tab.errors == []
        assert tab.strangers == []
        assert tab.alarms() == []


SHOWN = "Array.from(becamGallery.list.items(), (item) => becamGallery.index.ids[item])"


def shown(tab):
    """Ids of the results, in order."""
    return tab.page.evaluate(SHOWN)


def ids(found):
    return [card.id for card in found]


# What the browser draws


@pytest.fixture(scope="module")
def drawing(chromium):
    """A page with map.js and words.js alone."""
    page = chromium.new_page()
    page.set_content(
        f"<canvas></canvas><p></p><script>{asset('map.js')}{asset('words.js')}"
        f"becamMap.load({script_json(colormap_tables())})</script>"
    )
    yield page
    page.close()


def random_box(rng):
    """A picture's size, and a crop that may lie beyond it."""
    width, height = (int(side) for side in rng.integers(3, 240, 2))
    start = rng.uniform(-0.4, 0.5, 2) * (width, height)
    end = start + rng.uniform(0.5, 1.4, 2) * (width, height)
    left, top, right, bottom = (float(edge) for edge in (*start, *end))
    return Geometry(width, height, (left, top, right, bottom))


def plain(geometry):
    return {"width": geometry.width, "height": geometry.height, "box": list(geometry.box)}


@pytest.mark.parametrize("seed", range(25))
def test_the_browser_places_maps_as_opencv_does(drawing, seed):
    rng = np.random.default_rng(seed)
    raw = rng.normal(rng.normal(), 1.0, rng.integers(1, 17, 2)).astype(np.float32)
    geometry = random_box(rng)
    expected = place(stretch(np.maximum(raw, 0.0)), geometry)
    found = drawing.evaluate(
        "([map, g]) => Array.from(becamMap.heat(map, g, g.width, g.height))",
        [encode_map(raw), plain(geometry)],
    )
    found = np.array([np.nan if value is None else value for value in found], np.float64)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-3)


def test_a_map_that_is_nowhere_positive_is_dark(drawing):
    raw = -np.linspace(1e-9, 1.0, 12, dtype=np.float32).reshape(3, 4)
    geometry = {"width": 8, "height": 6, "box": [0, 0, 8, 6]}
    heat = drawing.evaluate(
        "([map, g]) => Array.from(becamMap.heat(map, g, 8, 6))", [encode_map(raw), geometry]
    )
    assert set(heat) == {0}


def painted(page, raw, geometry, **options):
    """RGBA of a canvas as large as the picture, (height, width, 4)."""
    pixels = page.evaluate(
        """([map, g, options]) => {
          const canvas = document.querySelector("canvas");
          [canvas.width, canvas.height] = [g.width, g.height];
          becamMap.paint(canvas, map, g, options);
          return Array.from(canvas.getContext("2d").getImageData(0, 0, g.width, g.height).data);
        }""",
        [encode_map(raw), plain(geometry), options],
    )
    return np.array(pixels, np.float64).reshape(geometry.height, geometry.width, 4)


def over(base, pixels):
    alpha = pixels[..., 3:] / 255.0
    return (1 - alpha) * base + alpha * pixels[..., :3]


def test_an_overlay_in_the_browser_is_the_one_of_the_figures(drawing):
    from becam.attribution.controls import Controls
    from becam.attribution.heatmap import Heatmap
    from becam.figures.overlay import overlay

    rng = np.random.default_rng(3)
    raw = rng.normal(0.3, 1.0, (7, 7)).astype(np.float32)
    geometry = Geometry(90, 140, (0.0, 25.0, 90.0, 115.0))
    # A grey picture: what is left is the map, for both mute colours and grey has none.
    grey = np.repeat(rng.integers(0, 255, (140, 90, 1), dtype=np.uint8), 3, axis=2)
    controls = Controls(None, None, 0, None, None, None, None, 0.5, None)
    heatmap = Heatmap(raw, np.empty(0, np.float32), geometry, controls, "", "", {})
    expected = np.asarray(overlay(Image.fromarray(grey), heatmap), np.float64)
    found = over(grey.astype(np.float64), painted(drawing, raw, geometry, opacity=0.85))
    # Stripes start at the same corner, and 256 levels of opacity round a little.
    assert np.abs(found - expected).max() < 4.0


@pytest.mark.parametrize("name", list(colormap_tables())[:-1])
def test_a_map_alone_is_opaque_and_has_matplotlibs_colours(drawing, name):
    raw = np.linspace(0.0, 1.0, 16, dtype=np.float32).reshape(1, 16)
    geometry = Geometry(16, 1, (0.0, 0.0, 16.0, 1.0))
    found = painted(drawing, raw, geometry, mode="map", colormap=name)
    assert (found[..., 3] == 255).all()
    expected = matplotlib.colormaps[name](raw[0], bytes=True)[:, :3].astype(np.float64)
    # One level of the map away where the sixteen bits round over a border.
    assert np.abs(found[0, :, :3] - expected).max() <= 4


def test_signed_colours_show_what_speaks_against(drawing):
    raw = np.array([[-2.0, -1.0, 0.0, 0.5, 1.0]], np.float32)
    geometry = Geometry(5, 1, (0.0, 0.0, 5.0, 1.0))
    found = painted(drawing, raw, geometry, mode="map", colormap="RdBu_r")[0, :, :3]
    expected = matplotlib.colormaps["RdBu_r"]((raw[0] / 2.0 + 1.0) / 2.0, bytes=True)[:, :3]
    assert np.abs(found - expected.astype(np.float64)).max() <= 6
    faint = painted(drawing, raw, geometry, mode="overlay", colormap="RdBu_r", opacity=1.0)[0]
    assert faint[0, 3] == 255
    assert faint[2, 3] <= 2
    assert faint[3, 3] == pytest.approx(0.25 * 255, abs=2)


def test_words_have_the_colours_of_the_figures_and_unread_ones_are_struck_out(drawing):
    weights = [0.5, -1.0, None, 0.0]
    drawn = drawing.evaluate(
        """(weights) => {
          const element = document.querySelector("p");
          becamWords.fill(element, ["<b>for</b>", "against", "unread", "neither"], weights);
          return [element.textContent, [...element.children].map((one) =>
            [one.tagName, getComputedStyle(one).backgroundColor])];
        }""",
        weights,
    )
    text, tags = drawn
    assert text == "<b>for</b> against unread neither"
    assert [tag for tag, _ in tags] == ["SPAN", "SPAN", "S", "SPAN"]
    for weight, (_, colour) in zip(weights, tags, strict=True):
        if weight is not None:
            expected = matplotlib.colormaps["RdBu_r"]((weight + 1) / 2, bytes=True)[:3]
            assert [int(n) for n in re.findall(r"\d+", colour)] == [int(c) for c in expected]


# What Python hands over


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.floats(-1e6, 1e6, width=32),
    )
)
def test_a_map_survives_its_encoding(raw):
    encoded = encode_map(raw)
    levels = np.frombuffer(base64.b64decode(encoded["data"]), "<u2")
    share = levels.reshape(encoded["rows"], encoded["columns"]) / 65535
    decoded = encoded["low"] * (1 - share) + encoded["high"] * share
    step = (float(raw.max()) - float(raw.min())) / 65535
    assert np.abs(decoded - raw).max() <= step * 0.51


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_json_in_a_script_ends_no_script_and_says_the_same(value):
    written = script_json(value)
    assert written.isascii()
    assert not set(written) & set("<>&")
    assert json.loads(written) == value


def test_numbers_that_json_lacks_are_null():
    assert script_json({"a": [float("nan"), np.float32("inf"), np.int64(3)]}) == (
        '{"a":[null,null,3]}'
    )


def test_blocks_are_written_as_items_come(tmp_path, few):
    writer = PageWriter(tmp_path, heading())
    for number in range(33):
        writer.add(few[number], picture(0))
    assert (tmp_path / "data/maps/000/000.js").is_file()
    assert not (tmp_path / "data/maps/000/001.js").exists()
    assert (tmp_path / "thumbs/000/032.jpg").is_file()


def test_pictures_are_made_small_and_never_larger(tmp_path, few):
    writer = PageWriter(tmp_path, heading(), picture_side=100)
    writer.add(few[0], picture(0, 400, 200).convert("RGBA"))
    writer.add(few[1], picture(0, 40, 20))
    with Image.open(tmp_path / "thumbs/000/000.jpg") as first:
        assert first.size == (100, 50)
    with Image.open(tmp_path / "thumbs/000/001.jpg") as second:
        assert second.size == (40, 20)


# The list


def test_a_gallery_opens_from_disk_and_shows_its_items(visit, gallery, few):
    tab = visit(gallery)
    assert tab.text("h1") == "A week of a shop"
    assert tab.text("#count") == "40 items"
    assert shown(tab) == ids(few)
    first = tab.page.locator("#items li").first
    assert first.locator("h3").inner_text() == few[0].title
    assert first.locator("figure").count() == 4
    assert first.get_attribute("aria-setsize") == "40"
    assert first.get_attribute("aria-posinset") == "1"
    assert first.locator("img").first.get_attribute("alt") == f"Picture of {few[0].title}"
    tab.page.wait_for_function("() => document.querySelector('#items img').naturalWidth === 96")
    ink = """(canvas) => {
      const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      return data.some((byte) => byte > 0);
    }"""
    canvas = first.locator("canvas").first
    tab.page.wait_for_function(f"() => ({ink})(document.querySelector('#items canvas'))")
    assert "BM3" in canvas.get_attribute("aria-label")


def test_all_of_five_thousand_items_scroll_by_in_order_and_few_are_in_the_page(visit, large, many):
    tab = visit(large, "#layout=grid&size=80")
    seen = tab.page.evaluate(
        """async () => {
          const seen = new Set();
          let most = 0;
          const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
          for (let y = 0; y < document.body.scrollHeight; y += 0.8 * innerHeight) {
            scrollTo(0, y);
            await frame();
            const items = [...document.querySelectorAll("#items > li")];
            most = Math.max(most, items.length);
            const positions = items.map((item) => Number(item.getAttribute("aria-posinset")));
            if (positions.some((one, i) => i && one <= positions[i - 1])) throw "out of order";
            for (const item of items) {
              const box = item.getBoundingClientRect();
              if (box.bottom > 0 && box.top < innerHeight) {
                seen.add(item.querySelector("h3").textContent);
              }
            }
          }
          return [[...seen], most];
        }"""
    )
    assert seen[0] == [card.title for card in many]
    assert seen[1] < 250


def test_a_list_higher_than_browsers_allow_reaches_every_item(visit, open_tab, large, many):
    """With the limit lowered: a short scroll moves by as much, a long one goes where it should."""
    tab = visit(large)
    script = asset_of_page("list.js").replace("HIGHEST = 6e6", "HIGHEST = 2e5")
    assert "2e5" in script
    tab.page.context.route(
        "**/assets/list.js",
        lambda route: route.fulfill(body=script, content_type="text/javascript"),
    )
    tab.page.reload()
    tab.page.wait_for_function("() => becamGallery.index.ready === becamGallery.heading.count")
    assert tab.page.evaluate("document.getElementById('items').offsetHeight") == 200_000

    def top():
        """The number in the list of the first item below the toolbar, and where it stands."""
        return tab.page.evaluate(
            """() => [...document.querySelectorAll("#items > li")]
              .map((item) => [Number(item.getAttribute("aria-posinset")),
                              item.getBoundingClientRect().top])
              .find(([, top]) => top > 100)"""
        )

    tab.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    tab.page.wait_for_timeout(300)
    assert tab.count(f"#items li[aria-posinset='{MANY}']") == 1
    tab.page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    tab.page.wait_for_timeout(300)
    number, before = top()
    assert abs(number - MANY / 2) < 30
    tab.page.mouse.move(900, 500)
    tab.page.mouse.wheel(0, 60)
    tab.page.wait_for_timeout(400)
    after = tab.page.evaluate(
        f"document.querySelector('#items li[aria-posinset=\"{number}\"]')"
        ".getBoundingClientRect().top"
    )
    assert after == pytest.approx(before - 60, abs=1.5)
    tab.page.evaluate("scrollTo(0, 0)")
    tab.page.wait_for_timeout(300)
    assert top()[0] <= 2


def asset_of_page(name):
    from importlib.resources import files

    return files("becam.gallery.page").joinpath("assets", name).read_text()


@pytest.fixture(scope="module")
def asked(chromium, large):
    """Ids of the results of an address, in one tab that stays open."""
    page = chromium.new_page()
    page.goto(large)
    page.wait_for_function("() => becamGallery.index.ready === becamGallery.heading.count")

    def ask(state):
        page.evaluate(
            """(state) => new Promise((resolve) => {
              addEventListener("hashchange", resolve, { once: true });
              location.hash = state;
            })""",
            state,
        )
        if "whole" in state:
            page.wait_for_function("() => becamGallery.query.hasTexts()")
        return page.evaluate(SHOWN)

    ask.page = page
    yield ask
    page.close()


def column(card, number=0):
    return card.panels[number]


def resemble(card, one, other):
    """Pearson's r of two maps, by numpy."""
    return np.corrcoef(column(card, one).raw.ravel(), column(card, other).raw.ravel())[0, 1]


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        ("theta_over=90", lambda card: column(card).theta > 90),
        ("theta_over=60&theta_to=75.5", lambda card: 60 < column(card).theta <= 75.5),
        ("column=1&theta_over=90", lambda card: column(card, 1).theta > 90),
        ("warnings_from=2", lambda card: len(column(card).warnings) >= 2),
        ("warnings_to=0&column=2", lambda card: not column(card, 2).warnings),
        ("change_to=-90&from=1&to=2", lambda c: column(c, 2).theta - column(c, 1).theta <= -90),
        ("popularity_from=100&popularity_to=300", lambda card: 100 <= card.popularity <= 300),
        ("category=Dress&category=Bag", lambda card: card.category in ("Dress", "Bag")),
        ("category=", lambda card: card.category is None),
        ("q=RED+dress", lambda card: "red" in card.title.lower() and "dress" in card.title.lower()),
        ("q=item-4999", lambda card: card.id == "item-4999"),
        ("q=n4321", lambda card: False),
        ("q=n4321&whole=1", lambda card: "n4321" in card.text),
        (
            "theta_over=90&category=Shoes&q=boot",
            lambda c: column(c).theta > 90 and c.category == "Shoes" and "boot" in c.title.lower(),
        ),
    ],
)
def test_filters_keep_what_they_say(asked, many, state, kept):
    expected = ids(filter(kept, many))
    assert asked(state) == expected
    assert asked.page.locator("#count").inner_text() == f"{len(expected):,} of 5,000 items"
    assert asked.page.locator("#empty").is_visible() == (not expected)


def test_maps_that_are_alike_can_be_filtered_away(asked, many):
    certain = [card.id for card in many if resemble(card, 0, 2) < -0.206]
    possible = [card.id for card in many if resemble(card, 0, 2) < -0.194]
    found = asked("likeness_to=-0.2&from=0&to=2")
    assert set(certain) <= set(found) <= set(possible)
    assert certain


@pytest.mark.parametrize(
    ("state", "key"),
    [
        ("sort=theta", lambda card: column(card).theta),
        ("sort=theta&column=2", lambda card: column(card, 2).theta),
        ("sort=excess&column=1", lambda c: column(c, 1).theta - column(c, 1).theta_control),
        ("sort=change&from=0&to=1", lambda card: column(card, 1).theta - column(card, 0).theta),
        ("sort=warnings&column=1", lambda card: len(column(card, 1).warnings)),
        ("sort=popularity", lambda card: card.popularity),
        ("sort=title", lambda card: card.title.lower()),
        ("sort=likeness&from=1&to=2", lambda card: round(100 * resemble(card, 1, 2))),
    ],
)
@pytest.mark.parametrize("down", [False, True])
def test_items_are_sorted_by_what_they_say(asked, many, state, key, down):
    by_id = {card.id: card for card in many}
    values = [key(by_id[one]) for one in asked(f"{state}{'&down=1' if down else ''}")]
    assert len(values) == MANY
    if isinstance(values[0], str):
        assert values == sorted(values, reverse=down)
    else:
        steps = np.diff(values) * (-1 if down else 1)
        assert steps.min() > -1e-4


def test_items_without_an_angle_come_last_either_way(visit, tmp_path, few):
    without = [
        replace(card, panels=tuple(replace(one, theta=None) for one in card.panels))
        for card in few[:3]
    ]
    address = write_gallery(tmp_path / "gallery", [*without, *few[3:8]]).as_uri()
    for state in ("#sort=theta", "#sort=theta&down=1"):
        assert shown(visit(address, state))[-3:] == ids(without)


def test_controls_filter_as_the_address_does(visit, gallery, few):
    tab = visit(gallery)
    page = tab.page
    page.get_by_role("button", name=re.compile("^Drift")).click()
    drifting = [card for card in few if column(card).theta > 90]
    assert shown(tab) == ids(drifting)
    assert tab.text("#count") == f"{len(drifting)} of 40 items"
    page.get_by_role("group", name="Active filters").get_by_role("button").click()
    page.get_by_label(re.compile("^Dress")).check()
    assert shown(tab) == [card.id for card in few if card.category == "Dress"]
    page.get_by_label("Sort", exact=True).select_option("popularity")
    page.get_by_role("button", name="Descending").click()
    sold = [card.popularity for card in few if card.category == "Dress"]
    found = {card.id: card.popularity for card in few}
    assert [found[one] for one in shown(tab)] == sorted(sold, reverse=True)


def test_an_empty_result_says_the_way_out(visit, gallery):
    tab = visit(gallery, "#q=nothing+is+like+this&theta_over=90")
    assert "No item matches" in tab.text("#empty")
    tab.page.get_by_role("button", name="Show all 40 items").click()
    assert tab.text("#count") == "40 items"
    assert tab.page.locator("#empty").is_hidden()


# The address


def test_the_address_keeps_what_was_chosen(visit, gallery):
    tab = visit(gallery)
    page = tab.page
    page.get_by_label("Search titles and ids").fill("dress")
    page.get_by_label("Sort", exact=True).select_option("theta")
    page.get_by_text("Grid", exact=True).click()
    page.get_by_role("button", name="Display").click()
    page.get_by_label("Colours").select_option("viridis")
    page.get_by_role("checkbox", name="BM3 + BeFA, no adapter").uncheck()
    page.keyboard.press("Escape")
    page.locator("#items a").first.click()
    page.wait_for_timeout(400)
    again = visit(page.url)
    for one in (tab, again):
        state = one.page.evaluate("becamGallery.state.get()")
        assert state["q"] == "dress"
        assert state["sort"] == "theta"
        assert state["layout"] == "grid"
        assert state["colormap"] == "viridis"
        assert state["columns"] == [0, 2]
    assert shown(again) == shown(tab)
    assert again.page.locator("#detail").is_visible()
    assert again.text("#detail-title") == tab.text("#detail-title")


def test_back_and_forward_go_through_what_was_chosen(visit, gallery):
    tab = visit(gallery)
    page = tab.page
    page.get_by_label("Sort", exact=True).select_option("theta")
    by_theta = shown(tab)
    page.locator("#items a").first.click()
    assert page.locator("#detail").is_visible()
    page.go_back()
    page.locator("#detail").wait_for(state="hidden")
    assert shown(tab) == by_theta
    page.go_back()
    page.wait_for_function("() => becamGallery.state.get().sort === 'order'")
    assert shown(tab) != by_theta
    page.go_forward()
    page.wait_for_function("() => becamGallery.state.get().sort === 'theta'")
    assert shown(tab) == by_theta


@pytest.mark.parametrize(
    "state", ["#sort=nonsense&view=&columns=9.x&opacity=1e9&from=7", "#%%%&&="]
)
def test_an_address_of_nonsense_opens_the_gallery(visit, gallery, few, state):
    assert shown(visit(gallery, state)) == ids(few)


def test_a_link_to_an_item_that_is_not_there_says_so(visit, gallery):
    tab = visit(gallery, "#item=gone")
    tab.page.get_by_role("alert").wait_for()
    assert "not in this gallery: gone" in tab.text("[role=alert]")


# Keys, and those who do not see


def test_the_keyboard_leads_from_the_list_to_an_item_and_back(visit, gallery, few):
    tab = visit(gallery)
    page = tab.page
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # skips to the items
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent") == few[3].title
    page.keyboard.press("Enter")
    page.locator("#detail").wait_for()
    assert tab.text("#detail-title") == few[3].title
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "(title) => document.getElementById('detail-title').textContent === title",
        arg=few[4].title,
    )
    page.keyboard.press("Escape")
    page.locator("#detail").wait_for(state="hidden")
    assert page.evaluate("document.activeElement.textContent") == few[4].title
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.textContent") == few[-1].title
    box = page.evaluate("document.activeElement.closest('li').getBoundingClientRect().toJSON()")
    assert 0 < box["top"] < box["bottom"] <= 901


def test_single_keys_do_what_the_help_says_and_can_be_turned_off(visit, gallery):
    tab = visit(gallery)
    page = tab.page

    def state(key):
        return page.evaluate("(key) => becamGallery.state.get()[key]", key)

    page.keyboard.press("2")
    assert state("view") == "map"
    page.keyboard.press("l")
    assert state("layout") == "grid"
    page.keyboard.press("[")
    assert state("opacity") == 75
    page.keyboard.press("/")
    page.keyboard.type("2l")  # in the search these are letters
    assert state("q") == "2l"
    assert state("layout") == "grid"
    page.locator("#help-button").click()
    page.get_by_label("Single keys work anywhere").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    assert state("view") == "map"


def test_blinking_goes_through_picture_overlay_and_map(visit, gallery):
    tab = visit(gallery)
    page = tab.page
    page.locator("#skip").press("Enter")
    page.clock.install()
    page.keyboard.press("b")
    modes = []
    for _ in range(4):
        modes.append(page.evaluate("document.querySelectorAll('#items .overlay')[1].dataset.mode"))
        page.clock.run_for(900)
    assert modes == ["picture", "overlay", "map", "picture"]
    others = "[...document.querySelectorAll('#items li:nth-child(2) .overlay')].slice(1)"
    assert set(page.evaluate(f"{others}.map((one) => one.dataset.mode)")) == {"overlay"}
    page.keyboard.press("b")
    assert page.evaluate("document.querySelectorAll('#items .overlay')[1].dataset.mode") == (
        "overlay"
    )


def test_pointing_at_a_map_shows_the_picture(visit, gallery):
    tab = visit(gallery)
    canvas = tab.page.locator("#items canvas").first
    opacity = "(one) => getComputedStyle(one).opacity"
    assert canvas.evaluate(opacity) == "1"
    canvas.hover()
    assert canvas.evaluate(opacity) == "0"


def test_the_tile_of_the_grid_goes_through_the_columns_under_the_pointer(visit, gallery):
    tab = visit(gallery, "#layout=grid&columns=0.2")
    page = tab.page
    assert tab.count("#items li:first-child canvas") == 1
    page.clock.install()
    page.locator("#items li").first.hover()
    names = []
    for _ in range(4):
        names.append(tab.text("#items .station"))
        page.clock.run_for(900)
    assert names == ["Picture", "BM3", "BM3 + BeFA", "Picture"]
    page.mouse.move(2, 2)
    assert page.locator("#items .station").first.is_hidden()


@pytest.mark.parametrize(
    ("state", "scheme"),
    [
        ("", "light"),
        ("", "dark"),
        ("#item=item-3", "light"),
        ("#item=item-3", "dark"),
        ("#layout=grid&q=dress", "light"),
        ("#q=nothing", "light"),
        ("help", "dark"),
        ("display", "light"),
    ],
)
def test_axe_finds_nothing_serious(visit, gallery, state, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab = visit(gallery, state if state.startswith("#") else "", color_scheme=scheme)
    if state.startswith("#item"):
        tab.page.locator("#detail .said li").first.wait_for()
    elif state in ("help", "display"):
        tab.page.locator({"help": "#help-button", "display": "#show-display"}[state]).click()
    tab.page.evaluate("document.querySelectorAll('.reading').forEach((one) => one.open = true)")
    found = axe.run(tab.page, options={"preload": False}).response["violations"]
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in grave] == []


# Details


def test_details_say_all_that_is_known_of_an_item(visit, gallery, few):
    card = few[7]
    tab = visit(gallery, f"#item={card.id}")
    tab.page.locator("#detail .nearest").nth(1).wait_for()
    text = tab.text("#detail .body")
    for panel in card.panels:
        for sentence in (*panel.warnings, *panel.notes):
            assert sentence in text
    said = tab.page.locator("#detail .said").all()
    for box, panel in zip(said, card.panels, strict=True):
        lines = box.locator("li").all_inner_texts()
        marked = [line.startswith("▲") for line in lines]
        assert marked == [True] * len(panel.warnings) + [False] * len(panel.notes)
    words = tab.page.locator("#detail .words[dir=auto]").first
    assert words.inner_text() == card.text
    assert words.locator("s").inner_text() == card.panels[0].words[4].text
    # item-8, -9 and -12 are in the gallery, and can be gone to.
    assert tab.count("#detail .nearest a") == 6
    tab.page.locator("#detail .nearest a").first.click()
    tab.page.wait_for_function(
        "(title) => document.getElementById('detail-title').textContent === title",
        arg=few[8].title,
    )
    tab.page.go_back()
    tab.page.wait_for_function(
        "(title) => document.getElementById('detail-title').textContent === title", arg=card.title
    )


def test_details_follow_the_order_of_the_results(visit, gallery, few):
    tab = visit(gallery, "#sort=theta&down=1")
    order = shown(tab)
    tab.page.locator("#items a").first.click()
    assert tab.page.get_by_role("button", name="Previous item").is_disabled()
    tab.page.get_by_role("button", name="Next item").click()
    tab.page.wait_for_function("(id) => becamGallery.state.get().item === id", arg=order[1])
    assert "2 of 40" in tab.text("#detail header")


def test_neighbours_outside_the_gallery_are_named_but_lead_nowhere(visit, tmp_path, few):
    card = replace(few[0], by_behaviour=(Neighbour("elsewhere", "A far thing", 0.5),))
    tab = visit(write_gallery(tmp_path / "gallery", [card]).as_uri(), "#item=item-0")
    tab.page.locator("#detail .nearest").first.wait_for()
    assert "A far thing" in tab.text("#detail .nearest")
    assert tab.count("#detail .nearest a") == 0


# Hostile and odd data

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    '"><img src=x onerror=alert(3)>',
    "' onmouseover='alert(4)",
    "<!-- --><svg/onload=alert(5)>",
    "javascript:alert(6)",
    "{{ 7 * 7 }} ${alert(7)} `",
    "شراء فستان أحمر \u202eevil\u202c",
    "👗🏽👩‍👩‍👧 👍",
    "\u2028\u2029\x00\x1b line\nbreaks\ttabs",
    "../../etc/passwd",
    "x" * 10_000,
    "wide " * 2_000,
    "\ud800 half a character",
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, few):
    """Every field of every item is hostile, and so is what is said of the gallery."""

    def poisoned(card: Card, text: str) -> Card:
        panel = replace(
            card.panels[0],
            warnings=(text,),
            notes=(text,),
            controls={text[:50]: text},
            words=(Word(text, 0.5), Word(text, None)),
        )
        near = (Neighbour(text, text, 0.5), Neighbour("item-1", text, 0.4))
        return replace(
            card,
            id=text,
            title=text,
            text=text,
            category=text,
            panels=(panel,),
            by_behaviour=near,
            by_content=near,
        )

    made = [poisoned(card, text) for card, text in zip(few, HOSTILE, strict=False)]
    said = {name: " ".join(HOSTILE[:6]) for name in ("title", "rule")}
    columns = tuple(replace(one, label=HOSTILE[2]) for one in heading(1).columns)
    folder = tmp_path_factory.mktemp("hostile") / "gallery"
    return write_gallery(
        folder, made, 1, **said, named=columns, notes=HOSTILE[:6], facts={HOSTILE[0]: HOSTILE[1]}
    ).as_uri()


def test_hostile_text_is_shown_as_text_and_does_nothing(visit, hostile):
    tab = visit(hostile, height=6000)
    assert tab.text("h1") == " ".join(HOSTILE[:6])
    titles = tab.page.locator("#items h3").all_text_contents()
    assert titles[:6] == list(HOSTILE[:6])
    assert len(titles) == len(HOSTILE)
    assert tab.count("#items script, #items svg, #items img[src=x]") == 0
    beyond = "(all) => Math.max(...all.map((one) => one.scrollWidth - one.offsetWidth))"
    assert tab.page.locator("#items li").evaluate_all(beyond) <= 0
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_hostile_items_open_and_can_be_linked_to(visit, hostile):
    tab = visit(hostile)
    wide = "(one) => one.scrollWidth - one.clientWidth"
    links = []
    for number, text in enumerate(HOSTILE):
        tab.page.evaluate("(item) => becamGallery.open(item)", number)
        tab.page.locator("#detail .nearest").nth(1).wait_for()
        assert tab.page.locator("#detail-title").text_content() == text
        assert tab.page.locator("#detail .body").evaluate(wide) <= 0
        links.append(tab.page.url)
    for text, link in zip(HOSTILE[:4], links, strict=False):
        again = visit(link)
        again.page.locator("#detail .nearest").nth(1).wait_for()
        assert again.page.locator("#detail-title").text_content() == text
        again.page.close()


def test_columns_of_one_checkpoint_are_told_apart_by_their_methods(visit, tmp_path):
    (first, second) = heading(2).columns
    named = (
        replace(first, label="BM3", method="becam"),
        replace(second, label="BM3", method="grad-cam"),
    )
    address = write_gallery(tmp_path / "gallery", list(cards(2, 2)), named=named).as_uri()
    tab = visit(address)
    assert tab.page.locator("#column option").all_inner_texts() == ["BM3, becam", "BM3, grad-cam"]
    assert "grad-cam" in tab.text("#labels")


def test_the_change_is_that_through_the_adapter(visit, tmp_path):
    """From a checkpoint without its adapter to the same with it, of one method."""
    labels = ("BM3", "X, no adapter", "X, no adapter", "X", "X")
    adapters = ("none", "none", "none", "befa", "befa")
    methods = ("becam", "rise", "becam", "becam", "rise")
    named = tuple(
        replace(heading(1).columns[0], label=label, adapter=adapter, method=method)
        for label, adapter, method in zip(labels, adapters, methods, strict=True)
    )
    card = next(cards(1, 1))
    card = replace(card, panels=card.panels * 5)
    tab = visit(write_gallery(tmp_path / "gallery", [card], named=named).as_uri())
    state = tab.page.evaluate("becamGallery.state.get()")
    assert (state["from"], state["to"]) == (2, 3)


@pytest.mark.parametrize("columns", [1, 2])
def test_one_item_in_few_columns(visit, tmp_path, columns):
    tab = visit(write_gallery(tmp_path / "gallery", list(cards(1, columns)), columns).as_uri())
    assert tab.text("#count") == "1 item"
    assert tab.count("#items figure") == columns + 1


def test_a_gallery_without_items_says_so(visit, tmp_path):
    tab = visit(write_gallery(tmp_path / "gallery", []).as_uri())
    assert "This gallery has no items" in tab.text("#empty")


def test_panels_without_weights_words_or_angles(visit, tmp_path, few):
    bare = replace(
        few[0].panels[0],
        theta=None,
        theta_control=None,
        weights=None,
        weight_range=None,
        words=None,
        raw=np.zeros((3, 2), np.float32),
    )
    card = replace(few[0], panels=(bare,), by_behaviour=(), by_content=(), text="", category=None)
    tab = visit(write_gallery(tmp_path / "gallery", [card], 1).as_uri(), "#item=item-0")
    tab.page.locator("#detail .text").wait_for()
    assert "This item has no text" in tab.text("#detail .text")


# Without what it needs


def test_without_scripts_the_page_says_what_it_is(open_tab, gallery):
    tab = open_tab(gallery, java_script_enabled=False)
    assert "needs JavaScript" in tab.text("noscript")
    assert "A week of a shop" in tab.text("h1")


def test_a_page_without_its_data_says_to_copy_the_whole_folder(open_tab, tmp_path, few):
    page = write_gallery(tmp_path / "gallery", few)
    (tmp_path / "gallery" / "data").rename(tmp_path / "elsewhere")
    tab = open_tab(page.as_uri())
    tab.page.get_by_role("alert").wait_for()
    assert "copy or unpack the whole folder" in tab.text("[role=alert]")


# Paper


def test_print_lays_out_the_first_hundred_with_their_maps(visit, large):
    tab = visit(large, "#sort=theta&down=1&theta_over=60")
    page = tab.page
    expected = shown(tab)[:100]
    page.evaluate("() => { window.print = () => { window.printed = true; }; }")
    page.get_by_role("button", name="Print").click()
    page.wait_for_function("() => window.printed")
    page.emulate_media(media="print")
    assert page.locator("#app").is_hidden()
    assert page.locator("#print article").count() == 100
    printed = page.locator("#print article .facts p:nth-child(2)").all_inner_texts()
    assert printed == expected
    assert "Printed: the first 100." in tab.text("#print header")
    assert "θ in BM3 over 60°" in tab.text("#print header")
    blank = page.evaluate(
        """[...document.querySelectorAll("#print canvas")].filter((canvas) => {
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          return !data.some((byte) => byte > 0);
        }).length"""
    )
    assert blank == 0
    loaded = "[...document.querySelectorAll('#print img')].every((one) => one.naturalWidth > 0)"
    assert page.evaluate(loaded)


def test_the_gallery_becomes_a_pdf(visit, gallery):
    tab = visit(gallery, "#category=Dress")
    tab.page.evaluate("becamGallery.printing.prepare()")
    paper = tab.page.pdf(format="A4")
    assert paper.startswith(b"%PDF")
    # Eight items, of which a page takes three or four.
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", paper)) <= 3


def test_the_browsers_own_print_command_prints_what_is_in_view(visit, gallery):
    tab = visit(gallery)
    tab.page.wait_for_function("() => becamGallery.maps.peek(0)")
    tab.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert "in view" in tab.page.locator("#print header").text_content()
    assert 1 <= tab.count("#print article") < 40
    tab.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert tab.count("#print article") == 0


def test_the_details_of_an_item_print(visit, gallery, few):
    tab = visit(gallery, "#item=item-5")
    tab.page.locator("#detail .nearest").nth(1).wait_for()
    tab.page.emulate_media(media="print")
    assert tab.page.locator("#detail-title").is_visible()
    assert tab.page.locator("#print").is_hidden()
    assert tab.page.get_by_role("button", name="Copy link").is_hidden()
