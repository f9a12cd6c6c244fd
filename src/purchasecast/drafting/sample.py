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
    from collections.abc import Mapping, Sequence

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

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, Sequence[str | None]],
        random: NDArray[np.bool_] | None = None,
        whole: Mapping[str, NDArray[np.bool_]] | None = None,
    ) -> Sample:
        """Build a sample from columns of text.

        Parameters
        ----------
        columns : mapping of str to sequence
            The values by column, all of one length; None where one is empty.
        random : array of bool, optional
            Rows of the random part; by default all.
        whole : mapping of str to array of bool, optional
            Rows of whole levels; by default all rows of every column, as where the sample is the whole table.

        Returns
        -------
        Sample
            The sample.
        """
        codes, labels = {}, {}
        for name, values in columns.items():
            labels[name] = tuple(sorted({value for value in values if value is not None}))
            place = {value: number for number, value in enumerate(labels[name])}
            codes[name] = np.array([-1 if value is None else place[value] for value in values], dtype=np.int32)
        rows = len(next(iter(codes.values()), ()))
        every = np.ones(rows, dtype=bool)
        random = every if random is None else random
        whole = dict.fromkeys(codes, every) if whole is None else dict(whole)
        return cls(codes, labels, random, whole)

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
