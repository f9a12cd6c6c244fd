"""Plan 5,000 contacts on 70 % of the purchases, and count what they would have earned on the 30 % that were hidden.

The rows are split at random; a model is trained on the 70 %, and its offers (products that the customer has not bought)
are planned with at most five a customer, 200 USD a contact and a margin of 30 %. Beside it stand contacts chosen by
popularity x price and by popularity x activity x price, under the same limits. A contact earns the margin of the
customer's hidden purchase of the product, if there is one, minus its cost. Told and bought purchases are compared, too.
Lists are compared, too: 1,000 offers of each category, and the five best offers of the customers of each level of each
attribute, with the interval of their revenue as `insights` computes it.
The aims: at least 3.7 times what popularity x price earns, 1.3 times popularity x activity x price, bought within 10 %
of told, and 80 to 97 % of the revenues of lists in their 90 % intervals.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from _session import options, report, session

import purchasecast as pc
from purchasecast.insights.demand.measure import Noise
from purchasecast.insights.offers.lists import Offer, Offers, calibration_error
from purchasecast.insights.significance import normal_interval
from purchasecast.progress import Steps

CONTACTS, EACH, COST, MARGIN = 5_000, 5, 200.0, 0.3
CUSTOMER, PRODUCT, AMOUNT, CATEGORY = "User_ID", "Product_ID", "Purchase", "Product_Category_1"
ATTRIBUTES = ("Gender", "Age", "City_Category", "Stay_In_Current_City_Years", "Marital_Status")
MIN_LINES, LINES = 100, 1_000


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--model", default="linear", help="recipe")
    parser.add_argument("--per-customer", type=int, default=50, help="offers to choose from")
    given = parser.parse_args()
    rows = pd.read_csv(given.data / "train.csv", dtype={CUSTOMER: str, PRODUCT: str})
    found = []
    for seed in given.seeds:
        hidden = np.random.default_rng(seed).random(len(rows)) < 0.3
        found.append(one_split(rows[~hidden], rows[hidden], given))
        print(found[-1], file=sys.stderr, flush=True)
    report(contacts=CONTACTS, cost=COST, margin=MARGIN, splits=found)


def one_split(past: pd.DataFrame, hidden: pd.DataFrame, given: Any) -> dict[str, Any]:
    """Return what each choice of contacts earns on the hidden purchases."""
    folder, steps = Path(tempfile.mkdtemp()), Steps()
    past.to_csv(folder / "past.csv", index=False)
    with steps.step("train"):
        model = pc.train(folder / "past.csv", model=given.model, out=folder / "model", session=session())
    with steps.step("offers"):
        # As many purchases as were hidden: probabilities grow with the length of the period.
        offers = model.offers(folder / "past.csv", per_customer=given.per_customer, purchases=len(hidden))
    settings = {"budget": CONTACTS, "cost": COST, "margin": MARGIN, "max_per_customer": EACH, "control_share": 0.0}
    with steps.step("plan"):
        campaign = pc.plan(offers, customer=CUSTOMER, product=PRODUCT, **settings)
    sent = campaign.contacts.to_pandas()
    figures = {"plan": earned(sent, hidden)}
    for name, lines in baselines(past).items():
        figures[name] = earned(lines, hidden)
    bought = figures["plan"]["bought"]
    return {
        "profit": {name: round(one["profit"]) for name, one in figures.items()},
        "bought": {name: one["bought"] for name, one in figures.items()},
        "times": {name: round(figures["plan"]["profit"] / one["profit"], 2) for name, one in figures.items()},
        "told": round(campaign.plan.expected_purchases),
        "bought_by_told": round(bought / campaign.plan.expected_purchases, 3),
        "expected_profit": round(campaign.plan.expected_profit),
        "gap": campaign.plan.gap,
        "lists": covered(offers.to_pandas(), past, hidden, model.evaluation.rmse),
        "seconds": steps.seconds,
    }


def baselines(past: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return contacts by popularity and price, with and without the activity of the customer."""
    products = past.groupby(PRODUCT)[AMOUNT].agg(["size", "mean"])
    score = (products["size"] * products["mean"]).sort_values(ascending=False, kind="stable")
    activity = past.groupby(CUSTOMER).size()
    bought = past.groupby(CUSTOMER)[PRODUCT].agg(set)
    best = pd.DataFrame(
        [
            (customer, product, score[product], activity[customer])
            for customer in activity.index
            for product in [p for p in score.index[:500] if p not in bought[customer]][:EACH]
        ],
        columns=[CUSTOMER, PRODUCT, "score", "activity"],
    ).sample(frac=1, random_state=0)  # customers who are alike are taken at random
    by_activity = best.assign(score=best["score"] * best["activity"])
    return {
        name: table.sort_values("score", ascending=False, kind="stable").head(CONTACTS)[[CUSTOMER, PRODUCT]]
        for name, table in (("popularity x price", best), ("popularity x activity x price", by_activity))
    }


def covered(offers: pd.DataFrame, past: pd.DataFrame, hidden: pd.DataFrame, rmse: float) -> dict[str, Any]:
    """Return how many lists there are, and the share of them whose revenue lies in its 90 % interval."""
    actual = hidden.groupby([CUSTOMER, PRODUCT])[AMOUNT].sum().rename("actual")
    lines = offers.join(past.groupby(PRODUCT)[CATEGORY].first(), on=PRODUCT).join(actual, on=[CUSTOMER, PRODUCT])
    lines = lines.join(past.groupby(CUSTOMER)[list(ATTRIBUTES)].first(), on=CUSTOMER).fillna({"actual": 0.0})
    lines = lines.sort_values("expected_revenue", ascending=False, kind="stable")
    best = lines.drop_duplicates([CUSTOMER, CATEGORY])
    lists = [part.head(LINES) for _, part in best.groupby(CATEGORY) if len(part) >= MIN_LINES]
    five = lines.sort_values("probability", ascending=False, kind="stable").groupby(CUSTOMER).head(EACH)
    lists += [part for name in ATTRIBUTES for _, part in five.groupby(name)]
    noise = Noise({}, of_any=rmse**2, bias=0.0, residual=0.0, customer=0.0, product=0.0, source="")
    hits, error = [], calibration_error(0.3 * len(past))
    for part in lists:
        columns = {name: part[name].to_numpy() for name in ("probability", "amount", "expected_revenue")}
        offer = Offer("list", pa.table({**columns, "category": [""] * len(part)}))
        low, high = normal_interval(
            offer.expected, Offers((offer,), noise, None, error=error).deviation(offer), 0.9, minimum=0.0
        )
        hits.append(low <= part["actual"].sum() <= high)
    return {"count": len(hits), "covered": round(float(np.mean(hits)), 3)}


def earned(lines: pd.DataFrame, hidden: pd.DataFrame) -> dict[str, float]:
    """Return how many of the contacts bought, and the profit after their cost."""
    amounts = hidden.groupby([CUSTOMER, PRODUCT], as_index=False)[AMOUNT].sum()
    hits = lines[[CUSTOMER, PRODUCT]].merge(amounts)
    return {"bought": len(hits), "profit": MARGIN * float(hits[AMOUNT].sum()) - COST * len(lines)}


if __name__ == "__main__":
    main()
