"""Where a transformer's tower can be entered after its patches."""

from __future__ import annotations

from typing import Any

from timm.layers import PatchEmbed
from torch import Tensor, nn

from becam.encoders.base import PatchStem


class AsChannels(nn.Module):
    """Patches (B, L, D) as feature maps (B, D, L, 1), which a tower flattens to (B, L, D) again."""

    def forward(self, patches: Tensor) -> Tensor:
        """A view."""
        return patches.transpose(1, 2)[..., None]


class Unflatten(nn.Module):
    """Patches (B, L, D) on their grid (B, rows, columns, D).

    Args:
        grid: rows and columns.
    """

    def __init__(self, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, patches: Tensor) -> Tensor:
        """A view."""
        return patches.reshape(len(patches), *self.grid, -1)


def timm_patch_stem(trunk: Any, prefix: str = "") -> PatchStem | None:
    """The stem of a timm transformer whose patches come of one convolution; None for others."""
    embed: Any = getattr(trunk, "patch_embed", None)
    if not _is_plain(embed) or embed.dynamic_img_pad or not hasattr(trunk, "blocks"):
        return None
    grid = tuple(embed.grid_size)
    layout = nn.Identity() if embed.flatten else Unflatten((int(grid[0]), int(grid[1])))
    return PatchStem(f"{prefix}patch_embed", embed.proj, nn.Sequential(layout, embed.norm))


def openclip_patch_stem(vision: Any) -> PatchStem:
    """The stem of open_clip's ``VisionTransformer``."""
    return PatchStem("conv1", vision.conv1, AsChannels())


def _is_plain(embed: object) -> bool:
    return type(embed) is PatchEmbed
