r"""Where the revenue is: Lorenz curves and Gini coefficients of customers, products and categories.

With :math:`x_d` the revenue of the one at rank :math:`d` from the top, of :math:`n`,

.. math:: G = \frac{n + 1}{n} - \frac{2 \sum_d d\, x_d}{n \sum_d x_d} .

Ranks are counted on the executors; the driver receives twenty points a curve.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as sf

from purchasecast.formatting import percent
from purchasecast.results import Chart, Finding, Support

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

    from purchasecast.insights.phrases import Phrases
    from purchasecast.insights.sales import Sales
    from purchasecast.insights.significance import Floats, Trials

__all__ = ["Concentration", "Lorenz", "measure_concentration"]

_BINS = 20
_LEAST_COUNT = 5  # of so many one is a fifth
_PLURALS = {"customer": "customers", "product": "products", "category": "categories"}
_ACTIONS = {
    "customer": "Keep the customers of the top fifth by name: service, early access, a warning when one buys less.",
    "product": "Never run out of the top fifth of products; review whether the long tail earns its shelf.",
    "category": "Plan space and budget by the leading categories first, and watch them week by week.",
}


@dataclass(frozen=True, slots=True)
class Lorenz:
    """How unequally revenue is spread over customers, products or categories.

    Attributes
    ----------
    entity : str
        ``customer``, ``product`` or ``category``.
    count : int
        How many there are.
    rows : int
        Transactions.
    total : float
        Revenue of all.
    gini : float
        0 where all are equal, near 1 where one has all.
    points : tuple of (float, float)
        Share of the entities, largest first, and the share of revenue that they hold together.
    top_count : int
        Size of the top fifth, rounded down, at least 1.
    top_share : float
        What the top fifth holds.
    """

    entity: str
    count: int
    rows: int
    total: float
    gini: float
    points: tuple[tuple[float, float], ...]
    top_count: int
    top_share: float


@dataclass(frozen=True, slots=True)
class Concentration:
    """The curves of a shop; facts, so nothing is tested."""

    curves: tuple[Lorenz, ...]
    customers: int | None

    @property
    def trials(self) -> tuple[Trials, ...]:
        """None: every row is counted."""
        return ()

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:  # noqa: ARG002  nothing was tested
        """Return one finding a curve."""
        return [
            self._finding(curve, phrases) for curve in self.curves if curve.count >= _LEAST_COUNT and curve.total > 0
        ]

    def _finding(self, curve: Lorenz, phrases: Phrases) -> Finding:
        many = _PLURALS[curve.entity]
        claim = (
            f"The top fifth of {many} ({curve.top_count:,} of {curve.count:,}) brings {percent(curve.top_share)} "
            f"of the revenue of {phrases.money(curve.total)}; Gini coefficient {curve.gini:.2f}."
        )
        rows = tuple((share, held) for share, held in curve.points)
        return Finding(
            id=f"concentration:{curve.entity}",
            kind="concentration",
            claim=claim,
            value=curve.top_share,
            unit="share",
            interval=None,
            support=Support(curve.rows, self.customers),
            method=(
                f"All {many} sorted by revenue; a count of every row, so without an interval. The Gini coefficient is "
                "0 where all bring the same and near 1 where one brings all."
            ),
            action=_ACTIONS[curve.entity],
            money=max(curve.top_share - curve.top_count / curve.count, 0.0) * curve.total,
            caveat="Of these rows and their period; the data hold no costs, so revenue is not profit.",
            chart=Chart(
                "line",
                (f"share of {many}, largest first", "share of revenue"),
                ((0.0, 0.0), *rows),
                f"A fifth of the {many} brings {percent(curve.top_share)} of the revenue",
                f"share of {many}, largest first",
                "share of revenue",
            ),
            stake="what the top fifth brings beyond an equal share",
        )


def measure_concentration(tables: Mapping[str, DataFrame], customers: int | None) -> Concentration:
    """Rank the entities of each table by revenue, and add up.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By entity (``customer``, ``product``, ``category``): ``rows`` and ``total``, one row each.
    customers : int, optional
        How many customers stand behind the rows.

    Returns
    -------
    Concentration
        One curve a table that has rows.

    Notes
    -----
    One job for all tables. Every entity's ranking is one sort, in one task: 20 bytes a customer.
    """
    long = functools.reduce(
        lambda a, b: a.unionByName(b),
        [
            table.selectExpr(f"'{entity}' as entity", "cast(rows as double) as rows", "cast(total as double) as total")
            for entity, table in tables.items()
        ],
    )
    ranked = long.selectExpr(
        "*",
        "row_number() over (partition by entity order by total desc) as place",
        "count(1) over (partition by entity) as n",
    )
    binned = ranked.groupBy(
        "entity",
        "n",
        sf.expr(f"int({_BINS} * (place - 1) / n)").alias("bin"),
        sf.expr("5 * place <= n or place = 1").alias("top"),
    ).agg(
        sf.expr("count(1) as members"),
        sf.expr("sum(rows) as rows"),
        sf.expr("sum(total) as total"),
        sf.expr("sum(place * total) as moment"),
    )
    by_entity: dict[str, list[dict[str, float]]] = {}
    for row in binned.collect():  # at most 21 rows an entity
        values = row.asDict()
        by_entity.setdefault(values.pop("entity"), []).append(values)
    curves = [lorenz(entity, by_entity[entity]) for entity in tables if entity in by_entity]
    return Concentration(tuple(curves), customers)


def lorenz(entity: str, bins: list[dict[str, float]]) -> Lorenz:
    """Return the curve of one entity from its bins.

    Parameters
    ----------
    entity : str
        Its name.
    bins : list of dict
        Each with ``n``, ``bin``, ``top``, ``members``, ``rows``, ``total`` and ``moment`` (sum of rank times revenue).

    Returns
    -------
    Lorenz
        The curve.
    """
    count = int(bins[0]["n"])
    total = float(sum(b["total"] for b in bins))
    points, members, held = [], 0.0, 0.0
    for number in sorted({b["bin"] for b in bins}):
        members += sum(b["members"] for b in bins if b["bin"] == number)
        held += sum(b["total"] for b in bins if b["bin"] == number)
        points.append((members / count, held / total if total else 0.0))
    moment = sum(b["moment"] for b in bins)
    top = [b for b in bins if b["top"]]
    return Lorenz(
        entity=entity,
        count=count,
        rows=int(sum(b["rows"] for b in bins)),
        total=total,
        gini=(count + 1) / count - 2 * moment / (count * total) if total else 0.0,
        points=tuple(points),
        top_count=int(sum(b["members"] for b in top)),
        top_share=sum(b["total"] for b in top) / total if total else 0.0,
    )


def revenue_tables(sales: Sales) -> dict[str, DataFrame]:
    """Return the revenue by customer, by product and by category, where the schema has them."""
    tables = {"customer": sales.customers, "product": sales.products}
    if sales.category:
        by_category = sales.frame.groupBy("category")
        tables["category"] = by_category.agg(sf.expr("count(1) as rows"), sf.expr("sum(spend) as total"))
    return {entity: table for entity, table in tables.items() if table is not None}
