"""Reading weights files: safetensors or ``torch.load(weights_only=True)``, and nothing else."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from becam.errors import BecamError


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Tensors by name, unwrapped from the usual envelopes (``state_dict``, ``module.``).

    Raises:
        BecamError: missing, truncated, foreign, or a pickle that would run code.
    """
    path = Path(path)
    if not path.is_file():
        raise BecamError(f"There is no weights file at {path}; check --weights.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise BecamError(
            f"{path} cannot be read as weights ({first_line(error)}); give a .safetensors file or "
            "a state dict saved by torch.save, downloaded whole."
        ) from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
    ):
        raise BecamError(f"{path} holds no state dict of tensors; give the model's weights file.")
    return {name.removeprefix("module."): value for name, value in state.items()}


def describe_mismatch(missing: list[str], unexpected: list[str]) -> str:
    """For sentences: the first names that do not fit."""
    parts = []
    if missing:
        parts.append(f"{len(missing)} missing, such as {missing[0]}")
    if unexpected:
        parts.append(f"{len(unexpected)} unknown, such as {unexpected[0]}")
    return "; ".join(parts)


def first_line(error: Exception) -> str:
    """For sentences: what an error says, without the rest of it."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")[:200]
