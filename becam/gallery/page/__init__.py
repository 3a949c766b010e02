"""The gallery as static HTML that opens from disk: pictures, blocks of data, and one page."""

from becam.gallery.page.writer import PageWriter

__all__ = ["PageWriter"]
