"""Settings of a search for insights, frozen and checked once."""

from __future__ import annotations

from dataclasses import dataclass

from purchasecast.errors import SettingsError

__all__ = ["InsightSettings", "column_pair"]


@dataclass(frozen=True, slots=True)
class InsightSettings:
    """What `find_insights` is asked to do.

    Parameters
    ----------
    level : float, default 0.9
        Level of all intervals.
    false_discovery_rate : float, default 0.1
        Largest share of false findings among those that rest on a test.
    by : tuple of (str, str), default ()
        Pairs of columns to add expected revenue up by; by default a category and a place, where the schema has them.
    offers : int, default 5
        Products, and categories, to offer a customer.
    cap : int, default 1000
        Most lines of a campaign's list.

    Raises
    ------
    SettingsError
        If a setting is outside its range.
    """

    level: float = 0.9
    false_discovery_rate: float = 0.1
    by: tuple[tuple[str, str], ...] = ()
    offers: int = 5
    cap: int = 1000

    def __post_init__(self) -> None:
        for name in ("level", "false_discovery_rate"):
            if not 0 < getattr(self, name) < 1:
                raise SettingsError(f"{name}: expected a share between 0 and 1, found {getattr(self, name)}.")
        for name, most in (("offers", 100), ("cap", 100_000)):
            if not 1 <= getattr(self, name) <= most:
                raise SettingsError(f"{name}: expected 1 to {most:,}, found {getattr(self, name)}.")


def column_pair(text: str) -> tuple[str, str]:
    """Read two columns from a text with a comma between them.

    Parameters
    ----------
    text : str
        Such as ``Category,Region``; blanks around the names do not count.

    Returns
    -------
    (str, str)
        The two names.

    Raises
    ------
    SettingsError
        If there are not two.

    Examples
    --------
    >>> column_pair("Category, Region")
    ('Category', 'Region')
    """
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names):
        raise SettingsError(f"--by: expected two columns with a comma between them, found {text!r}.")
    return (names[0], names[1])
