"""Whatever is asked of the explorer, by every route: an answer or a sentence, and no traceback."""

from __future__ import annotations

import json
import logging
import math
import socket
import time

import pytest
from explored import events, jpeg, served, without_lifespan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

pytest.importorskip("fastapi", reason="the extra becam[serve] is not installed")
httpx = pytest.importorskip("httpx", reason="Starlette's test client needs httpx")

from starlette.testclient import TestClient  # noqa: E402

from becam.attribution.methods import METHODS  # noqa: E402
from becam.explorer import limits  # noqa: E402
from becam.explorer.app import create_app  # noqa: E402
from becam.options import declared_options  # noqa: E402

ITEM = "0007"
QUICK = {"name": "becam", "options": {"budget": 4}}
REFUSED = (400, 403, 404, 405, 408, 410, 413, 414, 422, 429, 503)


@pytest.fixture(scope="module")
def app(shop):
    return create_app(shop.checkpoints, shop.dataset, batch_size=4)


@pytest.fixture(scope="module")
def client(app):
    """Errors of the server are raised in the tests."""
    with TestClient(app, base_url="http://127.0.0.1:8420") as client:
        yield client


@pytest.fixture(autouse=True)
def no_traceback(caplog, capfd):
    """Nothing that happened is told in the log as an error."""
    yield
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []
    assert "Traceback" not in "".join(capfd.readouterr())


def spoken(response):
    """An answer, or a refusal in one sentence."""
    if response.status_code < 400:
        return
    assert response.status_code in REFUSED, (response.status_code, response.text)
    assert "Traceback" not in response.text
    if response.request.method != "HEAD":
        sentence = response.json()["detail"]
        assert sentence.endswith(".")
        assert len(sentence) < 2000


odd = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["..", "../..", "%2e%2e%2f", "%00", "\0", "-1", "1e9", "0x10", "½", "1_0"]),
    st.sampled_from(["NaN", "inf", " ", "\ud800", "🙂", "'\";--", "<b>", "{}", "null", ""]),
    st.sampled_from(["9" * 400, "9" * 5000, "a" * 30_000]),
)
paths = st.one_of(
    st.sampled_from(["/", "/health", "/page/main.js", "/api/about", "/api/items", "/api/item"])
    | st.sampled_from(["/api/items/random", "/api/users", "/api/pictures", "/api/explanations"]),
    st.builds("/api/items/{}/{}".format, odd, st.sampled_from(["picture", "thumbnail", "x"])),
    st.builds("/api/pictures/{}".format, odd),
    st.builds("/api/answers/{}/{}".format, odd, odd | st.just("sheet.png")),
    st.builds("/page/{}".format, odd),
    st.builds("/{}".format, odd),
)
ways = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "X"])
named = st.sampled_from(["query", "id", "item", "name", "user", "x"])


def quoted(text):
    from urllib.parse import quote

    return quote(text, safe="/.%", errors="surrogatepass")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    way=ways,
    path=paths,
    query=st.dictionaries(named, odd, max_size=3),
    kind=st.sampled_from(["application/json", "multipart/form-data; boundary=x", "text/xml", ""])
    | st.just("multipart/form-data"),
    client_name=odd,
    body=st.binary(max_size=300),
)
def test_any_route_with_anything(client, way, path, query, kind, client_name, body):
    asked = "&".join(f"{key}={quoted(value)}" for key, value in query.items())
    raw = {"content-type": kind, "x-becam-client": client_name.encode("utf-8", "surrogatepass")}
    try:
        response = client.request(way, f"{quoted(path)}?{asked}", headers=raw, content=body)
    except Exception as error:
        # What the client itself refuses to send; which library it is depends on Starlette.
        if type(error).__name__ in ("InvalidURL", "LocalProtocolError"):
            return
        raise
    spoken(response)


numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([2**31, 2**63, 2**64, 10**9, 10**30, -(10**30), 10**400, 1e308, -1e308, 0.5])
    | st.sampled_from([math.nan, math.inf, -math.inf]),
)
plain = st.one_of(st.none(), st.booleans(), numbers, odd)
anything = st.recursive(
    plain, lambda one: st.lists(one, max_size=3) | st.dictionaries(odd, one, max_size=3)
)
OPTIONS = sorted({name for method in METHODS.values() for name in declared_options(method)})


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["picture", "target", "item", "user", "text", "columns", "methods"])
        | st.sampled_from(["space", "shuffled", "unknown"]),
        anything,
        max_size=3,
    ),
    st.sampled_from(sorted(METHODS)) | odd,
    st.dictionaries(st.sampled_from(OPTIONS) | odd, plain, min_size=1, max_size=2),
)
def test_any_question(client, changes, method, options):
    """None of them gets past the checks but those that could be answered."""
    asked = {"item": ITEM, "columns": [0], "shuffled": False}
    asked["methods"] = [{"name": method, "options": options}]
    body = json.dumps(asked | changes).encode("utf-8", "replace")
    if any(type(v) is int and 0 < v <= limits.most_of_option(k) for k, v in options.items()):
        return  # may be answered, and takes its time
    begin = time.monotonic()
    response = client.post("/api/explanations", content=body)
    spoken(response)
    assert time.monotonic() - begin < 20
    assert "An error in becam itself" not in response.text


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"item":' * 7000,
        b'{"columns":[' + b"0," * 20_000 + b"0]}",
        b'{"methods":[' + b"{}," * 20_000 + b"{}]}",
        b'{"item":"0007","item":"0008"}',
        b'{"columns":[1e400]}',
        b'{"columns":[NaN]}',
        b'{"columns":[' + b"9" * 50_000 + b"]}",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b'"' + b"\\ud800" * 9000 + b'"',
        b"\0" * 1000,
        b"9" * 60_000,
    ],
)
def test_bodies_that_no_parser_likes(client, body):
    response = client.post("/api/explanations", content=body)
    assert response.status_code == 422
    spoken(response)


@pytest.mark.parametrize(
    ("method", "option"),
    [(name, option) for name, kind in METHODS.items() for option in declared_options(kind)],
)
def test_every_number_of_every_method_has_a_bound(client, method, option):
    declared = declared_options(METHODS[method])[option]
    if declared.kind not in (int, float):
        pytest.skip("not a number")
    (offered,) = [
        one["most"]
        for choice in client.get("/api/about").json()["methods"]
        for one in choice["options"]
        if (choice["name"], one["name"]) == (method, option)
    ]
    assert offered <= limits.most_of_option(option)
    for value in (10**9, 10**30, 1e308, "1e9", "9999999999/3", offered * 1.01 + 1):
        question = {"item": ITEM, "columns": [0], "methods": [{"name": method}]}
        question["methods"][0]["options"] = {option: value}
        begin = time.monotonic()
        response = client.post("/api/explanations", json=question)
        assert response.status_code == 422
        spoken(response)
        assert declared.note.bounds.most <= 1 or "in the explorer" in response.json()["detail"]
        assert time.monotonic() - begin < 3


def test_more_than_a_question_may_have(client):
    base = {"item": ITEM, "columns": [0], "methods": [QUICK]}
    for changes in (
        {"columns": [0] * (limits.COLUMNS + 1)},
        {"methods": [QUICK] * (limits.METHODS + 1)},
        {"methods": [{"name": "x" * 101}]},
        {"methods": [{"name": "becam", "options": {"weighting": "x" * 101}}]},
        {"methods": [{"name": "becam", "options": {str(i): 1 for i in range(17)}}]},
        {"text": "x" * 2001, "target": "text"},
        {"item": "x" * 50_001},
        {"picture": "x" * 101},
    ):
        response = client.post("/api/explanations", json=base | changes)
        assert response.status_code == 422, changes
        spoken(response)


RAW = [
    b"GET / HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: {host}\r\n\r\n",
    b"GET http://evil.com/ HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"GET //evil.com/%2e%2e HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"GET /\x00 HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"GET /%ff%fe HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"GET /api/item?id=%ff%ed%a0%80 HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: {host}\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: {host}\r\n" + b"X: x\r\n" * 20_000 + b"\r\n",
    b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    b"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    b"POST /api/explanations HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /api/explanations HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"POST /api/explanations HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Length: 3\r\n\r\n3\r\n{}\n\r\n0\r\n\r\n",
    b"POST /api/explanations HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\nContent-Length: 3"
    b"\r\n\r\n{}\n",
    b"POST /api/explanations HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\n"
    b"Content-Length: 2\r\n\r\n{}",
    b"POST /api/explanations HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\n{}" * 20,
    b"POST /api/explanations HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"8000\r\n" + b" " * 0x8000 + b"\r\n" + b"8000\r\n" + b" " * 0x8000 + b"\r\n",
    b"POST /health HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(RAW)))
def test_what_is_hardly_http(app, number, caplog):
    with served(without_lifespan(app)) as url:
        host = url.removeprefix("http://")
        name, port = host.split(":")
        with socket.create_connection((name, int(port)), timeout=10) as connection:
            connection.sendall(RAW[number].replace(b"{host}", host.encode()))
            connection.settimeout(8)
            said = b""
            while b"\r\n\r\n" not in said.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n"):
                piece = connection.recv(65536)
                if not piece:
                    break
                said += piece
        lines = [line for line in said.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
        status = int(lines[-1].split()[1])
        assert status == 200 or status in REFUSED, said[:500]
        assert httpx.get(f"{url}/health").status_code == 200


def test_whoever_hangs_up_in_the_middle_of_an_answer(app, caplog, capfd):
    """Of the page, of a download, and of events."""
    question = {"item": ITEM, "columns": [0, 1, 2], "methods": [QUICK], "shuffled": True}
    with served(without_lifespan(app)) as url:
        for way, path, body in (
            ("GET", "/api/about", None),
            ("GET", "/api/items/7/picture", None),
            ("POST", "/api/explanations", question),
        ):
            for _ in range(3):
                with httpx.stream(way, url + path, json=body, timeout=20) as response:
                    assert response.status_code == 200
        done = httpx.post(f"{url}/api/explanations", json=question, timeout=60)
        assert events(done.text)[-1].name == "done"


def test_an_upload_in_a_form_is_no_picture(client, picture):
    """The page sends files as they are; a form with thousands of parts is one body among others."""
    part = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a.jpg"\r\n\r\n'
    for data in (part + jpeg(picture) + b"\r\n--x--\r\n", (part + b"\r\n") * 20_000):
        answer = client.post(
            "/api/pictures",
            content=data,
            headers={"content-type": "multipart/form-data; boundary=x"},
        )
        assert answer.status_code == 422
        assert "not a picture" in answer.json()["detail"]


@pytest.mark.parametrize("size", [(1, 45_000), (45_000, 1), (90_000, 1), (1, 1), (3, 500_000)])
def test_thin_pictures(client, size, tmp_path):
    path = tmp_path / "thin.png"
    Image.new("L", size, 77).save(path)
    answer = client.post("/api/pictures", content=path.read_bytes())
    assert answer.status_code == 200
    assert (answer.json()["width"], answer.json()["height"]) == size


@pytest.mark.parametrize("size", [(1, 45_000), (45_000, 1), (3, 1), (1, 1)])
def test_maps_and_sheets_of_thin_pictures(client, size, tmp_path):
    path = tmp_path / "thin.png"
    Image.new("RGB", size, "teal").save(path)
    id = client.post("/api/pictures", content=path.read_bytes()).json()["id"]
    question = {"item": ITEM, "picture": id, "columns": [0], "methods": [QUICK]}
    found = events(client.post("/api/explanations", json=question).text)
    assert found[-1].name == "done"
    for file in ("sheet.png", "maps.zip", "numbers.json"):
        assert client.get(f"/api/answers/{found[-1].answer}/{file}").status_code == 200
