"""A picture as one encoder sees it: where every method starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor

from becam.attribution.capture import capture
from becam.attribution.encodings import encode_masks
from becam.attribution.inputs import Encode, masked_encoder
from becam.attribution.masking import Masking, background, mask_coefficients
from becam.attribution.randomise import shuffled
from becam.encoders.base import Encoder, TargetLayer
from becam.encoders.fast import FastEncoder
from becam.encoders.preprocessing import Geometry
from becam.images import as_picture
from becam.memory import Batches

_Computed = TypeVar("_Computed")


@dataclass(frozen=True)
class Settings:
    """How pictures are masked and encoded.

    Attributes:
        masking: what masked pixels fade to: ``mean``, ``black`` or ``blur``.
        batch_size: masked pictures per forward pass; no map depends on it.
        dtype: of the masked pictures' products; similarities are float32.
        seed: of whatever a method draws.
        progress: show progress bars on stderr.
    """

    masking: Masking = "mean"
    batch_size: int = 16
    dtype: torch.dtype = torch.float32
    seed: int = 0
    progress: bool = False


@dataclass(frozen=True)
class Engine:
    """An encoder with its target layer, ready for many pictures.

    Attributes:
        encoder: as loaded.
        layer: the target layer.
        settings: how pictures are masked and encoded.
    """

    encoder: Encoder
    layer: TargetLayer
    settings: Settings = field(default_factory=Settings)

    @cached_property
    def batches(self) -> Batches:
        """Pictures per forward pass, fewer from when memory ran out."""
        return Batches(self.settings.batch_size)

    @cached_property
    def fast(self) -> FastEncoder:
        """The encoder made ready for thousands of masks."""
        return FastEncoder(self.encoder, self.settings.dtype)

    @cached_property
    def twin(self) -> Engine:
        """The same with the encoder's weights shuffled."""
        return replace(self, encoder=shuffled(self.encoder))

    def view(self, image: Image.Image | str | Path) -> View:
        """A picture through this encoder; nothing is encoded yet.

        A file is read as the encoder's features were made, with its colour profile or without.

        Raises:
            UnreadablePicture: the file cannot be read.
        """
        picture = as_picture(image, icc=self.encoder.record.icc)
        return self.view_of(*self.encoder.preprocessing.crop(picture))

    def view_of(self, cropped: Image.Image, geometry: Geometry) -> View:
        """A picture of which this encoder's preprocessing has made a crop already."""
        pixels = self.encoder.preprocessing.normalise(cropped)
        return View(self, pixels.to(self.encoder.device), geometry)


class View:
    """One picture through one encoder: what all checkpoints and methods on that encoder share.

    Everything is computed when first asked for, and kept. Tensors are float32; those that methods
    take part by part (features, activations) are on the CPU, pictures on the encoder's device.

    Args:
        engine: the encoder, its target layer and the settings.
        pixels: the picture as the encoder takes it, (3, H, W), normalised, on its device.
        geometry: which part of the picture that is.
        words: what a progress bar says.
    """

    def __init__(
        self,
        engine: Engine,
        pixels: Tensor,
        geometry: Geometry,
        *,
        words: str = "Encoding under masks",
    ) -> None:
        self.engine = engine
        self.pixels = pixels
        self.geometry = geometry
        self._words = words
        self._kept: dict[str, Any] = {}

    @property
    def size(self) -> tuple[int, int]:
        """H and W of the encoder's input."""
        return int(self.pixels.shape[-2]), int(self.pixels.shape[-1])

    @property
    def grid(self) -> tuple[int, int]:
        """h and w of the target layer."""
        return int(self.activation.shape[1]), int(self.activation.shape[2])

    @property
    def whole(self) -> Tensor:
        """The picture's own feature (d_m,)."""
        return self._captured[0]

    @property
    def activation(self) -> Tensor:
        """A, the target layer's channels (N, h, w)."""
        return self._captured[1]

    @property
    def coefficients(self) -> Tensor:
        """The channels' masks by their coefficients (N, h, w); zero for flat channels."""
        return self._masks[0]

    @property
    def live(self) -> Tensor:
        """(N,) bool, false for flat channels, which make no mask."""
        return self._masks[1]

    @cached_property
    def faded(self) -> Tensor:
        """What a fully masked picture fades to, (3, H, W)."""
        return background(
            self.pixels, self.engine.encoder.preprocessing, self.engine.settings.masking
        )

    @cached_property
    def blank(self) -> Tensor:
        """The feature (d_m,) of a fully masked picture."""
        with torch.inference_mode():
            return self.engine.fast.encode_image(self.faded[None])[0].cpu()

    @property
    def masked_features(self) -> Tensor:
        """F, features (N, d_m) of the picture under every channel's mask; zero for flat channels.

        This is the whole cost of BeCAM.

        Raises:
            BecamError: features that are not finite.
        """
        # No cached_property: up to Python 3.11 these lock, for all pictures, and whoever hears of
        # the encoding may let other threads encode meanwhile.
        return self.kept("masked features", self._masked)

    def _masked(self) -> Tensor:
        features = torch.zeros(len(self.live), len(self.whole))
        features[self.live] = self.encode(self.coefficients[self.live])
        return features

    @cached_property
    def twin(self) -> View:
        """The same picture through the encoder with its weights shuffled."""
        return View(
            self.engine.twin, self.pixels, self.geometry, words="The same, encoder shuffled"
        )

    @torch.inference_mode()
    def encode(self, coefficients: Tensor) -> Tensor:
        """Features (n, d_m) of the picture under masks given by their coefficients (n, h, w)."""
        settings = self.engine.settings
        if not len(coefficients):  # some encoders fail on an empty batch
            return torch.zeros(0, len(self.whole))
        try:
            return encode_masks(
                self._encoder((int(coefficients.shape[1]), int(coefficients.shape[2]))),
                coefficients.to(self.pixels.device),
                batch_size=self.engine.batches,
                progress=self._words if settings.progress else None,
            )
        except BaseException:
            # Stopped half way: what methods keep may already count on these features.
            self._kept.clear()
            raise

    def kept(self, name: str, make: Callable[[], _Computed]) -> _Computed:
        """What a method computes of the picture alone, whatever the target: once."""
        if name not in self._kept:
            self._kept[name] = make()
        found: _Computed = self._kept[name]
        return found

    def _encoder(self, grid: tuple[int, int]) -> Encode:
        return self.kept(
            f"encoder {grid}",
            lambda: masked_encoder(self.engine.fast, self.pixels, self.faded, grid),
        )

    @cached_property
    def _captured(self) -> tuple[Tensor, Tensor]:
        features, activation = capture(self.engine.encoder, self.engine.layer, self.pixels[None])
        return features[0].cpu(), activation[0].cpu()

    @cached_property
    def _masks(self) -> tuple[Tensor, Tensor]:
        return mask_coefficients(self.activation, self.size)
