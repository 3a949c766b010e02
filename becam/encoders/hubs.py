"""What the hubs of weights say while they are asked, and not asking them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants


@contextmanager
def quiet() -> Iterator[None]:
    """Keep to ourselves what we say in a sentence of our own.

    A hub out of reach logs each of its tries; open_clip tells of weights that we load ourselves,
    and of what we warn of ourselves.
    """
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*QuickGELU")
            yield
    finally:
        logging.disable(before)


@contextmanager
def without_hub() -> Iterator[None]:
    """Take from the hub's local copies alone."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
