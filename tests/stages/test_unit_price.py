"""Quantity times unit price: against a slow oracle, on planted prices, and never with an eye on the future."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as sf

from purchasecast.errors import DataError
from purchasecast.stages import UnitPriceEncoder, UnitPriceModel

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

FOLDS = 3
DAY = 86_400.0
KEYS: dict[str, Any] = {
    "levelCols": ["department", "type"],
    "timeCol": "moment",
    "effectCols": ["product", "store", "product"],
    "effectCrossCols": ["@quantity", "", "store"],
    "effectShrinkages": [2.0, 20.0, 1.0],
    "attributeCols": ["maker", "type"],
    "attributeCrossCols": ["", "maker"],
}
SCHEMA = (
    "department string, type string, product string, maker string, store int, quantity double, amount double, "
    "weight double, fold int, id int, moment double"
)


def encoder(**params: Any) -> UnitPriceEncoder:
    named = {"labelCol": "amount", "quantityCol": "quantity", "productCol": "product", "numFolds": FOLDS}
    return UnitPriceEncoder(**{**named, **params})


def draw_shop(rows: int = 400, seed: int = 3) -> pd.DataFrame:
    """Draw a shop with levels, nulls, and rows that cannot train; fuel is counted in thousandths."""
    random = np.random.default_rng(seed)
    product = random.integers(0, 40, rows)
    kind = product % 7
    quantity = np.where(kind == 0, random.integers(2_000, 40_000, rows), random.integers(1, 9, rows)).astype(float)
    price = np.where(kind == 0, 0.002, 1.0 + product)
    amount = price * quantity * np.exp(random.normal(0, 0.1, rows))
    quantity[random.random(rows) < 0.05] = 0.0
    quantity[random.random(rows) < 0.05] = np.nan
    amount[random.random(rows) < 0.05] = 0.0
    table = pd.DataFrame(
        {
            "department": [f"d{k % 2}" for k in kind],
            "type": [None if k == 6 else f"t{k}" for k in kind],
            "product": [f"p{p}" for p in product],
            "maker": [None if p % 11 == 0 else f"m{p % 5}" for p in product],
            "store": random.integers(0, 4, rows),
            "quantity": quantity,
            "amount": amount,
            "weight": random.integers(0, 3, rows).astype(float),
            "fold": random.integers(0, FOLDS, rows),
            "id": np.arange(rows),
        }
    )
    table.loc[random.random(rows) < 0.03, "product"] = None
    # Later folds are later, as blocks of time are; prices of late differ, and some rows have no time.
    day = 30.0 * table["fold"] + random.integers(0, 30, rows)
    return table.assign(moment=np.where(random.random(rows) < 0.05, np.nan, DAY * day))


def frame_of(spark: SparkSession, table: pd.DataFrame) -> DataFrame:
    named = [part for part in SCHEMA.split(", ") if part.split()[0] in table.columns]
    ordered = table[[part.split()[0] for part in named]].astype(object)
    rows = [tuple(None if pd.isna(v) else v for v in row) for row in ordered.itertuples(index=False)]
    return spark.createDataFrame(rows, ", ".join(named))


def encoded(model: UnitPriceModel, frame: DataFrame) -> pd.DataFrame:
    names = list(model.output_names().values())
    return model.transform(frame).select("id", *names).toPandas().sort_values("id").reset_index(drop=True)


def groups(rows: list[dict[str, Any]], names: tuple[str, ...]) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    found = defaultdict(list)
    for row in rows:
        key = tuple(row[name] for name in names)
        if None not in key:
            found[key].append(row)
    return found


class Oracle:
    """One fit by the formulas of the module, row by row."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        rows = [dict(row) for row in rows]
        for row in rows:
            row["x"], row["y"] = np.log(row["quantity"]), np.log(row["amount"])
            row["bin"] = int(np.floor(2 * row["x"] + 0.5))
        self.rows, self.lines, self.tables = rows, {}, {}
        moments = [r["moment"] for r in rows if r["moment"] is not None]
        for row in rows:
            age = np.nan if row["moment"] is None else max(moments) - row["moment"]
            row["late"] = float(np.nan_to_num(2.0 ** (-age / HALF_LIFE)))
        self.middle = float(np.average([r["x"] for r in rows], weights=[r["weight"] for r in rows]))
        self.start = float(np.average([r["y"] for r in rows], weights=[r["weight"] for r in rows]))
        for row in rows:
            row["line"] = self.start
        for level in KEYS["levelCols"]:
            self.lines[level] = {key: self.fit_line(members) for key, members in groups(rows, (level,)).items()}
            for row in rows:
                row["line"] += self.step(level, row)
        self.products = {key: self.fit_product(members) for key, members in groups(rows, ("product",)).items()}
        for row in rows:
            price = self.products.get((row["product"],), {"u": row["line"] - row["x"]})["u"]
            row["r"] = float(np.clip(row["y"] - row["x"] - price, -1.5, 1.5))
            row["pn"] = self.products.get((row["product"],), {"n": 1.0})["n"]
        self.fit_effects()

    def fit_line(self, members: list[dict[str, Any]]) -> tuple[float, float, float, float]:
        n = sum(r["weight"] for r in members)
        m = sum(r["weight"] * r["x"] for r in members) / n
        left = [(r["weight"], r["x"] - m, r["y"] - r["line"]) for r in members]
        height = sum(w * r for w, _, r in left) / (n + 3.0)
        slope = sum(w * d * r for w, d, r in left) / (sum(w * d * d for w, d, _ in left) + 5.0)
        return n, m, height, slope

    def step(self, level: str, row: dict[str, Any]) -> float:
        _, m, height, slope = self.lines[level].get((row[level],), (0, 0, 0, 0))
        return float(height + slope * np.clip(row["x"] - m, -4, 4))

    def fit_product(self, members: list[dict[str, Any]]) -> dict[str, float]:
        n = sum(r["weight"] for r in members)
        prices = [r["y"] - r["x"] for r in members]
        total = sum(r["weight"] * u for r, u in zip(members, prices, strict=True))
        line = sum(r["weight"] * (r["line"] - r["x"]) for r in members) / n
        u = (total + 0.1 * line) / (n + 0.1)
        squares = sum(r["weight"] * (v - u) ** 2 for r, v in zip(members, prices, strict=True))
        spread = np.sqrt((squares + 0.08) / (n + 2))
        m = sum(r["weight"] * r["x"] for r in members) / n
        late = [r["weight"] * r["late"] for r in members]
        recent = sum(w * (v - u) for w, v in zip(late, prices, strict=True)) / (sum(late) + 0.2)
        shown = {"low": min(prices) - u, "high": max(prices) - u}
        return {"n": n, "u": u, "m": m, "spread": spread, "recent": recent, **shown}

    def fit_effects(self) -> None:
        for i, (a, b) in enumerate(zip(KEYS["attributeCols"], KEYS["attributeCrossCols"], strict=True)):
            names = (a, b) if b else (a,)
            found = {}
            for key, members in groups(self.rows, names).items():
                weights = [r["weight"] / np.sqrt(r["pn"]) for r in members]
                total = sum(w * (r["y"] - r["line"]) for w, r in zip(weights, members, strict=True))
                found[key] = total / (sum(weights) + 2.0)
            self.tables[f"attribute_{i}"] = (names, found)
        keys = zip(KEYS["effectCols"], KEYS["effectCrossCols"], KEYS["effectShrinkages"], strict=True)
        for i, (a, b, shrinkage) in enumerate(keys):
            names = tuple("bin" if name == "@quantity" else name for name in (a, b) if name)
            found, counts = {}, {}
            for key, members in groups(self.rows, names).items():
                counts[key] = sum(r["weight"] for r in members)
                found[key] = sum(r["weight"] * r["r"] for r in members) / (counts[key] + shrinkage)
            for row in self.rows:
                row["r"] -= found.get(tuple(row[name] for name in names), 0.0)
            self.tables[f"effect_{i}"] = (names, found)
            self.tables[f"effect_rows_{i}"] = (names, {key: np.log1p(n) for key, n in counts.items()})

    def encode(self, row: dict[str, Any]) -> dict[str, float]:
        product = self.products.get((row["product"],))
        quantity = row["quantity"]
        known = [self.lines[level][(row[level],)] for level in KEYS["levelCols"] if (row[level],) in self.lines[level]]
        usual = product["m"] if product else known[-1][1] if known else self.middle
        x = np.log(quantity) if quantity is not None and quantity > 0 else usual
        row = {**row, "x": x, "bin": int(np.floor(2 * x + 0.5))}
        line = self.start + sum(self.step(level, row) for level in KEYS["levelCols"])
        low, high = self.shown(row)
        log_amount = product["u"] + x if product else line
        made = {
            "amount": 0.0 if quantity is not None and quantity <= 0 else float(np.exp(np.clip(log_amount, low, high))),
            "line": line,
            "line_excess": line - log_amount,
            "newness": 1.0 / (1.0 + product["n"]) if product else 1.0,
            "log_quantity": x,
            "log_quantity_excess": x - product["m"] if product else 0.0,
            "rows_product": np.log1p(product["n"]) if product else 0.0,
            "spread": product["spread"] if product else 0.2,
            "low": product["low"] if product else 0.0,
            "high": product["high"] if product else 0.0,
            "recent": product["recent"] if product else 0.0,
        }
        for i, level in enumerate(KEYS["levelCols"]):
            made[f"rows_{i}"] = np.log1p(self.lines[level].get((row[level],), (0.0,))[0])
        for kind, (names, found) in self.tables.items():
            made[kind] = found.get(tuple(row[name] for name in names), 0.0)
        return made

    def shown(self, row: dict[str, Any]) -> tuple[float, float]:
        """Return the range of the log amount that the finest known level allows."""
        for name in ("product", "type", "department"):
            members = [r for r in self.rows if r[name] is not None and r[name] == row[name]]
            if members:
                break
        else:
            members = self.rows
        amounts, prices = [r["y"] for r in members], [r["y"] - r["x"] for r in members]
        low = min(*amounts, min(prices) + row["x"]) - np.log(2)
        return low, max(*amounts, max(prices) + row["x"]) + np.log(2)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{k: None if pd.isna(v) else v for k, v in row.items()} for row in table.astype(object).to_dict("records")]


def may_train(row: dict[str, Any]) -> bool:
    return bool(row["quantity"] and row["quantity"] > 0 and row["amount"] > 0 and row["weight"] > 0)


# A thirtieth of the time that all rows take that may train.
HALF_LIFE = float(np.ptp([r["moment"] for r in records(draw_shop()) if may_train(r) and r["moment"] is not None])) / 30


def oracle_table(table: pd.DataFrame, *, forward: bool, folds: bool = True) -> pd.DataFrame:
    training = [row for row in records(draw_shop()) if may_train(row)]
    fits = {}
    for k in range(FOLDS):
        seen = [row for row in training if (row["fold"] < k if forward else row["fold"] != k)]
        fits[k] = Oracle(seen) if seen else None
    fits[None] = Oracle(training)
    made = []
    for row in records(table):
        fit = fits[row["fold"] if folds else None]
        made.append({"id": row["id"], **(fit.encode(row) if fit else {})})
    return pd.DataFrame(made)


def agree(found: pd.DataFrame, expected: pd.DataFrame, names: dict[str, str]) -> None:
    for kind, name in names.items():
        np.testing.assert_allclose(
            found[name].to_numpy(float), expected[kind].to_numpy(float), rtol=1e-9, atol=1e-9, err_msg=kind
        )


@pytest.mark.parametrize(("forward", "most"), [(False, 5_000_000), (True, 5_000_000), (True, 0)])
def test_every_output_is_what_the_formulas_say(spark: SparkSession, *, forward: bool, most: int) -> None:
    table = draw_shop()
    frame = frame_of(spark, table)
    model = encoder(**KEYS, weightCol="weight", forward=forward, maxTaskRows=most).fit(frame)
    names = model.output_names()
    found = encoded(model, frame)
    agree(found, oracle_table(table, forward=forward), names)
    first = table["fold"] == 0
    outputs = found[list(names.values())]
    assert outputs[first.to_numpy()].isna().all(axis=None) == forward
    assert outputs[~first.to_numpy()].notna().all(axis=None)
    new = table.assign(product=[None if k % 5 == 0 else f"p{k % 60}" for k in range(len(table))])
    new.loc[new.index % 7 == 0, "type"] = "no such type"
    agree(encoded(model, frame_of(spark, new).drop("fold")), oracle_table(new, forward=forward, folds=False), names)


def test_rows_order_and_partitions_and_a_round_on_disk_change_nothing(spark: SparkSession, tmp_path: Path) -> None:
    frame = frame_of(spark, draw_shop())
    model = encoder(**KEYS).fit(frame)
    other = encoder(**KEYS).fit(frame.orderBy(sf.xxhash64("id")).repartition(7))
    expected = encoded(model, frame)
    pd.testing.assert_frame_equal(encoded(other, frame), expected, rtol=1e-9)
    model.save(str(tmp_path / "model"))
    loaded = UnitPriceModel.load(str(tmp_path / "model"))
    pd.testing.assert_frame_equal(encoded(loaded, frame), expected)
    pd.testing.assert_frame_equal(encoded(loaded, frame.drop("fold")), encoded(model, frame.drop("fold")))


def test_going_forward_no_row_sees_its_own_time_or_later(spark: SparkSession) -> None:
    table = draw_shop()
    late = table["fold"] >= 1
    poisoned = table.assign(amount=np.where(late, table["amount"][::-1].to_numpy() * 1e3, table["amount"]))
    model = encoder(**KEYS, forward=True).fit(frame_of(spark, table))
    other = encoder(**KEYS, forward=True).fit(frame_of(spark, poisoned))
    ours, theirs = (encoded(fitted, frame_of(spark, table)) for fitted in (model, other))
    same = (table["fold"] <= 1).to_numpy()
    pd.testing.assert_frame_equal(ours[same], theirs[same])
    assert not np.allclose(ours["base_amount"][~same], theirs["base_amount"][~same])


def test_a_permuted_label_is_not_found_out_of_fold(spark: SparkSession) -> None:
    """Products of two rows each: with its own label a row would be predicted half right."""
    random = np.random.default_rng(5)
    amount = np.exp(random.normal(0, 1, 1_500))
    table = pd.DataFrame(
        {"product": [f"p{k // 2}" for k in range(1_500)], "quantity": 1.0, "amount": amount, "id": range(1_500)}
    ).assign(fold=lambda t: t["id"] % FOLDS)
    frame = frame_of(spark, table)
    model = encoder(effectCols=["product"], effectShrinkages=[1.0]).fit(frame)
    outside, inside = encoded(model, frame), encoded(model, frame.drop("fold"))
    for name in ("base_amount", "unit_price_effect_0"):
        assert abs(np.corrcoef(np.log(amount), outside[name])[0, 1]) < 0.1
    assert np.corrcoef(np.log(amount), np.log(inside["base_amount"]))[0, 1] > 0.5


def planted(spark: SparkSession) -> DataFrame:
    """Cheap by the piece, dear one at a time, fuel by the thousandth; every unit price is constant."""
    random = np.random.default_rng(7)
    rows: list[tuple[Any, ...]] = []
    rows += [("house", "lamp", "lamp", float(q), 15.0 * q) for q in (1, 1, 2, 3, 1, 2, 4, 1, 1, 2)]
    rows += [("house", "sofa", "sofa", 1.0, 8_880.0)] * 6
    for k in range(12):
        amounts = random.uniform(20, 60, 8).tolist()
        rows += [("car", "fuel", f"fuel{k}", a * 400.0, a) for a in amounts]
        # Every bread sells the same quantities, so that the line of amount and quantity has a slope of 1, not of 1.07.
        rows += [("food", "bread", f"bread{k}", float(q), (2.0 + k / 6) * q) for q in (1, 1, 2, 2, 3, 4, 5, 5)]
    return spark.createDataFrame(rows, "department string, type string, product string, quantity double, amount double")


def test_planted_unit_prices_are_recovered(spark: SparkSession) -> None:
    frame = planted(spark)
    levels = ["department", "type"]
    exact = encoder(levelCols=levels, productShrinkage=0.0).fit(frame).transform(frame).toPandas()
    np.testing.assert_allclose(exact["base_amount"], exact["amount"], rtol=1e-9)
    model = encoder(levelCols=levels).fit(frame)
    new = spark.createDataFrame(
        [("house", "lamp", "lamp", 100.0), ("house", "sofa", "sofa", 1.0)],
        "department string, type string, product string, quantity double",
    )
    lamps, sofa = [row["base_amount"] for row in model.transform(new).collect()]
    assert lamps == pytest.approx(1_500, rel=0.03)
    assert sofa == pytest.approx(8_880, rel=0.05)


@pytest.mark.parametrize("most", [5_000_000, 0])
def test_a_price_of_late_is_told_beside_that_of_all_time(spark: SparkSession, most: int) -> None:
    schema = "product string, quantity double, amount double, day date"
    days = pd.date_range("2026-01-01", "2026-12-31").date.tolist()
    rows = [("fuel", 10.0, 20.0 if day.month < 12 else 30.0, day) for day in days]
    rows += [("bread", 1.0, 3.0, day) for day in days] + [("old", 1.0, 2.0, days[0]), ("old", 1.0, 8.0, days[1])]
    model = encoder(timeCol="day", maxTaskRows=most).fit(spark.createDataFrame(rows, schema))
    asked = [(name, 1.0, 0.0, days[-1]) for name in ("fuel", "bread", "old", "new")]
    made = model.transform(spark.createDataFrame(asked, schema).drop("day")).collect()
    fuel, bread, old, new = [row["unit_price_recent"] for row in made]
    price = np.log([2.0 if day.month < 12 else 3.0 for day in days])
    counts = 0.5 ** (np.arange(len(days))[::-1] * 30 / (len(days) - 1))  # half of them in the last thirtieth
    assert fuel == pytest.approx(counts @ (price - price.mean()) / (counts.sum() + 0.2), rel=1e-2)
    assert np.exp(price.mean() + fuel) > 2.7
    assert bread == pytest.approx(0.0, abs=1e-2)
    assert old == pytest.approx(0.0, abs=1e-3)  # nothing is known of late
    assert new == 0.0


def test_an_unseen_product_follows_the_line_of_its_type(spark: SparkSession) -> None:
    model = encoder(levelCols=["department", "type"]).fit(planted(spark))
    rows = [("food", "bread", "new", 1.0), ("food", "bread", None, 4.0), ("car", "fuel", "new", 16_000.0)]
    rows += [("car", "fuel", "new", 1.0), ("car", "fuel", "new", 1e9), ("none", None, "new", 2.0)]
    new = spark.createDataFrame(rows, "department string, type string, product string, quantity double")
    bread, breads, fuel, drop, ocean, other = [row["base_amount"] for row in model.transform(new).collect()]
    assert bread == pytest.approx(2.9, rel=0.15)
    assert 2.5 < breads / bread < 4.0  # more pieces cost more, by nearly as much
    assert fuel == pytest.approx(40.0, rel=0.2)
    # What no row has shown stays within a factor of 2 of the unit prices and amounts shown.
    assert 0 < drop < 60
    assert ocean < 2 * 1e9 / 399
    assert 0 < other < 2 * 8_880 * 2


def test_a_huge_row_does_not_own_its_product(spark: SparkSession) -> None:
    rows = [("soap", 1.0, 10.0)] * 100 + [("rice", 2.0, 6.0)] * 50
    schema = "product string, quantity double, amount double"
    new = spark.createDataFrame([("soap", 3.0, 0.0), ("rice", 3.0, 0.0), ("new", 1.0, 0.0)], schema)
    plain = encoder().fit(spark.createDataFrame(rows, schema)).transform(new).collect()
    outlier = [*rows, ("soap", 1.0, 444_000.0)]
    moved = encoder().fit(spark.createDataFrame(outlier, schema)).transform(new).collect()
    for before, after in zip(plain, moved, strict=True):
        assert after["base_amount"] == pytest.approx(before["base_amount"], rel=0.15)


def test_without_a_quantity_or_a_product_levels_alone_predict(spark: SparkSession) -> None:
    frame = planted(spark)
    model = encoder(quantityCol="", productCol="", levelCols=["type"]).fit(frame)
    assert list(model.output_names()) == ["amount", "line", "log_quantity", "rows_0"]
    means = frame.groupBy("type").agg(sf.avg(sf.log("amount")).alias("mean"))
    found = model.transform(frame).join(means, "type").select("base_amount", "mean").distinct().toPandas()
    assert np.abs(np.log(found["base_amount"]) - found["mean"]).max() < 2.5  # shrunken to the mean of all
    assert np.corrcoef(np.log(found["base_amount"]), found["mean"])[0, 1] > 0.99


def test_a_frame_without_a_row_to_learn_from_is_refused(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("a", 0.0, 5.0), ("b", 2.0, -1.0)], "product string, quantity double, amount double")
    with pytest.raises(DataError, match="above 0, found none"):
        encoder().fit(frame)
