"""
Which rows of a table are wrong, and why?
=========================================

:func:`purchasecast.validate` checks every row against a schema and counts the rejected rows by reason. This example
damages some rows of a generated shop on purpose.
"""

# %%
# A shop with errors
# ------------------

import pandas as pd

import purchasecast as pc

shop = pc.datasets.generate_shop(pc.get_session(), rows=1_500, seed=7).transactions.toPandas()
damaged = shop.astype({"Age": object, "Purchase": float})
damaged.loc[:19, "Purchase"] = -1.0
damaged.loc[20:29, "Age"] = "unknown"
damaged.loc[30:34, "Product_ID"] = None
damaged = pd.concat([damaged, shop.tail(12)], ignore_index=True)  # twelve rows for the second time
damaged.head()

# %%
# The validation
# --------------
#
# No row disappears: accepted and rejected rows add up to all rows.

report = pc.validate(damaged, schema="black_friday")
print(f"{report.rows} rows = {report.accepted} accepted + {report.rejected} rejected")

# %%
# The reasons
# -----------

import altair as alt

reasons = pd.DataFrame(report.reasons.items(), columns=["reason", "rows"])
alt.Chart(reasons, title="Rejected rows by reason", width=360).mark_bar().encode(
    x=alt.X("rows", axis=alt.Axis(tickMinStep=5)), y=alt.Y("reason", sort="-x", title=None)
)
