"""``becam prepare``: raw data to a dataset folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from becam.cli.options import (
    OverwriteOption,
    SeedOption,
    number,
)
from becam.limits import CORE
from becam.terminal import console, say

if TYPE_CHECKING:
    from becam.data.manifest import Manifest

_COLUMN = "csv: the column of {}; default: guessed among common names."


def prepare(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="hm (the Kaggle download of H&M), tmall (Tianchi's Rec-Tmall), microlens (a "
            "MicroLens download), mmrec (a dataset folder of the MMRec toolbox: its split and "
            "features are kept) or csv (any interactions file and items file).",
        ),
    ],
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="The folder of raw data; for csv the interactions file (CSV, TSV, parquet), or a "
            "folder with interactions.* and items.*.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DATASET", help="The dataset folder to make.")
    ],
    items: Annotated[
        Path | None,
        typer.Option("--items", help="csv: the items file, with ids, texts and picture paths."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            help="Folder of pictures. hm: in place of PATH/images; microlens: in place of the "
            "covers; tmall: needed, files ITEM_ID.jpg; csv: where picture paths start, or, without "
            "a column of them, files named after item ids; mmrec: the same, optional.",
        ),
    ] = None,
    action: Annotated[
        list[str] | None,
        typer.Option(
            "--action",
            help="tmall: what counts as an interaction: click, collect, cart or alipay (a "
            "purchase, the default). Repeat for several.",
        ),
    ] = None,
    user_column: Annotated[
        str | None, typer.Option("--user-column", help=_COLUMN.format("users"))
    ] = None,
    item_column: Annotated[
        str | None, typer.Option("--item-column", help=_COLUMN.format("items"))
    ] = None,
    timestamp_column: Annotated[
        str | None,
        typer.Option("--timestamp-column", help=_COLUMN.format("times (numbers or dates)")),
    ] = None,
    image_column: Annotated[
        str | None, typer.Option("--image-column", help=_COLUMN.format("picture paths"))
    ] = None,
    text_column: Annotated[
        list[str] | None,
        typer.Option("--text-column", help=_COLUMN.format("texts") + " Repeat to join several."),
    ] = None,
    category_column: Annotated[
        str | None, typer.Option("--category-column", help=_COLUMN.format("categories"))
    ] = None,
    k_core: Annotated[
        int | None,
        number(
            CORE,
            "--k-core",
            help="Fewest interactions of each user and each item that stay. Default: 10; 1 for "
            "mmrec, which is filtered already.",
        ),
    ] = None,
    user_core: Annotated[
        int | None, number(CORE, "--user-core", help="The users' own, in place of --k-core.")
    ] = None,
    item_core: Annotated[
        int | None, number(CORE, "--item-core", help="The items' own, in place of --k-core.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            help="random or time (each user's latest for test), 8:1:1 within each user. Default: "
            "the source's own split (mmrec), else random.",
        ),
    ] = None,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
) -> None:
    """Turn raw data into a dataset: check pictures, take the k-core, split 8:1:1.

    Original ids are kept, pictures stay where they are. The dataset is there whole or not at all.

    Example: becam prepare hm ~/h-and-m -o hm --k-core 5
    """
    from becam.data.preparation import prepare_dataset

    chosen = {
        "user": user_column,
        "item": item_column,
        "timestamp": timestamp_column,
        "image": image_column,
        "category": category_column,
    }
    columns = {role: [name] for role, name in chosen.items() if name}
    dataset = prepare_dataset(
        source,
        path,
        output,
        items=items,
        images=images,
        columns=columns | ({"text": text_column} if text_column else {}),
        actions=action or (),
        k_core=k_core,
        user_core=user_core,
        item_core=item_core,
        split=split,  # type: ignore[arg-type]  # checked by name, with a sentence
        seed=seed,
        overwrite=overwrite,
        say=lambda line: say(line, err=True),
    )
    _report(dataset.manifest)
    following = "train" if dataset.feature_sets() else "features"
    say(f"Wrote {output}; next: becam {following} {output}")


def _report(manifest: Manifest) -> None:
    from rich.table import Table

    terminal = console()
    counts, statistics = manifest.counts, manifest.statistics
    table = Table("Dataset")
    for heading in ("Users", "Items", "Interactions", "Density", "Per user", "Per item"):
        table.add_column(heading, justify="right")
    table.add_row(
        manifest.name,
        *(f"{counts[key]:,}" for key in ("users", "items", "interactions")),
        f"{statistics['density']:.3%}",
        f"{statistics['interactions_per_user']:.2f}",
        f"{statistics['interactions_per_item']:.2f}",
    )
    terminal.print(table)
    filters, scheme = manifest.filters, manifest.split
    table = Table("Split", scheme["scheme"] if scheme["seed"] is None else _seeded(scheme))
    for name in ("train", "validation", "test"):
        table.add_row(name, f"{counts[name]:,}")
    terminal.print(table)
    table = Table(f"Left out ({filters['user_core']}/{filters['item_core']}-core)", "")
    for reason, count in manifest.dropped.items():
        if count:
            table.add_row(reason, f"{count:,}")
    if table.row_count:
        terminal.print(table)
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in manifest.seconds.items())
    say(f"{sum(manifest.seconds.values()):.1f} s: {stages}")


def _seeded(scheme: dict[str, object]) -> str:
    return f"{scheme['scheme']}, seed {scheme['seed']}"
