"""A planned campaign: its limits hold, its figures are those of its lists, and it comes back from its folder."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner

import purchasecast as pc
from purchasecast.cli import cli
from purchasecast.numerics.power import Spend, customers_needed, group_needed, power_of, visible_difference
from purchasecast.planning import read_campaign, write_campaign
from purchasecast.planning.control import draw_control
from purchasecast.results import Plan

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

COST, MARGIN = 50.0, 0.4


def offers(customers: int = 120, products: int = 30, each: int = 10, seed: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "customer": np.repeat([f"c{place:04d}" for place in range(customers)], each),
            "product": np.concatenate([random.choice(products, each, replace=False) for _ in range(customers)]),
            "probability": random.beta(1, 4, customers * each),
            "town": np.repeat([f"t{place % 3}" for place in range(customers)], each),
        }
    )
    frame["amount"] = 200.0 + 100.0 * frame["product"]
    return frame.assign(product="p" + frame["product"].astype(str))


def planned(**options: Any) -> pc.PlannedCampaign:
    return pc.plan(offers(), **{"budget": 150, "cost": COST, "margin": MARGIN, **options})


def both(campaign: pc.PlannedCampaign) -> pd.DataFrame:
    return pa.concat_tables([campaign.contacts, campaign.control]).to_pandas()


def test_the_figures_are_those_of_the_lists() -> None:
    campaign = planned()
    plan, sent = campaign.plan, campaign.contacts.to_pandas()
    assert (plan.contacts, plan.customers) == (len(sent), sent["customer"].nunique())
    assert plan.cost == COST * len(sent)
    assert plan.expected_revenue == pytest.approx((sent["probability"] * sent["amount"]).sum())
    assert plan.expected_profit == pytest.approx(MARGIN * plan.expected_revenue - plan.cost)
    assert plan.expected_purchases == pytest.approx(sent["probability"].sum())
    assert plan.profit_interval[0] < plan.expected_profit < plan.profit_interval[1]
    assert plan.break_even == pytest.approx(plan.cost / (MARGIN * plan.expected_revenue))
    assert plan.bound >= both(campaign)["expected_profit"].sum() * (1 - 1e-9)
    assert sent["expected_profit"].is_monotonic_decreasing


def test_the_interval_of_the_profit_holds_what_chance_brings() -> None:
    campaign = planned(control_share=0.0)
    sent = campaign.contacts.to_pandas()
    bought = np.random.default_rng(2).random((2_000, len(sent))) < sent["probability"].to_numpy()
    profit = (bought * sent["amount"].to_numpy() * MARGIN).sum(axis=1) - campaign.plan.cost
    low, high = campaign.plan.profit_interval
    assert 0.88 < ((profit > low) & (profit < high)).mean() < 0.92


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_limits_hold_and_the_budget_is_spent_on_those_who_are_contacted(seed: int) -> None:
    stock = pd.DataFrame({"product": ["p29", "p28"], "stock": [1.0, 0.0]})
    campaign = planned(max_per_customer=3, max_per_product=9, stock=stock, seed=seed)
    lines = both(campaign)
    assert lines.groupby("customer").size().max() <= 3
    assert lines.groupby("product").size().max() <= 9
    assert lines.loc[lines["product"] == "p29", "probability"].sum() <= 1
    assert "p28" not in set(lines["product"])
    assert 140 <= campaign.plan.contacts <= 150


def test_a_budget_in_money_is_one_in_contacts_at_their_cost() -> None:
    by_money, by_contacts = planned(budget=150 * COST, budget_in="money"), planned()
    assert by_money.contacts.equals(by_contacts.contacts)
    assert by_money.plan.budget_price == pytest.approx(by_contacts.plan.budget_price / COST)


def test_lines_that_must_be_are_sent_and_lines_that_must_not_be_are_not() -> None:
    worst = offers().sort_values(["probability", "customer"]).head(4)[["customer", "product"]]
    out = planned().contacts.to_pandas().head(3)["customer"]
    campaign = planned(must=worst, must_not=pd.DataFrame({"customer": out}))
    sent = campaign.contacts.to_pandas()
    assert len(sent.merge(worst)) == 4
    assert sent["must"].sum() == 4
    assert not set(out) & set(both(campaign)["customer"])
    assert not set(worst["customer"]) & set(campaign.control.to_pandas()["customer"])


def test_the_order_of_the_rows_does_not_matter_and_the_seed_does() -> None:
    table = offers()
    first, again = (
        pc.plan(rows, budget=150, cost=COST, margin=MARGIN) for rows in (table, table.sample(frac=1, random_state=5))
    )
    assert first.contacts.equals(again.contacts)
    assert first.control.equals(again.control)
    assert not planned(seed=8).control.equals(first.control)


def test_offers_may_have_margins_and_costs_of_their_own() -> None:
    rich = offers().assign(margin=np.where(offers()["product"] == "p3", 1.0, 0.01))
    assert set(pc.plan(rich, budget=10, control_share=0).contacts["product"].to_pylist()) == {"p3"}
    goods = offers().assign(cost_of_goods=np.where(offers()["product"] == "p3", 0.0, offers()["amount"]))
    assert set(pc.plan(goods, budget=10, control_share=0).contacts["product"].to_pylist()) == {"p3"}


def test_the_curve_rises_to_the_plan_and_beyond_without_ever_falling() -> None:
    campaign = planned(control_share=0.0)
    points = campaign.plan.curve
    own = next(point for point in points if point.budget == 150)
    assert own.profit == pytest.approx(campaign.plan.expected_profit, rel=1e-3)
    assert np.all(np.diff([point.profit for point in points]) >= 0)
    gains = np.diff([p.profit for p in points]) / np.diff([p.budget for p in points])
    assert np.all(np.diff(gains) <= 1e-9)  # each more contact brings less


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="amount"), "offers: expected a column amount"),
        (lambda t: pd.concat([t, t.head(1)]), "one row per customer and product, found two of c0000"),
        (lambda t: t.assign(probability=1.5), "probability: expected a number from 0 to 1"),
        (lambda t: t.assign(amount=np.nan), "amount: expected a number"),
        (lambda t: t.assign(customer=None), "expected a customer in every row"),
        (lambda t: t.assign(town=t["product"]), "one town per customer, found several"),
    ],
)
def test_wrong_offers_are_told(change: Any, message: str) -> None:
    with pytest.raises(pc.errors.DataError, match=message):
        pc.plan(change(offers()), budget=10, segments=("town",))


def test_lines_that_must_be_beyond_a_limit_are_told() -> None:
    must = offers().head(6)[["customer", "product"]]
    with pytest.raises(pc.errors.DataError, match="within max_per_customer, found 1 too many"):
        planned(must=must)
    with pytest.raises(pc.errors.DataError, match="within the budget, found 2 too many"):
        planned(must=must, budget=4, max_per_customer=6)
    with pytest.raises(pc.errors.DataError, match="among the offers, found nobody, p1"):
        planned(must=[{"customer": "nobody", "product": "p1"}])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budgets": 3}, "did you mean budget"),
        ({"margin": 0.0}, "margin: expected a share"),
        ({"budget": 5, "budget_in": "money"}, "cost: expected the cost of a contact"),
        ({"control_share": 0.95}, "control_share: expected a number from 0 to 0.9"),
    ],
)
def test_wrong_settings_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(pc.errors.SettingsError, match=message):
        pc.plan(offers(), **options)


def test_a_folder_is_whole_safe_in_a_spreadsheet_and_read_back_as_it_was(tmp_path: Path) -> None:
    names = {"c0000": "=1+2", "c0001": "'=1", "c0002": "-3", "c0003": '@x,\n"y"', "c0004": "007"}
    table = offers(5, 5, 3).replace({"customer": names})
    campaign = pc.plan(table, budget=9, segments=("town",), control_size=2, out=tmp_path / "plan", money="EUR")
    assert {file.name for file in (tmp_path / "plan").iterdir()} == {
        "contacts.csv",
        "control.csv",
        "plan.html",
        "plan.json",
    }
    assert [file.name for file in tmp_path.iterdir()] == ["plan"]
    text = "".join((tmp_path / "plan" / name).read_text() for name in ("contacts.csv", "control.csv"))
    assert '"\'=1+2"' in text
    assert '\n"=' not in text
    back = read_campaign(tmp_path / "plan")
    assert back.plan == campaign.plan
    assert back.contacts.equals(campaign.contacts)
    assert back.control.equals(campaign.control)
    write_campaign(planned(), tmp_path / "plan")  # an older plan is replaced
    assert read_campaign(tmp_path / "plan").plan.contacts == planned().plan.contacts
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("keep")
    with pytest.raises(pc.errors.SourceError, match="found something else"):
        write_campaign(campaign, tmp_path / "other")


def test_the_page_and_the_table_say_what_to_do() -> None:
    from purchasecast.report import render_plan

    plan = planned(money="EUR", max_per_product=9, stock=[{"product": "p29", "stock": 1.0}]).plan
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    page = render_plan(plan)
    for text in (repr(plan), page):
        assert "One more contact would bring" in text
        assert "in the control group" in text
        assert "p29" in text
    assert "<script" not in page
    assert "<svg" in page
    assert plan._repr_html_().startswith("<table>")


def test_a_control_group_is_like_the_others_in_every_stratum() -> None:
    profit = np.random.default_rng(3).lognormal(5, 1, 1_000)
    drawn, strata = draw_control(profit, np.ones(1_000), 100, math.inf, seed=1)
    assert (drawn.sum(), strata) == (100, 20)
    tenth = np.argsort(np.argsort(-profit)) // 50
    assert set(np.bincount(tenth[drawn])) == {5}
    more, _ = draw_control(profit, np.ones(1_000), 100, 850, seed=1)
    assert more.sum() == 150  # the budget pays for 850
    assert more[drawn].all()


def test_everybody_is_drawn_equally_often() -> None:
    profit = np.arange(25.0)
    often = np.mean([draw_control(profit, np.ones(25), 7, math.inf, seed)[0] for seed in range(3_000)], axis=0)
    assert often == pytest.approx(np.full(25, 7 / 25), abs=0.08)  # strata of 3 and of 4 give one each


def test_the_power_is_that_of_a_simulation() -> None:
    random = np.random.default_rng(4)
    deviation, contacted, control = 50.0, 900, 150
    difference = visible_difference(contacted, control, deviation, 0.9)
    means = [random.normal(0, deviation / np.sqrt(size), 20_000) for size in (contacted, control)]
    error = deviation * np.sqrt(1 / contacted + 1 / control)
    seen = np.abs(difference + means[0] - means[1]) > 1.6449 * error
    assert seen.mean() == pytest.approx(0.8, abs=0.01)
    assert power_of(difference, contacted, control, deviation, 0.9) == pytest.approx(0.8, abs=0.001)
    assert group_needed(difference, contacted + control, deviation, 0.9) in {150, 151}
    assert customers_needed(difference, deviation, 0.9, 150 / 1_050) in {1_050, 1_051}
    assert group_needed(difference / 10, contacted + control, deviation, 0.9) is None


def test_the_spread_of_a_customer_is_that_of_drawn_purchases() -> None:
    table = offers(400, 30, 4)
    p, a = (table[name].to_numpy().reshape(400, 4) for name in ("probability", "amount"))
    spend = Spend.of((p * a).sum(axis=1), (a**2 * p * (1 - p)).sum(axis=1))
    drawn = ((np.random.default_rng(1).random((500, 400, 4)) < p) * a).sum(axis=2)
    assert spend.mean == pytest.approx(drawn.mean(), rel=0.01)
    assert spend.unadjusted == pytest.approx(drawn.std(), rel=0.02)
    assert spend.adjusted == pytest.approx((drawn - (p * a).sum(axis=1)).std(), rel=0.02)


def test_lists_of_insights_are_taken_with_their_plain_names() -> None:
    named = {"customer": "Customer", "product": "Product"}
    plain = pc.plan(offers(), **named, budget=40, cost=COST)
    renamed = pc.plan(offers().rename(columns=named), **named, budget=40, cost=COST)
    assert plain.contacts.column_names[:2] == ["Customer", "Product"]
    assert plain.contacts.equals(renamed.contacts)


def test_the_command_plans_offers_of_a_file(tmp_path: Path, model: Path) -> None:
    table = offers().rename(columns={"customer": "Customer", "product": "Product"})
    table.to_csv(tmp_path / "offers.csv", index=False)
    arguments = ["plan", str(model), str(tmp_path / "offers.csv"), "--budget", "40", "--cost", "50", "--json"]
    result = CliRunner().invoke(cli, [*arguments, "--segment", "town", "--out", str(tmp_path / "plan")])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["contacts"] == read_campaign(tmp_path / "plan").contacts.num_rows <= 40
    assert document["money"] == "EUR"


def test_a_model_plans_its_own_offers(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def of_model(self: pc.Model, data: Any, **options: Any) -> pd.DataFrame:
        asked.update(options, data=data)
        return offers().rename(columns={"customer": "Customer", "product": "Product"})

    monkeypatch.setattr(pc.Model, "offers", of_model)
    settings = pc.PlanSettings(budget=150, cost=COST, margin=MARGIN, segments=("town",))
    campaign = pc.load(model).plan("past.csv", settings=settings, purchases=900.0, out=tmp_path / "plan")
    assert asked == {"data": "past.csv", "purchases": 900.0, "columns": ("town",)}
    expected = planned(segments=("town",)).contacts
    assert campaign.contacts.rename_columns(expected.column_names).equals(expected)
    assert campaign.plan.columns == {"customer": "Customer", "product": "Product", "amount": "Spend"}
    assert campaign.plan.money == "EUR"
    assert (tmp_path / "plan" / "plan.html").is_file()
    past = tmp_path / "past.csv"
    past.write_text("Customer,Product,Spend\na,b,1\n")
    result = CliRunner().invoke(cli, ["plan", str(model), str(past), "--no-repeat", "--out", str(tmp_path / "other")])
    assert result.exit_code == 0, result.output
    assert asked["data"] == str(past)
    assert asked["repeat"] is False


@pytest.mark.spark
def test_a_spark_frame_plans_the_same(spark: SparkSession) -> None:
    frame = spark.createDataFrame(offers())
    settings = {"budget": 150, "cost": COST, "margin": MARGIN, "segments": ("town",)}
    for options in ({}, {"max_per_product": 9}):
        expected, found = (pc.plan(table, **settings, **options) for table in (offers(), frame))
        assert found.contacts.equals(expected.contacts)
        assert found.control.equals(expected.control)
