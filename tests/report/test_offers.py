"""The figures on offers say what the evaluation of lists has."""

from __future__ import annotations

from purchasecast.report.sections.offers import offer_figures
from purchasecast.results import CalibrationBin, ListEvaluation, ListQuality


def test_the_figures_compare_the_model_with_the_best_simple_list() -> None:
    lists = tuple(
        ListQuality(ranking, length, precision, 0.1, 0.2, 0.3, 40.0, 1_500.0, 1_485.0)
        for length in (5, 10)
        for ranking, precision in (("probability", 0.33), ("popularity", 0.185), ("price", 0.02))
    )
    bins = (CalibrationBin(10_000, 50.0, 48.0), CalibrationBin(500, 150.0, 152.0))
    evaluation = ListEvaluation(900, 4_000, lists, bins)
    assert ListEvaluation.from_dict(evaluation.to_dict()) == evaluation
    precision, expected = offer_figures(evaluation, "USD")
    assert "33.0%" in precision.title
    assert "18.5" in precision.title
    assert precision.table is not None
    assert len(precision.table.rows) == 6
    assert precision.table.rows[0][-2:] == ("1,500", "1,485")
    assert "revenue a customer (USD)" in precision.table.columns
    assert "200 purchases" in expected.title
    assert offer_figures(ListEvaluation(0, 0, (), ()), None) == []
    assert "probability" in repr(evaluation)
