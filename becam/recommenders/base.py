"""What every recommender promises, and what all of them share: embeddings, content, adapters."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from becam.adapters import Adapter, create_adapter
from becam.errors import BecamError
from becam.options import declared_options
from becam.recommenders.graph import normalised_adjacency
from becam.recommenders.knn import FindNeighbours, Neighbours, find_neighbours

EMBEDDING_DIM = 64

FeaturesMode = Literal["frozen", "trainable"]


class TrainingData(NamedTuple):
    """What every recommender is built on.

    Attributes:
        n_users: number of users U.
        n_items: number of items I.
        pairs: training interactions, (n, 2) int64 of [user, item].
        features: content features X_m by modality, each (I, d_m) float32; one or more.
    """

    n_users: int
    n_items: int
    pairs: NDArray[np.int64]
    features: Mapping[str, NDArray[np.float32]]


class Batch(NamedTuple):
    """Training interactions: ``users``, ``items`` and, for pairwise losses, ``negatives``.

    Each is (B,) int64.
    """

    users: Tensor
    items: Tensor
    negatives: Tensor | None = None

    def pair(self) -> Tensor:
        """Items, then negatives, (2B,): one look-up for both costs one gradient of the table."""
        assert self.negatives is not None, "a pairwise loss needs negatives"
        return torch.cat([self.items, self.negatives])


@dataclass(frozen=True)
class Recipe:
    """How a recommender is trained unless the user says otherwise.

    Attributes:
        lr: Adam's learning rate.
        lr_search: the learning rates that a hyper-parameter search tries; empty: ``lr`` alone.
        lr_decay: what 50 epochs multiply the learning rate by.
        warmup: first epochs on which patience does not count.
    """

    lr: float = 1e-3
    lr_search: tuple[float, ...] = ()
    lr_decay: float = 1.0
    warmup: int = 0

    def decay(self, epoch: int) -> float:
        """What the learning rate is multiplied by in an epoch; they count from 1."""
        return float(self.lr_decay ** ((epoch - 1) / 50))


class Recommender(nn.Module, ABC):
    """ID embeddings and adapted content over the graph of the training interactions.

    Args:
        data: Users, items, training interactions and content features.
        adapter: Registered name of the adapter that every modality gets.
        adapter_options: The adapter's own options.
        features_mode: ``frozen`` keeps X_m as given; ``trainable`` learns it, as MMRec does.
        dim: Embedding width d.
        find_neighbours: Finds items near in content, for recommenders with item graphs.

    A recommender's own options are keyword parameters annotated with
    :class:`~becam.options.Option`, kept in attributes of the same names.

    Raises:
        BecamError: No modality, features that do not match the items, an unknown option.
    """

    name: ClassVar[str]
    """What options and checkpoints call it."""

    title: ClassVar[str]
    """What tables and figures call it."""

    recipe: ClassVar[Recipe] = Recipe()
    """How it is trained by default."""

    pairwise: ClassVar[bool] = False
    """Whether its loss compares an item with one that the user has not chosen."""

    def __init__(
        self,
        data: TrainingData,
        *,
        adapter: str = "none",
        adapter_options: Mapping[str, Any] | None = None,
        features_mode: FeaturesMode = "frozen",
        dim: int = EMBEDDING_DIM,
        find_neighbours: FindNeighbours = find_neighbours,
    ) -> None:
        super().__init__()
        n_users, n_items, pairs, features = data
        _check_features(features, n_items)
        if features_mode not in get_args(FeaturesMode):
            raise BecamError(
                f"Features are either {' or '.join(get_args(FeaturesMode))}, not {features_mode!r}."
            )
        self.features_mode = features_mode
        self.modalities = tuple(features)
        self.user_embedding = nn.Parameter(torch.empty(n_users, dim))
        self.item_embedding = nn.Parameter(torch.empty(n_items, dim))
        nn.init.xavier_uniform_(self.user_embedding)
        nn.init.xavier_uniform_(self.item_embedding)
        self.features = nn.ModuleDict(
            {m: _Rows(x, trainable=features_mode == "trainable") for m, x in features.items()}
        )
        self.projections = nn.ModuleDict(
            {m: nn.Linear(x.shape[1], dim) for m, x in features.items()}
        )
        self.adapters = nn.ModuleDict(
            {m: create_adapter(adapter, dim, **(adapter_options or {})) for m in features}
        )
        self.adjacency = normalised_adjacency(pairs, n_users, n_items)
        self._find_neighbours = find_neighbours

    @property
    def n_users(self) -> int:
        """Number of users U."""
        return self.user_embedding.shape[0]

    @property
    def n_items(self) -> int:
        """Number of items I."""
        return self.item_embedding.shape[0]

    def projection(self, modality: str) -> nn.Linear:
        """P_m, the linear map from content features (d_m) to embeddings (d)."""
        return cast(nn.Linear, self.projections[modality])

    def adapter(self, modality: str) -> Adapter:
        """g_m, the adapter of one modality."""
        return cast(Adapter, self.adapters[modality])

    def projected(self, modality: str, items: Tensor | None = None) -> Tensor:
        """Content after the projection and before the adapter: f_m = P_m(X_m).

        Args:
            modality: One of ``modalities``.
            items: Rows wanted, (B,); all of them when None.

        Returns:
            (B, d), or (I, d) for all items.
        """
        rows: Tensor = self.features[modality](items)
        return self.projection(modality)(rows)  # type: ignore[no-any-return]

    def content(self, modality: str, items: Tensor | None = None) -> Tensor:
        """Content after the projection and the adapter: a_m = g_m(f_m, E_i).

        Args:
            modality: One of ``modalities``.
            items: Rows wanted, (B,); all of them when None.

        Returns:
            (B, d), or (I, d) for all items.
        """
        ids = self.item_embedding if items is None else take(self.item_embedding, items)
        return self.adapter(modality)(self.projected(modality, items), ids)  # type: ignore[no-any-return]

    @abstractmethod
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The loss terms of a batch by name, weighted, so that their sum is what is minimised."""

    @abstractmethod
    def embeddings(self) -> tuple[Tensor, Tensor]:
        """Users (U, d) and items (I, d) whose dot product is the score."""

    def options(self) -> dict[str, Any]:
        """The recommender's own options, as plain values, to build it again."""
        return {name: getattr(self, name) for name in declared_options(type(self))}

    def start_epoch(self, epoch: int) -> None:
        """Prepare for a pass over the training interactions; epochs count from 1."""
        for modality in self.modalities:
            self.adapter(modality).start_epoch(epoch)

    def penalties(self) -> dict[str, Tensor]:
        """What the adapters add to the loss, weighted, by name."""
        found = {m: self.adapter(m).penalty() for m in self.modalities}
        return {f"{m}_size": penalty for m, penalty in found.items() if penalty is not None}

    def neighbours(
        self, features: Mapping[str, NDArray[np.float32]], k: int
    ) -> dict[str, Neighbours]:
        """Each modality's nearest items by the content features as given."""
        return {m: self._find_neighbours(x, k) for m, x in features.items()}


class _Rows(nn.Module):
    """A table of content features: a buffer that no checkpoint carries, or a parameter."""

    def __init__(self, values: NDArray[np.float32], *, trainable: bool) -> None:
        super().__init__()
        self.rows: Tensor
        if trainable:
            # A copy: the array may be a read-only memory map.
            self.rows = nn.Parameter(torch.tensor(np.asarray(values)))
        else:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
                rows = torch.from_numpy(np.asarray(values))
            self.register_buffer("rows", rows, persistent=False)

    def forward(self, items: Tensor | None) -> Tensor:
        return self.rows if items is None else take(self.rows, items)


def bpr(users: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """-mean log sigmoid(u.p - u.n) over rows (B, d)."""
    margin = (users * (positives - negatives)).sum(dim=1)
    return -nn.functional.logsigmoid(margin).mean()


# MMRec divides by its configured batch size, also in the last, smaller batch.
_REG_BATCH = 2048


def squared_norms(*rows: Tensor) -> Tensor:
    """Reg = (|u|^2 + |p|^2 + |n|^2) / 2 / 2048 over the rows of a batch."""
    return torch.stack([x.square().sum() for x in rows]).sum() / 2 / _REG_BATCH


def take(rows: Tensor, index: Tensor) -> Tensor:
    """``rows[index]`` for (n, d) and (B,), with a backward that is fast and deterministic on CPU.

    Plain indexing scatters its gradient with atomic adds, in an order that changes between runs.
    """
    return nn.functional.embedding(index, rows)


def take_nodes(nodes: Tensor, batch: Batch, n_users: int) -> tuple[Tensor, Tensor]:
    """A batch's users (B, d) and its items and negatives (2B, d) out of all nodes (U+I, d).

    One look-up, so that one dense gradient comes back instead of one for each side.
    """
    rows = torch.cat([batch.users, n_users + batch.pair()])
    users, items = torch.split(take(nodes, rows), [len(batch.users), 2 * len(batch.users)])
    return users, items


def _check_features(features: Mapping[str, NDArray[np.float32]], n_items: int) -> None:
    if not features:
        raise BecamError("A recommender needs the content features of at least one modality.")
    for modality, values in features.items():
        if values.ndim != 2 or values.shape[0] != n_items:
            raise BecamError(
                f"The {modality} features have shape {values.shape} but the dataset has {n_items} "
                "items: encode the dataset again."
            )
        if values.dtype != np.float32:
            raise BecamError(
                f"The {modality} features are {values.dtype} and must be float32: encode the "
                "dataset again."
            )
