"""The file that training writes and everything after it reads: ``befa.pt``.

It holds tensors and plain values only, so loading one never runs code.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from becam.adapters import Adapter, create_adapter
from becam.errors import BecamError
from becam.files import atomic_file
from becam.identifiers import unknown_identifier

CHECKPOINT_NAME = "befa.pt"
FORMAT = 1

_PROGRAM = "becam"


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
    metrics: dict[str, Any]
    dataset: dict[str, Any]
    training: dict[str, Any]
    format: int = FORMAT

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            BecamError: The disk refused the write.
        """
        payload = {"program": _PROGRAM} | {f.name: getattr(self, f.name) for f in fields(self)}
        payload["modalities"] = {name: dict(vars(m)) for name, m in self.modalities.items()}
        with atomic_file(path) as temporary:
            torch.save(payload, temporary)

    @classmethod
    def load(cls, path: str | Path, map_location: str | torch.device = "cpu") -> Checkpoint:
        """Read a checkpoint: the file, or the folder of the run that wrote it.

        Raises:
            BecamError: No such file, a damaged one, one of another program or a newer becam, or
                one that holds anything but tensors and plain values.
        """
        path = Path(path)
        if path.is_dir():
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
    foreign = BecamError(f"{path} is not a becam checkpoint; becam train writes one, befa.pt.")
    damaged = BecamError(f"{path} is damaged or incomplete; copy it again or train again.")
    try:
        with open(path, "rb") as stream:
            start = stream.read(4)
        # Only torch's zip format: the older bare pickle is never ours.
        if start != b"PK\x03\x04":
            raise foreign if start else damaged
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise damaged
        payload = torch.load(path, map_location=map_location, weights_only=True)
    except BecamError:
        raise
    except FileNotFoundError:
        raise BecamError(f"There is no checkpoint at {path}; becam train writes one.") from None
    except OSError as error:
        raise BecamError(f"Cannot read the checkpoint {path}: {error.strerror}.") from error
    except pickle.UnpicklingError as error:
        raise BecamError(
            f"{path} holds more than tensors and plain values and could run code, so it was not "
            "loaded; becam's own checkpoints never do."
        ) from error
    except zipfile.BadZipFile as error:
        raise damaged from error
    except Exception as error:  # torch raises many kinds for archives that are not its own
        raise foreign from error
    if not isinstance(payload, dict) or payload.get("program") != _PROGRAM:
        raise foreign
    version = payload.get("format")
    if not isinstance(version, int) or version < 1:
        raise damaged
    if version > FORMAT:
        raise BecamError(
            f"{path} has checkpoint format {version} and this becam knows up to {FORMAT}: update "
            "becam."
        )
    return payload


def _check(payload: dict[str, Any], path: Path) -> None:
    """Raise unless every part is there, of its type, and of a shape that fits the others."""
    try:
        fault = _fault(payload)
    except BecamError as error:
        fault = str(error).rstrip(".")
    except Exception as error:  # anything may be wrong inside a file from elsewhere
        fault = f"{type(error).__name__} while reading it"
    if fault:
        raise BecamError(f"{path} does not fit together ({fault}); train again.")


def _fault(payload: dict[str, Any]) -> str | None:
    kinds = {
        "item_ids": list,
        "user_ids": list,
        "item_embeddings": Tensor,
        "user_embeddings": Tensor,
        "modalities": dict,
        "recommender": dict,
        "state": dict,
        "metrics": dict,
        "dataset": dict,
        "training": dict,
    }
    for name, kind in kinds.items():
        if not isinstance(payload.get(name), kind):
            return f"{name} is missing or not a {kind.__name__}"
    dim = payload["item_embeddings"].shape[-1]
    for side in ("item", "user"):
        shape, ids = tuple(payload[f"{side}_embeddings"].shape), payload[f"{side}_ids"]
        if shape != (len(ids), dim):
            return f"{side} embeddings have shape {shape} for {len(ids)} ids"
        if not all(isinstance(name, str) for name in ids):
            return f"{side} ids are not all text"
    if not payload["modalities"]:
        return "it has no modality"
    for name, modality in payload["modalities"].items():
        head = Head(Modality(**modality))
        if head.projection.out_features != dim:
            return f"{name} projects to {head.projection.out_features} and embeddings have {dim}"
    required = {"recommender": ("name", "config"), "dataset": ("name", "fingerprint")}
    for part, keys in required.items():
        for key in keys:
            if key not in payload[part]:
                return f"{part} has no {key}"
    return None
