"""How far content is from behaviour, item by item, before and after the adapter (Eq. 4-7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import Tensor

from becam.attribution.controls import DRIFT_DEGREES, OMISSION_DEGREES
from becam.attribution.labels import Source, Sources, column_label, loaded, named_sources
from becam.checkpoint import Checkpoint, Head
from becam.contents import Contents, find_contents, known_items
from becam.data.dataset import Dataset, sort_modalities
from becam.errors import BecamError
from becam.evaluation.deviation_summary import Summary, summarise
from becam.limits import DEGREES, SEED
from becam.progress import bar

Floats = NDArray[np.float64]

_ROWS = 16_384
"""Items that are projected at a time."""

_VALUES = (
    "theta_before",
    "theta_after",
    "theta_permuted_before",
    "theta_permuted_after",
    "deviation_before",
    "deviation_after",
    "projection_before",
    "projection_after",
)


class Angles(NamedTuple):
    """Content e' against behaviour e, row by row; NaN where one of them is zero.

    Attributes:
        theta: arccos cos(e, e'), in degrees, (n,) (Eq. 4).
        projection: signed length e' . e / |e| of the projection of e' on e, (n,) (Eq. 5).
        deviation: f = 1 - cos(e, e'), (n,) (Eq. 6).
    """

    theta: Floats
    projection: Floats
    deviation: Floats


@dataclass(frozen=True, eq=False)
class Deviation:
    """One modality of one checkpoint.

    Attributes:
        label: names the checkpoint.
        modality: of the content.
        adapter: registered name; ``none``: before and after are the same.
        omission: theta in degrees beyond which content omits behaviour.
        seed: of the control and of the intervals.
        items: a row an item: ``id``, ``category``, ``checkpoint``, ``modality``; ``theta_*`` in
            degrees, ``deviation_*`` (f_i) and ``projection_*`` (signed length of p_i);
            ``theta_permuted_*``: the angle when the content is another item's; ``omission_*`` and
            ``drift_*``, which say whether theta is beyond the threshold; each ``*_before`` and
            ``*_after`` the adapter. Null where content or ID embedding is zero.
    """

    label: str
    modality: str
    adapter: str
    omission: float
    seed: int
    items: pl.DataFrame

    @cached_property
    def summary(self) -> Summary:
        """Means over all items and over each category, with intervals and tests."""
        return summarise(
            self.items,
            label=self.label,
            modality=self.modality,
            adapter=self.adapter,
            omission=self.omission,
            seed=self.seed,
        )


def deviation(
    checkpoints: Sources,
    *,
    dataset: Dataset | str | Path | None = None,
    modalities: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    omission: float = OMISSION_DEGREES,
    seed: int = 0,
) -> list[Deviation]:
    """How far the items' content is from their ID embeddings, before and after the adapter.

    Args:
        checkpoints: checkpoints, or paths of them.
        dataset: a dataset folder made by ``becam prepare``, for the items' categories and for the
            content features, unless the checkpoint trained those.
        modalities: of the content; by default all of each checkpoint.
        labels: a name for each checkpoint; by default the model and its adapter, and the path.
        omission: theta in degrees beyond which content omits behaviour.
        seed: of the control (whose content an item gets) and of the intervals.

    Returns:
        One entry for each checkpoint and modality.

    Raises:
        BecamError: unreadable checkpoints, a modality that one has not, features that nobody has,
            a dataset of other items.
    """
    return list(
        deviations(
            checkpoints,
            dataset=dataset,
            modalities=modalities,
            labels=labels,
            omission=omission,
            seed=seed,
        )
    )


def deviations(
    checkpoints: Sources,
    *,
    dataset: Dataset | str | Path | None = None,
    modalities: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    omission: float = OMISSION_DEGREES,
    seed: int = 0,
    progress: bool = False,
) -> Iterator[Deviation]:
    """The same as :func:`deviation`, one after another: nothing is held longer than it is used.

    Args:
        checkpoints, dataset, modalities, labels, omission, seed: as there.
        progress: show a bar on stderr where it takes more than a second.
    """
    DEGREES.check(omission, "--omission")
    SEED.check(seed, "--seed")
    sources = named_sources(checkpoints, labels)
    opened = dataset if dataset is None or isinstance(dataset, Dataset) else Dataset.open(dataset)
    for source, given in sources:
        checkpoint = loaded(source)
        for modality in _chosen(checkpoint, source, modalities):
            contents = find_contents(checkpoint, modality, opened)
            values = _measure(checkpoint, modality, contents, seed, progress)
            label = column_label(source, checkpoint, modality) if given is None else given
            yield Deviation(
                label=label,
                modality=modality,
                adapter=checkpoint.adapter_name(modality),
                omission=omission,
                seed=seed,
                items=_table(checkpoint, contents, opened, values).select(
                    "id",
                    "category",
                    pl.lit(label).alias("checkpoint"),
                    pl.lit(modality).alias("modality"),
                    pl.col(_VALUES).fill_nan(None),
                    *_flags("omission", omission),
                    *_flags("drift", DRIFT_DEGREES),
                ),
            )


def compare(content: Tensor, behaviour: Tensor) -> Angles:
    """Content e' (n, d) against behaviour e (n, d), row by row, in double precision."""
    a, e = (x.detach().cpu().numpy().astype(np.float64) for x in (content, behaviour))
    with np.errstate(invalid="ignore", divide="ignore"):
        direction = e / np.linalg.norm(e, axis=1, keepdims=True)
        projection = (a * direction).sum(axis=1)
        cosines = np.clip(projection / np.linalg.norm(a, axis=1), -1.0, 1.0)
    return Angles(np.degrees(np.arccos(cosines)), projection, 1.0 - cosines)


def receivers(n: int, seed: int) -> NDArray[np.int64]:
    """Which item gets the content of each of n items (n,): one item each, and never its own.

    The items stand in a random circle, and each passes its content on.
    """
    circle = np.random.default_rng(seed).permutation(n)
    found = np.empty(n, dtype=np.int64)
    found[circle] = np.roll(circle, -1)
    return found


def _chosen(
    checkpoint: Checkpoint, source: Source, modalities: Sequence[str] | None
) -> tuple[str, ...]:
    there = sort_modalities(checkpoint.modalities)
    missing = [name for name in modalities or () if name not in there]
    if missing:
        name = "The checkpoint" if isinstance(source, Checkpoint) else source
        raise BecamError(
            f"{name} was trained without {' and '.join(missing)} features, only with "
            f"{' and '.join(there)}; leave --modality {missing[0]} out."
        )
    return there if modalities is None else sort_modalities(modalities)


def _measure(
    checkpoint: Checkpoint, modality: str, contents: Contents, seed: int, progress: bool
) -> dict[str, Floats]:
    """The values (n,) of the items of ``contents``, by column."""
    head, embeddings, n = checkpoint.head(modality), checkpoint.item_embeddings, len(contents)
    items, receiver = contents.items, receivers(n, seed)
    values = {name: np.full(n, np.nan) for name in _VALUES}
    hidden = not progress
    with bar(desc=f"Comparing {modality}", total=n, unit="item", disable=hidden, delay=1) as shown:
        for part, features in contents.chunks(_ROWS):
            z = head.project(features.to(embeddings.device))
            for when, found in _both(head, z, embeddings[items[part]].float()).items():
                values[f"theta_{when}"][part] = found.theta
                values[f"deviation_{when}"][part] = found.deviation
                values[f"projection_{when}"][part] = found.projection
            if n > 1:
                others = receiver[part]
                for when, found in _both(head, z, embeddings[items[others]].float()).items():
                    values[f"theta_permuted_{when}"][others] = found.theta
            shown.update(len(features))
    return values


def _both(head: Head, z: Tensor, e: Tensor) -> dict[str, Angles]:
    return {"before": compare(z, e), "after": compare(head.adapt(z, e), e)}


def _table(
    checkpoint: Checkpoint, contents: Contents, dataset: Dataset | None, values: dict[str, Floats]
) -> pl.DataFrame:
    ids = pl.Series("id", checkpoint.item_ids, dtype=pl.String).gather(contents.items)
    table = pl.DataFrame({"id": ids, **values})
    if dataset is None:
        return table.with_columns(pl.lit(None, dtype=pl.String).alias("category"))
    known_items(checkpoint, dataset)  # features of the checkpoint's own did not need any
    categories = dataset.items.select("id", pl.col("category").cast(pl.String))
    return table.join(categories, on="id", how="left", maintain_order="left")


def _flags(name: str, degrees: float) -> list[pl.Expr]:
    return [
        (pl.col(f"theta_{when}").fill_nan(None) > degrees).alias(f"{name}_{when}")
        for when in ("before", "after")
    ]
