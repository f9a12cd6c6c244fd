r"""Expected revenue of rows to score, summed by pairs of columns, with intervals that hold for the sums.

The error of a sum is not the sum of independent errors: a part of a row's error is its own and averages out, and a part
is shared by all purchases of a customer, a product or a category, and does not. With :math:`n_c` rows of customer
:math:`c` and :math:`n_p` rows of product :math:`p` in a cell,

.. math:: \mathrm{Var} = \sum_i m_{k(i)} + \sum_c n_c (n_c - 1) v_c + \sum_p n_p (n_p - 1) v_p + n^2 b^2,

where :math:`m_k` is the mean squared error of category :math:`k` on the holdout (which includes each row's share of the
errors of its customer and product), :math:`v = (N / \sigma^2 + 1 / \tau^2)^{-1}` the remaining variance of an effect
after :math:`N` training rows, by the variance components of the model, and :math:`b^2` the variance of the errors of
whole categories on the holdout that their rows do not explain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import functions as sf

from purchasecast.errors import SettingsError
from purchasecast.insights.sales import NO_LEVEL
from purchasecast.insights.significance import normal_interval
from purchasecast.schema.reserved_columns import CUSTOMER_ROWS, PREDICTION, PRODUCT_ROWS
from purchasecast.spark.columns import number_literal, quoted, text_literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import DataFrame

    from purchasecast.results import Evaluation
    from purchasecast.schema import Schema

__all__ = [
    "Cell",
    "Noise",
    "UncertainProduct",
    "cells_of",
    "default_pair",
    "demand_columns",
    "demand_frame",
    "expected_by",
    "noise_of",
    "place_of",
    "uncertain_products",
]

MAX_CELLS = 5_000
_PRIOR_ROWS = 30.0  # rows of the overall error that the error of a category is averaged with
_PLACES = ("city", "region", "store", "state", "area", "country", "market")


@dataclass(frozen=True, slots=True)
class Noise:
    """Variances of the errors of predictions, in money squared."""

    of_category: Mapping[str, float]  # mean squared error by category
    of_any: float  # mean squared error of all rows, for categories that are not listed
    bias: float  # variance of the mean error of a category that its rows do not explain
    # Variance components of the crossed effects.
    residual: float
    customer: float
    product: float
    source: str  # where these figures come from, for sentences
    # Mean squared error of the product means on the same holdout, by category and of all rows; None where unknown.
    by_mean_of_category: Mapping[str, float] | None = None
    by_mean_of_any: float | None = None

    def shared(self, rows: str, variance: float) -> str:
        """Return, as SQL, the remaining variance of an effect after a number of training rows."""
        if variance <= 0 or self.residual <= 0:
            return "0D"
        return f"(1D / ({rows} / {number_literal(self.residual)} + {number_literal(1 / variance)}))"

    def own(self) -> str:
        """Return, as SQL, the mean squared error of a row by its category."""
        return _by_category(self.of_category, self.of_any)

    def own_by_mean(self) -> str:
        """Return, as SQL, the mean squared error of a row where the product's mean is the forecast; null if unknown."""
        if self.by_mean_of_any is None:
            return "cast(null as double)"
        return _by_category(self.by_mean_of_category or {}, self.by_mean_of_any)


def _by_category(errors: Mapping[str, float], of_any: float) -> str:
    cases = "".join(f" WHEN {text_literal(level)} THEN {number_literal(mse)}" for level, mse in errors.items())
    return f"(CASE category{cases} ELSE {number_literal(of_any)} END)" if cases else number_literal(of_any)


@dataclass(frozen=True, slots=True)
class Cell:
    """Expected revenue of a combination of two levels, with its standard deviation."""

    first: str
    second: str
    rows: int
    customers: int | None
    units: float
    expected: float
    deviation: float

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval of the revenue at a level."""
        return normal_interval(self.expected, self.deviation, level, minimum=0.0)


@dataclass(frozen=True, slots=True)
class UncertainProduct:
    """Expected revenue of a product, with its standard deviation."""

    product: str
    rows: int
    expected: float
    deviation: float


def default_pair(schema: Schema) -> tuple[str, str] | None:
    """Return the columns to sum by, the main category and a place; None where there are no two such columns.

    The place is a nominal column whose name says so, preferably one with a known domain; without any, the first nominal
    column that is not an attribute of the product.
    """
    category = schema.main_category
    others = [c for c in schema.nominal if c.name != category and c.of != "product"]
    if category is None or not others:
        return None
    places = [c for c in others if any(word in c.label.lower() for word in _PLACES)]
    best = next(iter([*[c for c in places if c.domain], *places, *others]))
    return (category, best.name)


def noise_of(evaluation: Evaluation | None, model: Any, schema: Schema) -> Noise:
    """Collect the variances of the errors from the evaluation and the model; all are 0 where neither has any.

    Without an evaluation, the residual variance of the crossed effects stands for the error of a row.
    """
    residual, by_group = 0.0, {}
    for stage in model.stages:
        components = getattr(stage, "components", ())
        if components:
            residual = components[-1].residual
            by_group = dict(zip(stage.getInputCols(), components[-1].groups, strict=True))
            break
    effects = (residual, by_group.get(schema.customer, 0.0), by_group.get(schema.product, 0.0))
    if evaluation is not None:
        by_category, bias = _category_errors(evaluation, schema)
        overall = evaluation.overall.rmse**2
        source = "the errors of the model on its holdout"
        return Noise(by_category, overall, bias, *effects, source, *_errors_by_mean(evaluation, schema))
    if residual:
        source = "the residual variance of the model, because it was not evaluated on a holdout"
        return Noise({}, residual, 0.0, *effects, source)
    return Noise({}, 0.0, 0.0, 0.0, 0.0, 0.0, "no source: the model has no information about its errors")


def _category_errors(evaluation: Evaluation, schema: Schema) -> tuple[dict[str, float], float]:
    """Return the shrunken mean squared error of each category, and the variance of whole categories' errors."""
    overall = evaluation.overall.rmse**2
    slices = [part for part in evaluation.slices if part.by == schema.main_category]
    shrunken = {
        part.level: (part.rows * part.rmse**2 + _PRIOR_ROWS * overall) / (part.rows + _PRIOR_ROWS) for part in slices
    }
    rows = sum(part.rows for part in slices)
    # A mean of n errors has the variance rmse² / n by chance; what the squared bias has beyond that is shared.
    unexplained = sum(part.rows * (part.bias**2 - part.rmse**2 / part.rows) for part in slices) / rows if rows else 0.0
    return shrunken, max(unexplained, 0.0)


def _errors_by_mean(evaluation: Evaluation, schema: Schema) -> tuple[dict[str, float] | None, float | None]:
    """Return the mean squared error of the product means, shrunken by category as that of the model, and overall."""
    name = "product_mean"
    overall = evaluation.overall.baseline_rmse.get(name)
    if overall is None:
        return None, None
    slices = [p for p in evaluation.slices if p.by == schema.main_category and name in p.baseline_rmse]
    return {
        part.level: (part.rows * part.baseline_rmse[name] ** 2 + _PRIOR_ROWS * overall**2) / (part.rows + _PRIOR_ROWS)
        for part in slices
    }, overall**2


def place_of(schema: Schema) -> str | None:
    """Return the column of the places of `default_pair`; None where there is none, or no product to order for them."""
    pair = default_pair(schema)
    return pair[1] if pair and schema.product else None


def demand_columns(schema: Schema, pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return the columns of the table that `demand_frame` reads beside the prediction."""
    read = {name for pair in pairs for name in pair} | {schema.customer, schema.product, schema.main_category}
    read.add(schema.quantity)
    return tuple(name for name in schema.names if name in read)


def demand_frame(scored: DataFrame, schema: Schema, noise: Noise, pairs: Sequence[tuple[str, str]]) -> DataFrame:
    """Return scored rows under fixed names, with the variances of their errors.

    The columns are ``p_0_a``, ``p_0_b``, ... (levels of the pairs), ``customer``, ``product``, ``category``,
    ``expected``, ``units``, and the variances ``own``, ``of_customer`` and ``of_product``.
    """
    category, pieces = schema.main_category, schema.quantity
    known = {name: quoted(name) if name in scored.columns else "0D" for name in (CUSTOMER_ROWS, PRODUCT_ROWS)}
    prepared = scored.selectExpr(
        *_pair_terms(schema, pairs),
        f"{quoted(schema.customer) if schema.customer else 'cast(null as string)'} as customer",
        f"{quoted(schema.product) if schema.product else 'cast(null as string)'} as product",
        f"coalesce({quoted(category)}, '{NO_LEVEL}') as category" if category else "'all' as category",
        f"{quoted(PREDICTION)} as expected",
        f"{quoted(pieces) if pieces else '1D'} as units",
        f"{known[CUSTOMER_ROWS]} as customer_rows",
        f"{known[PRODUCT_ROWS]} as product_rows",
    )
    # Without the number of training rows nothing is known of what the rows of one customer or product share.
    shares_customer = schema.customer and CUSTOMER_ROWS in scored.columns
    shares_product = schema.product and PRODUCT_ROWS in scored.columns
    return prepared.selectExpr(
        "*",
        f"{noise.own()} as own",
        f"{noise.own_by_mean()} as own_by_mean",
        f"{noise.shared('customer_rows', noise.customer) if shares_customer else '0D'} as of_customer",
        f"{noise.shared('product_rows', noise.product) if shares_product else '0D'} as of_product",
    ).drop("customer_rows", "product_rows")


def _pair_terms(schema: Schema, pairs: Sequence[tuple[str, str]]) -> list[str]:
    usable = [c.name for c in schema.columns if c.kind in {"nominal", "ordinal"}]
    terms = []
    for k, pair in enumerate(pairs):
        for side, name in zip("ab", pair, strict=True):
            if name not in usable:
                raise SettingsError(f"by: expected two of {', '.join(usable)}, found {name}; choose two of them.")
            terms.append(f"coalesce({quoted(name)}, '{NO_LEVEL}') as p_{k}_{side}")
    return terms


def cells_of(demand: DataFrame, pair: int | None) -> DataFrame:
    """Sum rows by a pair of columns (None for all rows together), with what their variances consist of.

    Two passes: rows by cell and customer, and by cell and product.
    """
    a, b = ("'all'", "'all'") if pair is None else (f"p_{pair}_a", f"p_{pair}_b")
    keyed = demand.selectExpr(f"{a} as a", f"{b} as b", "*", "power(units, 2) as squares", "power(units, 3) as cubes")
    sums = [sf.expr(f"sum({name}) as {name}") for name in ("expected", "units", "own", "own_by_mean")]
    # Moments of the units, for what an order has to cover.
    sums += [sf.expr(f"sum({name}) as {name}") for name in ("squares", "cubes")]
    by_customer = keyed.groupBy("a", "b", "customer").agg(
        sf.expr("count(1) as n"), *sums, sf.expr("max(of_customer) as v")
    )
    shared = sf.expr("sum(n * (n - 1) * v) as shared")
    cells = by_customer.groupBy("a", "b").agg(
        sf.expr("sum(n) as n"), sf.expr("count(customer) as customers"), *sums, shared
    )
    by_product = keyed.groupBy("a", "b", "product").agg(sf.expr("count(1) as n"), sf.expr("max(of_product) as v"))
    products = by_product.groupBy("a", "b").agg(shared.alias("shared_by_product"))
    return cells.join(products, ["a", "b"])


def expected_by(demand: DataFrame, pair: int | None, noise: Noise) -> tuple[Cell, ...]:
    """Sum expected revenue by a pair of columns (None for all rows together), most revenue first.

    The driver receives one row per cell, at most 5,000.
    """
    cells = cells_of(demand, pair)
    rows = cells.orderBy(sf.desc("expected"), "a", "b").limit(MAX_CELLS).collect()
    return tuple(
        Cell(
            r["a"],
            r["b"],
            int(r["n"]),
            int(r["customers"]) or None,
            float(r["units"]),
            float(r["expected"]),
            float(np.sqrt(r["own"] + r["shared"] + r["shared_by_product"] + r["n"] ** 2 * noise.bias)),
        )
        for r in rows
    )


def uncertain_products(demand: DataFrame, noise: Noise, most: int) -> tuple[UncertainProduct, ...]:
    """Return the products with the most uncertain expected revenue, largest deviation first."""
    bias = number_literal(noise.bias)
    variance = f"sum(own) + count(1) * (count(1) - 1) * max(of_product) + count(1) * count(1) * {bias}"
    by_product = demand.where("product is not null").groupBy("product")
    sums = by_product.agg(
        sf.expr("count(1) as n"),
        sf.expr("sum(expected) as expected"),
        sf.expr(f"sqrt({variance}) as s"),
    )
    rows = sums.orderBy(sf.desc("s"), "product").limit(most).collect()
    return tuple(UncertainProduct(str(r["product"]), r["n"], r["expected"], r["s"]) for r in rows)
