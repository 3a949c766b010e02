"""The figure of a sweep: test metrics against BeFA's ratio lambda, beside no adapter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from becam.experiments.sweep import LambdaSweep
from becam.figures.page import Page
from becam.figures.typesetting import fitted
from becam.figures.writing import write_figure

_METRICS = {"recall@20": "test Recall@20", "ndcg@20": "test NDCG@20"}

# Okabe and Ito's blue and vermillion: apart for colour-blind eyes, and in grey by brightness.
_BEFA = "#0072B2"
_PLAIN = "#D55E00"
_DPI = 200
_PAGE = Page(size=9)
_PANEL_INCHES = 2.5
_LEGEND_LINES = 3
_NARROW = 5.0
_BESIDE = 2**0.15


def lambda_figure(*sweeps: LambdaSweep, page: Page = _PAGE) -> Figure:
    """A row a sweep and a panel a metric: means over seeds with standard deviations, and seeds.

    Args:
        sweeps: one or more.
        page: size and letters.
    """
    legend = page.lines(_LEGEND_LINES)
    panel = min(_PANEL_INCHES, (page.height - legend) / len(sweeps))
    with page.style():
        figure = Figure(figsize=(page.width, len(sweeps) * panel + legend), layout="constrained")
        rows = figure.subplots(len(sweeps), len(_METRICS), squeeze=False)
        for panels, sweep in zip(rows, sweeps, strict=True):
            for axes, (metric, title) in zip(panels, _METRICS.items(), strict=True):
                _panel(axes, sweep, metric, page.size / _PAGE.size)
                axes.set_ylabel(title)
            words = page.drawable(_title(sweep))
            title = "\n".join(fitted(words, page.width * 0.9, page.measure, lines=2))
            if len(sweeps) == 1:
                figure.suptitle(title, parse_math=False)
            else:
                panels[0].set_title(title, loc="left", parse_math=False)
        handles, labels = rows[0, 0].get_legend_handles_labels()
        columns = 2 if page.width < _NARROW else 4
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
    return figure


def save_lambda_figure(path: str | Path, sweep: LambdaSweep) -> None:
    """Write the figure in the format that the suffix of ``path`` names (PNG, PDF, SVG)."""
    with _PAGE.style():
        write_figure(lambda_figure(sweep), path, dpi=_DPI)


def _title(sweep: LambdaSweep) -> str:
    n = max(len(point.runs) for point in (sweep.plain, *sweep.points))
    spread = f"mean ± standard deviation over {n} seeds" if n > 1 else "one seed"
    return f"{sweep.title} ({spread})"


def _panel(axes: Axes, sweep: LambdaSweep, metric: str, scale: float) -> None:
    plain = sweep.plain.test(metric)
    axes.axhspan(plain.mean - plain.std, plain.mean + plain.std, color=_PLAIN, alpha=0.15, lw=0)
    axes.axhline(plain.mean, color=_PLAIN, ls="--", lw=1.4 * scale, label="without adapter")
    ratios = [float(point.ratio or 0) for point in sweep.points]
    spreads = [point.test(metric) for point in sweep.points]
    seeds: str | None = "single seeds"
    for ratio, spread in zip(ratios, spreads, strict=True):
        if len(spread.values) > 1:
            beside = np.full(len(spread.values), ratio * _BESIDE)
            size = 9 * scale**2
            axes.scatter(beside, spread.values, s=size, color=_BEFA, alpha=0.45, lw=0, label=seeds)
            seeds = None
    axes.errorbar(
        ratios,
        [spread.mean for spread in spreads],
        yerr=[spread.std for spread in spreads],
        color=_BEFA,
        marker="o",
        ms=5 * scale,
        lw=1.4 * scale,
        capsize=3 * scale,
        label="BeFA",
    )
    chosen = sweep.chosen
    axes.plot(
        float(chosen.ratio or 0),
        chosen.test(metric).mean,
        marker="o",
        ms=10 * scale,
        mfc="none",
        mec="black",
        mew=1,
        ls="none",
        label="chosen on validation",
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(ratios, [str(point.ratio) for point in sweep.points])
    axes.minorticks_off()
    axes.set_xlabel("BeFA's ratio λ")
    axes.grid(axis="y", lw=0.5, alpha=0.4)
    axes.spines[["top", "right"]].set_visible(False)
