"""Compare a recipe with the true model of generated shops of eight kinds: errors on later rows that nothing has seen.

For each kind a shop is generated whose expected amounts are known. A model is trained on its labelled rows and predicts
the rows to score; its errors stand beside those of the expected amount, which no model can beat on average, and of
unit price x quantity. Prints a table on stderr and one JSON line.
"""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING, Any

from _session import report, session

import purchasecast as pc
from purchasecast.datasets import SHOP_KINDS

if TYPE_CHECKING:
    import pandas as pd


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="*", default=[kind for kind in SHOP_KINDS if kind != "black_friday"])
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--model", default="blend")
    parser.add_argument("--seed", type=int, default=11)
    given = parser.parse_args()
    spark, found = session(), {}
    for kind in given.kinds:
        shop = pc.datasets.generate_shop(spark, kind=kind, rows=given.rows, seed=given.seed)
        model = pc.train(
            shop.transactions, shop.schema, given.model, refit=False, holdout=0.1, offers=False, session=spark
        )
        truth = shop.truth.rows.where("part = 'scoring'").select("line_id", "expected", "amount")
        scored = model.predict(shop.scoring).select("line_id", "prediction").join(truth, "line_id").toPandas()
        found[kind] = {"model": errors(scored, "prediction"), "true model": errors(scored, "expected")}
        both = found[kind]
        ratio = both["model"]["rmse"] / both["true model"]["rmse"]
        print(f"{kind:16} {both} RMSE ratio {ratio:.3f} members {model.members}", file=sys.stderr, flush=True)
    report(rows=given.rows, recipe=given.model, kinds=found)


def errors(scored: pd.DataFrame, column: str) -> dict[str, Any]:
    wrong = scored[column] - scored["amount"]
    return {"rmse": math.sqrt((wrong**2).mean()), "mae": float(wrong.abs().mean())}


if __name__ == "__main__":
    main()
