"""Peak memory of ``becam serve`` over uploads of every odd picture, each explained where it can be.

    python benchmarks/explorer_memory.py run/bm3-befa/befa.pt --uploads 500

Tells MiB above what the server takes before the first upload: of the server itself, and together
with the processes that read pictures for it.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import random
import re
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

MIB = 1 << 20
LIMIT = 300


def saved(picture: Image.Image, form: str, **options: object) -> bytes:
    """A picture's file."""
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def noise(width: int, height: int, bands: int = 3) -> Image.Image:
    """A picture that no format makes small."""
    shape = (height, width, bands) if bands > 1 else (height, width)
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def empty_png(width: int, height: int) -> bytes:
    """A PNG that states a size, and has the pixels for it: zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    squeezer = zlib.compressobj(9)
    row = bytes(3 * width + 1)
    data = b"".join(squeezer.compress(row) for _ in range(height)) + squeezer.flush()
    ended = chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + ended


def with_exif(orientation: int, size: int) -> Image.Exif:
    """EXIF of some kilobytes."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "x" * size
    return exif


KINDS: dict[str, Callable[[], bytes]] = {
    "photo, 12 MP": lambda: saved(noise(800, 600).resize((4000, 3000)), "JPEG"),
    "photo, 24 MP, turned": lambda: saved(
        noise(600, 400).resize((6000, 4000)), "JPEG", exif=with_exif(6, 100)
    ),
    "1 x 45,000": lambda: saved(Image.new("L", (1, 45_000), 9), "PNG"),
    "45,000 x 1": lambda: saved(Image.new("L", (45_000, 1), 9), "PNG"),
    "1 x 90,000": lambda: saved(Image.new("RGB", (1, 90_000), "red"), "PNG"),
    "90,000 x 1": lambda: saved(Image.new("RGB", (90_000, 1), "red"), "PNG"),
    "2 x 12,000,000": lambda: saved(Image.new("1", (2, 12_000_000)), "PNG"),
    "bomb, 25 MP": lambda: empty_png(5000, 5000),
    "bomb, 49 MP": lambda: empty_png(7000, 7000),
    "3 MP in a row": lambda: empty_png(30_000, 100),
    "bomb, 900 MP": lambda: empty_png(30_000, 1).replace(
        struct.pack(">II", 30_000, 1), struct.pack(">II", 30_000, 30_000)
    ),
    "RGBA, 25 MP": lambda: saved(Image.new("RGBA", (5000, 5000), (9, 9, 9, 9)), "PNG"),
    "16 bits, 25 MP": lambda: saved(Image.new("I;16", (5000, 5000)), "PNG"),
    "float, 4 MP": lambda: saved(Image.new("F", (2000, 2000), 0.5), "TIFF"),
    "CMYK": lambda: saved(noise(2000, 1500, 4).convert("CMYK"), "JPEG"),
    "CMYK, 25 MP": lambda: saved(Image.new("CMYK", (5000, 5000)), "JPEG"),
    "palette": lambda: saved(noise(500, 500).convert("P"), "GIF"),
    "animated": lambda: saved(
        noise(600, 600), "GIF", save_all=True, append_images=[noise(600, 600)] * 20
    ),
    "animated WebP": lambda: saved(
        noise(600, 600), "WEBP", save_all=True, append_images=[noise(600, 600)] * 5
    ),
    "truncated JPEG": lambda: saved(noise(1000, 1000), "JPEG")[:200_000],
    "truncated PNG": lambda: saved(noise(1000, 1000), "PNG")[:200_000],
    "huge EXIF": lambda: saved(noise(300, 300), "JPEG", exif=with_exif(3, 60_000)),
    "EPS": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n",
    "19 MB of noise": lambda: saved(noise(2500, 2500), "PNG"),
    "no picture": lambda: bytes(5_000_000),
    "nothing": lambda: b"",
}


def resident(pid: int) -> tuple[int, int]:
    """Bytes in memory of a process, and with its children."""

    def one(process: int) -> int:
        try:
            text = Path(f"/proc/{process}/status").read_text()
        except OSError:
            return 0
        found = re.search(r"VmRSS:\s+(\d+)", text)
        return int(found[1]) * 1024 if found else 0

    children = {
        int(child)
        for task in Path(f"/proc/{pid}/task").glob("*/children")
        for child in task.read_text().split()
    }
    # One that has only been forked still is its parent, and takes nothing.
    mine = [child for child in children if "decoding" in command(child)]
    own = one(pid)
    return own, own + sum(map(one, mine))


def command(pid: int) -> str:
    """What a process runs."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


class Watch(threading.Thread):
    """The largest of what a process takes."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self.first = resident(pid)
        self.most = self.first
        self.start()

    def run(self) -> None:
        """Look again and again."""
        while True:
            try:
                now = resident(self._pid)
            except OSError:
                return
            self.most = (max(self.most[0], now[0]), max(self.most[1], now[1]))
            time.sleep(0.01)


def asked(url: str, data: bytes | None = None) -> tuple[int, bytes]:
    """Status and body."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=600) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--uploads", type=int, default=500)
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--only", help="kinds whose name has this in it")
    options = parser.parse_args()
    names = [name for name in KINDS if (options.only or "") in name]
    files = {name: KINDS[name]() for name in names}
    command = [sys.executable, "-m", "becam", "serve", options.checkpoint, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = None
    for line in server.stdout:
        if found := re.search(r"Open (http://\S+/)", line):
            url = found[1]
            break
    assert url is not None, "becam serve did not start"
    item = json.loads(asked(f"{url}api/items")[1])[0]["id"]
    watch = Watch(server.pid)
    told: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    order = (names * (options.uploads // len(names) + 1))[: options.uploads]
    random.Random(0).shuffle(order)

    def upload(name: str) -> None:
        status, body = asked(f"{url}api/pictures", files[name])
        if status != 200:
            sentence = json.loads(body or b"{}").get("detail", "")
            told[name][f"{status} {sentence}"] += 1
            return
        method = {"name": "becam", "options": {"budget": 4}}
        question = {"item": item, "picture": json.loads(body)["id"], "columns": [0]}
        question |= {"methods": [method], "shuffled": False}
        status, body = asked(f"{url}api/explanations", json.dumps(question).encode())
        kept = re.search(rb'"answer":"([^"]+)"', body)
        told[name]["explained" if kept else f"{status} {body[-200:].decode()}"] += 1
        if kept:
            asked(f"{url}api/answers/{kept[1].decode()}/sheet.png")

    begin = time.monotonic()
    with ThreadPoolExecutor(options.at_once) as pool:
        list(pool.map(upload, order))
    seconds = time.monotonic() - begin
    last = resident(server.pid)
    server.terminate()
    server.wait()
    for name in names:
        print(f"{name:24} {dict(told[name])}")
    own, together = ((a - b) / MIB for a, b in zip(watch.most, watch.first, strict=True))
    print(f"{len(order)} uploads, {options.at_once} at once, {seconds:.0f} s")
    print(f"before the first: {watch.first[0] / MIB:.0f} MiB")
    print(f"peak above that: server {own:.0f} MiB, with its processes {together:.0f} MiB")
    print(f"at the end: server {(last[0] - watch.first[0]) / MIB:+.0f} MiB")
    if own > LIMIT:
        raise SystemExit(f"more than {LIMIT} MiB")


if __name__ == "__main__":
    main()
