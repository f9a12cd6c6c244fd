"""A sample of rows in memory, as arrays of level numbers; no Spark here.

It has two parts. Some rows are drawn at random. Of every column that may name a customer, a product or a visit, some
levels are drawn and *all* their rows are there: whether an attribute is constant within a customer can be seen only
where the customer has more than one row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from purchasecast.drafting.numbers import parse_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Sample"]


@dataclass(frozen=True)
class Sample:
    """Hold sampled rows.

    Parameters
    ----------
    codes : dict of str to array of int32
        By column: the number of each row's value in `labels`; -1 where it is empty.
    labels : dict of str to tuple of str
        By column: the values that occur, sorted.
    random : array of bool
        Rows of the random part.
    whole : dict of str to array of bool
        By column: rows of the levels that have all their rows here.
    """

    codes: dict[str, NDArray[np.int32]]
    labels: dict[str, tuple[str, ...]]
    random: NDArray[np.bool_]
    whole: dict[str, NDArray[np.bool_]]
    _numbers: dict[tuple[str, str | None], NDArray[np.float64]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def rows(self) -> int:
        """Rows in the sample."""
        return len(self.random)

    def numbers(self, name: str, decimal: str | None = None) -> NDArray[np.float64]:
        """Return a column's values as numbers, NaN where one is none.

        Parameters
        ----------
        name : str
            The column.
        decimal : {".", ","}, optional
            The decimal sign of numbers that people write; by default all are plain.

        Returns
        -------
        array of float
            One number a row.
        """
        key = (name, decimal)
        if key not in self._numbers:
            by_label = np.array([*(parse_number(label, decimal) for label in self.labels[name]), np.nan])
            self._numbers[key] = by_label[self.codes[name]]
        return self._numbers[key]
