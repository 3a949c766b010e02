"""Figures to files: formats that matplotlib writes, letters that papers can embed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure

from becam.errors import BecamError
from becam.figures.fonts import legible, tell_missing
from becam.files import atomic_file

EMBEDDING: Any = {
    # Journals refuse Type 3 fonts; letters of an SVG as outlines look alike everywhere.
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "path",
    # The same figure is the same file.
    "svg.hashsalt": "becam",
}
_TEX = "pgf"
"""Matplotlib writes it only where TeX is installed."""
_UNDATED: dict[str, dict[str, Any]] = {
    ".pdf": {"CreationDate": None},
    ".svg": {"Date": None},
}


def check_format(path: str | Path) -> None:
    """Fail early when no figure can be written to ``path``.

    Raises:
        BecamError: the suffix names no format that matplotlib writes.
    """
    suffix = Path(path).suffix.removeprefix(".").lower()
    if suffix == _TEX or suffix not in FigureCanvasBase.get_supported_filetypes():
        raise BecamError(f"{path} does not end in a format for pictures; use .png, .pdf or .svg.")


def write_figure(figure: Figure, path: str | Path, *, dpi: int) -> None:
    """Write a figure in the format that the suffix of ``path`` names, whole or not at all.

    A warning names the letters that no font of the machine has.

    Args:
        figure: as drawn.
        path: ends in .png, .pdf, .svg or another format of matplotlib's.
        dpi: pixels an inch, of a PNG and of pictures in the others.

    Raises:
        BecamError: the suffix names no format, or the disk refuses.
    """
    check_format(path)
    # Matplotlib takes minutes over a large font in an EPS otherwise.
    fonts = {**EMBEDDING, "ps.fonttype": 3} if legible(figure) else EMBEDDING
    tell_missing()
    suffix = Path(path).suffix.lower()
    # In memory first: of a full disk Pillow, which writes some formats, does not say so.
    buffer = io.BytesIO()
    with matplotlib.rc_context(fonts), atomic_file(path) as temporary:
        figure.savefig(buffer, dpi=dpi, metadata=_UNDATED.get(suffix), format=suffix[1:])
        temporary.write_bytes(buffer.getbuffer())
