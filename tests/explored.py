"""The explorer on a port of its own: a small shop, a server, and a held encoder."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import numpy as np
from PIL import Image

ITEM = "0007"
QUICK = {"name": "becam", "options": {"budget": 8}}


def asking(**changes):
    """A question of all columns for an item's own picture."""
    return {"item": ITEM, "columns": [0, 1, 2], "methods": [QUICK], "shuffled": False} | changes


@contextmanager
def served(app):
    """An app on a port of its own, as a base address."""
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def without_lifespan(app):
    """An app whose queue does not end with its server: several servers share it."""

    async def inner(scope, receive, send):
        if scope["type"] != "lifespan":
            await app(scope, receive, send)

    return inner


def run_apart(coroutine):
    """What a coroutine gives, run in a thread: Playwright keeps a loop in that of the tests."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


class Gate:
    """Holds an app's encoder before each batch until it is let through.

    Attributes:
        batches: how many have begun.
    """

    def __init__(self, app, monkeypatch) -> None:
        self.batches = 0
        self._open = threading.Event()
        self._begun = threading.Condition()
        for engine in app.state.explorer.explainer.engines.values():
            self._hold(engine.fast, monkeypatch)

    def _hold(self, fast, monkeypatch) -> None:
        original = fast.encode_patches

        def held(patches):
            with self._begun:
                self.batches += 1
                self._begun.notify_all()
            assert self._open.wait(30)
            return original(patches)

        monkeypatch.setattr(fast, "encode_patches", held)

    def begun(self, batches: int) -> None:
        """Wait for the beginning of that many."""
        with self._begun:
            assert self._begun.wait_for(lambda: self.batches >= batches, 30)

    def open(self) -> None:
        self._open.set()


def jpeg(picture: Image.Image, **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=92, **options)
    return stream.getvalue()


def events(text: str) -> list[SimpleNamespace]:
    """Server-sent events, taken apart as the standard says."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")
        )
        if fields:
            found.append(SimpleNamespace(name=fields["event"], **json.loads(fields["data"])))
    return found


def decoded(encoded) -> np.ndarray:
    """A map as the page gets it."""
    levels = np.frombuffer(base64.b64decode(encoded["data"]), "<u2").astype(np.float64) / 65535
    values = encoded["low"] + levels * (encoded["high"] - encoded["low"])
    return values.reshape(encoded["rows"], encoded["columns"])


class Streaming(threading.Thread):
    """A client that reads events in a thread of its own."""

    def __init__(self, url, owner, **changes):
        super().__init__(daemon=True)
        self.url, self.owner, self.question = url, owner, asking(**changes)
        self.text, self.status, self.seconds = "", None, None
        self.started = threading.Event()
        self.start()

    def run(self):
        import httpx

        headers = {"X-Becam-Client": self.owner}
        begin = time.monotonic()
        with httpx.stream(
            "POST", f"{self.url}/api/explanations", json=self.question, headers=headers, timeout=60
        ) as response:
            self.status = response.status_code
            self.started.set()
            with suppress(httpx.RemoteProtocolError):  # the server has ended
                for piece in response.iter_text():
                    self.text += piece
        self.seconds = time.monotonic() - begin

    def wait(self, said):
        """Until that has come."""
        deadline = time.monotonic() + 30
        while said not in self.text:
            assert time.monotonic() < deadline, self.text[-300:]
            time.sleep(0.01)

    def events(self):
        self.join(60)
        return events(self.text)
