"""From a picture to the encoder's input, and back: the geometry that lays maps on originals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch

ResizeMode = Literal["shortest", "longest", "squash"]

_ORDINARY = 16
"""A picture that is resized to more than so many times the encoder's input is a thin one."""


_MOST_PIXELS = 1 << 30


@dataclass(frozen=True)
class Geometry:
    """Which part of a picture the encoder saw.

    Attributes:
        width, height: size of the original picture in pixels.
        box: left, top, right, bottom of the encoder's input in original pixels, as floats. It
            reaches beyond the picture where the input was padded.
    """

    width: int
    height: int
    box: tuple[float, float, float, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values: ``width``, ``height`` and ``box``."""
        return {"width": self.width, "height": self.height, "box": list(self.box)}

    def is_sound(self) -> bool:
        """Whether it can be of a picture: what is read from a file may say anything."""
        left, top, right, bottom = self.box
        return (
            0 < self.width * self.height <= _MOST_PIXELS
            and self.width > 0
            and all(abs(edge) < _MOST_PIXELS for edge in self.box)  # not of NaN either
            and left < right
            and top < bottom
        )

    def resized(self, width: int, height: int) -> Geometry:
        """The same part of the picture at another size."""
        left, top, right, bottom = self.box
        x, y = width / self.width, height / self.height
        return Geometry(width, height, (left * x, top * y, right * x, bottom * y))

    @property
    def visible(self) -> tuple[int, int, int, int]:
        """``box`` in whole pixels, cut at the picture's border: left, top, right, bottom.

        It has a pixel at least: of a thin picture less may be seen.
        """
        left, top, right, bottom = self.box
        horizontal = _pixels(left, right, self.width)
        vertical = _pixels(top, bottom, self.height)
        return horizontal[0], vertical[0], horizontal[1], vertical[1]


@dataclass(frozen=True)
class Preprocessing:
    """An encoder's own evaluation transform, with its geometry kept.

    Attributes:
        size: height and width of the encoder's input.
        resize_mode: ``shortest`` side to size then centre crop, ``longest`` side to size then pad,
            or ``squash`` both sides to size.
        crop_pct: the picture is resized to ``size / crop_pct`` before the crop (timm's term).
        interpolation: ``bicubic`` or ``bilinear``.
        mean, std: pixel normalisation per channel, for pixels in [0, 1].
        fill: grey level of the padding, 0 to 255 per channel (mode ``longest`` alone).
    """

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize_mode: ResizeMode = "shortest"
    crop_pct: float = 1.0
    interpolation: str = "bicubic"
    fill: tuple[int, int, int] = (0, 0, 0)

    def __call__(self, image: Image.Image) -> tuple[torch.Tensor, Geometry]:
        """Pixels (3, H, W) float32, normalised, and the geometry."""
        cropped, geometry = self.crop(image)
        return self.normalise(cropped), geometry

    def normalise(self, cropped: Image.Image) -> torch.Tensor:
        """Pixels (3, H, W) float32 of what :meth:`crop` gave."""
        import torch  # pictures are cropped where nothing else needs it

        pixels = np.asarray(cropped, dtype=np.float32).transpose(2, 0, 1) / 255.0
        mean = np.asarray(self.mean, dtype=np.float32)[:, None, None]
        std = np.asarray(self.std, dtype=np.float32)[:, None, None]
        return torch.from_numpy((pixels - mean) / std)

    def crop(self, image: Image.Image) -> tuple[Image.Image, Geometry]:
        """The RGB picture as the encoder sees it, before normalisation, and the geometry."""
        if image.mode != "RGB":
            image = image.convert("RGB")
        width, height = image.size
        resized_width, resized_height = self._resized(width, height)
        resample = (
            Image.Resampling.BICUBIC
            if self.interpolation == "bicubic"
            else Image.Resampling.BILINEAR
        )
        target_height, target_width = self.size
        # torchvision's rounding, so that features agree with those of the usual pipelines.
        left = _margin(resized_width, target_width)
        top = _margin(resized_height, target_height)
        scale_x, scale_y = width / resized_width, height / resized_height
        box = (
            left * scale_x,
            top * scale_y,
            (left + target_width) * scale_x,
            (top + target_height) * scale_y,
        )
        if resized_width * resized_height <= _ORDINARY * target_width * target_height:
            seen = image.resize((resized_width, resized_height), resample)
        else:
            # A thin picture would be huge: only what the encoder sees of it is made. That differs
            # from the whole by rounding, so ordinary ones go the usual pipelines' way.
            seen = image.resize(
                (min(resized_width, target_width), min(resized_height, target_height)),
                resample,
                box=(max(0.0, box[0]), max(0.0, box[1]), min(width, box[2]), min(height, box[3])),
            )
            left, top = min(0, left), min(0, top)
        canvas = Image.new("RGB", (target_width, target_height), self.fill)
        canvas.paste(seen, (-left, -top))
        return canvas, Geometry(width, height, box)

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        target_height, target_width = (math.floor(side / self.crop_pct) for side in self.size)
        if self.resize_mode == "squash":
            return target_width, target_height
        ratios = (height / target_height, width / target_width)
        ratio = min(ratios) if self.resize_mode == "shortest" else max(ratios)
        if self.resize_mode == "shortest" and target_height == target_width:
            # torchvision truncates the longer side, timm and open_clip round it elsewhere.
            return (
                target_width if width <= height else int(target_height * width / height),
                target_height if height <= width else int(target_width * height / width),
            )
        return max(1, round(width / ratio)), max(1, round(height / ratio))


def _margin(resized: int, target: int) -> int:
    if resized >= target:
        return round((resized - target) / 2.0)
    return -((target - resized) // 2)


def _pixels(start: float, end: float, length: int) -> tuple[int, int]:
    first, last = max(0, round(start)), min(length, round(end))
    if first < last:
        return first, last
    first = min(int(max(start, 0.0)), length - 1)
    return first, first + 1
