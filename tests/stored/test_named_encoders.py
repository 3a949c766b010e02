"""A text encoder that a file names comes from this machine; a hub is asked for the user's alone."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from becam.encoders.recorded import load_matching_text
from becam.encoders.spec import EncoderRecord
from becam.errors import BecamError

SPEC = "sentence-transformers:someone/model"


@pytest.fixture
def asked(monkeypatch):
    """A library whose models are all on the hub; what it was asked for, and how."""
    calls = []

    class SentenceTransformer:
        def __init__(self, name, *, local_files_only=False):
            calls.append((name, local_files_only))
            if local_files_only:
                raise OSError("not in the cache")

        def encode(self, texts, show_progress_bar):
            return np.ones((len(texts), 3))

    library = SimpleNamespace(SentenceTransformer=SentenceTransformer)
    monkeypatch.setitem(sys.modules, "sentence_transformers", library)
    return calls


def test_what_a_record_names_is_not_fetched(asked):
    with pytest.raises(BecamError, match=r"not on this machine.*name it yourself"):
        load_matching_text(EncoderRecord(SPEC))
    assert asked == [("someone/model", True)]


def test_what_the_user_names_too_may_be_fetched(asked):
    assert load_matching_text(EncoderRecord(SPEC), spec=SPEC)(["a", "b"]).shape == (2, 3)
    assert asked == [("someone/model", False)]
