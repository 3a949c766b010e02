"""What files say of an encoder: the same in a feature set and in a checkpoint."""

from __future__ import annotations

from typing import Any, TypedDict

from becam.colour import Icc


class EncoderValues(TypedDict, total=False):
    """What made a matrix; see :class:`becam.encoders.spec.EncoderRecord`."""

    spec: str | None
    weights: str | None
    weights_sha256: str | None
    config: dict[str, Any] | None
    icc: Icc
