"""How a CSV file writes what it means: the decimal sign, and a word for an empty value."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from purchasecast.drafting.sample import Sample
from purchasecast.drafting.survey import DIRTY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purchasecast.drafting.counts import ColumnCounts

__all__ = ["find_decimal_sign", "find_empty_word", "without_word"]


def find_decimal_sign(columns: Sequence[ColumnCounts], separator: str = ",") -> str | None:
    """Return the decimal sign of numbers that people have written.

    Parameters
    ----------
    columns : sequence of ColumnCounts
        Columns of a table of text.
    separator : str, default ","
        What parts the fields of a line: 1,234 in a file with semicolons is hardly English.

    Returns
    -------
    {".", ","} or None
        The sign, where columns hold numbers only if it is one; None where all numbers are plain.
    """
    votes = {",": 0, ".": 0}
    for counts in columns:
        for decimal in votes:
            more = counts.numbers_by(decimal) - counts.numbers
            if more and counts.numbers_by(decimal) >= (1 - DIRTY) * counts.filled:
                votes[decimal] += more
    if not any(votes.values()):
        return None
    # 1,234 fits both; what else is there has decided unless it is all there is
    if votes[","] == votes["."]:
        return "," if separator == ";" else "."
    return max(votes, key=lambda decimal: votes[decimal])


def find_empty_word(columns: Sequence[ColumnCounts]) -> str | None:
    """Return the word that stands for an empty value: what alone keeps a column from being all numbers.

    Parameters
    ----------
    columns : sequence of ColumnCounts
        Columns of a table of text.

    Returns
    -------
    str or None
        The word, as it is written most often; None where there is none.
    """
    found: Counter[str] = Counter()
    for counts in columns:
        rest = counts.filled - sum(counts.words.values())
        numbers = max(counts.numbers_by(decimal) for decimal in (",", "."))
        if counts.words and (rest == 0 or numbers >= (1 - DIRTY) * rest > 0):
            found.update(counts.words)
    return found.most_common(1)[0][0] if found else None


def without_word(columns: Sequence[ColumnCounts], sample: Sample, word: str) -> tuple[list[ColumnCounts], Sample]:
    """Take a word as an empty value, in all columns and in their sample."""
    counted = []
    for counts in columns:
        rows = counts.levels.get(word, 0)
        levels = {level: number for level, number in counts.levels.items() if level != word}
        words = {other: number for other, number in counts.words.items() if other != word}
        counted.append(
            replace(
                counts, empty=counts.empty + rows, distinct=counts.distinct - (rows > 0), levels=levels, words=words
            )
        )
    codes = {}
    for name, values in sample.codes.items():
        labels = sample.labels[name]
        place = labels.index(word) if word in labels else -2
        codes[name] = np.where(values == place, np.int32(-1), values)
    return counted, Sample(codes, sample.labels, sample.random, sample.whole)
