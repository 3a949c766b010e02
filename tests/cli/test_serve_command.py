"""``becam serve`` as a user meets it: it starts, says where, and ends at once."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from PIL import Image
from processes import alive, children
from sentences import one_sentence
from zoo import make_checkpoint

from becam.errors import BecamError

pytest.importorskip("fastapi", reason="the extra becam[serve] is not installed")
pytest.importorskip("uvicorn", reason="the extra becam[serve] is not installed")
httpx = pytest.importorskip("httpx")


@pytest.fixture(scope="module")
def checkpoint(load, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "befa.pt"
    make_checkpoint(load("becam-vit"), adapter="befa").save(path)
    return path


def started(checkpoint, *more, **environment):
    """A process that serves, and the address that it says."""
    process = subprocess.Popen(
        [sys.executable, "-m", "becam", "serve", str(checkpoint), "--port", "0", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    said = ""
    while "Ctrl-C" not in said:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        said += line
    return process, said, re.search(r"http://\S+/", said)[0]


def test_it_serves_and_ends_at_once(checkpoint, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process, said, url = started(checkpoint, TMPDIR=str(scratch))
    try:
        assert url.startswith("http://127.0.0.1:")
        assert "no adapter" in said
        assert "30 items" in said
        with urllib.request.urlopen(f"{url}health") as response:
            assert response.status == 200
        # Work that has a while to go, and a client that stays to the end.
        picture = tmp_path / "x.png"
        Image.effect_noise((64, 64), 60).convert("RGB").save(picture)
        id = httpx.post(f"{url}api/pictures", content=picture.read_bytes()).json()["id"]
        question = {
            "item": "0007",
            "picture": id,
            "columns": [0, 1],
            "methods": [{"name": "rise", "options": {"masks": 4000}}],
        }
        with httpx.stream("POST", f"{url}api/explanations", json=question, timeout=60) as events:
            pieces = events.iter_text()
            next(pieces)
            process.send_signal(signal.SIGINT)
            begin = time.monotonic()
            _, errors = process.communicate(timeout=30)
            seconds = time.monotonic() - begin
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert errors.strip().endswith("Stopped.")
    assert "Traceback" not in errors
    assert seconds < 3  # the work would go on; a second, on a machine that has time
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    "signals",
    [
        [signal.SIGINT],
        pytest.param([signal.SIGTERM], marks=pytest.mark.slow),
        pytest.param([signal.SIGINT] * 3, marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_whatever_is_at_work(checkpoint, tmp_path, signals):
    """Stalled uploads, a decoder that hangs, questions in the queue, and nobody at all."""
    picture = tmp_path / "x.png"
    Image.effect_noise((64, 64), 60).convert("RGB").save(picture)
    code = (
        "import sys, becam.explorer.decoders as d; d._MODULE = 'unruly_decoding'; "
        f"sys.argv = ['becam', 'serve', {str(checkpoint)!r}, '--port', '0']; "
        "from becam.cli import main; main()"
    )
    path = os.pathsep.join(["tests", os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            said += line
        host, port = re.search(r"http://([\d.]+):(\d+)/", said).groups()
        head = f"POST /api/pictures HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: "
        for data in (b"", b"xxx", b"LOOPxxxxxx", b"LOOPxxxxxx", b"LOOPxxxxxx"):
            connection = socket.create_connection((host, int(port)))
            connection.sendall(f"{head}10\r\n\r\n".encode() + data)
        time.sleep(1.5)
        workers = children(process.pid)
        assert len(workers) == 2
        begin = time.monotonic()
        for one in signals:
            process.send_signal(one)
            time.sleep(0.05)
        _, errors = process.communicate(timeout=30)
        seconds = time.monotonic() - begin
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert errors.strip().endswith("Stopped.")
    assert seconds < 3
    time.sleep(0.2)
    assert not any(map(alive, workers))


@pytest.mark.parametrize(
    "host", ["", "..", "a" * 64, "a.b" * 200, "x\0y", "http://127.0.0.1", "🙂"]
)
def test_hosts_that_are_none(host):
    from becam.explorer.server import listen

    with pytest.raises(BecamError, match="--host"):
        listen(host, 0)


@pytest.mark.parametrize("port", ["-1", "65536", "99999", "x", "1e3", ""])
def test_ports_that_are_none(run_cli, checkpoint, port):
    status, _, errors = run_cli("serve", checkpoint, "--port", port)
    assert status == 2
    assert "--port" in errors
    assert "Traceback" not in errors


def test_a_port_in_use(run_cli, checkpoint):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        begin = time.monotonic()
        sentence = one_sentence(run_cli("serve", checkpoint, "--port", port))
    assert f"Port {port} is in use" in sentence
    assert "--port" in sentence
    assert time.monotonic() - begin < 10  # before anything is loaded


def test_hosts_that_are_not_there(run_cli, checkpoint):
    assert "--host" in one_sentence(run_cli("serve", checkpoint, "--host", "no-such-host.invalid"))
    # 192.0.2.0/24 is for documentation: no machine has an address in it.
    assert "--host" in one_sentence(run_cli("serve", checkpoint, "--host", "192.0.2.1"))


@pytest.fixture
def stopped(monkeypatch):
    """Servers that end before they serve."""
    import uvicorn

    asked = []
    monkeypatch.setattr(
        uvicorn.Server, "run", lambda self, sockets: asked.append(sockets[0].getsockname())
    )
    monkeypatch.setattr("webbrowser.open", asked.append)
    return asked


def test_others_are_let_in_with_a_warning_alone(run_cli, checkpoint, stopped):
    status, printed, errors = run_cli("serve", checkpoint, "--port", 0)
    assert status == 0
    assert stopped[0][0] == "127.0.0.1"
    assert "no login" not in errors
    status, printed, errors = run_cli("serve", checkpoint, "--port", 0, "--host", "0.0.0.0")
    assert status == 0
    assert stopped[1][0] == "0.0.0.0"
    assert "there is no login" in errors
    assert f"http://127.0.0.1:{stopped[1][1]}/" in printed


def test_open(run_cli, checkpoint, stopped):
    _, printed, _ = run_cli("serve", checkpoint, "--port", 0, "--open")
    address, (_, port) = stopped
    assert address == f"http://127.0.0.1:{port}/"
    assert address in printed


@pytest.mark.parametrize("library", ["fastapi", "uvicorn"])
def test_without_the_extra(checkpoint, library):
    """In a process of its own: modules that are loaded already are not so easily taken away."""
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        f"sys.argv = ['becam', 'serve', {str(checkpoint)!r}]\n"
        "from becam.cli import main; main()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    sentence = one_sentence((ended.returncode, ended.stdout, ended.stderr))
    assert "pip install 'becam[serve]'" in sentence


def test_bad_checkpoints_and_datasets(run_cli, checkpoint, tmp_path):
    assert "none.pt" in one_sentence(run_cli("serve", tmp_path / "none.pt", "--port", 0))
    sentence = one_sentence(run_cli("serve", checkpoint, "--dataset", tmp_path, "--port", 0))
    assert "not a dataset" in sentence


def test_help_teaches(run_cli):
    status, printed, _ = run_cli("serve", "--help")
    assert status == 0
    for word in ("--dataset", "--host", "--port", "login", "Example"):
        assert word in printed
