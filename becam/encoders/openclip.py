"""open_clip models: CLIP ViTs and ResNets, and whatever else open_clip builds."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip
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
from becam.encoders.spec import EncoderRecord, EncoderSpec
from becam.encoders.timm_trunk import resolve_timm_layer
from becam.encoders.weights import describe_mismatch, read_state_dict
from becam.errors import BecamError
from becam.files import sha256

Tokenizer = Callable[[list[str]], Tensor]


class OpenClipEncoder(Encoder):
    """Image and text tower of one open_clip model."""

    has_text = True

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        preprocessing: dict[str, Any],
        record: EncoderRecord,
    ) -> None:
        super().__init__()
        self.model: Any = model
        self.vision: nn.Module = model.visual
        self.tokenizer = tokenizer
        self.record = record
        self.preprocessing = _preprocessing(preprocessing)
        self.freeze()
        self.dim = int(self.encode_text(["x"]).shape[-1])

    def encode_image(self, pixels: Tensor) -> Tensor:
        """See ``Encoder.encode_image``."""
        features: Tensor = self.model.encode_image(pixels)
        return features

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """See ``Encoder.encode_text``; texts are cut at the tower's context length."""
        features: Tensor = self.model.encode_text(self.tokenizer(list(texts)).to(self.device))
        return features

    def default_target_layer(self) -> TargetLayer:
        """ResNet: the last ReLU of the last Bottleneck. ViT: the second-to-last block."""
        if isinstance(self.vision, ModifiedResNet):
            return TargetLayer(f"layer4.{len(self.vision.layer4) - 1}.act3", "NCHW")
        if isinstance(self.vision, VisionTransformer):
            blocks = len(self.vision.transformer.resblocks)
            if blocks < 2:
                raise BecamError(
                    f"{self.record.describe()} has a single block, whose patches never reach the "
                    "output; choose another --target-layer."
                )
            return self.layer_at(f"transformer.resblocks.{blocks - 2}")
        if isinstance(self.vision, TimmModel):
            return resolve_timm_layer(self.vision.trunk, self.record, prefix="trunk.")
        raise BecamError(
            f"No target layer is known for {type(self.vision).__name__} of "
            f"{self.record.describe()}; name one with --target-layer."
        )

    def patch_stem(self) -> PatchStem | None:
        """See ``Encoder.patch_stem``."""
        if isinstance(self.vision, VisionTransformer):
            return openclip_patch_stem(self.vision)
        if isinstance(self.vision, TimmModel):
            return timm_patch_stem(self.vision.trunk, "trunk.")
        return None

    def first_token_block(self) -> FirstTokenBlock | None:
        """See ``Encoder.first_token_block``."""
        if isinstance(self.vision, VisionTransformer):
            return openclip_first_token_block(self.vision)
        if isinstance(self.vision, TimmModel):
            return timm_first_token_block(self.vision.trunk, "trunk.")
        return None

    def layer_at(self, path: str) -> TargetLayer:
        """Token layout inside a transformer, read from the module; feature maps elsewhere."""
        if isinstance(self.vision, VisionTransformer) and path.startswith("transformer"):
            transformer = self.vision.transformer
            last = f"transformer.resblocks.{len(transformer.resblocks) - 1}"
            if path.startswith(last) and self.vision.pool_type == "tok":
                raise BecamError(
                    f"Of {path} only the [CLS] token reaches the output, so its patches say "
                    f"nothing; the default is {self.default_target_layer().path}."
                )
            rows, columns = self.vision.grid_size
            return TargetLayer(
                path,
                "NLD" if transformer.batch_first else "LND",
                prefix_tokens=1,
                grid=(rows, columns),
            )
        return super().layer_at(path)


def load_open_clip(
    spec: EncoderSpec, weights: Path | None, config: dict[str, Any] | None
) -> OpenClipEncoder:
    """Build ``open_clip:NAME[:TAG]``; NAME may be a model config in open_clip's JSON format.

    Raises:
        BecamError: unknown name, no weights named, hub out of reach, weights that do not fit.
    """
    if spec.options:
        raise BecamError(f"open_clip encoders take no options, but {spec} has some.")
    name = spec.name
    if name.endswith(".json") or config is not None:
        config = config or _read_config(Path(name))
        name = _register(Path(name).stem, config)
    elif name not in open_clip.list_models():
        raise BecamError(
            f"open_clip has no model {name!r}; `python -c 'import open_clip; "
            "print(open_clip.list_models())'` lists them."
        )
    if weights is None and spec.tag is None:
        tags = open_clip.list_pretrained_tags_by_model(name)
        known = f"one of {', '.join(tags[:5])}" if tags else "none known"
        raise BecamError(f"{spec} names no weights; append a tag ({known}) or pass --weights FILE.")
    record = EncoderRecord(
        str(spec),
        str(weights.resolve()) if weights else None,
        sha256(weights) if weights and weights.is_file() else None,
        config,
    )
    model = _from_file(name, weights) if weights else _from_hub(name, spec)
    preprocessing = open_clip.get_model_preprocess_cfg(model)
    return OpenClipEncoder(model, open_clip.get_tokenizer(name), preprocessing, record)


def _from_file(name: str, weights: Path) -> Any:
    # The pickle check runs before open_clip reads the file again.
    state = read_state_dict(weights)
    with _quiet():
        model = open_clip.create_model(name, pretrained=None, load_weights=False)
        try:
            open_clip.factory.load_checkpoint(model, str(weights), weights_only=True)
        except Exception:
            own = set(model.state_dict())
            reason = describe_mismatch(sorted(own - set(state)), sorted(set(state) - own))
            raise BecamError(
                f"{weights} does not fit open_clip's {name} ({reason or 'other shapes'}); check "
                "the model name and the file."
            ) from None
    return model


def _from_hub(name: str, spec: EncoderSpec) -> Any:
    if spec.tag not in open_clip.list_pretrained_tags_by_model(name):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise BecamError(f"open_clip knows no weights {spec.tag!r} for {name}; it knows {tags}.")
    try:
        with _quiet():
            return open_clip.create_model(name, pretrained=spec.tag)
    except Exception as error:
        raise BecamError(
            f"The weights of {spec} could not be fetched from their hub "
            f"({type(error).__name__}); download them on a machine that can, and pass "
            "--weights FILE."
        ) from None


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BecamError(f"There is no model config at {path}; check the path.") from None
    except (OSError, ValueError) as error:
        raise BecamError(f"{path} is not a model config in JSON ({error}).") from None
    if not isinstance(config, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= set(config):
        raise BecamError(
            f"{path} is not an open_clip model config: it needs embed_dim, vision_cfg and text_cfg."
        )
    return config


def _register(stem: str, config: dict[str, Any]) -> str:
    """Make a config known to open_clip under a name that its content decides."""
    text = json.dumps(config, sort_keys=True)
    name = f"{stem}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if name not in open_clip.list_models():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.json"
            path.write_text(text, encoding="utf-8")
            open_clip.add_model_config(path)
    return name


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


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip warns about missing weights that we are about to load ourselves."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
