"""Export a fitted pipeline as the portable model of `purchasecast.scorer`.

This is the one place that collects level tables to the driver; each has a cap.
"""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING, Any

from pyspark.ml.feature import Bucketizer, ImputerModel, OneHotEncoderModel, StringIndexerModel, VectorAssembler
from pyspark.ml.regression import LinearRegressionModel

from purchasecast.errors import BundleError
from purchasecast.export.catalogue import add_catalogue
from purchasecast.export.level_tables import (
    add_crossed_effects,
    add_latent_factors,
    add_level_statistics,
    add_simple_predictors,
    add_unit_price,
)
from purchasecast.scorer.format import ScorerWriter
from purchasecast.stages import (
    BoostedTreesModel,
    BoundedPrediction,
    ColumnPreparation,
    ConformalIntervalsModel,
    CrossedEffectsModel,
    LatentFactorModel,
    LevelStatisticsModel,
    PriceLadderModel,
    PurchasePatternModel,
    Retransform,
    ScaledColumns,
    SimplePredictorsModel,
    UnitPriceModel,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

    from purchasecast.schema import Schema

__all__ = ["export_scorer", "write_scorer"]

logger = logging.getLogger(__name__)

_BOOSTER = "booster.json"


def export_scorer(model: PipelineModel, schema: Schema, rows: DataFrame, folder: Path) -> None:
    """Write the portable form of a fitted pipeline.

    Parameters
    ----------
    model : PipelineModel
        A fitted recipe.
    schema : Schema
        Description of the rows.
    rows : DataFrame
        Accepted training rows: for the attributes of customers and products, and for averages.
    folder : Path
        Folder on the driver's machine; created.

    Raises
    ------
    BundleError
        If a stage has no portable form, or a level table is larger than the cap.

    Notes
    -----
    Collects every level table and the attributes of every customer and product to the driver. Jobs: one a level
    table, one for the attributes of each side, one for a sample of 20,000 rows, one to score a few of them as a test.
    """
    writer = ScorerWriter(schema)
    export = _Export(model, writer)
    export.run()
    add_catalogue(writer, model, rows, folder)
    logger.info("scorer written: %d stages", len(model.stages))


def write_scorer(model: PipelineModel, schema: Schema, rows: DataFrame, folder: Path) -> bool:
    """Write the portable form of a fitted pipeline; without one, warn and go on.

    Parameters
    ----------
    model : PipelineModel
        Fitted pipeline.
    schema : Schema
        Description of the rows.
    rows : DataFrame
        Accepted training rows.
    folder : Path
        Folder to write to.

    Returns
    -------
    bool
        Whether there is a scorer. Without one the folder does not exist, and a warning gives the reason.
    """
    try:
        export_scorer(model, schema, rows, folder)
    except BundleError as error:
        shutil.rmtree(folder, ignore_errors=True)
        logger.warning("this model cannot be served without Spark: %s", error)
        return False
    return True


def _skip(stage: Any) -> None:
    """Export nothing of a stage."""


class _Export:
    """Walk along the stages; each adds its steps and tables to the writer."""

    def __init__(self, model: PipelineModel, writer: ScorerWriter) -> None:
        self._stages = list(model.stages)
        self._writer = writer
        self._preparation = next((stage for stage in self._stages if isinstance(stage, ColumnPreparation)), None)
        self._patterns: dict[str, tuple[str, DataFrame]] = {}  # vector column -> column of the level, its table
        self._indicator_sizes: dict[str, tuple[str, int]] = {}  # vector column -> index column, indicators

    def run(self) -> None:
        """Check that every stage can be exported, then export them in order."""
        by_type: dict[type[Any], Callable[[Any], None]] = {
            ColumnPreparation: self._numbers,
            ImputerModel: _skip,  # its values are part of the numbers
            StringIndexerModel: self._index,
            CrossedEffectsModel: lambda stage: add_crossed_effects(self._writer, stage.to_portable()),
            PurchasePatternModel: self._note_patterns,
            LatentFactorModel: lambda stage: add_latent_factors(self._writer, stage.to_portable(), self._patterns),
            UnitPriceModel: lambda stage: add_unit_price(self._writer, stage.to_portable()),
            SimplePredictorsModel: lambda stage: add_simple_predictors(self._writer, stage.to_portable()),
            LevelStatisticsModel: lambda stage: add_level_statistics(self._writer, stage.to_portable()),
            OneHotEncoderModel: self._indicators,
            VectorAssembler: self._assemble,
            LinearRegressionModel: self._linear,
            BoostedTreesModel: self._boosted,
            Retransform: lambda stage: self._writer.add_step(stage.to_portable()),
            Bucketizer: self._bins,
            ScaledColumns: lambda stage: self._writer.add_step(stage.to_portable()),
            BoundedPrediction: self._prediction,
            ConformalIntervalsModel: lambda stage: self._writer.add_step(stage.to_portable()),
            PriceLadderModel: lambda stage: self._writer.add_step(stage.to_portable()),
        }
        unknown = [type(stage).__name__ for stage in self._stages if type(stage) not in by_type]
        if unknown:
            raise BundleError(
                f"scorer: expected stages that can be scored without Spark, found {', '.join(unknown)}; "
                "score this model with `purchasecast predict`."
            )
        for stage in self._stages:
            by_type[type(stage)](stage)

    def _numbers(self, preparation: ColumnPreparation) -> None:
        fills: dict[str, float] = {}
        for stage in self._stages:
            if isinstance(stage, ImputerModel):
                row = stage.surrogateDF.collect()[0]
                outputs = zip(stage.getInputCols(), stage.getOutputCols(), strict=True)
                fills |= {output: float(row[name]) for name, output in outputs}
        columns = [
            {"column": column, "output": output, "part": part or None, "fill": fills.get(output)}
            for column, part, output in preparation.numbers()
        ]
        if columns:
            self._writer.add_step({"kind": "numeric", "columns": columns})

    def _index(self, stage: StringIndexerModel) -> None:
        prepared = self._preparation.levels() if self._preparation else []
        sources = {text: (name, stand_in) for name, stand_in, text in prepared}
        columns = []
        for text, output, labels in zip(stage.getInputCols(), stage.getOutputCols(), stage.labelsArray, strict=True):
            name, stand_in = sources[text]
            columns.append({"column": name, "text": text, "output": output, "null": stand_in, "labels": list(labels)})
        self._writer.add_step({"kind": "index", "columns": columns})

    def _note_patterns(self, stage: PurchasePatternModel) -> None:
        # They reach predictions only through the factors of levels without rows: written with these.
        portable = stage.to_portable()
        tables = portable["tables"].values()
        self._patterns |= {
            output: (column, table)
            for column, output, table in zip(portable["inputs"], portable["outputs"], tables, strict=True)
        }

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

    def _bins(self, stage: Bucketizer) -> None:
        entry = {"kind": "bins", "input": stage.getInputCol(), "output": stage.getOutputCol()}
        self._writer.add_step({**entry, "borders": list(stage.getSplits())[1:-1]})

    def _boosted(self, stage: BoostedTreesModel) -> None:
        portable = stage.to_portable()
        self._writer.add_file(_BOOSTER, portable["booster"])
        entry = {name: portable[name] for name in ("kind", "inputs", "output")}
        self._writer.add_step({**entry, "file": _BOOSTER})

    def _prediction(self, stage: BoundedPrediction) -> None:
        for step in stage.to_portable():
            self._writer.add_step(step)
