"""Measure what a campaign has brought, by its plan and what the customers have bought since.

`read_outcomes` sums up the purchases of each planned customer, `numerics.lift` compares the two groups, and
`measure_campaign` says what came of it: lift, profit and segments. Nothing of it needs Spark.
"""

from purchasecast.campaigns.measure import measure_campaign

__all__ = ["measure_campaign"]
