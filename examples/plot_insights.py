"""
What should the shop do first?
==============================

:meth:`purchasecast.Model.insights` turns a model and its data into findings with money and an action, sorted by the
money that is certain, and into target lists: which customer to offer which product.
"""

# %%
# Findings
# --------

from tempfile import mkdtemp

import pandas as pd

import purchasecast as pc

shop = pc.datasets.generate_shop(pc.get_session(), rows=4_000, seed=7)
quick = {"folds": 2, "refit": False, "reg_param": (0.01, 0.1), "elastic_net_param": (0.0,)}
model = pc.train(shop.transactions, schema="black_friday", **quick)
folder = mkdtemp()
insights = model.insights(shop.transactions, demand=shop.scoring, out=folder)
first = insights.findings[0]
print(f"{first.claim}\nDo: {first.action}\nNote: {first.caveat}")

# %%
# The first findings by money
# ---------------------------

import altair as alt

money = pd.DataFrame(
    {"finding": finding.id, "kind": finding.kind, "money": finding.money} for finding in insights.findings[:8]
)
alt.Chart(money, title="Money concerned by the first findings", width=330).mark_bar().encode(
    x=alt.X("money", title="USD", axis=alt.Axis(format="~s")), y=alt.Y("finding", sort=None, title=None), color="kind"
)

# %%
# A target list
# -------------
#
# The best offers for each customer: products that the customer has not bought yet.

offers = pd.read_parquet(f"{folder}/offers-by-customer.parquet")
offers.head()
