"""An encoder that has forgotten what it learned, for the sanity checks by randomisation.

Source: Adebayo et al. 2018, "Sanity Checks for Saliency Maps". Weights are shuffled within each
tensor: that keeps every tensor's scale, so signals neither die nor explode, and destroys what it
knows.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from becam.encoders.base import Encoder
from becam.encoders.fast.copying import structural_copy

_PICTURES = 4


def shuffled(encoder: Encoder, *, seed: int = 0) -> Encoder:
    """A copy of ``encoder`` with all weights of its vision tower shuffled."""
    generator = torch.Generator().manual_seed(seed)
    vision = {id(parameter) for parameter in encoder.vision.parameters()}
    return with_weights(
        encoder,
        {
            name: shuffled_tensor(parameter, generator)
            for name, parameter in encoder.named_parameters()
            if id(parameter) in vision
        },
    )


def shuffled_tensor(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """The same values in another order."""
    order = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
    return tensor.detach().flatten()[order].view_as(tensor)


def with_weights(encoder: Encoder, weights: Mapping[str, Tensor]) -> Encoder:
    """A copy of ``encoder`` with some weights replaced; it shares all others with the original.

    Statistics of batch norms belong to the old weights. Where the weights of a norm are replaced
    they are measured anew, on pictures that are noise.

    Args:
        encoder: stays as it is.
        weights: by name, each of its parameter's shape.
    """
    twin = structural_copy(encoder)
    for name, value in weights.items():
        path, _, own = name.rpartition(".")
        setattr(twin.get_submodule(path), own, nn.Parameter(value, requires_grad=False))
    _recalibrate(twin, {name.rpartition(".")[0] for name in weights})
    return twin


def noise_pictures(encoder: Encoder) -> Tensor:
    """Pictures (4, 3, H, W) as ``encoder`` takes them: noise as strong in each octave as any other.

    That is how photographs are, so convolutions answer to it as they answer to those.
    """
    height, width = encoder.preprocessing.size
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(_PICTURES, 3, height, width)
    side = 2
    while side <= min(height, width):
        noise = torch.randn(_PICTURES, 3, side, side, generator=generator)
        total += functional.interpolate(noise, size=(height, width), mode="bicubic")
        side *= 2
    return (total / total.std()).to(encoder.device)


@torch.no_grad()
def _recalibrate(twin: Encoder, replaced: set[str]) -> None:
    norms = [
        module
        for path, module in twin.named_modules()
        if isinstance(module, _BatchNorm) and (path in replaced or not module.affine)
    ]
    if not norms:
        return
    for norm in norms:
        for name, statistic in list(norm.named_buffers(recurse=False)):
            setattr(norm, name, statistic.clone())  # until here they are the original's
        norm.momentum = 1.0
        norm.train()
    twin.encode_image(noise_pictures(twin))
    for norm in norms:
        norm.eval()
