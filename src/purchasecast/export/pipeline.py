"""A fitted pipeline becomes the portable model of `purchasecast.scorer`: every stage's numbers, and nothing of Spark.

This is the one place that collects level tables to the driver; each has a cap. What the recipe's own SQL does is
derived again from the schema, and checked against the statement that the pipeline carries.
"""

from __future__ import annotations

import logging
import re
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pyspark.ml.feature import (
    ImputerModel,
    OneHotEncoderModel,
    SQLTransformer,
    StringIndexerModel,
    VectorAssembler,
)
from pyspark.ml.regression import LinearRegressionModel

from purchasecast.errors import BundleError
from purchasecast.export.catalogue import add_catalogue
from purchasecast.export.level_tables import add_crossed_effects, add_latent_factors, add_level_statistics
from purchasecast.numerics.soft_minimum import SoftMinimum
from purchasecast.recipes import FeaturePlan, feature_stages, prediction_stage
from purchasecast.schema.reserved_columns import (
    LEVEL,
    NO_LEVEL,
    NUMBER,
    PREDICTION,
    UNKNOWN_LEVEL,
    made_name,
    source_name,
)
from purchasecast.scorer.format import ScorerWriter
from purchasecast.stages import (
    BoostedTreesModel,
    ConformalIntervalsModel,
    CrossedEffectsModel,
    LatentFactorModel,
    LevelStatisticsModel,
    Retransform,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

    from purchasecast.schema import Schema

__all__ = ["export_scorer", "write_scorer"]

logger = logging.getLogger(__name__)

_BOOSTER, _BLEND = "booster.json", "_pc_blend"
_NUMBER_SQL = r"([0-9.e+-]+)D"


def export_scorer(model: PipelineModel, schema: Schema, rows: DataFrame, folder: Path) -> None:
    """Write the portable form of a fitted pipeline.

    Parameters
    ----------
    model : PipelineModel
        What a recipe was fitted to.
    schema : Schema
        Description of the rows.
    rows : DataFrame
        Accepted training rows: for the attributes of customers and products, and for averages.
    folder : Path
        Where to, on the driver's machine; created.

    Raises
    ------
    BundleError
        If a stage has no portable form, or a level table passes the cap.

    Notes
    -----
    Collects every level table and the attributes of every customer and product to the driver. Jobs: one a level
    table, one for the attributes of each side, one for a sample of 20,000 rows, one to score a few of them as test.
    """
    writer = ScorerWriter(schema)
    export = _Export(model, schema, writer)
    export.run()
    add_catalogue(writer, model, rows, folder)
    logger.info("scorer written: %d stages", len(model.stages))


def write_scorer(model: PipelineModel, schema: Schema, rows: DataFrame, folder: Path) -> bool:
    """Write the portable form of a fitted pipeline where it has one, and say so where it has none.

    Parameters
    ----------
    model, schema, rows, folder
        As in `export_scorer`.

    Returns
    -------
    bool
        Whether there is a scorer; without one the folder is not there, and a warning says why.
    """
    try:
        export_scorer(model, schema, rows, folder)
    except BundleError as error:
        shutil.rmtree(folder, ignore_errors=True)
        logger.warning("this model cannot be served without Spark: %s", error)
        return False
    return True


def _pass_over(stage: Any) -> None:
    """Export nothing of a stage."""


class _Export:
    """One walk along the stages; every stage adds what it needs to the writer."""

    def __init__(self, model: PipelineModel, schema: Schema, writer: ScorerWriter) -> None:
        self._stages = list(model.stages)
        self._schema = schema
        self._writer = writer
        self._indicator_sizes: dict[str, tuple[str, int]] = {}  # vector column -> index column, indicators
        self._fills: dict[str, float] = {}

    def run(self) -> None:
        """Check that every stage can be exported, then export them in order."""
        by_type: dict[type[Any], Callable[[Any], None]] = {
            SQLTransformer: self._statement,
            ImputerModel: _pass_over,
            StringIndexerModel: self._index,
            CrossedEffectsModel: lambda stage: add_crossed_effects(self._writer, stage.to_portable()),
            LatentFactorModel: lambda stage: add_latent_factors(self._writer, stage.to_portable()),
            LevelStatisticsModel: lambda stage: add_level_statistics(self._writer, stage.to_portable()),
            OneHotEncoderModel: self._indicators,
            VectorAssembler: self._assemble,
            LinearRegressionModel: self._linear,
            BoostedTreesModel: self._boosted,
            Retransform: lambda stage: self._writer.add_step(stage.to_portable()),
            ConformalIntervalsModel: lambda stage: self._writer.add_step(stage.to_portable()),
        }
        unknown = [type(stage).__name__ for stage in self._stages if type(stage) not in by_type]
        if unknown:
            raise BundleError(
                f"scorer: expected stages that can be scored without Spark, found {', '.join(unknown)}; "
                "score this model with `purchasecast predict`."
            )
        self._check_statements()
        self._numbers()
        for stage in self._stages:
            by_type[type(stage)](stage)

    def _of_type(self, kind: type[Any]) -> list[Any]:
        return [stage for stage in self._stages if type(stage) is kind]

    def _numeric_columns(self) -> dict[str, tuple[str, str | None]]:
        """Return what each number of the pipeline is made of: a column, and a part of a date or None."""
        made: dict[str, tuple[str, str | None]] = {
            made_name(NUMBER, column.name): (column.name, None) for column in self._schema.numeric
        }
        for column in self._schema.calendars:
            made |= {made_name(NUMBER, f"{column.name} {part}"): (column.name, part) for part in column.calendar}
        return made

    def _check_statements(self) -> None:
        """Check that the pipeline's SQL is what a recipe of this version would write for its columns."""
        indexed = [name for stage in self._of_type(StringIndexerModel) for name in stage.getInputCols()]
        imputed = [name for stage in self._of_type(ImputerModel) for name in stage.getInputCols()]
        plan = FeaturePlan(
            groups=(),
            one_hot=tuple(source_name(LEVEL, name) for name in indexed),
            numeric=tuple(source_name(NUMBER, name) for name in self._numeric_columns()),
            imputed=tuple(source_name(NUMBER, name) for name in imputed),
        )
        last = prediction_stage(self._schema, self._members(), self._bend())
        expected = [feature_stages(self._schema, plan, folds=2, seed=0)[0], last]
        found = [stage.getStatement() for stage in self._of_type(SQLTransformer)]
        if found != [stage.getStatement() for stage in expected]:
            raise BundleError(
                "scorer: expected the SQL of this version's recipes, found another; train the model again."
            )

    def _numbers(self) -> None:
        fills: dict[str, float] = {}
        for stage in self._of_type(ImputerModel):
            row = stage.surrogateDF.collect()[0]
            outputs = zip(stage.getInputCols(), stage.getOutputCols(), strict=True)
            fills |= {output: float(row[name]) for name, output in outputs}
        columns = [
            {"column": column, "output": output, "part": part, "fill": fills.get(output)}
            for output, (column, part) in self._numeric_columns().items()
        ]
        if columns:
            self._writer.add_step({"kind": "numeric", "columns": columns})

    def _index(self, stage: StringIndexerModel) -> None:
        columns = []
        for text, output, labels in zip(stage.getInputCols(), stage.getOutputCols(), stage.labelsArray, strict=True):
            name = source_name(LEVEL, text)
            null = NO_LEVEL if self._schema.column(name).null == "level" else UNKNOWN_LEVEL
            columns.append({"column": name, "text": text, "output": output, "null": null, "labels": list(labels)})
        self._writer.add_step({"kind": "index", "columns": columns})

    def _indicators(self, stage: OneHotEncoderModel) -> None:
        dropped = 1 if stage.getDropLast() else 0
        for index, vector, size in zip(stage.getInputCols(), stage.getOutputCols(), stage.categorySizes, strict=True):
            self._indicator_sizes[vector] = (index, size - dropped)

    def _assemble(self, stage: VectorAssembler) -> None:
        features: list[dict[str, Any]] = []
        for name in stage.getInputCols():
            index, size = self._indicator_sizes.get(name, (name, 0))
            features.append({"column": index, "size": size} if size else {"column": index})
        self._writer.add_vector(stage.getOutputCol(), features)

    def _linear(self, stage: LinearRegressionModel) -> None:
        self._writer.add_step(
            {
                "kind": "linear",
                "features": stage.getFeaturesCol(),
                "output": stage.getPredictionCol(),
                "intercept": float(stage.intercept),
                "coefficients": [float(value) for value in stage.coefficients.toArray()],
            }
        )

    def _boosted(self, stage: BoostedTreesModel) -> None:
        portable = stage.to_portable()
        self._writer.add_file(_BOOSTER, portable["booster"])
        entry = {name: portable[name] for name in ("kind", "inputs", "output")}
        self._writer.add_step({**entry, "file": _BOOSTER})

    def _last_statement(self) -> str:
        statements = [stage.getStatement() for stage in self._of_type(SQLTransformer)]
        return str(statements[-1]) if statements else ""

    def _members(self) -> dict[str, float]:
        """Return the weight of each member's column, read out of the last statement, which is then checked whole."""
        found = re.findall(rf"(?:{_NUMBER_SQL} \* )?`(_pc_[a-z]+)`", self._last_statement())
        return {name: float(weight or 1.0) for weight, name in found}

    def _statement(self, stage: SQLTransformer) -> None:
        """Export the last statement; what the first does is in the steps of numbers and levels."""
        if stage is not self._of_type(SQLTransformer)[-1]:
            return
        members = self._members()
        single = next(iter(members)) if set(members.values()) == {1.0} and len(members) == 1 else None
        if single is None:
            self._writer.add_step({"kind": "blend", "members": members, "output": _BLEND})
        self._bound(single or _BLEND)

    def _bend(self) -> SoftMinimum | None:
        """Return how values come near to the minimum, read out of the last statement, which is then checked whole."""
        found = re.search(rf"{_NUMBER_SQL} \+ .* - {_NUMBER_SQL}\) / {_NUMBER_SQL}", self._last_statement())
        return SoftMinimum(*map(float, found.groups())) if found else None

    def _bound(self, value: str) -> None:
        """Write the step that holds the value to the range of a purchase."""
        bend = self._bend()
        if bend is not None:
            self._writer.add_step({"kind": "soft_minimum", "input": value, "output": PREDICTION, **asdict(bend)})
            return
        self._writer.add_step(
            {
                "kind": "clip",
                "input": value,
                "output": PREDICTION,
                "minimum": self._schema.target_minimum,
            }
        )
