"""
Which columns explain what customers spend?
===========================================

:func:`purchasecast.profile` describes the target and every feature. The share of the target's variance that lies
between the levels of a feature shows how much the feature explains by itself.
"""

# %%
# The profile
# -----------

import pandas as pd

import purchasecast as pc

shop = pc.datasets.generate_shop(pc.get_session(), rows=3_000, seed=7)
profile = pc.profile(shop.transactions, schema="black_friday")
print(f"{profile.rows:,} purchases, {profile.target.numbers.mean:,.0f} {profile.money} on average")

# %%
# What each feature explains
# --------------------------
#
# The share is adjusted for the number of levels, so that a column with many levels has no advantage.

explained = pd.DataFrame(
    {"feature": feature.label, "levels": len(feature.levels), "explained": feature.explained}
    for feature in profile.features
).sort_values("explained", ascending=False)
explained.round(3)

# %%
# The strongest feature
# ---------------------
#
# The mean spend of each level, with a 95 % interval that allows for several purchases by one customer.

import altair as alt

strongest = profile.feature("Product_Category_1")
levels = pd.DataFrame(
    {"level": level.level, "mean": level.mean, "low": level.low, "high": level.high, "rows": level.rows}
    for level in strongest.levels
    if level.low is not None and level.rows >= 30
)
base = alt.Chart(levels, title=f"Mean spend by {strongest.label}", width=380).encode(
    y=alt.Y("level", sort="-x", title=None)
)
intervals = base.mark_rule(strokeWidth=2).encode(x=alt.X("low", title=f"mean spend ({profile.money})"), x2="high")
intervals + base.mark_point(filled=True, size=70, opacity=1).encode(x="mean")
