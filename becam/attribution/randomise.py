"""An encoder that has forgotten what it learned, for the sanity check by randomisation."""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from becam.encoders.base import Encoder


@torch.no_grad()
def shuffled(encoder: Encoder, pixels: Tensor, *, seed: int = 0) -> Encoder:
    """A copy of ``encoder`` whose weights are shuffled within each tensor.

    Shuffling keeps every tensor's scale, so signals neither die nor explode, and destroys what it
    knows. Statistics of batch norms belong to the old weights; they are measured anew.

    Args:
        encoder: stays as it is.
        pixels: pictures (B, 3, H, W) to measure the batch norms on, B at least 2.
        seed: of the shuffle.
    """
    twin = copy.deepcopy(encoder)
    generator = torch.Generator().manual_seed(seed)
    for parameter in twin.parameters():
        order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
        parameter.copy_(parameter.flatten()[order].view_as(parameter))
    norms = [module for module in twin.modules() if isinstance(module, _BatchNorm)]
    if norms:
        _recalibrate(twin, norms, pixels.to(twin.device))
    return twin


def _recalibrate(encoder: Encoder, norms: list[_BatchNorm], pixels: Tensor) -> None:
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    encoder.encode_image(pixels)
    for norm in norms:
        norm.eval()
