"""Schemas: what they accept, what they refuse and how they say so."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from purchasecast.errors import SchemaError
from purchasecast.schema import Column, Schema, load_schema, shipped_schemas

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

GOOD = """\
name = "shop"
key = ["Customer", "Art No"]
ignore = ["", "note_*"]

[columns.Customer]
kind = "nominal"
role = "customer"

[columns."Art No"]
kind = "nominal"
type = "integer"
role = "product"

[columns.Age]
kind = "ordinal"
order = ["young", "old"]
of = "customer"

[columns.Day]
kind = "date"
role = "time"
minimum = 2020-01-01
calendar = ["year", "month"]

[columns.Spend]
kind = "numeric"
role = "target"
minimum = 0
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "shop.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_black_friday_says_what_the_table_is() -> None:
    schema = load_schema("black_friday")
    assert shipped_schemas() == ("black_friday", "complete_journey")
    assert (schema.customer, schema.product, schema.target) == ("User_ID", "Product_ID", "Purchase")
    assert (schema.time, schema.money) == (None, "USD")
    assert schema.key == ("User_ID", "Product_ID")
    assert [column.name for column in schema.ordinal] == ["Age", "Stay_In_Current_City_Years"]
    assert [column.name for column in schema.nominal] == [
        "Gender", "Occupation", "City_Category", "Marital_Status",
        "Product_Category_1", "Product_Category_2", "Product_Category_3",
    ]  # fmt: skip
    assert schema.numeric == schema.dates == ()
    assert schema.column("Occupation").domain == tuple(str(code) for code in range(21))
    assert schema.column("Product_Category_1").levels == ()
    assert schema.column("Product_Category_2").null == "level"
    assert schema.required_columns(with_target=False) == schema.names[:-1]
    assert schema.required_columns(with_target=True) == schema.names


def test_the_example_for_another_shop_loads() -> None:
    schema = load_schema(EXAMPLES / "superstore.toml")
    assert schema.time == "Order Date"
    assert schema.column("Order Date").format == "M/d/yyyy"
    assert [column.name for column in schema.calendars] == ["Order Date"]
    assert "Row ID" not in {column.name for column in schema.features}
    assert schema.ignores("")
    assert schema.ignores("Profit")
    assert not schema.ignores("Sales")


@pytest.mark.parametrize("name", ["black_friday", str(EXAMPLES / "superstore.toml")])
def test_round_trip_through_sorted_json(name: str) -> None:
    schema = load_schema(name)
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict(), sort_keys=True))) == schema


def test_round_trip_keeps_dates_and_bounds(tmp_path: Path) -> None:
    schema = load_schema(write(tmp_path, GOOD))
    assert schema.column("Day").minimum == date(2020, 1, 1)
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    assert schema.title == "shop"


def test_types_follow_from_kinds(tmp_path: Path) -> None:
    schema = load_schema(write(tmp_path, GOOD))
    assert [column.type for column in schema.columns] == ["string", "integer", "string", "date", "number"]


def test_reasons_say_what_a_column_expects() -> None:
    schema = load_schema("black_friday")
    assert schema.explain("Gender: not in domain") == "Gender: not in domain, expected one of F, M"
    assert schema.explain("Occupation: not in domain").endswith(", 11, ...")
    assert schema.explain("Purchase: negative") == "Purchase: negative, expected a number of at least 0"
    assert schema.explain("Gender: null") == "Gender: null"
    assert schema.explain("duplicate key") == "duplicate key"


def test_ignore_takes_patterns(tmp_path: Path) -> None:
    schema = load_schema(write(tmp_path, GOOD))
    assert [schema.ignores(name) for name in ("", "note_1", "Age", "notes")] == [True, True, False, False]
    assert not Schema.from_dict({**schema.to_dict(), "ignore": [""]}).ignores("x")


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_schema(path).target == "Spend"


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "rest"),
    [
        ('order = ["young", "old"]', "order = 3", 16, "columns.Age.order", "found 3"),
        ('order = ["young", "old"]', 'order = ["a", "a"]', 16, "columns.Age.order", "a twice"),
        ('order = ["young", "old"]', "order = [1, 2]", 16, "columns.Age.order", "texts in quotes"),
        ('order = ["young", "old"]\n', "", 14, "columns.Age.order", "found none"),
        ('order = ["young", "old"]', 'ordr = ["young"]', 16, "columns.Age.ordr", "did you mean order?"),
        ('of = "customer"', 'of = "custmer"', 17, "columns.Age.of", "did you mean customer?"),
        ('of = "customer"', 'domain = ["young"]', 17, "columns.Age.domain", "old in one only"),
        ('of = "customer"', 'null = "lvel"', 17, "columns.Age.null", "did you mean level?"),
        ('of = "customer"', "minimum = 3", 17, "columns.Age.minimum", "type string"),
        ('of = "customer"', 'pattern = "("', 17, "columns.Age.pattern", "a regular expression"),
        ('of = "customer"', 'pattern = "(?P<a>b)"', 17, "columns.Age.pattern", "without (?P"),
        ('of = "customer"', 'calendar = ["year"]', 17, "columns.Age.calendar", "ordinal"),
        ('of = "customer"', 'role = "customer"\n', 15, "columns.Age.kind", "nominal"),
        ('kind = "ordinal"', 'kind = "ordnal"', 15, "columns.Age.kind", "did you mean ordinal?"),
        ('kind = "ordinal"\n', "", 14, "columns.Age.kind", "found nothing"),
        ('type = "integer"', 'type = "number"', 11, 'columns."Art No".type', "integer"),
        ('role = "product"', 'domain = ["a"]', 12, 'columns."Art No".domain', "whole numbers"),
        ('type = "integer"', 'null = "level"', 11, 'columns."Art No".null', "column of the key"),
        ('role = "product"', 'role = "customer"', 12, 'columns."Art No".role', "Customer and Art No"),
        ('role = "target"\n', 'role = "weight"\n', 27, "columns.Spend.role", "every row counts once"),
        ('role = "product"', 'order = ["1"]', 12, 'columns."Art No".order', "is it ordinal?"),
        ('"Art No"]', '"Art Nr"]', 2, "key", "did you mean Art No?"),
        ('"Art No"]', '"Spend"]', 2, "key", "the target Spend"),
        ('key = ["Customer", "Art No"]', 'key = "Customer"', 2, "key", "a list of texts"),
        ("name", "nme", 1, "nme", "did you mean name?"),
        ('ignore = ["", "note_*"]', 'ignore = ["Age"]', 3, "ignore", "found Age"),
        ('"year", "month"]', '"year", "mnth"]', 23, "columns.Day.calendar", "did you mean month?"),
        ("minimum = 2020-01-01", "minimum = 3", 22, "columns.Day.minimum", "a date such as"),
        ("minimum = 2020-01-01", "minimum = 2020-01-01T00:00:00", 22, "columns.Day.minimum", "or a date"),
        ('kind = "numeric"', 'kind = "nominal"', 26, "columns.Spend.kind", "numeric for the role target"),
        ("minimum = 0", "minimum = 5\nmaximum = 4", 29, "columns.Spend.maximum", "found 4"),
        ("minimum = 0", "minimum = true", 28, "columns.Spend.minimum", "found True"),
        ("minimum = 0", "minimum = nan", 28, "columns.Spend.minimum", "a number"),
        ("minimum = 0", 'null = "unknown"', 28, "columns.Spend.null", "the role target"),
        ("minimum = 0", 'domain = ["1"]', 28, "columns.Spend.domain", "none for a numeric"),
        ("minimum = 0", 'of = "product"', 28, "columns.Spend.of", "only features"),
        ("[columns.Spend]", "[columns._pc_spend]", 25, "columns._pc_spend", "rename the column"),
        ("[columns.Spend]", "[columns.age]", 25, "columns.age", "Age and age"),
        ('role = "target"\n', "", 5, "columns", "found none; add one"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_line_and_field(
    tmp_path: Path, *, old: str, new: str, line: int, field: str, rest: str
) -> None:
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(SchemaError) as caught:
        load_schema(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line {line}, {field}: expected ")
    assert rest in message
    assert "\n" not in message


def test_the_line_is_found_in_other_ways_of_writing_toml(tmp_path: Path) -> None:
    text = 'name = "x"\n[columns]\nSpend.kind = "numeric"\nSpend.role = "target"\nAge = {\'kind\' = "nmnal"}\n'
    with pytest.raises(SchemaError, match=r"line 5, columns\.Age\.kind: .*did you mean nominal\?"):
        load_schema(write(tmp_path, text))


def test_broken_toml_keeps_its_line(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"shop\.toml: expected TOML.*line 2"):
        load_schema(write(tmp_path, 'name = "x"\nkey = = 3\n'))


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_bytes(GOOD.replace("young", "j\xfcng").encode("latin-1"))
    with pytest.raises(SchemaError, match="expected a schema file in UTF-8"):
        load_schema(path)


@pytest.mark.parametrize("name", ["black_fryday", "no/such/file.toml", "."])
def test_a_missing_file_is_refused(name: str) -> None:
    with pytest.raises(
        SchemaError, match="expected a schema file or one of black_friday, complete_journey, found"
    ) as caught:
        load_schema(name)
    assert ("did you mean black_friday?" in str(caught.value)) == (name == "black_fryday")


def test_an_unknown_column_is_answered_with_the_likeliest() -> None:
    with pytest.raises(SchemaError, match=r"found purchse; did you mean Purchase\?"):
        load_schema("black_friday").column("purchse")


def test_a_table_without_customer_or_product_is_allowed() -> None:
    target = Column("y", "numeric", role="target")
    schema = Schema("small", "Small", (Column("x", "numeric"), target))
    assert (schema.customer, schema.product) == (None, None)
    with pytest.raises(SchemaError, match="a customer, a product or a feature"):
        Schema("none", "None", (target,))


def test_schema_imports_neither_spark_nor_numpy() -> None:
    code = "import sys, purchasecast.schema.table; sys.exit(bool({'pyspark', 'numpy', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def quantity_schema(**quantity: object) -> dict[str, object]:
    return {
        "name": "shop",
        "columns": {
            "Item": {"kind": "nominal", "role": "product"},
            "Amount": {"kind": "numeric", "role": "target"},
            "Pieces": {"kind": "numeric", **quantity},
        },
    }


def test_a_quantity_is_a_role_and_still_a_feature(tmp_path: Path) -> None:
    schema = Schema.from_dict(quantity_schema(role="quantity"))
    assert schema.quantity == "Pieces"
    assert [column.name for column in schema.numeric] == ["Pieces"]
    assert Schema.from_dict(schema.to_dict()) == schema


def test_pieces_as_a_unit_go_on_counting() -> None:
    assert Schema.from_dict(quantity_schema(unit="pieces")).quantity == "Pieces"
    assert Schema.from_dict(quantity_schema(unit="litres")).quantity is None


def test_two_quantities_are_refused() -> None:
    data = quantity_schema(role="quantity")
    data["columns"]["More"] = {"kind": "numeric", "role": "quantity"}  # type: ignore[index]
    with pytest.raises(SchemaError, match="one column with the role quantity"):
        Schema.from_dict(data)


def test_how_csv_files_are_written_is_a_part_of_the_schema(tmp_path: Path) -> None:
    schema = load_schema(
        write(tmp_path, GOOD.replace("[columns.Customer]", '[csv]\nsep = ";"\n\n[columns.Customer]', 1))
    )
    assert schema.csv == {"sep": ";"}
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    assert hash(schema) == hash(Schema.from_dict(schema.to_dict()))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('nullvalue = "NA"', r"line \d+, csv.nullvalue: expected one of sep, .*; did you mean nullValue"),
        ('decimal = ";"', 'line \\d+, csv.decimal: expected "." or ",", found \';\''),
        ("sep = 3", r"line \d+, csv: expected a table of texts in quotes"),
    ],
)
def test_what_no_csv_file_can_be_is_refused(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        load_schema(write(tmp_path, GOOD.replace("[columns.Customer]", f"[csv]\n{line}\n\n[columns.Customer]", 1)))
