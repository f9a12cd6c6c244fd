"""What the model knows of customers and products: find them, fill in their attributes, compare them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from purchasecast.scorer.parsing import BadValueError, value_parser

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from purchasecast.schema import Schema
    from purchasecast.scorer.batch import KeyedLevels
    from purchasecast.scorer.levels import LevelTable

__all__ = ["Catalogue", "Known"]

_MAX_SCANNED = 200_000  # keys that a search reads in full if too few of them start with the text


@dataclass(frozen=True, slots=True)
class Known:
    """A customer or product of the training data.

    Attributes
    ----------
    key : str
        Its id.
    rows : float
        Number of training rows (sum of their weights).
    mean : float or None
        Mean of the target over them, in money.
    attributes : dict of str to object
        Its attributes by column.
    similarity : float or None
        Cosine with the one it is compared with, if it is.
    """

    key: str
    rows: float
    mean: float | None
    attributes: dict[str, Any]
    similarity: float | None = None


class _Side:
    """The customers or the products."""

    def __init__(self, schema: Schema, keyed: KeyedLevels, entry: Mapping[str, Any]) -> None:
        self.column = keyed.columns[0]
        self.table: LevelTable = keyed.table
        self.attributes: dict[str, str] = dict(entry["attributes"])
        self.factors: list[str] = list(entry.get("factors", ()))
        self._parse = value_parser(schema.column(self.column))
        self._whole = {column.name for column in schema.columns if column.type == "integer"}
        self._rows, self._mean = entry["rows"], entry["mean"]
        self._busiest: NDArray[np.intp] = np.empty(0, dtype=np.intp)  # as many as anybody has asked for

    def known(self, position: int, similarity: float | None = None) -> Known:
        """Return the customer or product at a position."""
        mean = float(self.table.numbers(self._mean)[position])
        return Known(
            key=self.table.key(position),
            rows=float(self.table.numbers(self._rows)[position]),
            mean=None if np.isnan(mean) else mean,
            attributes=self.values(position),
            similarity=similarity,
        )

    def values(self, position: int) -> dict[str, Any]:
        """Return the attributes at a position."""
        values = {name: self.table.column(column)[position].as_py() for name, column in self.attributes.items()}
        return {name: int(v) if name in self._whole and v is not None else v for name, v in values.items()}

    def find(self, key: Any) -> int | None:
        """Return the position of an id, in any form that the schema accepts; None if it is unknown."""
        try:
            value = self._parse(key)
        except BadValueError:
            return None
        position = self.table.find(None if value is None else str(value))
        return position if position < self.table.rows else None

    def chosen(self, limit: int) -> NDArray[np.intp]:
        """Return the positions of all, or of those with the most training rows where there are more than the limit."""
        if self.table.rows > limit:
            return np.sort(self.busiest(limit))
        return np.arange(self.table.rows)

    def rows_of(self, positions: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the number of training rows."""
        found: NDArray[np.float64] = self.table.numbers(self._rows)[positions]
        return found

    def busiest(self, limit: int) -> NDArray[np.intp]:
        """Return the positions with the most training rows."""
        if limit > len(self._busiest) < self.table.rows:
            self._busiest = np.argsort(-self.table.numbers(self._rows)[:-1], kind="stable")[:limit]
        return self._busiest[:limit]


class Catalogue:
    """Customers and products that the model knows.

    Parameters
    ----------
    schema : Schema
        The schema of the rows.
    document : mapping
        Content of ``scorer.json``.
    levels : sequence of KeyedLevels
        Its level tables.
    """

    def __init__(self, schema: Schema, document: Mapping[str, Any], levels: Sequence[KeyedLevels]) -> None:
        self._typical: dict[str, Any] = dict(document.get("typical", {}))
        self._sides = {
            role: _Side(schema, levels[entry["levels"]], entry) for role, entry in document.get("known", {}).items()
        }

    def has(self, role: str) -> bool:
        """Tell whether the model knows customers, or products."""
        return role in self._sides

    def size(self, role: str) -> int:
        """Return how many customers, or products, the model knows."""
        return self._sides[role].table.rows if role in self._sides else 0

    def find(self, role: str, key: Any) -> Known | None:
        """Return a customer or product by its id; None if it is unknown."""
        if role not in self._sides:
            return None
        position = self._sides[role].find(key)
        return None if position is None else self._sides[role].known(position)

    def knows(self, role: str, key: Any) -> bool:
        """Tell whether a customer or product is in the training data."""
        return role in self._sides and self._sides[role].find(key) is not None

    def search(self, role: str, text: str, limit: int = 10) -> list[Known]:
        """Return customers or products by a part of their id.

        Parameters
        ----------
        role : {"customer", "product"}
            Which side.
        text : str
            Beginning or, less preferred, another part of the id; without a text, those with most training rows match.
        limit : int, default 10
            Largest number.

        Returns
        -------
        list of Known
            The matches.
        """
        if role not in self._sides:
            return []
        side = self._sides[role]
        if not text:
            return [side.known(int(position)) for position in side.busiest(limit)]
        positions = list(side.table.prefixed(text, limit))
        # Bisection finds a beginning in microseconds; another part can only be found by reading every key.
        if len(positions) < limit and side.table.rows <= _MAX_SCANNED:
            others = [position for position in side.table.containing(text, limit) if position not in positions]
            positions += others[: limit - len(positions)]
        return [side.known(position) for position in positions]

    def complete(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row with the attributes of its customer and product filled in.

        Parameters
        ----------
        row : mapping of str to object
            Values by column. A column that is there keeps its value, even if that is None.

        Returns
        -------
        mapping
            The same row, or one with more columns.
        """
        added: dict[str, Any] = {}
        for side in self._sides.values():
            if side.attributes.keys() <= row.keys() or row.get(side.column) is None:
                continue
            position = side.find(row[side.column])
            if position is not None:
                added |= {name: value for name, value in side.values(position).items() if name not in row}
        return {**row, **added} if added else row

    def typical(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row with typical values of the columns that belong to neither customer nor product."""
        return {**{name: value for name, value in self._typical.items() if name not in row}, **row}

    def candidates(self, row: Mapping[str, Any], role: str = "product", limit: int = 1_000_000) -> pa.Table:
        """Return a table that combines one customer with every product, to be scored.

        Parameters
        ----------
        row : mapping of str to object
            Columns of the customer and of the purchase.
        role : {"product", "customer"}, default "product"
            The side that varies.
        limit : int, default 1,000,000
            Largest number of rows; of more, those with the most training rows.

        Returns
        -------
        pyarrow.Table
            One row a product, with the product's own attributes.
        """
        side = self._sides[role]
        chosen = side.chosen(limit)
        # Arrow takes whole columns out of the tables; a Python row for each product would take seconds.
        columns = {side.column: side.table.keys.take(pa.array(chosen))}
        columns |= {name: side.table.column(column).take(pa.array(chosen)) for name, column in side.attributes.items()}
        for name, value in row.items():
            if name not in columns:
                kind = pa.string() if value is None else None  # of Arrow's null type nothing can be looked up
                columns[name] = pa.repeat(pa.scalar(value, kind), len(chosen))
        return pa.table(columns)

    def candidate_rows(self, role: str = "product", limit: int = 1_000_000) -> NDArray[np.float64]:
        """Return the number of training rows of each candidate, in the order of `candidates`."""
        side = self._sides[role]
        return side.rows_of(side.chosen(limit))

    def similar(self, role: str, key: str, limit: int = 8) -> list[Known]:
        """Return the customers or products that are most similar.

        Parameters
        ----------
        role : {"customer", "product"}
            Which side.
        key : str
            Id of the one to compare with.
        limit : int, default 8
            Largest number.

        Returns
        -------
        list of Known
            Most similar first, by the cosine of the latent factors; empty if it is unknown or has no factors.
        """
        position = self._sides[role].find(key) if role in self._sides else None
        if position is None or not self._sides[role].factors:
            return []
        side = self._sides[role]
        products, squares = np.zeros(side.table.rows), np.zeros(side.table.rows)
        for name in side.factors:
            factors = side.table.numbers(name)[:-1]
            products += factors @ factors[position].astype(np.float64)
            squares += np.einsum("ij,ij->i", factors, factors)
        if squares[position] == 0:
            return []
        cosines = products / np.sqrt(np.maximum(squares, 1e-30) * products[position])  # factors may all be 0
        cosines[position] = -np.inf  # nobody asks whether a product is like itself
        best = np.argsort(-cosines, kind="stable")[:limit]
        return [side.known(int(p), float(cosines[p])) for p in best if np.isfinite(cosines[p])]
