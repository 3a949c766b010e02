"""How much the explorer takes and does for whoever asks: less than the command line, in one place.

Several people share one machine's memory and one encoder here, and none of them is known.
"""

from __future__ import annotations

UPLOAD_BYTES = 20_000_000
"""A larger upload is refused while it arrives."""
UPLOAD_PIXELS = 26_000_000
"""A picture with more is refused before it is decoded; this one takes 104 MB while it is read."""
ITEM_PIXELS = 50_000_000
"""The same of the dataset's own pictures, which whoever serves them has chosen."""
QUESTION_BYTES = 64_000
"""Of a question, as JSON."""

ARRIVING_BYTES = 50_000_000
"""Of all bodies that are on their way or wait for their turn, together."""
SILENCE_SECONDS = 5.0
"""A body of which nothing comes for longer has stalled."""
SLOWEST = 100_000
"""Bytes a second that a body brings on average, after a first silence."""
BODY_SECONDS = 60.0
"""A body that takes longer is not waited for."""

DECODE_SECONDS = 20.0
"""Reading a picture takes a second or two; a decoder that takes longer hangs."""
DECODE_BYTES = 320 << 20
"""Memory that the process which reads pictures may take beyond what it begins with."""
LARGE_PIXELS = 4_000_000
"""Of pictures with more than this, one at a time is read."""
DECODES_WAITING = 64
"""Pictures that wait to be read; who comes after that is told to try again."""

IDENTIFIER = 50_000
"""Characters of an id."""
WORDS = 500
"""Characters of a search, or of a picture's name."""
TEXT = 2000
"""Characters of a text to compare with; encoders read some fifty words of it."""
NAME = 100
"""Characters of a name or a value of an option, or of what the explorer itself has named."""
COLUMNS = 256
"""Columns of a question."""
METHODS = 4
"""Methods of a question."""
OPTIONS = 16
"""Options of a method."""

_OPTION = {"masks": 4000, "cells": 32, "steps": 64}
_ANY_OPTION = 10_000

UPLOADS_KEPT = 32
UPLOAD_BYTES_KEPT = 40_000_000
ANSWERS_KEPT = 64
ANSWER_BYTES_KEPT = 40_000_000
MAPS_KEPT = 128
"""Finished maps that need not be made again; one takes some 200 kB, or 600 kB at most."""
VIEWS_KEPT = 4
"""Pictures whose encodings are kept for the next question about them."""


def most_of_option(name: str) -> int:
    """The largest number that an option of a method may be, whatever the method allows."""
    return _OPTION.get(name, _ANY_OPTION)
