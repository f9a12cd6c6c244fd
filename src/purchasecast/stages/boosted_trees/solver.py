"""Gradient boosting with XGBoost, all rows in memory and all cores as threads; runs on an executor.

The trees grow leaf by leaf on histograms. Rows are sorted by a key first: the sample that each tree is grown on goes
by place, so that it is the same whatever the order in which rows arrive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["ALL_ROWS", "SCHEMA", "solve_boosting"]

ALL_ROWS = -1  # in place of the fold that a fit has not seen
SCHEMA = "without int, rounds int, error double, booster binary"


def solve_boosting(
    batches: Iterator[pa.RecordBatch],
    *,
    params: Mapping[str, Any],
    rounds: int,
    patience: int,
    validation_fold: int,
    last: str = "all rows",
) -> Iterator[pa.RecordBatch]:
    """Yield the booster of all rows and, where a fold is left out to stop early, those without a fold before.

    Parameters
    ----------
    batches : iterator of RecordBatch
        ``fold``, ``key``, ``label``, and one column a feature.
    params : mapping
        Parameters of XGBoost.
    rounds : int
        Most trees.
    patience : int
        Trees without a better error on the fold that is left out, before the first fit ends.
    validation_fold : int
        That fold; -1 for none: then the only fit takes `rounds` trees.
    last : {"this fold", "all rows", "every fold"}, default "all rows"
        Where to end: after the fit that stops early, after that of all rows, or with a fit without each other fold, of
        as many trees, as well.

    Yields
    ------
    RecordBatch
        One row: the fold that it has not seen or `ALL_ROWS`, its trees, the root mean squared error on the fold that
        stopped it, the booster.
    """
    import xgboost  # noqa: PLC0415  only executors need it

    table = pa.Table.from_batches(batches).sort_by("key")
    fold, label = table["fold"].to_numpy(), table["label"].to_numpy()
    features = np.empty((len(table), len(table.column_names) - 3), dtype=np.float32)
    for place, name in enumerate(name for name in table.column_names if name not in {"fold", "key", "label"}):
        features[:, place] = table[name].to_numpy()
    del table

    def matrix(chosen: NDArray[np.bool_] | slice, reference: Any = None) -> Any:
        data = features[chosen]
        return xgboost.QuantileDMatrix(data, label[chosen], ref=reference, nthread=params["nthread"])

    out = fold == validation_fold
    if validation_fold >= 0 and out.any() and not out.all():
        training = matrix(~out)
        held_out = matrix(out, training)
        stopped = xgboost.train(
            dict(params),
            training,
            rounds,
            evals=[(held_out, "held_out")],
            early_stopping_rounds=patience,
            verbose_eval=False,
        )
        rounds = int(stopped.best_iteration) + 1
        yield _answer(validation_fold, stopped[:rounds], float(stopped.best_score))
        del training, held_out, stopped
        others = sorted(set(fold.tolist()) - {validation_fold}) if last == "every fold" else []
        for other in others:
            booster = xgboost.train(dict(params), matrix(fold != other), rounds)
            yield _answer(other, booster, float("nan"))
    if last != "this fold":
        yield _answer(ALL_ROWS, xgboost.train(dict(params), matrix(slice(None)), rounds), float("nan"))


def _answer(without: int, booster: Any, error: float) -> pa.RecordBatch:
    columns = {
        "without": pa.array([without], pa.int32()),
        "rounds": pa.array([booster.num_boosted_rounds()], pa.int32()),
        "error": pa.array([error], pa.float64()),
        "booster": pa.array([bytes(booster.save_raw("json"))], pa.binary()),
    }
    return pa.RecordBatch.from_pydict(columns)
