"""becam: see what behaviour says about a picture.

Heatmaps over product pictures of how far each region agrees with what users' behaviour says about
the item (BeCAM), before and after a behaviour-driven adapter (BeFA); arXiv 2406.00323.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # what is imported here is imported before `becam` can hear Ctrl-C
    from typing import Any

    from becam.attribution import Explainer, Heatmap, WordWeights, explain, explain_words
    from becam.checkpoint import Checkpoint
    from becam.data.dataset import Dataset
    from becam.encoders import load_encoder
    from becam.encoders.extraction import extract_features
    from becam.errors import BecamError
    from becam.evaluation.deviation import deviation
    from becam.gallery.build import build_gallery
    from becam.images import read_image
    from becam.training import train

_HOMES = {
    "BecamError": "becam.errors",
    "Checkpoint": "becam.checkpoint",
    "Dataset": "becam.data.dataset",
    "Explainer": "becam.attribution",
    "Heatmap": "becam.attribution",
    "WordWeights": "becam.attribution",
    "build_gallery": "becam.gallery.build",
    "deviation": "becam.evaluation.deviation",
    "explain": "becam.attribution",
    "explain_words": "becam.attribution",
    "extract_features": "becam.encoders.extraction",
    "load_encoder": "becam.encoders",
    "read_image": "becam.images",
    "train": "becam.training",
}

__all__ = [
    "BecamError",
    "Checkpoint",
    "Dataset",
    "Explainer",
    "Heatmap",
    "WordWeights",
    "build_gallery",
    "deviation",
    "explain",
    "explain_words",
    "extract_features",
    "load_encoder",
    "read_image",
    "train",
]


def __getattr__(name: str) -> Any:
    # Torch takes seconds to import; `becam --help` should not.
    if name not in _HOMES:
        raise AttributeError(f"module 'becam' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
