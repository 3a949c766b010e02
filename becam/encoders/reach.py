"""Whether a module can be a target layer: seen in two forward passes, so for any architecture."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from becam.errors import BecamError, BecamWarning

if TYPE_CHECKING:
    from becam.encoders.base import Encoder, TargetLayer


def check_target_layer(encoder: Encoder, layer: TargetLayer, way_out: str) -> None:
    """Refuse a layer that says nothing of where something is in the picture.

    Args:
        encoder: whose ``vision`` has the layer.
        layer: the candidate.
        way_out: the end of the sentences, such as ``the default is layer4``.

    Raises:
        BecamError: the module takes no part in encoding a picture, gives no grid of more than one
            cell, or what it gives for the patches never reaches the feature.
    """
    reason = refusal(encoder, layer)
    if reason is not None:
        raise BecamError(f"{reason}; {way_out}.")


def warn_unless_explained(encoder: Encoder) -> None:
    """Warn, before features are made, where no picture can be explained without more being said.

    Args:
        encoder: about to make features.

    Warns:
        BecamWarning: it has no default target layer, or one that cannot work.
    """
    try:
        layer = encoder.default_target_layer()
        check_target_layer(encoder, layer, "choose another --target-layer")
    except BecamError as error:
        warnings.warn(
            f"Features can be made, but explaining pictures will need a --target-layer that works, "
            f"or another encoder: {error}",
            BecamWarning,
            stacklevel=2,
        )


@torch.inference_mode()
def refusal(encoder: Encoder, layer: TargetLayer) -> str | None:
    """Why a layer cannot be a target layer, as the beginning of a sentence; None: it can."""
    pixels = probe(encoder)
    module = encoder.vision.get_submodule(layer.path)
    listener = _Listener(layer)
    feature = listener.encode(encoder, module, pixels)
    if listener.output is None:
        return f"The module {layer.path} takes no part in encoding a picture, or gives no tensor"
    shape = tuple(listener.output.shape)
    if not layer.fits(shape):
        if len(shape) < 3:
            return f"The output of {layer.path} is no grid, since it comes after pooling"
        return f"The output of {layer.path} has shape {shape}, which is not {layer.describe()}"
    channels = layer.to_channels(listener.output)
    if channels.shape[2:] == (1, 1):
        return f"The output of {layer.path} is no grid, since it comes after pooling"
    if len(channels) != 1:
        return (
            f"The output of {layer.path} has shape {shape} for one picture, so it cuts the picture "
            "into parts"
        )
    listener.disturbs = True
    if torch.equal(listener.encode(encoder, module, pixels), feature):
        reaches = "only the [CLS] token" if layer.prefix_tokens else "nothing"
        return f"Of {layer.path} {reaches} reaches the output, so its patches say nothing"
    return None


def probe(encoder: Encoder) -> Tensor:
    """One picture of noise, always the same, as the encoder takes it."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(1, 3, *encoder.preprocessing.size, generator=generator)
    return pixels.to(encoder.device)


class _Listener:
    """Keeps what a module gives, and on request adds noise to the patches in it.

    Attributes:
        output: the module's last output; None where it did not run or gave no tensor.
        disturbs: whether noise is added.
    """

    def __init__(self, layer: TargetLayer) -> None:
        self.layer = layer
        self.output: Tensor | None = None
        self.disturbs = False

    def encode(self, encoder: Encoder, module: nn.Module, pixels: Tensor) -> Tensor:
        """A feature, with this listening at ``module``."""
        handle = module.register_forward_hook(self._hear)
        try:
            return encoder.encode_image(pixels)
        finally:
            handle.remove()

    def _hear(self, _module: nn.Module, _inputs: object, output: object) -> object:
        first = output[0] if isinstance(output, tuple) and output else output
        if not isinstance(first, Tensor):
            return None
        if not self.disturbs:
            # A copy: a following in-place operation would change it.
            self.output = first.clone()
            return None
        noisy = self._noisy(first)
        return (noisy, *output[1:]) if isinstance(output, tuple) else noisy

    def _noisy(self, output: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(1)  # not the global one, which is the user's
        noise = torch.randn(output.shape, generator=generator).to(output)
        noise *= 1 + output.float().std().nan_to_num()
        prefix = self.layer.prefix_tokens
        if self.layer.layout == "NLD":
            noise[:, :prefix] = 0
        elif self.layer.layout == "LND":
            noise[:prefix] = 0
        return output + noise
