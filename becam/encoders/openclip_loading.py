"""open_clip models from their hub or from a local file."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.convert import convert_state_dict
from open_clip.model import (
    convert_to_custom_text_state_dict,
    resize_pos_embed,
    resize_text_pos_embed,
)
from torch import Tensor

from becam.encoders.envelopes import without_common_prefix, without_prefix
from becam.encoders.hubs import quiet, without_hub
from becam.encoders.openclip import OpenClipEncoder, Tokenizer
from becam.encoders.openclip_config import check_stored_config, read_config
from becam.encoders.phrases import describe_mismatch
from becam.encoders.quickgelu import warn_on_mismatch
from becam.encoders.spec import EncoderRecord, EncoderSpec
from becam.encoders.weights import check_numbers, read_state_dict
from becam.errors import BecamError, first_line, printable
from becam.files import check_file, sha256

_POSITION_IDS = "text.transformer.embeddings.position_ids"
_SLACK = 1 << 26
_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")


def load_open_clip(
    spec: EncoderSpec, weights: Path | None, config: dict[str, Any] | None
) -> OpenClipEncoder:
    """Build ``open_clip:NAME[:TAG]``.

    NAME may be a JSON file: a model config of open_clip, or the ``open_clip_config.json`` of a hub
    repository, which says how pictures are preprocessed, too. Beside a weights file, TAG says whose
    preprocessing it has.

    Raises:
        BecamError: unknown name, no weights named, hub out of reach, weights that do not fit.
    """
    if spec.options:
        raise BecamError(
            f"open_clip encoders take no options, but {printable(str(spec))} has some."
        )
    name = spec.name
    stored = config is not None
    if name.endswith(".json") or config is not None:
        if config is None:
            config = read_config(Path(name))
        else:
            check_stored_config(config, f"The stored config of {printable(str(spec))}")
        name = _register(Path(name).stem, config.get("model_cfg", config))
    elif name not in open_clip.list_models():
        raise BecamError(
            f"open_clip has no model {printable(name)!r}; `python -c 'import open_clip; "
            "print(open_clip.list_models())'` lists them."
        )
    if weights is None and spec.tag is None:
        tags = open_clip.list_pretrained_tags_by_model(name)
        known = f"one of {', '.join(tags[:5])}" if tags else "none known"
        raise BecamError(f"{spec} names no weights; append a tag ({known}) or pass --weights FILE.")
    if weights:
        check_file(weights, what="weights file")
    if weights:
        preprocessing = (config or {}).get("preprocess_cfg") or _released(name, spec.tag)
        model = _from_file(name, weights, preprocessing, sketched=config is not None)
    else:
        model = _from_hub(name, spec)
    warn_on_mismatch(model, spec, name, weights)
    # Last: a hash takes long for a large file, which may be no weights file.
    record = EncoderRecord(
        str(spec),
        str(weights.resolve()) if weights else None,
        sha256(weights) if weights else None,
        config,
    )
    return OpenClipEncoder(
        model, _tokenizer(name, offline=stored), open_clip.get_model_preprocess_cfg(model), record
    )


def _from_file(name: str, weights: Path, preprocessing: dict[str, Any], sketched: bool) -> Any:
    state = read_state_dict(weights)
    if sketched:
        _check_size(name, state, weights)
    try:
        with quiet():
            model = open_clip.create_model(
                name,
                pretrained=None,
                load_weights=False,
                pretrained_hf=False,
                force_preprocess_cfg=preprocessing,
            )
    except Exception as error:
        raise BecamError(
            f"open_clip cannot build {name} ({first_line(error)}); choose another model or install "
            "what it asks for."
        ) from None
    own = model.state_dict().keys()
    reason = ""
    for named in (without_prefix(state, own, weights), without_common_prefix(state, own)):
        try:
            with quiet():
                fitted = _fitted(model, named)
                if fitted.keys() == own:
                    check_numbers(fitted, model, weights)
                model.load_state_dict(fitted)
            return model
        except BecamError:
            raise
        except Exception:  # as many kinds as there are wrong shapes
            reason = reason or describe_mismatch(
                sorted(own - named.keys()), sorted(named.keys() - own)
            )
    raise BecamError(
        f"{weights} does not fit open_clip's {name} ({reason or 'other shapes'}); check "
        "the model name and the file."
    )


def _fitted(model: Any, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict as open_clip changes it for a model: older names, other sizes of pictures."""
    state = convert_state_dict(model, dict(state))
    if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    for name in ("logit_scale", "logit_bias"):
        own = getattr(model, name, None)
        if own is not None and name in state:
            state[name] = state[name].reshape(own.shape)
    if getattr(model, "logit_bias", None) is not None and "logit_bias" not in state:
        state["logit_bias"] = torch.zeros_like(state["logit_scale"])
    if not hasattr(model, _POSITION_IDS):
        state.pop(_POSITION_IDS, None)
    resize_pos_embed(state, model)
    resize_text_pos_embed(state, model)
    return state


def _check_size(name: str, state: Mapping[str, Tensor], weights: Path) -> None:
    """Raise where a config describes a model far larger than the weights for it."""
    try:
        with quiet(), torch.device("meta"):
            sketch = open_clip.create_model(
                name, pretrained=None, load_weights=False, pretrained_hf=False, device="meta"
            )
    except Exception:  # it cannot be sketched; building it tells why, if it cannot be built either
        return
    size = sum(parameter.numel() for parameter in sketch.parameters())
    if size > 4 * sum(tensor.numel() for tensor in state.values()) + _SLACK:
        raise BecamError(
            f"The config describes a model of {size:,} numbers, far more than {weights} holds; "
            "check both."
        )


def _from_hub(name: str, spec: EncoderSpec) -> Any:
    if spec.tag not in open_clip.list_pretrained_tags_by_model(name):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise BecamError(f"open_clip knows no weights {spec.tag!r} for {name}; it knows {tags}.")
    try:
        with quiet():
            return open_clip.create_model(name, pretrained=spec.tag)
    except Exception as error:
        raise BecamError(
            f"The weights of {spec} could not be fetched from their hub "
            f"({type(error).__name__}); download them on a machine that can, and pass "
            "--weights FILE."
        ) from None


def _released(name: str, tag: str | None) -> dict[str, Any]:
    """The preprocessing of a model's released weights; empty where they differ or there are none.

    It depends on the spec alone, so that a file may be moved and renamed.
    """
    tags = [tag] if tag else open_clip.list_pretrained_tags_by_model(name)
    found = [open_clip.get_pretrained_cfg(name, each) for each in tags]
    known = [{key: cfg[key] for key in _PREPROCESSING if key in cfg} for cfg in found]
    return known[0] if known and all(each == known[0] for each in known) else {}


def _tokenizer(name: str, *, offline: bool) -> Tokenizer | None:
    try:
        with quiet(), without_hub() if offline else nullcontext():
            tokenizer: Tokenizer = open_clip.get_tokenizer(name)
            return tokenizer
    except Exception:
        return None


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
