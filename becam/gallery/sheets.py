"""A gallery's contact sheets."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from becam.attribution.controls import DRIFT_DEGREES, Controls
from becam.attribution.heatmap import Heatmap
from becam.encoders.preprocessing import Geometry
from becam.figures.contact_sheet import ContactSheet, SheetCell, SheetHead, SheetItem
from becam.figures.overlay import overlay
from becam.gallery.model import Card, Column, Heading, Panel

_SIDE = 480
"""Longer side of a cell's picture in pixels: as large as it is ever printed."""


class SheetWriter(AbstractContextManager["SheetWriter"]):
    """Puts cards on a contact sheet, one after another.

    Args:
        path: ends in .pdf or .png.
        heading: of the gallery.
        total: how many cards there will be.
    """

    def __init__(self, path: Path, heading: Heading, *, total: int) -> None:
        self._heading = heading
        self._sheet = ContactSheet(path, _head(heading, total), total=total)
        self.written: list[Path] = []

    def __enter__(self) -> SheetWriter:
        self._sheet.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._sheet.__exit__(kind, error, traceback)

    def add(self, card: Card, picture: Image.Image) -> None:
        """Put a card on the sheet."""
        small, scale = _shrunk(picture)
        cells = [SheetCell(small)] + [
            self._cell(card, panel, column, small, scale)
            for panel, column in zip(card.panels, self._heading.columns, strict=True)
        ]
        sold = f"{card.popularity:,} interaction{'' if card.popularity == 1 else 's'}"
        note = " · ".join(filter(None, (card.id, card.category, sold)))
        self._sheet.add(SheetItem(card.title, note, cells))

    def finish(self) -> None:
        """Write what is left."""
        self.written = self._sheet.finish()

    def _cell(
        self, card: Card, panel: Panel, column: Column, small: Image.Image, scale: float
    ) -> SheetCell:
        geometry = panel.geometry or card.geometry
        left, top, right, bottom = (edge * scale for edge in geometry.box)
        heatmap = Heatmap(
            raw=panel.raw,
            weights=np.empty(0, np.float32),
            geometry=Geometry(small.width, small.height, (left, top, right, bottom)),
            controls=Controls(**panel.controls),
            label=column.label,
            target=card.id,
            options=column.options,
        )
        return SheetCell(
            overlay(small, heatmap),
            _angles(panel, self._heading.omission),
            marked=bool(panel.warnings),
        )


def _head(heading: Heading, total: int) -> SheetHead:
    several = len({column.method for column in heading.columns}) > 1
    return SheetHead(
        title=heading.title,
        rule=f"{total:,} of {heading.total:,} items: {heading.rule}.",
        columns=[
            f"{column.label}, {column.method}" if several else column.label
            for column in heading.columns
        ],
        notes=[*heading.notes, " · ".join(f"{k}: {v}" for k, v in heading.facts.items())],
        legend=(
            "θ: angle of the item's content to behaviour, and in brackets with another item's "
            f"content; over {heading.omission:g}° omission, over {DRIFT_DEGREES:g}° drift. ! : a "
            "control speaks against the map. Each map has its own scale. Hatched: never seen by "
            "the encoder."
        ),
        scale=("agrees less", "agrees most"),
    )


def _angles(panel: Panel, omission: float) -> str:
    if panel.theta is None:
        return "no angle"
    control = "" if panel.theta_control is None else f" ({panel.theta_control:.0f}°)"
    verdict = (
        " drift" if panel.theta > DRIFT_DEGREES else " omission" if panel.theta > omission else ""
    )
    return f"θ {panel.theta:.0f}°{control}{verdict}"


def _shrunk(picture: Image.Image) -> tuple[Image.Image, float]:
    """The picture in the size of a cell, and by how much it shrank."""
    scale = min(1.0, _SIDE / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS), scale
