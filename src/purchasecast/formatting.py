"""Numbers and names as people read them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["brief", "compact", "counted", "html_table", "money", "named", "number", "percent", "text_table"]

_STEPS = ((1e9, "billion"), (1e6, "million"))
_SHORT = 8  # letters of a level's name that reads well after its column's


def number(value: float) -> str:
    """Write a number for a table, with as many digits as it deserves.

    Parameters
    ----------
    value : float
        Any finite number.

    Returns
    -------
    str
        With thousands separated; whole from 1,000 on.

    Examples
    --------
    >>> number(9263.97), number(229.8), number(0.0123), number(12.0)
    ('9,264', '229.8', '0.0123', '12')
    """
    if abs(value) >= 1000 or value == round(value):
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:,.1f}"
    if abs(value) >= 1:
        return f"{value:,.2f}"
    return f"{value:.3g}"


def compact(value: float) -> str:
    """Write a number for a sentence: large ones in words, with four digits that count.

    Examples
    --------
    >>> compact(5095812742), compact(-2295273.9), compact(550068), compact(267.42), compact(8.5)
    ('5.096 billion', '-2.295 million', '550,068', '267', '8.50')
    """
    for size, word in _STEPS:
        if abs(value) >= size * 0.99995:
            return f"{value / size:,.4g} {word}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:,.2f}"


def brief(value: float) -> str:
    """Write a number where there is hardly room for it.

    Examples
    --------
    >>> brief(5095812742), brief(333_108_000), brief(-13608.2), brief(9264.0), brief(0.5)
    ('5.1B', '333M', '-13.6k', '9,264', '0.5')
    """
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size * 0.9995:
            return f"{value / (1e3 if letter == 'k' else size):.3g}{letter}"
    return number(value)


def money(value: float, unit: str | None) -> str:
    """Write an amount with its unit, where it has one.

    Examples
    --------
    >>> money(9263.97, "USD"), money(3e6, None)
    ('9,264 USD', '3 million')
    """
    return f"{compact(value)} {unit}" if unit else compact(value)


def percent(share: float) -> str:
    """Write a share.

    Examples
    --------
    >>> percent(0.553379), percent(0.00012), percent(1.0)
    ('55.3%', '0.012%', '100%')
    """
    hundred = 100 * share
    if hundred in {0, 100} or abs(hundred) >= 99.95:
        return f"{hundred:.0f}%"
    return f"{hundred:.1f}%" if abs(hundred) >= 0.1 else f"{hundred:.2g}%"


def counted(count: int, one: str, many: str | None = None) -> str:
    """Write a number of things.

    Examples
    --------
    >>> counted(1, "product"), counted(1_200, "product"), counted(2, "category", "categories")
    ('1 product', '1,200 products', '2 categories')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def named(label: str, level: str) -> str:
    """Write a level with its column, so that it reads as one name.

    Examples
    --------
    >>> named("City category", "A"), named("Category 1", "5"), named("Segment", "Home Office")
    ('City category A', 'Category 1 “5”', 'Home Office (Segment)')
    """
    if len(level) > _SHORT:
        return f"{level} ({label})"
    return f"{label} “{level}”" if label[-1:].isdigit() and level[:1].isdigit() else f"{label} {level}"


def text_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as text: the first column to the left, the others to the right.

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
    """Return a table as HTML; every text is escaped.

    Examples
    --------
    >>> html_table(("name",), [("<a>",)])
    '<table><thead><tr><th>name</th></tr></thead><tbody><tr><td>&lt;a&gt;</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{escape(cell)}</th>" for cell in headers)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
