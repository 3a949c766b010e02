"""The explorer's own server: one process, which ends when it is told to."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

from becam.errors import BecamError

_BACKLOG = 128


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        BecamError: nobody can listen there.
    """
    try:
        ((family, _, _, _, address), *_) = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BecamError(
                f"Port {port} is in use; choose another --port, or 0 for any that is free."
            ) from None
        raise BecamError(
            f"Cannot listen on {host} port {port} ({error.strerror}); choose another --host or "
            "--port."
        ) from None
    return listening


def address(host: str, listening: socket.socket) -> str:
    """Where a browser on this machine finds what listens on a host."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    port = listening.getsockname()[1]
    return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"


def run(app: FastAPI, listening: socket.socket) -> None:
    """Serve until Ctrl-C, or a polite kill."""
    config = uvicorn.Config(
        app, log_level="warning", server_header=False, timeout_graceful_shutdown=1
    )
    # The signal that ends it is raised again when it has ended.
    with suppress(KeyboardInterrupt):
        _Server(config).run(sockets=[listening])


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the work first: who waits for it would keep a connection open."""
        await asyncio.to_thread(self.config.app.state.explorer.close)  # type: ignore[union-attr]
        await super().shutdown(sockets)
