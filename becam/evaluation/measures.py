"""The measures of a map: their names, and which way is better."""

from __future__ import annotations

from collections.abc import Iterable

from becam.errors import BecamError

GROUPS = ("faithfulness", "localisation", "sanity")

MAX_BOX_ACC = "max_box_acc"

_HIGHER = {
    "insertion",
    "increase",
    "gain",
    "road",
    "road_lerf",
    "energy",
    "pointing",
    "iou",
    "pr_auc",
    MAX_BOX_ACC,
}
_SCORES = ("similarity", "rank")


def higher_is_better(measure: str) -> bool:
    """Whether a map that does better has the higher value.

    Args:
        measure: as rows name it: ``insertion_rank``, ``energy``, ``ssim_projection``.
    """
    base, _, last = measure.rpartition("_")
    if last in _SCORES:
        return base in _HIGHER
    return measure in _HIGHER


def family(group: str, measure: str) -> tuple[str, str]:
    """What measures of a group stand side by side: a name for them, and the measure's own in it.

    Faithfulness goes by the score, sanity by the likeness: ``deletion_rank`` is ``deletion`` by
    rank, ``ssim_blank`` is ``blank`` by SSIM.
    """
    if group == "faithfulness":
        base, _, score = measure.rpartition("_")
        return f"by {score}", base
    if group == "sanity":
        likeness, _, stage = measure.partition("_")
        return f"by {likeness}", stage
    return "", measure


def known_groups(names: Iterable[str]) -> tuple[str, ...]:
    """Groups of measures by name, in their own order.

    Raises:
        BecamError: an unknown one, or none.
    """
    given = [name.strip() for name in names]
    for name in given:
        if name not in GROUPS:
            raise BecamError(f"There are no measures {name!r}; choose from {', '.join(GROUPS)}.")
    if not given:
        raise BecamError(f"Name measures with --measures: {', '.join(GROUPS)}.")
    return tuple(group for group in GROUPS if group in given)
