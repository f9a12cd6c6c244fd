"""
What does the model predict for a new product?
==============================================

A product that the training has not seen is predicted from its attributes. Its interval is wider, because less is
known about it.
"""

# %%
# Rows to score
# -------------
#
# Some rows to score are about products that were never sold before. Predictions are computed without Spark.

import purchasecast as pc

shop = pc.datasets.generate_shop(pc.get_session(), rows=4_000, seed=7)
quick = {"folds": 2, "holdout": 0, "refit": False, "reg_param": (0.01, 0.1), "elastic_net_param": (0.0,)}
model = pc.train(shop.transactions, schema="black_friday", **quick)
known = set(shop.transactions.select("Product_ID").distinct().toPandas()["Product_ID"])

scored = model.predict(shop.scoring.toPandas())
scored["product"] = scored["Product_ID"].isin(known).map({True: "seen", False: "new"})
scored["width"] = scored["upper"] - scored["lower"]
scored.groupby("product")[["prediction", "width"]].agg(["size", "mean"]).round(0)

# %%
# The picture
# -----------

import altair as alt

alt.Chart(scored, title="Width of the 90 % intervals", width=400, height=140).mark_boxplot(size=36).encode(
    x=alt.X("width", title="width (USD)"), y=alt.Y("product", title=None), color=alt.Color("product", legend=None)
)
