"""Options that a recommender or an adapter declares once, in its constructor's signature.

``layers: Annotated[int, Option("Graph layers.", search=(1, 2))] = 1`` gives an option its name,
type, default, help and search space; the command line, experiment files, the search and
``becam models`` all read them there.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, get_args, get_origin, get_type_hints

from becam.errors import BecamError

Value = int | float | str | bool


@dataclass(frozen=True)
class Option:
    """What the annotation of a constructor's parameter says of it.

    Attributes:
        help: one sentence for people.
        search: the values that a hyper-parameter search tries; empty: not searched.
    """

    help: str
    search: Sequence[Value] = ()


@dataclass(frozen=True)
class DeclaredOption:
    """An option as its class declares it."""

    name: str
    kind: type
    default: Value
    help: str
    search: tuple[Value, ...]
    choices: tuple[str, ...] = ()

    def parse(self, value: object) -> Value:
        """A value of the option's type out of what a command line or a file holds.

        Numbers may be fractions such as ``1/2``.

        Raises:
            BecamError: it is not of that type, or not among the choices.
        """
        try:
            return self._parse(value)
        except (ValueError, TypeError, ZeroDivisionError, OverflowError):
            expected = {int: "a whole number", float: "a number", bool: "true or false"}
            wanted = expected.get(self.kind) or f"one of {', '.join(self.choices)}"
            raise BecamError(f"The option {self.name} is {wanted}, not {value!r}.") from None

    def _parse(self, value: object) -> Value:
        if self.kind is bool:
            words = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
            if isinstance(value, bool):
                return value
            if str(value).lower() not in words:
                raise ValueError
            return words[str(value).lower()]
        if self.kind is str:
            if self.choices and value not in self.choices:
                raise ValueError
            return str(value)
        if isinstance(value, bool):
            raise ValueError
        number = Fraction(value) if isinstance(value, str) and "/" in value else float(str(value))
        if self.kind is int:
            if number != int(number):
                raise ValueError
            return int(number)
        return float(number)


def declared_options(cls: type) -> dict[str, DeclaredOption]:
    """Options by name, as ``cls.__init__`` annotates them with :class:`Option`."""
    hints = get_type_hints(cls.__init__, include_extras=True)  # type: ignore[misc]
    found = {}
    for name, parameter in inspect.signature(cls.__init__).parameters.items():  # type: ignore[misc]
        hint = hints.get(name)
        for note in getattr(hint, "__metadata__", ()):
            if isinstance(note, Option):
                kind, choices = _kind(get_args(hint)[0])
                found[name] = DeclaredOption(
                    name, kind, parameter.default, note.help, tuple(note.search), choices
                )
    return found


def parse_options(cls: type, given: Mapping[str, object], owner: str) -> dict[str, Value]:
    """The given options with values of their declared types.

    Args:
        cls: What declares them.
        given: Values by name, as typed or as read from a file.
        owner: What a message calls the class, such as ``mgcn``.

    Raises:
        BecamError: an unknown name or a value of another type.
    """
    known = declared_options(cls)
    parsed = {}
    for name, value in given.items():
        if name not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise BecamError(f"{owner} has no option {name!r}; {has}.")
        parsed[name] = known[name].parse(value)
    return parsed


def parse_assignments(pairs: Iterable[str]) -> dict[str, str]:
    """``["layers=2", ...]`` as a mapping.

    Raises:
        BecamError: one of them is not ``NAME=VALUE``.
    """
    parsed = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise BecamError(f"{pair!r} is not NAME=VALUE, such as layers=2.")
        parsed[name.strip().replace("-", "_")] = value.strip()
    return parsed


def _kind(hint: Any) -> tuple[type, tuple[str, ...]]:
    if get_origin(hint) is Literal:
        return str, tuple(get_args(hint))
    return hint, ()
