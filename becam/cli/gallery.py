"""``becam gallery``: the heatmaps of many items, to look at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from becam.cli.options import (
    BudgetOption,
    CheckpointEncoderOption,
    CheckpointsArgument,
    CheckpointWeightsOption,
    DeviceOption,
    JobsOption,
    MaskBatchSizeOption,
    MaskingOption,
    NoAdapterOption,
    OmissionOption,
    OverwriteOption,
    PrecisionOption,
    RandomiseOption,
    SeedOption,
    SpaceOption,
    TargetLayerOption,
    ToleranceOption,
    number,
)
from becam.cli.sharing import ShardOption, begin_share, same_command
from becam.limits import PICTURE_SIDE
from becam.terminal import say

if TYPE_CHECKING:
    from becam.evaluation.selection import Selection
    from becam.evaluation.shards import Shard
    from becam.gallery.build import Gallery


def gallery(
    ckpt: CheckpointsArgument,
    dataset: Annotated[
        Path,
        typer.Option(
            "--dataset",
            metavar="DATASET",
            help="The dataset folder of the training: pictures, texts, categories, features.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="The folder to write: open index.html in it, no server needed; items.parquet has "
            "the numbers. The maps are kept in OUTPUT.parts as they are done, and the same command "
            "goes on from them, also with other --items.",
        ),
    ],
    items: Annotated[
        str,
        typer.Option(
            "--items",
            metavar="RULE[:N]|FILE",
            help="Which items: sample, top-drift, least-drift, top-omission, top-change, "
            "least-change, popular, rare (100 of them, or N), or all; or a file with an id a line, "
            "a table with a column id, or the worst.json of becam deviation. Angles are those of "
            "the first checkpoint.",
        ),
    ] = "sample",
    no_adapter: NoAdapterOption = False,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME[,OPTION=VALUE...]",
            help="An attribution method, such as becam,weighting=cosine; give it again for one "
            "more column a checkpoint. Default: becam.",
        ),
    ] = None,
    budget: BudgetOption = None,
    tolerance: ToleranceOption = None,
    words: Annotated[
        bool,
        typer.Option(
            "--words/--no-words", help="Colour the words of the texts, where they can be explained."
        ),
    ] = True,
    sheet: Annotated[
        list[Path] | None,
        typer.Option(
            "--sheet",
            metavar="FILE",
            help="Also a contact sheet, .pdf (A4 pages) or .png (a file a page); give it again for "
            "one more.",
        ),
    ] = None,
    fiftyone: Annotated[
        Path | None,
        typer.Option(
            "--fiftyone",
            metavar="FOLDER",
            help="Also a dataset on disk for FiftyOne, with a heatmap field a column.",
        ),
    ] = None,
    picture_folder: Annotated[
        list[Path] | None,
        typer.Option(
            "--picture-folder",
            metavar="FOLDER",
            help="Pictures from below this folder may be shown too; give it again for one more. "
            "Default: only those below the dataset's own folder of pictures.",
        ),
    ] = None,
    omission: OmissionOption = 60.0,
    picture_size: Annotated[
        int,
        number(
            PICTURE_SIDE,
            "--picture-size",
            metavar="PIXELS",
            help="Longer side of the pages' pictures.",
        ),
    ] = 320,
    space: SpaceOption = "adapted",
    masking: MaskingOption = "mean",
    target_layer: TargetLayerOption = None,
    encoder: CheckpointEncoderOption = None,
    weights: CheckpointWeightsOption = None,
    randomise: RandomiseOption = True,
    seed: SeedOption = 0,
    batch_size: MaskBatchSizeOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "float32",
    jobs: JobsOption = 1,
    shard: ShardOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Lay the heatmaps of many items out on pages: to sort, to filter, to compare, to doubt.

    A column a checkpoint (and method); each map with its controls, the item's angle to behaviour,
    its nearest items and its text with coloured words. Items are chosen by a rule that the page
    states. Stop it at any moment; the same command goes on. Items whose pictures cannot be read
    are left out, and counted.

    Example: becam gallery bm3/befa.pt bm3-befa/befa.pt --dataset shop --items top-drift:20 -o worst
    """
    from becam.evaluation.parallel import measure_in_processes
    from becam.gallery.build import Gallery, check_outputs
    from becam.gallery.request import Request

    share = begin_share(jobs, device, shard, overwrite)
    check_outputs(
        output,
        sheets=sheet or (),
        fiftyone=fiftyone,
        overwrite=overwrite if shard is None else None,
    )
    request = Request(
        checkpoints=ckpt,
        dataset=dataset,
        items=items,
        no_adapter=no_adapter,
        methods=method or Request.methods,
        budget=budget,
        tolerance=tolerance,
        words=words,
        picture_folders=picture_folder or (),
        omission=omission,
        seed=seed,
        space=space,
        masking=masking,
        target_layer=target_layer,
        encoder=encoder,
        weights=weights or (),
        randomise=randomise,
        batch_size=batch_size,
        device=device,
        precision=precision,
    )
    begun = Gallery(
        request,
        output,
        picture_side=picture_size,
        sheets=sheet or (),
        fiftyone=fiftyone,
        overwrite=overwrite,
        only_maps=shard is not None,
    )
    with begun.working():
        if jobs == 1:
            begun.explain(share)
        elif begun.missing(share):
            command = same_command(sys.argv[1:])
            measure_in_processes(begun, command, jobs=jobs, shard=share, desc="Explaining")
        if shard is None:
            page = begun.write()
            _say(begun, request.selection, page, fiftyone)
        else:
            _say_shard(begun, share)


def _say(begun: Gallery, selection: Selection, page: Path, fiftyone: Path | None) -> None:
    shown = len(begun.subjects) - len(begun.left_out)
    say(f"{shown:,} items: {selection.rule}.")
    if selection.opposite is not None:
        say(f"The rule's other end: --items {selection.opposite}.")
    for path in begun.sheets:
        say(f"Wrote {path}.")
    if fiftyone is not None:
        say(
            f"Wrote {fiftyone}; in FiftyOne: fo.Dataset.from_dir(dataset_dir={str(fiftyone)!r}, "
            "dataset_type=fo.types.FiftyOneDataset)."
        )
    say(f"Wrote {page}; open it in a browser.")
    say(
        f"The maps are kept in {begun.parts}, for other --items or another --sheet; delete it when "
        "you are done."
    )


def _say_shard(begun: Gallery, share: Shard) -> None:
    total, missing = len(begun.subjects), len(begun.missing())
    say(
        f"Shard {share} is done; {begun.parts} holds the maps of {total - missing} of {total} "
        "items. The same command without --shard explains the others and writes the gallery."
    )
