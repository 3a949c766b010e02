"""What a user asks a gallery for, in plain values, and what a gallery makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from becam.attribution import Explainer
from becam.attribution.controls import OMISSION_DEGREES
from becam.attribution.labels import Sources, before_and_after, column_label, loaded, named_sources
from becam.attribution.masking import MASKINGS
from becam.attribution.methods import METHODS, Method, parse_method
from becam.attribution.target import SPACES, Space
from becam.attribution.words import WordExplainer
from becam.attribution.words.item_texts import TEXT
from becam.checkpoint import Checkpoint
from becam.data.dataset import Dataset
from becam.data.pictures import lies_in
from becam.devices import resolve_batch_size, resolve_device, resolve_precision
from becam.encoders.recorded import deciding_weights
from becam.encoders.spec import EncoderRecord
from becam.errors import BecamError
from becam.evaluation.item_table import ItemTable, item_table
from becam.evaluation.selection import Selection, select_items
from becam.gallery.explaining import ItemExplainer
from becam.gallery.model import Column
from becam.limits import DEGREES, SEED
from becam.options import declared_options

IMAGE = "image"


@dataclass(frozen=True, eq=False, kw_only=True)
class Request:
    """A gallery by the options of ``becam gallery``, which has a help text for each.

    What they ask for is made when first needed, the encoders last and only for :meth:`explainer`.

    Attributes:
        checkpoints: checkpoints, or paths of them.
        dataset: that they were trained on, or its folder.
        items: a rule or a file, see ``becam.evaluation.selection.select_items``.
        labels: a name for each checkpoint; by default the model and its adapter, and the path.
        no_adapter: put beside each checkpoint that has an adapter the same one without it.
        methods: as ``becam explain --method`` takes them; a column each.
        budget, tolerance: of those methods that have such an option.
        words: colour the items' texts too, where the checkpoints have a text modality.
        picture_folders: folders beside that of the dataset's pictures whose files may be shown.
        omission: angle in degrees beyond which content omits behaviour.
        seed: of a sample of items, and of the angles with another item's content.
        space, masking, target_layer, encoder, weights, randomise, batch_size, device, precision:
            as of ``becam.attribution.Explainer``.

    Raises:
        BecamError: options that do not fit together; from the members, those that name nothing.
    """

    checkpoints: Sources
    dataset: Dataset | str | Path
    items: str = "sample"
    labels: Sequence[str] | None = None
    no_adapter: bool = False
    methods: Sequence[str] = ("becam",)
    budget: int | None = None
    tolerance: float | None = None
    words: bool = True
    picture_folders: Sequence[str | Path] = ()
    omission: float = OMISSION_DEGREES
    seed: int = 0
    space: str = "adapted"
    masking: str = "mean"
    target_layer: str | None = None
    encoder: str | None = None
    weights: Sequence[str | Path] = field(default_factory=tuple)
    randomise: bool = True
    batch_size: int | None = None
    device: str = "auto"
    precision: str = "float32"

    def __post_init__(self) -> None:
        SEED.check(self.seed, "--seed")
        DEGREES.check(self.omission, "--omission")

    @cached_property
    def opened(self) -> Dataset:
        """The dataset."""
        return self.dataset if isinstance(self.dataset, Dataset) else Dataset.open(self.dataset)

    @cached_property
    def loaded(self) -> list[Checkpoint]:
        """The checkpoints."""
        found = []
        for source, _ in self._sources:
            checkpoint = loaded(source)
            if IMAGE not in checkpoint.modalities:
                name = "The checkpoint" if isinstance(source, Checkpoint) else source
                raise BecamError(f"{name} was trained without pictures, so none can be explained.")
            found.append(checkpoint)
        return found

    @cached_property
    def names(self) -> list[str]:
        """A name for each checkpoint, no two alike."""
        given = [
            column_label(source, checkpoint) if name is None else name
            for (source, name), checkpoint in zip(self._sources, self.loaded, strict=True)
        ]
        return [
            name if given.count(name) == 1 else f"{name} #{given[: place + 1].count(name)}"
            for place, name in enumerate(given)
        ]

    @cached_property
    def by_spec(self) -> dict[str, Method]:
        """The methods by how they are written, each once."""
        specs = list(dict.fromkeys(self.methods or Request.methods))
        for name, value in (("budget", self.budget), ("tolerance", self.tolerance)):
            if value is None:
                continue
            having = [s for s in specs if name in declared_options(METHODS[parse_method(s).name])]
            if not having:
                raise BecamError(
                    f"--{name} is an option of becam, which is not among the methods; leave it out."
                )
            specs = [f"{spec},{name}={value}" if spec in having else spec for spec in specs]
        return {spec: parse_method(spec) for spec in specs}

    @cached_property
    def table(self) -> ItemTable:
        """The items of the dataset with what is known of each."""
        return item_table(
            self.loaded,
            self.opened,
            labels=self.names,
            modality=IMAGE,
            omission=self.omission,
            seed=self.seed,
            progress=True,
        )

    @cached_property
    def selection(self) -> Selection:
        """The items to show."""
        return select_items(self.items, self.table, seed=self.seed)

    @cached_property
    def columns(self) -> list[tuple[int, Column]]:
        """The gallery's columns, and which checkpoint each is of; without ``options``."""
        return [
            (
                number,
                Column(
                    label=label,
                    method=spec,
                    adapter="none" if space == "content" else checkpoint.adapter_name(IMAGE),
                    space=space,
                ),
            )
            for number, (name, checkpoint) in enumerate(zip(self.names, self.loaded, strict=True))
            for label, space in before_and_after(
                name, checkpoint, IMAGE, space=self._space, no_adapter=self.no_adapter
            )
            for spec in self.by_spec
        ]

    def check(self) -> None:
        """Raise what can be said before anything long begins."""
        if self.masking not in MASKINGS:
            raise BecamError(f"Unknown masking {self.masking!r}; use one of {', '.join(MASKINGS)}.")
        device = resolve_device(self.device)
        resolve_precision(self.precision, device)
        resolve_batch_size(self.batch_size, device)
        _ = self.columns
        _ = self.selection

    def explainer(self) -> tuple[ItemExplainer, list[str]]:
        """What explains the items, with encoders; and why some have no coloured words."""
        explainer = Explainer(
            self.loaded,
            labels=self.names,
            no_adapter=self.no_adapter,
            encoder=self.encoder,
            weights=self.weights,
            target_layer=self.target_layer,
            masking=self.masking,  # type: ignore[arg-type]  # checked by name, with a sentence
            space=self._space,
            method=next(iter(self.by_spec.values())),
            randomise=self.randomise,
            batch_size=self.batch_size,
            device=self.device,
            precision=self.precision,
        )
        methods = list(self.by_spec.values())
        texts = [
            (name, checkpoint)
            for name, checkpoint in zip(self.names, self.loaded, strict=True)
            if TEXT in checkpoint.modalities
        ]
        if not self.words or not texts:
            return ItemExplainer(explainer, methods), []
        words = WordExplainer(
            [checkpoint for _, checkpoint in texts],
            dataset=self.opened,
            labels=[name for name, _ in texts],
            no_adapter=self.no_adapter,
            space=self._space,
            encoder=self.encoder,
            weights=self.weights,
            device=self.device,
        )
        able, reasons = [], list[str]()
        for column in words.columns:
            try:
                words.prepare(column)
            except BecamError as error:
                reasons.append(str(error))
            else:
                able.append(column)
        return ItemExplainer(explainer, methods, words, able), list(dict.fromkeys(reasons))

    def identity(self) -> dict[str, Any]:
        """All that decides an item's maps; other items, batches and devices do not."""
        records = [
            EncoderRecord.from_dict(modality.encoder)
            for checkpoint in self.loaded
            for modality in checkpoint.modalities.values()
        ]
        return {
            "checkpoints": [checkpoint.fingerprint for checkpoint in self.loaded],
            "dataset": self.opened.fingerprint,
            "methods": [[m.name, m.options()] for m in self.by_spec.values()],
            "no_adapter": self.no_adapter,
            "space": self.space,
            "masking": self.masking,
            "target_layer": self.target_layer,
            "encoder": self.encoder,
            "weights": deciding_weights(records, self.weights),
            "precision": self.precision,
            "randomise": self.randomise,
            "words": self.words,
        }

    @cached_property
    def outside(self) -> frozenset[str]:
        """Ids of the items whose pictures lie where none may be shown from."""
        folders = [self.opened.image_folder, *map(Path, self.picture_folders)]
        return frozenset(name for name, path, _ in self.subjects if not lies_in(path, folders))

    @cached_property
    def subjects(self) -> list[tuple[str, Path, str]]:
        """Id, picture and text of each item to show, the first one first."""
        chosen = self.selection.items.select(
            "id", "image", pl.col("text").fill_null("").alias("text")
        )
        return [(name, Path(image), text) for name, image, text in chosen.iter_rows()]

    @property
    def _sources(self) -> list[Any]:
        return named_sources(self.checkpoints, self.labels)

    @property
    def _space(self) -> Space:
        if self.space not in SPACES:
            raise BecamError(f"Unknown space {self.space!r}; use one of {', '.join(SPACES)}.")
        return self.space
