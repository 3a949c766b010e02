"""What Figures 6, 7 and 8 share: items of a rule, explained without and with adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from becam.data.dataset import Dataset
from becam.errors import BecamError
from becam.evaluation.item_table import ItemTable, item_table
from becam.figures.page import Page, PaperFigure
from becam.figures.paper.captions import adapter_remarks, caption, drift_remarks
from becam.figures.paper.choosing import Chosen, explained, groups_of
from becam.figures.paper.exhibits import Exhibition, Heading, Scale, check_scale
from becam.figures.paper.grid import check_room, map_figure
from becam.figures.paper.layout import ItemsAs
from becam.figures.paper.maps import Maps
from becam.figures.paper.pairs import Family


class Comparison:
    """Checkpoints without and with adapters on the items of a dataset.

    Args:
        found: the checkpoints by recommender.
        dataset: that they were trained on.
        no_adapter: the adapters are left out for what stands before them.
        scale: of the colours.
        maps: folder that keeps the maps.
        seed: of what is drawn at random.
        progress: show bars on stderr.
        options: of :class:`~becam.attribution.Explainer`.

    Attributes:
        maps: makes the maps.

    Raises:
        BecamError: a dataset without the checkpoints' items, or options that do not fit.
    """

    def __init__(
        self,
        found: Sequence[Family],
        dataset: Dataset | str | Path,
        *,
        no_adapter: bool,
        scale: Scale,
        maps: str | Path | None,
        seed: int,
        progress: bool,
        options: dict[str, Any],
    ) -> None:
        check_scale(scale)
        space = options.get("space", "adapted")
        if space == "content":
            raise BecamError(
                "In the space content everything is before the adapter; compare in --space adapted "
                "or change."
            )
        if no_adapter and space != "adapted":
            raise BecamError(
                "Only in --space adapted can an adapter be left out; give a checkpoint without an "
                "adapter in place of --no-adapter."
            )
        self._dataset = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
        self._scale, self._seed, self._progress = scale, seed, progress
        named = [each for family in found for each in family.checkpoints]
        self._titles = [
            family.title if each is family.plain else f"{family.title} + {each.adapter}"
            for family in found
            for each in family.checkpoints
        ]
        self._labels = [each.label for each in named]
        checkpoints = [each.checkpoint for each in named]
        self.maps = Maps(checkpoints, self._titles, maps, no_adapter=no_adapter, **options)
        self._checkpoints = checkpoints

    def table(self) -> ItemTable:
        """The items; angles of the first checkpoint come first.

        Raises:
            BecamError: features that nobody has.
        """
        return item_table(
            self._checkpoints,
            self._dataset,
            labels=self._titles,
            seed=self._seed,
            progress=self._progress,
        )

    def figure(
        self,
        number: int,
        title: str,
        headings: Iterable[Heading],
        choose: Callable[[ItemTable], Chosen],
        *,
        page: Page | None,
        items_as: ItemsAs,
        text: str | None = None,
        remarks: Iterable[str] = (),
    ) -> PaperFigure:
        """Choose items, make their maps and draw them.

        Args:
            number: of the paper's figure.
            title: of the caption, a sentence.
            headings: one a map of each item.
            choose: items of the table, in groups.
            page: size and letters.
            items_as: whether items are columns or rows.
            text: for one more map of each picture.
            remarks: more sentences of what must not be concluded.
        """
        table = self.table()
        page = page or Page()
        shown = Exhibition(tuple(headings), groups_of(choose(table)))
        check_room(shown, page, items_as)
        shown = explained(shown, self.maps, text=text, progress=self._progress)
        words = caption(
            title,
            shown,
            scale=self._scale,
            checkpoints=self._labels,
            remarks=[
                *drift_remarks(table),
                *adapter_remarks(table, self._titles),
                *remarks,
            ],
        )
        figure = map_figure(shown, page, items_as=items_as, scale=self._scale)
        return PaperFigure(figure, words, page, {"figure": number, **shown.to_dict()})
