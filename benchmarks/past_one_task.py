"""Hold fits that many tasks share to those of one task: the same rows, folds and seed, with the limit lowered.

Trains each model twice, and prints the errors on the holdout and the seconds a step as one JSON line a model.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from _session import options, report, session

import purchasecast as pc


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--limit", type=int, default=50_000, help="rows of a task, where many share a fit")
    parser.add_argument("--models", default="linear,boosted,blend")
    given = parser.parse_args()
    spark = session()
    for model in given.models.split(","):
        one, many = (train(spark, given.data / "train.csv", model, limit) for limit in (5_000_000, given.limit))
        report(
            model=model,
            limit=given.limit,
            rmse_one_task=round(one["rmse"], 2),
            rmse_many_tasks=round(many["rmse"], 2),
            apart=round(many["rmse"] / one["rmse"] - 1, 6),
            seconds_one_task=one["seconds"],
            seconds_many_tasks=many["seconds"],
        )


def train(spark: Any, path: Path, model: Any, limit: int) -> dict[str, Any]:
    """Return the error on the holdout and the seconds a step."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        trained = pc.train(str(path), model=model, out=out, session=spark, refit=False, max_task_rows=limit)
        assert trained.evaluation is not None
        seconds = {name: round(value, 1) for name, value in trained.evaluation.seconds.items()}
        return {"rmse": trained.evaluation.overall.rmse, "seconds": seconds}


if __name__ == "__main__":
    main()
