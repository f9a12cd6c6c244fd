"""The survey of a small table in plain Python: slow, obvious, and without Spark."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from purchasecast.drafting.counts import ColumnCounts
from purchasecast.drafting.numbers import EMPTY_WORDS, NUMBER, PADDED, WHOLE, parse_number
from purchasecast.drafting.sample import Sample
from purchasecast.drafting.sampling import choose_owners
from purchasecast.drafting.survey import Survey, make_survey
from purchasecast.schema.values import WRITTEN_NUMBER, plain_number
from purchasecast.scorer.parsing import BadValueError, value_parser

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from purchasecast.schema import Schema


def whole_sample(columns: Mapping[str, Sequence[str | None]]) -> Sample:
    """Return a sample that is the whole table."""
    labels = {name: tuple(sorted({value for value in values if value is not None})) for name, values in columns.items()}
    codes = {}
    for name, values in columns.items():
        place = {value: number for number, value in enumerate(labels[name])}
        codes[name] = np.array([-1 if value is None else place[value] for value in values], dtype=np.int32)
    every = np.ones(len(next(iter(codes.values()), ())), dtype=bool)
    return Sample(codes, labels, every, dict.fromkeys(codes, every))


def count_column(name: str, values: Sequence[str | None]) -> ColumnCounts:
    """Count one column's values."""
    trimmed = [None if value is None or not value.strip(" ") else value.strip(" ") for value in values]
    filled = [value for value in trimmed if value is not None]
    numbers = [
        next((n for sign in (None, ",", ".") if not np.isnan(n := parse_number(value, sign))), np.nan)
        for value in filled
    ]
    numbers = [number for number in numbers if not np.isnan(number)]
    levels = Counter(filled)
    return ColumnCounts(
        name=name,
        storage="text",
        rows=len(values),
        empty=len(values) - len(filled),
        distinct=len(levels),
        integers=sum(bool(re.match(WHOLE, value)) for value in filled),
        padded=sum(bool(re.match(PADDED, value)) for value in filled),
        numbers=sum(bool(re.match(NUMBER, value)) for value in filled),
        with_comma=sum(not re.match(NUMBER, v) and bool(re.fullmatch(WRITTEN_NUMBER[","], v)) for v in filled),
        with_point=sum(not re.match(NUMBER, v) and bool(re.fullmatch(WRITTEN_NUMBER["."], v)) for v in filled),
        negatives=sum(number < 0 for number in numbers),
        zeros=sum(number == 0 for number in numbers),
        minimum=min(numbers, default=None),
        maximum=max(numbers, default=None),
        mean_length=sum(map(len, filled)) / len(filled) if filled else 0.0,
        spaced=sum(" " in value for value in filled),
        words={word: n for value, n in levels.items() if (word := value).lower() in EMPTY_WORDS},
        levels=dict(levels),
        complete=True,
    )


def survey_of(table: pd.DataFrame, csv: Mapping[str, str] | None = None) -> Survey:
    """Survey a table of text, all rows of it."""
    csv = dict(csv or {})
    columns: dict[str, list[str | None]] = {}
    for name in table.columns:
        texts = [None if pd.isna(value) else str(value).strip(" ") or None for value in table[name]]
        columns[str(name)] = texts
    counts = [count_column(name, values) for name, values in columns.items()]
    sample = whole_sample(columns)
    owners = {owner.name for owner in choose_owners(counts)}
    sample = Sample(sample.codes, sample.labels, sample.random, dict.fromkeys(owners, sample.random))
    return make_survey(len(table), counts, sample, csv=csv)


def rejected_rows(table: pd.DataFrame, schema: Schema) -> int:
    """Count the rows that a schema rejects, value by value, with the parser of the scorer; keys are not looked at."""
    bad = np.zeros(len(table), dtype=bool)
    decimal = schema.csv.get("decimal")
    for column in schema.columns:
        parse = value_parser(column)
        for place, value in enumerate(table[column.name]):
            text = None if pd.isna(value) else str(value)
            if text is not None and decimal is not None and column.kind == "numeric":
                text = plain_number(text, decimal)
            try:
                parse(text)
            except BadValueError:
                bad[place] = True
    return int(bad.sum())
