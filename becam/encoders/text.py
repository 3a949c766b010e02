"""Text features for encoders without a text tower: TF-IDF + SVD, and sentence-transformers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from becam.encoders.spec import EncoderRecord, EncoderSpec
from becam.errors import BecamError, printable

TextEncoder = Callable[[Sequence[str]], NDArray[np.float32]]

TFIDF = "tfidf"
SENTENCE_TRANSFORMERS = "sentence-transformers:"
_TFIDF_DIM = 384
_MOST_DIM = 1 << 16


def load_text_encoder(
    text: str, *, seed: int = 0, progress: bool = True, local: bool = False
) -> tuple[TextEncoder, EncoderRecord]:
    """A text encoder without a picture side: ``tfidf[,dim=D]`` or ``sentence-transformers:NAME``.

    Args:
        text: the spec.
        seed: of the SVD behind ``tfidf``.
        progress: let sentence-transformers show a progress bar.
        local: take models that are on this machine alone, and ask no hub.

    Raises:
        BecamError: unknown spec, or the extra is not installed.
    """
    if text == TFIDF or text.startswith(f"{TFIDF},"):
        spec = EncoderSpec.parse(text.replace(TFIDF, f"{TFIDF}:svd", 1))
        dim = _dimensions(spec.options.get("dim", str(_TFIDF_DIM)))
        if dim is None or set(spec.options) - {"dim"}:
            raise BecamError(
                f"{printable(text)!r} is not understood; tfidf takes dim=NUMBER alone, 1 to "
                f"{_MOST_DIM:,}."
            )
        record = EncoderRecord(text, config={"dim": dim, "seed": seed})
        return lambda texts: tfidf_svd(texts, dim=dim, seed=seed), record
    if text.startswith(SENTENCE_TRANSFORMERS):
        name = text.removeprefix(SENTENCE_TRANSFORMERS)
        return _sentence_transformer(name, progress, local), EncoderRecord(text)
    raise BecamError(
        f"{text!r} is no text encoder; use tfidf, sentence-transformers:NAME, or an image encoder "
        "with a text tower such as becam:vit."
    )


def _dimensions(text: str) -> int | None:
    """A number of axes; None: it is none, or out of bounds."""
    number = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0
    return number if 1 <= number <= _MOST_DIM else None


def tfidf_svd(texts: Sequence[str], *, dim: int, seed: int = 0) -> NDArray[np.float32]:
    """Latent semantic analysis of the given texts: rows (len(texts), d) of unit length or zero.

    d is ``dim``, or less where the texts have fewer words or rows than that.
    """
    return LatentSemantics(texts, dim=dim, seed=seed).rows


class LatentSemantics:
    """TF-IDF of words and pairs of them, reduced by a truncated SVD; fitted on some texts.

    Calling it gives rows of any texts, with the words and the axes of those it was fitted on.

    Args:
        texts: to fit on.
        dim: axes to keep.
        seed: of the SVD.

    Attributes:
        rows: of the texts it was fitted on, (len(texts), d), of unit length or zero.

    Raises:
        BecamError: the texts have too few words in common.
    """

    def __init__(self, texts: Sequence[str], *, dim: int, seed: int = 0) -> None:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2)
        try:
            counts = self._words.fit_transform(texts)
        except ValueError:
            raise BecamError(
                "The items' texts have no word in common, so TF-IDF finds nothing; give the "
                "dataset texts or choose another --text-encoder."
            ) from None
        rank = min(dim, min(counts.shape) - 1)
        if rank < 1:
            raise BecamError(
                "The items' texts have too few words for TF-IDF; add texts to the items."
            )
        self._axes = TruncatedSVD(rank, random_state=seed % 2**32)  # what scikit-learn takes
        self.rows = _unit(self._axes.fit_transform(counts))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Rows (len(texts), d) of unit length, or zero where a text has no known word."""
        return _unit(self._axes.transform(self._words.transform(texts)))


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    from sklearn.preprocessing import normalize

    unit: NDArray[np.float32] = normalize(rows).astype(np.float32)
    return unit


def _sentence_transformer(name: str, progress: bool, local: bool) -> TextEncoder:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise BecamError(
            "sentence-transformers is not installed; run pip install 'becam[text]'."
        ) from None
    try:
        model = SentenceTransformer(name, local_files_only=local)
    except Exception as error:
        if local:
            raise BecamError(
                f"The text encoder {printable(name)!r} is not on this machine, and what a file "
                "names is never fetched from a hub; to fetch it, name it yourself with --encoder "
                f"{SENTENCE_TRANSFORMERS}{printable(name)}."
            ) from None
        raise BecamError(
            f"sentence-transformers could not load {name!r} ({type(error).__name__}); give the "
            "path of a folder that holds the model."
        ) from None

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.asarray(model.encode(list(texts), show_progress_bar=progress), dtype=np.float32)

    return encode
