"""Two small CLIPs inside the package: encoders that need no download."""

from becam.encoders.embedded.load import NAMES, load_embedded

__all__ = ["NAMES", "load_embedded"]
