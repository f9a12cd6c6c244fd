"""
Whom should a campaign contact, and did it work?
================================================

:func:`purchasecast.plan` chooses among offers the contacts with the highest expected profit within a budget, and leaves
some customers alone. :func:`purchasecast.measure` compares both groups afterwards.
"""

# %%
# Offers
# ------
#
# One row per customer and product: the probability of a purchase, and its amount. Here they are drawn, so that what
# the campaign changes is known.

import numpy as np
import pandas as pd

import purchasecast as pc

random = np.random.default_rng(7)
customers, products = 3_000, 12
offers = pd.DataFrame(
    {
        "customer": np.repeat([f"c{place:04d}" for place in range(customers)], products),
        "product": np.tile([f"p{place:02d}" for place in range(products)], customers),
        "probability": random.beta(1, 5, customers * products),
        "amount": np.tile(random.lognormal(4, 0.6, products), customers),
        "town": np.repeat(random.choice(["north", "south"], customers), products),
    }
)

# %%
# The plan
# --------
#
# 3,000 contacts at 2 EUR each, at most three a customer; of one product there are only 40 pieces.

stock = [{"product": "p03", "stock": 40}]
campaign = pc.plan(
    offers,
    budget=3_000,
    cost=2.0,
    margin=0.3,
    max_per_customer=3,
    stock=stock,
    control_share=0.3,
    expected_lift=0.2,
    segments=("town",),
    money="EUR",
)
campaign.plan

# %%
# What a larger budget would bring
# --------------------------------

import altair as alt

curve = pd.DataFrame([point.to_dict() for point in campaign.plan.curve])
alt.Chart(curve, title="Profit of the best plan of each budget", width=330).mark_line(point=True).encode(
    x=alt.X("budget", title="contacts"), y=alt.Y("profit", title="expected profit (EUR)")
)

# %%
# Some weeks later
# ----------------
#
# The contacted customers in the north have bought 60 % more of what they were offered, those in the south nothing more.

sent, kept = campaign.contacts.to_pandas(), campaign.control.to_pandas()
sent["probability"] *= np.where(sent["town"] == "north", 1.6, 1.0)
lines = pd.concat([sent, kept])
bought = lines.loc[random.random(len(lines)) < lines["probability"], ["customer", "product", "amount"]]
measured = pc.measure(campaign, bought)
measured

# %%
# For whom it worked
# ------------------

segments = pd.DataFrame([one.to_dict() for one in measured.segments])
segments["segment"] = segments["by"] + ": " + segments["level"]
segments[["low", "high"]] = segments["interval"].tolist()
base = alt.Chart(segments, title="Difference per customer, with 90 % intervals", width=330)
base.mark_rule().encode(x=alt.X("low", title="EUR"), x2="high", y=alt.Y("segment", title=None)) + base.mark_point(
    filled=True
).encode(x="difference", y="segment")
