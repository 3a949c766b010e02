"""Figure 6: the same items under several recommenders, without and with the adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from becam.attribution.labels import Sources
from becam.data.dataset import Dataset
from becam.figures.page import Page, PaperFigure
from becam.figures.paper.choosing import both_ends
from becam.figures.paper.comparison import Comparison
from becam.figures.paper.exhibits import Heading, Scale
from becam.figures.paper.pairs import families


def backbones_figure(
    checkpoints: Sources,
    dataset: Dataset | str | Path,
    *,
    items: str = "top-drift",
    count: int = 3,
    no_adapter: bool = False,
    page: Page | None = None,
    scale: Scale = "own",
    maps: str | Path | None = None,
    seed: int = 0,
    progress: bool = False,
    **options: Any,
) -> PaperFigure:
    """Items as rows: the picture, and under each recommender two maps (the paper's Figure 6).

    Args:
        checkpoints: of every recommender one without an adapter and one with; or, with
            ``no_adapter``, one with an adapter.
        dataset: that they were trained on.
        items: the rule that chooses items, as of
            :func:`~becam.evaluation.selection.select_items`; its other end is shown below.
        count: items of each end where the rule does not say.
        no_adapter: compare each checkpoint with itself, its adapter left out.
        page: size and letters.
        scale: ``own`` range of each map, or ``shared`` by all of a picture.
        maps: folder that keeps the maps, so that the next figure need not make them again.
        seed: of what is drawn at random.
        progress: show bars on stderr.
        options: of :class:`~becam.attribution.Explainer`.

    Raises:
        BecamError: a recommender without one of its two checkpoints, unreadable ones, a dataset
            without their items, an unknown rule, options that do not fit.
    """
    found = families(checkpoints, no_adapter=no_adapter)
    adapters = " and ".join(dict.fromkeys(f.adapted[0].adapter for f in found))
    comparison = Comparison(
        found,
        dataset,
        no_adapter=no_adapter,
        scale=scale,
        maps=maps,
        seed=seed,
        progress=progress,
        options=options,
    )
    return comparison.figure(
        6,
        f"The same items under {', '.join(family.title for family in found)}: where picture "
        f"features agree with behaviour, without and with {adapters}.",
        [
            Heading(family.title, label)
            for family in found
            for label in ("without", family.adapted[0].adapter)
        ],
        lambda table: both_ends(items, table, count=count, seed=seed),
        page=page,
        items_as="rows",
    )
