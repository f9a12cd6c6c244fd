"""
Have the data changed since the training?
=========================================

:func:`purchasecast.monitor` compares new rows with those that the model was trained on. This example compares similar
rows and rows of a shop that has lost its young customers.
"""

# %%
# Two new months
# --------------

import pandas as pd

import purchasecast as pc

shop = pc.datasets.generate_shop(pc.get_session(), rows=6_000, seed=7).transactions.toPandas()
shop = shop.sample(frac=1, random_state=1, ignore_index=True)
quick = {"folds": 2, "refit": False, "reg_param": (0.01, 0.1), "elastic_net_param": (0.0,)}
model = pc.train(shop[:4_000], schema="black_friday", **quick)

similar = shop[4_000:]
older = similar[~similar["Age"].isin(["0-17", "18-25"])]
reports = {"similar": pc.monitor(model, similar), "without young customers": pc.monitor(model, older)}

# %%
# The limits that do not hold
# ---------------------------

for name, report in reports.items():
    print(f"{name}: {[check.name for check in report.alarms] or 'all limits hold'}")

# %%
# The picture
# -----------
#
# The population stability index of each column; the limit is 0.2, or more for small samples.

import altair as alt

drift = pd.DataFrame(
    {"rows": name, "column": column.label, "index": column.index}
    for name, report in reports.items()
    for column in report.columns
)
alt.Chart(drift, title="Distance from the training data", width=380).mark_bar().encode(
    x=alt.X("index", title="population stability index"),
    y=alt.Y("column", sort="-x", title=None),
    yOffset="rows",
    color="rows",
)
