"""Picture and text to feature: one contract over open_clip, timm, ImageBind and our own models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from becam.encoders.spec import EncoderRecord, EncoderSpec
from becam.errors import BecamError

if TYPE_CHECKING:
    from becam.encoders.base import Encoder

Loader = Callable[[EncoderSpec, Path | None, dict[str, Any] | None], "Encoder"]

__all__ = ["EncoderRecord", "EncoderSpec", "load_encoder", "load_recorded"]


def load_encoder(
    spec: str,
    *,
    weights: str | Path | None = None,
    device: str = "cpu",
    config: dict[str, Any] | None = None,
) -> Encoder:
    """Build a frozen encoder.

    Args:
        spec: ``becam:vit`` and ``becam:resnet`` (embedded), ``open_clip:NAME[:TAG]`` (NAME may be
            a JSON model config), ``timm:NAME[,KEY=VALUE...]``, ``imagebind:huge`` (its weights are
            licensed CC-BY-NC 4.0, so they are never fetched).
        weights: a local weights file; without it the weights come from the family's hub.
        device: ``auto``, ``cpu``, ``cuda``.
        config: the model's configuration, where a record carries it.

    Raises:
        BecamError: unknown spec, missing or foreign weights, hub out of reach.

    Warns:
        BecamWarning: the weights are known to belong to another activation function (QuickGELU).
    """
    from becam.devices import resolve_device

    parsed = EncoderSpec.parse(spec)
    if parsed.family not in LOADERS:
        raise BecamError(
            f"There is no encoder family {parsed.family!r}; the families are {', '.join(LOADERS)}."
        )
    encoder = LOADERS[parsed.family](parsed, Path(weights) if weights else None, config)
    return encoder.to(resolve_device(device))


def load_recorded(
    record: EncoderRecord, *, weights: str | Path | None = None, device: str = "cpu"
) -> Encoder:
    """Rebuild the encoder that a feature set or checkpoint remembers.

    Args:
        record: from ``features.json`` or a checkpoint.
        weights: where the weights file is now, when it moved.
        device: ``auto``, ``cpu``, ``cuda``.

    Raises:
        BecamError: nobody knows the encoder, or the weights found are not the ones remembered.
    """
    if record.spec is None:
        raise BecamError(
            "The features of this checkpoint came with the data and their encoder is unknown, so "
            "no picture can be explained; run becam features with an encoder and train on those."
        )
    path = weights or record.weights
    if path is not None and weights is None and not Path(path).is_file():
        raise BecamError(
            f"The weights of {record.describe()} are no longer at {path}; pass --weights FILE."
        )
    encoder = load_encoder(record.spec, weights=path, device=device, config=record.config)
    encoder.record = replace(encoder.record, icc=record.icc)
    if encoder.record.identity != record.identity:
        raise BecamError(
            f"The checkpoint was trained on features of {record.describe()}, not of "
            f"{encoder.record.describe()}; pass the weights it was trained with."
        )
    return encoder


def _load_open_clip(
    spec: EncoderSpec, weights: Path | None, config: dict[str, Any] | None
) -> Encoder:
    from becam.encoders.openclip_loading import load_open_clip

    return load_open_clip(spec, weights, config)


def _load_timm(spec: EncoderSpec, weights: Path | None, config: dict[str, Any] | None) -> Encoder:
    from becam.encoders.timm_trunk import load_timm

    return load_timm(spec, weights, config)


def _load_imagebind(
    spec: EncoderSpec, weights: Path | None, config: dict[str, Any] | None
) -> Encoder:
    from becam.encoders.imagebind import load_imagebind

    return load_imagebind(spec, weights, config)


def _load_embedded(
    spec: EncoderSpec, weights: Path | None, config: dict[str, Any] | None
) -> Encoder:
    from importlib.resources import as_file

    from becam.encoders.embedded.load import load_embedded, weights_resource
    from becam.encoders.openclip import OpenClipEncoder
    from becam.files import sha256

    if weights is not None or spec.tag or spec.options:
        raise BecamError(f"becam:{spec.name} carries its own weights; give its name alone.")
    model, tokenizer, built = load_embedded(spec.name)
    with as_file(weights_resource(spec.name)) as path:
        record = EncoderRecord(str(spec), weights_sha256=sha256(path))
    return OpenClipEncoder(model, tokenizer, built["preprocess_cfg"], record)


LOADERS: dict[str, Loader] = {
    "becam": _load_embedded,
    "open_clip": _load_open_clip,
    "timm": _load_timm,
    "imagebind": _load_imagebind,
}
"""By family, the part of a spec before its colon; an encoder of one's own is one more entry."""
