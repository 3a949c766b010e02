"""open_clip's model configs from outside: of the right types, of bounded size, of known names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import timm
from msgspec import Meta, Struct

from becam.errors import BecamError, printable
from becam.records import checked, read_record

Positive = Annotated[int, Meta(ge=1, le=1 << 16)]
Blocks = Annotated[int, Meta(ge=0, le=1000)]
Ratio = Annotated[float, Meta(gt=0, le=64)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Level = Annotated[float, Meta(ge=-1000, le=1000)]
Spread = Annotated[float, Meta(gt=0, le=1000)]

# msgspec bounds no number that may be a list instead: (least, most, length of the list).
_LISTED = {
    "layers": (0, 1000, 4),
    "image_size": (1, 4096, 2),
    "patch_size": (1, 4096, 2),
    "size": (1, 4096, 2),
    "fill_color": (0, 255, 3),
}

_REMEDY = "give a model config of open_clip"


class _Tower(Struct):
    width: Positive | None = None
    mlp_ratio: Ratio | None = None


class _Vision(_Tower):
    layers: int | list[int] | None = None
    head_width: Positive | None = None
    patch_size: int | list[int] | None = None
    image_size: int | list[int] | None = None
    attn_pooler_queries: Positive | None = None
    attn_pooler_heads: Positive | None = None
    timm_model_name: Name | None = None
    timm_model_pretrained: bool = False


class _Text(_Tower):
    layers: Blocks | None = None
    heads: Positive | None = None
    context_length: Positive | None = None
    vocab_size: Annotated[int, Meta(ge=1, le=1 << 22)] | None = None
    hf_model_name: Name | None = None
    hf_tokenizer_name: Name | None = None


class _Model(Struct):
    embed_dim: Positive
    vision_cfg: _Vision
    text_cfg: _Text
    multimodal_cfg: _Text | None = None
    quick_gelu: bool = False
    custom_text: bool = False
    init_logit_bias: Level | None = None
    init_logit_scale: Level | None = None


class _Preprocessing(Struct):
    size: int | list[int] | None = None
    mean: Annotated[list[Level], Meta(min_length=3, max_length=3)] | None = None
    std: Annotated[list[Spread], Meta(min_length=3, max_length=3)] | None = None
    interpolation: Literal["bicubic", "bilinear", "random"] | None = None
    resize_mode: Literal["shortest", "longest", "squash"] | None = None
    fill_color: int | list[int] | None = None


def read_config(path: Path) -> dict[str, Any]:
    """A model config of open_clip, or the ``open_clip_config.json`` of a hub repository.

    Raises:
        BecamError: none, not JSON, or a field that is missing, of another type or out of bounds.
    """
    config = read_record(path, dict[str, Any], remedy=_REMEDY, what="model config")
    model = config.get("model_cfg", config)
    if not isinstance(model, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= set(model):
        raise BecamError(
            f"{path} is not an open_clip model config: it needs embed_dim, vision_cfg and text_cfg."
        )
    check_config(config, str(path))
    return config


def check_config(config: dict[str, Any], where: str) -> None:
    """Raise unless every field that a size depends on is of its type and within bounds.

    Args:
        config: as :func:`read_config` gives it.
        where: what holds it, to begin the sentence.

    Raises:
        BecamError: a field is missing, of another type or out of bounds.
    """
    model = checked(config.get("model_cfg", config), _Model, where=where, remedy=_REMEDY)
    _check_listed(model.vision_cfg, where)
    if config.get("preprocess_cfg") is not None:
        pictures = checked(config["preprocess_cfg"], _Preprocessing, where=where, remedy=_REMEDY)
        _check_listed(pictures, where)


def _check_listed(values: Struct, where: str) -> None:
    for name, (least, most, length) in _LISTED.items():
        value = getattr(values, name, None)
        numbers = value if isinstance(value, list) else [value]
        if isinstance(value, list) and len(value) != length:
            raise BecamError(
                f"{where} is damaged: {name} has {len(value)} numbers, not {length}; {_REMEDY}."
            )
        if any(each is not None and not least <= each <= most for each in numbers):
            raise BecamError(
                f"{where} is damaged: {name} is not within {least} and {most:,}; {_REMEDY}."
            )


def check_stored_config(config: dict[str, Any], where: str) -> None:
    """As :func:`check_config`, of a config that a file carries: it may not send becam to a hub.

    Raises:
        BecamError: besides, the config names a model of a hub.
    """
    check_config(config, where)
    model = msgspec.convert(config.get("model_cfg", config), _Model)
    trunk, texts = model.vision_cfg.timm_model_name, model.text_cfg.hf_model_name
    named = [trunk] if trunk is not None and not timm.is_model(trunk) else []
    named += [texts] if texts is not None else []
    if named or model.vision_cfg.timm_model_pretrained:
        raise BecamError(
            f"{where} would fetch {printable(named[0]) if named else 'weights'} from a hub, which "
            "only a spec of yours may; run becam features with the encoder again."
        )
