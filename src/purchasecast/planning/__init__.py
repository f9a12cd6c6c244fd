"""Plan a campaign: whom to offer what within a budget, and whom to leave alone so that it can be measured.

`read_lines` checks the offers, `numerics.assignment` chooses among them, `draw_control` holds customers out, `power`
says what they can show, and `plan_campaign` puts all together. Only `take_offers`
meets Spark, where the offers are a frame of it.
"""

from purchasecast.planning.campaign import PlannedCampaign, read_campaign, write_campaign
from purchasecast.planning.offers import take_offers
from purchasecast.planning.run import plan_campaign

__all__ = ["PlannedCampaign", "plan_campaign", "read_campaign", "take_offers", "write_campaign"]
