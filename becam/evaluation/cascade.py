"""Models that have forgotten more and more, from their output downwards.

Source: Adebayo et al. 2018, "Sanity Checks for Saliency Maps" (cascading randomisation).
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from functools import partial

import torch

from becam.attribution.randomise import noise_pictures, shuffled_tensor, with_weights
from becam.checkpoint import Head
from becam.encoders.base import Encoder


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
            parameter.copy_(shuffled_tensor(parameter, generator))
    return twin


def cascade(encoder: Encoder, *, stages: int, seed: int = 0) -> list[Encoder]:
    """Copies of ``encoder``; the k-th has the last k / stages of its weight tensors shuffled.

    Args:
        encoder: stays as it is.
        stages: how many copies.
        seed: of the shuffle.
    """
    names = weights_from_the_output(encoder)
    generator = torch.Generator().manual_seed(seed)
    weights = dict(encoder.named_parameters())
    replaced = {name: shuffled_tensor(weights[name], generator) for name in names}
    depths = [round(len(names) * stage / stages) for stage in range(1, stages + 1)]
    return [
        with_weights(encoder, {name: replaced[name] for name in names[:depth]}) for depth in depths
    ]


def weights_from_the_output(encoder: Encoder) -> list[str]:
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
        feature = twin.encode_image(noise_pictures(twin)[:1])
        torch.autograd.backward(feature.sum())
    return reached
