"""The gallery: its order, and static pictures of the Altair charts that its examples end in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
from sphinx_gallery.scrapers import figure_rst

if TYPE_CHECKING:
    from sphinx_gallery.py_source_parser import Block

__all__ = ["ExampleOrder", "scrape"]

# From data to decisions, then the methods.
ORDER = [
    "validate",
    "profile",
    "train",
    "intervals",
    "unseen_products",
    "explain",
    "insights",
    "plan",
    "monitor",
    "leakage",
    "planted_effects",
    "grid_search",
]

# Large letters: on a narrow screen the picture shrinks to about two thirds.
_CONFIG = {
    "font": "system-ui, sans-serif",
    "background": "white",
    "padding": 12,
    "title": {"fontSize": 16, "anchor": "start", "offset": 12},
    "axis": {"labelFontSize": 13, "titleFontSize": 13, "titleFontWeight": "normal"},
    "legend": {"labelFontSize": 13, "titleFontSize": 13},
    "view": {"stroke": None},
}


class ExampleOrder:
    """Sort the files of the gallery by `ORDER`.

    Parameters
    ----------
    src_dir : str
        Folder of the examples, which sphinx-gallery passes.
    """

    def __init__(self, src_dir: str) -> None:
        self.src_dir = src_dir

    def __repr__(self) -> str:
        """Return text that is the same in every run: Sphinx compares settings by it."""
        return "ExampleOrder"

    def __call__(self, filename: str) -> int:
        """Return the position of a file."""
        return ORDER.index(filename.removeprefix("plot_").removesuffix(".py"))


def scrape(_block: Block, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the chart, if the block ends in one; return the reStructuredText that shows it.

    Parameters
    ----------
    _block : Block
        The block of code; not needed.
    block_vars : dict
        What sphinx-gallery knows of the block: its names, and where pictures go.
    gallery_conf : dict
        Settings of the gallery.

    Returns
    -------
    str
        A directive for the picture; empty where the block does not end in a chart.
    """
    chart = block_vars["example_globals"].get("___")  # sphinx-gallery keeps the last value under this name
    if not isinstance(chart, alt.TopLevelMixin):
        return ""
    path = next(block_vars["image_path_iterator"]).removesuffix(".png") + ".svg"
    chart.configure(**_CONFIG).save(path)
    return figure_rst([path], gallery_conf["src_dir"], fig_titles=_title(chart))


def _title(chart: Any) -> str:
    title = chart.title
    return str(title if isinstance(title, str) else getattr(title, "text", "chart"))
