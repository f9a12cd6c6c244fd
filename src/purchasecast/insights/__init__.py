"""Findings and target lists from past transactions, a model and rows to score.

Spark computes the figures (`concentration`, `peers`, `prices`, `demand`, `offers`), as small frozen records that write
themselves as findings. `significance` adjusts for the number of tests and ranks the findings; `run` puts all together.
"""

from purchasecast.config import InsightSettings
from purchasecast.insights.output import summary
from purchasecast.insights.run import find_insights

__all__ = ["InsightSettings", "find_insights", "summary"]
