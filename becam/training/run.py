"""Dataset to checkpoint: the whole of ``becam train``."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from becam.checkpoint import CHECKPOINT_NAME, Checkpoint, Modality
from becam.devices import limited_threads, resolve_device
from becam.errors import BecamError
from becam.files import atomic_file
from becam.recommenders import FeaturesMode, Recommender, create_recommender
from becam.training.loop import Fitted, fit, rank_model, seeded
from becam.training.ranking import popularity_metrics
from becam.training.report import METRICS_LOG, TENSORBOARD_FOLDER, reporting
from becam.training.scoring import baselines, feature_hashes, load_features, split_for_test

if TYPE_CHECKING:
    from becam.data.dataset import Dataset, FeatureSet

CONFIG_NAME = "config.json"
METRICS_NAME = "metrics.json"


def train(
    dataset: Dataset,
    *,
    model: str = "bm3",
    adapter: str = "befa",
    befa_variant: str = "equations",
    befa_ratio: float = 4.0,
    befa_dropout: float = 0.1,
    features: str | None = None,
    features_mode: FeaturesMode = "frozen",
    lr: float = 1e-3,
    layers: int = 1,
    dropout: float = 0.3,
    reg_weight: float = 0.1,
    batch_size: int = 2048,
    epochs: int = 1000,
    patience: int = 10,
    warmup: int = 50,
    mask_validation: bool = False,
    seed: int = 0,
    device: str = "auto",
    threads: int = 1,
    output: str | Path | None = None,
    overwrite: bool = False,
) -> Checkpoint:
    """Train a recommender on a dataset; the epoch is chosen on validation, the test scored once.

    Args:
        dataset: A prepared dataset with features.
        model: Registered name of the recommender.
        adapter: Registered name of the adapter, on every modality.
        befa_variant: BeFA's form, ``equations`` or ``released``.
        befa_ratio: BeFA's hidden width relative to the embedding width.
        befa_dropout: BeFA's dropout probability.
        features: Name of the feature set; the only one when None.
        features_mode: ``frozen`` or ``trainable`` content features.
        lr: Adam's learning rate.
        layers: Number of graph layers.
        dropout: The recommender's dropout probability.
        reg_weight: Weight of the recommender's regularisation.
        batch_size: Interactions a step.
        epochs: Most passes over the training interactions.
        patience: Epochs without a better validation Recall@20 that end training.
        warmup: First epochs on which patience does not count.
        mask_validation: Leave validation interactions out of the ranking at test.
        seed: Seed of initial weights, batches and dropout.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU threads while it trains.
        output: Folder for ``befa.pt``, ``config.json``, ``metrics.json``, ``metrics.jsonl`` and
            ``tensorboard/``; nothing is written when None.
        overwrite: Replace an earlier run in ``output``.

    Returns:
        The checkpoint, with validation and test metrics of the selected epoch.

    Raises:
        BecamError: An unknown name, a value out of range, a dataset without features, an output
            that exists, or a diverging loss.
    """
    options = {k: v for k, v in locals().items() if k not in ("dataset", "output", "overwrite")}
    _check(lr=lr, batch_size=batch_size, epochs=epochs, patience=patience, warmup=warmup)
    target = resolve_device(device)
    feature_set = dataset.feature_set(features)
    options["features"] = feature_set.name
    config: dict[str, Any] = {
        "adapter": adapter,
        "features_mode": features_mode,
        "layers": layers,
        "dropout": dropout,
        "reg_weight": reg_weight,
    }
    if adapter == "befa":
        config["adapter_config"] = {
            "variant": befa_variant,
            "ratio": befa_ratio,
            "dropout": befa_dropout,
        }
    training, validation = dataset.interactions("train"), dataset.interactions("validation")
    with seeded(seed), limited_threads(threads):
        recommender = create_recommender(
            model,
            dataset.n_users,
            dataset.n_items,
            training,
            load_features(feature_set),
            **config,
        ).to(target)
        run = None if output is None else _open_run(Path(output), overwrite=overwrite)
        _write(run, CONFIG_NAME, {"dataset": str(dataset.path), **options})
        popular = popularity_metrics(training, dataset.n_items, validation, training).mean()
        with reporting(run, popularity=popular) as on_epoch:
            fitted = fit(
                recommender,
                training,
                validation,
                lr=lr,
                batch_size=batch_size,
                epochs=epochs,
                patience=patience,
                warmup=warmup,
                on_epoch=on_epoch,
            )
    checkpoint = _checkpoint(dataset, feature_set, recommender, fitted, options, config)
    if run is not None:
        checkpoint.save(run / CHECKPOINT_NAME)
        compared = baselines(dataset, mask_validation=mask_validation)
        _write(run, METRICS_NAME, checkpoint.metrics | {"baselines": compared})
    return checkpoint


def _checkpoint(
    dataset: Dataset,
    feature_set: FeatureSet,
    recommender: Recommender,
    fitted: Fitted,
    options: dict[str, Any],
    config: dict[str, Any],
) -> Checkpoint:
    # The metrics come from the CPU, as those of `evaluate` do, so that both agree to the digit.
    recommender.cpu()
    train, validation = dataset.interactions("train"), dataset.interactions("validation")
    positives, masked = split_for_test(dataset, mask_validation=options["mask_validation"])
    state = {name: value.detach() for name, value in recommender.state_dict().items()}
    return Checkpoint(
        item_ids=list(dataset.item_ids),
        user_ids=list(dataset.user_ids),
        item_embeddings=state["item_embedding"],
        user_embeddings=state["user_embedding"],
        modalities={
            name: _modality(recommender, name, dict(feature_set.encoders[name]))
            for name in recommender.modalities
        },
        recommender={"name": recommender.name, "config": config},
        state=state,
        metrics={
            "epoch": fitted.best_epoch,
            "validation": rank_model(recommender, validation, train).mean(),
            "test": rank_model(recommender, positives, masked).mean(),
        },
        dataset={"name": dataset.manifest.name, "fingerprint": dataset.fingerprint},
        training={
            "options": options,
            "seed": options["seed"],
            "mask_validation": options["mask_validation"],
            "features": {"name": feature_set.name, "sha256": feature_hashes(feature_set)},
            "parameters": sum(p.numel() for p in recommender.parameters()),
            "epochs": fitted.epochs,
            "stopped": fitted.stopped,
            "version": _version(),
        },
    )


def _modality(recommender: Recommender, name: str, encoder: dict[str, Any]) -> Modality:
    projection, adapter = recommender.projection(name), recommender.adapter(name)
    return Modality(
        projection_weight=projection.weight.detach(),
        projection_bias=projection.bias.detach(),
        adapter={
            "name": adapter.name,
            "config": adapter.config(),
            "state": {key: value.detach() for key, value in adapter.state_dict().items()},
        },
        encoder=encoder,
    )


def _open_run(run: Path, *, overwrite: bool) -> Path:
    """The run's folder, made if need be and cleared of an earlier run's files alone."""
    if run.is_file():
        raise BecamError(f"{run} is a file; choose a folder as -o.")
    ours = [CHECKPOINT_NAME, CONFIG_NAME, METRICS_NAME, METRICS_LOG, TENSORBOARD_FOLDER]
    present = [run / name for name in ours if (run / name).exists()]
    if present and not overwrite:
        raise BecamError(f"{run} already holds a run; choose another -o or pass --overwrite.")
    try:
        for path in present:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BecamError(f"Cannot write {run}: {error.strerror}; choose another -o.") from error
    return run


def _write(run: Path | None, name: str, values: dict[str, Any]) -> None:
    if run is not None:
        with atomic_file(run / name) as temporary:
            temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _check(*, lr: float, batch_size: int, epochs: int, patience: int, warmup: int) -> None:
    if not 0 < lr < float("inf"):
        raise BecamError(f"The learning rate --lr must be above 0, not {lr}.")
    smallest = {"batch-size": (batch_size, 1), "epochs": (epochs, 1), "patience": (patience, 1)}
    for name, (value, least) in (smallest | {"warmup": (warmup, 0)}).items():
        if value < least:
            raise BecamError(f"--{name} must be {least} or more, not {value}.")


def _version() -> str:
    try:
        return version("becam")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "unknown"
