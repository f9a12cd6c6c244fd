"""What all pictures share: their look, their axes, and the way from Vega-Lite to SVG on this machine.

One width for all, in which letters stay readable from a telephone's width to a printed page. Colours are those of Okabe
and Ito, which people with any colour vision tell apart; letters and lines take the page's own colour, so that a picture
is right on light and on dark.

References
----------
M. Okabe, K. Ito, "Color Universal Design", 2008. https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import TYPE_CHECKING, Any

import altair as alt
import vl_convert

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BLUE",
    "CHARACTER",
    "INK",
    "LETTERS",
    "ORANGE",
    "SPARE",
    "TICK",
    "WIDTH",
    "axis_of",
    "colour_of",
    "data_of",
    "names_of",
    "shape_of",
    "shorten",
    "to_svg",
]

BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
INK = "currentColor"
WIDTH = 380  # of a whole picture, in pixels: that of a telephone, and a third of a desk's
CHARACTER = 7.2  # width of a letter, roughly
SPARE = 0.9  # by which a browser's letter may be wider than the one measured here
LETTERS = 20  # of a level's name
_SERIES = (BLUE, ORANGE, GREEN, PURPLE)
_STEP = 24  # height of a level
_FONT = 13
_NUMBER = ",.6~g"
# Ticks from a million on in short: 2.5M, not 2.5e+6; a billion is B, as elsewhere.
TICK = f"abs(datum.value) < 1e6 ? format(datum.value, '{_NUMBER}') : replace(format(datum.value, '.3~s'), 'G', 'B')"
_LONG = re.compile(r"(\d+\.\d{2})\d+")  # in a tag: a hundredth of a pixel is enough

_CONFIG: dict[str, Any] = {
    "aria": False,  # the page names the picture, and has its numbers as a table
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "concat": {"spacing": 8},
    "title": {"color": INK, "fontSize": _FONT, "fontWeight": "normal", "anchor": "start", "offset": 6},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "titleFontWeight": "normal",
        "titleFontSize": _FONT,
        "labelFontSize": _FONT,
        "labelLimit": 170,
        "domainColor": INK,
        "domainOpacity": 0.4,
        "tickColor": INK,
        "tickOpacity": 0.4,
        "gridColor": INK,
        "gridOpacity": 0.12,
    },
    "legend": {
        "labelColor": INK,
        "titleColor": INK,
        "labelFontSize": _FONT,
        "titleFontSize": _FONT,
        "titleFontWeight": "normal",
        "orient": "top",
        "symbolOpacity": 1,
        "columnPadding": 28,
        "labelLimit": 200,
    },
    "text": {"color": INK, "fontSize": _FONT},
    "bar": {"color": BLUE},
}


def axis_of(*, share: bool = False, **options: Any) -> alt.Axis:
    """Return an axis of numbers, or of shares."""
    form: dict[str, Any] = {"format": "~%"} if share else {"labelExpr": TICK}
    return alt.Axis(labelOverlap=True, labelSeparation=10, **form, **options)


def names_of(names: Sequence[str]) -> alt.Y:
    """Return the axis of levels, in the order given."""
    return alt.Y("name:N", title=None, sort=list(names), axis=alt.Axis(ticks=False, domain=False, labelPadding=6))


def colour_of(series: Sequence[str]) -> alt.Color:
    """Tell series by colour."""
    legend = alt.Legend(title=None) if len(series) > 1 else None
    return alt.Color("series:N", scale=alt.Scale(domain=list(series), range=list(_SERIES)), legend=legend)


def shape_of(series: Sequence[str]) -> Any:
    """Tell series by shape too, for those who do not see colours."""
    if len(series) < 2:
        return alt.value("circle")
    shapes = ["circle", "diamond", "square", "triangle-up"]
    return alt.Shape("series:N", scale=alt.Scale(domain=list(series), range=shapes), legend=None)


def data_of(values: list[dict[str, Any]]) -> alt.Data:
    """Return values as Vega-Lite reads them: as one text, because Altair copies a list's members with every layer."""
    return alt.Data(values=json.dumps(values), format=alt.DataFormat(type="json"))  # type: ignore[no-untyped-call]


def shorten(name: str, most: int = LETTERS) -> str:
    """Return a name of at most so many letters."""
    return name if len(name) <= most else name[: most - 1] + "…"


def to_svg(chart: Any, *, levels: float | None = None, letters: int = 0) -> str:
    """Draw a chart at the common width.

    Parameters
    ----------
    chart : Chart
        What to draw; a row of charts has its sizes already.
    levels : float, optional
        How many levels there are from top to bottom; the height follows from it.
    letters : int, default 0
        Of the longest level's name.

    Returns
    -------
    str
        SVG without a size of its own.
    """
    spare = math.ceil(letters * SPARE)
    if not isinstance(chart, alt.HConcatChart):
        width = WIDTH - spare - (32 + letters * CHARACTER if levels is not None else 70)
        chart = chart.properties(width=max(width, 150))
        if levels is not None:
            chart = chart.properties(height=max(_STEP * levels, 40))
    spec = chart.to_dict(validate=False)
    spec["config"] = _CONFIG
    spec["padding"] = {"left": 4 + spare, "top": 5, "right": 8, "bottom": 5}
    drawn: str = vl_convert.vegalite_to_svg(spec)
    return _make_fluid(drawn)


def _make_fluid(svg: str) -> str:
    """Let the page set the size, and leave out what a browser does not need."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    size = f'viewBox="{box.group(0)[9:-1]}" style="--width:{box.group(1)}px"' if box else ""
    inner = svg[svg.index(">") + 1 :]
    inner = re.sub(r"<[^>]+>", lambda tag: _LONG.sub(r"\1", tag.group(0)), inner)
    # Vega numbers gradients and clips from 0 in every picture; on one page their names must differ.
    own = hashlib.sha256(inner.encode()).hexdigest()[:10]
    inner = re.sub(r'(\bid="|url\(#)', rf"\g<1>{own}-", inner)
    return f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" aria-hidden="true" focusable="false" {size}>{inner}'
