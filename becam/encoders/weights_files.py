"""What lies in a weights file: safetensors or what ``torch.save`` writes, and nothing else.

The kind of a file is read from its first bytes. Everything that is no weights file is told from
one that is damaged, since the way out differs.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

import torch

from becam.errors import BecamError, printable
from becam.files import open_file
from becam.files.archives import DamagedArchive, check_stored
from becam.records import read_record

_HEAD = 512
_ZIP = b"PK\x03\x04"
_ITSELF = "give the weights file itself"
_TEXTS = (
    (b"version https://git-lfs", "a pointer of git-lfs in place of the file", "run git lfs pull"),
    (b"<!doctype html", "a web page", "download the file itself"),
    (b"<html", "a web page", "download the file itself"),
)
_GLOBAL = re.compile(r"GLOBAL ([\w.]{1,100})")
_NAME = re.compile(r"[\w.]{1,100}")
_NAMED = 3


def read_weights_file(path: Path) -> Any:
    """What a file holds: of safetensors tensors by name, of ``torch.save`` any plain values.

    Raises:
        BecamError: missing, not a regular file, empty, damaged, no weights file, or one that holds
            more than tensors and plain values.
    """
    with open_file(path, what="weights file") as stream:
        kind = _kind(path, stream.read(_HEAD))
        stream.seek(0)
        if kind == "zip":
            _check_archive(path, stream)
            stream.seek(0)
        return _safetensors(path) if kind == "safetensors" else _unpickled(path, stream)


def check_weights_file(path: Path) -> None:
    """Raise as :func:`read_weights_file` does for a file whose first bytes are not of weights."""
    with open_file(path, what="weights file") as stream:
        _kind(path, stream.read(_HEAD))


def _kind(path: Path, head: bytes) -> Literal["zip", "safetensors", "pickle"]:
    """How a file was written, by its first bytes; raises where it cannot be weights."""
    _check_kind(path, head)
    if head.startswith(_ZIP):
        return "zip"
    if head[8:9] == b"{":
        return "safetensors"
    if not head.startswith(b"\x80"):
        if path.suffix == ".safetensors":
            raise _damaged(path)
        raise _unreadable(path, "neither safetensors nor saved by torch.save", _ITSELF)
    return "pickle"


def _check_kind(path: Path, head: bytes) -> None:
    if not head:
        raise _unreadable(path, "empty", "get it again, whole")
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for sign, reason, remedy in _TEXTS:
        if start.startswith(sign):
            raise _unreadable(path, reason, remedy)
    if start.startswith(b"{"):
        raise _of_json(path)
    try:
        text = head[:-4].decode("utf-8") if len(head) == _HEAD else head.decode("utf-8")
    except UnicodeDecodeError:
        return
    if all(letter.isprintable() or letter.isspace() for letter in text):
        raise _unreadable(path, "a text", _ITSELF)


def _of_json(path: Path) -> BecamError:
    try:
        index = read_record(path, dict[str, Any], remedy=_ITSELF)
    except BecamError:
        index = {}
    shards = index.get("weight_map")
    if not isinstance(shards, dict):
        return _unreadable(path, "JSON", _ITSELF)
    parts = len({str(name) for name in shards.values()})
    return _unreadable(
        path,
        f"the index of weights in {parts} parts",
        "merge the parts into one .safetensors file and give that",
    )


def _check_archive(path: Path, stream: BinaryIO) -> None:
    """Raise unless it is a ZIP archive as ``torch.save`` writes it, whole: all records stored."""
    try:
        with zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
    except Exception:  # zipfile raises many kinds for what is no archive
        raise _damaged(path) from None
    if any(name.endswith("/constants.pkl") for name in names):
        raise _unreadable(
            path,
            "a TorchScript archive, which holds a program",
            "load it where it was made and save its state_dict() as a .safetensors file",
        )
    if not any(name.endswith("/data.pkl") for name in names):
        raise _unreadable(path, "a ZIP archive that torch.save did not write", _ITSELF)
    try:
        check_stored(stream)
    except DamagedArchive as error:
        raise BecamError(
            f"{path} cannot be read as weights, since {printable(str(error))}; get it again, whole."
        ) from None


def _unpickled(path: Path, stream: BinaryIO) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of what PyTorch may not support
            return torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch raises many kinds, whose texts advise what is not safe
        objects = _foreign_objects(stream, str(error))
    if objects:
        raise BecamError(
            f"{path} cannot be read as weights, since it holds {', '.join(objects)} beside "
            "tensors, which could run code; save the model's state dict alone, as a .safetensors "
            "file."
        )
    raise _damaged(path)


def _foreign_objects(stream: BinaryIO, message: str) -> Sequence[str]:
    """The classes and functions that a pickle asks for and that are neither tensors nor plain."""
    found = _GLOBAL.findall(message)
    try:
        stream.seek(0)
        names = torch.serialization.get_unsafe_globals_in_checkpoint(stream)
        found += sorted(name for name in names if _NAME.fullmatch(name))
    except Exception:  # the old format, or damaged
        pass
    if not found and "Unsupported" in message:
        found = ["objects"]
    return list(dict.fromkeys(found))[:_NAMED]


def _safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception:
        raise _damaged(path) from None


def _damaged(path: Path) -> BecamError:
    return _unreadable(path, "damaged or incomplete", "get it again, whole")


def _unreadable(path: Path, reason: str, remedy: str) -> BecamError:
    return BecamError(f"{path} cannot be read as weights, since it is {reason}; {remedy}.")
