"""A picture encoded under masks (method: steps 3 and 4)."""

from __future__ import annotations

import torch
from torch import Tensor

from becam.attribution.inputs import Encode
from becam.devices import kept_heap
from becam.errors import BecamError
from becam.progress import bar


def encode_masks(
    encode: Encode, coefficients: Tensor, *, batch_size: int, progress: str | None = None
) -> Tensor:
    """Features (n, d_m), on the CPU, of a picture under masks, ``batch_size`` at a time.

    Memory is bounded by the batch: masks are made as they are needed, so nothing of size
    n x picture is ever held.

    Args:
        encode: coefficients to features, for this picture.
        coefficients: of the masks, (n, h, w), on the encoder's device.
        batch_size: masks per forward pass; features do not depend on it.
        progress: what a progress bar on stderr says; no bar when None.

    Raises:
        BecamError: features that are not finite.
    """
    found = []
    with (
        bar(
            desc=progress or "", total=len(coefficients), unit="mask", disable=progress is None
        ) as done,
        kept_heap(),
    ):
        for chunk in torch.split(coefficients, batch_size):
            found.append(encode(chunk).cpu())
            done.update(len(chunk))
    features = torch.cat(found) if found else encode(coefficients).cpu()
    if not features.isfinite().all():
        raise BecamError(
            "The encoder gave values that are not finite; pass --precision float32 or check its "
            "weights."
        )
    return features
