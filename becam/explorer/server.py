"""The explorer's own server: one process, which ends when it is told to."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import socket
import sys
import threading

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from becam.errors import BecamError

_BACKLOG = 128
_ARENA_MAX = -8
"""Of ``mallopt``."""
_CONNECTIONS = 512
_HEAD_SECONDS = 10.0
_FAREWELL_SECONDS = 0.2
"""For what has been said to arrive."""
_LAST_SECONDS = 0.8
"""Then the process ends, whatever is at work."""
_GRACE_SECONDS = 5


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        BecamError: nobody can listen there.
    """
    try:
        if "\0" in host:
            raise UnicodeError
        ((family, _, _, _, address), *_) = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except UnicodeError:
        raise BecamError(f"{host[:80]!r} is no name of a machine; choose another --host.") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BecamError(
                f"Port {port} is in use; choose another --port, or 0 for any that is free."
            ) from None
        raise BecamError(
            f"Cannot listen on {host[:80]} port {port} ({error.strerror}); choose another --host "
            "or --port."
        ) from None
    return listening


def address(host: str, listening: socket.socket) -> str:
    """Where a browser on this machine finds what listens on a host."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    port = listening.getsockname()[1]
    return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"


def run(app: FastAPI, listening: socket.socket) -> None:
    """Serve until Ctrl-C, or a polite kill; then the process ends within a second."""
    _share_heap()
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        log_level="warning",
        server_header=False,
        proxy_headers=False,  # anybody could call themselves anything
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    _Server(config).run(sockets=[listening])


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the work first: who waits for it would keep a connection open."""
        last = threading.Timer(_LAST_SECONDS, _leave)
        last.daemon = True
        last.start()
        await asyncio.to_thread(self.config.app.state.explorer.close)  # type: ignore[union-attr]
        asyncio.get_running_loop().call_later(_FAREWELL_SECONDS, self._hang_up)
        await super().shutdown(sockets)
        _leave()

    def _hang_up(self) -> None:
        """Whoever still sends something is not waited for."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class _Protocol(H11Protocol):
    """Hangs up on whoever says nothing, or too slowly what they want."""

    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > _CONNECTIONS:
            transport.abort()
        else:
            self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._listen()
        super().connection_lost(exc)

    def _wait(self) -> None:
        """Give a request's head some seconds, from its first byte to its last."""
        if self.conn.their_state is not h11.IDLE:
            self._listen()
        elif self._due is None:
            self._due = self.loop.call_later(_HEAD_SECONDS, self.transport.abort)

    def _listen(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None


def _share_heap() -> None:
    """Let threads share what memory has been freed: by default glibc keeps some of it for each."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_ARENA_MAX, 2)


def _leave() -> None:
    """End the process: there is nothing to be lost, and large libraries take seconds to unload."""
    print("Stopped.", file=sys.stderr, flush=True)
    os._exit(0)
