"""Dataset to checkpoint: the whole of ``becam train``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from becam.checkpoint import Checkpoint, Modality, installed_version
from becam.devices import kept_heap, limited_threads, resolve_device
from becam.limits import SECONDS, SEED
from becam.memory import memory_errors
from becam.recommenders import (
    FeaturesMode,
    Recommender,
    TrainingData,
    create_recommender,
    recommender_class,
)
from becam.training.folder import RunFolder
from becam.training.loop import Epoch, Fitted, Schedule, check_interactions, fit, rank_model, seeded
from becam.training.neighbours import cached_neighbours
from becam.training.ranking import UserMetrics, popularity_metrics
from becam.training.report import reporting
from becam.training.scoring import baselines, feature_hashes, load_features, split_for_test

if TYPE_CHECKING:
    from becam.data.dataset import Dataset, FeatureSet


_SMALLER = "train with a smaller --batch-size, or on a machine or a device with more"


def train(
    dataset: Dataset,
    *,
    model: str = "bm3",
    model_options: Mapping[str, Any] | None = None,
    adapter: str = "befa",
    adapter_options: Mapping[str, Any] | None = None,
    features: str | None = None,
    modalities: Sequence[str] | None = None,
    features_mode: FeaturesMode = "frozen",
    lr: float | None = None,
    batch_size: int = 2048,
    epochs: int = 1000,
    patience: int = 10,
    warmup: int | None = None,
    mask_validation: bool = False,
    validate: bool = True,
    score_test: bool = True,
    seed: int = 0,
    device: str = "auto",
    threads: int = 1,
    output: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    save_every: float = 30.0,
    quiet: bool = False,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Checkpoint:
    """Train a recommender on a dataset; the epoch is chosen on validation, the test scored once.

    Args:
        dataset: A prepared dataset with features.
        model: Registered name of the recommender.
        model_options: The recommender's own options; see ``becam models``.
        adapter: Registered name of the adapter, on every modality.
        adapter_options: The adapter's own options; see ``becam models``.
        features: Name of the feature set; the only one when None.
        modalities: Which of its modalities to use; all when None.
        features_mode: ``frozen`` or ``trainable`` content features.
        lr: Adam's learning rate; the recommender's own default when None.
        batch_size: Interactions a step.
        epochs: Most passes over the training interactions.
        patience: Epochs without a better validation Recall@20 that end training.
        warmup: First epochs on which patience does not count; the recommender's own default when
            None.
        mask_validation: Leave validation interactions out of the ranking at test.
        validate: Choose the epoch on validation; else train ``epochs`` and keep the last.
        score_test: Score the test split at the end; a search does not.
        seed: Seed of initial weights, batches, negatives and dropout.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU threads while it trains.
        output: Folder for ``befa.pt``, ``config.json``, ``metrics.json``, ``metrics.jsonl``,
            ``users.npz`` and ``tensorboard/``; nothing is written when None.
        overwrite: Replace an earlier run in ``output``.
        resume: Go on with a run in ``output`` that was killed, to the weights and metrics of one
            never stopped; a finished one is read.
        save_every: Seconds between saves of what ``resume`` goes on from.
        quiet: Nothing on the terminal.
        on_epoch: Called after every epoch; what it raises ends the training.

    Returns:
        The checkpoint, with validation and test metrics of the selected epoch.

    Raises:
        BecamError: An unknown name, a value out of range, a dataset without features, an output
            that exists, a run with other options to resume, or a diverging loss.
    """
    SEED.check(seed, "--seed")
    SECONDS.check(save_every, "--save-every")
    recipe = recommender_class(model).recipe
    schedule = Schedule(
        lr=recipe.lr if lr is None else lr,
        batch_size=batch_size,
        epochs=epochs,
        patience=patience,
        warmup=recipe.warmup if warmup is None else warmup,
    )
    training = dataset.interactions("train")
    validation = dataset.interactions("validation") if validate else None
    check_interactions(training, validation)
    with ExitStack() as stack:
        folder = None
        if output is not None:
            folder = stack.enter_context(
                RunFolder.opened(Path(output), save_every, overwrite=overwrite, resume=resume)
            )
        target = resolve_device(device)
        feature_set = dataset.feature_set(features)
        contents = load_features(feature_set, modalities)
        with memory_errors(_SMALLER), seeded(seed), limited_threads(threads), kept_heap():
            recommender = create_recommender(
                model,
                TrainingData(dataset.n_users, dataset.n_items, training, contents),
                options=model_options,
                adapter=adapter,
                adapter_options=adapter_options,
                features_mode=features_mode,
                find_neighbours=cached_neighbours(dataset.path),
            ).to(target)
            options = {
                "model": model,
                "model_options": recommender.options(),
                "adapter": adapter,
                "adapter_options": recommender.adapter(recommender.modalities[0]).config(),
                "features": feature_set.name,
                "modalities": list(recommender.modalities),
                "features_mode": features_mode,
                **vars(schedule),
                "mask_validation": mask_validation,
                # Runs of before know no such option: only the exception is recorded.
                **({} if validate else {"validate": False}),
                "score_test": score_test,
                "seed": seed,
                "device": target.type,
                "threads": threads,
            }
            if folder is not None:
                identity = {"dataset": dataset.fingerprint, "options": options}
                if resume and folder.finished(identity):
                    return Checkpoint.load(folder.path)
                folder.begin(identity, resume=resume)
            state = None if folder is None else folder.state_file.load()
            popular = {}
            if validation is not None:
                positives = (validation, training)
                popular = popularity_metrics(training, dataset.n_items, *positives).mean()
            with reporting(
                None if folder is None else folder.path,
                popularity=popular,
                after=0 if state is None else len(state["seconds"]),
                quiet=quiet,
            ) as report:

                def after_epoch(epoch: Epoch) -> None:
                    report(epoch)
                    if on_epoch is not None:
                        on_epoch(epoch)

                fitted = fit(
                    recommender,
                    training,
                    validation,
                    schedule,
                    on_epoch=after_epoch,
                    state=state,
                    state_file=None if folder is None else folder.state_file,
                )
        checkpoint, tested = _checkpoint(dataset, feature_set, recommender, fitted, options)
        if folder is not None:
            compared = baselines(dataset, mask_validation=mask_validation) if score_test else {}
            times = {"seconds": fitted.seconds, "epoch_seconds": fitted.epoch_seconds}
            folder.close(checkpoint, tested, compared, times)
    return checkpoint


def _checkpoint(
    dataset: Dataset,
    feature_set: FeatureSet,
    recommender: Recommender,
    fitted: Fitted,
    options: dict[str, Any],
) -> tuple[Checkpoint, UserMetrics | None]:
    # The metrics come from the CPU, as those of `evaluate` do, so that both agree to the digit.
    recommender.cpu()
    train, validation = dataset.interactions("train"), dataset.interactions("validation")
    tested = None
    if options["score_test"]:
        tested = rank_model(
            recommender, *split_for_test(dataset, mask_validation=options["mask_validation"])
        )
    state = {name: value.detach() for name, value in recommender.state_dict().items()}
    checkpoint = Checkpoint(
        item_ids=list(dataset.item_ids),
        user_ids=list(dataset.user_ids),
        item_embeddings=state["item_embedding"],
        user_embeddings=state["user_embedding"],
        modalities={
            name: _modality(recommender, name, dict(feature_set.encoders[name]))
            for name in recommender.modalities
        },
        recommender={
            "name": recommender.name,
            "config": {
                "options": options["model_options"],
                "adapter": options["adapter"],
                "adapter_options": options["adapter_options"],
                "features_mode": options["features_mode"],
            },
        },
        state=state,
        metrics={
            "epoch": fitted.best_epoch,
            "validation": rank_model(recommender, validation, train).mean(),
            "test": {} if tested is None else tested.mean(),
        },
        dataset={"name": dataset.manifest.name, "fingerprint": dataset.fingerprint},
        training={
            "options": options,
            "seed": options["seed"],
            "mask_validation": options["mask_validation"],
            "features": {
                "name": feature_set.name,
                "sha256": feature_hashes(feature_set, recommender.modalities),
            },
            "parameters": sum(p.numel() for p in recommender.parameters()),
            "epochs": fitted.epochs,
            "stopped": fitted.stopped,
            "version": installed_version(),
        },
    )
    return checkpoint, tested


def _modality(recommender: Recommender, name: str, encoder: dict[str, Any]) -> Modality:
    projection = recommender.projection(name)
    return Modality.of(projection.weight, projection.bias, recommender.adapter(name), encoder)
