"""Numbers, money, shares and names as text."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "compact",
    "counted",
    "html_table",
    "money",
    "named",
    "number",
    "percent",
    "short",
    "span",
    "text_table",
    "with_unit",
]

_SHORT_LEVEL = 8  # letters of a level that reads well after the name of its column


def number(value: float) -> str:
    """Write a number for a table, with three or four significant digits where it is small.

    Examples
    --------
    >>> number(9263.97), number(229.84), number(12.345), number(2.276), number(0.01234), number(12.0)
    ('9,264', '229.8', '12.35', '2.28', '0.0123', '12')
    """
    size = abs(value)
    if size >= 1000 or value == round(value):
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 1 else f"{value:.3g}"


def compact(value: float) -> str:
    """Write a number for a sentence: millions and billions in words, no decimals from 100 on.

    Examples
    --------
    >>> compact(5095812742), compact(-2295273.9), compact(550068), compact(267.42), compact(2.276), compact(0.0123)
    ('5.096 billion', '-2.295 million', '550,068', '267', '2.28', '0.0123')
    """
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if abs(value) >= size * 0.99995:  # four digits would round it up to the next word
            return f"{value / size:,.4g} {word}"
    return f"{value:,.0f}" if abs(value) >= 100 else number(value)


def short(value: float) -> str:
    """Write a number for a label with little room, such as the end of a bar.

    Examples
    --------
    >>> short(5095812742), short(333_108_000), short(-13608.2), short(9264.0), short(0.5)
    ('5.1B', '333M', '-13.6k', '9,264', '0.5')
    """
    for start, size, letter in ((1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= start * 0.9995:
            return f"{value / size:.3g}{letter}"
    return number(value)


def money(value: float, unit: str | None) -> str:
    """Write an amount with its unit, where it has one.

    Examples
    --------
    >>> money(9263.97, "USD"), money(2.276, "USD"), money(3e6, None)
    ('9,264 USD', '2.28 USD', '3 million')
    """
    return f"{compact(value)} {unit}" if unit else compact(value)


def percent(share: float) -> str:
    """Write a share of 1 as a percentage.

    Examples
    --------
    >>> percent(0.553379), percent(0.00012), percent(1.0)
    ('55.3%', '0.012%', '100%')
    """
    hundred = 100 * share
    if hundred in {0, 100} or abs(hundred) >= 99.95:
        return f"{hundred:.0f}%"
    return f"{hundred:.1f}%" if abs(hundred) >= 0.1 else f"{hundred:.2g}%"


def span(low: float | None, high: float | None) -> str:
    """Write the two ends of an interval for a table; nothing where there is no interval.

    Examples
    --------
    >>> span(9034.2, 9322.0), span(None, None)
    ('9,034 to 9,322', '')
    """
    return "" if low is None or high is None else f"{number(low)} to {number(high)}"


def with_unit(name: str, unit: str | None) -> str:
    """Write the name of a quantity with its unit in brackets, where it has one.

    Examples
    --------
    >>> with_unit("RMSE", "USD"), with_unit("RMSE", None)
    ('RMSE (USD)', 'RMSE')
    """
    return f"{name} ({unit})" if unit else name


def counted(count: int, one: str, many: str | None = None) -> str:
    """Write a number of things, in the singular or the plural.

    Examples
    --------
    >>> counted(1, "product"), counted(1_200, "product"), counted(2, "category", "categories")
    ('1 product', '1,200 products', '2 categories')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def named(label: str, level: str) -> str:
    """Write a level together with the name of its column.

    Examples
    --------
    >>> named("City category", "A"), named("Category 1", "5"), named("Segment", "Home Office")
    ('City category A', 'Category 1 “5”', 'Home Office (Segment)')
    """
    if len(level) > _SHORT_LEVEL:
        return f"{level} ({label})"
    # "Category 1 5" would read as one number.
    return f"{label} “{level}”" if label[-1:].isdigit() and level[:1].isdigit() else f"{label} {level}"


def text_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as text: the first column aligned left, the others aligned right.

    Examples
    --------
    >>> print(text_table(("name", "rows"), [("a", "1,000"), ("total", "1,000")]))
    name    rows
    a      1,000
    total  1,000
    """
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    lines = []
    for row in (headers, *rows):
        first, *others = [
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join([first, *others]).rstrip())
    return "\n".join(lines)


def html_table(headers: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """Return a table as HTML, with all texts escaped.

    Examples
    --------
    >>> html_table(("name",), [("<a>",)])
    '<table><thead><tr><th>name</th></tr></thead><tbody><tr><td>&lt;a&gt;</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{escape(cell)}</th>" for cell in headers)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
