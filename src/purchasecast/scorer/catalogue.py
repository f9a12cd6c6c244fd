"""What the model knows of customers and products: to find them, to fill in their attributes, to see which are alike."""

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

_MOST_SCANNED = 200_000  # keys that a search reads in full where no key starts with the text


@dataclass(frozen=True, slots=True)
class Known:
    """One customer or product that training has seen.

    Attributes
    ----------
    key : str
        Its id.
    rows : float
        Training rows (sum of their weights).
    mean : float or None
        Mean of the target over them, in money.
    attributes : dict of str to object
        What the training rows say of it, by column.
    similarity : float or None
        Cosine to the one that was asked about, where that was the question.
    """

    key: str
    rows: float
    mean: float | None
    attributes: dict[str, Any]
    similarity: float | None = None


class _Side:
    """The customers or the products."""

    def __init__(self, schema: Schema, column: str, table: LevelTable, entry: Mapping[str, Any]) -> None:
        self.column = column
        self.table = table
        self._parse = value_parser(schema.column(column))
        self._whole = {described.name for described in schema.columns if described.type == "integer"}
        self.attributes: dict[str, str] = dict(entry["attributes"])
        self.factors: list[str] = list(entry.get("factors", ()))
        self._rows, self._mean = entry["rows"], entry["mean"]
        self._busiest: NDArray[np.intp] = np.empty(0, dtype=np.intp)  # as many as were asked for so far

    def known(self, position: int, similarity: float | None = None) -> Known:
        """Return what there is at a position."""
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
        found = {name: self.table.column(column)[position].as_py() for name, column in self.attributes.items()}
        return {name: int(v) if name in self._whole and v is not None else v for name, v in found.items()}

    def find(self, key: Any) -> int | None:
        """Return the position of an id as it was given; None where there is none."""
        try:
            canonical = self._parse(key)
        except BadValueError:
            return None
        position = self.table.find(None if canonical is None else str(canonical))
        return position if position < self.table.rows else None

    def busiest(self, most: int) -> NDArray[np.intp]:
        """Return the positions of the levels with the most training rows."""
        if most > len(self._busiest) < self.table.rows:
            self._busiest = np.argsort(-self.table.numbers(self._rows)[:-1], kind="stable")[:most]
        return self._busiest[:most]


class Catalogue:
    """Customers and products that the model knows.

    Parameters
    ----------
    schema : Schema
        Description of the rows.
    document : mapping
        The scorer's manifest.
    levels : sequence of KeyedLevels
        Its level tables.
    """

    def __init__(self, schema: Schema, document: Mapping[str, Any], levels: Sequence[KeyedLevels]) -> None:
        self._schema = schema
        self._typical: dict[str, Any] = dict(document.get("typical", {}))
        self._sides: dict[str, _Side] = {}
        for role, entry in document.get("known", {}).items():
            keyed = levels[entry["levels"]]
            self._sides[role] = _Side(schema, keyed.columns[0], keyed.table, entry)

    def has(self, role: str) -> bool:
        """Tell whether there are customers, or products."""
        return role in self._sides

    def size(self, role: str) -> int:
        """Return how many the model knows."""
        return self._sides[role].table.rows if role in self._sides else 0

    def find(self, role: str, key: Any) -> Known | None:
        """Return a customer or product by id; None where the model does not know it."""
        if role not in self._sides:
            return None
        position = self._sides[role].find(key)
        return None if position is None else self._sides[role].known(position)

    def knows(self, role: str, key: Any) -> bool:
        """Tell whether training has seen a customer or product."""
        return role in self._sides and self._sides[role].find(key) is not None

    def search(self, role: str, text: str, limit: int = 10) -> list[Known]:
        """Return customers or products whose id starts with a text, else contains it; the busiest without a text."""
        if role not in self._sides:
            return []
        side = self._sides[role]
        if not text:
            return [side.known(int(position)) for position in side.busiest(limit)]
        found = list(side.table.prefixed(text, limit))
        if len(found) < limit and side.table.rows <= _MOST_SCANNED:
            others = [position for position in side.table.containing(text, limit) if position not in found]
            found += others[: limit - len(found)]
        return [side.known(position) for position in found]

    def complete(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row with the attributes that it leaves out, as far as its customer and product are known.

        Parameters
        ----------
        row : mapping of str to object
            Values by column; one that is there stays, also where it is None.

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
        """Return a table of one customer with every product, to be scored.

        Parameters
        ----------
        row : mapping of str to object
            The customer's columns, and those of neither.
        role : {"product", "customer"}, default "product"
            The side that varies.
        limit : int, default 1,000,000
            Largest number of rows, the busiest ones.

        Returns
        -------
        pyarrow.Table
            One row a product, with the product's own attributes.
        """
        side = self._sides[role]
        chosen = np.arange(side.table.rows)
        if len(chosen) > limit:
            chosen = np.sort(side.busiest(limit))
        columns = {side.column: side.table.keys.take(pa.array(chosen))}
        columns |= {name: side.table.column(column).take(pa.array(chosen)) for name, column in side.attributes.items()}
        for name, value in row.items():
            if name not in columns:
                columns[name] = pa.repeat(pa.scalar(value, pa.string() if value is None else None), len(chosen))
        return pa.table(columns)

    def similar(self, role: str, key: str, limit: int = 8) -> list[Known]:
        """Return the customers or products whose tastes or buyers are most alike.

        Parameters
        ----------
        role : {"customer", "product"}
            Which side.
        key : str
            The one to compare with.
        limit : int, default 8
            How many.

        Returns
        -------
        list of Known
            By cosine of the latent factors, most alike first; empty for one that is unknown or has no factors.
        """
        if role not in self._sides or not self._sides[role].factors:
            return []
        side = self._sides[role]
        position = side.find(key)
        if position is None:
            return []
        cosines = np.zeros(side.table.rows)
        lengths, own_length = np.zeros(side.table.rows), 0.0
        for name in side.factors:
            factors = side.table.numbers(name)
            own = factors[position].astype(np.float64)
            cosines += factors[:-1] @ own
            lengths += np.einsum("ij,ij->i", factors[:-1], factors[:-1])
            own_length += float(own @ own)
        if own_length == 0:
            return []
        cosines /= np.sqrt(np.maximum(lengths, 1e-30) * own_length)
        cosines[position] = -np.inf
        best = np.argsort(-cosines, kind="stable")[:limit]
        return [side.known(int(p), float(cosines[p])) for p in best if np.isfinite(cosines[p])]
