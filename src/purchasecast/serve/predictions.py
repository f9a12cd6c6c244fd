"""Predictions, explanations and recommendations as JSON-safe dictionaries, for the API and for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from purchasecast.errors import DataError
from purchasecast.serve.request_rows import row_problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from purchasecast.scorer import Prediction as ManyPredictions
    from purchasecast.scorer import Scorer
    from purchasecast.scorer.catalogue import Known as KnownLevel
    from purchasecast.scorer.inputs import InputReader
    from purchasecast.scorer.offers import Offer, OfferScorer
    from purchasecast.serve.response_models import (
        Chance,
        Contribution,
        Estimate,
        ExplainedRow,
        Known,
        Member,
        OfferedProduct,
        Prediction,
        Recommendation,
    )

__all__ = ["audience", "explain_row", "known_to_dict", "offered_products", "predict_rows", "recommend"]

_ONE_BY_ONE = 8  # rows; up to so many, calls for single rows are faster than one call for all
_LIKELY = 100  # most probable offers, of which those with the highest expected revenue are shown
_MAX_CANDIDATES = 200_000  # products that a recommendation scores; of more, those with the most training rows


def explain_row(scorer: Scorer, row: Mapping[str, Any]) -> ExplainedRow:
    """Score one row and return what drives its prediction."""
    complete = dict(scorer.catalogue.complete(row))
    batch = scorer.predict([complete], explain=True)
    base, contributions = _parts(scorer, batch, 0)
    return {
        "row": {name: complete.get(name) for name in scorer.columns},
        **_estimate(batch, 0),
        "base": base,
        "contributions": contributions,
        "seen": _seen(scorer, batch, 0),
    }


def predict_rows(
    scorer: Scorer,
    reader: InputReader,
    rows: Sequence[Mapping[str, Any]],
    *,
    explain: bool = False,
    amounts: bool = False,
) -> list[Prediction]:
    """Return the predictions of JSON rows, one a row.

    Raises
    ------
    ProblemError
        If a value breaks a rule or a column is unknown; it names every such field.
    """
    try:
        if all(map(reader.names.issuperset, rows)):
            return _scored(scorer, reader, rows, explain=explain, amounts=amounts)
    except DataError:
        pass  # found again below, with a pointer to each field
    raise row_problem(rows, scorer, reader)


def recommend(scorer: Scorer, row: Mapping[str, Any], limit: int) -> list[Recommendation]:
    """Return the products with the highest expected revenue, highest first, without knowing who buys what.

    The expected revenue is the prediction times the training rows of the product: whoever has no model of who buys what
    knows at least how often all customers buy it. Ties are in the order of the ids. The row has the customer's columns;
    columns of the purchase that it leaves out get typical values.
    """
    product = scorer.schema.product
    if product is None or not scorer.catalogue.has("product"):
        return []
    table = scorer.catalogue.candidates(scorer.catalogue.typical(row), limit=_MAX_CANDIDATES)
    batch = scorer.predict(table.select([name for name in scorer.columns if name in table.column_names]), errors="mark")
    revenue = batch.prediction * scorer.catalogue.candidate_rows(limit=_MAX_CANDIDATES)
    order = np.argsort(-np.nan_to_num(revenue, nan=-np.inf), kind="stable")[:limit]
    best = [(k, scorer.catalogue.find("product", table[product][k].as_py())) for k in map(int, order)]
    return [
        {"product": known.key, **_estimate(batch, k), "rows": known.rows, "mean": known.mean}
        for k, known in best
        if known is not None and not np.isnan(batch.prediction[k])
    ]


def offered_products(
    scorer: Scorer, offers: OfferScorer, customer: str, row: Mapping[str, Any], limit: int
) -> list[OfferedProduct]:
    """Return the products with the highest expected revenue from a customer, highest first."""
    product = str(scorer.schema.product)
    likely = offers.best_products(customer, max(_LIKELY, limit))
    usual = scorer.catalogue.typical(row)
    rows = [dict(scorer.catalogue.complete({**usual, product: one.product})) for one in likely]
    items: list[tuple[float, OfferedProduct]] = []
    for one, (estimate, chance) in zip(likely, _valued(scorer, likely, rows), strict=True):
        known = scorer.catalogue.find("product", one.product)
        if known is not None and not np.isnan(estimate["prediction"]):
            about = {"product": known.key, "rows": known.rows, "mean": known.mean}
            item = cast("OfferedProduct", {**about, **estimate, "chance": chance})
            items.append((chance["expected_revenue"], item))
    return [item for _, item in sorted(items, key=lambda pair: -pair[0])[:limit]]


def audience(scorer: Scorer, offers: OfferScorer, product: str, row: Mapping[str, Any], limit: int) -> list[Member]:
    """Return the customers with the highest expected revenue from a product, highest first."""
    customer = str(scorer.schema.customer)
    likely = offers.best_customers(product, max(_LIKELY, limit))
    rows = [
        dict(scorer.catalogue.complete({**scorer.catalogue.typical(row), customer: one.customer})) for one in likely
    ]
    valued = zip(likely, _valued(scorer, likely, rows), strict=True)
    members: list[Member] = [
        {"customer": one.customer, **estimate, "chance": chance}
        for one, (estimate, chance) in valued
        if not np.isnan(estimate["prediction"])
    ]
    members.sort(key=lambda member: -member["chance"]["expected_revenue"])
    return members[:limit]


def _valued(
    scorer: Scorer, likely: Sequence[Offer], rows: Sequence[Mapping[str, Any]]
) -> list[tuple[Estimate, Chance]]:
    """Return the amount, and the chance with its expected revenue, of each offer."""
    if not likely:
        return []
    batch = scorer.predict([{name: row.get(name) for name in scorer.columns} for row in rows], errors="mark")
    found: list[tuple[Estimate, Chance]] = []
    for k, one in enumerate(likely):
        estimate = _estimate(batch, k)
        chance: Chance = {
            "probability": round(one.probability, 6),
            "expected_revenue": one.probability * max(estimate["prediction"], 0.0),
            "bought_before": one.bought_before,
            "because": list(one.because),
        }
        found.append((estimate, chance))
    return found


def known_to_dict(known: KnownLevel) -> Known:
    """Return a customer or product as a JSON-safe dictionary."""
    document: Known = {"id": known.key, "rows": known.rows, "mean": known.mean, "attributes": known.attributes}
    if known.similarity is not None:
        document["similarity"] = round(known.similarity, 6)
    return document


def _scored(
    scorer: Scorer, reader: InputReader, rows: Sequence[Mapping[str, Any]], *, explain: bool, amounts: bool
) -> list[Prediction]:
    answers: list[Prediction] = []
    if len(rows) <= _ONE_BY_ONE and not explain and not amounts:
        for row in rows:
            one = scorer.predict_one(row, reader=reader)
            seen = {role: role not in one.unseen for role in scorer.roles}
            if one.lower is None or one.upper is None:
                answers.append({"prediction": one.prediction, "seen": seen})
            else:
                answers.append({"prediction": one.prediction, "lower": one.lower, "upper": one.upper, "seen": seen})
        return answers
    batch = scorer.predict(rows, explain=explain, reader=reader, amounts=amounts)
    lists = [] if batch.amounts is None else batch.amounts.to_pylist()
    for k in range(len(rows)):
        answer = cast("Prediction", {**_estimate(batch, k), "seen": _seen(scorer, batch, k)})
        if explain:
            answer["base"], answer["contributions"] = _parts(scorer, batch, k)
        if amounts:
            answer["amounts"] = lists[k] or []
        answers.append(answer)
    return answers


def _estimate(batch: ManyPredictions, row: int) -> Estimate:
    estimate: Estimate = {"prediction": float(batch.prediction[row])}
    if batch.lower is not None and batch.upper is not None:
        estimate["lower"], estimate["upper"] = float(batch.lower[row]), float(batch.upper[row])
    return estimate


def _seen(scorer: Scorer, batch: ManyPredictions, row: int) -> dict[str, bool]:
    return {role: role in batch.unseen and not batch.unseen[role][row] for role in scorer.roles}


def _parts(scorer: Scorer, batch: ManyPredictions, row: int) -> tuple[float, list[Contribution]]:
    """Return the base and the contributions of one row, with labels for people."""
    if batch.contributions is None:
        raise DataError("contributions: expected a prediction with explain=True, found one without; ask again.")
    contributions: list[Contribution] = []
    for part in batch.contributions.to_dicts(row):
        columns = part["columns"]
        label = " with ".join(scorer.schema.column(name).label for name in columns) or "Limited to the allowed range"
        contributions.append({"columns": columns, "label": label, "contribution": part["contribution"]})
    return float(batch.contributions.base[row]), contributions
