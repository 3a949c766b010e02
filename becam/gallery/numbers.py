"""A gallery's numbers: a row an item and column."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import polars as pl
from PIL import Image

from becam.attribution.controls import Controls
from becam.data.tables import write_parquet
from becam.gallery.model import Card, Heading

ITEMS = "items.parquet"

_BLOCK = 10_000
_TYPES = {"bool": pl.Boolean(), "int": pl.Int64(), "float": pl.Float64()}
_SCHEMA = pl.Schema(
    {
        **{"id": pl.String(), "title": pl.String(), "category": pl.String()},
        **{"popularity": pl.Int64(), "column": pl.Int64(), "label": pl.String()},
        **{"method": pl.String(), "adapter": pl.String(), "space": pl.String()},
        **{"theta": pl.Float64(), "theta_control": pl.Float64(), "warnings": pl.Int64()},
        **{"map_min": pl.Float64(), "map_max": pl.Float64()},
        **{
            f"control_{one.name}": _TYPES[str(one.type).partition(" ")[0]]  # of "float | None"
            for one in fields(Controls)
        },
    }
)


class NumberWriter:
    """Collects what is known of each item in each column, and writes it as Parquet.

    Args:
        folder: of the gallery.
        heading: of the gallery.
    """

    def __init__(self, folder: Path, heading: Heading) -> None:
        self._path = folder / ITEMS
        self._heading = heading
        self._rows: list[dict[str, Any]] = []
        self._blocks = [pl.DataFrame(schema=_SCHEMA)]

    def add(self, card: Card, picture: Image.Image) -> None:
        """Take the numbers of a card."""
        for number, (panel, column) in enumerate(
            zip(card.panels, self._heading.columns, strict=True)
        ):
            self._rows.append(
                {
                    "id": card.id,
                    "title": card.title,
                    "category": card.category,
                    "popularity": card.popularity,
                    "column": number,
                    "label": column.label,
                    "method": column.method,
                    "adapter": column.adapter,
                    "space": column.space,
                    "theta": panel.theta,
                    "theta_control": panel.theta_control,
                    "warnings": len(panel.warnings),
                    "map_min": float(panel.raw.min()),
                    "map_max": float(panel.raw.max()),
                    **{f"control_{name}": value for name, value in panel.controls.items()},
                }
            )
        if len(self._rows) >= _BLOCK:
            self._flush()

    def finish(self) -> None:
        """Write the file."""
        self._flush()
        write_parquet(pl.concat(self._blocks), self._path)

    def _flush(self) -> None:
        """Rows take much less room in columns."""
        self._blocks.append(pl.DataFrame(self._rows, schema=_SCHEMA))
        self._rows = []
