"""Which checkpoint stands before which: those of one recommender without and with adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from becam.adapters import ADAPTERS
from becam.attribution.labels import Source, Sources, column_label, loaded, named_sources
from becam.checkpoint import Checkpoint
from becam.errors import BecamError
from becam.recommenders import RECOMMENDERS

PLAIN = "none"


@dataclass(frozen=True, eq=False)
class Named:
    """A checkpoint.

    Attributes:
        checkpoint: as loaded.
        adapter: title of its adapter; where two would be alike, with the run's folder.
        label: model, adapter and path, for captions.
    """

    checkpoint: Checkpoint
    adapter: str
    label: str


@dataclass(frozen=True, eq=False)
class Family:
    """The checkpoints of one recommender.

    Attributes:
        title: of the recommender.
        plain: without an adapter; None where the adapters of ``adapted`` are left out instead.
        adapted: with an adapter, in the order given.
    """

    title: str
    plain: Named | None
    adapted: tuple[Named, ...]

    @property
    def checkpoints(self) -> list[Named]:
        """All of them, that without an adapter first."""
        return [*([] if self.plain is None else [self.plain]), *self.adapted]


def families(
    sources: Sources, *, no_adapter: bool = False, modality: str = "image", single: bool = True
) -> list[Family]:
    """Group checkpoints by their recommenders, in the order given.

    Args:
        sources: checkpoints, or paths of them.
        no_adapter: compare each with itself, its adapter left out, in place of one that was
            trained without.
        modality: whose adapter counts.
        single: a recommender has one checkpoint with an adapter, not several.

    Raises:
        BecamError: unreadable checkpoints; a recommender that lacks one with an adapter or one
            without, or that has more of them than can be shown.
    """
    groups: dict[str, list[tuple[Source, Checkpoint]]] = {}
    for source, _ in named_sources(sources, None):
        checkpoint = loaded(source)
        groups.setdefault(str(checkpoint.recommender["name"]), []).append((source, checkpoint))
    if not groups:
        raise BecamError("Give checkpoints made by becam train.")
    return [_family(name, found, no_adapter, modality, single) for name, found in groups.items()]


def only(found: Sequence[Family]) -> Family:
    """The family, where there is one.

    Raises:
        BecamError: there are several.
    """
    if len(found) > 1:
        raise BecamError(
            f"This figure shows one recommender, not {' and '.join(each.title for each in found)}; "
            "give the checkpoints of one."
        )
    return found[0]


def recommender_title(checkpoint: Checkpoint) -> str:
    """As tables call the recommender of a checkpoint."""
    name = str(checkpoint.recommender["name"])
    return RECOMMENDERS[name].title if name in RECOMMENDERS else name


def _family(
    name: str,
    found: Sequence[tuple[Source, Checkpoint]],
    no_adapter: bool,
    modality: str,
    single: bool,
) -> Family:
    title = recommender_title(found[0][1])
    plain = [pair for pair in found if pair[1].adapter_name(modality) == PLAIN]
    adapted = [pair for pair in found if pair[1].adapter_name(modality) != PLAIN]
    if not adapted:
        raise BecamError(
            f"{title} has no checkpoint with an adapter; give one of becam train --model {name} "
            "--adapter befa."
        )
    if no_adapter and plain:
        raise BecamError(
            f"{title} has a checkpoint without an adapter; leave it out, or --no-adapter."
        )
    if not plain and not no_adapter:
        raise BecamError(
            f"{title} has no checkpoint without an adapter; give one of becam train --model {name} "
            "--adapter none, or leave the adapter of what is there out with --no-adapter."
        )
    for kind, group in (("without an adapter", plain), ("with an adapter", adapted)):
        if len(group) > 1 and (single or group is plain):
            raise BecamError(f"{title} has {len(group)} checkpoints {kind}; give one of them.")
    return Family(
        title,
        _named(plain, modality)[0] if plain else None,
        tuple(_named(adapted, modality)),
    )


def _named(found: Sequence[tuple[Source, Checkpoint]], modality: str) -> list[Named]:
    titles = [ADAPTERS[checkpoint.adapter_name(modality)].title for _, checkpoint in found]
    return [
        Named(
            checkpoint,
            title if titles.count(title) == 1 else f"{title} ({_run(source)})",
            column_label(source, checkpoint, modality),
        )
        for title, (source, checkpoint) in zip(titles, found, strict=True)
    ]


def _run(source: Source) -> str:
    if isinstance(source, Checkpoint):
        return f"seed {source.training.get('seed', 'unknown')}"
    path = Path(source)
    return path.name if path.is_dir() else path.parent.name
