"""Numbers and names as people read them."""

from __future__ import annotations

__all__ = ["compact", "money", "number", "percent", "plural"]

_STEPS = ((1e9, "billion"), (1e6, "million"))
_PLURALS = {"category": "categories", "city": "cities"}


def number(value: float) -> str:
    """Write a number with as many digits as it deserves.

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
    """Write a large number in words.

    Examples
    --------
    >>> compact(5095812742), compact(2295273.9), compact(550068)
    ('5.10 billion', '2.30 million', '550,068')
    """
    for size, word in _STEPS:
        if abs(value) >= size:
            return f"{value / size:,.2f} {word}"
    return number(value)


def money(value: float, unit: str | None) -> str:
    """Write an amount with its unit, where it has one.

    Examples
    --------
    >>> money(9263.97, "USD"), money(3e6, None)
    ('9,264 USD', '3.00 million')
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


def plural(count: int, noun: str) -> str:
    """Write a count with its noun.

    Examples
    --------
    >>> plural(1, "level"), plural(3, "category")
    ('1 level', '3 categories')
    """
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {_PLURALS.get(noun, noun + 's')}"
