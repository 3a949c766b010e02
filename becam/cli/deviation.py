"""``becam deviation``: how far every item's content is from behaviour, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from becam.cli.options import (
    CheckpointsArgument,
    OmissionOption,
    OverwriteOption,
    SeedOption,
    number,
)
from becam.limits import WORST
from becam.terminal import console, say

if TYPE_CHECKING:
    from rich.table import Table

    from becam.evaluation.deviation_summary import Summary

_SHOWN = 3


def deviation(
    ckpt: CheckpointsArgument,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="The folder to write: items.parquet (a row an item), categories.parquet and "
            "table.md (means and tests), histogram.png and .pdf, worst.json.",
        ),
    ],
    dataset: Annotated[
        Path | None,
        typer.Option(
            "--dataset",
            metavar="DATASET",
            help="The dataset folder of the training: categories, and the content features unless "
            "the checkpoint trained them.",
        ),
    ] = None,
    modality: Annotated[
        list[str] | None,
        typer.Option(
            "--modality",
            help="Measure this modality of the checkpoints; repeat for several. Default: all.",
        ),
    ] = None,
    omission: OmissionOption = 60.0,
    worst: Annotated[
        int,
        number(WORST, "--worst", help="How many of the farthest items worst.json lists."),
    ] = 20,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
) -> None:
    """Measure how far every item's content is from behaviour, before and after the adapter.

    For each item and modality: the angle theta between the item's ID embedding and its projected
    content (Eq. 4), the projection on it (Eq. 5) and 1 - cos (Eq. 6), whose mean is Delta (Eq. 7).
    Omission: theta over --omission degrees; drift: over 90. A small angle need not mean that the
    content agrees with behaviour: after BeFA any content has one. So each angle stands beside a
    control, the angle with another item's content, and a sentence says what it is worth.

    To look at the farthest items: becam gallery with --items top-drift:20, or with --items
    deviation/worst.json.

    Example: becam deviation bm3/befa.pt bm3-befa/befa.pt --dataset shop -o deviation
    """
    from becam.evaluation.deviation import deviations
    from becam.evaluation.deviation_report import CONTENTS, CONTROL, TABLE, legend, write_deviations
    from becam.figures.deviation import save_deviation_figure
    from becam.files import atomic_dir

    with atomic_dir(output, CONTENTS, overwrite=overwrite) as folder:
        found = deviations(
            ckpt,
            dataset=dataset,
            modalities=modality,
            omission=omission,
            seed=seed,
            progress=True,
        )
        summaries = write_deviations(found, folder, worst=worst)
        for suffix in ("png", "pdf"):
            save_deviation_figure(folder / f"histogram.{suffix}", summaries)
    terminal = console(highlight=False)
    for table in _tables(summaries):
        terminal.print(table)
    for each in summaries:
        say(each.title)
        for line in (*each.sentences(), *_farthest(each)):
            say(f"  {line}")
    say(legend(summaries))
    say(CONTROL)
    say(f"Wrote {output / TABLE}, and the items, the categories and the histograms beside.")
    if dataset is not None and any(each.modality == "image" for each in summaries):
        say(f"To look at the farthest items: {_gallery(ckpt, dataset, output, worst)}")


def _gallery(ckpt: Sequence[Path], dataset: Path, output: Path, count: int) -> str:
    import shlex

    rule = ["--items", f"top-drift:{count}", "-o", f"{output}-gallery"]
    return shlex.join(["becam", "gallery", *map(str, ckpt), "--dataset", str(dataset), *rule])


def _tables(summaries: Sequence[Summary]) -> Iterator[Table]:
    """One a checkpoint; rows are modalities before and after the adapter."""
    from rich.table import Table

    from becam.evaluation.deviation_report import angle, number, share
    from becam.evaluation.deviation_summary import PERMUTED, WHEN

    columns = {
        "theta": angle,
        PERMUTED: angle,
        "omission": share,
        "drift": share,
        "deviation": number,
    }
    for label in dict.fromkeys(each.label for each in summaries):
        table = Table("", "n", "θ", "control", "omission", "drift", "Δ", title=label)
        for each in summaries:
            row, plain = each.overall, each.adapter == "none"
            for when in WHEN[:1] if plain else WHEN:
                cells = [show(row[f"{name}_{when}"]) for name, show in columns.items()]
                name = each.modality if plain else f"{each.modality}, {when}"
                if each.label == label:
                    table.add_row(name, f"{row['n']:,}", *cells)
        yield table


def _farthest(summary: Summary) -> list[str]:
    lines = []
    for when, items in summary.farthest.items():
        named = ", ".join(f"{item['id']} ({item[f'theta_{when}']:.0f}°)" for item in items[:_SHOWN])
        if named and summary.adapter != "none":
            lines.append(f"Farthest {when} the adapter: {named}.")
        elif named and when == "before":
            lines.append(f"Farthest: {named}.")
    return lines
