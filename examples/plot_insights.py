"""
What should the shop do first?
==============================

:meth:`purchasecast.Model.insights` turns a model and its data into decisions (who does what by when, and the gain to
expect), descriptions of the shop, and target lists: which customer to offer which product.
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
print(first.claim)
print(f"{first.who or 'Note'}: {first.action or first.caveat}")

# %%
# The findings by topic
# ---------------------

pd.DataFrame({"topic": one.kind, "claim": one.claim} for one in insights.findings).drop_duplicates("topic")

# %%
# The gain to expect from each decision
# -------------------------------------

import altair as alt

gains = pd.DataFrame(
    {"decision": one.id, "topic": one.kind, "gain": one.money} for one in insights.findings if one.money is not None
)
alt.Chart(gains, title="Gain to expect, by decision", width=330).mark_bar().encode(
    x=alt.X("gain", title="USD", axis=alt.Axis(format="~s")), y=alt.Y("decision", sort="-x", title=None), color="topic"
)

# %%
# A target list
# -------------
#
# The best offers for each customer: products that the customer has not bought yet.

offers = pd.read_parquet(f"{folder}/offers-by-customer.parquet")
offers.head()
