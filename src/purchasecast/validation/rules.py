"""Rules of a schema as column expressions: the typed value of each column, and the rules that each row breaks.

There are three projections: one trims, one parses, one checks the parsed values. In a single projection Spark would
parse a value again for every rule that reads it, and the Java method that it generates would exceed the 8,000 bytes
beyond which the JVM does not compile: it took four times as long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

from pyspark.sql import functions as sf
from pyspark.sql.types import DateType, DoubleType, FloatType, IntegralType, NumericType, TimestampType

from purchasecast.schema.date_format import date_regex
from purchasecast.schema.reserved_columns import CORRUPT, POSITION
from purchasecast.schema.values import (
    ABOVE_MAXIMUM,
    ISO_DAY,
    MAX_NUMBER,
    MAX_TEXT,
    NO_MATCH,
    NOT_A_DATE,
    NOT_A_NUMBER,
    NOT_AN_INTEGER,
    NOT_FINITE,
    NOT_IN_DOMAIN,
    NOT_TEXT,
    NULL,
    NUMBER,
    TIME,
    TOO_LONG,
    UNREADABLE,
    WHOLE,
    ZONE,
    too_low,
)
from purchasecast.spark.columns import col, quoted, without_blanks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame, Row
    from pyspark.sql.types import DataType

    from purchasecast.schema import Column, Schema

__all__ = ["DUPLICATE", "MALFORMED", "Checked", "check_rows"]

DUPLICATE = "duplicate key"
MALFORMED = "malformed line"

_WIDTH = 60  # rules in one number; a long has 63 bits and a sign


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A column between two projections: what the first one computes, and the rules that the second one checks."""

    value: Expression  # computed from the source
    helpers: dict[str, Expression]  # computed from the source too
    problems: dict[str, Expression]  # rules, computed from the value and the helpers


@dataclass(frozen=True, slots=True)
class Checked:
    """A table with one bit for each rule, set in the rows that break it.

    Bits are packed into numbers, which makes counting rows by the rules they break cheap.

    Parameters
    ----------
    frame : DataFrame
        Columns of the schema, ``_pc_position`` and the bits.
    rules : tuple of str
        Name of the rule of each bit.
    bits : tuple of str
        Columns that hold the bits, 60 in each.
    """

    frame: DataFrame
    rules: tuple[str, ...]
    bits: tuple[str, ...]

    def good(self) -> Expression:
        """Select the rows that break no rule."""
        return reduce(and_, (sf.col(name) == 0 for name in self.bits))

    def broken(self, row: Row) -> list[str]:
        """List the rules that a collected row breaks."""
        return [rule for k, rule in enumerate(self.rules) if row[self.bits[k // _WIDTH]] >> (k % _WIDTH) & 1]

    def reasons(self) -> Expression:
        """List the rules that each row breaks, as an array of text."""
        return sf.array_compact(
            sf.array(
                *(
                    sf.when(sf.col(self.bits[k // _WIDTH]).bitwiseAND(_bit(k)) != 0, sf.lit(rule))
                    for k, rule in enumerate(self.rules)
                )
            )
        )

    def mark_duplicates(self, positions: DataFrame) -> Checked:
        """Mark the rows at these positions as duplicates of an earlier row."""
        marked = positions.select(POSITION, sf.lit(True).alias("_pc_duplicate"))
        columns = [quoted(name) for name in self.frame.columns if name != self.bits[0]]
        bits = sf.when(sf.col("_pc_duplicate"), _bit(self.rules.index(DUPLICATE))).otherwise(sf.col(self.bits[0]))
        joined = self.frame.join(marked, POSITION, "left")
        return replace(self, frame=joined.select(*columns, bits.alias(self.bits[0])))


def check_rows(raw: DataFrame, schema: Schema, *, target_required: bool, originals: bool = False) -> Checked:
    """Parse the values of every row, and check its rules.

    Parameters
    ----------
    raw : DataFrame
        Result of `read_table`.
    schema : Schema
        Description of the table.
    target_required : bool
        Whether a row must have the target.
    originals : bool, default False
        Whether to keep the values as they were read, as text, and malformed lines; for rejected rows.

    Returns
    -------
    Checked
        The rows with typed values and the rules that they break.
    """
    columns = [schema.column(name) for name in raw.columns if name in schema.names]
    parsed = {column.name: _parse(column, place, raw) for place, column in enumerate(columns)}
    trimmed = raw.select("*", *(_trimmed(column.name).alias(_text(place)) for place, column in enumerate(columns)))
    values = trimmed.select(
        *(step.value.alias(_value(place)) for place, step in enumerate(parsed.values())),
        *(item.alias(name) for step in parsed.values() for name, item in step.helpers.items()),
        *(col(name).cast("string").alias(name) for name in parsed if originals),
        CORRUPT,
        POSITION,
    )
    rules = {MALFORMED: sf.col(CORRUPT).isNotNull(), DUPLICATE: sf.lit(False)}
    for column in columns:
        optional = column.null != "forbidden" or (column.role == "target" and not target_required)
        for problem, condition in parsed[column.name].problems.items():
            if problem != NULL or not optional:
                rules[f"{column.name}: {problem}"] = condition
    if originals:
        kept = [col(name) for name in (*parsed, CORRUPT)]
    else:
        kept = [_typed(column, sf.col(_value(place))).alias(column.name) for place, column in enumerate(columns)]
    bits = _bits(list(rules.values()))
    frame = values.select(*kept, POSITION, *(column.alias(name) for name, column in bits.items()))
    return Checked(frame, tuple(rules), tuple(bits))


def _bit(k: int) -> Expression:
    return sf.lit(1 << (k % _WIDTH)).cast("bigint")


def _bits(conditions: Sequence[Expression]) -> dict[str, Expression]:
    """Pack conditions into numbers; the malformed line comes first, the duplicate key second."""
    none, malformed = sf.lit(0).cast("bigint"), conditions[0]
    packed = {}
    for start in range(0, len(conditions), _WIDTH):
        single = [
            sf.when(condition, _bit(k)).otherwise(none)
            for k, condition in enumerate(conditions[start : start + _WIDTH], start=start)
            if k > 1  # the first is set below; duplicate keys are found in a pass of their own
        ]
        together = reduce(lambda left, right: left.bitwiseOR(right), single, none)
        # The values of a line with too few or too many fields are in the wrong columns: no other rule is checked.
        packed[f"_pc_bits_{start // _WIDTH}"] = sf.when(malformed, none if start else _bit(0)).otherwise(together)
    return packed


def _text(place: int) -> str:
    return f"_pc_text_{place}"


def _value(place: int) -> str:
    return f"_pc_value_{place}"


def _typed(column: Column, value: Expression) -> Expression:
    if column.kind == "numeric":
        return value.cast("double")
    return value if column.kind == "date" else value.cast("string")


def _parse(column: Column, place: int, raw: DataFrame) -> _Parsed:
    source, data_type = col(column.name), raw.schema[column.name].dataType
    if column.kind == "date":
        parsed = _parse_date(column, place, source, data_type)
    elif column.type == "integer":
        parsed = _parse_integer(place, source, data_type)
    elif column.type == "number":
        parsed = _parse_number(column, place, source, data_type)
    else:
        parsed = _Parsed(sf.col(_text(place)), {}, {NULL: sf.col(_value(place)).isNull()})
    parsed.problems.update(_problems_of_value(column, sf.col(_value(place))))
    return parsed


def _problems_of_value(column: Column, value: Expression) -> dict[str, Expression]:
    """Return the rules for a parsed value. It breaks one of them at most, as in the scorer: the first counts."""
    problems: dict[str, Expression] = {}
    if column.kind != "date" and column.type not in {"integer", "number"} and not column.levels:
        problems[NOT_TEXT] = reduce(or_, (value.contains(sign) for sign in UNREADABLE))
        problems[TOO_LONG] = sf.length(value) > MAX_TEXT
    if column.pattern is not None:
        problems[NO_MATCH] = ~value.rlike(_whole(column.pattern))
    if column.levels:
        levels = [int(level) if column.type == "integer" else level for level in column.levels]
        problems[NOT_IN_DOMAIN] = ~value.isin(levels)
    if column.type == "timestamp":
        value = value.cast("date")  # all of the last day is allowed
    finite = sf.abs(value) <= MAX_NUMBER if column.type == "number" else sf.lit(True)
    if column.minimum is not None:
        problems[too_low(column.minimum)] = (value < sf.lit(column.minimum)) & finite
    if column.maximum is not None:
        problems[ABOVE_MAXIMUM] = (value > sf.lit(column.maximum)) & finite
    sound = None
    for rule, broken in problems.items():
        problems[rule] = broken if sound is None else broken & sound
        sound = ~broken if sound is None else ~broken & sound
    return problems


def _whole(pattern: str) -> str:
    r"""Return the regular expression of a whole text; ``$`` would also stand before a last line feed."""
    return rf"\A(?:{pattern})\z"


def _trimmed(name: str) -> Expression:
    """Return a value as text without blanks around it; null where nothing is left."""
    text = without_blanks(col(name).cast("string"))
    return sf.when(text != "", text)


def _parse_integer(place: int, source: Expression, data_type: DataType) -> _Parsed:
    value, empty = sf.col(_value(place)), f"_pc_empty_{place}"
    if isinstance(data_type, IntegralType):
        return _Parsed(source.cast("bigint"), {}, {NULL: value.isNull()})
    if isinstance(data_type, FloatType | DoubleType):  # how pandas keeps integers with nulls
        missing = source.isNull() | sf.isnan(source)
        number = sf.when(source % 1 == 0, source.try_cast("bigint"))  # floor would overflow at 1e300
    else:
        text = sf.col(_text(place))
        missing = text.isNull()
        whole = sf.when(text.rlike(_whole(WHOLE)), sf.substring_index(text, ".", 1).try_cast("bigint"))
        number = sf.coalesce(text.try_cast("bigint"), whole)  # in this order, because the cast alone is faster
    problems = {NULL: sf.col(empty), NOT_AN_INTEGER: ~sf.col(empty) & value.isNull()}
    return _Parsed(number, {empty: missing}, problems)


def _parse_number(column: Column, place: int, source: Expression, data_type: DataType) -> _Parsed:
    value, empty = sf.col(_value(place)), f"_pc_empty_{place}"
    not_finite = sf.abs(value) > MAX_NUMBER  # to Spark, NaN is larger than anything
    if isinstance(data_type, NumericType):
        number = source.cast("double")
        if column.null != "forbidden":
            number = sf.when(~sf.isnan(number), number)  # pandas' way of writing an unknown quantity
        return _Parsed(number, {}, {NULL: value.isNull(), NOT_FINITE: not_finite})
    text = sf.col(_text(place))
    problems = {NULL: sf.col(empty), NOT_FINITE: not_finite, NOT_A_NUMBER: ~sf.col(empty) & value.isNull()}
    number = sf.when(text.rlike(_whole(NUMBER)), text.try_cast("double"))
    return _Parsed(number, {empty: text.isNull()}, problems)


def _parse_date(column: Column, place: int, source: Expression, data_type: DataType) -> _Parsed:
    value, empty, kind = sf.col(_value(place)), f"_pc_empty_{place}", column.type or "date"
    if isinstance(data_type, DateType | TimestampType):
        return _Parsed(source.cast(kind), {}, {NULL: value.isNull()})
    text = sf.col(_text(place))
    if column.format is None:
        form, day = f"{ISO_DAY}(?:[ T]{TIME}(?:{ZONE})?)?", text.try_cast(kind)
    else:
        form, day = date_regex(column.format), sf.try_to_timestamp(text, sf.lit(column.format)).cast(kind)
    problems = {NULL: sf.col(empty), NOT_A_DATE: ~sf.col(empty) & value.isNull()}
    return _Parsed(sf.when(text.rlike(_whole(form)), day), {empty: text.isNull()}, problems)
