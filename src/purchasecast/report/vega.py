"""What all charts share: width, colours, axes, and the way from Vega-Lite to SVG.

All charts have one width, at which the letters can be read on a phone and in print. The colours are those of Okabe and
Ito, which people with any kind of colour vision can tell apart. Letters and lines take the colour of the page, so that
a chart is readable on light and dark pages.

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
    "INK",
    "LETTER_WIDTH",
    "MAX_LETTERS",
    "ORANGE",
    "SPARE_WIDTH",
    "TICK_LABEL",
    "WIDTH",
    "color_scale",
    "data_of",
    "level_axis",
    "number_axis",
    "plot_width",
    "series_shape",
    "shorten",
    "to_svg",
]

BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
INK = "currentColor"
WIDTH = 380  # of a whole chart, in pixels: a phone, or a third of a desktop screen
LETTER_WIDTH = 7.2  # about
SPARE_WIDTH = 0.9  # by which a letter may be wider in a browser than measured here
MAX_LETTERS = 20  # of the name of a level
_LEVEL_HEIGHT = 24
_TITLE_PADDING = 12
_FONT_SIZE = 13
_NUMBER_FORMAT = ",.6~g"
# Ticks from a million on are short: 2.5M instead of 2.5e+6, and B for a billion as in the text (d3 writes G).
TICK_LABEL = (
    f"abs(datum.value) < 1e6 ? format(datum.value, '{_NUMBER_FORMAT}') : replace(format(datum.value, '.3~s'), 'G', 'B')"
)
_LONG_DECIMALS = re.compile(r"(\d+\.\d{2})\d+")

_CONFIG: dict[str, Any] = {
    "aria": False,  # the page gives the chart a name, and its numbers as a table
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "concat": {"spacing": 8},
    "title": {"color": INK, "fontSize": _FONT_SIZE, "fontWeight": "normal", "anchor": "start", "offset": 6},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "titleFontWeight": "normal",
        "titleFontSize": _FONT_SIZE,
        "labelFontSize": _FONT_SIZE,
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
        "labelFontSize": _FONT_SIZE,
        "titleFontSize": _FONT_SIZE,
        "titleFontWeight": "normal",
        "orient": "top",
        "symbolOpacity": 1,
        "columnPadding": 28,
        "labelLimit": 200,
    },
    "text": {"color": INK, "fontSize": _FONT_SIZE},
    "bar": {"color": BLUE},
}


def number_axis(*, up: bool = False, share: bool = False, **options: Any) -> alt.Axis:
    """Return an axis of numbers, or of shares as percentages; `up` for a vertical one."""
    labels: dict[str, Any] = {"format": "~%"} if share else {"labelExpr": TICK_LABEL}
    if up:
        labels["titlePadding"] = _TITLE_PADDING  # the labels are wider in a browser than measured here
    return alt.Axis(labelOverlap=True, labelSeparation=10, **labels, **options)


def level_axis(names: Sequence[str]) -> alt.Y:
    """Return the axis of levels, in the given order."""
    return alt.Y("name:N", title=None, sort=list(names), axis=alt.Axis(ticks=False, domain=False, labelPadding=6))


def color_scale(series: Sequence[str]) -> Any:
    """Return a colour for each series, with a legend where there are several."""
    if len(series) < 2:
        return alt.value(BLUE)
    scale = alt.Scale(domain=list(series), range=[BLUE, ORANGE, GREEN, PURPLE])
    return alt.Color("series:N", scale=scale, legend=alt.Legend(title=None))


def series_shape(series: Sequence[str]) -> Any:
    """Return a shape for each series, for readers who do not see colours."""
    if len(series) < 2:
        return alt.value("circle")
    scale = alt.Scale(domain=list(series), range=["circle", "diamond", "square", "triangle-up"])
    return alt.Shape("series:N", scale=scale, legend=None)


def data_of(values: Sequence[dict[str, Any]]) -> alt.Data:
    """Return values as data of a chart."""
    # As one text, because Altair copies the members of a list with every layer.
    return alt.Data(values=json.dumps(values), format=alt.DataFormat(type="json"))  # type: ignore[no-untyped-call]


def shorten(name: str, max_letters: int = MAX_LETTERS) -> str:
    """Return a name, cut with an ellipsis where it is too long."""
    return name if len(name) <= max_letters else name[: max_letters - 1] + "…"


def plot_width(letters: int | None = None) -> float:
    """Return the width between the axes: beside levels of at most so many letters, or beside numbers."""
    if letters is None:
        return WIDTH - 70 - _TITLE_PADDING
    return max(WIDTH - 32 - letters * LETTER_WIDTH - math.ceil(letters * SPARE_WIDTH), 150)


def to_svg(chart: Any, *, levels: float | None = None, letters: int = 0) -> str:
    """Draw a chart at the common width, with room for so many levels and for the letters of the longest one."""
    spare = math.ceil(letters * SPARE_WIDTH)
    if not isinstance(chart, alt.HConcatChart):
        chart = chart.properties(width=plot_width(letters if levels is not None else None))
        if levels is not None:
            chart = chart.properties(height=max(_LEVEL_HEIGHT * levels, 40))
    spec = chart.to_dict(validate=False)
    spec["config"] = _CONFIG
    spec["padding"] = {"left": 4 + spare, "top": 5, "right": 8, "bottom": 5}
    drawn: str = vl_convert.vegalite_to_svg(spec)
    return _make_fluid(drawn)


def _make_fluid(svg: str) -> str:
    """Let the page set the size, and drop what a browser does not need."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    size = f'{box.group(0)} style="--width:{box.group(1)}px"' if box else ""
    inner = svg[svg.index(">") + 1 :]
    # A hundredth of a pixel is exact enough, and keeps the page small.
    inner = re.sub(r"<[^>]+>", lambda tag: _LONG_DECIMALS.sub(r"\1", tag.group(0)), inner)
    # Vega numbers gradients and clips from 0 in every chart, but on one page ids must be unique.
    prefix = hashlib.sha256(inner.encode()).hexdigest()[:10]
    inner = re.sub(r'(\bid="|url\(#)', rf"\g<1>{prefix}-", inner)
    return f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" aria-hidden="true" focusable="false" {size}>{inner}'
