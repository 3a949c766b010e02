"""Uploads that are meant to harm: stalled, endless, abandoned, and pictures that break decoders."""

from __future__ import annotations

import asyncio
import io
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import numpy as np
import pytest
from explored import jpeg, served, without_lifespan
from PIL import Image, ImageCms
from processes import alive, children

pytest.importorskip("fastapi", reason="the extra becam[serve] is not installed")
httpx = pytest.importorskip("httpx", reason="Starlette's test client needs httpx")

from becam.encoders.preprocessing import Preprocessing  # noqa: E402
from becam.explorer import decoders, limits  # noqa: E402
from becam.explorer.app import create_app  # noqa: E402
from becam.explorer.decoders import Decoders, Source  # noqa: E402
from becam.explorer.refusal import Refusal  # noqa: E402
from becam.images import read_image  # noqa: E402


@pytest.fixture
def app(shop):
    app = create_app(shop.plain, shop.dataset, batch_size=4)
    yield app
    app.state.explorer.close()


@pytest.fixture
def url(app):
    with served(without_lifespan(app)) as url:
        yield url


@contextmanager
def begun(url, body=b"", *, length=1000, path="/api/pictures"):
    """An upload of which no more comes than ``body``."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {length}\r\n\r\n"
        connection.sendall(head.encode() + body)
        yield connection


def answered(connection):
    """Status of what comes back, and the rest."""
    connection.settimeout(20)
    said = b""
    # Whoever still sends to a connection that was closed is reset.
    with suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            said += piece
    return int(said.split(b" ", 2)[1]), said


def test_stalled_uploads_keep_nobody_waiting(app, url, picture):
    stalled = [begun(url, b"x" * 400) for _ in range(30)]
    connections = [one.__enter__() for one in stalled]
    try:
        deadline = time.monotonic() + 10
        while app.state.explorer.intake.taken < 30 * 400 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert app.state.explorer.intake.taken == 30 * 400
        begin = time.monotonic()
        assert httpx.post(f"{url}/api/pictures", content=jpeg(picture), timeout=20).is_success
        assert httpx.get(f"{url}/api/items/7/picture", timeout=20).is_success
        assert time.monotonic() - begin < limits.SILENCE_SECONDS
        for connection in connections:
            status, said = answered(connection)
            assert status == 408
            assert b"arrives too slowly" in said
        assert app.state.explorer.intake.taken == 0
    finally:
        for one in stalled:
            one.__exit__(None, None, None)


def test_a_trickle_is_not_waited_for(url, monkeypatch):
    """A byte now and then is no silence, but it is too slow."""
    monkeypatch.setattr(limits, "SILENCE_SECONDS", 1.0)
    with begun(url, length=10_000) as connection:
        begin = time.monotonic()
        done = threading.Event()

        def trickle():
            while not done.wait(0.2):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            assert answered(connection)[0] == 408
        finally:
            done.set()
            thread.join()
        assert 0.9 < time.monotonic() - begin < 4


def test_all_that_is_on_its_way_is_bounded(app, url, picture, monkeypatch):
    monkeypatch.setattr(limits, "ARRIVING_BYTES", 100_000)
    with begun(url, b"x" * 90_000, length=95_000):
        deadline = time.monotonic() + 10
        while app.state.explorer.intake.taken < 90_000 and time.monotonic() < deadline:
            time.sleep(0.01)
        answer = httpx.post(f"{url}/api/pictures", content=bytes(20_000))
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "in a moment" in answer.json()["detail"]
    deadline = time.monotonic() + 10
    while app.state.explorer.intake.taken and time.monotonic() < deadline:
        time.sleep(0.01)
    assert httpx.post(f"{url}/api/pictures", content=jpeg(picture)).status_code == 200


@pytest.mark.parametrize("path", ["/api/pictures", "/api/explanations"])
def test_whoever_leaves_half_way_leaves_nothing(app, url, path, picture, capfd, caplog):
    for count in (0, 1, 500):
        with begun(url, b"x" * count, path=path):
            time.sleep(0.05)
    # A whole picture whose sender does not wait for the answer.
    with begun(url, jpeg(picture), length=len(jpeg(picture)), path=path) as connection:
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    deadline = time.monotonic() + 10
    while app.state.explorer.intake.taken and time.monotonic() < deadline:
        time.sleep(0.01)
    assert httpx.get(f"{url}/health").status_code == 200
    assert app.state.explorer.intake.taken == 0
    assert len(app.state.explorer.uploads._things) == 0
    said = "".join(capfd.readouterr()) + caplog.text
    assert "Traceback" not in said
    assert "Exception" not in said


def test_lengths_that_lie(url, picture):
    data = jpeg(picture)
    for length, status in ((10**15, 413), (len(data) // 2, 422)):
        with begun(url, data, length=length) as connection:
            assert answered(connection)[0] == status
    for length in ("-1", "1e3", "0x10", "five", "9" * 30, "9" * 5000, "10, 11"):
        with begun(url, b"x" * 10, length=length) as connection:
            assert 400 <= answered(connection)[0] < 500
    assert httpx.get(f"{url}/health").status_code == 200


@pytest.fixture
def unruly(monkeypatch):
    """Decoders that hang, die, take all memory, or talk; see tests/unruly_decoding.py."""
    monkeypatch.setattr(decoders, "_MODULE", "unruly_decoding")
    monkeypatch.setattr(limits, "DECODE_SECONDS", 3.0)


def test_a_decoder_that_hangs_stops_nobody(unruly, app, url, picture):
    explorer = app.state.explorer
    assert httpx.post(f"{url}/api/pictures", content=jpeg(picture), timeout=20).is_success
    with ThreadPoolExecutor(1) as pool:
        begin = time.monotonic()
        hung = pool.submit(httpx.post, f"{url}/api/pictures", content=b"LOOP", timeout=30)
        time.sleep(0.3)
        served_meanwhile = 0
        for _ in range(3):
            assert httpx.post(f"{url}/api/pictures", content=jpeg(picture), timeout=20).is_success
            assert httpx.get(f"{url}/api/items/7/picture", timeout=20).is_success
            served_meanwhile += not hung.done()
        assert served_meanwhile
        refused = hung.result()
        assert refused.status_code == 422
        assert "took longer than 3 s" in refused.json()["detail"]
        assert time.monotonic() - begin < 20
    # Both processes for uploads hang, and both are replaced.
    with ThreadPoolExecutor(2) as pool:
        posts = [
            pool.submit(httpx.post, f"{url}/api/pictures", content=b"LOOP", timeout=30)
            for _ in range(2)
        ]
        time.sleep(0.3)
        assert httpx.get(f"{url}/api/items/8/thumbnail", timeout=20).is_success
        assert [post.result().status_code for post in posts] == [422, 422]
    assert httpx.post(f"{url}/api/pictures", content=jpeg(picture), timeout=20).is_success
    assert len(explorer.uploads._things) == 5


@pytest.mark.parametrize(
    ("start", "said"), [(b"DIES", "the decoder failed"), (b"EATS", "memory"), (b"CHAT", "")]
)
def test_a_decoder_that_fails_is_replaced(unruly, app, url, picture, start, said):
    for _ in range(2):
        answer = httpx.post(f"{url}/api/pictures", content=start, timeout=20)
        assert answer.status_code == 422
        assert said in answer.json()["detail"]
        assert answer.json()["detail"].endswith(".")
        assert httpx.post(f"{url}/api/pictures", content=jpeg(picture), timeout=20).is_success


def test_closing_ends_the_processes_at_once(unruly):
    import os

    before = set(children(os.getpid()))
    made = Decoders()
    hung = [made.show(Source("The file", 1000, b"LOOP"), 100) for _ in range(4)]
    time.sleep(1)
    mine = set(children(os.getpid())) - before
    assert len(mine) == 2
    begin = time.monotonic()
    made.close()
    assert time.monotonic() - begin < 2
    assert not any(map(alive, mine))
    for one in hung:
        with pytest.raises((Refusal, asyncio.CancelledError, BaseException)):
            one.result(5)
    with pytest.raises(Refusal, match="ending"):
        made.show(Source("The file", 1000, b"x"), 100)


def test_who_asks_for_too_much_is_told_to_wait(unruly, monkeypatch):
    monkeypatch.setattr(limits, "DECODES_WAITING", 3)
    made = Decoders()
    try:
        for _ in range(3):
            made.show(Source("The file", 1000, b"LOOP"), 100)
        with pytest.raises(Refusal, match="try again") as refused:
            made.show(Source("The file", 1000, b"x"), 100)
        assert refused.value.status == 503
    finally:
        made.close()


@pytest.fixture(scope="module")
def reading():
    made = Decoders()
    yield made
    made.close()


def pictures():
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (90, 131, 4), dtype=np.uint8), "RGBA")
    large = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize((2500, 1900))
    exif = Image.Exif()
    exif[0x0112] = 8
    yield "PNG", noise, {}
    yield "PNG", noise.convert("P"), {}
    yield "PNG", Image.fromarray(rng.integers(0, 65536, (40, 50), dtype=np.uint16)), {}
    yield "JPEG", noise.convert("CMYK"), {}
    yield "JPEG", noise.convert("RGB"), {"exif": exif}
    yield "JPEG", large, {"exif": exif}
    yield "GIF", noise, {"save_all": True, "append_images": [noise.rotate(90)]}
    yield "WEBP", Image.new("RGB", (1, 16000), "red"), {}
    yield "PNG", Image.new("RGB", (45_000, 1), "red"), {}
    yield "PNG", Image.new("1", (1, 1)), {}


@pytest.mark.parametrize("kind", range(10))
@pytest.mark.parametrize("icc", ["convert", "ignore"])
def test_pictures_are_those_of_the_library(reading, tmp_path, kind, icc):
    form, picture, options = list(pictures())[kind]
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    stream = io.BytesIO()
    picture.save(stream, form, icc_profile=profile, **options)
    path = tmp_path / "x"
    path.write_bytes(stream.getvalue())
    expected = read_image(path, icc=icc)
    means = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    for source in (
        Source("The file", limits.UPLOAD_PIXELS, stream.getvalue(), icc=icc),
        Source("The file", limits.ITEM_PIXELS, path=path, icc=icc),
    ):
        for mode in ("shortest", "longest", "squash"):
            way = Preprocessing(size=(64, 96), resize_mode=mode, crop_pct=0.9, **means)
            cropped, geometry = reading.crop(source, way)
            made, where = way.crop(expected)
            assert cropped.tobytes() == made.tobytes()
            assert geometry == where
        if max(expected.size) <= 500:
            assert reading.read(source, 500).tobytes() == expected.tobytes()
        shown = reading.show(source, 100).result()
        assert (shown.width, shown.height) == expected.size
        with Image.open(io.BytesIO(shown.data)) as small:
            assert max(small.size) == min(100, max(expected.size))


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n{} loop\n%%EOF\n"


@pytest.mark.parametrize(
    "data",
    [
        EPS,
        struct.pack("<4sIIIIIII", b"\xc5\xd0\xd3\xc6", 32, len(EPS), 0, 0, 0, 0, 0) + EPS,
        b"\xd7\xcd\xc6\x9a" + bytes(100),
        b"%PDF-1.4\n",
        b"8BPS\0\1" + bytes(100),
        b"SIMPLE  =                    T" + bytes(3000),
        b"icns" + bytes(100),
        b"\0\0\1\0\1\0" + bytes(100),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
)
def test_no_other_program_draws_an_upload(url, data, monkeypatch, tmp_path):
    """Ghostscript, were it called, would leave a trace."""
    trace = tmp_path / "called"
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {trace}\nsleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    begin = time.monotonic()
    answer = httpx.post(f"{url}/api/pictures", content=data, timeout=20)
    assert answer.status_code == 422
    assert "not a picture" in answer.json()["detail"]
    assert time.monotonic() - begin < 10
    assert not trace.exists()


def test_a_picture_that_takes_too_much_memory_to_be_read(monkeypatch):
    """Of a few bytes; the process that would take it says so, and goes on."""
    monkeypatch.setattr(limits, "DECODE_BYTES", 64 << 20)
    stream = io.BytesIO()
    Image.new("L", (5000, 5000)).save(stream, "PNG")
    made = Decoders()
    try:
        with pytest.raises(Refusal, match=r"memory.*scale the picture down"):
            made.show(Source("The file", limits.UPLOAD_PIXELS, stream.getvalue()), 100).result()
        small = Source("The file", limits.UPLOAD_PIXELS, jpeg(Image.new("RGB", (9, 9))))
        assert made.show(small, 100).result().width == 9
    finally:
        made.close()
