"""BeCAM for the texts of items: words in the place of channels."""

from becam.attribution.words.explain import WordWeights, explain_words

__all__ = ["WordWeights", "explain_words"]
