"""Sphinx: Markdown by MyST, warnings are errors (`make docs`)."""

from importlib.metadata import version as installed

project = "medtransfer"
author = "the medtransfer authors"
release = version = installed("medtransfer")

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3

html_theme = "alabaster"
html_theme_options = {
    "description": "Which pre-trained network to fine-tune, and how far to trust it",
    "page_width": "76rem",
    "body_max_width": "58rem",
    "sidebar_width": "15rem",
    "font_family": "system-ui, sans-serif",
    "head_font_family": "system-ui, sans-serif",
    "font_size": "16px",
    "fixed_sidebar": True,
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_show_sourcelink = False
