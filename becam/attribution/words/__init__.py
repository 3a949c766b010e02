"""BeCAM for the texts of items: words in the place of channels."""

from becam.attribution.words.explainer import WordExplainer, explain_words
from becam.attribution.words.word_weights import WordWeights

__all__ = ["WordExplainer", "WordWeights", "explain_words"]
