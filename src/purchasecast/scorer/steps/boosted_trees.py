"""Gradient boosted trees: `purchasecast.stages.BoostedTreesModel` without Spark.

XGBoost scores tables. A single row goes through the trees in plain Python, which takes a fifth of the time of a call of
XGBoost and wakes no threads. Both give the same bits.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from purchasecast.errors import BundleCorruptError, SettingsError
from purchasecast.scorer.batch import INTERCEPT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from purchasecast.scorer.batch import Batch, Row, Source
    from purchasecast.scorer.steps.base import Context

__all__ = ["BoostedTrees"]

_Node = tuple[int, float, Any, Any] | float  # feature, threshold, child below it, child from it on; or a leaf's value


class BoostedTrees:
    """Adds up the trees of a booster."""

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:
        try:
            import xgboost  # noqa: PLC0415  only models with trees need it
        except ModuleNotFoundError as error:
            raise SettingsError(
                "scorer: expected XGBoost, which this model's trees need, found none; run `pip install xgboost-cpu`."
            ) from error
        content = context.files.read(entry["file"])
        self._matrix = xgboost.DMatrix
        self._booster = xgboost.Booster()
        self._booster.load_model(bytearray(content))
        # Tasks and requests already run in parallel; threads of XGBoost would only wait for each other.
        self._booster.set_param({"nthread": 1})
        self._inputs: list[str] = list(entry["inputs"])
        self._output = entry["output"]
        self._base, self._roots = _read_trees(content, entry["file"], len(self._inputs))

    def batch(self, batch: Batch) -> None:
        """Score many rows; their parts are the exact Shapley values of the trees."""
        features = np.empty((batch.rows, len(self._inputs)), dtype=np.float32)
        for place, name in enumerate(self._inputs):
            features[:, place] = batch.columns[name]
        result = self._booster.inplace_predict(features) if batch.rows else np.empty(0)
        batch.add_column(self._output, result.astype(np.float64))
        if batch.explains and batch.rows:
            parts = self._booster.predict(self._matrix(features), pred_contribs=True).astype(np.float64)
            for place, name in enumerate(self._inputs):
                batch.add_part(self._output, _source(batch, name), parts[:, place])
            # XGBoost adds these up in single precision; the constant takes what rounding leaves.
            batch.add_part(self._output, INTERCEPT, batch.columns[self._output] - parts[:, :-1].sum(axis=1))

    def row(self, row: Row) -> None:
        """Score one row; a missing value goes where the tree says."""
        values = row.values
        features = np.array([values[name] for name in self._inputs], dtype=np.float32).tolist()
        features += [-math.inf if math.isnan(value) else value for value in features]
        leaves = [self._base]
        for root in self._roots:
            node = root
            while node.__class__ is tuple:
                feature, threshold, below, beyond = node
                node = below if features[feature] < threshold else beyond
            leaves.append(node)
        # XGBoost adds up in single precision, tree after tree.
        values[self._output] = np.add.accumulate(np.array(leaves, dtype=np.float32)).item(-1)


def _read_trees(content: bytes, name: str, features: int) -> tuple[float, list[Any]]:
    """Return the base score and the trees of a booster.

    Raises
    ------
    BundleCorruptError
        If the file holds something else than trees on numbers for squared error.
    """
    try:
        learner = json.loads(content)["learner"]
        kind = learner["objective"]["name"], learner["gradient_booster"]["name"]
        base = float(learner["learner_model_param"]["base_score"].strip("[]"))
        trees = learner["gradient_booster"]["model"]["trees"]
        has_categories = any(any(tree["split_type"]) for tree in trees)
        roots = [_nested(tree, features) for tree in trees]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise BundleCorruptError(f"scorer: expected XGBoost's trees in {name}, found none; train again.") from error
    if kind != ("reg:squarederror", "gbtree") or has_categories:
        raise BundleCorruptError(
            f"scorer: expected trees on numbers for squared error in {name}, found others; train again."
        )
    return base, roots


def _nested(tree: Mapping[str, Any], features: int) -> _Node:
    """Return a tree as nested tuples.

    A node whose missing values go below looks at a second copy of the features, in which a missing value is minus
    infinity. So one comparison does for all nodes.
    """
    below, beyond = tree["left_children"], tree["right_children"]
    nodes: list[Any] = [None] * len(below)
    for k in reversed(range(len(below))):  # children come after their parents
        condition = float(np.float32(tree["split_conditions"][k]))
        if below[k] < 0:
            nodes[k] = condition
        else:
            feature = tree["split_indices"][k] + (features if tree["default_left"][k] else 0)
            nodes[k] = (feature, condition, nodes[below[k]], nodes[beyond[k]])
    root: _Node = nodes[0]
    return root


def _source(batch: Batch, name: str) -> Source:
    """Return the columns of the schema that a feature comes from; of a sum, those of all its terms."""
    if name in batch.sources:
        return batch.sources[name]
    return tuple(dict.fromkeys(column for source in batch.parts_of(name) for column in source))
