r"""Expected revenue of a table to score, added up by any pair of columns, with intervals that hold for the sums.

The error of a sum is not the sum of the rows' errors: some of a row's error is its own and averages out, some is shared
by all purchases of a customer, of a product, or of a category, and does not. With :math:`n_c` a cell's rows of customer
:math:`c` and :math:`n_p` those of product :math:`p`,

.. math:: \mathrm{Var} = \sum_i m_{k(i)} + \sum_c n_c (n_c - 1) v_c + \sum_p n_p (n_p - 1) v_p + n^2 b^2,

where :math:`m_k` is the mean squared error of category :math:`k` on the holdout (which holds each row's share of the
customer's and product's errors already), :math:`v = (N / \sigma^2 + 1 / \tau^2)^{-1}` what remains unknown of an effect
after :math:`N` training rows, by the model's variance components, and :math:`b^2` how far whole categories were off on
the holdout beyond what their rows explain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import functions as sf
from scipy import stats

from purchasecast.errors import SettingsError
from purchasecast.insights.sales import NO_LEVEL
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
    "default_pair",
    "demand_columns",
    "demand_frame",
    "expected_by",
    "noise_of",
    "uncertain_products",
]

MOST_CELLS = 5_000
_PRIOR_ROWS = 30.0  # that a category's error is shrunk by toward that of all
_PLACES = ("city", "region", "store", "state", "area", "country", "market")


@dataclass(frozen=True, slots=True)
class Noise:
    """What the errors of predictions are made of, all in money squared.

    Attributes
    ----------
    of_category : dict of str to float
        Mean squared error by category.
    of_any : float
        Mean squared error of all rows: for categories not listed.
    bias : float
        Variance of a category's mean error beyond what its rows explain.
    residual, customer, product : float
        Variance components of the crossed effects.
    source : str
        Where these are from, in phrases.
    """

    of_category: Mapping[str, float]
    of_any: float
    bias: float
    residual: float
    customer: float
    product: float
    source: str

    def shared(self, rows: str, variance: float) -> str:
        """Return, as SQL, what remains unknown of an effect after that many training rows."""
        if variance <= 0 or self.residual <= 0:
            return "0D"
        return f"(1D / ({rows} / {number_literal(self.residual)} + {number_literal(1 / variance)}))"

    def own(self) -> str:
        """Return, as SQL, the mean squared error of a row by its category."""
        cases = "".join(
            f" WHEN {text_literal(level)} THEN {number_literal(mse)}" for level, mse in self.of_category.items()
        )
        any_row = number_literal(self.of_any)
        return f"(CASE category{cases} ELSE {any_row} END)" if cases else any_row


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the inventory: expected revenue and how far off it may be."""

    first: str
    second: str
    rows: int
    customers: int | None
    units: float
    expected: float
    deviation: float

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval of the cell's revenue."""
        half = float(stats.norm.ppf((1 + level) / 2)) * self.deviation
        return (max(self.expected - half, 0.0), self.expected + half)


@dataclass(frozen=True, slots=True)
class UncertainProduct:
    """A product, what it is expected to bring, and how far off that may be."""

    product: str
    category: str
    rows: int
    training_rows: float
    expected: float
    deviation: float


def default_pair(schema: Schema) -> tuple[str, str] | None:
    """Return the columns to add up by: the first category, and a place.

    Parameters
    ----------
    schema : Schema
        Description of the table.

    Returns
    -------
    (str, str) or None
        The place is a nominal column named like one, one of a known domain before others; without any, the customer's
        first attribute. None where the table has no two such columns.
    """
    category = schema.main_category
    others = [c for c in schema.nominal if c.name != category and c.of != "product"]
    if category is None or not others:
        return None
    places = [c for c in others if any(word in c.label.lower() for word in _PLACES)]
    chosen = next(iter([*[c for c in places if c.domain], *places, *others]))
    return (category, chosen.name)


def noise_of(evaluation: Evaluation | None, model: Any, schema: Schema) -> Noise:
    """Collect what is known of the errors from the holdout and the model.

    Parameters
    ----------
    evaluation : Evaluation or None
        Figures of the holdout; without them the crossed effects' residual variance stands for the rows' errors.
    model : PipelineModel
        The model; its crossed effects know the variance components.
    schema : Schema
        Description of the table.

    Returns
    -------
    Noise
        Variances.
    """
    residual, by_group = 0.0, {}
    for stage in model.stages:
        components = getattr(stage, "components", ())
        if components:
            residual = components[-1].residual
            by_group = dict(zip(stage.getInputCols(), components[-1].groups, strict=True))
            break
    customer, product = by_group.get(schema.customer, 0.0), by_group.get(schema.product, 0.0)
    if evaluation is None and not residual:
        return Noise({}, 0.0, 0.0, 0.0, 0.0, 0.0, "nothing: the model says nothing of its errors, so there is none")
    if evaluation is None:
        source = "the model's own residual variance, because the model was not evaluated on a holdout"
        return Noise({}, residual, 0.0, residual, customer, product, source)
    overall = evaluation.overall.rmse**2
    slices = [part for part in evaluation.slices if part.by == schema.main_category]
    shrunken = {
        part.level: (part.rows * part.rmse**2 + _PRIOR_ROWS * overall) / (part.rows + _PRIOR_ROWS) for part in slices
    }
    rows = sum(part.rows for part in slices)
    beyond = sum(part.rows * (part.bias**2 - part.rmse**2 / part.rows) for part in slices) / rows if rows else 0.0
    return Noise(shrunken, overall, max(beyond, 0.0), residual, customer, product, "the model's errors on its holdout")


def demand_columns(schema: Schema, pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return the columns of the table that `demand_frame` reads beside the prediction."""
    read = {name for pair in pairs for name in pair} | {schema.customer, schema.product, schema.main_category}
    read.add(schema.quantity)
    return tuple(name for name in schema.names if name in read)


def demand_frame(scored: DataFrame, schema: Schema, noise: Noise, pairs: Sequence[tuple[str, str]]) -> DataFrame:
    """Return scored rows as the sums read them.

    Parameters
    ----------
    scored : DataFrame
        Rows with predictions, and, where known, the training rows of their customer and product.
    schema : Schema
        Their description.
    noise : Noise
        What the errors are made of.
    pairs : sequence of (str, str)
        Columns to add up by.

    Returns
    -------
    DataFrame
        One row a row: ``p_0_a``, ``p_0_b``, ..., ``customer``, ``product``, ``category``, ``expected``, ``units``,
        ``own``, ``of_customer`` and ``of_product`` (variances), ``trained`` (training rows of the product).

    Raises
    ------
    SettingsError
        If a pair names a column that is not one of the table's, or a quantity.
    """
    usable = [c.name for c in schema.columns if c.kind in {"nominal", "ordinal"}]
    terms = []
    for k, pair in enumerate(pairs):
        for side, name in zip("ab", pair, strict=True):
            if name not in usable:
                raise SettingsError(f"by: expected two of {', '.join(usable)}, found {name}.")
            terms.append(f"coalesce({quoted(name)}, '{NO_LEVEL}') as p_{k}_{side}")
    category = schema.main_category
    counted = schema.quantity
    rows_of = {role: name for role, name in (("c", CUSTOMER_ROWS), ("p", PRODUCT_ROWS)) if name in scored.columns}
    customer, product = schema.customer or "", schema.product or ""
    prepared = scored.selectExpr(
        *terms,
        f"{quoted(customer)} as customer" if customer else "cast(null as string) as customer",
        f"{quoted(product)} as product" if product else "cast(null as string) as product",
        f"coalesce({quoted(category)}, '{NO_LEVEL}') as category" if category else "'all' as category",
        f"{quoted(PREDICTION)} as expected",
        f"{quoted(counted)} as units" if counted else "1D as units",
        f"{rows_of['c']} as c_rows" if "c" in rows_of else "0D as c_rows",
        f"{rows_of['p']} as trained" if "p" in rows_of else "0D as trained",
    )
    of_customer = noise.shared("c_rows", noise.customer) if customer and "c" in rows_of else "0D"
    of_product = noise.shared("trained", noise.product) if product and "p" in rows_of else "0D"
    return prepared.selectExpr(
        "*", f"{noise.own()} as own", f"{of_customer} as of_customer", f"{of_product} as of_product"
    ).drop("c_rows")


def expected_by(demand: DataFrame, pair: int | None, noise: Noise) -> tuple[Cell, ...]:
    """Add expected revenue up by a pair of columns.

    Parameters
    ----------
    demand : DataFrame
        What `demand_frame` returned, cached.
    pair : int or None
        Which pair; None for all rows together.
    noise : Noise
        What the errors are made of.

    Returns
    -------
    tuple of Cell
        Most revenue first, at most 5,000.

    Notes
    -----
    Two passes: rows by cell and customer, and by cell and product. The driver receives one row a cell.
    """
    a, b = ("'all'", "'all'") if pair is None else (f"p_{pair}_a", f"p_{pair}_b")
    keyed = demand.selectExpr(f"{a} as a", f"{b} as b", "*")
    by_customer = keyed.groupBy("a", "b", "customer").agg(
        sf.expr("count(1) as n"),
        sf.expr("sum(expected) as expected"),
        sf.expr("sum(units) as units"),
        sf.expr("sum(own) as own"),
        sf.expr("max(of_customer) as v"),
    )
    cells = by_customer.groupBy("a", "b").agg(
        sf.expr("sum(n) as n"),
        sf.expr("count(customer) as customers"),
        sf.expr("sum(expected) as expected"),
        sf.expr("sum(units) as units"),
        sf.expr("sum(own) as own"),
        sf.expr("sum(n * (n - 1) * v) as shared"),
    )
    by_product = keyed.groupBy("a", "b", "product").agg(sf.expr("count(1) as n"), sf.expr("max(of_product) as v"))
    products = by_product.groupBy("a", "b").agg(sf.expr("sum(n * (n - 1) * v) as of_products"))
    rows = cells.join(products, ["a", "b"]).orderBy(sf.desc("expected"), "a", "b").limit(MOST_CELLS).collect()
    return tuple(
        Cell(
            r["a"],
            r["b"],
            int(r["n"]),
            int(r["customers"]) or None,
            float(r["units"]),
            float(r["expected"]),
            float(np.sqrt(r["own"] + r["shared"] + r["of_products"] + r["n"] ** 2 * noise.bias)),
        )
        for r in rows
    )


def uncertain_products(demand: DataFrame, noise: Noise, most: int) -> tuple[UncertainProduct, ...]:
    """Return the products whose expected revenue may be furthest off.

    Parameters
    ----------
    demand : DataFrame
        What `demand_frame` returned, cached.
    noise : Noise
        What the errors are made of.
    most : int
        How many.

    Returns
    -------
    tuple of UncertainProduct
        Largest deviation first.
    """
    bias = number_literal(noise.bias)
    variance = f"sum(own) + count(1) * (count(1) - 1) * max(of_product) + count(1) * count(1) * {bias}"
    sums = (
        demand.where("product is not null")
        .groupBy("product")
        .agg(
            sf.expr("max(category) as category"),
            sf.expr("count(1) as n"),
            sf.expr("max(trained) as trained"),
            sf.expr("sum(expected) as expected"),
            sf.expr(f"sqrt({variance}) as s"),
        )
    )
    rows = sums.orderBy(sf.desc("s"), "product").limit(most).collect()
    return tuple(
        UncertainProduct(str(r["product"]), r["category"], r["n"], r["trained"], r["expected"], r["s"]) for r in rows
    )
