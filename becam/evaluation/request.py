"""What a user asks an audit for, in plain values, and what an audit makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from becam.attribution import Explainer
from becam.attribution.labels import column_label
from becam.attribution.methods import Method, parse_method
from becam.checkpoint import Checkpoint
from becam.data.dataset import Dataset
from becam.encoders.recorded import deciding_weights
from becam.encoders.spec import EncoderRecord
from becam.errors import BecamError
from becam.evaluation.aims import AIMS, Aiming, ClassNames, NearestItem, OwnItem
from becam.evaluation.annotations import read_annotations
from becam.evaluation.audit import Audit
from becam.evaluation.auditor import Auditor, Plan, Truth
from becam.evaluation.faithfulness import Protocol
from becam.evaluation.floors import FLOOR_METHODS
from becam.evaluation.measures import known_groups
from becam.evaluation.subjects import Subject, item_subjects, photo_subjects, showing, shuffled
from becam.files import content_sha256
from becam.limits import ITEMS, PICTURES, SEED, STAGES, STEPS


@dataclass(frozen=True, kw_only=True)
class Request:
    """An audit by the options of ``becam audit``, which has a help text for each.

    What they ask for is made when first needed, the encoders last and only for :meth:`auditor`.

    Raises:
        BecamError: options that do not fit together; from the members, those that name nothing.
    """

    checkpoints: Sequence[Path]
    dataset: Path | None
    images: Path | None
    annotations: Path | None
    objects: Sequence[str]
    distractors: Sequence[str]
    items: int
    target: str | None
    features: str | None
    methods: Sequence[str]
    measures: Sequence[str]
    no_adapter: bool
    space: str
    masking: str
    steps: int
    stages: int
    target_layer: str | None
    encoder: str | None
    weights: Sequence[Path]
    batch_size: int | None
    seed: int
    device: str
    precision: str

    def __post_init__(self) -> None:
        for name, limits in (
            ("items", ITEMS),
            ("steps", STEPS),
            ("stages", STAGES),
            ("seed", SEED),
        ):
            limits.check(getattr(self, name), f"--{name}")
        if self.batch_size is not None:
            PICTURES.check(self.batch_size, "--batch-size")
        if self.dataset is None and self.images is None:
            raise BecamError("Say which pictures to audit with --dataset or --images.")

    @cached_property
    def plan(self) -> Plan:
        """What is measured."""
        return Plan(
            _methods(self.methods),
            known_groups(self.measures),
            self._truth(),
            Protocol(self.steps),
            self.stages,
            self.seed,
        )

    @cached_property
    def aiming(self) -> Aiming:
        """What the pictures are compared with."""
        aim = self.target or ("item" if self.images is None else None)
        if aim is None:
            raise BecamError(
                "The pictures of --images belong to no item; say with --target text or --target "
                "nearest what to compare them with."
            )
        if aim not in AIMS:
            raise BecamError(f"There is no --target {aim}; choose from {', '.join(AIMS)}.")
        if aim == "item":
            if self.images is not None:
                raise BecamError(
                    "The pictures of --images belong to no item; use --target nearest."
                )
            return OwnItem()
        if aim == "nearest":
            return NearestItem(self._opened, self.features)
        truth = self.plan.truth
        if truth.annotations is None:
            raise BecamError("--target text names what a picture shows; give --annotations.")
        return ClassNames(truth.objects, truth.distractors)

    @cached_property
    def subjects(self) -> list[Subject]:
        """The pictures, in the order of the seed."""
        if self.images is not None:
            found = photo_subjects(self.images)
        else:
            assert self._opened is not None
            found = item_subjects(self._opened, self._loaded)
        truth = self.plan.truth
        return showing(
            shuffled(found, seed=self.seed), truth.annotations, truth.objects, self.items
        )

    def audit(self, output: Path, *, overwrite: bool = False) -> Audit:
        """The audit in its folder, begun."""
        _ = self.aiming  # what does not fit together is said before the folder is touched
        return Audit(
            self.plan, self.subjects, output, identity=self._identity(), overwrite=overwrite
        )

    def auditor(self) -> Auditor:
        """What measures pictures; it loads the encoders."""
        labels = [column_label(*pair) for pair in zip(self.checkpoints, self._loaded, strict=True)]
        explainer = Explainer(
            self._loaded,
            labels=labels,
            no_adapter=self.no_adapter,
            encoder=self.encoder,
            weights=self.weights,
            target_layer=self.target_layer,
            masking=self.masking,  # type: ignore[arg-type]  # checked by name, with a sentence
            space=self.space,  # type: ignore[arg-type]
            batch_size=self.batch_size,
            device=self.device,
            precision=self.precision,
        )
        columns = explainer.columns
        if isinstance(self.aiming, ClassNames) and len(explainer.engines) < len(columns):
            raise BecamError(
                "With --target text no recommender takes part, so a second checkpoint of the same "
                "encoder says the same; give one of each encoder, without --no-adapter."
            )
        return Auditor(explainer, self.aiming, self.plan)

    def _identity(self) -> dict[str, Any]:
        """All that decides a picture's values; more pictures, batches and devices do not."""
        records = [
            EncoderRecord.from_dict(checkpoint.modalities["image"].encoder)
            for checkpoint in self._loaded
            if "image" in checkpoint.modalities
        ]
        return {
            "checkpoints": [checkpoint.fingerprint for checkpoint in self._loaded],
            "weights": deciding_weights(records, self.weights),
            "dataset": None if self._opened is None else self._opened.fingerprint,
            "features_sha256": self._features_hashes(),
            "images": None if self.images is None else str(self.images.resolve()),
            "annotations": (None if self.annotations is None else content_sha256(self.annotations)),
            "object": sorted(self.plan.truth.objects),
            "distractor": sorted(self.plan.truth.distractors),
            "target": self.target,
            "features": self.features,
            "methods": {name: [m.name, m.options()] for name, m in self.plan.methods.items()},
            "floors": list(FLOOR_METHODS),
            "measures": self.plan.groups,
            "no_adapter": self.no_adapter,
            "space": self.space,
            "masking": self.masking,
            "steps": self.steps,
            "stages": self.stages,
            "target_layer": self.target_layer,
            "encoder": self.encoder,
            "precision": self.precision,
            "seed": self.seed,
        }

    def _features_hashes(self) -> list[str]:
        """Of the feature sets in which ``--target nearest`` may look."""
        if self.target != "nearest" or self._opened is None:
            return []
        names = self._opened.feature_sets() if self.features is None else [self.features]
        sets = [self._opened.feature_set(name) for name in names]
        return sorted(each.records["image"]["sha256"] for each in sets if "image" in each.records)

    @cached_property
    def _opened(self) -> Dataset | None:
        return None if self.dataset is None else Dataset.open(self.dataset)

    @cached_property
    def _loaded(self) -> list[Checkpoint]:
        return [Checkpoint.load(path) for path in self.checkpoints]

    def _truth(self) -> Truth:
        if self.annotations is None:
            if self.objects or self.distractors:
                raise BecamError(
                    "--object and --distractor name classes of --annotations; give them."
                )
            return Truth()
        read = read_annotations(self.annotations)
        truth = Truth(read, read.known(self.objects), read.known(self.distractors))
        if both := truth.objects & truth.distractors:
            raise BecamError(f"{', '.join(sorted(both))} cannot be object and distractor at once.")
        return truth


def _methods(specs: Sequence[str]) -> dict[str, Method]:
    for spec in specs:
        if spec in FLOOR_METHODS:
            raise BecamError(f"{spec} is a floor, which every audit has; leave it out of --method.")
    return {spec: parse_method(spec) for spec in specs}
