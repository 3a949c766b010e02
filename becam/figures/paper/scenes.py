"""Figure 8: simple product pictures beside complex scenes, without and with the adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from becam.attribution.labels import Sources
from becam.data.dataset import Dataset
from becam.evaluation.item_table import ItemTable
from becam.evaluation.scenes import scene_table
from becam.evaluation.subjects import photo_subjects, shuffled
from becam.figures.page import Page, PaperFigure
from becam.figures.paper.choosing import Chosen, both_ends
from becam.figures.paper.comparison import Comparison
from becam.figures.paper.exhibits import Heading, Scale
from becam.figures.paper.pairs import families, only


def scenes_figure(
    checkpoints: Sources,
    dataset: Dataset | str | Path,
    images: str | Path,
    *,
    items: str = "top-drift",
    count: int = 2,
    looked_at: int = 500,
    text: str | None = None,
    no_adapter: bool = False,
    page: Page | None = None,
    scale: Scale = "own",
    maps: str | Path | None = None,
    seed: int = 0,
    progress: bool = False,
    **options: Any,
) -> PaperFigure:
    """Items and scenes as columns: the picture over its maps (the paper's Figure 8).

    A scene belongs to no item: it is compared with the item whose content is nearest to its own.

    Args:
        checkpoints: of one recommender: one without an adapter and one with; or, with
            ``no_adapter``, one with an adapter.
        dataset: that they were trained on, with the simple pictures.
        images: folder of the scenes.
        items: the rule that chooses items, and scenes by their angles to the nearest item; the
            other end of each is shown beside.
        count: pictures of each end where the rule does not say.
        looked_at: scenes to choose from, drawn at random where there are more.
        text: for one more map of each picture, of what agrees with the text in the encoder's own
            space; no recommender takes part in it.
        no_adapter: compare the checkpoint with itself, its adapter left out.
        page: size and letters.
        scale: ``own`` range of each map, or ``shared`` by all of a picture.
        maps: folder that keeps the maps, so that the next figure need not make them again.
        seed: of what is drawn at random.
        progress: show bars on stderr.
        options: of :class:`~becam.attribution.Explainer`.

    Raises:
        BecamError: checkpoints of several recommenders or not two of one, a folder without
            pictures, an unknown rule or one that orders items alone, options that do not fit.
    """
    family = only(families(checkpoints, no_adapter=no_adapter))
    opened = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    subjects = shuffled(photo_subjects(Path(images)), seed=seed)
    comparison = Comparison(
        [family],
        opened,
        no_adapter=no_adapter,
        scale=scale,
        maps=maps,
        seed=seed,
        progress=progress,
        options=options,
    )

    def choose(table: ItemTable) -> Chosen:
        scenes = scene_table(
            subjects[:looked_at], comparison.maps.explainer, table, opened, progress=progress
        )
        return [
            (f"{kind}: {name}", selection)
            for kind, one in (("products", table), ("scenes", scenes))
            for name, selection in both_ends(items, one, count=count, seed=seed)
        ]

    adapter = family.adapted[0].adapter
    headings = [Heading("", f"without {adapter}"), Heading("", adapter)]
    remarks = [
        f"Scenes were chosen from {min(len(subjects), looked_at)} of {len(subjects)} pictures of "
        f"{Path(images).name}. A scene belongs to no item: its maps and angles are for the item "
        "whose own content is nearest to its own, which no user's behaviour speaks for."
    ]
    if text is not None:
        headings.append(Heading("", f"“{text}”"))
        remarks.append("No recommender takes part in the maps for the text.")
    return comparison.figure(
        8,
        f"Simple product pictures and complex scenes: where picture features agree with behaviour "
        f"under {family.title}, without and with {adapter}.",
        headings,
        choose,
        page=page,
        items_as="columns",
        text=text,
        remarks=remarks,
    )
