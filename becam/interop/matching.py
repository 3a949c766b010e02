"""How well contents and vectors find each other, and adapters that learn to make them.

Everything here stands on one number, the weight of a heatmap (Eq. 2): content c agrees with target
j by cos(g(z_c, e_j), e_j), where the adapter g gets the TARGET's vector whatever the content.
BeFA's output is e_j times a gate, so that its cosine with e_j is high for any content; but among
the contents that are compared with one target e_j is the same, and only z tells them apart.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from becam.adapters import Adapter
from becam.progress import bar
from becam.training.stopping import EarlyStopping

Floats = NDArray[np.float64]

# Items a step, and steps between two looks at the validation items.
_BATCH, _ROUND = 32, 50

_PATIENCE, _MOST_ROUNDS = 5, 100
_LR = 1e-3

# CLIP's: where the logarithm of the inverse temperature starts, and the most that it may be.
_LOG_SCALE, _MAX_LOG_SCALE = float(np.log(1 / 0.07)), float(np.log(100))

# Rows that an adapter gets at once.
_ROWS = 1 << 15


def agreement(adapter: Adapter, z: Tensor, e: Tensor) -> Tensor:
    """Cosines cos(g(z_c, e_j), e_j) of every content with every target.

    Args:
        adapter: g.
        z: projected contents, (n, d).
        e: vectors of the targets, (m, d).

    Returns:
        (m, n): a row for each target.
    """
    contents = z.expand(len(e), *z.shape)
    targets = e[:, None].expand_as(contents)
    adapted = adapter(contents.reshape(-1, z.shape[1]), targets.reshape(-1, z.shape[1]))
    return cosine_similarity(adapted.view_as(contents), targets, dim=-1)


@torch.inference_mode()
def all_agreements(adapter: Adapter, z: Tensor, e: Tensor) -> Floats:
    """:func:`agreement` in blocks of targets, so that memory is bounded; (m, n)."""
    rows = max(1, _ROWS // len(z))
    scores = torch.cat([agreement(adapter, z, e[i : i + rows]) for i in range(0, len(e), rows)])
    return scores.double().numpy()


def rank_of_own(scores: Floats) -> Floats:
    """How many of the others each row's diagonal entry beats, ties by half; (n,) in 0..n-1."""
    own = np.diag(scores)[:, None]
    beaten = (scores < own).sum(axis=1) + 0.5 * ((scores == own).sum(axis=1) - 1)
    return np.asarray(beaten, dtype=np.float64)


def train_adapter(
    adapter: Adapter,
    learn: tuple[Tensor, Tensor],
    validate: tuple[Tensor, Tensor],
    progress: str | None = None,
) -> Adapter:
    """Teach an adapter to let contents and vectors find each other; as a checkpoint keeps it.

    CLIP's loss over :func:`agreement` within batches: for every target its own content among those
    of the batch, and for every content its own target. Early stopping on how many other contents
    an item's own one beats among the validation items.

    Args:
        adapter: freshly built.
        learn, validate: z and e of items, each (n, d). Take z from projections that have not seen
            these items, or the adapter will trust content more than that of new items deserves.
        progress: what a progress bar on stderr says; no bar when None.
    """
    z, e = learn
    log_scale = torch.nn.Parameter(torch.tensor(_LOG_SCALE))
    optimiser = torch.optim.Adam([*adapter.parameters(), log_scale], lr=_LR)
    own = torch.arange(min(_BATCH, len(z)))
    stopping = EarlyStopping(_PATIENCE)
    best: dict[str, Tensor] = {}
    with bar(
        desc=f"{progress}, {adapter.name}", total=_MOST_ROUNDS, disable=progress is None
    ) as rounds:
        for number in range(1, _MOST_ROUNDS + 1):
            adapter.train()
            adapter.start_epoch(number)
            for _ in range(_ROUND):
                rows = torch.randperm(len(z))[: len(own)]
                logits = agreement(adapter, z[rows], e[rows]) * log_scale.exp()
                loss = (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2
                penalty = adapter.penalty()
                loss = loss if penalty is None else loss + penalty
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                with torch.no_grad():
                    log_scale.clamp_(max=_MAX_LOG_SCALE)
            beaten = rank_of_own(all_agreements(adapter.eval(), *validate)).mean()
            if stopping.update(number, float(beaten)):
                best = {name: value.clone() for name, value in adapter.state_dict().items()}
            rounds.update()
            if stopping.exhausted(number):
                break
    adapter.load_state_dict(best)
    return adapter.finished().eval()
