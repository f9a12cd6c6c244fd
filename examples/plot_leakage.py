"""
Why must an encoder be fitted out of fold?
==========================================

Replacing an id by the mean spend of its rows uses each row's own spend to encode that row. This example encodes an id
that means nothing, once by such means and once by a cross-fitted encoder, and compares the error on the training rows
with the error on new rows.
"""

# %%
# The receipts
# ------------
#
# The customer matters. The number of the till roll changes after a few receipts and does not matter.

import numpy as np
import pandas as pd

random = np.random.default_rng(7)
rows = 8_000
customer = random.integers(0, 200, rows)
receipts = pd.DataFrame(
    {
        "customer": [f"c{i}" for i in customer],
        "till_roll": [f"t{i}" for i in random.integers(0, 3_000, rows)],
        "spend": 50 + random.normal(0, 10, 200)[customer] + random.normal(0, 10, rows),
        "fold": np.arange(rows) % 5,
    }
)
train, new = receipts[:4_000], receipts[4_000:].drop(columns="fold")
train.head()

# %%
# Two encoders
# ------------
#
# The first takes the mean of each id's training rows, and the overall mean for an id without training rows. The
# second shrinks the effects, and encodes each training row by a fit that has not seen the row's fold.

from purchasecast import get_session
from purchasecast.stages import CrossedEffectsEncoder

spark = get_session()
ids = ["customer", "till_roll"]


def encode_by_means(frame):
    overall = train["spend"].mean()
    columns = {f"{name}_code": frame[name].map(train.groupby(name)["spend"].mean()) for name in ids}
    return frame.assign(**columns).fillna(overall)


encoder = CrossedEffectsEncoder(inputCols=ids, outputCols=[f"{name}_code" for name in ids], labelCol="spend")
fitted = encoder.fit(spark.createDataFrame(train))


def encode_out_of_fold(frame):
    return fitted.transform(spark.createDataFrame(frame)).toPandas()


# %%
# The errors
# ----------
#
# The same linear regression on both encodings.

from sklearn.linear_model import LinearRegression

codes = [f"{name}_code" for name in ids]
errors = {}
for name, encode in {"means of all rows": encode_by_means, "cross-fitted": encode_out_of_fold}.items():
    encoded = {"training rows": encode(train), "new rows": encode(new)}
    regression = LinearRegression().fit(encoded["training rows"][codes], encoded["training rows"]["spend"])
    errors[name] = {
        part: float(np.sqrt(np.mean((frame["spend"] - regression.predict(frame[codes])) ** 2)))
        for part, frame in encoded.items()
    }
errors = pd.DataFrame(errors)
errors.round(2)

# %%
# With means of all rows, the error on training rows is far too small, and the error on new rows is larger than it has
# to be: the regression relies on the till roll. Cross-fitted, both errors agree, and the error on new rows is close
# to 10, the noise that was generated.

import altair as alt

bars = errors.rename_axis("rows").reset_index().melt("rows", var_name="encoder", value_name="RMSE")
alt.Chart(bars, title="The same regression on two encodings", width=420, height=160).mark_bar().encode(
    x="RMSE", y=alt.Y("rows", title=None, sort=["training rows", "new rows"]), yOffset="encoder", color="encoder"
)
