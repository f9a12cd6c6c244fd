"""Validation: every rule, nothing lost and nothing passed."""

from __future__ import annotations

import csv
import json
from collections import Counter
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as sf

from purchasecast.errors import RejectRateError, SettingsError
from purchasecast.io import read_table
from purchasecast.progress import Steps
from purchasecast.results import ValidationReport
from purchasecast.results.validation import check_reject_rate
from purchasecast.schema import Column, Schema, load_schema
from purchasecast.schema.reserved_columns import POSITION
from purchasecast.validation import checked_rows, validate, write_rejects
from purchasecast.validation.rules import DUPLICATE, MALFORMED

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

SCHEMA = Schema(
    "small",
    "Small",
    (
        Column("id", "nominal", "integer", role="customer"),
        Column("art", "nominal", role="product", pattern="P[0-9]+"),
        Column("Age band", "ordinal", order=("0-17", "18+")),
        Column("code", "nominal", "integer", domain=(0, 1), null="level"),
        Column("category", "nominal", "integer", minimum=1, null="level"),
        Column("share", "numeric", minimum=-0.5, maximum=1, null="unknown"),
        Column("pieces", "numeric", "integer", minimum=1),
        Column("day", "date", role="time", minimum=date(2020, 1, 1), maximum=date(2030, 1, 1)),
        Column("other.day", "date", format="M/d/yyyy", null="unknown"),
        Column("at", "date", "timestamp", null="unknown"),
        Column("spend", "numeric", role="target"),
    ),
    key=("id", "art"),
)
GOOD = {
    "id": "7", "art": "P1", "Age band": "18+", "code": "1", "category": "3", "share": "0.5", "pieces": "2",
    "day": "2024-02-29", "other.day": "2/9/2024", "at": "2024-02-29 10:00:00", "spend": "12.5",
}  # fmt: skip


def raw_frame(spark: SparkSession, rows: list[dict[str, str | None]]) -> DataFrame:
    schema = ", ".join(f"`{name}` string" for name in [*GOOD, "_pc_corrupt"])
    data = [(*(row.get(name) for name in GOOD), row.get("_pc_corrupt")) for row in rows]
    return spark.createDataFrame(data, schema).coalesce(1).withColumn(POSITION, sf.monotonically_increasing_id())


def reasons_of(frame: DataFrame) -> dict[int, list[str]]:
    return {row[POSITION]: row["reasons"] for row in frame.collect()}


BAD: list[tuple[dict[str, str | None], list[str]]] = [
    ({"id": "x"}, ["id: not an integer"]),
    ({"id": "7.5"}, ["id: not an integer"]),
    ({"id": "1e3"}, ["id: not an integer"]),
    ({"id": "99999999999999999999"}, ["id: not an integer"]),
    ({"id": None}, ["id: null"]),
    ({"id": "  "}, ["id: null"]),
    ({"art": "P"}, ["art: does not match the pattern"]),
    ({"art": "xP1"}, ["art: does not match the pattern"]),
    ({"Age band": "18"}, ["Age band: not in domain"]),
    ({"Age band": ""}, ["Age band: null"]),
    ({"code": "2"}, ["code: not in domain"]),
    ({"code": "A"}, ["code: not an integer"]),
    ({"category": "0"}, ["category: below minimum"]),
    ({"share": "-0.6"}, ["share: below minimum"]),
    ({"share": "1.01"}, ["share: above maximum"]),
    ({"share": "NaN"}, ["share: not finite or too large"]),
    ({"share": "1d"}, ["share: not a number"]),
    ({"pieces": "2.5"}, ["pieces: not an integer"]),
    ({"pieces": "0"}, ["pieces: below minimum"]),
    ({"day": "2024-02-30"}, ["day: not a date"]),
    ({"day": "2024"}, ["day: not a date"]),
    ({"day": "2019-12-31"}, ["day: below minimum"]),
    ({"day": "2030-01-02"}, ["day: above maximum"]),
    ({"other.day": "13/1/2024"}, ["other.day: not a date"]),
    ({"at": "noon"}, ["at: not a date"]),
    ({"spend": "-0.01"}, ["spend: negative"]),
    ({"spend": "nan"}, ["spend: not finite or too large"]),
    ({"spend": "inf"}, ["spend: not finite or too large"]),
    ({"spend": "-Infinity"}, ["spend: not finite or too large"]),
    ({"spend": "1e999"}, ["spend: not finite or too large"]),
    ({"spend": "0x1p3"}, ["spend: not a number"]),
    ({"spend": "12,50"}, ["spend: not a number"]),
    ({"spend": None}, ["spend: null"]),
    ({"spend": "x", "Age band": "?"}, ["Age band: not in domain", "spend: not a number"]),
    ({"spend": "x", "_pc_corrupt": "7,P1"}, [MALFORMED]),
]


def test_every_rule_gives_its_reason(spark: SparkSession) -> None:
    validated = validate(raw_frame(spark, [{**GOOD, **change} for change, _ in BAD]), SCHEMA)
    assert reasons_of(validated.rejected) == {place: reasons for place, (_, reasons) in enumerate(BAD)}
    counted = Counter(reason for _, reasons in BAD for reason in reasons)
    assert validated.report.reasons == dict(counted)
    assert (validated.report.rows, validated.report.accepted) == (len(BAD), 0)
    assert validated.accepted.count() == 0


def test_rejected_rows_keep_their_text(spark: SparkSession) -> None:
    validated = validate(raw_frame(spark, [{**GOOD, "spend": " x "}]), SCHEMA)
    row = validated.rejected.collect()[0].asDict()
    assert row == {**GOOD, "spend": " x ", "_pc_corrupt": None, POSITION: 0, "reasons": ["spend: not a number"]}


def test_accepted_rows_are_typed_and_canonical(spark: SparkSession) -> None:
    rows = [
        GOOD,
        {**GOOD, "id": " 007 ", "code": "1.0", "category": "+4", "share": "-.5", "spend": "1e3", "pieces": "3."},
        {**GOOD, "id": "8", "code": "", "category": None, "share": " ", "other.day": None, "at": None, "art": " P2 "},
    ]  # fmt: skip
    validated = validate(raw_frame(spark, rows), SCHEMA, check_duplicates=False)
    assert validated.accepted.columns == [*SCHEMA.names, POSITION]
    types = dict(validated.accepted.dtypes)
    assert types == dict.fromkeys(["id", "art", "Age band", "code", "category"], "string") | {
        "share": "double", "pieces": "double", "spend": "double",
        "day": "date", "other.day": "date", "at": "timestamp", POSITION: "bigint",
    }  # fmt: skip
    first, second, third = validated.accepted.orderBy(POSITION).collect()
    assert first["other.day"] == date(2024, 2, 9)
    assert validated.accepted.where("at = timestamp'2024-02-29 10:00:00'").count() == 2
    assert [second[name] for name in ("id", "code", "category", "share", "spend", "pieces")] == [
        "7", "1", "4", -0.5, 1000.0, 3.0,
    ]  # fmt: skip
    assert [third[name] for name in ("code", "category", "share", "other.day", "art")] == [None, None, None, None, "P2"]
    assert validated.report.nulls == {"code": 1, "category": 1, "share": 1, "other.day": 1, "at": 1}


@pytest.mark.parametrize("partitions", [1, 5])
def test_the_first_of_equal_keys_is_kept(spark: SparkSession, partitions: int) -> None:
    rows = [
        GOOD,
        {**GOOD, "art": "P2"},
        {**GOOD, "id": "07", "spend": "1", "code": None},  # the same key, otherwise written
        {**GOOD, "spend": "x", "art": "P3"},
        {**GOOD, "art": "P3"},  # the other P3 is no good row
        {**GOOD, "spend": "2"},
    ]
    frame = raw_frame(spark, rows).repartition(partitions)
    with validate(frame, SCHEMA) as validated:
        assert reasons_of(validated.rejected) == {2: [DUPLICATE], 3: ["spend: not a number"], 5: [DUPLICATE]}
        assert sorted(row[POSITION] for row in validated.accepted.collect()) == [0, 1, 4]
        assert validated.accepted.columns == [*SCHEMA.names, POSITION]
        assert validated.report.to_dict() == {
            "rows": 6,
            "accepted": 3,
            "rejected": 3,
            "reasons": {DUPLICATE: 2, "spend: not a number": 1},
            "nulls": {"code": 0, "category": 0, "share": 0, "other.day": 0, "at": 0},
        }
    assert validate(frame, SCHEMA, check_duplicates=False).report.accepted == 5


def test_labels_may_lack_only_where_they_are_optional(spark: SparkSession) -> None:
    rows = [{**GOOD, "spend": None}, {**GOOD, "art": "P2", "spend": "-1"}, {**GOOD, "art": "P3"}]
    frame = raw_frame(spark, rows)
    assert validate(frame, SCHEMA).report.reasons == {"spend: negative": 1, "spend: null": 1}
    assert validate(frame, SCHEMA, target="optional").report.reasons == {"spend: negative": 1}
    unlabelled = validate(frame.drop("spend"), SCHEMA, target="optional")
    assert unlabelled.report.accepted == 3
    assert "spend" not in unlabelled.accepted.columns


def test_an_empty_table_has_an_empty_report(spark: SparkSession) -> None:
    validated = validate(raw_frame(spark, [GOOD]).limit(0), SCHEMA)
    assert validated.report == ValidationReport(0, 0, 0, {}, validated.report.nulls)
    assert validated.report.reject_rate == 0
    check_reject_rate(validated.report, 0)


def test_typed_columns_are_held_to_the_same_rules(spark: SparkSession) -> None:
    data = [
        (7, "P1", "18+", 1.0, float("nan"), None, 2, date(2024, 1, 1), date(2024, 1, 2), datetime(2024, 1, 1), 5.0),  # noqa: DTZ001
        (8, "P1", "18+", 1.5, 2.0, float("nan"), 0, None, None, None, float("nan")),
        (9, "P1", "18+", 1.0, 0.0, 0.5, None, date(2019, 1, 1), None, None, float("inf")),
    ]
    types = ["bigint", "string", "string", "double", "double", "double", "int", "date", "date", "timestamp", "double"]
    schema = ", ".join(f"`{name}` {kind}" for name, kind in zip(GOOD, types, strict=True))
    frame = spark.createDataFrame(data, schema).coalesce(1).withColumn("_pc_corrupt", sf.lit(None).cast("string"))
    validated = validate(frame.withColumn(POSITION, sf.monotonically_increasing_id()), SCHEMA)
    assert reasons_of(validated.rejected) == {
        1: ["code: not an integer", "pieces: below minimum", "day: null", "spend: not finite or too large"],
        2: ["category: below minimum", "pieces: null", "day: below minimum", "spend: not finite or too large"],
    }
    row = validated.accepted.collect()[0]
    assert (row["id"], row["code"], row["category"], row["spend"]) == ("7", "1", None, 5.0)


def test_more_rules_than_bits_in_a_number(spark: SparkSession) -> None:
    columns = [Column(f"c{i}", "numeric", "integer", minimum=1, maximum=2) for i in range(40)]
    schema = Schema("wide", "Wide", (*columns, Column("y", "numeric", role="target")))
    names = [*schema.names, "_pc_corrupt"]
    rows = [["1"] * 42, ["1"] * 39 + ["3", "1", None], ["0"] + ["1"] * 38 + ["x", "1", None], ["1"] * 41 + [None]]
    frame = spark.createDataFrame(rows, ", ".join(f"{name} string" for name in names)).coalesce(1)
    validated = validate(frame.withColumn(POSITION, sf.monotonically_increasing_id()), schema)
    assert reasons_of(validated.rejected) == {
        0: [MALFORMED],
        1: ["c39: above maximum"],
        2: ["c0: below minimum", "c39: not an integer"],
    }
    assert (validated.report.rows, validated.report.accepted) == (4, 1)


def test_cached_rows_are_freed(spark: SparkSession) -> None:
    def kept() -> int:
        return len(spark.sparkContext._jsc.getPersistentRDDs())

    before = kept()
    with validate(raw_frame(spark, [GOOD, GOOD]), SCHEMA, cache=True) as validated:
        assert kept() == before + 2  # typed rows and duplicates
        assert validated.accepted.count() == 1
    assert kept() == before
    assert validated.accepted.count() == 1
    failing = raw_frame(spark, [GOOD]).withColumn("spend", sf.raise_error(sf.lit("broken")))
    with pytest.raises(Exception, match="broken"):
        validate(failing, SCHEMA, cache=True)
    assert kept() == before


def test_rejects_are_written_for_people(spark: SparkSession, tmp_path: Path) -> None:
    rows = [GOOD, {**GOOD, "spend": "x", "Age band": '"?"'}, {**GOOD, "_pc_corrupt": "7,P1"}, GOOD]
    with validate(raw_frame(spark, rows), SCHEMA) as validated:
        path = write_rejects(validated, tmp_path / "deep" / "rejects")
        assert write_rejects(validated, tmp_path / "deep" / "rejects") == path
    with path.open(newline="", encoding="utf-8") as stream:
        written = list(csv.DictReader(stream))
    assert [row["reasons"] for row in written] == [
        "Age band: not in domain; spend: not a number", MALFORMED, DUPLICATE,
    ]  # fmt: skip
    assert written[0]["Age band"] == '"?"'
    assert written[1]["line"] == "7,P1"
    report = json.loads((path.parent / "report.json").read_text(encoding="utf-8"))
    assert ValidationReport.from_dict(report) == validated.report


def test_checked_rows_are_kept_and_timed_and_stop_at_too_many_bad_ones(spark: SparkSession, tmp_path: Path) -> None:
    raw = raw_frame(spark, [GOOD, {**GOOD, "spend": "x"}])
    steps = Steps()
    with checked_rows(raw, SCHEMA, steps, max_reject_rate=0.5, step="look") as checked:
        assert checked.accepted.count() == checked.report.accepted == 1
    assert list(steps.seconds) == ["look"]
    entered = checked_rows(raw, SCHEMA, Steps(), rejects=tmp_path / "rejects")
    with pytest.raises(RejectRateError, match="1 of 2"), entered:
        pytest.fail("the rows must not be used")
    assert list((tmp_path / "rejects").iterdir()) != []  # who is stopped wants to see why


def test_too_many_bad_rows_stop_the_run() -> None:
    report = ValidationReport(200, 197, 3, {"spend: null": 2, DUPLICATE: 1})
    check_reject_rate(report, 0.015)
    with pytest.raises(
        RejectRateError, match=r"3 of 200 \(1\.50%\), mostly spend: null \(2\); duplicate key"
    ) as caught:
        check_reject_rate(report)
    assert caught.value.exit_code == 3
    levels = ValidationReport(10, 5, 5, {"Age band: not in domain": 5})
    with pytest.raises(RejectRateError, match=r"mostly Age band: not in domain, expected one of 0-17, 18\+ \(5\)"):
        check_reject_rate(levels, schema=SCHEMA)
    with pytest.raises(SettingsError, match="from 0 to 1, found 5"):
        check_reject_rate(report, 5)
    with pytest.raises(ValueError, match="add up"):
        ValidationReport(3, 1, 1)


def damaged_lines() -> tuple[list[str], dict[str, list[str]]]:
    """Mix 1,000 damaged lines into 4,000 clean ones; return all, and the reasons by damaged line."""
    clean = [
        [str(1_000_001 + i // 20), f"P{i % 20:08d}", "FM"[i % 2], "26-35", str(i % 21), "ABC"[i % 3],
         ("0", "1", "4+")[i % 3], str(i % 2), str(1 + i % 18), "" if i % 3 else "8", "", str(12 + 7 * i)]
        for i in range(5000)
    ]  # fmt: skip
    edits: list[tuple[int, str, str]] = [
        (0, "abc", "User_ID: not an integer"),
        (0, "", "User_ID: null"),
        (1, "", "Product_ID: null"),
        (2, "X", "Gender: not in domain"),
        (3, "18-24", "Age: not in domain"),
        (4, "21", "Occupation: not in domain"),
        (4, "3.7", "Occupation: not an integer"),
        (6, "5", "Stay_In_Current_City_Years: not in domain"),
        (7, "yes", "Marital_Status: not an integer"),
        (8, "0", "Product_Category_1: below minimum"),
        (9, "1e3", "Product_Category_2: not an integer"),
        (11, "", "Purchase: null"),
        (11, "-5", "Purchase: negative"),
        (11, "NaN", "Purchase: not finite or too large"),
        (11, "Infinity", "Purchase: not finite or too large"),
        (11, "8 370", "Purchase: not a number"),
    ]
    lines, truth = [], {}
    for i, row in enumerate(clean):
        fields = list(row)
        if i % 5:
            lines.append(",".join(fields))
            continue
        case = (i // 5) % (len(edits) + 4)
        if case < len(edits):
            place, text, reason = edits[case]
            fields[place] = text
        elif case == len(edits):
            fields, reason = fields[:7], MALFORMED
        elif case == len(edits) + 1:
            fields, reason = [*fields, "9"], MALFORMED
        elif case == len(edits) + 2:
            fields[2], reason = '"F', MALFORMED  # a quote that nobody closes
        else:
            fields, reason = [*clean[i - 1][:11], str(i)], DUPLICATE
        lines.append(",".join(fields))
        truth[len(lines) - 1] = reason
    return lines, {lines[place]: [reason] for place, reason in truth.items()}


def test_a_thousand_damaged_rows(spark: SparkSession, tmp_path: Path) -> None:
    schema = load_schema("black_friday")
    lines, truth = damaged_lines()
    assert (len(lines), len(truth)) == (5000, 1000)
    path = tmp_path / "damaged.csv"
    path.write_bytes("\r\n".join([",".join(schema.names), *lines, ""]).encode())
    with validate(read_table(spark, path, schema), schema) as validated:
        assert (validated.report.rows, validated.report.accepted, validated.report.rejected) == (5000, 4000, 1000)
        assert validated.report.reasons == dict(Counter(reason for (reason,) in truth.values()))
        rejected = {row[POSITION]: row.asDict() for row in validated.rejected.collect()}
        accepted = {row[POSITION]: row.asDict() for row in validated.accepted.collect()}
    assert len(rejected) == 1000
    for place, line in enumerate(lines):
        if line in truth:
            assert rejected[place]["reasons"] == truth[line], line
            assert rejected[place]["_pc_corrupt"] == (line if truth[line] == [MALFORMED] else None)
        else:
            fields: list[Any] = [value or None for value in line.split(",")]
            assert [accepted[place][name] for name in schema.names] == [*fields[:-1], float(fields[-1])]


def test_the_real_table_is_clean(spark: SparkSession, black_friday: Path) -> None:
    schema = load_schema("black_friday")
    report = validate(read_table(spark, black_friday / "train.csv", schema), schema).report
    assert (report.rows, report.accepted, report.rejected) == (550_068, 550_068, 0)
    assert report.nulls == {"Product_Category_2": 173_638, "Product_Category_3": 383_247}
    raw = read_table(spark, black_friday / "test.csv", schema, target="optional")
    assert validate(raw, schema, target="optional").report.accepted == 233_599


def test_the_other_shop_by_its_own_schema(
    spark: SparkSession, superstore: Path, request: pytest.FixtureRequest
) -> None:
    schema = load_schema(request.config.rootpath / "examples" / "superstore.toml")
    validated = validate(read_table(spark, superstore, schema), schema)
    # Six product names hold a comma that nobody quoted, so the figures behind them stand one column too far right.
    shifted = dict.fromkeys(["Discount: above maximum", "Quantity: not an integer", "Sales: not a number"], 6)
    assert (validated.report.rows, validated.report.rejected, validated.report.reasons) == (9994, 6, shifted)
    assert {row["Product ID"] for row in validated.rejected.collect()} == {"TEC-AC-10004659"}
    days = validated.accepted.agg(sf.min("Order Date"), sf.max("Order Date")).collect()[0]
    assert tuple(days) == (date(2014, 1, 3), date(2017, 12, 30))
