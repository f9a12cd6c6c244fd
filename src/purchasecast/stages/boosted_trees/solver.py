"""Gradient boosting with XGBoost, all rows in memory and all cores as threads; runs on the executors.

The trees grow leaf by leaf on histograms. Rows are sorted by a key first, because XGBoost samples the rows of each tree
by their position: the sample then does not depend on the order in which rows arrive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["ALL_ROWS", "SCHEMA", "solve_boosting"]

ALL_ROWS = -1  # stands for the left-out fold of the fit on all rows
SCHEMA = "without int, rounds int, error double, booster binary"
_PLAIN = ("fold", "key", "label", "weight")  # all other columns are features


@dataclass(frozen=True, slots=True)
class _Rows:
    fold: NDArray[np.int32]
    label: NDArray[np.float64]
    weight: NDArray[np.float64]
    features: NDArray[np.float32]

    @classmethod
    def read(cls, batches: Iterator[pa.RecordBatch]) -> _Rows:
        table = pa.Table.from_batches(batches).sort_by("key")
        names = [name for name in table.column_names if name not in _PLAIN]
        features = np.empty((len(table), len(names)), dtype=np.float32)
        for column, name in enumerate(names):  # column by column: the table and one copy of it fill the task
            features[:, column] = table[name].to_numpy()
        fold, label, weight = (table[name].to_numpy() for name in ("fold", "label", "weight"))
        return cls(fold, label, weight, features)

    def matrix(self, chosen: NDArray[np.bool_] | slice, threads: int, reference: Any = None) -> Any:
        import xgboost  # noqa: PLC0415  only executors need it

        # Weights of 1 would change the borders of the histograms a little.
        weight = None if (self.weight == 1.0).all() else self.weight[chosen]
        data, label = self.features[chosen], self.label[chosen]
        return xgboost.QuantileDMatrix(data, label, weight=weight, ref=reference, nthread=threads)


def solve_boosting(
    batches: Iterator[pa.RecordBatch],
    *,
    params: Mapping[str, Any],
    rounds: int,
    patience: int,
    validation_fold: int,
    last: str = "all rows",
) -> Iterator[pa.RecordBatch]:
    """Yield the boosters of the fits without a fold, and that of all rows.

    Parameters
    ----------
    batches : iterator of RecordBatch
        ``fold``, ``key``, ``label``, ``weight``, and one column a feature.
    params : mapping
        Parameters of XGBoost.
    rounds : int
        Largest number of trees.
    patience : int
        Trees without a lower error on the validation fold after which the first fit stops.
    validation_fold : int
        Fold that stops the first fit early, whose number of trees all others get; -1 for none: `rounds` trees.
    last : {"this fold", "all rows", "every fold"}, default "all rows"
        Which fits follow the first one: none, that of all rows, or also those without each other fold.

    Yields
    ------
    RecordBatch
        One row: left-out fold or `ALL_ROWS`, number of trees, root mean squared error on the validation fold, booster.
    """
    import xgboost  # noqa: PLC0415  only executors need it

    rows, threads = _Rows.read(batches), params["nthread"]
    out = rows.fold == validation_fold
    if validation_fold >= 0 and out.any() and not out.all():
        stopped, error = _stop_early(rows, out, params, rounds, patience)
        rounds = stopped.num_boosted_rounds()
        yield _answer(validation_fold, stopped, error)
        others = sorted(set(rows.fold.tolist()) - {validation_fold}) if last == "every fold" else []
        for other in others:
            yield _answer(other, xgboost.train(dict(params), rows.matrix(rows.fold != other, threads), rounds))
    if last != "this fold":
        yield _answer(ALL_ROWS, xgboost.train(dict(params), rows.matrix(slice(None), threads), rounds))


def _stop_early(
    rows: _Rows, out: NDArray[np.bool_], params: Mapping[str, Any], rounds: int, patience: int
) -> tuple[Any, float]:
    """Return the booster without the rows `out`, with as many trees as predict these best, and its error on them."""
    import xgboost  # noqa: PLC0415  only executors need it

    training = rows.matrix(~out, params["nthread"])
    held_out = rows.matrix(out, params["nthread"], training)
    booster = xgboost.train(
        dict(params),
        training,
        rounds,
        evals=[(held_out, "held_out")],
        early_stopping_rounds=patience,
        verbose_eval=False,
    )
    return booster[: booster.best_iteration + 1], float(booster.best_score)


def _answer(without: int, booster: Any, error: float = float("nan")) -> pa.RecordBatch:
    columns = {
        "without": pa.array([without], pa.int32()),
        "rounds": pa.array([booster.num_boosted_rounds()], pa.int32()),
        "error": pa.array([error], pa.float64()),
        "booster": pa.array([bytes(booster.save_raw("json"))], pa.binary()),
    }
    return pa.RecordBatch.from_pydict(columns)
