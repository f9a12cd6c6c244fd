"""
How good is a model, and for which rows?
========================================

:func:`purchasecast.train` measures a model on rows that the training has not seen, for all rows and for slices of
them, and compares it with simple baselines.
"""

# %%
# Train
# -----
#
# A small grid and two folds keep this example short. Leave these settings out for a model that you want to use.

import pandas as pd

import purchasecast as pc

shop = pc.datasets.generate_shop(pc.get_session(), rows=4_000, seed=7)
quick = {"folds": 2, "refit": False, "reg_param": (0.01, 0.1), "elastic_net_param": (0.0,)}
model = pc.train(shop.transactions, schema="black_friday", model="linear", **quick)
model

# %%
# The evaluation
# --------------
#
# One line for all rows of the holdout, and one for each slice. *product mean* is the error of predicting the mean of
# each product.

model.evaluation

# %%
# The picture
# -----------
#
# The model must beat both baselines: the mean of all training rows, and the mean of each product.

import altair as alt

whole = model.evaluation.overall
errors = pd.DataFrame(
    {
        "prediction": ["mean of all rows", "mean of the product", "the model"],
        "RMSE": [whole.baseline_rmse["mean"], whole.baseline_rmse["product_mean"], whole.rmse],
    }
)
alt.Chart(errors, title="Error on rows that the training has not seen", width=380).mark_bar().encode(
    x=alt.X("RMSE", title="RMSE (USD)"), y=alt.Y("prediction", sort=None, title=None)
)
