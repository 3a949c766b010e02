"""Files that are either whole or absent."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from becam.files.disk import disk_errors, sync
from becam.files.outputs import find_output
from becam.files.temporaries import temporary_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from PIL import Image


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there when the block succeeds.

    A crash, a full disk, a kill inside the block or a loss of power leaves either what stood at
    ``path`` or the whole new file. Parent folders are created; a link is followed. The temporary
    keeps the suffix of ``path``, so writers that go by the suffix (``numpy.save``, Pillow) behave.

    Raises:
        BecamError: no file can be there, or the operating system refused the write (no space, no
            permission, ...).
    """
    path = find_output(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_of(path)
        try:
            # Made anew, never through a link, with the mode that the user's mask and the folder
            # give to any new file.
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            yield temporary
            sync(temporary)
            os.replace(temporary, path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def save_torch(payload: object, path: str | Path) -> None:
    """``torch.save`` into a file that is whole or absent; the same payload gives the same bytes.

    Raises:
        BecamError: the disk refused the write.
    """
    import torch

    with atomic_file(path) as temporary, open(temporary, "wb") as stream:
        # Into a stream: of a path, PyTorch keeps the name in the file.
        writer = _Writer(stream)
        try:
            torch.save(payload, writer)  # type: ignore[arg-type]
        except RuntimeError:
            # PyTorch's own writer hides the reason behind an error of its own.
            if writer.error is not None:
                raise writer.error from None
            raise


def save_arrays(
    path: str | Path, arrays: Mapping[str, ArrayLike], *, compressed: bool = False
) -> None:
    """``numpy.savez`` into a file that is whole or absent.

    Raises:
        BecamError: the disk refused the write.
    """
    import numpy as np

    # In memory first: of a full disk NumPy and its archive make errors that say something else.
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)  # type: ignore[arg-type]
    with atomic_file(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def save_picture(picture: Image.Image, path: str | Path, kind: str, **options: Any) -> None:
    """Encode a picture and write it; for folders that are whole or absent as such.

    Raises:
        OSError: the disk refused. Pillow itself, writing to a file, does not say why.
    """
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    Path(path).write_bytes(buffer.getbuffer())


def write_json(path: str | Path, value: Any) -> None:
    """A JSON file, indented, whole or absent; letters that UTF-8 cannot hold are escaped.

    Raises:
        BecamError: the disk refused the write.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        encoded = text.encode()
    except UnicodeEncodeError:  # names of files that are no UTF-8
        encoded = json.dumps(value, indent=2).encode()
    with atomic_file(path) as temporary:
        temporary.write_bytes(encoded + b"\n")


def write_text(path: str | Path, text: str) -> None:
    """A UTF-8 text file, whole or absent; letters that UTF-8 cannot hold become ``?``.

    Raises:
        BecamError: the disk refused the write.
    """
    with atomic_file(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))


class _Writer:
    """A stream for ``torch.save`` that remembers why a write failed."""

    def __init__(self, stream: io.BufferedWriter) -> None:
        self._stream = stream
        self.error: BaseException | None = None

    def write(self, data: Any) -> int:
        try:
            return self._stream.write(data)
        except BaseException as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._stream.flush()
