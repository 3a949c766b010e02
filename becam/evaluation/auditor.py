"""Every map of one picture, by every measure, beside those of the floors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from becam.attribution.explainer import Column, Explainer, Identity
from becam.attribution.heatmap import place, stretch
from becam.attribution.masking import background
from becam.attribution.methods import Method
from becam.attribution.view import Engine, View
from becam.evaluation.aims import Aim, Aiming
from becam.evaluation.annotations import Annotation, Annotations
from becam.evaluation.boxes import box_overlaps
from becam.evaluation.faithfulness import Protocol, faithfulness
from becam.evaluation.floors import FLOOR_METHODS
from becam.evaluation.localisation import (
    average_precision,
    best_iou,
    energy,
    omission,
    pointing_game,
)
from becam.evaluation.measures import GROUPS, MAX_BOX_ACC
from becam.evaluation.sanity import (
    STAGES,
    RandomisedView,
    blank_view,
    randomised_engines,
    randomised_views,
    sanity,
)
from becam.evaluation.scores import on_pictures
from becam.evaluation.subjects import Subject, annotation_of

Row = dict[str, Any]


@dataclass(frozen=True)
class Truth:
    """What is known of pictures, and what counts as found or as mistaken.

    Attributes:
        annotations: masks and boxes; None where nothing is known.
        objects: classes that a map should show.
        distractors: classes that it should not.
    """

    annotations: Annotations | None = None
    objects: frozenset[str] = frozenset()
    distractors: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Plan:
    """What is measured, and how.

    Attributes:
        methods: by the names of their rows; the floors come in addition.
        groups: of measures, of ``becam.evaluation.measures.GROUPS``.
        truth: for the localisation measures.
        protocol: for the faithfulness measures.
        stages: of the encoder's randomisation, for the sanity measures.
        seed: of the noise, the shuffles and the bootstrap.
    """

    methods: Mapping[str, Method]
    groups: Sequence[str] = GROUPS
    truth: Truth = field(default_factory=Truth)
    protocol: Protocol = field(default_factory=Protocol)
    stages: int = STAGES
    seed: int = 0

    @property
    def rows(self) -> dict[str, Method]:
        """All rows: the methods, then the floors."""
        return {**self.methods, **FLOOR_METHODS}


class Auditor:
    """Measures the maps of single pictures.

    Args:
        explainer: checkpoints, each a column, on their encoders.
        aiming: chooses the targets.
        plan: what is measured.
    """

    def __init__(self, explainer: Explainer, aiming: Aiming, plan: Plan) -> None:
        self.plan = plan
        self._columns: dict[str, Column] = _by_label(explainer.columns)
        self._engines = explainer.engines
        self._aiming = aiming
        self._randomised: dict[Identity, list[Engine]] = {}
        self._blanks: dict[Identity, View] = {}

    def rows(self, subject: Subject) -> list[Row]:
        """All values of one picture, as rows of ``becam.evaluation.summary.ROW``.

        Raises:
            UnreadablePicture: the picture cannot be read.
            BecamError: an annotation of another size, an unknown item.
        """
        annotation = annotation_of(subject, self.plan.truth.annotations)
        found: list[Row] = []
        for identity, engine in self._engines.items():
            view = engine.view(subject.path)
            columns = {n: c for n, c in self._columns.items() if c.engine == identity}
            aims = {
                name: self._aiming(column, view, subject, annotation)
                for name, column in columns.items()
            }
            found += [
                {"picture": subject.name, "target": aims[row["checkpoint"]].target.words, **row}
                for row in self._measured(identity, view, aims, annotation)
            ]
        return found

    def _measured(
        self, identity: Identity, view: View, aims: Mapping[str, Aim], annotation: Annotation | None
    ) -> Iterable[Row]:
        groups = self.plan.groups
        blank, randomised = view, list[RandomisedView]()
        if "sanity" in groups:
            blank = self._blank(identity, view)
            randomised = randomised_views(self._engines_of(identity), view)
        for name, method in self.plan.rows.items():
            maps = {label: method.saliency(view, aim.target).map for label, aim in aims.items()}
            for label, saliency in maps.items():
                row = {"checkpoint": label, "method": name}
                if "localisation" in groups and annotation is not None:
                    yield from self._localisation(row, view, saliency, annotation)
                if "sanity" in groups:
                    values = sanity(
                        method,
                        view,
                        aims[label].target,
                        saliency,
                        randomised=randomised,
                        blank=blank,
                        seed=self.plan.seed,
                    )
                    yield from _rows(row, "sanity", values)
            if "faithfulness" in groups:
                for labels in _alike(maps):
                    yield from self._faithfulness(name, view, maps[labels[0]], labels, aims)

    def _faithfulness(
        self,
        method: str,
        view: View,
        saliency: Tensor,
        labels: Sequence[str],
        aims: Mapping[str, Aim],
    ) -> Iterable[Row]:
        """One map by the scores of all checkpoints that it belongs to."""
        scores = [(label, score) for label in labels for score in aims[label].scores]
        found = faithfulness(
            on_pictures(view.engine, [score for _, score in scores]),
            view.pixels,
            saliency,
            faded=torch.zeros_like(view.pixels),
            blurred=background(view.pixels, view.engine.encoder.preprocessing, "blur"),
            least=torch.tensor([score.least for _, score in scores]),
            most=torch.tensor([score.most for _, score in scores]),
            protocol=self.plan.protocol,
            seed=self.plan.seed,
        )
        for number, (label, score) in enumerate(scores):
            values = {f"{name}_{score.name}": float(found[name][number]) for name in found}
            yield from _rows({"checkpoint": label, "method": method}, "faithfulness", values)

    def _localisation(
        self, row: Row, view: View, saliency: Tensor, annotation: Annotation
    ) -> Iterable[Row]:
        truth = self.plan.truth
        shown = place(stretch(saliency.clamp(min=0).numpy()), view.geometry)
        product, distractors = annotation.mask(truth.objects), annotation.mask(truth.distractors)
        ignored = annotation.ignored(truth.objects | truth.distractors)
        # What is neither object nor background counts as not seen, and has no regions to box.
        without = np.where(ignored & ~np.isnan(shown), np.float32(0), shown)
        shown = np.where(ignored, np.float32(np.nan), shown)
        values = {
            "energy": energy(shown, product),
            "pointing": pointing_game(shown, product),
        }
        if annotation.labels is not None:
            values |= {"iou": best_iou(shown, product), "pr_auc": average_precision(shown, product)}
        if truth.distractors:
            values["drift"] = energy(shown, distractors & ~product)
        for name in sorted(truth.distractors) if len(truth.distractors) > 1 else ():
            values[f"drift_{name}"] = energy(shown, annotation.mask({name}) & ~product)
        if annotation.labels is not None:
            values["omission"] = omission(shown, product)
        yield from _rows(row, "localisation", values)
        overlaps = box_overlaps(without, annotation.boxes_of(truth.objects))
        curve = None if np.isnan(overlaps).any() else overlaps.tolist()
        yield from _rows(row, "localisation", {MAX_BOX_ACC: float("nan")}, curve)

    def _blank(self, identity: Identity, view: View) -> View:
        """A blank picture; one serves all pictures unless it is made of the picture itself."""
        if view.engine.settings.masking == "blur":
            return blank_view(view)
        return self._blanks.setdefault(identity, blank_view(view))

    def _engines_of(self, identity: Identity) -> list[Engine]:
        if identity not in self._randomised:
            engine = self._engines[identity]
            quiet = replace(engine, settings=replace(engine.settings, progress=False))
            self._randomised[identity] = randomised_engines(
                quiet, stages=self.plan.stages, seed=self.plan.seed
            )
        return self._randomised[identity]


def _rows(
    row: Row, group: str, values: Mapping[str, float], curve: list[float] | None = None
) -> Iterable[Row]:
    for measure, value in values.items():
        known = None if np.isnan(value) else value
        yield {**row, "group": group, "measure": measure, "value": known, "curve": curve}


def _alike(maps: Mapping[str, Tensor]) -> list[list[str]]:
    """Names of equal maps together: what is measured of one holds for all."""
    groups: list[list[str]] = []
    for name, found in maps.items():
        for group in groups:
            if torch.equal(maps[group[0]], found):
                group.append(name)
                break
        else:
            groups.append([name])
    return groups


def _by_label(columns: Sequence[Column]) -> dict[str, Column]:
    found: dict[str, Column] = {}
    for column in columns:
        label, number = column.label, 2
        while label in found:
            label, number = f"{column.label} #{number}", number + 1
        found[label] = column
    return found
