"""Checkpoints over images and texts, with the dataset of their features, for deviations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch
from adapter_contract import perturbed
from planted import planted_dataset
from zoo import make_checkpoint

from becam.adapters import create_adapter
from becam.checkpoint import Checkpoint, Modality
from becam.data.dataset import Dataset
from becam.encoders.spec import EncoderRecord

WIDTH, DIM, ITEMS = 12, 16, 40


def deviating(path: Path, adapter: str = "none") -> tuple[Checkpoint, Dataset]:
    """A dataset, and a checkpoint of both its modalities with weights as after some training."""
    dataset = planted_dataset(path, n_items=ITEMS, width=WIDTH)
    return checkpoint_of(dataset, adapter), dataset


def checkpoint_of(dataset: Dataset, adapter: str = "none", *, ids=None, trained=None):
    """A checkpoint with random weights whose features are those of a dataset, by their hashes."""
    ids = dataset.item_ids if ids is None else ids
    encoder = SimpleNamespace(dim=WIDTH, record=EncoderRecord("test"))
    drawn = make_checkpoint(encoder, n_items=len(ids), dim=DIM)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        modalities = {}
        for name in ("image", "text"):
            made = perturbed(create_adapter(adapter, DIM)).eval()
            weight, bias = torch.randn(DIM, WIDTH) / 3, torch.randn(DIM) / 5
            modalities[name] = Modality.of(weight, bias, made, EncoderRecord("test").to_dict())
    records = dataset.feature_set("plain").records
    hashes = {name: records[name]["sha256"] for name in modalities}
    return replace(
        drawn,
        item_ids=list(ids),
        modalities=modalities,
        training={"features": {"name": "plain", "sha256": hashes}},
        state={} if trained is None else {f"features.{m}.rows": trained for m in modalities},
    )
