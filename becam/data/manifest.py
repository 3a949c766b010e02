"""What a dataset folder says about itself: ``manifest.json``."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec

from becam.errors import BecamError, MissingFileError
from becam.files import write_json
from becam.records import read_record

FORMAT = 1
FILE = "manifest.json"

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]


@dataclass(frozen=True)
class Manifest:
    """Provenance and counts of a dataset.

    Attributes:
        format: version of the folder's layout.
        name: of the dataset.
        source: name of the source it was read with.
        counts: ``users``, ``items``, ``interactions``, ``train``, ``validation``, ``test``.
        statistics: ``density``, ``interactions_per_user``, ``interactions_per_item``.
        filters: ``user_core`` and ``item_core``.
        split: ``scheme`` (``random``, ``time``, ``source``) and ``seed`` (null for ``source``).
        dropped: what left, by reason.
        fingerprint: SHA-256 over interactions, split and ids.
        image_root: folder that picture paths start from; relative to the dataset folder unless
            absolute; null where the source has no pictures.
        seconds: duration by stage.
        tables: SHA-256 of the tables' files by name; empty where an earlier becam made them.
    """

    format: int
    name: str
    source: str
    counts: dict[str, Count]
    statistics: dict[str, float]
    filters: dict[str, int]
    split: dict[str, Any]
    dropped: dict[str, int]
    fingerprint: str
    image_root: str | None
    seconds: dict[str, float]
    tables: dict[str, str] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write ``manifest.json`` into ``folder``."""
        write_json(folder / FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read ``manifest.json`` of ``folder``.

        Raises:
            BecamError: missing, malformed, or of a newer format.
        """
        path = folder / FILE
        again = "make the dataset again with becam prepare"
        try:
            known = read_record(path, _Version, remedy=again, what="manifest").format
        except MissingFileError:
            what = "a folder without manifest.json" if os.path.isdir(folder) else "not there"
            raise BecamError(
                f"{folder} is not a dataset: it is {what}; make one with becam prepare."
            ) from None
        if known > FORMAT:
            raise BecamError(
                f"{folder} was made by a newer becam (dataset format {known}, this one reads "
                f"{FORMAT}); upgrade becam or make the dataset again."
            )
        return read_record(path, cls, remedy=again, what="manifest")


class _Version(msgspec.Struct):
    format: Annotated[int, msgspec.Meta(ge=1)]
