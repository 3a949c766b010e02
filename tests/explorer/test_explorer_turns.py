"""Fair turns: a quick question is not kept waiting by a slow one, and maps stay what they are."""

from __future__ import annotations

import io
import threading
import time
import zipfile

import numpy as np
import pytest
from explored import Gate, Streaming, events, served

from becam import Explainer, Heatmap

pytest.importorskip("fastapi", reason="the extra becam[serve] is not installed")
httpx = pytest.importorskip("httpx", reason="Starlette's test client needs httpx")

from becam.explorer.app import create_app  # noqa: E402

SLOW = {"name": "rise", "options": {"masks": 4000}}
QUICK = {"name": "becam", "options": {"budget": 12}}


@pytest.fixture
def app(shop):
    return create_app(shop.checkpoints, shop.dataset, batch_size=4)


def kept(url, answer, folder):
    """The maps of an answer, to the last bit."""
    data = httpx.get(f"{url}/api/answers/{answer}/maps.zip", timeout=60).content
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(folder)
    return [Heatmap.load(path) for path in sorted(folder.glob("*.npz"))]


@pytest.mark.parametrize("item", ["0007", "0008"])
def test_quick_beside_slow(app, shop, tmp_path, item):
    """On another picture, and on the very one whose encoding is half done."""
    with served(app) as url:
        slow = Streaming(url, "slow", item="0007", methods=[SLOW])
        assert slow.started.wait(20)
        slow.wait('"done":4,')
        begin = time.monotonic()
        quick = Streaming(url, "quick", item=item, methods=[QUICK])
        found = quick.events()
        seconds = time.monotonic() - begin
        assert found[-1].name == "done"
        assert '"done":4000,' not in slow.text  # the slow one goes on
        assert seconds < 20
        maps = kept(url, found[-1].answer, tmp_path)
    expected = Explainer(
        shop.checkpoints,
        no_adapter=True,
        randomise=False,
        method_options={"budget": 12},
        batch_size=4,
    ).explain(shop.dataset.image_path(int(item)), item)
    for one, heatmap in zip(maps, expected, strict=True):
        assert np.array_equal(one.raw, heatmap.raw)
        assert np.array_equal(one.weights, heatmap.weights)


def test_batches_of_many_questions_alternate(app, shop, tmp_path, monkeypatch):
    """Five users, one batch each in turn; every map is what it would be alone."""
    gate = Gate(app, monkeypatch)
    methods = [
        {"name": "becam", "options": {"budget": 12}},
        {"name": "becam", "options": {"budget": 0}},
        {"name": "becam", "options": {"tolerance": 0.01}},
        {"name": "score-cam", "options": {}},
        {"name": "rise", "options": {"masks": 30}},
    ]
    with served(app) as url:
        asked = []
        for number, method in enumerate(methods):
            asked.append(Streaming(url, str(number), methods=[method], shuffled=True))
            assert asked[-1].started.wait(20)
        gate.begun(1)
        gate.open()
        ended = [one.events() for one in asked]
        for number, (found, method) in enumerate(zip(ended, methods, strict=True)):
            assert found[-1].name == "done"
            expected = Explainer(
                shop.checkpoints,
                no_adapter=True,
                method=method["name"],
                method_options=method["options"],
                batch_size=4,
            ).explain(shop.dataset.image_path(7), "0007")
            folder = tmp_path / str(number)
            folder.mkdir()
            for one, heatmap in zip(kept(url, found[-1].answer, folder), expected, strict=True):
                assert np.array_equal(one.raw, heatmap.raw), method
                assert one.controls == heatmap.controls


def test_whoever_leaves_takes_no_more_turns(app, monkeypatch):
    with served(app) as url:
        question = {"item": "0007", "columns": [0], "methods": [SLOW], "shuffled": False}
        threads = threading.active_count()
        for _ in range(5):
            with httpx.stream("POST", f"{url}/api/explanations", json=question, timeout=60) as got:
                next(got.iter_text())
        quick = Streaming(url, "quick", methods=[QUICK])
        assert quick.events()[-1].name == "done"
        deadline = time.monotonic() + 10
        work = app.state.explorer.work
        while (work._turns or work._running) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not work._turns
        assert threading.active_count() <= threads + 8  # those of the server alone


def test_closing_ends_questions_that_rest(app):
    with served(app) as url:
        slow = [Streaming(url, str(n), methods=[SLOW], item=f"{n + 7:04d}") for n in range(3)]
        for one in slow:
            assert one.started.wait(20)
            one.wait('"done":4,')
        begin = time.monotonic()
        app.state.explorer.close()
        assert time.monotonic() - begin < 2
        for one in slow:
            one.join(10)
            assert events(one.text)[-1].name == "progress"
