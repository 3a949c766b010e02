"""What a dataset folder says about itself: ``manifest.json``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from becam.errors import BecamError

FORMAT = 1
FILE = "manifest.json"


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
    """

    format: int
    name: str
    source: str
    counts: dict[str, int]
    statistics: dict[str, float]
    filters: dict[str, int]
    split: dict[str, Any]
    dropped: dict[str, int]
    fingerprint: str
    image_root: str | None
    seconds: dict[str, float]

    def save(self, folder: Path) -> None:
        """Write ``manifest.json`` into ``folder``."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read ``manifest.json`` of ``folder``.

        Raises:
            BecamError: missing, malformed, or of a newer format.
        """
        path = folder / FILE
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            what = "a folder without manifest.json" if folder.is_dir() else "not there"
            raise BecamError(
                f"{folder} is not a dataset: it is {what}; make one with becam prepare."
            ) from None
        except PermissionError:
            raise BecamError(f"{path} may not be read; check its permissions.") from None
        except ValueError:
            raise BecamError(f"{path} is damaged; make the dataset again.") from None
        if not isinstance(record, dict) or not isinstance(record.get("format"), int):
            raise BecamError(f"{path} was not written by becam; make one with becam prepare.")
        if record["format"] > FORMAT:
            raise BecamError(
                f"{folder} was made by a newer becam (dataset format {record['format']}, this one "
                f"reads {FORMAT}); upgrade becam or make the dataset again."
            )
        names = {field.name for field in fields(cls)}
        if missing := sorted(names - record.keys()):
            raise BecamError(
                f"{path} is damaged: it lacks {', '.join(missing)}; make the dataset again."
            )
        return cls(**{name: record[name] for name in names})
