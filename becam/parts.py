"""Long work kept piece by piece: one file a thing as it is done, so that a kill costs one."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from becam.errors import BecamError
from becam.files import atomic_file, disk_errors
from becam.records import read_record

FOLDER = "parts"
FORMAT = 1


class PartFiles:
    """Files of single things below one folder; several processes may work there.

    Args:
        folder: of the work; it is made.
        identity: all that decides what is in a part, as plain values.
        record: name of the file that keeps the identity.
        suffix: of the parts.
        noun: what the work is, for messages, such as ``an audit``.
        overwrite: discard the parts of earlier work; no other process may work there then.

    Raises:
        BecamError: the folder has parts of another identity, or the disk refuses.
    """

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any],
        *,
        record: str,
        suffix: str,
        noun: str,
        overwrite: bool,
    ) -> None:
        self._folder = folder / FOLDER
        self._record = folder / record
        self._suffix = suffix
        self._noun = noun
        # As it will be read back: tuples become lists.
        self._wanted = json.loads(json.dumps({"format": FORMAT, **identity}))
        if folder.exists() and not folder.is_dir():
            raise BecamError(f"{folder} is a file; choose a folder with -o.")
        # First the parts, then the record: whoever begins meanwhile writes them the other way
        # round, so parts without a record are never those of a process at work.
        begun = any(self._folder.glob("[!.]*"))  # a name with a dot is one that a kill left
        kept = self._record.is_file() and not overwrite
        if kept and begun:
            self._check()
        elif not (kept and self._matches()):
            self._begin(folder, discard=overwrite or begun)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.path(name).is_file()

    def missing(self, names: Iterable[str]) -> set[str]:
        """Those of some things that are not there yet."""
        present = {path.name for path in self._folder.glob("[!.]*")}
        return {name for name in names if self.path(name).name not in present}

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield a temporary path for the part of a thing, kept whole or not at all.

        Raises:
            BecamError: the folder has become other work's, or the disk refuses.
        """
        self._check()
        with atomic_file(self.path(name)) as temporary:
            yield temporary

    def path(self, name: str) -> Path:
        """Where the part of a thing is; names may be any strings."""
        digest = hashlib.sha256(name.encode()).hexdigest()
        return self._folder / f"{digest[:24]}{self._suffix}"

    def _begin(self, folder: Path, *, discard: bool) -> None:
        with disk_errors(folder):
            if discard and self._folder.exists():
                shutil.rmtree(self._folder)
            self._folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(self._record) as temporary:
            text = json.dumps(self._wanted, indent=2, ensure_ascii=False)
            temporary.write_text(text, "utf-8")

    def _matches(self) -> bool:
        try:
            self._check()
        except BecamError:
            return False
        return True

    def _check(self) -> None:
        again = "choose another -o or pass --overwrite to begin again"
        found = read_record(self._record, dict[str, Any], remedy=again, what="record")
        differing = [key for key, value in self._wanted.items() if found.get(key) != value]
        if differing:
            raise BecamError(
                f"{self._record.parent} holds {self._noun} that differs in {', '.join(differing)}; "
                "choose another -o or pass --overwrite to begin again."
            )
