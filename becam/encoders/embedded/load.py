"""The two small CLIPs that ship with becam, as ordinary open_clip models."""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from becam.encoders.embedded.tokenizer import WordTokenizer
from becam.errors import BecamError

NAMES = ("vit", "resnet")
"""A vision transformer and a CLIP ResNet; both were trained on the synthetic catalogue."""


def load_embedded(name: str) -> tuple[nn.Module, WordTokenizer, dict[str, Any]]:
    """An embedded model: open_clip ``CLIP`` (eval, float32, CPU), its tokenizer and its config.

    The config has ``model_cfg`` and ``preprocess_cfg`` as open_clip writes them, ``vocabulary``,
    ``training`` and ``measured``.

    Raises:
        BecamError: no embedded model has this name.
    """
    if name not in NAMES:
        raise BecamError(f"There is no embedded encoder {name!r}; choose {' or '.join(NAMES)}.")
    with as_file(weights_resource(name)) as weights:
        return load_files(weights, read_config(name))


def weights_resource(name: str) -> Any:
    """The package resource with a model's weights."""
    return files("becam.encoders.embedded") / f"{name}.safetensors"


def read_config(name: str) -> dict[str, Any]:
    """The config of an embedded model."""
    text = (files("becam.encoders.embedded") / f"{name}.json").read_text(encoding="utf-8")
    config: dict[str, Any] = json.loads(text)
    return config


def load_files(
    weights: Path, config: dict[str, Any]
) -> tuple[nn.Module, WordTokenizer, dict[str, Any]]:
    """What ``load_embedded`` returns, from files of the same form."""
    model = build(config)
    state = load_file(weights)
    model.load_state_dict(
        {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    )
    return model.eval(), tokenizer(config), config


def build(config: dict[str, Any]) -> nn.Module:
    """An untrained open_clip ``CLIP`` from a config."""
    from open_clip.model import CLIP

    model: nn.Module = CLIP(**config["model_cfg"])
    return model


def tokenizer(config: dict[str, Any]) -> WordTokenizer:
    """The tokenizer of a config."""
    return WordTokenizer(config["vocabulary"], config["model_cfg"]["text_cfg"]["context_length"])
