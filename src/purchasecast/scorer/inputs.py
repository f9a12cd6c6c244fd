"""Rows of any table become encoded columns: distinct values, checked once each, and the codes that point to them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from purchasecast.errors import ColumnMismatchError, DataError, did_you_mean
from purchasecast.scorer.parsing import MISSING, BadValueError, Value, value_parser

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from purchasecast.schema import Column, Schema

__all__ = ["Encoded", "InputReader", "Problem"]

_SHOWN_NAMES, _SHOWN_LETTERS = 30, 60  # of a table's column names, in a message
_SEARCHED_NAMES = 200  # among which a likely misspelling is looked for; comparing thousands takes seconds
_ABSENT = object()  # stands for a column that a row does not have
_PLAIN = {str, int, type(None), object}  # values of these types are equal only where they are the same


@dataclass(frozen=True, slots=True)
class Problem:
    """One value that breaks a rule.

    Attributes
    ----------
    row : int
        Row of the input, from 0.
    column : str
        Column of the schema.
    reason : str
        The rule, as `purchasecast validate` names it.
    """

    row: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """A column as distinct canonical values and one code a row.

    Attributes
    ----------
    codes : ndarray of int
        Place in `values`, one a row.
    values : list
        Canonical values; None stands for null and for a value that breaks a rule.
    """

    codes: NDArray[np.intp]
    values: Sequence[Value]

    def numbers(self) -> NDArray[np.float64]:
        """Return the column as numbers, NaN for null."""
        values = np.array([np.nan if value is None else value for value in self.values], dtype=np.float64)
        return values[self.codes]


class InputReader:
    """Reads rows of a schema.

    Parameters
    ----------
    schema : Schema
        Description of the rows.
    parser_of : callable, default `value_parser`
        Makes the function that checks a column's values; it raises `BadValueError`.
    """

    def __init__(self, schema: Schema, parser_of: Callable[[Column], Callable[[Any], Value]] = value_parser) -> None:
        self.schema = schema
        self.columns = tuple(column for column in schema.columns if column.role not in {"target", "weight", "row"})
        self.parsers = {column.name: parser_of(column) for column in schema.columns}
        self.plan = tuple((column.name, self.parsers[column.name]) for column in self.columns)
        self.names = frozenset(column.name for column in self.columns)

    def row(self, row: Mapping[str, Any]) -> tuple[dict[str, Value], dict[str, str]]:
        """Return a row's canonical values by column, and what is wrong by column."""
        values: dict[str, Value] = {}
        problems: dict[str, str] = {}
        for column in self.columns:
            try:
                values[column.name] = self._canonical(column, row.get(column.name, _ABSENT))
            except BadValueError as error:
                problems[column.name] = str(error)
        return values, problems

    def rows(self, rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Encoded], list[Problem]]:
        """Encode a list of rows, column by column: every distinct value is checked once."""
        problems: list[Problem] = []
        encoded = {}
        for column in self.columns:
            codes, distinct = _coded([row.get(column.name, _ABSENT) for row in rows])
            encoded[column.name] = self._encoded(column, codes, distinct, problems)
        problems.sort(key=lambda problem: problem.row)
        return encoded, problems

    def table(self, table: pa.Table) -> tuple[dict[str, Encoded | NDArray[np.float64]], list[Problem]]:
        """Encode a table whose columns `check_columns` has accepted."""
        encoded: dict[str, Encoded | NDArray[np.float64]] = {}
        problems: list[Problem] = []
        for column in self.columns:
            values = table[column.name]
            if column.kind == "numeric" and pa.types.is_floating(values.type):
                encoded[column.name] = self._floats(column, values, problems)
            else:
                encoded[column.name] = self._distinct(column, values, problems)
        return encoded, problems

    def check_columns(self, found: Sequence[str]) -> None:
        """Check that a table has the columns that the model reads, and no stranger.

        Raises
        ------
        ColumnMismatchError
            If a column is missing, extra or named twice.
        """
        expected = [column.name for column in self.columns]
        counts = Counter(found)
        missing = [name for name in expected if name not in counts]
        extra = [name for name in counts if name not in self.schema.names and not self.schema.ignores(name)]
        twice = [name for name, count in counts.items() if count > 1]
        if missing or extra or twice:
            likely = [name for name in extra[:_SEARCHED_NAMES] if len(name) <= _SHOWN_LETTERS]
            hints = "".join(did_you_mean(name, likely) for name in missing[:1])
            lists = [("missing", missing), ("extra", extra), ("named twice", twice)]
            parts = "; ".join(f"{what}: {_listed(names)}" for what, names in lists if names)
            raise ColumnMismatchError(
                f"expected the columns {_listed(expected)}, found {_listed(found)} ({parts}{hints})."
            )

    def _distinct(self, column: Column, values: pa.ChunkedArray, problems: list[Problem]) -> Encoded:
        whole = values.unify_dictionaries().combine_chunks()
        coded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
        try:
            raw = coded.dictionary.to_pylist()
        except UnicodeDecodeError:
            raise DataError(f"{column.name}: expected text in UTF-8, found other bytes.") from None
        codes = pc.fill_null(coded.indices, len(raw)).to_numpy(zero_copy_only=False).astype(np.intp)
        return self._encoded(column, codes, [*raw, None], problems)

    def _encoded(
        self, column: Column, codes: NDArray[np.intp], distinct: Sequence[Any], problems: list[Problem]
    ) -> Encoded:
        """Make distinct raw values canonical, and note the rows of those that break a rule."""
        canonical: list[Value] = []
        for code, value in enumerate(distinct):
            try:
                canonical.append(self._canonical(column, value))
            except BadValueError as error:
                canonical.append(None)
                rows = np.flatnonzero(codes == code)
                problems += [Problem(int(row), column.name, str(error)) for row in rows]
        return Encoded(codes, canonical)

    def _canonical(self, column: Column, value: Any) -> Value:
        if value is not _ABSENT:
            return self.parsers[column.name](value)
        if column.null == "forbidden":
            raise BadValueError(MISSING)
        return None

    def _floats(self, column: Column, values: pa.ChunkedArray, problems: list[Problem]) -> NDArray[np.float64]:
        """Check numbers all at once: they may all be distinct. Only rows that look wrong are looked at one by one."""
        numbers: NDArray[np.float64] = pc.fill_null(values.cast(pa.float64()), np.nan).to_numpy().copy()
        suspect = ~np.isfinite(numbers)
        if column.minimum is not None:
            suspect |= numbers < float(column.minimum)  # type: ignore[arg-type]  # a date only of a date column
        if column.maximum is not None:
            suspect |= numbers > float(column.maximum)  # type: ignore[arg-type]
        if column.type == "integer":
            suspect |= numbers != np.floor(numbers)
        parse = self.parsers[column.name]
        for row in np.flatnonzero(suspect):
            value = values[int(row)].as_py()
            try:
                parse(value)
            except BadValueError as error:
                problems.append(Problem(int(row), column.name, str(error)))
                numbers[row] = np.nan
        return numbers


def _listed(names: Sequence[str]) -> str:
    """Return names for a message: of a header with thousands of names, or with a very long one, only the beginning."""
    shown = [name if len(name) <= _SHOWN_LETTERS else f"{name[:_SHOWN_LETTERS]}..." for name in names[:_SHOWN_NAMES]]
    more = f" and {len(names) - _SHOWN_NAMES:,} more" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(shown) + more


def _coded(values: list[Any]) -> tuple[NDArray[np.intp], list[Any]]:
    """Return every value's place among the distinct ones, and those."""
    # 1, 1.0 and True are equal, and are not the same to a parser.
    keys = values if _PLAIN.issuperset(map(type, values)) else [(type(value), value) for value in values]
    try:
        places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    except TypeError:  # a list or an object: bad values, which are told one by one
        return np.arange(len(values)), values
    codes = np.fromiter(map(places.__getitem__, keys), dtype=np.intp, count=len(keys))
    return codes, list(places) if keys is values else [value for _, value in places]
