r"""How many units of each product to order for each place, and what safety stock that takes.

The rows to score are what is expected of the period: a cell of :math:`n` purchases with units :math:`u_i` is taken as
the mean of a compound Poisson variable, with

.. math:: \mu = \sum_i u_i, \quad \sigma^2 = \sum_i u_i^2, \quad \kappa = \sum_i u_i^3 / \sigma^2.

The order is the smallest number of units that is enough with the probability of the service level, by the expansion of
Cornish and Fisher,

.. math:: q = \lceil \mu + z \sigma + \kappa (z^2 - 1) / 6 - 1/2 \rceil,

and what it exceeds :math:`\mu` by is the safety stock. Where margin and cost are given, the service level is that of
the newsvendor: a unit too few loses its margin, a unit too many a share of its cost.

The same in money is the reserve :math:`z s`, with :math:`s` the standard deviation of the cell's predicted revenue.
With the product's mean amount as the forecast, :math:`s` would be that of its errors on the same holdout.

References
----------
E. A. Cornish, R. A. Fisher, "Moments and cumulants in the specification of distributions", Revue de l'Institut
International de Statistique 5(4), 1938. https://doi.org/10.2307/1400905
K. J. Arrow, T. Harris, J. Marschak, "Optimal inventory policy", Econometrica 19(3), 1951.
https://doi.org/10.2307/1906813
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from purchasecast.formatting import compact, percent
from purchasecast.insights.demand.measure import cells_of
from purchasecast.insights.significance import Evidence
from purchasecast.results import Finding, Support
from purchasecast.spark.columns import number_literal

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.insights.demand.measure import Noise
    from purchasecast.insights.phrases import Phrases
    from purchasecast.insights.significance import Floats

__all__ = ["Orders", "order_quantity", "orders_frame", "sum_orders"]


def order_quantity(mean: str, variance: str, third: str, service: float) -> str:
    """Return, as SQL, the units that are enough with the probability `service`."""
    z = NormalDist().inv_cdf(service)
    skewed = f"if({variance} > 0, {third} / {variance}, 0D) * {number_literal((z * z - 1) / 6)}"
    return f"greatest(ceil({mean} + {number_literal(z)} * sqrt({variance}) + {skewed} - 0.5D), 0)"


def orders_frame(demand: DataFrame, pair: int, noise: Noise, service: float, level: float) -> DataFrame:
    """Return one row per product and place: purchases, units and revenue with intervals, the order, the safety stock.

    Parameters
    ----------
    demand : DataFrame
        As `demand_frame` returns it.
    pair : int
        Place of the pair of product and place.
    noise : Noise
        Variances of the errors of predictions.
    service : float
        Probability with which the order is to be enough.
    level : float
        Level of the intervals.

    Returns
    -------
    DataFrame
        Columns ``a``, ``b``, ``purchases``, ``units``, ``units_low``, ``units_high``, ``expected_revenue``, ``low``,
        ``high``, ``order``, ``safety_stock``, ``reserve`` and ``reserve_by_product_mean`` (null where the model was not
        evaluated).
    """
    z = number_literal(NormalDist().inv_cdf((1 + level) / 2))
    reserve = number_literal(max(NormalDist().inv_cdf(service), 0.0))
    shared = f"shared + shared_by_product + n * n * {number_literal(noise.bias)}"
    spread = cells_of(demand, pair).selectExpr(
        "*", f"sqrt(own + {shared}) as s", f"sqrt(own_by_mean + {shared}) as s_by_mean"
    )
    ends = [order_quantity("units", "squares", "cubes", share) for share in ((1 - level) / 2, (1 + level) / 2)]
    order = order_quantity("units", "squares", "cubes", service)
    return spread.selectExpr(
        "a",
        "b",
        "n as purchases",
        "units",
        f"cast({ends[0]} as double) as units_low",
        f"cast({ends[1]} as double) as units_high",
        "expected as expected_revenue",
        f"greatest(expected - {z} * s, 0D) as low",
        f"expected + {z} * s as high",
        f"cast({order} as double) as order",
        f"{order} - units as safety_stock",
        f"{reserve} * s as reserve",
        f"{reserve} * s_by_mean as reserve_by_product_mean",
    )


@dataclass(frozen=True, slots=True)
class Orders(Evidence):
    """The orders of all products and places, summed up."""

    place: str  # column of the places
    cells: int
    purchases: int
    units: float
    revenue: float
    order: float
    safety: float
    reserve: float
    reserve_by_mean: float | None  # None where the model was not evaluated
    service: float
    file: str

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:  # noqa: ARG002  not tested
        """Return one finding: how much to order, and what the better forecast saves."""
        saved = None if self.reserve_by_mean is None else self.reserve_by_mean - self.reserve
        place = phrases.label(self.place)
        claim = (
            f"{compact(self.order)} units are enough for each product and {place} with a probability of "
            f"{percent(self.service)}: {compact(self.units)} expected, and {compact(self.safety)} as safety stock"
        )
        if saved is not None and self.reserve_by_mean:
            claim += (
                f". In money, the reserve is {phrases.money(self.reserve)}; with the product means as the forecast it "
                f"would be {phrases.money(self.reserve_by_mean)}, {percent(saved / self.reserve_by_mean)} of which the "
                "model saves"
            )
        return [
            Finding(
                id="inventory:orders",
                kind="inventory",
                claim=f"{claim}.",
                value=self.order,
                unit="units",
                interval=None,
                support=Support(self.purchases),
                method=(
                    "Purchases of a product in a place vary as those of a Poisson distribution around the rows to "
                    "score. The reserve is the service level's quantile of the errors of the predicted revenue, those "
                    "of the model and of the product means on the same holdout."
                ),
                action=f"Order by {self.file}: the column order, by product and {place}.",
                money=max(saved, 0.0) if saved is not None else None,
                caveat=(
                    "The rows to score stand for a period as long as theirs. Lead times, pack sizes and what is still "
                    "on the shelf are not in the data."
                ),
                stake="less in reserve than with the product means as the forecast",
                who="Buying",
                when="with the next order",
                checked="The errors of both forecasts were measured on the holdout." if saved is not None else "",
                wrong_if=f"More than {percent(1 - self.service)} of the products run out before the period ends.",
            )
        ]


def sum_orders(orders: DataFrame, place: str, service: float, file: str) -> Orders:
    """Sum up the orders of all cells."""
    names = ("purchases", "units", "expected_revenue", "order", "safety_stock", "reserve", "reserve_by_product_mean")
    row = orders.selectExpr("count(1) as cells", *[f"sum(`{name}`) as `{name}`" for name in names]).collect()[0]
    purchases, units, revenue, order, safety, reserve, by_mean = (row[name] for name in names)
    return Orders(
        place, row["cells"], int(purchases), float(units), revenue, order, safety, reserve, by_mean, service, file
    )
