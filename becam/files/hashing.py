"""Hashes of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from becam.files.reading import open_file

_CHUNK = 1 << 20


def sha256(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes, read in chunks.

    Raises:
        BecamError: no such file, or not a regular one.
    """
    digest = hashlib.sha256()
    with open_file(path) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
