"""Figure 9: how content features lie on the unit circle, without and with the adapter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from becam.attribution.labels import Sources
from becam.data.dataset import Dataset
from becam.evaluation.spread import sampled_items, spread_of
from becam.evaluation.uniformity import uniformity_of_sphere
from becam.figures.page import Page, PaperFigure
from becam.figures.paper.circle import PERPLEXITY, on_circle
from becam.figures.paper.density import Panel, density_figure
from becam.figures.paper.pairs import Family, Named, families
from becam.progress import track

_NEAR = 0.05
"""Measures that differ by less are the same to a reader."""


def distribution_figure(
    checkpoints: Sources,
    dataset: Dataset | str | Path,
    *,
    modality: str = "image",
    count: int = 500,
    no_adapter: bool = False,
    page: Page | None = None,
    seed: int = 0,
    progress: bool = False,
) -> PaperFigure:
    """A column a recommender, without the adapter over with it (the paper's Figure 9).

    Sampled items' content features are brought to two dimensions by t-SNE and divided by their
    norms. A Gaussian kernel density estimate shows the points, and one under it their angles;
    below stand uniformity and alignment (Wang and Isola) of the features in all their dimensions.

    Args:
        checkpoints: of every recommender one without an adapter and one with; or, with
            ``no_adapter``, one with an adapter.
        dataset: that they were trained on.
        modality: of the content.
        count: items to sample.
        no_adapter: compare each checkpoint with itself, its adapter left out.
        page: size and letters.
        seed: of the sample, of t-SNE and of the control.
        progress: show a bar on stderr.

    Raises:
        BecamError: a recommender without one of its two checkpoints, features that nobody has,
            too few items.
    """
    found = families(checkpoints, no_adapter=no_adapter, modality=modality)
    opened = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    known = [each.checkpoint for family in found for each in family.checkpoints]
    ids = sampled_items(known, opened, modality, count, seed=seed)
    wanted = [
        (family, each, adapted) for family in found for each, adapted in _before_and_after(family)
    ]
    made = track(wanted, desc="Embedding", unit="panel") if progress else wanted
    panels = [
        _panel(family, each, adapted, opened, modality, ids, seed) for family, each, adapted in made
    ]
    columns = [panels[start : start + 2] for start in range(0, len(panels), 2)]
    page = page or Page()
    dim = known[0].item_embeddings.shape[1]
    return PaperFigure(
        density_figure(columns, page),
        _caption(panels, modality, len(ids), seed, dim),
        page,
        {
            "figure": 9,
            "modality": modality,
            "items": ids,
            "seed": seed,
            "uniformity_of_sphere": uniformity_of_sphere(dim),
            "panels": [
                {"recommender": p.column, "adapter": p.row, "checkpoint": p.label}
                | p.measures.to_dict()
                for p in panels
            ],
        },
    )


def _before_and_after(family: Family) -> list[tuple[Named, bool]]:
    """The two checkpoints of a recommender, each with whether its adapter takes part."""
    (adapted,) = family.adapted
    return [(family.plain or adapted, False), (adapted, True)]


def _panel(
    family: Family,
    each: Named,
    adapted: bool,
    dataset: Dataset,
    modality: str,
    ids: Sequence[str],
    seed: int,
) -> Panel:
    spread = spread_of(each.checkpoint, dataset, modality, ids, adapted=adapted, seed=seed)
    return Panel(
        column=family.title,
        row=f"{'with' if adapted else 'without'} {family.adapted[0].adapter}",
        adapted=adapted,
        label=each.label,
        points=on_circle(spread.features, seed=seed),
        measures=spread.measures,
    )


def _caption(panels: Sequence[Panel], modality: str, count: int, seed: int, dim: int) -> str:
    labels = "; ".join(dict.fromkeys(panel.label for panel in panels))
    made = (
        f"Distribution of the {modality} features of {count} items, drawn at random (seed {seed}), "
        "projected and, below, adapted. t-SNE of the features in two dimensions (scikit-learn, "
        f"perplexity {PERPLEXITY:g} at most, seed {seed}), each point divided by its norm; "
        "Gaussian kernel density (Scott's bandwidth) of the points, on one colour scale, and under "
        "it of their "
        f"angles, dashed where they would be even. Checkpoints: {labels}. Numbers are of the "
        f"features in all {dim} dimensions, not of the points: uniformity is the log of the mean "
        f"of exp(-2 |x - y|^2) over all pairs of features of length one (Wang and Isola; 0: all "
        f"alike; {uniformity_of_sphere(dim):.2f}: even over the sphere), beside that of the items' "
        "ID embeddings; alignment is the mean |x - e|^2 to the item's own ID embedding, beside "
        "that with another item's content."
    )
    return "\n\n".join([made, " ".join(["What the figure does not show.", *_remarks(panels)])])


def _remarks(panels: Sequence[Panel]) -> list[str]:
    words = [
        "Where the points lie on the circle is t-SNE's doing as much as the features': another "
        "seed moves them; the numbers do not depend on it."
    ]
    whatever = [
        f"{panel.column} {panel.row} ({m.uniformity:.2f}, with another item's content "
        f"{m.uniformity_permuted:.2f}, ID embeddings {m.uniformity_ids:.2f})"
        for panel in panels
        if panel.adapted
        and abs((m := panel.measures).uniformity - m.uniformity_permuted) < _NEAR
        and abs(m.uniformity - m.uniformity_ids) < _NEAR
    ]
    if whatever:
        words.append(
            "After the adapter the features are as uniform as the ID embeddings, whatever the "
            "content, so this evenness is behaviour's and not the content's: "
            f"{'; '.join(whatever)}."
        )
    same = [
        f"{panel.column} {panel.row} ({m.alignment:.2f} and {m.alignment_permuted:.2f})"
        for panel in panels
        if abs((m := panel.measures).alignment - m.alignment_permuted) < _NEAR
    ]
    if same:
        words.append(
            "Alignment says nothing of the content where another item's content has it too: "
            f"{'; '.join(same)}."
        )
    return words
