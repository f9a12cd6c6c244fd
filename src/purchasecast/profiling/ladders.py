"""Say where amounts stand on steps of a unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purchasecast.formatting import money as amount
from purchasecast.formatting import percent
from purchasecast.results import ProfileWarning
from purchasecast.stages import PriceLadder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.schema import Schema

__all__ = ["ladder_warnings"]

_MIN_SHARE = 0.5  # of the rows


def ladder_warnings(rows: DataFrame, schema: Schema) -> list[ProfileWarning]:
    """Return a warning where most amounts stand on steps, by main category where there is one.

    Parameters
    ----------
    rows : DataFrame
        Accepted rows.
    schema : Schema
        Their description.

    Returns
    -------
    list of ProfileWarning
        At most one.

    Notes
    -----
    One pass. The driver receives one row a category.
    """
    category = schema.main_category
    model = PriceLadder(levelCol=category or "", labelCol=schema.target).fit(rows)
    share = model.share(rows.count())
    if share < _MIN_SHARE:
        return []
    ladders = model.ladders().collect()
    units = sorted(ladder["unit"] for ladder in ladders)
    label = schema.column(schema.target).label
    of = f" of {schema.column(category).label}" if category else ""
    levels = f"{len(units)} level{'s' if len(units) > 1 else ''}{of}" if category else "all rows"
    low, high = amount(units[0], schema.money), amount(units[-1], schema.money)
    unit, steps = low if low == high else f"{low} to {high}", max(ladder["steps"] for ladder in ladders)
    sentence = (
        f"{label} stands on steps: {percent(share)} of the rows lie just above a multiple of a unit, in {levels}, with "
        f"a unit of {unit} and at most {steps} steps. Amounts between the steps do not occur; expect errors of whole "
        "steps."
    )
    return [ProfileWarning("price ladder", schema.target, sentence)]
