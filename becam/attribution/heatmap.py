"""The result: a saliency map, where it lies on the picture, and what it is worth."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from becam.attribution.controls import Controls
from becam.encoders.preprocessing import Geometry
from becam.errors import BecamError
from becam.files import atomic_file, read_arrays
from becam.records import from_text

FloatArray = NDArray[np.float32]

_MOST_BYTES = 1 << 30


class _Meta(msgspec.Struct):
    """What a file says beside its arrays."""

    controls: Controls
    label: str
    target: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Heatmap:
    """One picture explained through one checkpoint.

    Attributes:
        raw: M (h, w), signed, as Eq. 2 gives it.
        weights: w (N,), one a channel.
        geometry: the part of the original picture that the encoder saw.
        controls: how far the map can be trusted to speak of the item.
        label: the checkpoint, and whether its adapter was left out.
        target: what the picture was compared with, in words.
        options: every choice that made the map, as plain values.
    """

    raw: FloatArray
    weights: FloatArray
    geometry: Geometry
    controls: Controls
    label: str
    target: str
    options: dict[str, Any]

    def display(self) -> FloatArray:
        """ReLU, then min-max to [0, 1], on the grid (h, w); zeros where nothing is positive."""
        return stretch(np.maximum(self.raw, 0.0))

    def full(self) -> FloatArray:
        """``display`` on the original picture, (height, width) in [0, 1].

        NaN where the encoder never looked (outside its crop).
        """
        return place(self.display(), self.geometry)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: everything but the arrays of channels."""
        return {
            "label": self.label,
            "target": self.target,
            "options": self.options,
            "geometry": self.geometry.to_dict(),
            "map": {
                "rows": self.raw.shape[0],
                "columns": self.raw.shape[1],
                "min": float(self.raw.min()),
                "max": float(self.raw.max()),
            },
            "controls": self.controls.to_dict(),
            "words": self.controls.words(),
        }

    def save(self, path: str | Path) -> None:
        """Write map, weights, geometry and ``to_dict`` as one ``.npz``, whole or not at all."""
        buffer = io.BytesIO()  # of a full disk NumPy's archive makes errors that say something else
        self.write(buffer)
        with atomic_file(path) as temporary:
            temporary.write_bytes(buffer.getbuffer())

    def write(self, stream: IO[bytes]) -> None:
        """What :meth:`save` writes, into a stream."""
        np.savez_compressed(
            stream,
            raw=self.raw,
            weights=self.weights,
            size=np.array([self.geometry.width, self.geometry.height]),
            box=np.array(self.geometry.box),
            meta=np.array(json.dumps(self.to_dict())),
        )

    @classmethod
    def load(cls, path: str | Path) -> Heatmap:
        """Read what ``save`` wrote.

        Raises:
            BecamError: missing, or not such a file.
        """
        again = "explain the picture again"
        arrays = read_arrays(path, what="heatmap", remedy=again, most=_MOST_BYTES)
        try:
            meta = from_text(str(arrays["meta"]), _Meta, where=str(path), remedy=again)
            width, height = (int(side) for side in arrays["size"])
            left, top, right, bottom = (float(edge) for edge in arrays["box"])
            raw, weights = arrays["raw"], arrays["weights"]
        except (KeyError, TypeError, ValueError, OverflowError):
            raise BecamError(f"{path} is not a heatmap written by becam; {again}.") from None
        geometry = Geometry(width, height, (left, top, right, bottom))
        if not (raw.ndim == 2 and raw.size and weights.ndim == 1 and geometry.is_sound()):
            raise BecamError(f"{path} is damaged: its arrays do not fit together; {again}.")
        if not all(np.issubdtype(one.dtype, np.floating) for one in (raw, weights)):
            raise BecamError(f"{path} is damaged: its map is not of numbers; {again}.")
        return cls(raw, weights, geometry, meta.controls, meta.label, meta.target, meta.options)


def stretch(values: FloatArray) -> FloatArray:
    """Min-max to [0, 1]; zeros where there is no range."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.zeros_like(values, dtype=np.float32)
    return ((values - low) / (high - low)).astype(np.float32)


def place(grid: FloatArray, geometry: Geometry) -> FloatArray:
    """Lay a grid map (h, w) in [0, 1] on the original picture: bicubic, NaN outside the crop."""
    x0, y0, x1, y1 = geometry.visible
    left, top, right, bottom = (round(edge) for edge in geometry.box)
    # One side after the other, the shorter first, which alone may be padded, and of each no more
    # than is visible: of a thin picture that is next to nothing of the encoder's input.
    horizontal, vertical = ((left, right), (x0, x1)), ((top, bottom), (y0, y1))
    if geometry.width <= geometry.height:
        scaled = _across(_across(grid, *horizontal).T, *vertical).T
    else:
        scaled = _across(_across(grid.T, *vertical).T, *horizontal)
    full = np.full((geometry.height, geometry.width), np.nan, dtype=np.float32)
    # Bicubic interpolation overshoots at steps.
    full[y0:y1, x0:x1] = np.clip(scaled, 0.0, 1.0)
    return full


def _across(values: FloatArray, edges: tuple[int, int], visible: tuple[int, int]) -> FloatArray:
    """Columns stretched between two edges, and cut to the visible ones."""
    start, end = min(edges[0], visible[0]), max(edges[1], visible[1])
    size = end - start, values.shape[0]
    scaled = cv2.resize(
        np.ascontiguousarray(values, np.float32), size, interpolation=cv2.INTER_CUBIC
    )
    cut: FloatArray = scaled[:, visible[0] - start : visible[1] - start]
    return cut
