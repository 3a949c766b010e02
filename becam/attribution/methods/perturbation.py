"""Random perturbation of the picture: RISE."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from becam.attribution.encodings import encode_masks
from becam.attribution.masking import Size, mask_picture, upsample
from becam.attribution.methods.base import Method, Saliency, spread
from becam.attribution.target import Target
from becam.attribution.view import View
from becam.limits import CELLS, KEPT, MASKS
from becam.options import Option

Coverage = Literal["expected", "drawn"]


class RISE(Method):
    """Random masks, weighted by the similarity of what they leave (Petsiuk et al., 2018).

    M = sum_i s_i m_i / (n p): m_i the masks, s_i the similarity of the picture under each, n their
    number and p the share of cells that they keep.

    Args:
        masks: n, how many.
        cells: of a mask's grid, along each side.
        keep: p, the probability with which a cell is kept.
        coverage: what the sum is divided by: ``expected``, n p as above, or ``drawn``, the sum of
            the masks. Where similarities hardly differ, as after a gate, the first shows which
            cells the draw happened to keep.

    Raises:
        BecamError: a number out of its range.
    """

    name: ClassVar[str] = "rise"
    title: ClassVar[str] = "RISE"
    summary: ClassVar[str] = "Random masks, weighted by the similarity of what each leaves."

    def __init__(
        self,
        masks: Annotated[int, Option("How many random masks.", limits=MASKS)] = 1000,
        cells: Annotated[int, Option("Cells of a mask along each side.", limits=CELLS)] = 7,
        keep: Annotated[float, Option("Probability with which a cell is kept.", limits=KEPT)] = 0.5,
        coverage: Annotated[
            Coverage,
            Option("Divide by how often a pixel is kept on average, or by how often it was."),
        ] = "expected",
    ) -> None:
        MASKS.check(masks, "masks")
        CELLS.check(cells, "cells")
        KEPT.check(keep, "keep")
        self.masks = masks
        self.cells = cells
        self.keep = keep
        self.coverage: Coverage = coverage

    def prepare(self, view: View) -> None:
        """Encode the picture under all masks."""
        self._features(view)

    @torch.no_grad()
    def saliency(self, view: View, target: Target) -> Saliency:
        """See ``Method.saliency``."""
        similarities = target.similarity(self._features(view)).double()
        masks = self._masks(view)
        total, drawn = torch.zeros(2, *view.size, dtype=torch.float64)
        for chunk in torch.split(torch.arange(self.masks), view.engine.settings.batch_size):
            made = masks(chunk).double()
            total += torch.einsum("n,nhw->hw", similarities[chunk], made)
            drawn += made.sum(0)
        if self.coverage == "expected":
            drawn.fill_(self.masks * self.keep)
        # Where no mask kept a pixel, nothing is known of it.
        found = torch.where(drawn > 0, total / drawn, 0.0)
        return Saliency(found.float(), encoded=self.masks, spread=spread(similarities))

    def _masks(self, view: View) -> RandomMasks:
        return RandomMasks(
            self.masks, self.cells, self.keep, size=view.size, seed=view.engine.settings.seed
        )

    def _features(self, view: View) -> Tensor:
        name = f"rise {self.masks} {self.cells} {self.keep}"
        return view.kept(name, lambda: self._encoded(view))

    @torch.inference_mode()
    def _encoded(self, view: View) -> Tensor:
        settings, masks = view.engine.settings, self._masks(view)

        def encode(chunk: Tensor) -> Tensor:
            chosen = masks(chunk).to(view.pixels.device)
            pictures = mask_picture(view.pixels, chosen, view.faded)
            return view.engine.fast.encode_image(
                pictures.contiguous(memory_format=torch.channels_last)
            )

        return encode_masks(
            encode,
            torch.arange(self.masks),
            batch_size=view.engine.batches,
            progress="Encoding under random masks" if settings.progress else None,
        )


class RandomMasks:
    """Masks of random cells, shifted at random, made when asked for.

    A grid of cells x cells is upsampled to one cell more than the picture along each side, and the
    picture's size is cut out of it wherever the shift says.

    Args:
        count: how many.
        cells: along each side.
        keep: the probability with which a cell is kept.
        size: H and W of the masks.
        seed: of the draw.

    Attributes:
        grids: whether a cell is kept, (count, cells, cells), as 0 or 1.
        shifts: rows and columns that are cut off at the top and the left, (count, 2).
    """

    def __init__(self, count: int, cells: int, keep: float, *, size: Size, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.size = size
        self.grids = (torch.rand(count, cells, cells, generator=generator) < keep).float()
        height, width = (math.ceil(side / cells) for side in size)
        self._upsampled = ((cells + 1) * height, (cells + 1) * width)
        self.shifts = torch.stack(
            [torch.randint(side, (count,), generator=generator) for side in (height, width)], dim=1
        )

    def __call__(self, indices: Tensor) -> Tensor:
        """Masks (n, H, W) in [0, 1] by their indices (n,)."""
        height, width = self.size
        whole = upsample(self.grids[indices], self._upsampled)
        return torch.stack(
            [
                mask[top : top + height, left : left + width]
                for mask, (top, left) in zip(whole, self.shifts[indices].tolist(), strict=True)
            ]
        )
