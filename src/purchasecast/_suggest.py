"""Guess what a misspelt name was meant to be, for error messages."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["closest", "did_you_mean"]


def closest(word: str, names: Iterable[str]) -> str | None:
    """Return the name that looks most like a word, whatever the case of either.

    Parameters
    ----------
    word : str
        What was written.
    names : iterable of str
        What could have been meant.

    Returns
    -------
    str or None
        The likeliest name; None where nothing comes near.

    Examples
    --------
    >>> closest("purchse", ["Product_ID", "Purchase"])
    'Purchase'
    """
    by_folded = {name.casefold(): name for name in names}
    matches = get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return the clause ``; did you mean X?``, or nothing where no name comes near.

    Parameters
    ----------
    word : str
        What was written.
    names : iterable of str
        What could have been meant.

    Returns
    -------
    str
        A clause to put behind an error message.

    Examples
    --------
    >>> did_you_mean("nominl", ["nominal", "ordinal"])
    '; did you mean nominal?'
    >>> did_you_mean("xyz", ["nominal", "ordinal"])
    ''
    """
    name = closest(word, names)
    return f"; did you mean {name}?" if name else ""
