"""timm models: convolutional networks and vision transformers, as feature extractors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from torch import Tensor, nn

from becam.encoders.base import Encoder, FirstTokenBlock, PatchStem, TargetLayer
from becam.encoders.fast.attention import timm_first_token_block
from becam.encoders.fast.stems import timm_patch_stem
from becam.encoders.preprocessing import Preprocessing
from becam.encoders.spec import EncoderRecord, EncoderSpec
from becam.encoders.weights import describe_mismatch, read_state_dict
from becam.errors import BecamError
from becam.files import sha256

_PREPROCESSING_OPTIONS = ("mean", "std", "size", "crop_pct", "interpolation")


class TimmEncoder(Encoder):
    """A timm trunk without its classifier; the feature is what the classifier would see."""

    has_text = False

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
        """The last feature map before pooling, or the second-to-last transformer block."""
        return resolve_timm_layer(self.vision, self.record)

    def patch_stem(self) -> PatchStem | None:
        """See ``Encoder.patch_stem``."""
        return timm_patch_stem(self.vision)

    def first_token_block(self) -> FirstTokenBlock | None:
        """See ``Encoder.first_token_block``."""
        return timm_first_token_block(self.vision)

    def layer_at(self, path: str) -> TargetLayer:
        """Token layout inside a transformer's blocks; feature maps elsewhere."""
        if path.startswith("blocks") and hasattr(self.vision, "patch_embed"):
            return _token_layer(self.vision, path)
        return super().layer_at(path)


def resolve_timm_layer(model: Any, record: EncoderRecord, prefix: str = "") -> TargetLayer:
    """The default target layer of a timm trunk.

    Raises:
        BecamError: none is known for this architecture.
    """
    if hasattr(model, "patch_embed") and hasattr(model, "blocks"):
        if len(model.blocks) >= 2:
            return _token_layer(model, f"blocks.{len(model.blocks) - 2}", prefix)
    elif hasattr(model, "layer4"):  # ResNet family: the last ReLU of the last block
        last = len(model.layer4) - 1
        activations = [n for n, _ in model.layer4[last].named_children() if n.startswith("act")]
        if activations:
            return TargetLayer(f"{prefix}layer4.{last}.{activations[-1]}", "NCHW")
    elif hasattr(model, "conv_head") and hasattr(model, "bn2"):  # MobileNetV2, EfficientNet
        return TargetLayer(f"{prefix}bn2", "NCHW")
    elif hasattr(model, "conv_head") and hasattr(model, "blocks"):  # MobileNetV3 pools before it
        return TargetLayer(f"{prefix}blocks.{len(model.blocks) - 1}", "NCHW")
    elif hasattr(model, "stages") and hasattr(model.stages[-1], "blocks"):  # ConvNeXt
        last_stage = len(model.stages) - 1
        last = len(model.stages[-1].blocks) - 1
        return TargetLayer(f"{prefix}stages.{last_stage}.blocks.{last}", "NCHW")
    raise BecamError(
        f"No target layer is known for {type(model).__name__} of {record.describe()}; name one "
        "with --target-layer."
    )


def load_timm(
    spec: EncoderSpec, weights: Path | None, config: dict[str, Any] | None
) -> TimmEncoder:
    """Build ``timm:NAME[,KEY=VALUE...]``.

    Options ``mean``, ``std``, ``size``, ``crop_pct`` and ``interpolation`` override the
    preprocessing; every other one is an argument of the model (``pad_type=same``).

    Raises:
        BecamError: unknown name or option, hub out of reach, weights that do not fit.
    """
    name = f"{spec.name}.{spec.tag}" if spec.tag else spec.name
    if not timm.is_model(spec.name):
        close = ", ".join(timm.list_models(f"*{spec.name[:8]}*")[:5])
        raise BecamError(
            f"timm has no model {spec.name!r}{f'; did you mean {close}?' if close else '.'}"
        )
    arguments = {
        key: _value(text) for key, text in spec.options.items() if key not in _PREPROCESSING_OPTIONS
    }
    record = EncoderRecord(
        str(spec),
        str(weights.resolve()) if weights else None,
        sha256(weights) if weights and weights.is_file() else None,
    )
    try:
        model = timm.create_model(name, pretrained=weights is None, num_classes=0, **arguments)
    except TypeError as error:
        raise BecamError(f"timm's {spec.name} refuses the options of {spec}: {error}.") from None
    except Exception as error:
        raise BecamError(
            f"The weights of {spec} could not be fetched from their hub "
            f"({type(error).__name__}); download them on a machine that can, and pass "
            "--weights FILE."
        ) from None
    if weights is not None:
        _load_weights(model, weights, spec)
    return TimmEncoder(model, _preprocessing(model, spec), record)


def _load_weights(model: Any, weights: Path, spec: EncoderSpec) -> None:
    state = read_state_dict(weights)
    classifier = model.pretrained_cfg.get("classifier") or ()
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    trunk = {k: v for k, v in state.items() if not k.startswith(tuple(f"{h}." for h in heads))}
    own = set(model.state_dict())
    missing = [k for k in sorted(own - set(trunk)) if not k.endswith("num_batches_tracked")]
    unexpected = sorted(set(trunk) - own)
    if missing or unexpected:
        raise BecamError(
            f"{weights} does not fit timm's {spec.name} "
            f"({describe_mismatch(missing, unexpected)}); check the model name and the file."
        )
    try:
        model.load_state_dict(trunk, strict=False)
    except RuntimeError:
        raise BecamError(
            f"{weights} has other shapes than timm's {spec.name}; check the model name and options."
        ) from None


def _token_layer(model: Any, path: str, prefix: str = "") -> TargetLayer:
    rows, columns = model.patch_embed.grid_size
    prefix_tokens = int(getattr(model, "num_prefix_tokens", 1))
    return TargetLayer(f"{prefix}{path}", "NLD", prefix_tokens, (int(rows), int(columns)))


def _preprocessing(model: nn.Module, spec: EncoderSpec) -> Preprocessing:
    data = resolve_model_data_config(model)
    options = {
        key: _value(spec.options[key]) for key in _PREPROCESSING_OPTIONS if key in spec.options
    }
    size = options.get("size", data["input_size"][1:])
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


def _value(text: str) -> Any:
    """A number, a boolean, or the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
