"""Score a frame with a model: by its portable form inside the tasks of Spark, or by its pipeline where it has none.

This is the one place that decides between the two. A pipeline of stock stages copies every row once a join and once a
vector; the portable model scores a batch of Arrow columns with NumPy in a twentieth of the time. Tests hold the two to
the same predictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
from pyspark.ml.feature import StringIndexerModel
from pyspark.sql import functions as sf
from pyspark.sql.types import ArrayType, BooleanType, DoubleType, IntegerType, StructField, StructType

from purchasecast.bundle.pipeline import load_pipeline
from purchasecast.errors import SettingsError
from purchasecast.numerics.arrow_buckets import chunks
from purchasecast.schema.reserved_columns import (
    AMOUNTS,
    CUSTOMER_ROWS,
    INDEX,
    LOWER,
    PREDICTION,
    PRODUCT_ROWS,
    STEPS,
    UNSEEN,
    UPPER,
    source_name,
)
from purchasecast.scorer import read_scorer
from purchasecast.scorer.format import OFFERS
from purchasecast.spark.columns import col
from purchasecast.spark.shipping import map_in_tasks
from purchasecast.stages import ConformalIntervalsModel, PriceLadderModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyspark.ml import PipelineModel
    from pyspark.sql import Column, DataFrame

    from purchasecast.bundle import Bundle
    from purchasecast.files import SealedFiles
    from purchasecast.scorer import Prediction, Scorer

__all__ = ["readable", "score", "unseen_flags"]

_BLOCK_ROWS = 65_536  # levels are looked up once a block
_LISTS = ArrayType(
    StructType(
        [
            StructField("step", IntegerType()),
            *[StructField(name, DoubleType()) for name in ("low", "high", "probability")],
            StructField("in_set", BooleanType()),
        ]
    )
)


def score(
    rows: DataFrame,
    bundle: Bundle,
    kept: Sequence[str] | None = None,
    *,
    derived: Sequence[str] = (),
    level: float | None = None,
    explain: bool = False,
    amounts: bool = False,
    errors: Literal["raise", "mark"] = "raise",
) -> DataFrame:
    """Add predictions to rows.

    Parameters
    ----------
    rows : DataFrame
        Rows with the columns that the model reads; usually the accepted rows of a validation.
    bundle : Bundle
        The model. One of more than 32 MB must be in a directory that the executors can read.
    kept : sequence of str, optional
        Columns of `rows` to keep; all by default.
    derived : sequence of str, default ()
        Columns that the stages make and that are wanted besides, such as ``_pc_customer_rows``; those that the model
        does not make are left out.
    level : float, optional
        Level of the intervals; that of the training by default.
    explain : bool, default False
        Whether to add ``base`` and a column ``from ...`` for each source of the prediction; they sum to it.
    amounts : bool, default False
        Whether to add ``_pc_steps``: the steps that the amount may stand on, with their probabilities.
    errors : {"raise", "mark"}, default "raise"
        Whether a row that breaks a rule of the schema stops the job, or has null predictions.

    Returns
    -------
    DataFrame
        One row a row, lazy: the kept columns; ``prediction`` and, where the model has intervals, ``lower`` and
        ``upper``; the derived columns; and flags ``_pc_unseen_`` with a role or column behind it: whether training has
        not seen the row's level.

    Raises
    ------
    SettingsError
        If an explanation is asked of a model without a portable form, or amounts of one without a ladder.
    BundleCorruptError
        If the model was replaced since it was loaded.

    Notes
    -----
    No pass of its own. Every task receives the files of the portable model as they were when the bundle was loaded. A
    model of more than 32 MB is read by every task from its directory, and a task that finds it replaced ends the run:
    never do two models score one table.
    """
    names = list(rows.columns if kept is None else kept)
    if bundle.scorer_folder.is_dir():
        files = bundle.scorer_files.carried(without=OFFERS)
        return _in_tasks(rows, _Work(files, tuple(names), tuple(derived), level, explain, amounts, errors))
    if explain:
        raise SettingsError("explain: expected a model with a portable form, found one without; train it again.")
    model = load_pipeline(bundle)
    if amounts and not any(isinstance(stage, PriceLadderModel) for stage in model.stages):
        raise SettingsError(
            "amounts: expected a model of amounts that stand on steps, found one without; leave it out."
        )
    return _by_pipeline(rows, model, names, [*derived, *([STEPS] if amounts else [])], level)


def unseen_flags(scored: DataFrame) -> dict[str, Column]:
    """Return, by role or column, whether training has not seen a row's level."""
    return {name.removeprefix(UNSEEN): col(name) for name in scored.columns if name.startswith(UNSEEN)}


def readable(scored: DataFrame, *, as_text: bool = False) -> DataFrame:
    """Return scored rows as users read them: without flags, and the steps called ``amounts``.

    Parameters
    ----------
    scored : DataFrame
        What `score` returned.
    as_text : bool, default False
        Whether the steps are written as JSON.

    Returns
    -------
    DataFrame
        The same rows; where there are steps, a column of the rows that is called ``amounts`` gives way.
    """
    named = scored.drop(*[name for name in scored.columns if name.startswith(UNSEEN)])
    if STEPS not in named.columns:
        return named
    steps = (sf.to_json(STEPS) if as_text else col(STEPS)).alias(AMOUNTS)
    return named.select(*[col(name) for name in named.columns if name not in {AMOUNTS, STEPS}], steps)


def _in_tasks(rows: DataFrame, work: _Work) -> DataFrame:
    """Return the rows scored by the portable model."""
    scorer = work.read()
    read = [name for name in scorer.columns if name not in work.kept]
    selected = rows.select(*[col(name) for name in (*work.kept, *read)])
    asked: dict[str, Any] = {"explain": work.explain, "derived": work.derived, "amounts": work.amounts}
    example = scorer.predict(list(scorer.examples[:1]), **asked)
    made = [StructField(name, _LISTS if name == STEPS else DoubleType()) for name in _columns(example)]
    flags = [StructField(UNSEEN + name, BooleanType()) for name in example.unseen]
    fields = [selected.schema[name] for name in work.kept]
    return map_in_tasks(selected, work.score, StructType([*fields, *made, *flags]))


@dataclass(frozen=True, slots=True)
class _Work:
    """What a task does; it is sent to the executors, so that it refers to nothing of the driver."""

    files: SealedFiles
    kept: tuple[str, ...]
    derived: tuple[str, ...]
    level: float | None
    explain: bool
    amounts: bool
    errors: Literal["raise", "mark"]

    def read(self) -> Scorer:
        """Read the portable model."""
        scorer = read_scorer(self.files)
        if self.level is not None:
            scorer.set_level(self.level)
        return scorer

    def score(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Score the batches of a task."""
        scorer = self.read()
        for table in chunks(batches, _BLOCK_ROWS):
            inputs = table.select(list(scorer.columns))
            result = scorer.predict(
                inputs, explain=self.explain, errors=self.errors, derived=self.derived, amounts=self.amounts
            )
            columns = {name: table.column(name) for name in self.kept} | _columns(result)
            columns |= {UNSEEN + name: pa.array(flag) for name, flag in result.unseen.items()}
            yield from pa.table(columns).combine_chunks().to_batches()


def _columns(result: Prediction) -> dict[str, pa.Array]:
    """Return what was predicted, and derived columns, as Arrow columns."""
    columns = result.to_columns()
    if result.amounts is not None:
        columns[STEPS] = columns.pop(AMOUNTS)  # rows may have a column of that name
    columns |= {name: pa.array(values.astype("float64")) for name, values in result.derived.items()}
    return columns


def _by_pipeline(
    rows: DataFrame, model: PipelineModel, kept: list[str], derived: Sequence[str], level: float | None
) -> DataFrame:
    for stage in model.stages:
        if level is not None and isinstance(stage, ConformalIntervalsModel | PriceLadderModel):
            stage.setLevel(level)
    scored = model.transform(rows)
    wanted = dict.fromkeys([*kept, PREDICTION, LOWER, UPPER, *derived])
    flags = [flag.alias(UNSEEN + name) for name, flag in _unseen(scored, model).items()]
    return scored.select(*[col(name) for name in wanted if name in scored.columns], *flags)


def _unseen(scored: DataFrame, model: PipelineModel) -> dict[str, Column]:
    flags = {
        role: col(rows) == 0
        for role, rows in (("customer", CUSTOMER_ROWS), ("product", PRODUCT_ROWS))
        if rows in scored.columns
    }
    for stage in model.stages:
        if isinstance(stage, StringIndexerModel):
            for index, labels in zip(stage.getOutputCols(), stage.labelsArray, strict=True):
                flags[source_name(INDEX, index)] = col(index) == float(len(labels))
    return flags
