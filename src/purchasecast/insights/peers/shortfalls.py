r"""Customers who pay far less than customers like them do for the same items.

A customer's residuals :math:`r_i` are what she paid less what customers alike pay for the same item (`peers`). Their
mean is tested against 0, one-sided, by the customer's own spread or, where that is larger, by the spread that her
items have among all who bought them. Purchases are skewed: who by chance has none of the few large ones has a low mean
and a small spread at once, and by her own spread alone every ninth customer of a log-normal shop without effects would
be called low. What the customer falls short by in sum is shrunken, as the lowest of many means are low by chance too:

.. math:: \hat R_c = n_c \bar r_c \frac{\tau^2}{\tau^2 + v_c}, \qquad
          v_c = \frac{\kappa}{n_c^2} \sum_{i \in c} \sigma^2_{p(i)},

with :math:`\tau^2` the variance of customers' true means, by the method of moments, :math:`\sigma_p` the deviation of
purchases of an item, and :math:`\kappa` the share of that variance which lies within customers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from purchasecast.insights.significance import MOST_COLLECTED, Trials
from purchasecast.results import Chart, Finding, Support
from purchasecast.spark.columns import number_literal

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.insights.phrases import Phrases
    from purchasecast.insights.significance import Floats

__all__ = ["Shortfalls", "measure_shortfalls"]

LEAST_ROWS = 10  # of a customer: a spread of fewer is not known
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Shortfalls:
    """Customers below their like, by how sure that is.

    Attributes
    ----------
    customers : tuple of str
        Who.
    rows, totals, means, spreads, usual : ndarray
        Transactions, revenue, mean and standard deviation of the residuals, and the deviation that is usual for what
        she buys, one each a customer.
    tried : int
        How many customers have enough rows.
    variance : float
        Variance of customers' true means, money squared.
    same : str
        What is held equal, for sentences.
    """

    customers: tuple[str, ...]
    rows: Floats
    totals: Floats
    means: Floats
    spreads: Floats
    usual: Floats
    tried: int
    variance: float
    same: str

    @property
    def trials(self) -> tuple[Trials, ...]:
        """One-sided: paying less."""
        return (Trials(stats.t.cdf(self.means / self._errors, self.rows - 1), self.tried),)

    @property
    def _errors(self) -> Floats:
        return np.asarray(np.maximum(np.maximum(self.spreads, self.usual), 1e-12) / np.sqrt(self.rows))

    def shrunken(self) -> tuple[Floats, Floats]:
        """Return every customer's shortfall in sum, shrunken, and its standard error."""
        noise = self.usual**2 / self.rows
        share = self.variance / (self.variance + noise) if self.variance > 0 else np.zeros_like(noise)
        return -self.rows * self.means * share, self.rows * np.sqrt(noise * share)

    def listing(self, q: Floats, rate: float) -> tuple[tuple[str, ...], list[tuple[str | float, ...]]]:
        """Return the columns and the lines of the target list, largest shortfall first."""
        shortfall, error = self.shrunken()
        kept = [i for i in np.argsort(-shortfall, kind="stable") if q[i] <= rate]
        columns = ("customer", "purchases", "spent", "shortfall", "standard_error", "q_value")
        lines = [
            (self.customers[i], int(self.rows[i]), *map(float, (self.totals[i], shortfall[i], error[i], q[i])))
            for i in kept
        ]
        return columns, lines

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:
        """Return one finding of all customers that are below their like."""
        kept = np.flatnonzero(q <= rate)
        if not len(kept):
            return []
        shortfall, error = self.shrunken()
        value, half = float(shortfall[kept].sum()), float(stats.norm.ppf((1 + phrases.level) / 2))
        spread = half * float(np.sqrt((error[kept] ** 2).sum()))
        first = sorted(kept, key=lambda i: (-shortfall[i], self.customers[i]))[:_SHOWN]
        furthest = f"{self.customers[first[0]]} is furthest below her like: {phrases.money(shortfall[first[0]])}"
        claim = (
            f"{len(kept):,} of {self.tried:,} customers pay less than customers like them for {self.same}, together "
            f"{phrases.money(value)} ({phrases.interval(value - spread, value + spread)})."
        )
        return [
            Finding(
                id="customers:below-their-like",
                kind="customers",
                claim=claim,
                value=value,
                unit=phrases.money_unit,
                interval=(value - spread, value + spread),
                support=Support(int(self.rows[kept].sum()), len(kept)),
                method=(
                    f"Each customer's purchases less what customers of the same attributes pay for {self.same}; "
                    "one-sided t-test by customer, with her own spread or that of her items, the larger; the sum is "
                    "shrunken toward 0 for the luck of the selection."
                ),
                action=(
                    "Work through the list below-their-like: ask what they buy elsewhere, offer larger packs, or "
                    "decide to leave them be."
                ),
                money=value,
                caveat=f"They may buy the rest elsewhere, or need less: the data do not say. {phrases.no_trend}",
                chart=Chart(
                    "bar",
                    ("customer", "shortfall"),
                    tuple((self.customers[i], float(shortfall[i])) for i in first),
                    f"Customer {furthest}",
                    "shortfall",
                    "customer",
                    phrases.money_unit,
                ),
                q_value=float(q[kept].max()),
                stake="what they pay less than their like, as far as that is not luck",
            )
        ]


def measure_shortfalls(residuals: DataFrame, rate: float, same: str) -> Shortfalls:
    """Find customers whose residuals are low.

    Parameters
    ----------
    residuals : DataFrame
        One row a customer: ``level``, ``rows``, ``total``, ``r``, ``rr`` and ``usual_rr`` (see `peers`).
    rate : float
        Rate of false discoveries: customers with larger p-values are not brought to the driver.
    same : str
        What is held equal, for sentences.

    Returns
    -------
    Shortfalls
        At most `MOST_COLLECTED` customers.
    """
    known = residuals.where(f"level is not null and rows >= {LEAST_ROWS}").selectExpr(
        "cast(level as string) as level",
        "cast(rows as double) as rows",
        "total",
        "r / rows as mean",
        "greatest(rr - r * r / rows, 0D) / (rows - 1) as own",
        "usual_rr / rows as usual",
    )
    tried, means, noise, within = known.selectExpr(
        "count(1)",
        "coalesce(var_samp(mean), 0D)",
        "coalesce(avg(own / rows), 0D)",
        "coalesce(sum(own * (rows - 1)) / nullif(sum(usual * (rows - 1)), 0D), 0D)",
    ).collect()[0]
    known = known.selectExpr("*", "sqrt(own) as spread", f"sqrt({number_literal(within)} * usual) as expected")
    # Of the t-distributions the normal one has the lightest tail, so nothing with p below the rate is left out.
    lowest = number_literal(-stats.norm.isf(rate))
    low = (
        known.where(f"mean <= {lowest} * greatest(spread, expected) / sqrt(rows)")
        .orderBy("mean", "level")
        .limit(MOST_COLLECTED)
    )
    rows = low.collect()

    def column(name: str) -> Floats:
        return np.array([float(row[name]) for row in rows])

    return Shortfalls(
        tuple(row["level"] for row in rows),
        column("rows"),
        column("total"),
        column("mean"),
        column("spread"),
        column("expected"),
        tried=int(tried),
        variance=max(float(means) - float(noise), 0.0),
        same=same,
    )
