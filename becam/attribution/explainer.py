"""BeCAM (Eq. 1 and 2): checkpoints and a picture to heatmaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from becam.adapters import ADAPTERS
from becam.attribution import controls
from becam.attribution.controls import Controls
from becam.attribution.encodings import DEFAULT_BATCH_SIZE, MaskedEncodings, encode_masked
from becam.attribution.heatmap import Heatmap
from becam.attribution.masking import Masking
from becam.attribution.randomise import shuffled
from becam.attribution.target import SPACES, Space, Target, item_target, text_target, user_target
from becam.attribution.weighting import (
    WEIGHTINGS,
    Weighting,
    channel_weights,
    cosine,
    weighted_sum,
)
from becam.checkpoint import Checkpoint
from becam.devices import resolve_device, resolve_precision
from becam.encoders import load_encoder, load_recorded
from becam.encoders.base import Encoder, TargetLayer
from becam.encoders.preprocessing import Geometry
from becam.encoders.spec import EncoderRecord
from becam.errors import BecamError
from becam.files import sha256
from becam.images import read_image

Identity = tuple[str | None, str | None]


@dataclass(frozen=True)
class PictureEncodings:
    """One picture through one encoder: what all checkpoints on that encoder share."""

    geometry: Geometry
    real: MaskedEncodings
    randomised: MaskedEncodings | None


@dataclass(frozen=True)
class _Column:
    label: str
    checkpoint: Checkpoint
    space: Space
    engine: Identity


@dataclass(frozen=True)
class _Engine:
    encoder: Encoder
    layer: TargetLayer


class Explainer:
    """Explains pictures through one or more checkpoints.

    Encoders are loaded once, and a picture is encoded once for each encoder however many
    checkpoints stand on it.

    Args:
        checkpoints: checkpoints, or paths of them; one column each.
        labels: a name for each column; by default the path, or the model and its adapter.
        no_adapter: put beside each checkpoint that has an adapter the same one with its adapter
            left out (before and after).
        encoder: the encoder's spec, for checkpoints whose features came with the data.
        weights: where the encoders' weights files are now; matched by their hash.
        target_layer: module path inside the vision tower, in place of the encoder's default.
        masking: what masked pixels fade to: ``mean``, ``black`` or ``blur``.
        weighting: ``cosine`` (Eq. 2), ``centered``, ``increase`` or ``softmax``.
        space: ``adapted`` (the paper) or ``content``: stop before the adapter.
        randomise: also make the map with shuffled encoder weights, a control that doubles the
            time.
        batch_size: masked pictures per forward pass.
        device: ``auto``, ``cpu``, ``cuda``.
        precision: the encoder's arithmetic: ``float32``, ``bfloat16``, ``auto``. Cosines are
            always float32.
        progress: show progress bars on stderr while a picture is encoded.

    Raises:
        BecamError: unreadable checkpoints, encoders that cannot be had, unknown options.
    """

    def __init__(
        self,
        checkpoints: Sequence[Checkpoint | str | Path] | Checkpoint | str | Path,
        *,
        labels: Sequence[str] | None = None,
        no_adapter: bool = False,
        encoder: str | None = None,
        weights: Sequence[str | Path] = (),
        target_layer: str | None = None,
        masking: Masking = "mean",
        weighting: Weighting = "cosine",
        space: Space = "adapted",
        randomise: bool = True,
        batch_size: int = DEFAULT_BATCH_SIZE,
        device: str = "auto",
        precision: str = "float32",
        progress: bool = False,
    ) -> None:
        if space not in SPACES:
            raise BecamError(f"Unknown space {space!r}; use one of {', '.join(SPACES)}.")
        self.masking: Masking = masking
        self.weighting: Weighting = _known_weighting(weighting)
        self.randomise = randomise
        self.batch_size = batch_size
        self.progress = progress
        self.dtype = resolve_precision(precision, resolve_device(device))
        self._device = device
        self._engines: dict[Identity, _Engine] = {}
        self._columns: list[_Column] = []
        if isinstance(checkpoints, (Checkpoint, str, Path)):
            checkpoints = [checkpoints]
        if labels is not None and len(labels) != len(checkpoints):
            raise BecamError(f"There are {len(checkpoints)} checkpoints but {len(labels)} labels.")
        for position, source in enumerate(checkpoints):
            checkpoint = source if isinstance(source, Checkpoint) else Checkpoint.load(source)
            label = labels[position] if labels else _label(source, checkpoint)
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
        if record.identity not in self._engines:
            loaded = _encoder(record, encoder, weights, self._device)
            self._engines[record.identity] = _Engine(loaded, loaded.target_layer(target_layer))
        dim = self._engines[record.identity].encoder.dim
        expected = checkpoint.modalities["image"].projection_weight.shape[1]
        if dim != expected:
            raise BecamError(
                f"{label} projects features of length {expected}, but the encoder gives {dim}; "
                "it was trained with another encoder."
            )
        if no_adapter and space == "adapted" and checkpoint.adapter_name("image") != "none":
            self._columns.append(
                _Column(f"{label}, no adapter", checkpoint, "content", record.identity)
            )
        self._columns.append(_Column(label, checkpoint, space, record.identity))

    def encode(self, image: Image.Image | str | Path) -> dict[Identity, PictureEncodings]:
        """The expensive half: encode a picture under every mask, once for each encoder.

        Raises:
            BecamError: the picture cannot be read, or the encoder fails on it.
        """
        picture = image if isinstance(image, Image.Image) else read_image(image)
        return {
            identity: self._encode(engine, picture) for identity, engine in self._engines.items()
        }

    def _encode(self, engine: _Engine, picture: Image.Image) -> PictureEncodings:
        pixels, geometry = engine.encoder.preprocessing(picture)
        real = self._masked(engine.encoder, engine.layer, pixels, "Encoding under masks")
        if not self.randomise:
            return PictureEncodings(geometry, real, None)
        twin = shuffled(engine.encoder, torch.stack([pixels, pixels.flip(-1)]))
        randomised = self._masked(twin, engine.layer, pixels, "The same, encoder shuffled")
        return PictureEncodings(geometry, real, randomised)

    def _masked(
        self, encoder: Encoder, layer: TargetLayer, pixels: Tensor, words: str
    ) -> MaskedEncodings:
        return encode_masked(
            encoder,
            layer,
            pixels,
            masking=self.masking,
            batch_size=self.batch_size,
            dtype=self.dtype,
            progress=words if self.progress else None,
        )

    def score(
        self,
        encodings: dict[Identity, PictureEncodings],
        item_id: str,
        *,
        user_id: str | None = None,
        text: str | None = None,
        weighting: Weighting | None = None,
    ) -> list[Heatmap]:
        """The cheap half: one heatmap a column, from encodings that ``encode`` made.

        Args:
            encodings: of one picture.
            item_id: the user's own id of the item.
            user_id: compare with this user's embedding instead of the item's.
            text: compare with this text in the encoder's own space instead.
            weighting: in place of the explainer's own.

        Raises:
            BecamError: unknown ids, both a user and a text, no text tower.
        """
        if user_id is not None and text is not None:
            raise BecamError("Give a user or a text to compare with, not both.")
        weighting = _known_weighting(weighting or self.weighting)
        heatmaps = []
        for column in self._columns:
            engine = self._engines[column.engine]
            if text is not None:
                target = text_target(engine.encoder, text)
            elif user_id is not None:
                target = user_target(column.checkpoint, item_id, user_id, space=column.space)
            else:
                target = item_target(column.checkpoint, item_id, space=column.space)
            heatmaps.append(self._heatmap(column, target, encodings[column.engine], weighting))
        return heatmaps

    def explain(
        self,
        image: Image.Image | str | Path,
        item_id: str,
        *,
        user_id: str | None = None,
        text: str | None = None,
    ) -> list[Heatmap]:
        """Encode a picture and score it: one heatmap a column. See ``encode`` and ``score``."""
        if text is None:  # an unknown id should not cost a minute of encoding first
            for column in self._columns:
                column.checkpoint.item_index(item_id)
                if user_id is not None:
                    column.checkpoint.user_index(user_id)
        return self.score(self.encode(image), item_id, user_id=user_id, text=text)

    def _heatmap(
        self, column: _Column, target: Target, picture: PictureEncodings, weighting: Weighting
    ) -> Heatmap:
        real = picture.real
        weights = _weights(target, real, weighting)
        raw = weighted_sum(real.activation, weights)
        layer = self._engines[column.engine].layer
        return Heatmap(
            raw=raw.numpy(),
            weights=weights.numpy(),
            geometry=picture.geometry,
            controls=_controls(target, weights, raw, picture, weighting),
            label=column.label,
            target=target.words,
            options={
                "method": "becam",
                "encoder": self._engines[column.engine].encoder.record.describe(),
                "target_layer": layer.path,
                "masking": self.masking,
                "weighting": weighting,
                "space": target.space,
                "adapter": column.checkpoint.adapter_name("image"),
                "precision": str(self.dtype).removeprefix("torch."),
            },
        )


def _weights(target: Target, encodings: MaskedEncodings, weighting: Weighting) -> Tensor:
    blank = target.cosines(encodings.blank[None])[0]
    return channel_weights(target.cosines(encodings.features), encodings.live, weighting, blank)


def _controls(
    target: Target, weights: Tensor, raw: Tensor, picture: PictureEncodings, weighting: Weighting
) -> Controls:
    real = picture.real
    live = weights[real.live]
    other_weights = channel_weights(
        target.other_cosines(real.features),
        real.live,
        weighting,
        target.other_cosines(real.blank[None])[:, 0],
    )
    randomised = None
    if picture.randomised is not None:
        twin = picture.randomised
        twin_map = weighted_sum(twin.activation, _weights(target, twin, weighting))
        randomised = controls.correlation(raw, twin_map)
    theta = None
    if target.anchor is not None:
        theta = controls.angle(target.content(real.whole[None])[0], target.anchor)
    return Controls(
        weight_mean=float(live.mean()) if len(live) else 0.0,
        weight_std=float(live.std(correction=0)) if len(live) else 0.0,
        flat_channels=int((~real.live).sum()),
        strongest_share=controls.strongest_share(real.activation, weights),
        correlation_activation=controls.correlation(raw, real.activation.sum(0)),
        correlation_others=controls.mean_correlation(
            raw, weighted_sum(real.activation, other_weights)
        ),
        correlation_randomised=randomised,
        positive_share=float((raw > 0).float().mean()),
        theta=theta,
        stored_cosine=(None if target.stored is None else float(cosine(real.whole, target.stored))),
    )


def explain(
    image: Image.Image | str | Path,
    item_id: str,
    ckpt: Checkpoint | str | Path,
    *,
    user_id: str | None = None,
    text: str | None = None,
    encoder: str | None = None,
    weights: Sequence[str | Path] = (),
    target_layer: str | None = None,
    masking: Masking = "mean",
    weighting: Weighting = "cosine",
    space: Space = "adapted",
    randomise: bool = True,
    batch_size: int = DEFAULT_BATCH_SIZE,
    device: str = "auto",
    precision: str = "float32",
) -> Heatmap:
    """Explain one picture through one checkpoint; for more of either use :class:`Explainer`.

    Args:
        image: a picture or its path.
        item_id: the user's own id of the item.
        ckpt: a checkpoint or its path.
        user_id: compare with this user instead of the item.
        text: compare with this text instead.
        encoder, weights, target_layer, masking, weighting, space, randomise, batch_size, device,
            precision: see :class:`Explainer`.

    Raises:
        BecamError: see :class:`Explainer`.
    """
    explainer = Explainer(
        ckpt,
        encoder=encoder,
        weights=weights,
        target_layer=target_layer,
        masking=masking,
        weighting=weighting,
        space=space,
        randomise=randomise,
        batch_size=batch_size,
        device=device,
        precision=precision,
    )
    return explainer.explain(image, item_id, user_id=user_id, text=text)[0]


def _encoder(
    record: EncoderRecord, spec: str | None, weights: Sequence[str | Path], device: str
) -> Encoder:
    if record.spec is None and spec is not None:
        return load_encoder(spec, weights=weights[0] if weights else None, device=device)
    if spec is not None and spec != record.spec:
        raise BecamError(
            f"The checkpoint was trained on features of {record.describe()}, not of {spec}; leave "
            "--encoder out."
        )
    matching = [path for path in weights if _hash(path) == record.weights_sha256]
    if weights and not matching and record.weights_sha256 is not None:
        raise BecamError(
            f"None of the weights given is what the checkpoint was trained with "
            f"({record.describe()}); pass that file."
        )
    return load_recorded(record, weights=matching[0] if matching else None, device=device)


def _known_weighting(weighting: Weighting) -> Weighting:
    if weighting not in WEIGHTINGS:
        raise BecamError(f"Unknown weighting {weighting!r}; use one of {', '.join(WEIGHTINGS)}.")
    return weighting


def _hash(path: str | Path) -> str:
    if not Path(path).is_file():
        raise BecamError(f"There is no weights file at {path}; check --weights.")
    return sha256(path)


def _label(source: Checkpoint | str | Path, checkpoint: Checkpoint) -> str:
    model = str(checkpoint.recommender["name"]).upper()
    adapter = checkpoint.adapter_name("image")
    name = model if adapter == "none" else f"{model} + {ADAPTERS[adapter].title}"
    if isinstance(source, Checkpoint):
        return name
    path = Path(source)
    return f"{name} ({path.parent.name or '.'}/{path.name})"
