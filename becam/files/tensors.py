"""Reading what ``torch.save`` wrote: tensors and plain values, every byte of them checked.

PyTorch itself checks neither the CRC of a record nor whether a tensor has the bytes that it claims.
"""

from __future__ import annotations

import math
import os
import pickle
import re
import warnings
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from becam.errors import BecamError
from becam.files.archives import DamagedArchive, check_stored
from becam.files.reading import open_file

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MOST_DEPTH = 64
"""How deeply plain values may be nested."""

_START = b"PK\x03\x04"
_RECORD = "data.pkl"
_CALL = re.compile(rb"c(torch[\w.]*|builtins|__builtin__|_codecs)\n(\w+)\n")
_CALLS = re.compile(r"torch\._utils\._rebuild_(tensor_v2|parameter)|torch\.\w+Storage")
_SHARES = 4
"""How often the bytes of a file may be claimed: tables stand in a checkpoint twice."""


def read_torch(
    path: str | Path, *, what: str, made: str, remedy: str, device: str | torch.device = "cpu"
) -> Any:
    """Tensors and plain values of a file in PyTorch's ZIP format; no code in it is ever run.

    Tensors share memory where they did, never with the file. Nothing is allocated beyond what the
    file really holds.

    Args:
        path: of the file.
        what: what the file should be, in errors, such as ``becam checkpoint``.
        made: how one comes about, to end the sentence about a file of another kind.
        remedy: what the user can do about a damaged one.
        device: where the tensors go.

    Raises:
        MissingFileError: there is none.
        BecamError: not a regular file, of another kind, damaged, or one with anything but tensors
            and plain values.
    """
    with open_file(path, what=what) as stream:
        start = stream.read(len(_START))
        if start and start != _START:
            raise BecamError(f"{path} is not a {what}; {made}.")
        try:
            records = check_stored(stream)
            names = [name for name in records if name.endswith(f"/{_RECORD}")]
            if len(names) != 1:
                raise BecamError(f"{path} is not a {what}; {made}.")
            prefix = names[0].removesuffix(_RECORD)
            plain = _bytes_of(stream, names[0])
            _check_calls(plain)
            found = {of for name, of in records.items() if name.startswith(f"{prefix}data/")}
            restoring = _Restoring(found, stream.seek(0, 2), len(plain), device)
            return restoring.value(_load(stream, path), 0)
        except DamagedArchive as error:
            raise BecamError(f"{path} is damaged or incomplete ({error}); {remedy}.") from error
        except pickle.UnpicklingError as error:
            raise BecamError(
                f"{path} holds more than tensors and plain values and could run code, so it was "
                f"not loaded; {remedy}."
            ) from error


def all_finite(values: Tensor) -> bool:
    """Whether no entry is NaN or infinite; quicker than PyTorch's own check."""
    import numpy as np
    import torch

    if not values.is_floating_point():
        return True
    values = values.detach().cpu()
    if values.dtype not in (torch.float16, torch.float32, torch.float64):
        values = values.float()
    return bool(np.isfinite(values.numpy()).all())


def _bytes_of(stream: IO[bytes], name: str) -> bytes:
    import zipfile

    with zipfile.ZipFile(stream) as archive:
        return archive.read(name)


def _check_calls(plain: bytes) -> None:
    """Refuse calls that PyTorch allows and plain tensors do not need: they may allocate much."""
    for module, name in set(_CALL.findall(plain)):
        call = f"{module.decode()}.{name.decode()}"
        if not _CALLS.fullmatch(call):
            raise pickle.UnpicklingError(call)


def _load(stream: IO[bytes], path: str | Path) -> Any:
    import torch

    # The very file that was checked, whatever has been put at its path since.
    opened = f"/proc/self/fd/{stream.fileno()}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Mapped, a tensor cannot reach beyond the file, whatever it claims.
            return torch.load(
                opened if os.path.exists(opened) else path,
                map_location="cpu",
                weights_only=True,
                mmap=True,
            )
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # PyTorch raises many kinds for what is not its own
        raise DamagedArchive("PyTorch cannot read it") from error


class _Restoring:
    """Copies what was loaded, and checks it on the way.

    Args:
        records: size and CRC-32 of the tensors' bytes.
        size: of the file.
        plain: size of the record with everything but these bytes.
        device: where the tensors go.
    """

    def __init__(
        self,
        records: set[tuple[int, int]],
        size: int,
        plain: int,
        device: str | torch.device,
    ) -> None:
        self._records = records
        self._left = _SHARES * size
        self._values_left = _SHARES * plain
        self._device = device
        self._copies: dict[tuple[int, int], Tensor] = {}

    def value(self, value: Any, depth: int) -> Any:
        """The value with tensors of their own memory."""
        import torch

        self._values_left -= 1
        # A list may hold itself, or the same list many times over.
        if depth > MOST_DEPTH or self._values_left < 0:
            raise DamagedArchive("its values are nested too deeply")
        if value is None or isinstance(value, (bool, float, str)):
            return value
        if isinstance(value, int):
            if not -(1 << 63) <= value < 1 << 64:
                raise DamagedArchive("one of its numbers is too large")
            return value
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
            return type(value)(self.value(each, depth + 1) for each in value)
        if isinstance(value, dict) and all(isinstance(key, (str, int)) for key in value):
            return {key: self.value(each, depth + 1) for key, each in value.items()}
        raise DamagedArchive(f"it holds a {type(value).__name__}")

    def _tensor(self, tensor: Tensor) -> Tensor:
        import torch

        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_complex():
            raise DamagedArchive("one of its tensors is not a plain one")
        claimed = math.prod(tensor.shape) * tensor.element_size()
        storage = tensor.untyped_storage()
        self._left -= claimed
        if claimed > storage.nbytes() or self._left < 0:
            raise DamagedArchive("its tensors claim more than the file holds")
        key = storage.data_ptr(), storage.nbytes()
        if key not in self._copies:
            stored = torch.empty(0, dtype=torch.uint8).set_(storage)
            if (
                storage.nbytes()
                and (len(stored), zlib.crc32(stored.numpy().data)) not in self._records
            ):
                raise DamagedArchive("one of its tensors is not what was written")
            self._copies[key] = stored.to(self._device, copy=True)
        return torch.empty(0, dtype=tensor.dtype, device=self._device).set_(
            self._copies[key].untyped_storage(),
            tensor.storage_offset(),
            tensor.size(),
            tensor.stride(),
        )
