r"""How revenue is concentrated: Lorenz curves and Gini coefficients of customers, products and categories.

With :math:`x_d` the revenue at rank :math:`d` from the top, of :math:`n`,

.. math:: G = \frac{n + 1}{n} - \frac{2 \sum_d d\, x_d}{n \sum_d x_d} .

Ranks are computed on the executors; the driver receives twenty points of each curve.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as sf

from purchasecast.formatting import percent
from purchasecast.insights.significance import Evidence
from purchasecast.results import Chart, Finding, Support

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

    from purchasecast.insights.phrases import Phrases
    from purchasecast.insights.sales import Sales
    from purchasecast.insights.significance import Floats

__all__ = ["Concentration", "Lorenz", "measure_concentration"]

_BINS = 20
_MIN_COUNT = 5  # fewer have no top fifth
_PLURALS = {"customer": "customers", "product": "products", "category": "categories"}


@dataclass(frozen=True, slots=True)
class Lorenz:
    """How unequally revenue is distributed over customers, products or categories."""

    entity: str  # ``customer``, ``product`` or ``category``
    count: int  # number of entities
    rows: int  # transactions
    total: float  # revenue of all
    gini: float  # 0 where all are equal, near 1 where one has everything
    points: tuple[tuple[float, float], ...]  # share of the entities, largest first, and their share of the revenue
    top_count: int  # size of the top fifth, rounded down, at least 1
    top_share: float  # share of the revenue in the top fifth


@dataclass(frozen=True, slots=True)
class Concentration(Evidence):
    """The curves of a shop, and its number of customers."""

    curves: tuple[Lorenz, ...]
    customers: int | None

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:  # noqa: ARG002  not tested
        """Return one finding per curve."""
        usable = [curve for curve in self.curves if curve.count >= _MIN_COUNT and curve.total > 0]
        return [self._finding(curve, phrases) for curve in usable]

    def _finding(self, curve: Lorenz, phrases: Phrases) -> Finding:
        many, share = _PLURALS[curve.entity], percent(curve.top_share)
        across, up = f"share of {many}, largest first", "share of revenue"
        return Finding(
            id=f"concentration:{curve.entity}",
            kind="concentration",
            claim=(
                f"The top fifth of {many} ({curve.top_count:,} of {curve.count:,}) brings {share} of the revenue of "
                f"{phrases.money(curve.total)}; the Gini coefficient is {curve.gini:.2f}."
            ),
            value=curve.top_share,
            unit="share",
            interval=None,
            support=Support(curve.rows, self.customers),
            method=(
                f"All {many}, sorted by revenue. Every row is counted, so there is no interval. The Gini coefficient "
                "is 0 where all bring the same and near 1 where one brings everything."
            ),
            action="",
            money=None,
            caveat="For these rows and their period. The data have no costs, so revenue is not profit.",
            chart=Chart(
                "line",
                (across, up),
                ((0.0, 0.0), *curve.points),
                f"A fifth of the {many} brings {share} of the revenue",
                across,
                up,
            ),
        )


def measure_concentration(tables: Mapping[str, DataFrame], customers: int | None) -> Concentration:
    """Rank the entities (``customer``, ``product``, ``category``) of each table of ``rows`` and ``total`` by revenue.

    Notes
    -----
    One job for all tables. The ranking of an entity is one sort in one task, which takes 20 bytes per customer.
    """
    tagged = [
        table.selectExpr(f"'{entity}' as entity", "cast(rows as double) as rows", "cast(total as double) as total")
        for entity, table in tables.items()
    ]
    ranked = functools.reduce(lambda a, b: a.unionByName(b), tagged).selectExpr(
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
    for row in binned.collect():  # at most 21 rows per entity
        values = row.asDict()
        by_entity.setdefault(values.pop("entity"), []).append(values)
    curves = [lorenz(entity, by_entity[entity]) for entity in tables if entity in by_entity]
    return Concentration(tuple(curves), customers)


def lorenz(entity: str, bins: list[dict[str, float]]) -> Lorenz:
    """Return the curve of one kind of entities from its bins."""
    count = int(bins[0]["n"])
    total = float(sum(b["total"] for b in bins))
    # The bin that holds the end of the top fifth comes in two parts.
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
