"""The process that reads pictures: ``python -m becam.explorer.decoding``, by :mod:`decoders`.

A decoder is a large program fed by strangers. Here one that hangs, crashes or takes memory without
end costs a process of its own, which another one replaces. Requests come over standard input and
answers leave over standard output, each a line of JSON and as many bytes as it says.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from becam.encoders.preprocessing import Preprocessing
from becam.errors import BecamError
from becam.images import TooManyPixels, read_image

_QUALITY = 85


def main() -> None:
    """Answer until there is nobody to ask, or this takes too much."""
    # Libraries in C may print: answers leave by a way of their own.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = sys.stdin.buffer
    _limit_memory(int(sys.argv[1]))
    while line := requests.readline():
        request = json.loads(line)
        _limit_time(request["seconds"])
        data = requests.read(request["bytes"])
        try:
            values, parts = _answer(request, data)
        except TooManyPixels as error:
            _say(answers, refusal=str(error), large=True)
        except BecamError as error:
            _say(answers, refusal=str(error), large=False)
        except MemoryError:
            sentence = f"{request['name']} needs too much memory; scale the picture down first."
            _say(answers, refusal=sentence, large=False)
        else:
            _say(answers, **values)
            answers.writelines(parts)
        answers.flush()
        values, parts, data = {}, [], b""  # nothing of it is kept


def _answer(request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], Iterable[bytes]]:
    """What is said of a picture, and the bytes that follow."""
    source = Path(request["path"]) if request["path"] is not None else io.BytesIO(data)
    picture = read_image(
        source, max_pixels=request["pixels"], name=request["name"], icc=request["icc"]
    )
    size = {"width": picture.width, "height": picture.height}
    if request["shown"]:
        encoded = _shrunk(picture, request["side"])
        return size | {"bytes": len(encoded)}, [encoded]
    if request["crop"] is not None:
        # JSON has lists alone, and colours are tuples.
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in request["crop"].items()
        }
        cropped, geometry = Preprocessing(**values).crop(picture)
        return geometry.to_dict() | {"crop": cropped.size}, [cropped.tobytes()]
    picture.thumbnail((request["side"],) * 2, Image.Resampling.LANCZOS)
    return size | {"crop": picture.size}, [picture.tobytes()]


def _shrunk(picture: Image.Image, side: int) -> bytes:
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=_QUALITY, method=2)
    return stream.getvalue()


def _say(answers: BinaryIO, **values: Any) -> None:
    answers.write(json.dumps(values).encode() + b"\n")


def _limit_memory(most: int) -> None:
    """Let the process take that much beyond what it has; what wants more gets a MemoryError."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        now = pages * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (now + most, now + most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(seconds: float) -> None:
    """End with the request, even where whoever asked has died meanwhile."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime + seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


if __name__ == "__main__":
    main()
