"""From past transactions, a model and a table to score to findings and target lists.

Spark counts (`sales`, `peers`, `pricing`, `inventory`, `offers`, ...); what it counted are small frozen records, which
say how certain they are (`discovery`) and put themselves into words (`wording`) without Spark.
"""

from purchasecast.config import InsightSettings
from purchasecast.insights.output import summary
from purchasecast.insights.run import find_insights

__all__ = ["InsightSettings", "find_insights", "summary"]
