"""What drives a prediction: its exact additive parts by column of the schema, relative to an average row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from purchasecast.scorer.batch import INTERCEPT, RANGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from purchasecast.scorer.batch import Batch, Source

__all__ = ["Contributions", "contributions_of", "read_averages", "write_averages"]


@dataclass(frozen=True, slots=True)
class Contributions:
    """Parts of predictions, in money.

    Attributes
    ----------
    base : ndarray of float
        Prediction for an average row, one a row.
    parts : dict of tuple of str to ndarray of float
        What the values of these columns add to the base, one a row. Two columns stand for their interaction;
        ``("",)`` stands for limiting the prediction to its allowed range.

    Notes
    -----
    ``base + sum(parts)`` is the prediction, up to rounding.
    """

    base: NDArray[np.float64]
    parts: dict[Source, NDArray[np.float64]]

    def to_columns(self) -> dict[str, pa.Array]:
        """Return ``base`` and a column ``from ...`` a source, in Arrow; they sum to the prediction."""
        columns = {"base": pa.array(self.base)}
        for source, values in self.parts.items():
            columns[f"from {' x '.join(name or 'range' for name in source)}"] = pa.array(values)
        return columns

    def to_dicts(self, row: int) -> list[dict[str, Any]]:
        """Return the parts of one row as JSON-safe dictionaries, largest first.

        Parameters
        ----------
        row : int
            Number of the row, from 0.

        Returns
        -------
        list of dict
            With ``columns`` and ``contribution``.
        """
        listed = [
            {"columns": [name for name in source if name], "contribution": float(values[row])}
            for source, values in self.parts.items()
            if source != RANGE or values[row]
        ]
        return sorted(listed, key=lambda part: -abs(part["contribution"]))


def contributions_of(batch: Batch, name: str, averages: Mapping[Source, float]) -> Contributions:
    """Return the parts of a derived column relative to their averages.

    Parameters
    ----------
    batch : Batch
        A batch that explains.
    name : str
        The column, such as the prediction.
    averages : mapping of tuple of str to float
        Average part over training rows by source; 0 for a source that is not there.

    Returns
    -------
    Contributions
        The averages are added to the base.
    """
    parts = dict(batch.parts_of(name))
    base = parts.pop(INTERCEPT, np.zeros(batch.rows))
    around = {source: averages.get(source, 0.0) for source in parts}
    # Relative to 0, a column that never varies would seem to matter most.
    relative = {source: values - around[source] for source, values in parts.items()}
    return Contributions(base + sum(around.values()), relative)


def write_averages(parts: Mapping[Source, NDArray[np.float64]]) -> list[dict[str, Any]]:
    """Return the average of every part, as JSON-safe dictionaries."""
    return [
        {"columns": list(source), "average": float(values.mean())}
        for source, values in parts.items()
        if source not in {INTERCEPT, RANGE}  # the first is the base already; the second is rare and stays as it is
    ]


def read_averages(entries: Sequence[Mapping[str, Any]]) -> dict[Source, float]:
    """Return by source what `write_averages` wrote."""
    return {tuple(entry["columns"]): float(entry["average"]) for entry in entries}
