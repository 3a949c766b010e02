"""Options that several commands share: one name, one meaning, one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from becam.limits import (
    DEGREES,
    EPOCHS,
    JOBS,
    LEARNING_RATE,
    MASKS,
    PICTURES,
    SEED,
    TOLERANCE,
    Limits,
)
from becam.options import DeclaredOption


def number(limits: Limits, *names: str, **more: Any) -> Any:
    """A typer option, by its names, whose number lies within ``limits``; ``more`` is typer's.

    Not typer's own bounds: they let NaN pass, and the library's sentence is the same.
    """

    def check(parameter: typer.CallbackParam, value: Any) -> Any:
        if value is not None:
            limits.check(value, parameter.opts[0])
        return value

    return typer.Option(*names, callback=check, **more)


DatasetArgument = Annotated[
    Path, typer.Argument(help="A dataset folder made by becam prepare.", metavar="DATASET")
]
CheckpointsArgument = Annotated[
    list[Path], typer.Argument(metavar="CKPT...", help="Checkpoints made by becam train.")
]
ColumnsOption = Annotated[
    list[Path],
    typer.Option(
        "--ckpt", help="A checkpoint made by becam train; give it again for one more column."
    ),
]
UserIdOption = Annotated[
    str | None,
    typer.Option("--user-id", help="What speaks to this user, instead of to all of them."),
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="auto (CUDA where there is one), cpu or cuda.")
]
BatchSizeOption = Annotated[
    int, number(PICTURES, "--batch-size", help="Pictures per forward pass of the encoder.")
]
MaskBatchSizeOption = Annotated[
    int | None,
    number(
        PICTURES,
        "--batch-size",
        help="Masked pictures per forward pass of the encoder. Default: 16 on a CPU, 256 on a GPU.",
    ),
]
JobsOption = Annotated[
    int,
    number(
        JOBS,
        "--jobs",
        help="Trainings, or pictures, at a time, each in a process of its own.",
    ),
]
SeedOption = Annotated[int, number(SEED, "--seed", help="Seed of all that is random.")]
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
NoAdapterOption = Annotated[
    bool,
    typer.Option(
        "--no-adapter",
        help="Beside each checkpoint that has an adapter, take it with the adapter left out.",
    ),
]
MethodOption = Annotated[
    str,
    typer.Option(
        "--method",
        metavar="NAME[,OPTION=VALUE...]",
        help="Which attribution method, such as becam,weighting=cosine; becam methods lists them.",
    ),
]
BudgetOption = Annotated[
    int | None,
    number(
        MASKS,
        "--budget",
        metavar="MASKS",
        help="Fast: encode this many masks and infer the others (the option budget of becam).",
    ),
]
ToleranceOption = Annotated[
    float | None,
    number(
        TOLERANCE,
        "--tolerance",
        help="Fast: encode masks until the expected correlation with the map of all is within "
        "this of 1, such as 0.02 (the option tolerance of becam).",
    ),
]
LearningRateOption = Annotated[
    float | None,
    number(LEARNING_RATE, "--lr", help="Adam's learning rate; default: the recommender's own."),
]
PatienceOption = Annotated[
    int,
    number(
        EPOCHS,
        "--patience",
        help="Epochs without a better validation Recall@20 that end a training.",
    ),
]
RandomiseOption = Annotated[
    bool,
    typer.Option(
        "--randomise/--no-randomise",
        help="Hold each map against one from a shuffled encoder; doubles the time.",
    ),
]
OmissionOption = Annotated[
    float,
    number(
        DEGREES,
        "--omission",
        metavar="DEGREES",
        help="The angle beyond which content omits behaviour.",
    ),
]
SpaceOption = Annotated[
    str,
    typer.Option(
        "--space",
        help="adapted (the paper); content: compare before the adapter; change: what a region "
        "changes in the adapted feature, compared with what the whole picture does.",
    ),
]
MaskingOption = Annotated[
    str, typer.Option("--masking", help="What masked pixels fade to: mean colour, black or blur.")
]
TargetLayerOption = Annotated[
    str | None,
    typer.Option(
        "--target-layer",
        metavar="PATH",
        help="Module path inside the vision tower; default: what suits the architecture.",
    ),
]
CheckpointEncoderOption = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="SPEC",
        help="The encoder, where the checkpoint does not know it (features that came with the "
        "data).",
    ),
]
CheckpointWeightsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--weights",
        help="The encoder's weights file, when it is no longer where becam features found it.",
    ),
]
PrecisionOption = Annotated[
    str, typer.Option("--precision", help="The encoder's arithmetic: float32, bfloat16, auto.")
]


def with_options(method: str, **options: float | None) -> str:
    """A method as ``--method`` takes it, with options that have options of their own."""
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    return ",".join([method, *given])


def described(option: DeclaredOption) -> str:
    """An option's help with its choices."""
    return f"{option.help} One of {', '.join(option.choices)}." if option.choices else option.help
