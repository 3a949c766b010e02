"""What an audited picture is compared with: its own item, the nearest item, or a text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from becam.attribution.explainer import Column
from becam.attribution.target import Target, item_target, text_target
from becam.attribution.view import View
from becam.checkpoint import Checkpoint
from becam.contents import find_contents
from becam.data.dataset import Dataset
from becam.errors import BecamError
from becam.evaluation.annotations import Annotation
from becam.evaluation.scores import Score, rank_score, similarity_score
from becam.evaluation.subjects import Subject

AIMS = ("item", "nearest", "text")

_ROWS = 4096
"""Features that are projected at a time."""


@dataclass(frozen=True)
class Aim:
    """A target with the scores that maps for it are judged by."""

    target: Target
    scores: list[Score]


class Aiming(ABC):
    """Chooses the target of each picture under each checkpoint."""

    @abstractmethod
    def __call__(
        self, column: Column, view: View, subject: Subject, annotation: Annotation | None
    ) -> Aim:
        """The target of one picture.

        Raises:
            BecamError: there is none.
        """


class OwnItem(Aiming):
    """The item whose picture it is."""

    def __call__(
        self, column: Column, view: View, subject: Subject, annotation: Annotation | None
    ) -> Aim:
        """See ``Aiming``."""
        return _item_aim(column, view, subject.name)


class NearestItem(Aiming):
    """The item whose own content, projected, is nearest to the picture's by cosine.

    Args:
        dataset: has the items' features, where the checkpoint does not (frozen features).
        features: name of the feature set; by default one of the checkpoint's encoder.
    """

    def __init__(self, dataset: Dataset | None, features: str | None = None) -> None:
        self._dataset = dataset
        self._features = features
        self._contents: dict[int, tuple[list[str], Tensor]] = {}

    def __call__(
        self, column: Column, view: View, subject: Subject, annotation: Annotation | None
    ) -> Aim:
        """See ``Aiming``."""
        return _item_aim(column, view, self.nearest(column.checkpoint, view.whole))

    def nearest(self, checkpoint: Checkpoint, feature: Tensor) -> str:
        """The id of the item nearest to a picture's feature (d_m,).

        Raises:
            BecamError: nobody has the items' features.
        """
        if id(checkpoint) not in self._contents:
            self._contents[id(checkpoint)] = self._projected(checkpoint)
        ids, contents = self._contents[id(checkpoint)]
        projected = functional.normalize(checkpoint.head().project(feature[None].float()), dim=-1)
        return ids[int((contents @ projected[0]).argmax())]

    def _projected(self, checkpoint: Checkpoint) -> tuple[list[str], Tensor]:
        """Ids, and the items' projected contents (n, d) of length one."""
        head = checkpoint.head()
        found = find_contents(checkpoint, "image", self._dataset, features=self._features)
        parts = [
            functional.normalize(head.project(rows), dim=-1) for _, rows in found.chunks(_ROWS)
        ]
        return [checkpoint.item_ids[row] for row in found.items], torch.cat(parts)


class ClassNames(Aiming):
    """The names of the classes that the picture shows, as a text in the encoder's own space.

    Args:
        objects: classes to name; where empty, all that the picture shows but ``others``.
        others: classes that are never named.
    """

    def __init__(self, objects: Collection[str], others: Collection[str]) -> None:
        self._objects = frozenset(objects)
        self._others = frozenset(others)

    def __call__(
        self, column: Column, view: View, subject: Subject, annotation: Annotation | None
    ) -> Aim:
        """See ``Aiming``."""
        present = annotation.present() if annotation is not None else set()
        shown = present & self._objects if self._objects else present - self._others
        if not shown:
            raise BecamError(
                f"Nothing is known of {subject.name} that a text could name; give --annotations "
                "and --object."
            )
        target = text_target(view.engine.encoder, prompt(shown))
        return Aim(target, [similarity_score(target)])


def prompt(names: Collection[str]) -> str:
    """Class names as a caption."""
    return f"a photo of {', '.join(sorted(names))}"


def _item_aim(column: Column, view: View, item_id: str) -> Aim:
    target = item_target(column.checkpoint, item_id, space=column.space).on(view)
    ranks = rank_score(column.checkpoint, item_id, space=column.space)
    return Aim(target, [similarity_score(target), ranks])
