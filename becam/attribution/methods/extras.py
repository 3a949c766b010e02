"""Libraries that only some methods need, from the extra ``methods``."""

from __future__ import annotations

import importlib
from typing import Any

from becam.errors import BecamError


def library(module: str, package: str) -> Any:
    """The module of an optional library.

    Args:
        module: as Python imports it.
        package: as pip installs it.

    Raises:
        BecamError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise BecamError(
            f"This method needs the package {package}; pip install 'becam[methods]'."
        ) from None
