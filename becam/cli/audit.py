"""``becam audit``: heatmaps of many pictures to numbers, beside the floors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from becam.cli.options import (
    CheckpointEncoderOption,
    CheckpointWeightsOption,
    DeviceOption,
    MaskBatchSizeOption,
    MaskingOption,
    NoAdapterOption,
    OverwriteOption,
    PrecisionOption,
    SeedOption,
    SpaceOption,
    TargetLayerOption,
)

if TYPE_CHECKING:
    from rich.table import Table

    from becam.attribution.methods import Method
    from becam.data.dataset import Dataset
    from becam.evaluation.aims import Aiming
    from becam.evaluation.auditor import Truth
    from becam.evaluation.report import Table as ReportTable
    from becam.evaluation.subjects import Subject


def audit(
    ckpt: Annotated[
        list[Path], typer.Argument(metavar="CKPT...", help="Checkpoints made by becam train.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="The folder to write: measures.parquet (every value), table.md (means and "
            "tests), and the parts, from which the same command goes on after a kill.",
        ),
    ],
    dataset: Annotated[
        Path | None,
        typer.Option(
            "--dataset",
            metavar="DATASET",
            help="Audit the items of this dataset. Beside --images: where --target nearest finds "
            "the items' features.",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            metavar="FOLDER",
            help="Audit the pictures of this folder, which belong to no item; needs --target.",
        ),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            "--annotations",
            metavar="FILE|FOLDER",
            help="What is where: a COCO .json, a folder of PNG label maps with label_names.csv, or "
            "of VOC .xml. Pictures without an annotation are left out.",
        ),
    ] = None,
    object_: Annotated[
        str,
        typer.Option(
            "--object",
            metavar="CLASSES",
            help="Classes that are the product, separated by commas. Pictures that show none of "
            "them are left out.",
        ),
    ] = "",
    distractor: Annotated[
        str,
        typer.Option(
            "--distractor", metavar="CLASSES", help="Classes that are not, such as skin,hair."
        ),
    ] = "",
    items: Annotated[
        int,
        typer.Option(
            "--items", min=1, help="How many pictures; more of them later go on where these end."
        ),
    ] = 100,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            help="For --images: text (the picture's class names as a prompt; encoders with a text "
            "tower) or nearest (the item whose own picture feature, projected, is nearest to the "
            "picture's; the features come from the checkpoint if it trained them, else from "
            "--dataset).",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            metavar="NAME",
            help="The feature set for --target nearest; default: one of the checkpoint's encoder.",
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME[,OPTION=VALUE...]",
            help="A method to audit, such as becam or becam,weighting=centered; give it again for "
            "one more row. The floors (random, gaussian, activation) are always rows.",
        ),
    ] = None,
    measures: Annotated[
        str,
        typer.Option(
            "--measures",
            metavar="GROUPS",
            help="Any of faithfulness, localisation (needs --annotations and --object) and sanity "
            "(makes each map several times again), separated by commas.",
        ),
    ] = "faithfulness",
    no_adapter: NoAdapterOption = False,
    space: SpaceOption = "adapted",
    masking: MaskingOption = "mean",
    steps: Annotated[
        int, typer.Option("--steps", min=1, help="Steps of deletion and insertion.")
    ] = 32,
    stages: Annotated[
        int,
        typer.Option("--stages", min=1, help="Stages in which the encoder is randomised (sanity)."),
    ] = 3,
    target_layer: TargetLayerOption = None,
    encoder: CheckpointEncoderOption = None,
    weights: CheckpointWeightsOption = None,
    batch_size: MaskBatchSizeOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "float32",
    overwrite: OverwriteOption = False,
) -> None:
    """Measure how far heatmaps can be trusted, over many pictures and beside the floors.

    Faithfulness: deletion and insertion, average drop, increase and gain, ROAD; each by the
    similarity that is explained and by the item's rank among all items. Localisation: energy,
    pointing game, IoU, average precision, MaxBoxAccV2, drift, omission. Sanity: likeness with maps
    of randomised models, other items and a blank picture. Means have 95% bootstrap intervals, and
    every method is tested against every floor. Stop it at any moment; the same command goes on.

    Example: becam audit run/befa.pt --dataset shop --items 200 --method becam -o audit
    """
    from rich.console import Console

    from becam.attribution import Explainer
    from becam.data.dataset import Dataset
    from becam.errors import BecamError
    from becam.evaluation.aims import ClassNames
    from becam.evaluation.audit import TABLE, VALUES
    from becam.evaluation.audit import audit as run_audit
    from becam.evaluation.auditor import Plan
    from becam.evaluation.faithfulness import Protocol
    from becam.evaluation.measures import known_groups
    from becam.evaluation.report import LEGEND
    from becam.evaluation.subjects import item_subjects, photo_subjects, showing, shuffled

    if dataset is None and images is None:
        raise BecamError("Say which pictures to audit with --dataset or --images.")
    methods = _methods(method or ["becam"])
    plan = Plan(
        methods,
        known_groups(_split(measures)),
        _truth(annotations, object_, distractor),
        Protocol(steps),
        stages,
        seed,
    )
    opened = None if dataset is None else Dataset.open(dataset)
    aiming = _aiming(target, images, opened, features, plan.truth)
    explainer = Explainer(
        ckpt,
        no_adapter=no_adapter,
        encoder=encoder,
        weights=weights or (),
        target_layer=target_layer,
        masking=masking,  # type: ignore[arg-type]  # checked by name, with a sentence
        space=space,  # type: ignore[arg-type]
        batch_size=batch_size,
        device=device,
        precision=precision,
    )
    columns = explainer.columns
    if isinstance(aiming, ClassNames) and len({c.engine for c in columns}) < len(columns):
        raise BecamError(
            "With --target text no recommender takes part, so a second checkpoint of the same "
            "encoder says the same; give one of each encoder, without --no-adapter."
        )
    subjects: list[Subject]
    if images is not None:
        subjects = photo_subjects(images)
    else:
        assert opened is not None
        subjects = item_subjects(opened, [column.checkpoint for column in columns])
    subjects = shuffled(subjects, seed=seed)
    report = run_audit(
        explainer,
        aiming,
        plan,
        showing(subjects, plan.truth.annotations, plan.truth.objects, items),
        output,
        identity={
            "checkpoints": [_checkpoint_hash(path) for path in ckpt],
            "dataset": None if opened is None else opened.fingerprint,
            "images": None if images is None else str(images.resolve()),
            "annotations": None if annotations is None else str(annotations.resolve()),
            "object": sorted(plan.truth.objects),
            "distractor": sorted(plan.truth.distractors),
            "target": target,
            "features": features,
            "methods": {name: [m.name, m.options()] for name, m in methods.items()},
            "measures": plan.groups,
            "no_adapter": no_adapter,
            "space": space,
            "masking": masking,
            "steps": steps,
            "stages": stages,
            "target_layer": target_layer,
            "encoder": encoder,
            "precision": precision,
            "seed": seed,
        },
        overwrite=overwrite,
    )
    console = Console()
    for found in report.tables():
        for table in _tables(found, console.width):
            console.print(table)
    typer.echo(LEGEND)
    typer.echo(f"Wrote {output / VALUES} and {output / TABLE}.")


def _methods(specs: list[str]) -> dict[str, Method]:
    from becam.attribution.methods import parse_method
    from becam.errors import BecamError
    from becam.evaluation.floors import FLOOR_METHODS

    for spec in specs:
        if spec in FLOOR_METHODS:
            raise BecamError(f"{spec} is a floor, which every audit has; leave it out of --method.")
    return {spec: parse_method(spec) for spec in specs}


def _truth(annotations: Path | None, objects: str, distractors: str) -> Truth:
    from becam.errors import BecamError
    from becam.evaluation.annotations import read_annotations
    from becam.evaluation.auditor import Truth

    if annotations is None:
        if objects or distractors:
            raise BecamError("--object and --distractor name classes of --annotations; give them.")
        return Truth()
    read = read_annotations(annotations)
    truth = Truth(read, read.known(_split(objects)), read.known(_split(distractors)))
    if both := truth.objects & truth.distractors:
        raise BecamError(f"{', '.join(sorted(both))} cannot be object and distractor at once.")
    return truth


def _aiming(
    target: str | None,
    images: Path | None,
    dataset: Dataset | None,
    features: str | None,
    truth: Truth,
) -> Aiming:
    from becam.errors import BecamError
    from becam.evaluation.aims import AIMS, ClassNames, NearestItem, OwnItem

    aim = target or ("item" if images is None else None)
    if aim is None:
        raise BecamError(
            "The pictures of --images belong to no item; say with --target text or --target "
            "nearest what to compare them with."
        )
    if aim not in AIMS:
        raise BecamError(f"There is no --target {aim}; choose from {', '.join(AIMS)}.")
    if aim == "item":
        if images is not None:
            raise BecamError("The pictures of --images belong to no item; use --target nearest.")
        return OwnItem()
    if aim == "nearest":
        return NearestItem(dataset, features)
    if truth.annotations is None:
        raise BecamError("--target text names what a picture shows; give --annotations.")
    return ClassNames(truth.objects, truth.distractors)


def _tables(found: ReportTable, width: int) -> Iterator[Table]:
    """As many methods side by side as a terminal is wide, intervals below their means."""
    from rich.table import Table

    rows = [found.header, *found.lines]
    first, *others = (
        max(len(part) for row in rows for part in row[place].split(" [", 1))
        for place in range(len(found.header))
    )
    fit = max(1, (width - first - 4) // (max(others) + 3))
    for start in range(1, len(found.header), fit):
        chosen = slice(start, start + fit)
        table = Table(found.header[0], *found.header[chosen], title=found.title)
        for line in found.lines:
            table.add_row(line[0], *(cell.replace(" [", "\n[", 1) for cell in line[chosen]))
        yield table


def _checkpoint_hash(path: Path) -> str:
    from becam.checkpoint import CHECKPOINT_NAME
    from becam.files import sha256

    return sha256(path / CHECKPOINT_NAME if path.is_dir() else path)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
