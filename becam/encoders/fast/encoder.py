"""An encoder made ready to run many times: the same features for less work."""

from __future__ import annotations

import warnings

import torch
from open_clip.modified_resnet import AttentionPool2d
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn

from becam.devices import autocast
from becam.encoders.base import Encoder, PatchStem
from becam.encoders.fast.attention import FirstTokenPooling, FusedAttention
from becam.encoders.fast.copying import replace, structural_copy
from becam.encoders.fast.folding import fold_batch_norms
from becam.errors import BecamWarning
from becam.memory import out_of_memory

_TOLERANCE = 1e-3
_LOSS = 0.02
"""Relative error of a feature in bfloat16 beyond which heatmaps would suffer: ViTs and ResNets lose
half of that at most, MobileNets several times as much."""


class FastEncoder:
    """A frozen encoder altered for speed; the encoder itself stays as it is.

    Batch norms are folded into their convolutions; attention runs fused; where the feature is a
    transformer's first token, the last block (or the pooling of a CLIP ResNet) computes that token
    alone; and a transformer can be entered after its patches. All of it is exact up to rounding,
    which is checked once: where a model of an unforeseen build disagrees or breaks, it runs
    unaltered.

    Args:
        encoder: any encoder, on its device.
        dtype: of its products and convolutions; features are always float32. Where an encoder
            loses too much in it, a warning says so and float32 is used.

    Attributes:
        dtype: what is used.
        stem: where pixels become patches; None where the tower can only be entered at its pixels.
    """

    def __init__(self, encoder: Encoder, dtype: torch.dtype = torch.float32) -> None:
        self.original = encoder
        self.device = encoder.device
        self.dtype = dtype
        self.stem = encoder.patch_stem()
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randn(2, 3, *encoder.preprocessing.size, generator=generator)
        pixels = pixels.to(encoder.device)
        try:
            self._encoder = _altered(encoder, self.stem, pixels[:1])
            agrees = self._agrees(pixels)
        except (
            AssertionError,
            AttributeError,
            LookupError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            if out_of_memory(error):  # which says nothing of the build
                raise
            agrees = False
        if not agrees:
            self._encoder, self.stem = structural_copy(encoder).eval(), None
        if dtype is not torch.float32:
            self._lower(pixels)

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Features (B, d_m), float32, of normalised pixels (B, 3, H, W)."""
        with autocast(self.device, self.dtype):
            return self._forward(pixels).float()

    def encode_patches(self, patches: Tensor) -> Tensor:
        """Features (B, d_m), float32, of patches (B, L, D) as ``stem.projection`` gives them."""
        with autocast(self.device, self.dtype):
            return self._encoder.encode_image(patches).float()

    @torch.inference_mode()
    def _lower(self, pixels: Tensor) -> None:
        """Compute in ``dtype`` from now on, unless that costs too much."""
        exact = self._encoder
        expected = self._forward(pixels).float()
        self._encoder = structural_copy(exact)
        _keep_weights_in(self._encoder.vision, self.dtype)
        lost = float((self.encode_image(pixels) - expected).norm() / expected.norm())
        if not lost <= _LOSS:
            self._encoder, self.dtype = exact, torch.float32
            warnings.warn(
                BecamWarning(
                    f"{self.original.record.describe()} loses {lost:.0%} of its features in "
                    "bfloat16, so it runs in float32."
                ),
                stacklevel=2,
            )

    @torch.inference_mode()
    def _agrees(self, pixels: Tensor) -> bool:
        expected = self.original.encode_image(pixels).float()
        error = (self._forward(pixels).float() - expected).abs().max()
        return bool(error <= _TOLERANCE * expected.abs().max())

    def _forward(self, pixels: Tensor) -> Tensor:
        if self.stem is None:
            return self._encoder.encode_image(pixels)
        return self._encoder.encode_image(self.stem.projection(pixels).flatten(2).transpose(1, 2))


def _altered(encoder: Encoder, stem: PatchStem | None, pixels: Tensor) -> Encoder:
    twin = structural_copy(encoder)
    with torch.inference_mode():
        fold_batch_norms(twin, pixels)
    # Attention elsewhere may be of other queries, as in CoCa's pooling.
    blocks = [m for m in twin.vision.modules() if isinstance(m, ResidualAttentionBlock)]
    for block in blocks:
        if FusedAttention.fits(block.attn):
            block.attn = FusedAttention(block.attn)
    for path, pool in list(twin.vision.named_modules()):
        if type(pool) is AttentionPool2d:
            replace(twin.vision, path, FirstTokenPooling(pool))
    pooled = encoder.first_token_block()
    if pooled is not None:
        replace(twin.vision, pooled.path, pooled.stand_in(twin.vision.get_submodule(pooled.path)))
    if stem is not None:
        replace(twin.vision, stem.path, stem.rest)
    return twin.eval()


def _keep_weights_in(module: nn.Module, dtype: torch.dtype) -> None:
    """Hold the weights of products and convolutions in ``dtype``, for autocast to find them so.

    Autocast converts frozen weights again in every forward pass.
    """
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Conv2d)):
            for name, parameter in list(part.named_parameters(recurse=False)):
                cast = parameter.detach().to(dtype)
                setattr(part, name, nn.Parameter(cast, requires_grad=False))
