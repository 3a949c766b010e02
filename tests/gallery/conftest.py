"""The shop that all tests of galleries look at."""

from __future__ import annotations

import pytest
from shown import make_shop


@pytest.fixture(scope="session")
def shop(load, encoder_files, tmp_path_factory):
    return make_shop(tmp_path_factory.mktemp("shop"), load, encoder_files)
