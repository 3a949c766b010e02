"""A picture encoded under masks (method: steps 3 and 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from becam.attribution.inputs import Encode
from becam.devices import kept_heap
from becam.errors import BecamError
from becam.memory import Batches, batches
from becam.progress import bar

Report = Callable[[int, int], None]
"""Is told how many masks have been encoded, and of how many."""

_report: ContextVar[Report | None] = ContextVar("report", default=None)


@contextmanager
def reporting(report: Report) -> Iterator[None]:
    """Inside the block, tell ``report`` how far each encoding under masks is, batch by batch.

    What ``report`` raises ends the encoding: that is how to cancel one.
    """
    token = _report.set(report)
    try:
        yield
    finally:
        _report.reset(token)


def encode_masks(
    encode: Encode, coefficients: Tensor, *, batch_size: int | Batches, progress: str | None = None
) -> Tensor:
    """Features (n, d_m), on the CPU, of a picture under masks, ``batch_size`` at a time.

    Memory is bounded by the batch: masks are made as they are needed, so nothing of size
    n x picture is ever held.

    Args:
        encode: coefficients to features, for this picture.
        coefficients: of the masks, (n, h, w), on the encoder's device.
        batch_size: masks per forward pass, fewer from when memory ran out; features do not depend
            on it.
        progress: what a progress bar on stderr says; no bar when None.

    Raises:
        BecamError: features that are not finite, or memory for not even one mask.
    """
    report = _report.get() or _nobody
    found: list[Tensor] = []
    total, encoded = len(coefficients), 0
    report(encoded, total)
    with (
        bar(desc=progress or "", total=total, unit="mask", disable=progress is None) as done,
        kept_heap(),
    ):
        sizes = batches(batch_size)
        for chunk, features in sizes.split(coefficients, lambda part: encode(part).cpu()):
            found.append(features)
            done.update(len(chunk))
            encoded += len(chunk)
            report(encoded, total)
    encodings = torch.cat(found)
    if not encodings.isfinite().all():
        raise BecamError(
            "The encoder gave values that are not finite; pass --precision float32 or check its "
            "weights."
        )
    return encodings


def _nobody(_encoded: int, _total: int) -> None:
    """Where nobody listens."""
