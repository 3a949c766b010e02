"""What is sent to the explorer: taken within limits of size, pace and all together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from becam.explorer import limits
from becam.explorer.refusal import Refusal

MAX_BYTES = limits.UPLOAD_BYTES
"""A larger upload is refused while it arrives."""

_RETRY_SECONDS = 5


class Intake:
    """Bodies of requests that are on their way, or not yet dealt with.

    A body that stalls keeps nobody waiting: it takes the memory of what has come of it, and no
    turn in any queue.
    """

    def __init__(self) -> None:
        self._taken = 0
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """Bytes of all of them."""
        return self._taken

    @asynccontextmanager
    async def body(self, request: Request, limit: int, what: str) -> AsyncIterator[bytearray]:
        """The whole body of a request; it counts as taken until the block ends.

        Args:
            request: any.
            limit: of the body, in bytes.
            what: the body is, for people.

        Raises:
            Refusal: it is too large, arrives too slowly, or others take all the room.
            starlette.requests.ClientDisconnect: whoever sent it has left.
        """
        body = bytearray()
        # What is stated may be wrong, but it saves waiting.
        stated = request.headers.get("content-length", "")
        if stated.isdecimal() and (len(stated) > len(str(limit)) or int(stated) > limit):
            raise _too_large(what, limit)
        try:
            await self._read(request, body, limit, what)
            yield body
        finally:
            self._take(-len(body))

    async def _read(self, request: Request, body: bytearray, limit: int, what: str) -> None:
        now = asyncio.get_running_loop().time
        begun = now()
        try:
            async with asyncio.timeout(limits.SILENCE_SECONDS) as patience:
                async for chunk in request.stream():
                    body += chunk
                    self._take(len(chunk))
                    if len(body) > limit:
                        raise _too_large(what, limit)
                    if self._taken > limits.ARRIVING_BYTES:
                        raise Refusal(
                            503,
                            "Too much is on its way to the explorer; send it again in a moment.",
                            retry_after=_RETRY_SECONDS,
                        )
                    due = limits.SILENCE_SECONDS + len(body) / limits.SLOWEST
                    patience.reschedule(
                        min(
                            now() + limits.SILENCE_SECONDS,
                            begun + due,
                            begun + limits.BODY_SECONDS,
                        )
                    )
        except TimeoutError:
            raise Refusal(408, f"{what} arrives too slowly; send it again.") from None

    def _take(self, count: int) -> None:
        with self._lock:
            self._taken += count


def _too_large(what: str, limit: int) -> Refusal:
    return Refusal(
        413, f"{what} has more than {limit / 1e6:g} MB; make it smaller before you send it."
    )
