"""
Do the prediction intervals keep their promise?
===============================================

At level 0.9, nine out of ten purchases must lie between ``lower`` and ``upper``. This example predicts rows that the
model has not seen at several levels, and counts.
"""

# %%
# A model, and new rows
# ---------------------
#
# The model is trained on 4,000 purchases. The other 2,000 stay apart. A model predicts pandas tables without Spark
# and without Java.

import pandas as pd

import purchasecast as pc

shop = pc.datasets.generate_shop(pc.get_session(), rows=6_000, seed=7).transactions.toPandas()
shop = shop.sample(frac=1, random_state=1, ignore_index=True)
quick = {"folds": 2, "holdout": 0, "refit": False, "reg_param": (0.01, 0.1), "elastic_net_param": (0.0,)}
model = pc.train(shop[:4_000], schema="black_friday", **quick)
new = shop[4_000:]
model.predict(new)[["User_ID", "Product_ID", "Purchase", "prediction", "lower", "upper"]].head()

# %%
# Coverage and width at several levels
# ------------------------------------

results = []
for level in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95):
    scored = model.predict(new, level=level)
    inside = scored["Purchase"].between(scored["lower"], scored["upper"])
    results.append(
        {"level": level, "coverage": inside.mean(), "mean width": (scored["upper"] - scored["lower"]).mean()}
    )
results = pd.DataFrame(results)
results.round(3)

# %%
# The picture
# -----------
#
# On the diagonal, the intervals contain exactly the promised share of the purchases.

import altair as alt

axis = alt.Scale(domain=[0.45, 1.0])
points = (
    alt.Chart(results, title="Promised and measured share inside the interval", width=360, height=300)
    .mark_point(filled=True, size=90, opacity=1)
    .encode(x=alt.X("level", scale=axis, title="promised"), y=alt.Y("coverage", scale=axis, title="measured"))
)
ends = alt.Data(values=[{"x": 0.45}, {"x": 1.0}])
alt.Chart(ends).mark_line(color="gray", strokeDash=[4, 4]).encode(x="x:Q", y="x:Q") + points
