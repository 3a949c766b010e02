"""ImageBind's weights under open_clip's names.

ImageBind's towers of pictures and texts are those of a CLIP ViT, so open_clip's modules compute the
same. Names and shapes: Girdhar et al., "ImageBind: One Embedding Space To Bind Them All", CVPR
2023, and the state dict that was released with it. The weights are licensed CC-BY-NC 4.0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

_EPS = 1e-6

_Change = Callable[[Tensor], Tensor]


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _without_batch(tensor: Tensor) -> Tensor:
    return tensor[0]


def _transposed(tensor: Tensor) -> Tensor:
    return tensor.T


def _over_time(kernel: Tensor) -> Tensor:
    """A picture is a clip of two equal frames: (D, 3, 2, p, p) to (D, 3, p, p)."""
    return kernel.sum(2)


_SINGLE: dict[str, tuple[str, _Change]] = {
    "preprocessors.vision.cls_token": ("visual.class_embedding", lambda token: token[0, 0]),
    "preprocessors.vision.pos_embedding_helper.pos_embed": (
        "visual.positional_embedding",
        _without_batch,
    ),
    "preprocessors.vision.rgbt_stem.proj.1.weight": ("visual.conv1.weight", _over_time),
    "trunks.vision.pre_transformer_layer.0.weight": ("visual.ln_pre.weight", _same),
    "trunks.vision.pre_transformer_layer.0.bias": ("visual.ln_pre.bias", _same),
    "heads.vision.0.weight": ("visual.ln_post.weight", _same),
    "heads.vision.0.bias": ("visual.ln_post.bias", _same),
    "heads.vision.2.weight": ("visual.proj", _transposed),
    "preprocessors.text.token_embedding.weight": ("token_embedding.weight", _same),
    "preprocessors.text.pos_embed": ("positional_embedding", _without_batch),
    "heads.text.proj.0.weight": ("ln_final.weight", _same),
    "heads.text.proj.0.bias": ("ln_final.bias", _same),
    "heads.text.proj.1.weight": ("text_projection", _transposed),
    "postprocessors.text.1.log_logit_scale": ("logit_scale", _same),
}
REQUIRED = frozenset(f"modality_{name}" for name in _SINGLE)
"""Names that every released state dict has."""

_TOWERS = re.compile(r"modality_(\w+\.(?:vision|text)\..+)")
_BLOCK = re.compile(r"trunks\.(vision|text)\.blocks\.(\d+)\.(.+)\.([^.]+)")
_PARTS = {
    # MultiheadAttention has its joint projection as parameters of its own.
    "attn": "attn",
    "attn.out_proj": "attn.out_proj",
    "norm_1": "ln_1",
    "norm_2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_CAUSAL_MASK = "preprocessors.text.mask"


def to_open_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The towers of pictures and texts, as the state dict of open_clip's ``CLIP``.

    Other modalities are left out. What is missing is missing in the result, and what is unknown
    keeps its name, so that loading the result tells.

    Args:
        state: ImageBind's state dict.
    """
    renamed = {}
    for full_name, tensor in state.items():
        tower = _TOWERS.fullmatch(full_name)
        if tower is None or tower[1] == _CAUSAL_MASK:
            continue
        block = _BLOCK.fullmatch(tower[1])
        if tower[1] in _SINGLE:
            name, change = _SINGLE[tower[1]]
            renamed[name] = change(tensor)
        elif block and block[3] in _PARTS:
            parent = "visual." if block[1] == "vision" else ""
            part = f"{_PARTS[block[3]]}.{block[4]}"
            renamed[f"{parent}transformer.resblocks.{block[2]}.{part}"] = tensor
        else:
            renamed[full_name] = tensor
    return renamed


def open_clip_config(state: Mapping[str, Tensor], heads: int) -> dict[str, Any]:
    """The arguments of open_clip's ``CLIP`` for what :func:`to_open_clip` gives.

    Args:
        state: with open_clip's names.
        heads: of attention, in either tower; the only size that no shape tells.

    Raises:
        KeyError: a name is missing.
    """
    width, _, _, patch = state["visual.conv1.weight"].shape
    grid = math.isqrt(len(state["visual.positional_embedding"]) - 1)
    vocabulary, text_width = state["token_embedding.weight"].shape
    return {
        "embed_dim": state["visual.proj"].shape[1],
        "vision_cfg": {
            "image_size": grid * patch,
            "patch_size": patch,
            "width": width,
            "head_width": width // heads,
            "norm_kwargs": {"eps": _EPS},
            **_depth(state, "visual.", width),
        },
        "text_cfg": {
            "context_length": len(state["positional_embedding"]),
            "vocab_size": vocabulary,
            "width": text_width,
            "heads": heads,
            "norm_kwargs": {"eps": _EPS},
            **_depth(state, "", text_width),
        },
    }


def _depth(state: Mapping[str, Tensor], tower: str, width: int) -> dict[str, Any]:
    blocks = f"{tower}transformer.resblocks."
    return {
        "layers": sum(n.startswith(blocks) and n.endswith(".ln_1.weight") for n in state),
        "mlp_ratio": len(state[f"{blocks}0.mlp.c_fc.weight"]) / width,
    }
