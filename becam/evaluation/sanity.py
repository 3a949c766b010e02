"""Whether a map changes when what it should depend on is taken away (Adebayo et al. 2018).

A map is compared with those of the same method after the adapter, the projection and more and more
of the encoder have been randomised, for other items, and for a blank picture. Likeness near 1
means that the map does not depend on what was changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from becam.attribution.methods.base import Method
from becam.attribution.target import Target
from becam.attribution.view import Engine, View
from becam.checkpoint import Head
from becam.evaluation.cascade import cascade, shuffled_head
from becam.evaluation.likeness import likeness

STAGES = 3
OTHERS = 5
"""For how many other items a map is made, where the method can afford it."""


@dataclass(frozen=True)
class RandomisedView:
    """One picture through encoders that have forgotten more and more.

    Attributes:
        name: of the stage, such as ``encoder_1of3``.
        view: of the picture.
    """

    name: str
    view: View


def randomised_engines(engine: Engine, *, stages: int = STAGES, seed: int = 0) -> list[Engine]:
    """Engines of the encoder's cascade; each serves any number of pictures.

    Args:
        engine: stays as it is.
        stages: how many.
        seed: of the shuffle.
    """
    twins = cascade(engine.encoder, stages=stages, seed=seed)
    return [replace(engine, encoder=twin) for twin in twins]


def randomised_views(engines: Sequence[Engine], view: View) -> list[RandomisedView]:
    """The same picture through each stage, shared by all methods and targets."""
    return [
        RandomisedView(
            f"encoder_{number}of{len(engines)}", View(engine, view.pixels, view.geometry)
        )
        for number, engine in enumerate(engines, start=1)
    ]


def blank_view(view: View) -> View:
    """A picture in which there is nothing, as large as that of ``view``."""
    return View(view.engine, view.faded.contiguous(), view.geometry)


def sanity(
    method: Method,
    view: View,
    target: Target,
    saliency: Tensor,
    *,
    randomised: Sequence[RandomisedView],
    blank: View,
    seed: int = 0,
) -> dict[str, float]:
    """Likeness of a map with those that should differ: ``spearman_STAGE`` and ``ssim_STAGE``.

    Stages, each with all before it randomised: ``adapter`` (where there is one), ``projection``
    (where there is one) and the encoder's; and apart from them ``others`` (the mean over other
    items, where there are some) and ``blank``.

    Args:
        method: what made ``saliency`` of ``view`` and ``target``.
        view: the picture.
        target: what it is compared with.
        saliency: the raw map.
        randomised: the picture through the stages of the encoder.
        blank: a blank picture through the encoder.
        seed: of the shuffle of projection and adapter.
    """
    forgetful = target
    maps: dict[str, list[Tensor]] = {}
    for part, head in _heads(target, seed).items():
        forgetful = replace(target, head=head)
        maps[part] = [method.saliency(view, forgetful.on(view)).map]
    for stage in randomised:
        maps[stage.name] = [method.saliency(stage.view, forgetful.on(stage.view)).map]
    others = target.of_others(min(OTHERS, method.others))
    maps["others"] = [method.saliency(view, other.on(view)).map for other in others]
    maps["blank"] = [method.saliency(blank, target.on(blank)).map]
    found = {}
    for stage_name, compared in maps.items():
        pairs = [likeness(saliency, each, view.size) for each in compared]
        for kind in ("spearman", "ssim") if pairs else ():
            values = [pair[kind] for pair in pairs if not np.isnan(pair[kind])]
            found[f"{kind}_{stage_name}"] = float(np.mean(values)) if values else float("nan")
    return found


def _heads(target: Target, seed: int) -> dict[str, Head]:
    """The target's head with its adapter, and then its projection too, shuffled."""
    if target.head is None:
        return {}
    adapts = target.gate is not None and target.space != "content"
    if not adapts or next(target.head.adapter.parameters(), None) is None:
        return {"projection": shuffled_head(target.head, {"projection"}, seed=seed)}
    return {
        "adapter": shuffled_head(target.head, {"adapter"}, seed=seed),
        "projection": shuffled_head(target.head, {"adapter", "projection"}, seed=seed),
    }
