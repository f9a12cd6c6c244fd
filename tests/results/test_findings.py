"""Findings survive JSON whole, and a chart that nobody could draw is refused."""

from __future__ import annotations

import json

import pytest

from purchasecast.errors import DataError
from purchasecast.results import Absent, Campaign, Chart, Finding, Insights, Support

CHART = Chart("bar", ("city", "USD"), (("A", 2.0), ("B", None)), "City A sells most", "USD", "city", "USD")


def a_finding(**changes: object) -> Finding:
    values: dict[str, object] = {
        "id": "segment:City=A",
        "kind": "segment",
        "claim": "City A pays more.",
        "value": 12.5,
        "unit": "USD per purchase",
        "interval": (10.0, 15.0),
        "support": Support(100, 10),
        "method": "Counted.",
        "action": "Stock more.",
        "money": 1250.0,
        "caveat": "No cause.",
        "chart": CHART,
        "q_value": 0.01,
    }
    return Finding(**{**values, **changes})  # type: ignore[arg-type]


def test_everything_survives_json() -> None:
    insights = Insights(
        findings=(a_finding(), a_finding(id="other", interval=None, chart=None, q_value=None, money=None)),
        absent=(Absent("offer", "No product column."),),
        campaigns=(Campaign("new", "New category", ("lists/new.csv",), 3, 99.5),),
        computed_on="On all rows.",
        money_unit="USD",
        seconds={"read": 1.5},
    )
    text = json.dumps(insights.to_dict(), allow_nan=False)
    assert Insights.from_dict(json.loads(text)) == insights


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "pie"}, "pie"),
        ({"x": "town"}, "town"),
        ({"rows": (("A", 1.0, 2.0),)}, "2 values"),
    ],
)
def test_a_chart_that_cannot_be_drawn_is_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(DataError, match=told):
        Chart.from_dict({**CHART.to_dict(), **change})


def test_charts_are_made_of_their_rows() -> None:
    bars = Chart.bars("city", "revenue", [("A", 2.0), ("B", 1.0)], "City A sells most", "USD")
    assert (bars.kind, bars.x, bars.y, bars.rows) == ("bar", "revenue", "city", (("A", 2.0), ("B", 1.0)))
    single = Chart.intervals("city", "revenue", [("A", 2.0, 1.0, 3.0)], "", None)
    assert single.columns == ("city", "revenue", "low", "high")
    several = Chart.intervals("city", "revenue", [("A", 2.0, 1.0, 3.0, "now")], "", None)
    assert several.columns[-1] == "series"
