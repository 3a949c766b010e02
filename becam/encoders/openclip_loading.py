"""open_clip models from their hub or from a local file."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip

from becam.encoders.openclip import OpenClipEncoder, Tokenizer
from becam.encoders.quickgelu import warn_on_mismatch
from becam.encoders.spec import EncoderRecord, EncoderSpec
from becam.encoders.weights import describe_mismatch, first_line, read_state_dict
from becam.errors import BecamError
from becam.files import sha256

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
        raise BecamError(f"open_clip encoders take no options, but {spec} has some.")
    name = spec.name
    if name.endswith(".json") or config is not None:
        config = config or _read_config(Path(name))
        name = _register(Path(name).stem, config.get("model_cfg", config))
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
    if weights:
        preprocessing = (config or {}).get("preprocess_cfg") or _released(name, spec.tag)
        model = _from_file(name, weights, preprocessing)
    else:
        model = _from_hub(name, spec)
    warn_on_mismatch(model, spec, name, weights)
    return OpenClipEncoder(
        model, _tokenizer(name), open_clip.get_model_preprocess_cfg(model), record
    )


def _from_file(name: str, weights: Path, preprocessing: dict[str, Any]) -> Any:
    # The pickle check runs before open_clip reads the file again.
    state = read_state_dict(weights)
    try:
        with _quiet():
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
    try:
        with _quiet():
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


def _released(name: str, tag: str | None) -> dict[str, Any]:
    """The preprocessing of a model's released weights; empty where they differ or there are none.

    It depends on the spec alone, so that a file may be moved and renamed.
    """
    tags = [tag] if tag else open_clip.list_pretrained_tags_by_model(name)
    found = [open_clip.get_pretrained_cfg(name, each) for each in tags]
    known = [{key: cfg[key] for key in _PREPROCESSING if key in cfg} for cfg in found]
    return known[0] if known and all(each == known[0] for each in known) else {}


def _tokenizer(name: str) -> Tokenizer | None:
    try:
        with _quiet():
            tokenizer: Tokenizer = open_clip.get_tokenizer(name)
            return tokenizer
    except Exception:
        return None


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BecamError(f"There is no model config at {path}; check the path.") from None
    except (OSError, ValueError) as error:
        raise BecamError(f"{path} is not a model config in JSON ({error}).") from None
    model = config.get("model_cfg", config) if isinstance(config, dict) else None
    if not isinstance(model, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= set(model):
        raise BecamError(
            f"{path} is not an open_clip model config: it needs embed_dim, vision_cfg and text_cfg."
        )
    return dict(config)


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


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip tells of weights that we load ourselves, and of what we warn of ourselves."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*QuickGELU")
            yield
    finally:
        logging.disable(logging.NOTSET)
