"""Result of an evaluation of lists: who was offered what, and who bought."""

from __future__ import annotations

from dataclasses import dataclass

from purchasecast.formatting import number, percent, text_table
from purchasecast.results.record import Record

__all__ = ["CalibrationBin", "ListEvaluation", "ListQuality"]


@dataclass(frozen=True, slots=True)
class ListQuality(Record):
    """What the first products of a ranking brought.

    Attributes
    ----------
    ranking : str
        ``probability`` and ``expected revenue`` are the model's; the others need none: ``popularity``, ``price``,
        ``popularity x price`` and, where products are bought again, ``bought before``.
    length : int
        Number of products per customer.
    precision : float
        Share of the offers that were bought.
    recall : float
        Mean over the customers of the share of their purchases that were on the list.
    ndcg : float
        Mean over the customers of the normalised discounted cumulative gain.
    coverage : float
        Share of all products that are on any list.
    revenue : float
        Actual revenue of the offers that were bought, per customer, in money.
    expected, actual : float, default 0.0
        Purchases of the offers to all customers: the sum of the probabilities, and how many took place.
    """

    ranking: str
    length: int
    precision: float
    recall: float
    ndcg: float
    coverage: float
    revenue: float
    expected: float = 0.0
    actual: float = 0.0


@dataclass(frozen=True, slots=True)
class CalibrationBin(Record):
    """Pairs of about the same probability: of customer and product, or of a row and a step of its amount.

    Attributes
    ----------
    pairs : int
        Number of pairs.
    expected, actual : float
        Number of pairs that should have come true by their probabilities, and that did.
    """

    pairs: int
    expected: float
    actual: float


@dataclass(frozen=True, slots=True, repr=False)
class ListEvaluation(Record):
    """How well lists of products matched purchases that the model had not seen; prints as a table.

    Attributes
    ----------
    customers : int
        Customers who bought anything; the lists are theirs.
    purchases : int
        Distinct pairs of customer and product that were bought, of customers and products that the model knows.
    lists : tuple of ListQuality
        Each ranking at each length.
    calibration : tuple of CalibrationBin
        All pairs by their probability, ascending.
    """

    customers: int
    purchases: int
    lists: tuple[ListQuality, ...]
    calibration: tuple[CalibrationBin, ...]

    def quality(self, ranking: str, length: int) -> ListQuality | None:
        """Return the quality of a ranking.

        Parameters
        ----------
        ranking : str
            What the products are ranked by.
        length : int
            Number of products per customer.

        Returns
        -------
        ListQuality or None
            None if it was not measured.
        """
        return next((one for one in self.lists if (one.ranking, one.length) == (ranking, length)), None)

    def to_table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return headers and lines of a table of the rankings."""
        columns = ("offers ranked by", "a customer", "bought", "recall", "NDCG", "of products", "revenue a customer")
        headers = (*columns, "expected purchases", "purchases")
        lines: list[tuple[str, ...]] = [
            (
                one.ranking,
                str(one.length),
                percent(one.precision),
                percent(one.recall),
                f"{one.ndcg:.3f}",
                percent(one.coverage),
                number(one.revenue),
                number(one.expected),
                number(one.actual),
            )
            for one in self.lists
        ]
        return headers, lines

    def __repr__(self) -> str:
        """Return the table as text."""
        about = (
            f"Offers against {self.purchases:,} purchases of {self.customers:,} customers that the model has not seen."
        )
        return f"{about}\n{text_table(*self.to_table())}"
