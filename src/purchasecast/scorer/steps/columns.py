"""The first steps: input columns become numbers and level indices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from purchasecast.scorer.dates import calendar_part
from purchasecast.scorer.inputs import Encoded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["IndexLevels", "Numeric"]


class Numeric:
    """Turns columns into numbers, dates into one of their calendar parts; fills nulls as the fitted `Imputer` does."""

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002  the form of all steps
        self._columns = [
            (
                column["column"],
                column["output"],
                column.get("part"),
                float("nan") if column.get("fill") is None else float(column["fill"]),
            )
            for column in entry["columns"]
        ]

    def batch(self, batch: Batch) -> None:
        """Turn whole columns into numbers."""
        for name, output, part, fill in self._columns:
            if part is None:
                numbers = batch.numbers(name)
                numbers = np.where(np.isnan(numbers), fill, numbers)
            else:
                encoded = batch.encoded(name)  # few distinct days: Python computes each of them once
                days: list[Any] = list(encoded.values)
                parts = [fill if day is None else calendar_part(day, part) for day in days]
                numbers = np.array(parts, dtype=np.float64)[encoded.codes]
            batch.add_column(output, numbers, (name,))

    def row(self, row: Row) -> None:
        """Turn one row's values into numbers."""
        values = row.values
        for name, output, part, fill in self._columns:
            value = values[name]
            if value is None:
                values[output] = fill
            else:
                values[output] = value if part is None else calendar_part(value, part)


class IndexLevels:
    """Turns levels into indices, as `StringIndexerModel` does with ``handleInvalid="keep"``.

    A null counts as the level that the entry names. A level without an index gets the index after the last.
    """

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002  the form of all steps
        self._columns = []
        for column in entry["columns"]:
            labels: dict[str | None, int] = {label: index for index, label in enumerate(column["labels"])}
            unseen = len(labels)
            labels[None] = labels.get(column["null"], unseen)
            self._columns.append((column["column"], column["text"], column["output"], column["null"], labels, unseen))

    def batch(self, batch: Batch) -> None:
        """Look up every distinct value once."""
        for name, text, output, null, labels, unseen in self._columns:
            encoded = batch.encoded(name)
            # The texts become an input of their own, because groups of other steps are named by them.
            texts = [null if value is None else str(value) for value in encoded.values]
            batch.inputs[text] = Encoded(encoded.codes, texts)
            indices = np.array([labels.get(label, unseen) for label in texts], dtype=np.intp)
            batch.add_column(output, indices[encoded.codes], (name,))

    def row(self, row: Row) -> None:
        """Look up one row's values."""
        values = row.values
        for name, text, output, null, labels, unseen in self._columns:
            value = values[name]
            values[text] = null if value is None else value
            values[output] = labels.get(value, unseen)
