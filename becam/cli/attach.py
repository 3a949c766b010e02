"""``becam attach``: the vectors of any recommender to a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from becam.cli.options import (
    AdapterOptionOption,
    DatasetArgument,
    FeaturesOption,
    ModalityOption,
    OverwriteOption,
    SeedOption,
    number,
)
from becam.limits import FOLDS, HELD_OUT
from becam.terminal import console, say

if TYPE_CHECKING:
    from rich.table import Table

    from becam.interop.report import Report


def attach(
    dataset: DatasetArgument,
    item_vectors: Annotated[
        Path,
        typer.Option(
            "--item-vectors", metavar="V.npy", help="The items' vectors: a float matrix, any width."
        ),
    ],
    ids: Annotated[
        Path,
        typer.Option(
            "--ids",
            metavar="IDS",
            help="The rows' item ids as in your data: text, one a line, or .npy.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="CKPT", help="The checkpoint to write."),
    ],
    user_vectors: Annotated[
        Path | None,
        typer.Option(
            "--user-vectors", metavar="U.npy", help="The users' vectors, for explain --user-id."
        ),
    ] = None,
    user_ids: Annotated[
        Path | None, typer.Option("--user-ids", metavar="IDS", help="Their ids, likewise.")
    ] = None,
    features: FeaturesOption = None,
    modality: ModalityOption = None,
    adapter: Annotated[
        str,
        typer.Option(
            "--adapter",
            help="none explains what the vectors hold of the content; befa or another is trained "
            "on top, and the report says whether it helps.",
        ),
    ] = "none",
    adapter_option: AdapterOptionOption = None,
    folds: Annotated[
        int, number(FOLDS, "--folds", help="Parts of the cross-validation that picks the penalty.")
    ] = 5,
    held_out: Annotated[
        float,
        number(
            HELD_OUT,
            "--held-out",
            help="Share of the items that the report is measured on (1,000 at most).",
        ),
    ] = 0.1,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
) -> None:
    """Make a checkpoint of the vectors of any recommender, to see heatmaps of the one you run.

    Learns how content maps into the vectors' space and reports, on items held out, whether it
    does: a heatmap is worth no more than that.

    Example: becam attach DATASET --item-vectors V.npy --ids ids.csv -o my.pt
    """
    from becam.checkpoint import check_checkpoint_output
    from becam.data.dataset import Dataset
    from becam.errors import BecamError
    from becam.interop.attach import attach as attach_vectors
    from becam.interop.vectors import read_ids, read_vectors
    from becam.options import parse_assignments

    inputs = [item_vectors, ids, user_vectors, user_ids]
    check_checkpoint_output(output, overwrite=overwrite, inputs=inputs)
    if (user_vectors is None) != (user_ids is None):
        raise BecamError("--user-vectors and --user-ids belong together; give both or neither.")
    opened = Dataset.open(dataset)
    items = read_vectors(item_vectors)
    item_names = read_ids(ids, len(items), opened.item_ids)
    users = user_names = None
    if user_vectors is not None and user_ids is not None:
        users = read_vectors(user_vectors)
        user_names = read_ids(user_ids, len(users), opened.user_ids)
    attached = attach_vectors(
        opened,
        items,
        item_names,
        user_vectors=users,
        user_ids=user_names,
        features=features,
        modalities=modality or None,
        adapter=adapter,
        adapter_options=parse_assignments(adapter_option or ()),
        folds=folds,
        held_out=held_out,
        seed=seed,
        progress=True,
    )
    attached.checkpoint.save(output)
    report = attached.report
    say(_counts(report))
    terminal = console()
    for name in report.modalities:
        terminal.print(_table(report, name))
    for sentence in report.verdicts():
        say(sentence)
    say(f"Wrote {output}; next: becam explain --image PICTURE --item-id ID --ckpt {output}")


def _counts(report: Report) -> str:
    dropped = report.zero + report.not_finite
    sentence = f"{report.matched:,} items of the dataset have a vector"
    if report.without_vector:
        sentence += f", {report.without_vector:,} have none and will not be in the checkpoint"
    sentence += "."
    if report.without_content:
        sentence += f" {report.without_content:,} vectors are of items outside the dataset."
    if dropped:
        sentence += f" {dropped:,} vectors are zero or not finite and were left out."
    if report.users_left_out:
        sentence += f" Of the users' {report.users_left_out:,} were left out likewise."
    return sentence


def _table(report: Report, modality: str) -> Table:
    from rich.table import Table

    from becam.adapters import ADAPTERS
    from becam.interop.report import TOP

    found = report.modalities[modality]
    table = Table(
        f"{modality}, {found.held_out} items held out",
        "projected",
        caption=f"with 95% bootstrap intervals; ridge penalty {found.penalty:.2g}",
    )
    if found.adapted is not None:
        table.add_column(ADAPTERS[report.adapter].title)
    table.add_column("floor")
    middle = [] if found.adapted is None else [""]
    table.add_row("R²", str(found.r2), *middle, f"{found.r2.floor:.3f}")
    words = "cosine with the item's vector"
    table.add_row(words, str(found.cosine), *middle, f"{found.cosine.floor:.3f}")
    for name, words in (
        ("content", "rank of own content, for a vector"),
        ("content_recall", f"Recall@{TOP} of own content"),
        ("vector", "rank of own vector, for a content"),
        ("vector_recall", f"Recall@{TOP} of own vector"),
    ):
        shown = [getattr(r, name) for r in (found.projected, found.adapted) if r is not None]
        table.add_row(words, *map(str, shown), f"{shown[0].floor:.3f}")
    return table
