"""From what a user names to columns: checkpoints, their labels, before and after the adapter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from becam.adapters import ADAPTERS
from becam.attribution.target import Space
from becam.checkpoint import Checkpoint
from becam.errors import BecamError

Source = Checkpoint | str | Path
"""A checkpoint, or its path."""
Sources = Sequence[Source] | Source


def named_sources(
    checkpoints: Sources, labels: Sequence[str] | None
) -> list[tuple[Source, str | None]]:
    """Each checkpoint with the label given for it, if any.

    Raises:
        BecamError: not as many labels as checkpoints.
    """
    if isinstance(checkpoints, (Checkpoint, str, Path)):
        checkpoints = [checkpoints]
    if labels is not None and len(labels) != len(checkpoints):
        raise BecamError(f"There are {len(checkpoints)} checkpoints but {len(labels)} labels.")
    given: Sequence[str | None] = [None] * len(checkpoints) if labels is None else labels
    return list(zip(checkpoints, given, strict=True))


def loaded(source: Source) -> Checkpoint:
    """The checkpoint itself.

    Raises:
        BecamError: it cannot be read.
    """
    return source if isinstance(source, Checkpoint) else Checkpoint.load(source)


def before_and_after(
    label: str, checkpoint: Checkpoint, modality: str, *, space: Space, no_adapter: bool
) -> list[tuple[str, Space]]:
    """Labels and spaces of a checkpoint's columns, that without its adapter first."""
    columns: list[tuple[str, Space]] = [(label, space)]
    if no_adapter and space == "adapted" and checkpoint.adapter_name(modality) != "none":
        columns.insert(0, (f"{label}, no adapter", "content"))
    return columns


def column_label(source: Source, checkpoint: Checkpoint, modality: str = "image") -> str:
    """Model and adapter of a checkpoint, and its path where it came from one."""
    model = str(checkpoint.recommender["name"]).upper()
    adapter = checkpoint.adapter_name(modality)
    name = model if adapter == "none" else f"{model} + {ADAPTERS[adapter].title}"
    if isinstance(source, Checkpoint):
        return name
    path = Path(source)
    return f"{name} ({path.parent.name or '.'}/{path.name})"
