"""Checkpoint and picture to heatmap: BeCAM, its options and its controls; and words of texts."""

from becam.attribution.explainer import Explainer, explain
from becam.attribution.heatmap import Heatmap
from becam.attribution.words import WordWeights, explain_words

__all__ = ["Explainer", "Heatmap", "WordWeights", "explain", "explain_words"]
