"""Sphinx configuration: Markdown by MyST; `make docs` treats warnings as errors."""

from importlib.metadata import version as installed_version

project = "medtransfer"
author = "the medtransfer authors"
release = version = installed_version("medtransfer")

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3

html_theme = "alabaster"
html_theme_options = {
    "description": "Compare pre-trained networks on your own medical images",
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
