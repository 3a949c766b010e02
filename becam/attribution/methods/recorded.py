"""Attention written out, with what it computed at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from open_clip.transformer import ResidualAttentionBlock
from timm.models.vision_transformer import Attention, Block
from torch import Tensor, nn

from becam.attribution.methods.gradients import Trace, autograd
from becam.attribution.view import View
from becam.encoders.base import Encoder, TargetLayer
from becam.encoders.fast.attention import FusedAttention
from becam.encoders.fast.copying import structural_copy
from becam.errors import BecamError

_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Attended:
    """What one block's attention computed of one picture of L tokens.

    Attributes:
        query, key, value: (L, D), the heads side by side.
        probabilities: (heads, L, L), rows sum to one.
        mixed: what the heads made of the values, side by side, before the output projection, (1, L,
            D).
    """

    query: Tensor
    key: Tensor
    value: Tensor
    probabilities: Tensor
    mixed: Tensor


@dataclass(frozen=True)
class Recording:
    """A vision transformer's forward pass of one picture, whose feature is its class token's.

    Attributes:
        features: (1, d_m).
        blocks: in their order.
        layer: where the patches are among the tokens.
    """

    features: Tensor
    blocks: list[Attended]
    layer: TargetLayer

    def probabilities(self) -> Trace:
        """The way from all blocks' attention probabilities to the feature."""
        return Trace(self.features, [block.probabilities for block in self.blocks])

    def mixed(self) -> Trace:
        """The way from the last block's attention to the feature."""
        return Trace(self.features, [self.blocks[-1].mixed])

    def patches(self, tokens: Tensor) -> Tensor:
        """The map (h, w), on the CPU, of a value for each token, (L,)."""
        return self.layer.to_channels(tokens[None, :, None])[0, 0].detach().cpu()


class RecordedAttention(nn.Module):
    """Self-attention without fused kernels, over the weights of another module.

    Args:
        heads: how many.
        in_proj: tokens (B, L, D) to queries, keys and values, (B, L, 3 D).
        out_proj: what the heads give, side by side, to tokens.
        q_norm, k_norm: of each head's queries and keys.
        norm: before ``out_proj``.

    Attributes:
        attended: what the last forward pass computed.
    """

    attended: Attended

    def __init__(
        self,
        heads: int,
        in_proj: nn.Module,
        out_proj: nn.Module,
        q_norm: nn.Module | None = None,
        k_norm: nn.Module | None = None,
        norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj = in_proj
        self.out_proj = out_proj
        self.q_norm = q_norm or nn.Identity()
        self.k_norm = k_norm or nn.Identity()
        self.norm = norm or nn.Identity()

    def forward(self, tokens: Tensor, *_others: object, **_options: object) -> Tensor:
        """Self-attention of one picture's tokens, (1, L, D) to (1, L, D)."""
        q, k, v = (self._by_head(part) for part in self.in_proj(tokens).chunk(3, dim=-1))
        q, k = self.q_norm(q), self.k_norm(k)
        probabilities = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        if not probabilities.requires_grad:
            # The weights are frozen: the first block is where autograd's record begins.
            probabilities.requires_grad_()
        mixed = _side_by_side(probabilities @ v)
        query, key, value = (_side_by_side(part)[0].detach() for part in (q, k, v))
        self.attended = Attended(query, key, value, probabilities, mixed)
        out: Tensor = self.out_proj(self.norm(mixed))
        return out

    def _by_head(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class RecordedMultihead(RecordedAttention):
    """The same in the place of an ``nn.MultiheadAttention``, which gives a pair."""

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """(1, L, D) to a pair of that and nothing."""
        return super().forward(*inputs, **options), None


def recording(view: View) -> Recording:
    """The picture's forward pass through a copy of the encoder that records attention.

    Raises:
        BecamError: the encoder is no vision transformer, or its feature is not its class token's.
    """
    return view.kept("recording", lambda: _record(view))


def _record(view: View) -> Recording:
    encoder = view.engine.encoder
    last = encoder.first_token_block()
    if last is None:
        raise _unsuitable(encoder)
    twin = structural_copy(encoder).eval()
    blocks: Any = twin.vision.get_submodule(last.path.rpartition(".")[0])
    for block in blocks:
        block.attn = _recorded(block)
        if block.attn is None:
            raise _unsuitable(encoder)
    with autograd():
        features = twin.encode_image(view.pixels.clone()[None])
    # A block may do more with its attention than is known here.
    error = (features.detach().float().cpu()[0] - view.whole).abs().max()
    if not error <= _TOLERANCE * view.whole.abs().max():
        raise _unsuitable(encoder)
    return Recording(
        features, [block.attn.attended for block in blocks], encoder.default_target_layer()
    )


def _recorded(block: Any) -> RecordedAttention | None:
    attention = block.attn
    if type(block) is ResidualAttentionBlock and FusedAttention.fits(attention):
        fused = FusedAttention(attention)
        return RecordedMultihead(fused.heads, fused.in_proj, fused.out_proj)
    plain = type(attention) is Attention and getattr(attention, "gate", None) is None
    if type(block) is Block and plain:
        return RecordedAttention(
            attention.num_heads,
            attention.qkv,
            attention.proj,
            attention.q_norm,
            attention.k_norm,
            getattr(attention, "norm", None),
        )
    return None


def _unsuitable(encoder: Encoder) -> BecamError:
    return BecamError(
        f"This method reads how a vision transformer's class token attends to the patches, and "
        f"{encoder.record.describe()} has no such token; use --method grad-cam."
    )


def _side_by_side(x: Tensor) -> Tensor:
    """(B, heads, L, D / heads) to (B, L, D)."""
    return x.transpose(1, 2).flatten(2)
