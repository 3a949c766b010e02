"""Checkpoint and picture to heatmap: BeCAM, its options and its controls."""

from becam.attribution.explainer import Explainer, explain
from becam.attribution.heatmap import Heatmap

__all__ = ["Explainer", "Heatmap", "explain"]
