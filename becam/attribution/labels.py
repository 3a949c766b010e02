"""Names of columns for people."""

from __future__ import annotations

from pathlib import Path

from becam.adapters import ADAPTERS
from becam.checkpoint import Checkpoint


def column_label(
    source: Checkpoint | str | Path, checkpoint: Checkpoint, modality: str = "image"
) -> str:
    """Model and adapter of a checkpoint, and its path where it came from one."""
    model = str(checkpoint.recommender["name"]).upper()
    adapter = checkpoint.adapter_name(modality)
    name = model if adapter == "none" else f"{model} + {ADAPTERS[adapter].title}"
    if isinstance(source, Checkpoint):
        return name
    path = Path(source)
    return f"{name} ({path.parent.name or '.'}/{path.name})"
