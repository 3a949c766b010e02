"""Long work kept piece by piece: one file a thing as it is done, so that a kill costs one."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from becam.errors import BecamError
from becam.files import (
    atomic_file,
    check_output_folder,
    disk_errors,
    filling,
    sweep,
    write_json,
)
from becam.records import read_record

FOLDER = "parts"
FORMAT = 1

_DIGITS = 24


class PartFiles:
    """Files of single things below one folder; several processes may work there.

    Args:
        folder: of the work; it is made.
        identity: all that decides what is in a part, as plain values.
        record: name of the file that keeps the identity.
        suffix: of the parts.
        noun: what the work is, for messages, such as ``an audit``.
        overwrite: discard the parts of earlier work; no other process may work there then.
        products: names of what is made of the parts, beside the record.

    Raises:
        BecamError: the folder has parts of another identity, or files that becam did not write
            where its own belong; others work there; or the disk refuses.
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
        products: Sequence[str] = (),
    ) -> None:
        self._work = folder
        self._folder = folder / FOLDER
        self._record = folder / record
        self._suffix = suffix
        self._noun = noun
        self._products = products
        # As it will be read back: tuples become lists.
        self._wanted = json.loads(json.dumps({"format": FORMAT, **identity}))
        check_output_folder(folder)
        with filling(folder, shared=True):
            if not overwrite and self._goes_on():
                return
        with filling(folder) as alone:
            if overwrite or not self._goes_on():
                self._discard(alone)
                self._begin()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Keep whoever would begin again away while the block runs; others may work as well.

        Raises:
            BecamError: a process begins again just now, or the folder has become other work's.
        """
        with filling(self._work, shared=True):
            self._check()
            yield

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.path(name).is_file()

    def missing(self, names: Iterable[str]) -> set[str]:
        """Those of some things that are not there yet."""
        present = set(self._present())
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
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / f"{digest[:_DIGITS]}{self._suffix}"

    def _present(self) -> Iterator[str]:
        """Names of the parts that are there, and of others' files: not what a kill left."""
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            yield from (entry.name for entry in entries if not entry.name.startswith("."))

    def _goes_on(self) -> bool:
        """Whether the work goes on, or begins with nothing in its way; else it must begin again.

        Raises:
            BecamError: the folder has parts of another identity, or files of others.
        """
        begun = any(self._present())
        if self._record.is_file():
            sweep(self._folder)
            if begun:
                self._check()
                return True
            if self._matches():
                return True
        elif begun:
            return False  # parts of which nobody knows what decided them
        self._check_foreign()
        self._begin()
        return True

    def _begin(self) -> None:
        with disk_errors(self._work):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_json(self._record, self._wanted)

    def _discard(self, alone: bool) -> None:
        """Delete the parts of earlier work, and nothing else."""
        self._check_foreign()
        own = re.compile(rf"[0-9a-f]{{{_DIGITS}}}{re.escape(self._suffix)}")
        parts = list(self._present())
        if foreign := [name for name in parts if not own.fullmatch(name)]:
            raise BecamError(
                f"{self._folder} holds {min(foreign)}, which becam did not write, so it is left as "
                "it is; choose another -o."
            )
        with disk_errors(self._work):
            for name in parts:
                (self._folder / name).unlink(missing_ok=True)
        sweep(self._folder, alone=alone)

    def _check_foreign(self) -> None:
        """Raise unless all that will be written over is becam's.

        A record tells, or parts; a damaged record beside parts is still theirs.
        """
        names = (self._record.name, *self._products)
        there = [name for name in names if os.path.lexists(self._work / name)]
        if not there or any(self._present()):
            return
        with suppress(BecamError):
            if "format" in read_record(self._record, dict[str, Any], remedy=""):
                return
        raise BecamError(
            f"{self._work} holds {there[0]}, which is of no work of becam's, so it is left as it "
            "is; choose another -o."
        )

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
                f"{self._work} holds {self._noun} that differs in {', '.join(differing)}; "
                "choose another -o or pass --overwrite to begin again."
            )
