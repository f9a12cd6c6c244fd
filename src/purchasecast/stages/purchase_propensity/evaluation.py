"""Compare the lists of a fitted `PurchasePropensityModel` with purchases that it has not seen."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as sf

from purchasecast.numerics.purchases.arrow_history import histories, indicators
from purchasecast.numerics.purchases.list_quality import CALIBRATION_BORDERS, LENGTHS, SUMS, Coming, list_sums
from purchasecast.numerics.purchases.model import PurchaseModel
from purchasecast.results import CalibrationBin, ListEvaluation, ListQuality
from purchasecast.spark.columns import col
from purchasecast.spark.shipping import apply_in_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame, Row

    from purchasecast.stages.purchase_propensity.stage import PurchasePropensityModel

    Floats = NDArray[np.float64]

__all__ = ["evaluate_lists"]

_SCHEMA = "ranking string, length int, sums array<double>, products array<int>"
_CALIBRATION = "calibration"


def evaluate_lists(
    model: PurchasePropensityModel, past: DataFrame, coming: DataFrame, *, labelCol: str
) -> ListEvaluation:
    """Compare what the model would offer with what was bought afterwards.

    Parameters
    ----------
    model : PurchasePropensityModel
        Fitted to `past`.
    past, coming : DataFrame
        Purchases that the model has seen, and that it has not. Of the latter, those of customers or products that the
        model does not know are left out: nobody can be offered a product that nobody has seen.
    labelCol : str
        Amount of a purchase.

    Returns
    -------
    ListEvaluation
        The model's lists beside what anybody could do without a model, and expected beside actual buyers. The model is
        told how many purchases came.

    Notes
    -----
    One job that brings histories and purchases of a customer together. The driver receives the mean amount of each
    product, and a few numbers from each bucket of customers.
    """
    customer, product, amount = model.customer_text(), model.product_text(), col(labelCol).cast("double")
    known = model.products
    priced = past.groupBy(product.alias("level")).agg(sf.avg(amount).alias("price")).join(known, "level")
    price = np.zeros(known.count())
    for row in priced.select("number", "price").collect():
        price[row["number"]] = max(row["price"] or 0.0, 0.0)
    bought = coming.select(customer.alias("customer"), product.alias("level"), amount.alias("amount"))
    pairs = (
        bought.join(sf.broadcast(known), "level")
        .groupBy("customer", col("number").alias("item"))
        .agg(sf.sum("amount").alias("amount"), sf.count(sf.lit(1)).alias("n"))
        .join(model.history.select("customer"), "customer", "left_semi")
        .localCheckpoint()
    )
    count, rows = pairs.agg(sf.count(sf.lit(1)), sf.sum("n")).collect()[0]
    if not count:
        return ListEvaluation(0, 0, (), ())
    work = partial(_bucket_sums, price=price, purchases=float(rows), **model.content(categories=False))
    grouped = model.bucketed(model.history).cogroup(model.bucketed(pairs))
    return _combined(apply_in_tasks(grouped, work, _SCHEMA).collect(), int(count), len(price))


def _bucket_sums(
    customers: pa.Table, pairs: pa.Table, *, content: bytes, vocabulary: list[str], price: Floats, purchases: float
) -> pa.Table:
    """Return the sums of the lists of the customers of a bucket."""
    model = PurchaseModel.from_bytes(content)
    owner = pc.index_in(pairs["customer"], value_set=customers["customer"].combine_chunks()).to_numpy()
    order = np.lexsort((pairs["item"].to_numpy(), owner))
    amounts = pairs["amount"].to_numpy().astype(np.float64)
    coming = Coming(owner[order].astype(np.int64), pairs["item"].to_numpy()[order].astype(np.int64), amounts[order])
    attributes = indicators(customers["attributes"], vocabulary)
    found = list_sums(model, histories(customers), attributes, coming, price, purchases)
    keys = list(found.lists)
    rows = {
        "ranking": pa.array([*[key[0] for key in keys], _CALIBRATION], pa.string()),
        "length": pa.array([*[key[1] for key in keys], 0], pa.int32()),
        "sums": pa.array(
            [*[found.lists[key].tolist() for key in keys], found.calibration.ravel().tolist()], pa.list_(pa.float64())
        ),
        "products": pa.array([*[found.products[key].tolist() for key in keys], []], pa.list_(pa.int32())),
    }
    return pa.table(rows)


def _combined(rows: list[Row], pairs: int, products: int) -> ListEvaluation:
    """Add up the buckets."""
    sums: dict[tuple[str, int], Floats] = {}
    shown: dict[tuple[str, int], set[int]] = {}
    for row in rows:
        key = (row["ranking"], row["length"])
        sums[key] = sums.get(key, 0.0) + np.array(row["sums"])
        shown.setdefault(key, set()).update(row["products"])
    bins = sums.pop((_CALIBRATION, 0)).reshape(len(CALIBRATION_BORDERS), 3)
    lists = []
    for (ranking, length), values in sorted(sums.items(), key=lambda item: (LENGTHS.index(item[0][1]), item[0][0])):
        named = dict(zip(SUMS, values.tolist(), strict=True))
        customers = max(named["customers"], 1.0)
        lists.append(
            ListQuality(
                ranking,
                length,
                named["hits"] / max(named["offers"], 1.0),
                named["recall"] / customers,
                named["ndcg"] / customers,
                len(shown[ranking, length]) / products,
                named["revenue"] / customers,
                named["expected"],
                named["hits"],
            )
        )
    customers = int(max(values[0] for values in sums.values()))
    calibration = tuple(CalibrationBin(int(n), float(told), float(actual)) for n, told, actual in bins if n)
    return ListEvaluation(customers, pairs, tuple(lists), calibration)
