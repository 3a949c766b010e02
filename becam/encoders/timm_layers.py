"""Target layers of timm models, by themselves and as trunks of open_clip's towers."""

from __future__ import annotations

from typing import Any

from timm.layers import LayerNorm2d
from timm.models.convnext import ConvNeXt, ConvNeXtBlock
from timm.models.resnetv2 import ResNetV2
from torch import nn

from becam.encoders.base import Encoder, TargetLayer
from becam.encoders.reach import refusal
from becam.encoders.spec import EncoderRecord
from becam.encoders.timm_grids import gridded, output_shape
from becam.errors import BecamError


def choose_timm_layer(encoder: Encoder, trunk: Any, prefix: str = "") -> TargetLayer:
    """The default target layer of an encoder with a timm trunk, tried out.

    Args:
        encoder: that has the trunk.
        trunk: the model.
        prefix: see :func:`resolve_timm_layer`.

    Raises:
        BecamError: no module gives a grid whose patches reach the feature.
    """
    try:
        layers = [resolve_timm_layer(trunk, encoder.record, prefix)]
    except BecamError:
        layers = []
    if layers and refusal(encoder, layers[0]) is None:
        return layers[0]
    for layer in gridded(encoder, trunk, prefix).layers:
        if refusal(encoder, layer) is None:
            return layer
    raise _unknown(trunk, encoder.record)


def timm_layer(encoder: Encoder, trunk: Any, path: str, prefix: str = "") -> TargetLayer:
    """What a module inside an encoder's timm trunk would be as a target layer.

    Where the architecture alone tells wrongly or not at all, the module's output does.

    Args:
        encoder: that has the trunk.
        trunk: the model.
        path: inside the trunk.
        prefix: see :func:`resolve_timm_layer`.
    """
    layer = timm_layer_at(trunk, path, prefix)
    if _tells(encoder, trunk, prefix):
        return layer
    shape = output_shape(encoder, layer.path)
    known = gridded(encoder, trunk, prefix)
    found = known.at(layer.path, shape, getattr(trunk, "num_prefix_tokens", 0))
    if found is None and known.grids and len(shape) > 2:
        raise BecamError(
            f"The output of {layer.path} has shape {shape}, which is no grid that is known; choose "
            "another --target-layer."
        )
    return found or layer


def _tells(encoder: Encoder, trunk: Any, prefix: str) -> bool:
    """Whether the architecture alone tells the layouts: it did so of the default layer."""
    try:
        return encoder.default_target_layer() == resolve_timm_layer(trunk, encoder.record, prefix)
    except BecamError:
        return False


def _unknown(trunk: Any, record: EncoderRecord) -> BecamError:
    return BecamError(
        f"No target layer is known for {type(trunk).__name__} of {record.describe()}; name one "
        "with --target-layer."
    )


def resolve_timm_layer(trunk: Any, record: EncoderRecord, prefix: str = "") -> TargetLayer:
    """The default target layer of a timm trunk by its architecture alone.

    Args:
        trunk: the model.
        record: of the encoder, for sentences.
        prefix: the trunk's path inside the encoder's vision tower, with a dot at its end.

    Raises:
        BecamError: none is known for this architecture.
    """
    path = _default_path(trunk)
    if path is None:
        raise _unknown(trunk, record)
    return timm_layer_at(trunk, path, prefix)


def timm_layer_at(trunk: Any, path: str, prefix: str = "") -> TargetLayer:
    """What an existing module path inside a timm trunk would be as a target layer.

    Args:
        trunk: the model.
        path: inside the trunk.
        prefix: see :func:`resolve_timm_layer`.
    """
    if _is_transformer(trunk):
        if path.startswith("patch_embed."):
            return TargetLayer(f"{prefix}{path}", "NCHW")
        rows, columns = trunk.patch_embed.grid_size
        # Class token and registers are put before the patches after they were cut.
        tokens = 0 if path == "patch_embed" else int(trunk.num_prefix_tokens)
        return TargetLayer(f"{prefix}{path}", "NLD", tokens, (int(rows), int(columns)))
    return TargetLayer(f"{prefix}{path}", "NHWC" if _channels_last(trunk, path) else "NCHW")


def _default_path(trunk: Any) -> str | None:
    if _is_transformer(trunk):
        blocks = len(trunk.blocks)
        if blocks < 2 and getattr(trunk, "global_pool", None) == "token":
            return None
        return f"blocks.{max(blocks - 2, 0)}"
    if hasattr(trunk, "layer4"):  # ResNet family: the last ReLU of the last block
        last = len(trunk.layer4) - 1
        activations = [n for n, _ in trunk.layer4[last].named_children() if n.startswith("act")]
        return f"layer4.{last}.{activations[-1]}" if activations else f"layer4.{last}"
    if isinstance(trunk, ResNetV2):  # activations come before convolutions, the last one at the end
        return "norm"
    if hasattr(trunk, "conv_head") and hasattr(trunk, "bn2"):  # MobileNetV2, EfficientNet
        return "bn2"
    if hasattr(trunk, "conv_head") and hasattr(trunk, "blocks"):  # MobileNetV3 pools before it
        return f"blocks.{len(trunk.blocks) - 1}"
    if isinstance(trunk, ConvNeXt):
        return f"stages.{len(trunk.stages) - 1}.blocks.{len(trunk.stages[-1].blocks) - 1}"
    return _last_stage(trunk)


def _last_stage(trunk: Any) -> str | None:
    """Where timm itself finds the last feature map; None where its layout cannot be known."""
    if hasattr(trunk, "patch_embed") and not hasattr(trunk, "output_fmt"):
        return None
    stages = getattr(trunk, "feature_info", None)
    path = stages[-1].get("module") if isinstance(stages, list) and stages else None
    return path if path in dict(trunk.named_modules()) else None


def _is_transformer(trunk: Any) -> bool:
    """Whether a class token, registers and patches, in this order, pass through blocks."""
    grid = getattr(getattr(trunk, "patch_embed", None), "grid_size", None)
    return grid is not None and hasattr(trunk, "blocks") and hasattr(trunk, "num_prefix_tokens")


def _channels_last(trunk: Any, path: str) -> bool:
    module = trunk.get_submodule(path)
    if isinstance(module, (nn.Conv2d, nn.BatchNorm2d, LayerNorm2d)):
        return False
    if isinstance(module, (nn.Linear, nn.LayerNorm)):
        return True
    names = path.split(".")
    for depth in range(len(names)):
        block = trunk.get_submodule(".".join(names[:depth]))
        if isinstance(block, ConvNeXtBlock):
            return names[depth] in ("norm", "mlp") and not block.use_conv_mlp
    return getattr(trunk, "output_fmt", "NCHW") == "NHWC"
