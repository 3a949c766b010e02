"""``becam features``: pictures and texts of a dataset to feature matrices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from becam.cli.options import (
    BatchSizeOption,
    DatasetArgument,
    DeviceOption,
    EncoderOption,
    OverwriteOption,
    SeedOption,
)
from becam.terminal import say


def features(
    dataset: DatasetArgument,
    encoder: EncoderOption = "becam:vit",
    weights: Annotated[
        Path | None,
        typer.Option("--weights", help="A local weights file, in place of the family's hub."),
    ] = None,
    text_encoder: Annotated[
        str | None,
        typer.Option(
            "--text-encoder",
            metavar="SPEC",
            help="own (the encoder's text tower), tfidf (TF-IDF and SVD over the items' texts, no "
            "download), sentence-transformers:NAME, or none. Default: own where the encoder has a "
            "text tower, else tfidf.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Name of the feature set; default: after the encoder."),
    ] = None,
    batch_size: BatchSizeOption = 64,
    device: DeviceOption = "auto",
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            help="The encoder's arithmetic: auto (bfloat16 where the machine has it), float32, "
            "bfloat16.",
        ),
    ] = "auto",
    seed: SeedOption = 0,
    icc: Annotated[
        str | None,
        typer.Option(
            "--icc",
            metavar="WAY",
            help="Embedded colour profiles: convert (pictures to sRGB, as people see them) or "
            "ignore (as most pipelines for CLIP do). Default: as the feature set was begun, else "
            "convert.",
        ),
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Encode every item's picture and text.

    Stop it at any moment: the same command again goes on where it was. Pictures that cannot be
    read are listed at the end, and hold up no others.

    Example: becam features DATASET --encoder timm:resnet50 --weights resnet50.safetensors
    """
    from becam.data.dataset import Dataset
    from becam.encoders.extraction import extract_features

    feature_set = extract_features(
        Dataset.open(dataset),
        encoder,
        weights=weights,
        text_encoder=text_encoder,
        name=name,
        batch_size=batch_size,
        device=device,
        precision=precision,
        seed=seed,
        icc=icc,  # type: ignore[arg-type]  # checked by name, with a sentence
        overwrite=overwrite,
    )
    for modality in feature_set.modalities:
        rows, dim = feature_set.load(modality).shape
        say(f"{modality}: {rows:,} x {dim}")
    if encoder.startswith("becam:"):
        say(
            f"Note: {encoder} knows the demo's drawings alone; for photographs choose open_clip or "
            "timm."
        )
    say(f"Feature set {feature_set.name} is ready: becam train {dataset} -o RUN")
