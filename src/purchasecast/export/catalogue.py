"""What a scorer tells beside predictions: attributes of customers and products, averages, and rows to test itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as sf

from purchasecast.errors import BundleError
from purchasecast.export.level_tables import MOST_LEVELS
from purchasecast.schema.reserved_columns import LOWER, PREDICTION, STEPS, UPPER
from purchasecast.scorer import read_scorer
from purchasecast.scorer.contributions import write_averages
from purchasecast.scorer.dates import date_text
from purchasecast.spark.columns import col
from purchasecast.stages import BoostedTreesModel

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

    from purchasecast.schema import Column, Schema
    from purchasecast.scorer.format import ScorerWriter

__all__ = ["add_catalogue"]

_SAMPLE = 20_000  # rows that averages are taken over: a standard error of 0.7 % of a column's spread
_EXPLAINED_BY_TREES = 1_000  # 3.2 %: the parts of trees take a thousand times as long as their prediction
_TESTS = 12
_ROW = "_pc_row"


def add_catalogue(writer: ScorerWriter, model: PipelineModel, rows: DataFrame, folder: Path) -> None:
    """Write the folder with what it tells beside predictions.

    Parameters
    ----------
    writer : ScorerWriter
        The steps and tables.
    model : PipelineModel
        The fitted pipeline, which scores the test rows.
    rows : DataFrame
        Accepted training rows.
    folder : Path
        Where to.

    Raises
    ------
    BundleCorruptError
        If the portable model does not predict what Spark predicts.

    Notes
    -----
    The folder is written twice: averages of the prediction's parts are what the portable model itself makes of the
    sample.
    """
    schema = writer.schema
    known = {
        role: _add_attributes(writer, rows, schema, role, column)
        for role, column in (("customer", schema.customer), ("product", schema.product))
        if column
    }
    writer.set("known", known)
    sample = _sample(rows, schema)
    writer.set("typical", _typical(sample, schema))
    writer.write(folder)
    by_trees = any(isinstance(stage, BoostedTreesModel) for stage in model.stages)
    part = sample.take(_spread_out(len(sample), _EXPLAINED_BY_TREES if by_trees else _SAMPLE))
    explained = read_scorer(folder).predict(part, explain=True, errors="mark").contributions
    if explained is not None:
        writer.set("averages", write_averages(explained.parts))
    writer.set("self_test", _self_test(model, rows, sample, schema))
    writer.write(folder)
    read_scorer(folder)  # runs the test: a scorer that is not at one with Spark must not leave this machine


def _spread_out(count: int, most: int) -> pa.Array:
    """Return the places of at most so many rows, evenly over all."""
    return pa.array(range(0, count, max(-(-count // most), 1)), pa.int64())


def _inputs(schema: Schema) -> list[str]:
    return [column.name for column in schema.columns if column.role not in {"target", "row"}]


def _add_attributes(writer: ScorerWriter, rows: DataFrame, schema: Schema, role: str, column: str) -> dict[str, Any]:
    """Add one set of attributes a customer or product: one that occurs, the same whatever the order of the rows."""
    number = writer.levels_of([column])
    if number is None:
        raise BundleError(f"scorer: expected effects of {column}, found none; train the model again.")
    names = [feature.name for feature in schema.features if feature.of == role and feature.kind != "date"]
    entry: dict[str, Any] = {
        "levels": number,
        "rows": "rows",
        "mean": "mean",
        "attributes": {name: f"attribute {name}" for name in names},
        "factors": [name for name in writer.value_names(number) if name.endswith(" factors")],
    }
    if not names:
        return entry
    chosen = sf.max(sf.struct(*[col(name).alias(f"a_{i}") for i, name in enumerate(names)])).alias("a")
    grouped = rows.groupBy(col(column).cast("string").alias("level")).agg(chosen)
    table = grouped.select("level", "a.*").limit(MOST_LEVELS + 1).toArrow()
    places = pc.index_in(writer.keys(number), value_set=table["level"].combine_chunks())
    for i, name in enumerate(names):
        values = table[f"a_{i}"].combine_chunks().take(places)
        unseen = pa.array([None], values.type)
        writer.add_values(number, f"attribute {name}", pa.concat_arrays([values, unseen]))
    return entry


def _sample(rows: DataFrame, schema: Schema) -> pa.Table:
    """Return about 20,000 rows, the same whatever their order."""
    names = _inputs(schema)
    share = max(rows.count() // _SAMPLE, 1)
    hashed = sf.pmod(sf.xxhash64(*[col(name) for name in names]), sf.lit(share))
    chosen = rows.where(hashed == 0).select(*[col(name) for name in names]).limit(2 * _SAMPLE).toArrow()
    return chosen.sort_by([(name, "ascending") for name in names])


def _typical(sample: pa.Table, schema: Schema) -> dict[str, Any]:
    """Return a typical value of every feature that belongs to neither customer nor product."""
    typical: dict[str, Any] = {}
    for column in schema.columns:
        if column.name not in _inputs(schema) or column.of or column.role in {"customer", "product"}:
            continue
        values = sample[column.name].drop_null()
        if not len(values):
            continue
        if column.kind == "numeric":
            middle = pc.approximate_median(values).as_py()
            typical[column.name] = round(middle) if column.type == "integer" else middle
        elif column.kind == "date":
            typical[column.name] = date_text(column, pc.max(values).as_py())
        else:
            level = pc.mode(values.dictionary_encode().combine_chunks().indices)[0]["mode"].as_py()
            level = values.dictionary_encode().combine_chunks().dictionary[level].as_py()
            typical[column.name] = int(level) if column.type == "integer" else level
    return typical


def _self_test(model: PipelineModel, rows: DataFrame, sample: pa.Table, schema: Schema) -> list[dict[str, Any]]:
    """Return a few rows with what Spark predicts for them; a scorer that says otherwise refuses to load."""
    usual = sample.take(_spread_out(len(sample), _TESTS)).slice(0, _TESTS)
    picked = pa.concat_tables([usual, _unusual(usual, sample, schema)])
    numbered = picked.append_column(_ROW, pa.array(range(len(picked)), pa.int32()))
    scored = model.transform(rows.sparkSession.createDataFrame(numbered))
    names = [name for name in (PREDICTION, LOWER, UPPER) if name in scored.columns]
    has_steps = STEPS in scored.columns
    expected: dict[int, dict[str, Any]] = {}
    for row in scored.select(_ROW, *names, *([STEPS] if has_steps else [])).collect():
        expected[row[_ROW]] = {name: float(row[name]) for name in names}
        if has_steps:
            steps = {str(step["step"]): step["probability"] for step in row[STEPS] or ()}
            expected[row[_ROW]]["steps"] = steps
    return [
        {
            "row": {name: _plain(value, schema.column(name)) for name, value in row.items()},
            **expected[number],
            **({} if number < len(usual) else {"unusual": True}),
        }
        for number, row in enumerate(picked.to_pylist())
    ]


def _unusual(usual: pa.Table, sample: pa.Table, schema: Schema) -> pa.Table:
    """Return rows of customers and products that training has not seen, and rows without what may be missing."""
    changes = [
        {column.name: _unseen_value(column, sample[column.name])}
        for column in map(schema.column, filter(None, (schema.customer, schema.product)))
        if not column.levels and column.pattern is None and column.maximum is None
    ]
    changes.append({name: None for name in _inputs(schema) if schema.column(name).null != "forbidden"})
    rows = usual.to_pylist()
    changed = [rows[place % len(rows)] | change for place, change in enumerate(changes) if change and rows]
    return pa.Table.from_pylist(changed, usual.schema)


def _unseen_value(column: Column, values: pa.ChunkedArray) -> Any:
    return pc.max(values).as_py() + 1 if pa.types.is_integer(values.type) else _unseen_text(column, values)


def _unseen_text(column: Column, values: pa.ChunkedArray) -> str:
    """Return a text that is none of the values; of a column of whole numbers, which are kept as texts, a number."""
    if column.type == "integer":
        return str(pc.max(values.cast(pa.int64())).as_py() + 1)
    return f"{pc.max(values).as_py()} (new)"


def _plain(value: Any, column: Column) -> Any:
    """Return a value as JSON has it and as a client would write it."""
    if value is None:
        return None
    if column.kind == "date":
        return date_text(column, value)
    return int(value) if column.type == "integer" else value
