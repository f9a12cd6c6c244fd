"""What the report says of amounts that stand on steps."""

from __future__ import annotations

from dataclasses import replace

from purchasecast.report.elements import Figure
from purchasecast.report.sections.quality import quality_section
from purchasecast.results import AmountEvaluation, CalibrationBin, Evaluation, Slice
from purchasecast.schema import load_schema


def test_the_report_shows_how_sets_and_probabilities_of_steps_did() -> None:
    overall = Slice("all", "all", 1_000, 10.0, 8.0, 0.5, 0.1, {"mean": 14.0, "product_mean": 12.0}, mean_width=6_119.0)
    bins = (CalibrationBin(4_000, 400.0, 380.0), CalibrationBin(1_000, 600.0, 620.0), CalibrationBin(50, 48.0, 20.0))
    amounts = AmountEvaluation(1_000, 0.9, 0.905, 1_349.0, 2.7, bins, "USD")
    assert amounts.largest_gap == 0.02  # a bin of few pairs does not count
    plain = Evaluation(overall, (), "Computed on a holdout.", level=0.9, money="USD")
    schema = load_schema("black_friday")
    figures = [
        {block.title: block for block in quality_section(one, schema).blocks if isinstance(block, Figure)}
        for one in (plain, replace(plain, amounts=amounts))
    ]
    (title,) = figures[1].keys() - figures[0].keys()
    assert title == "The 90% sets of amounts contain 90.5% of the actual amounts"
    figure = figures[1][title]
    assert "2.7 steps and a total length of 1,349 USD on average, while the intervals are 6,119 USD wide" in figure.note
    assert figure.table.rows[1] == ("1,000", "60.0%", "62.0%")
    assert "sets at 90" in repr(replace(plain, amounts=amounts))
