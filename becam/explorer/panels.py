"""What is found, in plain values for a page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from becam.attribution.heatmap import Heatmap
from becam.explorer.catalogue import Catalogue
from becam.explorer.nearest import Nearest, Neighbour
from becam.explorer.studio import Found, Place
from becam.web import encode_map


def panel(place: Place, found: Found, catalogue: Catalogue) -> dict[str, Any]:
    """One map with its controls and neighbours, or the sentence that stands for it."""
    where = asdict(place)
    if found.heatmap is None:
        return where | {"sentence": found.sentence}
    where["problem"] = found.sentence
    return where | _map(found.heatmap) | {"nearest": _nearest(found.nearest, catalogue)}


def _map(heatmap: Heatmap) -> dict[str, Any]:
    controls = heatmap.controls
    warnings = controls.warnings()
    return {
        "label": heatmap.label,
        "target": heatmap.target,
        "map": encode_map(heatmap.raw),
        "geometry": heatmap.geometry.to_dict(),
        "warnings": warnings,
        # The last of the words sums up numbers that the page draws.
        "notes": controls.words()[len(warnings) : -1],
        "controls": controls.to_dict(),
        "options": heatmap.options,
    }


def _nearest(nearest: Nearest | None, catalogue: Catalogue) -> dict[str, Any] | None:
    if nearest is None:
        return None
    return {
        "behaviour": _neighbours(nearest.behaviour, catalogue),
        "content": _neighbours(nearest.content, catalogue),
        "rank": nearest.rank,
        "items": nearest.items,
    }


def _neighbours(neighbours: list[Neighbour], catalogue: Catalogue) -> list[dict[str, Any]]:
    # A checkpoint may know items that another one does not: those cannot be chosen.
    known = [near for near in neighbours if near.id in catalogue]
    return [asdict(catalogue.item(near.id)) | {"cosine": near.cosine} for near in known]
