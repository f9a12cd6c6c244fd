"""The JSON documents that the API sends, as types.

OpenAPI describes the answers by these types, and mypy checks the code that builds them. At run time they are plain
dictionaries: validating each answer with pydantic would take longer than predicting it.
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

__all__ = [
    "Amount",
    "Audience",
    "Chance",
    "Contribution",
    "ExplainedRow",
    "Explanation",
    "FieldError",
    "Known",
    "Member",
    "ModelDescription",
    "OfferedProduct",
    "Prediction",
    "Predictions",
    "Problem",
    "Recommendation",
    "Recommendations",
    "ReloadResult",
    "SearchResult",
    "SimilarProducts",
]

ModelId = Annotated[str, Field(description="Id of the model that answered.")]
MoneyUnit = Annotated[str | None, Field(description="Unit of the amounts, such as USD; null if the schema has none.")]
Seen = Annotated[dict[str, bool], Field(description="Whether the training data had this customer and this product.")]
Base = Annotated[float, Field(description="Prediction for an average row.")]


class FieldError(TypedDict):
    """What is wrong with one field: of the body (`pointer`) or of the query (`parameter`)."""

    pointer: NotRequired[str]
    parameter: NotRequired[str]
    field: str
    detail: str


class Problem(TypedDict):
    """An error as RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    errors: NotRequired[list[FieldError]]
    more_errors: NotRequired[Annotated[int, Field(description="Number of further errors that are not listed.")]]


class Contribution(TypedDict):
    """What one column, or two columns together, adds to the base."""

    columns: list[str]
    label: str
    contribution: float


Contributions = Annotated[
    list[Contribution],
    Field(description="What each column adds, largest first; with the base it makes the prediction."),
]


class Estimate(TypedDict):
    """A predicted amount, with its interval if the model has intervals."""

    prediction: float
    lower: NotRequired[float]
    upper: NotRequired[float]


class Amount(TypedDict):
    """A step that the amount may stand on."""

    step: int
    low: Annotated[float, Field(description="Lowest amount on the step.")]
    high: Annotated[float, Field(description="Highest amount on the step.")]
    probability: float
    in_set: Annotated[bool, Field(description="Whether it is in the set, which holds the amount at the level.")]


class Prediction(Estimate):
    """The prediction of one row.

    `base` and `contributions` are there if the request says `"explain": true`, and `amounts` if it says `"amounts":
    true`; they are empty where the row's category has no steps.
    """

    seen: Seen
    base: NotRequired[Base]
    contributions: NotRequired[Contributions]
    amounts: NotRequired[list[Amount]]


class Predictions(TypedDict):
    """One prediction a row, in the order of the rows."""

    model: ModelId
    money: MoneyUnit
    predictions: list[Prediction]


class ExplainedRow(Estimate):
    """One row, completed with what the model knows of its customer and product, and what drives its prediction."""

    row: dict[str, Any]
    seen: Seen
    base: Base
    contributions: Contributions


class Explanation(ExplainedRow):
    """An explained row, and the model that explains it."""

    model: ModelId
    money: MoneyUnit


class Chance(TypedDict):
    """How likely a purchase is, and why."""

    probability: Annotated[float, Field(description="Of at least one purchase in the period to come.")]
    expected_revenue: Annotated[float, Field(description="Probability times prediction.")]
    bought_before: bool
    because: Annotated[list[str], Field(description="Purchases of the customer that speak for the product most.")]


class Recommendation(Estimate):
    """A product with its predicted amount, its training rows and the mean amount over them."""

    product: str
    rows: float
    mean: float | None


class OfferedProduct(Recommendation):
    """A recommendation of a model that was trained with offers."""

    chance: Chance


class Member(Estimate):
    """A customer of an audience."""

    customer: str
    chance: Chance


class Audience(TypedDict):
    """Customers with the highest expected revenue from a product, highest first."""

    model: ModelId
    money: MoneyUnit
    product: str
    audience: list[Member]


class Recommendations(TypedDict):
    """Products with the highest expected revenue from a customer; without offers, by predicted amount x popularity."""

    model: ModelId
    money: MoneyUnit
    customer: str
    recommendations: list[OfferedProduct] | list[Recommendation]


class Known(TypedDict):
    """A customer or product of the training data: its rows there, the mean amount over them, and its attributes."""

    id: str
    rows: float
    mean: float | None
    attributes: dict[str, Any]
    similarity: NotRequired[float]


class SimilarProducts(TypedDict):
    """Products that the same customers like, most similar first."""

    model: ModelId
    product: str
    similar: list[Known]


class SearchResult(TypedDict):
    """Customers or products whose id matches."""

    found: list[Known]


class ReloadResult(TypedDict):
    """The model in use after a reload."""

    model: ModelId
    changed: Annotated[bool, Field(description="Whether it is another model than before.")]


class ModelDescription(TypedDict):
    """The model in use: its schema, its training data and its figures on held-out rows."""

    id: str
    schema: dict[str, Any]
    columns: Annotated[list[str], Field(description="Columns of a row.")]
    loaded_at: str
    purchasecast: Annotated[str | None, Field(description="Version that trained it.")]
    format_version: int | None
    model: Annotated[str | None, Field(description="Recipe, such as linear.")]
    trained_on: str | None
    data: dict[str, Any]
    metrics: dict[str, Any] | None
    evaluation: dict[str, Any] | None
    known: Annotated[dict[str, int], Field(description="Number of customers and of products that the model knows.")]
    report: Annotated[bool, Field(description="Whether GET /report shows a report.")]
