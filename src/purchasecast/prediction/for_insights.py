"""Predictions for any rows, by the portable model where the bundle has one, and how well it knows their levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as sf

from purchasecast.prediction.scoring import score_in_tasks
from purchasecast.schema.reserved_columns import CUSTOMER_ROWS, PREDICTION, PRODUCT_ROWS
from purchasecast.spark.columns import col
from purchasecast.stages import CrossedEffectsModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

    from purchasecast.bundle import Bundle
    from purchasecast.schema import Schema

__all__ = ["predictions", "with_training_rows"]


def predictions(rows: DataFrame, bundle: Bundle, model: Any, kept: Sequence[str]) -> DataFrame:
    """Score rows.

    Parameters
    ----------
    rows : DataFrame
        With the columns that the model reads.
    bundle : Bundle
        The model's directory.
    model : PipelineModel
        The pipeline in it, for a bundle without a portable model.
    kept : sequence of str
        Columns of `rows` to keep.

    Returns
    -------
    DataFrame
        The kept columns and ``prediction``.
    """
    if bundle.scorer_folder.is_dir():
        scored = score_in_tasks(rows, bundle.scorer_folder.resolve(), kept)
    else:
        scored = model.transform(rows)
    return scored.select(*map(col, kept), PREDICTION)


def with_training_rows(frame: DataFrame, model: Any, schema: Schema) -> DataFrame:
    """Add how many training rows each row's customer and product have, 0 for unseen ones.

    Parameters
    ----------
    frame : DataFrame
        With the schema's customer and product.
    model : PipelineModel
        The model; one without crossed effects adds nothing.
    schema : Schema
        Description of the rows.

    Returns
    -------
    DataFrame
        With ``_pc_customer_rows`` and ``_pc_product_rows``, where the schema has the role and the model the level.
    """
    for stage in model.stages:
        if isinstance(stage, CrossedEffectsModel):
            for name, rows in ((schema.customer, CUSTOMER_ROWS), (schema.product, PRODUCT_ROWS)):
                if name in stage.getInputCols():
                    table = stage.level_table(name).select(
                        sf.col("level").alias("_pc_level"), sf.col("rows").alias(rows)
                    )
                    frame = frame.join(table, col(name) == sf.col("_pc_level"), "left").drop("_pc_level")
                    frame = frame.withColumn(rows, sf.coalesce(rows, sf.lit(0.0)))
    return frame
