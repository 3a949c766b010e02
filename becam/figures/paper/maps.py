"""The maps of a figure, each made once: a figure that is drawn again takes those it has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from becam.attribution import Explainer
from becam.attribution.heatmap import Heatmap
from becam.attribution.methods import create_method
from becam.attribution.methods.base import Method
from becam.attribution.methods.becam import BeCAM
from becam.checkpoint import Checkpoint, installed_version
from becam.encoders.recorded import deciding_weights
from becam.encoders.spec import EncoderRecord
from becam.errors import BecamError
from becam.evaluation.subjects import content_key

_WITHOUT_EFFECT = ("batch_size", "device", "progress", "weights")
"""How a map is made, not what it is."""


@dataclass(frozen=True)
class Wanted:
    """A picture to explain.

    Attributes:
        image: path of the picture.
        item_id: what it is compared with.
        text: a text for one more map, which no recommender takes part in; None for none.
    """

    image: Path
    item_id: str
    text: str | None = None


class Maps:
    """Makes heatmaps, one a column, and keeps them in a folder if there is one.

    A map is found again by all that decides it: checkpoints, picture, item, options and becam's
    version. The encoder is loaded when the first map has to be made.

    Args:
        checkpoints: one column each.
        labels: of the checkpoints.
        folder: where maps are kept, as ``.npz``; None keeps none.
        options: of :class:`~becam.attribution.Explainer`.
    """

    def __init__(
        self,
        checkpoints: Iterable[Checkpoint],
        labels: Iterable[str],
        folder: str | Path | None = None,
        **options: Any,
    ) -> None:
        self._checkpoints, self._labels = list(checkpoints), list(labels)
        self._folder = None if folder is None else Path(folder)
        # Options that do not fit together are said before anything is loaded.
        method = options.pop("method", BeCAM.name)
        chosen = options.pop("method_options", None)
        self.method: Method = create_method(method, chosen) if isinstance(method, str) else method
        self._options = options

    @cached_property
    def explainer(self) -> Explainer:
        """What makes the maps.

        Raises:
            BecamError: an encoder that cannot be had, or options that do not fit.
        """
        return Explainer(
            self._checkpoints, labels=self._labels, method=self.method, **self._options
        )

    def of(self, wanted: Wanted) -> tuple[Heatmap, ...]:
        """One map a column of the explainer, and that for the text behind them.

        Raises:
            BecamError: a picture that cannot be read, an unknown item, no text tower.
        """
        found = self._kept(wanted, "item", lambda: self._item(wanted))
        if wanted.text is not None:
            found += self._kept(wanted, "text", lambda: self._text(wanted))
        return tuple(found)

    def _item(self, wanted: Wanted) -> list[Heatmap]:
        return self.explainer.explain(wanted.image, wanted.item_id)

    def _text(self, wanted: Wanted) -> list[Heatmap]:
        views = self.explainer.encode(wanted.image)
        return self.explainer.score(views, text=wanted.text)[:1]

    def _kept(self, wanted: Wanted, kind: str, make: Callable[[], list[Heatmap]]) -> list[Heatmap]:
        if self._folder is None:
            return make()
        stem = self._key(wanted, kind)
        paths = sorted(self._folder.glob(f"{stem}-*-of-*.npz"))
        if paths and paths[0].stem.endswith(f"-of-{len(paths)}"):
            # A damaged one is made again.
            with suppress(BecamError):
                return [Heatmap.load(path) for path in paths]
        made = make()
        for number, heatmap in enumerate(made, start=1):
            heatmap.save(self._folder / f"{stem}-{number:02}-of-{len(made)}.npz")
        return made

    def _key(self, wanted: Wanted, kind: str) -> str:
        decides = {
            **self._identity,
            "kind": kind,
            "picture": content_key(wanted.item_id, wanted.image),
            "text": wanted.text if kind == "text" else None,
        }
        text = json.dumps(decides, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    @cached_property
    def _identity(self) -> dict[str, Any]:
        records = [
            EncoderRecord.from_dict(checkpoint.modalities["image"].encoder)
            for checkpoint in self._checkpoints
        ]
        return {
            "version": installed_version(),
            "checkpoints": [checkpoint.fingerprint for checkpoint in self._checkpoints],
            "labels": self._labels,
            "weights": deciding_weights(records, self._options.get("weights") or ()),
            "method": [self.method.name, self.method.options()],
            "options": {
                name: value
                for name, value in self._options.items()
                if name not in _WITHOUT_EFFECT and value is not None
            },
        }
