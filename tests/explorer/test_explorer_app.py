"""The explorer over HTTP: what it serves, what it refuses, and how many it serves at once."""

from __future__ import annotations

import io
import re
import sys
import tempfile
import time
import zipfile
from contextlib import nullcontext, suppress
from html.parser import HTMLParser
from urllib.parse import urljoin

import numpy as np
import pytest
from explored import (
    ITEM,
    QUICK,
    Gate,
    Streaming,
    asking,
    decoded,
    events,
    jpeg,
    run_apart,
    served,
    without_lifespan,
)
from PIL import Image
from zoo import huge_png

from becam import Explainer, Heatmap
from becam.attribution.methods import METHODS, create_method
from becam.errors import BecamError

pytest.importorskip("fastapi", reason="the extra becam[serve] is not installed")
httpx = pytest.importorskip("httpx", reason="Starlette's test client needs httpx")

from starlette.testclient import TestClient  # noqa: E402

from becam.explorer.app import create_app  # noqa: E402
from becam.explorer.choices import method_choices  # noqa: E402
from becam.explorer.guard import Guard, Hosts  # noqa: E402
from becam.explorer.uploads import MAX_BYTES  # noqa: E402
from becam.explorer.work import Work  # noqa: E402


@pytest.fixture(scope="module")
def app(shop):
    return create_app(shop.checkpoints, shop.dataset, batch_size=4)


@pytest.fixture(scope="module")
def client(app):
    with TestClient(app, base_url="http://127.0.0.1:8420") as client:
        yield client


@pytest.fixture
def explain(client):
    """Events of a question, which must be served."""

    def run(**changes):
        response = client.post("/api/explanations", json=asking(**changes))
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        return events(response.text)

    return run


def panels(found):
    """The last panel of each place."""
    return {(e.method, e.column): e for e in found if e.name == "panel"}


def refused(response, status, said):
    """The one sentence of an answer that is none."""
    assert response.status_code == status, response.text
    sentence = response.json()["detail"]
    assert said in sentence
    assert sentence.endswith(".")
    assert "Traceback" not in response.text
    return sentence


class Page(HTMLParser):
    def __init__(self, source):
        super().__init__()
        self.tags = []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_the_page_and_its_parts_are_ours(client):
    response = client.get("/")
    page = Page(response.text)
    parts = [a[key] for _, a in page.tags for key in ("src", "href") if key in a]
    parts = [part for part in parts if not part.startswith("#")]
    assert len(parts) >= 5
    for part in parts:
        assert "//" not in part
        assert client.get(urljoin("/", part)).status_code == 200
    # Nothing inline, which the policy would refuse.
    assert not [a for _, a in page.tags if "style" in a or any(k.startswith("on") for k in a)]
    assert all("src" in a for tag, a in page.tags if tag == "script")
    policy = response.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    for module in ("main.js", "results.js", "api.js"):
        source = client.get(f"/page/{module}").text
        for name in re.findall(r'from "\./([\w-]+\.js)"', source):
            assert client.get(f"/page/{name}").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/..%2fapp.py",
        "/page//etc/passwd",
        "/api/items/..%2f..%2fdata/picture",
        "/api/items/-1/picture",
        "/api/items/30/picture",
        "/api/items/images%2f1.jpg/picture",
        "/api/pictures/..%2f..%2fbefa.pt",
        "/api/answers/..%2f/sheet.png",
        "/docs",
        "/openapi.json",
    ],
)
def test_paths_lead_nowhere_else(client, path):
    response = client.get(path)
    assert response.status_code in (404, 410, 422)
    assert len(response.content) < 500


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil:8420", ""]
)
def test_strangers_by_name(client, host):
    refused(client.get("/", headers={"host": host}), 403, "does not answer to the name")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "LOCALHOST:8420", "[::1]:8420"])
def test_own_names(client, host):
    assert client.get("/health", headers={"host": host}).status_code == 200


def test_names_of_a_server_for_others():
    hosts = Hosts.listening_on("0.0.0.0")
    for own in ("192.168.1.7", "fe80::1", "localhost"):
        assert own in hosts
    assert "evil.example" not in hosts
    named = Hosts.listening_on("shop.example")
    assert "shop.example" in named
    assert "192.168.1.7" not in Hosts.listening_on("127.0.0.1")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9"},
        {"origin": "http://127.0.0.1:8420", "sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_sites_may_not_ask(client, picture, headers):
    for path, body in (("/api/pictures", jpeg(picture)), ("/api/explanations", b"{}")):
        refused(client.post(path, content=body, headers=headers), 403, "Another site")


def test_the_own_page_may_ask(client, picture):
    headers = {"origin": "http://127.0.0.1:8420", "sec-fetch-site": "same-origin"}
    assert client.post("/api/pictures", content=jpeg(picture), headers=headers).status_code == 200


def test_bad_uploads(client, picture, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    huge_png(tmp_path / "bomb.png", 30_000, 30_000)
    huge_png(tmp_path / "large.png", 8_000, 8_000)
    whole = jpeg(picture)
    for body, status, said in [
        ((tmp_path / "bomb.png").read_bytes(), 422, "scale the picture down"),
        ((tmp_path / "large.png").read_bytes(), 422, "8000 x 8000 pixels"),
        (b"not a picture", 422, "not a picture"),
        (b"", 422, "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, "not a picture"),
        (whole[: len(whole) // 2], 422, "truncated"),
        (bytes(MAX_BYTES + 1), 413, "20 MB"),
    ]:
        sentence = refused(client.post("/api/pictures", content=body), status, said)
        assert str(scratch) not in sentence
    assert client.post("/api/pictures", content=whole).status_code == 200
    assert list(scratch.iterdir()) == []


def test_a_large_upload_is_cut_off_while_it_arrives(app):
    """No length is stated, and the sender would never stop."""
    sent = 0

    def endless():
        nonlocal sent
        while sent < 50 * MAX_BYTES:
            sent += 1_000_000
            yield bytes(1_000_000)

    # The server may have answered and hung up while we were still sending.
    with served(without_lifespan(app)) as url, suppress(httpx.WriteError):
        refused(httpx.post(f"{url}/api/pictures", content=endless()), 413, "20 MB")
    assert sent < 3 * MAX_BYTES


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"item": "7"}, 404, "near ids are '0007'"),
        ({"item": "0" * 10_000}, 404, "10,000 characters"),
        ({"item": None}, 422, "Choose an item"),
        ({"item": "0005"}, 404, "no picture of the item '0005'"),
        ({"target": "user"}, 422, "Choose a user"),
        ({"target": "user", "user": "user-99"}, 404, "near ids are"),
        ({"target": "text", "text": "  "}, 422, "Write a text"),
        ({"target": "nonsense"}, 422, "not understood"),
        ({"picture": "x"}, 410, "no longer kept"),
        ({"columns": []}, 422, "not understood"),
        ({"columns": [3]}, 422, "There are 3 columns"),
        ({"methods": []}, 422, "not understood"),
        ({"methods": [QUICK] * 5}, 422, "not understood"),
        ({"methods": [{"name": "magic"}]}, 422, "Unknown method 'magic'"),
        ({"methods": [{"name": "becam", "options": {"x": 1}}]}, 422, "no option 'x'"),
        ({"methods": [{"name": "becam", "options": {"budget": -1}}]}, 422, "0 or more"),
        ({"unknown": 1}, 422, "not understood"),
        ({"text": "x" * 70_000}, 413, "MB"),
    ],
)
def test_questions_that_are_refused(client, changes, status, said):
    start = time.monotonic()
    refused(client.post("/api/explanations", json=asking(**changes)), status, said)
    assert time.monotonic() - start < 5


def test_bodies_that_are_no_questions(client):
    for body in (b"", b"[]", b"{", b"\xff\xfe", b"null"):
        refused(client.post("/api/explanations", content=body), 422, "not understood")
    refused(client.get("/api/items", params={"query": "x" * 501}), 422, "at most 500")


@pytest.mark.parametrize("space", ["adapted", "change"])
def test_the_map_is_that_of_the_library(client, explain, shop, picture, tmp_path, space):
    """Of an upload that is turned and has a colour profile of its own, to the last bit."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg(picture, exif=exif))
    sent = client.post("/api/pictures", params={"name": "a $b$ <i>.jpg"}, content=path.read_bytes())
    assert (sent.json()["width"], sent.json()["height"]) == (150, 100)
    budget = {"name": "becam", "options": {"budget": 12, "weighting": "cosine"}}
    found = explain(picture=sent.json()["id"], methods=[budget], space=space, shuffled=True)
    assert found[0].name == "started"
    assert found[-1].name == "done"
    expected = Explainer(
        shop.checkpoints,
        space=space,
        no_adapter=True,
        method="becam",
        method_options={"budget": 12, "weighting": "cosine"},
        batch_size=4,
    ).explain(path, ITEM)
    columns = [0, 1, 2] if space == "adapted" else [0, 2]
    last = panels(found)
    for column, heatmap in zip(columns, expected, strict=True):
        panel = last[0, column]
        step = (heatmap.raw.max() - heatmap.raw.min()) / 65535
        assert np.abs(decoded(panel.map) - heatmap.raw).max() <= 0.51 * step
        assert panel.controls == pytest.approx(heatmap.controls.to_dict(), nan_ok=True)
        assert panel.warnings == heatmap.controls.warnings()
        assert panel.label == heatmap.label
        assert panel.geometry["width"] == 150
    if space == "change":
        assert "no such map" in last[0, 1].sentence
    answer = f"/api/answers/{found[-1].answer}"
    with zipfile.ZipFile(io.BytesIO(client.get(f"{answer}/maps.zip").content)) as archive:
        archive.extractall(tmp_path)
    for number, heatmap in enumerate(expected):
        kept = Heatmap.load(tmp_path / f"{number}.npz")
        assert np.array_equal(kept.raw, heatmap.raw)
        assert np.array_equal(kept.weights, heatmap.weights)
    numbers = client.get(f"{answer}/numbers.json").json()
    assert [one["label"] for one in numbers["heatmaps"]] == [one.label for one in expected]
    sheet = client.get(f"{answer}/sheet.png")
    assert sheet.headers["content-disposition"].startswith("attachment")
    with Image.open(io.BytesIO(sheet.content)) as image:
        image.load()
        assert image.format == "PNG"
    refused(client.get(f"{answer}/evil.html"), 404, "sheet.png")
    refused(client.get("/api/answers/guess/sheet.png"), 410, "no longer kept")


def test_progress_is_told_batch_by_batch(explain):
    found = explain(
        item="0008", shuffled=True, methods=[QUICK, {"name": "rise", "options": {"masks": 6}}]
    )
    shares = [e.share for e in found if e.name == "progress"]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1
    counted = [(e.words, e.done, e.total) for e in found if e.name == "progress" and e.total]
    for words, total in (("BeCAM", 8), ("BeCAM, shuffled encoder", 8), ("RISE", 6)):
        steps = [done for said, done, of in counted if said == words and of == total]
        assert steps == [*range(0, total, 4), total]
    # The maps come first, and their controls by a shuffled encoder after all of them.
    order = [
        (e.method, e.controls["correlation_randomised"] is not None)
        for e in found
        if e.name == "panel"
    ]
    assert order == [(0, False)] * 3 + [(1, False)] * 3 + [(0, True)] * 3 + [(1, True)] * 3


def test_what_was_made_lately_is_not_made_again(app, explain, monkeypatch):
    gate = Gate(app, monkeypatch)
    gate.open()
    first = panels(explain(item="0009", methods=[QUICK]))
    made = gate.batches
    assert made == 2
    again = panels(
        explain(
            item="0009",
            methods=[QUICK, {"name": "becam", "options": {"budget": 8, "weighting": "softmax"}}],
        )
    )
    assert gate.batches == made
    assert again[0, 2].map == first[0, 2].map
    assert again[1, 2].map != first[0, 2].map


def test_users_and_texts(client, explain, shop):
    explainer = Explainer(
        shop.checkpoints, method_options={"budget": 8}, randomise=False, batch_size=4
    )
    own = shop.dataset.image_path(7)
    plain, befa = explainer.explain(own, ITEM, user_id="user-3")
    found = panels(explain(target="user", user="user-3", columns=[0, 2]))
    for column, heatmap in ((0, plain), (2, befa)):
        assert decoded(found[0, column].map) == pytest.approx(heatmap.raw, abs=1e-4)
        assert found[0, column].target == "user user-3 (item 0007)"
    (heatmap, _) = explainer.explain(own, text="a red mug")
    found = panels(explain(target="text", text="a red mug"))
    assert list(found) == [(0, 0)]  # both columns are on the same encoder
    assert decoded(found[0, 0].map) == pytest.approx(heatmap.raw, abs=1e-4)
    assert found[0, 0].nearest is None


def test_a_method_that_suits_no_encoder_says_so(app, shop, load, tmp_path):
    from zoo import make_checkpoint

    make_checkpoint(load("timm-cnn")).save(tmp_path / "cnn.pt")
    other = create_app([shop.plain, tmp_path / "cnn.pt"], shop.dataset)
    with TestClient(other, base_url="http://127.0.0.1") as client:
        about = client.get("/api/about").json()
        assert [encoder["text"] for encoder in about["encoders"]] == [True, False]
        assert [column["encoder"] for column in about["columns"]] == [0, 1]
        question = asking(columns=[0, 1], methods=[{"name": "grad-eclip"}])
        found = panels(events(client.post("/api/explanations", json=question).text))
        assert "map" in vars(found[0, 0])
        assert "has no such token" in found[0, 1].sentence
        question = asking(columns=[0, 1], target="text", text="a mug")
        found = panels(events(client.post("/api/explanations", json=question).text))
        assert "no text tower" in found[0, 1].sentence


def test_nearest_items_by_a_loop(explain, checkpoints, load, shop):
    from becam.images import read_image

    _, befa = checkpoints
    table = befa.item_embeddings.numpy().astype(np.float64)
    encoder = load("open_clip-vit")
    pixels, _ = encoder.preprocessing(read_image(shop.dataset.image_path(7)))
    feature = encoder.encode_image(pixels[None])[0].double().numpy()
    modality = befa.modalities["image"]
    content = modality.projection_weight.double().numpy() @ feature
    content += modality.projection_bias.double().numpy()

    def ranked(vector):
        cosines = [row @ vector / np.linalg.norm(row) / np.linalg.norm(vector) for row in table]
        return sorted(range(30), key=lambda item: -cosines[item]), cosines

    by_behaviour, cosines = ranked(table[7])
    by_content, _ = ranked(content)
    for column in (1, 2):
        nearest = panels(explain())[0, column].nearest
        assert [near["index"] for near in nearest["behaviour"]] == by_behaviour[1:7]
        assert [near["index"] for near in nearest["content"]] == by_content[:6]
        assert nearest["behaviour"][0]["cosine"] == pytest.approx(
            cosines[by_behaviour[1]], abs=1e-5
        )
        assert (nearest["rank"], nearest["items"]) == (by_content.index(7) + 1, 30)


def test_items_are_found(client, shop):
    def ids(query):
        return [item["id"] for item in client.get("/api/items", params={"query": query}).json()]

    assert ids("0017")[0] == "0017"
    assert ids("  RED   thing ") == ids("thing red")
    assert set(ids("thing red")) == {f"{i:04d}" for i in range(5, 30) if i % 2}
    assert ids("thing 2")[0] in {
        "0002",
        "0020",
        "0022",
        "0024",
        "0026",
        "0028",
        "0021",
        "0023",
        "0025",
        "0027",
        "0029",
    }
    assert ids("👗🏽") == ["0002"]
    assert ids("أحمر") == ["0003"]
    assert ids("<IMG src=x") == ["0001"]
    assert ids("(.*") == ids("nowhere") == []
    # Without a query what sold most comes first.
    sold = np.bincount(shop.dataset.interactions("train")[:, 1], minlength=30)
    found = client.get("/api/items").json()
    assert [item["popularity"] for item in found] == sorted(sold.tolist(), reverse=True)[
        : len(found)
    ]
    assert client.get("/api/item", params={"id": "0004"}).json()["text"].startswith("endless")
    assert len(client.get("/api/item", params={"id": "0004"}).json()["text"]) <= 200
    refused(client.get("/api/item", params={"id": "00004"}), 404, "'0004'")
    assert client.get("/api/items/random").json()["picture"] is True


def test_users_are_found(client, shop):
    users = shop.dataset.user_ids
    bought = {}
    for user, item in shop.dataset.interactions("train"):
        bought.setdefault(users[user], []).append(f"{item:04d}")
    found = client.get("/api/users", params={"item": "0010"}).json()
    assert {user["id"] for user in found} == {u for u, items in bought.items() if "0010" in items}
    for user in found:
        assert user["purchases"] == len(bought[user["id"]])
        assert [item["id"] for item in user["items"]] == bought[user["id"]][:4]
    assert [u["id"] for u in client.get("/api/users", params={"query": "USER-19"}).json()] == [
        "user-19"
    ]


def test_item_pictures(client, shop):
    from becam.images import read_image

    for kind, side in (("picture", 24), ("thumbnail", 24)):
        response = client.get(f"/api/items/7/{kind}")
        with Image.open(io.BytesIO(response.content)) as image:
            assert image.size == (16, side)
            shown = np.asarray(image.convert("RGB"), float)
        original = np.asarray(read_image(shop.dataset.image_path(7)), float)
        assert np.corrcoef(shown.ravel(), original.ravel())[0, 1] > 0.8
    refused(client.get("/api/items/5/thumbnail"), 404, "no picture")


def test_without_a_dataset(shop, picture):
    with TestClient(create_app(shop.befa), base_url="http://127.0.0.1") as client:
        about = client.get("/api/about").json()
        assert (about["dataset"], about["pictures"], about["items"]) == (None, 0, 30)
        assert [column["before"] for column in about["columns"]] == [True, False]
        assert client.get("/api/items", params={"query": "0017"}).json()[0]["text"] == ""
        refused(client.post("/api/explanations", json=asking(columns=[0])), 404, "no picture")
        id = client.post("/api/pictures", content=jpeg(picture)).json()["id"]
        question = asking(columns=[0, 1], picture=id)
        assert len(panels(events(client.post("/api/explanations", json=question).text))) == 2


def test_mounted_in_another_app(app):
    from fastapi import FastAPI

    outer = FastAPI()
    outer.mount("/explorer", app)
    with TestClient(outer, base_url="http://localhost") as client:
        page = Page(client.get("/explorer/").text)
        for part in [a["src"] for tag, a in page.tags if tag == "script"]:
            assert client.get(urljoin("/explorer/", part)).status_code == 200
        assert client.get("/explorer/api/about").json()["items"] == 30


def test_checkpoints_of_different_shops(shop, load, tmp_path):
    from dataclasses import replace

    from zoo import make_checkpoint

    drawn = make_checkpoint(load("open_clip-vit"), n_items=3)
    with pytest.raises(BecamError, match="no item in common"):
        create_app([shop.plain, replace(drawn, item_ids=["a", "b", "c"])])
    with pytest.raises(BecamError, match="no item that the checkpoints know"):
        create_app(replace(drawn, item_ids=["a", "b", "c"]), shop.dataset)


def test_declared_methods_need_what_they_say(shop, monkeypatch):
    """Against the methods themselves, with the libraries taken away."""
    for library in ("captum", "captum.attr", "pytorch_grad_cam"):
        monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr("becam.explorer.choices.find_spec", lambda name: None)
    said = {choice["name"]: choice["missing"] for choice in method_choices()}
    assert list(said) == list(METHODS)
    explainer = Explainer(shop.plain, randomise=False)
    for name in METHODS:
        method = create_method(name, {"masks": 2} if name == "rise" else {})
        needing = pytest.raises(BecamError, match=r"becam\[methods\]")
        with needing if said[name] else nullcontext():
            explainer.using(method=method).explain(shop.dataset.image_path(7), ITEM)


@pytest.fixture
def held(shop, monkeypatch):
    """A server whose encoder waits at a gate, with little room in its queue."""
    app = create_app(shop.checkpoints, shop.dataset, work=Work(waiting=2, each=2), batch_size=4)
    gate = Gate(app, monkeypatch)
    with served(app) as url:
        yield url, gate
        gate.open()


def test_it_answers_while_it_encodes(held):
    url, gate = held
    busy = Streaming(url, "a")
    gate.begun(1)
    for path in ("/health", "/", "/api/about", "/api/items?query=red", "/api/items/7/thumbnail"):
        start = time.monotonic()
        assert httpx.get(url + path).status_code == 200
        assert time.monotonic() - start < 2
    gate.open()
    assert busy.events()[-1].name == "done"


def test_the_queue_is_bounded_and_fair(held):
    url, gate = held
    first = Streaming(url, "a", item="0010")
    gate.begun(1)
    second = Streaming(url, "a", item="0011")
    assert second.started.wait(20)
    post = lambda owner: httpx.post(  # noqa: E731
        f"{url}/api/explanations", json=asking(), headers={"X-Becam-Client": owner}
    )
    answer = post("a")
    refused(answer, 429, "2 of your requests are not done yet")
    assert int(answer.headers["retry-after"]) > 0
    other = Streaming(url, "b", item="0012")
    assert other.started.wait(20)
    answer = post("c")
    refused(answer, 503, "2 requests are waiting")
    assert int(answer.headers["retry-after"]) > 0
    gate.open()
    for one, item in ((first, "0010"), (second, "0011"), (other, "0012")):
        found = one.events()
        assert found[-1].name == "done"
        assert {e.target for e in found if e.name == "panel"} == {f"item {item}"}
    # The second of one owner comes after the first of another.
    assert other.seconds < second.seconds
    assert ("waiting", 1) in [(e.name, getattr(e, "ahead", None)) for e in other.events()]
    assert post("c").status_code == 200


def test_whoever_leaves_is_not_served(held, shop):
    url, gate = held
    with httpx.stream("POST", f"{url}/api/explanations", json=asking(), timeout=60) as response:
        pieces = response.iter_text()  # leaves when it is let go
        next(pieces)
        gate.begun(1)
    time.sleep(0.5)  # the server sees the connection close
    gate.open()
    exact = [{"name": "becam", "options": {"budget": 12}}]
    after = panels(Streaming(url, "b", methods=exact).events())
    # One batch of the first client, then three of the second: nothing half done was kept.
    assert gate.batches == 1 + 3
    expected = Explainer(
        shop.checkpoints, method_options={"budget": 12}, randomise=False, batch_size=4
    )
    plain, _ = expected.explain(shop.dataset.image_path(7), ITEM)
    assert decoded(after[0, 0].map) == pytest.approx(plain.raw, abs=1e-4)


def test_whoever_leaves_the_queue_makes_room(held):
    url, gate = held
    first = Streaming(url, "a")
    gate.begun(1)
    with httpx.stream(
        "POST", f"{url}/api/explanations", json=asking(item="0013"), timeout=60
    ) as response:
        pieces = response.iter_text()
        next(pieces)
    gate.open()
    assert first.events()[-1].name == "done"
    assert gate.batches == 2  # the one that left was never begun


def test_an_error_of_ours_is_a_sentence(shop, monkeypatch):
    app = create_app(shop.plain, shop.dataset)
    monkeypatch.setattr("becam.explorer.studio.nearest_items", lambda *_: [][0], raising=True)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        found = events(client.post("/api/explanations", json=asking(columns=[0])).text)
        assert panels(found)[0, 0].sentence.startswith("An error in becam itself (IndexError)")
        monkeypatch.undo()
        monkeypatch.setattr("becam.explorer.explorer.panel", lambda *_: [][0])
        found = events(client.post("/api/explanations", json=asking(columns=[0])).text)
        assert found[-1].name == "failed"
        assert found[-1].sentence.startswith("An error in becam itself (IndexError)")
        monkeypatch.undo()
        found = events(client.post("/api/explanations", json=asking(columns=[0])).text)
        assert found[-1].name == "done"
        assert "map" in vars(panels(found)[0, 0])


def test_a_control_that_fails_leaves_its_map(shop, monkeypatch):
    def broken(*_):
        raise RuntimeError

    app = create_app(shop.plain, shop.dataset)
    monkeypatch.setattr("becam.attribution.view.shuffled", broken)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        question = asking(columns=[0], shuffled=True)
        panel = panels(events(client.post("/api/explanations", json=question).text))[0, 0]
    assert panel.problem.startswith("An error in becam itself (RuntimeError)")
    assert panel.controls["correlation_randomised"] is None
    assert "map" in vars(panel)


def test_the_guard_lets_other_protocols_through():
    seen = []

    async def inner(scope, receive, send):
        seen.append(scope["type"])

    run_apart(Guard(inner, Hosts())({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]
