"""What is kept of the past: little, and only for whoever knows its id."""

from __future__ import annotations

import secrets
import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Shelf(Generic[T]):
    """Keeps the last things put on it, by ids that nobody can guess.

    When they are too many or too large, those go that nobody has asked for the longest.

    Args:
        count: of things.
        size: of all things together, in bytes; one that is larger alone is kept alone.
    """

    def __init__(self, *, count: int, size: int) -> None:
        self._count = count
        self._size = size
        self._things: dict[str, tuple[T, int]] = {}
        self._lock = threading.Lock()

    def put(self, thing: T, size: int) -> str:
        """Keep a thing of ``size`` bytes; its id."""
        id = secrets.token_urlsafe(24)
        with self._lock:
            self._things[id] = thing, size
            while len(self._things) > 1 and self._too_much():
                del self._things[next(iter(self._things))]
        return id

    def get(self, id: str) -> T | None:
        """The thing with this id; None where there is none, or none any more."""
        with self._lock:
            found = self._things.pop(id, None)
            if found is None:
                return None
            self._things[id] = found  # the last that anybody asked for
            return found[0]

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._things.clear()

    def _too_much(self) -> bool:
        total = sum(size for _, size in self._things.values())
        return len(self._things) > self._count or total > self._size
