"""Gradient boosted trees: `purchasecast.stages.BoostedTreesModel` without Spark.

A table goes through XGBoost; a single row walks the trees in plain Python, which takes a fifth of the time of a call of
XGBoost and, unlike that, wakes no threads. Both give the same bits.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from purchasecast.errors import BundleCorruptError, SettingsError
from purchasecast.scorer.batch import INTERCEPT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from purchasecast.scorer.batch import Batch, Row, Source
    from purchasecast.scorer.steps.base import Context

__all__ = ["BoostedTrees"]

_Node = tuple[int, float, Any, Any] | float  # feature, threshold, below it, from it on; or a leaf's value


class BoostedTrees:
    """Evaluates trees on derived columns.

    Parameters
    ----------
    file : Path
        The booster, as XGBoost's JSON.
    inputs : sequence of str
        Columns, in the order of the booster's features.
    output : str
        Column for the value.

    Raises
    ------
    SettingsError
        If XGBoost is not installed.
    BundleCorruptError
        If the file is no booster of trees on numbers.
    """

    def __init__(self, file: Path, inputs: list[str], output: str) -> None:
        try:
            import xgboost  # noqa: PLC0415  only models with trees need it
        except ModuleNotFoundError as error:
            raise SettingsError(
                "scorer: expected XGBoost, which this model's trees need, found none; run `pip install xgboost-cpu`."
            ) from error
        self._matrix = xgboost.DMatrix
        self._booster = xgboost.Booster()
        self._booster.load_model(file)
        # Whoever scores much does so in several tasks or requests at a time; threads would wait for each other.
        self._booster.set_param({"nthread": 1})
        self._inputs = inputs
        self._output = output
        self._base, self._roots = _read_trees(file, len(inputs))

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], context: Context) -> Self:
        """Build the step from its entry."""
        return cls(context.folder / entry["file"], list(entry["inputs"]), entry["output"])

    def batch(self, batch: Batch) -> None:
        """Evaluate all rows; their parts are exact Shapley values of the trees."""
        features = np.empty((batch.rows, len(self._inputs)), dtype=np.float32)
        for place, name in enumerate(self._inputs):
            features[:, place] = batch.columns[name]
        made = self._booster.inplace_predict(features) if batch.rows else np.empty(0)
        batch.columns[self._output] = made.astype(np.float64)
        if batch.explains and batch.rows:
            parts = self._booster.predict(self._matrix(features), pred_contribs=True).astype(np.float64)
            for place, name in enumerate(self._inputs):
                batch.add_part(self._output, _source(batch, name), parts[:, place])
            # Shapley values are summed in single precision: the constant takes what rounding leaves.
            batch.add_part(self._output, INTERCEPT, batch.columns[self._output] - parts[:, :-1].sum(axis=1))

    def row(self, row: Row) -> None:
        """Evaluate one row; a value that is missing goes where the tree says."""
        values = row.values
        features = np.array([values[name] for name in self._inputs], dtype=np.float32).tolist()
        features += [-math.inf if math.isnan(value) else value for value in features]
        found = [self._base]
        for root in self._roots:
            node = root
            while node.__class__ is tuple:
                feature, threshold, below, beyond = node
                node = below if features[feature] < threshold else beyond
            found.append(node)
        # XGBoost adds up in single precision, tree after tree.
        values[self._output] = np.add.accumulate(np.array(found, dtype=np.float32)).item(-1)


def _read_trees(file: Path, features: int) -> tuple[float, list[Any]]:
    """Return what the sum of the trees starts from, and the trees."""
    try:
        learner = json.loads(file.read_text(encoding="utf-8"))["learner"]
        kind = learner["objective"]["name"], learner["gradient_booster"]["name"]
        base = float(learner["learner_model_param"]["base_score"].strip("[]"))
        trees = learner["gradient_booster"]["model"]["trees"]
        by_category = any(any(tree["split_type"]) for tree in trees)
        roots = [_nested(tree, features) for tree in trees]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise BundleCorruptError(
            f"scorer: expected XGBoost's trees in {file.name}, found none ({type(error).__name__}); train again."
        ) from error
    if kind != ("reg:squarederror", "gbtree") or by_category:
        raise BundleCorruptError(
            f"scorer: expected trees on numbers for squared error in {file.name}, found others; train again."
        )
    return base, roots


def _nested(tree: Mapping[str, Any], features: int) -> _Node:
    """Return a tree as nested tuples; a node that sends missing values to below looks at a second set of features.

    There a missing value is minus infinity, so that one comparison does for both kinds of node.
    """
    below, beyond = tree["left_children"], tree["right_children"]
    made: list[Any] = [None] * len(below)
    for k in reversed(range(len(below))):  # children come after their parents
        condition = float(np.float32(tree["split_conditions"][k]))
        if below[k] < 0:
            made[k] = condition
        else:
            feature = tree["split_indices"][k] + (features if tree["default_left"][k] else 0)
            made[k] = (feature, condition, made[below[k]], made[beyond[k]])
    root: _Node = made[0]
    return root


def _source(batch: Batch, name: str) -> Source:
    """Return the columns of the schema that a feature comes from; of a sum, those of all its terms."""
    if name in batch.sources:
        return batch.sources[name]
    return tuple(dict.fromkeys(column for source in batch.parts_of(name) for column in source))
