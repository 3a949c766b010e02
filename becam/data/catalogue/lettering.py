"""Bold capitals as strokes on a 4 x 6 grid, so that print looks the same everywhere."""

from __future__ import annotations

import numpy as np

from becam.data.catalogue.geometry import Outline

_STROKES = {
    "A": "0602 0220 2042 4246 0444",
    "C": "4130 3010 1001 0105 0516 1636 3645",
    "D": "0006 0030 3041 4145 4536 3606",
    "E": "4000 0006 0646 0333",
    "F": "4000 0006 0333",
    "H": "0006 4046 0343",
    "I": "2026",
    "K": "0006 4003 0346",
    "L": "0006 0646",
    "M": "0600 0023 2340 4046",
    "N": "0600 0046 4640",
    "O": "1030 3041 4145 4536 3616 1605 0501 0110",
    "P": "0600 0030 3041 4142 4233 3303",
    "R": "0600 0030 3041 4142 4233 3303 2346",
    "S": "4130 3010 1001 0102 0213 1333 3344 4445 4536 3616 1605",
    "T": "0040 2026",
    "U": "0005 0516 1636 3645 4540",
    "V": "0026 2640",
    "W": "0016 1623 2336 3640",
    "Z": "0040 4006 0646",
}
_ADVANCE = 5.6


def strokes(word: str, left: float, top: float, width: float) -> tuple[list[Outline], float]:
    """The strokes of a word in a box of the given width, and the box's height.

    Raises:
        KeyError: a letter that has no strokes here.
    """
    scale = width / (_ADVANCE * len(word) - (_ADVANCE - 4))
    lines = []
    for index, letter in enumerate(word):
        for stroke in _STROKES[letter].split():
            x0, y0, x1, y1 = (int(digit) for digit in stroke)
            line = np.array([[x0 + index * _ADVANCE, y0], [x1 + index * _ADVANCE, y1]], float)
            lines.append(line * scale + (left, top))
    return lines, 6 * scale
