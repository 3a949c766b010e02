"""Encoders of every architecture that the contract covers."""

from __future__ import annotations

import pytest
from zoo import ENCODERS, save_family

from becam.encoders import load_encoder
from becam.encoders.base import Encoder


@pytest.fixture(scope="session")
def load_any(load, tmp_path_factory):
    """Load an encoder by its name in ``ENCODERS`` or ``FAMILIES``, once a session."""
    folder = tmp_path_factory.mktemp("families")
    loaded: dict[str, Encoder] = {}

    def get(name: str) -> Encoder:
        if name in ENCODERS:
            return load(name)
        if name not in loaded:
            spec, weights = save_family(folder, name)
            loaded[name] = load_encoder(spec, weights=weights)
        return loaded[name]

    return get
