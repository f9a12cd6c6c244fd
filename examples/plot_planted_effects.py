"""
How much of a planted effect does the encoder find?
===================================================

The generated shop tells what it planted in each purchase. This example compares the effects of products that
:class:`~purchasecast.stages.CrossedEffectsEncoder` estimates with the planted ones, for products with many and with
few purchases.
"""

# %%
# The shop and its truth
# ----------------------

from purchasecast import get_session
from purchasecast.datasets import generate_shop

spark = get_session()
shop = generate_shop(spark, rows=4_000, seed=7)
truth = shop.truth.products.select("Product_ID", "level").toPandas()
truth.head()

# %%
# The encoder
# -----------
#
# Without a fold column, there is one fit on all rows. ``level_table`` has one row per product.

from purchasecast.stages import CrossedEffectsEncoder

encoder = CrossedEffectsEncoder(
    inputCols=["User_ID", "Product_ID"], outputCols=["customer_effect", "product_effect"], labelCol="Purchase"
)
model = encoder.fit(shop.transactions)
table = model.level_table("Product_ID").toPandas().merge(truth, left_on="level", right_on="Product_ID")
table["planted"] = table["level_y"] - (table["level_y"] * table["rows"]).sum() / table["rows"].sum()
table["purchases"] = table["rows"].gt(30).map({True: "more than 30", False: "30 or fewer"})
table["error of the mean"] = table["mean"] - table["mean"].mean() - table["planted"]
table["error of the effect"] = table["effect"] - table["planted"]
errors = table.groupby("purchases")[["error of the mean", "error of the effect"]].agg(lambda e: (e**2).mean() ** 0.5)
errors.round(0)

# %%
# The picture
# -----------
#
# On the diagonal, the estimate equals the truth. Effects of products with few purchases are shrunken toward 0.

import altair as alt

points = (
    alt.Chart(table, title="Effects of products", width=420, height=320)
    .mark_circle(opacity=0.7)
    .encode(
        x=alt.X("planted", title="planted effect (USD)"),
        y=alt.Y("effect", title="estimated effect (USD)"),
        color="purchases",
        size=alt.Size("rows", legend=None),
    )
)
ends = [{"x": float(table["planted"].min())}, {"x": float(table["planted"].max())}]
diagonal = alt.Chart(alt.Data(values=ends)).mark_line(color="gray", strokeDash=[4, 4]).encode(x="x:Q", y="x:Q")
diagonal + points
