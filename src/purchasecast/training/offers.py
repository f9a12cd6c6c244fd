"""Learn who buys what, and compare lists of offers with the holdout."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from purchasecast.spark.caching import cached
from purchasecast.spark.columns import quoted
from purchasecast.stages import PurchasePropensity, evaluate_lists

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.config import TrainSettings
    from purchasecast.results import Evaluation
    from purchasecast.schema import Schema
    from purchasecast.stages import PurchasePropensityModel
    from purchasecast.training.split import Split

__all__ = ["can_offer", "fit_offers", "propensity_of"]

logger = logging.getLogger(__name__)


def can_offer(schema: Schema) -> bool:
    """Return whether the schema has what offers need; log one sentence where it has not."""
    if schema.customer and schema.product:
        return True
    logger.info("no offers: %s has no customer or no product column", schema.name)
    return False


def propensity_of(schema: Schema, settings: TrainSettings) -> PurchasePropensity:
    """Return the estimator that a schema and the settings describe."""
    category = schema.main_category
    attributes = [c.name for c in (*schema.nominal, *schema.ordinal) if c.of == "customer"]
    return PurchasePropensity(
        customerCol=str(schema.customer),
        productCol=str(schema.product),
        timeCol=schema.time or "",
        categoryCol=category if category and schema.column(category).of == "product" else "",
        attributeCols=attributes,
        seed=settings.seed,
    )


def fit_offers(
    split: Split, rows: DataFrame, schema: Schema, settings: TrainSettings, evaluation: Evaluation | None
) -> tuple[PurchasePropensityModel, Evaluation | None]:
    """Fit the model of who buys what, compare it with the holdout, and fit it again on all rows.

    Parameters
    ----------
    split : Split
        Training rows, and the holdout that lists are compared with.
    rows : DataFrame
        All accepted rows.
    schema : Schema
        Description of the rows, with a customer and a product.
    settings : TrainSettings
        Whether to fit again, and the seed.
    evaluation : Evaluation or None
        Figures of the amounts on the holdout; None without one.

    Returns
    -------
    tuple of (PurchasePropensityModel, Evaluation or None)
        The model to keep, and the figures with those of the lists.
    """
    estimator = propensity_of(schema, settings)
    read = [quoted(name) for name in dict.fromkeys([*estimator.columns_read(), schema.target])]
    with cached(split.training.select(*read)) as seen:
        model = estimator.fit(seen)
        if evaluation is not None:
            lists = evaluate_lists(model, seen, split.holdout, labelCol=schema.target)
            evaluation = evaluation.with_lists(lists)
    refit = evaluation is not None and settings.refit
    return (estimator.fit(rows.select(*read)) if refit else model), evaluation
