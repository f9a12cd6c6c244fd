"""Take offers of any kind, and of a Spark frame only those lines that a plan may choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purchasecast.errors import ColumnMismatchError, did_you_mean
from purchasecast.io import take_small_table
from purchasecast.planning.lines import AMOUNT, GOODS, MARGIN, PROBABILITY, UNITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from purchasecast.config import PlanSettings

__all__ = ["take_offers"]

_PLAIN = ("customer", "product")


def take_offers(
    data: Any, settings: PlanSettings, customer: str, product: str, *, only_customers_are_limited: bool
) -> pa.Table:
    """Return offers of any kind as a table.

    Parameters
    ----------
    data : path, Spark DataFrame, pandas, Polars or PyArrow table, or list of dict
        One row per customer and product. Lists of `purchasecast.insights` call their columns ``customer`` and
        ``product`` whatever the schema says; they are taken, too.
    settings : PlanSettings
        Cost and margin.
    customer, product : str
        Names of the columns of both.
    only_customers_are_limited : bool
        Whether there are neither limits of products nor lines that must or must not be. Then the best lines of each
        customer are all that a plan can choose.

    Returns
    -------
    pyarrow.Table
        Of a Spark frame only the columns that a plan reads, and lines that pay.
    """
    if not type(data).__module__.startswith("pyspark."):
        table = take_small_table(data, customer, product, *_PLAIN, *settings.segments)
        renamed = _renamed(table.column_names, customer, product)
        return table.rename_columns([renamed.get(name, name) for name in table.column_names])
    data = data.withColumnsRenamed(_renamed(data.columns, customer, product))
    optional = [name for name in (MARGIN, GOODS, UNITS) if name in data.columns]
    names = [customer, product, PROBABILITY, AMOUNT, *optional, *settings.segments]
    for name in names:
        if name not in data.columns:
            hint = did_you_mean(name, data.columns) or "; name them so, or say which they are."
            raise ColumnMismatchError(f"offers: expected a column {name}, found {', '.join(data.columns)}{hint}")
    read = data.select(*[f"`{name}`" for name in dict.fromkeys(names)])
    if not only_customers_are_limited:
        return read.toArrow()
    left = f"{AMOUNT} - {GOODS}" if GOODS in optional else f"{AMOUNT} * {_margin(settings, optional)}"
    # A line with a wrong value stays, so that the check of the lines finds it.
    best = f"row_number() over (partition by `{customer}` order by {PROBABILITY} * ({left}) desc, `{product}`)"
    ranked = read.selectExpr("*", f"{best} as `_rank`", f"{PROBABILITY} * ({left}) as `_profit`")
    kept = ranked.where(
        f"(`_rank` <= {settings.max_per_customer} and `_profit` > {settings.cost}) or `_profit` is null "
        f"or {PROBABILITY} not between 0 and 1"
    )
    return kept.drop("_rank", "_profit").toArrow()


def _renamed(columns: Sequence[str], customer: str, product: str) -> dict[str, str]:
    """Return what the columns of customer and product are to be called, where they have their plain names."""
    wanted = zip(_PLAIN, (customer, product), strict=True)
    return {plain: name for plain, name in wanted if plain in columns and name not in columns}


def _margin(settings: PlanSettings, columns: list[str]) -> str:
    return MARGIN if MARGIN in columns else repr(float(settings.margin))
