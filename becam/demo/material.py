"""What the notebooks work on: a drawn catalogue, and stores of recommenders trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from becam.data.catalogue.build import build_catalogue
from becam.data.dataset import Dataset
from becam.data.preparation import prepare_dataset
from becam.encoders.extraction import extract_features
from becam.errors import BecamError
from becam.experiments.grid import Experiment, Source, make_row
from becam.experiments.runner import run_experiment
from becam.experiments.store import Store
from becam.experiments.sweep import lambda_experiment

MODELS = ("bm3", "lattice", "freedom", "mgcn")
ADAPTERS = ("none", "befa", "lora", "soft-prompt")
SEEDS = 2

_K_CORE = 5
_ENCODER = "becam:vit"
_TRAINING = {"epochs": 300}


class Material(NamedTuple):
    """A dataset folder, and a store of runs on it."""

    dataset: Path
    store: Path


def demo_material(
    folder: str | Path, *, n_items: int = 600, n_users: int = 1500, jobs: int = 1
) -> Material:
    """Draw a catalogue, and train every recommender with every adapter on it.

    What the folder holds already is kept, and a call that was stopped goes on where it was.

    Args:
        folder: gets ``catalogue``, ``shop`` (the dataset) and ``store``.
        n_items, n_users: size of the catalogue.
        jobs: trainings at a time, each in a process of its own.

    Raises:
        BecamError: the disk refuses, or a training failed.
    """
    shop = _demo_shop(Path(folder), n_items, n_users)
    source = Source.open(shop)
    rows = tuple(
        make_row(source, model=model, adapter=adapter, training=_TRAINING)
        for model in MODELS
        for adapter in ADAPTERS
    )
    return _trained(Experiment(rows, tuple(range(SEEDS))), Path(folder) / "store", shop, jobs)


def demo_sweep(
    folder: str | Path,
    *,
    model: str = "bm3",
    n_items: int = 600,
    n_users: int = 1500,
    jobs: int = 1,
) -> Material:
    """The same catalogue, and one recommender with BeFA at every ratio, into ``sweep``.

    Args:
        folder, n_items, n_users, jobs: as of :func:`demo_material`.
        model: registered name of the recommender.

    Raises:
        BecamError: the disk refuses, or a training failed.
    """
    shop = _demo_shop(Path(folder), n_items, n_users)
    experiment = lambda_experiment(
        Source.open(shop), model=model, seeds=range(SEEDS), training=_TRAINING
    )
    return _trained(experiment, Path(folder) / "sweep", shop, jobs)


def _demo_shop(folder: Path, n_items: int, n_users: int) -> Path:
    catalogue, shop = folder / "catalogue", folder / "shop"
    if not catalogue.exists():
        build_catalogue(catalogue, n_items=n_items, n_users=n_users)
    if not shop.exists():
        prepare_dataset("csv", catalogue, shop, k_core=_K_CORE)
    dataset = Dataset.open(shop)
    if not dataset.feature_sets():
        extract_features(dataset, _ENCODER)
    return shop


def _trained(experiment: Experiment, path: Path, shop: Path, jobs: int) -> Material:
    store = Store(path, create=True)
    outcome = run_experiment(experiment, store, jobs=jobs)
    for title, sentence in outcome.failures.items():
        raise BecamError(f"{title} failed: {sentence}")
    return Material(shop, path)
