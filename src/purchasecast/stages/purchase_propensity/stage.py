r"""The probability that a customer buys a product in the period to come.

For a pair that has not been bought, with :math:`s` the score of an item-to-item ridge regression (see
`purchasecast.numerics.purchases.item_ridge`) and :math:`f` features of the score, the activity and taste of the
customer, and the popularity of the product,

.. math:: P = \frac{c}{1 + e^{-f^T \beta - d}} ,

with :math:`c` the share of the pairs still to be bought that is bought in the period, :math:`c` and :math:`\beta`
learned on purchases that were hidden, and :math:`d` such that the probabilities of all pairs sum to the number of
purchases to come. Pairs that were bought before have a regression of their own, on how often and how recently.

References
----------
H. Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019. https://doi.org/10.1145/3308558.3313710
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from purchasecast.errors import DataError, SettingsError
from purchasecast.numerics.purchases.fit import FitSettings
from purchasecast.numerics.purchases.model import PurchaseModel
from purchasecast.spark.columns import col
from purchasecast.spark.shipping import apply_in_tasks, map_in_tasks
from purchasecast.stages.base import TableModelMixin, require_columns
from purchasecast.stages.purchase_propensity.params import PropensityParams
from purchasecast.stages.purchase_propensity.tasks import FIT_SCHEMA, best_products, fit_rows, pair_probabilities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame, GroupedData

__all__ = ["PurchasePropensity", "PurchasePropensityModel"]

_MIN_BUCKETS, _CUSTOMERS_PER_BUCKET = 8, 2_000  # of the cogroup: a bucket is in the memory of a task at a time


class PurchasePropensity(Estimator[Any], PropensityParams, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Estimate the probability that a customer buys a product in the period to come.

    Parameters
    ----------
    customerCol, productCol : str, default "customer", "product"
        Columns of any type that casts to text. Rows without either teach nothing.
    timeCol : str, default ""
        Date or timestamp of the purchase. With it the latest purchases are hidden to learn from, and how often and how
        recently a customer bought a product counts.
    categoryCol : str, default ""
        Category of the product: a customer's taste for categories counts, and a new product has the popularity of its
        category.
    attributeCols : list of str, default []
        Attributes of the customer with few levels each, which are all that is known of a new customer.
    outputCol : str, default "probability"
        Output column: 0 to 1, of at least one purchase; 0 for pairs that were bought where nothing is bought twice.
    penalty : float, default 1,500.0
        Ridge penalty of the scores.
    hiddenShare : float, default 0.3
        Share of the purchases, or with a time column of the time, that is hidden to learn from: the period to come.
    maxPredictors : int, default 6,000
        Number of products that predict others, the most popular ones. The inverse of a matrix of this size is computed
        in one task, in single precision: 6,000 take about 600 MB.
    seed : int, default 7
        Seed of what is hidden.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.
    DataError
        If there are too few purchases to hide some of them.
    SettingsError
        If a param is outside its range.

    Notes
    -----
    All rows are brought to one task, which takes about 100 bytes a row. The model has all purchases as its history;
    `PurchasePropensityModel.with_history` gives it others. Probabilities depend on how many purchases the period holds:
    by default as many as were hidden.

    Examples
    --------
    >>> PurchasePropensity(customerCol="User_ID", productCol="Product_ID").getHiddenShare()
    0.3
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        customerCol: str = "customer",
        productCol: str = "product",
        timeCol: str = "",
        categoryCol: str = "",
        attributeCols: list[str] | None = None,
        outputCol: str = "probability",
        penalty: float = 1_500.0,
        hiddenShare: float = 0.3,
        maxPredictors: int = 6_000,
        seed: int = 7,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> PurchasePropensityModel:
        self.check_params()
        require_columns(self, dataset, self.columns_read())
        settings = FitSettings(
            penalty=self.getOrDefault(self.penalty),
            hidden=self.getOrDefault(self.hiddenShare),
            head=self.getOrDefault(self.maxPredictors),
            seed=self.getSeed(),
        )
        work = partial(
            fit_rows,
            attributes=tuple(self.attribute_names()),
            has_time=bool(self.getOrDefault(self.timeCol)),
            settings=settings,
        )
        rows = self.rows_of(dataset)
        parts = map_in_tasks(rows.repartition(1), work, FIT_SCHEMA).localCheckpoint()
        if parts.isEmpty():
            raise DataError(
                "PurchasePropensity: expected rows of at least two customers and products, some of them to hide, "
                "found too few; give more purchases."
            )
        model = self._fitted(PurchasePropensityModel())
        model._parts = parts.where("kind != 'product'").drop("buyers")
        model._products = parts.where("kind = 'product'").select("number", "level", "buyers")
        types = dict(dataset.dtypes)
        model._types = [types[self.getOrDefault(param)] for param in (self.customerCol, self.productCol)]
        model._period = self._period_of(rows)
        model._customers = model._history(dataset).localCheckpoint()
        model._count = model._customers.count()
        return model

    def _period_of(self, rows: DataFrame) -> float:
        """Return the length of the period to come in days; 1 without dates."""
        if not self.getOrDefault(self.timeCol):
            return 1.0
        first, last = rows.agg(sf.min("time"), sf.max("time")).collect()[0]
        return max(float(self.getOrDefault(self.hiddenShare)) * float(last - first), 1e-9)


class PurchasePropensityModel(TableModelMixin, Model, PropensityParams):
    """Scores, probabilities and the history of the customers; see `PurchasePropensity`."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: DataFrame
        self._products: DataFrame
        self._customers: DataFrame
        self._types: list[str] = []
        self._purchases: float | None = None
        self._period, self._count = 1.0, 0  # days in the period to come; customers
        self._collected: dict[str, Any] = {}

    @property
    def history(self) -> DataFrame:
        """One row per customer: ``customer`` as text, lists of what was bought, and ``attributes``."""
        return self._customers

    @property
    def products(self) -> DataFrame:
        """One row per product that the fit has seen: ``number``, ``level`` as text, and ``buyers``."""
        return self._products

    @property
    def hidden_purchases(self) -> float:
        """Number of hidden first purchases that the probabilities were learned from."""
        return PurchaseModel.from_bytes(self.content()["content"]).first_pairs

    def with_history(self, dataset: DataFrame) -> PurchasePropensityModel:
        """Return the same model for customers with other purchases.

        Parameters
        ----------
        dataset : DataFrame
            Past purchases, with the columns of the fit. Products that the fit has not seen count for nothing.

        Returns
        -------
        PurchasePropensityModel
            A copy, whose history is lazy.
        """
        require_columns(self, dataset, self.columns_read())
        copy = self._copied()
        copy._customers = self._history(dataset)
        copy._count = dataset.select(self.customer_text()).distinct().count()
        return copy

    def with_purchases(self, purchases: float | None) -> PurchasePropensityModel:
        """Return the same model for another number of purchases to come.

        Parameters
        ----------
        purchases : float or None
            Number of purchases in the period, above 0; None for as many as were hidden at the fit.

        Returns
        -------
        PurchasePropensityModel
            A copy.

        Raises
        ------
        SettingsError
            If the number is not above 0.
        """
        if purchases is not None and not purchases > 0:
            raise SettingsError(f"purchases: expected a number above 0, found {purchases}; leave it out for the usual.")
        copy = self._copied()
        copy._purchases = purchases
        return copy

    def recommend(self, count: int, *, repeat: bool | None = None) -> DataFrame:
        """Return the most probable products of every customer with a history.

        Parameters
        ----------
        count : int
            Largest number of products per customer.
        repeat : bool, optional
            False leaves out products that the customer has bought before, True leaves out all others; both by default,
            as far as products are bought again at all.

        Returns
        -------
        DataFrame
            One row per pair, lazy: the customer and the product under their own names and types, the probability under
            ``outputCol``, and ``bought_before``.

        Raises
        ------
        SettingsError
            If the count is not above 0.

        Notes
        -----
        No join of customers with products: a task scores its customers block by block, and keeps the best.
        """
        if count < 1:
            raise SettingsError(f"recommend: expected a count of at least 1, found {count}; take 50.")
        content = self.content(categories=False)
        work = partial(best_products, count=count, repeat=repeat, purchases=self._purchases, **content)
        schema = "customer string, item int, probability double, before boolean"
        best = map_in_tasks(self._customers, work, schema)
        named = best.join(sf.broadcast(self._products), col("item") == col("number"))
        names = [self.getOrDefault(param) for param in (self.customerCol, self.productCol)]
        keys = [
            col(source).cast(kind).alias(name)
            for source, kind, name in zip(("customer", "level"), self._types, names, strict=True)
        ]
        return named.select(*keys, col("probability").alias(self.getOutputCol()), col("before").alias("bought_before"))

    def _transform(self, dataset: DataFrame) -> DataFrame:
        """Add the probability; each distinct pair is computed once, where the history of its customer is."""
        time = self.getOrDefault(self.timeCol)
        require_columns(self, dataset, [name for name in self.columns_read() if name != time])
        customer, product = self.customer_text(), self.product_text()
        keys = dataset.select(
            customer.alias("customer"),
            product.alias("product"),
            self.category().alias("category"),
            self.attributes().alias("attributes"),
        ).where("customer IS NOT NULL AND product IS NOT NULL")
        usual = [sf.max(name).alias(name) for name in ("category", "attributes")]
        pairs = keys.groupBy("customer", "product").agg(*usual)
        joined = pairs.join(sf.broadcast(self._products), col("product") == col("level"), "left")
        known = joined.select("customer", "product", "category", "attributes", col("number").alias("item"))
        work = partial(pair_probabilities, purchases=self._purchases, **self.content())
        grouped = self.bucketed(self._customers).cogroup(self.bucketed(known))
        found = apply_in_tasks(grouped, work, "customer string, product string, probability double")
        result = found.toDF("_pc_customer", "_pc_product", "_pc_probability")
        on = (customer == col("_pc_customer")) & (product == col("_pc_product"))
        kept = [col(name) for name in dataset.columns if name != self.getOutputCol()]
        return dataset.join(result, on, "left").select(*kept, col("_pc_probability").alias(self.getOutputCol()))

    def to_portable(self) -> dict[str, Any]:
        """Return what a scorer without Spark needs.

        Returns
        -------
        dict
            The model as bytes, the levels of the attributes and of the categories, and frames of the products and of
            the customers with their histories.
        """
        return {
            "kind": "purchase_propensity",
            "attributes": self.getOrDefault(self.attributeCols),
            **self.content(),
            "tables": {"products": self._products, "customers": self._customers},
        }

    def _history(self, dataset: DataFrame) -> DataFrame:
        """Return one row per customer with lists of the products bought, by their number."""
        rows = self.rows_of(dataset).join(
            sf.broadcast(self._products.selectExpr("number as item", "level")), col("product") == col("level"), "left"
        )
        dated = bool(self.getOrDefault(self.timeCol))
        now = rows.agg(sf.max("time")).collect()[0][0] if dated else 0.0
        age = (sf.lit(now) - col("time")) / sf.lit(self._period) if dated else sf.lit(0.0)
        pairs = rows.groupBy("customer", "item").agg(
            sf.count(sf.lit(1)).alias("n"),
            sf.count_if(age < 1.0).alias("lately"),
            sf.min(age).alias("age"),
            sf.max("attributes").alias("attributes"),
        )
        entry = sf.when(col("item").isNotNull(), sf.struct("item", "n", "lately", "age"))
        entries = sf.array_sort(sf.collect_list(entry)).alias("entries")
        lists = pairs.groupBy("customer").agg(entries, sf.max("attributes").alias("attributes"))
        named = {"items": "item int", "counts": "n float", "recents": "lately float", "ages": "age float"}
        columns = []
        for name, (source, kind) in ((name, text.split()) for name, text in named.items()):
            columns.append(col("entries").getField(source).cast(f"array<{kind}>").alias(name))
        return lists.select("customer", *columns, "attributes")

    def bucketed(self, frame: DataFrame) -> GroupedData:
        """Group a frame with a column ``customer`` so that a group fits into the memory of a task."""
        buckets = max(_MIN_BUCKETS, -(-self._count // _CUSTOMERS_PER_BUCKET))
        bucket = sf.pmod(sf.xxhash64("customer"), sf.lit(buckets)).cast("int").alias("bucket")
        return frame.select("*", bucket).groupBy("bucket")

    def content(self, *, categories: bool = True) -> dict[str, Any]:
        """Return what tasks need: the model as bytes, and levels by number; collected once."""
        if not self._collected:
            parts = self._parts.orderBy("kind", "number").collect()
            self._collected = {
                "content": b"".join(row["content"] for row in parts if row["kind"] == "model"),
                "vocabulary": [row["level"] for row in parts if row["kind"] == "attribute"],
                "categories": [row["level"] for row in parts if row["kind"] == "category"],
            }
        return {name: value for name, value in self._collected.items() if categories or name != "categories"}

    def _copied(self) -> PurchasePropensityModel:
        copy = self._copyValues(PurchasePropensityModel())
        copy._resetUid(self.uid)
        copy._restore(self._tables(), self._state())
        copy._collected = self._collected
        return copy

    def _tables(self) -> Mapping[str, DataFrame]:
        return {"parts": self._parts, "products": self._products, "customers": self._customers}

    def _state(self) -> dict[str, Any]:
        return {
            "types": self._types,
            "purchases": self._purchases,
            "period": self._period,
            "count": self._count,
        }

    def _restore(self, tables: Mapping[str, DataFrame], state: dict[str, Any]) -> None:
        self._parts, self._products, self._customers = (tables[name] for name in ("parts", "products", "customers"))
        self._types, self._purchases = list(state["types"]), state["purchases"]
        self._period, self._count = float(state["period"]), int(state["count"])
