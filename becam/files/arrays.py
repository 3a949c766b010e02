"""Reading what NumPy wrote: single arrays mapped, archives of arrays with every byte checked."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from becam.errors import BecamError
from becam.files.archives import DamagedArchive, read_members
from becam.files.reading import check_file, open_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_BYTES = 4 << 30
"""Of the arrays of one archive, decompressed."""

_KINDS = "biufUS"
"""Numbers, booleans and text: what needs no unpickling."""


def map_array(path: str | Path, *, what: str, remedy: str) -> NDArray[Any]:
    """The array of a ``.npy`` file, memory-mapped and read only.

    Args:
        path: of the file.
        what: what the file is, in errors, such as ``matrix of features``.
        remedy: what the user can do about a damaged one.

    Raises:
        MissingFileError: there is none.
        BecamError: not a regular file, or not one whole array of numbers or text.
    """
    import numpy as np

    check_file(path, what=what)
    try:
        with np.errstate(over="ignore"):  # of the sizes that a header claims
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise BecamError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # NumPy raises many kinds for a header that makes no sense
        raise BecamError(f"{path} is not a .npy file, or is damaged; {remedy}.") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise BecamError(f"{path} is damaged: it holds several arrays; {remedy}.")
    return array


def read_arrays(
    source: str | Path | bytes, *, what: str, remedy: str, most: int = MOST_BYTES
) -> dict[str, NDArray[Any]]:
    """The arrays of a ``.npz`` file by name.

    Args:
        source: path of the file, or its content.
        what: what it is, in errors, such as ``heatmap``.
        remedy: what the user can do about a damaged one.
        most: bytes that all arrays together may have.

    Raises:
        MissingFileError: there is none.
        BecamError: not a regular file, too large, or not an archive of arrays.
    """
    name = f"This {what}" if isinstance(source, bytes) else source
    stream: IO[bytes] = (
        io.BytesIO(source) if isinstance(source, bytes) else open_file(source, what=what)
    )
    try:
        with stream:
            members = read_members(stream, most=most)
        return {member.removesuffix(".npy"): _array(data) for member, data in members.items()}
    except DamagedArchive as error:
        raise BecamError(f"{name} is damaged; {remedy} ({error}).") from error


def _array(data: bytes) -> NDArray[Any]:
    """An array of which every byte is there and none is left over."""
    import numpy as np
    from numpy.lib import format as npy

    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    stream = io.BytesIO(data)
    try:
        shape, fortran, dtype = readers[npy.read_magic(stream)](stream)
        if dtype.kind not in _KINDS or any(side < 0 for side in shape):
            raise ValueError(dtype)
        if math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
            raise ValueError(shape)
        order: Literal["C", "F"] = "F" if fortran else "C"
        return np.ndarray(shape, dtype, data, stream.tell(), order=order).copy()
    except Exception as error:  # NumPy raises many kinds for a header that makes no sense
        raise DamagedArchive("it holds what is not an array") from error
