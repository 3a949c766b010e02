"""Models that have forgotten more and more, from their output downwards.

Source: Adebayo et al. 2018, "Sanity Checks for Saliency Maps" (cascading randomisation). Weights
are shuffled within each tensor: that keeps their scale and destroys what they know.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from becam.checkpoint import Head
from becam.encoders.base import Encoder
from becam.encoders.fast.copying import structural_copy


def shuffled_head(head: Head, parts: Collection[str], *, seed: int = 0) -> Head:
    """A copy of ``head`` with the weights of some of its parts shuffled.

    Args:
        head: stays as it is.
        parts: of ``projection`` and ``adapter``.
        seed: of the shuffle.
    """
    twin = copy.deepcopy(head)
    generator = torch.Generator().manual_seed(seed)
    for part in sorted(parts):
        for parameter in twin.get_submodule(part).parameters():
            parameter.copy_(_shuffled(parameter, generator))
    return twin


def cascade(encoder: Encoder, pixels: Tensor, *, stages: int, seed: int = 0) -> list[Encoder]:
    """Copies of ``encoder``; the k-th has the last k / stages of its weight tensors shuffled.

    Copies share what is not shuffled. Batch norms at shuffled depths are measured anew, since
    their statistics belong to the old weights.

    Args:
        encoder: stays as it is.
        pixels: pictures (B, 3, H, W) to measure the batch norms on, B at least 2.
        stages: how many copies.
        seed: of the shuffle.
    """
    names = weights_from_the_output(encoder, pixels)
    generator = torch.Generator().manual_seed(seed)
    weights = dict(encoder.named_parameters())
    replaced = {name: _shuffled(weights[name], generator) for name in names}
    found = []
    for stage in range(1, stages + 1):
        twin = structural_copy(encoder)
        chosen = names[: round(len(names) * stage / stages)]
        for name in chosen:
            path, _, own = name.rpartition(".")
            setattr(
                twin.get_submodule(path), own, nn.Parameter(replaced[name], requires_grad=False)
            )
        _recalibrate(twin, {name.rpartition(".")[0] for name in chosen}, pixels)
        found.append(twin)
    return found


def weights_from_the_output(encoder: Encoder, pixels: Tensor) -> list[str]:
    """Names of the weights that make a picture's feature, those nearest to the feature first.

    It is the order in which a backward pass reaches them, whatever the architecture. Weights
    that take no part, such as a text tower's, are left out.
    """
    twin = copy.deepcopy(encoder)
    reached: list[str] = []
    for name, parameter in twin.named_parameters():
        parameter.requires_grad_(True)
        note = partial(lambda found, _: reached.append(found), name)
        parameter.register_post_accumulate_grad_hook(note)  # type: ignore[no-untyped-call]
    with torch.inference_mode(False), torch.enable_grad():
        feature = twin.encode_image(pixels[:1].clone().to(twin.device))
        torch.autograd.backward(feature.sum())
    return reached


def _shuffled(tensor: Tensor, generator: torch.Generator) -> Tensor:
    order = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
    return tensor.detach().flatten()[order].view_as(tensor)


@torch.no_grad()
def _recalibrate(twin: Encoder, shuffled: Collection[str], pixels: Tensor) -> None:
    norms = [
        module
        for path, module in twin.named_modules()
        if isinstance(module, _BatchNorm) and (path in shuffled or not module.affine)
    ]
    if not norms:
        return
    for norm in norms:
        for name, statistic in list(norm.named_buffers(recurse=False)):
            setattr(norm, name, statistic.clone())  # until here they are the original's
        norm.momentum = 1.0
        norm.train()
    twin.encode_image(pixels.to(twin.device))
    for norm in norms:
        norm.eval()
