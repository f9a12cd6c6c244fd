"""
Why does the model predict this amount?
=======================================

:meth:`purchasecast.Model.explain` splits one prediction into the average prediction and what each column adds. The
parts sum to the prediction exactly. It needs neither Spark nor Java.
"""

# %%
# A model and a row
# -----------------
#
# The row names a customer and a product only. Their attributes are known from the training.

import pandas as pd

import purchasecast as pc

shop = pc.datasets.generate_shop(pc.get_session(), rows=4_000, seed=7).transactions.toPandas()
quick = {"folds": 2, "holdout": 0, "refit": False, "reg_param": (0.01, 0.1), "elastic_net_param": (0.0,)}
model = pc.train(shop, schema="black_friday", **quick)
row = {"User_ID": int(shop["User_ID"].mode()[0]), "Product_ID": str(shop["Product_ID"].mode()[0])}
row

# %%
# The explanation
# ---------------

explanation = model.explain(row)
explanation

# %%
# The picture
# -----------
#
# From the average prediction at the top to this prediction at the bottom.

import altair as alt

steps, end = [], explanation.base
for columns, amount in explanation.parts:
    steps.append({"source": " x ".join(columns) or "range", "start": end, "end": end + amount, "amount": amount})
    end += amount
steps = pd.DataFrame(steps)
alt.Chart(
    steps, title=f"From {explanation.base:,.0f} to {explanation.prediction:,.0f} USD", width=380
).mark_bar().encode(
    x=alt.X("start", title="USD", scale=alt.Scale(zero=False)),
    x2="end",
    y=alt.Y("source", sort=None, title=None),
    color=alt.condition("datum.amount > 0", alt.value("#0072b2"), alt.value("#d55e00")),
)
