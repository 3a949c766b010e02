"""The items of a dataset with what is known of each: a table to choose, sort and filter by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from becam.attribution.controls import OMISSION_DEGREES
from becam.attribution.labels import Sources, column_label, loaded, named_sources
from becam.checkpoint import Checkpoint
from becam.data.dataset import Dataset
from becam.evaluation.deviation import Deviation, deviations
from becam.evaluation.subjects import item_subjects


@dataclass(frozen=True, eq=False)
class ItemTable:
    """Items that have a picture and that all checkpoints know.

    Attributes:
        labels: of the checkpoints.
        checkpoints: in the same order.
        items: a row an item, in the dataset's order: ``item`` (its index there), ``id``, ``image``
            (path of the picture), ``text``, ``category``, ``popularity`` (its training
            interactions), and for checkpoint k ``theta_before_k``, ``theta_after_k`` and
            ``theta_permuted_before_k``, ``theta_permuted_after_k``: angles of its content to
            behaviour in degrees, before and after the adapter, and those with another item's
            content (see ``becam.evaluation.deviation.Deviation``); null where there is none.
        deviations: that the angles come from, one a checkpoint.
    """

    labels: list[str]
    checkpoints: list[Checkpoint]
    items: pl.DataFrame
    deviations: list[Deviation] = field(default_factory=list)


def item_table(
    checkpoints: Sources,
    dataset: Dataset | str | Path,
    *,
    labels: Sequence[str] | None = None,
    modality: str = "image",
    omission: float = OMISSION_DEGREES,
    seed: int = 0,
    progress: bool = False,
) -> ItemTable:
    """What is known of the items of a dataset.

    Args:
        checkpoints: checkpoints, or paths of them.
        dataset: that they were trained on, or its folder.
        labels: a name for each checkpoint; by default the model and its adapter, and the path.
        modality: of the content whose angles are taken.
        omission: angle in degrees beyond which content omits behaviour.
        seed: of the angles with another item's content.
        progress: show a bar on stderr where it takes more than a second.

    Raises:
        BecamError: unreadable checkpoints, no item that all of them know, features that nobody
            has.
    """
    opened = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    sources = named_sources(checkpoints, labels)
    known = [loaded(source) for source, _ in sources]
    names = [
        column_label(source, checkpoint, modality) if given is None else given
        for (source, given), checkpoint in zip(sources, known, strict=True)
    ]
    subjects = item_subjects(opened, known)
    table = pl.DataFrame(
        {"id": [one.name for one in subjects], "image": [str(one.path) for one in subjects]}
    ).join(
        opened.items.select("item", "id", "text", "category").with_columns(
            popularity=pl.Series(opened.popularity)
        ),
        on="id",
        how="left",
        maintain_order="left",
    )
    found = list(
        deviations(
            known,
            dataset=opened,
            modalities=[modality],
            labels=names,
            omission=omission,
            seed=seed,
            progress=progress,
        )
    )
    for number, each in enumerate(found):
        angles = [name for name in each.items.columns if name.startswith("theta_")]
        own = each.items.select("id", *(pl.col(name).alias(f"{name}_{number}") for name in angles))
        table = table.join(own, on="id", how="left", maintain_order="left")
    return ItemTable(names, known, table, found)
