"""timm models: convolutional networks and vision transformers, as feature extractors."""

from __future__ import annotations

from collections.abc import Mapping
from glob import escape
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from torch import Tensor, nn

from becam.encoders.base import Encoder, FirstTokenBlock, PatchStem, TargetLayer
from becam.encoders.fast.attention import timm_first_token_block
from becam.encoders.fast.stems import timm_patch_stem
from becam.encoders.hubs import quiet
from becam.encoders.preprocessing import Preprocessing
from becam.encoders.spec import EncoderRecord, EncoderSpec
from becam.encoders.timm_layers import choose_timm_layer, timm_layer
from becam.encoders.timm_options import (
    PREPROCESSING_OPTIONS,
    check_options,
    parse_value,
    refused_options,
)
from becam.encoders.timm_weights import load_weights, release_of
from becam.encoders.weights import read_state_dict
from becam.errors import BecamError, first_line, printable
from becam.files import sha256


class TimmEncoder(Encoder):
    """A timm trunk without its classifier; the feature is what the classifier would see."""

    has_text = False
    _default: TargetLayer | None = None

    def __init__(
        self, model: nn.Module, preprocessing: Preprocessing, record: EncoderRecord
    ) -> None:
        super().__init__()
        self.vision = model
        self.preprocessing = preprocessing
        self.record = record
        self.freeze()
        with torch.inference_mode():
            self.dim = int(self.encode_image(torch.zeros(1, 3, *preprocessing.size)).shape[-1])

    def encode_image(self, pixels: Tensor) -> Tensor:
        """See ``Encoder.encode_image``."""
        features: Tensor = self.vision(pixels)
        return features

    def default_target_layer(self) -> TargetLayer:
        """The last feature map before pooling, or the second-to-last transformer block.

        In other architectures, the deepest features that timm can lay out on a grid and that reach
        the output.
        """
        if self._default is None:
            self._default = choose_timm_layer(self, self.vision)
        return self._default

    def patch_stem(self) -> PatchStem | None:
        """See ``Encoder.patch_stem``."""
        return timm_patch_stem(self.vision)

    def first_token_block(self) -> FirstTokenBlock | None:
        """See ``Encoder.first_token_block``."""
        return timm_first_token_block(self.vision)

    def layer_at(self, path: str) -> TargetLayer:
        """See ``Encoder.layer_at``."""
        return timm_layer(self, self.vision, path)


def load_timm(
    spec: EncoderSpec, weights: Path | None, config: dict[str, Any] | None
) -> TimmEncoder:
    """Build ``timm:NAME[,KEY=VALUE...]``.

    Options ``mean``, ``std``, ``size``, ``crop_pct`` and ``interpolation`` override the
    preprocessing; every other one is an argument of the model (``pad_type=same``). With ``size`` or
    ``img_size``, a transformer's positions are interpolated to the new grid.

    Raises:
        BecamError: unknown name or option, hub out of reach, weights that do not fit.
    """
    name = f"{spec.name}.{spec.tag}" if spec.tag else spec.name
    if not timm.is_model(spec.name):
        close = ", ".join(timm.list_models(f"*{escape(spec.name[:8])}*")[:5])
        raise BecamError(
            f"timm has no model {printable(spec.name)!r}"
            f"{f'; did you mean {close}?' if close else '.'}"
        )
    options = {key: parse_value(text) for key, text in spec.options.items()}
    check_options(options, spec)
    arguments = {k: v for k, v in options.items() if k not in PREPROCESSING_OPTIONS}
    state = read_state_dict(weights) if weights is not None else None
    record = EncoderRecord(
        str(spec),
        str(weights.resolve()) if weights else None,
        sha256(weights) if weights else None,
    )
    stored = sum(tensor.numel() for tensor in state.values()) if state is not None else None
    release = release_of(name, arguments, spec, stored)
    try:
        with quiet():
            model = timm.create_model(name, pretrained=weights is None, num_classes=0, **arguments)
    except Exception as error:
        if isinstance(error, TypeError) or weights is not None:
            raise refused_options(spec, error) from None
        raise BecamError(
            f"The weights of {spec} could not be fetched from their hub "
            f"({type(error).__name__}); download them on a machine that can, and pass "
            "--weights FILE."
        ) from None
    if weights is not None and state is not None:
        load_weights(model, state, release, weights, spec)
    try:
        preprocessing = _preprocessing(model, options)
        if "size" in options and hasattr(model, "set_input_size"):
            model.set_input_size(preprocessing.size)
        return TimmEncoder(model, preprocessing, record)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise BecamError(
            f"timm's {spec.name} cannot encode pictures as {spec} asks ({first_line(error)}); "
            "change size, mean, std or crop_pct."
        ) from None


def _preprocessing(model: Any, options: Mapping[str, Any]) -> Preprocessing:
    data = resolve_model_data_config(model)
    own_size = getattr(getattr(model, "patch_embed", None), "img_size", None)
    built = own_size or options.get("img_size") or data["input_size"][1:]
    size = options.get("size", built)
    modes = {"center": "shortest", "squash": "squash", "border": "longest"}
    mean = _triple(options.get("mean", data["mean"]))
    return Preprocessing(
        size=(size, size) if isinstance(size, int) else (int(size[0]), int(size[1])),
        mean=mean,
        std=_triple(options.get("std", data["std"])),
        resize_mode=modes[data.get("crop_mode") or "center"],  # type: ignore[arg-type]
        crop_pct=float(options.get("crop_pct", data["crop_pct"])),
        interpolation=str(options.get("interpolation", data["interpolation"])),
        fill=tuple(round(255 * value) for value in mean),  # type: ignore[arg-type]
    )


def _triple(value: Any) -> tuple[float, float, float]:
    first, second, third = (value,) * 3 if isinstance(value, (int, float)) else value
    return float(first), float(second), float(third)
