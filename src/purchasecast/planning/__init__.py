"""Plan a campaign: whom to offer what within a budget, and whom to leave alone so that it can be measured.

`read_lines` checks the offers, `numerics.assignment` chooses among them, `draw_control` holds customers out,
`numerics.power` says what they can show, and `plan_offers` puts all together. Only `take_offers` meets Spark, where the
offers are a frame of it.
"""

from purchasecast.planning.campaign import PlannedCampaign, read_campaign, write_campaign
from purchasecast.planning.run import plan_offers

__all__ = ["PlannedCampaign", "plan_offers", "read_campaign", "write_campaign"]
