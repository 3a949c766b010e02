"""The weight files that the authors of BeFA released, to a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from becam.adapters import Adapter, create_adapter
from becam.checkpoint import Checkpoint, Modality, installed_version
from becam.data.sources.mmrec import original_ids
from becam.data.tables import columns, reading, require_columns, scan_table
from becam.encoders import EncoderRecord, load_encoder
from becam.encoders.weights import read_state_dict
from becam.errors import BecamError
from becam.files import sha256
from becam.interop.vectors import read_ids, read_vectors

if TYPE_CHECKING:
    from becam.data.dataset import Dataset

NAME = "imported"
"""What checkpoints call a recommender of which only these files are there."""

ITEMS = "item_id_embedding"
PROJECTIONS = {"image": "image_trs", "text": "text_trs"}
GATES = {"image": "gate_v", "text": "gate_t"}

_LINEAR = ("weight", "bias")
# Places in the release's nn.Sequential, which has activations and dropouts between.
_GATE_LAYERS = {"0": "w1", "4": "w2", "7": "w3"}


@dataclass(frozen=True)
class Release:
    """The files of one model.

    Attributes:
        folder: where they are.
        name: what their names end in; may be empty.
    """

    folder: Path
    name: str

    @classmethod
    def find(cls, folder: Path, name: str | None = None) -> Release:
        """The model of this name, or the only one.

        Raises:
            BecamError: no such folder or model, or several and no name.
        """
        if not folder.is_dir():
            raise BecamError(f"There is no folder {folder}; give the one with the released files.")
        endings = (path.stem.removeprefix(ITEMS) for path in folder.glob(f"{ITEMS}*.npy"))
        names = sorted(end[1:] for end in endings if end[:1] in ("", "_"))
        if not names:
            raise BecamError(
                f"{folder} has no {ITEMS}_*.npy; give the folder with the released files."
            )
        if name is None and len(names) > 1:
            raise BecamError(
                f"{folder} holds several models; choose one with --name: "
                f"{', '.join(map(repr, names))}."
            )
        chosen = names[0] if name is None else name
        if chosen not in names:
            raise BecamError(
                f"{folder} has no {ITEMS} of {chosen!r}; choose a --name from "
                f"{', '.join(map(repr, names))}."
            )
        return cls(folder, chosen)

    def path(self, stem: str, suffix: str = ".pt") -> Path:
        """The file of one part."""
        return self.folder / f"{stem}{'_' if self.name else ''}{self.name}{suffix}"

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those with a projection.

        Raises:
            BecamError: none has, or one has a gate alone.
        """
        for modality, stem in GATES.items():
            projection = self.path(PROJECTIONS[modality])
            if self.path(stem).is_file() and not projection.is_file():
                raise BecamError(
                    f"{self.path(stem)} has no {projection.name} beside it; put that there too."
                )
        found = tuple(m for m, stem in PROJECTIONS.items() if self.path(stem).is_file())
        if not found:
            names = " nor ".join(self.path(stem).name for stem in PROJECTIONS.values())
            raise BecamError(f"{self.folder} has neither {names}; put one there too.")
        return found

    @property
    def files(self) -> list[Path]:
        """All that are there."""
        stems = (*PROJECTIONS.values(), *GATES.values())
        parts = [self.path(ITEMS, ".npy"), *map(self.path, stems)]
        return [path for path in parts if path.is_file()]


def import_release(
    folder: str | Path,
    *,
    name: str | None = None,
    dataset: Dataset | None = None,
    features: str | None = None,
    item_ids: Sequence[str] | None = None,
    encoder: str | None = None,
    weights: str | Path | None = None,
) -> Checkpoint:
    """Make a checkpoint of released weight files, so that its items can be explained.

    Gates become BeFA in its ``released`` variant; a modality without one has no adapter. There
    are no users and no recommender, and the features as training left them are not among the
    files: a picture's are those that the encoder gives.

    Args:
        folder: Of ``item_id_embedding_*.npy``, ``image_trs_*.pt``, ``text_trs_*.pt``,
            ``gate_v_*.pt`` and ``gate_t_*.pt``.
        name: What the names end in, where the folder holds several models.
        dataset: Whose items these are, in this order; it also tells the encoders.
        features: Name of its feature set; the only one when None.
        item_ids: The items' original ids, by row; None: the dataset's, or else row numbers.
        encoder: Spec of the picture encoder, where no feature set tells it.
        weights: Its local weights file.

    Raises:
        BecamError: Files that are missing, damaged, unsafe or do not fit together, the dataset or
            the encoder.
    """
    release = Release.find(Path(folder), name)
    modalities = release.modalities
    items = _read_items(release.path(ITEMS, ".npy"))
    parts = {m: _read_modality(release, m, items.shape[1]) for m in modalities}
    records = _encoders(parts, dataset, features, encoder, weights)
    return Checkpoint(
        item_ids=_item_ids(release, len(items), item_ids, dataset),
        user_ids=[],
        item_embeddings=items,
        user_embeddings=torch.empty(0, items.shape[1]),
        modalities={
            modality: Modality.of(weight, bias, adapter, records[modality])
            for modality, (weight, bias, adapter) in parts.items()
        },
        recommender={"name": NAME, "config": {}},
        state={},
        metrics={"epoch": 0, "validation": {}, "test": {}},
        dataset={
            "name": Path(folder).resolve().name if dataset is None else dataset.manifest.name,
            "fingerprint": "" if dataset is None else dataset.fingerprint,
        },
        training={
            "version": installed_version(),
            "release": {path.name: sha256(path) for path in release.files},
        },
    )


def read_item_ids(path: Path, count: int, column: str | None = None) -> list[str]:
    """Ids of the rows: one a line, a column of a table, or MMRec's ``i_id_mapping.csv``.

    A table with a column ``itemID`` gives each row's number there, in any order; of others the
    rows count in their order.

    Args:
        path: The file; text, table or ``.npy``.
        count: Number of rows that need an id.
        column: Of the table; may be left out where there is but one.

    Raises:
        BecamError: no such file or column, or not an id for each row.
    """
    if path.suffix == ".npy":
        return read_ids(path, count, ())
    table = scan_table(path)
    names = columns(table)
    if column is None and "itemID" in names:
        numbers = pl.int_range(count, eager=True).alias("itemID")
        return original_ids(path, numbers)["id"].to_list()
    if column is None and len(names) == 1:
        return read_ids(path, count, ())
    if column is None:
        raise BecamError(
            f"{path} has the columns {', '.join(names)}; name that of the ids with --item-column."
        )
    require_columns(table, (column,), path)
    with reading(path):
        ids = table.select(column).collect()[column]
    return ids.cast(str).fill_null("").to_list()


def _item_ids(
    release: Release, count: int, given: Sequence[str] | None, dataset: Dataset | None
) -> list[str]:
    """An id for each of the release's items, no two alike."""
    items = release.path(ITEMS, ".npy").name
    if given is not None:
        names = [str(name) for name in given]
        if len(names) != count:
            raise BecamError(
                f"{items} has {count:,} rows and there are {len(names):,} ids; give one for each "
                "row, in the rows' order."
            )
        if len(set(names)) < count or "" in names:
            raise BecamError("Some item ids are empty or given twice; give each row its own.")
        return names
    if dataset is None:
        return [str(row) for row in range(count)]
    if dataset.n_items != count:
        raise BecamError(
            f"{items} has {count:,} rows and {dataset.path} {dataset.n_items:,} items, so that "
            "rows and items cannot be matched by their order; name the rows' ids with --ids."
        )
    return dataset.item_ids


def _encoders(
    parts: dict[str, tuple[Tensor, Tensor, Adapter]],
    dataset: Dataset | None,
    features: str | None,
    spec: str | None,
    weights: str | Path | None,
) -> dict[str, dict[str, Any]]:
    """What is known of the encoder behind each modality."""
    records: dict[str, dict[str, Any]] = {m: EncoderRecord(None).to_dict() for m in parts}
    if dataset is not None and (features is not None or dataset.feature_sets()):
        feature_set = dataset.feature_set(features)
        for modality in records.keys() & set(feature_set.modalities):
            dim = feature_set.records[modality]["dim"]
            _check_width(parts[modality][0], dim, f"the feature set {feature_set.name}", modality)
            records[modality] = dict(feature_set.encoders[modality])
    if spec is None:
        return records
    if "image" not in parts:
        raise BecamError("There is no image_trs among the files, so leave --encoder out.")
    known = EncoderRecord.from_dict(records["image"])
    if known.spec is not None:
        raise BecamError(
            f"The features of the dataset are those of {known.describe()}; leave --encoder out."
        )
    loaded = load_encoder(spec, weights=weights)
    _check_width(parts["image"][0], loaded.dim, loaded.record.describe(), "image")
    return records | {"image": loaded.record.to_dict()}


def _check_width(weight: Tensor, dim: int, whose: str, modality: str) -> None:
    if weight.shape[1] != dim:
        raise BecamError(
            f"{PROJECTIONS[modality]} projects features of length {weight.shape[1]}, but those of "
            f"{whose} have {dim}; name the one that the release was trained with."
        )


def _read_items(path: Path) -> Tensor:
    """ID embeddings (I, d) float32."""
    matrix = read_vectors(path)
    if matrix.ndim != 2 or not matrix.size or not np.issubdtype(matrix.dtype, np.floating):
        raise BecamError(
            f"{path} holds {matrix.dtype} of shape {matrix.shape} where floats of one row per item "
            "belong; fetch it again."
        )
    return _finite(torch.from_numpy(matrix.astype(np.float32)), path)


def _read_modality(release: Release, modality: str, dim: int) -> tuple[Tensor, Tensor, Adapter]:
    """Projection weight (d, d_m) and bias (d,), and the adapter."""
    path = release.path(PROJECTIONS[modality])
    state = _read_layers(path, _LINEAR, "a linear layer")
    weight, bias = state["weight"], state["bias"]
    if weight.ndim != 2 or len(weight) != dim or bias.shape != (dim,):
        raise _misfit(path, state, f"a linear layer to the items' {dim} dimensions")
    gate = release.path(GATES[modality])
    return weight, bias, _read_gate(gate, dim) if gate.is_file() else create_adapter("none", dim)


def _read_gate(path: Path, dim: int) -> Adapter:
    keys = [f"{place}.{part}" for place in _GATE_LAYERS for part in _LINEAR]
    state = _read_layers(path, keys, "the released gate")
    hidden = len(state["0.bias"]) if state["0.bias"].ndim else 0
    try:
        adapter = create_adapter("befa", dim, variant="released", ratio=hidden / dim)
    except BecamError as error:
        raise BecamError(f"{path} has a hidden width of {hidden}: {error}") from None
    named = {
        f"{layer}.{part}": state[f"{place}.{part}"]
        for place, layer in _GATE_LAYERS.items()
        for part in _LINEAR
    }
    expected = {name: value.shape for name, value in adapter.state_dict().items()}
    if {name: value.shape for name, value in named.items()} != expected:
        raise _misfit(path, state, f"a gate from {dim} to {hidden}, {hidden} and {dim}")
    adapter.load_state_dict(named)
    return adapter.eval()


def _read_layers(path: Path, keys: Sequence[str], what: str) -> dict[str, Tensor]:
    """The float32 tensors of a state dict with exactly these keys."""
    state = read_state_dict(path)
    if sorted(state) != sorted(keys):
        raise BecamError(
            f"{path} holds {', '.join(sorted(state)) or 'nothing'} where {what} has "
            f"{', '.join(keys)}; give the released file."
        )
    return {key: _finite(value.detach().float(), path) for key, value in state.items()}


def _finite(values: Tensor, path: Path) -> Tensor:
    if not bool(values.isfinite().all()):
        raise BecamError(f"{path} holds values that are not finite; fetch it again.")
    return values


def _misfit(path: Path, state: dict[str, Tensor], expected: str) -> BecamError:
    shapes = ", ".join(f"{key} {tuple(value.shape)}" for key, value in state.items())
    return BecamError(f"{path} holds {shapes}, which is not {expected}; give files of one model.")
