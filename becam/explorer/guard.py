"""Who may ask: the server's own pages alone, called by a name that it answers to."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_HOST = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[0-9A-Za-z](?:[0-9A-Za-z._-]{0,252})))"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
"""All that browsers write into ``Host``: stricter than URLs, whose parsers pass over much."""

_LAST_PORT = 65535
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self'; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class Hosts:
    """Names that the server answers to.

    Another site can point a name of its own at this machine (DNS rebinding), and the browser would
    then take that site's scripts for ours. It cannot do so with a numeric address.

    Attributes:
        names: host names and addresses, in lower case.
        addresses: whether it answers to any numeric address.
    """

    names: Collection[str] = LOOPBACK
    addresses: bool = False

    @classmethod
    def listening_on(cls, host: str) -> Hosts:
        """Of a server that listens on a host: its name, and this machine's where others can call.

        Args:
            host: a name or an address.
        """
        if is_loopback(host):
            return cls(LOOPBACK | {host.lower()})
        own = {host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
        return cls(LOOPBACK | own, addresses=True)

    def __contains__(self, name: str) -> bool:
        return name in self.names or (self.addresses and _is_address(name))


class AnyHost(Hosts):
    """Every name, for an app behind something that checks names itself."""

    def __contains__(self, name: str) -> bool:
        return True


class Guard:
    """Refuses what comes from elsewhere, and sends every answer with headers that keep it here.

    Args:
        app: what is guarded.
        hosts: names that it answers to.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        sentence = self._stranger(hosts) or _foreign(scope["method"], hosts[0], headers)
        app = self._app if sentence is None else JSONResponse({"detail": sentence}, 403)
        await app(scope, receive, guarded)

    def _stranger(self, hosts: list[str]) -> str | None:
        if len(hosts) == 1 and _name(hosts[0]) in self._hosts:
            return None
        return (
            f"The explorer does not answer to the name {', '.join(hosts)[:80]!r}; call it by the "
            "address that becam serve printed, or start it with --host and that name."
        )


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own, which nobody else can call."""
    if host.lower() == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _foreign(method: str, host: str, headers: Headers) -> str | None:
    """Why a request that changes something comes from another site; None where it does not.

    Browsers say where such a request comes from; programs that say nothing are no browsers.
    """
    if method in _SAFE_METHODS:
        return None
    own = {f"{scheme}://{host.lower()}" for scheme in ("http", "https")}
    ours = {origin.lower() for origin in headers.getlist("origin")} <= own
    ours = ours and set(headers.getlist("sec-fetch-site")) <= {"same-origin", "none"}
    return None if ours else "Another site may not ask the explorer; open its own page."


def _name(header: str) -> str:
    """The name in a ``Host`` header, without its port; empty where it is not such a header."""
    match = _HOST.fullmatch(header)
    if match is None or int(match["port"] or 0) > _LAST_PORT:
        return ""
    if match["ipv6"] is None:
        return match["name"].lower()
    try:
        return str(ipaddress.IPv6Address(match["ipv6"]))
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
