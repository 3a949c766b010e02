"""Activations of a target layer, with every hook removed again, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from becam.encoders.base import Encoder, TargetLayer
from becam.errors import BecamError


@contextmanager
def captured(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the outputs of ``module`` in a list; the hook is gone after the block.

    Outputs are copied, because a following in-place operation would change them.
    """
    outputs: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        first = output[0] if isinstance(output, tuple) else output
        outputs.append(first.detach().clone())

    handle = module.register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; every submodule's own mode restored after it."""
    modes = {submodule: submodule.training for submodule in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for submodule, training in modes.items():
            submodule.training = training


def capture(encoder: Encoder, layer: TargetLayer, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """One forward pass: features (B, d_m) and activations A (B, N, h, w), both float32.

    Args:
        encoder: any encoder.
        layer: where to listen, from ``encoder.target_layer()``.
        pixels: normalised pixels (B, 3, H, W).

    Raises:
        BecamError: the layer took no part in the forward pass, or its output has another layout.
    """
    module = encoder.vision.get_submodule(layer.path)
    with torch.inference_mode(), evaluating(encoder), captured(module) as outputs:
        features = encoder.encode_image(pixels)
    if not outputs:
        raise BecamError(
            f"The module {layer.path} took no part in encoding the picture; choose another "
            "--target-layer."
        )
    return features.float(), layer.to_channels(outputs[-1])
