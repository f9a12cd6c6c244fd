"""What the server says of a row or a model: one place for the API and for the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from purchasecast.errors import DataError
from purchasecast.serve.request_rows import tell_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from purchasecast.scorer import Prediction, Scorer
    from purchasecast.scorer.catalogue import Known
    from purchasecast.scorer.inputs import InputReader

__all__ = ["Explained", "explain_row", "known_to_dict", "predict_rows", "recommend"]

_FEW = 8  # rows; more are scored faster together
_MOST_CANDIDATES = 200_000  # products that a recommendation scores; the busiest where there are more


@dataclass(frozen=True, slots=True)
class Explained:
    """One prediction and what drives it, as JSON-safe data.

    Attributes
    ----------
    row : dict
        The row with the attributes that the model knows filled in.
    prediction, lower, upper : float or None
        In money.
    base : float
        What is predicted for an average row.
    contributions : list of dict
        Columns, their labels for people, and what they add, largest first; with the base they sum to the prediction.
    seen : dict of str to bool
        Whether training has seen the customer and the product.
    """

    row: dict[str, Any]
    prediction: float
    lower: float | None
    upper: float | None
    base: float
    contributions: list[dict[str, Any]]
    seen: dict[str, bool]


def explain_row(scorer: Scorer, row: Mapping[str, Any]) -> Explained:
    """Score one row, and say what drives its prediction."""
    complete = dict(scorer.catalogue.complete(row))
    found = scorer.predict([complete], explain=True)
    return Explained(
        row={name: complete.get(name) for name in scorer.columns},
        prediction=float(found.prediction[0]),
        lower=_first(found.lower),
        upper=_first(found.upper),
        base=float(found.contributions.base[0]) if found.contributions else 0.0,
        contributions=_labelled(scorer, found, 0),
        seen=_seen(scorer, found, 0),
    )


def predict_rows(
    scorer: Scorer, reader: InputReader, rows: Sequence[Mapping[str, Any]], *, explain: bool
) -> list[dict[str, Any]]:
    """Score JSON rows.

    Parameters
    ----------
    scorer : Scorer
        The model.
    reader : InputReader
        What holds the rows to exact types.
    rows : sequence of mappings
        Values by column.
    explain : bool
        Whether to say what drives each prediction.

    Returns
    -------
    list of dict
        One answer a row.

    Raises
    ------
    ProblemError
        If a value breaks a rule, or a column is not the model's; every field is named.
    """
    try:
        if all(map(reader.names.issuperset, rows)):
            return _scored(scorer, reader, rows, explain=explain)
    except DataError:
        pass
    problem = tell_rows(rows, scorer, reader)
    if problem is None:
        raise DataError("rows: expected a reason why they cannot be scored, found none.")
    raise problem


def recommend(scorer: Scorer, row: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
    """Return the products that a customer is predicted to spend most on.

    Parameters
    ----------
    scorer : Scorer
        The model.
    row : mapping of str to object
        The customer, with attributes.
    limit : int
        How many.

    Returns
    -------
    list of dict
        Product, prediction and bounds, highest first; ties in the order of the ids.
    """
    product = scorer.schema.product
    if product is None or not scorer.catalogue.has("product"):
        return []
    table = scorer.catalogue.candidates(scorer.catalogue.typical(row), most=_MOST_CANDIDATES)
    ordered = table.select([name for name in scorer.columns if name in table.column_names])
    found = scorer.predict(ordered, errors="mark")
    best = np.argsort(-np.nan_to_num(found.prediction, nan=-np.inf), kind="stable")[:limit]
    answers = []
    for k in map(int, best):
        if np.isnan(found.prediction[k]):
            continue
        known = scorer.catalogue.find("product", table[product][k].as_py())
        if known is not None:
            bounds = [None if values is None else float(values[k]) for values in (found.lower, found.upper)]
            document = _document(float(found.prediction[k]), bounds[0], bounds[1], None)
            answers.append({"product": known.key, **document, "rows": known.rows, "mean": known.mean})
    return answers


def known_to_dict(known: Known) -> dict[str, Any]:
    """Return a customer or product as JSON-safe data."""
    document = {"id": known.key, "rows": known.rows, "mean": known.mean, "attributes": known.attributes}
    if known.similarity is not None:
        document["similarity"] = round(known.similarity, 6)
    return document


def _seen(scorer: Scorer, found: Prediction, row: int) -> dict[str, bool]:
    """Tell whether training has seen a row's customer and product."""
    return {role: role in found.unseen and not found.unseen[role][row] for role in scorer.roles}


def _scored(
    scorer: Scorer, reader: InputReader, rows: Sequence[Mapping[str, Any]], *, explain: bool
) -> list[dict[str, Any]]:
    """Score rows; a few of them one by one, which is faster."""
    if len(rows) <= _FEW and not explain:
        answers = []
        for row in rows:
            one = scorer.predict_one(row, reader=reader)
            known = {role: role not in one.unseen for role in scorer.roles}
            answers.append(_document(one.prediction, one.lower, one.upper, known))
        return answers
    found = scorer.predict(rows, explain=explain, reader=reader)
    answers = []
    for k in range(len(rows)):
        bounds = [None if values is None else float(values[k]) for values in (found.lower, found.upper)]
        answer = _document(float(found.prediction[k]), bounds[0], bounds[1], _seen(scorer, found, k))
        if found.contributions is not None:
            answer["base"] = float(found.contributions.base[k])
            answer["contributions"] = _labelled(scorer, found, k)
        answers.append(answer)
    return answers


def _document(
    prediction: float, lower: float | None, upper: float | None, seen_by_role: dict[str, bool] | None
) -> dict[str, Any]:
    document: dict[str, Any] = {"prediction": prediction}
    if lower is not None and upper is not None:
        document |= {"lower": lower, "upper": upper}
    if seen_by_role is not None:
        document["seen"] = seen_by_role
    return document


def _labelled(scorer: Scorer, found: Prediction, row: int) -> list[dict[str, Any]]:
    if found.contributions is None:
        raise DataError("contributions: expected them to be asked for, found none.")
    parts = found.contributions.to_dicts(row)
    for part in parts:
        labels = [scorer.schema.column(name).label for name in part["columns"]]
        part["label"] = " with ".join(labels) if labels else "Held to the allowed range"
    return parts


def _first(values: Any) -> float | None:
    return None if values is None else float(values[0])
