"""The one contract over all encoders: picture (or text) to feature, and the target layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from becam.encoders.preprocessing import Preprocessing
from becam.encoders.reach import check_target_layer
from becam.encoders.spec import EncoderRecord
from becam.errors import BecamError


@dataclass(frozen=True)
class TargetLayer:
    """Where the activation is captured, and how its output becomes channels on a grid.

    Attributes:
        path: module path inside ``Encoder.vision``, as in ``named_modules``.
        layout: ``NCHW`` or ``NHWC`` feature maps, ``NLD`` or ``LND`` token sequences.
        prefix_tokens: tokens before the patches ([CLS], registers); tokens alone.
        grid: rows and columns of the patches; tokens alone.
    """

    path: str
    layout: Literal["NCHW", "NHWC", "NLD", "LND"]
    prefix_tokens: int = 0
    grid: tuple[int, int] | None = None

    def to_channels(self, output: Tensor) -> Tensor:
        """The layer's output as (B, N, h, w) float32.

        Raises:
            BecamError: the output does not have this layout.
        """
        if not self.fits(tuple(output.shape)):
            raise BecamError(
                f"The output of {self.path} has shape {tuple(output.shape)}, which is not "
                f"{self.describe()}; choose another --target-layer."
            )
        if self.grid is None:
            return (output if self.layout == "NCHW" else output.permute(0, 3, 1, 2)).float()
        tokens = output.transpose(0, 1) if self.layout == "LND" else output
        patches = tokens[:, self.prefix_tokens :].transpose(1, 2)
        return patches.reshape(*patches.shape[:2], *self.grid).float()

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an output of this shape has this layout."""
        if self.layout in ("NCHW", "NHWC"):
            return len(shape) == 4
        if len(shape) != 3 or self.grid is None:
            return False
        tokens = shape[0] if self.layout == "LND" else shape[1]
        return tokens == self.prefix_tokens + self.grid[0] * self.grid[1]

    def describe(self) -> str:
        """For sentences: the layout."""
        over = f" over a {self.grid[0]} x {self.grid[1]} grid" if self.grid else ""
        return f"{self.layout}{over}"


@dataclass(frozen=True)
class PatchStem:
    """The beginning of a transformer: an affine map from pixels to patches.

    Attributes:
        path: the module inside ``Encoder.vision`` whose place ``rest`` takes.
        projection: pixels (B, 3, H, W) to patches (B, D, rows, columns).
        rest: patches (B, rows x columns, D) to what the module at ``path`` gives.
    """

    path: str
    projection: nn.Conv2d
    rest: nn.Module


@dataclass(frozen=True)
class FirstTokenBlock:
    """A transformer's last block, of which the first token alone is read.

    Attributes:
        path: the block inside ``Encoder.vision``.
        stand_in: what makes, of the block, a module that gives that token alone.
    """

    path: str
    stand_in: Callable[[Any], nn.Module]


class Encoder(nn.Module, ABC):
    """Frozen, in evaluation mode, on one device.

    Attributes:
        record: spec, weights and their hash.
        preprocessing: pictures to pixels.
        dim: d_m, the length of a feature.
        vision: the module whose submodules can be target layers.
        has_text: whether ``encode_text`` works.
    """

    record: EncoderRecord
    preprocessing: Preprocessing
    dim: int
    vision: nn.Module
    has_text: bool

    @abstractmethod
    def encode_image(self, pixels: Tensor) -> Tensor:
        """Features (B, d_m), as the model projects them, of normalised pixels (B, 3, H, W).

        They are not scaled to unit length, except where that is part of the model (ImageBind).
        """

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Features (B, d_m) in the space of ``encode_image``, as the model projects them.

        Raises:
            BecamError: the encoder has no text tower.
        """
        raise BecamError(
            f"{self.record.describe()} has no text tower; choose an encoder that has one, or "
            "--text-encoder tfidf for an item's text."
        )

    @abstractmethod
    def default_target_layer(self) -> TargetLayer:
        """The layer that method and architecture call for.

        Raises:
            BecamError: none is known for this architecture.
        """

    def target_layer(self, path: str | None = None) -> TargetLayer:
        """The default target layer, or the one at a module path the user chose.

        A path is tried out in two forward passes before it is accepted.

        Raises:
            BecamError: no such module, or one that cannot work.
        """
        if path is None:
            return self.default_target_layer()
        if path not in dict(self.vision.named_modules()) or not path:
            raise BecamError(f"{self.record.describe()} has no module {path!r}; {self._way_out()}.")
        layer = self.layer_at(path)
        check_target_layer(self, layer, self._way_out())
        return layer

    def layer_at(self, path: str) -> TargetLayer:
        """What an existing module path would be as a target layer, by the architecture alone."""
        return TargetLayer(path, "NCHW")

    def patch_stem(self) -> PatchStem | None:
        """Where the tower turns pixels into patches; None where it has no such beginning."""
        return None

    def first_token_block(self) -> FirstTokenBlock | None:
        """The last block, where the feature is made of its first token alone; else None."""
        return None

    def _way_out(self) -> str:
        try:
            return f"the default is {self.default_target_layer().path}"
        except BecamError:
            return "choose another --target-layer"

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def freeze(self) -> None:
        """Evaluation mode, no gradients; called once by every constructor."""
        self.eval().requires_grad_(False)
        # Convolutions whose weights are channels-last run so throughout: about twice as fast.
        self.to(memory_format=torch.channels_last)
