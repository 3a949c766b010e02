"""Options that a recommender or an adapter declares once, in its constructor's signature.

``layers: Annotated[int, Option("Graph layers.", search=(1, 2))] = 1`` gives an option its name,
type, default, help and search space; the command line, experiment files, the search and
``becam models`` all read them there.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, get_args, get_origin, get_type_hints

from becam.errors import BecamError, quoted
from becam.limits import Limits

Value = int | float | str | bool


@dataclass(frozen=True)
class Option:
    """What the annotation of a constructor's parameter says of it.

    Attributes:
        help: one sentence for people.
        search: the values that a hyper-parameter search tries; empty: not searched.
        least: the smallest value that a number may have.
        most: the largest.
        below: what it must stay below.
        limits: in place of these three, bounds that several options share.
    """

    help: str
    search: Sequence[Value] = ()
    least: float = -math.inf
    most: float = math.inf
    below: float = math.inf
    limits: Limits | None = None

    @property
    def bounds(self) -> Limits:
        """Between what a number must lie."""
        return self.limits or Limits(least=self.least, most=self.most, below=self.below)


@dataclass(frozen=True)
class DeclaredOption:
    """An option as its class declares it."""

    name: str
    kind: type
    default: Value
    note: Option = Option("")
    choices: tuple[str, ...] = ()

    @property
    def help(self) -> str:
        """One sentence for people."""
        return self.note.help

    @property
    def search(self) -> tuple[Value, ...]:
        """The values that a hyper-parameter search tries; empty: not searched."""
        return tuple(self.note.search)

    def parse(self, value: object) -> Value:
        """A value of the option's type out of what a command line or a file holds.

        Numbers may be fractions such as ``1/2``.

        Raises:
            BecamError: it is not of that type, out of range, or not among the choices.
        """
        try:
            parsed = self._parse(value)
        except (ValueError, TypeError, ZeroDivisionError, OverflowError):
            expected = {int: "a whole number", float: "a number", bool: "true or false"}
            wanted = expected.get(self.kind) or f"one of {', '.join(self.choices)}"
            raise BecamError(f"The option {self.name} is {wanted}, not {quoted(value)}.") from None
        bounds = self.note.bounds
        if isinstance(parsed, int | float) and not bounds.hold(parsed):
            raise BecamError(f"The option {self.name} must be {bounds}, not {_bare(value)}.")
        return parsed

    def _parse(self, value: object) -> Value:
        if not isinstance(value, str | int | float):
            raise TypeError
        if self.kind is bool:
            words = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
            if isinstance(value, bool):
                return value
            if str(value).lower() not in words:
                raise ValueError
            return words[str(value).lower()]
        if self.kind is str:
            if not isinstance(value, str) or (self.choices and value not in self.choices):
                raise ValueError
            return value
        if isinstance(value, bool):
            raise ValueError
        number = _number(value)
        if self.kind is int:
            if number != int(number):
                raise ValueError
            return int(number)
        return float(number)


def declared_options(cls: type) -> dict[str, DeclaredOption]:
    """Options by name, as constructors annotate them with :class:`Option`.

    What a constructor takes by ``**`` it hands to its base class, so that the base's options are
    options of the class too.
    """
    found: dict[str, DeclaredOption] = {}
    for owner in cls.__mro__:
        constructor = vars(owner).get("__init__")
        if constructor is None:
            continue
        hints = get_type_hints(constructor, include_extras=True)
        parameters = inspect.signature(constructor).parameters.values()
        for parameter in parameters:
            hint = hints.get(parameter.name)
            for note in getattr(hint, "__metadata__", ()):
                if isinstance(note, Option) and parameter.name not in found:
                    kind, choices = _kind(get_args(hint)[0])
                    found[parameter.name] = DeclaredOption(
                        parameter.name, kind, parameter.default, note, choices
                    )
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
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


def _number(value: str | float) -> Fraction | float:
    if not isinstance(value, str):
        return value
    if "/" in value:
        return Fraction(value)
    try:
        return int(value)  # a float would round large ones
    except ValueError:
        return float(value)


def _bare(value: object) -> str:
    """A number as it was typed."""
    return quoted(value).strip("'")


def _kind(hint: Any) -> tuple[type, tuple[str, ...]]:
    if get_origin(hint) is Literal:
        return str, tuple(get_args(hint))
    return hint, ()
