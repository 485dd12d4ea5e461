"""Sphinx configuration: ``make docs`` builds without network and fails on any warning."""

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring

import searchenv

project = "searchenv"
author = "The searchenv developers"
project_copyright = "The searchenv developers"
release = version = searchenv.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"

html_theme = "furo"
html_title = "searchenv"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_theme_options = {"navigation_with_keys": True}


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _read_google_docstring)


def _read_google_docstring(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Does the work of the napoleon extension, but takes "a: b" below a field for a sentence.

    Napoleon reads it as a type and a description.
    """
    if lines and lines[0].startswith("Alias for field number"):  # Python's own words
        lines.clear()
    kind = "function" if what in ("attribute", "data", "property") else what
    lines[:] = GoogleDocstring(lines, Config(), app, kind, name, obj, options).lines()
