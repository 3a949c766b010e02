"""The options of a timm spec, checked before anything is built with them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from becam.encoders.spec import EncoderSpec
from becam.errors import BecamError, first_line, printable

PREPROCESSING_OPTIONS = ("mean", "std", "size", "crop_pct", "interpolation")
"""Of the pictures; all others are arguments of the model."""

_RESERVED = frozenset(
    (
        "cache_dir",
        "checkpoint_path",
        "exportable",
        "feature_cls",
        "features_only",
        "in_chans",
        "no_jit",
        "num_classes",
        "out_indices",
        "pretrained",
        "pretrained_cfg",
        "pretrained_cfg_overlay",
        "pretrained_filter_fn",
        "pretrained_model_args",
        "pretrained_strict",
        "scriptable",
    )
)
"""What timm would read other files for, or what becam says itself."""

_MOST_PIXELS = 4096
_MOST_BLOCKS = 1000
_MOST = 1 << 16
_COUNTS = re.compile(r"depth|layer|block|stage|repeat", re.IGNORECASE)
_CHANGE = "change size, mean, std or crop_pct"


def parse_value(text: str) -> Any:
    """A number, a boolean, or the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def check_options(options: Mapping[str, Any], spec: EncoderSpec) -> None:
    """Raise where an option can be no setting of any model, or would take all memory.

    Args:
        options: as :func:`parse_value` reads them.
        spec: that they are of, for sentences.

    Raises:
        BecamError: an option is becam's own, or its number is out of bounds.
    """
    for name, value in options.items():
        if name in _RESERVED:
            raise BecamError(f"{printable(name)!r} cannot be set in {printable(str(spec))}.")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and not math.isfinite(value):
            raise _out_of_bounds(name, value, "a number")
        if name in ("size", "img_size") and number and not 1 <= value <= _MOST_PIXELS:
            raise _out_of_bounds(name, value, f"1 to {_MOST_PIXELS:,} pixels")
        if name == "crop_pct" and number and not 0.1 <= value <= 1:
            raise _out_of_bounds(name, value, "0.1 to 1")
        if name == "std" and number and value <= 0:
            raise _out_of_bounds(name, value, "more than 0")
        if name == "interpolation" and value not in ("bicubic", "bilinear"):
            raise _out_of_bounds(name, value, "bicubic or bilinear")
        most = _MOST_BLOCKS if _COUNTS.search(name) else _MOST
        if number and abs(value) > most:
            raise _out_of_bounds(name, value, f"{most:,} at most")


def refused_options(spec: EncoderSpec, error: Exception) -> BecamError:
    """In a sentence, what timm says of arguments that it does not take."""
    return BecamError(
        f"timm's {spec.name} refuses the options of {printable(str(spec))}: {first_line(error)}."
    )


def _out_of_bounds(name: str, value: Any, expected: str) -> BecamError:
    return BecamError(
        f"{printable(name)} is {expected}, not {printable(str(value))}; change it in the spec."
    )
