"""Hashes of files."""

from __future__ import annotations

import hashlib
import os
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


def content_sha256(path: str | Path) -> str:
    """Hex SHA-256 of a file, or of a folder's regular files with their names below it.

    Raises:
        BecamError: nothing is there, or a file may not be read.
    """
    root = Path(path)
    if not root.is_dir():
        return sha256(root)
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            if file.is_file():
                digest.update(os.fsencode(file.relative_to(root).as_posix()) + b"\0")
                digest.update(bytes.fromhex(sha256(file)))
    return digest.hexdigest()
