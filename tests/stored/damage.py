"""Damage to files: single bits, cuts, and values of JSON that nobody writes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st


def flips(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Copies with one bit turned; half of them near the ends, where formats keep what is where."""
    rng = np.random.default_rng(seed)
    size = len(content)
    edge = min(size, 1500)
    for number in range(count):
        place = int(rng.integers(size))
        if number % 2:
            place = int(rng.integers(edge))
            place = size - 1 - place if number % 4 == 1 else place
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        yield bytes(damaged)


def cuts(content: bytes, count: int) -> Iterator[bytes]:
    """Beginnings of many lengths, the shortest and the longest among them."""
    lengths = np.linspace(0, len(content) - 1, count).astype(int)
    for length in sorted({*lengths.tolist(), 1, 4, len(content) - 2}):
        yield content[:length]


ODD_VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**30, 1e300, 0.5),
    *("", "x", "0", "-1", "../x", "/", "\x00", "é" * 300, "\ud800", "hf-hub:a/b", "\x1b[31m"),
    *([], {}, [[]], [None], [1, "a"], {"a": None}, {"": {}}, [1] * 1000),
    float("nan"),
    float("inf"),
    -float("inf"),
]

DEEP = "[" * 100_000 + "]" * 100_000


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values within a plain value, itself first."""
    found = [here]
    children = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        children = enumerate(value[:3])
    for key, child in children:
        found += places(child, (*here, key))
    return found


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value at a place; what is ``...`` is taken out."""
    if not place:
        return None if new is ... else new
    result = copy.deepcopy(value)
    within = result
    for key in place[:-1]:
        within = within[key]
    if new is ...:
        del within[place[-1]]
    else:
        within[place[-1]] = new
    return result


def mutations(path: Path) -> st.SearchStrategy[str]:
    """Texts of a JSON file with one or two values that are others, gone, or nested deeply."""
    record = json.loads(path.read_text())
    one = st.tuples(st.sampled_from(places(record)), st.sampled_from([*ODD_VALUES, ...]))

    def written(changes: list[tuple[tuple[Any, ...], Any]]) -> str:
        value = record
        for place, new in changes:
            try:
                value = changed(value, place, new)
            except (KeyError, IndexError, TypeError):
                continue  # the first change took the place away
        return json.dumps(value)

    return st.lists(one, min_size=1, max_size=2).map(written)
