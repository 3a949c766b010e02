"""What becam's pages share: heatmaps drawn in the browser, and a theme.

``map.js`` draws a saliency map over its picture as ``becam.figures.overlay`` does, ``words.js``
colours words as ``becam.figures.words`` does, ``elements.js`` makes elements, ``theme.css`` has
colours, type and controls, and ``theme.js`` the choice between light and dark. All are classic
scripts without dependencies, since
pages that open from disk can load neither modules nor anything from a network.
"""

from __future__ import annotations

import base64
import json
import math
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGNED_COLORMAP = "RdBu_r"
"""Red agrees with the target and blue speaks against it, as in coloured words."""

_COLORMAPS = ("inferno", "viridis", "magma", "cividis", "gray", SIGNED_COLORMAP)
_STEPS = 256
_LEVELS = 65535
_UNSAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def encode_map(raw: NDArray[np.floating[Any]]) -> dict[str, Any]:
    """A saliency map for the browser, in two bytes a cell.

    Args:
        raw: M (h, w), signed and finite, as of ``becam.attribution.heatmap.Heatmap``.

    Returns:
        ``rows``, ``columns``, the lowest and highest value ``low`` and ``high``, and ``data``:
        base64 of little-endian unsigned 16-bit integers, row by row, that divide the way from
        ``low`` to ``high``.
    """
    values = np.asarray(raw, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    share = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return {
        "rows": values.shape[0],
        "columns": values.shape[1],
        "low": low,
        "high": high,
        "data": encode_array(np.rint(share * _LEVELS).astype("<u2")),
    }


def encode_array(values: NDArray[Any]) -> str:
    """Base64 of an array's bytes, row by row, little-endian: ``becamMap.bytes`` reads it."""
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode("ascii")


def colormap_tables() -> dict[str, str]:
    """Colour maps that the colour-blind can read, by matplotlib's names, the default first.

    Each is base64 of 256 RGB entries of a byte a channel. The last one is for signed maps.
    """
    import matplotlib

    steps = np.arange(_STEPS)
    return {
        name: encode_array(matplotlib.colormaps[name](steps, bytes=True)[:, :3])
        for name in _COLORMAPS
    }


def asset(name: str) -> str:
    """The text of a file of this package, such as ``map.js``."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def script_json(value: Any) -> str:
    """JSON in ASCII that may stand inside ``<script>`` and in a script: it can close no tag.

    Numbers that JSON lacks (NaN, infinities) become null.
    """
    return json.dumps(_plain(value), separators=(",", ":"), allow_nan=False).translate(_UNSAFE)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(one) for one in value]
    return value
