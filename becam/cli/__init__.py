"""The command line: one thin command a file over the public API."""

from becam.cli.app import main

__all__ = ["main"]
