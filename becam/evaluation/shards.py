"""Parts of an audit that processes or machines do side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from becam.errors import BecamError, quoted

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Every ``count``-th of a sequence.

    Attributes:
        number: which one, from 1: it has the places ``number - 1`` modulo ``count``.
        count: how many there are.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """A shard from ``K/N``.

        Raises:
            BecamError: it is anything else.
        """
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise BecamError(
                f"{quoted(text)} is no shard; write --shard K/N with K from 1 to N, such as 1/4."
            )
        return cls(int(found[1]), int(found[2]))

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """Those of a sequence that are the shard's, in their order."""
        return items[self.number - 1 :: self.count]

    def split(self, count: int) -> list[Shard]:
        """Shards that together are this one."""
        return [
            Shard(self.number + self.count * place, self.count * count) for place in range(count)
        ]

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


WHOLE = Shard()
