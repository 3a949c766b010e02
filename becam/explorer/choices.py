"""The methods to choose from, with their options as they are declared."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from becam.attribution.methods import METHODS, Method
from becam.explorer import limits
from becam.options import DeclaredOption, declared_options


def method_choices() -> list[dict[str, Any]]:
    """Methods in plain values; ``missing`` says why one cannot be used here, else None."""
    return [
        {
            "name": name,
            "title": cls.title,
            "summary": cls.summary,
            "missing": _missing(cls),
            "options": [_option(option) for option in declared_options(cls).values()],
        }
        for name, cls in METHODS.items()
    ]


def _missing(cls: type[Method]) -> str | None:
    missing = cls.requires is not None and find_spec(cls.requires) is None
    return "needs pip install 'becam[methods]'" if missing else None


def _option(option: DeclaredOption) -> dict[str, Any]:
    bounds = option.note.bounds
    return {
        "name": option.name,
        "kind": option.kind.__name__,
        "default": option.default,
        "help": option.help,
        "choices": list(option.choices),
        "least": _finite(bounds.least),
        "most": _most(option),
    }


def _most(option: DeclaredOption) -> float | None:
    """The largest number that is served; None for what is no number."""
    if option.kind not in (int, float):
        return None
    return min(option.note.bounds.most, limits.most_of_option(option.name))


def _finite(bound: float) -> float | None:
    return None if abs(bound) == float("inf") else bound
