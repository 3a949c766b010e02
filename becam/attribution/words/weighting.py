"""The cheap half of weighing words: features and a target to weights and their controls."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from becam.attribution.controls import angle, mean_correlation
from becam.attribution.target import OTHERS, Target
from becam.attribution.weighting import cosine
from becam.attribution.words.controls import WordControls
from becam.attribution.words.features import WordFeatures

Contribution = Literal["both", "alone", "left-out"]
CONTRIBUTIONS: tuple[Contribution, ...] = ("both", "alone", "left-out")


def contributions(features: WordFeatures, target: Target, contribution: Contribution) -> Tensor:
    """Weights (r,) of the words that the encoder reads; signed.

    Args:
        features: of the text.
        target: what it is compared with.
        contribution: ``alone``: s(word) - s(none); ``left-out``: s(all) - s(all without it);
            ``both``: their mean. These are the first and the last term of a Shapley value.
    """
    target = _on(target, features)
    blank, whole = target.similarity(torch.stack([features.blank, features.whole]))
    first = target.similarity(features.alone) - blank
    last = whole - target.similarity(features.without)
    terms: dict[Contribution, Tensor] = {
        "alone": first,
        "left-out": last,
        "both": (first + last) / 2,
    }
    return terms[contribution]


def measure_words(
    features: WordFeatures, target: Target, weights: Tensor, contribution: Contribution
) -> WordControls:
    """Hold the weights (r,) of the words read against those for other targets."""
    assert target.head is not None, "words are held against what behaviour says"
    assert target.anchor is not None
    ends = torch.stack([features.blank, features.whole])
    blank, whole = _on(target, features).similarity(ends)
    empty, content = target.content(ends)
    _, projected = target.head.project(ends)
    others = [contributions(features, o, contribution) for o in target.of_others(OTHERS)]
    size = weights.abs()
    return WordControls(
        words=len(features.text.words),
        read=features.read,
        weight_mean=float(weights.mean()),
        weight_std=float(weights.std(correction=0)),
        weight_max=float(size.max()),
        strongest_share=float(size.max() / size.sum()) if size.any() else 0.0,
        correlation_others=mean_correlation(weights, others),
        positive_share=float((weights > 0).float().mean()),
        similarity_whole=float(whole),
        similarity_blank=float(blank),
        theta=angle(content, target.anchor),
        theta_projected=angle(projected, target.anchor),
        theta_blank=angle(empty, target.anchor),
        stored_cosine=(
            None if target.stored is None else float(cosine(features.whole, target.stored))
        ),
    )


def _on(target: Target, features: WordFeatures) -> Target:
    return replace(target, ends=(features.blank, features.whole))
