"""open_clip models: CLIP ViTs and ResNets, and whatever else open_clip builds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from becam.encoders.base import Encoder, FirstTokenBlock, PatchStem, TargetLayer
from becam.encoders.fast.attention import (
    openclip_first_token_block,
    timm_first_token_block,
)
from becam.encoders.fast.stems import openclip_patch_stem, timm_patch_stem
from becam.encoders.preprocessing import Preprocessing
from becam.encoders.spec import EncoderRecord
from becam.encoders.timm_layers import choose_timm_layer, timm_layer
from becam.errors import BecamError

Tokenizer = Callable[[list[str]], Tensor]

_TRUNK = "trunk."


class OpenClipEncoder(Encoder):
    """Image and text tower of one open_clip model.

    Args:
        model: open_clip's ``CLIP``, ``CustomTextCLIP`` or ``CoCa``.
        tokenizer: texts to ids; None where it cannot be had, and then there is no text tower.
        preprocessing: as open_clip writes it (``preprocess_cfg``).
        record: spec, weights and their hash.
    """

    _default: TargetLayer | None = None

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer | None,
        preprocessing: dict[str, Any],
        record: EncoderRecord,
    ) -> None:
        super().__init__()
        self.model: Any = model
        self.vision: nn.Module = model.visual
        self.tokenizer = tokenizer
        self.has_text = tokenizer is not None
        self.record = record
        self.preprocessing = _preprocessing(preprocessing)
        self.freeze()
        with torch.inference_mode():
            blank = torch.zeros(1, 3, *self.preprocessing.size, device=self.device)
            self.dim = int(self.encode_image(blank).shape[-1])

    def encode_image(self, pixels: Tensor) -> Tensor:
        """See ``Encoder.encode_image``."""
        # CoCa would scale to unit length, where CLIP does not.
        features: Tensor = self.model.encode_image(pixels, normalize=False)
        return features

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """See ``Encoder.encode_text``; texts are cut at the tower's context length."""
        if self.tokenizer is None:
            raise BecamError(
                f"The tokenizer of {self.record.describe()} could not be had from its hub; pip "
                "install transformers and load the encoder once where the hub can be reached, or "
                "choose --text-encoder tfidf for an item's text."
            )
        ids = self.tokenizer(list(texts)).to(self.device)
        features: Tensor = self.model.encode_text(ids, normalize=False)
        return features

    def default_target_layer(self) -> TargetLayer:
        """ResNet: the last ReLU of the last Bottleneck. ViT: the second-to-last block."""
        if isinstance(self.vision, ModifiedResNet):
            return TargetLayer(f"layer4.{len(self.vision.layer4) - 1}.act3", "NCHW")
        if isinstance(self.vision, VisionTransformer):
            blocks = len(self.vision.transformer.resblocks)
            if blocks < 2 and self.vision.attn_pool is None and self.vision.pool_type == "tok":
                raise BecamError(
                    f"{self.record.describe()} has a single block, whose patches never reach the "
                    "output; choose another --target-layer."
                )
            return self.layer_at(f"transformer.resblocks.{max(blocks - 2, 0)}")
        if isinstance(self.vision, TimmModel):
            if self._default is None:
                self._default = choose_timm_layer(self, self.vision.trunk, _TRUNK)
            return self._default
        raise BecamError(
            f"No target layer is known for {type(self.vision).__name__} of "
            f"{self.record.describe()}; name one with --target-layer."
        )

    def patch_stem(self) -> PatchStem | None:
        """See ``Encoder.patch_stem``."""
        if isinstance(self.vision, VisionTransformer):
            return openclip_patch_stem(self.vision)
        if isinstance(self.vision, TimmModel):
            return timm_patch_stem(self.vision.trunk, _TRUNK)
        return None

    def first_token_block(self) -> FirstTokenBlock | None:
        """See ``Encoder.first_token_block``."""
        if isinstance(self.vision, VisionTransformer):
            return openclip_first_token_block(self.vision)
        if isinstance(self.vision, TimmModel):
            return timm_first_token_block(self.vision.trunk, _TRUNK)
        return None

    def layer_at(self, path: str) -> TargetLayer:
        """See ``Encoder.layer_at``."""
        if isinstance(self.vision, TimmModel) and path.startswith(_TRUNK):
            return timm_layer(self, self.vision.trunk, path.removeprefix(_TRUNK), _TRUNK)
        if isinstance(self.vision, VisionTransformer) and path != "conv1":
            return _tokens(self.vision, path)
        return super().layer_at(path)


def _tokens(vision: VisionTransformer, path: str) -> TargetLayer:
    """A layer after the class token was put before the patches."""
    pooled = path.startswith("attn_pool") and not path.endswith(".ln_k")
    if pooled or (path == "ln_post" and vision.attn_pool is not None):
        raise BecamError(
            f"{path} gives what attention pooling makes of all patches, not a grid; choose another "
            "--target-layer."
        )
    inside = path.startswith("transformer.") and not vision.transformer.batch_first
    rows, columns = vision.grid_size
    return TargetLayer(path, "LND" if inside else "NLD", prefix_tokens=1, grid=(rows, columns))


def _preprocessing(config: dict[str, Any]) -> Preprocessing:
    size = config["size"]
    fill = config.get("fill_color", 0)
    return Preprocessing(
        size=(size, size) if isinstance(size, int) else (size[0], size[1]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        resize_mode=config["resize_mode"],
        interpolation=config["interpolation"],
        fill=(fill,) * 3 if isinstance(fill, int) else tuple(fill),
    )
