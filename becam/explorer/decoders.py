"""Pictures read in processes of their own, within limits of time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from PIL import Image

from becam.colour import CONVERT, Icc
from becam.encoders.preprocessing import Geometry, Preprocessing
from becam.explorer import limits
from becam.explorer.refusal import Refusal

T = TypeVar("T")

_MODULE = "becam.explorer.decoding"
_RETRY_SECONDS = 5
_LINE_BYTES = 1 << 20
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Large pieces of memory go back to the system as soon as they are free.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
}


@dataclass(frozen=True)
class Source:
    """A picture that is to be read.

    Attributes:
        name: of it in errors.
        most: pictures with more pixels are refused.
        data: the file's bytes, or
        path: where it is.
        icc: see :func:`becam.images.read_image`.
    """

    name: str
    most: int
    data: bytes | bytearray = b""
    path: Path | None = None
    icc: Icc = CONVERT


@dataclass(frozen=True)
class Shown:
    """A picture for a page.

    Attributes:
        width, height: of the picture as it is, upright.
        data: the picture as WebP, no larger than was asked for.
    """

    width: int
    height: int
    data: bytes


class Decoders:
    """A few processes that read pictures, each replaced when it fails.

    They begin with the first picture, and end with :meth:`close`.
    """

    def __init__(self) -> None:
        # Whatever strangers send, the dataset's own pictures are read beside it.
        self._sent = _Lane("becam-sent", 2)
        self._own = _Lane("becam-own", 1)

    def show(self, source: Source, side: int) -> Future[Shown]:
        """A picture as WebP, its longer side at most ``side``.

        Raises:
            Refusal: too many wait. The future raises one where the picture cannot be read.
        """

        def make(answer: dict[str, Any], read: Callable[[int], bytes]) -> Shown:
            return Shown(answer["width"], answer["height"], read(answer["bytes"]))

        lane = self._own if source.path is not None else self._sent
        return lane.submit(source, {"shown": True, "side": side}, make)

    def read(self, source: Source, side: int) -> Image.Image:
        """A picture as RGB, its longer side at most ``side``; raises as :meth:`show` does."""
        return self._own.submit(source, {"shown": False, "side": side, "crop": None}, _rgb).result()

    def crop(self, source: Source, preprocessing: Preprocessing) -> tuple[Image.Image, Geometry]:
        """What ``preprocessing.crop`` makes of a picture, which is whole nowhere else.

        Raises:
            Refusal: as :meth:`show` does.
        """

        def make(
            answer: dict[str, Any], read: Callable[[int], bytes]
        ) -> tuple[Image.Image, Geometry]:
            geometry = Geometry(answer["width"], answer["height"], tuple(answer["box"]))
            return _rgb(answer, read), geometry

        wanted = {"shown": False, "crop": asdict(preprocessing)}
        return self._own.submit(source, wanted, make).result()

    def close(self) -> None:
        """End all processes, whatever they do."""
        self._sent.close()
        self._own.close()


def _rgb(answer: dict[str, Any], read: Callable[[int], bytes]) -> Image.Image:
    width, height = answer["crop"]
    return Image.frombytes("RGB", (width, height), read(3 * width * height))


class _Lane:
    """Threads that each talk to one process."""

    def __init__(self, name: str, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._large = threading.Lock()
        self._lock = threading.Lock()
        self._waiting = 0
        self._closed = False
        self._mine = threading.local()
        self._processes: set[_Process] = set()

    def submit(
        self,
        source: Source,
        wanted: dict[str, Any],
        make: Callable[[dict[str, Any], Callable[[int], bytes]], T],
    ) -> Future[T]:
        with self._lock:
            if self._closed:
                raise Refusal(503, "The explorer is ending.")
            if self._waiting >= limits.DECODES_WAITING:
                raise Refusal(
                    503,
                    "Many pictures wait to be read; try again in a moment.",
                    retry_after=_RETRY_SECONDS,
                )
            self._waiting += 1
            future = self._pool.submit(self._decode, source, wanted, make)
        future.add_done_callback(self._done)
        return future

    def close(self) -> None:
        with self._lock:
            self._closed = True
            processes = list(self._processes)
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()

    def _done(self, _future: Future[Any]) -> None:
        with self._lock:
            self._waiting -= 1

    def _decode(
        self,
        source: Source,
        wanted: dict[str, Any],
        make: Callable[[dict[str, Any], Callable[[int], bytes]], T],
    ) -> T:
        small = replace(source, most=min(source.most, limits.LARGE_PIXELS))
        try:
            return self._ask(small, wanted, make)
        except _NoPicture as error:
            if not error.large:
                raise
        # One after the other, so that the memory that all take together is bounded.
        with self._large:
            return self._ask(source, wanted, make)

    def _ask(
        self,
        source: Source,
        wanted: dict[str, Any],
        make: Callable[[dict[str, Any], Callable[[int], bytes]], T],
    ) -> T:
        process = self._process()
        try:
            return process.ask(source, wanted, make)
        except _NoPicture:
            raise
        except BaseException:
            self._end(process)
            raise

    def _process(self) -> _Process:
        process: _Process | None = getattr(self._mine, "process", None)
        if process is None or not process.alive:
            if process is not None:
                self._end(process)
            process = _Process()
            with self._lock:
                self._processes.add(process)
                closed = self._closed
            self._mine.process = process
            if closed:
                self._end(process)
        return process

    def _end(self, process: _Process) -> None:
        process.kill()
        with self._lock:
            self._processes.discard(process)


class _NoPicture(Refusal):
    """What the process says of a file; it is well itself."""

    def __init__(self, sentence: str, *, large: bool) -> None:
        super().__init__(422, sentence)
        self.large = large


class _Process:
    """A process of :mod:`becam.explorer.decoding`."""

    def __init__(self) -> None:
        path = os.pathsep.join(place for place in sys.path if place)
        self._child = subprocess.Popen(
            [sys.executable, "-m", _MODULE, str(limits.DECODE_BYTES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | _ENVIRONMENT | {"PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is ours to handle
        )

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def ask(
        self,
        source: Source,
        wanted: dict[str, Any],
        make: Callable[[dict[str, Any], Callable[[int], bytes]], T],
    ) -> T:
        """What ``make`` makes of the answer.

        Raises:
            Refusal: there is none; the process is of no more use, unless it is a _NoPicture.
        """
        request = wanted | {
            "bytes": len(source.data),
            "path": None if source.path is None else str(source.path),
            "name": source.name,
            "pixels": source.most,
            "icc": source.icc,
            "seconds": limits.DECODE_SECONDS,
        }
        with self._limited(source) as (requests, answers):
            requests.write(json.dumps(request).encode() + b"\n")
            requests.write(source.data)
            requests.flush()
            answer = json.loads(answers.readline(_LINE_BYTES))
            if "refusal" in answer:
                raise _NoPicture(answer["refusal"], large=answer["large"])

            def read(count: int) -> bytes:
                data = answers.read(count)
                if len(data) < count:
                    raise EOFError
                return data

            return make(answer, read)

    @contextmanager
    def _limited(self, source: Source) -> Iterator[tuple[BinaryIO, BinaryIO]]:
        """The process's ends, which close when it takes too long."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            self._child.kill()

        timer = threading.Timer(limits.DECODE_SECONDS, end)
        timer.daemon = True
        timer.start()
        try:
            yield self._child.stdin, self._child.stdout  # type: ignore[misc]
        except (OSError, EOFError, ValueError):
            raise Refusal(
                422,
                f"{source.name} took longer than {limits.DECODE_SECONDS:.0f} s to be read; convert "
                "it to JPEG, PNG or WebP."
                if late.is_set()
                else f"{source.name} cannot be read: the decoder failed on it; convert it to JPEG, "
                "PNG or WebP.",
            ) from None
        finally:
            timer.cancel()

    def kill(self) -> None:
        """End it, whatever it does."""
        self._child.kill()
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout):
            with suppress(OSError):
                if stream is not None:
                    stream.close()
