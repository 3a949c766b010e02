"""``python -m becam``."""

from becam.cli import entry

entry()
