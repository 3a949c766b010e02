"""A warning where weights and activation function do not belong together.

OpenAI trained CLIP with QuickGELU, x sigmoid(1.702 x), and so did some others; most later models
have the exact GELU. Weights of the one kind fit a model of the other, whose features are then
somewhat off, without a word.
"""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import open_clip
from open_clip.transformer import QuickGELU
from torch import nn

from becam.encoders.spec import EncoderSpec
from becam.errors import BecamError, BecamWarning
from becam.records import read_record

_SUFFIX = "-quickgelu"


def warn_on_mismatch(
    model: nn.Module, spec: EncoderSpec, name: str, weights: Path | None = None
) -> None:
    """Warn, in one sentence, where it is known that weights were trained with the other function.

    Args:
        model: an open_clip model as built.
        spec: how the user named it.
        name: the name of its config in open_clip.
        weights: the local file of the weights; None where they came from the hub.
    """
    quick = any(isinstance(module, QuickGELU) for module in model.modules())
    trained_quick = _of_tag(name, spec.tag) if weights is None else _of_file(name, spec, weights)
    if trained_quick is None or trained_quick == quick:
        return
    words = {True: "QuickGELU", False: "GELU"}
    of = f"the weights {spec.tag}" if weights is None else str(weights)
    warnings.warn(
        f"{of} were trained with {words[trained_quick]} but the model of {spec} has "
        f"{words[quick]}, so its features are not those of the trained model; "
        f"{_way_out(name, spec, trained_quick)}.",
        BecamWarning,
        stacklevel=2,
    )


def _way_out(name: str, spec: EncoderSpec, quick: bool) -> str:
    sibling = f"{_base(name)}{_SUFFIX if quick else ''}"
    if sibling in open_clip.list_models():
        tag = f":{spec.tag}" if spec.tag else ""
        return f"use open_clip:{sibling}{tag}"
    return f'set "quick_gelu": {json.dumps(quick)} in a model config and pass that'


def _of_tag(name: str, tag: str | None) -> bool | None:
    """What open_clip knows of a tag: it marks QuickGELU, and does so under both names of a model.

    Some models that have QuickGELU by design lack the mark, so a missing one says nothing there.
    """
    quick = bool(open_clip.get_pretrained_cfg(name, tag or "").get("quick_gelu"))
    return True if quick else None


def _of_file(name: str, spec: EncoderSpec, weights: Path) -> bool | None:
    """What the tag in the spec, the config beside the file, or the file's name says."""
    released: dict[str, dict[str, Any]] = {
        tag: open_clip.get_pretrained_cfg(_base(name), tag)
        for tag in open_clip.list_pretrained_tags_by_model(_base(name))
    }
    if spec.tag in released:
        return bool(released[spec.tag].get("quick_gelu"))
    beside = _config_beside(weights)
    if beside is not None:
        return bool(beside.get("quick_gelu"))
    own_name = _plain(weights.name)
    if "_quick_gelu_" in own_name or "_quickgelu_" in own_name:
        return True
    for tag in sorted(released, key=len, reverse=True):
        url_name = released[tag].get("url", "").rpartition("/")[2]
        if _plain(tag) in own_name or weights.name == url_name:
            return bool(released[tag].get("quick_gelu"))
    return None


def _config_beside(weights: Path) -> dict[str, Any] | None:
    """The model's config where the file lies in a copy of its hub repository."""
    try:
        config = read_record(
            weights.parent / "open_clip_config.json", dict[str, Any], remedy="give the right one"
        )
    except BecamError:
        return None
    model = config.get("model_cfg")
    return model if isinstance(model, dict) else None


def _base(name: str) -> str:
    return name.removesuffix(_SUFFIX)


def _plain(text: str) -> str:
    """Words between underscores, with one at either end."""
    return f"_{re.sub(r'[^a-z0-9]+', '_', text.lower())}_"
