"""BeCAM (Eq. 1 and 2): checkpoints and a picture to heatmaps."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from becam.attribution import controls
from becam.attribution.heatmap import Heatmap
from becam.attribution.labels import (
    Source,
    Sources,
    before_and_after,
    column_label,
    loaded,
    named_sources,
)
from becam.attribution.masking import MASKINGS, Masking
from becam.attribution.methods import BeCAM, Method, create_method
from becam.attribution.target import (
    SPACES,
    Space,
    Target,
    item_target,
    picture_target,
    text_target,
    user_target,
)
from becam.attribution.view import Engine, Settings, View
from becam.checkpoint import Checkpoint
from becam.colour import Icc
from becam.devices import resolve_batch_size, resolve_device, resolve_precision
from becam.encoders.recorded import load_matching
from becam.encoders.spec import EncoderRecord
from becam.errors import BecamError
from becam.images import as_picture

Identity = tuple[str | None, str | None, Icc]
"""Of an encoder: see ``EncoderRecord.identity``."""


_LATELY = 4
"""Pictures whose encodings an explainer keeps."""


@dataclass(frozen=True)
class Column:
    """A checkpoint, with its adapter or without: one heatmap of every picture.

    Attributes:
        label: a name for people.
        checkpoint: what is explained.
        space: ``adapted``, ``content`` or ``change``.
        engine: key of its encoder among ``Explainer.engines``.
    """

    label: str
    checkpoint: Checkpoint
    space: Space
    engine: Identity


class Explainer:
    """Explains pictures through one or more checkpoints.

    Encoders are loaded once, and a picture is encoded once for each encoder however many
    checkpoints stand on it. The encodings of the last pictures are kept, so that further items,
    users, texts and methods of the same picture cost next to nothing.

    Args:
        checkpoints: checkpoints, or paths of them; one column each.
        labels: a name for each column; by default the path, or the model and its adapter.
        no_adapter: put beside each checkpoint that has an adapter the same one with its adapter
            left out (before and after).
        encoder: the encoder's spec, for checkpoints whose features came with the data.
        weights: where the encoders' weights files are now; matched by their hash.
        target_layer: module path inside the vision tower, in place of the encoder's default.
        masking: what masked pixels fade to: ``mean``, ``black`` or ``blur``.
        space: ``adapted`` (the paper), ``content``: stop before the adapter, or ``change``: what
            the picture changes in the adapted feature.
        method: an attribution method, or its name (``becam.attribution.methods.METHODS``).
        method_options: options of a method given by its name, such as
            ``{"weighting": "centered"}``.
        randomise: also make the map with shuffled encoder weights, a control that doubles the
            time.
        batch_size: masked pictures per forward pass; by default what suits the device.
        device: ``auto``, ``cpu``, ``cuda``.
        precision: the encoder's arithmetic: ``float32``, ``bfloat16``, ``auto``. Cosines are
            always float32.
        progress: show progress bars on stderr while a picture is encoded.

    Attributes:
        columns: one a heatmap, in their order.
        engines: the encoders with their settings, by the columns' keys.

    Raises:
        BecamError: unreadable checkpoints, encoders that cannot be had, unknown options.
    """

    def __init__(
        self,
        checkpoints: Sources,
        *,
        labels: Sequence[str] | None = None,
        no_adapter: bool = False,
        encoder: str | None = None,
        weights: Sequence[str | Path] = (),
        target_layer: str | None = None,
        masking: Masking = "mean",
        space: Space = "adapted",
        method: Method | str = BeCAM.name,
        method_options: Mapping[str, Any] | None = None,
        randomise: bool = True,
        batch_size: int | None = None,
        device: str = "auto",
        precision: str = "float32",
        progress: bool = False,
    ) -> None:
        if space not in SPACES:
            raise BecamError(f"Unknown space {space!r}; use one of {', '.join(SPACES)}.")
        if masking not in MASKINGS:
            raise BecamError(f"Unknown masking {masking!r}; use one of {', '.join(MASKINGS)}.")
        self.method = create_method(method, method_options) if isinstance(method, str) else method
        self.randomise = randomise
        placed = resolve_device(device)
        self.settings = Settings(
            masking=masking,
            batch_size=resolve_batch_size(batch_size, placed),
            dtype=resolve_precision(precision, placed),
            progress=progress,
        )
        self._device = device
        self.engines: dict[Identity, Engine] = {}
        self.columns: list[Column] = []
        self._lately: dict[bytes, dict[Identity, View]] = {}
        for source, given in named_sources(checkpoints, labels):
            checkpoint = loaded(source)
            label = column_label(source, checkpoint) if given is None else given
            self._add(checkpoint, label, space, no_adapter, encoder, weights, target_layer)

    def _add(
        self,
        checkpoint: Checkpoint,
        label: str,
        space: Space,
        no_adapter: bool,
        encoder: str | None,
        weights: Sequence[str | Path],
        target_layer: str | None,
    ) -> None:
        if "image" not in checkpoint.modalities:
            raise BecamError(f"{label} was trained without pictures, so none can be explained.")
        record = EncoderRecord.from_dict(checkpoint.modalities["image"].encoder)
        if record.identity not in self.engines:
            found = load_matching(record, spec=encoder, weights=weights, device=self._device)
            self.engines[record.identity] = Engine(
                found, found.target_layer(target_layer), self.settings
            )
        dim = self.engines[record.identity].encoder.dim
        expected = checkpoint.modalities["image"].projection_weight.shape[1]
        if dim != expected:
            raise BecamError(
                f"{label} projects features of length {expected}, but the encoder gives {dim}; "
                "it was trained with another encoder."
            )
        self.columns += [
            Column(name, checkpoint, chosen, record.identity)
            for name, chosen in before_and_after(
                label, checkpoint, "image", space=space, no_adapter=no_adapter
            )
        ]

    def using(
        self,
        *,
        columns: Sequence[Column] | None = None,
        method: Method | None = None,
        randomise: bool | None = None,
    ) -> Explainer:
        """The same encoders, and what they have encoded lately, used in another way.

        Args:
            columns: in place of its own; of them, or on the same encoders.
            method: in place of its own.
            randomise: in place of its own.
        """
        other = copy.copy(self)
        other.columns = list(self.columns if columns is None else columns)
        other.method = self.method if method is None else method
        other.randomise = self.randomise if randomise is None else randomise
        return other

    def encode(self, image: Image.Image | str | Path) -> dict[Identity, View]:
        """The expensive half: what the method needs of a picture, once for each encoder.

        A file is read as the features of each encoder were made, with its colour profile or
        without; an image is taken as it is.

        Raises:
            BecamError: the picture cannot be read, or the encoder fails on it.
        """
        views = self._views(image)
        for identity in dict.fromkeys(column.engine for column in self.columns):
            self.method.prepare(views[identity])
            if self.randomise:
                self.method.prepare(views[identity].twin)
        return views

    def _views(self, image: Image.Image | str | Path) -> dict[Identity, View]:
        """Of a picture seen lately the same again, with all that has been encoded of it."""
        ways = {engine.encoder.record.icc for engine in self.engines.values()}
        pictures = {icc: as_picture(image, icc=icc) for icc in sorted(ways)}
        digest = hashlib.sha256()
        for picture in pictures.values():
            digest.update(f"{picture.mode} {picture.size}".encode() + picture.tobytes())
        key = digest.digest()
        found = self._lately.pop(key, None) or {
            identity: engine.view(pictures[engine.encoder.record.icc])
            for identity, engine in self.engines.items()
        }
        self._lately[key] = found
        while len(self._lately) > _LATELY:
            self._lately.pop(next(iter(self._lately)))
        return found

    def score(
        self,
        views: dict[Identity, View],
        item_id: str | None = None,
        *,
        user_id: str | None = None,
        text: str | None = None,
        like: Image.Image | str | Path | None = None,
        method: Method | None = None,
    ) -> list[Heatmap]:
        """The cheap half: one heatmap a column, of a picture that ``encode`` took in.

        Args:
            views: of one picture.
            item_id: the user's own id of the item; needed unless there is a text or a picture.
            user_id: compare with this user's embedding instead of the item's.
            text: compare with this text, in the encoder's own space.
            like: compare with this picture, in the encoder's own space.
            method: in place of the explainer's own; what it shares with that one in the views,
                such as the masked encodings, is not computed again.

        Raises:
            BecamError: unknown ids, no target or two of them, no text tower.
        """
        targets = self._targets(item_id, user_id, text, like)
        return self._heatmaps(views, targets, method or self.method)

    def explain(
        self,
        image: Image.Image | str | Path,
        item_id: str | None = None,
        *,
        user_id: str | None = None,
        text: str | None = None,
        like: Image.Image | str | Path | None = None,
    ) -> list[Heatmap]:
        """Encode a picture and score it: one heatmap a column. See ``encode`` and ``score``."""
        # First the targets: an unknown id should not cost a minute of encoding.
        targets = self._targets(item_id, user_id, text, like)
        return self._heatmaps(self.encode(image), targets, self.method)

    def _targets(
        self,
        item_id: str | None,
        user_id: str | None,
        text: str | None,
        like: Image.Image | str | Path | None,
    ) -> list[Target]:
        return [self._target(column, item_id, user_id, text, like) for column in self.columns]

    def _heatmaps(
        self, views: Mapping[Identity, View], targets: Sequence[Target], method: Method
    ) -> list[Heatmap]:
        return [
            self._heatmap(column, target, views[column.engine], method)
            for column, target in zip(self.columns, targets, strict=True)
        ]

    def _target(
        self,
        column: Column,
        item_id: str | None,
        user_id: str | None,
        text: str | None,
        like: Image.Image | str | Path | None,
    ) -> Target:
        if sum(given is not None for given in (user_id, text, like)) > 1:
            raise BecamError("Give a user, a text or a picture to compare with, not several.")
        encoder = self.engines[column.engine].encoder
        if text is not None:
            return text_target(encoder, text)
        if like is not None:
            picture = as_picture(like, icc=encoder.record.icc)
            name = "given" if isinstance(like, Image.Image) else Path(like).name
            return picture_target(encoder, picture, name)
        if item_id is None:
            raise BecamError("Give --item-id, or a --text or a picture (--like) to compare with.")
        if user_id is not None:
            return user_target(column.checkpoint, item_id, user_id, space=column.space)
        return item_target(column.checkpoint, item_id, space=column.space)

    def _heatmap(self, column: Column, target: Target, view: View, method: Method) -> Heatmap:
        target = target.on(view)
        saliency = method.saliency(view, target)
        weights = np.empty(0, np.float32) if saliency.weights is None else saliency.weights.numpy()
        engine = view.engine
        return Heatmap(
            raw=saliency.map.numpy(),
            weights=weights,
            geometry=view.geometry,
            controls=controls.measure(method, view, target, saliency, randomise=self.randomise),
            label=column.label,
            target=target.words,
            options={
                "method": method.name,
                "method_options": method.options(),
                "encoder": engine.encoder.record.describe(),
                "target_layer": engine.layer.path,
                "masking": engine.settings.masking,
                "space": target.space,
                "adapter": column.checkpoint.adapter_name("image"),
                "precision": str(engine.fast.dtype).removeprefix("torch."),
            },
        )


def explain(
    image: Image.Image | str | Path,
    item_id: str | None,
    ckpt: Source,
    *,
    user_id: str | None = None,
    text: str | None = None,
    like: Image.Image | str | Path | None = None,
    **options: Any,
) -> Heatmap:
    """Explain one picture through one checkpoint; for more of either use :class:`Explainer`.

    Args:
        image: a picture or its path.
        item_id: the user's own id of the item; None with a text or a picture.
        ckpt: a checkpoint or its path.
        user_id: compare with this user instead of the item.
        text: compare with this text instead.
        like: compare with this picture instead.
        options: of :class:`Explainer`, but ``no_adapter``, which asks for a second heatmap.

    Raises:
        BecamError: options that ask for more than one heatmap; see :class:`Explainer`.
    """
    explainer = Explainer(ckpt, **options)
    if len(explainer.columns) > 1:
        raise BecamError(
            "explain gives one heatmap and these options ask for several: use Explainer for all of "
            'them, or space="content" for the one without the adapter.'
        )
    (heatmap,) = explainer.explain(image, item_id, user_id=user_id, text=text, like=like)
    return heatmap
