"""What a reader must be told of a figure of maps: how it was made, and what it does not show."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from becam.attribution.controls import (
    DRIFT_DEGREES,
    NEAR_DEGREES,
    NEGLIGIBLE_SPREAD,
    OMISSION_DEGREES,
    SAME_MAP,
    Controls,
)
from becam.attribution.heatmap import Heatmap
from becam.evaluation.item_table import ItemTable
from becam.figures.paper.exhibits import Exhibition, Scale

Take = Callable[[Controls], float | None]
"""A number from the controls."""

_LONG = 80


def caption(
    title: str,
    shown: Exhibition,
    *,
    scale: Scale,
    checkpoints: Sequence[str],
    remarks: Iterable[str] = (),
) -> str:
    """The caption of a figure of maps, in paragraphs.

    Args:
        title: what is shown, in a sentence.
        shown: the items and their maps.
        scale: of the colours.
        checkpoints: their labels.
        remarks: more sentences of what must not be concluded.
    """
    warnings = [*remarks, *_warnings(shown)]
    return "\n\n".join(
        [
            " ".join([title, _rules(shown), _how(shown, scale, checkpoints)]),
            " ".join(["What the figure does not show.", *warnings]),
            "\n".join(["Maps, medians over the items shown:", *_columns(shown)]),
            "\n".join(["Items:", *_items(shown)]),
        ]
    )


def drift_remarks(table: ItemTable) -> list[str]:
    """How common drift and omission are before the adapter, and what the angle is worth.

    Args:
        table: of all items; the first checkpoint counts.
    """
    theta = table.items["theta_before_0"].drop_nulls()
    drift, omission = (theta > DRIFT_DEGREES).mean(), (theta > OMISSION_DEGREES).mean()
    words = [
        f"Before the adapter, under {table.labels[0]}, {_share(drift)} of {len(theta):,} items are "
        f"over {DRIFT_DEGREES:g}° (information drift) and {_share(omission)} over "
        f"{OMISSION_DEGREES:g}° (omission or drift)."
    ]
    permuted = table.items["theta_permuted_before_0"].drop_nulls().median()
    own = theta.median()
    if isinstance(permuted, float) and isinstance(own, float):
        words.append(
            f"With another item's content the median θ is {permuted:.0f}°, with the item's own "
            f"{own:.0f}°."
        )
    return words


def adapter_remarks(table: ItemTable, titles: Sequence[str]) -> list[str]:
    """What the angles after the adapters are worth: where any content has them, nothing.

    Args:
        table: of all items.
        titles: of its checkpoints, in their order.
    """
    nothing: list[str] = []
    something: list[str] = []
    for number, (title, checkpoint) in enumerate(zip(titles, table.checkpoints, strict=True)):
        if checkpoint.adapter_name("image") == "none":
            continue
        own, other = (
            table.items[f"theta_{kind}after_{number}"].drop_nulls().median()
            for kind in ("", "permuted_")
        )
        if isinstance(own, float) and isinstance(other, float):
            same = other - own < NEAR_DEGREES
            (nothing if same else something).append(f"{title} {own:.1f}° and {other:.1f}°")
    found = []
    if nothing:
        found.append(
            "A small θ after the adapter says nothing of the content where another item's content "
            f"has it too (median over all items, own content and another's): {', '.join(nothing)}."
        )
    if something:
        found.append(
            "Median θ after the adapter over all items, own content and another's: "
            f"{', '.join(something)}."
        )
    return found


def _rules(shown: Exhibition) -> str:
    rules = [
        f"({letter}) {_short(group.name)}: {len(group.exhibits)} items, {group.rule}"
        for letter, group in zip(string.ascii_lowercase, shown.groups, strict=False)
    ]
    return f"Items were chosen by rule, not by hand: {'; '.join(rules)}."


def _how(shown: Exhibition, scale: Scale, checkpoints: Sequence[str]) -> str:
    first = next(shown.exhibits()).heatmaps[0].options
    settings = ", ".join(f"{name} {value}" for name, value in first["method_options"].items())
    encoders = dict.fromkeys(
        f"{heatmap.options['encoder']} at {heatmap.options['target_layer']}"
        for heatmap in next(shown.exhibits()).heatmaps
    )
    colours = (
        "Each map is cut at zero and stretched over its own range, as in the paper: maps compare "
        "in shape, not in strength."
        if scale == "own"
        else "All maps of a picture share one scale from zero to the strongest of them."
    )
    return (
        f"Maps: {first['method']}{f' ({settings})' if settings else ''}, masks fade to "
        f"{first['masking']}; encoder {'; '.join(encoders)}. Checkpoints: "
        f"{'; '.join(checkpoints)}. {colours} Below a map: θ, the angle between the picture's "
        "content, as the map sees it, and the item's ID embedding (Eq. 4); bold with ! where a "
        "control speaks against the map."
    )


def _warnings(shown: Exhibition) -> list[str]:
    """What the controls say against the maps, and of which headings."""
    found = []
    for take, objects, meaning in _OBJECTIONS:
        values = [
            (heading, value)
            for place, heading in enumerate(shown.headings)
            if (value := _median(shown.column(place), take)) is not None and objects(value)
        ]
        if values:
            named = "; ".join(f"{_short(str(heading))} ({value:.2g})" for heading, value in values)
            found.append(f"{meaning}: {named}.")
    if all(heatmap.controls.correlation_randomised is None for heatmap in shown.column(0)):
        found.append("The control with a shuffled encoder was left out.")
    found.append(
        "A map that lies on the product is no proof that behaviour cares for it: the map of the "
        "picture itself as target, which knows no item, may do so too (r below)."
    )
    return found


def _alike(value: float) -> bool:
    return value > SAME_MAP


_OBJECTIONS: tuple[tuple[Take, Callable[[float], bool], str], ...] = (
    (
        lambda controls: controls.similarity_spread,
        lambda value: value < NEGLIGIBLE_SPREAD,
        "Next to nothing hangs on any region in some columns, whose maps are stretched from almost "
        "nothing and must not be read as focus (standard deviation of the similarity over the "
        "masks)",
    ),
    (
        lambda controls: controls.correlation_others,
        _alike,
        "Maps say little of their items where those for other items look the same (r)",
    ),
    (
        lambda controls: controls.correlation_itself,
        _alike,
        "Maps show what the encoder sees where that of the picture itself looks the same (r)",
    ),
    (
        lambda controls: controls.correlation_activation,
        _alike,
        "Maps show where the encoder is active where the plain activation looks the same (r)",
    ),
    (
        lambda controls: controls.correlation_randomised,
        _alike,
        "Maps owe nothing to what the encoder learned where one with shuffled weights gives the "
        "same (r)",
    ),
)


def _columns(shown: Exhibition) -> list[str]:
    """A line a heading: angles and controls."""
    lines = []
    for place, heading in enumerate(shown.headings):
        maps = shown.column(place)
        angles = [heatmap.controls.theta for heatmap in maps]
        known = [angle for angle in angles if angle is not None]
        parts = [f"θ {min(known):.0f}° to {max(known):.0f}°"] if known else []
        for name, take in _CONTROLS.items():
            value = _median(maps, take)
            if value is not None:
                parts.append(f"{name} {value:.2g}" if "spread" in name else f"{name} {value:.2f}")
        flagged = sum(bool(heatmap.controls.warnings()) for heatmap in maps)
        parts.append(f"{flagged} of {len(maps)} with !")
        lines.append(f"- {_short(str(heading))}: {', '.join(parts)}.")
    return lines


_CONTROLS: dict[str, Take] = {
    "r with other items' maps": lambda controls: controls.correlation_others,
    "with the picture itself": lambda controls: controls.correlation_itself,
    "with the activation": lambda controls: controls.correlation_activation,
    "with a shuffled encoder": lambda controls: controls.correlation_randomised,
    "spread of the similarity": lambda controls: controls.similarity_spread,
}


def _items(shown: Exhibition) -> list[str]:
    """A line an item, with all that speaks against its maps."""
    lines = []
    for letter, group in zip(string.ascii_lowercase, shown.groups, strict=False):
        for number, exhibit in enumerate(group.exhibits, start=1):
            own = exhibit.target == exhibit.id
            about = "" if own else f" against item {_short(exhibit.target)}"
            lines.append(
                f"- {letter}{number}: {_short(exhibit.id)}{about}, {_short(exhibit.title)}"
            )
            for heading, heatmap in zip(shown.headings, exhibit.heatmaps, strict=True):
                name = _short(str(heading))
                lines += [f"  ! {name}: {words}" for words in heatmap.controls.warnings()]
    return lines


def _short(words: str) -> str:
    line = " ".join(words.split())
    return f"{line[:_LONG]}…" if len(line) > _LONG else line


def _median(heatmaps: Sequence[Heatmap], take: Take) -> float | None:
    values = [value for heatmap in heatmaps if (value := take(heatmap.controls)) is not None]
    return median(values) if values else None


def _share(value: object) -> str:
    return f"{value:.0%}" if isinstance(value, float) else "none"
