"""The file that training writes and everything after it reads: ``befa.pt``.

It holds tensors and plain values only, so loading one never runs code.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
import torch
from torch import Tensor, nn

from becam.adapters import Adapter, create_adapter
from becam.encoder_values import EncoderValues
from becam.errors import BecamError, MissingFileError
from becam.files import all_finite, check_output_file, open_file, read_torch, save_torch
from becam.identifiers import unknown_identifier
from becam.records import checked, misfit

CHECKPOINT_NAME = "befa.pt"
FORMAT = 1

PROGRAM = "becam"
_SNIFFED = 1024


@dataclass(frozen=True, eq=False)
class Modality:
    """What turns one modality's content features into embeddings.

    ``projection_weight`` (d, d_m) and ``projection_bias`` (d,) are P_m; ``adapter`` holds its
    ``name``, ``config`` and ``state``; ``encoder`` records what made the features.
    """

    projection_weight: Tensor
    projection_bias: Tensor
    adapter: dict[str, Any]
    encoder: dict[str, Any]

    @classmethod
    def of(
        cls, weight: Tensor, bias: Tensor, adapter: Adapter, encoder: dict[str, Any]
    ) -> Modality:
        """What is kept of a projection (d, d_m) with bias (d,) and of an adapter, both trained."""
        kept = adapter.finished()
        return cls(
            projection_weight=weight.detach(),
            projection_bias=bias.detach(),
            adapter={
                "name": kept.name,
                "config": kept.config(),
                "state": {name: value.detach() for name, value in kept.state_dict().items()},
            },
            encoder=encoder,
        )


class Head(nn.Module):
    """Projection and adapter of one modality, frozen, in evaluation mode.

    It builds from a checkpoint alone: neither dataset nor recommender is needed.
    """

    def __init__(self, modality: Modality) -> None:
        super().__init__()
        dim, width = modality.projection_weight.shape
        adapter = modality.adapter
        with torch.device("meta"):  # no memory before it is known that the weights fit
            planned = create_adapter(adapter["name"], dim, **adapter["config"]).state_dict()
        if {key: value.shape for key, value in planned.items()} != {
            key: value.shape for key, value in adapter["state"].items()
        }:
            raise BecamError(f"the weights of the adapter are not those of {adapter['name']}.")
        # Modules draw initial weights: reading a checkpoint must not move the caller's generator.
        with torch.random.fork_rng(devices=[]):
            self.projection = nn.Linear(width, dim)
            self.adapter = create_adapter(adapter["name"], dim, **adapter["config"])
        self.projection.load_state_dict(
            {"weight": modality.projection_weight, "bias": modality.projection_bias}
        )
        self.adapter.load_state_dict(adapter["state"])
        self.requires_grad_(False)
        self.eval()

    def project(self, features: Tensor) -> Tensor:
        """P_m: content features (B, d_m) to (B, d)."""
        projected: Tensor = self.projection(features)
        return projected

    def adapt(self, z: Tensor, e: Tensor) -> Tensor:
        """g_m: projected features (B, d) and ID embeddings (B, d) to adapted features (B, d)."""
        adapted: Tensor = self.adapter(z, e)
        return adapted

    def forward(self, features: Tensor, e: Tensor) -> Tensor:
        """Content features (B, d_m) and ID embeddings (B, d) to adapted features (B, d)."""
        return self.adapt(self.project(features), e)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained recommender, whole.

    ``item_embeddings`` (I, d) and ``user_embeddings`` (U, d) are the raw ID tables; ``state``
    rebuilds the recommender (trainable content features are in it, frozen ones are not);
    ``metrics`` holds ``validation``, ``test`` and ``epoch``; ``dataset`` the name and fingerprint
    of the data; ``training`` the options, seed, version and the features' hashes.
    """

    item_ids: list[str]
    user_ids: list[str]
    item_embeddings: Tensor
    user_embeddings: Tensor
    modalities: dict[str, Modality]
    recommender: dict[str, Any]
    state: dict[str, Tensor]
    metrics: Metrics
    dataset: dict[str, Any]
    training: dict[str, Any]
    format: int = FORMAT

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            BecamError: The disk refused the write.
        """
        payload = {"program": PROGRAM} | {f.name: getattr(self, f.name) for f in fields(self)}
        payload["modalities"] = {name: dict(vars(m)) for name, m in self.modalities.items()}
        save_torch(payload, path)

    @classmethod
    def load(cls, path: str | Path, map_location: str | torch.device = "cpu") -> Checkpoint:
        """Read a checkpoint: the file, or the folder of the run that wrote it.

        Raises:
            BecamError: No such file, a damaged one, one of another program or a newer becam, or
                one that holds anything but tensors and plain values.
        """
        path = Path(path)
        if os.path.isdir(path):
            path = path / CHECKPOINT_NAME
        payload = _read(path, map_location)
        _check(payload, path)
        modalities = {name: Modality(**m) for name, m in payload["modalities"].items()}
        rest = {f.name: payload[f.name] for f in fields(cls) if f.name != "modalities"}
        return cls(modalities=modalities, **rest)

    def head(self, modality: str = "image") -> Head:
        """Projection and adapter of one modality as a frozen module in evaluation mode.

        Raises:
            BecamError: The checkpoint has no such modality.
        """
        device = self.item_embeddings.device
        return Head(self._modality(modality)).to(device)

    def adapter_name(self, modality: str) -> str:
        """Registered name of one modality's adapter; raises as :meth:`head` does."""
        name: str = self._modality(modality).adapter["name"]
        return name

    def item_index(self, id: str) -> int:
        """Row of the item with this original id.

        Raises:
            BecamError: No such item; the message names near ids.
        """
        return _index(self._items, "item", id)

    def user_index(self, id: str) -> int:
        """Row of the user with this original id; raises as :meth:`item_index` does."""
        return _index(self._users, "user", id)

    def trained_features(self, modality: str) -> Tensor | None:
        """One modality's content features (I, d_m) as trained; None where they were frozen."""
        return self.state.get(f"features.{modality}.rows")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all that heatmaps depend on, the same wherever the file lies.

        That is items, users, their ID embeddings, projections, adapters, encoders and trained
        features.
        """
        digest = hashlib.sha256()
        _digest(digest, [self.item_ids, self.user_ids])
        _digest(digest, [self.item_embeddings, self.user_embeddings])
        for name, modality in sorted(self.modalities.items()):
            _digest(digest, [name, vars(modality), self.trained_features(name)])
        return digest.hexdigest()

    @cached_property
    def _items(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.item_ids)}

    @cached_property
    def _users(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.user_ids)}

    def _modality(self, name: str) -> Modality:
        if name not in self.modalities:
            raise BecamError(
                f"The checkpoint was not trained on {name!r} features; it knows "
                f"{', '.join(self.modalities)}."
            )
        return self.modalities[name]


def _digest(digest: hashlib._Hash, value: object) -> None:
    if isinstance(value, Tensor):
        _digest(digest, f"{value.dtype} {list(value.shape)}")
        flat = value.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)
    elif isinstance(value, dict):
        for key in sorted(value):
            _digest(digest, key)
            _digest(digest, value[key])
    elif isinstance(value, list) and any(isinstance(one, (Tensor, dict)) for one in value):
        for one in value:
            _digest(digest, one)
    else:
        digest.update(json.dumps(value, sort_keys=True, default=str).encode())


def is_checkpoint(path: str | Path) -> bool:
    """Whether a file is one that becam wrote as a checkpoint, sound or not."""
    try:
        with open_file(path) as stream:
            start = stream.read(_SNIFFED)
    except (BecamError, OSError):
        return False
    # What torch's archive holds first begins with the name of the program.
    return start.startswith(b"PK") and b"program" in start and PROGRAM.encode() in start


def check_checkpoint_output(
    path: str | Path, *, overwrite: bool, inputs: Iterable[str | Path | None] = ()
) -> None:
    """Raise unless a checkpoint may be written at ``path``, before the work for it begins.

    Args:
        path: of the file.
        overwrite: replace a checkpoint that is there.
        inputs: what the command reads.

    Raises:
        BecamError: nothing can be written there, something is there and ``overwrite`` is false, or
            it is not a checkpoint of becam's.
    """
    if not check_output_file(path, inputs=inputs).exists():
        return
    if not overwrite:
        raise BecamError(f"{path} already exists; choose another -o or pass --overwrite.")
    if not is_checkpoint(path):
        raise BecamError(
            f"{path} is not a checkpoint that becam wrote, so it is left as it is; choose another "
            "-o."
        )


def installed_version() -> str:
    """The version of becam that writes a checkpoint."""
    try:
        return version("becam")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "unknown"


def _index(rows: Mapping[str, int], kind: str, id: str) -> int:
    if id not in rows:
        raise BecamError(unknown_identifier(kind, id, rows.keys()))
    return rows[id]


def _read(path: Path, map_location: str | torch.device) -> dict[str, Any]:
    """The payload of a becam checkpoint of a format that we know, its content unchecked."""
    made = f"becam train writes one, {CHECKPOINT_NAME}"
    try:
        payload = read_torch(
            path,
            what="becam checkpoint",
            made=made,
            remedy="copy it again or train again",
            device=map_location,
        )
    except MissingFileError:
        raise BecamError(f"There is no checkpoint at {path}; becam train writes one.") from None
    if not isinstance(payload, dict) or payload.get("program") != PROGRAM:
        raise BecamError(f"{path} is not a becam checkpoint; {made}.")
    known = checked(payload.get("format"), _Format, where=str(path), remedy="train again")
    if known > FORMAT:
        raise BecamError(
            f"{path} has checkpoint format {known} and this becam knows up to {FORMAT}: update "
            "becam."
        )
    return payload


def _check(payload: dict[str, Any], path: Path) -> None:
    """Raise unless every part is there, of its type, and of a shape that fits the others."""
    try:
        fault = misfit(payload, _Payload) or _fault(payload)
    except BecamError as error:
        fault = str(error).rstrip(".")
    except Exception as error:  # anything may be wrong inside a file from elsewhere
        fault = f"{type(error).__name__} while reading it"
    if fault:
        raise BecamError(f"{path} does not fit together ({fault}); train again.")


def _fault(payload: dict[str, Any]) -> str | None:
    plain = [payload[part] for part in ("recommender", "metrics", "dataset", "training")]
    for modality in payload["modalities"].values():
        plain += [modality["adapter"]["config"], modality["encoder"]]
    if _holds_tensor(plain):
        return "a tensor is where plain values belong"
    for name, value in _tensors(payload):
        if not isinstance(value, Tensor):
            return f"{name} is not a tensor"
        if not all_finite(value):
            return f"{name} holds values that are not finite"
    if payload["item_embeddings"].ndim != 2:
        return "item embeddings are no table"
    dim = payload["item_embeddings"].shape[1]
    for side in ("item", "user"):
        shape, ids = tuple(payload[f"{side}_embeddings"].shape), payload[f"{side}_ids"]
        if shape != (len(ids), dim):
            return f"{side} embeddings have shape {shape} for {len(ids)} ids"
    for name, modality in payload["modalities"].items():
        head = Head(Modality(**modality))
        if head.projection.out_features != dim:
            return f"{name} projects to {head.projection.out_features} and embeddings have {dim}"
    return None


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return any(map(_holds_tensor, value))
    return isinstance(value, Tensor)


def _tensors(payload: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Everything that must be a tensor, by a name for people."""
    yield "item_embeddings", payload["item_embeddings"]
    yield "user_embeddings", payload["user_embeddings"]
    for name, modality in payload["modalities"].items():
        yield f"the projection of {name}", modality["projection_weight"]
        yield f"the projection of {name}", modality["projection_bias"]
        for key, value in modality["adapter"]["state"].items():
            yield f"{key} of the adapter of {name}", value
    for key, value in payload["state"].items():
        yield f"{key} of the state", value


_Format = Annotated[int, msgspec.Meta(ge=1)]


class _AdapterRecord(TypedDict):
    name: str
    config: dict[str, Any]
    state: dict[str, Any]


class _Modality(TypedDict):
    projection_weight: Any
    projection_bias: Any
    adapter: _AdapterRecord
    encoder: EncoderValues


class _Recommender(TypedDict):
    name: str
    config: dict[str, Any]


class _Dataset(TypedDict):
    name: str
    fingerprint: str


class Metrics(TypedDict):
    """What a checkpoint's ``metrics`` hold."""

    epoch: Annotated[int, msgspec.Meta(ge=0)]
    validation: dict[str, float]
    test: dict[str, float]


class _Features(TypedDict):
    name: str
    sha256: dict[str, str]


class _Training(TypedDict, total=False):
    options: dict[str, Any]
    seed: int
    mask_validation: bool
    features: _Features
    stopped: str
    version: str


class _Payload(TypedDict):
    """What a file holds; tensors are looked at one by one."""

    item_ids: Annotated[list[str], msgspec.Meta(min_length=1)]
    user_ids: list[str]
    item_embeddings: Any
    user_embeddings: Any
    modalities: Annotated[dict[str, _Modality], msgspec.Meta(min_length=1)]
    recommender: _Recommender
    state: dict[str, Any]
    metrics: Metrics
    dataset: _Dataset
    training: _Training
