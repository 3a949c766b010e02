"""``becam train``: a dataset with features to a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from becam.cli.options import (
    AdapterOptionOption,
    DatasetArgument,
    DeviceOption,
    FeaturesOption,
    LearningRateOption,
    ModalityOption,
    OverwriteOption,
    PatienceOption,
    SeedOption,
    number,
)
from becam.limits import EPOCHS, INTERACTIONS, SECONDS, THREADS, WARMUP
from becam.terminal import say


def train(
    dataset: DatasetArgument,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="RUN",
            help="Folder for befa.pt, its configuration and metrics, and TensorBoard's events.",
        ),
    ],
    model: Annotated[
        str,
        typer.Option("--model", help="The recommender: bm3, lattice, freedom, mgcn, ..."),
    ] = "bm3",
    model_option: Annotated[
        list[str] | None,
        typer.Option(
            "--model-option",
            metavar="NAME=VALUE",
            help="An option of the recommender, such as layers=2; becam models lists them.",
        ),
    ] = None,
    adapter: Annotated[
        str,
        typer.Option(
            "--adapter",
            help="befa lets behaviour reshape the content features; none leaves them as projected; "
            "others: befa-learned, lora, soft-prompt.",
        ),
    ] = "befa",
    adapter_option: AdapterOptionOption = None,
    features: FeaturesOption = None,
    modality: ModalityOption = None,
    features_mode: Annotated[
        str,
        typer.Option(
            "--features-mode",
            help="frozen keeps what the encoder said, so a new picture passes through what was "
            "trained; trainable learns the features too, as MMRec does, at a much larger cost.",
        ),
    ] = "frozen",
    lr: LearningRateOption = None,
    batch_size: Annotated[
        int, number(INTERACTIONS, "--batch-size", help="Interactions a step.")
    ] = 2048,
    epochs: Annotated[int, number(EPOCHS, "--epochs", help="Most epochs.")] = 1000,
    patience: PatienceOption = 10,
    warmup: Annotated[
        int | None,
        number(
            WARMUP,
            "--warmup",
            help="First epochs on which patience does not count. Default: the recommender's own: "
            "BM3 can rest at the popularity baseline for dozens of epochs before it learns.",
        ),
    ] = None,
    mask_validation: Annotated[
        bool,
        typer.Option(
            "--mask-validation",
            help="Leave validation interactions out of the ranking at test, as RecBole does.",
        ),
    ] = False,
    no_validation: Annotated[
        bool,
        typer.Option(
            "--no-validation",
            help="Train all of --epochs and keep the last, for users with so few interactions that "
            "there is nothing to validate on.",
        ),
    ] = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    threads: Annotated[
        int,
        number(
            THREADS,
            "--threads",
            help="CPU threads. On small data one is fastest: the steps are so short that a second "
            "thread mostly waits.",
        ),
    ] = 1,
    overwrite: OverwriteOption = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with a run in RUN that was killed, to the very weights and metrics of one "
            "never stopped; start it if there is none.",
        ),
    ] = False,
    save_every: Annotated[
        float,
        number(
            SECONDS, "--save-every", help="Seconds between saves of what --resume goes on from."
        ),
    ] = 30.0,
) -> None:
    """Train a recommender; validation picks the epoch and the test is scored once, at the end.

    Ctrl-C ends training early and keeps the best epoch so far.

    Example: becam train DATASET --model mgcn --adapter befa --adapter-option ratio=2 -o run
    """
    from becam.checkpoint import CHECKPOINT_NAME
    from becam.data.dataset import Dataset
    from becam.options import parse_assignments
    from becam.training import train as train_recommender

    checkpoint = train_recommender(
        Dataset.open(dataset),
        model=model,
        model_options=parse_assignments(model_option or ()),
        adapter=adapter,
        adapter_options=parse_assignments(adapter_option or ()),
        features=features,
        modalities=modality or None,
        features_mode=features_mode,  # type: ignore[arg-type]  # checked by name, with a sentence
        lr=lr,
        batch_size=batch_size,
        epochs=epochs,
        patience=patience,
        warmup=warmup,
        mask_validation=mask_validation,
        validate=not no_validation,
        seed=seed,
        device=device,
        threads=threads,
        output=output,
        overwrite=overwrite,
        resume=resume,
        save_every=save_every,
    )
    metrics, training = checkpoint.metrics, checkpoint.training
    if training["stopped"] == "interrupted":
        say(
            f"Stopped after epoch {training['epochs']}; the best one so far is kept, and --resume "
            "goes on."
        )
    for split in ("validation", "test"):
        shown = [name for name in _SHOWN if name in metrics[split]]
        numbers = ", ".join(f"{name} {metrics[split][name]:.4f}" for name in shown)
        say(f"{split} at epoch {metrics['epoch']}: {numbers or 'no interactions to rank'}")
    path = output / CHECKPOINT_NAME
    say(f"Wrote {path}; next: becam explain --image PICTURE --item-id ID --ckpt {path}")


_SHOWN = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
