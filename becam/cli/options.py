"""Options that several commands share: one name, one meaning, one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from becam.options import DeclaredOption

DatasetArgument = Annotated[
    Path, typer.Argument(help="A dataset folder made by becam prepare.", metavar="DATASET")
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="auto (CUDA where there is one), cpu or cuda.")
]
BatchSizeOption = Annotated[
    int, typer.Option("--batch-size", min=1, help="Pictures per forward pass of the encoder.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of all that is random.")]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace an output that is already there.")
]
EncoderOption = Annotated[
    str,
    typer.Option(
        "--encoder",
        metavar="SPEC",
        help="becam:vit or becam:resnet (embedded, small), open_clip:NAME:TAG, "
        "open_clip:CONFIG.json, timm:NAME[,KEY=VALUE...] or imagebind:huge.",
    ),
]
FeaturesOption = Annotated[
    str | None,
    typer.Option("--features", metavar="NAME", help="The feature set; default: the only one."),
]
ModalityOption = Annotated[
    list[str] | None,
    typer.Option(
        "--modality", help="Use this modality of the set; repeat for several. Default: all."
    ),
]
AdapterOptionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--adapter-option",
        metavar="NAME=VALUE",
        help="An option of the adapter, such as ratio=1/2; becam models lists them.",
    ),
]


def described(option: DeclaredOption) -> str:
    """An option's help with its choices."""
    return f"{option.help} One of {', '.join(option.choices)}." if option.choices else option.help
