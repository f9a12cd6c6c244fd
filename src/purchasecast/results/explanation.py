"""Explanation of one prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from purchasecast.formatting import html_table, text_table
from purchasecast.results.record import Record

__all__ = ["Explanation"]


@dataclass(frozen=True, slots=True, repr=False)
class Explanation(Record):
    """What a prediction is made of; prints as a table.

    Attributes
    ----------
    prediction : float
        Prediction, in money.
    lower, upper : float or None
        Bounds of the interval; None where the model has none.
    base : float
        Prediction of an average row, in money.
    parts : tuple of (tuple of str, float)
        Columns, and what the row's values in them add to the base; several columns together for their interaction,
        none for what keeping the prediction within its range adds. The largest first.
    money : str or None
        Currency.

    Notes
    -----
    The base and all parts sum to the prediction, to rounding.
    """

    prediction: float
    lower: float | None
    upper: float | None
    base: float
    parts: tuple[tuple[tuple[str, ...], float], ...]
    money: str | None = None

    @classmethod
    def of(cls, result: Any, money: str | None) -> Explanation:
        """Return the explanation of the first row of a scorer's result.

        Parameters
        ----------
        result : Prediction
            Result of the scorer, with contributions.
        money : str or None
            Currency.

        Returns
        -------
        Explanation
            The prediction, that of an average row, and what each column adds.
        """
        parts = result.contributions
        return cls(
            prediction=float(result.prediction[0]),
            lower=None if result.lower is None else float(result.lower[0]),
            upper=None if result.upper is None else float(result.upper[0]),
            base=float(parts.base[0]),
            parts=tuple((tuple(part["columns"]), part["contribution"]) for part in parts.to_dicts(0)),
            money=money,
        )

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [("average row", f"{self.base:,.2f}")]
        rows += [(" x ".join(columns) or "range", f"{value:+,.2f}") for columns, value in self.parts]
        rows.append(("prediction", f"{self.prediction:,.2f}"))
        if self.lower is not None and self.upper is not None:
            rows.append(("interval", f"{self.lower:,.2f} to {self.upper:,.2f}"))
        return rows

    def __repr__(self) -> str:
        """Return the table as text."""
        return text_table(("source", self.money or "amount"), self._rows())

    def _repr_html_(self) -> str:
        """Return the table as HTML, for a notebook."""
        return html_table(("source", self.money or "amount"), self._rows())
