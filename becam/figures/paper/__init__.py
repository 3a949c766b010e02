"""The paper's figures, from one's own checkpoints."""

from __future__ import annotations

from becam.figures.page import Page, PaperFigure
from becam.figures.paper.adapters import adapters_figure
from becam.figures.paper.backbones import backbones_figure
from becam.figures.paper.distribution import distribution_figure
from becam.figures.paper.drift import drift_figure
from becam.figures.paper.ratio import ratio_figure
from becam.figures.paper.scenes import scenes_figure

__all__ = [
    "Page",
    "PaperFigure",
    "adapters_figure",
    "backbones_figure",
    "distribution_figure",
    "drift_figure",
    "ratio_figure",
    "scenes_figure",
]
