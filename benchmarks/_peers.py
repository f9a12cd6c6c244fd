"""Other ways to predict what a line of a dated shop is worth, from pandas frames; no Spark.

Every peer takes the training rows and the held-out rows, and returns a prediction for each of the latter. Columns come
from the shop's schema, so that all shops get the same treatment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from purchasecast.schema import Schema

FOLDS = 5
PRIOR_ROWS = 5.0  # a level's mean is shrunken as if it had so many rows of the overall mean more
TREES: dict[str, Any] = {"n_estimators": 400, "num_leaves": 63, "learning_rate": 0.05, "verbose": -1, "random_state": 7}


@dataclass(frozen=True)
class Columns:
    """The columns of a shop by what peers use them for; `hierarchy` is the product and its categories, finest first."""

    target: str
    product: str
    quantity: str
    time: str
    hierarchy: tuple[str, ...]
    levels: tuple[str, ...]
    numbers: tuple[str, ...]


def columns_of(schema: Schema, rows: pd.DataFrame) -> Columns:
    """Return a shop's columns; of the product's attributes those are its categories that nest."""
    assert schema.customer
    assert schema.product
    assert schema.time
    nominal = [column for column in schema.features if column.kind in {"nominal", "ordinal"}]
    categories = [column.name for column in nominal if column.of == "product"]
    hierarchy = _longest_chain(schema.product, categories, rows)
    named = [column.name for column in schema.columns if getattr(column, "role", None) == "quantity"]
    quantity = next(iter([*named, *[column.name for column in schema.numeric if column.name.lower() == "quantity"]]))
    numbers = [column.name for column in schema.numeric if column.name != quantity]
    levels = [schema.customer, schema.product, *[column.name for column in nominal]]
    return Columns(
        schema.target, schema.product, quantity, schema.time, tuple(hierarchy), tuple(levels), tuple(numbers)
    )


def _longest_chain(name: str, others: list[str], rows: pd.DataFrame) -> list[str]:
    """Return the longest chain of columns from `name`, in which each nests in the next for 9 rows in 10."""
    levels = rows[name].nunique()
    coarser = [other for other in others if rows[other].nunique() < levels and _nested(rows, name, other) > 0.9]
    chains = [_longest_chain(other, coarser, rows) for other in coarser]
    return [name, *max(chains, key=len, default=[])]


def _nested(rows: pd.DataFrame, finer: str, coarser: str) -> float:
    """Return the share of rows in the coarser level that most rows of their finer level are in."""
    counts = rows.groupby([finer, coarser]).size()
    return float(counts.groupby(level=0).max().sum() / counts.sum())


def product_mean(train: pd.DataFrame, new: pd.DataFrame, c: Columns) -> NDArray[np.float64]:
    means = train.groupby(c.product)[c.target].mean()
    return new[c.product].map(means).fillna(train[c.target].mean()).to_numpy(float)


def product_median(train: pd.DataFrame, new: pd.DataFrame, c: Columns) -> NDArray[np.float64]:
    medians = train.groupby(c.product)[c.target].median()
    return new[c.product].map(medians).fillna(train[c.target].median()).to_numpy(float)


def unit_price(train: pd.DataFrame, new: pd.DataFrame, c: Columns) -> NDArray[np.float64]:
    """Return unit price x quantity, for an unseen product at the price of all pieces: the line of the issue."""
    return _unit_price(train, new, c, c.hierarchy[:1]).fillna(_overall_price(train, c)).to_numpy() * _quantity(new, c)


def unit_price_by_category(train: pd.DataFrame, new: pd.DataFrame, c: Columns) -> NDArray[np.float64]:
    """Return unit price x quantity, for an unseen product at the price of its finest category that was seen."""
    return _unit_price(train, new, c, c.hierarchy).fillna(_overall_price(train, c)).to_numpy() * _quantity(new, c)


def lightgbm_raw(train: pd.DataFrame, new: pd.DataFrame, c: Columns) -> NDArray[np.float64]:
    """Return what LightGBM makes of all columns, ids included, by its own handling of categories."""
    made = [_plain(rows, c, c.levels, train) for rows in (train, new)]
    return lightgbm.LGBMRegressor(**TREES).fit(made[0], train[c.target]).predict(made[1])


def lightgbm_encoded(train: pd.DataFrame, new: pd.DataFrame, c: Columns) -> NDArray[np.float64]:
    """Return LightGBM on out-of-fold means and counts of every column of levels."""
    features, scored = encoded(train, new, c)
    return lightgbm.LGBMRegressor(**TREES).fit(features, train[c.target]).predict(scored)


def lightgbm_unit_price(train: pd.DataFrame, new: pd.DataFrame, c: Columns) -> NDArray[np.float64]:
    """Return the same with the out-of-fold unit price of product and categories x quantity."""
    features, scored = encoded(train, new, c, prices=True)
    return lightgbm.LGBMRegressor(**TREES).fit(features, train[c.target]).predict(scored)


def lightgbm_interval(
    train: pd.DataFrame, new: pd.DataFrame, c: Columns, coverage: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return bounds by quantile regression, moved out or in until they cover just `coverage` of the held-out rows.

    That uses what no forecaster knows, in the peer's favour: widths are then compared at the same coverage.
    """
    features, scored = encoded(train, new, c, prices=True)
    bounds = [
        lightgbm.LGBMRegressor(objective="quantile", alpha=alpha, **TREES)
        .fit(features, train[c.target])
        .predict(scored)
        for alpha in (0.05, 0.95)
    ]
    low, high = np.minimum(*bounds), np.maximum(*bounds)
    truth = new[c.target].to_numpy(float)
    outside = np.maximum(low - truth, truth - high)
    move = np.quantile(outside, coverage)
    return np.maximum(low - move, 0.0), np.maximum(high + move, 0.0)


def encoded(
    train: pd.DataFrame, new: pd.DataFrame, c: Columns, *, prices: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both parts' features: means and counts by level, of training rows from the other folds."""
    fold = np.random.default_rng(7).integers(0, FOLDS, len(train))
    many = [name for name in c.levels if train[name].nunique() > 20]
    few = [name for name in c.levels if name not in many]
    made = [_plain(rows, c, few, train) for rows in (train, new)]
    for name in many:
        out_of_fold = pd.concat([_level_means(train[fold != k], train[fold == k], name, c) for k in range(FOLDS)])
        for frame, values in zip(made, (out_of_fold.loc[train.index], _level_means(train, new, name, c)), strict=True):
            frame[[f"mean of {name}", f"rows of {name}"]] = values.to_numpy()
    if prices:
        for depth, name in enumerate(c.hierarchy):
            one = c.hierarchy[depth : depth + 1]
            out_of_fold = pd.concat([_unit_price(train[fold != k], train[fold == k], c, one) for k in range(FOLDS)])
            made[0][f"price of {name}"] = out_of_fold.loc[train.index].to_numpy() * _quantity(train, c)
            made[1][f"price of {name}"] = _unit_price(train, new, c, one).to_numpy() * _quantity(new, c)
    return made[0], made[1]


def _plain(rows: pd.DataFrame, c: Columns, levels: tuple[str, ...] | list[str], train: pd.DataFrame) -> pd.DataFrame:
    """Return quantity, numbers and calendar as they are, and columns of levels as categories of the training rows."""
    frame = rows[[c.quantity, *c.numbers]].astype(float)
    moment = pd.to_datetime(rows[c.time])
    frame["month"], frame["weekday"] = moment.dt.month, moment.dt.dayofweek
    for name in levels:
        frame[name] = pd.Categorical(rows[name], categories=sorted(train[name].dropna().unique()))
    return frame


def _level_means(train: pd.DataFrame, rows: pd.DataFrame, name: str, c: Columns) -> pd.DataFrame:
    stats = train.groupby(name)[c.target].agg(["sum", "size"])
    mean = (stats["sum"] + PRIOR_ROWS * train[c.target].mean()) / (stats["size"] + PRIOR_ROWS)
    return pd.DataFrame({"mean": rows[name].map(mean), "rows": rows[name].map(stats["size"])}, rows.index)


def _unit_price(train: pd.DataFrame, rows: pd.DataFrame, c: Columns, names: tuple[str, ...]) -> pd.Series:
    """Return money by pieces of the first of the columns whose level was seen; missing where none was."""
    price = pd.Series(np.nan, rows.index)
    for name in names:
        sums = train.groupby(name)[[c.target, c.quantity]].sum()
        ratio = (sums[c.target] / sums[c.quantity]).where(sums[c.quantity] > 0)
        price = price.fillna(rows[name].map(ratio))
    return price


def _overall_price(train: pd.DataFrame, c: Columns) -> float:
    return float(train[c.target].sum() / train[c.quantity].sum())


def _quantity(rows: pd.DataFrame, c: Columns) -> NDArray[np.float64]:
    return rows[c.quantity].to_numpy(float)


PEERS = {
    "product mean": product_mean,
    "product median": product_median,
    "unit price x quantity": unit_price,
    "unit price x quantity, by category": unit_price_by_category,
    "LightGBM raw": lightgbm_raw,
    "LightGBM encoded": lightgbm_encoded,
    "LightGBM encoded, unit price x quantity": lightgbm_unit_price,
}
