"""The explorer's page in a real browser: what users do, and what they are told."""

from __future__ import annotations

import re

import numpy as np
import pytest
from explored import Gate, jpeg, served, without_lifespan
from PIL import Image
from zoo import huge_png

from becam import Explainer

pytest.importorskip("fastapi", reason="the extra becam[serve] is not installed")
expect = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed").expect

from becam.explorer.app import create_app  # noqa: E402

pytest_plugins = ["browsing"]
expect.set_options(timeout=20_000)  # machines may be busy

QUICK = "method=becam%2Cbudget%3D8"
DONE = "#downloads a"


@pytest.fixture(scope="module")
def app(shop):
    return create_app(shop.checkpoints, shop.dataset, batch_size=4)


@pytest.fixture(scope="module")
def url(app):
    with served(app) as address:
        yield address


@pytest.fixture
def visit(open_tab):
    """Open the explorer, and wait until it can be used."""

    def run(url, asked="", **options):
        tab = open_tab(f"{url}/#{asked}", **options)
        tab.page.wait_for_selector("html[data-ready]")
        return tab

    return run


def heat(tab, card):
    """What a card shows with the colours ``gray``, as shares of the brightest, and where."""
    page = tab.page
    page.select_option("#colormap", "gray")
    page.locator("#mode [value=map]").check(force=True)
    shown = page.evaluate(
        """(card) => {
            const canvas = document.querySelectorAll(".card canvas")[card];
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            return [width, height, Array.from(data.filter((_, i) => i % 4 === 0))];
        }""",
        card,
    )
    width, height, values = shown
    return np.array(values, float).reshape(height, width) / 255


def same_heat(shown, heatmap):
    """Whether a canvas shows a map of the library, where the encoder saw the picture."""
    full = heatmap.full()
    size = (shown.shape[1], shown.shape[0])
    unseen = np.isnan(np.asarray(Image.fromarray(full).resize(size, Image.Resampling.NEAREST)))
    expected = Image.fromarray(np.nan_to_num(full)).resize(size, Image.Resampling.BILINEAR)
    # Along the border of the crop both interpolations differ.
    inside = ~(unseen | np.roll(unseen, 3, 0) | np.roll(unseen, -3, 0))
    inside &= ~(np.roll(unseen, 3, 1) | np.roll(unseen, -3, 1))
    return np.abs(np.asarray(expected) - shown)[inside].mean() < 0.02


def unharmed(tab):
    assert tab.errors == []
    assert tab.strangers == []
    assert tab.alarms() == []


def test_from_an_upload_to_its_maps(visit, url, shop, picture, tmp_path):
    path = tmp_path / "mine.jpg"
    path.write_bytes(jpeg(picture))
    tab = visit(url, f"item=0007&{QUICK}")
    page = tab.page
    page.set_input_files("#file", path)
    expect(page.locator("#picture-name")).to_have_text("mine.jpg, 100 × 150")
    expect(page.locator(".card.original p").first).to_have_text("mine.jpg")
    page.wait_for_selector(DONE)
    assert tab.count(".card") == 4
    explainer = Explainer(
        shop.checkpoints, no_adapter=True, method_options={"budget": 8}, batch_size=4
    )
    for card, heatmap in enumerate(explainer.explain(path, "0007")):
        own = page.locator(".card").nth(card + 1)
        assert same_heat(heat(tab, card), heatmap)
        assert heatmap.controls.theta is not None
        said = own.locator(".theta b").inner_text()
        assert float(re.sub(r"[θ°\s]", "", said)) == pytest.approx(heatmap.controls.theta, abs=0.51)
        warnings = own.locator(".words .warning").all_inner_texts()
        assert warnings == heatmap.controls.warnings()
        rows = own.locator(".likeness tr").all_inner_texts()
        shuffled = next((row for row in rows if row.startswith("shuffled")), None)
        r = heatmap.controls.correlation_randomised
        assert (shuffled is None) == (r is None)
        assert shuffled is None or f"{abs(r):.2f}" in shuffled
    with page.expect_download() as download:
        page.click("text=Sheet (PNG)")
    with Image.open(download.value.path()) as sheet:
        assert sheet.format == "PNG"
    assert "mine" not in page.url
    # Back to the picture of the item.
    page.click("text=Use the item’s own")
    expect(page.locator(".card.original p").first).to_have_text("Item 0007")
    page.wait_for_selector(DONE)
    unharmed(tab)


def test_what_is_no_picture_is_refused_in_words(visit, url, picture, tmp_path):
    tab = visit(url, f"item=0007&{QUICK}")
    page = tab.page
    page.wait_for_selector(DONE)
    huge_png(tmp_path / "bomb.png", 30_000, 30_000)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "cut.jpg").write_bytes(jpeg(picture)[:1500])
    (tmp_path / "long.png").write_bytes(bytes(20_000_001))
    problem = page.locator("#picture-problem")
    for name, said in [
        ("bomb.png", "scale the picture down first"),
        ("notes.txt", "not a picture that can be read"),
        ("cut.jpg", "truncated"),
        ("long.png", "more than 20 MB"),
    ]:
        page.set_input_files("#file", tmp_path / name)
        expect(problem).to_contain_text(said)
        assert problem.get_attribute("role") == "alert"
        # What was there stays.
        expect(page.locator("#picture-name")).to_have_text("The item’s own picture")
        assert tab.count(DONE) == 3
    page.set_input_files("#file", {"name": "good.jpg", "mimeType": "", "buffer": jpeg(picture)})
    expect(page.locator("#picture-name")).to_contain_text("good.jpg")
    expect(problem).to_be_hidden()
    # The browser itself notes that three requests were refused; nothing else went wrong.
    assert len(tab.errors) == 3
    assert all("422" in error for error in tab.errors)


def test_two_users_at_once_get_each_their_own(
    visit, app, url, shop, picture, tmp_path, monkeypatch
):
    gate = Gate(app, monkeypatch)
    explainer = Explainer(
        shop.checkpoints, no_adapter=True, method_options={"budget": 8}, batch_size=4
    )
    tabs = []
    for number, item in enumerate(("0007", "0008")):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(jpeg(picture.rotate(90 * number + 90, expand=True)))
        tab = visit(url, f"{QUICK}&shuffled=0")
        tab.page.set_input_files("#file", path)
        expect(tab.page.locator("#picture-name")).to_contain_text(f"{number}.jpg")
        tab.page.fill("#item", item)
        tab.page.keyboard.press("Enter")
        expect(tab.page.locator("#progress")).to_be_visible()
        tabs.append((tab, path, item))
    expect(tabs[1][0].page.locator("#progress-words")).to_have_text("1 request before this one")
    gate.open()
    for tab, path, item in tabs:
        tab.page.wait_for_selector(DONE)
        own, other = explainer.explain(path, item), explainer.explain(path, "0009")
        for card in range(3):
            assert same_heat(heat(tab, card), own[card])
            assert not same_heat(heat(tab, card), other[card])
        unharmed(tab)
    sources = [tab.page.locator(".card img").first.get_attribute("src") for tab, _, _ in tabs]
    assert sources[0] != sources[1]


def test_everything_by_keyboard(visit, app, url, monkeypatch):
    gate = Gate(app, monkeypatch)
    tab = visit(url, "method=becam%2Cbudget%3D9")  # which no other test has asked for
    page = tab.page
    press = page.keyboard.press
    press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the maps"
    press("/")
    item = page.locator("#item")
    expect(item).to_be_focused()
    expect(item).to_have_attribute("aria-expanded", "true")  # what sold most
    page.keyboard.type("thing red")
    expect(page.locator("#item-list li").first).to_contain_text("red")
    press("ArrowDown")
    press("ArrowDown")
    chosen = page.locator("#item-list li").nth(1)
    expect(chosen).to_have_attribute("aria-selected", "true")
    expect(item).to_have_attribute("aria-activedescendant", chosen.get_attribute("id"))
    title = chosen.locator(".title").inner_text()
    press("Enter")
    expect(item).to_have_attribute("aria-expanded", "false")
    expect(page.locator("#item-chosen")).to_contain_text(title)
    expect(page.locator("#progress")).to_be_visible()
    gate.begun(1)
    press("Escape")
    expect(page.locator("#missing")).to_have_text("Cancelled.")
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#go button")).to_be_focused()
    gate.open()
    press("Enter")
    page.wait_for_selector(DONE)
    for key, mode in (("2", "map"), ("3", "picture"), ("1", "overlay")):
        press(key)
        expect(page.locator(f"#mode [value={mode}]")).to_be_checked()
    page.keyboard.down("b")
    assert painted(page) == 0
    page.keyboard.up("b")
    assert painted(page) > 0
    press("?")
    expect(page.locator("#help")).to_be_visible()
    press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    # Single keys can be switched off, for those who speak to their computer.
    page.evaluate("document.getElementById('single-keys').checked = false")
    press("2")
    expect(page.locator("#mode [value=overlay]")).to_be_checked()
    unharmed(tab)


def painted(page):
    """Points of the first map that are not clear."""
    return page.evaluate(
        """() => {
            const canvas = document.querySelector(".card canvas");
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            return data.filter((value, i) => i % 4 === 3 && value > 0).length;
        }"""
    )


def test_an_unknown_item_is_answered_with_near_ones(visit, url):
    tab = visit(url)
    tab.page.fill("#item", "00007")
    tab.page.keyboard.press("Enter")
    expect(tab.page.locator("#item-problem")).to_contain_text("near ids are '0007'")
    assert tab.count("#results .card") == 0


def test_odd_titles_do_no_harm(visit, url):
    tab = visit(url, QUICK)
    page = tab.page
    for query, said in [
        ("<img src=x", "<img src=x onerror=document.title=1>"),
        ("👗", "Kleid 👗🏽 mit Blumen"),
        ("فستان", "فستان أحمر"),
        ("endless", "endless endless"),
    ]:
        page.fill("#item", query)
        expect(page.locator("#item-list li").first).to_contain_text(said)
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.locator("#item-chosen")).to_contain_text(said)
        page.wait_for_selector(DONE)
        assert page.locator("#results img[src=x], #question img[src=x]").count() == 0
        assert page.title().endswith("becam explorer")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    unharmed(tab)


def test_the_address_keeps_what_is_asked(visit, url):
    tab = visit(url, f"item=0007&columns=0,2&{QUICK}&method=rise%2Cmasks%3D20&shuffled=0")
    page = tab.page
    page.wait_for_selector(DONE)
    assert tab.count("#results section") == 2
    assert tab.count(".card") == 2 * 3
    assert page.locator("#shuffled").is_checked() is False
    page.locator(".nearest summary").first.click()
    page.locator(".nearest .thumb").first.click()
    expect(page.locator("#item-chosen")).not_to_contain_text("0007")
    page.wait_for_selector(DONE)
    second = page.url
    page.reload()
    page.wait_for_selector(DONE)
    assert page.url == second
    page.go_back()
    expect(page.locator("#item-chosen")).to_contain_text("0007")
    page.wait_for_selector(DONE)
    assert tab.count(".card") == 2 * 3
    unharmed(tab)


def test_another_method_beside_the_first(visit, app, url, monkeypatch):
    gate = Gate(app, monkeypatch)
    gate.open()
    tab = visit(url, f"item=0007&{QUICK}&shuffled=0")
    page = tab.page
    page.wait_for_selector(DONE)
    before = gate.batches
    page.click("text=Compare with another method")
    selects = page.locator("#methods .method > .row select")
    expect(selects).to_have_count(2)
    selects.nth(1).select_option("becam")
    page.locator("#methods .method").nth(1).locator("summary").click()
    page.locator("#methods .method").nth(1).get_by_label("weighting").select_option("softmax")
    expect(page.locator(".method-title").nth(1)).to_have_text("BeCAM, budget 64, weighting softmax")
    # All 48 masks, since that is fewer than 64; the first map's encodings are among them.
    page.wait_for_selector(DONE)
    expect(page.locator(".card.stale, .card.waiting")).to_have_count(0)
    assert gate.batches - before <= 12
    assert tab.count(".card") == 8
    page.locator("#methods .method").nth(0).get_by_role("button", name="Remove").click()
    expect(page.locator("#results section")).to_have_count(1)
    unharmed(tab)


def test_users_and_texts(visit, url):
    tab = visit(url, f"item=0010&{QUICK}&shuffled=0")
    page = tab.page
    page.wait_for_selector(DONE)
    page.click("text=A user")
    expect(page.locator("#missing")).to_have_text("Choose a user.")
    page.click("#user")
    page.wait_for_selector("#user-list li")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector(DONE)
    assert "target=user" in page.url
    page.click("text=A text")
    page.fill("#text", "a red mug")
    page.keyboard.press("Enter")
    expect(page.locator(".card h3").nth(1)).to_contain_text("open_clip")
    page.wait_for_selector(DONE)
    assert tab.count(".card") == 2
    unharmed(tab)


def test_dropped_and_pasted_pictures(visit, url, picture):
    import base64

    tab = visit(url, QUICK)
    data = base64.b64encode(jpeg(picture)).decode()
    for kind, event in (("drop", "DragEvent"), ("paste", "ClipboardEvent")):
        tab.page.evaluate(
            """([data, kind, event]) => {
                const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
                const transfer = new DataTransfer();
                transfer.items.add(new File([bytes], `${kind}.jpg`, { type: "image/jpeg" }));
                const options = { bubbles: true, cancelable: true };
                options[kind === "drop" ? "dataTransfer" : "clipboardData"] = transfer;
                document.body.dispatchEvent(new window[event](kind, options));
            }""",
            [data, kind, event],
        )
        expect(tab.page.locator("#picture-name")).to_have_text(f"{kind}.jpg, 100 × 150")
    expect(tab.page.locator("#missing")).to_have_text("Choose an item.")
    unharmed(tab)


def test_a_forgotten_picture_is_sent_again(visit, app, url, picture):
    tab = visit(url, f"item=0007&{QUICK}&shuffled=0")
    page = tab.page
    page.wait_for_selector(DONE)
    page.set_input_files("#file", {"name": "x.jpg", "mimeType": "", "buffer": jpeg(picture)})
    expect(page.locator(".card.original p").first).to_have_text("x.jpg")
    page.wait_for_selector(DONE)
    app.state.explorer.uploads.clear()
    page.click("text=Show maps")
    expect(page.locator("#progress")).to_be_hidden()
    page.wait_for_selector(DONE)
    expect(page.locator("#problem")).to_be_hidden()


def test_a_server_that_is_gone(visit, app, shop):
    with served(without_lifespan(app)) as url:
        tab = visit(url, f"item=0007&{QUICK}&shuffled=0")
        tab.page.wait_for_selector(DONE)
    tab.page.click("text=Show maps")
    expect(tab.page.locator("#problem")).to_contain_text("is becam serve still running?")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_anybodys_way(visit, url, scheme):
    """Rules of axe-core, in the states that a user sees."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def clean(page, state):
        found = axe.run(page).response["violations"]
        grave = [v for v in found if v["impact"] in ("serious", "critical")]
        assert grave == [], (state, [(v["id"], [n["html"] for n in v["nodes"]]) for v in grave])

    tab = visit(url, color_scheme=scheme)
    page = tab.page
    clean(page, "welcome")
    page.click("#item")
    page.wait_for_selector("#item-list li")
    page.keyboard.press("ArrowDown")
    clean(page, "suggestions")
    page.keyboard.press("Enter")
    page.wait_for_selector(DONE)
    page.click("text=Compare with another method")
    page.wait_for_selector(DONE)
    for summary in page.locator("details summary").all():
        summary.click()
    page.fill("#item", "nothing like it")
    page.keyboard.press("Enter")
    expect(page.locator("#item-problem")).to_be_visible()
    clean(page, "maps")
    page.set_viewport_size({"width": 400, "height": 800})
    clean(page, "narrow")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.click("#help-button")
    clean(page, "help")
