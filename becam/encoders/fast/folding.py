"""Batch norms folded into the convolutions before them: the same function, one pass less each."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from becam.encoders.base import Encoder
from becam.encoders.fast.copying import replace


@torch.no_grad()
def fold_batch_norms(encoder: Encoder, pixels: Tensor) -> None:
    """Fold, in place, every batch norm that takes just what one convolution gives.

    Which follows which is seen in a forward pass, so that it works for any family. What a norm does
    besides (timm's norms apply the activation too) goes on being done in its place.

    Args:
        encoder: a structural copy, in evaluation mode; its convolutions get weights of their own.
        pixels: any picture (1, 3, H, W).
    """
    for conv_path, norm_path in _pairs(encoder, pixels):
        conv = encoder.vision.get_submodule(conv_path)
        norm = encoder.vision.get_submodule(norm_path)
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        weight, bias = fuse_conv_bn_weights(
            conv.weight,
            conv.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        conv.weight = nn.Parameter(
            weight.contiguous(memory_format=torch.channels_last), requires_grad=False
        )
        conv.bias = nn.Parameter(bias, requires_grad=False)
        # timm's BatchNormAct2d: the activation (and a dropout) after the norm.
        rest = [part for name in ("drop", "act") if (part := getattr(norm, name, None)) is not None]
        replace(encoder.vision, norm_path, nn.Sequential(*rest) if rest else nn.Identity())


def _pairs(encoder: Encoder, pixels: Tensor) -> list[tuple[str, str]]:
    """Paths of convolutions, and of the batch norms that alone consume what they give."""
    made: dict[int, tuple[str, Tensor]] = {}  # tensors are kept, or their ids would come again
    takers: dict[str, list[str]] = {}
    calls: dict[str, int] = {}

    def watch(path: str, module: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def seen(_module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            calls[path] = calls.get(path, 0) + 1
            for value in inputs:
                if id(value) in made:
                    takers.setdefault(made[id(value)][0], []).append(path)
            if isinstance(module, nn.Conv2d) and isinstance(output, Tensor):
                made[id(output)] = (path, output)

        return module.register_forward_hook(seen)

    leaves = [
        (path, module)
        for path, module in encoder.vision.named_modules()
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d)) or not list(module.children())
    ]
    handles = [watch(path, module) for path, module in leaves]
    try:
        encoder.encode_image(pixels)
    finally:
        for handle in handles:
            handle.remove()
    modules = dict(leaves)
    return [
        (conv, followers[0])
        for conv, followers in takers.items()
        if len(followers) == 1
        and calls[conv] == calls[followers[0]] == 1
        and isinstance(modules[followers[0]], nn.BatchNorm2d)
        and modules[followers[0]].track_running_stats
    ]
