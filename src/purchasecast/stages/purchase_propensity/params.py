"""Params of `PurchasePropensity` and its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.ml.param.shared import HasOutputCol, HasSeed
from pyspark.sql import functions as sf

from purchasecast.spark.columns import col
from purchasecast.stages.params import StageParams, float_param, int_param, str_list_param, str_param

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

__all__ = ["PropensityParams"]

_SECONDS_PER_DAY = 86_400.0


class PropensityParams(StageParams, HasOutputCol, HasSeed):
    """Columns, and how purchases are hidden and scores are fitted."""

    customerCol = str_param("customer column of any type", default="customer")
    productCol = str_param("product column of any type", default="product")
    timeCol = str_param("date or timestamp of the purchase; empty for none", default="")
    categoryCol = str_param("category of the product; empty for none", default="")
    attributeCols = str_list_param("columns of the customer's attributes, of few levels each")
    outputCol = str_param("output column of the probability", default="probability")
    penalty = float_param("ridge penalty of the scores", default=1_500.0, above=0)
    hiddenShare = float_param(
        "share of the purchases, or with a time column of the time, that is hidden to learn from",
        default=0.3,
        above=0,
        below=1,
    )
    maxPredictors = int_param("number of products that predict others, the most popular ones", default=6_000, minimum=1)
    seed = int_param("seed of what is hidden", default=7, minimum=0)

    def rows_of(self, dataset: DataFrame) -> DataFrame:
        """Return ``customer``, ``product``, ``category``, ``time`` in days and ``attributes`` of complete rows."""
        customer, product = self.customer_text(), self.product_text()
        columns = [customer.alias("customer"), product.alias("product"), self.category().alias("category")]
        columns += [self.days().alias("time"), self.attributes().alias("attributes")]
        rows = dataset.where(customer.isNotNull() & product.isNotNull()).select(*columns)
        return rows.where("time IS NOT NULL") if self.getOrDefault(self.timeCol) else rows

    def category(self) -> Column:
        """Return the category as text; empty where there is none."""
        name = self.getOrDefault(self.categoryCol)
        return sf.coalesce(col(name).cast("string"), sf.lit("")) if name else sf.lit("")

    def days(self) -> Column:
        """Return the time in days since 1970; 0 without a time column."""
        name = self.getOrDefault(self.timeCol)
        seconds = col(name).cast("timestamp").cast("double") if name else sf.lit(0.0)
        return seconds / _SECONDS_PER_DAY

    def attributes(self) -> Column:
        """Return the attributes of the customer as texts, ``column=level``."""
        texts = [sf.concat(sf.lit(f"{name}="), col(name).cast("string")) for name in self.attribute_names()]
        return sf.array(*texts).cast("array<string>")

    def customer_text(self) -> Column:
        """Return the customer as text."""
        return col(self.getOrDefault(self.customerCol)).cast("string")

    def product_text(self) -> Column:
        """Return the product as text."""
        return col(self.getOrDefault(self.productCol)).cast("string")

    def attribute_names(self) -> list[str]:
        """Return the columns of the customer's attributes."""
        names: list[str] = self.getOrDefault(self.attributeCols)
        return names

    def columns_read(self) -> list[str]:
        """Return the columns that a fit needs."""
        single = [self.customerCol, self.productCol, self.timeCol, self.categoryCol]
        names = [self.getOrDefault(param) for param in single]
        return [name for name in [*names, *self.attribute_names()] if name]
