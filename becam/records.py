"""Structured values from outside, checked against types: JSON files and what other readers gave.

Everything that a user or another program may have written passes here before it is used, so that a
wrong type, a missing key or a number out of bounds is one sentence that names the field.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from becam.errors import BecamError
from becam.files.reading import read_bytes

T = TypeVar("T")

MOST_BYTES = 64 << 20
"""Records that describe data are small; data itself (annotations) says its own bound."""

_BOM = b"\xef\xbb\xbf"


def read_record(
    path: str | Path,
    kind: type[T],
    *,
    remedy: str,
    most: int = MOST_BYTES,
    what: str = "file",
) -> T:
    """A JSON file as a value of ``kind``: a dataclass, ``msgspec.Struct``, ``dict[str, int]``, ...

    Keys that ``kind`` does not know are passed over. NaN and infinity are no JSON.

    Args:
        path: of the file.
        kind: what it should hold; ``Annotated[int, msgspec.Meta(ge=1)]`` bounds a number.
        remedy: what the user can do about a damaged file, such as ``make the dataset again``.
        most: its largest size in bytes.
        what: what the file is, in errors, such as ``manifest``.

    Raises:
        MissingFileError: there is none.
        BecamError: not a regular file, too large, not JSON, or not of ``kind``.
    """
    content = read_bytes(path, most=most, what=what)
    return parsed(content, kind, where=str(path), remedy=remedy)


def parsed(content: bytes, kind: type[T], *, where: str, remedy: str, strict: bool = True) -> T:
    """JSON text as a value of ``kind``.

    Args:
        content: UTF-8, with or without a byte order mark.
        kind, remedy: as for :func:`read_record`.
        where: what holds it, to begin the sentence, such as a path.
        strict: take no numbers that are written as text.

    Raises:
        BecamError: not JSON, or not of ``kind``.
    """
    try:
        return msgspec.json.decode(content.removeprefix(_BOM), type=kind, strict=strict)
    except msgspec.ValidationError as error:
        raise BecamError(f"{where} is damaged: {_fault(error)}; {remedy}.") from None
    except msgspec.DecodeError:
        raise BecamError(f"{where} is damaged: it is not JSON; {remedy}.") from None
    except RecursionError:
        raise BecamError(f"{where} is damaged: it is nested too deeply; {remedy}.") from None


def checked(value: Any, kind: type[T], *, where: str, remedy: str) -> T:
    """A plain value (from YAML, a checkpoint, a table) as a value of ``kind``.

    Args:
        value: dictionaries, lists, strings, numbers.
        kind, remedy: as for :func:`read_record`.
        where: what holds the value, to begin the sentence, such as a path.

    Raises:
        BecamError: it is not of ``kind``.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BecamError(f"{where} is damaged: {_fault(error)}; {remedy}.") from None
    except RecursionError:
        raise BecamError(f"{where} is damaged: it is nested too deeply; {remedy}.") from None


def from_text(text: str, kind: type[T], *, where: str, remedy: str) -> T:
    """JSON that Python wrote, where NaN is a number, as a value of ``kind``; see :func:`checked`.

    Raises:
        BecamError: not JSON, or not of ``kind``.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise BecamError(f"{where} is damaged: it is nested too deeply; {remedy}.") from None
    except ValueError:
        raise BecamError(f"{where} is damaged: it is not JSON; {remedy}.") from None
    return checked(value, kind, where=where, remedy=remedy)


def misfit(value: Any, kind: type) -> str | None:
    """Why a plain value is not of ``kind``, for a sentence; None where it is."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return _fault(error)
    except RecursionError:
        return "it is nested too deeply"
    return None


def _fault(error: msgspec.ValidationError) -> str:
    """What is wrong, and where: ``counts.users: expected int, got str``."""
    message, _, place = str(error).partition(" - at `")
    message = message.replace("`", "")
    field = re.sub(r"^\$\.?", "", place.rstrip("`"))
    message = message[:1].lower() + message[1:]
    return f"{field}: {message}" if field else message
