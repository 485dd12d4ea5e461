"""Viewer: one static page on which a run is read, episode by episode."""

from searchenv.viewer.page import render_page, write_page

__all__ = ["render_page", "write_page"]
