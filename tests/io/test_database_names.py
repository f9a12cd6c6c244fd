"""Whether two addresses name the same table; in doubt they do, because one of them would be lost."""

from __future__ import annotations

import pytest

from purchasecast.errors import SourceError
from purchasecast.io import check_other_table
from purchasecast.io.database import jdbc_options, name_same_table

SHOP = "jdbc:postgresql://localhost/shop"


@pytest.mark.parametrize(
    ("source", "table", "out", "out_table", "same"),
    [
        (SHOP, "t", SHOP, "t", True),
        (SHOP, "t", SHOP, "T", True),
        (SHOP, "public.t", SHOP, "t", True),
        (SHOP, '"t"', SHOP, "public.t", True),
        (SHOP, "t", "jdbc:postgresql://127.0.0.1:5432/shop?ssl=true", "t", True),
        ("jdbc:postgresql:shop", "t", SHOP, "t", True),
        ("jdbc:postgresql://ann:pw@localhost/shop", "t", SHOP, "t", True),
        (SHOP, "(select * from sales.t where year = 2026) as recent", SHOP, "t", True),
        (SHOP, "(select * from sales where year = 2026) as recent", SHOP, "t", False),
        (SHOP, "a.t", SHOP, "b.t", False),
        (SHOP, "t", SHOP, "predictions", False),
        (SHOP, "t", "jdbc:postgresql://localhost/other", "t", False),
        (SHOP, "t", "jdbc:postgresql://localhost:5433/shop", "t", False),
        (SHOP, "t", "jdbc:mysql://localhost/shop", "t", False),
        ("jdbc:sqlserver://host:1433;databaseName=a", "t", "jdbc:sqlserver://host:1433;databaseName=a", "dbo.t", True),
    ],
)
def test_the_same_table_is_found(source: str, table: str, out: str, out_table: str, *, same: bool) -> None:
    read, written = jdbc_options(source, table, {}), jdbc_options(out, out_table, {})
    assert name_same_table(source, read, out, written) is same


def test_predictions_do_not_replace_the_table_that_they_are_made_from() -> None:
    with pytest.raises(SourceError, match="out_table: expected another table than the one to score, found t"):
        check_other_table(SHOP, {"table": "t", "options": {}}, SHOP, "t", {})
    with pytest.raises(SourceError, match="expected another table"):
        check_other_table(SHOP, {"options": {"query": "select * from public.t"}}, SHOP, "t", None)
    check_other_table("rows.csv", {}, SHOP, "t", None)
    check_other_table(SHOP, {"table": "t"}, "out.csv", None, None)


def test_the_driver_is_told_by_the_address() -> None:
    assert jdbc_options(SHOP, "t", {})["driver"] == "org.postgresql.Driver"
    assert jdbc_options(SHOP, "t", {"Driver": "my.Driver"}) == {"url": SHOP, "dbtable": "t", "Driver": "my.Driver"}
    assert "driver" not in jdbc_options("jdbc:derby:shop", "t", {})
