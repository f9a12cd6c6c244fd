"""Turn rows or a table into encoded columns: distinct values, each checked once, and codes that point to them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from purchasecast.errors import ColumnMismatchError, DataError, did_you_mean
from purchasecast.schema.values import MAX_NUMBER
from purchasecast.scorer.parsing import MISSING, BadValueError, Value, value_parser

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from purchasecast.schema import Column, Schema

__all__ = ["Encoded", "InputReader", "Problem"]

_SHOWN_NAMES, _SHOWN_LETTERS = 30, 60  # of a table's column names, in a message
_SEARCHED_NAMES = 200  # for a likely misspelling; comparing thousands of names takes seconds
_ABSENT = object()  # a column that a row does not have
_PLAIN = {str, int, type(None), object}  # types whose values are equal only if they are the same


@dataclass(frozen=True, slots=True)
class Problem:
    """One value that breaks a rule.

    Attributes
    ----------
    row : int
        Number of the row, from 0.
    column : str
        Column of the schema.
    reason : str
        The rule, as ``purchasecast validate`` names it.
    """

    row: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """A column as distinct values and codes that point to them."""

    codes: NDArray[np.intp]  # one a row
    values: Sequence[Value]  # None for a null, and for a value that breaks a rule

    def numbers(self) -> NDArray[np.float64]:
        """Return the column as numbers, NaN for null."""
        values = np.array([np.nan if value is None else value for value in self.values], dtype=np.float64)
        return values[self.codes]


class InputReader:
    """Reads rows and tables of a schema.

    Parameters
    ----------
    schema : Schema
        The schema.
    parser_of : callable, default `value_parser`
        Returns the function that parses and checks a column's values.
    """

    def __init__(self, schema: Schema, parser_of: Callable[[Column], Callable[[Any], Value]] = value_parser) -> None:
        self.schema = schema
        self.columns = tuple(column for column in schema.columns if column.role not in {"target", "row"})
        self.parsers = {column.name: parser_of(column) for column in schema.columns}
        # Pairs for the loop over one row, in which every attribute access counts.
        self.plan = tuple((column.name, self.parsers[column.name]) for column in self.columns)
        self.names = frozenset(column.name for column in self.columns)

    def row(self, row: Mapping[str, Any]) -> tuple[dict[str, Value], dict[str, str]]:
        """Return the parsed values of a row by column, and what is wrong by column."""
        values: dict[str, Value] = {}
        problems: dict[str, str] = {}
        for column in self.columns:
            try:
                values[column.name] = self._parsed(column, row.get(column.name, _ABSENT))
            except BadValueError as error:
                problems[column.name] = str(error)
        return values, problems

    def rows(self, rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Encoded], list[Problem]]:
        """Return a list of rows as encoded columns, and what is wrong."""
        problems: list[Problem] = []
        encoded = {}
        for column in self.columns:
            codes, distinct = _distinct([row.get(column.name, _ABSENT) for row in rows])
            encoded[column.name] = self._encoded(column, codes, distinct, problems)
        problems.sort(key=lambda problem: problem.row)
        return encoded, problems

    def table(self, table: pa.Table) -> tuple[dict[str, Encoded | NDArray[np.float64]], list[Problem]]:
        """Return a table, which `check_columns` has accepted, as encoded columns or numbers, and what is wrong."""
        encoded: dict[str, Encoded | NDArray[np.float64]] = {}
        problems: list[Problem] = []
        for column in self.columns:
            values = table[column.name]
            if column.kind == "numeric" and pa.types.is_floating(values.type):
                encoded[column.name] = self._floats(column, values, problems)
            else:
                encoded[column.name] = self._dictionary(column, values, problems)
        return encoded, problems

    def check_columns(self, found: Sequence[str]) -> None:
        """Check that a table has all columns of the model and no unknown one.

        Raises
        ------
        ColumnMismatchError
            If a column is missing, unknown or named twice.
        """
        expected = [column.name for column in self.columns]
        counts = Counter(found)
        missing = [name for name in expected if name not in counts]
        extra = [name for name in counts if name not in self.schema.names and not self.schema.ignores(name)]
        twice = [name for name, count in counts.items() if count > 1]
        if missing or extra or twice:
            similar = [name for name in extra[:_SEARCHED_NAMES] if len(name) <= _SHOWN_LETTERS]
            hint = "".join(did_you_mean(name, similar) for name in missing[:1])
            lists = [("missing", missing), ("extra", extra), ("named twice", twice)]
            parts = "; ".join(f"{what}: {_listed(names)}" for what, names in lists if names)
            raise ColumnMismatchError(
                f"expected the columns {_listed(expected)}, found {_listed(found)} ({parts}{hint})."
            )

    def _dictionary(self, column: Column, values: pa.ChunkedArray, problems: list[Problem]) -> Encoded:
        # Chunks may each have a dictionary of their own, in which one code means different things.
        whole = values.unify_dictionaries().combine_chunks()
        coded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
        try:
            raw = coded.dictionary.to_pylist()
        except UnicodeDecodeError:
            raise DataError(f"{column.name}: expected text in UTF-8, found other bytes; convert the table.") from None
        codes = pc.fill_null(coded.indices, len(raw)).to_numpy(zero_copy_only=False).astype(np.intp)
        return self._encoded(column, codes, [*raw, None], problems)

    def _encoded(
        self, column: Column, codes: NDArray[np.intp], distinct: Sequence[Any], problems: list[Problem]
    ) -> Encoded:
        """Parse distinct raw values, and add the rows of those that break a rule to the problems."""
        values: list[Value] = []
        for code, raw in enumerate(distinct):
            try:
                values.append(self._parsed(column, raw))
            except BadValueError as error:
                values.append(None)
                problems += [Problem(int(row), column.name, str(error)) for row in np.flatnonzero(codes == code)]
        return Encoded(codes, values)

    def _parsed(self, column: Column, value: Any) -> Value:
        if value is not _ABSENT:
            return self.parsers[column.name](value)
        if column.null == "forbidden":
            raise BadValueError(MISSING)
        return None

    def _floats(self, column: Column, values: pa.ChunkedArray, problems: list[Problem]) -> NDArray[np.float64]:
        """Check numbers all at once, as they may all be distinct; only suspects are looked at one by one."""
        numbers: NDArray[np.float64] = pc.fill_null(values.cast(pa.float64()), np.nan).to_numpy().copy()
        suspect = ~(np.abs(numbers) <= MAX_NUMBER)
        if column.minimum is not None:
            suspect |= numbers < float(column.minimum)  # type: ignore[arg-type]  # only date columns have dates
        if column.maximum is not None:
            suspect |= numbers > float(column.maximum)  # type: ignore[arg-type]
        if column.type == "integer":
            suspect |= numbers != np.floor(numbers)
        parse = self.parsers[column.name]
        for row in np.flatnonzero(suspect):
            try:
                parse(values[int(row)].as_py())
            except BadValueError as error:
                problems.append(Problem(int(row), column.name, str(error)))
                numbers[row] = np.nan
        return numbers


def _listed(names: Sequence[str]) -> str:
    """Return names for a message; of very many, or of a very long one, only the beginning."""
    shown = [name if len(name) <= _SHOWN_LETTERS else f"{name[:_SHOWN_LETTERS]}..." for name in names[:_SHOWN_NAMES]]
    more = f" and {len(names) - _SHOWN_NAMES:,} more" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(shown) + more


def _distinct(values: list[Any]) -> tuple[NDArray[np.intp], list[Any]]:
    """Return the code of every value, and the distinct values."""
    # 1, 1.0 and True are equal and have one hash, but a parser tells them apart.
    keys = values if _PLAIN.issuperset(map(type, values)) else [(type(value), value) for value in values]
    try:
        places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    except TypeError:  # a list or an object cannot be hashed; each is reported as a bad value
        return np.arange(len(values)), values
    codes = np.fromiter(map(places.__getitem__, keys), dtype=np.intp, count=len(keys))
    return codes, list(places) if keys is values else [value for _, value in places]
