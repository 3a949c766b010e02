"""What becam raises for anything a user can mend, and warns with."""

from __future__ import annotations

import re
from reprlib import Repr

_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_LONGEST = 200


class BecamError(Exception):
    """A problem the user can act on.

    The message is one sentence that says what is wrong and names the way out. The CLI prints it
    and exits with status 1; no traceback is ever shown for it.
    """


class BecamWarning(UserWarning):
    """Something that stops nothing but that the user should know, in one sentence."""


class MissingFileError(BecamError):
    """A file that should be read is not there."""


class _Quoting(Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 2
        self.maxlist = self.maxdict = self.maxtuple = self.maxset = 4
        self.maxstring = self.maxother = 80

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write out the digits of huge numbers.
        return "a number of too many digits" if x.bit_length() > 128 else repr(x)


def printable(text: str) -> str:
    """A text of others: short, and without what would move a terminal."""
    kept = "".join(letter for letter in re.sub(_ESCAPE, "", text) if letter.isprintable())
    return kept[:_LONGEST]


def first_line(error: Exception) -> str:
    """What an error says, without the rest of it."""
    lines = str(error).strip().splitlines()
    return printable(lines[0] if lines else type(error).__name__).rstrip(".")


def quoted(value: object) -> str:
    """A value as a sentence quotes it: a line of bounded length, whatever it holds."""
    return _QUOTING.repr(value)


_QUOTING = _Quoting()
