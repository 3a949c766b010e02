"""A model's weights out of a file of the user's, and whether they can be the model's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from becam.encoders.envelopes import unwrapped
from becam.encoders.weights_files import read_weights_file
from becam.errors import BecamError, printable
from becam.files.tensors import all_finite


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Tensors by name, out of the usual envelopes (``state_dict``, ``model``, ``module.``).

    Raises:
        BecamError: missing, truncated, foreign, or a pickle that would run code.
    """
    path = Path(path)
    state = unwrapped(read_weights_file(path), path)
    for name, tensor in state.items():
        _check_stored(name, tensor, path)
    return state


def check_numbers(state: Mapping[str, Tensor], model: nn.Module, path: Path) -> None:
    """Raise where the model computes with numbers that a file does not hold.

    Args:
        state: the weights as they are about to be loaded, with the model's names.
        model: that they are for.
        path: of the file, for sentences.

    Raises:
        BecamError: whole numbers in place of a model's weights, NaN or infinity.
    """
    learned = {name for name, _ in model.named_parameters()}
    for name, own in model.state_dict().items():
        if name not in state or not own.is_floating_point():
            continue
        tensor = state[name]
        if not tensor.is_floating_point():
            raise BecamError(
                f"{path} holds {name} as {str(tensor.dtype).removeprefix('torch.')}, so its "
                "weights are quantised; give a file with weights in floating point."
            )
        # A buffer may say by infinity that something has no bound.
        plain = name in learned or "running_" in name
        if not (all_finite(tensor) if plain else not tensor.isnan().any()):
            raise BecamError(
                f"{path} holds values that are not finite in {name}; give a file from before the "
                "training went wrong, or fetch it again."
            )


def _check_stored(name: str, tensor: Tensor, path: Path) -> None:
    """Raise unless a tensor is a dense one of which every number is in the file."""
    dense = (
        tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    )
    if not dense or tensor.is_complex():
        raise BecamError(
            f"{path} holds {printable(name)} in a form that is no plain tensor; save the weights "
            "as a .safetensors file."
        )
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise BecamError(
            f"{path} declares {tensor.numel():,} numbers for {printable(name)} and stores fewer; "
            "save the weights as a .safetensors file."
        )
