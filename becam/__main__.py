"""``python -m becam``."""

from becam.cli import main

main()
