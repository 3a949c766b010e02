"""``becam audit``: heatmaps of many pictures to numbers, beside the floors."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from becam.cli.options import (
    CheckpointEncoderOption,
    CheckpointsArgument,
    CheckpointWeightsOption,
    DeviceOption,
    JobsOption,
    MaskBatchSizeOption,
    MaskingOption,
    NoAdapterOption,
    OverwriteOption,
    PrecisionOption,
    SeedOption,
    SpaceOption,
    TargetLayerOption,
    number,
)
from becam.cli.sharing import ShardOption, begin_share, same_command
from becam.limits import ITEMS, STAGES, STEPS
from becam.terminal import console, say

if TYPE_CHECKING:
    from rich.table import Table

    from becam.evaluation.audit import Audit
    from becam.evaluation.report import Report
    from becam.evaluation.report import Table as ReportTable
    from becam.evaluation.shards import Shard


def audit(
    ckpt: CheckpointsArgument,
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
        number(
            ITEMS, "--items", help="How many pictures; more of them later go on where these end."
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
            help="A method to audit, such as becam or becam,weighting=cosine; give it again for "
            "one more row. The floors (random, gaussian, activation, picture) are always rows.",
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
    steps: Annotated[int, number(STEPS, "--steps", help="Steps of deletion and insertion.")] = 32,
    stages: Annotated[
        int,
        number(STAGES, "--stages", help="Stages in which the encoder is randomised (sanity)."),
    ] = 3,
    target_layer: TargetLayerOption = None,
    encoder: CheckpointEncoderOption = None,
    weights: CheckpointWeightsOption = None,
    batch_size: MaskBatchSizeOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "float32",
    jobs: JobsOption = 1,
    shard: ShardOption = None,
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
    from becam.evaluation.parallel import measure_in_processes
    from becam.evaluation.request import Request
    from becam.files import check_output_folder

    share = begin_share(jobs, device, shard, overwrite)
    check_output_folder(output)
    request = Request(
        checkpoints=ckpt,
        dataset=dataset,
        images=images,
        annotations=annotations,
        objects=_split(object_),
        distractors=_split(distractor),
        items=items,
        target=target,
        features=features,
        methods=method or ["becam"],
        measures=_split(measures),
        no_adapter=no_adapter,
        space=space,
        masking=masking,
        steps=steps,
        stages=stages,
        target_layer=target_layer,
        encoder=encoder,
        weights=weights or (),
        batch_size=batch_size,
        seed=seed,
        device=device,
        precision=precision,
    )
    begun = request.audit(output, overwrite=overwrite)
    with begun.working():
        if begun.missing(share):
            if jobs == 1:
                begun.measure(request.auditor(), share)
            else:
                measure_in_processes(begun, same_command(sys.argv[1:]), jobs=jobs, shard=share)
        if shard is None:
            _show(begun.sum_up(), output)
        else:
            _say_shard(begun, share, output)


def _say_shard(begun: Audit, share: Shard, output: Path) -> None:
    total, missing = len(begun.subjects), len(begun.missing())
    when = "Once all are there" if missing else "Now"
    say(
        f"Shard {share} is done; {output} holds {total - missing} of {total} pictures. {when} the "
        "same command without --shard writes the table."
    )


def _show(report: Report, output: Path) -> None:
    from becam.evaluation.audit import TABLE, VALUES
    from becam.evaluation.report import LEGEND

    terminal = console()
    for found in report.tables():
        for table in _tables(found, terminal.width):
            terminal.print(table)
    say(LEGEND)
    say(f"Wrote {output / VALUES} and {output / TABLE}.")


def _tables(found: ReportTable, width: int) -> Iterator[Table]:
    """As many measures side by side as a terminal is wide, intervals below their means."""
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


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
