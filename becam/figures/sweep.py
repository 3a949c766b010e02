"""The figure of a sweep: test metrics against BeFA's ratio lambda, beside no adapter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from becam.experiments.sweep import LambdaSweep
from becam.files import atomic_file

_METRICS = {"recall@20": "test Recall@20", "ndcg@20": "test NDCG@20"}

# Okabe and Ito's blue and vermillion: apart for colour-blind eyes, and in grey by brightness.
_BEFA = "#0072B2"
_PLAIN = "#D55E00"
_PANEL_INCHES = (3.5, 2.9)
_BESIDE = 2**0.15


def lambda_figure(sweep: LambdaSweep) -> Figure:
    """One panel a metric: means over seeds with standard deviations, and single seeds as dots."""
    width, height = _PANEL_INCHES
    figure = Figure(figsize=(width * len(_METRICS), height), layout="constrained")
    panels = figure.subplots(1, len(_METRICS), sharex=True)
    for axes, (metric, title) in zip(panels, _METRICS.items(), strict=True):
        _panel(axes, sweep, metric)
        axes.set_ylabel(title, fontsize=9)
    n = max(len(point.runs) for point in (sweep.plain, *sweep.points))
    spread = f"mean ± standard deviation over {n} seeds" if n > 1 else "one seed"
    figure.suptitle(f"{sweep.title} ({spread})", fontsize=9)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def save_lambda_figure(path: str | Path, sweep: LambdaSweep) -> None:
    """Write the figure in the format that the suffix of ``path`` names (PNG, PDF, SVG)."""
    figure = lambda_figure(sweep)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=200)


def _panel(axes: Axes, sweep: LambdaSweep, metric: str) -> None:
    plain = sweep.plain.test(metric)
    axes.axhspan(plain.mean - plain.std, plain.mean + plain.std, color=_PLAIN, alpha=0.15, lw=0)
    axes.axhline(plain.mean, color=_PLAIN, ls="--", lw=1.4, label="without adapter")
    ratios = [float(point.ratio or 0) for point in sweep.points]
    spreads = [point.test(metric) for point in sweep.points]
    seeds: str | None = "single seeds"
    for ratio, spread in zip(ratios, spreads, strict=True):
        if len(spread.values) > 1:
            beside = np.full(len(spread.values), ratio * _BESIDE)
            axes.scatter(beside, spread.values, s=9, color=_BEFA, alpha=0.45, lw=0, label=seeds)
            seeds = None
    axes.errorbar(
        ratios,
        [spread.mean for spread in spreads],
        yerr=[spread.std for spread in spreads],
        color=_BEFA,
        marker="o",
        ms=5,
        lw=1.4,
        capsize=3,
        label="BeFA",
    )
    chosen = sweep.chosen
    axes.plot(
        float(chosen.ratio or 0),
        chosen.test(metric).mean,
        marker="o",
        ms=11,
        mfc="none",
        mec="black",
        mew=1,
        ls="none",
        label="chosen on validation",
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(ratios, [str(point.ratio) for point in sweep.points])
    axes.minorticks_off()
    axes.set_xlabel("BeFA's ratio $\\lambda$", fontsize=9)
    axes.grid(axis="y", lw=0.5, alpha=0.4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
