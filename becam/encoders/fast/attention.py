"""Transformer blocks that do no work whose result nobody reads."""

from __future__ import annotations

from typing import Any

from open_clip.transformer import ResidualAttentionBlock
from timm.models.vision_transformer import Attention, Block, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from becam.encoders.base import FirstTokenBlock


class FusedAttention(nn.Module):
    """``nn.MultiheadAttention`` for inference: one product for q, k and v, fused attention.

    Args:
        attention: batch-first self-attention over one width; its weights are shared.
    """

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads = attention.num_heads
        self.in_proj = nn.Linear(attention.embed_dim, 3 * attention.embed_dim, device="meta")
        self.in_proj.weight = nn.Parameter(attention.in_proj_weight, requires_grad=False)
        bias = attention.in_proj_bias
        self.in_proj.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.out_proj = attention.out_proj

    @staticmethod
    def fits(attention: nn.Module) -> bool:
        """Whether this stands for that module."""
        return (
            type(attention) is nn.MultiheadAttention
            and attention.batch_first
            and attention.in_proj_weight is not None
            and attention.bias_k is None
            and not attention.add_zero_attn
        )

    def forward(
        self, query: Tensor, _key: Tensor, _value: Tensor, **_options: object
    ) -> tuple[Tensor, None]:
        """Self-attention (B, L, D); keys and values are those of the query."""
        q, k, v = self.in_proj(query).chunk(3, dim=-1)
        return self._attend(q, k, v), None

    def pooled(self, tokens: Tensor) -> Tensor:
        """The same for the first token alone: (B, L, D) to (B, 1, D)."""
        width = tokens.shape[-1]
        weight, bias = self.in_proj.weight, self.in_proj.bias
        first = functional.linear(tokens[:, :1], weight[:width], _part(bias, 0, width))
        k, v = functional.linear(tokens, weight[width:], _part(bias, width, None)).chunk(2, dim=-1)
        return self._attend(first, k, v)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (_by_head(part, self.heads) for part in (q, k, v))
        mixed = functional.scaled_dot_product_attention(q, k, v)
        projected: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return projected


class OpenClipPooledBlock(nn.Module):
    """open_clip's ``ResidualAttentionBlock`` where only the first token goes on: gives (B, 1, D).

    Args:
        block: the tower's last block, its attention a :class:`FusedAttention`.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.block: Any = block

    def forward(self, x: Tensor, **_options: object) -> Tensor:
        """(B, L, D) to (B, 1, D)."""
        block = self.block
        first = x[:, :1] + block.ls_1(block.attn.pooled(block.ln_1(x)))
        out: Tensor = first + block.ls_2(block.mlp(block.ln_2(first)))
        return out


class TimmPooledBlock(nn.Module):
    """timm's ``Block`` where only the first token goes on: gives (B, 1, D).

    Args:
        block: the trunk's last block; its attention is timm's own ``Attention``.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.block: Any = block

    def forward(self, x: Tensor, **_options: object) -> Tensor:
        """(B, L, D) to (B, 1, D)."""
        block = self.block
        first = x[:, :1] + block.ls1(self._attention(block.norm1(x)))
        out: Tensor = first + block.ls2(block.mlp(block.norm2(first)))
        return out

    def _attention(self, x: Tensor) -> Tensor:
        attention = self.block.attn
        heads = attention.num_heads
        weight, bias = attention.qkv.weight, attention.qkv.bias
        width = len(weight) // 3
        first = functional.linear(x[:, :1], weight[:width], _part(bias, 0, width))
        k, v = functional.linear(x, weight[width:], _part(bias, width, None)).chunk(2, dim=-1)
        q, k, v = (_by_head(part, heads) for part in (first, k, v))
        mixed = functional.scaled_dot_product_attention(attention.q_norm(q), attention.k_norm(k), v)
        mixed = getattr(attention, "norm", nn.Identity())(mixed.transpose(1, 2).flatten(2))
        out: Tensor = attention.proj(mixed)
        return out


def _by_head(x: Tensor, heads: int) -> Tensor:
    """(B, L, D) to (B, heads, L, D / heads)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def _part(bias: Tensor | None, start: int, stop: int | None) -> Tensor | None:
    return None if bias is None else bias[start:stop]


def openclip_first_token_block(vision: Any) -> FirstTokenBlock | None:
    """Of open_clip's ``VisionTransformer``; None where other tokens are read, too."""
    blocks = vision.transformer.resblocks
    plain = (
        vision.attn_pool is None
        and vision.pool_type == "tok"
        and not vision.output_tokens
        and type(blocks[-1]) is ResidualAttentionBlock
        and FusedAttention.fits(blocks[-1].attn)
    )
    if not plain:
        return None
    return FirstTokenBlock(f"transformer.resblocks.{len(blocks) - 1}", OpenClipPooledBlock)


def timm_first_token_block(trunk: Any, prefix: str = "") -> FirstTokenBlock | None:
    """Of timm's ``VisionTransformer``; None where other tokens are read, too."""
    if not isinstance(trunk, VisionTransformer):
        return None
    last = trunk.blocks[-1]
    plain = (
        trunk.global_pool == "token"
        and trunk.attn_pool is None
        and type(last) is Block
        and type(last.attn) is Attention
        and getattr(last.attn, "gate", None) is None
    )
    if not plain:
        return None
    return FirstTokenBlock(f"{prefix}blocks.{len(trunk.blocks) - 1}", TimmPooledBlock)
