"""Transformer blocks that do no work whose result nobody reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from open_clip.modified_resnet import AttentionPool2d
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
        parts = _thirds(self.in_proj.weight, self.in_proj.bias)
        projected: Tensor = self.out_proj(first_token_attention(tokens, *parts, self.heads))
        return projected[:, None]

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (_by_head(part, self.heads) for part in (q, k, v))
        mixed = functional.scaled_dot_product_attention(q, k, v)
        projected: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return projected


class FirstTokenPooling(nn.Module):
    """open_clip's ``AttentionPool2d``, whose mean token alone is read.

    Args:
        pool: its weights are shared.
    """

    def __init__(self, pool: AttentionPool2d) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = pool.q_proj, pool.k_proj, pool.v_proj
        self.c_proj = pool.c_proj
        self.positional_embedding = pool.positional_embedding
        self.heads = pool.num_heads

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (B, D, h, w) to (B, d_m)."""
        patches = x.flatten(2).transpose(1, 2)
        tokens = torch.cat([patches.mean(dim=1, keepdim=True), patches], dim=1)
        tokens = tokens + self.positional_embedding.to(tokens.dtype)
        parts = self.q_proj, self.k_proj, self.v_proj
        weights, biases = [part.weight for part in parts], [part.bias for part in parts]
        pooled: Tensor = self.c_proj(first_token_attention(tokens, weights, biases, self.heads))
        return pooled


def first_token_attention(
    tokens: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None], heads: int
) -> Tensor:
    """Self-attention of the first token alone, before its output projection: (B, L, D) to (B, D).

    No key or value is ever made. A query times the keys' weights meets the tokens themselves, and
    the values' weights meet the mixture of tokens: a few products a picture in place of two a
    token. The keys' bias adds the same to all scores, which softmax does not see.

    Args:
        tokens: all of them.
        weights, biases: of q, k and v; weights (D, D), biases (D,) or None.
        heads: how many.
    """
    (to_query, to_key, to_value), (query_bias, _, value_bias) = weights, biases
    q = functional.linear(tokens[:, 0], to_query, query_bias)
    by_head = q.reshape(len(q), heads, -1).transpose(0, 1)  # (heads, B, D / heads)
    reach = torch.bmm(by_head, _split(to_key, heads))  # (heads, B, D)
    plain = tokens.float()
    with torch.autocast(tokens.device.type, enabled=False):  # scores are as in fused attention
        scores = torch.bmm(reach.transpose(0, 1).float(), plain.mT)
        shares = (scores * (q.shape[-1] // heads) ** -0.5).softmax(dim=-1)
        mixed = torch.bmm(shares, plain)  # (B, heads, D)
    values = torch.bmm(mixed.transpose(0, 1).to(tokens.dtype), _split(to_value, heads).mT)
    found = values.transpose(0, 1).flatten(1)
    return found if value_bias is None else found + value_bias


def _split(weight: Tensor, heads: int) -> Tensor:
    """(D, D) to (heads, D / heads, D)."""
    return weight.reshape(heads, -1, weight.shape[1])


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
        weights, biases = _thirds(attention.qkv.weight, attention.qkv.bias)
        if all(isinstance(norm, nn.Identity) for norm in (attention.q_norm, attention.k_norm)):
            mixed = first_token_attention(x, weights, biases, heads)[:, None]
        else:
            parts = (
                functional.linear(tokens, weight, bias)
                for tokens, weight, bias in zip((x[:, :1], x, x), weights, biases, strict=True)
            )
            q, k, v = (_by_head(part, heads) for part in parts)
            q, k = attention.q_norm(q), attention.k_norm(k)
            mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        out: Tensor = attention.proj(getattr(attention, "norm", nn.Identity())(mixed))
        return out


def _by_head(x: Tensor, heads: int) -> Tensor:
    """(B, L, D) to (B, heads, L, D / heads)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def _thirds(
    weight: Tensor, bias: Tensor | None
) -> tuple[Sequence[Tensor], Sequence[Tensor | None]]:
    """Weights and biases of q, k and v."""
    return weight.chunk(3), (None,) * 3 if bias is None else bias.chunk(3)


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
