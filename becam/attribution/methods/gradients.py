"""Gradients of the similarity, through an encoder that stays frozen."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from becam.attribution.capture import evaluating
from becam.attribution.target import Target
from becam.attribution.view import View
from becam.errors import BecamError


@dataclass(frozen=True)
class Trace:
    """A forward pass that can be gone back through, for as many targets as wanted.

    Attributes:
        features: of one picture, (1, d_m).
        tensors: what the features were computed of.
    """

    features: Tensor
    tensors: Sequence[Tensor]

    def gradients(self, target: Target) -> list[Tensor]:
        """Of ``target.similarity`` in each of the tensors, in their shapes."""
        with autograd():
            score = similarity(target, self.features).sum()
            # A tensor that reaches the feature no more has no influence on it.
            found = torch.autograd.grad(
                score, list(self.tensors), retain_graph=True, materialize_grads=True
            )
        return list(found)


@contextmanager
def autograd() -> Iterator[None]:
    """Record gradients inside the block, whatever mode the caller is in."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def similarity(target: Target, features: Tensor) -> Tensor:
    """``target.similarity`` (n,) of features (n, d_m) on any device; differentiable in them."""
    # Of what was made in inference mode, as a text's vector is, autograd can only use copies.
    return copy.deepcopy(target).similarity(features.float().cpu())


def layer_trace(view: View) -> Trace:
    """The picture's forward pass from the target layer's output on.

    Raises:
        BecamError: the feature does not depend on that layer.
    """
    return view.kept("trace", lambda: _layer_trace(view))


def layer_gradient(view: View, target: Target) -> Tensor:
    """The gradient of the similarity in the target layer's channels, (N, h, w), on the CPU.

    Raises:
        BecamError: the feature does not depend on that layer.
    """
    (gradient,) = layer_trace(view).gradients(target)
    return view.engine.layer.to_channels(gradient)[0].cpu()


def _layer_trace(view: View) -> Trace:
    encoder, layer = view.engine.encoder, view.engine.layer
    module = encoder.vision.get_submodule(layer.path)
    with autograd(), evaluating(encoder), _leaves(module) as leaves:
        features = encoder.encode_image(view.pixels.clone()[None])
    if not leaves or not features.requires_grad:
        raise BecamError(
            f"The feature of a picture does not depend on {layer.path}; choose another "
            "--target-layer."
        )
    return Trace(features, leaves[-1:])


@contextmanager
def _leaves(module: nn.Module) -> Iterator[list[Tensor]]:
    """Begin autograd's record at the outputs of ``module``; the hook is gone after the block."""
    leaves: list[Tensor] = []

    def begin(
        _module: nn.Module, _inputs: object, output: Tensor | tuple[Tensor, ...]
    ) -> Tensor | tuple[Tensor, ...]:
        first, rest = (output[0], output[1:]) if isinstance(output, tuple) else (output, None)
        leaves.append(first.detach().clone().requires_grad_())
        onward = leaves[-1].clone()  # a following operation may work in place
        return onward if rest is None else (onward, *rest)

    handle = module.register_forward_hook(begin)
    try:
        yield leaves
    finally:
        handle.remove()
