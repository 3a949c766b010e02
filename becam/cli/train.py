"""``becam train``: a dataset with features to a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from becam.cli.options import DatasetArgument, DeviceOption, OverwriteOption, SeedOption


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
    model: Annotated[str, typer.Option("--model", help="The recommender: bm3.")] = "bm3",
    adapter: Annotated[
        str,
        typer.Option(
            "--adapter",
            help="befa lets behaviour reshape the content features; none leaves them as projected.",
        ),
    ] = "befa",
    befa_variant: Annotated[
        str,
        typer.Option(
            "--befa-variant",
            help="equations: the paper's Eq. 8-10; released: what the authors' code does.",
        ),
    ] = "equations",
    befa_ratio: Annotated[
        str,
        typer.Option(
            "--befa-ratio",
            help="Hidden width over embedding width, 1/8 to 8; more is more capacity.",
        ),
    ] = "4",
    befa_dropout: Annotated[
        float, typer.Option("--befa-dropout", help="BeFA's dropout probability.")
    ] = 0.1,
    features: Annotated[
        str | None,
        typer.Option("--features", metavar="NAME", help="The feature set; default: the only one."),
    ] = None,
    features_mode: Annotated[
        str,
        typer.Option(
            "--features-mode",
            help="frozen keeps what the encoder said, so a new picture passes through what was "
            "trained; trainable learns the features too, as MMRec does, at a much larger cost.",
        ),
    ] = "frozen",
    lr: Annotated[float, typer.Option("--lr", help="Adam's learning rate.")] = 1e-3,
    layers: Annotated[int, typer.Option("--layers", help="Graph layers; BM3: 1 or 2.")] = 1,
    dropout: Annotated[
        float, typer.Option("--dropout", help="Dropout of BM3's targets; usual: 0.3 or 0.5.")
    ] = 0.3,
    reg_weight: Annotated[
        float,
        typer.Option("--reg-weight", help="Weight of the embeddings' norms; usual: 0.1 or 0.01."),
    ] = 0.1,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Interactions a step.")
    ] = 2048,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Most epochs.")] = 1000,
    patience: Annotated[
        int,
        typer.Option(
            "--patience",
            min=1,
            help="Epochs without a better validation Recall@20 that end training.",
        ),
    ] = 10,
    warmup: Annotated[
        int,
        typer.Option(
            "--warmup",
            min=0,
            help="First epochs on which patience does not count: BM3 can rest at the popularity "
            "baseline for dozens of epochs before it learns.",
        ),
    ] = 50,
    mask_validation: Annotated[
        bool,
        typer.Option(
            "--mask-validation",
            help="Leave validation interactions out of the ranking at test, as RecBole does.",
        ),
    ] = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    threads: Annotated[
        int,
        typer.Option(
            "--threads",
            min=1,
            help="CPU threads. On small data one is fastest: the steps are so short that a second "
            "thread mostly waits.",
        ),
    ] = 1,
    overwrite: OverwriteOption = False,
) -> None:
    """Train a recommender; validation picks the epoch and the test is scored once, at the end.

    Ctrl-C ends training early and keeps the best epoch so far.

    Example: becam train DATASET --adapter befa -o run
    """
    from fractions import Fraction

    from becam.checkpoint import CHECKPOINT_NAME
    from becam.data.dataset import Dataset
    from becam.errors import BecamError
    from becam.training import train as train_recommender

    try:
        ratio = float(Fraction(befa_ratio))
    except (ValueError, ZeroDivisionError):
        raise BecamError(
            f"--befa-ratio is a number such as 4 or 1/2, not {befa_ratio!r}."
        ) from None
    checkpoint = train_recommender(
        Dataset.open(dataset),
        model=model,
        adapter=adapter,
        befa_variant=befa_variant,
        befa_ratio=ratio,
        befa_dropout=befa_dropout,
        features=features,
        features_mode=features_mode,  # type: ignore[arg-type]  # checked by name, with a sentence
        lr=lr,
        layers=layers,
        dropout=dropout,
        reg_weight=reg_weight,
        batch_size=batch_size,
        epochs=epochs,
        patience=patience,
        warmup=warmup,
        mask_validation=mask_validation,
        seed=seed,
        device=device,
        threads=threads,
        output=output,
        overwrite=overwrite,
    )
    metrics, training = checkpoint.metrics, checkpoint.training
    if training["stopped"] == "interrupted":
        typer.echo(f"Stopped in epoch {training['epochs']}; the best one so far is kept.")
    for split in ("validation", "test"):
        numbers = ", ".join(f"{name} {metrics[split][name]:.4f}" for name in _SHOWN)
        typer.echo(f"{split} at epoch {metrics['epoch']}: {numbers}")
    path = output / CHECKPOINT_NAME
    typer.echo(f"Wrote {path}; next: becam explain --image PICTURE --item-id ID --ckpt {path}")


_SHOWN = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
