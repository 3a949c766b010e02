"""Sources of raw data by name; a new one is a file here and its line below."""

from becam.data.sources import hm, microlens, mmrec, tabular, tmall
from becam.data.sources.base import Raw, SourceOptions, read_source, register, source_names

__all__ = [
    "Raw",
    "SourceOptions",
    "hm",
    "microlens",
    "mmrec",
    "read_source",
    "register",
    "source_names",
    "tabular",
    "tmall",
]
