"""The floors of every table as methods: maps that know nothing of the target.

Random and Gaussian know neither picture nor item. Activation and picture know the picture: what
is no better than they are may show what the encoder sees, and nothing of what behaviour says.
"""

from __future__ import annotations

import zlib
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from becam.attribution.heatmap import FloatArray, stretch
from becam.attribution.methods.base import Method, Saliency
from becam.attribution.methods.becam import BeCAM
from becam.attribution.target import Target, itself_target
from becam.attribution.view import View


class RandomFloor(Method):
    """Uniform noise, drawn anew for every picture and alike for every target."""

    name: ClassVar[str] = "random"
    title: ClassVar[str] = "Random"
    summary: ClassVar[str] = "Uniform noise on the grid."
    others: ClassVar[int] = 1

    def saliency(self, view: View, target: Target) -> Saliency:
        """See ``Method.saliency``."""
        # The picture itself decides, so that no order of work changes its noise.
        key = zlib.crc32(view.pixels.cpu().contiguous().numpy().tobytes())
        rng = np.random.default_rng([view.engine.settings.seed, key])
        return Saliency(torch.from_numpy(random_map(view.grid, rng)))


class GaussianFloor(Method):
    """A Gaussian in the middle of what the encoder sees."""

    name: ClassVar[str] = "gaussian"
    title: ClassVar[str] = "Gaussian"
    summary: ClassVar[str] = "A Gaussian in the middle."
    others: ClassVar[int] = 1

    def saliency(self, view: View, target: Target) -> Saliency:
        """See ``Method.saliency``."""
        return Saliency(torch.from_numpy(gaussian_map(view.grid)))


class ActivationFloor(Method):
    """sum_k A_k: where the encoder is active, whatever the target."""

    name: ClassVar[str] = "activation"
    title: ClassVar[str] = "Activation"
    summary: ClassVar[str] = "The sum of all channels."
    others: ClassVar[int] = 1

    def saliency(self, view: View, target: Target) -> Saliency:
        """See ``Method.saliency``."""
        return Saliency(view.activation.double().sum(0).float())


class PictureFloor(Method):
    """BeCAM with the picture itself as target: what the encoder sees in it, whatever the item."""

    name: ClassVar[str] = "picture"
    title: ClassVar[str] = "Picture"
    summary: ClassVar[str] = "Where the picture is like itself to the encoder."
    others: ClassVar[int] = 1

    def saliency(self, view: View, target: Target) -> Saliency:
        """See ``Method.saliency``."""
        return Saliency(BeCAM("centered").saliency(view, itself_target(view)).map)


FLOOR_METHODS: dict[str, Method] = {
    floor.name: floor
    for floor in (RandomFloor(), GaussianFloor(), ActivationFloor(), PictureFloor())
}


def random_map(grid: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Uniform noise on the grid, (h, w) in [0, 1]."""
    return stretch(rng.random(grid, dtype=np.float32))


def gaussian_map(grid: tuple[int, int], sigma: float = 0.25) -> FloatArray:
    """A Gaussian in the middle of the crop, (h, w) in [0, 1]; sigma as a part of each side."""
    rows, columns = (_profile(side, sigma) for side in grid)
    return np.outer(rows, columns).astype(np.float32)


def _profile(side: int, sigma: float) -> NDArray[np.float64]:
    centres = (np.arange(side) + 0.5) / side - 0.5
    profile: NDArray[np.float64] = np.exp(-0.5 * (centres / sigma) ** 2)
    return profile
