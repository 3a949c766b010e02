"""A world small enough for loops over all of it, and recommenders in it."""

import numpy as np
import torch

from becam.recommenders import Batch, TrainingData, create_recommender

N_USERS, N_ITEMS, D = 9, 7, 16


def small_world(modalities=("image", "text"), seed=0):
    """Distinct pairs and features of few users and items."""
    rng = np.random.default_rng(seed)
    pairs = np.unique(rng.integers(0, [N_USERS, N_ITEMS], size=(40, 2)), axis=0)
    widths = {"image": 5, "text": 3, "audio": 4}
    features = {m: rng.normal(size=(N_ITEMS, widths[m])).astype(np.float32) for m in modalities}
    return pairs, features


def build(name, adapter, mode, modalities, adapter_options=None, **options):
    """A recommender of width D in that world, with the world's pairs and features."""
    torch.manual_seed(0)
    pairs, features = small_world(modalities)
    model = create_recommender(
        name,
        TrainingData(N_USERS, N_ITEMS, pairs, features),
        options=options,
        adapter=adapter,
        adapter_options=adapter_options,
        features_mode=mode,
        dim=D,
    )
    return model, pairs, features


def batch_of(model, pairs):
    """All pairs, each with the next item as its negative where the model wants one."""
    users, items = torch.from_numpy(pairs).unbind(1)
    return Batch(users, items, (items + 1) % N_ITEMS if model.pairwise else None)
