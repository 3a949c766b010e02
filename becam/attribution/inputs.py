"""Masked pictures as inputs of an encoder: pixels, or where possible patches, by linearity."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from becam.attribution.masking import Size, mask_picture, upsample
from becam.encoders.base import PatchStem
from becam.encoders.fast import FastEncoder

Encode = Callable[[Tensor], Tensor]

_COLOURS = 3


def masked_encoder(fast: FastEncoder, pixels: Tensor, faded: Tensor, grid: Size) -> Encode:
    """What encodes one picture under masks: coefficients (n, h, w) to features (n, d_m), float32.

    Args:
        fast: the encoder.
        pixels: the picture, normalised, (3, H, W).
        faded: what a fully masked picture fades to, (3, H, W).
        grid: h and w of the masks.
    """
    size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
    stem = fast.stem
    if stem is not None and _one_cell_a_patch(stem, size, grid):
        patches = MaskedPatches(stem, pixels, faded, grid)
        return lambda coefficients: fast.encode_patches(patches(coefficients))
    return lambda coefficients: fast.encode_image(
        mask_picture(pixels, upsample(coefficients, size), faded).contiguous(
            memory_format=torch.channels_last
        )
    )


class MaskedPatches:
    """The patches of a picture under any mask, as a linear function of the mask's coefficients.

    A mask is the sum of its coefficients times the upsamplings of single cells, and patches are an
    affine function of the pixels, so nothing of the picture's size is made for a mask. The
    upsampling of a cell reaches no further than the cells around it. Cells that are three apart in
    rows or columns do not meet, so nine pictures hold the parts of all cells.

    Args:
        stem: pixels to patches, one patch a cell.
        pixels, faded, grid: see :func:`masked_encoder`.
    """

    def __init__(self, stem: PatchStem, pixels: Tensor, faded: Tensor, grid: Size) -> None:
        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        coloured, self._cells, reaches = _colours(grid, pixels)
        shades = torch.nn.functional.interpolate(
            coloured[:, None], size=size, mode="bilinear", align_corners=False
        )
        blank = stem.projection(faded[None]).flatten(2)  # (1, D, L)
        parts = stem.projection((pixels - faded) * shades).flatten(2)
        if stem.projection.bias is not None:
            parts = parts - stem.projection.bias[:, None]
        self._parts = (parts * reaches[:, None]).permute(2, 0, 1).contiguous()  # (L, 9, D)
        self._blank = blank[0].T.contiguous()  # (L, D)

    def __call__(self, coefficients: Tensor) -> Tensor:
        """Patches (n, L, D) under masks with coefficients (n, h, w)."""
        near = coefficients.flatten(1)[:, self._cells]  # (n, L, 9)
        patches = torch.baddbmm(self._blank[:, None], near.transpose(0, 1), self._parts)
        return patches.transpose(0, 1)


def _one_cell_a_patch(stem: PatchStem, size: Size, grid: Size) -> bool:
    patch = stem.projection.kernel_size
    return (
        stem.projection.stride == patch
        and stem.projection.padding == (0, 0)
        and all(g * int(p) == s for g, p, s in zip(grid, patch, size, strict=True))
    )


def _colours(grid: Size, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cells by colour, (row mod 3, column mod 3), and by the patch that they reach.

    Returns:
        For each colour the sum of its cells, (9, h, w); the one cell of each colour that a patch
        can see, (L, 9), 0 where there is none; whether there is one, (9, L).
    """
    rows, columns = grid
    coloured = like.new_zeros(_COLOURS**2, rows, columns)
    cells = torch.zeros(rows * columns, _COLOURS**2, dtype=torch.long)
    reaches = torch.zeros(_COLOURS**2, rows * columns)
    for row in range(rows):
        for column in range(columns):
            colour = row % _COLOURS * _COLOURS + column % _COLOURS
            coloured[colour, row, column] = 1.0
            for y in range(max(0, row - 1), min(rows, row + 2)):
                for x in range(max(0, column - 1), min(columns, column + 2)):
                    cells[y * columns + x, colour] = row * columns + column
                    reaches[colour, y * columns + x] = 1.0
    return coloured, cells.to(like.device), reaches.to(like)
