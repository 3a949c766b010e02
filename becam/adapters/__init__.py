"""Adapters reshape a projected content feature before the recommender uses it.

A recommender knows only the contract of :class:`Adapter`; a new one is a file here and a line in
``ADAPTERS``.
"""

from __future__ import annotations

from typing import Any

from becam.adapters.base import Adapter
from becam.adapters.befa import BeFA
from becam.adapters.befa_learned import LearnedBeFA
from becam.adapters.identity import Identity
from becam.adapters.lora import LoRA
from becam.adapters.soft_prompt import SoftPrompt
from becam.errors import BecamError

ADAPTERS: dict[str, type[Adapter]] = {
    adapter.name: adapter for adapter in (Identity, BeFA, LearnedBeFA, LoRA, SoftPrompt)
}

__all__ = [
    "ADAPTERS",
    "Adapter",
    "BeFA",
    "Identity",
    "LearnedBeFA",
    "LoRA",
    "SoftPrompt",
    "create_adapter",
]


def create_adapter(name: str, dim: int, **config: Any) -> Adapter:
    """Build an adapter by its registered name.

    Args:
        name: A key of ``ADAPTERS``.
        dim: Width d of the features it adapts.
        **config: The adapter's own options, as typed or as its ``config()`` returns them.

    Raises:
        BecamError: No adapter has that name, or it does not have that option or take that value.
    """
    if name not in ADAPTERS:
        raise BecamError(f"There is no adapter {name!r}; choose one of {', '.join(ADAPTERS)}.")
    return ADAPTERS[name].build(dim, config)
