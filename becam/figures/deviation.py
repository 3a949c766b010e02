"""The histograms of ``becam deviation``: theta before over after, beside the control."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from becam.attribution.controls import DRIFT_DEGREES
from becam.evaluation.deviation_summary import BINS, PERMUTED, WHEN, Summary
from becam.figures.writing import write_figure

# Okabe and Ito's blue and vermillion: apart for colour-blind eyes, and in grey by brightness.
_COLOURS = {"before": "#0072B2", "after": "#D55E00"}
_ALPHA = 0.75
_PANEL_INCHES = (3.9, 2.5)
_FOOT_INCHES = 0.75
_DPI = 160
_FEW = 2_000
_DEGREES = (5, 2)
"""Width of a bar for few items and for many."""


def deviation_figure(summaries: Sequence[Summary]) -> Figure:
    """A row of panels a checkpoint and a column a modality; in each, before stands over after.

    Bars are the items' own content, the line is another item's (the control), and every
    histogram has its own height: after an adapter all items may lie within a few degrees.
    """
    labels = list(dict.fromkeys(each.label for each in summaries))
    modalities = list(dict.fromkeys(each.modality for each in summaries))
    width, height = _PANEL_INCHES
    size = (width * len(modalities), height * len(labels) + _FOOT_INCHES)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subfigures(len(labels), len(modalities), squeeze=False)
    for panel in panels.flat:
        panel.patch.set_visible(False)
    for each in summaries:
        panel = panels[labels.index(each.label), modalities.index(each.modality)]
        title = f"{each.label}\n{each.modality} (n = {each.overall['n']:,})"
        panel.suptitle(title, fontsize=8, parse_math=False)
        whens = WHEN[:1] if each.adapter == "none" else WHEN
        parts = panel.subplots(len(whens), 1, sharex=True, squeeze=False)[:, 0]
        for axes, when in zip(parts, whens, strict=True):
            _histogram(axes, each, when)
        parts[-1].set_xlabel("θ to behaviour (degrees)", fontsize=8)
    figure.legend(
        handles=[
            Patch(color=_COLOURS["before"], alpha=_ALPHA, label="before the adapter, or without"),
            Patch(color=_COLOURS["after"], alpha=_ALPHA, label="after the adapter"),
            Line2D([], [], color="black", lw=1, label="another item's content (control)"),
            Line2D([], [], color="0.35", ls="--", lw=1, label="omission"),
            Line2D([], [], color="0.35", ls=":", lw=1.4, label="drift"),
        ],
        loc="outside lower center",
        ncols=3 if len(modalities) > 1 else 2,
        frameon=False,
        fontsize=8,
    )
    return figure


def save_deviation_figure(path: str | Path, summaries: Sequence[Summary]) -> None:
    """Write the figure in the format that the suffix of ``path`` names (PNG, PDF, SVG)."""
    write_figure(deviation_figure(summaries), path, dpi=_DPI)


def _histogram(axes: Axes, summary: Summary, when: str) -> None:
    degrees = _DEGREES[summary.overall["n"] > _FEW]
    edges = BINS[::degrees]
    own = _shares(summary.histograms[f"theta_{when}"], degrees)
    other = _shares(summary.histograms[f"{PERMUTED}_{when}"], degrees)
    axes.stairs(own, edges, fill=True, color=_COLOURS[when], alpha=_ALPHA)
    axes.stairs(other, edges, color="black", lw=1)
    axes.axvline(summary.omission, color="0.35", ls="--", lw=1)
    axes.axvline(DRIFT_DEGREES, color="0.35", ls=":", lw=1.4)
    axes.set_xlim(0, 180)
    axes.set_ylim(bottom=0)
    axes.set_xticks(np.arange(0, 181, 30))
    axes.set_ylabel("no adapter" if summary.adapter == "none" else when, fontsize=8)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)


def _shares(counts: NDArray[np.int64], degrees: int) -> NDArray[np.float64]:
    """Shares of the items in bars that are so many degrees wide."""
    total = counts.reshape(-1, degrees).sum(axis=1)
    shares: NDArray[np.float64] = total / max(1, total.sum())
    return shares
