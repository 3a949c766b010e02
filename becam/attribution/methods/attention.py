"""What a vision transformer's class token attends to."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from becam.attribution.methods.base import Method, Saliency
from becam.attribution.methods.recorded import recording
from becam.attribution.target import Target
from becam.attribution.view import View


class AttentionMethod(Method):
    """Made of the attention of an encoder whose feature is its class token's."""

    others: ClassVar[int] = 3

    def prepare(self, view: View) -> None:
        """Encode the picture with its attention recorded."""
        recording(view)


class AttentionRollout(AttentionMethod):
    """Attention followed through all blocks (Abnar and Zuidema, 2020), whatever the target.

    R = prod_l (A_l + I) / 2, later blocks to the left, A_l the mean of the attention probabilities
    over block l's heads; the map is the class token's row.
    """

    name: ClassVar[str] = "attention-rollout"
    title: ClassVar[str] = "Attention rollout"
    summary: ClassVar[str] = "Attention followed through all blocks, whatever the target."
    others: ClassVar[int] = 1

    def saliency(self, view: View, _target: Target) -> Saliency:
        """See ``Method.saliency``."""
        record = recording(view)
        flow = _identity(record.blocks[0].probabilities)
        for block in record.blocks:
            attention = block.probabilities.detach()[0].double().mean(0)
            flow = (attention @ flow + flow) / 2
        return Saliency(record.patches(flow[0]))


class AttentionGradient(AttentionMethod):
    """Relevance through attention and its gradient (Chefer et al., 2021), for self-attention.

    R = I, then R = R + mean_h(ReLU(dS/dA * A)) R block by block, A the attention probabilities of a
    block's heads and S the similarity; the map is the class token's row.
    """

    name: ClassVar[str] = "attention-gradient"
    title: ClassVar[str] = "Attention and gradient"
    summary: ClassVar[str] = "Attention times the similarity's gradient, through all blocks."

    def saliency(self, view: View, target: Target) -> Saliency:
        """See ``Method.saliency``."""
        record = recording(view)
        gradients = record.probabilities().gradients(target)
        relevance = _identity(record.blocks[0].probabilities)
        for block, gradient in zip(record.blocks, gradients, strict=True):
            agreeing = (gradient * block.probabilities.detach())[0].double().clamp(min=0).mean(0)
            relevance = relevance + agreeing @ relevance
        return Saliency(record.patches(relevance[0]))


class GradECLIP(AttentionMethod):
    """Values of the last block, by gradient and loosened attention (Zhao et al., 2024: Grad-ECLIP).

    M_i = lambda_i sum_c w_c v_ic for patch i: w the gradient of the similarity at what the class
    token's attention gives, before the output projection; v the patch's value; lambda the cosine
    between the class token's query and the patch's key, min-max over the patches, in place of the
    sparser attention. The encoder keeps its heads, where the authors' release merges those of the
    last block and projects queries and keys first.
    """

    name: ClassVar[str] = "grad-eclip"
    title: ClassVar[str] = "Grad-ECLIP"
    summary: ClassVar[str] = "Values of the last block, by gradient and loosened attention."

    def saliency(self, view: View, target: Target) -> Saliency:
        """See ``Method.saliency``."""
        record = recording(view)
        last = record.blocks[-1]
        (gradient,) = record.mixed().gradients(target)
        agreement = record.patches(last.value @ gradient[0, 0])
        alike = record.patches(functional.cosine_similarity(last.query[:1], last.key, dim=-1))
        span = (alike.max() - alike.min()).clamp(min=torch.finfo(alike.dtype).tiny)
        return Saliency(agreement * (alike - alike.min()) / span)


def _identity(probabilities: Tensor) -> Tensor:
    tokens = probabilities.shape[-1]
    return torch.eye(tokens, dtype=torch.float64, device=probabilities.device)
