"""Whether a map names what the score rests on: pixels taken away, or left alone, by saliency.

All functions take a score of pictures; where it gives several scores at once, (n, k), so do they.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from becam.attribution.heatmap import stretch
from becam.attribution.masking import mask_picture
from becam.errors import BecamError
from becam.evaluation.imputation import NOISE, impute
from becam.evaluation.scores import PictureScore
from becam.limits import STEPS as STEPS_LIMITS

STEPS = 32
PERCENTILES = (10, 20, 30, 40, 50, 60, 70, 80, 90)


@dataclass(frozen=True)
class Protocol:
    """How finely maps are judged.

    Attributes:
        steps: of deletion and insertion; each takes away or adds the same number of pixels.
        percentiles: of the pixels that ROAD removes.

    Raises:
        BecamError: no step, or percentiles outside of 1 to 99.
    """

    steps: int = STEPS
    percentiles: Sequence[int] = PERCENTILES

    def __post_init__(self) -> None:
        STEPS_LIMITS.check(self.steps, "--steps")
        if not self.percentiles or not all(0 < p < 100 for p in self.percentiles):
            raise BecamError("ROAD needs percentiles between 1 and 99.")


def faithfulness(
    score: PictureScore,
    pixels: Tensor,
    saliency: Tensor,
    *,
    faded: Tensor,
    blurred: Tensor,
    least: Tensor,
    most: Tensor,
    protocol: Protocol | None = None,
    seed: int = 0,
) -> dict[str, Tensor]:
    """All measures of one map, each (k,), or a scalar where the score gives one.

    Args:
        score: of pictures (n, 3, H, W).
        pixels: the picture, normalised, (3, H, W).
        saliency: the map as its method gives it, signed, on any grid (h, w).
        faded: what deleted pixels become, (3, H, W): the mean colour, zeros once normalised.
        blurred: what insertion starts from, (3, H, W).
        least, most: bounds of the scores, (k,).
        protocol: how finely.
        seed: of ROAD's noise.

    Returns:
        ``deletion`` and ``insertion`` (areas under the curves), ``drop``, ``increase`` and
        ``gain``, ``road_morf`` and ``road_lerf``, and ``road``, half of their difference.
    """
    protocol = protocol or Protocol()
    size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
    order = ranking(upsampled(saliency, size))
    kept = mask_picture(pixels, shown(saliency, size)[None].to(pixels), faded)
    whole, masked = score(torch.cat([pixels[None], kept]))
    morf, lerf = road(score, pixels, order, protocol.percentiles, seed=seed)
    return {
        "deletion": area(curve(score, pixels, faded, order, protocol.steps)),
        "insertion": area(curve(score, blurred, pixels, order, protocol.steps)),
        "drop": drop(whole, masked, least),
        "increase": (masked > whole).float(),
        "gain": gain(whole, masked, most),
        "road_morf": morf,
        "road_lerf": lerf,
        "road": (lerf - morf) / 2,
    }


def upsampled(saliency: Tensor, size: tuple[int, int]) -> Tensor:
    """A map (h, w) on the encoder's input (H, W), bilinear."""
    if saliency.shape == size:
        return saliency.float()
    return functional.interpolate(
        saliency[None, None].float(), size=size, mode="bilinear", align_corners=False
    )[0, 0]


def shown(saliency: Tensor, size: tuple[int, int]) -> Tensor:
    """The map as a mask on the encoder's input: ReLU, min-max to [0, 1], bilinear; (H, W)."""
    positive = stretch(saliency.detach().clamp(min=0).float().cpu().numpy())
    return upsampled(torch.from_numpy(positive), size)


def ranking(saliency: Tensor) -> Tensor:
    """Pixels of a map (H, W) by saliency, the most salient first, ties by index: (H * W,)."""
    return saliency.flatten().sort(descending=True, stable=True).indices


def curve(score: PictureScore, start: Tensor, end: Tensor, order: Tensor, steps: int) -> Tensor:
    """Scores (steps + 1, ...) as ``start`` becomes ``end``, pixel by pixel in ``order``.

    Deletion: from the picture to the faded one. Insertion: from the blurred one to the picture
    (Petsiuk et al. 2018, RISE).

    Args:
        score: of pictures.
        start, end: pictures (3, H, W).
        order: pixels (H * W,), the first to change first.
        steps: of equal size; step k has changed k / steps of the pixels.
    """
    counts = (torch.arange(steps + 1) * len(order) / steps).round().long()
    return score(torch.where(_first(order, counts, start), end, start))


def area(scores: Tensor) -> Tensor:
    """Area under a curve (steps + 1, ...) over [0, 1], by trapezoids."""
    return torch.trapezoid(scores, dim=0) / (len(scores) - 1)


def drop(whole: Tensor, masked: Tensor, least: Tensor | float = 0.0) -> Tensor:
    """The part of the score that is lost when only the map's region is shown.

    max(0, y - o) / (y - least) for the whole picture's score y and the masked one's o
    (Chattopadhay et al. 2018, there with probabilities, so ``least`` 0). Bounded scores keep it
    in [0, 1] and always defined: a score that is at its least has nothing to lose.
    """
    lost = (whole - masked).clamp(min=0)
    return lost / torch.where(lost > 0, whole - least, 1.0)


def gain(whole: Tensor, masked: Tensor, most: Tensor | float = 1.0) -> Tensor:
    """The part of the room above the score that is won when only the map's region is shown.

    max(0, o - y) / (most - y), the counterpart of :func:`drop` (Zhang et al. 2024, Opti-CAM).
    """
    won = (masked - whole).clamp(min=0)
    return won / torch.where(won > 0, most - whole, 1.0)


def road(
    score: PictureScore,
    pixels: Tensor,
    order: Tensor,
    percentiles: Sequence[int] = PERCENTILES,
    *,
    noise: float = NOISE,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Mean scores with the most, and with the least, relevant pixels imputed (Rong et al. 2022).

    A faithful map makes the first low (MoRF) and the second high (LeRF).

    Args:
        score: of pictures.
        pixels: the picture, (3, H, W).
        order: pixels (H * W,), the most relevant first.
        percentiles: of the pixels that are removed.
        noise: of the imputation, its standard deviation.
        seed: of the noise, the same for every map of a picture.
    """
    counts = (torch.tensor(percentiles) * len(order) / 100).round().long()
    means = []
    for ordered in (order, order.flip(0)):
        rng = np.random.default_rng(seed)
        removed = _first(ordered, counts, pixels)[:, 0].cpu().numpy()
        pictures = torch.stack([impute(pixels, mask, rng, noise=noise) for mask in removed])
        means.append(score(pictures).mean(dim=0))
    return means[0], means[1]


def _first(order: Tensor, counts: Tensor, like: Tensor) -> Tensor:
    """Masks (n, 1, H, W) of the first ``counts`` (n,) pixels in ``order``."""
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device)
    masks = place < counts.to(order.device)[:, None]
    return masks.view(-1, 1, *like.shape[-2:]).to(like.device)
