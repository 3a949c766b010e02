"""Figure 7: the adapters of one recommender beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from becam.attribution.labels import Sources
from becam.data.dataset import Dataset
from becam.figures.page import Page, PaperFigure
from becam.figures.paper.choosing import both_ends
from becam.figures.paper.comparison import Comparison
from becam.figures.paper.exhibits import Heading, Scale
from becam.figures.paper.pairs import Family, families, only


def adapters_figure(
    checkpoints: Sources,
    dataset: Dataset | str | Path,
    *,
    items: str = "top-drift",
    count: int = 4,
    no_adapter: bool = False,
    page: Page | None = None,
    scale: Scale = "own",
    maps: str | Path | None = None,
    seed: int = 0,
    progress: bool = False,
    **options: Any,
) -> PaperFigure:
    """Items as columns: the picture over a map without an adapter and one of each adapter.

    The paper's Figure 7, where adapters are LoRA, Soft Prompt and BeFA; they stand in the order of
    ``checkpoints``.

    Args:
        checkpoints: of one recommender: one without an adapter, and one of each adapter; or, with
            ``no_adapter``, those with adapters alone.
        dataset: that they were trained on.
        items: the rule that chooses items, as of
            :func:`~becam.evaluation.selection.select_items`; its other end is shown beside.
        count: items of each end where the rule does not say.
        no_adapter: compare each checkpoint with itself, its adapter left out.
        page: size and letters.
        scale: ``own`` range of each map, or ``shared`` by all of a picture.
        maps: folder that keeps the maps, so that the next figure need not make them again.
        seed: of what is drawn at random.
        progress: show bars on stderr.
        options: of :class:`~becam.attribution.Explainer`.

    Raises:
        BecamError: checkpoints of several recommenders, none without an adapter, unreadable ones,
            a dataset without their items, an unknown rule, options that do not fit.
    """
    family = only(families(checkpoints, no_adapter=no_adapter, single=False))
    comparison = Comparison(
        [family],
        dataset,
        no_adapter=no_adapter,
        scale=scale,
        maps=maps,
        seed=seed,
        progress=progress,
        options=options,
    )
    return comparison.figure(
        7,
        f"Adapters of {family.title}: where picture features agree with behaviour without an "
        f"adapter and with {', '.join(each.adapter for each in family.adapted)}.",
        _headings(family),
        lambda table: both_ends(items, table, count=count, seed=seed),
        page=page,
        items_as="columns",
    )


def _headings(family: Family) -> list[Heading]:
    if family.plain is None:
        return [
            Heading(each.adapter, label) for each in family.adapted for label in ("without", "with")
        ]
    return [Heading("", "original"), *(Heading("", each.adapter) for each in family.adapted)]
