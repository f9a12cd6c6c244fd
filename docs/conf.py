"""How the documentation site is built; `make docs` builds it into site/."""

from __future__ import annotations

import sys
from pathlib import Path

from purchasecast import __version__

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_extensions"))

project = "purchasecast"
author = "The purchasecast developers"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "mathml",
]
exclude_patterns = ["_extensions", "_templates"]
templates_path = ["_templates"]

# Every reference must lead somewhere. A name in single backticks is a link if it can be one, and code otherwise.
nitpicky = True
highlight_language = "none"  # a block without a language is a command
default_role = "py:obj"
nitpick_ignore_regex = [("py:obj", r".*")]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["config.cache"]  # the gallery's settings name functions, which Sphinx cannot keep between runs

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings tell the types in words
toc_object_entries_show_parents = "hide"  # the list beside a page has room for short names only
numpydoc_show_class_members = False  # the templates list them
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "gallery_charts.ExampleOrder",
    "image_scrapers": ("gallery_charts.scrape",),
    "capture_repr": ("_repr_html_", "__repr__"),
    "ignore_repr_types": r"altair\.",
    "reset_modules": (),  # one Spark session serves all examples
    "abort_on_example_error": True,
    "run_stale_examples": True,  # an example shows what the code does now, though its own text is as before
    "backreferences_dir": "reference/backreferences",
    "doc_module": ("purchasecast",),
    "download_all_examples": False,
    "write_computation_times": False,
    "show_signature": False,
    "min_reported_time": 10_000,
    "remove_config_comments": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "purchasecast"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_math_renderer = "mathml"  # no script from another server
html_show_sourcelink = False
html_copy_source = False
html_use_index = False
html_domain_indices = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "back_to_top_button": False,
    "show_prev_next": True,
}
html_sidebars = {page: [] for page in ("benchmarks", "changes", "data", "reliability", "start")}
copyright = "the purchasecast developers; Apache-2.0"  # noqa: A001  Sphinx reads this name
