"""Numbers, and numbers of dates, with nulls filled as the fitted `Imputer` fills them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from purchasecast.scorer.dates import calendar_part

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["Numeric"]


@dataclass(frozen=True, slots=True)
class _Column:
    """One number: of which column, which part of a date, and what stands for null."""

    name: str
    output: str
    part: str | None
    fill: float

    def of_value(self, value: float | date | None) -> float:
        """Return the number of one canonical value."""
        if value is None:
            return self.fill
        return calendar_part(value, self.part) if self.part is not None else value  # type: ignore[arg-type,return-value]


class Numeric:
    """Turns inputs into numbers.

    Parameters
    ----------
    columns : sequence of _Column
        What is turned.
    """

    def __init__(self, columns: list[_Column]) -> None:
        self._columns = columns

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], context: Context) -> Self:  # noqa: ARG003  every kind takes it
        """Build the step from its entry."""
        return cls(
            [
                _Column(
                    name=column["column"],
                    output=column["output"],
                    part=column.get("part"),
                    fill=float("nan") if column.get("fill") is None else float(column["fill"]),
                )
                for column in entry["columns"]
            ]
        )

    def batch(self, batch: Batch) -> None:
        """Turn whole columns; of a date, every distinct day once."""
        for column in self._columns:
            if column.part is None:
                numbers = batch.numbers(column.name)
                made = np.where(np.isnan(numbers), column.fill, numbers)
            else:
                encoded = batch.encoded(column.name)
                days = np.array([column.of_value(value) for value in encoded.values])  # type: ignore[arg-type]
                made = days[encoded.codes]
            batch.columns[column.output] = made
            batch.sources[column.output] = (column.name,)

    def row(self, row: Row) -> None:
        """Turn one value a column."""
        for column in self._columns:
            row.values[column.output] = column.of_value(row.values[column.name])
