"""Drafts on Spark: the passes against plain Python, real tables, CSV files of other habits, and three commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from tests.drafting.drafts import drafted, shop_of
from tests.drafting.oracle import count_column

import purchasecast as pc
from purchasecast.drafting.passes import Named, count_values, take_sample
from purchasecast.drafting.sampling import OwnerShare, SamplePlan, plan_sample
from purchasecast.errors import DataError
from purchasecast.io import read_table
from purchasecast.progress import Steps
from purchasecast.schema import load_schema
from purchasecast.validation import validate

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from purchasecast.drafting import SchemaDraft
    from purchasecast.schema import Schema

pytestmark = pytest.mark.spark

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def share_that_agrees(draft: SchemaDraft, shipped: Schema) -> float:
    """Return the share of columns drafted as the shipped schema has them: role, kind and owner, or ignored."""
    agreeing = 0
    for column in draft.columns:
        role = None if column.role == "quantity" else column.role
        found = (role, column.kind, column.of) if column.used else None
        if shipped.ignores(column.name):
            expected = None
        else:
            described = shipped.column(column.name)
            expected = (None if described.role == "quantity" else described.role, described.kind, described.of)
        agreeing += found == expected
    return agreeing / len(draft.columns)


def test_the_counting_pass_counts_as_plain_python_does(spark: SparkSession) -> None:
    values = {
        "amounts": ["1", "-2.5", "0", " 3.0 ", "", None, "1e3", "x", "0012", "1.234,50", "12,5", "$1,234"],
        "words": ["NULL", "a b", "a b", "c", None, "?", "NA", "d", "e", "f", "g", "h"],
        "nothing": [None] * 12,
    }
    frame = spark.createDataFrame(
        list(zip(*values.values(), strict=True)), "c0 string, c1 string, c2 string"
    ).repartition(3)
    named = [Named(name, f"c{place}", "text") for place, name in enumerate(values)]
    rows, counted = count_values(frame, named)
    assert rows == 12
    assert counted == [count_column(name, column) for name, column in values.items()]


def test_typed_columns_are_counted_as_their_text(spark: SparkSession) -> None:
    frame = spark.sql(
        "select * from values (1.0D, true, date '2024-01-31', 12L, array(1)), (double('nan'), false, null, 12L, null) "
        "as t(c0, c1, c2, c3, c4)"
    )
    kinds = ("number", "boolean", "date", "integer", "nested")
    _, (number, flag, day, code, nested) = count_values(frame, [Named(k, f"c{i}", k) for i, k in enumerate(kinds)])
    assert (number.levels, number.empty, number.integers) == ({"1": 1}, 1, 1)
    assert (flag.levels, day.levels, code.levels) == ({"true": 1, "false": 1}, {"2024-01-31": 1}, {"12": 2})
    assert (nested.storage, nested.rows) == ("nested", 2)


def test_the_sample_has_whole_levels_and_does_not_depend_on_partitions(spark: SparkSession) -> None:
    random = np.random.default_rng(1)
    rows = pd.DataFrame(
        {"c0": random.integers(0, 300, 6_000).astype(str), "c1": random.integers(0, 9, 6_000).astype(str)}
    )
    rows.loc[:1_999, "c0"] = "walk-in"
    plan = SamplePlan(0.05, (OwnerShare("customer", 0.1, ("walk-in",)),))
    named = [Named("customer", "c0", "text"), Named("shop", "c1", "text")]
    one, other = (take_sample(spark.createDataFrame(rows).repartition(n), named, plan) for n in (1, 5))
    assert one.labels == other.labels
    assert all(np.array_equal(one.codes[name], other.codes[name]) for name in ("customer", "shop"))
    whole = one.codes["customer"][one.whole["customer"]]
    taken = [one.labels["customer"][code] for code in np.unique(whole)]
    assert 10 < len(taken) < 60
    assert "walk-in" not in taken
    sizes = rows["c0"].value_counts()
    assert len(whole) == sizes[taken].sum()
    assert 0.02 < one.random.sum() / 6_000 < 0.09


def test_a_small_table_is_looked_at_as_a_whole() -> None:
    counts = count_column("customer_id", [str(i % 50) for i in range(1_000)])
    assert plan_sample([counts], 1_000) == SamplePlan(1.0, (OwnerShare("customer_id", 1.0),))


@pytest.fixture(scope="module")
def black_friday_draft(spark: SparkSession, black_friday: Path) -> SchemaDraft:
    return pc.draft_schema(black_friday / "train.csv", session=spark)


@pytest.fixture(scope="module")
def superstore_draft(spark: SparkSession, superstore: Path) -> SchemaDraft:
    return pc.draft_schema(superstore, session=spark)


def test_the_draft_of_black_friday_agrees_with_the_shipped_schema(black_friday_draft: SchemaDraft) -> None:
    shipped = load_schema("black_friday")
    assert share_that_agrees(black_friday_draft, shipped) >= 0.95
    drafted_schema = black_friday_draft.schema
    assert drafted_schema.key == shipped.key
    assert [column.order for column in drafted_schema.ordinal] == [column.order for column in shipped.ordinal]
    assert [column.null for column in drafted_schema.columns] == [column.null for column in shipped.columns]
    assert black_friday_draft.validation is not None
    assert black_friday_draft.validation.rejected == 0
    assert black_friday_draft.passes == 3


def test_the_draft_of_superstore_agrees_with_the_example(superstore_draft: SchemaDraft) -> None:
    assert share_that_agrees(superstore_draft, load_schema(EXAMPLES / "superstore.toml")) >= 0.95
    assert superstore_draft.schema.quantity == "Quantity"
    assert superstore_draft.schema.money == "USD"
    assert superstore_draft.validation is not None
    assert superstore_draft.validation.rejected == 6  # lines whose fields have moved
    assert [question.column for question in superstore_draft.questions] == ["Discount"]  # may be known too late


def write(folder: Path, name: str, *, sep: str = ",", encoding: str = "utf-8") -> Path:
    path = folder / f"{name}.csv"
    shop_of(name).table.to_csv(path, sep=sep, index=False, encoding=encoding)
    return path


def test_a_german_file_is_drafted_and_read_by_its_draft(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "bons.csv"
    table = shop_of("german").table.rename(columns={"Warengruppe": "Größe"})
    table.to_csv(path, sep=";", index=False, encoding="cp1252")
    steps = Steps()
    draft = pc.draft_schema(path, steps=steps, session=spark)
    assert draft.schema.csv == {"encoding": "iso-8859-1", "sep": ";", "decimal": ","}
    assert draft.column("Größe").of == "product"
    assert list(steps.seconds) == ["count values", "sample", "guess", "validate"]
    schema_file = tmp_path / "bons.toml"
    schema_file.write_text(draft.to_toml(), encoding="utf-8")
    schema = load_schema(schema_file)
    with validate(read_table(spark, path, schema), schema) as checked:
        total = checked.accepted.agg({"Umsatz": "sum"}).collect()[0][0]
        assert checked.report.rejected == 0
    assert total == pytest.approx(table["Umsatz"].str.replace(",", ".").astype(float).sum())


def test_parquet_gives_the_same_draft_as_text(spark: SparkSession, tmp_path: Path) -> None:
    shop_of("amount_is_pieces").table.astype({"ASSET": float, "SALES_PRICE": float}).to_parquet(tmp_path / "g.parquet")
    found, expected = pc.draft_schema(tmp_path / "g.parquet", session=spark), drafted("amount_is_pieces")
    assert [(c.name, c.role, c.kind, c.of, c.used) for c in found.columns] == [
        (c.name, c.role, c.kind, c.of, c.used) for c in expected.columns
    ]
    assert found.validation is not None
    assert found.validation.rejected == 0


def test_names_that_no_schema_can_have_are_left_out(spark: SparkSession, tmp_path: Path) -> None:
    table = shop_of("french").table.assign(**{"_pc_x": 1, "reasons": 2, " ": 3, "Ville": 4})
    table.to_csv(tmp_path / "f.csv", index=False)
    draft = pc.draft_schema(tmp_path / "f.csv", session=spark)
    assert {"_pc_x", "reasons", "", "ville", "Ville"} <= set(draft.schema.ignore)
    assert draft.validation is not None
    assert draft.validation.rejected == 0


def test_a_word_for_nothing_is_told_to_the_reader(spark: SparkSession, tmp_path: Path) -> None:
    table = shop_of("french").table.astype(str)
    table["quantite"] = np.where(np.arange(len(table)) % 20 == 0, "NULL", table["quantite"])
    table.to_csv(tmp_path / "f.csv", index=False)
    draft = pc.draft_schema(tmp_path / "f.csv", session=spark)
    assert draft.schema.csv == {"nullValue": "NULL"}
    assert draft.schema.column("quantite").null == "unknown"
    assert draft.validation is not None
    assert draft.validation.rejected == 0


def test_what_rejects_too_many_rows_is_loosened(spark: SparkSession, tmp_path: Path) -> None:
    """The sample sees no row without a time of day, but the end of the file has them."""
    table = shop_of("french").table
    table = pd.concat([table] * 16, ignore_index=True)
    table["livraison"] = "2023-01-05 10:00"
    table["date_achat"] = table["date_achat"].str.replace("-", "/")
    table.loc[len(table) - 900 :, "date_achat"] = "soon"
    table.to_csv(tmp_path / "f.csv", index=False)
    draft = pc.draft_schema(tmp_path / "f.csv", session=spark)
    assert draft.validation is not None
    assert draft.validation.reject_rate <= 0.005


def test_a_table_without_rows_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("a,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="expected a table with rows, found none"):
        pc.draft_schema(tmp_path / "e.csv", session=spark)


@pytest.mark.slow  # a whole training run on real rows
def test_three_commands_lead_from_an_unknown_file_to_a_report(
    spark: SparkSession, superstore: Path, tmp_path: Path
) -> None:
    from click.testing import CliRunner

    from purchasecast.cli import cli

    runner = CliRunner()
    written = runner.invoke(cli, ["schema", str(superstore), "--quiet"], catch_exceptions=False)
    (tmp_path / "shop.toml").write_text(written.stdout, encoding="utf-8")
    options = ["--schema", str(tmp_path / "shop.toml"), "--out", str(tmp_path / "model"), "--json", "--quiet"]
    trained = runner.invoke(cli, ["train", str(superstore), *options], catch_exceptions=False)
    document = json.loads(trained.stdout)
    assert (trained.exit_code, document["rejected"]) == (0, 6)
    evaluation = document["evaluation"]
    assert evaluation["rmse"] < evaluation["baseline_rmse"]["mean"]
    reported = runner.invoke(cli, ["report", str(tmp_path / "model"), "--out", str(tmp_path / "report.html")])
    assert reported.exit_code == 0
    assert "superstore" in (tmp_path / "report.html").read_text(encoding="utf-8").lower()
