"""Planted lifts are measured with the promised coverage, and a campaign's folder and results tell what it brought."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import purchasecast as pc
from purchasecast.cli import cli
from purchasecast.numerics.lift import holm, measure_lift
from purchasecast.results import Measurement

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

COST, MARGIN, LINES = 2.0, 0.4, 4


def offers(customers: int, seed: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "customer": np.repeat([f"c{place:05d}" for place in range(customers)], LINES),
            "product": np.tile([f"p{place}" for place in range(LINES)], customers),
            "probability": random.beta(1, 4, customers * LINES),
            "amount": random.lognormal(5, 0.6, customers * LINES),
            "town": np.repeat([f"t{place % 3}" for place in range(customers)], LINES),
        }
    )


def planned(customers: int = 2_000, **options: Any) -> pc.PlannedCampaign:
    chosen = {"cost": COST, "margin": MARGIN, "control_share": 0.25, "segments": ("town",), "max_per_customer": LINES}
    return pc.plan(offers(customers), **{**chosen, **options})


def results(campaign: pc.PlannedCampaign, lift: float, seed: int = 1, only: str = "") -> pd.DataFrame:
    """Draw what is bought: the offered products with their probabilities, those of contacted customers with a lift."""
    random = np.random.default_rng(seed)
    sent, kept = campaign.contacts.to_pandas(), campaign.control.to_pandas()
    raised = np.where((sent["town"] == only) | (not only), 1 + lift, 1.0)
    lines = pd.concat([sent.assign(p=sent["probability"] * raised), kept.assign(p=kept["probability"])])
    lines = lines.sort_values(["customer", "product"])
    bought = lines[random.random(len(lines)) < lines["p"]][["customer", "product", "amount"]]
    others = pd.DataFrame({"customer": lines["customer"].unique(), "product": "other"})
    return pd.concat([bought, others.assign(amount=random.lognormal(4, 1, len(others)))])


@pytest.mark.parametrize("lift", [0.0, 0.05, 0.2])
def test_intervals_cover_a_planted_lift_and_are_narrower_by_what_theory_says(lift: float) -> None:
    random = np.random.default_rng(7)
    p, amount = random.beta(1, 4, (2_000, LINES)), random.lognormal(5, 0.6, (2_000, LINES))
    expected = (p * amount).sum(axis=1)
    inside, inside_ratio, narrowed, correlation = [], [], [], []
    for _ in range(1_000):
        contacted = np.ones(2_000, bool)
        contacted[random.permutation(2_000)[:300]] = False
        raised = np.where(contacted[:, None], p * (1 + lift), p)
        spent = ((random.random(p.shape) < raised) * amount).sum(axis=1)
        adjusted, plain = measure_lift(spent, contacted, expected), measure_lift(spent, contacted)
        low, high = adjusted.interval(0.9)
        inside.append(low < lift * expected.mean() < high)
        _, low, high = adjusted.ratio(0.9)
        inside_ratio.append(low < lift < high)
        narrowed.append(adjusted.error / plain.error)
        correlation.append(np.corrcoef(spent[~contacted], expected[~contacted])[0, 1])
    assert 0.88 <= np.mean(inside) <= 0.92
    assert 0.88 <= np.mean(inside_ratio) <= 0.92
    # The control group decides: it is the smaller one, and its spend has no lift in it.
    assert np.mean(narrowed) == pytest.approx(np.sqrt(1 - np.mean(correlation) ** 2), abs=0.015)
    assert np.mean(narrowed) < 0.9


def test_whole_campaigns_cover_the_planted_lift() -> None:
    campaign = planned(400)
    inside = []
    for seed in range(120):
        measured = pc.measure(campaign, results(campaign, 0.2, seed=seed))
        low, high = measured.main.lift_interval
        inside.append(low < 0.2 < high)
    assert 0.82 <= np.mean(inside) <= 0.97


def test_a_large_lift_is_seen_with_its_profit() -> None:
    campaign = planned()
    measured = pc.measure(campaign, results(campaign, 0.5))
    names = [one.name for one in measured.lifts]
    assert names == ["offered_revenue", "offered_purchases", "all_revenue", "all_purchases"]
    assert measured.main.is_certain
    assert measured.main.lift == pytest.approx(0.5, abs=0.2)
    revenue = measured.main.difference * measured.contacted
    assert measured.profit == pytest.approx(MARGIN * revenue - measured.cost, rel=0.01)
    assert measured.cost == COST * campaign.contacts.num_rows
    assert measured.contacted == campaign.plan.customers
    assert measured.control == campaign.plan.control.customers
    assert "raised the revenue from the offered products" in repr(measured)
    assert "It paid" in repr(measured)


def test_no_lift_cannot_be_told_and_how_many_more_customers_are_needed_is_said() -> None:
    campaign = planned(200, expected_lift=0.05)
    measured = pc.measure(campaign, results(campaign, 0.0, seed=5))
    assert not measured.main.is_certain
    assert measured.more_customers > 1_000
    assert f"about {measured.more_customers:,} more customers" in repr(measured)


def test_as_many_customers_as_are_needed_show_the_lift_four_times_of_five() -> None:
    small = planned(200, expected_lift=0.3)
    needed = 200 + pc.measure(small, results(small, 0.0, seed=2)).more_customers
    large = planned(needed, expected_lift=0.3)
    seen = [pc.measure(large, results(large, 0.3, seed=seed)).main.is_certain for seed in range(60)]
    assert 0.65 <= np.mean(seen) <= 0.97


def test_the_segment_with_the_lift_is_found_and_the_others_are_not() -> None:
    campaign = planned(4_000)
    measured = pc.measure(campaign, results(campaign, 1.0, only="t1"))
    towns = {one.level: one for one in measured.segments if one.by == "town"}
    assert towns["t1"].adjusted_p_value < 0.001
    assert min(towns["t0"].adjusted_p_value, towns["t2"].adjusted_p_value) > 0.1
    assert {one.level for one in measured.segments if one.by == "expected revenue"} == {"low", "middle", "high"}
    assert "town t1" in repr(measured)


def test_without_any_lift_segments_are_rarely_claimed() -> None:
    campaign = planned(600)
    claims = [
        any(one.adjusted_p_value < 0.1 for one in pc.measure(campaign, results(campaign, 0.0, seed=seed)).segments)
        for seed in range(60)
    ]
    assert np.mean(claims) <= 0.2  # 10 % is promised


def test_who_was_contacted_indeed_does_not_change_the_groups() -> None:
    campaign = planned(400)
    bought = results(campaign, 0.2)
    sent = campaign.contacts["customer"].to_pandas().unique()
    told = pd.DataFrame({"customer": sent[: len(sent) // 2], "contacted": True})
    both = pd.concat([bought, told])
    plain, said = pc.measure(campaign, bought), pc.measure(campaign, both)
    assert [one.to_dict() for one in said.lifts] == [one.to_dict() for one in plain.lifts]
    assert said.contacted_share == pytest.approx(0.5, abs=0.01)
    assert said.control_contacted_share == 0
    assert "as they were planned" in repr(said)
    assert plain.contacted_share is None


def test_customers_with_lines_that_must_be_are_not_compared() -> None:
    must = offers(400).head(40)[["customer", "product"]]
    campaign = planned(400, must=must)
    measured = pc.measure(campaign, results(campaign, 0.2))
    sent = campaign.contacts.to_pandas()
    assert measured.contacted == sent["customer"].nunique() - must["customer"].nunique()
    assert measured.contacted == campaign.plan.control.contacted


def test_results_without_products_are_of_all_purchases() -> None:
    campaign = planned(400)
    bought = results(campaign, 0.2)
    stranger = pd.DataFrame([{"customer": "stranger", "amount": 5.0}])
    measured = pc.measure(campaign, pd.concat([bought.drop(columns="product"), stranger]))
    assert [one.name for one in measured.lifts] == ["all_revenue", "all_purchases"]
    whole = pc.measure(campaign, bought)
    assert measured.lifts[0].to_dict() == whole.lifts[2].to_dict()
    assert (measured.outside, whole.outside) == (1, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="amount"), "results: expected a column amount"),
        (lambda t: t.assign(amount="many"), "expected numbers as amounts"),
    ],
)
def test_wrong_results_are_told(change: Any, message: str) -> None:
    campaign = planned(100)
    with pytest.raises(pc.errors.DataError, match=message):
        pc.measure(campaign, change(results(campaign, 0.1)))


def test_a_plan_without_a_control_group_cannot_be_measured(tmp_path: Path) -> None:
    campaign = planned(100, control_share=0.0)
    with pytest.raises(pc.errors.DataError, match="plan a control_share"):
        pc.measure(campaign, results(campaign, 0.1))
    with pytest.raises(pc.errors.SourceError, match=r"expected a folder with plan.json"):
        pc.measure(tmp_path, results(campaign, 0.1))


def test_the_command_measures_and_draws_a_page(tmp_path: Path) -> None:
    campaign = planned(400, out=tmp_path / "plan", money="EUR")
    results(campaign, 0.3).to_csv(tmp_path / "bought.csv", index=False)
    page = tmp_path / "page.html"
    arguments = ["measure", str(tmp_path / "plan"), str(tmp_path / "bought.csv"), "--out", str(page)]
    shown = CliRunner().invoke(cli, [*arguments, "--json"])
    assert shown.exit_code == 0, shown.output
    document = json.loads(shown.stdout)
    expected = pc.measure(campaign, results(campaign, 0.3))
    found = Measurement.from_dict(document)
    assert found.main.difference == pytest.approx(expected.main.difference)
    assert found.segments
    text = page.read_text(encoding="utf-8")
    assert "Did it work?" in text
    assert "EUR" in text
    assert "<script" not in text
    assert found._repr_html_().count("<table>") == 2


@pytest.mark.parametrize("count", [1, 2, 5])
def test_holm_is_that_of_its_definition(count: int) -> None:
    p = np.random.default_rng(count).random(count).tolist()
    ordered = sorted(p)
    steps = [min(1.0, max((count - j) * ordered[j] for j in range(i + 1))) for i in range(count)]
    assert sorted(holm(p)) == pytest.approx(steps)


@pytest.mark.spark
def test_a_spark_frame_of_results_says_the_same(spark: SparkSession) -> None:
    campaign = planned(200)
    bought = results(campaign, 0.3).assign(contacted=True)
    expected, found = (pc.measure(campaign, table) for table in (bought, spark.createDataFrame(bought)))
    assert found.main.difference == pytest.approx(expected.main.difference)
    assert (found.purchases, found.contacted_share) == (expected.purchases, expected.contacted_share)
