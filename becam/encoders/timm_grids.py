"""Target layers of timm models of any architecture, found by what timm itself lays out on a grid.

``forward_intermediates`` gives the features of stages or blocks as (B, C, h, w), whatever the model
computes with. A module whose output holds the same numbers is a layer, and how its numbers lie in
the output is its layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from becam.encoders.base import Encoder, TargetLayer
from becam.encoders.reach import probe

_SAME = 1e-6
_CLOSE = 1e-4
"""Relative error of numbers that were computed twice, elsewhere than on a CPU."""


@dataclass(frozen=True)
class Gridded:
    """What of a model timm lays out on grids.

    Attributes:
        layers: of the deeper half, the deepest first, of those the same numbers before alike
            ones, of those the ones that timm names, and of those the outermost first.
        grids: rows and columns.
        size: height and width of the pictures.
    """

    layers: tuple[TargetLayer, ...]
    grids: tuple[tuple[int, int], ...]
    size: tuple[int, int]

    def at(self, path: str, shape: tuple[int, ...], prefix_tokens: int) -> TargetLayer | None:
        """The layer at a path by what is known of it, else by its output's shape; None: no grid.

        Args:
            path: inside ``Encoder.vision``.
            shape: of the module's output for one picture.
            prefix_tokens: that the model has, which may or may not be in this output.
        """
        known = next((layer for layer in self.layers if layer.path == path), None)
        if known is not None:
            return known
        if len(shape) == 4:
            if self._is_grid(shape[2], shape[3]):
                return TargetLayer(path, "NCHW")
            return TargetLayer(path, "NHWC") if self._is_grid(shape[1], shape[2]) else None
        for rows, columns in self.grids:
            for extra in (0, prefix_tokens):
                layer = TargetLayer(path, "NLD", extra, (rows, columns))
                if len(shape) == 3 and shape[1] == rows * columns + extra:
                    return layer
        return None

    def _is_grid(self, rows: int, columns: int) -> bool:
        """Whether it is one that timm knows, or whole pictures at one stride in both directions."""
        height, width = self.size
        strides = height % rows == width % columns == 0 and height // rows == width // columns
        return (rows, columns) in self.grids or strides


@torch.inference_mode()
def gridded(encoder: Encoder, trunk: Any, prefix: str) -> Gridded:
    """Find the modules that give what timm lays out on grids, in two forward passes.

    Args:
        encoder: that has the trunk.
        trunk: a timm model.
        prefix: the trunk's path inside the encoder's vision tower, with a dot at its end.
    """
    pixels = probe(encoder)
    try:
        given = trunk.forward_intermediates(pixels, intermediates_only=True)
    except Exception:  # an architecture that has none, or not at this size
        return Gridded((), (), encoder.preprocessing.size)
    maps = [each for each in given if isinstance(each, Tensor) and each.ndim == 4]
    stages = getattr(trunk, "feature_info", None)
    named = {stage.get("module") for stage in stages} if isinstance(stages, list) else set()
    found: list[tuple[int, bool, bool, int, TargetLayer]] = []

    def compare(path: str, output: Tensor) -> None:
        fits = [
            (error, -depth, layer)
            for depth, expected in enumerate(maps)
            for layer, error in _laid_out(f"{prefix}{path}", output, expected)
            if error <= _CLOSE
        ]
        if fits:
            error, depth, layer = min(fits, key=lambda one: one[:2])
            found.append((depth, error > _SAME, path not in named, path.count("."), layer))

    with _outputs(trunk, compare):
        encoder.encode_image(pixels)
    found.sort(key=lambda one: one[:4])
    grids = {(each.shape[2], each.shape[3]) for each in maps}
    return Gridded(
        tuple(layer for depth, _, _, _, layer in found if 2 * -depth >= len(maps) - 1),
        tuple(sorted(grids)),
        encoder.preprocessing.size,
    )


def output_shape(encoder: Encoder, path: str) -> tuple[int, ...]:
    """The shape of what a module gives for one picture; empty where it gives no tensor."""
    shapes: list[tuple[int, ...]] = [()]
    module = encoder.vision.get_submodule(path)
    with torch.inference_mode(), _listening(module, lambda found: shapes.append(found.shape)):
        encoder.encode_image(probe(encoder))
    return tuple(shapes[-1])


def _laid_out(path: str, output: Tensor, expected: Tensor) -> Iterator[tuple[TargetLayer, float]]:
    """Layouts that bring an output to the shape of ``expected`` (1, C, h, w), with their errors."""
    _, channels, rows, columns = expected.shape
    patches, shape = rows * columns, tuple(output.shape)
    layers: list[TargetLayer] = []
    if shape == (1, channels, rows, columns):
        layers.append(TargetLayer(path, "NCHW"))
    if shape == (1, rows, columns, channels):
        layers.append(TargetLayer(path, "NHWC"))
    if len(shape) == 3 and shape[0] == 1 and shape[1] >= patches and shape[2] == channels:
        layers.append(TargetLayer(path, "NLD", shape[1] - patches, (rows, columns)))
    for layer in layers:
        error = (layer.to_channels(output) - expected.float()).abs().max()
        yield layer, float(error / expected.float().abs().max().clamp(min=1e-12))


@contextmanager
def _outputs(trunk: nn.Module, heard: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Call ``heard`` with path and output of every module that gives a tensor."""
    with ExitStack() as stack:
        for path, module in trunk.named_modules():
            # A sequence gives what its last member gives.
            if path and not isinstance(module, (nn.Sequential, nn.Identity)):
                stack.enter_context(_listening(module, partial(heard, path)))
        yield


@contextmanager
def _listening(module: nn.Module, heard: Callable[[Tensor], None]) -> Iterator[None]:
    def hear(_module: nn.Module, _inputs: object, output: object) -> None:
        first = output[0] if isinstance(output, tuple) and output else output
        if isinstance(first, Tensor):
            heard(first)

    handle = module.register_forward_hook(hear)
    try:
        yield
    finally:
        handle.remove()
