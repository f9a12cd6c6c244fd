"""Level indices, as `SQLTransformer` (null to a level of its own) and `StringIndexerModel` ("keep") make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from purchasecast.scorer.inputs import Encoded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["IndexLevels"]


@dataclass(frozen=True, slots=True)
class _Column:
    """One column: what a null becomes, and every label's index; any other label has the index after the last."""

    name: str
    text: str
    output: str
    null: str
    labels: dict[str, int]


class IndexLevels:
    """Turns texts into level indices.

    Parameters
    ----------
    columns : sequence of _Column
        What is indexed.
    """

    def __init__(self, columns: list[_Column]) -> None:
        self._columns = columns
        self._plan = [
            (c.name, c.text, c.output, c.null, {**c.labels, None: c.labels.get(c.null, len(c.labels))}, len(c.labels))
            for c in columns
        ]

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], context: Context) -> Self:  # noqa: ARG003  every kind takes it
        """Build the step from its entry."""
        return cls(
            [
                _Column(
                    name=column["column"],
                    text=column["text"],
                    output=column["output"],
                    null=column["null"],
                    labels={label: index for index, label in enumerate(column["labels"])},
                )
                for column in entry["columns"]
            ]
        )

    def batch(self, batch: Batch) -> None:
        """Index every distinct value once."""
        for column in self._columns:
            encoded = batch.encoded(column.name)
            texts = [column.null if value is None else str(value) for value in encoded.values]
            index = np.array([column.labels.get(text, len(column.labels)) for text in texts], dtype=np.intp)
            batch.inputs[column.text] = Encoded(encoded.codes, texts)
            batch.columns[column.output] = index[encoded.codes]
            batch.sources[column.output] = (column.name,)

    def row(self, row: Row) -> None:
        """Index one value a column."""
        values = row.values
        for name, text, output, null, labels, unseen in self._plan:
            value = values[name]
            values[text] = null if value is None else value
            values[output] = labels.get(value, unseen)
