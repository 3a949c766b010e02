"""ZIP archives that others may have damaged or made: all is checked before anything is used."""

from __future__ import annotations

import zipfile
from typing import IO

_CHUNK = 1 << 20
_DIRECTORY = 0x10  # of the DOS attributes, which some readers go by
_ENCRYPTED = 0x1


class DamagedArchive(Exception):
    """Why an archive is not used, for whoever names the file."""


def check_stored(stream: IO[bytes]) -> dict[str, tuple[int, int]]:
    """Check every byte of an archive whose records are stored as they are.

    Args:
        stream: of the whole file.

    Returns:
        Size and CRC-32 of each record by its name.

    Raises:
        DamagedArchive: a record is compressed, overlaps another, or is not what the directory says.
    """
    with _opened(stream) as archive:
        infos = _infos(archive)
        if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
            raise DamagedArchive("its records are compressed")
        if sum(info.compress_size for info in infos) > stream.seek(0, 2):
            raise DamagedArchive("its records overlap")
        for info in infos:
            _read(archive, info, keep=False)
        return {info.filename: (info.file_size, info.CRC) for info in infos}


def read_members(stream: IO[bytes], *, most: int) -> dict[str, bytes]:
    """Every record of an archive, decompressed and checked.

    Args:
        stream: of the whole file.
        most: bytes that all records together may have.

    Raises:
        DamagedArchive: it is larger, or a record is not what the directory says.
    """
    with _opened(stream) as archive:
        infos = _infos(archive)
        if sum(info.file_size for info in infos) > most:
            raise DamagedArchive(f"it holds more than {most:,} bytes")
        return {info.filename: _read(archive, info, keep=True) for info in infos}


def _opened(stream: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(stream)
    except Exception as error:  # zipfile raises many kinds for what is no archive
        raise DamagedArchive("it is truncated, or no archive") from error


def _infos(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    infos = archive.infolist()
    if len({info.filename for info in infos}) < len(infos):
        raise DamagedArchive("it has two records of one name")
    for info in infos:
        if info.is_dir() or info.external_attr & _DIRECTORY or info.flag_bits & _ENCRYPTED:
            raise DamagedArchive(f"its record {info.filename!r} is not a file")
        if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
            raise DamagedArchive(f"its record {info.filename!r} has two sizes")
    return infos


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, *, keep: bool) -> bytes:
    """Read a record to its end, so that its CRC is checked; nothing is returned unless kept."""
    pieces, size = [], 0
    try:
        with archive.open(info) as record:
            while piece := record.read(_CHUNK):
                size += len(piece)
                if keep:
                    pieces.append(piece)
    except Exception as error:  # zipfile, zlib and lzma have errors of their own
        raise DamagedArchive(f"its record {info.filename!r} is damaged") from error
    if size != info.file_size:
        raise DamagedArchive(f"its record {info.filename!r} is cut short")
    return b"".join(pieces)
