"""The encodings of the masked pictures (method: steps 1 to 4), shared by all that score them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from becam.attribution.capture import capture, evaluating
from becam.attribution.masking import Masking, background, channel_masks, mask_picture
from becam.devices import autocast
from becam.encoders.base import Encoder, TargetLayer
from becam.errors import BecamError
from becam.progress import bar

DEFAULT_BATCH_SIZE = 32


@dataclass(frozen=True)
class MaskedEncodings:
    """All that BeCAM needs of one picture and one encoder, on the CPU in float32.

    It depends on no checkpoint, item or user: any number of them can be scored from it.

    Attributes:
        activation: A, channels (N, h, w).
        features: F, encodings (N, d_m) of the picture under each channel's mask; zero rows for
            flat channels.
        live: (N,) bool, false for channels without range.
        whole: encoding (d_m,) of the picture itself.
        blank: encoding (d_m,) of what a fully masked picture fades to.
    """

    activation: Tensor
    features: Tensor
    live: Tensor
    whole: Tensor
    blank: Tensor


@torch.inference_mode()
def encode_masked(
    encoder: Encoder,
    layer: TargetLayer,
    pixels: Tensor,
    *,
    masking: Masking = "mean",
    batch_size: int = DEFAULT_BATCH_SIZE,
    dtype: torch.dtype = torch.float32,
    progress: str | None = None,
) -> MaskedEncodings:
    """Encode a picture under every channel's mask, ``batch_size`` masks at a time.

    Memory is bounded by the batch: masks are upsampled as they are needed, so nothing of size
    N x picture is ever held.

    Args:
        encoder: any encoder.
        layer: the target layer.
        pixels: normalised pixels (3, H, W).
        masking: what masked pixels fade to.
        batch_size: masks per forward pass; the map does not depend on it.
        dtype: the encoder's arithmetic.
        progress: what a progress bar on stderr says; no bar when None.

    Raises:
        BecamError: a batch size below one, an unknown masking, an unsuitable layer, or encodings
            that are not finite.
    """
    if batch_size < 1:
        raise BecamError("--batch-size must be at least 1.")
    pixels = pixels.to(encoder.device)
    height, width = int(pixels.shape[-2]), int(pixels.shape[-1])
    faded = background(pixels, encoder.preprocessing, masking)
    with (
        evaluating(encoder),
        autocast(encoder.device, dtype),
        bar(desc=progress or "", unit="mask", disable=progress is None) as masked,
    ):
        whole, activations = capture(encoder, layer, pixels[None])
        blank = encoder.encode_image(faded[None])
        activation = activations[0]
        masked.reset(total=len(activation))
        features = torch.zeros(len(activation), whole.shape[-1])
        live = torch.zeros(len(activation), dtype=torch.bool)
        for start in range(0, len(activation), batch_size):
            chunk = slice(start, start + batch_size)
            masks, alive = channel_masks(activation[chunk], (height, width))
            if alive.any():
                encoded = encoder.encode_image(mask_picture(pixels, masks[alive], faded))
                rows = start + alive.nonzero()[:, 0].cpu()
                features[rows] = encoded.float().cpu()
                live[rows] = True
            masked.update(len(masks))
    if not features.isfinite().all():
        raise BecamError(
            "The encoder gave values that are not finite; pass --precision float32 or check its "
            "weights."
        )
    return MaskedEncodings(
        activation.cpu(), features, live, whole[0].float().cpu(), blank[0].float().cpu()
    )
